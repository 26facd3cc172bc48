package mcpauth

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxStreams bounds the long-lived streams of one principal.
const maxStreams = 32

// errStreamExpired is the cause of the request context's end when a stream
// outlives its token.
var errStreamExpired = errors.New("mcpauth: the access token of this stream has expired")

// streams counts the long-lived streams of each principal.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

// begin takes a place, if one is free.
func (s *streams) begin(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] >= maxStreams {
		return false
	}
	s.open[key]++
	return true
}

func (s *streams) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key]--; s.open[key] <= 0 {
		delete(s.open, key)
	}
}

// isStream reports whether the request asks for a stream that lives as long as
// the client likes.
func (x *exchange) isStream() bool {
	for _, call := range x.calls {
		if call.Method == streamMethod || call.Method == "subscriptions/listen" {
			return true
		}
	}
	return false
}

// expiry ends a response at the moment when the token expires: it tells the handler
// by its context, and lets nothing pass that the handler writes all the same, such as the
// result of a call which was cut short. Long-lived streams are armed from the
// start; any other response is when it turns out to be one.
type expiry struct {
	http.ResponseWriter
	ctx   *requestContext
	at    time.Time
	timer *time.Timer
	over  atomic.Bool
	m     *Middleware
	p     *Principal
}

// Write refuses what comes too late.
func (e *expiry) Write(data []byte) (int, error) {
	if e.over.Load() {
		return 0, errStreamExpired
	}
	return e.ResponseWriter.Write(data)
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (e *expiry) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// arm sets the timer, once.
func (e *expiry) arm() {
	if e.timer == nil {
		e.timer = time.AfterFunc(time.Until(e.at), e.end)
	}
}

func (e *expiry) end() {
	e.over.Store(true)
	e.ctx.cancel(errStreamExpired)
	e.m.log.Info("mcpauth: stream ended because its token expired", "issuer", e.p.Issuer, "subject", shown(e.p.Subject), "exp", e.p.Expiry)
}

// stop lets go of the timer.
func (e *expiry) stop() {
	if e.timer != nil {
		e.timer.Stop()
	}
}

func isEventStream(h http.Header) bool {
	mediaType, _, _ := strings.Cut(first(h["Content-Type"]), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
