package keys

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
// by a request that passes and does not wait for it. It serves on well beyond that,
// so that an outage finds everybody with hours in hand.
const (
	minTTL     = 5 * time.Minute
	maxTTL     = 12 * time.Hour // give or take a tenth
	defaultTTL = time.Hour

	maxStale = 24 * time.Hour // a document serves this long after its last good fetch began
	maxAge   = time.Hour      // and is dated so much before that at most

	minBackoff = time.Second // after a first failure, doubled after each further one
	maxBackoff = 30 * time.Second
)

// remote keeps one document of an authorization server: one flight at a time,
// whole values swapped at once, failures remembered and retried with backoff.
type remote[T any] struct {
	// load fetches the document; previous is the current one or nil. It may
	// return the value of previous itself when nothing has changed. urgent says
	// that somebody waits.
	load    func(ctx context.Context, previous *loaded[T], urgent bool) (*loaded[T], error)
	failed  func(error)         // told of each failed fetch
	mended  func(time.Duration) // told of the first good one after that, and how long there was none
	current atomic.Pointer[loaded[T]]
	nextTry atomic.Pointer[time.Time] // nothing is fetched on schedule before; nil: at once

	mu       sync.Mutex
	flight   *flight
	failures int
	failedAt time.Time // when the last failed flight began
	downFrom time.Time // when the first of the failed ones in a row began
	lastErr  error     // of the last fetch; nil if it succeeded
}

// loaded is a document as it was fetched.
type loaded[T any] struct {
	value    T
	lifetime time.Duration // as the server wishes; negative: no wish
	age      time.Duration // as caches on the way say
	date     time.Time     // as the sender says; zero for nothing

	begun, succeeded, refreshAt time.Time

	// How new it is by others' account: by our clock, less the time in caches, and
	// by the sender's clock, zero for a sender that does not show it.
	aged, dated time.Time
}

type flight struct {
	begun  time.Time
	urgent bool // somebody waits for it
	done   chan struct{}
	err    error // may be read when it is done
}

// get returns the document. With a usable one at hand it never waits; without
// one it waits for the flight under way, as long as ctx allows and no longer
// than one fetch may take, counted from when the request asked.
func (r *remote[T]) get(ctx context.Context, asked time.Time) (*loaded[T], error) {
	now := time.Now()
	if doc := r.ready(now); doc != nil {
		return doc, nil
	}
	if f := r.start(now, true); f != nil {
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
		r.start(now, false)
	}
	return doc
}

func (r *remote[T]) usable(now time.Time) *loaded[T] {
	doc := r.current.Load()
	if doc != nil && passed(now, doc.begun.Add(maxStale)) {
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
func (r *remote[T]) start(now time.Time, urgent bool) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil {
		doc := r.usable(now)
		fresh := doc != nil && !passed(now, doc.refreshAt)
		if fresh || !r.mayTry(now) {
			return nil
		}
	}
	return r.fly(now, urgent)
}

// suspect joins the flight under way or begins one, whatever the schedule says.
func (r *remote[T]) suspect(now time.Time) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fly(now, true)
}

// fly must be called with mu held.
func (r *remote[T]) fly(now time.Time, urgent bool) *flight {
	if r.flight == nil {
		r.flight = &flight{begun: now, urgent: urgent, done: make(chan struct{})}
		go r.run(r.flight)
	}
	return r.flight
}

// underWay returns the flight, nil for none.
func (r *remote[T]) underWay() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flight
}

// run makes one fetch. It belongs to no request: the one that began it may
// leave while others still wait.
func (r *remote[T]) run(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	doc, err := r.loadSafely(ctx, f.urgent)
	now := time.Now()

	r.mu.Lock()
	r.lastErr = err
	mended := err == nil && r.failures > 0
	if err == nil {
		fresh := *doc
		fresh.begun, fresh.succeeded = f.begun, now
		fresh.aged, fresh.dated = f.begun.Add(-min(doc.age, maxAge)), doc.date
		if oldest := f.begun.Add(-maxAge); !doc.date.IsZero() && doc.date.Before(oldest) {
			fresh.dated = oldest
		}
		fresh.refreshAt = f.begun.Add(ttl(doc.lifetime))
		r.current.Store(&fresh)
		r.failures = 0
		r.nextTry.Store(nil)
	} else {
		next := now.Add(backoff(r.failures))
		r.nextTry.Store(&next)
		r.failedAt = f.begun
		if r.failures == 0 {
			r.downFrom = f.begun
		}
		r.failures++
	}
	down := now.Sub(r.downFrom)
	r.flight, f.err = nil, err
	r.mu.Unlock()

	close(f.done)
	defer func() { _ = recover() }() // a log that is not ours may panic, and would end the process
	switch {
	case err != nil && r.failed != nil:
		r.failed(err)
	case mended && r.mended != nil:
		r.mended(down)
	}
}

// loadSafely makes a failure of a panic, which would end the process here: it
// may come out of a transport that is not ours.
func (r *remote[T]) loadSafely(ctx context.Context, urgent bool) (doc *loaded[T], err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("panic with a %T", recovered)
		}
	}()
	return r.load(ctx, r.current.Load(), urgent)
}

// failure returns the error of the last fetch, nil if it was good.
func (r *remote[T]) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastErr
}

// lastFailed returns when the last failed flight began.
func (r *remote[T]) lastFailed() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failedAt
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
	return spread(wish, 0.1)
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
	err := r.failure()
	if err == nil {
		err = errStale
	}
	retry := minBackoff
	if next := r.nextTry.Load(); next != nil {
		retry = next.Sub(now)
	}
	return &unavailableError{err: err, retry: retry}
}
