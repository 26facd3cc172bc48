// Package introspect asks an authorization server about the tokens that only it can read (RFC 7662), so that
// strangers who make tokens up cost known callers nothing.
//
// It decides nothing but whether the server calls a token active: what the server says of one is judged by
// package token, as the claims of a JWT are. Positive verifications are remembered by whoever asks; here
// are the negative ones, for a moment, and which tokens were good lately.
package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// What is remembered of tokens.
const (
	refusedFor   = 10 * time.Second // that a token is refused
	troubledFor  = 5 * time.Second  // that an answer about it cannot be used
	maxRefused   = 1 << 14          // of those,
	refusedBytes = 2 << 20          // in all
	knownFor     = 10 * time.Minute // that a token was good
	maxKnown     = 1 << 16          // of those,
	knownBytes   = 8 << 20          // in all
)

const (
	waitFor   = 10 * time.Second // for an answer, also where a signer that is not ours does not come back
	retrySoon = time.Second
	maxRetry  = 30 * time.Second
	tellEvery = time.Minute
)

// Config says whom to ask, and as whom.
type Config struct {
	Issuer    string // the authorization server
	Endpoint  Locate
	Client    clientauth.Method // by which this server proves who it is
	Tokeninfo bool              // the dialect of Google, which has no client authentication
}

// Locate finds the endpoint. guarded says that it was learned, and may not lead to a private address.
type Locate func(context.Context) (endpoint string, guarded bool, err error)

// Server is one authorization server that is asked. It is safe for concurrent use.
type Server struct {
	config Config
	client atomic.Pointer[clientauth.Method] // that of config, or another way to the same key
	poster *fetch.Poster
	log    *slog.Logger

	gate     gate
	breakers [2]breaker // of tokens that nobody knows, and of those that were good lately
	refused  *tokencache.Cache[Verdict]
	known    *tokencache.Cache[uint32] // whose they are

	mu      sync.Mutex // guards the rest
	flights map[tokencache.Key]*flight
	failing string // cause of the last failure
	shares  shares
	told    time.Time // that the server does not let us ask
	warned  time.Time // of a question of a stranger's without an answer
	doubt   neverActive
}

// New makes a server.
func New(poster *fetch.Poster, log *slog.Logger, config Config) *Server {
	s := &Server{
		config: config, poster: poster, log: log, gate: newGate(), flights: map[tokencache.Key]*flight{}, shares: shares{},
		refused: tokencache.New(maxRefused, refusedBytes, (*Verdict).cost),
		known:   tokencache.New(maxKnown, knownBytes, func(*uint32) int { return 8 }),
	}
	s.Use(config.Client)
	return s
}

// Use has the server asked by a method that is as good as the one before. A key may be reached in another way, such as by a new session with the
// module that has it.
func (s *Server) Use(client clientauth.Method) { s.client.Store(&client) }

// Answer is what the authorization server says of a token that it calls active.
type Answer struct {
	Claims []byte
	Asked  time.Time
}

// Verdict is why a token is refused, and what is known of it nevertheless.
type Verdict struct {
	By     any // the rules by which it was judged, nil for those of the server
	Denied *refusal.Refusal
	About  any
	Size   int // of About, in bytes
}

// sizeOfVerdict is what a verdict and its refusal take, in bytes, with some text.
const sizeOfVerdict = 512

// notActive is the verdict of nearly all tokens that are made up: they share it.
var notActive = &Verdict{
	Denied: refusal.New(refusal.Revoked, "active", "", "true, by the account of the authorization server").Because("token-inactive"),
}

func (v *Verdict) cost() int {
	if v == notActive {
		return 0
	}
	return sizeOfVerdict + v.Size
}

// refusal is one that whoever gets it may add to.
func (v *Verdict) refusal() *refusal.Refusal {
	denied := *v.Denied
	return &denied
}

// flight is one question, whoever waits for its answer.
type flight struct {
	begun  time.Time
	token  string
	who    uint32    // has the token, which is no made-up one; 0: a stranger
	asked  time.Time // when it was put; zero if it was not
	done   chan struct{}
	answer Answer
	denied *refusal.Refusal
}

// Ask asks about a token. An answer that somebody waits for already serves all who came by then, and what
// was refused a moment ago by these rules is refused again; but nothing serves that is older than since. who has the
// token, see [Server.Owner], where something vouches for it: 0 may be a stranger, who has made it up.
func (s *Server) Ask(ctx context.Context, rules any, token string, since time.Time, who uint32) (Answer, Verdict) {
	now := time.Now()
	if v := s.refusedLately(rules, token, since); v != nil {
		return Answer{}, Verdict{Denied: v.refusal(), About: v.About}
	}
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	f := s.join(token, since, now, who)
	select {
	case <-f.done:
	case <-ctx.Done():
		denied := s.unavailable(context.Cause(ctx), "introspection-unreachable", retrySoon)
		denied.Unsettled = !f.isKnown() // a stranger may have left
		return Answer{}, Verdict{Denied: denied}
	}
	v := &Verdict{Denied: f.denied}
	if f.denied == nil { // a question that came later may have had its answer first
		if v = s.refusedLately(rules, token, since); v == nil || v.Denied.IsDoubt() {
			return f.answer, Verdict{}
		}
	}
	return Answer{}, Verdict{Denied: v.refusal(), About: v.About}
}

// refusedLately is why a token was refused a moment ago, nil if it was not, or by other rules, or if nothing counts that is past.
func (s *Server) refusedLately(rules any, token string, since time.Time) *Verdict {
	if !since.IsZero() {
		return nil
	}
	if v := s.refused.Get(s.refused.Key(token), time.Now()); v != nil && (v.By == nil || v.By == rules) {
		return v
	}
	return nil
}

// join finds the question that is under way, or begins one.
func (s *Server) join(token string, since, now time.Time, who uint32) *flight {
	key := s.known.Key(token)
	if good := s.known.Get(key, now); who == 0 && good != nil {
		who = *good
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[key]; f != nil && (f.asked.IsZero() || !f.begun.Before(since)) {
		return f
	}
	f := &flight{begun: now, token: token, who: who, done: make(chan struct{})}
	if !s.shares.take(who) {
		f.denied = s.busy(f)
		close(f.done)
		return f
	}
	s.flights[key] = f
	go s.run(f, key)
	return f
}

// run puts one question. It belongs to no request: the one that began it may leave while others still wait.
func (s *Server) run(f *flight, key tokencache.Key) {
	defer func() {
		if recovered := recover(); recovered != nil { // a signer that is not ours may panic
			f.denied = s.unavailable(errPanic, "introspection-unreachable", retrySoon)
		}
		switch {
		case f.denied == notActive.Denied:
			s.refuse(f.token, notActive)
		case f.denied != nil && !f.denied.IsDoubt():
			s.Refuse(f.token, Verdict{Denied: f.denied})
		}
		s.mu.Lock()
		if s.flights[key] == f {
			delete(s.flights, key)
		}
		s.shares.give(f.who)
		s.mu.Unlock()
		close(f.done)
	}()
	b := s.breaker(f)
	if wait := b.resting(f.who, time.Now()); wait > 0 {
		f.denied = s.resting(f, wait)
		return
	}
	if !s.gate.enter(f.isKnown()) {
		f.denied = s.busy(f)
		return
	}
	if wait, open := b.open(f.who, time.Now()); !open { // it has failed while we waited
		s.gate.leave(f.isKnown())
		f.denied = s.resting(f, wait)
		return
	}
	f.answer, f.denied = s.ask(f)
	s.count(key, f.denied)
}

var (
	errBusy    = errors.New("too many questions about tokens are under way")
	errResting = errors.New("it has failed several times in a row, and is not asked for a moment")
	errPanic   = errors.New("the question has ended in a panic")
)

func (s *Server) breaker(f *flight) *breaker {
	if f.isKnown() {
		return &s.breakers[1]
	}
	return &s.breakers[0]
}

// ask makes the request. Whatever becomes of it, the place at the gate is left when the transport has returned.
func (s *Server) ask(f *flight) (Answer, *refusal.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	var once sync.Once
	leave := func() { once.Do(func() { s.gate.leave(f.isKnown()) }) }
	posted := false
	defer func() {
		if !posted {
			leave()
		}
	}()
	endpoint, guarded, err := s.config.Endpoint(ctx)
	if err != nil {
		return Answer{}, s.failed(f, err, "introspection-endpoint", 0)
	}
	header, form := http.Header{}, url.Values{}
	if s.config.Tokeninfo {
		form.Set("access_token", f.token)
	} else {
		form.Set("token", f.token)
		form.Set("token_type_hint", "access_token")
		if err = s.client.Load().Apply(ctx, clientauth.Endpoint{Issuer: s.config.Issuer, URL: endpoint}, header, form); err != nil {
			return Answer{}, s.failed(f, err, "introspection-credentials", 0)
		}
	}
	s.mu.Lock()
	f.asked = time.Now()
	s.mu.Unlock()
	posted = true
	got, err := s.poster.Post(ctx, fetch.PostRequest{
		URL: endpoint, Header: header, Form: form, Limit: maxAnswer, Guarded: guarded, Returned: leave,
	})
	var failed *fetch.Error
	switch {
	case errors.As(err, &failed) && (failed.Class == fetch.Redirect || failed.Class == fetch.TooLarge):
		return Answer{}, s.troubled(f, err, "introspection-answer", 0)
	case err != nil:
		return Answer{}, s.failed(f, err, "introspection-unreachable", 0)
	}
	return s.read(f, endpoint, got)
}

// read makes something of an answer.
func (s *Server) read(f *flight, endpoint string, got *fetch.Posted) (Answer, *refusal.Refusal) {
	body := withoutToken(got.Body, f.token)
	status := &fetch.Error{Method: http.MethodPost, Class: fetch.BadStatus, URL: endpoint, Err: fetch.StatusError(got.Status)}
	switch {
	case s.config.Tokeninfo && saysInvalid(got.Status, body):
		s.answered()
		return Answer{}, notActive.Denied
	case got.Status == http.StatusUnauthorized && !s.config.Tokeninfo:
		s.tellCredentials(endpoint, got.Status)
		return Answer{}, s.failed(f, status, "introspection-credentials", got.RetryAfter)
	case got.Status == http.StatusTooManyRequests, got.Status >= 500:
		return Answer{}, s.failed(f, status, "introspection-unreachable", got.RetryAfter)
	case got.Status == http.StatusForbidden: // of the server, or of what filters requests in front of it
		s.tellCredentials(endpoint, got.Status)
		return Answer{}, s.troubled(f, status, "introspection-credentials", got.RetryAfter)
	case got.Status != http.StatusOK:
		return Answer{}, s.troubled(f, status, "introspection-answer", got.RetryAfter)
	}
	answer, active, err := Answer{Claims: body, Asked: f.asked}, true, error(nil)
	var denied *refusal.Refusal
	if s.config.Tokeninfo {
		answer.Claims, denied, err = readTokeninfo(body, f.asked)
	} else {
		active, err = readActive(body)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", http.MethodPost, foreign.URL(endpoint), err)
		return Answer{}, s.troubled(f, err, "introspection-answer", 0)
	}
	s.answered()
	if !active {
		denied = notActive.Denied
	}
	return answer, denied
}

// answered takes note of an answer.
func (s *Server) answered() {
	for i := range s.breakers {
		s.breakers[i].note(true, 0, time.Now())
	}
}

// Refuse remembers for a moment why a token is refused.
func (s *Server) Refuse(token string, v Verdict) {
	v.Denied = v.refusal() // whoever has it may add to it
	s.refuse(token, &v)
}

func (s *Server) refuse(token string, v *Verdict) {
	s.refused.Add(s.refused.Key(token), 0, v, time.Now(), refusedFor)
	s.known.Remove(s.known.Key(token))
}

// Owner returns a number for whoever has a token, never 0.
func (s *Server) Owner(names ...string) uint32 { return s.known.Owner(names...) | 1 }

// Good remembers that a token was good, on account of its owner.
func (s *Server) Good(token string, owner uint32) {
	s.known.Add(s.known.Key(token), owner, &owner, time.Now(), knownFor)
}

// Warm finds the endpoint.
func (s *Server) Warm(ctx context.Context) *refusal.Refusal {
	if _, _, err := s.config.Endpoint(ctx); err != nil {
		return s.unavailable(err, "introspection-endpoint", retrySoon)
	}
	return nil
}
