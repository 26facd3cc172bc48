package strictjson

import (
	"bytes"
	"strings"
)

// String consumes a string and returns its decoded value, which aliases the
// text unless it has escapes.
func (r *Reader) String() ([]byte, error) {
	_, s, err := r.RawString()
	return s, err
}

// RawString is [Reader.String] that also returns the string as written, with
// its quotes.
func (r *Reader) RawString() (raw, s []byte, err error) {
	if r.Kind() != String {
		return nil, nil, r.unexpected()
	}
	start := r.pos
	end, found := scanString(r.data, start+1)
	if found > escaped {
		r.brokenString(start, end, found)
		return nil, nil, r.err
	}
	if s = r.data[start+1 : end : end]; found != plain {
		s = decode(s)
	}
	r.consumed(end + 1)
	return r.data[start : end+1 : end+1], s, nil
}

// Text is [Reader.String] for a caller that keeps many strings of one text: what
// it returns is a part of text, which is the Reader's text as a string, so that
// all of them cost one allocation. When the string has escapes, or text is
// another text, it is a copy.
func (r *Reader) Text(text string) (string, error) {
	raw, s, err := r.RawString()
	if err != nil {
		return "", err
	}
	end := r.pos - 1
	if start := end - len(s); len(raw) == len(s)+2 && end < len(text) && text[start:end] == string(s) {
		return text[start:end], nil
	}
	return string(s), nil
}

// Number consumes a number and returns it as written, so that no precision is
// lost.
func (r *Reader) Number() ([]byte, error) { return r.scalar(Number) }

// Null consumes a null.
func (r *Reader) Null() error {
	_, err := r.scalar(Null)
	return err
}

func (r *Reader) scalar(kind Kind) ([]byte, error) {
	if r.Kind() != kind {
		return nil, r.unexpected()
	}
	start := r.pos
	end, ok := scanScalar(r.data, start)
	if !ok {
		return nil, r.fail(end, ErrSyntax)
	}
	r.consumed(end)
	return r.data[start:end:end], nil
}

// Skip consumes one value of any kind and returns it as written. It is as
// strict inside the value as the other methods are, except that it tolerates
// lone surrogates in strings that are no member names unless
// [Limits.StrictStrings] is set.
func (r *Reader) Skip() ([]byte, error) {
	if r.state != atValue {
		return nil, r.unexpected()
	}
	start := skipSpace(r.data, r.pos)
	end := r.skip(start)
	if end < 0 {
		return nil, r.err
	}
	r.consumed(end)
	return r.data[start:end:end], nil
}

// skip returns the index after the value that begins at or after i, or -1
// after an error. It is the loop in which large bodies are read: what is rare
// is tested last, and an error comes out as an index that is out of range.
func (r *Reader) skip(i int) int {
	data, floor, end := r.data, r.depth, closer(r.nest)
	for {
		if uint(i) >= uint(len(data)) {
			return r.outOfRange(i)
		}
		switch c := data[i]; {
		case c == '"':
			close, found := scanString(data, i+1)
			if found > escaped && (found == broken || r.limits.StrictStrings) {
				return r.brokenString(i, close, found)
			}
			i = close + 1
		case c-'0' <= 9:
			start := i
			if i = plainInteger(data, start); i == 0 {
				i = r.skipWord(start)
			}
		case c == '{' || c == '[':
			end = c + closerAfter
			if !r.push(end) {
				return r.broken(i, ErrDepth)
			}
			if i = skipSpace(data, i+1); i >= len(data) || data[i] != end {
				if end == '}' {
					i = r.skipName(i)
				}
				continue
			} // or it is closed below, as after a value
		case isSpace(c):
			i = skipSpace(data, i+1)
			continue
		default:
			i = r.skipWord(i)
		}
		// A value lies behind, perhaps the last one of some containers.
		for {
			if r.depth == floor {
				return i
			}
			if uint(i) >= uint(len(data)) {
				return r.outOfRange(i)
			}
			c := data[i]
			i++
			if c == ',' {
				break
			}
			if c == end {
				r.pop()
				end = closer(r.nest)
			} else if !isSpace(c) {
				return r.broken(i-1, ErrSyntax)
			}
		}
		if end == '}' {
			i = r.skipName(skipSpace(data, i))
		}
	}
}

// outOfRange returns -1 for the index i, which is negative after an error, and
// otherwise the end of a text that is not finished.
func (r *Reader) outOfRange(i int) int {
	if i < 0 {
		return -1
	}
	return r.broken(i, ErrSyntax)
}

// skipWord returns the index after the number or literal at i, or -1 after an
// error.
func (r *Reader) skipWord(i int) int {
	end, ok := scanScalar(r.data, i)
	if !ok {
		return r.broken(end, ErrSyntax)
	}
	return end
}

// skipName is name for a caller that does not need the name.
func (r *Reader) skipName(i int) int {
	_, i = r.name(i)
	return i
}

// broken is fail for functions that return an index.
func (r *Reader) broken(offset int, err error) int {
	_ = r.fail(offset, err)
	return -1
}

// brokenString refuses the string that begins at start and ends, or breaks, at
// end.
func (r *Reader) brokenString(start, end int, found escapes) int {
	if found == broken {
		return r.broken(end, ErrSyntax)
	}
	return r.broken(start, ErrSurrogate)
}

// Valid returns an error unless data is one acceptable JSON text.
func Valid(data []byte, lim Limits) error {
	var r Reader
	r.Reset(data, lim)
	if _, err := r.Skip(); err != nil {
		return err
	}
	return r.End()
}

// MemberText returns a string member of an object, "" if there is none, and if the object has a
// name twice, or this one in another case.
func MemberText(object []byte, name string, lim Limits) (text string) {
	var r Reader
	r.Reset(object, lim)
	if r.Object() != nil {
		return ""
	}
	for {
		member, more, err := r.Member()
		switch {
		case err != nil:
			return ""
		case !more:
			return text
		case string(member) == name && r.Kind() == String:
			s, _ := r.String()
			text = string(s)
		case string(member) != name && strings.EqualFold(string(member), name):
			return "" // a reader that ignores case may take this one
		default:
			_, _ = r.Pass() // an error stays, and Member returns it
		}
	}
}

// MayHave is a quick look for a string in a JSON text. It never misses one, since a
// string with other bytes has a backslash.
func MayHave(text []byte, literal string) bool {
	return bytes.Contains(text, []byte(literal)) || bytes.IndexByte(text, '\\') >= 0
}
