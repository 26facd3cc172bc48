// Starts oidc-provider behind the address that ISSUER names. Listens on a free
// port of 127.0.0.1 and prints it, as one line of JSON, when it is ready.
//
//   ISSUER            the issuer, whose host reaches this process through a proxy
//   SHORT_LIFE        the lifetime of ron's tokens, in seconds
//   DEFAULT_RESOURCE  optional: the audience for clients that send no resource
//   ASKING_SECRET     optional: access tokens are opaque, and mcp-server with this secret may ask about them
//   KEEP_SCOPE        "no": registered clients are not held to the scope they registered with
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import Provider, { errors } from 'oidc-provider'

const { ISSUER, SHORT_LIFE, DEFAULT_RESOURCE, ASKING_SECRET, KEEP_SCOPE } = process.env
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const resourceIndicators = {
  enabled: true,
  defaultResource: () => DEFAULT_RESOURCE,
  // Without a resource in a token request, the one of the authorization counts.
  useGrantedResource: () => true,
  getResourceServerInfo: (ctx, resource) => {
    if (!/^http:\/\/127\.0\.0\.1:\d+\//.test(resource)) throw new errors.InvalidTarget()
    return {
      scope: 'mcp:read mcp:admin',
      audience: resource,
      accessTokenFormat: ASKING_SECRET ? 'opaque' : 'jwt',
      jwt: { sign: { alg: 'ES256' } },
    }
  },
}

const provider = new Provider(ISSUER, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  clients: ASKING_SECRET
    ? [{ client_id: 'mcp-server', client_secret: ASKING_SECRET, redirect_uris: [], response_types: [], grant_types: [] }]
    : [],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    introspection: { enabled: Boolean(ASKING_SECRET) },
    revocation: { enabled: true },
    resourceIndicators,
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: (ctx, client, code) =>
    client.grantTypeAllowed('refresh_token') && code.accountId !== 'ann',
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'mcp:read', 'mcp:admin'],
  pkce: { required: () => true },
  ttl: {
    AccessToken: (ctx, token) => (token.accountId === 'ron' ? Number(SHORT_LIFE) : 600),
    AuthorizationCode: 60,
    Grant: 3600,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 3600,
  },
})

const escape = (value) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)

const show = (ctx, title, fields) => {
  ctx.type = 'html'
  ctx.body = `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>
<form method="post" action="${escape(ctx.path)}">${fields}</form></html>`
}

// grantAll records consent for everything that the client asked for.
const grantAll = async ({ grantId, params, prompt, session }) => {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  const { missingOIDCScope, missingResourceScopes } = prompt.details
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '))
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  return { consent: { grantId: await grant.save() } }
}

// With KEEP_SCOPE=no the scope of a registration is dropped before oidc-provider sees it.
provider.use(async (ctx, next) => {
  if (KEEP_SCOPE === 'no' && ctx.method === 'POST' && ctx.path === '/reg') {
    const { scope, ...metadata } = JSON.parse(await text(ctx.req))
    ctx.req.body = metadata
  }
  return next()
})

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  const details = await provider.interactionDetails(ctx.req, ctx.res)
  const signingIn = details.prompt.name === 'login'
  if (ctx.method === 'GET') {
    if (signingIn) {
      return show(ctx, 'Sign in', '<label>Name <input name="name" autocomplete="username" required></label><button>Sign in</button>')
    }
    const asked = String(details.params.scope ?? '').split(' ').map((scope) => `<li>${escape(scope)}</li>`).join('')
    return show(ctx, 'Consent', `<p>${escape(details.session.accountId)}, a client asks for:</p><ul>${asked}</ul>
<button name="decision" value="approve">Approve</button><button name="decision" value="deny">Deny</button>`)
  }
  const answer = new URLSearchParams(await text(ctx.req))
  let result
  if (signingIn) result = { login: { accountId: answer.get('name') } }
  else if (answer.get('decision') === 'approve') result = await grantAll(details)
  else result = { error: 'access_denied', error_description: 'the person said no' }
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: signingIn }))
})

provider.on('server_error', (ctx, error) => console.error(error.message))
const server = provider.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
// The parent's end of standard input closes when the parent ends, however it ends.
process.stdin.on('end', () => process.exit(0)).resume()
