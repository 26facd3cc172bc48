package onbehalf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

const (
	resource  = "https://mcp.example.com/mcp"
	issuerURL = "https://as.example.com"
	tokenURL  = issuerURL + "/token"
	api       = "https://api.example.com"
	secret    = "canary-of-the-secret"
)

// site is a resource server whose handler exchanges tokens, with the authorization server, its token endpoint and
// the APIs in one transport.
type site struct {
	t         testing.TB
	issuer    *mcpauthtest.Issuer
	exchanger *onbehalf.Exchanger
	handler   http.Handler
	inner     http.HandlerFunc
	log       *logBuffer

	endpoint http.HandlerFunc // nil: a token for the API
	apis     http.HandlerFunc

	mu     sync.Mutex
	posts  []url.Values
	sent   []http.Header // of the posts
	urls   []string
	called []*http.Request // of the APIs
	events []onbehalf.Event
}

type change struct {
	config func(*onbehalf.Config)
	auth   func(*mcpauth.Config)
	tools  map[string]string // for which the policy exchanges
	nested bool              // in a policy of somebody else
}

func crm(edit func(*onbehalf.Target)) func(*onbehalf.Config) {
	return func(c *onbehalf.Config) {
		t := c.Targets["crm"]
		edit(&t)
		c.Targets["crm"] = t
	}
}

func newSite(t *testing.T, c change) *site {
	t.Helper()
	s := &site{t: t, issuer: mcpauthtest.NewIssuerAt(t, issuerURL), log: &logBuffer{}}
	config := onbehalf.Config{
		Issuer: issuerURL, Client: clientauth.SecretBasic("mcp-server", secret), Transport: transport(s.roundTrip),
		Targets:    map[string]onbehalf.Target{"crm": {Resource: api, Scopes: []string{"crm.read"}}},
		Logger:     slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnExchange: s.onExchange,
	}
	if c.config != nil {
		c.config(&config)
	}
	exchanger, err := onbehalf.New(config)
	require.NoError(t, err)
	s.exchanger = exchanger
	guarded := mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{s.issuer.Config()}, Transport: transport(s.roundTrip),
		Logger: config.Logger,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")}},
	}
	guarded.Issuers[0].AllowTokenExchange = true
	if c.auth != nil {
		c.auth(&guarded)
	}
	if c.tools != nil {
		guarded.Policy = exchanger.Policy(guarded.Policy, c.tools)
	}
	if c.nested {
		guarded.Policy = mcpauth.PolicyFunc(guarded.Policy.Require)
	}
	auth, err := mcpauth.New(guarded)
	require.NoError(t, err)
	s.handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.inner(w, r) }))
	return s
}

func (s *site) onExchange(_ context.Context, event onbehalf.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

// transport is a function, so that who prints what uses it does not print the site.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *site) roundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	switch {
	case host == "as.example.com" && r.Method == http.MethodGet:
		return s.issuer.Transport().RoundTrip(r)
	case host == "as.example.com":
		body, err := io.ReadAll(r.Body)
		require.NoError(s.t, err)
		form, err := url.ParseQuery(string(body))
		require.NoError(s.t, err)
		s.mu.Lock()
		s.posts, s.sent, s.urls = append(s.posts, form), append(s.sent, r.Header.Clone()), append(s.urls, r.URL.String())
		s.mu.Unlock()
		r.Form = form
		if s.endpoint == nil {
			return answered(r, s.grants(nil))
		}
		return answered(r, s.endpoint)
	}
	s.mu.Lock()
	s.called = append(s.called, r)
	s.mu.Unlock()
	if s.apis == nil {
		return answered(r, func(w http.ResponseWriter, _ *http.Request) {})
	}
	return answered(r, s.apis)
}

func answered(r *http.Request, handler http.HandlerFunc) (*http.Response, error) {
	w := httptest.NewRecorder()
	handler(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := w.Result()
	response.Request = r
	return response, nil
}

// grants answers with a token for the API; claims change those of the token, and members the answer.
func (s *site) grants(claims mcpauthtest.Claims, members ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		all := mcpauthtest.Claims{"aud": api, "scope": "crm.read"}
		maps.Copy(all, claims)
		answer := map[string]any{"access_token": s.issuer.Token(all), "token_type": "Bearer", "expires_in": 300,
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
		for i := 0; i < len(members); i += 2 {
			answer[members[i].(string)] = members[i+1]
			if members[i+1] == nil {
				delete(answer, members[i].(string))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// says answers with a status and a body.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (s *site) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return s.issuer.Token(all)
}

// during runs a function while a request with the token is served.
func (s *site) during(token string, run func(ctx context.Context)) *httptest.ResponseRecorder {
	s.t.Helper()
	ran := false
	s.inner = func(w http.ResponseWriter, r *http.Request) {
		ran = true
		w.Header().Set("Content-Type", "application/json")
		run(r.Context())
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}
	w := s.send(token, "echo", "")
	require.True(s.t, ran, "%d %s", w.Code, w.Body)
	return w
}

// send makes a modern tools/call.
func (s *site) send(token, tool, meta string) *httptest.ResponseRecorder {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"%s}}}`, tool, meta)
	return s.post(token, body, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool)
}

func (s *site) post(token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// get asks for a token of the target in a request of its own.
func (s *site) get(token, target string) (got *oauth2.Token, err error) {
	s.t.Helper()
	s.during(token, func(ctx context.Context) { got, err = s.exchanger.Token(ctx, target) })
	return got, err
}

// fails asks for a token and returns the error.
func (s *site) fails(token string) *onbehalf.Error {
	s.t.Helper()
	got, err := s.get(token, "crm")
	require.Error(s.t, err)
	assert.Nil(s.t, got)
	return failure(s.t, err)
}

func failure(t testing.TB, err error) *onbehalf.Error {
	t.Helper()
	failed := (*onbehalf.Error)(nil)
	require.True(t, errors.As(err, &failed), "%T %v", err, err)
	return failed
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.posts)
}

// logBuffer is a bytes.Buffer for several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func unix(d time.Duration) int64 { return time.Now().Add(d).Unix() }
