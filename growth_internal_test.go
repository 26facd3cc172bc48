package mcpauth

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a name costs grows with its length and no faster, whoever sends it: a
// caller, or the server in a list or a notification.
func TestNamesCostTheirLength_LIMITS_01_MCP_52(t *testing.T) {
	book, errs := Rules{Resources: map[string]Requirement{
		"*": Scopes("rest"), "https://*": Scopes("web"), "x://*": Scopes("x"), "x://a{?a,b}": Scopes("a"), "x://a?k=v&l=w": Scopes("exact"), "file:///d/*": Scopes("d"),
	}}.compile()
	require.Empty(t, errs)
	lists := context.WithValue(t.Context(), aboutTemplate{}, true)
	bytesOf := func(ctx context.Context, call Call) uint64 {
		var before, after runtime.MemStats
		least := ^uint64(0)
		for range 3 {
			runtime.ReadMemStats(&before)
			_, err := book.Require(ctx, call)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		return least
	}
	for _, head := range []string{"x://a", "https://x", "x://a?k=v&", "file:///d/"} {
		for _, unit := range []string{
			"{?a}", "{#a}", "{a}", "{+a}", "{a}/", "{&a}", "{/a*}", "{", "}", "/", "/a", "../", "%25", "%2525", "%", "&a=b", ";a", "?", "#", "+", ".", ":", "@", "[", "]", "\ufdfa", "%EF%B7%BA", "\\", " ",
			"xn--a", ".xn--bcher-kva", "\u304c", "9", "||",
		} {
			for _, ctx := range []context.Context{t.Context(), lists} {
				call := Call{Method: "resources/read", Kind: KindResource, Name: head + strings.Repeat(unit, (8<<10)/len(unit))}
				twice := call
				twice.Name = head + strings.Repeat(unit, (16<<10)/len(unit))
				once := bytesOf(ctx, call)
				assert.LessOrEqual(t, bytesOf(ctx, twice), once*5/2+4096, "%s and many %q", head, unit)
				assert.Less(t, once, uint64(300*len(call.Name)), "%s and many %q", head, unit)
			}
		}
	}
}

// What is no template by its method is not taken apart, and a template has bounds.
func TestTemplatesAreBounded_LIMITS_01_MCP_52(t *testing.T) {
	for _, unit := range []string{"{?a}", "{#a}", "{+a}"} {
		call := Call{Method: "resources/read", Kind: KindResource, Name: "x://a" + strings.Repeat(unit, 2_000)}
		assert.Zero(t, testing.AllocsPerRun(10, func() { assert.Nil(t, templateOf(context.Background(), call)) }))
		call.Method = "completion/complete"
		assert.Zero(t, testing.AllocsPerRun(10, func() { assert.Nil(t, templateOf(context.Background(), call)) }), "too many")
	}
	for _, row := range []struct {
		text string
		ok   bool
	}{
		{strings.Repeat("{a}", 64), true},
		{strings.Repeat("{a}", 65), false},
		{strings.Repeat("a", 8<<10-3) + "{a}", true},
		{strings.Repeat("a", 8<<10-2) + "{a}", false},
	} {
		_, err := parseTemplate(row.text)
		assert.Equal(t, row.ok, err == nil)
	}
}
