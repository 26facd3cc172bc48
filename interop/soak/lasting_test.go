package soak

import (
	"context"
	"io"
	"net/http"
	"time"
)

// What lasts.
const (
	kindStream  = "stream of a session"
	kindListen  = "stream: subscriptions/listen"
	kindExpires = "stream until its token expires"
	kindLeaves  = "stream until its token is revoked"
	kindKeyless = "stream until its key is withdrawn"
)

// lasting are the ways of a caller that listens.
var lasting = []func(*caller){(*caller).listens, (*caller).listensModern, (*caller).untilExpiry, (*caller).untilExpiry, (*caller).untilRevoked, (*caller).untilWithdrawn}

// heard is what became of a stream.
type heard struct {
	at       string    // the middleware
	ended    time.Time // zero: it was not opened, or the window was over
	byServer bool
}

// listen opens a stream, and reads it until it ends or the caller leaves, after a while.
func (c *caller) listen(q request, leaveAfter time.Duration) heard {
	window, _ := c.window()
	ctx, cancel := context.WithTimeout(window, leaveAfter)
	defer cancel()
	q.ctx = ctx
	answer, body := c.open(q, false)
	if body == nil || answer.status != http.StatusOK {
		return heard{}
	}
	defer body.Close()
	_, _ = io.Copy(io.Discard, body)
	if window.Err() != nil {
		return heard{}
	}
	return heard{answer.at, time.Now(), ctx.Err() == nil}
}

// listenIn opens the stream of a session of mcp-go.
func (c *caller) listenIn(session, kind string, f facts, leaveAfter time.Duration) heard {
	return c.listen(request{kind: kind, method: http.MethodGet, path: "/mcpgo", token: f, version: legacy, session: session}, leaveAfter)
}

func (c *caller) listens() {
	f := c.token("/mcpgo", jwt)
	if session := c.session(f); session != "" {
		c.lasts(kindStream, f, c.listenIn(session, kindStream, f, time.Second+c.plan.life/10))
		c.end(session)
	}
}

func (c *caller) listensModern() {
	f := c.token("/gosdk", jwt)
	q := request{kind: kindListen, path: "/gosdk", token: f, version: modern,
		message: map[string]any{"id": 1, "method": "subscriptions/listen", "params": map[string]any{"notifications": map[string]any{"toolsListChanged": true}}}}
	c.lasts(kindListen, f, c.listen(q, time.Second+c.plan.life/10))
}

// lasts checks that a stream goes on while its token is good.
func (c *caller) lasts(kind string, f facts, h heard) {
	switch {
	case h.ended.IsZero():
	case h.byServer && h.ended.Before(f.exp):
		c.ledger.finding(streamEarly, "%s at %s: at %v, its token expires at %v", kind, h.at, h.ended, f.exp)
	default:
		c.endedWell(kind)
	}
}

// ends checks when the server has ended a stream.
func (c *caller) ends(kind string, h heard, from, to time.Time) {
	switch {
	case h.ended.IsZero():
	case !h.byServer || h.ended.After(to):
		c.ledger.finding(streamLate, "%s at %s: at %v, want until %v", kind, h.at, h.ended, to)
	case h.ended.Before(from):
		c.ledger.finding(streamEarly, "%s at %s: at %v, want from %v", kind, h.at, h.ended, from)
	default:
		c.endedWell(kind)
	}
}

func (c *caller) untilExpiry() {
	f := c.fresh("/mcpgo", []kind{jwt, opaque}[c.rand.IntN(2)], 3*time.Second)
	if session := c.session(f); session != "" {
		h := c.listenIn(session, kindExpires, f, 9*time.Second)
		c.ends(kindExpires, h, f.exp.Add(-time.Second), f.exp.Add(leeway+slack))
		c.end(session)
	}
}

// untilRevoked holds a stream whose token is revoked.
func (c *caller) untilRevoked() {
	longest := askedAgain + 10*time.Second
	if _, left := c.window(); left < longest {
		return
	}
	f := c.fresh("/mcpgo", jwt, 10*time.Minute)
	session := c.session(f)
	if session == "" {
		return
	}
	revoked := f
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(2 * time.Second)
		c.revoke(&revoked)
	}()
	h := c.listenIn(session, kindLeaves, f, longest)
	if <-done; !revoked.revoked.to.IsZero() {
		c.ends(kindLeaves, h, revoked.revoked.from, revoked.revoked.to.Add(askedAgain+slack))
	}
	c.end(session)
}

// untilWithdrawn holds a stream whose key is withdrawn: it ends when the middleware has seen that.
func (c *caller) untilWithdrawn() {
	longest := c.plan.keep + askedAgain + c.plan.longest + 10*time.Second
	if _, left := c.window(); left < longest {
		return
	}
	f := c.fresh("/mcpgo", jwt, 20*time.Minute)
	session := c.session(f)
	if session == "" {
		return
	}
	h := c.listenIn(session, kindKeyless, f, longest)
	if seen := c.as.seenWithdrawn(f.signer, h.at); !seen.IsZero() && h.byServer {
		c.ends(kindKeyless, h, seen.Add(-slack), seen.Add(askedAgain+slack))
	} else if h.byServer {
		c.ledger.finding(streamEarly, "%s at %s: its key is still there", kindKeyless, h.at)
	}
	c.end(session)
}

// seenWithdrawn is when a middleware has got a key set without a key that was published.
func (s *authServer) seenWithdrawn(g *generation, by string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fetched {
		if !g.withdrawn.IsZero() && f.end.After(g.withdrawn) && f.by == by && !f.keys[g] {
			return f.end
		}
	}
	return time.Time{}
}
