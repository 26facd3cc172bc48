package dpop

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Bounds of a proof.
const (
	maxField = 8 << 10 // bytes of the DPoP header field
	maxID    = 256     // bytes of jti
	maxDepth = 16
)

var claimLimits = strictjson.Limits{Depth: maxDepth, StrictStrings: true}

// proof is a DPoP proof (RFC 9449 section 4.2) taken apart.
type proof struct {
	jws                       jose.Proof
	jti, htm, htu, ath, nonce text
	iat, exp, nbf             instant
}

// text is a claim that must be a string, if it is there.
type text struct {
	value   string
	present bool
}

// instant is a claim that must be a NumericDate, if it is there: seconds since 1970.
type instant struct {
	seconds float64
	present bool
}

// maxInstant is 2^53: beyond it a JSON number is not exact.
const maxInstant = 1 << 53

// read finds the one proof of a request and takes it apart. known is the key that such proofs had so far, or nil.
func read(field []string, known *jose.ProofKey) (p proof, denied *refusal.Refusal) {
	switch {
	case len(field) == 0:
		return p, deny("no DPoP header field", "", "one, with a proof made for this request").Because("proof-missing")
	case len(field) > 1:
		return p, deny("the DPoP header field stands more than once", "", "one proof").Because("proof-several")
	case len(field[0]) > maxField:
		return p, deny("longer than 8 KiB", "", "").Because("proof-malformed")
	}
	compact := strings.Trim(field[0], " \t") // HTTP/2 leaves it there
	if strings.Contains(compact, ",") {
		return p, deny("the DPoP header field has a comma", "", "one proof").Because("proof-several")
	}
	var err error
	if p.jws, err = jose.ParseProof(compact, known); err != nil {
		return p, denyParse(err)
	}
	if h := &p.jws.Header; h.Typ != "dpop+jwt" {
		return p, deny("typ", h.Typ, "dpop+jwt").Because("proof-malformed")
	}
	return p, p.readClaims()
}

// denyParse maps what internal/jose refuses.
func denyParse(err error) *refusal.Refusal {
	denied := refusal.For(refusal.InvalidProof, "", err)
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return denied.Because("proof-algorithm")
	case errors.Is(err, jose.ErrNoKey):
		return denied.Because("proof-jwk")
	}
	return denied.Because("proof-malformed")
}

// readClaims reads the payload in one pass, and demands what every proof must have.
func (p *proof) readClaims() *refusal.Refusal {
	var r strictjson.Reader
	r.Reset(p.jws.Claims, claimLimits)
	err := r.Object()
	for more := err == nil; more; {
		var name []byte
		if name, more, err = r.Member(); !more {
			break
		}
		if denied := p.member(&r, string(name)); denied != nil {
			return denied
		}
	}
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return refusal.For(refusal.InvalidProof, "claims", err).Because("proof-malformed")
	}
	return p.checkClaims()
}

// member takes one claim. An error of the reader stays, and its next call reports it.
func (p *proof) member(r *strictjson.Reader, name string) *refusal.Refusal {
	switch name {
	case "jti":
		return p.jti.read(r, name)
	case "htm":
		return p.htm.read(r, name)
	case "htu":
		return p.htu.read(r, name)
	case "ath":
		return p.ath.read(r, name)
	case "nonce":
		return p.nonce.read(r, name)
	case "iat":
		return p.iat.read(r, name)
	case "exp":
		return p.exp.read(r, name)
	case "nbf":
		return p.nbf.read(r, name)
	}
	_, _ = r.Skip()
	return nil
}

// denyClaim is for a claim that is missing or of the wrong form.
func denyClaim(name, want string) *refusal.Refusal {
	return deny(name, "", want).Because("proof-claim")
}

func (t *text) read(r *strictjson.Reader, name string) *refusal.Refusal {
	if r.Kind() != strictjson.String {
		return denyClaim(name, "a string")
	}
	value, err := r.String()
	t.value, t.present = string(value), err == nil
	return nil
}

func (t *instant) read(r *strictjson.Reader, name string) *refusal.Refusal {
	if r.Kind() != strictjson.Number {
		return denyClaim(name, "a JSON number")
	}
	raw, err := r.Number()
	if err != nil {
		return nil
	}
	t.seconds, err = strconv.ParseFloat(string(raw), 64)
	if t.present = err == nil && t.seconds >= 0 && t.seconds < maxInstant; !t.present {
		return denyClaim(name, "seconds since 1970, below 2^53")
	}
	return nil
}

// checkClaims demands the claims of RFC 9449 section 4.2.
func (p *proof) checkClaims() *refusal.Refusal {
	switch {
	case len(p.jti.value) == 0 || len(p.jti.value) > maxID:
		return denyClaim("jti", "1 to 256 bytes")
	case !p.htm.present:
		return denyClaim("htm", "a string")
	case !p.htu.present:
		return denyClaim("htu", "a string")
	case !p.ath.present:
		return denyClaim("ath", "a string: a proof that comes with a token has its hash")
	case !p.iat.present:
		return denyClaim("iat", "a JSON number")
	}
	return nil
}

// checkTime wants a proof of now.
func (p *proof) checkTime(now time.Time) *refusal.Refusal {
	at := float64(now.UnixMilli()) / 1e3
	want := "within 5 min of " + now.UTC().Format(time.RFC3339)
	switch window := Window.Seconds(); {
	case p.iat.seconds < at-window || p.iat.seconds > at+window:
		return deny("iat "+p.iat.String(), "", want).Because("proof-time")
	case p.exp.present && p.exp.seconds <= at:
		return deny("exp "+p.exp.String(), "", "later than "+now.UTC().Format(time.RFC3339)).Because("proof-time")
	case p.nbf.present && p.nbf.seconds > at+window:
		return deny("nbf "+p.nbf.String(), "", want).Because("proof-time")
	}
	return nil
}

// second is when the proof was made, rounded down.
func (p *proof) second() int64 { return int64(p.iat.seconds) }

// lastInstant is 9999-12-31T00:00:00Z, the last one that can be written.
const lastInstant = 253402214400

// String shows an instant that was not verified.
func (t instant) String() string {
	return time.Unix(int64(min(t.seconds, lastInstant)), 0).UTC().Format(time.RFC3339)
}
