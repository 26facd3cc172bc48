package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// Proof is a compact JWS that brings the key which verifies it (RFC 9449 section
// 4.2). That its signature is good says that its sender has the private key, and
// nothing about whose key it is: that is what the thumbprint is compared for.
type Proof struct {
	Token
	*ProofKey
}

// ProofKey is a public key as a proof brings it. It never changes.
type ProofKey struct {
	Key        Key
	Thumbprint Thumbprint // of Key
	text       []byte     // from which it was read; nil if that is long
}

// Thumbprint names a public key: the SHA-256 of its canonical JWK (RFC 7638).
type Thumbprint [sha256.Size]byte

// ParseProof takes a proof apart as [Parse] does a token, and reads the key in its
// header: a public one, under the rules for keys of a set. No signature is
// verified. Beside the errors of Parse there is [ErrNoKey]. A key in the very words
// of a known one is that one: to read and to check it anew may cost as much as the
// signature does. known may be nil.
func ParseProof(compact string, known *ProofKey) (Proof, error) {
	token, text, err := parse(compact)
	switch {
	case err != nil:
		return Proof{}, err
	case text == nil:
		return Proof{}, fmt.Errorf("%w: it is missing", ErrNoKey)
	case known != nil && bytes.Equal(text, known.text):
		return Proof{token, known}, nil
	}
	key, _, reason := parseKey(text)
	if reason != "" {
		return Proof{}, fmt.Errorf("%w: %s", ErrNoKey, reason)
	}
	read := &ProofKey{Key: key, Thumbprint: key.Thumbprint()}
	if len(text) <= maxKnownText {
		read.text = bytes.Clone(text)
	}
	return Proof{token, read}, nil
}

// IsKnown reports whether the key is known again in the next proof.
func (k *ProofKey) IsKnown() bool { return k.text != nil }

// maxKnownText bounds the text of a key that is known again: RSA of 4096 bits has 700 bytes.
const maxKnownText = 1 << 10

// MaxKnown is what a [ProofKey] that is known again takes at most, in bytes.
const MaxKnown = 2 * maxKnownText

// Verify checks the signature with the key that the proof brings; see [Token.Verify].
func (p *Proof) Verify() error { return p.Token.Verify(&p.Key) }

// Thumbprint computes the name of the key from what makes the key and nothing
// else: the members that its type needs, in lexicographic order, without white
// space (RFC 7638 section 3).
func (k *Key) Thumbprint() Thumbprint {
	text := make([]byte, 0, 1<<10)
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		text = appendMember(text, `{"e":"`, big.NewInt(int64(public.E)).Bytes())
		text = appendMember(text, `","kty":"RSA","n":"`, public.N.Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil { // no key that was read is so
			return Thumbprint{}
		}
		size := len(point) / 2
		text = append(append(text, `{"crv":"`...), public.Params().Name...)
		text = appendMember(text, `","kty":"EC","x":"`, point[1:1+size])
		text = appendMember(text, `","y":"`, point[1+size:])
	case ed25519.PublicKey:
		text = appendMember(text, `{"crv":"Ed25519","kty":"OKP","x":"`, public)
	default:
		return Thumbprint{}
	}
	return sha256.Sum256(append(text, `"}`...))
}

func appendMember(text []byte, name string, value []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(append(text, name...), value)
}

// ParseThumbprint reads the one spelling of a thumbprint, as cnf has it in jkt (RFC
// 9449 section 6.1).
func ParseThumbprint(text string) (t Thumbprint, ok bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(len(t)) {
		return t, false
	}
	decoded, ok := decodeMember(text)
	if !ok {
		return t, false
	}
	return Thumbprint(decoded), true
}

// String returns the thumbprint as jkt has it.
func (t Thumbprint) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }
