package mcpauth

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// readyPatience bounds how long [Middleware.Ready] waits for keys that are not
// there yet: less than the second that probes usually allow.
const readyPatience = 800 * time.Millisecond

// Ready returns nil when every issuer has keys to verify tokens with. Keys
// that cannot be renewed count for the 24 hours in which they serve. It starts
// what is due as [Middleware.Warm] does, and waits for it no longer than 800 ms:
// made for readiness probes, and wrong for liveness, because a restart does not
// mend an authorization server. The error wraps [ErrUnavailable] for each issuer without keys.
func (m *Middleware) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	return m.Warm(ctx)
}

// Health returns a handler for a readiness probe, at whatever path it is
// mounted: 200 when [Middleware.Ready], else 503, and in either case a JSON
// object that says of each issuer whether it is ready, how many keys there are,
// how old they are, and the class of the last failure. It needs no token; mount
// it where the public does not reach.
func (m *Middleware) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		status := http.StatusOK
		ready := m.Ready(r.Context()) == nil
		if !ready {
			status = http.StatusServiceUnavailable
		}
		body := m.health(ready)
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	})
}

func (m *Middleware) health(ready bool) []byte {
	type issuer struct {
		URL       string `json:"issuer"`
		Ready     bool   `json:"ready"`
		Keys      int    `json:"keys"`
		Age       *int64 `json:"age_seconds,omitempty"`
		LastError string `json:"last_error,omitempty"`
	}
	report := struct {
		Ready   bool     `json:"ready"`
		Issuers []issuer `json:"issuers"`
	}{Ready: ready}
	for _, status := range m.Issuers() {
		i := issuer{URL: status.URL, Ready: status.Ready, Keys: len(status.Keys), LastError: status.LastError}
		if !status.LastSuccess.IsZero() {
			age := int64(time.Since(status.LastSuccess).Seconds())
			i.Age = &age
		}
		report.Issuers = append(report.Issuers, i)
	}
	return encode(report)
}

// fetchCount is what metrics say about the fetches from an issuer.
type fetchCount struct {
	mu                        sync.Mutex
	begun, failed, suppressed uint64
	spent                     time.Duration
	within                    [len(fetchBounds) + 1]uint64
}

// fetchBounds are the bounds of IssuerStatus.FetchTimes, the last one aside.
var fetchBounds = [...]time.Duration{
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
}

func (c *fetchCount) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
}

func (c *fetchCount) end(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent += took
	place, _ := slices.BinarySearch(fetchBounds[:], took)
	c.within[place]++
}

func (c *fetchCount) fail(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed += uint64(n)
}

// suppress counts a token that is answered without keys that are new enough.
func (c *fetchCount) suppress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suppressed++
}

// into copies the counters into a status.
func (c *fetchCount) into(st *IssuerStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Fetches, st.Failures, st.Suppressed = c.begun, c.failed, c.suppressed
	st.FetchTime, st.FetchTimes = c.spent, c.within
}

// fetchCounts are the counters of those who share a key set.
type fetchCounts []*fetchCount

func (all fetchCounts) begin() {
	for _, c := range all {
		c.begin()
	}
}

func (all fetchCounts) end(took time.Duration, err error) {
	for _, c := range all {
		c.end(took)
		if err != nil {
			c.fail(1)
		}
	}
}

// countsOf finds the counters of those who share the keys.
func (g *keyRegistry) countsOf(keys *sharedKeys) (all fetchCounts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, issuer := range keys.issuers {
		all = append(all, g.counts[issuer])
	}
	return all
}
