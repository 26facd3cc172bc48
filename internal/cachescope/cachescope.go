// Package cachescope makes the cacheScope of MCP results private while they
// pass (2026-07-28, Caching). It holds nothing back: what is changed is a
// value, which is passed over, or what stands before the end of a result.
package cachescope

import "bytes"

var (
	private = []byte(`"private"`)
	added   = []byte(`,"cacheScope":"private"`)
)

// Editor follows JSON-RPC messages, as one JSON text or as the data of
// server-sent events, in pieces of any size. Its zero value edits the scopes that
// are there, in JSON.
type Editor struct {
	Events bool // the messages are data of server-sent events
	Adds   bool // a result without a scope gets one, unless it is an interim one, which has none

	text  text
	line  line
	match uint8 // bytes of the field name, or of the byte order mark, that fit
	cr    bool  // a carriage return has just ended a line
	begun bool  // in JSON: the first byte of the text has been seen
	off   bool  // it is no JSON
}

// line is where in a line of an event stream the next byte stands.
type line uint8

const (
	atStart line = iota
	inField      // the field name may become data
	atSpace      // a space here is none of the data
	inData
	elsewhere
)

// effect is what is done about a byte.
type effect uint8

const (
	keep    effect = iota
	drop           // it belongs to a scope that has been replaced
	replace        // a scope begins with it
	ending         // it ends a result without a scope
)

// Edit returns what stands for the next piece, in parts; nil leaves it as it is.
func (e *Editor) Edit(p []byte) (parts [][]byte) {
	from := 0 // of what has not been put into parts
	until := func(i int) {
		if from < i {
			parts = append(parts, p[from:i])
		}
		from = i
	}
	for i := 0; i < len(p); i++ {
		if e.off {
			break
		}
		if i = e.pass(p, i); i == len(p) {
			break
		}
		switch e.byte(p[i]) {
		case drop:
			until(i)
			from = i + 1
		case replace:
			until(i)
			parts = append(parts, private)
			from = i + 1
		case ending:
			until(i)
			parts = append(parts, added[e.text.skipped():])
		}
	}
	if from == 0 && parts == nil {
		return nil
	}
	until(len(p))
	if parts == nil {
		parts = [][]byte{}
	}
	return parts
}

// Whole returns a text with its edits.
func (e *Editor) Whole(p []byte) []byte {
	parts := e.Edit(p)
	if parts == nil {
		return p
	}
	return bytes.Join(parts, nil)
}

// pass passes over what is of no interest: most of a text, quickly.
func (e *Editor) pass(p []byte, i int) int {
	if e.Events && e.line != inData {
		return i
	}
	return e.text.pass(p, i)
}

func (e *Editor) byte(c byte) effect {
	if e.Events {
		return e.event(c)
	}
	if !e.begun && !isSpace(c) && c < 0xbb { // bytes of a byte order mark are above
		e.begun = true
		if e.off = c != '{' && c != '['; e.off {
			return keep
		}
	}
	return e.text.next(c, e.Adds)
}

const (
	dataField = "data"
	mark      = "\ufeff"
)

// event takes a byte of an event stream (HTML Living Standard section 9.2.6).
func (e *Editor) event(c byte) effect {
	if c == '\n' || c == '\r' {
		e.endLine(c)
		return keep
	}
	e.cr = false
	switch e.line {
	case atStart:
		if !e.begun && e.match < uint8(len(mark)) && c == mark[e.match] {
			if e.match++; e.match == uint8(len(mark)) {
				e.begun = true
			}
			return keep
		}
		e.begun, e.match, e.line = true, 0, inField
		fallthrough
	case inField:
		switch {
		case e.match < uint8(len(dataField)) && c == dataField[e.match]:
			e.match++
		case e.match == uint8(len(dataField)) && c == ':':
			e.line = atSpace
		default:
			e.line = elsewhere
		}
		return keep
	case elsewhere:
		return keep
	case atSpace:
		if e.line = inData; c == ' ' {
			return keep
		}
	}
	return e.text.next(c, e.Adds)
}

// endLine takes a line end: CR, LF or both. A blank line ends the event.
func (e *Editor) endLine(c byte) {
	if c == '\n' && e.cr {
		e.cr = false
		return
	}
	switch e.line {
	case atStart:
		e.text = text{}
	case atSpace, inData:
		_ = e.text.next('\n', e.Adds) // the lines of an event are joined by it
	}
	e.cr, e.line, e.begun = c == '\r', atStart, true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
