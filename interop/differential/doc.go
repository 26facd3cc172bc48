// Package differential proves that nobody behind the gate reads a body
// differently from the gate: the JSON readers that servers really use, strict
// readers that share no code with ours, and the interpreters of other
// languages. It holds tests only.
//
//   - reading_test.go: what a reader sees in a body, and when two readers agree
//   - readers_json_test.go, readers_sdk_test.go: the readers
//   - mutate_test.go: the seeded generator of further bodies
//   - differential_test.go, interpreters_test.go: every body, every reader
//   - vocabulary_test.go: every member that an SDK reads is one the gate guards
//   - backends_test.go, executed_test.go: the real handlers behind the real
//     middleware, and what they execute
//   - fuzz_executed_test.go, generated_test.go: the same without end, guided by
//     coverage or not, which the command in runs counts
package differential
