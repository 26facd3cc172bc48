// Package strictjson reads one JSON text of which no two honest readers can
// have different opinions. It refuses what RFC 8259 leaves to the reader:
// duplicate member names, bytes that are not UTF-8, a byte order mark, lone
// surrogates, nesting and member counts without bound.
//
// A [Reader] is pulled through the text once, without recursion, and what is
// returned aliases the text.
package strictjson

import (
	"math/bits"
	"unicode/utf8"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds. Invalid says that no value comes next: the text is wrong here, it
// has been refused before, or a member, an element or the end is due.
const (
	Invalid Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

// MaxDepth is the deepest nesting that a [Reader] can follow, and maxMembers how many members
// it reads unless it is told otherwise.
const (
	MaxDepth   = 64
	maxMembers = 10_000
)

// Limits bounds what a text may contain. The zero value has the usual bounds.
type Limits struct {
	Depth   int // nesting levels of objects and arrays, the outermost is level 1; 0, or more than MaxDepth, means MaxDepth
	Members int // object members in the whole text; 0 means 10,000
	// StrictStrings refuses lone surrogates in skipped values too. They are
	// always refused in member names and in what [Reader.String] reads.
	StrictStrings bool
}

// state says which calls apply.
type state uint8

const (
	atValue state = iota // a value comes next
	atOpen               // a container has just been entered
	atNext               // a value of the innermost container has been consumed
	atEnd                // the outermost value has been consumed
	atError              // nothing applies any more
)

// Reader reads one JSON text from its start to its end. After an error other
// than [ErrKind] every call returns that error. The zero value refuses
// everything but scalars of an empty text; call [Reader.Reset] first.
//
// A Reader is big: keep it on the stack with "var r Reader".
type Reader struct {
	data    []byte
	pos     int
	err     error
	limits  Limits
	state   state
	depth   int    // open containers
	nest    uint64 // a bit for each open container, the innermost lowest: 1 for an object
	members int
	spilled uint64 // bit n: the object with n containers around it has names in hashed
	hashed  *nameSet
	other   []byte          // of the last member that Field did not expect
	top     uint8           // names in use
	bases   [MaxDepth]uint8 // those in use when the object at each depth was entered
	names   [inlineNames]name
}

// NewReader returns a Reader at the start of data.
func NewReader(data []byte, lim Limits) *Reader {
	r := new(Reader)
	r.Reset(data, lim)
	return r
}

// Reset puts the Reader at the start of data, which must not change while the
// Reader or anything it returned is in use. It looks at every byte once, to
// refuse a text that is not UTF-8 before anything of it is believed.
func (r *Reader) Reset(data []byte, lim Limits) {
	if lim.Depth <= 0 || lim.Depth > MaxDepth {
		lim.Depth = MaxDepth
	}
	if lim.Members <= 0 {
		lim.Members = maxMembers
	}
	// Names and bases are written before they are read.
	r.data, r.limits = data, lim
	r.pos, r.err, r.state = 0, nil, atValue
	r.depth, r.nest = 0, 0
	r.members, r.top = 0, 0
	r.spilled, r.hashed, r.other = 0, nil, nil
	if !validUTF8(data) {
		r.fail(invalidUTF8(data), ErrUTF8)
	}
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8.
func invalidUTF8(data []byte) int {
	i := 0
	for i < len(data) {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}

// fail makes the error stay.
func (r *Reader) fail(offset int, err error) error {
	r.state, r.err = atError, &Error{Offset: offset, Err: err}
	return r.err
}

// Kind returns the kind of the value that comes next, judged by its first
// byte. It consumes nothing.
func (r *Reader) Kind() Kind {
	if r.state != atValue {
		return Invalid
	}
	if r.pos = skipSpace(r.data, r.pos); r.pos >= len(r.data) {
		return Invalid
	}
	return kinds[r.data[r.pos]]
}

// kinds has the kind of the value that begins with a byte.
var kinds = [256]Kind{
	'{': Object, '[': Array, '"': String, 't': True, 'f': False, 'n': Null, '-': Number,
	'0': Number, '1': Number, '2': Number, '3': Number, '4': Number,
	'5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}

// unexpected returns the error for a method that wants a value of a kind which
// does not come next. The check itself is in the methods, for speed.
func (r *Reader) unexpected() error {
	switch {
	case r.err != nil:
		return r.err
	case r.state != atValue:
		return r.fail(r.pos, ErrOrder)
	case r.Kind() == Invalid:
		return r.fail(r.pos, ErrSyntax)
	}
	return &Error{Offset: r.pos, Err: ErrKind}
}

// consumed notes that the value which ends before pos is behind us.
func (r *Reader) consumed(pos int) {
	r.pos = pos
	r.state = atNext
	if r.depth == 0 {
		r.state = atEnd
	}
}

// inObject reports whether the innermost container is an object, which is false
// outside of all containers.
func (r *Reader) inObject() bool { return r.nest&1 == 1 }

// closerAfter is how far '}' is after '{', and ']' after '['.
const closerAfter = 2

// closer returns the byte that ends the innermost of the containers in nest.
func closer(nest uint64) byte { return ']' + byte(nest&1)*('}'-']') }

// push enters the container that ends with the byte end, and reports whether
// it may be that deep.
func (r *Reader) push(end byte) bool {
	if r.depth >= r.limits.Depth {
		return false
	}
	r.nest <<= 1
	if end == '}' {
		r.nest |= 1
		r.bases[r.depth] = r.top
		r.spilled &^= 1 << r.depth
	}
	r.depth++
	return true
}

// pop leaves the innermost container.
func (r *Reader) pop() {
	r.depth--
	if r.nest&1 == 1 {
		r.top = r.bases[r.depth]
	}
	r.nest >>= 1
}

// Object enters the next value, which must be an object.
func (r *Reader) Object() error { return r.enter(Object) }

// Array enters the next value, which must be an array.
func (r *Reader) Array() error { return r.enter(Array) }

func (r *Reader) enter(kind Kind) error {
	if r.Kind() != kind {
		return r.unexpected()
	}
	if !r.push(r.data[r.pos] + closerAfter) {
		return r.fail(r.pos, ErrDepth)
	}
	r.pos++
	r.state = atOpen
	return nil
}

// Member returns the decoded name of the next member of the object entered
// last; its value comes next. At the object's end ok is false and the object
// has been left.
func (r *Reader) Member() (name []byte, ok bool, err error) {
	i := r.next(true)
	if i >= 0 {
		name, i = r.name(i)
	}
	if i < 0 {
		return nil, false, r.err
	}
	r.pos, r.state = i, atValue
	return name, true, nil
}

// Element reports whether the array entered last has another element, which
// then comes next. At the array's end ok is false and the array has been left.
func (r *Reader) Element() (ok bool, err error) {
	i := r.next(false)
	if i < 0 {
		return false, r.err
	}
	r.pos, r.state = i, atValue
	return true, nil
}

// next returns the index of the next member or element of the innermost
// container, or -1 after an error and at the container's end, which it leaves.
func (r *Reader) next(isObject bool) int {
	data, i := r.data, r.pos
	// In these states there is a container, and no error.
	if r.state != atNext && r.state != atOpen || r.inObject() != isObject {
		if r.err == nil {
			_ = r.fail(i, ErrOrder)
		}
		return -1
	}
	if i = skipSpace(data, i); i >= len(data) {
		return r.broken(i, ErrSyntax)
	}
	switch c := data[i]; {
	case c == ',' && r.state == atNext:
		return skipSpace(data, i+1)
	case c == closer(r.nest):
		r.pop()
		r.consumed(i + 1)
		return -1
	case r.state == atOpen:
		return i
	}
	return r.broken(i, ErrSyntax)
}

// name reads the member name that begins at i and the colon after it. It
// returns the decoded name and the index after the colon, or -1 after an error.
func (r *Reader) name(i int) (name []byte, next int) {
	data, start := r.data, i+1
	if uint(i) >= uint(len(data)) || data[i] != '"' {
		return nil, r.broken(i, ErrSyntax)
	}
	sum := load(data, start)
	n := bits.TrailingZeros64(stops(sum)) >> 3
	end := start + n
	if n < 8 {
		sum &= 1<<(8*n) - 1
	} else {
		end = stop(data, end)
		sum ^= bits.RotateLeft64(load(data, end-8), 32)
	}
	if uint(end+1) < uint(len(data)) && data[end] == '"' && data[end+1] == ':' && r.members < r.limits.Members {
		sum ^= uint64(end-start) << 56 // now it is the name's summary
		if r.isNew(sum, start, end) {
			r.members++
			return data[start:end:end], end + 2
		}
	}
	return r.anyName(start)
}

// anyName is name for what is not plain: escapes, space before the colon, a name
// that may be there already, an object of many.
func (r *Reader) anyName(start int) ([]byte, int) {
	end, found := scanString(r.data, start)
	if found > escaped {
		return nil, r.brokenString(start-1, end, found)
	}
	name, at := r.data[start:end:end], end
	if found == escaped {
		name, at = decode(name), -1
	}
	if r.members++; r.members > r.limits.Members {
		return nil, r.broken(start-1, ErrMembers)
	}
	if !r.unique(name, at) {
		return nil, r.broken(start-1, ErrDuplicate)
	}
	next := skipSpace(r.data, end+1)
	if next >= len(r.data) || r.data[next] != ':' {
		return nil, r.broken(next, ErrSyntax)
	}
	return name, next + 1
}

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int { return r.pos }

// End returns an error unless the text has been read and only white space
// remains.
func (r *Reader) End() error {
	if r.err != nil {
		return r.err
	}
	if r.state != atEnd {
		return r.fail(r.pos, ErrOrder)
	}
	if r.pos = skipSpace(r.data, r.pos); r.pos < len(r.data) {
		return r.fail(r.pos, ErrSyntax)
	}
	return nil
}
