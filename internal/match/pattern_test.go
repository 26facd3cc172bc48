package match

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The matcher takes each literal where it first fits. A regular expression,
// which tries every place, never comes to another answer.
func TestMatchTemplate_MCP_52(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, most int) string {
		var b strings.Builder
		for range random.IntN(most + 1) {
			b.WriteByte(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	matched := 0
	for range 10_000 {
		prefix, expression := text("ab", 1), ""
		template := prefix
		expression = "^" + regexp.QuoteMeta(prefix)
		for range 1 + random.IntN(3) {
			literal := text("ab/?&", 2)
			variable := "[^/?#]+"
			if strings.Contains(template, "?") {
				variable = "[^/?#&;+]+"
			}
			template += "{v}" + literal
			expression += variable + regexp.QuoteMeta(literal)
		}
		g, err := parsePattern(template, true)
		require.NoError(t, err, template)
		name := text("aabb/?#&;", 8)
		if random.IntN(2) == 0 { // or one that is made from the template
			for name = template; strings.Contains(name, "{v}"); {
				name = strings.Replace(name, "{v}", text("abab~&", 2), 1)
			}
		}
		want := regexp.MustCompile(expression + "$").MatchString(name)
		if want {
			matched++
		}
		require.Equal(t, want, g.matches(name), "%s against %s", template, name)
	}
	assert.Greater(t, matched, 100)
}

// No pattern speaks for a URI which, normalized, would fall under another rule
// or under none: whatever a client puts behind a prefix, it stays behind it.
func TestNormalizedURIsStay_MCP_51(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "b", "/", "/", ".", "..", "%2e", "%2E", "%2F", "%5C", "%20", "%41", "%C3%A9", ";", "?", "#", "\\", "@", ":", "A", "secret", "//"}
	book := bookOf(t, map[string]string{"file:///d/*": "d", "file:///d/secret": "s"})
	allowed := 0
	for range 8_000 {
		uri := "file:///d/"
		for range 1 + random.IntN(5) {
			uri += pieces[random.IntN(len(pieces))]
		}
		need := book.need(book.set.Find(uri, nil))
		if need == "nobody" || uri == "file:///d/secret" {
			continue
		}
		allowed++
		for _, path := range naivePaths(uri) {
			require.True(t, strings.HasPrefix(path, "/d"), "%s is %s to somebody", uri, path)
			require.True(t, path != "/d/secret" || strings.Contains(need, "s"), "%s is the secret to somebody", uri)
		}
	}
	assert.Greater(t, allowed, 100)
}

var (
	escape     = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	parameters = regexp.MustCompile(`;[^/]*`)
)

// naivePaths are the files that servers of various habits would open for a
// file URI: with or without queries, escapes decoded once, twice or never,
// parameters dropped, backslashes turned, case ignored, dots resolved.
func naivePaths(uri string) []string {
	paths := []string{strings.TrimPrefix(uri, "file://")}
	more := func(change func(string) string) {
		for _, path := range paths {
			paths = append(paths, change(path))
		}
	}
	cut := func(at string) func(string) string {
		return func(s string) string {
			if i := strings.IndexAny(s, at); i >= 0 {
				return s[:i]
			}
			return s
		}
	}
	decode := func(s string) string {
		return escape.ReplaceAllStringFunc(s, func(e string) string {
			c, _ := escaped(e)
			return string([]byte{c})
		})
	}
	more(cut("#"))
	more(cut("?#"))
	more(decode)
	more(cut("?#"))
	more(func(s string) string { return parameters.ReplaceAllString(s, "") })
	more(func(s string) string { return strings.ReplaceAll(s, `\`, "/") })
	more(strings.ToLower)
	more(resolved)
	return paths
}

// resolved removes dots, empty segments and what some file systems drop at the end of a name.
func resolved(path string) string {
	var out []string
	for segment := range strings.SplitSeq(path, "/") {
		switch trimmed := strings.TrimRight(segment, " "); trimmed {
		case "", ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, strings.TrimRight(trimmed, ". "))
		}
	}
	return "/" + strings.Join(out, "/")
}
