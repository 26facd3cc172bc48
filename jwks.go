package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

const maxKeySet = 512 << 10 // bytes of a JWK Set

// keyRegistry lets issuers that publish their keys at the same URL share one
// copy of them, fetched once.
type keyRegistry struct {
	client *fetch.Client
	mu     sync.Mutex
	sets   map[keyLocation]*remote[*keySet]
	users  map[keyLocation]int // how many issuers' metadata name the place now
}

type keyLocation struct {
	url     string
	guarded bool
}

// at returns the one copy of the keys at a place. Each call by an issuer that
// may move away later needs a call of leave.
func (g *keyRegistry) at(location keyLocation, failed func(error), log *slog.Logger) *remote[*keySet] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users == nil {
		g.users = map[keyLocation]int{}
	}
	g.users[location]++
	if set, ok := g.sets[location]; ok {
		return set
	}
	set := &remote[*keySet]{stale: maxStale, failed: failed,
		load: func(ctx context.Context, previous *loaded[*keySet]) (*loaded[*keySet], error) {
			return g.load(ctx, location, previous, log)
		}}
	g.sets[location] = set
	return set
}

// leave forgets the copy when nobody's keys are there any more: should an issuer
// come back to the place, keys that it has withdrawn since must not.
func (g *keyRegistry) leave(location keyLocation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users[location]--; g.users[location] == 0 {
		delete(g.users, location)
		delete(g.sets, location)
	}
}

// load fetches a key set. One without a usable key is a failure: it must not
// replace a good one.
func (g *keyRegistry) load(ctx context.Context, location keyLocation, previous *loaded[*keySet], log *slog.Logger) (*loaded[*keySet], error) {
	req := fetch.Request{URL: location.url, Limit: maxKeySet, Guarded: location.guarded}
	if previous != nil {
		req.ETag = previous.etag
	}
	resp, err := g.client.Get(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.NotModified {
		return &loaded[*keySet]{value: previous.value, etag: previous.etag, lifetime: resp.Lifetime}, nil
	}
	digest := sha256.Sum256(resp.Body)
	if previous != nil && previous.value.digest == digest { // tokens verified with it stay verified
		return &loaded[*keySet]{value: previous.value, etag: resp.ETag, lifetime: resp.Lifetime}, nil
	}
	keys, skipped, err := jose.ParseSet(resp.Body)
	for _, key := range skipped {
		if key.Reason == jose.ReasonPrivate {
			log.Error("mcpauth: a published key holds private or symmetric key material and is not used", "jwks_uri", foreign.BareURL(location.url), "kid", foreign.LineShort(key.Kid, maxShownKid))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shownURL(location.url), err)
	}
	set := newKeySet(keys, skipped, false)
	set.digest = digest
	return &loaded[*keySet]{value: set, etag: resp.ETag, lifetime: resp.Lifetime}, nil
}

// keySource finds the keys of one issuer: static ones, or those at the URL
// that its metadata or the configuration names.
type keySource struct {
	static   *keySet
	fixed    *remote[*keySet]        // Issuer.JWKSURI
	metadata *remote[serverMetadata] // nil without discovery
}

// remoteKeys returns the place where the keys are now. The old place is
// forgotten the moment the metadata names another.
func (s *keySource) remoteKeys(ctx context.Context, asked time.Time) (*remote[*keySet], error) {
	if s.fixed != nil {
		return s.fixed, nil
	}
	doc, err := s.metadata.get(ctx, asked)
	if err != nil {
		return nil, err
	}
	return doc.value.keys, nil
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

// find returns the keys that may have made a token's signature, and the set that has them. asked is when
// the token arrived: a set fetched after that moment is as new as can be.
func (s *keySource) find(ctx context.Context, into []*jose.Key, h *jose.Header, asked time.Time) ([]*jose.Key, *keySet, *DeniedError) {
	set := s.static
	var keys *remote[*keySet]
	if set == nil {
		var err error
		var doc *loaded[*keySet]
		if keys, err = s.remoteKeys(ctx, asked); err == nil {
			doc, err = keys.get(ctx, asked)
		}
		if err != nil {
			return nil, nil, denyUnavailable(err)
		}
		set = doc.value
	}
	found, known := set.candidates(into, h)
	if !known && keys != nil {
		if err := keys.renew(ctx, asked); err != nil {
			return nil, nil, denyUnavailable(err)
		}
		// A flight may have landed since the first look, even without renew.
		if doc := keys.current.Load(); doc != nil {
			set = doc.value
			found, known = set.candidates(into, h)
		}
	}
	if !known {
		return nil, nil, deny(ErrUnknownKey, "kid", h.Kid, "a key of the issuer's current key set")
	}
	if len(found) == 0 {
		return nil, nil, deny(ErrUnknownKey, "kid "+shown(h.Kid), h.Alg, "an algorithm that the key is meant for; without kid, one to eight keys that fit")
	}
	return found, set, nil
}

// denyUnavailable is a 503: the client keeps its token and comes back, not
// before there can be another answer.
func denyUnavailable(err error) *DeniedError {
	denied := denyFor(ErrUnavailable, "the issuer's keys", err)
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
	JWKSURI     string          // "" with static keys, or before discovery
	LastSuccess time.Time       // of a key fetch; zero before, and with static keys
	NextRefresh time.Time       // when a request will renew the keys
	LastError   string          // class of the last failure since the last success: "timeout", "issuer_mismatch"; "" for none
	Metadata    json.RawMessage // the authorization server's metadata as fetched; nil before. Do not modify

	// Counters of the key set at its present place since it was first fetched.
	Fetches    uint64        // failed ones included
	Failures   uint64        // failed fetches
	Suppressed uint64        // tokens with an unknown key that caused no fetch, because one was made less than 30 seconds before
	FetchTime  time.Duration // of all fetches together
}

// Issuers reports on the keys of every issuer, in the order of the
// configuration and without any network traffic: for readiness probes and status pages.
func (m *Middleware) Issuers() []IssuerStatus {
	all := make([]IssuerStatus, len(m.ordered))
	for i, s := range m.ordered {
		all[i] = s.status()
	}
	return all
}

func (s *issuer) status() IssuerStatus {
	st := IssuerStatus{URL: s.url}
	set, keys := s.keys.static, s.keys.fixed
	if s.keys.metadata != nil {
		st.LastError = s.keys.metadata.lastClass()
		if doc := s.keys.metadata.current.Load(); doc != nil {
			st.JWKSURI, st.Metadata = doc.value.jwksURI, doc.value.raw
			keys = doc.value.keys
		}
	}
	if keys != nil {
		keys.countInto(&st)
		if doc := keys.current.Load(); doc != nil {
			st.LastSuccess, st.NextRefresh = doc.succeeded, doc.refreshAt
		}
		if doc := keys.usable(time.Now()); doc != nil {
			set = doc.value
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
		for _, skipped := range set.skipped {
			st.Skipped = append(st.Skipped, foreign.LineShort(skipped.Kid, maxShownKid)+": "+string(skipped.Reason))
		}
	}
	return st
}

// lastClass names the kind of the last failure.
func (r *remote[T]) lastClass() string {
	r.mu.Lock()
	err := r.lastErr
	r.mu.Unlock()
	// A place that has a wrong document says more than those that have none.
	for _, class := range []error{errIssuerMismatch, errNoJWKSURI, errInsecureURL, errBadMetadata, errContentType} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	var failed *fetch.Error
	if errors.As(err, &failed) {
		return string(failed.Class)
	}
	if errors.Is(err, jose.ErrNoUsableKeys) {
		return "no_usable_keys"
	}
	if err != nil {
		return "bad_key_set"
	}
	return ""
}

// Warm fetches the metadata and keys of every issuer that has none yet or whose
// copy is due, all issuers at once, and returns what went wrong. Call it
// before the first request, or in a readiness probe; without it the first token does the same.
func (m *Middleware) Warm(ctx context.Context) error {
	errs := make([]error, len(m.ordered))
	var wg sync.WaitGroup
	for i, s := range m.ordered {
		if s.keys.static != nil {
			continue
		}
		wg.Go(func() {
			keys, err := s.keys.remoteKeys(ctx, time.Now())
			if err == nil {
				_, err = keys.get(ctx, time.Now())
			}
			if err != nil {
				errs[i] = denyFor(ErrUnavailable, "issuer "+s.url, err)
				return
			}
			s.announce()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// locateKeys follows the metadata to the shared copy of the keys, and leaves the
// place that earlier metadata named.
func (s *issuer) locateKeys(doc *serverMetadata, previous *loaded[serverMetadata]) {
	if previous != nil && previous.value.jwksURI == doc.jwksURI {
		doc.keys = previous.value.keys
		return
	}
	location := s.keyLocation(doc.jwksURI)
	doc.keys = s.registry.at(location, s.fetchFailed, s.log)
	if previous != nil {
		s.registry.leave(s.keyLocation(previous.value.jwksURI))
	}
	if u, err := url.Parse(doc.jwksURI); err == nil && !strings.EqualFold(u.Host, s.parsed.Host) {
		s.log.Info("mcpauth: the issuer's keys stand on another host", "issuer", s.url, "jwks_uri", foreign.BareURL(doc.jwksURI))
	}
}

// keyLocation guards a URL on another origin than the issuer's: it was learned,
// not typed, and may not lead to a private address unless the issuer itself
// lives on one.
func (s *issuer) keyLocation(jwksURI string) keyLocation {
	u, err := url.Parse(jwksURI)
	return keyLocation{jwksURI, err != nil || !s.private && !fetch.SameOrigin(u, s.parsed)}
}
