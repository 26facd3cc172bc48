package mcpauthtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func decode(t *testing.T, text any) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.Strict().DecodeString(text.(string))
	require.NoError(t, err)
	return data
}

// publicKey reads a JWK as it stands in JSON.
func publicKey(t *testing.T, jwk map[string]any) crypto.PublicKey {
	t.Helper()
	number := func(name string) *big.Int { return new(big.Int).SetBytes(decode(t, jwk[name])) }
	switch jwk["kty"] {
	case "RSA":
		return &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
	case "OKP":
		assert.Equal(t, "Ed25519", jwk["crv"])
		return ed25519.PublicKey(decode(t, jwk["x"]))
	}
	curve := map[any]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[jwk["crv"]]
	require.NotNil(t, curve)
	point := append([]byte{4}, decode(t, jwk["x"])...)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(point, decode(t, jwk["y"])...))
	require.NoError(t, err)
	return key
}

// verify checks a compact JWS with crypto/* and nothing else.
func verify(t *testing.T, public crypto.PublicKey, alg, token string) bool {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	input, signature := []byte(parts[0]+"."+parts[1]), decode(t, parts[2])
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:min(5, len(alg))]]
	digest := input
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(alg, "PS") {
			return rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		width := (public.Params().BitSize + 7) / 8
		require.Len(t, signature, 2*width)
		r, s := new(big.Int).SetBytes(signature[:width]), new(big.Int).SetBytes(signature[width:])
		return ecdsa.Verify(public, digest, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, signature)
	}
	return false
}

func TestKey_TEST_02(t *testing.T) {
	for _, tt := range []struct{ alg, kty, crv string }{
		{"RS256", "RSA", ""}, {"RS384", "RSA", ""}, {"RS512", "RSA", ""},
		{"PS256", "RSA", ""}, {"PS384", "RSA", ""}, {"PS512", "RSA", ""},
		{"ES256", "EC", "P-256"}, {"ES384", "EC", "P-384"}, {"ES512", "EC", "P-521"},
		{"EdDSA", "OKP", "Ed25519"}, {"Ed25519", "OKP", "Ed25519"},
	} {
		t.Run(tt.alg, func(t *testing.T) {
			t.Parallel()
			key, other := mcpauthtest.NewKey("k1", tt.alg), mcpauthtest.NewKey("k2", tt.alg)
			const header, payload = `{"alg":"none","\u0061lg":"HS256"}`, "{\"sub\":\"a\",\n \"sub\":\"b\"} trailing"
			for range 20 { // r and s of every width
				token := key.Sign(header, payload)
				parts := strings.Split(token, ".")
				assert.Equal(t, header, string(decode(t, parts[0])))
				assert.Equal(t, payload, string(decode(t, parts[1])))

				jwk := rendered(t, key.JWK())
				assert.Equal(t, "k1", jwk["kid"])
				assert.Equal(t, tt.alg, jwk["alg"])
				assert.Equal(t, "sig", jwk["use"])
				assert.Equal(t, tt.kty, jwk["kty"])
				if tt.crv != "" {
					assert.Equal(t, tt.crv, jwk["crv"])
				}
				for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
					assert.NotContains(t, jwk, private)
				}
				assert.True(t, verify(t, publicKey(t, jwk), tt.alg, token))
				assert.False(t, verify(t, publicKey(t, rendered(t, other.JWK())), tt.alg, token))

				block, rest := pem.Decode(key.PEM())
				require.NotNil(t, block)
				assert.Empty(t, rest)
				assert.Equal(t, "PUBLIC KEY", block.Type)
				public, err := x509.ParsePKIXPublicKey(block.Bytes)
				require.NoError(t, err)
				assert.True(t, verify(t, public, tt.alg, token))
			}
		})
	}
}

// rendered is a JWK after a pass through JSON.
func rendered(t *testing.T, jwk map[string]any) (read map[string]any) {
	t.Helper()
	text, err := json.Marshal(jwk)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &read))
	return read
}

func TestKeyIdentity(t *testing.T) {
	first := mcpauthtest.NewKey("k1", "RS256")
	again := mcpauthtest.NewKey("k1", "RS256")
	assert.Same(t, first.Private, again.Private, "generated twice")
	assert.NotSame(t, first, again)
	again.ID = "k9"
	assert.Equal(t, "k1", first.ID)
	for name, other := range map[string]*mcpauthtest.Key{
		"other id":         mcpauthtest.NewKey("k2", "RS256"),
		"other alg":        mcpauthtest.NewKey("k1", "PS256"),
		"an issuer's":      mcpauthtest.NewIssuerAt(t, "https://a.example.com").Keys()[0],
		"another issuer's": mcpauthtest.NewIssuerAt(t, "https://a.example.com").Keys()[0],
	} {
		assert.NotEqual(t, first.PEM(), other.PEM(), name)
	}
	a, b := mcpauthtest.NewIssuerAt(t, "https://a.example.com"), mcpauthtest.NewIssuerAt(t, "https://a.example.com")
	assert.Equal(t, a.Keys()[0].ID, b.Keys()[0].ID)
	assert.NotEqual(t, a.Keys()[0].PEM(), b.Keys()[0].PEM())

	var before, after []byte
	t.Run("first", func(t *testing.T) { before = mcpauthtest.NewIssuerAt(t, "x").Keys()[0].PEM() })
	t.Run("second", func(t *testing.T) { after = mcpauthtest.NewIssuerAt(t, "y").Keys()[0].PEM() })
	assert.Equal(t, before, after, "the key of an issuer that is gone is used again")
}

func TestKeyWithoutID(t *testing.T) {
	key := mcpauthtest.NewKey("", "ES256")
	assert.NotContains(t, key.JWK(), "kid")
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	issuer.Rotate(key)
	header, _, _ := strings.Cut(issuer.Token(nil), ".")
	assert.JSONEq(t, `{"alg":"ES256","typ":"at+jwt"}`, string(decode(t, header)))
}

func TestKeyMisuse(t *testing.T) {
	for range 2 { // a panic must not leave a broken key behind
		assert.Panics(t, func() { mcpauthtest.NewKey("k1", "HS256") })
	}
	assert.Panics(t, func() { mcpauthtest.NewKey("k1", "") })
	for _, tt := range []struct{ made, alg string }{
		{"RS256", "ES256"}, {"RS256", "EdDSA"}, {"RS256", "none"}, {"RS256", "HS256"}, {"RS256", ""},
		{"ES256", "RS256"}, {"ES256", "PS256"}, {"ES256", "EdDSA"}, {"ES256", "HS256"},
		{"EdDSA", "ES256"}, {"EdDSA", "RS256"}, {"EdDSA", ""},
	} {
		key := mcpauthtest.NewKey("k1", tt.made)
		key.Alg = tt.alg
		assert.Panics(t, func() { key.Sign("{}", "{}") }, "%v", tt)
		assert.Equal(t, tt.alg, key.JWK()["alg"], "a key may lie")
		assert.NotEmpty(t, key.PEM())
	}
	mixed := mcpauthtest.NewKey("k1", "ES384")
	mixed.Alg = "ES256"
	assert.Len(t, decode(t, strings.Split(mixed.Sign("{}", "{}"), ".")[2]), 96, "the width is the curve's")
}
