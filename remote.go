package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// How long documents live. A document is fetched anew when its life is over,
// by a request that passes and does not wait for it.
const (
	minTTL     = 5 * time.Minute
	maxTTL     = 24 * time.Hour
	defaultTTL = time.Hour

	maxStale = 24 * time.Hour   // keys may serve this long after the last success
	coolDown = 30 * time.Second // between two fetches that unknown keys cause

	minBackoff = time.Second // after a first failure, doubled after each further one
	maxBackoff = 30 * time.Second
)

// remote keeps one document of an authorization server: one flight at a time,
// whole values swapped at once, failures remembered and retried with backoff.
type remote[T any] struct {
	// load fetches the document; previous is the current one or nil. It may
	// return previous itself when nothing has changed.
	load func(ctx context.Context, previous *loaded[T]) (*loaded[T], error)
	// stale bounds how long after its last success the document serves; 0: for ever.
	stale   time.Duration
	failed  func(error) // told of each failed fetch
	current atomic.Pointer[loaded[T]]
	nextTry atomic.Pointer[time.Time] // nothing is fetched on schedule before; nil: at once

	mu       sync.Mutex
	flight   *flight
	failures int
	missedAt time.Time // when an unknown key last caused a fetch
	lastErr  error     // of the last fetch; nil if it succeeded
	count    fetchCount
}

// fetchCount is what metrics say about a document's fetches.
type fetchCount struct {
	fetches, failures uint64
	suppressed        uint64 // requests for what the document lacks, within the cool-down
	spent             time.Duration
}

// loaded is a document as it was fetched.
type loaded[T any] struct {
	value    T
	etag     string
	lifetime time.Duration // as the server wishes; negative: no wish

	begun, succeeded, refreshAt time.Time
}

type flight struct {
	begun time.Time
	done  chan struct{}
}

// get returns the document. With a usable one at hand it never waits; without
// one it waits for the flight under way, as long as ctx allows and no longer
// than one fetch may take, counted from when the request asked.
func (r *remote[T]) get(ctx context.Context, asked time.Time) (*loaded[T], error) {
	now := time.Now()
	if doc := r.ready(now); doc != nil {
		return doc, nil
	}
	if f := r.start(now); f != nil {
		if err := f.wait(ctx, asked); err != nil {
			return nil, &unavailableError{err: err, retry: minBackoff}
		}
	}
	now = time.Now()
	if doc := r.usable(now); doc != nil {
		return doc, nil
	}
	return nil, r.unavailable(now)
}

// ready returns the document if there is a usable one, and has it fetched anew
// when that is due.
func (r *remote[T]) ready(now time.Time) *loaded[T] {
	doc := r.usable(now)
	if doc != nil && passed(now, doc.refreshAt) && r.mayTry(now) {
		r.start(now)
	}
	return doc
}

func (r *remote[T]) usable(now time.Time) *loaded[T] {
	doc := r.current.Load()
	if doc != nil && r.stale > 0 && passed(now, doc.succeeded.Add(r.stale)) {
		return nil
	}
	return doc
}

// passed reports whether a moment lies behind on either clock. The monotonic
// one does not believe a wall clock that was set back; the wall clock knows of
// the time that a suspended machine has slept through.
func passed(now, moment time.Time) bool {
	return now.After(moment) || now.Round(0).After(moment.Round(0))
}

// mayTry reports whether the last failure is long enough ago.
func (r *remote[T]) mayTry(now time.Time) bool {
	next := r.nextTry.Load()
	return next == nil || !now.Before(*next)
}

// start joins the flight under way or begins one. It returns nil while the
// last failure is too recent, and when a flight has landed in the meantime.
func (r *remote[T]) start(now time.Time) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil {
		doc := r.usable(now)
		fresh := doc != nil && !passed(now, doc.refreshAt)
		if fresh || !r.mayTry(now) {
			return nil
		}
	}
	return r.fly(now)
}

// fly must be called with mu held.
func (r *remote[T]) fly(now time.Time) *flight {
	if r.flight == nil {
		r.flight = &flight{begun: now, done: make(chan struct{})}
		go r.run(r.flight)
	}
	return r.flight
}

// run makes one fetch. It belongs to no request: the one that began it may
// leave while others still wait.
func (r *remote[T]) run(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	doc, err := r.loadSafely(ctx)
	now := time.Now()

	r.mu.Lock()
	r.lastErr = err
	r.count.fetches++
	r.count.spent += now.Sub(f.begun)
	if err == nil {
		fresh := *doc
		fresh.begun, fresh.succeeded = f.begun, now
		fresh.refreshAt = now.Add(ttl(doc.lifetime))
		r.current.Store(&fresh)
		r.failures = 0
		r.nextTry.Store(nil)
	} else {
		next := now.Add(backoff(r.failures))
		r.nextTry.Store(&next)
		r.failures++
		r.count.failures++
	}
	r.flight = nil
	r.mu.Unlock()

	close(f.done)
	if err != nil && r.failed != nil {
		r.failed(err)
	}
}

// loadSafely makes a failure of a panic, which would end the process here: it
// may come out of a transport that is not ours.
func (r *remote[T]) loadSafely(ctx context.Context) (doc *loaded[T], err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("panic with a %T", recovered)
		}
	}()
	return r.load(ctx, r.current.Load())
}

// renew is called when the document lacks what a request of the given time
// asks for. It fetches at most once per cool-down, counted from the attempt, and
// the fetch that the request itself has waited for is one. An error says
// that the lack proves nothing, because the last fetch failed.
func (r *remote[T]) renew(ctx context.Context, asked time.Time) error {
	r.mu.Lock()
	if doc := r.current.Load(); doc != nil && doc.begun.After(asked) {
		if doc.begun.After(r.missedAt) {
			r.missedAt = doc.begun
		}
		r.mu.Unlock()
		return nil
	}
	f := r.flight
	if f == nil {
		now := time.Now()
		if wait := r.missedAt.Add(coolDown).Sub(now); wait > 0 {
			r.count.suppressed++
			err := r.lastErr
			r.mu.Unlock()
			if err != nil {
				return &unavailableError{err: err, retry: wait}
			}
			return nil
		}
		r.missedAt = now
		f = r.fly(now)
	}
	r.mu.Unlock()
	if err := f.wait(ctx, asked); err != nil {
		return &unavailableError{err: err, retry: minBackoff}
	}
	r.mu.Lock()
	err := r.lastErr
	r.mu.Unlock()
	if err != nil {
		return r.unavailable(time.Now())
	}
	return nil
}

func (f *flight) wait(ctx context.Context, asked time.Time) error {
	timeout := time.NewTimer(time.Until(asked.Add(fetch.Timeout)))
	defer timeout.Stop()
	select {
	case <-f.done:
		return nil
	case <-timeout.C:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ttl clamps what the server wishes and spreads it by a tenth either way, so that
// replicas that started together do not fetch together.
func ttl(wish time.Duration) time.Duration {
	switch {
	case wish < 0:
		wish = defaultTTL
	default:
		wish = min(max(wish, minTTL), maxTTL)
	}
	return min(spread(wish, 0.1), maxTTL)
}

func backoff(failures int) time.Duration {
	return min(spread(minBackoff<<min(failures, 5), 0.2), maxBackoff)
}

func spread(d time.Duration, by float64) time.Duration {
	return time.Duration(float64(d) * (1 - by + 2*by*rand.Float64()))
}

// unavailableError says that a document cannot be had now.
type unavailableError struct {
	err   error
	retry time.Duration
}

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

var errStale = errors.New("the last good copy is too old")

func (r *remote[T]) unavailable(now time.Time) error {
	r.mu.Lock()
	err := r.lastErr
	r.mu.Unlock()
	if err == nil {
		err = errStale
	}
	retry := minBackoff
	if next := r.nextTry.Load(); next != nil {
		retry = next.Sub(now)
	}
	return &unavailableError{err: err, retry: retry}
}
