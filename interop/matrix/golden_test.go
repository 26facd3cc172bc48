package matrix

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

var update = flag.Bool("update", false, "write the table to docs/interop.md")

// resume is for a slow machine: rows that agreed in an earlier run, as the file has
// them, are not run again.
var resume = flag.String("resume", "", "with -update, a file of rows that need not run again; rows that agree are added")

// resumed runs a row, unless it agreed in an earlier run.
func (r *table) resumed(t *testing.T, server *authservers.Server, c client, run func()) {
	row := fmt.Sprintf("%s %s\t%s %s\n", server.Name, server.Version, c.name, c.version)
	known, _ := os.ReadFile(*resume) // at first there is none
	if *resume == "" || !*update || !strings.Contains(string(known), row) {
		run()
		if *resume != "" && !t.Failed() {
			file, err := os.OpenFile(*resume, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			require.NoError(t, err)
			_, err = file.WriteString(row)
			assert.NoError(t, errors.Join(err, file.Close()))
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, step := range columns {
		r.cells[cell{server.Name, c.name, step}] = verdict{deviation: deviationFor(server.Name, c.name, step)}
	}
}

const (
	begin = "<!-- matrix:begin, written by go test ./matrix -update in interop/ -->\n"
	end   = "<!-- matrix:end -->\n"
)

// compareGolden holds the table in docs/interop.md against the results. If only a part
// of the matrix was run, or a server could not be had, it says that it does nothing, and fails if it should write.
func compareGolden(t *testing.T, results *table) {
	if all := len(servers) * len(results.clients) * len(columns); len(results.cells) < all {
		t.Logf("%d of %d servers and %d of %d cells were run: docs/interop.md is neither compared nor written",
			len(results.servers), len(servers), len(results.cells), all)
		if *update {
			t.Fail()
		}
		return
	}
	path := filepath.Join("..", "..", "docs", "interop.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found, "docs/interop.md has lost its marks")
	old, after, found := strings.Cut(rest, end)
	require.True(t, found, "docs/interop.md has lost its marks")
	fresh := results.markdown()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+fresh+end+after), 0o644))
		return
	}
	assert.Equal(t, old, fresh, "docs/interop.md is old: go test ./matrix -update")
}

// markdown is a table for each authorization server, and the notes.
func (r *table) markdown() string {
	var b strings.Builder
	var notes []string
	run, works, fails := 0, 0, 0
	for _, server := range r.servers {
		fmt.Fprintf(&b, "\n### %s %s\n\nHabits: %s.\n\n", server.Name, server.Version, server.Habits)
		fmt.Fprintf(&b, "| client | %s |\n|---%s|\n", strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
		for _, client := range r.clients {
			fmt.Fprintf(&b, "| %s %s |", client.name, client.version)
			for _, step := range columns {
				d := r.cells[cell{server.Name, client.name, step}].deviation
				if d == nil {
					run, works = run+1, works+1
					b.WriteString(" yes |")
					continue
				}
				note := slices.Index(notes, d.reason) + 1
				if note == 0 {
					notes = append(notes, d.reason)
					note = len(notes)
				}
				if d.fails {
					run, fails = run+1, fails+1
					fmt.Fprintf(&b, " **no** (%d) |", note)
				} else {
					fmt.Fprintf(&b, " n/a (%d) |", note)
				}
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\nNotes:\n\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	all := len(r.servers) * len(r.clients) * len(columns)
	return fmt.Sprintf("\n%d cells: %d run, %d work, %d fail, %d do not apply.\n", all, run, works, fails, all-run) + b.String() + "\n"
}
