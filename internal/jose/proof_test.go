package jose_test

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// proofBy mints a proof whose header has the signer's public key, or another text for it.
func proofBy(alg, key string) string {
	if key == "" {
		key = jwk(signer(alg).Public())
	}
	return mint(alg, `{"typ":"dpop+jwt","alg":"`+alg+`","jwk":`+key+`}`, `{"jti":"1"}`)
}

func TestProofBringsItsKey_DPOP_04(t *testing.T) {
	for _, alg := range jose.Algorithms() {
		proof, err := jose.ParseProof(proofBy(alg, ""), nil)
		require.NoError(t, err, alg)
		assert.Equal(t, "dpop+jwt", proof.Header.Typ)
		assert.Equal(t, keyOf(alg).Thumbprint(), proof.Thumbprint)
		require.NoError(t, proof.Verify(), alg)
		again, err := jose.ParseProof(proofBy(alg, ""), proof.ProofKey)
		require.NoError(t, err)
		assert.Same(t, proof.ProofKey, again.ProofKey)
		other, err := jose.ParseProof(proofBy(alg, jwk(signer(alg).Public(), `"kid":"2"`)), proof.ProofKey)
		require.NoError(t, err)
		assert.NotSame(t, proof.ProofKey, other.ProofKey, "in other words")
		assert.Equal(t, proof.Thumbprint, other.Thumbprint)
		proof.Signature[len(proof.Signature)/2] ^= 1
		assert.ErrorIs(t, proof.Verify(), jose.ErrSignature, alg)
	}
}

// A key that is written at great length is not kept as it is written.
func TestKnownKey_DPOP_04(t *testing.T) {
	key := jwk(p256Key().Public(), `"pad":""`)
	for size, known := range map[int]bool{len(key): true, 1024: true, 1025: false} {
		proof, err := jose.ParseProof(proofBy("ES256", strings.Replace(key, `"pad":""`, `"pad":"`+strings.Repeat("x", size-len(key))+`"`, 1)), nil)
		require.NoError(t, err)
		assert.Equal(t, known, proof.IsKnown(), size)
	}
}

func TestProofsWithoutAUsableKey_DPOP_04(t *testing.T) {
	private := func(member string) string { return jwk(p256Key().Public(), member) }
	for name, key := range map[string]string{
		"private d":             private(`"d":"AQ"`),
		"private k":             private(`"k":"AQ"`),
		"private p":             jwk(rsaKey().Public(), `"p":"AQ"`),
		"private oth":           jwk(rsaKey().Public(), `"oth":[{}]`),
		"a symmetric key":       `{"kty":"oct","k":"c2VjcmV0"}`,
		"no object":             `"x"`,
		"null":                  `null`,
		"a list":                `[` + jwk(p256Key().Public()) + `]`,
		"empty":                 `{}`,
		"another curve":         `{"kty":"EC","crv":"secp256k1","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`,
		"no point":              `{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`,
		"a short modulus":       `{"kty":"RSA","e":"AQAB","n":"` + b64([]byte(strings.Repeat("\xff", 128))) + `"}`,
		"a long modulus":        `{"kty":"RSA","e":"AQAB","n":"` + b64([]byte(strings.Repeat("\xff", 1025))) + `"}`,
		"for encryption":        jwk(p256Key().Public(), `"use":"enc"`),
		"for another algorithm": jwk(p256Key().Public(), `"alg":"ES384"`),
		"for HMAC":              jwk(p256Key().Public(), `"alg":"HS256"`),
	} {
		_, err := jose.ParseProof(proofBy("ES256", key), nil)
		assert.ErrorIs(t, err, jose.ErrNoKey, name)
	}
	_, err := jose.ParseProof(mint("ES256", `{"typ":"dpop+jwt","alg":"ES256"}`, `{}`), nil)
	assert.ErrorIs(t, err, jose.ErrNoKey)
	_, err = jose.ParseProof(proofBy("ES256", `{"kty":"EC","kty":"EC"}`), nil)
	assert.ErrorIs(t, err, jose.ErrMalformed, "a name twice")
	proof, err := jose.ParseProof(mint("ES256", `{"alg":"RS256","jwk":`+jwk(p256Key().Public())+`}`, `{}`), nil)
	require.NoError(t, err)
	assert.ErrorIs(t, proof.Verify(), jose.ErrKeyMismatch)
}

// The vectors of RFC 7638 section 3.1, RFC 9449 section 6.1 and RFC 8037 appendix A.3.
func TestThumbprint_DPOP_08(t *testing.T) {
	const rsa = `"n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W` +
		`-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"`
	const ec = `"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"`
	for want, keys := range map[string][]string{
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": {`{"kty":"RSA",` + rsa + `}`, `{"alg":"RS256","kid":"2011-04-29","kty":"RSA","x5c":["!"],` + rsa + `}`},
		"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I": {`{` + ec + `}`, `{"use":"sig","kid":"x","ext":true,"key_ops":["verify"],` + ec + `}`},
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": {`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`},
	} {
		for _, key := range keys {
			parsed, _, err := jose.ParseSet(set(key))
			require.NoError(t, err)
			print := parsed[0].Thumbprint()
			assert.Equal(t, want, print.String())
			read, ok := jose.ParseThumbprint(want)
			assert.True(t, ok)
			assert.Equal(t, print, read)
		}
	}
	for _, text := range []string{"", "x", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs=",
		"NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs", " zbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9XsA"} {
		_, ok := jose.ParseThumbprint(text)
		assert.False(t, ok, text)
	}
	assert.Zero(t, (&jose.Key{}).Thumbprint())
	assert.Zero(t, (&jose.Key{Public: elliptic.P256()}).Thumbprint())
}

func BenchmarkProof(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		compact := proofBy(alg, "")
		token, _ := jose.Parse(compact)
		key := keyOf(alg)
		b.Run(alg+"/signature", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if token.Verify(key) != nil {
					b.Fatal("not verified")
				}
			}
		})
		known, _ := jose.ParseProof(compact, nil)
		b.Run(alg+"/parse, key known", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.ParseProof(compact, known.ProofKey); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/parse", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.ParseProof(compact, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
