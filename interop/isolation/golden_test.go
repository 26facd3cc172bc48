package isolation

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables to docs/interop.md, and count in full")

// golden holds a part of docs/interop.md, between its marks, against what it
// should be, or writes it. A comparison of its own says what counts.
func golden(t *testing.T, part, fresh string, same func(old, fresh string) bool) {
	t.Helper()
	begin := "<!-- isolation-" + part + ":begin, written by go test ./isolation -update in interop/ -->\n"
	end := "<!-- isolation-" + part + ":end -->\n"
	path := filepath.Join("..", "..", "docs", "interop.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found, "docs/interop.md has lost its marks")
	old, after, found := strings.Cut(rest, end)
	require.True(t, found, "docs/interop.md has lost its marks")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+fresh+end+after), 0o644))
		return
	}
	if !same(old, fresh) {
		assert.Equal(t, old, fresh, "docs/interop.md is old: go test ./isolation -update")
	}
}

func equal(old, fresh string) bool { return old == fresh }

var (
	servedTotal = regexp.MustCompile(`\n(\d+) things`)
	servedCell  = regexp.MustCompile(`\d+, (\d+)`)
)

// sameLosses compares what is lost. Of what is served one in a hundred may be
// missing: a bare server on a busy machine may be late with an answer.
func sameLosses(old, fresh string) bool {
	total := func(table string) (n int) {
		if found := servedTotal.FindStringSubmatch(table); found != nil {
			n, _ = strconv.Atoi(found[1])
		}
		return n
	}
	losses := func(table string) string {
		return servedCell.ReplaceAllString(servedTotal.ReplaceAllString(table, "\nthings"), "$1")
	}
	return total(fresh) > 0 && total(fresh)*100 >= total(old)*99 && losses(old) == losses(fresh)
}

// TestSameLosses: a thing lost more, or many that are not served any more, change the table.
func TestSameLosses(t *testing.T) {
	const old = "\n1716 things that bare servers serve, 102 of them lost:\n\n| a | 24, 0 | 12, 1 (1) |\n"
	assert.True(t, sameLosses(old, old))
	assert.True(t, sameLosses(old, strings.NewReplacer("1716", "1715", "24, 0", "23, 0").Replace(old)))
	assert.False(t, sameLosses(old, strings.NewReplacer("1716", "1600", "24, 0", "2, 0").Replace(old)))
	assert.False(t, sameLosses(old, strings.Replace(old, "24, 0", "24, 1", 1)))
	assert.False(t, sameLosses(old, strings.Replace(old, "102", "103", 1)))
	assert.False(t, sameLosses(old, strings.Replace(old, "(1)", "(2)", 1)))
	assert.False(t, sameLosses(old, ""))
}

// TestLost: less is a loss, more is none.
func TestLost(t *testing.T) {
	for _, row := range []struct {
		bare, wrapped string
		lost          bool
	}{
		{"200", "200", false},
		{"200", "200, reached", false},
		{"200, reached", "200", true},
		{"200 notified", "200 notified notified", false},
		{"200 notified notified", "200 notified", true},
		{"200 {}", "refused 404", true},
		{"200 {}", "", true},
	} {
		assert.Equal(t, row.lost, lost(row.bare, row.wrapped), "%+v", row)
	}
}

// families are all servers, in the order of the tables.
func families() (all []*backend) {
	all = append(all, goBackends...)
	for _, p := range programs {
		all = append(all, &p.backend)
	}
	return all
}

// notes are the reasons below a table, by number.
type reasons []string

func (n *reasons) mark(reason string) string {
	i := slices.Index(*n, reason)
	if i < 0 {
		*n = append(*n, reason)
		i = len(*n) - 1
	}
	return fmt.Sprintf("(%d)", i+1)
}

func (n *reasons) list() string {
	var b strings.Builder
	for i, reason := range *n {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	return b.String()
}

var (
	eras  = []string{"legacy", "modern", "across"}
	kinds = []string{"see", "steer", "break"}
)

// whole reports whether every server was there.
func (r *results) whole() bool {
	for _, b := range families() {
		for _, s := range setups {
			for _, kind := range kinds {
				if b.holds(s) && r.cells[cell{b.name, s.era, kind}] == nil {
					return false
				}
			}
		}
	}
	return true
}

func (r *results) markdown(t *testing.T) string {
	var b strings.Builder
	var notes reasons
	run, crossed, excused := 0, 0, 0
	used := map[*excuse]bool{}
	b.WriteString("| server | era | see | steer | break |\n|---|---|---|---|---|\n")
	for _, family := range families() {
		for _, era := range eras {
			line := fmt.Sprintf("| %s | %s |", family.name, era)
			there := false
			for _, kind := range kinds {
				one := r.cells[cell{family.name, era, kind}]
				if one == nil {
					continue
				}
				there = true
				run, crossed, excused = run+one.run, crossed+one.crossed, excused+one.excused
				line += fmt.Sprintf(" %d, %d", one.run, one.crossed)
				for _, e := range excuses {
					if one.excuses[e] {
						used[e] = true
						line += " " + notes.mark(e.reason)
					}
				}
				line += " |"
			}
			if there {
				b.WriteString(line + "\n")
			}
		}
	}
	for _, e := range excuses {
		assert.True(t, used[e], "nothing needs the excuse: %s", e.reason)
	}
	return fmt.Sprintf("\n%d cells, %d crossings. In %d of the cells something comes across that mcpauth cannot keep, or means to let through:\n\n%s\n%s\n",
		run, crossed, excused, notes.list(), b.String())
}

func (r *tallies) whole() bool {
	for _, b := range families() {
		for _, era := range sides {
			if b.comes(era.side) && r.of[[2]string{b.name, era.era}] == nil {
				return false
			}
		}
	}
	return true
}

func (r *tallies) markdown(t *testing.T) string {
	var b strings.Builder
	var notes reasons
	used := map[*loss]bool{}
	served, lost := 0, 0
	head, line := "| server |", "|---|"
	for _, era := range sides {
		head, line = head+" "+era.era+" |", line+"---|"
	}
	b.WriteString(head + "\n" + line + "\n")
	for _, family := range families() {
		fmt.Fprintf(&b, "| %s |", family.name)
		for _, era := range sides {
			one := r.of[[2]string{family.name, era.era}]
			if one == nil {
				b.WriteString(" - |")
				continue
			}
			served, lost = served+one.served, lost+len(one.lost)
			fmt.Fprintf(&b, " %d, %d", one.served, len(one.lost))
			for _, l := range losses {
				for _, reason := range one.lost {
					if reason == l {
						used[l] = true
						b.WriteString(" " + notes.mark(l.reason))
						break
					}
				}
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	for _, l := range losses {
		assert.True(t, used[l], "nothing is lost by this: %s", l.reason)
	}
	return fmt.Sprintf("\n%d things that bare servers serve, %d of them lost:\n\n%s\n%s\n", served, lost, notes.list(), b.String())
}

// compareBytes holds the rows of the table against those that were measured. The
// figures are those of the last full count: no two runs have the same.
func compareBytes(t *testing.T, rows []row, calls int) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d calls of %d users. TypeScript and streams have a twentieth of that.\n\n", calls, users)
	b.WriteString("| server | what | bare, bytes per call | per user | wrapped, bytes per call | per user | goroutines, bare | wrapped |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.server, r.load)
		for _, k := range []kept{r.bare, r.wrapped} {
			bytes := max(0, k.Bytes)
			if bytes < 128<<10 { // less than a heap that others use can tell
				bytes = 0
			}
			fmt.Fprintf(&b, " %d | %d |", bytes/k.Calls, bytes/users)
		}
		fmt.Fprintf(&b, " %d | %d |\n", max(0, r.bare.Goroutines), max(0, r.wrapped.Goroutines))
	}
	golden(t, "bytes", b.String()+"\n", func(old, fresh string) bool {
		return slices.Equal(firstColumns(old), firstColumns(fresh)) || len(rows) < 11
	})
}

func firstColumns(table string) (names []string) {
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			names = append(names, cells[1]+cells[2])
		}
	}
	return names
}
