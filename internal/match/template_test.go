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

// What RFC 6570 calls a template is a key, and a key for what it expands to.
func TestTemplates_MCP_52(t *testing.T) {
	for _, row := range []struct {
		key        string
		own, other []string
	}{
		{"x://h/{v}", []string{"x://h/a", "x://h/a~b", "x://h/a&b;c", "x://h/{v}"}, []string{"x://h/", "x://h/a/b", "x://h/a?b", "x://h/a#b", "x://h/" + string(anyRest)}},
		{"x://h?p={v}", []string{"x://h?p=a", "x://h?p=a~b"}, []string{"x://h?p=", "x://h?p=a/b", "x://h?p=a&b", "x://h?p=a;b", "x://h?p=a+b", "x://h?p=a#b"}},
		{"x://a{v}?p={v}&q={w}", []string{"x://ab?p=1&q=2", "x://a&?p=1&q=2"}, []string{"x://ab?p=1&q=2&r=3", "x://ab?p=1&r=3&q=2"}},
		{"x://h{v}{w}", []string{"x://hab", "x://h\u00e9e"}, []string{"x://h", "x://ha", "x://h\u00e9"}},
		{"x://h{+v}", []string{"x://ha", "x://ha/b?c#d"}, []string{"x://h", "x://g/a"}},
		{"x://h{#v}", []string{"x://h", "x://h#", "x://h#a/b"}, []string{"x://h/a", "x://ha"}},
		{"x://h{.v}", []string{"x://h", "x://h.a", "x://h.a.b"}, []string{"x://ha", "x://h.a/b", "x://h.a?b"}},
		{"x://h{/v}", []string{"x://h", "x://h/a", "x://h/"}, []string{"x://h/a/b", "x://ha", "x://h/a?b"}},
		{"x://h{/v,w}", []string{"x://h", "x://h/a", "x://h/a/b"}, []string{"x://h/a/b/c"}},
		{"x://h{/v*}", []string{"x://h", "x://h/a/b/c"}, []string{"x://h/a?b", "x://ha"}},
		{"x://h{;v,w}", []string{"x://h", "x://h;v=a", "x://h;v=a;w=b", "x://h;v;w"}, []string{"x://h;u=a", "x://h;v=a&w=b", "x://h?v=a"}},
		{"x://h{?v,w}", []string{"x://h", "x://h?v=a", "x://h?v=a&w=b", "x://h?w"}, []string{"x://h?u=a", "x://h?v=a;w=b", "x://h?v=a&u=b", "x://h?v=a/b"}},
		{"x://h{?v*,w}", []string{"x://h", "x://h?u=a", "x://h?u=a&t=b"}, []string{"x://h?u=a;t=b", "x://h/a"}},
		{"x://h?p={v}{&q}", []string{"x://h?p=1", "x://h?p=1&q=2"}, []string{"x://h?p=1&z=2", "x://h?p=1;q=2"}},
		{"x://h?p={v}&r={w}{&q}", []string{"x://h?p=1&r=2&q=3"}, []string{"x://h?p=1&r=2&z=3"}},
		{"x://h/{v}{?q}", []string{"x://h/a", "x://h/a&b?q=1", "x://h/a~"}, []string{"x://h/", "x://h/a/b", "x://h/a?r=1"}},
		{"x://h/{v}.a{?q}", []string{"x://h/b.a?q=1"}, []string{"x://h/bca", "x://h/b.a?r=1"}},
		{"{a,A0_.-zZ9:1,b:9999,c*}", []string{"x"}, []string{"", "x/y"}},
	} {
		p, err := parsePattern(row.key, true)
		require.NoError(t, err, row.key)
		for _, uri := range row.own {
			assert.True(t, p.matches(uri), "%s is for %q", row.key, uri)
		}
		for _, uri := range row.other {
			assert.False(t, p.matches(uri), "%s is not for %q", row.key, uri)
		}
	}
	for _, key := range []string{
		"x://{", "x://}", "x://{}", "x://{a", "x://a}", "x://a}b{v}", "x://{v}}", "x://{v}{", "x://{{v}}", "x://{+}", "x://{a,}", "x://{,a}", "x://{a b}", "x://{a/}", "x://{a@}", "x://{a[}", "x://{a`}", "x://{a~}", "x://{a\u00e9}", "x://{a+b}", "x://{=a}",
		"x://{a:}", "x://{a:0}", "x://{a:-1}", "x://{a:10000}", "x://{a:b}", "x://{a:1*}", "x://{a*:1}", "x://{v}*", "x://*{v}", "x://{v}" + string(oneSegment), "x://{v}" + string(anyRest),
		"x://{v}/\xff", "x://{+v}/\xff",
	} {
		_, err := parsePattern(key, true)
		assert.ErrorIs(t, err, errTemplate, "%q", key)
	}
}

// Where it is not said that a text is a template, one with operators is judged as the URI that it is, too.
func TestTemplatesAmongURIs_MCP_52_MCP_53(t *testing.T) {
	book := bookOf(t, map[string]string{"x://a*": "all", "x://a/secret": "secret"})
	for _, row := range []struct{ text, asURI, asTemplate string }{
		{"x://a/{v}", "all and secret", "all and secret"},
		{"x://a{+v}", "all", "all and secret"},
		{"x://a{/v}", "all", "all and secret"},
		{"x://a/{v}{?q}", "all", "all and secret"},
		{"x://a/{v}{&q}", "all", "all and secret"},
		{"x://a/{v}{#q}", "all", "all and secret"},
		{"x://a/{v}{;q}", "nobody", "all and secret"},
		{"x://a/t{.q}", "all", "all"},
		{"x://a/s{v", "all", "all"},
		{"x://a/secret{", "all", "all"},
	} {
		assert.Equal(t, row.asURI, book.need(book.set.Find(row.text, nil)), row.text)
		assert.Equal(t, row.asTemplate, book.need(book.set.FindTemplate(row.text, nil)), row.text)
	}
}
