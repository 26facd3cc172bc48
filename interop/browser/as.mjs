// An authorization server with pages for people: oidc-provider with the
// sign-in and consent pages that it brings along. Its one argument is the
// resource that it issues tokens for; it prints its issuer once it listens.
import { createServer } from 'node:http'
import Provider, { errors } from 'oidc-provider'

const resource = process.argv[2]
const scope = 'notes:read notes:write'

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    scopes: ['openid', ...scope.split(' ')],
    pkce: { required: () => true },
    // Whoever signs in as NAME is NAME.
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_, indicator) {
          if (indicator !== resource) throw new errors.InvalidTarget()
          return { scope, audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300 }
        },
      },
    },
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
