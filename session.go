package mcpauth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/dpop"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/overhear"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/seal"
)

// belongings are what callers have here, whatever the configuration.
type belongings struct {
	sessions *owned.Sessions
	cursors  []seal.Sealer // by key, that in use in front
	streams  owned.Streams
	tasks    tasks
	running  owned.Running[*exchange]
	held     owned.Accounts // bytes, by caller
	lasts    lasting
	proofs   *dpop.Checker
}

// fingerprint tells two secrets apart in a record and is of no use otherwise.
func (o *belongings) fingerprint(use, secret string) string {
	return o.sessions.Fingerprint(use, secret)
}

// check verifies that the session of a request is the caller's, and so are the tasks that it names.
func (o *belongings) check(r *http.Request, x *exchange) *refusal.Refusal {
	if denied := o.checkSession(r, x); denied != nil {
		return denied
	}
	known := o.askAhead(r.Context(), x)
	asked, err := o.tasksOf(x.g, x.calls, func(id string) ownTask { return o.taskOf(r.Context(), x.principal.caller(), known, id) })
	if err != nil {
		return doubtStore(err)
	}
	x.calls, x.notOwn = asked.calls, asked.notOwn
	if u := x.unnamed; u != nil && u.alias != "" && asked.alias != "" {
		u.alias = asked.alias
	}
	return nil
}

// take is for a request that the policy allows: it opens cursors, and takes the place of a stream.
func (o *belongings) take(x *exchange) *refusal.Refusal {
	if x.notOwn != nil {
		return x.notOwn
	}
	if denied := o.openCursors(x); denied != nil {
		return denied
	}
	if x.isStream() {
		if x.placed = o.streams.Begin(x.principal.caller()); !x.placed {
			return refusal.New(refusal.TooManyStreams, "streams of this principal and client", "", "at most 32 at a time")
		}
	}
	return nil
}

// sealSession binds the session id that a response names to its principal. It
// leaves out the id of a response that begins no session: an error, one of the
// modern era, which has none, and an id that the client could not send back
// (2025-11-25, Session Management: visible ASCII).
func (o *belongings) sealSession(h http.Header, x *exchange, status int) {
	id := first(h["Mcp-Session-Id"])
	switch {
	case id == "":
		return
	case x.era == mcp.Modern || status >= 300 || x.unnamed != nil && id == x.unnamed.alias:
		h.Del("Mcp-Session-Id")
		return
	}
	sealed, ok := o.sessions.Seal(x.principal.caller(), id)
	if !ok {
		h.Del("Mcp-Session-Id")
		x.m.operator.log.Error("mcpauth: the handler's Mcp-Session-Id is not 1 to 4096 visible ASCII characters", "id", shown(id))
		return
	}
	h.Set("Mcp-Session-Id", sealed)
}

// checkSession verifies the session that a request names, in the header or, for
// the HTTP+SSE transport, in the query. A modern request has no header for it, and
// what begins a session is in none: there it is not looked at, and not passed on.
// The query is passed on whatever the era, and a handler may find a session by it.
func (o *belongings) checkSession(r *http.Request, x *exchange) *refusal.Refusal {
	if x.era == mcp.Modern {
		return o.checkModern(r, x)
	}
	values := r.Header["Mcp-Session-Id"]
	switch {
	case len(values) > 1:
		return refusal.New(refusal.InvalidRequest, "Mcp-Session-Id stands more than once", "", "")
	case len(values) == 1 && strings.Trim(values[0], " \t") != "" && !x.initializes():
		id, ok := o.sessions.Open(x.principal.caller(), values[0])
		if !ok {
			return refusal.New(refusal.UnknownSession, "Mcp-Session-Id", "", "a session that this principal began here, by this client")
		}
		x.session = id
	}
	if denied := o.checkEndpointSession(r, x); denied != nil || x.session != "" {
		return denied
	}
	return o.checkUnnamed(r, x)
}

// checkModern is checkSession for the modern era.
func (o *belongings) checkModern(r *http.Request, x *exchange) *refusal.Refusal {
	if denied := o.checkEndpointSession(r, x); denied != nil {
		return denied
	}
	switch {
	case !mcp.IsModern(r.Header):
		return o.checkUnnamed(r, x) // some server may take it for a legacy one
	case x.tells && x.calls[0].Method == mcp.Cancelled:
		// A server that keeps all modern requests in one place would end anybody's of that
		// id. A client ends its own when it closes the response.
		x.unnamed = &unnamed{ours: true}
	}
	return nil
}

func (x *exchange) initializes() bool {
	for _, call := range x.calls {
		if call.Method == "initialize" {
			return true
		}
	}
	return false
}

// sealEndpoint binds the message endpoint that a stream announces to its caller. The first one is
// that of the stream.
func (x *exchange) sealEndpoint(asked, reference string) string {
	o := &x.m.owned
	sealed, tag := o.sessions.SealEndpoint(x.principal.caller(), asked, reference)
	if x.isStream() && x.announced == "" {
		x.announced = tag
		o.streams.Announce(tag)
	}
	return sealed
}

// checkEndpointSession verifies that the session or the endpoint in a query is the caller's.
func (o *belongings) checkEndpointSession(r *http.Request, x *exchange) *refusal.Refusal {
	query, tag, ok := o.sessions.OpenEndpoint(x.principal.caller(), r.URL)
	switch {
	case !ok:
		return refusal.New(refusal.UnknownSession, "the session in the query", "", "a session that this principal began here, by this client")
	case tag != "":
		x.query = &tagged{query, tag}
	}
	return nil
}

// tasks remembers who began which task with which call.
type tasks struct {
	*owned.Tasks[taskCall]
	coded sync.Once // the operator has been told of compressed answers
}

// taskCall is the call that began a task, without its arguments.
type taskCall struct {
	Method string `json:"m,omitempty"`
	Kind   Kind   `json:"k,omitempty"`
	Name   string `json:"n,omitempty"`
	Bare   bool   `json:"b,omitempty"` // it had arguments, at which rules do not look
}

func callOf(b owned.Begun[taskCall]) Call {
	return Call{Method: b.Call.Method, Kind: b.Call.Kind, Name: b.Call.Name, Arguments: b.Arguments}
}

// tasksAsked is what is known of the tasks that calls are on.
type tasksAsked struct {
	calls  []Call           // with those that began the tasks
	notOwn *refusal.Refusal // that a task is not the caller's
	alias  string           // under which the task of the first call was begun, "" if it has a session
}

// isOnTask reports whether a call names a task.
func isOnTask(call Call) bool { return mcp.IsTask(call.Method) && call.Name != "" }

// tasksOf lets a principal use only the tasks that it began here, and
// only while it may make the calls that began them: these are added to the
// calls on tasks. The refusal is the same for somebody else's task and for one
// that never was. Requests, lists and notifications are all decided by it. The error says that nobody knows.
func (o *belongings) tasksOf(g *generation, calls []Call, of func(id string) ownTask) (asked tasksAsked, err error) {
	asked.calls = calls
	if !g.bindsTasks {
		return asked, nil
	}
	for i, call := range calls {
		if !isOnTask(call) {
			continue
		}
		task := of(call.Name)
		switch {
		case task.err != nil:
			return asked, task.err
		case !task.own || task.began.Call.Bare && !g.policy.isDeclared(): // code may look at what nobody has kept
			asked.notOwn = refusal.New(refusal.UnknownTask, "taskId", call.Name, "a task that this principal began here")
			continue
		}
		if i == 0 {
			asked.alias = task.began.Alias
		}
		asked.calls = append(asked.calls, callOf(task.began))
	}
	return asked, nil
}

// storeTimeout bounds what one request, or one answer, waits for the store.
const storeTimeout = 500 * time.Millisecond

// doubtStore is the refusal where nobody knows whose a task is: "not found" would have its owner drop it.
func doubtStore(err error) *refusal.Refusal {
	if err == nil {
		return nil
	}
	denied := refusal.For(refusal.Unavailable, "Store", err).Because("store")
	denied.RetryAfter = retrySoon
	return denied
}

// errNoCall is why a task that begins is nobody's, beside those of [owned.Tasks.Begin].
var errNoCall = errors.New("no call of this session is known that awaits this answer, or two with one id do")

// hearing listens to the handler's answer for tasks that begin, as it passes: nothing is held back for
// it, so that it is heard whenever the handler, or a proxy that is the handler, flushes.
type hearing struct {
	x        *exchange
	call     *Call  // that may begin a task; nil on a stream of the server's own, which may answer earlier ones
	bare     bool   // it is without its arguments
	owed     string // name of the answer while it is awaited, "" if it is not
	id       string // of the request, as idKey has it; "" without a session
	written  []byte // as it is written: who writes late finds another request's body in its place
	short    [32]byte
	listener overhear.Listener
}

// hearing returns what has to listen to the answer, nil if no task can begin in it.
func (x *exchange) hearing() *hearing {
	if !x.g.bindsTasks || len(x.calls) != 1 {
		return nil
	}
	h := &hearing{x: x}
	switch call := x.calls[0]; {
	case call.Method == mcp.Stream:
		return h
	case call.Kind != KindTool:
		return nil
	default:
		if x.g.policy.isDeclared() {
			h.bare, call.Arguments = len(call.Arguments) > 0, nil // rules do not look at them
		}
		h.call = &call
		if ids := x.pending(); len(ids) == 1 {
			h.written = append(h.short[:0], ids[0]...)
		}
		if x.session != "" || x.query != nil {
			h.id = idKey(x.id)
		}
		return h
	}
}

// start is called when the header of the answer is known. It reports whether there is something to listen to.
func (h *hearing) start(status int, coded, events bool) bool {
	switch {
	case status >= 300:
		h.forget()
	case coded && h.call != nil:
		h.x.m.owned.tasks.coded.Do(func() {
			h.x.m.operator.log.Warn("mcpauth: the handler compresses answers to calls that may begin a task: such a task belongs to nobody",
				"fix", "It was not asked to. Compress in front of mcpauth, or not at all.")
		})
	case !coded:
		h.listener.Start(events, h.heard)
		if events {
			h.await(h.x.session)
		}
		return true
	}
	return false
}

// await has later streams of a session know the call, should the answer come there: after a reconnect,
// or on the stream of the HTTP+SSE transport.
func (h *hearing) await(session string) {
	if h.call == nil || session == "" || h.id == "" || h.owed != "" {
		return
	}
	c := h.x.principal.caller()
	h.owed = h.x.m.owned.sessions.Answer(c, session, h.id)
	h.x.m.owned.tasks.Await(c, h.owed, h.begun())
}

// forget is for a call that has its answer, or gets none.
func (h *hearing) forget() {
	if h.owed != "" {
		h.x.m.owned.tasks.Answered(h.x.principal.caller(), h.owed)
		h.owed = ""
	}
}

// begun is the call as it is remembered of a task.
func (h *hearing) begun() owned.Begun[taskCall] {
	began := owned.Begun[taskCall]{Call: taskCall{h.call.Method, h.call.Kind, h.call.Name, h.bare}, Arguments: h.call.Arguments}
	if u := h.x.unnamed; u != nil {
		began.Alias = u.alias
	}
	return began
}

// heard is told of an answer.
func (h *hearing) heard(a overhear.Answer) {
	began, known := h.answered(a.ID)
	if len(a.Tasks) > 0 {
		h.x.m.owned.bind(h, a.Tasks, began, known)
	}
	h.tell(a.Flaw)
}

// bind makes tasks that begin the caller's. It does so also when the client has left: it may come back for them.
func (o *belongings) bind(h *hearing, ids []string, began owned.Begun[taskCall], known bool) {
	ctx := context.WithoutCancel(h.x.ctx.Context)
	if o.tasks.IsCommon() {
		bounded, done := context.WithTimeout(ctx, storeTimeout)
		defer done()
		ctx = bounded
	}
	c := h.x.principal.caller()
	for _, id := range ids {
		if known {
			h.tell(o.tasks.Begin(ctx, c, id, began))
			continue
		}
		if _, own, err := o.tasks.Of(ctx, c, id); err != nil {
			h.tell(err)
		} else if !own {
			h.tell(errNoCall)
		}
	}
}

// answered returns the call that has been answered, if it is known.
func (h *hearing) answered(id []byte) (began owned.Begun[taskCall], known bool) {
	if h.call != nil && isSameID(id, h.written) {
		h.forget()
		return h.begun(), true
	}
	key, c := idKey(id), h.x.principal.caller()
	for _, session := range [...]string{h.x.session, h.x.announced} {
		if key == "" || session == "" {
			continue
		}
		if began, known = h.x.m.owned.tasks.Answered(c, h.x.m.owned.sessions.Answer(c, session, key)); known {
			return began, true
		}
	}
	return began, false
}

// isSameID reports whether two ids of requests, as they are written, are one.
func isSameID(a, b []byte) bool {
	return len(a) > 0 && (bytes.Equal(a, b) || idKey(a) != "" && idKey(a) == idKey(b))
}

// tell tells the operator why a task that began is nobody's.
func (h *hearing) tell(err error) {
	switch {
	case err == nil:
	case errors.Is(err, owned.ErrLate):
		h.x.m.operator.log.Error("mcpauth: a task is known to this process alone, until it is used when the store answers again", "reason", shownError(err))
	default:
		h.x.m.operator.log.Warn("mcpauth: a task that the handler has begun belongs to nobody: whoever asks for it is told that there is none", "reason", shownError(err))
	}
}

// isStream reports whether the request asks for a stream that lives as long as
// the client likes.
func (x *exchange) isStream() bool {
	for _, call := range x.calls {
		if call.Method == mcp.Stream || call.Method == mcp.Listen {
			return true
		}
	}
	return false
}

// endStream gives the place of a stream back. What the handler has never seen lives on in no other stream.
func (o *belongings) endStream(x *exchange) {
	by := ""
	if x.query != nil && x.body != nil && x.lease.ResponseWriter != nil {
		by = x.query.tag
	}
	o.streams.End(x.principal.caller(), x.announced, by)
}
