package cachescope

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// The names that matter. Readers that ignore case take others for them.
var (
	resultName = []byte("result")
	scopeName  = []byte("cacheScope")
	typeName   = []byte("resultType")
	interim    = []byte("input_required")
)

// maxName is the length of a name that matters, each of its characters
// written as an escape of six bytes.
const maxName = 60

// text follows one JSON text byte by byte. What is no JSON it follows, too, somehow:
// no reader makes anything of that.
type text struct {
	depth    int32 // open containers
	level    int32 // depth inside of a message: 1, or 2 in a batch
	message  bool  // the container at level is an object
	inResult bool  // the one below it is the result

	str     str
	collect collect // the string under way is kept in word
	named   bool    // word is the name of the member whose value comes next
	expects bool    // a name comes next
	value   value   // what the value that comes next is

	dropped dropped // the value under way is replaced
	floor   int32   // depth around it

	hasScope, hasMember, isInterim bool // of the result

	size uint8 // of word; more than maxName: too long
	word [maxName]byte
}

type str uint8

const (
	noString str = iota
	inString
	escaped
)

type collect uint8

const (
	nothing collect = iota
	name
	resultType
)

type value uint8

const (
	anyValue value = iota
	resultValue
	scopeValue
	typeValue
)

type dropped uint8

const (
	notDropped dropped = iota
	droppedString
	droppedContainer
	droppedScalar
)

// pass returns the index of the next byte that matters: in a string of which nothing
// is needed, and in what stands deeper than the members of a result.
func (t *text) pass(p []byte, i int) int {
	if t.collect != nothing || t.dropped != notDropped || t.str == escaped {
		return i
	}
	depth, around := t.depth, t.level+1
	within := t.str == inString
scan:
	for ; i < len(p); i++ {
		if within {
			if i = stop(p, i); i == len(p) {
				break
			}
			switch p[i] {
			case '"':
				within = false
			case '\\', '\n', '\r':
				break scan
			}
			continue
		}
		if depth <= around {
			break
		}
		switch p[i] {
		case '"':
			within = true
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '\n', '\r': // may end a line of an event stream
			break scan
		}
	}
	if t.depth, t.str = depth, noString; within {
		t.str = inString
	}
	return i
}

// stop returns the index of the first quote, backslash or control byte at or after i, or len(p). It looks
// at eight bytes at a time.
func stop(p []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		if found := (((x ^ 0x02*ones) - 0x21*ones) | ((x ^ '\\'*ones) - ones)) &^ x & high; found != 0 {
			return i + bits.TrailingZeros64(found)>>3 // the lowest is exact
		}
	}
	for i < len(p) && p[i] != '"' && p[i] != '\\' && p[i] >= ' ' {
		i++
	}
	return i
}

// skipped is 1 when there is no member that a comma would follow.
func (t *text) skipped() int {
	if t.hasMember {
		return 0
	}
	return 1
}

// next takes a byte.
func (t *text) next(c byte, adds bool) effect {
	if t.str != noString {
		return t.inside(c)
	}
	if t.dropped == droppedScalar && (isSpace(c) || c == ',' || c == '}' || c == ']') {
		t.dropped = notDropped
	}
	switch {
	case t.dropped == droppedScalar:
		return drop
	case t.dropped == droppedContainer:
		t.nest(c)
		if t.depth == t.floor {
			t.dropped = notDropped
		}
		return drop
	case isSpace(c):
		return keep
	case t.value == scopeValue:
		t.value, t.floor = anyValue, t.depth
		t.nest(c)
		switch {
		case c == '"':
			t.dropped = droppedString
		case t.depth > t.floor:
			t.dropped = droppedContainer
		default:
			t.dropped = droppedScalar
		}
		return replace
	}
	return t.structure(c, adds)
}

// inside takes a byte of a string.
func (t *text) inside(c byte) effect {
	result := keep
	if t.dropped != notDropped {
		result = drop
	}
	switch {
	case t.str == inString && c == '"':
		t.str = noString
		switch {
		case t.dropped == droppedString:
			t.dropped = notDropped
		case t.collect == name:
			t.named = true
		case t.collect == resultType:
			t.isInterim = t.is(interim, bytes.Equal)
		}
		t.collect = nothing
		return result
	case t.str == inString && c == '\\':
		t.str = escaped
	default:
		t.str = inString
	}
	if t.collect != nothing && t.size <= maxName {
		if t.size < maxName {
			t.word[t.size] = c
		}
		t.size++
	}
	return result
}

// nest counts containers and begins strings.
func (t *text) nest(c byte) {
	switch c {
	case '"':
		t.str, t.size = inString, 0
	case '{', '[':
		t.depth++
	case '}', ']':
		t.depth = max(t.depth-1, 0)
	}
}

// structure takes a byte that stands outside of strings.
func (t *text) structure(c byte, adds bool) effect {
	v := t.value
	t.value = anyValue
	decides := t.message && t.depth == t.level || t.inResult && t.depth == t.level+1
	switch c {
	case '"':
		switch {
		case decides && t.expects:
			t.collect, t.named, t.expects = name, false, false
			t.hasMember = t.hasMember || t.depth > t.level
		case v == typeValue:
			t.collect = resultType
		}
	case ':':
		if decides && t.named {
			t.value = t.comes()
		}
		t.named = false
	case ',':
		t.expects = decides
	case '{', '[':
		t.open(c, v)
	case '}', ']':
		if t.inResult && t.depth == t.level+1 {
			t.inResult = false
			t.nest(c)
			t.expects = false
			if adds && !t.hasScope && !t.isInterim {
				return ending
			}
			return keep
		}
	}
	t.nest(c)
	return keep
}

// open enters a container.
func (t *text) open(c byte, v value) {
	switch {
	case t.depth == 0:
		t.level, t.message, t.inResult = 1, c == '{', false
		if c == '[' {
			t.level = 2
		}
		t.expects = t.message
	case t.depth+1 == t.level:
		t.message, t.expects = c == '{', c == '{'
	case v == resultValue && c == '{':
		t.inResult, t.expects = true, true
		t.hasScope, t.hasMember, t.isInterim = false, false, false
	default:
		t.expects = false
	}
}

// comes tells what the value of the member named by word is.
func (t *text) comes() value {
	switch {
	case t.depth == t.level && t.is(resultName, bytes.EqualFold):
		return resultValue
	case t.depth == t.level:
	case t.is(scopeName, bytes.EqualFold):
		t.hasScope = t.hasScope || t.is(scopeName, bytes.Equal)
		return scopeValue
	case t.is(typeName, bytes.Equal):
		return typeValue
	}
	return anyValue
}

// is compares word, without its escapes.
func (t *text) is(want []byte, equal func(a, b []byte) bool) bool {
	if t.size > maxName {
		return false
	}
	word := t.word[:t.size]
	if bytes.IndexByte(word, '\\') < 0 {
		return equal(word, want)
	}
	var plain string
	return json.Unmarshal(append(append([]byte{'"'}, word...), '"'), &plain) == nil && equal([]byte(plain), want)
}
