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

var errEventTooLarge = errors.New("an event that is too large")

// byteOrderMark may stand in front of an event stream and is not part of its
// first line (HTML Living Standard section 9.2.6).
var byteOrderMark = []byte("\ufeff")

// eventFilter passes a stream of server-sent events on, each as soon as it is
// complete, and lets rewrite change its data. Events that it does not change
// keep their bytes. A comment, which is how servers keep a connection alive, has
// no effect and waits for no event: it goes out as soon as its line has ended, in
// front of the event it stands in.
//
// Lines end as the standard has it, in a carriage return, a line feed or both. Many
// readers do not know the first alone, so each of these is given its line feed: what
// is judged is what every reader reads.
type eventFilter struct {
	out io.Writer
	// rewrite returns the new data of an event: the same bytes to leave it, nil
	// to take the data out.
	rewrite func(event string, data []byte) ([]byte, error)
	limit   int // of an event or a comment, in bytes

	// free, if not nil, reports of the data of a long event that begins so that the rest need not
	// be waited for.
	free func(beginning []byte) bool

	held     []byte // the event under way
	line     int    // where its last line begins
	returned bool   // the last byte was a carriage return: its line feed is given already
	begun    bool   // the first line is known
	mark     bool   // a byte order mark goes in front of what is sent first
	refused  error  // why an event cannot be passed on: the stream is over

	asked  int       // how long an event was when free was asked
	passes bool      // the event under way is not held any more
	edge   eventEdge // of what has passed of it
}

// Write takes a piece of the stream.
func (f *eventFilter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), eventPiece)]
		rest = rest[len(piece):]
		if err := f.take(f.lineFeeds(piece)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// lineFeeds gives every carriage return its line feed, and takes the one that comes
// after it for that.
func (f *eventFilter) lineFeeds(p []byte) []byte {
	if f.returned && p[0] == '\n' {
		p = p[1:]
	}
	f.returned = bytes.HasSuffix(p, []byte("\r"))
	var out []byte
	from := 0 // of what is not in out
	for i := 0; ; {
		at := bytes.IndexByte(p[i:], '\r')
		if at < 0 {
			break
		}
		if i += at + 1; i == len(p) || p[i] != '\n' {
			out = append(append(out, p[from:i]...), '\n')
			from = i
		}
	}
	if out == nil {
		return p
	}
	return append(out, p[from:]...)
}

// take passes on what the piece completes and holds the rest.
func (f *eventFilter) take(piece []byte) error {
	if f.passes && f.refused == nil {
		n := f.passed(piece)
		if _, err := f.out.Write(piece[:n]); err != nil {
			return err
		}
		piece = piece[n:]
	}
	for line := range bytes.SplitAfterSeq(piece, []byte("\n")) {
		if len(line) == 0 || f.refused != nil {
			break
		}
		if err := f.add(line); err != nil {
			return err
		}
	}
	if f.free != nil && f.refused == nil && len(f.held) > max(eventPiece, 2*f.asked) {
		return f.ask()
	}
	return f.refused
}

// add takes a line or a piece of one.
func (f *eventFilter) add(text []byte) error {
	f.held = append(f.held, text...)
	if len(f.held) > f.limit {
		f.refused = errEventTooLarge
		return f.refused
	}
	if text[len(text)-1] != '\n' {
		return nil
	}
	return f.endLine()
}

// endLine looks at the last line of what is held, which has ended.
func (f *eventFilter) endLine() error {
	f.begin()
	line := f.held[f.line:]
	blank := line[0] == '\n' || line[0] == '\r'
	switch {
	case line[0] == ':', blank && f.line == 0:
		f.keep(f.line)
		return f.send(line)
	case blank:
		event := f.held
		f.keep(0)
		return f.emit(event)
	default:
		f.line = len(f.held)
	}
	return nil
}

// begin takes the byte order mark off the first line.
func (f *eventFilter) begin() {
	if !f.begun && bytes.HasPrefix(f.held, byteOrderMark) {
		f.held, f.mark = f.held[len(byteOrderMark):], true
	}
	f.begun = true
}

// ask lets a long event go on if it is free.
func (f *eventFilter) ask() error {
	f.begin()
	f.asked = len(f.held)
	if _, data := eventFields(f.held); !f.free(bytes.Join(data, []byte("\n"))) {
		return nil
	}
	f.passes, f.edge = true, eventEdge{}
	f.edge.pass(f.held)
	err := f.send(f.held)
	f.held, f.line, f.asked = nil, 0, 0
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

// keep drops what has been passed on, and a buffer that something large needed.
func (f *eventFilter) keep(size int) {
	f.held, f.line = f.held[:size], size
	if cap(f.held) > eventBuffer && size <= eventBuffer/2 {
		f.held = bytes.Clone(f.held)
	}
}

// close is called at the end of the stream. An event without its blank line is
// none by the standard, but some clients take it for one: it is passed on as
// the others are.
func (f *eventFilter) close() error {
	if f.refused != nil || len(f.held) == 0 {
		return f.refused
	}
	f.begin()
	return f.emit(f.held)
}

// emit writes one event.
func (f *eventFilter) emit(event []byte) error {
	event, f.refused = f.rewritten(event)
	if f.refused != nil {
		return f.refused
	}
	return f.send(event)
}

func (f *eventFilter) send(text []byte) error {
	if f.mark {
		text, f.mark = slices.Concat(byteOrderMark, text), false
	}
	_, err := f.out.Write(text)
	return err
}

// rewritten returns what becomes of one event.
func (f *eventFilter) rewritten(event []byte) ([]byte, error) {
	name, data := eventFields(event)
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
