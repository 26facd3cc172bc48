// Package sealed keeps what a server writes into requestState from everybody but the server.
//
// A result of MCP 2026-07-28 may ask the client for input, and carry a state that the client brings back with its answers
// when it repeats the call. The specification (Multi Round-Trip Requests, Server Requirements) has servers treat it as
// written by an attacker: where it influences anything, its integrity must be protected, and it should be bound to the
// principal, to the request and to a short time. No SDK for Go does so. A state of this package is encrypted
// (AES-256-GCM), and bound to the verified principal, its client, the resource, the method, the tool, prompt or resource, the arguments
// and the time: presented by another, in another call, changed, or too late, it is not accepted. What a token may do
// is not part of that: the retry is authorized by its own token, as the first call was.
//
// There are two ways to use it, behind [mcpauth.Middleware.Wrap]. A server that knows nothing of it, in any language,
// stands behind [Sealer.Handler]:
//
//	sealer, err := sealed.New(sealed.Config{Resource: resource, Keys: [][]byte{key}})
//	mux.Handle("/", auth.Wrap(sealer.Handler(proxy)))
//
// A handler in Go may do it by hand, in the context that the wrapper has given it:
//
//	state, err := sealer.Seal(ctx, sealed.Tool(req.Params.Name, req.Params.Arguments), progress{Step: 1})
//	err = sealer.Open(ctx, sealed.Tool(req.Params.Name, req.Params.Arguments), req.Params.RequestState, &p)
//
// # What is compared
//
// Arguments are compared by value: the order of members, white space, escapes and the spelling of numbers do not count, and
// numbers are compared exactly. The id of the request, _meta with its progress token, and inputResponses may differ; those
// answers are the client's own words, whatever the state says of the questions. Whether a client
// speaks an older revision makes no difference. A client that registers anew gets another id, and cannot go on.
//
// # What is not promised
//
// A state may be brought back any number of times until it expires: what must happen once needs a record of the server's
// own. How long a state is tells its client how long its value is, in steps of 64 bytes.
// Nonces are random, so a key is good for 2^32 states (NIST SP 800-38D section 8.3).
//
// The text of a state is "v1.", eight characters that name the key, and base64url without padding; 16 KiB at most.
package sealed
