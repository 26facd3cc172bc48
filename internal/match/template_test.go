package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever meets what a server's template needs may read all that it expands
// to, unless nobody may.
func TestExpansions_MCP_52_MCP_53(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	text := func(most int, pieces ...string) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteString(pick(pieces...))
		}
		return b.String()
	}
	values := map[string]func() string{
		"{v}":   func() string { return text(2, "a", "b", "ab") },
		"{+v}":  func() string { return text(3, "a", "b", "/", "?a=b") },
		"{/v*}": func() string { return pick("", "/a", "/b/a") },
		"{?a}":  func() string { return pick("", "?a=a", "?a=b") },
		"{&b}":  func() string { return pick("", "&b=a", "&b=b") },
		"{#v}":  func() string { return pick("", "#a") },
	}
	expressions := []string{"{v}", "{v}", "{v}", "{+v}", "{/v*}", "{?a}", "{&b}", "{#v}"}
	decided, several := 0, 0
	for range 2_000 {
		rules := map[string]string{"x://*": "all"}
		for i := range 4 {
			key := "x://" + text(4, "a", "b", "/", "a/b", "?a=a", "?a=", "&b=", "{v}") + pick("", "*", "{v}", "{?a}")
			rules[key] = fmt.Sprint("s", i)
		}
		book, problems := newBook(rules)
		if len(problems) > 0 {
			continue
		}
		template := "x://" + text(3, append(expressions, "a", "b", "/", "?a=", "&b=")...) + pick(expressions...)
		need := book.set.FindTemplate(template, nil)
		parsed, err := parseTemplate(template)
		require.NoError(t, err)
		if book.set.shapes[parsed.shape] != nil || len(need) == 0 {
			continue
		}
		decided++
		for range 20 {
			uri := template
			for _, expression := range slices.Sorted(maps.Keys(values)) { // in one order: a seed stands for one run
				value := values[expression]
				for strings.Contains(uri, expression) {
					uri = strings.Replace(uri, expression, value(), 1)
				}
			}
			for _, key := range book.set.Find(uri, nil) {
				require.Contains(t, need, key, "%s of %s beside %v", uri, template, slices.Sorted(maps.Keys(rules)))
			}
			if len(need) > 1 {
				several++
			}
		}
	}
	assert.Greater(t, decided, 500)
	assert.Greater(t, several, 1_000)
	t.Logf("%d templates", decided)
}
