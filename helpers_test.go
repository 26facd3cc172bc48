package mcpauth_test

import (
	"bytes"
	"flag"
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
)

var update = flag.Bool("update", false, "rewrite golden files")

// The names that all tests of this package use.
const (
	testResource    = "https://mcp.example.com/mcp"
	testMetadataURL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	testIssuerURL   = "https://as.example.com/tenant1"
)

// The challenges that most refusals carry, whole.
const (
	bareChallenge  = `Bearer resource_metadata="` + testMetadataURL + `", scope="mcp:read"`
	adminChallenge = `Bearer error="insufficient_scope", scope="mcp:admin", resource_metadata="` + testMetadataURL + `"`
)

// invalidToken is the challenge of a 401 whose reason has these words.
func invalidToken(words string) string {
	return `Bearer error="invalid_token", error_description="` + words + `", scope="mcp:read", resource_metadata="` + testMetadataURL + `"`
}

// fixture is a middleware around a handler that records what reaches it, with
// an issuer that lives in the process.
type fixture struct {
	tb      testing.TB
	issuer  *mcpauthtest.Issuer
	auth    *mcpauth.Middleware
	handler http.Handler // auth.Wrap(the recording handler)
	log     *logBuffer   // slog text, from level debug

	inner http.HandlerFunc // what the recording handler answers with; nil: a JSON-RPC result
	mu    sync.Mutex
	ran   int           // how often the inner handler ran, for somebody's request
	last  *http.Request // as the inner handler saw it
	body  []byte        // as the inner handler read it
}

// newFixture makes a fixture: tool echo needs mcp:read, admin_delete needs
// mcp:admin, everything else has no rule. change, if not nil, edits the
// configuration first.
func newFixture(tb testing.TB, change func(*mcpauth.Config)) *fixture {
	tb.Helper()
	return newFixtureOf(tb, mcpauthtest.NewIssuerAt(tb, testIssuerURL), change)
}

// newFixtureOf is newFixture with an issuer that is there already.
func newFixtureOf(tb testing.TB, issuer *mcpauthtest.Issuer, change func(*mcpauth.Config)) *fixture {
	tb.Helper()
	f := &fixture{tb: tb, log: &logBuffer{}, issuer: issuer}
	config := testConfig(f.issuer)
	config.Logger = slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&config)
	}
	auth, err := mcpauth.New(config)
	require.NoError(tb, err)
	f.auth = auth
	f.handler = auth.Wrap(http.HandlerFunc(f.record))
	return f
}

// testConfig is the configuration of a fixture.
func testConfig(issuer *mcpauthtest.Issuer) mcpauth.Config {
	return mcpauth.Config{
		Resource:  testResource,
		Issuers:   []mcpauth.Issuer{issuer.Config()},
		Transport: issuer.Transport(),
		Scopes:    []string{"mcp:read"},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"echo":         mcpauth.Scopes("mcp:read"),
			"admin_delete": mcpauth.Scopes("mcp:admin"),
		}},
	}
}

// record is the inner handler.
func (f *fixture) record(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(f.tb, err)
	if r.Method == http.MethodDelete && strings.HasPrefix(r.Header.Get("Mcp-Session-Id"), "mcpauth.") {
		return // the end of a session that was made up: nobody's request
	}
	f.mu.Lock()
	f.ran++
	f.last, f.body = r, body
	f.mu.Unlock()
	if f.inner != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.inner(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
}

// token mints a good token for the test resource with scope mcp:read; claims
// override, and a nil value removes.
func (f *fixture) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return f.issuer.Token(all)
}

// request makes a request to the endpoint's host. Each header is "Name: value";
// "Name" alone takes a default away. A token, if not empty, goes into Authorization.
func (f *fixture) request(method, target, token, body string, headers ...string) *http.Request {
	return newRequest(method, target, token, body, headers...)
}

func newRequest(method, target, token, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "mcp.example.com"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	given := map[string]bool{}
	for _, header := range headers {
		name, value, found := strings.Cut(header, ":")
		name = http.CanonicalHeaderKey(name)
		switch {
		case !found:
			r.Header.Del(name)
		case given[name]:
			r.Header.Add(name, strings.TrimPrefix(value, " "))
		default:
			r.Header.Set(name, strings.TrimPrefix(value, " "))
		}
		given[name] = true
	}
	return r
}

// serve runs a request through the middleware.
func (f *fixture) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// do is request and serve.
func (f *fixture) do(method, target, token, body string, headers ...string) *httptest.ResponseRecorder {
	return f.serve(f.request(method, target, token, body, headers...))
}

// post sends a body to the endpoint; see request for the headers.
func (f *fixture) post(token, body string, headers ...string) *httptest.ResponseRecorder {
	return f.do(http.MethodPost, "/mcp", token, body, headers...)
}

// call makes a modern tools/call.
func (f *fixture) call(token, tool string) *httptest.ResponseRecorder {
	return f.post(token, modernCall(tool), modernHeaders("tools/call", tool)...)
}

// legacyCall makes a tools/call of the 2025-11-25 revision.
func (f *fixture) legacyCall(token, tool string) *httptest.ResponseRecorder {
	return f.post(token, legacyCall(tool), "MCP-Protocol-Version: 2025-11-25")
}

// modernCall is the body of a tools/call of the 2026-07-28 revision, id 1.
func modernCall(tool string) string {
	return modernBody("tools/call", fmt.Sprintf(`"name":%q,"arguments":{}`, tool))
}

// modernBody is a request of the 2026-07-28 revision, id 1, with further members of params.
func modernBody(method, params string) string {
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	if params != "" {
		meta = "," + meta
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s%s}}`, method, params, meta)
}

// modernHeaders are the headers that the 2026-07-28 revision demands.
func modernHeaders(method, name string) []string {
	headers := []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: " + method}
	if name != "" {
		headers = append(headers, "Mcp-Name: "+name)
	}
	return headers
}

// legacyCall is the body of a tools/call of the revisions up to 2025-11-25, id 1.
func legacyCall(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
}

// refused asserts status, challenge ("" for none) and that the inner handler did not run.
func (f *fixture) refused(w *httptest.ResponseRecorder, status int, challenge string) {
	f.tb.Helper()
	assert.Equal(f.tb, status, w.Code, "body %s", w.Body)
	assert.Equal(f.tb, challenge, strings.Join(w.Result().Header.Values("WWW-Authenticate"), " | "))
	assert.Zero(f.tb, f.ran, "the inner handler ran")
}

// session begins a session at the recording handler and returns its id, as the client sees it.
func (f *fixture) session(t *testing.T, token string) string {
	t.Helper()
	inner := f.inner
	f.inner = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Mcp-Session-Id", "session") }
	id := f.post(token, sessionInitialize).Header().Get("Mcp-Session-Id")
	require.Contains(t, id, "session.")
	f.inner, f.ran = inner, 0
	return id
}

// ours asserts that a message without a session was taken note of and reached no handler.
func (f *fixture) ours(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	assert.Equal(t, http.StatusAccepted, w.Code, "body %s", w.Body)
	assert.Empty(t, w.Body.String())
	assert.Equal(t, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization"}}, w.Result().Header)
	assert.Zero(t, f.ran, "the inner handler ran")
}

// served asserts that the inner handler ran, once since the last assertion.
func (f *fixture) served(w *httptest.ResponseRecorder) {
	f.tb.Helper()
	assert.Equal(f.tb, http.StatusOK, w.Code, "body %s", w.Body)
	assert.Equal(f.tb, 1, f.ran, "the inner handler ran not once")
	f.ran = 0
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

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
