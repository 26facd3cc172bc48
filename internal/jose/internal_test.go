package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// The checks below stand behind others that refuse the same thing first. They
// are called directly here, because none may rely on the one before it.
func TestSecondLineOfDefence_JWKS06_TOK41(t *testing.T) {
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	assert.Equal(t, ReasonPoint, checkPublic(offCurve))
	assert.Equal(t, ReasonPoint, checkPublic(ed25519.PublicKey(make([]byte, 31))))
	assert.Equal(t, ReasonType, checkPublic(nil))
	assert.False(t, plausible(&Key{Public: "none"}, nil))

	prime := make([]byte, 32) // 2^255 - 19, another spelling of 0 by which no key is known
	fieldPrime.FillBytes(prime)
	slices.Reverse(prime)
	assert.False(t, validEd25519(prime))
	assert.False(t, sameAlgorithm("EdDSA", "RS256"))
	assert.False(t, sameAlgorithm("RS256", "Ed25519"))
	_, ok := decodeMember("")
	assert.False(t, ok)
	assert.Zero(t, (&Key{Public: offCurve}).Thumbprint())

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

// Signatures of ECDSA whose r or s is no scalar of the group end before the library
// below, which refuses them too.
func TestECDSAScalars_TOK41(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := &Key{Public: &ecdsa.PublicKey{Curve: curve, X: curve.Params().Gx, Y: curve.Params().Gy}}
		order := curve.Params().N
		size := len(order.Bytes())
		one := big.NewInt(1)
		last := new(big.Int).Sub(order, one)
		next := new(big.Int).Add(order, one)
		highest := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one)
		for _, good := range []*big.Int{one, last} {
			for _, bad := range []*big.Int{new(big.Int), order, next, highest} {
				assert.False(t, plausible(key, append(good.FillBytes(make([]byte, size)), bad.FillBytes(make([]byte, size))...)), "s = %d", bad)
				assert.False(t, plausible(key, append(bad.FillBytes(make([]byte, size)), good.FillBytes(make([]byte, size))...)), "r = %d", bad)
			}
			pair := append(good.FillBytes(make([]byte, size)), last.FillBytes(make([]byte, size))...)
			assert.True(t, plausible(key, pair))
			assert.False(t, plausible(key, pair[1:]), "one byte less")
			assert.False(t, plausible(key, append(pair, 1)), "one byte more")
		}
	}
}

// A signature of the wrong shape is told from one that does not verify: nothing was computed.
func TestVerify_Shape_TOK41(t *testing.T) {
	key := &Key{Public: &ecdsa.PublicKey{Curve: elliptic.P256(), X: elliptic.P256().Params().Gx, Y: elliptic.P256().Params().Gy}}
	token := &Token{Header: Header{Alg: "ES256"}, Signature: make([]byte, 64)}
	require.EqualError(t, token.Verify(key), ErrSignature.Error()+": wrong shape for the key")
	token.Signature[31], token.Signature[63] = 1, 1
	require.EqualError(t, token.Verify(key), ErrSignature.Error())
}

// The exponent is bounded for keys of any origin: those of PEM are not built from members.
func TestExponent_JWKS05(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for exponent, want := range map[int]Reason{3: "", maxExponent: "", maxExponent + 2: ReasonExponent, 1: ReasonExponent, 4: ReasonExponent} {
		assert.Equal(t, want, checkRSA(&rsa.PublicKey{N: key.N, E: exponent}), "%d", exponent)
	}
}

// The strict reader and the one that explains see the same header, where the first sees one.
func TestHeaderAlone_TOK20(t *testing.T) {
	const good = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.AA" // {"alg":"ES256","kid":"k1"}
	header, err := ParseHeader(good)
	require.NoError(t, err)
	assert.Equal(t, Header{Alg: "ES256", Kid: "k1", HasKid: true}, header)
	assert.Equal(t, "ES256", HeaderAlgorithm(good))
	for _, bad := range []string{"", "e30", good + ".", good + ".AA", "!" + good, "." + good} {
		_, err := ParseHeader(bad)
		assert.ErrorIs(t, err, ErrMalformed, bad)
	}
	huge := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}` + strings.Repeat(" ", 4096-15)))
	assert.Equal(t, "ES256", HeaderAlgorithm(huge), "as large as it may be")
	huge = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}` + strings.Repeat(" ", 4096-14)))
	assert.Empty(t, HeaderAlgorithm(huge))
	_, err = ParseHeader(huge + ".e30.AA")
	assert.ErrorIs(t, err, ErrTooLarge)
	assert.Empty(t, HeaderAlgorithm("eyJhbGciOiJFUzI1NiJ9!"), "what cannot be decoded to its end")
	assert.Empty(t, HeaderAlgorithm("!"+good))
	assert.Empty(t, HeaderAlgorithm(""))
}

// TestBase64_TOK_22: what our decoder takes is what the strict one of the standard library takes without
// line ends, with every byte in every place of every length of up to three groups of eight.
func TestBase64_TOK_22(t *testing.T) {
	strict := base64.RawURLEncoding.Strict()
	compare := func(segment string) bool {
		room := []byte(strings.Repeat("x", decodedLen(len(segment))+8))
		got, err := decodeSegment(room, segment, "segment")
		want, errStrict := strict.DecodeString(segment)
		if strings.ContainsAny(segment, "\r\n") {
			errStrict = base64.CorruptInputError(0)
		}
		require.Equal(t, errStrict == nil, err == nil, "%q", segment)
		if err == nil {
			require.Equal(t, want, append([]byte{}, got...), "%q", segment)
		}
		require.Equal(t, "xxxxxxxx", string(room[len(room)-8:]), "%q: beyond the segment", segment)
		return err == nil
	}
	taken := 0
	for length := range 25 {
		segment := []byte(strings.Repeat("z-_A", 7)[28-length:]) // the bits at its end are zero
		for place := range segment {
			was := segment[place]
			for c := range 256 {
				if segment[place] = byte(c); compare(string(segment)) {
					taken++
				}
			}
			segment[place] = was
		}
	}
	assert.Greater(t, taken, 10_000)
	assert.True(t, compare(""))
}

// TestRecycle_TOK_62: a room that goes back has nothing of the token in it, and the token nothing of the room.
func TestRecycle_TOK_62(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for _, size := range []int{10, usualRoom} {
		token, err := Parse(encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(strings.Repeat("c", size))) + ".c2ln")
		require.NoError(t, err)
		parts := [][]byte{token.signed, token.Claims, token.Signature}
		token.Recycle()
		assert.Equal(t, Token{}, token)
		for _, part := range parts {
			assert.Equal(t, make([]byte, len(part)), part)
		}
		token.Recycle() // there is nothing to give back twice
	}
}

// What goes back to the pool is cleared as far as it was used.
func TestTake_TOK_62(t *testing.T) {
	for _, size := range []int{100, 50, 10, 70} {
		var token Token
		assert.Len(t, token.take(size), size)
		assert.Len(t, *token.room, size)
		token.Recycle()
	}
}

// The operator is told what of the form is wrong.
func TestForm_TOK_20_LIMITS_04(t *testing.T) {
	const header = "eyJhbGciOiJFUzI1NiJ9" // {"alg":"ES256"}
	for text, want := range map[string]string{
		header: "three segments", header + ".e30": "three segments", header + ".e30..AA": "three segments", header + ".e30.AA.AA": "three segments",
		".e30.AA": "empty segment", header + "..AA": "empty segment", header + ".e30.": "empty segment",
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrMalformed)
		assert.ErrorContains(t, err, want, text)
	}
	signature := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	_, err := Parse(header + ".e30." + signature(1024))
	require.NoError(t, err)
	_, err = Parse(header + ".e30." + signature(1025))
	require.ErrorIs(t, err, ErrTooLarge)

	members := func(n int) string {
		text := `{"alg":"ES256"`
		for i := range n - 1 {
			text += fmt.Sprintf(`,"%d":1`, i)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text+"}")) + ".e30.AA"
	}
	_, err = Parse(members(256))
	require.NoError(t, err)
	_, err = Parse(members(257))
	require.ErrorIs(t, err, ErrTooLarge)
}

// What is of another kind is told as that.
func TestOtherKind_TOK_23_JWKS_25(t *testing.T) {
	_, _, err := parseHeader([]byte(`[]`))
	assert.ErrorIs(t, err, strictjson.ErrKind)
	for _, text := range []string{`[]`, `{"keys":5}`, `{"keys":{}}`} {
		_, _, err := ParseSet([]byte(text))
		assert.ErrorIs(t, err, strictjson.ErrKind, text)
	}
}
