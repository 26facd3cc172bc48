package soak

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// slowness is when a replica had to wait for the store, or for the machine, so long that it may have given up. The soak runs beside other
// things; what it says of the store has to be what the replica has seen.
type slowness struct {
	mu    sync.Mutex
	spans []span
}

// tooSlow is well below the quarter of a second that a store has.
const tooSlow = 100 * time.Millisecond

func (s *slowness) note(begun time.Time, failed bool) {
	if now := time.Now(); failed || now.Sub(begun) > tooSlow {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spans = append(s.spans, span{begun, now})
	}
}

// watch notes when this process does not get on.
func (s *slowness) watch() {
	for {
		begun := time.Now()
		time.Sleep(20 * time.Millisecond)
		s.note(begun, false)
	}
}

// tell tells what was noted since the last time.
func (s *slowness) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	spans := s.spans
	s.spans = nil
	s.mu.Unlock()
	var times [][2]int64
	for _, one := range spans {
		times = append(times, [2]int64{one.from.UnixNano(), one.to.UnixNano()})
	}
	_ = json.NewEncoder(w).Encode(times)
}

// timedStore notes how long a store takes.
type timedStore struct {
	mcpauth.Store
	slow *slowness
}

func (s *timedStore) Get(ctx context.Context, key string) (value []byte, err error) {
	defer func(begun time.Time) { s.slow.note(begun, err != nil) }(time.Now())
	return s.Store.Get(ctx, key)
}

func (s *timedStore) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) (held []byte, err error) {
	defer func(begun time.Time) { s.slow.note(begun, err != nil) }(time.Now())
	return s.Store.PutIfAbsent(ctx, key, value, ttl)
}

func (s *timedStore) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) (old []byte, err error) {
	defer func(begun time.Time) { s.slow.note(begun, err != nil) }(time.Now())
	return s.Store.Swap(ctx, key, value, ttl)
}

func (s *timedStore) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error) {
	defer func(begun time.Time) { s.slow.note(begun, err != nil) }(time.Now())
	return s.Store.Add(ctx, key, n, limit, ttl)
}

func (s *timedStore) Delete(ctx context.Context, key string) (err error) {
	defer func(begun time.Time) { s.slow.note(begun, err != nil) }(time.Now())
	return s.Store.Delete(ctx, key)
}

// hearOfSlowness asks a replica whether it had to wait.
func (s *soak) hearOfSlowness(at string) {
	number, _, _ := strings.Cut(at, "/")
	replica, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	var times [][2]int64
	s.ask(replica, "/soak/slow", &times)
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, one := range times {
		s.store.down = append(s.store.down, span{time.Unix(0, one[0]), time.Unix(0, one[1])})
	}
}
