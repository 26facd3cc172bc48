// A client with the TypeScript SDK 2.x.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client'
import { run } from './client.mjs'

await run({
  newClient: () => new Client({ name: 'interop', version: '1.0.0' }),
  newTransport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
  finish: (transport, params) => transport.finishAuth(params),
  needsCode: (error) => error instanceof UnauthorizedError,
})
