// Clients of a TypeScript SDK for interop/rotation, all of them at once.
//
//   node rotation.mjs 1 | 2   the SDK
//
// The jobs come as JSON on standard input, [{ "url": "...", "token": "...", "era": "..." }], and for each one
// line goes out: { "job": 0, "connected": true, "version": "...", "called": true, "again": true, "error": "" }
import { json } from 'node:stream/consumers'
import { MemoryProvider } from './client.mjs'

const one = process.argv[2] === '1'
const { Client } = await import(one ? '@modelcontextprotocol/sdk/client/index.js' : '@modelcontextprotocol/client')
const { StreamableHTTPClientTransport } = await import(one ? '@modelcontextprotocol/sdk/client/streamableHttp.js' : '@modelcontextprotocol/client')

const run = async ({ url, token, era }) => {
  const outcome = { connected: false, version: '', called: false, again: false, error: '' }
  // Nobody is at the other end: a client that looks for another token is seen doing so, and gets none.
  const authProvider = new MemoryProvider({ clientId: 'rotation', redirect: 'http://127.0.0.1:7/callback', browser: 'http://127.0.0.1:7/' })
  authProvider.saveTokens({ access_token: token, token_type: 'Bearer' })
  const client = new Client({ name: 'rotation', version: '1' }, { versionNegotiation: { mode: era < '2026' ? 'legacy' : 'auto' } })
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider })
  const attempt = async (what) => {
    try {
      await what()
      return true
    } catch (error) {
      outcome.error ||= `${error.name}: ${error.message}`
      return false
    }
  }
  const call = () => attempt(() => client.callTool({ name: 'echo', arguments: {} }))
  outcome.connected = await attempt(() => client.connect(transport))
  if (outcome.connected) {
    outcome.version = one ? transport.protocolVersion : client.getNegotiatedProtocolVersion()
    outcome.called = await call()
    outcome.again = await call()
    await attempt(() => client.close())
  }
  return outcome
}

const jobs = await json(process.stdin)
await Promise.all(jobs.map(async (job, i) => console.log(JSON.stringify({ job: i, ...(await run(job)) }))))
process.exit(0)
