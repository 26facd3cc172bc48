package matrix

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// visit connects mcp-go's client of a person with a browser, and has it call echo.
func visit(t *testing.T, guarded *protected.Server, browser *authservers.Browser) session {
	t.Helper()
	s := &mcpGoSession{job: job{url: guarded.URL, clientID: "interop", browser: browser}}
	t.Cleanup(s.close)
	require.NoError(t, s.connect(t.Context()))
	calls(t, s, "echo")
	return s
}

func calls(t *testing.T, s session, tool string) {
	t.Helper()
	text, err := s.call(t.Context(), tool)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(text, tool+" for "), text)
}

// loggedOut hears of the sessions that have ended (OpenID Connect Back-Channel
// Logout), and tells mcpauth which tokens are of these. In a real server it
// verifies the logout token, as any JWT of the issuer.
type loggedOut struct {
	mu    sync.Mutex
	ended map[string]bool // by sid
	heard chan struct{}
}

func (l *loggedOut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.PostFormValue("logout_token"), ".")
	if len(parts) != 3 {
		http.Error(w, "no logout token", http.StatusBadRequest)
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var token struct {
		Sid    string
		Events map[string]any
	}
	if err != nil || json.Unmarshal(payload, &token) != nil || token.Events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		http.Error(w, "not a logout token", http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	l.ended[token.Sid] = true
	l.mu.Unlock()
	l.heard <- struct{}{}
}

func (l *loggedOut) revoked(_ context.Context, p *mcpauth.Principal) (bool, error) {
	var token struct{ Sid string }
	if err := p.Claims(&token); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[token.Sid], nil
}

// TestKeycloakLogsOut: the administrator ends the sessions of a user. Without a word
// to us the token stays good until it expires; with Keycloak's back-channel logout
// behind Config.Revoked the next request is refused, and the client has the user
// sign in again. Not the go-sdk's: it asks for offline_access, and such a session
// does not end with the user's others.
func TestKeycloakLogsOut_TOK_61(t *testing.T) {
	realm := authservers.StartKeycloakRealm(t)
	realm.Prepare(authservers.Ann)
	hears := &loggedOut{ended: map[string]bool{}, heard: make(chan struct{}, 8)}
	receiver := httptest.NewServer(hears)
	t.Cleanup(receiver.Close)
	end := func() { realm.Admin(t, http.MethodPost, "/users/ann/logout", nil, nil) }

	deaf := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: realm.Issuer})
	first := visit(t, deaf, authservers.NewBrowser(authservers.Ann, false))
	end()
	calls(t, first, "echo")
	assert.NotContains(t, deaf.Log(), "cause=revoked")

	realm.Edit(t, realm.Client(t, "interop"), func(settings map[string]any) {
		settings["attributes"].(map[string]any)["backchannel.logout.url"] = receiver.URL
	})
	guarded := protected.Start(t, protected.Listen(t), protected.Options{
		Backend: protected.MCPGo, Issuer: realm.Issuer, Revoked: hears.revoked,
	})
	second := visit(t, guarded, authservers.NewBrowser(authservers.Ann, false))
	realm.Record.Take()
	guarded.Record.Take()
	end()
	select {
	case <-hears.heard:
	case <-time.After(20 * time.Second):
		t.Fatal("Keycloak has sent no logout token")
	}
	calls(t, second, "echo")
	seen := evidence{server: realm.Server, guarded: guarded, as: realm.Record.Take(), rs: guarded.Record.Take()}
	assert.NotEmpty(t, seen.find(seen.rs, func(x exchange) bool {
		return x.Status == http.StatusUnauthorized && strings.Contains(x.Challenge, `error="invalid_token"`)
	}), "the token of the ended session is refused")
	assert.Contains(t, guarded.Log(), "cause=revoked")
	assert.Len(t, seen.authorizations(), 1, "and its user has signed in again")
}

// TestKeycloakRoles: roles of the realm and of a client, by path, grant the scopes
// that the configuration says, to a client that asked for no scope at all.
func TestKeycloakRoles_CLAIM_07(t *testing.T) {
	realm := authservers.StartKeycloakRealm(t)
	realm.Prepare(authservers.Ann)
	issuer := realm.Issuer
	// Whoever has roles of the client mcp-server has it in aud, without a mapper.
	issuer.Audiences = []string{"mcp-server"}
	issuer.Claims = mcpauth.ClaimMap{
		Roles:      []string{"realm_access.roles", "resource_access.mcp-server.roles"},
		RoleScopes: map[string][]string{"mcp-reader": {"mcp:read"}, "mcp-administrator": {"mcp:admin"}},
	}
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.GoSDK, Issuer: issuer})
	for person, want := range map[string]map[string]int{
		authservers.Ann: {"echo": http.StatusOK, "admin": http.StatusOK},
		authservers.Lee: {"echo": http.StatusUnauthorized}, // without a role there is no audience either
	} {
		token := realm.Grant(t, realm.Origin(), person, "").AccessToken
		for tool, status := range want {
			assert.Equal(t, status, post(t, guarded.URL, token, tool), "%s, %s", person, tool)
		}
	}
}

// post calls a tool in one request, and returns the status.
func post(t *testing.T, url, token, tool string) int {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2025-11-25",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}
