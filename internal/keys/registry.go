package keys

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

const maxKeySet = 512 << 10 // bytes of a JWK Set

// Registry makes the sources. It lets issuers that publish their keys at the same URL share one
// copy of them, fetched once.
type Registry struct {
	client *fetch.Client
	log    *slog.Logger
	mu     sync.Mutex
	sets   map[keyLocation]*sharedKeys

	holding sync.Mutex // is taken in front of mu
	held    map[Place]*Source
}

// Place tells apart where the keys of issuers come from, and by which way.
type Place struct {
	Digest            [sha256.Size]byte
	Loopback, Private bool
}

// NewRegistry returns a registry whose sources fetch by a transport, nil for one of its own, and
// tell the operator what happens to them.
func NewRegistry(transport http.RoundTripper, log *slog.Logger) *Registry {
	return &Registry{client: fetch.New(transport), log: log, sets: map[keyLocation]*sharedKeys{}}
}

type keyLocation struct {
	url     string
	guarded bool
}

// sharedKeys is the one copy of the keys at a place.
type sharedKeys struct {
	remote[*keySet]
	suspects suspects
	issuers  []*Source // whose keys are there now; guarded by the registry's mu
}

// at returns the one copy of the keys at a place. Each call by a source that
// may move away later needs a call of leave. What strangers have used up at the
// place that it comes from, if any, does not come back by the move.
func (g *Registry) at(location keyLocation, issuer *Source, from *sharedKeys) *sharedKeys {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := g.sets[location]
	if keys == nil {
		keys = &sharedKeys{}
		keys.load = func(ctx context.Context, previous *loaded[*keySet], _ bool) (*loaded[*keySet], error) {
			if location.url == "" { // it publishes none
				return &loaded[*keySet]{value: noKeys, lifetime: maxTTL}, nil
			}
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
		if !issuer.closed {
			g.sets[location] = keys
		}
	}
	if !issuer.closed {
		keys.issuers = append(keys.issuers, issuer)
	}
	return keys
}

// leave forgets the copy when nobody's keys are there any more: should an issuer
// come back to the place, keys that it has withdrawn since must not.
func (g *Registry) leave(location keyLocation, issuer *Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := g.sets[location]
	if keys == nil {
		return
	}
	i := slices.Index(keys.issuers, issuer)
	switch {
	case i < 0:
	case len(keys.issuers) == 1:
		delete(g.sets, location) // a fetch that is under way is still counted as this issuer's
	default:
		keys.issuers = slices.Delete(keys.issuers, i, i+1)
	}
}

// Hold returns the source of a place, so that several resources have one copy of what is fetched for it. Who is the first makes
// it, nil for none. Each has to close it.
func (g *Registry) Hold(place Place, first func() *Source) *Source {
	g.holding.Lock()
	defer g.holding.Unlock()
	s := g.held[place]
	if s == nil {
		if s = first(); s == nil {
			return nil
		}
		if g.held == nil {
			g.held = map[Place]*Source{}
		}
		s.place, g.held[place] = place, s
	}
	s.holders++
	return s
}

// letGo reports whether nobody holds the source any more.
func (s *Source) letGo() bool {
	g := s.registry
	g.holding.Lock()
	defer g.holding.Unlock()
	if s.holders--; s.holders > 0 {
		return false
	}
	if g.held[s.place] == s {
		delete(g.held, s.place)
	}
	return true
}

// Close lets go of what the source shares with others, when no configuration has it any more. Who still uses it goes
// on with what is there.
func (s *Source) Close() {
	if !s.letGo() {
		return
	}
	if s.keys.fixed != nil {
		s.registry.leave(s.fixedAt, s)
	}
	if s.keys.metadata != nil {
		if doc := s.keys.metadata.current.Load(); doc != nil {
			s.registry.leave(s.keyLocation(doc.value.jwksURI), s)
		}
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.closed = true
}

// issuersOf names those who share the keys, for the log.
func (g *Registry) issuersOf(keys *sharedKeys) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, s := range keys.issuers {
		names = append(names, s.issuer.URL)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// load fetches a key set. One without a usable key is a failure: it must not
// replace a good one.
func (g *Registry) load(ctx context.Context, location keyLocation, previous *loaded[*keySet]) (*loaded[*keySet], error) {
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
		err = fmt.Errorf("%w: %s", err, strings.Join(few(ShownSkipped(skipped)), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", foreign.URL(location.url), err)
	}
	doc.value = newKeySet(keys, skipped, false)
	doc.value.digest = digest
	return doc, nil
}

// locateKeys follows the metadata to the shared copy of the keys, and leaves the
// place that earlier metadata named. A new place counts when its keys are there: until
// then those at hand serve.
func (s *Source) locateKeys(ctx context.Context, doc *serverMetadata, previous *loaded[serverMetadata]) error {
	if previous == nil {
		doc.keys = s.registry.at(s.keyLocation(doc.jwksURI), s, nil)
	} else {
		before := &previous.value
		if before.jwksURI == doc.jwksURI {
			doc.keys = before.keys
			return nil
		}
		location := s.keyLocation(doc.jwksURI)
		doc.keys = s.registry.at(location, s, before.keys)
		if _, err := doc.keys.get(ctx, time.Now()); err != nil {
			s.registry.leave(location, s)
			return fmt.Errorf("the keys at their new place: %w", err)
		}
		s.registry.leave(s.keyLocation(before.jwksURI), s)
	}
	if u, err := url.Parse(doc.jwksURI); err == nil && doc.jwksURI != "" && !strings.EqualFold(u.Host, s.issuer.Location.Host) {
		s.registry.log.Info("mcpauth: the issuer's keys stand on another host", "issuer", s.issuer.URL, "jwks_uri", foreign.BareURL(doc.jwksURI))
	}
	return nil
}

// keyLocation guards a URL on another origin than the issuer's: it was learned,
// not typed, and may not lead to a private address unless the issuer itself
// lives on one.
func (s *Source) keyLocation(jwksURI string) keyLocation {
	u, err := url.Parse(jwksURI)
	return keyLocation{jwksURI, err != nil || !s.issuer.Private && !fetch.SameOrigin(u, s.issuer.Location)}
}
