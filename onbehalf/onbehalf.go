package onbehalf

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Token returns a token for the target, in the name of the caller of the request whose context this is. The
// error is an *[Error].
func (e *Exchanger) Token(ctx context.Context, target string) (*oauth2.Token, error) {
	begun := time.Now()
	got := e.get(ctx, target)
	if e.config.OnExchange != nil {
		event := Event{Target: target, Principal: got.principal, Took: time.Since(begun), Cached: got.cached}
		if got.err != nil {
			event.Kind = got.err.Kind
		}
		e.config.OnExchange(ctx, event)
	}
	if got.err != nil {
		failed := *got.err // others may have been given the same
		failed.Scopes = slices.Clone(failed.Scopes)
		return nil, &failed
	}
	token := *got.token // what is remembered is nobody's to change
	return &token, nil
}

// result is what was found.
type result struct {
	token     *oauth2.Token
	err       *Error
	principal string
	cached    bool
}

// get finds a token. The request is asked first, so that one which is over gets nothing of what is remembered.
func (e *Exchanger) get(ctx context.Context, name string) (got result) {
	t := e.targets[name]
	if t == nil {
		return result{err: e.noTarget(name)}
	}
	from, err := e.inbound(ctx, t)
	if got.err = err; err != nil {
		return got
	}
	got.principal = from.key.principal
	if ctx.Err() != nil {
		got.err = &Error{Target: name, Kind: Over, cause: context.Cause(ctx)}
		return got
	}
	if entry := e.memory.get(from.key, time.Now()); entry != nil {
		got.token, got.err, got.cached = entry.token, entry.err, true
		return got
	}
	if got.err = from.exchangeable(t); got.err != nil {
		return got
	}
	if wait := t.outage.wait(time.Now()); wait > 0 {
		got.err, got.cached = &Error{Target: name, Kind: Unavailable, RetryAfter: wait}, true
		return got
	}
	at, err := e.endpoint(ctx, t)
	if got.err = err; err != nil {
		return got
	}
	got.token, got.err = e.fly(ctx, flightPlan{from: from, target: t, at: at})
	if _, _, over := onward.Token(ctx); over != nil { // it has ended meanwhile
		got.token, got.err = nil, e.asError(t, over)
	}
	return got
}

// inbound is the token that is exchanged, and whose it is.
type inbound struct {
	key       key
	token     string
	principal *mcpauth.Principal
	resource  string // this server
}

func (e *Exchanger) inbound(ctx context.Context, t *target) (from inbound, failed *Error) {
	token, _, err := onward.Token(ctx)
	if err == nil {
		err = onward.Look(ctx, func(facts onward.Facts) {
			from.principal, _ = facts.Principal.(*mcpauth.Principal)
			from.resource = facts.Resource
		})
	}
	switch p := from.principal; {
	case err != nil:
		return from, e.asError(t, err)
	case p == nil || p.Issuer == "" || p.Subject == "" || token == "":
		return from, e.misconfigured(t, "the request has no principal", "")
	case p.Issuer != e.config.Issuer:
		return from, e.misconfigured(t, "the caller's token is of another issuer than Config.Issuer", foreign.URL(p.Issuer))
	case p.Client && t.Grant == EntraOBO:
		return from, &Error{Target: t.name, Kind: NoUser}
	}
	from.token = token
	from.key = key{principal: from.principal.Key(), target: t.name, token: e.print(token)}
	return from, nil
}

// asError says why a request leads no further.
func (e *Exchanger) asError(t *target, err error) *Error {
	switch {
	case errors.Is(err, onward.ErrForbidden):
		return e.misconfigured(t, "mcpauth.Issuer.AllowTokenExchange is not set for the caller's issuer", "")
	case errors.Is(err, onward.ErrNone):
		return e.misconfigured(t, "this is not the context of a request behind mcpauth.Middleware.Wrap whose mcpauth.Issuer.AllowTokenExchange is set", "")
	}
	return &Error{Target: t.name, Kind: Over}
}

// misconfigured is an error that the operator has to mend, and tells him.
func (e *Exchanger) misconfigured(t *target, hint, cause string) *Error {
	e.complain(t, hint, cause)
	return &Error{Target: t.name, Kind: Misconfigured, hint: hint}
}

func (e *Exchanger) noTarget(name string) *Error {
	return e.misconfigured(&target{name: foreign.Quote(name)}, "Config.Targets has no such target", "")
}

// exchangeable reports what of the token itself stands against it: one that is bound to a key would
// become one that is not.
func (from *inbound) exchangeable(t *target) *Error {
	var claims map[string]json.RawMessage
	if err := from.principal.Claims(&claims); err != nil || isBound(claims) {
		return &Error{Target: t.name, Kind: Refused, hint: "the caller's token is bound to a key"}
	}
	return nil
}

// isBound reports whether a token is bound to a key of its holder (RFC 7800 section 3.1), in whatever way.
func isBound(claims map[string]json.RawMessage) bool {
	_, confirmed := claims["cnf"]
	return confirmed
}

// newPrint returns a function that names tokens, by names from which nobody can get one back.
func newPrint() func(token string) [sha256.Size]byte {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails
	return func(token string) (sum [sha256.Size]byte) {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(token))
		mac.Sum(sum[:0])
		return sum
	}
}

// Source returns a source of tokens for the target. When the request is over it goes on with the last token that
// it gave while that is good, and then fails with [Over]: for work that outlives its request.
func (e *Exchanger) Source(ctx context.Context, target string) oauth2.TokenSource {
	return sourcer((&source{exchanger: e, ctx: ctx, target: target}).token)
}

// sourcer is a method as an [oauth2.TokenSource]: who prints it sees nothing of what is behind.
type sourcer func() (*oauth2.Token, error)

// Token implements [oauth2.TokenSource].
func (f sourcer) Token() (*oauth2.Token, error) { return f() }

type source struct {
	exchanger *Exchanger
	ctx       context.Context
	target    string

	mu   sync.Mutex
	last oauth2.Token // without an expiry it is of no use later
}

func (s *source) token() (*oauth2.Token, error) {
	token, err := s.exchanger.Token(s.ctx, s.target)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.last = *token
		return token, nil
	}
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Kind == Over && time.Now().Before(s.last.Expiry) {
		last := s.last
		return &last, nil
	}
	return nil, err
}
