package main

import (
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFold: where a line may end.
func TestFold(t *testing.T) {
	for _, row := range []struct {
		name, text string
		width      int
		want       string
	}{
		{"what fits", "one two", 7, "one two"},
		{"nothing", "", 10, ""},
		{"between words, after the last that fits", "one two three", 9, "one two|three"},
		{"in front of a space that does not fit", "one two t", 7, "one two|t"},
		{"an indented line is narrower", "one two three four", 9, "one two|three|four"},
		{"not in a number", "about 11,204 reqs", 10, "about|11,204|reqs"},
		{"between members", `{"a":1,"bc":2}`, 12, `{"a":1,|"bc":2}`},
		{"between items", `["one","two"]`, 10, `["one",|"two"]`},
		{"between name and value where both together are too wide", `name="a value"`, 10, `name="a|value"`},
		{"between name and value", `x="y", name="http://a"`, 16, `x="y",|name=|"http://a"`},
		{"between member and value", `{"name":"http://a"}`, 15, `{|"name":|"http://a"}`},
		{"in front of each parameter", "GET /a?b=1&cd=2", 80, "GET /a|?b=1|&cd=2"},
		{"other question marks end nothing", "Really? Yes & no.", 80, "Really? Yes & no."},
		{"an ellipsis is one column", "abcdefg… h", 8, "abcdefg…|h"},
		{"a word wider than a line", strings.Repeat("x", 12), 8, "xxxxxxxx|xxxx"},
		{"and one of letters of several bytes", strings.Repeat("ä", 12), 8, "ääääääää|ääää"},
	} {
		t.Run(row.name, func(t *testing.T) {
			lines := fold(row.text, row.width)
			assert.Equal(t, row.want, strings.Join(lines, "|"))
			for i, line := range lines {
				if i > 0 {
					line = "    " + line
				}
				assert.LessOrEqual(t, utf8.RuneCountInString(line), row.width, line)
			}
		})
	}
}

// TestFoldCutsNoWord: nothing that the demonstration shows is torn, and nothing is lost.
func TestFoldCutsNoWord(t *testing.T) {
	var texts []string
	w := newWire(io.Discard)
	w.rename = func(text string) string { texts = append(texts, text); return text }
	require.Zero(t, demonstrate(t.Context(), "127.0.0.1:0", policy(), w, io.Discard))
	require.Greater(t, len(texts), 100)
	// What stands in URLs, names and numbers.
	inWord := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./:%…", r)
	}
	for _, text := range texts {
		rest := text
		for _, line := range fold(text, columns-len("  > ")) {
			rest = strings.TrimLeft(rest, " ")
			before, found := strings.CutPrefix(rest, line)
			require.True(t, found, "%q is not how %q goes on", line, rest)
			end, _ := utf8.DecodeLastRuneInString(line)
			next, _ := utf8.DecodeRuneInString(before)
			assert.False(t, before != "" && inWord(end) && inWord(next), "a line of %q ends within a word: %q", text, line)
			rest = before
		}
		assert.Empty(t, strings.TrimSpace(rest), text)
	}
}
