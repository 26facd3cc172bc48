package conformance_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	resource  = "http://127.0.0.1:8080/mcp"
	issuerURL = "http://127.0.0.1:9400"
	origin    = "https://app.example.com"
)

var tools = []conformance.Tool{
	{Name: "read", Scopes: []string{"notes:read"}, Arguments: json.RawMessage(`{}`)},
	{Name: "write", Scopes: []string{"notes:read", "notes:write"}},
}

func textTool(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText("done"), nil
}

// sharedIssuer saves the time that RSA keys take.
var sharedIssuer = sync.OnceValue(func() *conformance.Issuer {
	issuer, err := conformance.NewIssuer(issuerURL)
	if err != nil {
		panic(err)
	}
	return issuer
})

// inProcess answers requests with a handler.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), r.Body).WithContext(r.Context())
	in.Header, in.Host = r.Header, r.URL.Host
	if r.Host != "" {
		in.Host = r.Host
	}
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, in)
	return recorder.Result(), nil
}

// good is a server that has no flaw: this library in front of an MCP server with sessions.
func good(t *testing.T, issuer *conformance.Issuer) http.Handler {
	t.Helper()
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  resource,
		Issuers:   []mcpauth.Issuer{{URL: issuer.Issuer()}},
		Transport: inProcess{issuer},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"read": mcpauth.Scopes("notes:read"), "write": mcpauth.Scopes("notes:read", "notes:write"),
		}},
		Scopes:                []string{"notes:read"},
		AllowedOrigins:        []string{origin},
		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)
	notes := server.NewMCPServer("notes", "1.0.0")
	for _, tool := range tools {
		notes.AddTool(mcp.NewTool(tool.Name), textTool)
	}
	return auth.Wrap(server.NewStreamableHTTPServer(notes))
}

// flaw is one careless server: the good one with something wrong.
type flaw struct {
	name  string
	spoil func(issuer *conformance.Issuer, good http.Handler) http.Handler
}

// before looks at requests, and answers those that it does not leave to the good server.
func before(answer func(w http.ResponseWriter, r *http.Request) bool) func(*conformance.Issuer, http.Handler) http.Handler {
	return func(_ *conformance.Issuer, good http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answer(w, r) {
				good.ServeHTTP(w, r)
			}
		})
	}
}

// after changes the good server's answers.
func after(change func(r *http.Request, answer *httptest.ResponseRecorder)) func(*conformance.Issuer, http.Handler) http.Handler {
	return func(_ *conformance.Issuer, good http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			good.ServeHTTP(answer, r)
			change(r, answer)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}
}

// claimsOf reads a token without any check, as careless servers do.
func claimsOf(r *http.Request) (header, claims map[string]any) {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	for i, into := range []*map[string]any{&header, &claims} {
		if i < len(parts) {
			text, _ := base64.RawURLEncoding.DecodeString(parts[i])
			_ = json.Unmarshal(text, into)
		}
	}
	return header, claims
}

func refuse(w http.ResponseWriter, status int) bool {
	w.WriteHeader(status)
	return true
}

// bodyOf reads a body and puts it back.
func bodyOf(r *http.Request) string {
	text, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(text))
	return string(text)
}

const served = `{"jsonrpc":"2.0","id":1,"result":{}}`

var flaws = []flaw{
	{"open to everybody", before(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Mcp-Session-Id", "1")
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		_, _ = io.WriteString(w, served)
		return true
	})},
	{"closed to everybody", before(func(w http.ResponseWriter, r *http.Request) bool { return refuse(w, http.StatusForbidden) })},
	{"careless metadata", before(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
			return false
		case r.Method != http.MethodGet:
			return refuse(w, http.StatusMethodNotAllowed)
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `{"resource":"http://%s/","authorization_servers":["http://as.example.com?x=1"],"scopes_supported":["offline_access"],`+
			`"bearer_methods_supported":["query"],"resource_name":"","resource_name":""}`, r.Host)
		return true
	})},
	{"careless challenges", after(func(r *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusUnauthorized {
			host := r.Header.Get("X-Forwarded-Host") + r.Host
			answer.Header()["Www-Authenticate"] = []string{
				`Bearer error="invalid_request", error_description="", scope="a a", resource_metadata="http://` + host + `/x"`, `Basic realm="x`}
			answer.Body.WriteString(r.Header.Get("Authorization"))
		}
	})},
	{"stricter than the rules", before(func(w http.ResponseWriter, r *http.Request) bool {
		header, claims := claimsOf(r)
		_, list := claims["aud"].([]any)
		odd := strings.HasPrefix(r.Header.Get("Authorization"), "bearer") || list || header["typ"] != "at+jwt" && header["typ"] != nil ||
			claims["https://example.com/unknown"] != nil || claims["sub"] == "mcpauth-check-2"
		return odd && refuse(w, http.StatusUnauthorized)
	})},
	{"no tool works", before(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(bodyOf(r), "tools/call") && refuse(w, http.StatusUnauthorized)
	})},
	{"bad tokens are bad requests", after(func(r *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
			answer.Code = http.StatusBadRequest
		}
	})},
	{"an outage spoils tokens", after(func(_ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code == http.StatusServiceUnavailable {
			answer.Code = http.StatusUnauthorized
		}
	})},
	{"sessions do not last", before(func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Mcp-Session-Id") != "" && refuse(w, http.StatusNotFound)
	})},
	{"anybody ends a session", func(_ *conformance.Issuer, good http.Handler) http.Handler {
		ended := map[string]bool{}
		return before(func(w http.ResponseWriter, r *http.Request) bool {
			id := r.Header.Get("Mcp-Session-Id")
			if r.Method == http.MethodDelete && id != "" {
				ended[id] = true
			}
			return ended[id] && refuse(w, http.StatusNotFound)
		})(nil, good)
	}},
	{"browsers are forgotten", after(func(_ *http.Request, answer *httptest.ResponseRecorder) {
		for name := range answer.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				answer.Header().Del(name)
			}
		}
	})},
	{"fetches what a token names", func(issuer *conformance.Issuer, good http.Handler) http.Handler {
		return before(func(_ http.ResponseWriter, r *http.Request) bool {
			if header, _ := claimsOf(r); header["jku"] != nil {
				issuer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, header["jku"].(string), nil))
			}
			return false
		})(issuer, good)
	}},
	{"half a body is a bad token", before(func(w http.ResponseWriter, r *http.Request) bool {
		return !json.Valid([]byte(bodyOf(r))) && r.Header.Get("Authorization") != "" && refuse(w, http.StatusUnauthorized)
	})},
	{"half a body breaks the server", before(func(w http.ResponseWriter, r *http.Request) bool {
		return !json.Valid([]byte(bodyOf(r))) && refuse(w, http.StatusInternalServerError)
	})},
}

func check(t *testing.T, name string, spoil func(*conformance.Issuer, http.Handler) http.Handler) *conformance.Report {
	t.Helper()
	issuer := sharedIssuer()
	if name == "fetches what a token names" { // which the issuer does not forget
		var err error
		issuer, err = conformance.NewIssuer(issuerURL)
		require.NoError(t, err)
	}
	report, err := conformance.Run(t.Context(), conformance.Target{
		URL: resource, Minter: issuer, Tools: tools, Origin: origin, Rate: -1, Transport: inProcess{spoil(issuer, good(t, issuer))},
		Outage: name == "an outage spoils tokens" || name == "",
	})
	require.NoError(t, err)
	return report
}

// TestCarelessGolden_TEST_10: each check fails somewhere, and where it should.
// A check that cannot fail would prove nothing about the servers that pass it.
func TestCarelessGolden_TEST_10(t *testing.T) {
	var text strings.Builder
	caught := map[string]bool{}
	for _, flaw := range flaws {
		report := check(t, flaw.name, flaw.spoil)
		fmt.Fprintf(&text, "%s\n", flaw.name)
		for _, finding := range report.Findings(conformance.Low) {
			caught[finding.ID] = true
			fmt.Fprintf(&text, "  %s\n", finding.ID)
			assert.NotEmpty(t, finding.Fix, finding.ID)
			assert.NotEmpty(t, finding.Detail, finding.ID)
			assert.NotContains(t, finding.Detail, "eyJ", "a token in a finding")
		}
	}
	golden(t, "testdata/careless.golden", text.String())
	for _, c := range conformance.Catalogue() {
		assert.True(t, caught[c.ID], "no careless server fails %s", c.ID)
	}
}

// TestGoodGolden_TEST_07: nothing is found in this library, and everything is run.
func TestGoodGolden_TEST_07(t *testing.T) {
	report := check(t, "", func(_ *conformance.Issuer, good http.Handler) http.Handler { return good })
	assert.Empty(t, report.Findings(conformance.Low))
	for _, result := range report.Results {
		assert.Equal(t, conformance.Pass, result.Outcome, "%s: %s", result.ID, result.Detail)
	}
}

// TestCatalogue: ids are unique, and each requirement exists.
func TestCatalogue_TEST_01(t *testing.T) {
	known, err := os.ReadFile("../docs/requirements.tsv")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, c := range conformance.Catalogue() {
		assert.False(t, seen[c.ID], c.ID)
		seen[c.ID] = true
		assert.Contains(t, "\n"+string(known), "\n"+c.Requirement+"\t", c.ID)
		assert.NotEmpty(t, c.Rule, c.ID)
		if strings.Contains(c.Rule, "advice") {
			assert.Equal(t, conformance.Low, c.Severity, "%s: what no standard says is no more than advice", c.ID)
		}
		assert.True(t, slices.Contains([]conformance.Severity{conformance.Critical, conformance.High, conformance.Medium, conformance.Low}, c.Severity), c.ID)
	}
	t.Logf("checks: %d", len(seen))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got, "run make golden")
}
