package jose_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

func TestEveryAlgorithmVerifies_TOK32_TOK40_JWKS08(t *testing.T) {
	names := jose.Algorithms()
	require.Len(t, names, 11)
	for _, alg := range names {
		t.Run(alg, func(t *testing.T) {
			token, err := jose.Parse(mint(alg, `{"alg":"`+alg+`"}`, claims))
			require.NoError(t, err)
			assert.Equal(t, jose.Header{Alg: alg}, token.Header)
			assert.Equal(t, claims, string(token.Claims))
			for _, other := range names {
				key := keyOf(other)
				if key.Supports(alg) {
					assert.NoError(t, token.Verify(key))
				} else {
					assert.ErrorIs(t, token.Verify(key), jose.ErrKeyMismatch)
				}
			}
			token.Claims[0] ^= 1
			require.NoError(t, token.Verify(keyOf(alg)), "the received characters are signed, and not what they decode to")
		})
	}
}

func TestTheSetOfAlgorithmsIsClosed_TOK33(t *testing.T) {
	names := jose.Algorithms()
	names[0] = "HS256"
	assert.Equal(t, []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	}, jose.Algorithms())
	for _, alg := range []string{"HS256", "none", "", "ES256K", "Ed448", "rs256"} {
		for _, name := range jose.Algorithms() {
			assert.False(t, keyOf(name).Supports(alg), "%s with the key of %s", alg, name)
		}
	}
}

func TestKeyFitsItsAlgorithms_JWKS08(t *testing.T) {
	rsaAlgs := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	for _, row := range []struct {
		name, key string
		supports  []string
	}{
		{"RSA without alg", jwk(rsaKey().Public()), rsaAlgs},
		{"RSA pinned", jwk(rsaKey().Public(), `"alg":"PS384"`), []string{"PS384"}},
		{"P-256", jwk(p256Key().Public()), []string{"ES256"}},
		{"P-256 pinned", jwk(p256Key().Public(), `"alg":"ES256"`), []string{"ES256"}},
		{"P-384", jwk(p384Key().Public()), []string{"ES384"}},
		{"P-521", jwk(p521Key().Public()), []string{"ES512"}},
		{"Ed25519", jwk(edKey().Public()), []string{"EdDSA", "Ed25519"}},
		{"Ed25519 pinned to the name of RFC 8037", jwk(edKey().Public(), `"alg":"EdDSA"`), []string{"EdDSA", "Ed25519"}},
		{"Ed25519 pinned to the name of RFC 9864", jwk(edKey().Public(), `"alg":"Ed25519"`), []string{"EdDSA", "Ed25519"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, _, err := jose.ParseSet(set(row.key))
			require.NoError(t, err)
			var supports []string
			for _, alg := range jose.Algorithms() {
				if keys[0].Supports(alg) {
					supports = append(supports, alg)
				}
			}
			assert.Equal(t, row.supports, supports)
		})
	}
}

// The operator is told an algorithm that is unknown from none.
func TestUnknownAlgorithmIsTold_TOK33(t *testing.T) {
	_, err := jose.Parse(mint("RS256", `{"alg":"HS256"}`, claims))
	require.ErrorIs(t, err, jose.ErrAlgorithm)
	assert.ErrorContains(t, err, "closed set")
	_, err = jose.Parse(mint("RS256", `{}`, claims))
	require.ErrorIs(t, err, jose.ErrAlgorithm)
	assert.ErrorContains(t, err, "no alg")
}

func TestNoKeyVerifiesNothing_JWKS08(t *testing.T) {
	token, err := jose.Parse(rs256(goodHeader))
	require.NoError(t, err)
	require.ErrorIs(t, token.Verify(nil), jose.ErrKeyMismatch)
	require.ErrorIs(t, token.Verify(&jose.Key{}), jose.ErrKeyMismatch)
	require.ErrorIs(t, token.Verify(&jose.Key{Public: "RS256"}), jose.ErrKeyMismatch)
	require.ErrorIs(t, token.Verify(&jose.Key{Alg: "HS256", Public: []byte("secret")}), jose.ErrKeyMismatch)
	var zero jose.Token
	require.ErrorIs(t, zero.Verify(keyOf("RS256")), jose.ErrKeyMismatch)
}

func TestAcceptedHeaders(t *testing.T) {
	kid256 := strings.Repeat("k", 256)
	for _, row := range []struct {
		name, header string
		want         jose.Header
	}{
		{"TOK-40 unusual spacing", "{ \"alg\"\n:\t\"RS256\" }\r\n", jose.Header{Alg: "RS256"}},
		{"JWKS-32 kid through an escape", `{"alg":"RS256","kid":"\u006b1"}`, jose.Header{Alg: "RS256", Kid: "k1", HasKid: true}},
		{"TOK-66 alg through an escape", `{"\u0061lg":"RS\u003256"}`, jose.Header{Alg: "RS256"}},
		{"JWKS-11 kid of 256 bytes", `{"alg":"RS256","kid":"` + kid256 + `"}`, jose.Header{Alg: "RS256", Kid: kid256, HasKid: true}},
		{"JWKS-09 empty kid is a kid", `{"alg":"RS256","kid":""}`, jose.Header{Alg: "RS256", HasKid: true}},
		{"JWKS-09 kid beyond ASCII", `{"alg":"RS256","kid":"schlüssel"}`, jose.Header{Alg: "RS256", Kid: "schlüssel", HasKid: true}},
		{"JWKS-09 kid with a space, and one that does not break", `{"alg":"RS256","kid":"a \u00a0b"}`, jose.Header{Alg: "RS256", Kid: "a \u00a0b", HasKid: true}},
		{"TOK-37 typ as it usually is", `{"alg":"RS256","typ":"JWT"}`, jose.Header{Alg: "RS256", Typ: "JWT", HasTyp: true}},
		{"TOK-37 typ of access tokens", `{"alg":"RS256","typ":"at+jwt"}`, jose.Header{Alg: "RS256", Typ: "at+jwt", HasTyp: true}},
		{"TOK-37 typ as received", `{"alg":"RS256","typ":"Application/AT+JWT"}`, jose.Header{Alg: "RS256", Typ: "Application/AT+JWT", HasTyp: true}},
		{"TOK-37 empty typ is a typ", `{"alg":"RS256","typ":""}`, jose.Header{Alg: "RS256", HasTyp: true}},
		{"TOK-24 other cases are other names", `{"ALG":"none","alg":"RS256","Crit":["x"],"ZIP":1,"B64":false,"Typ":1,"KID":2}`, jose.Header{Alg: "RS256"}},
		{"TOK-25 cty of another kind", `{"alg":"RS256","cty":"application/json"}`, jose.Header{Alg: "RS256"}},
		{"TOK-25 cty of another kind that ends so", `{"alg":"RS256","cty":"applicatiom/JWT"}`, jose.Header{Alg: "RS256"}},
		{"TOK-25 cty application/ alone", `{"alg":"RS256","cty":"application/"}`, jose.Header{Alg: "RS256"}},
		{"JWKS-12 jku and x5u are ignored", `{"alg":"RS256","jku":"https://evil.example/","x5u":7}`, jose.Header{Alg: "RS256"}},
		{"JWKS-12 jwk and x5c are ignored", `{"alg":"RS256","jwk":{"kty":"?"},"x5c":["!"],"x5t":null}`, jose.Header{Alg: "RS256"}},
		{"LIMITS-04 depth of 16", `{"alg":"RS256","x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, jose.Header{Alg: "RS256"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			token, err := jose.Parse(rs256(row.header))
			require.NoError(t, err)
			assert.Equal(t, row.want, token.Header)
			require.NoError(t, token.Verify(keyOf("RS256")))
		})
	}
}

func TestLargestAcceptedToken_LIMITS04(t *testing.T) {
	large := strings.Repeat("x", 12<<10)
	header := `{"alg":"RS256","x":"` + large[:4096-22] + `"}`
	require.Len(t, header, 4096)
	token, err := jose.Parse(mint("RS256", header, large))
	require.NoError(t, err)
	require.Len(t, token.Claims, 12<<10)
	require.NoError(t, token.Verify(keyOf("RS256")))
}

// The claims are not looked at here: that they are bytes without meaning is the
// promise that keeps them one parse of the caller.
func TestClaimsAreOpaque_TOK23(t *testing.T) {
	for _, payload := range []string{"x", "{}{}", "\xff\xfe", "\x00", `{"a":1,"a":2}`} {
		token, err := jose.Parse(mint("ES256", `{"alg":"ES256"}`, payload))
		require.NoError(t, err)
		assert.Equal(t, payload, string(token.Claims))
		require.NoError(t, token.Verify(keyOf("ES256")))
	}
}

// What one part of a token aliases, no other part may reach by growing.
func TestPartsOfATokenDoNotOverlap_TOK40(t *testing.T) {
	token, err := jose.Parse(rs256(goodHeader))
	require.NoError(t, err)
	_ = append(token.Claims, "overwritten"...)
	_ = append(token.Signature, "overwritten"...)
	require.NoError(t, token.Verify(keyOf("RS256")))
	assert.Equal(t, claims, string(token.Claims))
}

func TestGarbageCostsLittle_TOK20_LIMITS11(t *testing.T) {
	for _, row := range []struct {
		name, token string
		allocations float64
	}{
		{"TOK-20 dots", strings.Repeat(".", 16<<10), 4},
		{"LIMITS-04 one long segment", strings.Repeat("A", 16<<10), 4},
		{"LIMITS-04 long header", strings.Repeat("A", 15<<10) + ".AA.AA", 4},
		{"TOK-22 not base64url", strings.Repeat("!", 4<<10) + ".AA.AA", 6},
		{"TOK-32 none", b64([]byte(`{"alg":"none"}`)) + "." + strings.Repeat("A", 12<<10) + ".AA", 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			allocations := testing.AllocsPerRun(100, func() { _, _ = jose.Parse(row.token) })
			assert.LessOrEqual(t, allocations, row.allocations)
		})
	}
}
