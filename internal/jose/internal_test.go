package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The checks below stand behind others that refuse the same thing first. They
// are called directly here, because none may rely on the one before it.
func TestSecondLineOfDefence_JWKS06_TOK41(t *testing.T) {
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	assert.Equal(t, ReasonPoint, checkPublic(offCurve))
	assert.Equal(t, ReasonPoint, checkPublic(ed25519.PublicKey(make([]byte, 31))))
	assert.Equal(t, ReasonType, checkPublic(nil))
	assert.False(t, plausible(&Key{Public: "none"}, nil))

	_, reason := export(map[string]string{"kty": "oct", "k": "AAAA"}, ReasonMember)
	assert.Empty(t, reason, "jwx exports symmetric keys")
	_, _, reason = parseKey([]byte(`{"kty":"oct"}`))
	assert.Equal(t, ReasonType, reason, "which is why none is handed to it")

	for _, text := range []string{
		`{`, `{"kty":`, `{"kty":"RSA"`, `{"kty":"RSA","kty":"RSA"}`, `{"key_ops":["verify"}`, `{"key_ops":[`, `{"x5c":[}`, `{}{}`,
	} {
		_, _, reason := parseKey([]byte(text))
		assert.Equal(t, ReasonShape, reason, text)
	}
}

// One modulus in 2^27 bears the mark by chance; a few of the usual make show
// that the test does not simply refuse them all.
func TestUsualModulusIsNotFactorable_JWKS05(t *testing.T) {
	for range 3 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		assert.False(t, factorable(key.N))
	}
}

// Every key that the standard library makes is a point by our arithmetic.
func TestEd25519ArithmeticAgreesWithTheStandardLibrary_JWKS06(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	for i := range 64 {
		seed[0] = byte(i)
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		require.True(t, validEd25519(public))
	}
	// Half of the elements of a field are squares, so about half of all strings
	// are points: the check refuses something and does not refuse everything.
	points := 0
	for i := range 256 {
		public := make(ed25519.PublicKey, ed25519.PublicKeySize)
		public[0], public[1] = byte(i), 7
		if validEd25519(public) {
			points++
		}
	}
	assert.InDelta(t, 128, points, 48)
}

func TestErrorsAreTold(t *testing.T) {
	all := []error{ErrMalformed, ErrTooLarge, ErrAlgorithm, ErrCritical, ErrType, ErrSignature, ErrKeyMismatch, ErrNoUsableKeys}
	for i, a := range all {
		for j, b := range all {
			assert.Equal(t, i == j, errors.Is(a, b))
		}
	}
}

// r and s are numbers from 1 to n-1 (FIPS 186-5 section 6.4.2): the rest ends before anything is computed.
func TestPlausible_TOK_41(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		key := &Key{Public: &private.PublicKey}
		order := curve.Params().N
		one := big.NewInt(1)
		signature := func(r, s *big.Int) []byte {
			size := len(order.Bytes())
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
		last := new(big.Int).Sub(order, one)
		beyond := new(big.Int).Add(order, one)
		for _, row := range []struct {
			r, s *big.Int
			want bool
		}{
			{one, one, true}, {last, last, true}, {one, last, true},
			{one, new(big.Int), false}, {new(big.Int), one, false}, {one, order, false}, {order, one, false},
			{one, beyond, false}, {beyond, one, false},
		} {
			assert.Equal(t, row.want, plausible(key, signature(row.r, row.s)), "%s: r %s, s %s", curve.Params().Name, row.r, row.s)
		}
		assert.False(t, plausible(key, signature(one, one)[1:]))
	}
}
