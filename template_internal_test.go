package mcpauth

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
		keys := map[string]Requirement{"x://*": Scopes("all")}
		for i := range 4 {
			key := "x://" + text(4, "a", "b", "/", "a/b", "?a=a", "?a=", "&b=", "{v}") + pick("", "*", "{v}", "{?a}")
			keys[key] = Scopes(fmt.Sprint("s", i))
		}
		book, errs := Rules{Resources: keys}.compile()
		if len(errs) > 0 {
			continue
		}
		template := "x://" + text(3, append(expressions, "a", "b", "/", "?a=", "&b=")...) + pick(expressions...)
		need, err := book.Require(t.Context(), Call{Method: "completion/complete", Kind: KindResource, Name: template})
		require.NoError(t, err)
		parsed, err := parseTemplate(template)
		require.NoError(t, err)
		if book.resources.shapes[parsed.shape] != nil || need.denies() {
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
			req, err := book.Require(t.Context(), Call{Method: "resources/read", Kind: KindResource, Name: uri})
			require.NoError(t, err)
			for _, scope := range req.AllOf {
				require.Contains(t, need.AllOf, scope, "%s of %s beside %v", uri, template, slices.Sorted(maps.Keys(keys)))
			}
			if len(need.AllOf) > 1 {
				several++
			}
		}
	}
	assert.Greater(t, decided, 500)
	assert.Greater(t, several, 1_000)
	t.Logf("%d templates", decided)
}
