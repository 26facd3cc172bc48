package mcpauthtest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func read(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	require.NoError(t, json.Unmarshal(decode(t, parts[0]), &header))
	require.NoError(t, json.Unmarshal(decode(t, parts[1]), &claims))
	return header, claims
}

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant1")
		time.Sleep(time.Hour)
		now := float64(time.Now().Unix())
		header, claims := read(t, issuer.Token(nil))
		assert.Equal(t, map[string]any{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}, header)
		id := claims["jti"]
		assert.NotEmpty(t, id)
		assert.Equal(t, map[string]any{
			"iss": "https://as.example.com/tenant1", "sub": "user-1", "client_id": "client-1",
			"jti": id, "iat": now, "exp": now + 300,
		}, claims)
		_, again := read(t, issuer.Token(nil))
		assert.NotEqual(t, id, again["jti"])

		given := mcpauthtest.Claims{"sub": nil, "iat": nil, "exp": "never", "act": map[string]any{"sub": "x"}, "nonce": json.RawMessage("null"), "none": nil}
		before := maps.Clone(given)
		_, claims = read(t, issuer.Token(given))
		assert.Equal(t, []string{"act", "client_id", "exp", "iss", "jti", "nonce"}, slices.Sorted(maps.Keys(claims)))
		assert.Equal(t, "never", claims["exp"])
		assert.Nil(t, claims["nonce"])
		assert.Equal(t, before, given, "the caller's map")

		_, claims = read(t, issuer.TokenFor("https://mcp.example.com/mcp", "a", "b:c"))
		assert.Equal(t, "https://mcp.example.com/mcp", claims["aud"])
		assert.Equal(t, "a b:c", claims["scope"])
		_, claims = read(t, issuer.TokenFor("https://mcp.example.com/mcp"))
		assert.NotContains(t, claims, "scope")
	})
}

func TestTokenIsSignedByTheCurrentKey_TEST_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	first := issuer.Keys()[0]
	assert.True(t, verify(t, first.Private.Public(), "RS256", issuer.Token(nil)))
	for _, alg := range []string{"PS384", "ES512", "EdDSA"} {
		next := mcpauthtest.NewKey("k2", alg)
		issuer.Rotate(next, first)
		token := issuer.Token(nil)
		header, _ := read(t, token)
		assert.Equal(t, map[string]any{"alg": alg, "kid": "k2", "typ": "at+jwt"}, header)
		assert.True(t, verify(t, next.Private.Public(), alg, token))
		assert.True(t, verify(t, next.Private.Public(), alg, issuer.Sign("{", "")))
	}
	last := issuer.Keys()[0]
	issuer.Rotate()
	assert.Empty(t, issuer.Keys())
	assert.True(t, verify(t, last.Private.Public(), "EdDSA", issuer.Token(nil)))
}
