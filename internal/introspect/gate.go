package introspect

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// How many questions are under way at one authorization server. Anybody can make up tokens, and each costs
// a question: those about tokens that were good lately have places of their own.
const (
	maxAsked   = 64  // questions under way,
	maxStrange = 48  // of them about tokens that were not good lately
	maxWaiting = 256 // questions of either kind that wait for a place
	maxOwn     = 96  // questions of one caller, under way or waiting

	patience      = time.Second     // of a question about any token, for a place
	knownPatience = 3 * time.Second // of one about a token that was good lately
)

// gate lets so many questions through at a time.
type gate struct {
	all, strange                 chan struct{}
	waitingStrange, waitingKnown atomic.Int32
}

func newGate() gate {
	return gate{all: make(chan struct{}, maxAsked), strange: make(chan struct{}, maxStrange)}
}

// enter takes a place, and waits for one. It reports false if there is none in time.
func (g *gate) enter(known bool) bool {
	if g.try(known) {
		return true
	}
	waiting, timeout := &g.waitingStrange, patience
	if known {
		waiting, timeout = &g.waitingKnown, knownPatience
	}
	defer waiting.Add(-1)
	if waiting.Add(1) > maxWaiting {
		return false
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	if !known {
		select {
		case g.strange <- struct{}{}:
		case <-timer.C:
			return false
		}
	}
	select {
	case g.all <- struct{}{}:
		return true
	case <-timer.C:
	}
	if !known {
		<-g.strange
	}
	return false
}

// try takes a place if there is one.
func (g *gate) try(known bool) bool {
	if !known {
		select {
		case g.strange <- struct{}{}:
		default:
			return false
		}
	}
	select {
	case g.all <- struct{}{}:
		return true
	default:
	}
	if !known {
		<-g.strange
	}
	return false
}

func (g *gate) leave(known bool) {
	<-g.all
	if !known {
		<-g.strange
	}
}

// shares counts the questions of each caller, so that whoever has many tokens fills the gate for nobody else. Strangers
// have one share by the gate itself.
type shares map[uint32]int

func (s shares) take(who uint32) bool {
	if who == 0 {
		return true
	}
	if s[who] == maxOwn {
		return false
	}
	s[who]++
	return true
}

func (s shares) give(who uint32) {
	if s[who]--; s[who] <= 0 {
		delete(s, who)
	}
}

// isKnown reports whether the token is none that a stranger has made up.
func (f *flight) isKnown() bool { return f.who != 0 }

// busy is for a question that finds no place.
func (s *Server) busy(f *flight) *refusal.Refusal {
	denied := s.unavailable(errBusy, "introspection-busy", retrySoon)
	denied.Unsettled = !f.isKnown() // anybody can bring it about
	return denied
}

// An authorization server that fails is left alone for a while.
const (
	maxFailures = 5 // in a row
	restFor     = 10 * time.Second
)

// breaker says when an authorization server may be asked. Tokens that were good lately have one of
// their own: what somebody makes up may be what the server fails at. What it fails at may be one caller's, too: he
// rests alone until it fails somebody else.
type breaker struct {
	mu       sync.Mutex
	failures int
	whose    uint32    // all of them are this caller's; 0: of several, or of strangers
	begun    time.Time // the rest, or the question after it
	until    time.Time // nobody asks before
}

// resting is for how long a caller may not ask, 0 or less for no time.
func (b *breaker) resting(who uint32, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.holds(who) {
		return 0
	}
	return b.until.Sub(now)
}

// holds reports whether there were so many failures that a caller rests. It must be called with mu held.
func (b *breaker) holds(who uint32) bool {
	return b.failures >= maxFailures && (b.whose == 0 || b.whose == who)
}

// open reports whether a caller may ask, and how long not. After a rest one question is let through, and
// the others go on resting until it has had its answer.
func (b *breaker) open(who uint32, now time.Time) (wait time.Duration, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.holds(who) {
		return 0, true
	}
	if wait = b.until.Sub(now); wait > 0 {
		return wait, false
	}
	b.begun, b.until = now, now.Add(restFor)
	return 0, true
}

// again lets the next one ask, where an answer tells neither. One to a question of before the rest ends it not.
func (b *breaker) again(asked, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !asked.Before(b.begun) {
		b.until = now
	}
}

// note takes note of an answer to a caller, or that there was none, and returns when it is worth while to ask again.
func (b *breaker) note(good bool, who uint32, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if good {
		b.failures = 0
		return 0
	}
	if b.failures == 0 {
		b.whose = who
	} else if b.whose != who {
		b.whose = 0
	}
	if b.failures++; b.failures < maxFailures {
		return retrySoon
	}
	b.begun, b.until = now, now.Add(restFor)
	return restFor
}
