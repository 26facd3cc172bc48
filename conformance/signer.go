package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 of the algorithms
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
)

// Signer is a [Minter] with a key of its own.
type Signer struct {
	issuer, kid, alg string
	key              crypto.Signer
}

// ecAlgorithms are the JWS algorithms of the curves (RFC 7518 section 3.4).
var ecAlgorithms = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

var ecHashes = map[string]crypto.Hash{"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512}

// NewSigner returns a minter for an issuer whose signing key is at hand, for
// example one of a test realm. RSA keys sign with RS256, elliptic curve keys
// with the algorithm of their curve, Ed25519 keys with EdDSA. An empty kid is
// left out of the header.
func NewSigner(issuer, kid string, key crypto.Signer) (*Signer, error) {
	s := &Signer{issuer: issuer, kid: kid, key: key}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		s.alg = "RS256"
	case *ecdsa.PrivateKey:
		s.alg = ecAlgorithms[k.Curve.Params().Name]
	case ed25519.PrivateKey:
		s.alg = "EdDSA"
	}
	if s.alg == "" || issuer == "" {
		return nil, errors.New("conformance: a signer needs an issuer and an RSA, P-256, P-384, P-521 or Ed25519 key")
	}
	return s, nil
}

// Issuer implements [Minter].
func (s *Signer) Issuer() string { return s.issuer }

// Key implements [Minter].
func (s *Signer) Key() (kid, alg string, public crypto.PublicKey) {
	return s.kid, s.alg, s.key.Public()
}

// Sign implements [Minter]. The header is taken as it stands, also when it names another algorithm.
func (s *Signer) Sign(header, claims string) (string, error) {
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := s.signature([]byte(input))
	if err != nil {
		return "", fmt.Errorf("conformance: signing: %w", err)
	}
	return input + "." + encode(signature), nil
}

func (s *Signer) signature(input []byte) ([]byte, error) {
	switch key := s.key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *ecdsa.PrivateKey:
		h := ecHashes[s.alg].New()
		h.Write(input)
		r, t, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		if err != nil {
			return nil, err
		}
		return concatenate(key, r, t), nil
	}
	digest := sha256.Sum256(input)
	return s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// concatenate writes both numbers with the width of the curve (RFC 7518 section 3.4).
func concatenate(key *ecdsa.PrivateKey, r, s *big.Int) []byte {
	width := (key.Params().BitSize + 7) / 8
	signature := make([]byte, 2*width)
	r.FillBytes(signature[:width])
	s.FillBytes(signature[width:])
	return signature
}

// signHMAC makes an HS256 token, which no resource server with public keys may take.
func signHMAC(header, claims string, secret []byte) string {
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// publicJWK renders a public key as a JWK (RFC 7518 section 6, RFC 8037 section 2).
func publicJWK(kid, alg string, public crypto.PublicKey) (map[string]any, error) {
	jwk := map[string]any{"alg": alg, "use": "sig"}
	if kid != "" {
		jwk["kid"] = kid
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		half := len(point) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", key.Params().Name, encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(key)
	default:
		return nil, fmt.Errorf("conformance: no JWK for a %T", public)
	}
	return jwk, nil
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
