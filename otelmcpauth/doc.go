// Package otelmcpauth measures a [mcpauth.Middleware] with OpenTelemetry:
// counters and durations of decisions, gauges of the issuers' keys, and one span
// per decision. It is a module of its own, so that the middleware itself
// depends on no telemetry library.
//
//	telemetry, err := otelmcpauth.New(otelmcpauth.Config{})
//	config.OnDecision = telemetry.OnDecision
//	config.OnServed = telemetry.OnServed
//	auth, err := mcpauth.New(config)
//	err = telemetry.Observe(auth)
//
// Every label has a bounded set of values, whatever strangers send: issuers and
// rules come from the configuration (that of a token which is refused is what the token says, if it is configured), reasons from a closed list, names of
// methods from MCP, and a tool's name is one only if a rule names it exactly.
// No label and no span holds a token, an argument, a subject or a claim.
//
// A span is a child of the one that is in the request's context, put there by
// the program's own instrumentation (otelhttp). Trace headers are not looked at here.
//
// # Metrics
//
//   - mcpauth.decisions: how many, by mcpauth.outcome, error.type, mcpauth.issuer, mcp.method.name, gen_ai.tool.name
//   - mcpauth.decision.duration: seconds from the request's arrival to the decision, by mcpauth.outcome
//   - mcpauth.handler.duration: seconds that the handler took, by http.response.status_class ("2xx", "none" after a panic) and mcp.method.name
//   - mcpauth.verification.duration: seconds until the token was verified, by mcpauth.issuer
//   - mcpauth.issuer.ready: 1 when there are keys, by mcpauth.issuer, like all that follow
//   - mcpauth.keys: how many usable keys there are
//   - mcpauth.keys.age: seconds since they were last fetched
//   - mcpauth.keys.fetches, mcpauth.keys.fetch.failures, mcpauth.keys.fetch.suppressed, mcpauth.keys.fetch.time:
//     of metadata and keys, since the start
//   - mcpauth.keys.fetch.time.bucket: fetches that took up to le seconds
//   - mcpauth.keys.last_error: 1 while the last fetch has failed, with error.type
//   - mcpauth.tokens, mcpauth.tokens.memory, mcpauth.tokens.memory.limit: verified tokens that are remembered, the bytes
//     that they take, and those that they may take
//   - mcpauth.tokens.evicted: tokens that found no room, or made some while they were good
package otelmcpauth
