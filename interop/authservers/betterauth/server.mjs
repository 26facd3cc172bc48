// Starts Better Auth behind the address that ISSUER names. Listens on a free port of
// 127.0.0.1 and prints it, as one line of JSON, when it is ready.
//
//   ISSUER      where it is reached through a proxy
//   SHORT_LIFE  the lifetime of ron's tokens, in seconds
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { toNodeHandler } from 'better-auth/node'
import { oauthProviderAuthServerMetadata, oauthProviderOpenIdConfigMetadata } from '@better-auth/oauth-provider'
import { create } from './auth.mjs'

const { ISSUER, SHORT_LIFE } = process.env
const password = randomBytes(16).toString('hex')
process.env.BETTER_AUTH_SECRET = randomBytes(32).toString('hex')

const tables = ['user', 'account', 'session', 'verification', 'jwks', 'rateLimit', 'oauthClient', 'oauthResource', 'oauthClientResource',
  'oauthAccessToken', 'oauthRefreshToken', 'oauthConsent', 'oauthClientAssertion']
const database = Object.fromEntries(tables.map((table) => [table, []]))
const auth = create(ISSUER, database, [])
const hash = await (await auth.$context).password.hash(password)
const now = new Date()
for (const id of ['ann', 'lee', 'ron']) {
  database.user.push({ id, name: id, email: `${id}@example.com`, emailVerified: true, createdAt: now, updatedAt: now })
  database.account.push({ id, userId: id, accountId: id, providerId: 'credential', password: hash, createdAt: now, updatedAt: now })
}

const escape = (value) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
const page = (response, title, action, fields) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>
<form method="post" action="${escape(action)}">${fields}</form></html>`)
}

// ask sends what a page's script would, and goes where the answer says.
const ask = async (request, response, path, body) => {
  const query = request.url.split('?')[1] ?? ''
  const answer = await auth.handler(new Request(`${ISSUER}/api/auth${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: ISSUER, cookie: request.headers.cookie ?? '' },
    body: JSON.stringify({ ...body, oauth_query: query }),
  }))
  const said = await answer.json()
  const target = said.url ?? said.redirect_uri ?? answer.headers.get('location')
  if (!target) {
    response.writeHead(502).end(JSON.stringify(said))
    return
  }
  response.writeHead(303, { location: target, 'set-cookie': answer.headers.getSetCookie() }).end()
}

// The tests have a new MCP server for each run, so its resource is made when somebody asks for
// it. An operator lists them in auth.mjs.
const resource = (identifier, life) => {
  if (!/^http:\/\/127\.0\.0\.1:\d+\/mcp$/.test(identifier ?? '')) return
  let row = database.oauthResource.find((one) => one.identifier === identifier)
  if (!row) database.oauthResource.push(row = { id: identifier, identifier, name: identifier, disabled: false, createdAt: now, updatedAt: now })
  row.accessTokenTtl = life
}

const pages = {
  'GET /sign-in': (request, response) =>
    page(response, 'Sign in', request.url, '<label>Name <input name="name" required></label><button>Sign in</button>'),
  'POST /sign-in': async (request, response) => {
    const email = `${new URLSearchParams(await text(request)).get('name')}@example.com`
    await ask(request, response, '/sign-in/email', { email, password })
  },
  'GET /consent': (request, response) => {
    const asked = new URL(request.url, ISSUER).searchParams.get('scope') ?? ''
    page(response, 'Consent', request.url, `<p>A client asks for: ${escape(asked)}</p>
<button name="decision" value="approve">Approve</button><button name="decision" value="deny">Deny</button>`)
  },
  'POST /consent': async (request, response) => {
    const accept = new URLSearchParams(await text(request)).get('decision') === 'approve'
    const session = await auth.api.getSession({ headers: new Headers({ cookie: request.headers.cookie ?? '' }) })
    resource(new URL(request.url, ISSUER).searchParams.get('resource'), session?.user.id === 'ron' ? Number(SHORT_LIFE) : 600)
    await ask(request, response, '/oauth2/consent', { accept })
  },
  // What an operator does: the key's time is over; everybody of that name is signed out, for good; who is still signed in.
  'POST /operator/rotate': (request, response) => {
    for (const key of database.jwks) key.expiresAt ??= now, key.expiresAt = new Date(Math.min(key.expiresAt, Date.now()))
    response.end()
  },
  'POST /operator/revoke': async (request, response) => {
    const person = await text(request)
    const sessions = database.session.filter((one) => one.userId === person).map((one) => one.token)
    const { internalAdapter, adapter } = await auth.$context
    await internalAdapter.deleteSessions(sessions)
    // Refresh tokens of offline_access outlive the session, and the tokens made with them name it still.
    await adapter.deleteMany({ model: 'oauthRefreshToken', where: [{ field: 'userId', value: person }] })
    response.end()
  },
  'POST /operator/session': async (request, response) => {
    const id = await text(request)
    response.end(JSON.stringify({ active: database.session.some((one) => one.id === id) }))
  },
}

const authorizationServer = oauthProviderAuthServerMetadata(auth)
const openID = oauthProviderOpenIdConfigMetadata(auth)
const documents = {
  '/.well-known/oauth-authorization-server/api/auth': authorizationServer,
  '/api/auth/.well-known/openid-configuration': openID,
}
const handler = toNodeHandler(auth)

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, ISSUER)
  try {
    const document = documents[pathname]
    if (document) {
      const answer = await document(new Request(`${ISSUER}${pathname}`))
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
      return
    }
    if (pathname === '/api/auth/oauth2/authorize') resource(searchParams.get('resource'), 600)
    const serve = pages[`${request.method} ${pathname}`] ?? handler
    await serve(request, response)
  } catch (error) {
    console.error(error.message)
    if (!response.headersSent) response.writeHead(500).end()
  }
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
// The parent's end of standard input closes when the parent ends, however it ends.
process.stdin.on('end', () => process.exit(0)).resume()
