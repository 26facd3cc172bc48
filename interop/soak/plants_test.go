package soak

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"github.com/seed-1e292522/mcpauth"
)

// The faults that a replica can have on purpose, so that it is seen whether the soak finds them.
const (
	plantAccepts  = "a forged token is accepted"
	plantRefuses  = "a good token is refused"
	plantOutage   = "a good token gets 503"
	plantUnasked  = "503 does not say when to come back"
	plantReason   = "a refusal has another status"
	plantBreaks   = "the connection breaks"
	plantNoRecord = "a record is dropped"
	plantTwice    = "a record is written twice"
	plantLies     = "a record says allow"
	plantLoss     = "the log has lost records"
	plantThreads  = "goroutines are left behind"
	plantHeap     = "memory is left behind"
	plantTwin     = "a call runs twice"
	plantIdle     = "a call does not run"
	plantBehind   = "a refused call runs"
	plantStranger = "a call runs for somebody else"
	plantStream   = "a stream outlives its token"
	plantCut      = "a stream is cut off"
	plantAsks     = "keys are asked for conditionally"
)

// plants are those that a replica has.
type plants struct {
	on     map[string]bool
	count  atomic.Int64
	mu     sync.Mutex
	leaked [][]byte
}

func newPlants(names []string) *plants {
	p := &plants{on: map[string]bool{}}
	for _, name := range names {
		p.on[name] = true
	}
	return p
}

// turn reports whether the fault is planted and has its turn, which is every third time.
func (p *plants) turn(fault string) bool { return p.on[fault] && p.count.Add(1)%3 == 0 }

// hit is turn for the calls of honest callers.
func (p *plants) hit(fault string, r *http.Request) bool {
	return p.on[fault] && r.Header.Get(kindHeader) == kindCall && p.turn(fault)
}

// decisions stands in front of the audit.
func (p *plants) decisions(next func(context.Context, mcpauth.Decision)) func(context.Context, mcpauth.Decision) {
	return func(ctx context.Context, d mcpauth.Decision) {
		switch {
		case d.Change != nil: // no request
		case p.turn(plantNoRecord):
			return
		case p.turn(plantTwice):
			next(ctx, d)
		case d.Err != nil && d.Err.Status == http.StatusBadRequest && p.on[plantLies]:
			d.Err = nil
		}
		next(ctx, d)
	}
}

// handler stands in front of mcpauth.
func (p *plants) handler(next, backend http.Handler) http.Handler {
	if len(p.on) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Header.Get(kindHeader)
		switch {
		case p.on[plantAccepts] && kind == kindForged && r.URL.Path == "/mcpgo": // the other looks for a caller itself
			backend.ServeHTTP(w, r)
		case p.hit(plantRefuses, r):
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		case p.hit(plantOutage, r):
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case p.hit(plantUnasked, r):
			w.WriteHeader(http.StatusServiceUnavailable)
		case p.on[plantReason] && kind == kindAudience:
			w.WriteHeader(http.StatusForbidden)
		case p.hit(plantBreaks, r):
			panic(http.ErrAbortHandler)
		case p.on[plantStream] && kind == kindExpires, p.on[plantCut] && kind == kindStream:
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			if p.on[plantStream] {
				<-r.Context().Done()
			}
		default:
			if p.on[plantBehind] && kind == kindUnlisted {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				backend.ServeHTTP(httptest.NewRecorder(), r)
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			p.leak()
			next.ServeHTTP(w, r)
		}
	})
}

// leak leaves something behind.
func (p *plants) leak() {
	if p.turn(plantThreads) {
		go func() { select {} }()
	}
	if p.on[plantHeap] {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leaked = append(p.leaked, make([]byte, 128<<10))
	}
}
