package downstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// claims are those of a token that matter here.
type claims struct {
	Audience audiences `json:"aud"`
	Subject  string    `json:"sub"`
	Client   string    `json:"azp"`
	Session  string    `json:"sid"`
	Scope    string    `json:"scope"`
	Expiry   int64     `json:"exp"`
}

// audiences is aud in either of its two forms.
type audiences []string

func (a *audiences) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

func claimsOf(t *testing.T, token string) (c claims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &c))
	return c
}

// crm is the second API. It takes the tokens that are addressed to it and were made for
// the MCP server, and no others.
type crm struct {
	url  string
	auth *mcpauth.Middleware

	mu     sync.Mutex
	tokens []string // that it has served
}

func newCRM(t *testing.T, issuer string) *crm {
	t.Helper()
	c := &crm{}
	listening := httptest.NewServer(c)
	t.Cleanup(listening.Close)
	c.url = listening.URL
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: c.url, Issuers: []mcpauth.Issuer{{URL: issuer, Audiences: []string{c.url, authservers.ExchangeAPI}}},
		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)
	c.auth = auth
	return c
}

func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, err := c.auth.Authenticate(r)
	switch {
	case err != nil:
		http.Error(w, "no token for this API", http.StatusUnauthorized)
		return
	case caller.ClientID != authservers.ExchangeClient || !caller.HasScope("crm:read"):
		http.Error(w, "not with this token", http.StatusForbidden)
		return
	}
	c.mu.Lock()
	c.tokens = append(c.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	c.mu.Unlock()
	_, _ = io.WriteString(w, "the customers of "+caller.Subject)
}

func (c *crm) served() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.tokens...)
}

// site is the MCP server, between Keycloak and the API.
type site struct {
	*testing.T
	realm     *authservers.Realm
	api       *crm
	exchanger *onbehalf.Exchanger
	url       string // of the MCP endpoint
	before    func() // what happens in a tool before it calls the API

	mu     sync.Mutex
	log    bytes.Buffer
	failed []*onbehalf.Error // what the tools have seen
	shown  []string          // what a client or a tool was told
	secret []string          // what nobody may be told
}

// The tools. For the second one the token is exchanged before it runs.
const (
	customers = "customers"
	early     = "customers_early"
)

func newSite(t *testing.T, change func(*onbehalf.Config)) *site {
	t.Helper()
	return newSiteAt(t, authservers.StartKeycloakExchange(t), change)
}

func newSiteAt(t *testing.T, realm *authservers.Realm, change func(*onbehalf.Config)) *site {
	t.Helper()
	s := &site{T: t, realm: realm, secret: []string{authservers.ExchangeSecret}, before: func() {}}
	s.api = newCRM(t, s.realm.Issuer.URL)
	config := onbehalf.Config{
		Issuer:  s.realm.Issuer.URL,
		Client:  clientauth.SecretBasic(authservers.ExchangeClient, authservers.ExchangeSecret),
		Targets: map[string]onbehalf.Target{"crm": {Audience: authservers.ExchangeAPI, URL: s.api.url, Scopes: []string{"crm:read"}, SameSubject: true}},
		Logger:  slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),

		AllowInsecureLoopback: true,
	}
	if change != nil {
		change(&config)
	}
	var err error
	s.exchanger, err = onbehalf.New(config)
	require.NoError(t, err)
	issuer := s.realm.Issuer
	issuer.AllowTokenExchange = true
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: authservers.KeycloakAudience, Issuers: []mcpauth.Issuer{issuer},
		Policy: s.exchanger.Policy(mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}}, map[string]string{early: "crm"}),
		Logger: config.Logger, AllowInsecureLoopback: true,
	})
	require.NoError(t, err)
	own := server.NewMCPServer("desk", "1.0.0")
	for _, tool := range []string{customers, early} {
		own.AddTool(mcp.NewTool(tool), s.run)
	}
	listening := httptest.NewServer(auth.Wrap(server.NewStreamableHTTPServer(own, server.WithStateLess(true))))
	t.Cleanup(listening.Close)
	s.url = listening.URL + "/mcp"
	t.Cleanup(func() { // and it is looked for in all that was said
		assert.NotEmpty(t, s.shown, "nothing was said")
		for _, text := range slices.Concat(s.shown, []string{s.logged()}) {
			for _, secret := range s.secrets() {
				if strings.Contains(text, secret) {
					t.Errorf("a secret or a part of a token is shown, %d bytes of it", len(secret)) // and not here, too
				}
			}
		}
	})
	return s
}

// Write is that of the log.
func (s *site) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

func (s *site) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// secrets are the secret of the client and what of each token is nobody's to know: claims and signature.
func (s *site) secrets() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range slices.Concat(s.secret, s.api.served()) {
		parts := strings.Split(secret, ".")
		all = append(all, parts[len(parts)-1])
		if len(parts) == 3 {
			all = append(all, parts[1])
		}
	}
	return all
}

func (s *site) hide(secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = append(s.secret, secret)
	return secret
}

func (s *site) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = append(s.shown, text)
}

// signIn gets a token for the MCP server.
func (s *site) signIn(scope string) string {
	s.Helper()
	return s.hide(s.realm.SignIn(s.T, "assistant", authservers.Ann, scope))
}

// run is the tool: what the API says, or why there is no token for it.
func (s *site) run(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s.before()
	response, err := s.exchanger.Client(ctx, "crm").Get(s.api.url)
	if err == nil {
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return mcp.NewToolResultText(fmt.Sprintf("%d %s", response.StatusCode, text)), err
	}
	s.show(fmt.Sprintf("%v %+v %#v", err, err, err))
	failed := (*onbehalf.Error)(nil)
	if !errors.As(err, &failed) {
		return nil, err
	}
	s.mu.Lock()
	s.failed = append(s.failed, failed)
	s.mu.Unlock()
	answer := s.exchanger.Answer(ctx, err, false)
	return mcp.ParseCallToolResult(&answer.JSON)
}

// got is what a client was answered.
type got struct {
	status     int
	challenge  string
	retryAfter string
	body       string
}

// call calls a tool with a token, in one request.
func (s *site) call(token, tool string) got {
	s.Helper()
	return s.post(s.Context(), token, tool)
}

func (s *site) post(ctx context.Context, token, tool string) got {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return got{body: err.Error()}
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2025-11-25",
	} {
		request.Header.Set(name, value)
	}
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return got{body: err.Error()}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return got{body: err.Error()}
	}
	g := got{response.StatusCode, response.Header.Get("WWW-Authenticate"), response.Header.Get("Retry-After"), strings.TrimSpace(string(text))}
	s.show(fmt.Sprint(response.Header, g))
	return g
}

// toolSays is the answer of a tool in one text.
func toolSays(text string, isError bool) got {
	failed := ""
	if isError {
		failed = `,"isError":true`
	}
	return got{status: http.StatusOK, body: fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":%q}]%s}}`, text, failed)}
}

// present shows a token to the API itself.
func (s *site) present(token string) int {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.api.url, nil)
	require.NoError(s.T, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.T, err)
	defer response.Body.Close()
	return response.StatusCode
}

// exchanges counts the exchanges that Keycloak's own log has, by their errors: "" stands for none.
func (s *site) exchanges() map[string]int {
	s.Helper()
	counts := map[string]int{}
	for _, event := range s.realm.Events(s.T) {
		counts[event.Error]++
	}
	return counts
}
