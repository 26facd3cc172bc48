// Package overhear notices which tasks begin in JSON-RPC answers that pass by, in pieces of
// any size. It keeps a few names and ids of a message and never the message, so that an
// answer needs neither to be held back nor to be short.
package overhear

import (
	"bytes"
	"errors"
)

// MaxID bounds an id that is looked at, in bytes as it is written.
const MaxID = 6*512 + 2

// Why a task that an answer names is not told.
var (
	ErrLongID  = errors.New("the id of the task is longer than 512 bytes")
	ErrNotJSON = errors.New("the answer that names it is not one message in strict JSON")
)

// Answer is what is kept of a JSON-RPC response, a result or an error.
type Answer struct {
	ID    []byte   // of the request, as it is written; nil for what is no text or number
	Tasks []string // the ids of tasks that begin: result.task.taskId (2025-11-25), result.taskId (tasks extension)
	Flaw  error    // why there may be one more
}

// Listener hears the answers in a JSON text, or in the data of an event stream.
type Listener struct {
	events bool
	line   line
	text   scanner
}

// Start begins to listen, to an event stream or to one JSON text. Every answer is
// given to heard when it is complete, and is good until that returns.
func (l *Listener) Start(events bool, heard func(Answer)) {
	*l = Listener{events: events, line: line{first: true}, text: scanner{heard: heard}}
}

// Pass takes the next bytes.
func (l *Listener) Pass(p []byte) {
	if !l.events {
		l.text.pass(p)
		return
	}
	for len(p) > 0 {
		p = l.passLine(p)
	}
}

// line is how far a line of an event stream has come (HTML Living Standard section 9.2.6).
type line struct {
	field [len("\ufeffdata") + 1]byte // the beginning of its name
	n     int                         // bytes of the name, as far as they have room
	value bool                        // behind the colon
	data  bool                        // and it is a line of data
	first bool                        // of the stream: a byte order mark may stand in front
	cr    bool                        // the line before has ended with a carriage return
}

// passLine takes what p has of one line, and returns the rest.
func (l *Listener) passLine(p []byte) (rest []byte) {
	if l.line.cr && p[0] == '\n' {
		l.line.cr = false
		return p[1:]
	}
	l.line.cr = false
	if l.line.value {
		piece := p[:min(len(p), 1<<10)] // so that nobody looks far for a line feed again and again
		end := bytes.IndexByte(piece, '\n')
		if end >= 0 {
			piece = piece[:end]
		}
		if cr := bytes.IndexByte(piece, '\r'); cr >= 0 {
			piece, end = piece[:cr], cr
		}
		if l.line.data {
			l.text.pass(piece)
		}
		if end < 0 {
			return p[len(piece):]
		}
		l.endLine(p[end])
		return p[end+1:]
	}
	switch c := p[0]; c {
	case ':':
		l.line.value, l.line.data = true, string(l.name()) == "data"
	case '\r', '\n':
		l.endLine(c)
	default:
		if l.line.n < len(l.line.field) {
			l.line.field[l.line.n] = c
			l.line.n++
		}
	}
	return p[1:]
}

func (l *Listener) name() []byte {
	name := l.line.field[:l.line.n]
	if l.line.first {
		name = bytes.TrimPrefix(name, []byte("\ufeff"))
	}
	return name
}

// endLine ends a line of data, or with an empty one the event.
func (l *Listener) endLine(with byte) {
	switch {
	case l.line.data:
		l.text.pass([]byte{'\n'})
	case l.line.n == 0 && !l.line.value:
		l.text = scanner{heard: l.text.heard, kept: l.text.kept}
	}
	l.line = line{cr: with == '\r'}
}
