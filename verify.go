package mcpauth

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/token"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// verified is a token whose signature was good, with what a later request needs to
// know whether it still is. Nothing of it ever changes: requests share it, and
// code that is not ours gets copies of the principal.
type verified struct {
	principal Principal
	issuer    *issuer
	proof     keys.Proof // which key made the signature
	notBefore time.Time  // the later one of nbf and iat; zero for neither
}

// holder is the principal of a token, also of one that is refused for another
// reason than its signature; nil for one that was not verified.
func (v *verified) holder() *Principal {
	if v == nil {
		return nil
	}
	return &v.principal
}

// verifier is whose tokens are accepted.
type verifier struct {
	issuers map[string]*issuer
	ordered []*issuer
	names   string // of the issuers, for refusals
	leeway  time.Duration
	revoked func(context.Context, *Principal) (bool, error)
}

// has reports whether tokens of an issuer are judged now by the very rules by which they were.
func (v *verifier) has(s *issuer) bool { return slices.Contains(v.ordered, s) }

// endOf is when a token is good no more.
func (v *verifier) endOf(p *Principal) time.Time { return p.Expiry.Add(v.leeway) }

// clientOf names the client of a token that was not verified, "" if it names none.
func (v *verifier) clientOf(said *token.Unverified) string {
	if s := v.issuers[said.Issuer]; s != nil {
		return s.tokens.ClientID(said)
	}
	return ""
}

// verify turns a compact token that arrived now into a verified one, which
// nobody may change. A token that was verified a moment ago is not verified again. With a
// refusal comes what is known of the token, or nil.
func (v *verifier) verify(ctx context.Context, compact string, now time.Time, seen *memory, by *operator) (*verified, *refusal.Refusal) {
	if seen.tokens == nil {
		return nil, refusal.New(refusal.Issuer, "a Middleware that New has not made", "", "one made by New")
	}
	if strings.Count(compact, ".") != 2 { // it is no JWS, and not worth a look into the memory
		_, denied := v.verifyAnew(ctx, compact, now)
		return nil, denied
	}
	key := seen.tokens.Key(compact)
	good := seen.get(key, now, v.leeway)
	if good == nil || !v.has(good.issuer) {
		var denied *refusal.Refusal
		if good, denied = v.verifyAnew(ctx, compact, now); denied != nil {
			return good, denied
		}
		if seen.put(key, good, now, v.leeway) {
			by.tellFull(seen.tokens.Use().Entries)
		}
	}
	if v.revoked == nil {
		return good, nil
	}
	return good, by.await(ctx, &good.principal, v.askRevoked)
}

// verifyAnew makes every check there is. The order is the defence: what can be
// refused without a key is refused first, then one key set is looked at, then
// one signature is checked, and only then is a claim believed. A refusal after
// that names the principal too, for the operator's record.
func (v *verifier) verifyAnew(ctx context.Context, compact string, now time.Time) (*verified, *refusal.Refusal) {
	var t token.Token
	defer t.JWS.Recycle() // of what is found, nothing is a part of it
	if denied := t.Read(compact); denied != nil {
		return nil, denied
	}
	s, denied := v.issuerOf(&t)
	if denied == nil {
		denied = s.tokens.Check(&t, now, v.leeway)
	}
	if denied != nil {
		return nil, denied
	}
	proof, denied := s.keys.Verify(ctx, &t.JWS, t.IssuedAt(), now)
	if denied != nil {
		return nil, denied
	}
	good := &verified{issuer: s, proof: proof, notBefore: t.NotBefore()}
	facts, denied := s.tokens.Facts(&t)
	good.principal.take(s.url, &facts)
	return good, denied
}

// issuerOf finds the issuer by its exact name. A name that is not configured
// costs nothing more than this look-up.
func (v *verifier) issuerOf(t *token.Token) (*issuer, *refusal.Refusal) {
	name, denied := t.Issuer()
	if denied != nil {
		return nil, denied
	}
	if s := v.issuers[name]; s != nil {
		return s, nil
	}
	return nil, refusal.New(refusal.Issuer, "unverified iss", name, v.names)
}

// Bounds of what is remembered of tokens. The bytes, counted as in
// [verified.size], are what is reached first: there are so many places that
// few tokens want the same ones.
const (
	maxSeen      = 1 << 17
	maxSeenBytes = 64 << 20
	seenLife     = time.Minute
)

// memory remembers verified tokens. Only the verification is remembered, never
// a decision, and [Config].Revoked is asked for each request.
type memory struct{ tokens *tokencache.Cache[verified] }

func newMemory() memory {
	return memory{tokencache.New(maxSeen, maxSeenBytes, (*verified).size)}
}

// get returns what is known of a token that would pass all checks now as it
// did before: its time has not run out, and the key set that vouched for it is
// still the issuer's current one. A cached verification never outlives a key that the issuer has
// withdrawn, an outage beyond its bound, or a clock that was set back.
func (m *memory) get(key tokencache.Key, now time.Time, leeway time.Duration) *verified {
	v := m.tokens.Get(key, now)
	if v == nil || !now.Before(v.principal.Expiry.Add(leeway)) || now.Before(v.notBefore.Add(-leeway)) ||
		!v.issuer.keys.IsCurrent(&v.proof, now) {
		return nil
	}
	return v
}

// put keeps a verified token for a minute, or until it expires, and reports whether that was the first time that
// there was no room.
func (m *memory) put(key tokencache.Key, v *verified, now time.Time, leeway time.Duration) (full bool) {
	life := min(seenLife, v.principal.Expiry.Add(leeway).Sub(now))
	p := &v.principal
	return m.tokens.Add(key, m.tokens.Owner(p.Issuer, p.Subject, strconv.FormatBool(p.Client)), v, now, life)
}

// TokenMemory is what [Middleware.TokenMemory] tells.
type TokenMemory struct {
	Tokens   int    // that are remembered
	Bytes    int    // that they take, of MaxBytes
	MaxBytes int    // 64 MiB
	Evicted  uint64 // tokens since the start that were forgotten before their minute was over, or not remembered, because there was no room
}

// use returns how full the memory is.
func (m *memory) use() TokenMemory {
	if m.tokens == nil {
		return TokenMemory{}
	}
	use := m.tokens.Use()
	return TokenMemory{Tokens: use.Entries, Bytes: use.Bytes, MaxBytes: use.MaxBytes, Evicted: use.Lost}
}

// sizeOfVerified is what a verified takes without its texts, in bytes.
const sizeOfVerified = 352

// size is what the verified token keeps in memory, in bytes. The texts of the principal are parts of the claims, unless they
// are written with escapes there.
func (v *verified) size() int {
	p := &v.principal
	size := sizeOfVerified + allocated(len(p.claims))
	if strings.IndexByte(p.claims, '\\') >= 0 {
		size += allocated(len(p.claims))
	}
	for _, list := range [...][]string{p.Scopes, p.Audiences, p.AMR, p.Actors} {
		size += allocated(16 * cap(list))
	}
	return size
}

// allocated is what so many bytes take of the heap, about: the allocator has sizes that are an eighth apart, and
// fewer of the large ones.
func allocated(size int) int {
	switch {
	case size == 0:
		return 0
	case size > 768:
		return size + size/8
	}
	step := max(16, 1<<bits.Len(uint(size-1))>>4)
	return (size + step - 1) &^ (step - 1)
}

// askRevoked asks the operator's function, if there is one, and contains its failures.
func (v *verifier) askRevoked(ctx context.Context, p *Principal) (denied *refusal.Refusal) {
	if v.revoked == nil {
		return nil
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			denied = refusal.New(refusal.Policy, fmt.Sprintf("Revoked panicked with a %T", recovered), "", "")
		}
	}()
	revoked, err := v.revoked(ctx, p.clone())
	switch {
	case err != nil:
		return doubtRevoked(err)
	case revoked:
		return refusal.New(refusal.Revoked, "jti", p.ID, "a token that is not revoked")
	}
	return nil
}

func doubtRevoked(err error) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "Revoked", err).Because("revocation")
	denied.RetryAfter = retrySoon
	return denied
}
