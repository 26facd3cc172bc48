package keys

import (
	"context"
	"time"
)

// finder finds the keys of one issuer: static ones, or those at the URL
// that its metadata or the configuration names.
type finder struct {
	static   *keySet
	fixed    *sharedKeys             // the place is configured
	metadata *remote[serverMetadata] // nil without discovery
}

// serving returns the key set that vouches for tokens now, or nil. It does not
// wait, but what is due is fetched in the background, as for any token.
func (s *finder) serving(now time.Time) *keySet {
	if s.static != nil {
		return s.static
	}
	keys := s.fixed
	if s.metadata != nil {
		doc := s.metadata.ready(now)
		if doc == nil {
			return nil
		}
		keys = doc.value.keys
	}
	if doc := keys.ready(now); doc != nil {
		return doc.value
	}
	return nil
}

// awaited is serving for who can wait when there is nothing at hand, as long as
// ctx allows. asked is when the request came.
func (s *finder) awaited(ctx context.Context, asked time.Time) (*keySet, error) {
	if set := s.serving(time.Now()); set != nil {
		return set, nil
	}
	keys, err := s.place(ctx, asked)
	if err != nil {
		return nil, err
	}
	s.doubtPlace(keys)
	doc, err := keys.get(ctx, asked)
	if err != nil && s.metadata != nil {
		if f := s.metadata.underWay(); f != nil {
			_ = f.wait(ctx, asked) // whatever becomes of it: the place may be another now
		}
		if moved, _ := s.place(ctx, asked); moved != nil && moved != keys {
			doc, err = moved.get(ctx, asked)
		}
	}
	if err != nil {
		return nil, err
	}
	return doc.value, nil
}

// place returns where the keys are now. The old place is forgotten the moment
// the metadata names another.
func (s *finder) place(ctx context.Context, asked time.Time) (*sharedKeys, error) {
	if s.fixed != nil {
		return s.fixed, nil
	}
	doc, err := s.metadata.get(ctx, asked)
	if err != nil {
		return nil, err
	}
	return doc.value.keys, nil
}

// doubtPlace has the metadata fetched anew when there are no keys at the place that it names.
func (s *finder) doubtPlace(keys *sharedKeys) {
	if s.metadata == nil {
		return
	}
	failedAt, now := keys.lastFailed(), time.Now()
	if doc := s.metadata.current.Load(); doc != nil && doc.begun.Before(failedAt) && s.metadata.mayTry(now) {
		s.metadata.suspect(now)
	}
}
