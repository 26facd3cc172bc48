package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

const maxKeySet = 512 << 10 // bytes of a JWK Set

// keyRegistry lets issuers that publish their keys at the same URL share one
// copy of them, fetched once.
type keyRegistry struct {
	client *fetch.Client
	log    *slog.Logger
	mu     sync.Mutex
	sets   map[keyLocation]*sharedKeys
	counts map[string]*fetchCount // by issuer; never changed after New
}

type keyLocation struct {
	url     string
	guarded bool
}

// sharedKeys is the one copy of the keys at a place.
type sharedKeys struct {
	remote[*keySet]
	suspects suspects
	issuers  []string // whose keys are there now; guarded by the registry's mu
}

// at returns the one copy of the keys at a place. Each call by an issuer that
// may move away later needs a call of leave. What strangers have used up at the
// place that it comes from, if any, does not come back by the move.
func (g *keyRegistry) at(location keyLocation, issuer string, from *sharedKeys) *sharedKeys {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := g.sets[location]
	if keys == nil {
		keys = &sharedKeys{}
		keys.load = func(ctx context.Context, previous *loaded[*keySet], _ bool) (*loaded[*keySet], error) {
			begun, counts := time.Now(), g.countsOf(keys)
			counts.begin()
			doc, err := g.load(ctx, location, previous)
			counts.end(time.Since(begun), err)
			return doc, err
		}
		keys.failed = func(err error) { tellFailure(g.log, g.issuersOf(keys), err) }
		keys.mended = func(after time.Duration) { tellMended(g.log, g.issuersOf(keys), "keys", after) }
		if from != nil {
			keys.suspects.inherit(&from.suspects)
		}
		g.sets[location] = keys
	}
	keys.issuers = append(keys.issuers, issuer)
	return keys
}

// leave forgets the copy when nobody's keys are there any more: should an issuer
// come back to the place, keys that it has withdrawn since must not.
func (g *keyRegistry) leave(location keyLocation, issuer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := g.sets[location]
	if len(keys.issuers) == 1 {
		delete(g.sets, location) // a fetch that is under way is still counted as this issuer's
		return
	}
	if i := slices.Index(keys.issuers, issuer); i >= 0 {
		keys.issuers = slices.Delete(keys.issuers, i, i+1)
	}
}

// issuersOf names those who share the keys, for the log.
func (g *keyRegistry) issuersOf(keys *sharedKeys) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(keys.issuers)), ", ")
}

// load fetches a key set. One without a usable key is a failure: it must not
// replace a good one.
func (g *keyRegistry) load(ctx context.Context, location keyLocation, previous *loaded[*keySet]) (*loaded[*keySet], error) {
	resp, err := g.client.Get(ctx, fetch.Request{URL: location.url, Limit: maxKeySet, Guarded: location.guarded})
	if err != nil {
		return nil, err
	}
	doc := &loaded[*keySet]{lifetime: resp.Lifetime, age: resp.Age, date: resp.Date}
	digest := sha256.Sum256(resp.Body)
	if previous != nil && previous.value.digest == digest { // tokens verified with it stay verified
		doc.value = previous.value
		return doc, nil
	}
	keys, skipped, err := jose.ParseSet(resp.Body)
	for _, key := range skipped {
		if key.Reason == jose.ReasonPrivate {
			g.log.Error("mcpauth: a published key holds private or symmetric key material and is not used", "jwks_uri", foreign.BareURL(location.url), "kid", foreign.LineShort(key.Kid, maxShownKid))
		}
	}
	if err != nil && len(skipped) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.Join(few(skippedKeys(skipped)), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shownURL(location.url), err)
	}
	doc.value = newKeySet(keys, skipped, false)
	doc.value.digest = digest
	return doc, nil
}

// keySource finds the keys of one issuer: static ones, or those at the URL
// that its metadata or the configuration names.
type keySource struct {
	static   *keySet
	fixed    *sharedKeys             // Issuer.JWKSURI
	metadata *remote[serverMetadata] // nil without discovery
}

// serving returns the key set that vouches for tokens now, or nil. It does not
// wait, but what is due is fetched in the background, as for any token.
func (s *keySource) serving(now time.Time) *keySet {
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
func (s *keySource) awaited(ctx context.Context, asked time.Time) (*keySet, error) {
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
func (s *keySource) place(ctx context.Context, asked time.Time) (*sharedKeys, error) {
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
func (s *keySource) doubtPlace(keys *sharedKeys) {
	if s.metadata == nil {
		return
	}
	failedAt, now := keys.lastFailed(), time.Now()
	if doc := s.metadata.current.Load(); doc != nil && doc.begun.Before(failedAt) && s.metadata.mayTry(now) {
		s.metadata.suspect(now)
	}
}

// denyUnavailable is a 503: the client keeps its token and comes back, not
// before there can be another answer.
func denyUnavailable(err error) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "the issuer's keys", err)
	retry := minBackoff
	var unavailable *unavailableError
	if errors.As(err, &unavailable) {
		retry = unavailable.retry
	}
	rounded := (retry + time.Second - 1).Truncate(time.Second)
	denied.RetryAfter = min(max(rounded, minBackoff), maxBackoff)
	return denied
}

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
	all := make([]IssuerStatus, len(m.generation().verifier.ordered))
	for i, s := range m.generation().verifier.ordered {
		all[i] = s.status()
	}
	return all
}

func (s *issuer) status() IssuerStatus {
	st := IssuerStatus{URL: s.url, JWKSURI: s.jwksURI}
	s.count.into(&st)
	set, keys := s.keys.static, s.keys.fixed
	if s.keys.metadata != nil {
		st.LastError = s.keys.metadata.lastClass()
		if doc := s.keys.metadata.current.Load(); doc != nil {
			st.JWKSURI, st.Metadata = doc.value.jwksURI, doc.value.raw
			keys = doc.value.keys
		}
	}
	if keys != nil {
		if doc := keys.current.Load(); doc != nil {
			st.LastSuccess, st.NextRefresh = doc.succeeded, doc.refreshAt
		}
		if c, ok := s.keys.look(time.Now()); ok {
			set = c.set
		}
		if class := keys.lastClass(); class != "" {
			st.LastError = class
		}
	}
	if set != nil {
		st.Ready = true
		for _, key := range set.keys {
			st.Keys = append(st.Keys, key.Kid)
		}
		st.Skipped = skippedKeys(set.skipped)
	}
	return st
}

// skippedKeys says of each key why it is not used.
func skippedKeys(skipped []jose.Skipped) (all []string) {
	for _, key := range skipped {
		all = append(all, foreign.LineShort(key.Kid, maxShownKid)+": "+string(key.Reason))
	}
	return all
}

// lastClass names the kind of the last failure, "" for none.
func (r *remote[T]) lastClass() string {
	if err := r.failure(); err != nil {
		return failureOf(err).class
	}
	return ""
}

// Warm fetches the metadata and keys of every issuer that has none yet or whose
// copy is due, all issuers at once, and returns what went wrong. Call it
// before the first request, or in a readiness probe; without it the first token does the same.
func (m *Middleware) Warm(ctx context.Context) error {
	errs := make([]error, len(m.generation().verifier.ordered))
	var wg sync.WaitGroup
	for i, s := range m.generation().verifier.ordered {
		if s.keys.static != nil {
			continue
		}
		wg.Go(func() {
			if _, err := s.keys.awaited(ctx, time.Now()); err != nil {
				errs[i] = deniedError(refusal.For(refusal.Unavailable, "issuer "+s.url, err))
				return
			}
			s.announce()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// locateKeys follows the metadata to the shared copy of the keys, and leaves the
// place that earlier metadata named. A new place counts when its keys are there: until
// then those at hand serve.
func (s *issuer) locateKeys(ctx context.Context, doc *serverMetadata, previous *loaded[serverMetadata]) error {
	if previous == nil {
		doc.keys = s.registry.at(s.keyLocation(doc.jwksURI), s.url, nil)
	} else {
		before := &previous.value
		if before.jwksURI == doc.jwksURI {
			doc.keys = before.keys
			return nil
		}
		location := s.keyLocation(doc.jwksURI)
		doc.keys = s.registry.at(location, s.url, before.keys)
		if _, err := doc.keys.get(ctx, time.Now()); err != nil {
			s.registry.leave(location, s.url)
			return fmt.Errorf("the keys at their new place: %w", err)
		}
		s.registry.leave(s.keyLocation(before.jwksURI), s.url)
	}
	if u, err := url.Parse(doc.jwksURI); err == nil && !strings.EqualFold(u.Host, s.parsed.Host) {
		s.log.Info("mcpauth: the issuer's keys stand on another host", "issuer", s.url, "jwks_uri", foreign.BareURL(doc.jwksURI))
	}
	return nil
}

// keyLocation guards a URL on another origin than the issuer's: it was learned,
// not typed, and may not lead to a private address unless the issuer itself
// lives on one.
func (s *issuer) keyLocation(jwksURI string) keyLocation {
	u, err := url.Parse(jwksURI)
	return keyLocation{jwksURI, err != nil || !s.private && !fetch.SameOrigin(u, s.parsed)}
}
