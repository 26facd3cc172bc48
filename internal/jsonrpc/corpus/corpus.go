// Package corpus holds hostile and edge bodies of MCP requests, for tests
// only: what the gate accepts of them, every JSON reader behind the gate must
// read alike.
package corpus

import (
	"slices"
	"strings"
)

// The outcomes of a [Body].
const (
	Accept  = "accept"
	Parse   = "-32700" // not one JSON text in UTF-8
	Invalid = "-32600" // JSON, but no acceptable message
)

// Body is one body of a POST request.
type Body struct {
	Name string // begins with the number of the requirement it tests
	Body string // any bytes
	Want string // Accept, Parse or Invalid
}

// Bodies is the whole corpus. Names are unique.
var Bodies = slices.Concat(
	texts, encodings, surrogates(), depths(),
	duplicates(), caseVariants(), nearMisses,
	versions, identifiers(), methods(), mixtures, batches,
	targets(), subscriptions(), sizes(), plain,
)

// call is a tools/call with these params.
func call(params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
}

// echo is a tools/call of echo with these members added to its params.
func echo(more string) string { return call(`{"name":"echo",` + more + `}`) }

// args is a tools/call of echo with these arguments.
func args(arguments string) string { return echo(`"arguments":` + arguments) }

// envelope is a ping with these members added.
func envelope(more string) string { return `{"jsonrpc":"2.0","id":1,"method":"ping",` + more + `}` }

// withID is a ping with this id.
func withID(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}` }

// escape writes every character of s as an escape.
func escape(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range s {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[c>>shift&15])
		}
	}
	return b.String()
}
