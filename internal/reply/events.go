package reply

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// MaxHeld bounds what of an answer is held back to be looked at, in bytes.
const MaxHeld = 16 << 20

// Sizes of the buffer of an event stream: what is taken at a time, and what
// is kept for the next event.
const (
	eventPiece  = 64 << 10
	eventBuffer = 256 << 10
	eventMargin = 1 << 10 // for what comes behind a long line
	eventEnd    = 32      // for what usually comes behind any line: the blank one
)

var errEventTooLarge = errors.New("an event that is too large")

// byteOrderMark may stand in front of an event stream and is not part of its
// first line (HTML Living Standard section 9.2.6).
var byteOrderMark = []byte("\ufeff")

// Events passes a stream of server-sent events on, each as soon as it is
// complete, with its data as the filter leaves it. Events that it does not change
// keep their bytes. A comment, which is how servers keep a connection alive, has
// no effect and waits for no event: it goes out as soon as its line has ended, in
// front of the event it stands in.
//
// Lines end as the standard has it, in a carriage return, a line feed or both. Many
// readers do not know the first alone, so each of these is given its line feed: what
// is judged is what every reader reads.
type Events struct {
	out io.Writer
	// rewrite returns the new data of an event: the same bytes to leave it, nil
	// to take the data out. It may make data shorter where that stands.
	rewrite func(event string, data []byte) ([]byte, error)
	limit   int // of an event or a comment, in bytes

	// free, if not nil, reports of the data of a long event that begins so that the rest need not
	// be waited for.
	free func(beginning []byte) bool

	held     []byte // the event under way
	line     int    // where its last line begins
	tail     Held   // what comes behind held, of a long line that has not ended
	returned bool   // the last byte was a carriage return: its line feed is given already
	begun    bool   // the first line is known
	mark     bool   // a byte order mark goes in front of what is sent first
	err      error  // why an event cannot be passed on: the stream is over

	asked  int  // how long the event under way was when free was asked
	passes bool // the event under way is not held any more
	edge   Edge // of what has passed of it
}

// Write takes a piece of the stream.
func (f *Events) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), eventPiece)]
		if len(piece) < len(rest) && !f.passes {
			f.reserve(rest)
		}
		rest = rest[len(piece):]
		if err := f.take(f.lineFeeds(piece)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// lineFeeds gives every carriage return its line feed, and takes the one that comes
// after it for that.
func (f *Events) lineFeeds(p []byte) []byte {
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
func (f *Events) take(piece []byte) error {
	if f.passes && f.err == nil {
		n := f.passed(piece)
		if _, err := f.out.Write(piece[:n]); err != nil {
			return err
		}
		piece = piece[n:]
	}
	for line := range bytes.SplitAfterSeq(piece, []byte("\n")) {
		if len(line) == 0 || f.err != nil {
			break
		}
		if err := f.add(line); err != nil {
			return err
		}
	}
	if f.free != nil && f.err == nil && f.Held() > max(eventPiece, 2*f.asked) {
		return f.ask()
	}
	return f.err
}

// reserve makes room for the rest of a line that is longer than a piece, once.
func (f *Events) reserve(text []byte) {
	if cap(f.held)-len(f.held) >= eventPiece {
		return
	}
	size := bytes.IndexByte(text, '\n') + 1
	if size == 0 {
		size = len(text)
	}
	if size > eventPiece {
		f.grow(min(size, f.limit) + eventMargin)
	}
}

// grow makes room for so many bytes more. It doubles: append would add a quarter at a time.
func (f *Events) grow(size int) {
	if size += len(f.held); size > cap(f.held) {
		held := make([]byte, len(f.held), max(size+eventEnd, 2*cap(f.held)))
		copy(held, f.held)
		f.held = held
	}
}

// add takes a line or a piece of one.
func (f *Events) add(text []byte) error {
	ends := text[len(text)-1] == '\n'
	if f.tail.Len() > 0 || !ends && len(f.held)+len(text) > max(cap(f.held), eventBuffer) {
		_, _ = f.tail.Write(text)
	} else {
		f.grow(len(text))
		f.held = append(f.held, text...)
	}
	if f.Held() > f.limit {
		f.err = errEventTooLarge
		return f.err
	}
	if !ends {
		return nil
	}
	f.join()
	return f.endLine()
}

// join puts all that is held into one piece.
func (f *Events) join() {
	if f.tail.Len() == 0 {
		return
	}
	f.grow(f.tail.Len() + eventMargin)
	for _, part := range f.tail.parts() {
		f.held = append(f.held, part...)
	}
	f.tail = Held{}
}

// endLine looks at the last line of what is held, which has ended.
func (f *Events) endLine() error {
	f.begin()
	line := f.held[f.line:]
	blank := line[0] == '\n' || line[0] == '\r'
	switch {
	case line[0] == ':', blank && f.line == 0:
		f.keep(f.line)
		return f.send(line)
	case blank:
		event := f.held
		f.asked = 0
		f.keep(0)
		return f.emit(event)
	default:
		f.line = len(f.held)
	}
	return nil
}

// begin takes the byte order mark off the first line.
func (f *Events) begin() {
	if !f.begun && bytes.HasPrefix(f.held, byteOrderMark) {
		f.held, f.mark = f.held[len(byteOrderMark):], true
	}
	f.begun = true
}

// ask lets a long event go on if it is free.
func (f *Events) ask() error {
	f.join()
	f.begin()
	f.asked = len(f.held)
	if _, data, _ := eventFields(f.held); !f.free(bytes.Join(data, []byte("\n"))) {
		return nil
	}
	f.passes, f.edge = true, Edge{}
	f.edge.Pass(f.held)
	err := f.send(f.held)
	f.held, f.line, f.asked = nil, 0, 0
	return err
}

// passed returns how much of a piece belongs to the event that is not held.
func (f *Events) passed(piece []byte) (n int) {
	for n < len(piece) && f.passes {
		line := piece[n:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		f.edge.Pass(line)
		n += len(line)
		f.passes = !f.edge.Between()
	}
	return n
}

// keep drops what has been passed on, and a buffer that something large needed.
func (f *Events) keep(size int) {
	f.held, f.line = f.held[:size], size
	if cap(f.held) > eventBuffer && size <= eventBuffer/2 {
		f.held = bytes.Clone(f.held)
	}
}

// Held returns how many bytes of the event under way are held back.
func (f *Events) Held() int { return len(f.held) + f.tail.Len() }

// Fail ends the stream, unless it has ended: nothing more is passed on.
func (f *Events) Fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// Err returns why the stream has ended early. That the client has gone is no such reason.
func (f *Events) Err() error { return f.err }

// Close is called at the end of the stream. An event without its blank line is
// none by the standard, but some clients take it for one: it is passed on as
// the others are.
func (f *Events) Close() error {
	if f.err != nil || f.Held() == 0 {
		return f.err
	}
	f.join()
	f.begin()
	return f.emit(f.held)
}

// emit writes one event.
func (f *Events) emit(event []byte) error {
	event, f.err = f.rewritten(event)
	if f.err != nil {
		return f.err
	}
	return f.send(event)
}

func (f *Events) send(text []byte) error {
	if f.mark {
		text, f.mark = slices.Concat(byteOrderMark, text), false
	}
	_, err := f.out.Write(text)
	return err
}

// rewritten returns what becomes of one event.
func (f *Events) rewritten(event []byte) ([]byte, error) {
	name, data, at := eventFields(event)
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
	size := len(before)
	after, err := f.rewrite(name, before)
	switch {
	case err != nil, after != nil && bytes.Equal(before, after):
	case len(data) == 1 && fitsData(event, at, size, after):
		end := at + copy(event[at:], after)
		event = append(event[:end], event[at+size:]...)
	default:
		event = replaceData(event, after)
	}
	return event, err
}

// fitsData reports whether new data can stand where the only line of data has its value: so many bytes at
// that place.
func fitsData(event []byte, at, size int, data []byte) bool {
	return data != nil && len(data) <= size && event[at-1] == ' ' && at+size < len(event) && bytes.IndexByte(data, '\n') < 0
}

// eventFields returns what an event, or the beginning of one, is called, its lines of data, and where the
// value of the last of them begins.
func eventFields(event []byte) (name string, data [][]byte, at int) {
	begins := 0 // the line
	for line := range bytes.SplitSeq(event, []byte("\n")) {
		next := begins + len(line) + 1
		line = bytes.TrimSuffix(line, []byte("\r"))
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			data = append(data, value)
			at = begins + len(line) - len(value)
		}
		begins = next
	}
	return name, data, at
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

// Edge follows the bytes of an event stream and knows whether they end
// Between two events: what is cut elsewhere cannot be made whole by anything that
// is put behind it.
type Edge struct {
	inside bool // a line of an event has been passed, and not the blank one that ends it
	line   lineState
}

// lineState is how much of a line has been passed.
type lineState uint8

const (
	lineStart   lineState = iota
	lineReturn            // nothing but a carriage return
	lineComment           // it begins with a colon
	lineField
)

// Pass takes the next bytes of the stream.
func (e *Edge) Pass(data []byte) {
	for {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		if len(line) > 0 {
			e.begin(line)
		}
		if !ended {
			return
		}
		if e.line == lineStart || e.line == lineReturn {
			e.inside = false
		}
		e.line, data = lineStart, rest
	}
}

// begin takes a piece of a line. A carriage return that ends a line alone is
// none here: the event stays open.
func (e *Edge) begin(piece []byte) {
	switch {
	case e.line == lineStart && piece[0] == ':':
		e.line = lineComment
	case e.line == lineStart && string(piece) == "\r":
		e.line = lineReturn
	case e.line == lineStart || e.line == lineReturn:
		e.line, e.inside = lineField, true
	}
}

// Between reports whether the bytes so far are whole events.
func (e *Edge) Between() bool { return !e.inside && e.line == lineStart }
