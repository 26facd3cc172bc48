package introspect

import (
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// failed takes note of a question for which the server itself has no answer: it cannot be reached, is broken, has too much to do,
// or does not know us. One about a token that was good lately says more about the
// server than one about any token. wish is when the server wants to be asked again.
func (s *Server) failed(f *flight, err error, cause string, wish time.Duration) *refusal.Refusal {
	now := time.Now()
	retry := s.breakers[0].note(false, f.who, now)
	if f.isKnown() {
		retry = s.breakers[1].note(false, f.who, now)
	}
	s.mu.Lock()
	s.failing = cause
	s.mu.Unlock()
	denied := s.unavailable(err, cause, max(retry, wish))
	denied.Unsettled = !f.isKnown() && !s.mayTell(&s.warned)
	return denied
}

// troubled takes note of an answer that nobody can use. Any other failure than those of [Server.failed] may come of
// what was asked: of this token, or of what is said of its holder. So it is the trouble of whoever has it, and
// counts against nobody else. For a moment it is not asked about again.
func (s *Server) troubled(f *flight, err error, cause string, wish time.Duration) *refusal.Refusal {
	s.breaker(f).again(f.asked, time.Now())
	denied := s.unavailable(err, cause, max(troubledFor, wish))
	again := *denied
	again.Unsettled = true // it has been told
	s.refused.Add(s.refused.Key(f.token), 0, &Verdict{Denied: &again}, time.Now(), troubledFor)
	denied.Unsettled = !f.isKnown() && !s.mayTell(&s.warned)
	return denied
}

// resting is for a question that is not put, because of what became of others.
func (s *Server) resting(f *flight, wait time.Duration) *refusal.Refusal {
	s.mu.Lock()
	cause := s.failing
	s.mu.Unlock()
	denied := s.unavailable(errResting, cause, wait)
	denied.Unsettled = !f.isKnown()
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

// tellCredentials tells the operator that the server does not let us ask, now and then.
func (s *Server) tellCredentials(endpoint string, status int) {
	if s.mayTell(&s.told) {
		s.log.Error("mcpauth: the authorization server does not let this server ask about tokens", "issuer", s.config.Issuer,
			"endpoint", foreign.BareURL(endpoint), "client", s.client.Load().ClientID(), "status", status, "cause", "introspection-credentials", "fix", explain.Finding{Cause: "introspection-credentials"}.Fix())
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
