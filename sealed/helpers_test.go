package sealed_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

const (
	testResource = "https://mcp.example.com/mcp"
	issuerURL    = "https://as.example.com"
	canary       = "CANARY-7f3a"
)

// keyOf is a key for tests: 32 bytes that are not equal.
func keyOf(seed string) []byte { return []byte((seed + strings.Repeat("0123456789abcdef", 2))[:32]) }

func newSealer(tb testing.TB, config sealed.Config) *sealed.Sealer {
	tb.Helper()
	if config.Resource == "" {
		config.Resource = testResource
	}
	if config.Keys == nil {
		config.Keys = [][]byte{keyOf("k1")}
	}
	s, err := sealed.New(config)
	require.NoError(tb, err)
	return s
}

// as returns the context of a handler that serves somebody.
func as(subject, client string) context.Context {
	return mcpauthtest.NewContext(context.Background(), &mcpauth.Principal{Issuer: issuerURL, Subject: subject, ClientID: client})
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

// take returns what was logged, and forgets it.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// chain is the wrapper, the sealer and a backend that knows of neither.
type chain struct {
	tb      testing.TB
	issuer  *mcpauthtest.Issuer
	handler http.Handler
	log     *logBuffer
	backend http.HandlerFunc // answers
	body    string           // that the backend got last
	ran     int
}

func newChain(tb testing.TB, between func(next http.Handler) http.Handler) *chain {
	tb.Helper()
	c := &chain{tb: tb, log: &logBuffer{}, issuer: mcpauthtest.NewIssuerAt(tb, issuerURL)}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: testResource, Issuers: []mcpauth.Issuer{c.issuer.Config()}, Transport: c.issuer.Transport(),
		Policy: mcpauth.Rules{
			Tools:   map[string]mcpauth.Requirement{"admin_delete": mcpauth.Scopes("mcp:admin"), "*": mcpauth.Scopes("mcp:read")},
			Prompts: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("mcp:read")}, Resources: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("mcp:read")},
		},
	})
	require.NoError(tb, err)
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			return // of a name that was made up
		}
		text, err := io.ReadAll(r.Body)
		assert.NoError(tb, err)
		c.body = string(text)
		c.ran++
		c.backend(w, r)
	})
	if between == nil {
		s := newSealer(tb, sealed.Config{Logger: c.log.logger()})
		between = s.Handler
	}
	c.handler = auth.Wrap(between(backend))
	return c
}

// without is a chain without a sealer.
func without(next http.Handler) http.Handler { return next }

// asks makes the backend answer with these results, one for each request.
func (c *chain) asks(results ...string) {
	c.backend = func(w http.ResponseWriter, _ *http.Request) {
		result := results[0]
		if len(results) > 1 {
			results = results[1:]
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answerWith(result))
	}
}

func answerWith(result string) string { return `{"jsonrpc":"2.0","id":1,"result":` + result + `}` }

// asking is a result that asks for input and has a state, written as JSON.
func asking(state string) string {
	return `{"inputRequests":{"q":{"method":"elicitation/create","params":{}}},"requestState":` + state + `,"resultType":"input_required"}`
}

// token mints a token with scope mcp:read, changed by claims.
func (c *chain) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return c.issuer.Token(all)
}

// post sends a modern request; members are those of params beside _meta.
func (c *chain) post(token, method, name, members string) *httptest.ResponseRecorder {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, method, members)
	return c.send(token, body, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", name)
}

func (c *chain) send(token, body string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, newPost(token, body, headers...))
	return w
}

func newPost(token, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, testResource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

// echo calls the tool echo with more members of params.
func (c *chain) echo(token, more string) *httptest.ResponseRecorder {
	return c.post(token, "tools/call", "echo", `"name":"echo","arguments":{"a":1}`+more)
}

// state is the one of an answer, which must be there.
func stateIn(tb testing.TB, body string) string {
	tb.Helper()
	_, rest, found := strings.Cut(body, `"requestState":"`)
	require.True(tb, found, "no state in %s", body)
	state, _, _ := strings.Cut(rest, `"`)
	require.True(tb, strings.HasPrefix(state, "v1."), "not sealed: %s", state)
	return state
}

// exampleTB lets an example have what a test has. It leaves the issuer to the end of the process.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                      {}
func (exampleTB) Cleanup(func())               {}
func (exampleTB) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
