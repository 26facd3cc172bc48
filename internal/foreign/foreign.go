// Package foreign shows text that somebody else has written, in logs, errors and
// the output of commands: bounded, on one line, and without characters that
// change how the rest is displayed. Nothing foreign is shown in another way.
package foreign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxQuoted bounds a name or value, in bytes.
	maxQuoted = 256
	// maxLine bounds a text that is not a single value: the words of an error.
	maxLine = 1024
)

// Quote shows a name or value in double quotes, with Go's escapes for what is
// not printable, and with dots behind what is cut off.
func Quote(s string) string { return QuoteShort(s, maxQuoted) }

// QuoteShort is [Quote] with a bound of its own on what is shown.
func QuoteShort(s string, limit int) string {
	b, rest := appendShown(append(make([]byte, 0, min(len(s), limit)+2), '"'), s, limit, true)
	b = append(b, '"')
	if rest {
		b = append(b, "..."...)
	}
	return string(b)
}

// Line shows a text in which foreign words stand among ours, without quotes:
// what is not printable is escaped as in [Quote].
func Line(s string) string { return LineShort(s, maxLine) }

// LineShort is [Line] with a bound of its own.
func LineShort(s string, limit int) string {
	if len(s) <= limit && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	b, rest := appendShown(make([]byte, 0, min(len(s), limit)+3), s, limit, false)
	if rest {
		b = append(b, "..."...)
	}
	return string(b)
}

// appendShown appends as much of a text as fits into limit bytes, escapes
// counted, and reports whether there is more.
func appendShown(b []byte, s string, limit int, quoted bool) ([]byte, bool) {
	for limit += len(b); s != ""; {
		r, size := utf8.DecodeRuneInString(s)
		shown := s[:size]
		if unprintable(r) || quoted && (r == '"' || r == '\\') {
			shown = strconv.QuoteToASCII(shown)
			shown = shown[1 : len(shown)-1]
		}
		if len(b)+len(shown) > limit {
			return b, true
		}
		b, s = append(b, shown...), s[size:]
	}
	return b, false
}

// unprintable tells control and direction-changing characters, invisible ones, and broken UTF-8.
func unprintable(r rune) bool {
	return !unicode.IsPrint(r) || r == utf8.RuneError || r > unicode.MaxLatin1 && unicode.In(r, invisible...)
}

// invisible are letters and marks that are shown as nothing, or as a blank.
var invisible = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

// URL shows a URL in quotes and without what may be a secret in it: user
// information, up to the last @, and the query.
func URL(raw string) string { return Quote(withoutSecrets(raw)) }

// BareURL is [URL] without the quotes, for an attribute of its own.
func BareURL(raw string) string { return LineShort(withoutSecrets(raw), maxQuoted) }

func withoutSecrets(raw string) string {
	shown, query, _ := strings.Cut(raw, "?")
	if at := strings.LastIndexByte(raw, '@'); at >= len(shown) {
		if _, err := url.Parse(raw); err != nil {
			shown = "..." // the question mark may stand in a password
		}
	} else if at >= 0 {
		shown = "..." + shown[at:]
	}
	switch {
	case query != "":
		shown += "?..."
	case strings.HasSuffix(raw, "?"):
		shown += "?"
	}
	return shown
}

// WriteJSON writes a value as indented JSON, in which characters that are not
// printable are escaped: they mean the same to a reader of JSON, and nothing to a terminal.
func WriteJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	out := make([]byte, 0, b.Len())
	for _, r := range b.String() { // beyond ASCII there are strings only
		switch {
		case r == '\n' || !unprintable(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	_, err := w.Write(out)
	return err
}

const (
	// minSecret is how long a part of a token is that nobody writes by chance.
	minSecret = 12
	// minPiece is the same of a piece that somebody has cut off anywhere.
	minPiece = 16
)

// Redact returns a function that takes secrets out of a text: whole, the parts of
// a token between its dots, and pieces of it, for what shows a text may have cut it.
func Redact(secrets ...string) func(string) string {
	var pairs []string
	add := func(secret string) {
		if len(secret) >= minSecret {
			pairs = append(pairs, secret, redacted)
		}
	}
	for _, secret := range secrets {
		add(secret)
		for part := range strings.FieldsFuncSeq(secret, func(r rune) bool { return strings.ContainsRune(". \"'", r) }) {
			add(part)
		}
	}
	whole := strings.NewReplacer(pairs...)
	return func(text string) string { return withoutPieces(whole.Replace(text), secrets) }
}

const redacted = "[token]"

// withoutPieces takes pieces of secrets out of the words of a text.
func withoutPieces(text string, secrets []string) string {
	var b strings.Builder
	word := 0 // bytes of the word so far
	for i := 0; i < len(text); i++ {
		if word++; text[i] <= ' ' {
			word = 0
		}
		if word < minPiece {
			continue
		}
		begin := i + 1 - minPiece
		if end := begin + pieceAt(text[begin:], secrets); end > begin {
			b.WriteString(text[:begin])
			b.WriteString(redacted)
			text, i, word = text[end:], -1, 0
		}
	}
	b.WriteString(text)
	return b.String()
}

// pieceAt returns how much of a secret a text begins with, 0 if it is too little to be one's.
func pieceAt(text string, secrets []string) (longest int) {
	for _, secret := range secrets {
		n := max(longest, minPiece)
		for n <= len(text) && strings.Contains(secret, text[:n]) {
			longest = n
			n++
		}
	}
	return longest
}
