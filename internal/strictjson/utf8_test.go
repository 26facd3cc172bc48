package strictjson

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// TestUTF8EveryLead is MCP-05: for every first byte and every second byte, with
// the bytes around the edges of a continuation after them, in a word and in the
// tail of a text, the verdict is that of the standard library.
func TestUTF8EveryLead(t *testing.T) {
	edges := []byte{'a', 0x7f, 0x80, 0xbf, 0xc0}
	for _, around := range []struct{ before, after string }{
		{"", ""}, {"", "01234567"}, {"a", "資源資源資源"}, {"資", "é😀é😀"},
	} {
		for first := 0x70; first <= 0xff; first++ {
			for second := range 256 {
				for _, third := range edges {
					for _, fourth := range edges[1:] {
						text := append(make([]byte, 0, 32), around.before...)
						text = append(text, byte(first), byte(second), third, fourth)
						text = append(text, around.after...)
						if got := validUTF8(text); got != utf8.Valid(text) {
							t.Fatalf("%x: %v", text, got)
						}
					}
				}
			}
		}
	}
}

// TestUTF8EveryRune is MCP-05: what a character is encoded as is accepted, alone
// and next to itself, and no byte of it can be missing.
func TestUTF8EveryRune(t *testing.T) {
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		text := utf8.AppendRune(utf8.AppendRune(make([]byte, 0, 32), r), r)
		text = append(text, "01234567"...)
		if !validUTF8(text) {
			t.Fatalf("%x is refused", text)
		}
		for cut := 1; cut < utf8.RuneLen(r); cut++ {
			if validUTF8(text[cut:]) || validUTF8(slices.Delete(slices.Clone(text), cut, cut+1)) {
				t.Fatalf("%x is accepted without byte %d", text, cut)
			}
		}
	}
}
