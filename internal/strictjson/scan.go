package strictjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// skipSpace returns the index of the first byte at or after i that is not one
// of the four white space bytes of RFC 8259 section 2.
func skipSpace(data []byte, i int) int {
	for i < len(data) && isSpace(data[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool {
	return c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r')
}

// Every byte of a word set to one value, for the arithmetic of stops.
const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// stops marks the bytes of x that end a run of plain string content: a quote,
// a backslash or a control byte. The lowest mark is exact, marks above it may
// be the work of a borrow, so only the lowest one is used. A byte b with its
// high bit clear is a control or the quote (0x22) exactly when b^2 < 0x21.
func stops(x uint64) uint64 {
	return (((x ^ 0x02*ones) - 0x21*ones) | ((x ^ '\\'*ones) - ones)) &^ x & high
}

// stop returns the index of the first quote, backslash or control byte at or
// after i, or len(data).
func stop(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		if m := stops(binary.LittleEndian.Uint64(data[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(data) && data[i] != '"' && data[i] != '\\' && data[i] >= ' ' {
		i++
	}
	return i
}

// load returns the eight bytes at i, the first one lowest, with zeros for those
// beyond the end.
func load(data []byte, i int) uint64 {
	if i+8 <= len(data) {
		return binary.LittleEndian.Uint64(data[i:])
	}
	return loadEnd(data, i)
}

// loadEnd is load near the end, apart so that its loop is not part of its callers.
//
//go:noinline
func loadEnd(data []byte, i int) (x uint64) {
	for n := len(data) - 1; n >= i; n-- {
		x = x<<8 | uint64(data[n])
	}
	return x
}

// escapes says what a scanned string contains beyond plain content.
type escapes uint8

const (
	plain   escapes = iota // none: the raw bytes are the value
	escaped                // escapes, all of them characters
	lone                   // at least one lone surrogate among the escapes
	broken                 // not a JSON string; the index is where it breaks
)

// scanString scans the rest of a string whose opening quote is before i and
// returns the index of its closing quote.
func scanString(data []byte, i int) (int, escapes) {
	found := plain
	for {
		if i = stop(data, i); i >= len(data) || data[i] < ' ' {
			return i, broken
		}
		if data[i] == '"' {
			return i, found
		}
		found = max(found, escaped)
		if i+1 < len(data) && isShort(data[i+1]) {
			i += 2
			continue
		}
		n, surrogate := escapeLen(data[i:])
		if n == 0 {
			return i, broken
		}
		if surrogate {
			found = lone
		}
		i += n
	}
}

// isShort reports whether a backslash and c are a whole escape.
func isShort(c byte) bool {
	const letters = 1<<('\\'-64) | 1<<('b'-64) | 1<<('f'-64) | 1<<('n'-64) | 1<<('r'-64) | 1<<('t'-64)
	return c == '"' || c == '/' || c>>6 == 1 && uint64(letters)>>(c&63)&1 == 1
}

// escapeLen returns the length of the escape that s begins with, taking a
// surrogate pair as one, and whether it is a lone surrogate; 0 for no escape.
func escapeLen(s []byte) (n int, surrogate bool) {
	if len(s) < 2 {
		return 0, false
	}
	if isShort(s[1]) {
		return 2, false
	}
	unit := hex4(s)
	switch {
	case unit < 0:
		return 0, false
	case !utf16.IsSurrogate(unit):
		return 6, false
	case utf16.DecodeRune(unit, hex4(s[6:])) != utf8.RuneError:
		return 12, false
	}
	return 6, true
}

// hex4 returns the code unit of the \uXXXX that s begins with, or -1.
func hex4(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var unit rune
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		unit = unit<<4 | rune(c)
	}
	return unit
}

// decode returns the value of raw, the content of a string that scanString has
// found to be escaped, in memory of its own.
func decode(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			next := stop(raw, i)
			out = append(out, raw[i:next]...)
			i = next
			continue
		}
		n, _ := escapeLen(raw[i:])
		switch n {
		case 2:
			out = append(out, unescape(raw[i+1]))
		case 6:
			out = utf8.AppendRune(out, hex4(raw[i:]))
		default:
			out = utf8.AppendRune(out, utf16.DecodeRune(hex4(raw[i:]), hex4(raw[i+6:])))
		}
		i += n
	}
	return out
}

// unescape returns the byte that a backslash followed by c stands for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // quote, backslash or slash
}

// scanScalar returns the index after the number or literal that begins at i.
// When there is none, ok is false and the index is where the text goes wrong.
func scanScalar(data []byte, i int) (end int, ok bool) {
	switch c := data[i]; {
	case c <= '9':
		return scanNumber(data, i)
	case c == 't':
		return scanLiteral(data, i, "true")
	case c == 'f':
		return scanLiteral(data, i, "false")
	case c == 'n':
		return scanLiteral(data, i, "null")
	}
	return i, false
}

func scanLiteral(data []byte, i int, literal string) (end int, ok bool) {
	if len(data)-i < len(literal) || string(data[i:i+len(literal)]) != literal {
		return i, false
	}
	return i + len(literal), true
}

// plainInteger returns the index after the digits that begin at i, or 0 when
// they are not a whole number without a sign.
func plainInteger(data []byte, i int) int {
	start := i
	for i++; i < len(data); i++ {
		if c := data[i]; c-'0' > 9 {
			if c == '.' || c|0x20 == 'e' || data[start] == '0' && i > start+1 {
				return 0
			}
			return i
		}
	}
	return 0
}

// scanNumber scans the grammar of RFC 8259 section 6.
func scanNumber(data []byte, i int) (end int, ok bool) {
	if data[i] == '-' {
		i++
	}
	start := i
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	if i == start || data[start] == '0' && i > start+1 {
		return start, false
	}
	if i < len(data) && data[i] == '.' {
		if i, ok = scanDigits(data, i+1); !ok {
			return i, false
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		return scanDigits(data, i)
	}
	return i, true
}

// scanDigits scans one digit or more.
func scanDigits(data []byte, i int) (end int, ok bool) {
	start := i
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i, i > start
}
