package mcpauth

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// maxHeld bounds what of a response is held back to be looked at, in bytes.
const maxHeld = 16 << 20

// Sizes of the buffer of an event stream: what is taken at a time, and what
// is kept for the next event.
const (
	eventPiece  = 64 << 10
	eventBuffer = 256 << 10
)

var (
	errEventTooLarge = errors.New("an event that is too large")
	errLoneCR        = errors.New("a carriage return that ends a line alone")
)

// byteOrderMark may stand in front of an event stream and is not part of its
// first line (HTML Living Standard section 9.2.6).
var byteOrderMark = []byte("\ufeff")

// eventFilter passes a stream of server-sent events on, each as soon as it is
// complete, and lets rewrite change its data. Events that it does not change
// keep their bytes.
type eventFilter struct {
	out io.Writer
	// rewrite returns the new data of an event: the same bytes to leave it, nil
	// to take the data out.
	rewrite func(event string, data []byte) ([]byte, error)
	limit   int // of an event, in bytes
	// free, if not nil, reports of the data of a long event that begins so that the rest need not
	// be waited for. Then the standard's other line end may stand in an event, too.
	free func(beginning []byte) bool

	held    []byte // the event under way
	line    int    // where its last line begins
	scanned int    // how much of it has been searched for line ends
	begun   bool   // the first event has been emitted
	refused error  // why an event cannot be passed on: the stream is over

	asked  int       // how long an event was when free was asked
	passes bool      // the event under way is not held any more
	edge   eventEdge // of what has passed of it
}

// Write takes a piece of the stream.
func (f *eventFilter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), eventPiece)]
		rest = rest[len(piece):]
		if err := f.take(piece); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// take emits the events that the piece completes and holds the rest.
func (f *eventFilter) take(piece []byte) error {
	if f.refused != nil {
		return f.refused
	}
	if f.passes {
		n := f.passed(piece)
		if _, err := f.out.Write(piece[:n]); err != nil {
			return err
		}
		piece = piece[n:]
	}
	f.held = append(f.held, piece...)
	start := 0
	for {
		end := f.eventEnd(start)
		if end < 0 {
			break
		}
		if err := f.emit(f.held[start:end]); err != nil {
			return err
		}
		start = end
	}
	if start > 0 {
		f.keep(start)
	}
	if f.free != nil && len(f.held) > max(eventPiece, 2*f.asked) {
		return f.ask()
	}
	if len(f.held) > f.limit {
		f.refused = errEventTooLarge
	}
	return f.refused
}

// ask lets a long event go on if it is free.
func (f *eventFilter) ask() error {
	f.asked = len(f.held)
	if _, data := eventFields(f.held); !f.free(bytes.Join(data, []byte("\n"))) {
		return nil
	}
	f.passes, f.edge = true, eventEdge{}
	f.edge.pass(f.held)
	_, err := f.out.Write(f.held)
	f.held, f.line, f.scanned, f.asked, f.begun = nil, 0, 0, 0, true
	return err
}

// passed returns how much of a piece belongs to the event that is not held.
func (f *eventFilter) passed(piece []byte) (n int) {
	for n < len(piece) && f.passes {
		line := piece[n:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		f.edge.pass(line)
		n += len(line)
		f.passes = !f.edge.between()
	}
	return n
}

// keep drops what has been emitted, and a buffer that one large event needed.
func (f *eventFilter) keep(start int) {
	rest := f.held[start:]
	f.line -= start
	f.scanned -= start
	if cap(f.held) > eventBuffer {
		f.held = bytes.Clone(rest)
		return
	}
	f.held = append(f.held[:0], rest...)
}

// close is called at the end of the stream. An event without its blank line is
// none by the standard, but some clients take it for one: it is passed on as
// the others are.
func (f *eventFilter) close() error {
	if f.refused != nil || len(f.held) == 0 {
		return f.refused
	}
	return f.emit(f.held)
}

// eventEnd returns the index after the next blank line, or -1. A comment in front of
// an event is none of it: it may be all that comes for long.
func (f *eventFilter) eventEnd(start int) int {
	for {
		i := bytes.IndexByte(f.held[f.scanned:], '\n')
		if i < 0 {
			f.scanned = len(f.held)
			return -1
		}
		line := f.held[f.line : f.scanned+i]
		isComment := f.line == start && len(line) > 0 && line[0] == ':'
		f.scanned += i + 1
		f.line = f.scanned
		if isComment || len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			return f.scanned
		}
	}
}

// emit writes one event.
func (f *eventFilter) emit(event []byte) error {
	var mark []byte
	if !f.begun && bytes.HasPrefix(event, byteOrderMark) {
		mark, event = byteOrderMark, event[len(byteOrderMark):]
	}
	f.begun = true
	if len(event) > f.limit {
		f.refused = errEventTooLarge
		return f.refused
	}
	event, f.refused = f.rewritten(event)
	if f.refused != nil {
		return f.refused
	}
	if mark != nil {
		event = slices.Concat(mark, event)
	}
	_, err := f.out.Write(event)
	return err
}

// rewritten returns what becomes of one event.
func (f *eventFilter) rewritten(event []byte) ([]byte, error) {
	name, data := eventFields(event)
	if hasLoneCR(event) && (f.free == nil || mayBeNotice(event)) {
		return nil, errLoneCR
	}
	var before []byte
	switch len(data) {
	case 0:
	case 1:
		before = data[0]
	default:
		before = bytes.Join(data, []byte("\n"))
	}
	if len(before) == 0 {
		return event, nil
	}
	after, err := f.rewrite(name, before)
	if err == nil && (after == nil || !bytes.Equal(before, after)) {
		event = replaceData(event, after)
	}
	return event, err
}

// eventFields returns what an event, or the beginning of one, is called, and its lines of data.
func eventFields(event []byte) (name string, data [][]byte) {
	for line := range bytes.SplitSeq(event, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			data = append(data, value)
		}
	}
	return name, data
}

// hasLoneCR reports whether a line ends in a carriage return alone, or has one in it.
func hasLoneCR(event []byte) bool {
	for {
		i := bytes.IndexByte(event, '\r')
		if i < 0 || i == len(event)-1 {
			return false
		}
		if event = event[i+1:]; event[0] != '\n' {
			return true
		}
	}
}

// replaceData puts new data in the place of the first data line of an event,
// with that line's ending, and drops the others; nil leaves none.
func replaceData(event, data []byte) []byte {
	var out bytes.Buffer
	written := data == nil
	for line := range bytes.SplitAfterSeq(event, []byte("\n")) {
		text := bytes.TrimRight(line, "\r\n")
		field, _, _ := bytes.Cut(text, []byte(":"))
		if string(field) != "data" {
			out.Write(line)
			continue
		}
		if written {
			continue
		}
		written = true
		ending := line[len(text):]
		if len(ending) == 0 || ending[len(ending)-1] != '\n' {
			ending = []byte("\n") // at the end of the stream
		}
		for part := range bytes.SplitSeq(data, []byte("\n")) {
			out.WriteString("data: ")
			out.Write(part)
			out.Write(ending)
		}
	}
	return out.Bytes()
}
