// Package bench measures mcpauth side by side with what people use for the same
// job. All of it is in the tests: go test -bench . prints the figures, cmd/e2e
// those of a real server on loopback, and cmd/results runs both in interleaved
// rounds and writes RESULTS.md.
//
// Every benchmark is named by key=value pairs, so that the report finds its
// figures by name.
package bench
