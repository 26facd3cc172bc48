package foreign_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// hostile is what nobody wants on a terminal: line breaks, C0 and C1 controls,
// direction marks, invisible characters, broken UTF-8.
const hostile = "a\n\r\x00\x1b[31m\u0085\u009b31m\u061c\u200e\u200f\u202e\u2066\u2069\u200b\u2028\ufeff\u00ad\xff\xc3"

func unshowable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u061c\u200e\u200f\u202e\u2066\u2069\u200b\u2028\ufeff\u00ad\ufffd", r) {
			return r
		}
		return -1
	}, s)
}

func TestForeign_AUDIT_04_OBS_11(t *testing.T) {
	long := strings.Repeat("\u00e9", 1<<17)
	for name, tt := range map[string]struct {
		show  func(string) string
		limit int
	}{
		"AUDIT-04 quoted":    {foreign.Quote, 262},
		"AUDIT-04 short":     {func(s string) string { return foreign.QuoteShort(s, 63) }, 70},
		"AUDIT-04 line":      {foreign.Line, 1030},
		"AUDIT-04 lineShort": {func(s string) string { return foreign.LineShort(s, 63) }, 70},
		"OBS-11 URL":         {foreign.URL, 262},
		"OBS-11 bare URL":    {foreign.BareURL, 262},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Empty(t, unshowable(tt.show(hostile)))
			assert.Empty(t, unshowable(tt.show("https://h/?"+hostile)))
			cut := tt.show(long)
			assert.LessOrEqual(t, len(cut), tt.limit)
			assert.True(t, strings.HasSuffix(cut, "..."), "what is cut off shows")
			assert.NotContains(t, cut, `\x`, "no character is cut in two")
			assert.Contains(t, tt.show("M\u00fcnchen \"x\""), "M\u00fcnchen", "what people can read stays")
		})
	}
	assert.Equal(t, `say "hi"`, foreign.Line(`say "hi"`))
	assert.Equal(t, `say "hi"\n`, foreign.Line("say \"hi\"\n"))
	assert.Equal(t, `\nabc`, foreign.Line("\nabc"))
	assert.Equal(t, `"a\"b\\c\n"`, foreign.Quote("a\"b\\c\n"))
	assert.Equal(t, `a"b\c\n`, foreign.Line("a\"b\\c\n"))
	value, line := strings.Repeat("a", 256), strings.Repeat("b", 1024)
	assert.Equal(t, `"`+value+`"`, foreign.Quote(value), "as much as there may be")
	assert.Equal(t, `"`+value+`"...`, foreign.Quote(value+"c"))
	assert.Equal(t, line[1:]+`...`, foreign.Line(line[1:]+"\n"))
	assert.Equal(t, line+`...`, foreign.Line(line+"c"))
	assert.Zero(t, testing.AllocsPerRun(10, func() { line = foreign.Line(line) }), "what may be shown is shown as it is")
}

func TestURL_OBS_11(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/p":                       `"https://h/p"`,
		"https://h/p?key=canary":            `"https://h/p?..."`,
		"https://h/p?a=b@canary":            `"https://h/p?..."`,
		"https://h/p?":                      `"https://h/p?"`,
		"https://u:canary@h/p":              `"...@h/p"`,
		"https://u:canary@canary@h/p":       `"...@h/p"`,
		"https://u:canary@h/p?key=canary":   `"...@h/p?..."`,
		"https://u:%zzcanary@h/p":           `"...@h/p"`,
		"https://u:ca?nary@h/p":             `"...?..."`,
		"@h/p":                              `"...@h/p"`,
		"u@h/p?":                            `"...@h/p?"`,
		"https://h/\u202e" + hostile + "?x": `"https://h/` + "\\u202ea\\n\\r\\x00\\x1b[31m\\u0085\\u009b31m\\u061c\\u200e\\u200f\\u202e\\u2066\\u2069\\u200b\\u2028\\ufeff\\u00ad\\xff\\xc3" + `?..."`,
		"":                                  `""`,
	} {
		assert.Equal(t, want, foreign.URL(raw), raw)
		assert.NotContains(t, foreign.URL(raw), "canary")
		assert.NotContains(t, foreign.BareURL(raw), "canary")
	}
	long := foreign.URL("https://h/" + strings.Repeat("p", 1<<17) + "?x=1")
	assert.True(t, strings.HasSuffix(long, `"...`))
}

// JSON says the same as without the escapes, and has no character that a terminal acts on.
func TestWriteJSON_OBS_11(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, foreign.WriteJSON(&b, map[string]string{"name": "<M\u00fcnchen> " + hostile + "\U000e0001"}))
	assert.Empty(t, strings.Trim(unshowable(b.String()), "\n"))
	assert.Contains(t, b.String(), `<M`+"\u00fc"+`nchen>`)
	assert.Contains(t, b.String(), `\u009b31m`)
	assert.Contains(t, b.String(), `\udb40\udc01`)
	var back map[string]string
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	assert.Equal(t, "<M\u00fcnchen> "+strings.ToValidUTF8(hostile, "\ufffd")[:len(hostile)-2]+"\ufffd\ufffd\U000e0001", back["name"])
	assert.True(t, utf8.Valid(b.Bytes()))
	assert.Error(t, foreign.WriteJSON(&b, func() {}))
	b.Reset()
	require.NoError(t, foreign.WriteJSON(&b, []string{"\uffff\U00010000"}))
	assert.Equal(t, "[\n  \"\\uffff\U00010000\"\n]\n", b.String())
	read, write := io.Pipe()
	require.NoError(t, read.CloseWithError(io.ErrShortWrite))
	assert.ErrorIs(t, foreign.WriteJSON(write, ""), io.ErrShortWrite)
}

func TestRedact_OBS_11(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
	redact := foreign.Redact(token, "", "Bearer "+token)
	for _, text := range []string{"got " + token, "got " + token[:60], "got Bearer " + token + ".", "eyJzdWIiOiJjYW5hcnkifQ", "sig c2lnbmF0dXJlLWNhbmFyeQ"} {
		got := redact(text)
		assert.Contains(t, got, "[token]", text)
		for part := range strings.SplitSeq(token, ".") {
			assert.NotContains(t, got, part, text)
		}
	}
	assert.Equal(t, "nothing here", redact("nothing here"))
	for _, text := range []string{token[:len(token)-3], token[20:50], "x" + token[3:] + "y", "\"" + token[:30] + "...\"", token[60:] + token[:40]} {
		got := redact("got " + text)
		assert.Contains(t, got, "[token]", text)
		for i := range len(token) - 16 {
			assert.NotContains(t, got, token[i:i+16], "%s: a piece that something has cut off", text)
		}
	}
	assert.Equal(t, "https://as.example.com/a/long/path is not "+strings.Repeat("é", 20), redact("https://as.example.com/a/long/path is not "+strings.Repeat("é", 20)))
	assert.Equal(t, "a.b", foreign.Redact("a.b")("a.b"), "too short to be a secret")
	const long = "0123456789abcdefghijklmnop"
	for _, row := range []struct{ secret, text, want string }{
		{"abcdefghijkl", "got abcdefghijkl.", "got [token]."},
		{"abcdef.ghijkl", "got abcdef.ghijkl", "got [token]"},
		{"abcdefghijk", "got abcdefghijk.", "got abcdefghijk."},
		{"abcdefghijkl.mnopqrstuvwx", "mnopqrstuvwx, abcdefghijkl", "[token], [token]"},
		{`abcdefghijkl "mnopqrstuvwx"`, "mnopqrstuvwx, abcdefghijkl", "[token], [token]"},
		{"abcdefghijkl 'mnopqrstuvwx'", "mnopqrstuvwx, abcdefghijkl", "[token], [token]"},
		{long, "got " + long[:16], "got [token]"},
		{long, "got " + long[:15], "got " + long[:15]},
		{long, "got x" + long[3:22] + "y, " + long[5:], "got x[token]y, [token]"},
		{"Bearer " + long, "Bearer " + long[:9], "Bearer " + long[:9]}, // what is cut off is a part of a word
	} {
		assert.Equal(t, row.want, foreign.Redact(row.secret)(row.text), row.text)
	}
}

// What nobody sees is escaped, also where Unicode counts it among letters and marks.
func TestLine_Invisible_OBS_11(t *testing.T) {
	for _, r := range "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u200b\u200d\u2060\u3164\ufe00\ufe0f\ufeff\uffa0\U000e0001\U000e0020\U000e0100" {
		escaped := strings.Trim(strconv.QuoteToASCII(string(r)), `"`)
		assert.Equal(t, "a"+escaped+"b", foreign.Line("a"+string(r)+"b"))
		assert.Equal(t, `"a`+escaped+`b"`, foreign.Quote("a"+string(r)+"b"))
	}
	assert.Equal(t, "né 名前 ∞ ☺ e\u0301", foreign.Line("né 名前 ∞ ☺ e\u0301"))
}
