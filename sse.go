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

	held    []byte // the event under way
	line    int    // where its last line begins
	scanned int    // how much of it has been searched for line ends
	begun   bool   // the first event has been emitted
	refused error  // why an event cannot be passed on: the stream is over
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
	f.held = append(f.held, piece...)
	start := 0
	for {
		end := f.eventEnd()
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
	if len(f.held) > f.limit {
		f.refused = errEventTooLarge
	}
	return f.refused
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

// eventEnd returns the index after the next blank line, or -1.
func (f *eventFilter) eventEnd() int {
	for {
		i := bytes.IndexByte(f.held[f.scanned:], '\n')
		if i < 0 {
			f.scanned = len(f.held)
			return -1
		}
		line := f.held[f.line : f.scanned+i]
		f.scanned += i + 1
		f.line = f.scanned
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
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
	var name string
	var data [][]byte
	for line := range bytes.SplitSeq(event, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.IndexByte(line, '\r') >= 0 {
			return nil, errLoneCR
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			data = append(data, value)
		}
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
