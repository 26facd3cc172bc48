package mcpauthtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// introspect puts one question to the endpoint that the metadata names, as a client with this secret, "" for the right one.
func introspect(t *testing.T, issuer *mcpauthtest.Issuer, how clientauth.Method, token string) (status int, answer map[string]any) {
	t.Helper()
	form, header := url.Values{"token": {token}}, http.Header{}
	require.NoError(t, how.Apply(t.Context(), clientauth.Endpoint{}, header, form))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer.URL()+"/introspect", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header = header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := issuer.Transport().RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &answer))
	return response.StatusCode, answer
}

// TestOpaque_INTRO_01_INTRO_02: the issuer knows its opaque tokens until they are revoked, and tells its client alone.
func TestOpaque_INTRO_01_INTRO_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant1")
	how := issuer.Introspection().Client
	token := issuer.Opaque(mcpauthtest.Claims{"aud": "https://mcp.example.com/mcp", "exp": nil})
	assert.NotContains(t, token, ".")

	status, answer := introspect(t, issuer, how, token)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, true, answer["active"])
	assert.Equal(t, "user-1", answer["sub"])
	assert.Equal(t, "https://mcp.example.com/mcp", answer["aud"])
	assert.NotContains(t, answer, "exp")

	status, answer = introspect(t, issuer, clientauth.SecretBasic("resource-server", "wrong"), token)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, map[string]any{"error": "invalid_client"}, answer)

	issuer.Answer(token, "")
	for _, gone := range []string{token, "never"} {
		status, answer = introspect(t, issuer, how, gone)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, map[string]any{"active": false}, answer)
	}
	assert.Equal(t, 4, issuer.Fetches(mcpauthtest.Introspection))
	assert.Equal(t, how.ClientID(), issuer.Introspection().Client.ClientID(), "asked for twice, the client is the same")
}
