package mcpauth

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Middleware is a configured resource server. It is safe for concurrent use and holds nothing that must be
// closed. Nothing but [Middleware.Reload] changes its configuration.
type Middleware struct {
	current  atomic.Pointer[generation]
	owned    belongings
	operator operator
	keys     *keys.Registry
	poster   *fetch.Poster
	memory   memory
	standing edition.Standing // what became of changes
}

// generation is what one configuration decides. It never changes: a request is judged by one to its
// end, and what lasts asks for the current one.
type generation struct {
	edition    edition.Edition
	fixed      fixed
	resource   string
	public     public
	verifier   verifier
	policy     decider
	refuser    refuser
	maxBody    int64
	bindsTasks bool
}

// fixed is what no reload can change: something of before would be lost, or would be another resource.
type fixed struct {
	resource   string
	keys       edition.Digest // of sessions
	store      Store
	loopback   bool
	transport  http.RoundTripper
	onDecision uintptr
	onServed   uintptr
}

// ofNobody is the generation of a Middleware that New has not made.
var ofNobody = newGeneration(new(operator))

func (m *Middleware) generation() *generation {
	if g := m.current.Load(); g != nil {
		return g
	}
	return ofNobody
}

// Wrap returns a handler that lets a request through to next only when its
// token is good and the policy allows everything that its body asks for. It
// also serves the protected resource metadata, and it protects every path
// under which it is mounted.
//
// The handler receives the very bytes that were checked, but for cursors that were sealed, and the caller in the
// request's context ([FromContext]), but no Authorization, DPoP or
// Proxy-Authorization header: the token ends here. So do Upgrade and Connection.
//
// An event stream ends before its handler does when the token expires, is revoked
// or loses its key, or when the policy does not allow its calls any more. The cause of the end of
// the request's context is then a *[DeniedError], and a client that waits for an
// answer gets an error.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	if next == nil {
		panic("mcpauth: Wrap(nil): there is no handler to protect")
	}
	wrapped := &backend{Handler: next}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := m.generation()
		if g.public.serve(w, r) { // 1. what anybody may read: metadata, preflights
			return
		}
		x := m.begin(g, r)
		defer x.end()
		defer m.operator.recordPanic(r, x)
		if denied := m.operator.record(r, x, m.check(w, r, x)); denied != nil { // who records may refuse, too
			g.refuser.refuse(w, r, x, denied)
			return
		}
		x.serve(w, r, wrapped) // 7. the handler, as long as the token is good
	})
}

// check is the decision, step by step. Nothing is read of the body, and
// nobody is asked, before the step in front has said yes.
func (m *Middleware) check(w http.ResponseWriter, r *http.Request, x *exchange) *refusal.Refusal {
	denied := x.checkRequest(r) // 2. bounds, browser origins
	if denied == nil {
		denied = m.authenticate(w, r, x) // 3. one token -> principal
	}
	if denied == nil {
		denied = x.read(w, r) // 4. the body, once; headers agree with it
	}
	if denied == nil {
		denied = m.owned.check(r, x) // 5. session and tasks are the principal's
	}
	if denied == nil {
		denied = x.decide() // 6. scopes for every call
	}
	if denied == nil {
		denied = m.owned.take(x) // then: its tasks and cursors are the caller's, and a stream has a place
	}
	if denied != nil && x.query != nil {
		denied.ByStatus, denied.InBand = true, false
	}
	return denied
}

// authenticate finds the one token of a request and its principal, and checks what the token
// is sent with.
func (m *Middleware) authenticate(w http.ResponseWriter, r *http.Request, x *exchange) *refusal.Refusal {
	sent, denied := x.g.verifier.credentials(r)
	x.dpop = sent.dpop
	if denied != nil {
		return denied
	}
	if denied = mcp.CheckVerb(r); denied != nil {
		return denied
	}
	now := time.Now()
	v, denied := x.g.verifier.verify(r, sent, now, &m.memory, &m.operator)
	if sent.dpop {
		x.g.verifier.offerNonce(w.Header(), v, denied, now)
	}
	x.principal, x.lease.token, x.lease.verified = v.holder(), v, now
	if denied == nil {
		x.lease.keep(sent.token)
		x.ctx.Principal = x.principal
		x.carry(sent.token)
		x.recording.tokenVerified()
	}
	return denied
}

// verifyAgain asks the issuer about the token of something that lasts.
func (m *Middleware) verifyAgain(ctx context.Context, before *verified, asked time.Time) (*verified, *refusal.Refusal) {
	return m.generation().verifier.verifyAgain(ctx, before, asked, &m.memory)
}

// decide asks the policy about the calls of the request. What is not understood in its era is
// refused, and to a modern client that is a method which does not exist. A notification asks
// for nothing, and a client may give up the server that refuses one.
func (x *exchange) decide() *refusal.Refusal {
	if denied := x.checkMethods(mcp.CheckEra); denied != nil {
		return denied
	}
	denied := x.g.policy.decide(&x.ctx, x.principal, x.calls, x.recording)
	if denied == nil || denied.Reason != refusal.Forbidden {
		return denied
	}
	if unknown := x.checkMethods(mcp.CheckKnown); unknown != nil {
		return unknown
	}
	return denied
}

// checkMethods asks about each method of the request. A notification is not asked about.
func (x *exchange) checkMethods(check func(mcp.Era, string) *refusal.Refusal) *refusal.Refusal {
	if x.tells {
		return nil
	}
	for i := range x.calls {
		if denied := check(x.era, x.calls[i].Method); denied != nil {
			return denied
		}
	}
	return nil
}

// Authenticate verifies the access token of a request as [Middleware.Wrap]
// does and returns its principal, or a *[DeniedError]. It reads no body and decides about no call.
// The proof of a token that is bound to a key is used up by it. It hands out no nonces: where [DPoPRequired] wants
// one, the client must have it from an answer of Wrap.
func (m *Middleware) Authenticate(r *http.Request) (*Principal, error) {
	verifier := &m.generation().verifier
	sent, denied := verifier.credentials(r)
	if denied != nil {
		return nil, deniedError(denied)
	}
	v, denied := verifier.verify(r, sent, time.Now(), &m.memory, &m.operator)
	if denied != nil {
		return nil, deniedError(denied)
	}
	return v.principal.clone(), nil
}

// Authorize decides whether the principal may make all of the calls: nil, or
// a *[DeniedError] whose Scopes are those of the whole operation. It is the
// decision that [Middleware.Wrap] enforces, for list filters, other transports and tests.
// A call needs its Kind: without one, rules refuse it.
func (m *Middleware) Authorize(ctx context.Context, p *Principal, calls ...Call) error {
	if p == nil {
		return deniedError(refusal.New(refusal.NoCredentials, "", "", ""))
	}
	if denied := m.generation().policy.decide(identity.NewContext(ctx, p), p, calls, nil); denied != nil {
		return deniedError(denied)
	}
	return nil
}

// TokenMemory reports how full the memory of verified tokens is. A token that is
// not in it costs a signature check, and nothing else.
func (m *Middleware) TokenMemory() TokenMemory { return m.memory.use() }
