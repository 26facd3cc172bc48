// Package dpop checks proofs that whoever sends an access token has the key to which it is bound
// (RFC 9449). It knows the token as a text alone, and the request by its method and path.
package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Window is how far the time of a proof may be from now, into the past and into the future.
const Window = 5 * time.Minute

// skew is how far the clocks of two replicas may be apart: one that is behind takes a proof for so much longer.
const skew = time.Minute

// Binding is what a token says of the key of its holder. It is shared by the requests with the token,
// and nobody copies it.
type Binding struct {
	key   jose.Thumbprint
	owner string                        // who has the token: principal and client
	known atomic.Pointer[jose.ProofKey] // the last one that was read and has this thumbprint
}

// NewBinding makes the binding to a key, of the token of an owner.
func NewBinding(key jose.Thumbprint, owner string) *Binding { return &Binding{key: key, owner: owner} }

// Equal reports whether both are to the same key, or to none.
func (b *Binding) Equal(other *Binding) bool {
	if b == nil || other == nil {
		return b == other
	}
	return b.key == other.key
}

// MaxBinding is what a binding may take, in bytes: a key that is larger is read anew for each proof.
const MaxBinding = jose.MaxKnown + 128

// Request is what a proof is compared with.
type Request struct {
	Field  []string // the values of its DPoP header field
	Method string
	Path   string // as it was received, percent-encoded
	Token  string
}

// Checker checks the proofs of one resource. It is safe for concurrent use.
type Checker struct {
	exact  string // the resource, as it is configured, without query
	normal string // the same in normal form,
	origin string // and what of that is in front of the path
	nonces *nonces
	used   memory
	common Common // nil for none
}

// Common reports whether a proof is used for the first time in all processes that serve the resource, and remembers it for so
// long. An error says that nobody knows.
type Common func(ctx context.Context, proof string, ttl time.Duration) (first bool, err error)

// New makes a checker for a resource. Nonces are made with the first of the secrets, and those of all are accepted.
func New(resource *url.URL, common Common, secrets ...[]byte) (*Checker, error) {
	nonces, err := newNonces(secrets)
	if err != nil {
		return nil, err
	}
	exact, _, _ := strings.Cut(resource.String(), "?")
	c := &Checker{exact: exact, nonces: nonces, used: newMemory(), common: common}
	c.normal, c.origin, _ = normalURL(exact)
	return c, nil
}

// Check refuses a request without a proof of possession of the key to which its token is bound. The
// token has been verified, or there is nothing to compare with. With nonce, the proof must have one of
// ours. full reports that there was no room to remember a proof for the whole of its time, for the first time.
func (c *Checker) Check(ctx context.Context, r Request, b *Binding, now time.Time, nonce bool) (full bool, denied *refusal.Refusal) {
	p, denied := read(r.Field, b.known.Load())
	if denied == nil {
		denied = c.compare(&p, &r, now)
	}
	if denied == nil {
		denied = b.verify(&p)
	}
	if denied == nil {
		denied = c.checkNonce(&p, now, nonce)
	}
	if denied != nil {
		return false, denied
	}
	proof := nameOf(b.key, p.jti.value)
	if full, denied = c.used.use(b.owner, proof, p.second(), now); denied == nil && c.common != nil {
		denied = c.isFirst(ctx, proof, p.second(), now)
	}
	return full, denied
}

// isFirst refuses a proof that another process has seen. If that cannot be told, what this one remembers counts alone.
func (c *Checker) isFirst(ctx context.Context, proof id, second int64, now time.Time) *refusal.Refusal {
	ttl := time.Unix(second+1, 0).Add(Window + skew).Sub(now)
	if first, err := c.common(ctx, string(proof[:]), ttl); first || err != nil {
		return nil
	}
	return replayed()
}

// compare holds what a proof says against the request that it came with. Nothing of it is believed yet.
func (c *Checker) compare(p *proof, r *Request, now time.Time) *refusal.Refusal {
	switch ath := sha256.Sum256([]byte(r.Token)); {
	case p.htm.value != r.Method:
		return deny("htm", p.htm.value, "the method of the request, "+r.Method).Because("proof-method")
	case !c.names(p.htu.value, r.Path):
		shown, _, _ := strings.Cut(p.htu.value, "?")
		return deny("htu", shown, "the URL of the resource, "+c.exact+", without query").Because("proof-url")
	case p.ath.value != base64.RawURLEncoding.EncodeToString(ath[:]):
		return deny("ath", "", "the hash of the token that it came with").Because("proof-token")
	}
	return p.checkTime(now)
}

// verify checks that the proof's key is the one that the token is bound to, and that it has signed.
func (b *Binding) verify(p *proof) *refusal.Refusal {
	if p.jws.Thumbprint != b.key {
		return deny("jwk", "", "the key that cnf.jkt of the token names").Because("proof-key")
	}
	if err := p.jws.Verify(); err != nil {
		return refusal.For(refusal.InvalidProof, "", err).Because("proof-signature")
	}
	if p.jws.IsKnown() && b.known.Load() != p.jws.ProofKey {
		b.known.Store(p.jws.ProofKey)
	}
	return nil
}

// checkNonce wants a nonce of ours, if there is one in the proof or if there must be. It comes after the
// signature: who is told to come back with a nonce has done everything else right.
func (c *Checker) checkNonce(p *proof, now time.Time, needed bool) *refusal.Refusal {
	switch {
	case !p.nonce.present && !needed:
		return nil
	case !p.nonce.present:
		return refusal.New(refusal.UseNonce, "no nonce", "", "the one of the field DPoP-Nonce of the answer")
	case !c.nonces.accepts(p.nonce.value, now):
		return refusal.New(refusal.UseNonce, "a nonce that is old, or not from here", "", "the one of the field DPoP-Nonce of the answer")
	}
	return nil
}

// Nonce is what a proof made now should have as its nonce.
func (c *Checker) Nonce(now time.Time) string { return c.nonces.at(now)[0][current] }

// deny is for a proof that is not good.
func deny(what, got, want string) *refusal.Refusal {
	return refusal.New(refusal.InvalidProof, what, got, want)
}
