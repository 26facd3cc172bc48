package mcpauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// listing is one kind of list that a server answers with.
type listing struct {
	method string // that asks for it
	member string // of the result that holds the entries
	naming string // member of an entry that says what it is about
	use    Call   // the call that an entry is for
}

var lists = []listing{
	{"tools/list", "tools", "name", Call{Method: "tools/call", Kind: KindTool}},
	{"prompts/list", "prompts", "name", Call{Method: "prompts/get", Kind: KindPrompt}},
	{"resources/list", "resources", "uri", Call{Method: "resources/read", Kind: KindResource}},
	{"tasks/list", "tasks", "taskId", Call{Method: "tasks/get", Kind: KindMethod}},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", Call{Method: "resources/read", Kind: KindResource}},
}

// listFilter takes out of a response what its receiver may not use.
type listFilter struct {
	ctx       context.Context
	m         *Middleware
	principal *Principal
	replays   bool   // answers to earlier requests, which are judged as they are sent
	asked     string // the list method of the request, "" for none
	paged     bool   // the handler was given a cursor of its own
	dropped   bool   // the message was, or had, something that is not for this caller
}

var (
	errNotAMessage = errors.New("not one JSON-RPC message in strict JSON")
	errNotAList    = errors.New("a list that is no array")
	errOtherCase   = errors.New("a result or a list under another spelling of its name")
	errOver        = errors.New("the request ended before all of its answer was looked at")
)

// listLimits bound a response that is looked at.
var listLimits = strictjson.Limits{Depth: strictjson.MaxDepth, Members: maxHeld}

// edit replaces bytes of a message.
type edit struct {
	from, to int
	with     []byte
}

// message filters a JSON-RPC response, or a batch of them. Whatever cannot be read
// strictly is an error: a list that is not understood is not passed on. Of a
// notification that is not for this caller nothing is left, nil.
func (f *listFilter) message(raw []byte) ([]byte, error) {
	r := strictjson.NewReader(raw, listLimits)
	var edits []edit
	var err error
	f.dropped = false
	if r.Kind() == strictjson.Array {
		edits, err = f.batch(r)
	} else {
		edits, err = f.response(r, nil)
	}
	if err == nil {
		err = r.End()
	}
	switch {
	case errors.Is(err, errOver):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotAMessage, err)
	case len(edits) > 0:
		raw = edited(raw, edits)
	}
	return f.hear(raw)
}

// edited returns a copy with the edits, which are in order.
func edited(raw []byte, edits []edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(raw[at:e.from])
		out.Write(e.with)
		at = e.to
	}
	out.Write(raw[at:])
	return out.Bytes()
}

func (f *listFilter) batch(r *strictjson.Reader) (edits []edit, err error) {
	_ = r.Array() // an error stays, and Element returns it
	for {
		more, err := r.Element()
		if err != nil || !more {
			return edits, err
		}
		if edits, err = f.response(r, edits); err != nil {
			return nil, err
		}
	}
}

// response looks for the result of one message.
func (f *listFilter) response(r *strictjson.Reader, edits []edit) ([]edit, error) {
	if err := r.Object(); err != nil {
		return nil, err
	}
	for {
		name, more, err := r.Member()
		if err != nil || !more {
			return edits, err
		}
		switch {
		case string(name) == "result" && r.Kind() == strictjson.Object:
			edits, err = f.result(r, edits)
		case string(name) != "result" && strings.EqualFold(string(name), "result"):
			return nil, errOtherCase
		default:
			var raw []byte
			if raw, err = r.Pass(); err == nil && f.paged && strings.EqualFold(string(name), "error") {
				edits = append(edits, edit{r.Offset() - len(raw), r.Offset(), wordless(raw)})
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// goesOn returns an error once the request is over, because its client has left or its
// time is up. Then nobody is asked any more, and an answer that came after that counts for
// nothing: who was asked may have given up, too.
func (f *listFilter) goesOn() error {
	if err := f.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errOver, err)
	}
	return nil
}

// admits reports whether the caller's request for a call would be let through.
func (f *listFilter) admits(call Call) bool {
	if call.Name == "" {
		return false
	}
	calls, notOwn := f.m.withTaskCalls([]Call{call}, f.principal)
	return notOwn == nil && f.m.policy.decide(f.ctx, f.principal, calls) == nil
}

// result filters the lists of one result and seals its cursor.
func (f *listFilter) result(r *strictjson.Reader, edits []edit) ([]edit, error) {
	_ = r.Object() // an error stays, and Member returns it
	first, method := len(edits), f.asked
	var cursors []edit // of what follows, as the handler wrote it
	for {
		name, more, err := r.Member()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if i := slices.IndexFunc(lists, func(l listing) bool { return l.member == string(name) }); i >= 0 {
			if edits, err = f.list(r, &lists[i], edits); err != nil {
				return nil, err
			}
			method = lists[i].method
			continue
		}
		if slices.ContainsFunc(lists, func(l listing) bool { return strings.EqualFold(l.member, string(name)) }) {
			return nil, errOtherCase
		}
		raw, err := r.Pass()
		if err != nil {
			return nil, err
		}
		if bytes.EqualFold(name, nextCursor) {
			cursors = append(cursors, edit{r.Offset() - len(raw), r.Offset(), raw})
		}
	}
	for _, cursor := range cursors {
		sealed, err := f.m.sealCursor(f.principal, method, cursor.with)
		if err != nil {
			return nil, err
		}
		edits = append(edits, edit{cursor.from, cursor.to, sealed})
	}
	slices.SortStableFunc(edits[first:], func(a, b edit) int { return a.from - b.from })
	return edits, nil
}

// list filters one list, and adds an edit if something has to go. Null has no entries.
func (f *listFilter) list(r *strictjson.Reader, l *listing, edits []edit) ([]edit, error) {
	switch err := r.Array(); {
	case err == nil:
	case r.Kind() == strictjson.Null:
		return edits, r.Null()
	case errors.Is(err, strictjson.ErrKind):
		return nil, errNotAList
	default:
		return nil, err
	}
	e := edit{from: r.Offset() - 1, with: []byte{'['}}
	whole := true
	for {
		if err := f.goesOn(); err != nil {
			return nil, err
		}
		more, err := r.Element()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		raw, err := r.Pass()
		if err != nil {
			return nil, err
		}
		if !f.shows(raw, l) {
			whole = false
			continue
		}
		if len(e.with) > 1 {
			e.with = append(e.with, ',')
		}
		e.with = append(e.with, raw...)
	}
	if whole {
		return edits, nil
	}
	e.to = r.Offset()
	e.with = append(e.with, ']')
	return append(edits, e), nil
}

// shows reports whether the caller may use an entry, or may see that it exists.
func (f *listFilter) shows(entry []byte, l *listing) bool {
	call := l.use
	if call.Name = textOf(entry, l.naming); call.Name == "" {
		f.m.log.Error("mcpauth: an entry of a list is left out because it has no name that can be read", "list", l.method)
		return false
	}
	if isTaskMethod(call.Method) {
		return f.admits(call) // a task tells more than that it exists
	}
	ctx := f.ctx
	if l.naming == "uriTemplate" {
		ctx = context.WithValue(ctx, aboutTemplate{}, true)
	}
	return f.m.policy.shows(ctx, f.principal, call)
}

// textOf returns a string member of an object, "" if there is none, and if the object has a
// name twice, or this one in another case. An entry may be as large as a list.
func textOf(object []byte, name string) (text string) {
	var r strictjson.Reader
	r.Reset(object, listLimits)
	if r.Object() != nil {
		return ""
	}
	for {
		member, more, err := r.Member()
		switch {
		case err != nil:
			return ""
		case !more:
			return text
		case string(member) == name && r.Kind() == strictjson.String:
			s, _ := r.String()
			text = string(s)
		case string(member) != name && strings.EqualFold(string(member), name):
			return "" // a reader that ignores case may take this one
		default:
			_, _ = r.Pass() // an error stays, and Member returns it
		}
	}
}
