package products

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// What a client of 2025-11-25 sends.
const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"products","version":"1"}}}`
	callTool   = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"TOOL","arguments":{}}}`
)

// guest is a client that holds one token and does what it is told.
type guest struct {
	guarded *protected.Server
	client  *http.Client
	token   string
}

// send makes one request, with an answer that may be a stream.
func (g guest) send(t *testing.T, method, body, session string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.guarded.URL, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	if g.token != "" {
		request.Header.Set("Authorization", "Bearer "+g.token)
	}
	if body != initialize {
		request.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	if session != "" {
		request.Header.Set("Mcp-Session-Id", session)
	}
	client := g.client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// begin begins a session and returns its id.
func (g guest) begin(t *testing.T) string {
	t.Helper()
	response := g.send(t, http.MethodPost, initialize, "")
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s\n%s", text, g.guarded.Log())
	return response.Header.Get("Mcp-Session-Id")
}

// call calls a tool and returns what comes of it.
func (g guest) call(t *testing.T, tool, session string) (status int, text string) {
	t.Helper()
	response := g.send(t, http.MethodPost, strings.Replace(callTool, "TOOL", tool, 1), session)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// listen opens the stream of a session, and tells when it has ended.
func (g guest) listen(t *testing.T, session string) <-chan time.Time {
	t.Helper()
	response := g.send(t, http.MethodGet, "", session)
	require.Equal(t, http.StatusOK, response.StatusCode, g.guarded.Log())
	require.Contains(t, response.Header.Get("Content-Type"), "text/event-stream")
	ended := make(chan time.Time, 1)
	go func() {
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		}
		ended <- time.Now()
	}()
	return ended
}

// maxSeen is how long what was revoked may go on, and slack what processes take.
const (
	maxSeen = 66 * time.Second
	slack   = 5 * time.Second
)

// revoked has a guest's token revoked while it listens: the stream ends in time, and the next request is refused.
func (g guest) revoked(t *testing.T, revoke func(context.Context) error) {
	t.Helper()
	session := g.begin(t)
	ended := g.listen(t, session)
	status, text := g.call(t, "echo", session)
	require.Equal(t, http.StatusOK, status, text)
	at := time.Now()
	require.NoError(t, revoke(t.Context()))
	select {
	case end := <-ended:
		t.Logf("the stream ended %.1f s after the revocation", end.Sub(at).Seconds())
	case <-time.After(maxSeen + slack):
		t.Fatal("the stream goes on")
	}
	status, text = g.call(t, "echo", session)
	assert.Equal(t, http.StatusUnauthorized, status, text)
	assert.Contains(t, g.guarded.Log(), `stream ended early" reason="token revoked`)
	assert.Contains(t, g.guarded.Log(), "cause=token-inactive")
	assert.NotContains(t, g.guarded.Log(), g.token)
}

// asking makes an issuer one that is asked.
func asking(issuer mcpauth.Issuer, how mcpauth.Introspection) mcpauth.Issuer {
	issuer.Introspect = &how
	return issuer
}

// TestHydraOpaqueTokens: tokens that only Ory Hydra can read, from the code to the revocation.
func TestHydraOpaqueTokens_INTRO_01_INTRO_03_INTRO_23(t *testing.T) {
	t.Parallel()
	server := authservers.StartHydra(t, false)
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: asking(server.Issuer, mcpauth.Introspection{
		Endpoint: server.Introspection, Client: clientauth.SecretBasic("mcp-server", "Hydra looks at no secret"),
	})})
	good := ask{resource: guarded.URL, scope: "mcp:read", client: authservers.HydraOpaque}
	g := guest{guarded: guarded, token: good.token(t, server)}
	require.True(t, strings.HasPrefix(g.token, "ory_at_"), "the token is opaque")
	session := g.begin(t)
	status, text := g.call(t, "echo", session)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "echo for ann")
	status, _ = g.call(t, "admin", session)
	assert.Equal(t, http.StatusForbidden, status)

	for name, row := range map[string]struct{ token, cause string }{
		"made up":               {"ory_at_" + oauth2.GenerateVerifier() + "." + oauth2.GenerateVerifier(), "token-inactive"},
		"changed at its end":    {g.token[:len(g.token)-4] + "AAAA", "token-inactive"},
		"for another server":    {ask{resource: "http://127.0.0.1:7/mcp", scope: "mcp:read", client: authservers.HydraOpaque}.token(t, server), "audience-host"},
		"for no server at all":  {ask{scope: "mcp:read", client: authservers.HydraOpaque}.token(t, server), "audience-empty"},
		"the refresh token":     {refreshToken(t, server, guarded.URL), "token-refresh"},
		"a JWT for another one": {ask{resource: "http://127.0.0.1:7/mcp", scope: "mcp:read"}.token(t, server), "audience-host"},
	} {
		status, text := guest{guarded: guarded, token: row.token}.call(t, "echo", session)
		assert.Equal(t, http.StatusUnauthorized, status, "%s: %s", name, text)
		assert.Contains(t, guarded.Log(), "cause="+row.cause+" ", name)
		assert.NotContains(t, guarded.Log(), row.token, name)
	}
	assert.Equal(t, []string{"echo"}, guarded.Ran())
	g.revoked(t, func(ctx context.Context) error { return server.Revoke(ctx, authservers.Ann) })
}

// refreshToken is one of Lee, which Hydra calls active as it does access tokens.
func refreshToken(t *testing.T, server *authservers.Server, resource string) string {
	t.Helper()
	config := oauth2.Config{ClientID: authservers.HydraOpaque, RedirectURL: redirect, Scopes: []string{"mcp:read"}, Endpoint: endpoint(t, server)}
	verifier := oauth2.GenerateVerifier()
	back, err := authservers.NewBrowser(authservers.Lee, false).Walk(t.Context(),
		config.AuthCodeURL(oauth2.GenerateVerifier(), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("resource", resource)))
	require.NoError(t, err)
	got, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	require.NoError(t, err)
	require.NotEmpty(t, got.RefreshToken)
	return got.RefreshToken
}

// mcpServer makes the client by which an MCP server asks Keycloak about tokens, and returns how it asks. It is there
// until the test ends.
func mcpServer(t *testing.T, realm *authservers.Realm, id string) mcpauth.Introspection {
	t.Helper()
	secret := oauth2.GenerateVerifier()
	realm.Admin(t, http.MethodPost, "/clients", map[string]any{
		"clientId": id, "secret": secret, "publicClient": false, "standardFlowEnabled": false, "directAccessGrantsEnabled": false,
	}, nil)
	t.Cleanup(func() { realm.Admin(t, http.MethodDelete, realm.Client(t, url.QueryEscape(id)), nil, nil) })
	return mcpauth.Introspection{Client: clientauth.SecretBasic(id, secret), JWTs: true}
}

// TestKeycloakIntrospection: the access tokens of Keycloak are JWTs; asked about them, it tells which sessions have ended.
func TestKeycloakIntrospection_INTRO_01_INTRO_09_INTRO_23(t *testing.T) {
	t.Parallel()
	realm := authservers.StartKeycloakRealm(t)
	realm.Prepare(authservers.Ann)
	guarded := protected.Start(t, protected.Listen(t), protected.Options{
		Backend: protected.MCPGo, Issuer: asking(realm.Issuer, mcpServer(t, realm, authservers.KeycloakAudience)),
	})
	g := guest{guarded: guarded, token: ask{scope: "mcp:read", client: "interop"}.token(t, realm.Server)}
	session := g.begin(t)
	status, text := g.call(t, "echo", session)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "echo for ")
	status, _ = g.call(t, "admin", session)
	assert.Equal(t, http.StatusForbidden, status)

	stranger := protected.Start(t, protected.Listen(t), protected.Options{
		Backend: protected.MCPGo, Issuer: asking(realm.Issuer, mcpServer(t, realm, "not-in-aud")),
	})
	status, text = guest{guarded: stranger, token: g.token}.call(t, "echo", "")
	assert.Equal(t, http.StatusUnauthorized, status, "Keycloak tells a client of tokens that name it in aud, and of no others: %s", text)
	assert.Contains(t, stranger.Log(), "cause=token-inactive")
	g.revoked(t, func(context.Context) error {
		realm.Admin(t, http.MethodPost, "/users/ann/logout", nil, nil)
		return nil
	})
}
