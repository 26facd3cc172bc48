package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

// Verify checks the signature over the received characters with one key and
// the one algorithm that the header names (RFC 7515 section 5.2). The key has
// to support that algorithm, or the error wraps [ErrKeyMismatch] and nothing is
// computed; otherwise a failure wraps [ErrSignature]. The error says nothing
// about the token.
func (t *Token) Verify(key *Key) error {
	if key == nil || !key.Supports(t.Header.Alg) {
		return ErrKeyMismatch
	}
	if !plausible(key, t.Signature) {
		return fmt.Errorf("%w: wrong shape for the key", ErrSignature)
	}
	if err := jwsbb.Verify(key.Public, t.Header.Alg, t.signed, t.Signature); err != nil {
		// The cause is dropped on purpose: it can tell nothing but "no", and
		// its text is not ours to promise clean.
		return ErrSignature
	}
	return nil
}

// plausible checks what can be known of a signature without computing it: its
// exact length, and for ECDSA that r and s lie in [1, n-1]. The all-zero
// signature and ASN.1 DER end here, whatever a library below would say to them.
func plausible(key *Key, signature []byte) bool {
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		return len(signature) == public.Size()
	case *ecdsa.PublicKey:
		order := public.Params().N.Bytes()
		if len(signature) != 2*len(order) {
			return false
		}
		return inOrder(signature[:len(order)], order) && inOrder(signature[len(order):], order)
	case ed25519.PublicKey:
		return len(signature) == ed25519.SignatureSize
	}
	return false
}

// inOrder reports whether the big-endian number is in [1, n-1].
func inOrder(number, order []byte) bool {
	return bytes.Compare(number, order) < 0 && len(bytes.TrimLeft(number, "\x00")) > 0
}
