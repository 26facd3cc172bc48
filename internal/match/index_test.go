package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bookPieces are what random keys and URIs are made of.
var bookPieces = []string{
	"a", "b", "ab", "ba", "A", "", "{x}", "{y}", "a{x}", "{x}b", "a{x}b{y}a", "{x}{y}", "b{x}", "{x}.a", "{+x}", "a{+x}", "{#x}", "{.x}", "{/x*}", "{;x}", "%61", "%C3%A9", "\u00e9", "..", "a;b",
	"a@b", "C:", strings.Repeat("a", 60), strings.Repeat("a", 60) + "{x}",
}

// randomURI returns a URI made of some pieces, or a key or template if it has braces or a star.
func randomURI(r *rand.Rand, pieces []string, isKey bool) string {
	var b strings.Builder
	b.WriteString([]string{"db://", "db://", "db://", "db://", "db:", "file:///", "https://h/", "x", ""}[r.IntN(9)])
	for i := range 1 + r.IntN(3) {
		if i > 0 {
			b.WriteByte('/')
		}
		piece := pieces[r.IntN(len(pieces))]
		if !isKey && r.IntN(3) > 0 {
			piece = strings.NewReplacer("{x}", "b", "{y}", "a", "{+x}", "a/b", "{#x}", "", "{.x}", ".b", "{/x*}", "/a", "{;x}", "").Replace(piece)
		}
		b.WriteString(piece)
	}
	if r.IntN(3) == 0 {
		b.WriteString([]string{"/", "?a=1", "?a={x}", "{?a,b}", "{?a*}", "?b=2&a=1", "?a=1{&b}", "#a", "?", "?a={x}&b={y}"}[r.IntN(10)])
	}
	if isKey && r.IntN(4) == 0 {
		b.WriteByte('*')
	}
	return b.String()
}

// asked is a set without its indices: everything is asked about everything.
func (s *Set) asked() *Set {
	all := func(n int) (x index) {
		for i := range n {
			x.add(string(anyRest), i)
		}
		return x
	}
	copied := *s
	copied.index = all(len(s.patterns))
	if s.near != nil {
		near := *s.near
		near.index, near.overlaps = all(len(near.patterns)), all(len(near.all))
		copied.near = &near
	}
	return &copied
}

// TestIndex_MCP_51_MCP_52: an index changes no decision, whatever the rules and the names.
func TestIndex_MCP_51_MCP_52(t *testing.T) {
	books := 3000
	if testing.Short() {
		books = 300
	}
	decided, several := 0, 0
	names := slices.Sorted(maps.Keys(respellings))
	names = slices.Insert(names, 0, "none", "none", "none", "none")
	for seed := range books {
		r := rand.New(rand.NewPCG(uint64(seed), 14))
		pieces, keys := []string{"{x}", "a"}, []string(nil)
		for range 1 + r.IntN(5) {
			pieces = append(pieces, bookPieces[r.IntN(len(bookPieces))])
		}
		for range 1 + r.IntN(12) {
			keys = append(keys, randomURI(r, pieces, true))
		}
		make := URIs
		if seed%5 == 0 {
			make = Names
		}
		set, _ := make(keys)
		asked := set.asked()
		for i := range 60 {
			name := randomURI(r, pieces, i%3 == 0)
			if i%4 < 2 { // or one that a key is for, perhaps in another spelling
				name = keys[r.IntN(len(keys))]
				name = strings.NewReplacer("{x}", []string{"a", "{x}", "{y}a", "ab"}[r.IntN(4)], "{y}", "b", "*", "a/b", "{+x}", "{+y}").Replace(name)
				if step := respellings[names[r.IntN(len(names))]]; step != nil && strings.Contains(name, ":") && !strings.HasSuffix(name, ":") {
					name = step(name, r.IntN(5))
				}
			}
			for isTemplate, find := range map[bool][2]func(string, []int) []int{false: {asked.Find, set.Find}, true: {asked.FindTemplate, set.FindTemplate}} {
				want, got := find[0](name, nil), find[1](name, nil)
				require.Equal(t, want, got, "%q among %q, template: %t", name, keys, isTemplate)
				if len(got) > 0 {
					decided++
				}
				if len(got) > 1 {
					several++
				}
			}
		}
	}
	require.Greater(t, decided, books*10)
	require.Greater(t, several, books)
}

// manyTemplates are rules by what they share, and URIs for them.
var manyTemplates = []struct{ name, key, uri string }{
	{"prefixes", "db://table%d/{row}", "db://table%d/7"},
	{"one prefix", "db://{tenant}/table%d/{row}", "db://acme/table%d/7"},
	{"one prefix, ends", "db://{tenant}/table%d", "db://acme/table%d"},
	{"one prefix, parameters", "db://{tenant}/table%d{?limit}", "db://acme/table%d?limit=1"},
	{"suffixes", "db://{tenant}-%d", "db://acme-%d"},
}

// TestIndexFinds_MCP_51: of many rules only those are asked that are meant.
func TestIndexFinds_MCP_51(t *testing.T) {
	const n = 2000
	for _, row := range manyTemplates {
		keys := make([]string, n)
		for i := range n {
			keys[i] = fmt.Sprintf(row.key, i)
		}
		set, problems := URIs(keys)
		require.Empty(t, problems)
		for i := range n {
			found := set.index.covering(fmt.Sprintf(row.uri, i), nil)
			require.LessOrEqual(t, len(found), 4, "%s: %d", row.name, i) // "table1{?limit}" begins as table12 does
		}
	}
	for _, row := range []struct{ key, template string }{
		{"db://table%d-/a", "db://table%d-{v}/a"},
		{"db://a-%d-", "db://{v}-%d-"},
		{"db://table%d-{v}", "db://table%d-{w}"},
		{"db://table%d-{v}", "db://table%d-{+w}"},
		{"db://{v}-%d-/{x}", "db://a-%d-/{w}"},
		{"db://table%d-/a*", "db://table%d-/{v}"},
	} {
		keys := make([]string, n)
		for i := range n {
			keys[i] = fmt.Sprintf(row.key, i)
		}
		set, problems := URIs(keys)
		require.Empty(t, problems)
		for i := 0; i < n; i += 97 {
			template, err := parseTemplate(fmt.Sprintf(row.template, i))
			require.NoError(t, err)
			base := takeApart(template.marked).base
			require.LessOrEqual(t, len(set.near.near(base)), 4, "%s among %s: %d", row.template, row.key, i)
		}
	}
}

// BenchmarkRules looks 2,000 names up among 2,000 templates, by what the templates share.
func BenchmarkRules(b *testing.B) {
	const n = 2000
	for _, row := range manyTemplates {
		keys, uris, templates := make([]string, n), make([]string, n), make([]string, n)
		for i := range n {
			keys[i], uris[i] = fmt.Sprintf(row.key, i), fmt.Sprintf(row.uri, i)
			templates[i] = fmt.Sprintf("db://acme/table%d/{row}", i)
		}
		set, problems := URIs(keys)
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		run := func(name string, texts []string, find func(string, []int) []int) {
			b.Run(row.name+"/"+name, func(b *testing.B) {
				var room [2]int
				for b.Loop() {
					for _, text := range texts {
						find(text, room[:0])
					}
				}
			})
		}
		run("list", uris, set.Find)
		run("templates", keys, set.FindTemplate)
		run("narrower templates", templates, set.FindTemplate)
	}
}
