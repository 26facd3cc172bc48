// A client with the TypeScript SDK 1.10, which is from the time of 2025-03-26.
import { UnauthorizedError } from 'sdk-2025-03-26/client/auth.js'
import { Client } from 'sdk-2025-03-26/client/index.js'
import { StreamableHTTPClientTransport } from 'sdk-2025-03-26/client/streamableHttp.js'
import { run } from './client.mjs'

await run({
  newClient: () => new Client({ name: 'interop', version: '1.0.0' }),
  newTransport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
  finish: (transport, params) => transport.finishAuth(params.get('code')),
  needsCode: (error) => error instanceof UnauthorizedError,
})
