// Better Auth 1.7.25 as the authorization server of an MCP server. To copy: put your
// database in the place of memoryAdapter, your own address in that of ISSUER, and name
// your MCP servers in resources.
import { betterAuth } from 'better-auth'
import { createAuthMiddleware } from 'better-auth/api'
import { memoryAdapter } from '@better-auth/memory-adapter'
import { jwt } from 'better-auth/plugins'
import { oauthProvider } from '@better-auth/oauth-provider'

// Better Auth takes a client that says no application_type for a web application, which may not
// have its redirect URI on 127.0.0.1. Many MCP clients say none, and are native.
const native = createAuthMiddleware(async ({ path, body }) => {
  if (path !== '/oauth2/register' || !body || body.application_type) return
  const loopback = (uri) => /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?\//.test(uri)
  if (!body.redirect_uris?.length || !body.redirect_uris.every(loopback)) return
  return { context: { body: { ...body, application_type: 'native' } } }
})

export const create = (issuer, database, resources) =>
  betterAuth({
    baseURL: issuer,
    basePath: '/api/auth', // the issuer is ISSUER/api/auth
    secret: process.env.BETTER_AUTH_SECRET,
    database: memoryAdapter(database),
    emailAndPassword: { enabled: true },
    logger: { level: 'warn' },
    rateLimit: { enabled: false }, // the tests come from one address; leave it on
    telemetry: { enabled: false },
    hooks: { before: native },
    plugins: [
      jwt({ jwks: { rotationInterval: 30 * 24 * 3600, gracePeriod: 7 * 24 * 3600 } }),
      oauthProvider({
        loginPage: '/sign-in',
        consentPage: '/consent',
        scopes: ['openid', 'offline_access', 'mcp:read', 'mcp:admin'],
        resources, // RFC 8707: what aud may be
        enforcePerClientResources: false, // or else link each client to each resource
        allowDynamicClientRegistration: true,
        allowUnauthenticatedClientRegistration: true, // MCP clients register before anybody signs in
        accessTokenExpiresIn: 600,
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
      }),
    ],
  })
