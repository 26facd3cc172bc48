package mcpauth

import (
	"strconv"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// Bounds of what is remembered of tokens. The bytes, counted as in
// [verified.size], are what is reached first with tokens of the usual size.
const (
	maxSeen      = 1 << 16
	maxSeenBytes = 64 << 20
	seenLife     = time.Minute
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

// put keeps a verified token for a minute, or until it expires.
func (m *memory) put(key tokencache.Key, v *verified, now time.Time, leeway time.Duration) {
	life := min(seenLife, v.principal.Expiry.Add(leeway).Sub(now))
	p := &v.principal
	m.tokens.Add(key, m.tokens.Owner(p.Issuer, p.Subject, strconv.FormatBool(p.Client)), v, now, life)
}

// size is roughly what the verified token keeps in memory: the texts of the
// principal are copies of parts of the claims.
func (v *verified) size() int { return 1024 + 2*len(v.principal.claims) }

// known is the principal of a token that is refused for another reason than
// its signature, or nil.
func (v *verified) known() *Principal {
	if v == nil {
		return nil
	}
	return &v.principal
}
