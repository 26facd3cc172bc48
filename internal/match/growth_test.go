package match

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a name costs grows with its length and no faster, whoever sends it: a
// caller, or the server in a list or a notification.
func TestNamesCostTheirLength_LIMITS_01_MCP_52(t *testing.T) {
	book := bookOf(t, map[string]string{
		"*": "rest", "https://*": "web", "x://*": "x", "x://a{?a,b}": "a", "x://a?k=v&l=w": "exact", "file:///d/*": "d",
	})
	bytesOf := func(find func(string, []int) []int, name string) uint64 {
		var before, after runtime.MemStats
		least := ^uint64(0)
		for range 3 {
			runtime.ReadMemStats(&before)
			find(name, nil)
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		return least
	}
	for _, head := range []string{"x://a", "https://x", "x://a?k=v&", "file:///d/"} {
		for _, unit := range []string{
			"{?a}", "{#a}", "{a}", "{+a}", "{a}/", "{&a}", "{/a*}", "{", "}", "/", "/a", "../", "%25", "%2525", "%", "&a=b", ";a", "?", "#", "+", ".", ":", "@", "[", "]", "\ufdfa", "%EF%B7%BA", "\\", " ",
			"xn--a", ".xn--bcher-kva", "\u304c", "9", "||",
		} {
			for _, find := range []func(string, []int) []int{book.set.Find, book.set.FindTemplate} {
				name := head + strings.Repeat(unit, (8<<10)/len(unit))
				once := bytesOf(find, name)
				assert.LessOrEqual(t, bytesOf(find, head+strings.Repeat(unit, (16<<10)/len(unit))), once*5/2+4096, "%s and many %q", head, unit)
				assert.Less(t, once, uint64(300*len(name)), "%s and many %q", head, unit)
			}
		}
	}
}

// What is not said to be a template is not taken apart, and a template has bounds.
func TestTemplatesAreBounded_LIMITS_01_MCP_52(t *testing.T) {
	for _, unit := range []string{"{?a}", "{#a}", "{+a}"} {
		name := "x://a" + strings.Repeat(unit, 2_000)
		assert.Zero(t, testing.AllocsPerRun(10, func() { assert.Nil(t, templateOf(name, false)) }))
		assert.Zero(t, testing.AllocsPerRun(10, func() { assert.Nil(t, templateOf(name, true)) }), "too many")
	}
	for _, row := range []struct {
		text string
		ok   bool
	}{
		{strings.Repeat("{a}", 64), true},
		{strings.Repeat("{a}", 65), false},
		{strings.Repeat("a", 8<<10-3) + "{a}", true},
		{strings.Repeat("a", 8<<10-2) + "{a}", false},
		{"{a" + strings.Repeat(",a", 99) + "}", true},
		{"{a" + strings.Repeat(",a", 100) + "}", false},
	} {
		_, err := parseTemplate(row.text)
		assert.Equal(t, row.ok, err == nil)
	}
	long := strings.Repeat("a", 2726) + "/b" // no variable is for a slash
	assert.False(t, overlap("x:"+string(oneSegment), "x:"+long[2:]))
	assert.False(t, overlap("x://h/"+strings.Repeat("a", 57)+string(oneSegment), "x://h/"+strings.Repeat("a", 120)+"/b"), "64 times 128")
	assert.True(t, overlap("x:"+string(oneSegment), "x:"+long+"c"), "3 times 2731 are too many to tell")
}
