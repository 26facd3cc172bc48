package keys

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// Status is what is known of an issuer's keys at a moment.
type Status struct {
	Ready       bool           // there are keys that serve
	Keys        []Key          // those
	Skipped     []jose.Skipped // of the last key set that was read, whether it serves or not
	JWKSURI     string         // "" with static keys, or before discovery
	LastSuccess time.Time      // of a key fetch
	NextRefresh time.Time
	Failed      string          // class of the last failure since the last success, "" for none
	Metadata    json.RawMessage // as fetched; nil before

	// Counters since the start, of metadata and keys together.
	Fetches, Failures uint64
	Suppressed        uint64 // tokens that were answered without keys that are new enough
	FetchTime         time.Duration
	FetchTimes        [len(fetchBounds) + 1]uint64
}

// Key is a key by its name, "" for none, and the algorithm that it is pinned to.
type Key struct{ Kid, Alg string }

// Status looks at what is at hand. It causes no network traffic.
func (s *Source) Status() Status {
	st := Status{JWKSURI: s.jwksURI}
	s.count.into(&st)
	set, last, keys := s.keys.static, s.keys.static, s.keys.fixed
	if s.keys.metadata != nil {
		st.Failed = s.keys.metadata.lastClass()
		if doc := s.keys.metadata.current.Load(); doc != nil {
			st.JWKSURI, st.Metadata = doc.value.jwksURI, doc.value.raw
			keys = doc.value.keys
		}
	}
	if keys != nil {
		if doc := keys.current.Load(); doc != nil {
			st.LastSuccess, st.NextRefresh, last = doc.succeeded, doc.refreshAt, doc.value
		}
		if c, ok := s.keys.look(time.Now()); ok {
			set = c.set
		}
		if class := keys.lastClass(); class != "" {
			st.Failed = class
		}
	}
	if set != nil {
		st.Ready, last = true, set
		for i := range set.keys {
			st.Keys = append(st.Keys, Key{set.keys[i].Kid, set.keys[i].Alg})
		}
	}
	if last != nil {
		st.Skipped = last.skipped
	}
	return st
}

// lastClass names the kind of the last failure, "" for none.
func (r *remote[T]) lastClass() string {
	if err := r.failure(); err != nil {
		return failureOf(err).class
	}
	return ""
}

// fetchCount is what metrics say about the fetches from an issuer.
type fetchCount struct {
	mu                        sync.Mutex
	begun, failed, suppressed uint64
	spent                     time.Duration
	within                    [len(fetchBounds) + 1]uint64
}

// fetchBounds are the bounds of Status.FetchTimes, the last one aside.
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
func (c *fetchCount) into(st *Status) {
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
func (g *Registry) countsOf(keys *sharedKeys) (all fetchCounts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, issuer := range keys.issuers {
		all = append(all, &issuer.count)
	}
	return all
}
