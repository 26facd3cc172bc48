// Package reply edits a handler's answer as it passes: event streams, lists.
//
// It decides nothing. What the one who gets the answer may use or hear of, a [Receiver] says. What
// cannot be read, and may be for somebody else, is not passed on.
package reply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Receiver decides for the one who gets an answer. Methods are those of MCP.
type Receiver interface {
	// Shows reports whether the receiver is shown an entry of a list. The list is named by the
	// method that asks for it, and the entry is for calls of method on name.
	Shows(list, method, name string) bool
	// Hears reports whether the receiver may hear of name, as who may call method on it.
	// A name that is in doubt is "".
	Hears(method, name string) bool
	// Seal returns what stands for the handler's cursor, which is JSON, of a list: letters, digits, "-" and
	// "_". The list is "" for a result that does not show of which it is.
	Seal(list string, cursor []byte) string
	// Endpoint returns what stands for a message endpoint of the HTTP+SSE transport, a URI reference.
	Endpoint(uri string) string
	// Unreadable is told what is left out because it cannot be read: an entry of a list, or a
	// message on a stream, which is for no list.
	Unreadable(list string, err error)
}

// Filter takes out of a handler's answer what is not for its receiver.
type Filter struct {
	Context  context.Context // of the request; once it is over, nobody is asked any more
	Receiver Receiver
	Asked    string // the list method of the request, "" for none
	Paged    bool   // the handler was given a cursor of its own, which an error may quote
	Replays  bool   // it is a stream of the server's own, which may answer earlier requests

	Ahead func(names []string) // if not nil, is told of tasks in a list, many at a time, before the Receiver is asked about each, and of none after that

	Doubt error // set by the Receiver when nobody knows what it is shown: the answer is withheld

	dropped bool // the message was, or had, something that is not for this receiver
	tells   bool // the message has, or a message of the batch, a method
}

// ErrOver is the error of an answer whose request ended before all of it was looked at.
var ErrOver = errors.New("the request ended before all of its answer was looked at")

var (
	errNotAMessage = errors.New("not one JSON-RPC message in strict JSON")
	errQuotes      = errors.New("an error that may quote a cursor, and is no JSON-RPC message")
)

// Stream returns the writer of an event stream whose lists are filtered.
func (f *Filter) Stream(out io.Writer) *Events {
	rewrite := func(event string, data []byte) ([]byte, error) {
		if event = strings.TrimSpace(event); event == "endpoint" {
			return []byte(f.Receiver.Endpoint(string(data))), nil
		}
		return f.event(event, data)
	}
	return &Events{out: out, rewrite: rewrite, limit: MaxHeld}
}

// Notices returns the writer of an event stream that has no lists: only what it tells of is for some.
// It holds no long event back that is not judged.
func (f *Filter) Notices(out io.Writer) *Events {
	hear := func(_ string, data []byte) ([]byte, error) { return f.hear(data) }
	return &Events{out: out, rewrite: hear, limit: MaxHeld, free: isFree}
}

// Answer filters an answer that is no event stream, where it stands. It may have any status: an error may tell as much as a
// list, since a handler that is given back its own cursor may quote it. With the status of an error, what is no
// message, and can have no list, passes.
func (f *Filter) Answer(body []byte, isError bool) ([]byte, error) {
	filtered, err := f.message(body)
	switch {
	case err == nil || errors.Is(err, ErrOver) || !isError:
		return filtered, err
	case f.Paged:
		return nil, errQuotes
	case mayAnswer(body):
		return nil, err
	}
	return body, nil
}

// event filters the data of one event; nil leaves it out.
func (f *Filter) event(event string, data []byte) ([]byte, error) {
	if bytes.IndexByte(data, '{') < 0 { // no message, and no entry of a list
		return data, nil
	}
	filtered, err := f.message(data)
	switch {
	case err == nil || errors.Is(err, ErrOver):
	case event != "" && event != "message" && f.Doubt == nil:
		return data, nil // it is no message, and need not be JSON
	case f.Replays || !mayAnswer(data): // and nobody waits for this message
		f.Receiver.Unreadable("", err)
		return nil, nil
	}
	return filtered, err
}

// message filters a JSON-RPC response, or a batch of them, where it stands. Whatever cannot be read
// strictly is an error: a list that is not understood is not passed on. Of a
// notification that is not for this receiver nothing is left, nil.
func (f *Filter) message(raw []byte) ([]byte, error) {
	r := strictjson.NewReader(raw, limits)
	var edits []edit
	var err error
	f.tells = false
	if r.Kind() == strictjson.Array {
		edits, err = f.batch(r)
	} else {
		edits, err = f.response(r, nil)
	}
	if err == nil {
		err = r.End()
	}
	switch {
	case errors.Is(err, ErrOver):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotAMessage, err)
	case len(edits) > 0:
		raw = edited(raw, edits)
	}
	if !f.tells && (!f.Replays || !mayRelate(raw)) {
		return raw, nil // all of it is answers: it has been read strictly, and there are no messages inside
	}
	return f.hear(raw)
}

// goesOn returns an error once the request is over, because its client has left or its
// time is up. Then nobody is asked any more, and an answer that came after that counts for
// nothing: who was asked may have given up, too. Nor does an answer in doubt go on.
func (f *Filter) goesOn() error {
	if err := f.Context.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	return f.Doubt
}

// mayAnswer reports whether some reader may find a result in a text that we cannot read.
func mayAnswer(text []byte) bool {
	text = bytes.TrimPrefix(text, byteOrderMark)
	return isMessage(text) && (bytes.Contains(bytes.ToUpper(text), []byte("RESULT")) || bytes.Contains(text, []byte(`\u`)))
}

// isMessage reports whether a text begins as a JSON-RPC message or a batch does.
func isMessage(text []byte) bool {
	start := skipJSONSpace(text, 0)
	return start < len(text) && (text[start] == '{' || text[start] == '[')
}
