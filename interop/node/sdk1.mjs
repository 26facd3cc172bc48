// A client with the TypeScript SDK 1.x.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { run } from './client.mjs'

await run({
  newClient: () => new Client({ name: 'interop', version: '1.0.0' }),
  newTransport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
  finish: (transport, params) => transport.finishAuth(params.get('code')),
  needsCode: (error) => error instanceof UnauthorizedError,
})
