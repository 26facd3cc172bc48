// Package mcpauth turns an MCP server into an OAuth 2.1 resource server.
//
// It is one [http.Handler] wrapper in front of any MCP handler. An external
// authorization server signs people in, asks for their consent and mints
// short-lived JWTs; mcpauth checks these tokens, decides for every tool, prompt
// and resource whether the scopes suffice, and tells clients how to get the
// token that would. It mints nothing, stores nothing and needs no database.
//
//	auth, err := mcpauth.New(mcpauth.Config{
//		Resource: "https://mcp.example.com/mcp",
//		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
//		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
//			"query_usage": mcpauth.Scopes("analytics:data:read"),
//		}},
//	})
//	mux.Handle("/", auth.Wrap(mcpHandler))
//
// # What happens to a request
//
// The files of the package are the steps, in the order in which they run:
//
//   - middleware.go: the list of the steps, on one screen
//   - metadata.go, document.go, legacyas.go, origin.go: what is answered without a token: RFC 9728 metadata, preflights, foreign origins
//   - exchange.go: what becomes known of a request on its way, and the request that the handler sees
//   - request.go: the bearer token
//   - seen.go: a token that was verified a moment ago
//   - verify.go, claims.go, issuer.go: the token becomes a [Principal]
//   - jwks.go, keyset.go, remote.go, discovery.go: the keys, their rotation, outages
//   - body.go: the body, read once and within its bounds
//   - call.go, batch.go, agree.go: the body becomes [Call] values, and headers must agree with it
//   - session.go: sessions and tasks belong to who began them
//   - unnamed.go: requests without a session, which share nothing either
//   - scopes.go, rules.go: the decision
//   - decision.go, explain.go: the record of the decision, and the likely cause and fix of a refusal
//   - refuse.go, ready.go, errors.go: a [DeniedError] becomes status, challenge and body
//   - response.go, fields.go, lease.go: the handler's answer, as long as the token is good
//   - receiver.go: lists and streams tell nobody of what is not for him, and a cursor only where it came from
//
// health.go tells probes whether there are keys. config.go, new.go and newissuer.go check a [Config] and compile it, once.
//
// # Status discipline
//
// 401 is about the token, 403 about rights, 400 and its relatives about the
// request. When keys cannot be fetched the answer is 503 with Retry-After:
// a client throws its token away on 401, and an outage is no reason to.
//
// # Compatibility
//
// The module follows semantic versioning. Fields may be added to structs,
// which is why [Config], [Issuer], [ClaimMap] and [Rules] can only be written
// with field names. The words of a [Reason] and the texts of errors are for
// people and may change; reasons are compared with errors.Is. Challenges, status codes and JSON-RPC
// codes change only when the standards do. A security fix may refuse what was accepted before.
package mcpauth
