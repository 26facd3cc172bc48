package mcpauth

import (
	"bytes"
	"errors"
	"sync"

	"github.com/seed-1e292522/mcpauth/internal/overhear"
	"github.com/seed-1e292522/mcpauth/internal/owned"
)

// Why a task that begins is nobody's.
var (
	errLongArguments = errors.New("the call that began it has arguments of more than 64 KiB, and the policy may look at them")
	errOthersTask    = errors.New("its id is that of a task that another principal began, and belongs to neither from now on; or there is no room for it")
	errNoCall        = errors.New("no call of this session is known that awaits this answer, or two with one id do")
)

// hearing listens to the handler's answer for tasks that begin, as it passes: nothing is held back for
// it, so that it is heard whenever the handler, or a proxy that is the handler, flushes.
type hearing struct {
	m        *Middleware
	x        *exchange
	call     *Call  // that may begin a task; nil on a stream of the server's own, which may answer earlier ones
	owed     string // name of the answer while it is awaited, "" if it is not
	id       string // of the request, as idKey has it; "" without a session
	written  []byte // as it is written: who writes late finds another request's body in its place
	short    [32]byte
	listener overhear.Listener
}

// hearing returns what has to listen to the answer, nil if no task can begin in it.
func (x *exchange) hearing(m *Middleware) *hearing {
	if !m.bindsTasks || len(x.calls) != 1 {
		return nil
	}
	h := &hearing{m: m, x: x}
	switch call := x.calls[0]; {
	case call.Method == streamMethod:
		return h
	case call.Kind != KindTool:
		return nil
	default:
		if _, declared := m.policy.policy.(*ruleBook); declared {
			call.Arguments = nil // rules do not look at them
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

// owedAnswers are calls whose answer has not been heard: it may come on a later stream of their session.
type owedAnswers struct {
	mu    sync.Mutex
	calls *owned.Store[owedAnswer]
	coded sync.Once // the operator has been told of compressed answers
}

// owedAnswer is such a call, or several by one name, of which nobody can say which is answered.
type owedAnswer struct {
	begunTask
	several bool
}

func newOwedAnswers() *owedAnswers {
	return &owedAnswers{calls: owned.New[owedAnswer](owned.Limits{
		Overhead: taskOverhead, Entries: maxOwnTasks, Size: maxOwnTaskArguments, All: maxOwedMemory,
	})}
}

// owedName names the answer to a request of a session: by a handler's id, or by the tag of an endpoint.
func (m *Middleware) owedName(p *Principal, session, id string) string {
	return m.sessions.mac(p, "answer", string(appendField(appendField(nil, session), id)))
}

func (o *owedAnswers) add(name string, p *Principal, began begunTask) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old, known := o.calls.Take(p.Key(), name)
	if len(began.call.Arguments) > maxTaskArguments || known && (old.several || !old.isThe(began)) {
		o.calls.Add(p.Key(), callerKey(p), name, owedAnswer{several: true}, 0)
		return
	}
	began.call.Arguments = bytes.Clone(began.call.Arguments)
	o.calls.Add(p.Key(), callerKey(p), name, owedAnswer{begunTask: began}, len(began.call.Arguments))
}

// isThe reports whether two calls are one that was sent twice.
func (a begunTask) isThe(b begunTask) bool {
	return a.alias == b.alias && a.call.Name == b.call.Name && bytes.Equal(a.call.Arguments, b.call.Arguments)
}

func (o *owedAnswers) take(name string, p *Principal) (began begunTask, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	owed, known := o.calls.Take(p.Key(), name)
	return owed.begunTask, known && !owed.several
}

// start is called when the header of the answer is known. It reports whether there is something to listen to.
func (h *hearing) start(status int, coded, events bool) bool {
	switch {
	case status >= 300:
		h.forget()
	case coded && h.call != nil:
		h.m.tasks.owed.coded.Do(func() {
			h.m.log.Warn("mcpauth: the handler compresses answers to calls that may begin a task: such a task belongs to nobody",
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
	h.owed = h.m.owedName(h.x.principal, session, h.id)
	h.m.tasks.owed.add(h.owed, h.x.principal, begunTask{*h.call, h.alias()})
}

// forget is for a call that has its answer, or gets none.
func (h *hearing) forget() {
	if h.owed != "" {
		h.m.tasks.owed.take(h.owed, h.x.principal)
		h.owed = ""
	}
}

func (h *hearing) alias() string {
	if u := h.x.unnamed; u != nil {
		return u.alias
	}
	return ""
}

// heard is told of an answer.
func (h *hearing) heard(a overhear.Answer) {
	began, known := h.answered(a.ID)
	for _, id := range a.Tasks {
		_, own := h.m.tasks.of(id, h.x.principal)
		switch {
		case own:
		case known:
			h.tell(h.m.tasks.begin(id, h.x.principal, began.call, began.alias))
		default:
			h.tell(errNoCall)
		}
	}
	h.tell(a.Flaw)
}

// answered returns the call that has been answered, if it is known.
func (h *hearing) answered(id []byte) (began begunTask, known bool) {
	if h.call != nil && isSameID(id, h.written) {
		h.forget()
		return begunTask{*h.call, h.alias()}, true
	}
	key := idKey(id)
	for _, session := range [...]string{h.x.session, h.x.announced} {
		if key == "" || session == "" {
			continue
		}
		if began, known = h.m.tasks.owed.take(h.m.owedName(h.x.principal, session, key), h.x.principal); known {
			return began, true
		}
	}
	return begunTask{}, false
}

// isSameID reports whether two ids of requests, as they are written, are one.
func isSameID(a, b []byte) bool {
	return len(a) > 0 && (bytes.Equal(a, b) || idKey(a) != "" && idKey(a) == idKey(b))
}

// tell tells the operator why a task that began is nobody's.
func (h *hearing) tell(err error) {
	if err != nil {
		h.m.log.Warn("mcpauth: a task that the handler has begun belongs to nobody: whoever asks for it is told that there is none", "reason", shownError(err))
	}
}
