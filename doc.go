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
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.Handle("/", auth.Wrap(mcpHandler))
//
// # What happens to a request
//
// There are seven steps. Nothing is read, and nobody is asked, before the step in
// front has said yes.
//
//  1. What anybody may read is served: the RFC 9728 metadata, preflights, and what
//     [Config].LegacyASMetadata is for.
//  2. Header fields are within their bounds, and a browser's origin is one that is allowed.
//  3. One token becomes a [Principal]: it has the form, the issuer, the audience and
//     the lifetime that it must have, and a key of its issuer has signed it. Keys are
//     found through the issuer's metadata, and fetched when they are needed. With a token that is
//     bound to a key of the client comes a proof that the sender has it ([DPoP]).
//  4. The body is read, once and within its bounds, and becomes [Call] values. Header
//     fields that say what it asks for must agree with it.
//  5. The session that it names is the principal's, and so is each task, which is said only to who
//     may use tasks at all.
//  6. The [Policy] says what every call requires, and the token's scopes are compared with
//     the whole of it. A stream then takes one of the places that its client has. The operator is
//     told, and may refuse what cannot be recorded.
//  7. The handler gets the bytes that were checked, with its own cursors in them, and no token. Its answer passes as
//     long as the token is good: lists lose what the caller may not use, streams tell
//     nobody of what is not for him, and end when the token does.
//
// A refusal is a [DeniedError]: it becomes a status, a challenge and a body,
// one line of the log with its cause and fix, and one [Decision] for the audit.
//
// [New] checks a [Config] and compiles it, once, and reports every mistake.
// [Middleware.Health] tells probes whether there are keys.
//
// # Status discipline
//
// 401 is about the token, 403 about rights, 400 and its relatives about the
// request. When keys cannot be fetched the answer is 503 with Retry-After:
// a client throws its token away on 401, and an outage is no reason to.
//
// # Compatibility
//
// The module follows semantic versioning. Fields may be added to structs, which is why
// those that programs write can only be written with field names, and reasons to the list of [Reason].
// The words of a [Reason] and the texts of errors are for
// people and may change; reasons are compared with errors.Is. Challenges, status codes and JSON-RPC
// codes change only when the standards do. A security fix may refuse what was accepted before.
package mcpauth
