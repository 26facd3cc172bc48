// Package fold returns what is left of a text for a reader that ignores case,
// accents, width and what cannot be seen, as file systems and databases do.
// Two texts that some reader takes for the same have the same fold; that two
// folds are the same says only that somebody may confuse them.
package fold

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// table has what the standard library does not: per line what is left, a tab,
// and the runes of which it is left. It is NFKD, case folding and NFKD again of
// Unicode 15 without marks, controls and formats (categories M, Cc and Cf), and
// without Hangul syllables; and besides strokes, dashes, quotes and slashes
// that code pages and collations replace. Kana and digits are left to [simple].
//
//go:embed table.txt
var table string

var folds = sync.OnceValue(func() map[rune]string {
	folds := make(map[rune]string, 6_000)
	for line := range strings.Lines(table) {
		left, runes, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		left = strings.Map(simple, left)
		for _, r := range runes {
			folds[r] = left
		}
	}
	return folds
})

// Text folds a text. Bytes that are no UTF-8 count as what lenient decoders
// make of them: the character of an overlong form, or one of Latin-1.
func Text(s string) string {
	i := 0
	for i < len(s) && ' ' <= s[i] && s[i] < 0x7f && (s[i] < 'A' || 'Z' < s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	Write(&b, s[i:])
	return b.String()
}

// Write writes what is left of a text, as [Text] returns it.
func Write(b *strings.Builder, s string) {
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r, size = lenient(s)
		}
		write(b, r)
		s = s[size:]
	}
}

func write(b *strings.Builder, r rune) {
	switch {
	case ' ' <= r && r < 0x7f:
		b.WriteRune(unicode.ToLower(r))
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
	case 0xac00 <= r && r < 0xac00+19*21*28: // a Hangul syllable is its two or three letters
		r -= 0xac00
		b.WriteRune(0x1100 + r/28/21)
		b.WriteRune(0x1161 + r/28%21)
		if r%28 > 0 {
			b.WriteRune(0x11a7 + r%28)
		}
	default:
		if left, ok := folds()[r]; ok {
			b.WriteString(left)
			return
		}
		b.WriteRune(simple(r))
	}
}

// simple folds one rune that stays one: its case, also of those that have two
// small forms for one capital; kana, which collations take for each other, to
// full katakana; and digits of every script to those of ASCII.
func simple(r rune) rune {
	switch {
	case r < 0x80:
	case 0x3041 <= r && r <= 0x3096, r == 0x309d:
		r += 0x60
	case unicode.IsDigit(r):
		return '0' + (r-zero(r))%10
	}
	if i := strings.IndexRune(smallKana, r); i >= 0 && r > 0x80 {
		full, _ := utf8.DecodeRuneInString(fullKana[i:])
		return full
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// zero is the first of the digits beside a digit: those of ten, or of several times ten.
func zero(digit rune) rune {
	for _, digits := range unicode.Digit.R16 {
		if digit <= rune(digits.Hi) {
			return rune(digits.Lo)
		}
	}
	for _, digits := range unicode.Digit.R32 {
		if digit <= rune(digits.Hi) {
			return rune(digits.Lo)
		}
	}
	return digit
}

// Small kana, and the full ones in the same order.
const (
	smallKana = "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee\u30f5\u30f6\u31f0\u31f1\u31f2\u31f3\u31f4\u31f5\u31f6\u31f7\u31f8\u31f9\u31fa\u31fb\u31fc\u31fd\u31fe\u31ff"
	fullKana  = "\u30a2\u30a4\u30a6\u30a8\u30aa\u30c4\u30e4\u30e6\u30e8\u30ef\u30ab\u30b1\u30af\u30b7\u30b9\u30c8\u30cc\u30cf\u30d2\u30d5\u30d8\u30db\u30e0\u30e9\u30ea\u30eb\u30ec\u30ed"
)

// lenient decodes bytes that are no UTF-8.
func lenient(s string) (r rune, size int) {
	first := rune(s[0])
	switch {
	case first&^1 == 0xc0:
		r, size = first&1, 2
	case first == 0xe0:
		r, size = 0, 3
	case first == 0xf0:
		r, size = 0, 4
	default:
		return first, 1
	}
	if len(s) < size {
		return first, 1
	}
	for _, c := range []byte(s[1:size]) {
		if c&0xc0 != 0x80 {
			return first, 1
		}
		r = r<<6 | rune(c&0x3f)
	}
	return r, size
}

// maxLabel is more than a label of a host may have (RFC 1035: 63). To decode one
// takes the square of its length.
const maxLabel = 255

// Host folds a host name, in which labels may be written in the ASCII of
// internationalized names (RFC 3492).
func Host(host string) string {
	if !strings.Contains(host, "xn--") {
		return host
	}
	labels := strings.Split(host, ".")
	for i, label := range labels {
		if encoded, found := strings.CutPrefix(label, "xn--"); found && len(label) <= maxLabel {
			labels[i] = Text(punycode(encoded))
		}
	}
	return strings.Join(labels, ".")
}

// punycode decodes a label without its "xn--", as RFC 3492 section 6.2 does.
// What is none comes back as it is.
func punycode(encoded string) string {
	const base, tMin, tMax, skew, damp = 36, 1, 26, 38, 700
	dash := max(strings.LastIndexByte(encoded, '-'), 0)
	decoded := []rune(encoded[:dash])
	digits := strings.TrimPrefix(encoded[dash:], "-")
	n, bias, at := rune(0x80), 72, 0
	for digits != "" {
		before, weight := at, 1
		for k := base; ; k += base {
			if digits == "" {
				return encoded
			}
			digit := strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789", digits[0])
			digits = digits[1:]
			if digit < 0 || weight > unicode.MaxRune*64 {
				return encoded
			}
			at += digit * weight
			t := min(max(k-bias, tMin), tMax)
			if digit < t {
				break
			}
			weight *= base - t
		}
		length := len(decoded) + 1
		delta := (at - before) / 2
		if before == 0 {
			delta = (at - before) / damp
		}
		delta += delta / length
		k := 0
		for ; delta > (base-tMin)*tMax/2; k += base {
			delta /= base - tMin
		}
		bias = k + (base-tMin+1)*delta/(delta+skew)
		if at/length > unicode.MaxRune {
			return encoded
		}
		n += rune(at / length)
		if at %= length; n > unicode.MaxRune {
			return encoded
		}
		decoded = slices.Insert(decoded, at, n)
		at++
	}
	return string(decoded)
}
