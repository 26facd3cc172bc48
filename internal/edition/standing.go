package edition

import (
	"context"
	"sync"
	"time"
)

// RetellEvery is how often the operator is told the same of a configuration that cannot be used.
const RetellEvery = 5 * time.Minute

// Standing is what became of the changes of a configuration.
type Standing struct {
	once sync.Once
	turn chan struct{} // who has it may change the configuration

	mu  sync.Mutex
	now Status
	bad string // what was wrong, and where
	at  time.Time
}

// Status is how things stand.
type Status struct {
	Source      string    // of the configuration in force, "" for that of the program
	InForce     time.Time // since when it is
	LastSuccess time.Time // when a configuration was read last that can be used, if only the same one
	StaleSince  time.Time // since when a newer one cannot be used; zero if none is
}

// Take waits for the turn to change the configuration. It fails when ctx ends.
func (s *Standing) Take(ctx context.Context) error {
	s.once.Do(func() { s.turn = make(chan struct{}, 1) })
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Leave ends the turn.
func (s *Standing) Leave() { <-s.turn }

// Good notes that a configuration can be used, and whether it is another one. It reports whether the last one could not.
func (s *Standing) Good(source string, now time.Time, changed bool) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = !s.now.StaleSince.IsZero()
	s.now.LastSuccess, s.now.StaleSince, s.bad = now, time.Time{}, ""
	if changed {
		s.now.Source, s.now.InForce = source, now
	}
	return again
}

// Bad notes what is wrong with a configuration. It reports whether that is new, and whether it is to be told.
func (s *Standing) Bad(source, what string, now time.Time) (isNew, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.StaleSince.IsZero() {
		s.now.StaleSince = now
	}
	bad := source + "\n" + what
	isNew = bad != s.bad
	if tell = isNew || now.Sub(s.at) >= RetellEvery; tell {
		s.bad, s.at = bad, now
	}
	return isNew, tell
}

// Status tells how things stand.
func (s *Standing) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// placesKey is the context key of what knows where the mistakes of a configuration stand.
type placesKey struct{}

// WithPlaces has the mistakes of a change told with their places, which whoever makes it knows.
func WithPlaces(ctx context.Context, find func(error) error) context.Context {
	return context.WithValue(ctx, placesKey{}, find)
}

// Placed is the mistakes of a change with their places, if somebody knows them.
func Placed(ctx context.Context, err error) error {
	if find, ok := ctx.Value(placesKey{}).(func(error) error); ok {
		return find(err)
	}
	return err
}
