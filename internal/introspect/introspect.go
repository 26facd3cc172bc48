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
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
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
	known    *tokencache.Cache[struct{}]

	mu      sync.Mutex // guards the rest
	flights map[tokencache.Key]*flight
	told    time.Time // that the server does not let us ask
	warned  time.Time // of a question of a stranger's without an answer
	doubt   neverActive
}

// New makes a server.
func New(poster *fetch.Poster, log *slog.Logger, config Config) *Server {
	s := &Server{
		config: config, poster: poster, log: log, gate: newGate(), flights: map[tokencache.Key]*flight{},
		refused: tokencache.New(maxRefused, refusedBytes, (*Verdict).cost),
		known:   tokencache.New(maxKnown, knownBytes, func(*struct{}) int { return 0 }),
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
	known  bool // the token was good lately
	done   chan struct{}
	answer Answer
	denied *refusal.Refusal
}

// Ask asks about a token. An answer that somebody waits for already serves all who came by then, and what
// was refused a moment ago by these rules is refused again; but nothing serves that is older than since. vouched says that
// the token is none that a stranger has made up.
func (s *Server) Ask(ctx context.Context, rules any, token string, since time.Time, vouched bool) (Answer, Verdict) {
	now := time.Now()
	if since.IsZero() {
		if v := s.refused.Get(s.refused.Key(token), now); v != nil && (v.By == nil || v.By == rules) {
			return Answer{}, Verdict{Denied: v.refusal(), About: v.About}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	f := s.join(token, since, now, vouched)
	select {
	case <-f.done:
	case <-ctx.Done():
		denied := s.unavailable(context.Cause(ctx), "introspection-unreachable", retrySoon)
		denied.Unsettled = !f.known // a stranger may have left
		return Answer{}, Verdict{Denied: denied}
	}
	if f.denied == nil {
		return f.answer, Verdict{}
	}
	v := Verdict{Denied: f.denied}
	return Answer{}, Verdict{Denied: v.refusal()}
}

// join finds the question that is under way, or begins one.
func (s *Server) join(token string, since, now time.Time, vouched bool) *flight {
	key := s.known.Key(token)
	known := vouched || s.known.Get(key, now) != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[key]; f != nil && !f.begun.Before(since) {
		return f
	}
	f := &flight{begun: now, known: known, done: make(chan struct{})}
	s.flights[key] = f
	go s.run(f, key, token)
	return f
}

// run puts one question. It belongs to no request: the one that began it may leave while others still wait.
func (s *Server) run(f *flight, key tokencache.Key, token string) {
	known := f.known
	defer func() {
		if recovered := recover(); recovered != nil { // a signer that is not ours may panic
			f.denied = s.unavailable(errPanic, "introspection-unreachable", retrySoon)
		}
		switch {
		case f.denied == notActive.Denied:
			s.refuse(token, notActive)
		case f.denied != nil && !f.denied.IsDoubt():
			s.Refuse(token, Verdict{Denied: f.denied})
		}
		s.mu.Lock()
		if s.flights[key] == f {
			delete(s.flights, key)
		}
		s.mu.Unlock()
		close(f.done)
	}()
	b := s.breaker(known)
	if wait := b.resting(time.Now()); wait > 0 {
		f.denied = s.resting(wait, known)
		return
	}
	if !s.gate.enter(known) {
		f.denied = s.unavailable(errBusy, "introspection-busy", retrySoon)
		f.denied.Unsettled = !known // anybody can bring it about
		return
	}
	if wait, open := b.open(time.Now()); !open { // it has failed while we waited
		s.gate.leave(known)
		f.denied = s.resting(wait, known)
		return
	}
	f.answer, f.denied = s.ask(token, known)
	s.count(key, f.denied)
}

var (
	errBusy    = errors.New("too many questions about tokens are under way")
	errResting = errors.New("it has failed several times in a row, and is not asked for a moment")
	errPanic   = errors.New("the question has ended in a panic")
)

func (s *Server) breaker(known bool) *breaker {
	if known {
		return &s.breakers[1]
	}
	return &s.breakers[0]
}

// ask makes the request. Whatever becomes of it, the place at the gate is left when the transport has returned.
func (s *Server) ask(token string, known bool) (Answer, *refusal.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	var once sync.Once
	leave := func() { once.Do(func() { s.gate.leave(known) }) }
	posted := false
	defer func() {
		if !posted {
			leave()
		}
	}()
	endpoint, guarded, err := s.config.Endpoint(ctx)
	if err != nil {
		return Answer{}, s.failed(err, "introspection-endpoint", known, 0)
	}
	header, form := http.Header{}, url.Values{}
	if s.config.Tokeninfo {
		form.Set("access_token", token)
	} else {
		form.Set("token", token)
		form.Set("token_type_hint", "access_token")
		if err = s.client.Load().Apply(ctx, clientauth.Endpoint{Issuer: s.config.Issuer, URL: endpoint}, header, form); err != nil {
			return Answer{}, s.failed(err, "introspection-credentials", known, 0)
		}
	}
	asked := time.Now()
	posted = true
	got, err := s.poster.Post(ctx, fetch.PostRequest{
		URL: endpoint, Header: header, Form: form, Limit: maxAnswer, Guarded: guarded, Returned: leave,
	})
	var failed *fetch.Error
	switch {
	case errors.As(err, &failed) && (failed.Class == fetch.Redirect || failed.Class == fetch.TooLarge):
		return Answer{}, s.troubled(token, err, "introspection-answer", known, 0)
	case err != nil:
		return Answer{}, s.failed(err, "introspection-unreachable", known, 0)
	}
	return s.read(got, token, asked, known)
}

// read makes something of an answer.
func (s *Server) read(got *fetch.Posted, token string, asked time.Time, known bool) (Answer, *refusal.Refusal) {
	body := withoutToken(got.Body, token)
	switch status := fetch.StatusError(got.Status); {
	case s.config.Tokeninfo && saysInvalid(got.Status, body):
		s.answered()
		return Answer{}, notActive.Denied
	case got.Status == http.StatusUnauthorized && !s.config.Tokeninfo:
		s.tellCredentials(got.Status)
		return Answer{}, s.failed(status, "introspection-credentials", known, got.RetryAfter)
	case got.Status == http.StatusTooManyRequests, got.Status >= 500:
		return Answer{}, s.failed(status, "introspection-unreachable", known, got.RetryAfter)
	case got.Status == http.StatusForbidden: // of the server, or of what filters requests in front of it
		s.tellCredentials(got.Status)
		return Answer{}, s.troubled(token, status, "introspection-credentials", known, got.RetryAfter)
	case got.Status != http.StatusOK:
		return Answer{}, s.troubled(token, status, "introspection-answer", known, got.RetryAfter)
	}
	answer, active, err := Answer{Claims: body, Asked: asked}, true, error(nil)
	var denied *refusal.Refusal
	if s.config.Tokeninfo {
		answer.Claims, denied, err = readTokeninfo(body, asked)
	} else {
		active, err = readActive(body)
	}
	if err != nil {
		return Answer{}, s.troubled(token, err, "introspection-answer", known, 0)
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
		s.breakers[i].note(true, time.Now())
	}
}

// failed takes note of a question for which the server itself has no answer: it cannot be reached, is broken, has too much to do,
// or does not know us. One about a token that was good lately says more about the
// server than one about any token. wish is when the server wants to be asked again.
func (s *Server) failed(err error, cause string, known bool, wish time.Duration) *refusal.Refusal {
	now := time.Now()
	retry := s.breakers[0].note(false, now)
	if known {
		retry = s.breakers[1].note(false, now)
	}
	denied := s.unavailable(err, cause, max(retry, wish))
	denied.Unsettled = !known && !s.mayTell(&s.warned)
	return denied
}

// troubled takes note of an answer that nobody can use. Any other failure than those of [Server.failed] may come of
// what was asked: of this token, or of what is said of its holder. So it is the trouble of whoever has it, and
// counts against nobody else. For a moment it is not asked about again.
func (s *Server) troubled(token string, err error, cause string, known bool, wish time.Duration) *refusal.Refusal {
	s.breaker(known).again(time.Now())
	denied := s.unavailable(err, cause, max(troubledFor, wish))
	again := *denied
	again.Unsettled = true // it has been told
	s.refused.Add(s.refused.Key(token), 0, &Verdict{Denied: &again}, time.Now(), troubledFor)
	denied.Unsettled = !known && !s.mayTell(&s.warned)
	return denied
}

// resting is for a question that is not put.
func (s *Server) resting(wait time.Duration, known bool) *refusal.Refusal {
	denied := s.unavailable(errResting, "introspection-unreachable", wait)
	denied.Unsettled = !known
	return denied
}

// mayTell reports whether the operator is to be told of what anybody can bring about: once a minute.
func (s *Server) mayTell(last *time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(*last) < tellEvery {
		return false
	}
	*last = now
	return true
}

// unavailable is a 503: the client keeps its token and comes back, not before there can be another answer.
func (s *Server) unavailable(err error, cause string, retry time.Duration) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "introspection at issuer "+s.config.Issuer, err).Because(cause)
	rounded := (retry + time.Second - 1).Truncate(time.Second)
	denied.RetryAfter = min(max(rounded, retrySoon), maxRetry)
	return denied
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

// Good remembers that a token was good, on account of an owner.
func (s *Server) Good(token string, owner ...string) {
	s.known.Add(s.known.Key(token), s.known.Owner(owner...), new(struct{}), time.Now(), knownFor)
}

// Warm finds the endpoint.
func (s *Server) Warm(ctx context.Context) *refusal.Refusal {
	if _, _, err := s.config.Endpoint(ctx); err != nil {
		return s.unavailable(err, "introspection-endpoint", retrySoon)
	}
	return nil
}

// tellCredentials tells the operator that the server does not let us ask, now and then.
func (s *Server) tellCredentials(status int) {
	if s.mayTell(&s.told) {
		s.log.Error("mcpauth: the authorization server does not let this server ask about tokens", "issuer", s.config.Issuer,
			"status", status, "cause", "introspection-credentials", "fix", explain.Finding{Cause: "introspection-credentials"}.Fix())
	}
}

// A server that calls all tokens inactive, from the first one on, may not let this client know of them.
const (
	suspectAnswers  = 20
	suspectDistinct = 10
)

// neverActive notices it.
type neverActive struct {
	over    bool // there was an active one, or the operator was told
	answers int
	tokens  map[tokencache.Key]bool
}

// count takes note of an answer.
func (s *Server) count(key tokencache.Key, denied *refusal.Refusal) {
	if denied != nil && denied.IsDoubt() {
		return
	}
	s.mu.Lock()
	d := &s.doubt
	d.over = d.over || denied == nil
	if d.over {
		d.tokens = nil
		s.mu.Unlock()
		return
	}
	if d.answers++; len(d.tokens) < suspectDistinct {
		if d.tokens == nil {
			d.tokens = map[tokencache.Key]bool{}
		}
		d.tokens[key] = true
	}
	d.over = d.answers >= suspectAnswers && len(d.tokens) == suspectDistinct
	tell := d.over
	s.mu.Unlock()
	if tell {
		s.log.Warn("mcpauth: the authorization server has called every token inactive so far: it may not tell this client of them",
			"issuer", s.config.Issuer, "client", s.client.Load().ClientID(), "cause", "introspection-never", "fix", explain.Finding{Cause: "introspection-never"}.Fix())
	}
}
