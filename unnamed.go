package mcpauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/reply"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// A request of the legacy era may present no session. Handlers keep what they
// keep of it (notifications, events to replay, requests under way) by session
// id: under the empty one, all callers share it. So each such request reaches
// the handler under a session id that nobody else has ever had, its alias. Nobody is told of
// it, and who guesses it has nothing, because a client's own id needs a seal.

// aliasLength is that of the prefix and the base64url of 16 bytes.
const aliasLength = len(identity.AliasPrefix) + 22

// forgetTimeout bounds how long a handler may take to forget an alias. The end of
// the stream waits for it, and may be under a deadline ([lastWrite]).
const forgetTimeout = 2 * time.Second

// unnamed is what a request has that presents no session.
type unnamed struct {
	alias    string // the session id that the handler sees; "" once it has refused that
	ours     bool   // nothing of it concerns the handler
	steers   bool   // see steering
	mayRetry bool   // may be tried without the alias
	fixed    bool   // the alias is the same for later requests: nothing is to be forgotten

	running owned.Request[*exchange] // while the client can cancel it

	random [16]byte   // of the alias
	header [1]string  // the alias as a field of the header
	again  *secondTry // nil for none
}

// secondTry is what the handler is given when it is asked once more: it may
// still hold parts of the first request.
type secondTry struct {
	forwarded http.Request
	reader    checkedBody
	out       flushable
}

// checkUnnamed decides what becomes of a legacy request without a session id in
// its header. One in the query, verified by now, is none to a handler that
// looks at the header alone: such a request gets an alias as well.
func (o *belongings) checkUnnamed(r *http.Request, x *exchange) *refusal.Refusal {
	switch {
	case r.Method == http.MethodDelete:
		return refusal.New(refusal.UnknownSession, "no Mcp-Session-Id", "", "the session that is to end")
	case x.initializes():
		return nil // it begins a session and uses none
	}
	steers, only := x.steering()
	u := &unnamed{steers: steers, ours: only && x.query == nil, mayRetry: !steers}
	x.unnamed = u
	if !u.ours {
		u.alias, u.fixed = o.aliasOf(x)
	}
	return nil
}

// aliasOf makes the alias of a request. It is a new one, unless the handler keeps
// something by it for later requests: a task is under the session that began it,
// whatever scopes its owner holds by now, and who may use it is decided anew each time.
// What begins a task, or lists them, has one alias for all who hold the same rights,
// and so has what a client sets for a session that it does not have. The
// latter has no effect.
func (o *belongings) aliasOf(x *exchange) (alias string, fixed bool) {
	switch {
	case x.usesTasks(): // one that is known has that under which it was begun
		return o.aliasFor(x.principal, "tasks"), true
	case x.sets():
		return o.aliasFor(x.principal, "settings"), true
	}
	random := x.unnamed.random[:]
	_, _ = rand.Read(random)
	room := append(make([]byte, 0, aliasLength), identity.AliasPrefix...)
	return string(base64.RawURLEncoding.AppendEncode(room, random)), false
}

// aliasFor makes the alias of all who hold the same rights, for one use.
func (o *belongings) aliasFor(p *Principal, use string) string {
	return identity.AliasPrefix + o.sessions.Shared(p.caller(), p.Scopes, use)
}

func (x *exchange) sets() bool {
	for i := range x.calls {
		switch x.calls[i].Method {
		case "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
			return true
		}
	}
	return false
}

// steering reports whether a request has messages that act on what is under way: a
// cancellation, or the answer to a question of the handler's. Without a session
// they can concern nothing but requests without a session. It also reports
// whether the request has nothing else.
func (x *exchange) steering() (steers, only bool) {
	only = true
	for i := range x.calls {
		switch x.calls[i].Method {
		case mcp.Response, mcp.Cancelled:
			steers = true
		default:
			only = false
		}
	}
	return steers, steers && only
}

// usesTasks reports whether a request begins a task or concerns one.
func (x *exchange) usesTasks() bool {
	for i := range x.calls {
		if mcp.IsTask(x.calls[i].Method) {
			return true
		}
	}
	if len(x.calls) != 1 || x.calls[0].Kind != KindTool || !strictjson.MayHave(x.body, `"task"`) {
		return false
	}
	task := strictjson.Lookup(x.body, taskPath, bodyLimits)
	return len(task) > 0 && string(task) != "null"
}

var taskPath = []string{"params", "task"}

// maxRefusal bounds the answer of a handler that refuses an alias, in bytes.
const maxRefusal = 64 << 10

// serveUnnamed calls the handler for a request with an alias, and once more
// without it if the handler refuses the alias: an answer of 400 or 404 that is
// none to the request itself says that the handler has done nothing.
func (x *exchange) serveUnnamed(w http.ResponseWriter, r *http.Request, next *backend) {
	u, path := x.unnamed, r.URL.Path
	if u.steers && x.query == nil {
		x.m.owned.cancelOwn(x)
	}
	if u.ours {
		x.answer(&x.out, r)
		x.out.WriteHeader(http.StatusAccepted)
		return
	}
	u.mayRetry = u.mayRetry && next.mayMind(path)
	forwarded := x.answer(&x.out, r)
	defer x.forget(forwarded, next)
	x.run(next, &x.out, forwarded)
	if x.out.aliasRefused && x.isAnswered(x.out.held.Bytes()) {
		x.out.accept()
	}
	if !x.out.aliasRefused {
		if x.out.mayRetry && x.asks() && x.out.status < 300 {
			x.m.operator.keepsByID(next, path)
		}
		x.out.finish()
		return
	}
	u.alias, u.mayRetry, u.again = "", false, new(secondTry)
	clear(w.Header())
	maps.Copy(w.Header(), x.out.outer)
	again := &u.again.out
	x.run(next, again, x.answer(again, r))
	if again.status < 300 {
		x.m.operator.servesUnnamed(next, path)
	}
	again.finish()
}

// canBeCancelled reports whether the client may name the request in a
// cancellation that only we can understand.
func (x *exchange) canBeCancelled() bool { return x.unnamed != nil && x.query == nil && x.id != nil }

// begin lets the client cancel a request from now on, and finish no more.
func (o *belongings) begin(x *exchange) {
	o.running.Begin(&x.unnamed.running, x.principal.caller(), x.principal.Scopes, idKey(x.id), x)
}

func (o *belongings) finish(x *exchange) { o.running.End(&x.unnamed.running) }

// cancelOwn does what the cancellations in a request without a session ask for.
func (o *belongings) cancelOwn(x *exchange) {
	c := x.principal.caller()
	each(x.body, func(message []byte) {
		if strictjson.MemberText(message, "method", bodyLimits) == mcp.Cancelled {
			id := idKey(strictjson.Lookup(message, requestIDPath, bodyLimits))
			if meant, ok := o.running.Meant(c, x.principal.Scopes, id); ok {
				meant.lease.cut(refusal.New(refusal.Cancelled, "the client has given up this request", "", ""))
			}
		}
	})
}

// bodyLimits bound a body that has been read before, or the answer to it.
var bodyLimits = strictjson.Limits{Depth: strictjson.MaxDepth, Members: reply.MaxHeld}

var requestIDPath = []string{"params", "requestId"}

// each calls what for the message of a body, or for every message of a batch.
func each(body []byte, what func(message []byte)) {
	if !jsonrpc.IsBatch(body) {
		what(body)
		return
	}
	r := strictjson.NewReader(body, bodyLimits)
	_ = r.Array() // it has been read before, and is one
	for {
		if more, err := r.Element(); err != nil || !more {
			return
		}
		message, err := r.Skip()
		if err != nil {
			return
		}
		what(message)
	}
}

// idKey is a JSON-RPC id as a key: a text however it is escaped, a number as it
// is written; "" for what is neither.
func idKey(raw []byte) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw)
	case raw[0] != '"':
		return ""
	}
	text, err := strictjson.NewReader(raw, bodyLimits).String()
	if err != nil {
		return ""
	}
	return `"` + string(text)
}

// isAnswered reports whether a body is a JSON-RPC answer to the request, or to
// one of a batch: whoever refuses a session does not get that far.
func (x *exchange) isAnswered(body []byte) bool {
	if x.id == nil {
		return jsonrpc.IsBatch(x.body) && jsonrpc.IsBatch(body)
	}
	id := idKey(strictjson.Lookup(body, idPath, bodyLimits))
	return id != "" && id == idKey(x.id)
}

var idPath = []string{"id"}

// hasEventID reports whether a piece of an event stream has events with an id.
func hasEventID(piece []byte) bool {
	return bytes.HasPrefix(piece, []byte("id:")) || bytes.Contains(piece, []byte("\nid:"))
}

// asks reports whether the request wants more of the handler than to be taken
// note of: some accept every notification, whatever session it names.
func (x *exchange) asks() bool { return x.id != nil || x.body == nil }

// forget tells the handler that the session under the alias has ended, as a client
// would, if it may have kept anything: a stream of the server's own, or
// events with an id, which it keeps to replay them. Nobody can come back for them. It
// does so also after a panic, which is how a reverse proxy says that its client has left.
func (x *exchange) forget(forwarded *http.Request, next http.Handler) {
	if u := x.unnamed; u.alias == "" || u.fixed || !x.out.leaves || x.query != nil { // the query names a session that goes on
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(&x.ctx), forgetTimeout)
	defer cancel()
	r := forwarded.Clone(ctx)
	r.Method, r.Body, r.GetBody, r.ContentLength = http.MethodDelete, http.NoBody, nil, 0
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
		r.Header.Del(name)
	}
	r.Header["Mcp-Session-Id"] = []string{x.unnamed.alias}
	defer func() {
		if recovered := recover(); recovered != nil && recovered != http.ErrAbortHandler {
			x.m.operator.log.Error("mcpauth: the handler panicked at the end of a session that no client knows", "panic", fmt.Sprintf("%T", recovered))
		}
	}()
	next.ServeHTTP(unread{}, r)
}

// unread is the ResponseWriter of a request whose answer nobody reads.
type unread http.Header

func (u unread) Header() http.Header         { return http.Header(u) }
func (u unread) WriteHeader(int)             {}
func (u unread) Write(p []byte) (int, error) { return len(p), nil }
func (u unread) Flush()                      {}

// Bounds of what is remembered of a handler's paths.
const (
	maxPaths      = 1024 // that keep things by session id
	maxToldPaths  = 64   // of which the operator was told that they do not
	maxPathLength = 512  // bytes
)

// backend is a wrapped handler, and what it has shown of itself.
type backend struct {
	http.Handler
	mu    sync.Mutex
	paths atomic.Pointer[map[string]pathState] // never changed, only replaced
}

// pathState is what a path has shown.
type pathState uint8

const (
	servedUnnamed pathState = 1 << iota // it has served a request without a session id that it had refused with one
	keepsByID                           // it has served something under an alias, or given out a session id
)

func (b *backend) state(path string) pathState {
	if paths := b.paths.Load(); paths != nil {
		return (*paths)[path]
	}
	return 0
}

// mayMind reports whether a request that the handler refuses under its alias may be
// tried without it. Some servers serve nobody with an id that they have not given
// out, and keep nothing by it either. But a path that has served an alias once, or
// given out a session id, keeps things by session id: there the second try is over for
// good, so that no failure of a moment can bring back what all callers share.
func (b *backend) mayMind(path string) bool {
	return len(path) <= maxPathLength && b.state(path)&keepsByID == 0
}

// note remembers what a path has shown. It returns what was known of it before,
// and whether this is new. What does not fit is not remembered: callers can invent
// paths, and shall not take the second try from those that need it.
func (b *backend) note(path string, shown pathState) (before pathState, isNew bool) {
	if before = b.state(path); before&shown != 0 || len(path) > maxPathLength {
		return before, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	paths, told := map[string]pathState{}, 0
	if old := b.paths.Load(); old != nil {
		maps.Copy(paths, *old)
	}
	for _, state := range paths {
		if state == servedUnnamed {
			told++
		}
	}
	before = paths[path]
	full := len(paths)-told >= maxPaths
	if shown == servedUnnamed {
		full = told >= maxToldPaths
	}
	if full || before&shown != 0 {
		return before, false
	}
	paths[path] = before | shown
	b.paths.Store(&paths)
	return before, true
}

// keepsByID notes that the handler keeps things by session id at this path. If it has
// served requests without one there, they are refused from now on, and the operator is told.
func (o *operator) keepsByID(b *backend, path string) {
	if before, isNew := b.note(path, keepsByID); isNew && before&servedUnnamed != 0 {
		o.log.Warn("mcpauth: the handler keeps things by session id at a path where it has served requests without one: those are refused there from now on",
			"path", shown(path), "fix", "Have its clients begin sessions, or serve those without on a path of their own: docs/operations.md, Requests without a session.")
	}
}

// servesUnnamed notes that the handler serves a request without a session id that it
// has refused with one, and tells the operator once for each path.
func (o *operator) servesUnnamed(b *backend, path string) {
	if _, isNew := b.note(path, servedUnnamed); isNew {
		o.log.Warn("mcpauth: the handler serves requests that present no session, and refuses them under a session id of ours. "+
			"That is safe as long as it keeps nothing by session id", "path", shown(path),
			"fix", "With the official Go SDK, put gosdk.Handler around the handler; have any other server ignore ids that it has not given out: docs/operations.md, Requests without a session.")
	}
}
