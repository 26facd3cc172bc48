package mcpauth

import (
	"context"
	"net/http"
	"strconv"
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

// countInto copies the counters into a status.
func (k *sharedKeys) countInto(st *IssuerStatus) {
	k.mu.Lock()
	st.Fetches, st.Failures, st.FetchTime = k.count.fetches, k.count.failures, k.count.spent
	k.mu.Unlock()
	k.suspects.mu.Lock()
	st.Suppressed = k.suspects.count
	k.suspects.mu.Unlock()
}
