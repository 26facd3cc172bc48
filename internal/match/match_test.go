package match

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// book is a set of URIs with a word for each key, as rules have scopes.
type book struct {
	set   *Set
	words []string
}

func newBook(rules map[string]string) (*book, []Problem) {
	b := &book{}
	keys := slices.Sorted(maps.Keys(rules))
	for _, key := range keys {
		b.words = append(b.words, rules[key])
	}
	var problems []Problem
	b.set, problems = URIs(keys)
	return b, problems
}

func bookOf(t testing.TB, rules map[string]string) *book {
	t.Helper()
	b, problems := newBook(rules)
	require.Empty(t, problems, "%v", rules)
	return b
}

// need names what the keys require together.
func (b *book) need(keys []int) string {
	var words []string
	for _, key := range keys {
		words = append(words, b.words[key])
	}
	if len(words) == 0 {
		return "nobody"
	}
	return strings.Join(words, " and ")
}

// A set answers with places of keys, and each problem has the place of its own.
func TestSets_MCP_43_MCP_51_MCP_52(t *testing.T) {
	keys := []string{"", "*", "a*b", "a/*", "a/b", "x://{v}"}
	names, problems := Names(keys)
	assert.Equal(t, []Problem{{0, errEmptyKey.Error()}, {2, errStar.Error()}}, problems)
	assert.Equal(t, []string{"a/b", "x://{v}"}, names.Exact())
	for _, row := range []struct {
		name string
		want []int
	}{
		{"a/b", []int{7, 4}}, {"a/c", []int{7, 3}}, {"a", []int{7, 1}}, {"x://{v}", []int{7, 5}}, {"x://{w}", []int{7, 1}}, {"x://y", []int{7, 1}},
	} {
		assert.Equal(t, row.want, names.Find(row.name, []int{7}), row.name)
		assert.Equal(t, row.want, names.FindTemplate(row.name, []int{7}), "%s: names have no templates", row.name)
	}

	keys = []string{"*a", "x://a/../{v}", "x://b/{v}", "x://b/{w}", "x://c", "x://é*", "{", "x://d/../{v}", "x://d/../{w}"}
	_, problems = URIs(keys)
	var wrong []int
	for _, problem := range problems {
		wrong = append(wrong, problem.Key)
		assert.NotEmpty(t, problem.Reason)
	}
	assert.Equal(t, []int{0, 1, 3, 5, 6, 7, 8, 8}, wrong)
	assert.Equal(t, `stands for the same URIs as "x://b/{v}": keep one of them`, problems[2].Reason)

	for _, pair := range [][]string{{"x://b{v}", "x://{v}b"}, {"x://b{?v}", "x://b{?w}"}, {"x://b{?v}", "x://b{?v*}"}} {
		_, problems = URIs(pair)
		assert.Empty(t, problems, "%q are for other URIs", pair)
	}

	uris, problems := URIs([]string{"db://a*", "x://b/{v}", "x://c"})
	assert.Empty(t, problems)
	assert.Equal(t, []string{"x://b/{v}", "x://c"}, uris.Exact())
	assert.Equal(t, []int{2}, uris.Find("x://c", nil))
	assert.Equal(t, []int{1}, uris.Find("x://b/{v}", nil), "a template is its own name")
	assert.Equal(t, []int{1}, uris.FindTemplate("x://b/{id}", nil), "whatever its variables are called")
	for _, uri := range []string{"x://e", "x://b/../c", "db://a@b"} {
		assert.Equal(t, []int{7}, uris.Find(uri, []int{7}), uri)
	}
	for _, template := range []string{"x://b/{v}/../{w}", "y://{v}"} {
		assert.Empty(t, uris.FindTemplate(template, nil), template)
	}

	alone, problems := URIs([]string{"*"})
	assert.Empty(t, problems)
	assert.Equal(t, []int{0}, alone.Find("x://a/../b", nil), "no other key can be meant")
	assert.Empty(t, alone.Exact())
	alone, _ = URIs([]string{"x://*"})
	assert.Empty(t, alone.Find("y://a", nil), "no key is meant")
	assert.Equal(t, []int{0}, alone.Find("x://a", nil))
}

// What is looked up by its name alone allocates nothing, in however many keys.
func TestFind_CONC_08(t *testing.T) {
	names, _ := Names([]string{"*", "a*", "ab"})
	uris, _ := URIs([]string{"x://*", "x://a"})
	var room [2]int
	for _, name := range []string{"ab", "ac", "b"} {
		assert.Zero(t, testing.AllocsPerRun(10, func() { names.Find(name, room[:0]) }), name)
	}
	assert.Zero(t, testing.AllocsPerRun(10, func() { uris.Find("x://a", room[:0]) }))
}
