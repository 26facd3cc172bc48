// Package lawful sends every message of every revision, in its own era and in
// the other one, on each transport, with and without each header, to servers of
// both Go SDKs: bare and behind mcpauth. What the bare server serves and mcpauth
// refuses has a reason, or the test fails. It holds tests only.
package lawful
