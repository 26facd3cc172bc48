package conformance

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// address is where the servers of a run happen to listen.
var address = regexp.MustCompile(`(localhost|127\.0\.0\.1|\[::1\]):\d+`)

// outcome is a scenario's verdict as one text: each check with its status and
// with what it complains of, so that a check that fails on the bare server
// must fail behind the wrapper for the same reason. Checks come in no fixed
// order. Not compared are the details, which hold whole answers: the wrapper
// refuses in its own words, and marks what it filtered as private.
func outcome(checks []check) string {
	lines := make([]string, 0, len(checks))
	for _, c := range checks {
		if c.Status != "INFO" { // what the suite saw, and no verdict
			lines = append(lines, address.ReplaceAllString(fmt.Sprintf("%s %s %s %s\n", c.Status, c.ID, c.Name, c.Error), "<address>"))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// failures counts the checks that did not come out well.
func failures(checks []check) (n int) {
	for _, c := range checks {
		if c.Status == "FAILURE" {
			n++
		}
	}
	return n
}

// differing lists the checks with different outcomes, by their id: the bare
// server's lines first, then those from behind the wrapper.
func differing(bare, behind []check) map[string]string {
	byID := func(checks []check) map[string][]check {
		grouped := map[string][]check{}
		for _, c := range checks {
			grouped[c.ID] = append(grouped[c.ID], c)
		}
		return grouped
	}
	before, after := byID(bare), byID(behind)
	found := map[string]string{}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if a, b := outcome(before[id]), outcome(after[id]); a != b {
			found[id] = "bare:   " + a + "behind: " + b
		}
	}
	return found
}

// TestDiffering: the comparison itself must be able to fail.
func TestDiffering(t *testing.T) {
	passed := check{ID: "a", Name: "A", Status: "SUCCESS"}
	failed := check{ID: "a", Name: "A", Status: "FAILURE", Error: "got 400 from localhost:1"}
	other := check{ID: "b", Name: "B", Status: "SUCCESS"}
	with := func(c check, change func(*check)) check { change(&c); return c }

	for name, row := range map[string]struct {
		bare, behind []check
		want         []string
	}{
		"same":             {bare: []check{passed, other}, behind: []check{other, passed}},
		"another port":     {bare: []check{failed}, behind: []check{with(failed, func(c *check) { c.Error = "got 400 from localhost:2" })}},
		"information":      {bare: []check{passed}, behind: []check{passed, {ID: "c", Status: "INFO"}}},
		"another status":   {bare: []check{passed}, behind: []check{failed}, want: []string{"a"}},
		"better is other":  {bare: []check{failed}, behind: []check{passed}, want: []string{"a"}},
		"a warning":        {bare: []check{passed}, behind: []check{with(passed, func(c *check) { c.Status = "WARNING" })}, want: []string{"a"}},
		"another reason":   {bare: []check{failed}, behind: []check{with(failed, func(c *check) { c.Error = "got 403" })}, want: []string{"a"}},
		"one check less":   {bare: []check{passed, other}, behind: []check{passed}, want: []string{"b"}},
		"one check more":   {bare: []check{passed}, behind: []check{passed, other}, want: []string{"b"}},
		"less of the same": {bare: []check{passed, passed}, behind: []check{passed}, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ElementsMatch(t, row.want, slices.Collect(maps.Keys(differing(row.bare, row.behind))))
		})
	}
}
