package conformance_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/internal/inprocess"
	"github.com/seed-1e292522/mcpauth/sealed"
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
	{Name: "count", Scopes: []string{"notes:read"}, Arguments: json.RawMessage(`{"to":20}`)},
	{Name: "ask", Scopes: []string{"notes:read"}, Arguments: json.RawMessage(`{"about":"x"}`)},
}

// askTool asks a client that can be asked, and knows its own state.
func askTool(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if can := r.Params.Meta.ClientCapabilities(); can == nil || can.Elicitation == nil {
		return mcp.NewToolResultText("done"), nil
	}
	switch r.Params.RequestState {
	case "":
		b := server.NewInputRequestBuilder("step=1")
		b.Elicit("confirm", mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: "Really?", RequestedSchema: map[string]any{"type": "object"}})
		return b.ToolResult(), nil
	case "step=1":
		return mcp.NewToolResultText("done"), nil
	}
	return mcp.NewToolResultError("no such step"), nil
}

func textTool(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText("done"), nil
}

// countTool counts to 20 in two seconds and tells of each number.
func countTool(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s := server.ServerFromContext(ctx)
	for i := range 20 {
		if r.Params.Meta != nil && r.Params.Meta.ProgressToken != nil {
			_ = s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i})
		}
		_ = s.SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "info", "data": fmt.Sprintf("counted to %d", i)})
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return mcp.NewToolResultText("counted"), nil
}

// mcpServer is an MCP server with the tools. It is closed at the end of the test.
func mcpServer(t *testing.T, options ...server.StreamableHTTPOption) http.Handler {
	t.Helper()
	return mcpServerWith(t, countTool, options...)
}

// mcpServerWith is mcpServer with another tool to count with.
func mcpServerWith(t *testing.T, count server.ToolHandlerFunc, options ...server.StreamableHTTPOption) http.Handler {
	t.Helper()
	notes := server.NewMCPServer("notes", "1.0.0")
	for _, tool := range tools {
		handler := server.ToolHandlerFunc(textTool)
		switch tool.Name {
		case "count":
			handler = count
		case "ask":
			handler = askTool
		}
		notes.AddTool(mcp.NewTool(tool.Name), handler)
	}
	handler := server.NewStreamableHTTPServer(notes, append(options, server.WithEventStore(server.NewInMemoryEventStore()),
		server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))...)
	t.Cleanup(func() { handler.CloseSessions(context.Background()) })
	return handler
}

// sharedIssuer saves the time that RSA keys take.
var sharedIssuer = sync.OnceValue(func() *conformance.Issuer {
	issuer, err := conformance.NewIssuer(issuerURL)
	if err != nil {
		panic(err)
	}
	return issuer
})

// newAuth is this library, with rules for the tools.
func newAuth(t *testing.T, issuer *conformance.Issuer) *mcpauth.Middleware {
	t.Helper()
	return newAuthFor(t, issuer, resource)
}

func newAuthFor(t *testing.T, issuer *conformance.Issuer, resource string) *mcpauth.Middleware {
	t.Helper()
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  resource,
		Issuers:   []mcpauth.Issuer{{URL: issuer.Issuer(), DPoP: mcpauth.DPoPAccepted}},
		Transport: inprocess.Transport{Handler: issuer},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"read": mcpauth.Scopes("notes:read"), "write": mcpauth.Scopes("notes:read", "notes:write"), "count": mcpauth.Scopes("notes:read"),
			"ask": mcpauth.Scopes("notes:read"),
		}},
		Scopes:                []string{"notes:read"},
		AllowedOrigins:        []string{origin},
		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)
	return auth
}

// good is a server that has no flaw: this library in front of an MCP server with sessions, and with states.
func good(t *testing.T, issuer *conformance.Issuer) http.Handler {
	t.Helper()
	sealer, err := sealed.New(sealed.Config{Resource: resource, Ephemeral: true})
	require.NoError(t, err)
	return newAuth(t, issuer).Wrap(sealer.Handler(mcpServer(t)))
}

// bearerOnly is an MCP server without sessions behind a check of the token and nothing else.
func bearerOnly(t *testing.T, issuer *conformance.Issuer, good http.Handler) http.Handler {
	t.Helper()
	return bearerOnlyWith(t, issuer, good, mcpServer(t, server.WithStateLess(true)))
}

func bearerOnlyWith(t *testing.T, issuer *conformance.Issuer, good, inner http.Handler) http.Handler {
	t.Helper()
	auth := newAuth(t, issuer)
	return before(func(w http.ResponseWriter, r *http.Request) bool {
		if _, err := auth.Authenticate(r); err != nil || r.URL.Path != "/mcp" || r.Method == http.MethodOptions {
			return false
		}
		inner.ServeHTTP(w, r)
		return true
	})(issuer, good)
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
	{"a session is anybody's client's", before(func(w http.ResponseWriter, r *http.Request) bool {
		if _, claims := claimsOf(r); r.Header.Get("Mcp-Session-Id") == "" || claims["client_id"] != "mcpauth-check-2" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, served)
		return true
	})},
	{"no session is everybody's session", nil},
	{"a state is anybody's", before(func(w http.ResponseWriter, r *http.Request) bool {
		body := bodyOf(r)
		if !strings.Contains(body, `"elicitation"`) || !strings.Contains(body, `"name":"ask"`) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(body, `"requestState"`) {
			_, _ = io.WriteString(w, served)
		} else {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"step=1"}}`)
		}
		return true
	})},
	{"a state does not come back", before(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(bodyOf(r), `"requestState"`) && refuse(w, http.StatusBadRequest)
	})},
	{"a bad state begins anew", before(func(w http.ResponseWriter, r *http.Request) bool {
		body := bodyOf(r)
		if !strings.Contains(body, `"elicitation"`) || !strings.Contains(body, `"name":"ask"`) {
			return false
		}
		_, claims := claimsOf(r)
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(body, `"requestState":"`+fmt.Sprint(claims["sub"])+`"`) && !strings.Contains(body, "mcpauth-check\":1") {
			_, _ = io.WriteString(w, served)
		} else {
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":%q}}`, claims["sub"])
		}
		return true
	})},
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
	{"refuses the scheme that it announces", before(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") && refuse(w, http.StatusUnauthorized)
	})},
	{"takes bound tokens for bearer tokens, and looks at no proof", before(func(w http.ResponseWriter, r *http.Request) bool {
		_, claims := claimsOf(r)
		if claims["cnf"] == nil && !strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, served)
		return true
	})},
	{"half a body is a bad token", before(func(w http.ResponseWriter, r *http.Request) bool {
		return !json.Valid([]byte(bodyOf(r))) && r.Header.Get("Authorization") != "" && refuse(w, http.StatusUnauthorized)
	})},
	{"half a body breaks the server", before(func(w http.ResponseWriter, r *http.Request) bool {
		return !json.Valid([]byte(bodyOf(r))) && refuse(w, http.StatusInternalServerError)
	})},
}

// check runs the suite against the good server with something wrong.
func check(t *testing.T, name string, spoil func(*conformance.Issuer, http.Handler) http.Handler) *conformance.Report {
	t.Helper()
	issuer := sharedIssuer()
	if name == "fetches what a token names" { // which the issuer does not forget
		var err error
		issuer, err = conformance.NewIssuer(issuerURL)
		require.NoError(t, err)
	}
	return checkServer(t, issuer, func(t *testing.T) http.Handler {
		if spoil == nil {
			return bearerOnly(t, issuer, good(t, issuer))
		}
		return spoil(issuer, good(t, issuer))
	}, func(target *conformance.Target) { target.Outage = name == "an outage spoils tokens" || name == "" })
}

// checkServer runs the suite in virtual time: a tool that takes seconds takes none.
func checkServer(t *testing.T, issuer *conformance.Issuer, make func(t *testing.T) http.Handler, changes ...func(*conformance.Target)) (report *conformance.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		target := conformance.Target{
			URL: resource, Minter: issuer, Tools: tools, Notifier: "count", Origin: origin, Rate: -1, Transport: inprocess.Transport{Handler: make(t)},
		}
		for _, change := range changes {
			change(&target)
		}
		var err error
		report, err = conformance.Run(t.Context(), target)
		require.NoError(t, err)
	})
	return report
}

// TestCarelessGolden_TEST_10: each check fails somewhere, and where it should.
// A check that cannot fail would prove nothing about the servers that pass it.
func TestCarelessGolden_TEST_10(t *testing.T) {
	var text strings.Builder
	caught := map[string]bool{}
	for _, flaw := range flaws {
		report := check(t, flaw.name, flaw.spoil)
		for try := 0; try < 3 && flaw.spoil == nil && isolationOf(report)["answer"].Outcome == conformance.Pass; try++ {
			report = check(t, flaw.name, flaw.spoil) // one of all who wait gets a message: one time in a hundred it was for another by chance
		}
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
		if c.Group != "opaque" { // those have careless servers of their own: TestOpaqueConfusions
			assert.True(t, caught[c.ID], "no careless server fails %s", c.ID)
		}
	}
}

// TestGoodGolden_TEST_07: nothing is found in this library, and everything is run that a JWT is enough for.
func TestGoodGolden_TEST_07(t *testing.T) {
	report := check(t, "", func(_ *conformance.Issuer, good http.Handler) http.Handler { return good })
	assert.Empty(t, report.Findings(conformance.Low))
	assert.Len(t, report.Results, len(conformance.Catalogue()))
	for _, result := range report.Results {
		want := conformance.Pass
		if result.Group == "opaque" { // TestOpaqueMcpauth runs these
			want = conformance.NotRun
			assert.Contains(t, result.Detail, ": give one")
		}
		assert.Equal(t, want, result.Outcome, "%s: %s", result.ID, result.Detail)
	}
}

// TestProofs_DPOP_10: a server that wants nothing but bound tokens, with its own nonces in the proofs, is looked at too; one
// that announces nothing is left alone.
func TestProofs_DPOP_10_DPOP_12(t *testing.T) {
	for mode, want := range map[mcpauth.DPoP]conformance.Outcome{mcpauth.DPoPRequired: conformance.Pass, mcpauth.DPoPOff: conformance.NotRun} {
		issuer := sharedIssuer()
		report := checkServer(t, issuer, func(t *testing.T) http.Handler {
			auth, err := mcpauth.New(mcpauth.Config{
				Resource: resource, Issuers: []mcpauth.Issuer{{URL: issuer.Issuer(), DPoP: mode}}, Transport: inprocess.Transport{Handler: issuer},
				Policy:                mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read": mcpauth.Scopes("notes:read")}},
				AllowInsecureLoopback: true,
			})
			require.NoError(t, err)
			return auth.Wrap(mcpServer(t))
		})
		looked := 0
		for _, result := range report.Results {
			if result.Group == "proof" {
				looked++
				assert.Equal(t, want, result.Outcome, "%s: %s", result.ID, result.Detail)
			}
		}
		assert.Equal(t, 14, looked)
	}
}

// TestCatalogue: ids are unique, and each requirement exists.
func TestCatalogue_TEST_01(t *testing.T) {
	known, err := os.ReadFile("../internal/archtest/requirements.tsv")
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
