// Package soak runs servers of both Go SDKs behind mcpauth for as long as it is told, in two replicas, in front of an
// authorization server that does what it can to confuse them, and under callers of whom half are hostile. A model
// that shares no code with mcpauth says of each request what may become of it. It holds tests only.
//
//   - soak_test.go: the run, its phases and its measures; fails_test.go: that each check can fail
//   - model_test.go: what may become of a request, from the facts of its token, the clock and what servers have said
//   - authserver_test.go: the authorization server, which writes down what it has said to whom
//   - replica_test.go, servers_test.go: a process with a protected server of each SDK
//   - balancer_test.go: what stands in front of the replicas
//   - callers_test.go, honest_test.go, hostile_test.go, lasting_test.go: the callers
//   - ledger_test.go, audit_test.go: what was sent, what came back, and what the audit says of it
package soak
