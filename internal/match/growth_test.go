package match

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/fold"
)

// bytesOf is how many bytes it takes to find a name.
func bytesOf(find func(string, []int) []int, name string) uint64 {
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

// What a name costs grows with its length and no faster, whoever sends it: a
// caller, or the server in a list or a notification.
func TestNamesCostTheirLength_LIMITS_01_MCP_52(t *testing.T) {
	book := bookOf(t, map[string]string{
		"*": "rest", "https://*": "web", "x://*": "x", "x://a{?a,b}": "a", "x://a?k=v&l=w": "exact", "file:///d/*": "d",
	})
	for _, head := range []string{"x://a", "https://x", "x://a?k=v&", "file:///d/"} {
		for _, unit := range []string{
			"{?a}", "{#a}", "{a}", "{+a}", "{a}/", "{&a}", "{/a*}", "{", "}", "/", "/a", "../", "%25", "%2525", "%", "&a=b", ";a", "?", "#", "+", ".", ":", "@", "[", "]", "\ufdfa", "%EF%B7%BA", "\\", " ",
			"xn--a", ".xn--bcher-kva", "\u304c", "9", "||", "%EF%B7%BA+", "%25252525252541+",
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

// TestSpellingsCostTheirLength_LIMITS_01_MCP_51: a character that leaves many is folded once, however often escapes are undone
// beside it, and what only looks like an escape costs no error.
func TestSpellingsCostTheirLength_LIMITS_01_MCP_51(t *testing.T) {
	const long, nested = "%EF%B7%BA+", "%25252525252541" // U+FDFA leaves 18 characters, and the other one an a
	book := bookOf(t, map[string]string{"x://*": "x", "x://a": "a"})
	for name, row := range map[string]struct {
		query string
		again int // bytes that are folded after the first time
	}{
		"one that leaves many":           {strings.Repeat(long, 800), 0},
		"escapes of escapes beside them": {strings.Repeat(long, 800) + nested, 6},
		"and between them":               {strings.Repeat(long+nested, 320), 320 * 6},
		"no escapes, and one of escapes": {strings.Repeat("%25", 2_600) + "+" + nested, 6},
	} {
		uri := "x://b?" + row.query
		text, again := fold.Text(decode(uri)), 0
		for undone := -1; undone != 0; again += undone {
			text, undone = undoAgain(text)
		}
		assert.Equal(t, row.again, again, name)
		assert.Equal(t, undo(uri), text, name)
		assert.Len(t, book.set.Find(uri, nil), 1, "%s: it is read to the end", name)
		assert.Less(t, bytesOf(book.set.Find, uri), uint64(160*len(uri)), name)
		assert.Less(t, testing.AllocsPerRun(3, func() { book.set.Find(uri, nil) }), 300., name)
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
