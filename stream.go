package mcpauth

import (
	"bytes"
	"net/http"
	"strings"
)

// isStream reports whether the request asks for a stream that lives as long as
// the client likes.
func (x *exchange) isStream() bool {
	for _, call := range x.calls {
		if call.Method == streamMethod || call.Method == "subscriptions/listen" {
			return true
		}
	}
	return false
}

// endStream gives the place of a stream back.
func (m *Middleware) endStream(x *exchange) {
	by := ""
	if x.body != nil {
		by = x.tag
	}
	m.streams.End(x.principal.caller(), x.announced, by)
}

func isEventStream(h http.Header) bool {
	mediaType, _, _ := strings.Cut(first(h["Content-Type"]), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}

// eventEdge follows the bytes of an event stream and knows whether they end
// between two events: what is cut elsewhere cannot be made whole by anything that
// is put behind it.
type eventEdge struct {
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

// pass takes the next bytes of the stream.
func (e *eventEdge) pass(data []byte) {
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
func (e *eventEdge) begin(piece []byte) {
	switch {
	case e.line == lineStart && piece[0] == ':':
		e.line = lineComment
	case e.line == lineStart && string(piece) == "\r":
		e.line = lineReturn
	case e.line == lineStart || e.line == lineReturn:
		e.line, e.inside = lineField, true
	}
}

// between reports whether the bytes so far are whole events.
func (e *eventEdge) between() bool { return !e.inside && e.line == lineStart }
