package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math"
)

// Bounds of an RSA key (RFC 7518 section 3.3, RFC 8725 section 3.5). The upper
// ones bound the cost of a verification, which the issuer chooses and the
// resource server pays.
const (
	minModulusBits = 2048
	maxModulusBits = 8192
	minExponent    = 3
	maxExponent    = math.MaxInt32
)

// Key is a public key that can verify. One comes from [ParseSet] or [ParsePEM];
// the zero value supports no algorithm.
type Key struct {
	// Kid is the decoded key id; it means nothing unless HasKid is true.
	Kid    string
	HasKid bool
	// Alg is the algorithm that the key is pinned to, or empty (RFC 7517 section 4.4).
	Alg string
	// Public is a *rsa.PublicKey, a *ecdsa.PublicKey or an ed25519.PublicKey.
	Public crypto.PublicKey
}

// Supports reports whether the key may verify signatures of alg. The type of
// the key and its curve decide, and an "alg" of the key narrows that to one
// algorithm (RFC 7517 section 4.4, RFC 8725 section 3.1).
func (k *Key) Supports(alg string) bool {
	row, ok := lookup(alg)
	if !ok || k.Alg != "" && !sameAlgorithm(k.Alg, alg) {
		return false
	}
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		return row.family == familyRSA
	case *ecdsa.PublicKey:
		return row.family == familyECDSA && row.curve == public.Curve
	case ed25519.PublicKey:
		return row.family == familyEdDSA
	}
	return false
}

// Same reports whether two keys are the same public key, whatever they are
// called.
func (k *Key) Same(other *Key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.Public)
}

// checkPublic says why a public key must not be used, whatever it was read
// from; an empty reason means that it may (RFC 8725 section 3.4).
func checkPublic(public crypto.PublicKey) Reason {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return checkRSA(public)
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return ReasonCurve
		}
		if _, err := public.ECDH(); err != nil {
			return ReasonPoint
		}
		return ""
	case ed25519.PublicKey:
		if !validEd25519(public) {
			return ReasonPoint
		}
		return ""
	}
	return ReasonType
}

func checkRSA(public *rsa.PublicKey) Reason {
	bits := public.N.BitLen()
	switch {
	case bits < minModulusBits || bits > maxModulusBits || public.N.Bit(0) == 0:
		return ReasonModulus
	case public.E < minExponent || public.E > maxExponent || public.E%2 == 0:
		return ReasonExponent
	case factorable(public.N):
		return ReasonModulus
	}
	return ""
}
