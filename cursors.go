package mcpauth

import (
	"errors"
	"slices"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// A server writes into a cursor what it likes, and both Go SDKs write the name of an
// entry, which may be a hidden one. Where a page ends also tells how many hidden
// ones it has: whoever can ask for a page after any name finds theirs, letter by
// letter. So a cursor goes out sealed, and none comes in that was not.

// maxCursor bounds the cursor of a handler, in bytes as it stands in JSON.
const maxCursor = 64 << 10

var errCursorTooLong = errors.New("a cursor that is too long")

// nextCursor is the member of a result that says how a list goes on. Readers that
// ignore case take others for it.
var nextCursor = []byte("nextCursor")

// page is the cursor of a request for more of a list.
type page struct {
	method string
	cursor jsonrpc.Cursor
}

func isListMethod(method string) bool {
	return slices.ContainsFunc(lists, func(l listing) bool { return l.method == method })
}

// listMethod returns the list that is asked for, "" for none.
func (x *exchange) listMethod() string {
	for i := range x.calls {
		if method := listOf(x.calls[i].Method, x.calls[i].Name); method != "" {
			return method
		}
	}
	return ""
}

// listOf returns the list that a method asks for, "" for none. One on tasks that names none may list
// them, whatever it is called.
func listOf(method, name string) string {
	switch {
	case isListMethod(method):
		return method
	case isTaskMethod(method) && name == "":
		return "tasks/list"
	}
	return ""
}

// addPage notes the cursor of a message. An empty one is none.
func (req *request) addPage(msg *jsonrpc.Message) {
	c := &msg.Cursor
	if c.State == jsonrpc.Absent || c.State == jsonrpc.String && len(c.Value) == 0 {
		return
	}
	if method := listOf(msg.Method, string(msg.TaskID.Value)); method != "" {
		req.pages = append(req.pages, page{method, *c})
	}
}

// openCursors puts the cursors of the handler in the place of those that were
// sealed. Nothing else of the body changes.
func (m *Middleware) openCursors(x *exchange) *refusal.Refusal {
	if len(x.pages) == 0 {
		return nil
	}
	edits := make([]edit, 0, len(x.pages))
	for _, p := range x.pages {
		text, ok := m.cursors.Open(string(p.cursor.Value), x.principal.caller().Binding(p.method))
		if p.cursor.State != jsonrpc.String || !ok {
			return refusal.New(refusal.UnknownCursor, p.method+" cursor", "", "one that this principal and client got from this list")
		}
		edits = append(edits, edit{p.cursor.From, p.cursor.To, text})
	}
	if size := len(x.body); size > maxPooled && !x.hold(&x.held.body, cap(x.body)+size) { // the first one is kept for its id
		return denyHeld()
	}
	x.body = edited(x.body, edits)
	return nil
}

// sealCursor returns what stands for a cursor, which is JSON, as JSON. Null and an empty
// string are none. One of a replayed page that does not show its list is sealed for no list: nobody
// can go on from it.
func (m *Middleware) sealCursor(p *Principal, method string, cursor []byte) ([]byte, error) {
	switch {
	case string(cursor) == "null" || string(cursor) == `""`:
		return cursor, nil
	case len(cursor) > maxCursor:
		return nil, errCursorTooLong
	}
	return []byte(`"` + m.cursors.Seal(cursor, p.caller().Binding(method)) + `"`), nil
}
