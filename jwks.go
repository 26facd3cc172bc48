package mcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/keys"
)

// IssuerStatus is what [Middleware.Issuers] tells of one issuer.
type IssuerStatus struct {
	URL   string
	Ready bool // there are keys to verify tokens with

	Keys        []string        // kid of each usable key, whole; "" for one without
	Skipped     []string        // keys of the set that cannot be used, and why
	JWKSURI     string          // "" with static keys, or before discovery; a configured one without its query
	LastSuccess time.Time       // of a key fetch; zero before, and with static keys
	NextRefresh time.Time       // when a request will renew the keys
	LastError   string          // class of the last failure since the last success: "timeout", "issuer_mismatch"; "" for none
	Metadata    json.RawMessage // the authorization server's metadata as fetched; nil before. Do not modify

	// Counters since the start, of metadata and keys together, wherever they stand. A key set that
	// several issuers share counts for each of them.
	Fetches    uint64        // requests to the authorization server, failed ones included
	Failures   uint64        // those without a usable document; not that of a well-known place while another one has it
	Suppressed uint64        // tokens that the keys could not verify and that were answered without newer ones: fetches for such tokens are few
	FetchTime  time.Duration // of all fetches together
	FetchTimes [6]uint64     // how many took up to 0.1, 0.25, 0.5, 1 and 2.5 seconds, and longer
}

// Issuers reports on the keys of every issuer, in the order of the
// configuration and without any network traffic: for readiness probes and status pages.
func (m *Middleware) Issuers() []IssuerStatus {
	return statusOf(m.generation().verifier.ordered)
}

func statusOf(issuers []*issuer) []IssuerStatus {
	all := make([]IssuerStatus, len(issuers))
	for i, s := range issuers {
		all[i] = s.status()
	}
	return all
}

func (s *issuer) status() IssuerStatus {
	now := s.keys.Status()
	st := IssuerStatus{
		URL: s.url, Ready: now.Ready, JWKSURI: now.JWKSURI, LastSuccess: now.LastSuccess, NextRefresh: now.NextRefresh,
		LastError: now.Failed, Metadata: now.Metadata, Fetches: now.Fetches, Failures: now.Failures, Suppressed: now.Suppressed,
		FetchTime: now.FetchTime, FetchTimes: now.FetchTimes,
	}
	for _, key := range now.Keys {
		st.Keys = append(st.Keys, key.Kid)
	}
	if now.Ready {
		st.Skipped = keys.ShownSkipped(now.Skipped)
	}
	return st
}

// ConfigStatus is what [Middleware.ConfigStatus] tells.
type ConfigStatus struct {
	// Fingerprint names all of the configuration that decides, but for secrets, and for code, of which it has the type: "sha256:"
	// and 64 hex digits, the same in replicas with the same configuration.
	Fingerprint string
	Generation  uint64 // 1 for the configuration of New, one more after each change

	Source      string    // of the configuration in force, as Reload was told; "" for that of New
	InForce     time.Time // since when it is
	LastSuccess time.Time // when a configuration was read last that can be used, if only the same one
	StaleSince  time.Time // since when a newer one cannot be used; zero if none is waiting
}

// ConfigStatus tells which configuration is in force, and whether a newer one cannot be used: for status pages and metrics.
func (m *Middleware) ConfigStatus() ConfigStatus {
	now, e := m.standing.Status(), m.generation().edition
	return ConfigStatus{Fingerprint: e.Fingerprint, Generation: e.Number,
		Source: now.Source, InForce: now.InForce, LastSuccess: now.LastSuccess, StaleSince: now.StaleSince}
}

// Warm fetches the metadata and keys of every issuer that has none yet or whose
// copy is due, all issuers at once, and returns what went wrong. Call it
// before the first request, or in a readiness probe; without it the first token does the same.
func (m *Middleware) Warm(ctx context.Context) error {
	issuers := m.generation().verifier.ordered
	errs := make([]error, len(issuers))
	var wg sync.WaitGroup
	for i, s := range issuers {
		wg.Go(func() {
			denied := s.keys.Warm(ctx)
			if denied == nil && s.asked != nil {
				denied = s.asked.Warm(ctx)
			}
			if denied != nil {
				errs[i] = deniedError(denied)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

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
// how old they are, and the class of the last failure, and since when a newer configuration cannot be used, if one cannot. It needs no token; mount
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
	type config struct {
		StaleSince time.Time `json:"stale_since"`
	}
	report := struct {
		Ready   bool     `json:"ready"`
		Issuers []issuer `json:"issuers"`
		Config  *config  `json:"config,omitempty"` // if a newer one cannot be used: the one in force serves
	}{Ready: ready}
	if since := m.standing.Status().StaleSince; !since.IsZero() {
		report.Config = &config{since.UTC().Truncate(time.Second)}
	}
	issuers := m.generation().verifier.ordered
	for n, status := range statusOf(issuers) {
		if issuers[n].unlisted {
			status.URL = "" // a probe needs no token
		}
		i := issuer{URL: status.URL, Ready: status.Ready, Keys: len(status.Keys), LastError: status.LastError}
		if !status.LastSuccess.IsZero() {
			age := int64(time.Since(status.LastSuccess).Seconds())
			i.Age = &age
		}
		report.Issuers = append(report.Issuers, i)
	}
	return encode(report)
}
