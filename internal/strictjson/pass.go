package strictjson

import "strings"

// maxPassed is the nesting that [encoding/json.Valid] follows, and with it most that read JSON in Go.
const maxPassed = 10_000

// Pass is [Reader.Skip] for a value in which nothing is decided: it has to be JSON
// (RFC 8259) without bytes that are not UTF-8, and may be nested more deeply, have more
// members and have names twice.
func (r *Reader) Pass() ([]byte, error) {
	if kind := r.Kind(); kind != Object && kind != Array {
		return r.Skip()
	}
	start := r.pos
	end := r.pass(start)
	if end < 0 {
		return nil, r.err
	}
	r.consumed(end)
	return r.data[start:end:end], nil
}

// PassNaming is [Reader.Pass] that also returns what [MemberText] finds in the value.
func (r *Reader) PassNaming(name string) (raw, text []byte, err error) {
	if r.Kind() != Object {
		raw, err = r.Pass()
		return raw, nil, err
	}
	start := r.pos
	if !r.push('}') {
		return nil, nil, r.fail(start, ErrDepth)
	}
	text, end := r.passMembers(start+1, name)
	if end < 0 {
		return nil, nil, r.err
	}
	r.pop()
	r.consumed(end)
	return r.data[start:end:end], text, nil
}

// passMembers passes over the members of the object that begins in front of i. It returns the
// index behind the object, or -1 after an error.
func (r *Reader) passMembers(i int, name string) (text []byte, end int) {
	data, doubtful := r.data, false
	if i = skipSpace(data, i); i < len(data) && data[i] == '}' {
		return nil, i + 1
	}
	for {
		member, at, value := r.passedName(i)
		if value < 0 {
			return nil, -1
		}
		switch {
		case doubtful:
		case at == 0 || !r.unique(member, at):
			doubtful = true
		case string(member) != name:
			doubtful = strings.EqualFold(string(member), name)
		case value < len(data) && data[value] == '"':
			text, doubtful = textAt(data, value)
		}
		if i = r.pass(value); i < 0 {
			return nil, -1
		}
		i = skipSpace(data, i)
		switch {
		case i < len(data) && data[i] == ',':
			i = skipSpace(data, i+1)
		case i >= len(data) || data[i] != '}':
			return nil, r.broken(i, ErrSyntax)
		case doubtful:
			return nil, i + 1
		default:
			return text, i + 1
		}
	}
}

// passedName reads the name of a member and the colon. It returns the name decoded; where it ends in the
// text, negative if it is not there as such, and 0 if it cannot be decoded; and the index of the value, or -1
// after an error.
func (r *Reader) passedName(i int) (name []byte, at, value int) {
	data := r.data
	end, found := r.passString(i)
	if end < 0 {
		return nil, 0, -1
	}
	if at = end - 1; found != lone {
		name = data[i+1 : at : at]
	}
	switch found {
	case escaped:
		name, at = decode(name), -1
	case lone:
		at = 0
	}
	return name, at, r.passColon(end)
}

// textAt returns the string at i, and whether it cannot be decoded.
func textAt(data []byte, i int) (text []byte, doubtful bool) {
	end, found := scanString(data, i+1)
	switch found {
	case plain:
		return data[i+1 : end : end], false
	case escaped:
		return decode(data[i+1 : end]), false
	}
	return nil, true // if it is broken, that is found when it is passed
}

// passString returns the index behind the string at i, or -1 after an error.
func (r *Reader) passString(i int) (end int, found escapes) {
	if i >= len(r.data) || r.data[i] != '"' {
		return r.broken(i, ErrSyntax), broken
	}
	end, found = scanString(r.data, i+1)
	if found == broken {
		return r.broken(end, ErrSyntax), broken
	}
	return end + 1, found
}

// passColon returns the index of the value behind a name, or -1 after an error.
func (r *Reader) passColon(i int) int {
	if i = skipSpace(r.data, i); i >= len(r.data) || r.data[i] != ':' {
		return r.broken(i, ErrSyntax)
	}
	return skipSpace(r.data, i+1)
}

// pass returns the index behind the value that begins at i, or -1 after an error. It is skip without a
// look at names.
func (r *Reader) pass(i int) int {
	data, open := r.data, nesting{most: maxPassed - r.depth}
	for {
		// A value comes next.
		if i >= len(data) {
			return r.broken(i, ErrSyntax)
		}
		switch c := data[i]; {
		case c == '"':
			if i, _ = r.passString(i); i < 0 {
				return -1
			}
		case c == '{' || c == '[':
			if !open.push(c == '{') {
				return r.broken(i, ErrDepth)
			}
			if i = skipSpace(data, i+1); i < len(data) && data[i] == c+closerAfter {
				break // closed below, as after a value
			}
			if c == '{' {
				i = r.passName(i)
			}
			if i < 0 {
				return -1
			}
			continue
		case c-'0' <= 9:
			if next := plainInteger(data, i); next > 0 {
				i = next
				break
			}
			fallthrough
		default:
			if i = r.skipWord(i); i < 0 {
				return -1
			}
		}
		if i = r.passEnds(i, &open); i < 0 || open.depth == 0 {
			return i
		}
	}
}

// passName returns the index of the value of the member whose name begins at i, or -1 after an error.
func (r *Reader) passName(i int) int {
	if i, _ = r.passString(i); i < 0 {
		return -1
	}
	if i+1 < len(r.data) && r.data[i] == ':' && r.data[i+1] > ' ' {
		return i + 1
	}
	return r.passColon(i)
}

// passEnds goes on behind a value: through the ends of the containers that end there, and to the
// next value. When no container is open any more it returns the index behind the last.
func (r *Reader) passEnds(i int, open *nesting) int {
	data := r.data
	for open.depth > 0 {
		if i >= len(data) {
			return r.broken(i, ErrSyntax)
		}
		switch c := data[i]; {
		case c == ',':
			i = skipSpace(data, i+1)
			if open.inner&1 == 1 {
				return r.passName(i)
			}
			return i
		case c == closer(open.inner):
			open.pop()
			i++
		case isSpace(c):
			i = skipSpace(data, i)
		default:
			return r.broken(i, ErrSyntax)
		}
	}
	return i
}

// nesting is which containers are open, however many.
type nesting struct {
	depth, most int
	inner       uint64   // a bit for each of the innermost: 1 for an object
	outer       []uint64 // 64 each
}

func (n *nesting) push(isObject bool) bool {
	if n.depth >= n.most {
		return false
	}
	if n.depth > 0 && n.depth%64 == 0 {
		n.outer = append(n.outer, n.inner)
	}
	n.inner <<= 1
	if isObject {
		n.inner |= 1
	}
	n.depth++
	return true
}

func (n *nesting) pop() {
	n.depth--
	n.inner >>= 1
	if last := len(n.outer) - 1; n.depth > 0 && n.depth%64 == 0 {
		n.inner, n.outer = n.outer[last], n.outer[:last]
	}
}
