// Package mcpauthtest is a fake authorization server for tests of an MCP
// server that is protected by [mcpauth].
//
// The test of a whole server takes five lines: an issuer, the server that
// trusts it, a call with a token, and a look at the answer.
//
//	func TestUserServer(t *testing.T) {
//		issuer := mcpauthtest.NewIssuer(t)
//		handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true})
//		response := httptest.NewRecorder()
//		handler.ServeHTTP(response, toolCall(issuer.TokenFor(resource, "profile:read"), "whoami"))
//		assert.Contains(t, response.Body.String(), "you are user-1")
//	}
//
// Here newServer and toolCall are the user's: one completes the configuration
// and wraps the MCP server, the other makes a request with a bearer token. A
// tool handler on its own needs no token: [NewContext] gives it a caller.
//
// # Two kinds of issuer
//
// [NewIssuer] listens on loopback, for servers that run in another process or
// shall use real connections. [NewIssuerAt] has any URL, opens no socket and
// is reached through [Issuer.Transport], which goes into
// [mcpauth.Config].Transport. It starts no goroutine and waits only in ways
// that testing/synctest understands: a day of outage is tested in no time.
//
// # Calling other APIs
//
// The token endpoint exchanges tokens, for tests of handlers that call other APIs
// in the name of their caller. [Issuer.OnExchange] has it refuse, and [Issuer.Break] has it fail.
//
// # What a server must not do
//
// [Conformance] runs the black-box suite of package conformance against a
// handler: forged tokens, tokens with one thing wrong, challenges, sessions.
//
// # Tokens bound to a key
//
// [Issuer.BoundToken] mints a token for a client's key, any [Key], and [Key.Proof] the DPoP proof that goes
// with it in each request.
//
// # What can go wrong, goes wrong here
//
// [Issuer.Rotate] changes the keys, [Issuer.Break] makes an endpoint fail as
// real ones do, [Issuer.PublishMetadata] and [Issuer.PublishKeySet] publish
// what they are told, and [Issuer.Sign] signs whatever it is given.
// [Issuer.Fetches] and [Issuer.Requests] tell what the server came to ask.
//
// Signatures are made with the standard library alone, so that a mistake in
// the code under test cannot hide itself. Keys are generated anew in each
// process and protect nothing.
package mcpauthtest
