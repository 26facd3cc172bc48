package rotation

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table to docs/interop.md")

const (
	begin = "<!-- rotation:begin, written by go test ./rotation -update in interop/ -->\n"
	end   = "<!-- rotation:end -->\n"
)

// reasons are why rows are as they are: each for what a client does at a moment that
// meets an event. One that no row needs must go.
var reasons = []struct {
	why string
	at  []string
}{
	{
		"The client takes any error at `server/discover` for a server of an older revision: it goes on with `initialize`, and stays in that era.",
		[]string{"go-sdk, server/discover met by one 503", "mcp-go, server/discover met by one 503", "Python SDK, server/discover met by one 503"},
	},
	{
		"The client takes a 5xx at `server/discover` for an outage, and not for an older server: it does not connect. The application may connect again.",
		[]string{"TypeScript SDK 2.x, server/discover met by one 503"},
	},
	{
		"The client makes its handshake once. The application may connect again.",
		[]string{
			"go-sdk, initialize met by one 503", "mcp-go, initialize met by one 503", "Python SDK, initialize met by one 503",
			"TypeScript SDK 1.x, initialize met by one 503", "TypeScript SDK 2.x, initialize met by one 503",
		},
	},
	{
		"The client makes a call once, and tells the application of the error. The next call works.",
		[]string{
			"go-sdk, tools/call met by one 503", "mcp-go, tools/call met by one 503", "Python SDK, tools/call met by one 503",
			"TypeScript SDK 1.x, tools/call met by one 503", "TypeScript SDK 2.x, tools/call met by one 503",
		},
	},
}

// compare holds the table in docs/interop.md against what was found. Of clients that
// cannot be had here it says nothing.
func compare(t *testing.T, found [][]row, wanted int) {
	path := filepath.Join("..", "..", "docs", "interop.md")
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok, "docs/interop.md has lost its marks")
	old, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "docs/interop.md has lost its marks")
	rows := slices.Concat(found...)
	table := written(t, rows)
	if len(rows) == wanted {
		allNeeded(t, rows)
	}
	switch {
	case len(rows) < wanted:
		t.Logf("%d of %d rows were run: the table is not written, and only these are compared", len(rows), wanted)
		assert.False(t, *update)
		for line := range strings.Lines(table) {
			assert.Contains(t, old, line, "docs/interop.md is old: go test ./rotation -update")
		}
	case *update:
		require.NoError(t, os.WriteFile(path, []byte(before+begin+table+end+after), 0o644))
	default:
		assert.Equal(t, old, table, "docs/interop.md is old: go test ./rotation -update")
	}
}

func allNeeded(t *testing.T, rows []row) {
	for _, reason := range reasons {
		for _, at := range reason.at {
			assert.True(t, slices.ContainsFunc(rows, func(r row) bool { return r.at() == at }), "%s: a reason without a row", at)
		}
	}
}

// written is the table, and the reasons below it.
func written(t *testing.T, rows []row) string {
	var b strings.Builder
	b.WriteString("\n| client | met | by | connect failed | era lost | call failed | token thrown away | 503s |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		note := 0
		for i, reason := range reasons {
			if slices.Contains(reason.at, r.at()) {
				note = i + 1
			}
		}
		assert.Equal(t, r.deviates(), note > 0, "%s: a row needs a reason if something is lost, and only then", r.at())
		yes := func(b bool) string {
			if b {
				return fmt.Sprintf("**yes** (%d)", note)
			}
			return "no"
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %s | %s | %s | %d |\n",
			r.client, r.version, r.moment, r.event, yes(r.failed), yes(r.lost), yes(r.uncalled), yes(r.thrown), r.unavailable)
	}
	b.WriteString("\nNotes:\n\n")
	for i, reason := range reasons {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason.why)
	}
	return b.String() + "\n"
}
