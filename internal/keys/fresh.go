package keys

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// A token that the keys at hand cannot verify says nothing about itself yet, but
// something about them: they may be older than it. They are fetched anew, with the
// metadata that names their place, and until they are as new as the token the
// answer is that we cannot know.
const (
	suspectBurst = 3 // fetches that such tokens cause for a key set at once,
	suspectEvery = 10 * time.Second
	maxSuspects  = 256 // tokens that wait for one, for each key set

	// Without a fetch to be had, a copy of the last seconds still judges a token
	// that had been issued well before the copy was made.
	recentCopy = 30 * time.Second
	olderToken = time.Minute

	tellEvery = 30 * time.Second
)

// doubt is a token that the keys at hand cannot verify.
type doubt struct {
	token  jose.Token
	asked  time.Time // when it arrived
	issued time.Time // by its own account, which is the sender's clock; zero if it does not say
	tried  *keySet
	denied *refusal.Refusal // what it is refused with if the keys are as new as the token
}

func newDoubt(token *jose.Token, issued, asked time.Time) *doubt {
	return &doubt{token: *token, asked: asked, issued: issued} // a copy: of most tokens nothing is kept beyond the stack
}

// keyCopy is what an issuer's keys are at a moment, and how new.
type keyCopy struct {
	keys               *sharedKeys
	set                *keySet
	begun, aged, dated time.Time // of keys and metadata the older: see loaded
}

// settles reports whether the copy is as new as the token. What it cannot verify is then no token of the issuer's.
func (c *keyCopy) settles(d *doubt) bool {
	return !c.begun.Before(d.asked) && c.newer(d, 0)
}

// outlived reports whether the copy is newer than the token by so much that it settles, too.
func (c *keyCopy) outlived(d *doubt, now time.Time) bool {
	return !c.begun.Before(now.Add(-recentCopy)) && !d.issued.IsZero() && c.newer(d, olderToken)
}

// newer reports whether the copy was made after the token, and so much later. The
// sender's clock, where it can be read, is compared with itself. By ours a token was
// issued when it arrived at the latest.
func (c *keyCopy) newer(d *doubt, by time.Duration) bool {
	issued := d.issued
	if issued.After(d.asked) {
		issued = d.asked
	}
	return !c.aged.Before(issued.Add(by)) && (c.dated.IsZero() || !c.dated.Before(d.issued.Add(by)))
}

// look returns the copy at hand, if it may still serve.
func (s *finder) look(now time.Time) (c keyCopy, ok bool) {
	c.keys = s.fixed
	if s.metadata != nil {
		place := s.metadata.usable(now)
		if place == nil {
			return c, false
		}
		c.keys, c.begun, c.aged, c.dated = place.value.keys, place.begun, place.aged, place.dated
	}
	doc := c.keys.usable(now)
	if doc == nil {
		return c, false
	}
	c.set = doc.value
	c.begun, c.aged, c.dated = older(c.begun, doc.begun), older(c.aged, doc.aged), older(c.dated, doc.dated)
	return c, true
}

// isNewer reports whether there is another copy by now.
func (s *finder) isNewer(than *keyCopy) bool {
	c, ok := s.look(time.Now())
	return ok && (c.set != than.set || !c.begun.Equal(than.begun))
}

// older returns the earlier of two moments, of which either may not be known.
func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// settle finds the key of a token that the keys at hand cannot verify, or the
// verdict. It has newer ones fetched as far as the budget goes, and waits for them no
// longer than one fetch may take.
func (s *Source) settle(ctx context.Context, d *doubt) (*keySet, *jose.Key, *refusal.Refusal) {
	deadline := d.asked.Add(fetch.Timeout)
	var held *suspects
	defer func() { held.leave() }()
	for {
		now := time.Now()
		c, ok := s.keys.look(now)
		if !ok {
			if _, err := s.keys.awaited(ctx, d.asked); err != nil {
				return nil, nil, denyUnavailable(err)
			}
			continue
		}
		if c.set != d.tried {
			key, denied := s.signer(&d.token, c.set)
			if denied == nil {
				return c.set, key, nil
			}
			d.tried, d.denied = c.set, denied
		}
		if c.settles(d) {
			return nil, nil, d.denied
		}
		if b := &c.keys.suspects; b != held {
			held.leave()
			held = b.enter(s.keys.metadata)
		}
		// A copy that began after the token came, and is older than the token by its
		// sender's account, gets no newer by another fetch at once.
		if held == nil || !c.begun.Before(d.asked) || !now.Before(deadline) || ctx.Err() != nil ||
			!s.keys.awaitNewer(ctx, &c, now, deadline) {
			return nil, nil, s.unsettled(d, &c, now)
		}
	}
}

// unsettled is the answer to a token for which nothing new enough can be had in
// time. It is about the token only if that had been issued well before the copy was made.
func (s *Source) unsettled(d *doubt, c *keyCopy, now time.Time) *refusal.Refusal {
	s.count.suppress()
	retry, tell := c.keys.suspects.outlook(d, now)
	if tell {
		s.registry.log.Warn("mcpauth: tokens that the issuer's keys cannot verify have used up the fetches that they may cause",
			"issuer", s.registry.issuersOf(c.keys), "cause", "key-unsettled", "fix", explain.Finding{Cause: "key-unsettled"}.Fix())
	}
	if c.outlived(d, now) {
		return d.denied
	}
	if err := s.keys.lastFailure(c.keys); err != nil {
		return denyUnavailable(&unavailableError{err: err, retry: retry})
	}
	denied := refusal.For(refusal.UnknownKey, "kid "+foreign.Quote(d.token.Header.Kid), errUnsettled)
	denied.Unsettled, denied.RetryAfter = true, retry
	return denied
}

var errUnsettled = errors.New("no keys as new as the token: authorization temporarily unavailable")

// lastFailure is why the copy is as old as it is, nil if the last fetch was good.
func (s *finder) lastFailure(keys *sharedKeys) error {
	err := keys.failure()
	if s.metadata != nil {
		err = errors.Join(err, s.metadata.failure())
	}
	return err
}

// awaitNewer waits until something has landed, or until a fetch may begin. It
// returns false at once when neither can happen in time.
func (s *finder) awaitNewer(ctx context.Context, c *keyCopy, now, deadline time.Time) bool {
	f, at := s.suspect(c, now)
	if at.After(deadline) {
		return false
	}
	if f != nil {
		at = deadline
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	keysLanded, metadataLanded, over := f.landings(s.metadata)
	if s.isNewer(c) { // it has landed since the copy was looked at
		return true
	}
	select {
	case <-keysLanded:
	case <-metadataLanded:
	case <-over:
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// suspect joins the fetch of keys and metadata that is under way, or begins one. It
// returns none, and the moment when one may begin, while the budget is used up: now, if
// one has landed since the copy was looked at.
func (s *finder) suspect(c *keyCopy, now time.Time) (*suspicion, time.Time) {
	keys := c.keys
	b := &keys.suspects
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubt(s.metadata)
	if b.flight != nil {
		return b.flight, time.Time{}
	}
	if f := keys.underWay(); f != nil { // it began before the token came, and may serve it all the same
		return &suspicion{keys: f, done: f.done}, time.Time{}
	}
	if s.isNewer(c) {
		return nil, now
	}
	if at := b.opens(); at.After(now) {
		return nil, at
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(suspectEvery)
	f := &suspicion{begun: now, keys: keys.suspect(now), metadata: map[*remote[serverMetadata]]*flight{}, done: make(chan struct{})}
	for metadata := range b.doubted {
		f.metadata[metadata] = metadata.suspect(now)
	}
	clear(b.doubted)
	b.flight = f
	go b.follow(f)
	return f, time.Time{}
}

// suspicion is a fetch of a key set, and at once of the metadata of each issuer with
// a token that it has not verified since the last: which of them used up the budget
// that they share makes no difference.
type suspicion struct {
	begun    time.Time
	keys     *flight
	metadata map[*remote[serverMetadata]]*flight
	done     chan struct{} // closed when all have landed
}

// follow ends a suspicion when all have landed, which they do in time whatever happens.
func (b *suspects) follow(f *suspicion) {
	<-f.keys.done
	good := f.keys.err == nil
	for _, metadata := range f.metadata {
		<-metadata.done
		good = good && metadata.err == nil
	}
	b.landed(time.Now(), good)
	close(f.done)
}

// landings are what there is to wait for: nil, which is never, for what has landed.
func (f *suspicion) landings(of *remote[serverMetadata]) (keys, metadata, over <-chan struct{}) {
	if f == nil {
		return nil, nil, nil
	}
	return f.keys.landing(), f.metadata[of].landing(), f.done
}

// landing is closed when the flight lands; nil if it has, or of none.
func (f *flight) landing() <-chan struct{} {
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return nil
	default:
		return f.done
	}
}

// suspects are the tokens that nothing in a key set verifies, and what they may cost.
type suspects struct {
	mu        sync.Mutex
	full      time.Time // when the budget is whole again
	flight    *suspicion
	failures  int           // in a row
	notBefore time.Time     // of the next fetch, after a failure
	took      time.Duration // the last fetch
	waiting   int
	doubted   map[*remote[serverMetadata]]bool // to be fetched with the keys
	told      time.Time                        // when the operator was
}

// enter takes a place among those who wait, nil if there is none. Either way the
// issuer's metadata is suspect.
func (b *suspects) enter(metadata *remote[serverMetadata]) *suspects {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubt(metadata)
	if b.waiting == maxSuspects {
		return nil
	}
	b.waiting++
	return b
}

// doubt has an issuer's metadata fetched with the keys, the next time. It must be
// called with mu held.
func (b *suspects) doubt(metadata *remote[serverMetadata]) {
	if metadata == nil || b.flight != nil && b.flight.metadata[metadata] != nil {
		return
	}
	if b.doubted == nil {
		b.doubted = map[*remote[serverMetadata]]bool{}
	}
	b.doubted[metadata] = true
}

func (b *suspects) leave() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

// opens is when the next fetch may begin. It must be called with mu held.
func (b *suspects) opens() time.Time {
	at := b.full.Add(-(suspectBurst - 1) * suspectEvery)
	if at.Before(b.notBefore) {
		return b.notBefore
	}
	return at
}

// landed takes note of a fetch, and has a failed one tried again after 1, 2, 4... seconds,
// and never later than the budget would have it.
func (b *suspects) landed(now time.Time, good bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = now.Sub(b.flight.begun)
	b.flight = nil
	if good {
		b.failures, b.notBefore = 0, time.Time{}
		return
	}
	b.notBefore = now.Add(min(minBackoff<<min(b.failures, 5), suspectEvery))
	b.failures++
}

// outlook is for a token that is answered without keys that are new enough. It
// returns when there should be some: when a fetch may begin, or has begun since the
// token came, and half as long again after that as the last one took. tell says that the
// operator must hear that the budget is used up.
func (b *suspects) outlook(d *doubt, now time.Time) (retry time.Duration, tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	opens, took := b.opens().Sub(now), b.took
	if f := b.flight; f != nil {
		took = max(took, now.Sub(f.begun))
		if !f.begun.Before(d.asked) {
			opens = f.begun.Sub(now)
		}
	}
	if tell = (opens > 0 || b.waiting == maxSuspects) && now.Sub(b.told) >= tellEvery; tell {
		b.told = now
	}
	return max(opens, -took) + took + took/2, tell
}

// inherit takes over what has been used up elsewhere.
func (b *suspects) inherit(from *suspects) {
	from.mu.Lock()
	defer from.mu.Unlock()
	b.full, b.failures, b.notBefore, b.took = from.full, from.failures, from.notBefore, from.took
	b.told = from.told
}
