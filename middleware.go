package mcpauth

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Wrap returns a handler that lets a request through to next only when its
// token is good and the policy allows everything that its body asks for. It
// also serves the protected resource metadata, and it protects every path
// under which it is mounted.
//
// The handler receives the very bytes that were checked and the caller in the
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
		if m.serveOriginAS(w, r) || m.serveWellKnown(w, r) || m.serveOptions(w, r) {
			return
		}
		x := m.newExchange(r)
		defer x.end()
		denied := m.judge(w, r, x)
		if denied == nil && x.isStream() {
			defer m.endStream(x)
		}
		denied = m.report(r, x, denied)
		if denied != nil {
			m.refuse(w, r, x, denied)
			return
		}
		if x.canBeCancelled() {
			u, p := x.unnamed, x.principal
			m.running.Begin(&u.running, p.caller(), p.Scopes, idKey(x.id), x)
			defer m.running.End(&u.running)
		}
		m.serve(w, r, x, wrapped)
	})
}

// admit is the whole decision, step by step. Nothing is read of the body, and
// nobody is asked, before the step in front has said yes.
func (m *Middleware) admit(w http.ResponseWriter, r *http.Request, x *exchange) (denied *refusal.Refusal) {
	if x.hides, denied = checkHeaders(r.Header); denied != nil {
		return denied
	}
	if denied = m.checkOrigin(r); denied != nil {
		return denied
	}
	token, denied := credentials(r)
	if denied != nil {
		return denied
	}
	if denied = checkMethod(r); denied != nil {
		return denied
	}
	now := time.Now()
	v, denied := m.verify(r.Context(), token, now)
	x.principal, x.lease.token, x.lease.verified = v.known(), v, now
	if denied != nil {
		return denied
	}
	x.trail.tokenVerified()
	if denied = x.read(w, r); denied != nil {
		return denied
	}
	if denied = m.checkSession(r, x); denied != nil {
		return denied
	}
	notOwn := m.addTaskCalls(x)
	x.ctx.Principal = x.principal
	if denied = m.decide(&x.ctx, x); denied != nil {
		return denied
	}
	if notOwn != nil {
		return notOwn
	}
	if denied = m.openCursors(x); denied != nil {
		return denied
	}
	if x.isStream() && !m.streams.Begin(x.principal.caller()) {
		return refusal.New(refusal.TooManyStreams, "streams of this principal and client", "", "at most 32 at a time")
	}
	return nil
}

// decide asks the policy about the calls of the request. What is not understood in its era is
// refused, and to a modern client that is a method which does not exist. A notification asks
// for nothing, and a client may give up the server that refuses one.
func (m *Middleware) decide(ctx context.Context, x *exchange) *refusal.Refusal {
	for _, call := range x.calls {
		if known, ok := methods[call.Method]; ok && known.eras&x.era == 0 && !x.tells {
			return unknownMethod(x.era, call.Method)
		}
	}
	denied := m.policy.decideNoting(ctx, x.principal, x.calls, x.trail)
	switch {
	case denied == nil:
		return nil
	case denied.Reason != refusal.Forbidden:
		denied.InBand = denied.InBand && x.id != nil // a notification and a batch have no place for a result
		return denied
	}
	for _, call := range x.calls {
		if _, known := methods[call.Method]; !known && !x.tells {
			return unknownMethod(x.era, call.Method)
		}
	}
	return denied
}

// unknownMethod is 404 in the modern era. In the legacy one 404 means that
// the session is gone, and a client would begin a new one, again and again.
// To list a method of another revision in the policy would not help.
func unknownMethod(e era, method string) *refusal.Refusal {
	reason, cause, want := refusal.Forbidden, "method-revision", "a method of the revisions up to 2025-11-25"
	if e == modern {
		reason, want = refusal.UnknownMethod, "a method of "+modernVersion
	}
	if _, known := methods[method]; !known {
		cause, want = "method", want+", or one listed in the policy"
	}
	return refusal.New(reason, "method", method, want).Because(cause)
}

// Authenticate verifies the access token of a request as [Middleware.Wrap]
// does and returns its principal, or a *[DeniedError]. It reads no body and decides about no call.
func (m *Middleware) Authenticate(r *http.Request) (*Principal, error) {
	token, denied := credentials(r)
	if denied != nil {
		return nil, deniedError(denied)
	}
	v, denied := m.verify(r.Context(), token, time.Now())
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
	if denied := m.policy.decide(identity.NewContext(ctx, p), p, calls); denied != nil {
		return deniedError(denied)
	}
	return nil
}
