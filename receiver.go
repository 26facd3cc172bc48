package mcpauth

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/reply"
)

// receiver is the one who gets an answer. What it is shown, and hears of, is decided as its requests are.
type receiver struct {
	x      *exchange
	query  string             // of the request, as the handler sees it
	filter reply.Filter       // of the answer
	spent  time.Duration      // by the store, on the entries of lists
	known  map[string]ownTask // of those that are decided about
}

// ownTask says whether a task is the principal's, and how it began it. The error says that nobody knows.
type ownTask struct {
	began owned.Begun[taskCall]
	own   bool
	err   error
}

// newFilter returns what takes out of the answer what is not for the principal. That of a call
// announces no endpoint.
func (x *exchange) newFilter() *reply.Filter { return x.filterFor("") }

// filterFor is newFilter for a request with this query.
func (x *exchange) filterFor(query string) *reply.Filter {
	r := &receiver{x: x, query: query}
	r.filter = reply.Filter{Context: &x.ctx, Receiver: r, Asked: x.listMethod(), Paged: x.pages != nil, Replays: x.isStream()}
	if x.g.bindsTasks && x.m.owned.tasks.IsCommon() {
		r.filter.Ahead = r.ask
	}
	return &r.filter
}

// ask asks the store about the tasks of a list. All lists of an answer have the time of one request. On a stream each look-up
// has its own: what is left out is the entry of which nobody knows, and no other.
func (r *receiver) ask(names []string) {
	if r.known = nil; len(names) == 0 {
		return
	}
	ctx, fail, done := r.filter.Context, func(error) {}, func() {}
	if !r.x.isStream() {
		ctx, fail, done = asOne(ctx, storeTimeout-r.spent)
	}
	defer done()
	began := time.Now()
	r.known = r.x.m.owned.ask(ctx, fail, r.x.principal.caller(), names)
	r.spent += time.Since(began)
}

// maxAsked bounds the calls of the store that one request, or its answer, has under way.
const maxAsked = 16

// asOne has all look-ups of a request, or of an answer, end with its time, and with the first that fails.
func asOne(ctx context.Context, left time.Duration) (all context.Context, fail func(error), done func()) {
	ctx, done = context.WithTimeout(ctx, left)
	all, fail = context.WithCancelCause(ctx)
	return all, fail, done
}

// ask asks the store about tasks, many at a time: what names as many as one may have is not to take longer than there is time.
// fail is told of each look-up that fails.
func (o *belongings) ask(ctx context.Context, fail func(error), c owned.Caller, ids []string) map[string]ownTask {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	answers := make([]ownTask, len(ids))
	one := func(i int64) {
		if answers[i] = o.taskOf(ctx, c, nil, ids[i]); answers[i].err != nil {
			fail(answers[i].err)
		}
	}
	one(0) // alone: a store that has been away is asked by one at first
	var last atomic.Int64
	var all sync.WaitGroup
	for range min(maxAsked, len(ids)-1) {
		all.Go(func() {
			for i := last.Add(1); i < int64(len(ids)); i = last.Add(1) {
				one(i)
			}
		})
	}
	all.Wait()
	known := make(map[string]ownTask, len(ids))
	for i, id := range ids {
		if why := context.Cause(ctx); why != nil && answers[i].err != nil {
			answers[i].err = why // of the first that has failed, not that the others have ended with it
		}
		known[id] = answers[i]
	}
	return known
}

// askAhead asks the store about all tasks that a request names.
func (o *belongings) askAhead(ctx context.Context, x *exchange) map[string]ownTask {
	if !x.g.bindsTasks || !o.tasks.IsCommon() {
		return nil
	}
	var ids []string
	for i := range x.calls {
		if isOnTask(x.calls[i]) {
			ids = append(ids, x.calls[i].Name)
		}
	}
	if ids == nil {
		return nil
	}
	ctx, fail, done := asOne(ctx, storeTimeout)
	defer done()
	return o.ask(ctx, fail, x.principal.caller(), ids)
}

// taskOf is what is known of a task, or what the store says of it when it is asked about that alone.
func (o *belongings) taskOf(ctx context.Context, c owned.Caller, known map[string]ownTask, id string) ownTask {
	if told, is := known[id]; is {
		return told
	}
	if o.tasks.IsCommon() {
		bounded, done := context.WithTimeout(ctx, storeTimeout)
		defer done()
		ctx = bounded
	}
	began, own, err := o.tasks.Of(ctx, c, id)
	return ownTask{began, own, err}
}

// Shows reports whether the principal may use an entry of a list, or may see that it exists.
func (r *receiver) Shows(list, method, name string) bool {
	call := Call{Method: method, Kind: Kind(mcp.KindOf(method)), Name: name}
	if mcp.IsTask(method) { // a task tells more than that it exists
		return r.showsTask(call)
	}
	ctx := r.filter.Context
	if list == "resources/templates/list" {
		ctx = context.WithValue(ctx, aboutTemplate{}, true)
	}
	return r.x.current().policy.shows(ctx, r.x.lease.holder(), call)
}

// Hears reports whether the principal may hear of what a notification names. Since it
// subscribed, or the call began on whose stream it comes, the policy may have changed.
func (r *receiver) Hears(method, name string) bool {
	may, _ := r.admits(r.x.m.generation(), Call{Method: method, Kind: Kind(mcp.KindOf(method)), Name: name})
	return may // what nobody knows is left out
}

// showsTask is Shows for a task. Without entries of which nobody knows, a list would say that there are no tasks: it is withheld. Of what
// lasts they are left out, and what follows is shown.
func (r *receiver) showsTask(call Call) bool {
	may, err := r.admits(r.x.current(), call)
	if err != nil && !r.x.isStream() {
		r.filter.Doubt = doubtStore(err)
	}
	return may
}

// admits reports whether a configuration would let the principal's request for a call through. The error says that nobody knows.
func (r *receiver) admits(g *generation, call Call) (bool, error) {
	if call.Name == "" {
		return false, nil
	}
	o := &r.x.m.owned
	asked, err := o.tasksOf(g, []Call{call}, func(id string) ownTask { return o.taskOf(r.filter.Context, r.x.principal.caller(), r.known, id) })
	if err != nil {
		return false, err
	}
	return asked.notOwn == nil && g.policy.decide(r.filter.Context, r.x.lease.holder(), asked.calls, nil) == nil, nil
}

// Unreadable tells the operator what is left out.
func (r *receiver) Unreadable(list string, err error) {
	if list != "" {
		r.x.m.operator.log.Error("mcpauth: an entry of a list is left out because it has no name that can be read", "list", list)
		return
	}
	r.x.m.operator.log.Error("mcpauth: a message on a stream is left out because it cannot be read", "error", shownError(err))
}

// Endpoint binds the message endpoint of the HTTP+SSE transport to its principal.
func (r *receiver) Endpoint(uri string) string { return r.x.sealEndpoint(r.query, uri) }

// A server writes into a cursor what it likes, and both Go SDKs write the name of an
// entry, which may be a hidden one. Where a page ends also tells how many hidden
// ones it has: whoever can ask for a page after any name finds theirs, letter by
// letter. So a cursor goes out sealed, and none comes in that was not.

// Seal makes a cursor one that only its principal can send back, and for this list. One of a replayed page
// that does not show its list is sealed for no list: nobody can go on from it.
func (r *receiver) Seal(list string, cursor []byte) string {
	return r.x.m.owned.cursors[0].Seal(cursor, r.x.principal.caller().Binding(list))
}

// listMethod returns the list that is asked for, "" for none.
func (x *exchange) listMethod() string {
	for i := range x.calls {
		if method := mcp.ListOf(x.calls[i].Method, x.calls[i].Name); method != "" {
			return method
		}
	}
	return ""
}

// openCursor opens a cursor that was sealed under one of our keys.
func (o *belongings) openCursor(sealed string, binding []byte) (text []byte, ok bool) {
	for i := range o.cursors {
		if text, ok = o.cursors[i].Open(sealed, binding); ok {
			break
		}
	}
	return text, ok
}

// openCursors puts the cursors of the handler in the place of those that were
// sealed. Nothing else of the body changes.
func (o *belongings) openCursors(x *exchange) *refusal.Refusal {
	if x.pages == nil {
		return nil
	}
	pages := *x.pages
	opened := make([][]byte, 0, len(pages))
	for _, p := range pages {
		text, ok := o.openCursor(string(p.Cursor.Value), x.principal.caller().Binding(p.List))
		if p.Cursor.State != jsonrpc.String || !ok {
			return refusal.New(refusal.UnknownCursor, p.List+" cursor", "", "one that this principal and client got from this list")
		}
		opened = append(opened, text)
	}
	if size := len(x.body); size > maxPooled && !x.hold(&x.held.body, cap(x.body)+size) { // the first one is kept for its id
		return denyHeld()
	}
	var body bytes.Buffer
	at := 0
	for i, p := range pages {
		body.Write(x.body[at:p.Cursor.From])
		body.Write(opened[i])
		at = p.Cursor.To
	}
	body.Write(x.body[at:])
	onward.Change(&x.onward, func() { x.body = body.Bytes() })
	return nil
}
