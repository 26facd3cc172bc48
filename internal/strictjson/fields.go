package strictjson

import "encoding/binary"

// seenBits is how many names have a bit each in what has been seen.
const seenBits = 64

// Words are names that a caller expects in one object, the likelier ones first. They
// are told by their first and last bytes, without a look for their end, and that one
// of them stands twice is told by a bit.
type Words []Word

// Word is one of [Words].
type Word struct {
	Text        string
	first, mask uint64 // of the text and the quote behind it the first bytes, up to eight
	last        uint64 // the last eight, if there are more
}

// Expect makes [Words] of at most 64 plain names.
func Expect(texts ...string) []Word {
	if len(texts) > seenBits {
		panic("strictjson: too many words")
	}
	words := make([]Word, len(texts))
	for i, text := range texts {
		quoted := []byte(text + `"`)
		w := Word{Text: text, first: load(quoted, 0), mask: 1<<(8*len(quoted)) - 1}
		if len(quoted) > 8 {
			w.last = load(quoted, len(quoted)-8)
		}
		words[i] = w
	}
	return words
}

// at returns which of the words stands at i with a quote behind it, or -1.
func (w Words) at(data []byte, i int) int {
	first := load(data, i)
	for k := range w {
		if first&w[k].mask == w[k].first && (w[k].last == 0 || w[k].endsAt(data, i)) {
			return k
		}
	}
	return -1
}

// endsAt compares what is beyond the first eight bytes.
func (w *Word) endsAt(data []byte, i int) bool {
	n := len(w.Text) - 7 // where the last eight begin
	return i+n+8 <= len(data) && binary.LittleEndian.Uint64(data[i+n:]) == w.last && (n <= 8 || string(data[i+8:i+n]) == w.Text[8:n])
}

// index returns which of the words name is, or -1.
func (w Words) index(name []byte) int {
	for k := range w {
		if w[k].Text == string(name) {
			return k
		}
	}
	return -1
}

// Value is a value of which only the kind is known if it is an object or array.
type Value struct {
	Kind    Kind
	escaped bool
	Raw     []byte // as written
}

// Text returns the decoded value of a string, and other values as written.
func (v *Value) Text() []byte {
	switch {
	case v.Kind != String:
		return v.Raw
	case v.escaped:
		return decode(v.Raw[1 : len(v.Raw)-1])
	}
	return v.Raw[1 : len(v.Raw)-1 : len(v.Raw)-1]
}

// Field is [Reader.Member] and [Reader.Value] in one for a caller that expects some
// names. It returns the one that the member has, or "" if it has another, which is
// then [Reader.Name]. Seen begins with 0 for each object. At the object's end the
// value is [Invalid].
func (r *Reader) Field(words Words, seen *uint64) (name string, v Value, err error) {
	i := r.next(true)
	if i < 0 {
		return "", Value{}, r.err
	}
	data, next := r.data, 0
	if uint(i) < uint(len(data)) && data[i] == '"' {
		if k := words.at(data, i+1); k >= 0 && *seen>>k&1 == 0 && r.members < r.limits.Members {
			name = words[k].Text
			if colon := i + len(name) + 2; colon < len(data) && data[colon] == ':' {
				*seen |= 1 << k
				r.members++
				next = colon + 1
			}
		}
	}
	if next == 0 {
		if name, next = r.otherName(i, words, seen); next < 0 {
			return "", Value{}, r.err
		}
	}
	v, err = r.value(next)
	return name, v, err
}

// otherName reads a name that is none of the words, or is not written plainly, or is
// there a second time.
func (r *Reader) otherName(i int, words Words, seen *uint64) (word string, next int) {
	name, next := r.name(i)
	if next < 0 {
		return "", -1
	}
	r.other = name
	if k := words.index(name); k >= 0 {
		if *seen>>k&1 == 1 {
			return "", r.broken(i, ErrDuplicate)
		}
		*seen |= 1 << k
		word = words[k].Text
	}
	return word, next
}

// Name returns the name of the last member for which Field returned "".
func (r *Reader) Name() []byte { return r.other }

// Value consumes the next value, unless it is an object or array.
func (r *Reader) Value() (Value, error) {
	if r.state != atValue {
		return Value{}, r.unexpected()
	}
	return r.value(r.pos)
}

func (r *Reader) value(i int) (v Value, err error) {
	data := r.data
	if i = skipSpace(data, i); i >= len(data) {
		return Value{}, r.fail(i, ErrSyntax)
	}
	end := i
	switch v.Kind = kinds[data[i]]; v.Kind {
	case Object, Array:
		r.pos, r.state = i, atValue
		return v, nil
	case String:
		var found escapes
		if end, found = scanString(data, i+1); found > escaped {
			r.brokenString(i, end, found)
			return Value{}, r.err
		}
		v.escaped = found == escaped
		end++
	default:
		var ok bool
		if end, ok = scanScalar(data, i); !ok {
			return Value{}, r.fail(end, ErrSyntax)
		}
	}
	r.consumed(end)
	v.Raw = data[i:end:end]
	return v, nil
}
