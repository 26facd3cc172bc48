package mcpauthtest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestBoundToken: what the fake issuer and a client's key make is accepted, by each kind of key, and nothing else is.
func TestBoundToken_DPOP_08_TEST_02(t *testing.T) {
	const resource = "https://mcp.example.com/mcp"
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	config := issuer.Config()
	config.DPoP = mcpauth.DPoPAccepted
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{config}, Transport: issuer.Transport()})
	require.NoError(t, err)
	come := func(scheme, token, proof string) error {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(""))
		r.Header.Set("Authorization", scheme+" "+token)
		r.Header.Set("DPoP", proof)
		_, err := auth.Authenticate(r)
		return err
	}
	for _, alg := range jose.Algorithms() {
		key := mcpauthtest.NewKey("client", alg)
		token := issuer.BoundToken(key, mcpauthtest.Claims{"aud": resource})
		assert.NoError(t, come("DPoP", token, key.Proof(http.MethodPost, resource, token, nil)), alg)
		assert.Error(t, come("Bearer", token, key.Proof(http.MethodPost, resource, token, nil)), alg)
		assert.Error(t, come("DPoP", token, key.Proof(http.MethodGet, resource, token, nil)), alg)
		assert.Error(t, come("DPoP", token, key.Proof(http.MethodPost, resource, token, mcpauthtest.Claims{"jti": nil})), alg)
		assert.Error(t, come("DPoP", token, key.Proof(http.MethodPost, resource, token, mcpauthtest.Claims{"iat": 1})), alg)
		assert.Error(t, come("DPoP", token, mcpauthtest.NewKey("other", alg).Proof(http.MethodPost, resource, token, nil)), alg)
	}
}

// TestThumbprint: the thumbprint is the one that the house computes from the proof.
func TestThumbprint_DPOP_08(t *testing.T) {
	key := mcpauthtest.NewKey("client", "RS256")
	proof, err := jose.ParseProof(key.Proof(http.MethodPost, "https://mcp.example.com/mcp", "t", nil), nil)
	require.NoError(t, err)
	assert.Equal(t, proof.Thumbprint.String(), key.Thumbprint())
}
