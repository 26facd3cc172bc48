// Package keys has the keys of each authorization server: found, fetched, renewed. Who can be
// served with what is at hand never waits.
package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Issuer is an authorization server as the configuration has it.
type Issuer struct {
	URL      string   // its name, byte for byte
	Location *url.URL // where it is: the same, the host in lower case
	Loopback bool     // plain http to loopback is allowed
	Private  bool     // private addresses are allowed
	Asked    bool     // about its tokens: it may sign none, and publish no keys

	// What its tokens must say, for the line that tells what was found.
	Audiences, Algorithms []string
}

// Source has the keys of one issuer. It is safe for concurrent use.
type Source struct {
	issuer   Issuer
	registry *Registry
	keys     finder
	jwksURI  string // the configured one, as it may be shown
	fixedAt  keyLocation
	count    fetchCount
	closed   bool // guarded by the registry's mu
	place    Place
	holders  int // guarded by the registry's holding

	announced sync.Once // the line that says what was found
}

// Static is the source of keys that are given: a JWK Set or PEM public keys.
func (g *Registry) Static(issuer Issuer, text []byte) (*Source, error) {
	text = bytes.TrimSpace(text)
	set, err := readStatic(text)
	if err != nil {
		return nil, err
	}
	s := g.source(issuer)
	s.keys.static = set
	return s, nil
}

func readStatic(text []byte) (*keySet, error) {
	if bytes.HasPrefix(text, []byte("-")) {
		keys, err := jose.ParsePEM(text)
		return newKeySet(keys, nil, true), err
	}
	keys, skipped, err := jose.ParseSet(text)
	return newKeySet(keys, skipped, false), err
}

// None is the source of no keys, for an issuer that signs no access tokens.
func (g *Registry) None(issuer Issuer) *Source {
	s := g.source(issuer)
	s.keys.static = newKeySet(nil, nil, false)
	return s
}

// Fixed is the source of keys that stand at a URL. There is no discovery then.
func (g *Registry) Fixed(issuer Issuer, jwksURI string) (*Source, error) {
	s := g.source(issuer)
	if err := issuer.Accepts(jwksURI); err != nil {
		return nil, err
	}
	s.jwksURI = foreign.BareURL(jwksURI)
	s.fixedAt = keyLocation{jwksURI, false}
	s.keys.fixed = g.at(s.fixedAt, s, nil)
	return s, nil
}

// Discovered is the source of keys whose place the issuer's metadata names.
func (g *Registry) Discovered(issuer Issuer) *Source {
	s := g.source(issuer)
	s.keys.metadata = &remote[serverMetadata]{load: s.discover,
		failed: func(err error) { tellFailure(g.log, issuer.URL, err) },
		mended: func(after time.Duration) { tellMended(g.log, issuer.URL, "metadata", after) }}
	return s
}

func (g *Registry) source(issuer Issuer) *Source {
	return &Source{issuer: issuer, registry: g}
}

// Proof is how a token was verified: the key, and the key set to which it belonged.
type Proof struct {
	set   *keySet
	key   *jose.Key
	alg   string // of the signature
	named bool   // the token names its key
}

// Verify checks the signature of a token that came when asked and was issued, by its own
// account, at issued; zero if it does not say. What the keys at hand cannot verify is a
// matter of how new they are.
func (s *Source) Verify(ctx context.Context, token *jose.Token, issued, asked time.Time) (Proof, *refusal.Refusal) {
	set := s.keys.static
	if set == nil {
		var err error
		if set, err = s.keys.awaited(ctx, asked); err != nil {
			return Proof{}, denyUnavailable(err)
		}
	}
	key, denied := s.signer(token, set)
	if denied != nil && set != s.keys.static {
		d := newDoubt(token, issued, asked)
		d.tried, d.denied = set, denied
		set, key, denied = s.settle(ctx, d)
	}
	if denied != nil {
		return Proof{}, denied
	}
	s.announce()
	return Proof{set: set, key: key, alg: token.Header.Alg, named: token.Header.HasKid}, nil
}

// signer finds the key that made the signature. It tries those that fit, and no
// more than a handful.
func (s *Source) signer(token *jose.Token, set *keySet) (*jose.Key, *refusal.Refusal) {
	var buffer [maxNoKid]*jose.Key
	h := &token.Header
	found, known := set.candidates(buffer[:0], h)
	for _, key := range found {
		if token.Verify(key) == nil {
			return key, nil
		}
	}
	switch {
	case !known:
		return nil, refusal.New(refusal.UnknownKey, "kid", h.Kid, "a key of the issuer's current key set")
	case len(found) == 0:
		return nil, refusal.New(refusal.UnknownKey, "kid "+foreign.Quote(h.Kid), h.Alg, "an algorithm that the key is meant for; without kid, one to eight keys that fit")
	}
	return nil, refusal.New(refusal.Signature, "kid", h.Kid, "a signature by that key of issuer "+s.issuer.URL)
}

// IsCurrent reports whether the key set of a proof is the one that vouches for tokens now. It
// does not wait, but what is due is fetched in the background.
func (s *Source) IsCurrent(p *Proof, now time.Time) bool {
	return p.set != nil && s.keys.serving(now) == p.set
}

// Recheck asks the keys at hand, if there are any, whether the key of a proof is still among
// them, whatever other keys have come and gone. It does not wait; without any, nothing is known.
func (s *Source) Recheck(p *Proof, now time.Time) (known bool, denied *refusal.Refusal) {
	set := s.keys.serving(now)
	if set == nil {
		return false, nil
	}
	return true, p.vouchedBy(set)
}

// AwaitRecheck is Recheck for who can wait when there are no keys at hand, and asked before.
func (s *Source) AwaitRecheck(ctx context.Context, p *Proof, asked time.Time) *refusal.Refusal {
	set, err := s.keys.awaited(ctx, asked)
	if err != nil {
		return denyUnavailable(err)
	}
	return p.vouchedBy(set)
}

func (p *Proof) vouchedBy(set *keySet) *refusal.Refusal {
	switch {
	case p.key == nil: // it proves nothing
		return refusal.New(refusal.UnknownKey, "no proof", "", "")
	case set == p.set, set.has(p.key, p.named, p.alg):
		return nil
	}
	return refusal.New(refusal.UnknownKey, "kid", p.key.Kid, "a key of the issuer's current key set")
}

// Warm has what is due fetched, and waits for it if there are no keys at hand.
func (s *Source) Warm(ctx context.Context) *refusal.Refusal {
	if s.keys.static != nil {
		return nil
	}
	if _, err := s.keys.awaited(ctx, time.Now()); err != nil {
		return refusal.For(refusal.Unavailable, "issuer "+s.issuer.URL, err)
	}
	s.announce()
	return nil
}

// Discovers reports whether the issuer's metadata is read.
func (s *Source) Discovers() bool { return s.keys.metadata != nil }

// Metadata returns the authorization server's metadata as it was fetched.
func (s *Source) Metadata(ctx context.Context) (json.RawMessage, *refusal.Refusal) {
	if s.keys.metadata == nil {
		return nil, denyUnavailable(errBadMetadata)
	}
	doc, err := s.keys.metadata.get(ctx, time.Now())
	if err != nil {
		return nil, denyUnavailable(err)
	}
	return doc.value.raw, nil
}

// Endpoint is what the issuer's metadata says in a member that is the URL of an endpoint. guarded says that
// it may not lead to a private address.
func (s *Source) Endpoint(ctx context.Context, member string) (location string, guarded bool, err error) {
	if s.keys.metadata == nil {
		return "", false, errBadMetadata
	}
	doc, err := s.keys.metadata.get(ctx, time.Now())
	if err != nil {
		return "", false, err
	}
	if location = Member(doc.value.raw, member); location == "" {
		return "", false, fmt.Errorf("the metadata has no %s", member)
	}
	return location, s.keyLocation(location).guarded, s.issuer.Accepts(location)
}

// announce tells once, when an issuer's keys have served for the first time,
// what was found and what tokens must say. These are the strings to compare
// with the authorization server's configuration.
func (s *Source) announce() {
	s.announced.Do(func() {
		status := s.Status()
		s.registry.log.Info("mcpauth: issuer in use", "issuer", s.issuer.URL, "audiences", s.issuer.Audiences, "algorithms", s.issuer.Algorithms,
			"jwks_uri", foreign.BareURL(status.JWKSURI), "keys", few(shownKeys(status.Keys)), "skipped_keys", few(ShownSkipped(status.Skipped)))
	})
}

// shownKeys lists keys, kid and algorithm.
func shownKeys(keys []Key) (all []string) {
	for _, key := range keys {
		all = append(all, foreign.QuoteShort(key.Kid, maxShownKid)+" "+key.Alg)
	}
	return all
}

// ShownSkipped says of each key why it is not used.
func ShownSkipped(skipped []jose.Skipped) (all []string) {
	for _, key := range skipped {
		all = append(all, foreign.LineShort(key.Kid, maxShownKid)+": "+string(key.Reason))
	}
	return all
}

const (
	maxListed   = 8  // how many of a list are worth a place in one line
	maxShownKid = 64 // how much of a kid is
)

func few(list []string) []string {
	if len(list) <= maxListed {
		return list
	}
	return append(list[:maxListed:maxListed], fmt.Sprintf("and %d more", len(list)-maxListed))
}
