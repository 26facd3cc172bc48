// Package strictjson reads one JSON text of which no two honest readers can
// have different opinions. It refuses what RFC 8259 leaves to the reader:
// duplicate member names, bytes that are not UTF-8, a byte order mark, lone
// surrogates, nesting and member counts without bound.
//
// A [Reader] is pulled through the text once, without recursion, and what is
// returned aliases the text.
package strictjson

import "unicode/utf8"

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

// MaxDepth is the deepest nesting that a [Reader] can follow.
const MaxDepth = 64

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
	isObj   uint64 // bit n: the container with n others around it is an object
	members int
	ids     uint32 // objects entered so far
	top     uint8  // names in use
	hashed  nameSet
	names   [inlineNames]name
	objects [MaxDepth]object
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
		lim.Members = 10_000
	}
	// Names and objects are written before they are read: clearing them would
	// cost more than reading a small text does.
	r.data, r.limits = data, lim
	r.pos, r.err, r.state = 0, nil, atValue
	r.depth, r.isObj = 0, 0
	r.members, r.ids, r.top = 0, 0, 0
	r.hashed = nameSet{}
	if !utf8.Valid(data) {
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
	r.err = &Error{Offset: offset, Err: err}
	return r.err
}

// Kind returns the kind of the value that comes next, judged by its first
// byte. It consumes nothing.
func (r *Reader) Kind() Kind {
	if r.err != nil || r.state != atValue {
		return Invalid
	}
	r.pos = skipSpace(r.data, r.pos)
	if r.pos == len(r.data) {
		return Invalid
	}
	switch c := r.data[r.pos]; c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	default:
		if c == '-' || c-'0' <= 9 {
			return Number
		}
	}
	return Invalid
}

// expect returns an error unless a value of the kind comes next.
func (r *Reader) expect(kind Kind) error {
	got := r.Kind()
	switch {
	case got == kind:
		return nil
	case r.err != nil:
		return r.err
	case r.state != atValue:
		return r.fail(r.pos, ErrOrder)
	case got == Invalid:
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
func (r *Reader) inObject() bool {
	return r.depth > 0 && r.isObj>>(r.depth-1)&1 == 1
}

// push enters a container.
func (r *Reader) push(isObject bool) bool {
	if r.depth >= r.limits.Depth {
		return false
	}
	bit := uint64(1) << r.depth
	r.isObj &^= bit
	if isObject {
		r.isObj |= bit
		r.ids++
		r.objects[r.depth] = object{id: r.ids, base: r.top}
	}
	r.depth++
	return true
}

// pop leaves the innermost container.
func (r *Reader) pop() {
	r.depth--
	if r.isObj>>r.depth&1 == 1 {
		r.top = r.objects[r.depth].base
	}
}

// Object enters the next value, which must be an object.
func (r *Reader) Object() error { return r.enter(Object) }

// Array enters the next value, which must be an array.
func (r *Reader) Array() error { return r.enter(Array) }

func (r *Reader) enter(kind Kind) error {
	if err := r.expect(kind); err != nil {
		return err
	}
	if !r.push(kind == Object) {
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
	if ok, err = r.more(true); !ok {
		return nil, false, err
	}
	name, pos := r.name(r.pos)
	if pos < 0 {
		return nil, false, r.err
	}
	r.pos = pos
	r.state = atValue
	return name, true, nil
}

// Element reports whether the array entered last has another element, which
// then comes next. At the array's end ok is false and the array has been left.
func (r *Reader) Element() (ok bool, err error) {
	if ok, err = r.more(false); ok {
		r.state = atValue
	}
	return ok, err
}

// more goes to the next member or element of the innermost container, or
// leaves the container at its end.
func (r *Reader) more(isObject bool) (ok bool, err error) {
	if r.err != nil {
		return false, r.err
	}
	if r.depth == 0 || r.inObject() != isObject || r.state == atValue {
		return false, r.fail(r.pos, ErrOrder)
	}
	i := skipSpace(r.data, r.pos)
	if i == len(r.data) {
		return false, r.fail(i, ErrSyntax)
	}
	switch c := r.data[i]; {
	case c == closing(isObject):
		r.pop()
		r.consumed(i + 1)
		return false, nil
	case r.state == atOpen:
		r.pos = i
		return true, nil
	case c == ',':
		r.pos = skipSpace(r.data, i+1)
		return true, nil
	}
	return false, r.fail(i, ErrSyntax)
}

func closing(isObject bool) byte {
	if isObject {
		return '}'
	}
	return ']'
}

// name reads the member name that begins at i and the colon after it. It
// returns the decoded name and the index after the colon, or -1 after an error.
func (r *Reader) name(i int) ([]byte, int) {
	data := r.data
	if i == len(data) || data[i] != '"' {
		return nil, r.broken(i, ErrSyntax)
	}
	end, found := scanString(data, i+1)
	if found > escaped {
		return nil, r.brokenString(i, end, found)
	}
	name := data[i+1 : end : end]
	if found == escaped {
		name = decode(name)
	}
	if r.members++; r.members > r.limits.Members {
		return nil, r.broken(i, ErrMembers)
	}
	if !r.unique(name) {
		return nil, r.broken(i, ErrDuplicate)
	}
	end = skipSpace(data, end+1)
	if end == len(data) || data[end] != ':' {
		return nil, r.broken(end, ErrSyntax)
	}
	return name, end + 1
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
