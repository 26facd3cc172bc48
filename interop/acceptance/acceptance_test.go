package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// service is the program, running.
type service struct {
	resource, effects string
	issuer            *mcpauthtest.Issuer
}

// startService runs the program with an environment, and waits for the line of the
// log that says that it listens.
func startService(t *testing.T, issuer *mcpauthtest.Issuer) *service {
	t.Helper()
	addr := freeAddr(t)
	s := &service{
		resource: "http://" + addr + "/mcp",
		effects:  filepath.Join(t.TempDir(), "effects.jsonl"),
		issuer:   issuer,
	}
	environment := map[string]string{"ISSUER": issuer.URL(), "RESOURCE": s.resource, "ADDR": addr, "EFFECTS_FILE": s.effects}
	ctx, cancel := context.WithCancel(context.Background())
	log, stderr := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, func(name string) string { return environment[name] }, stderr)
		_ = stderr.Close()
	}()
	lines := bufio.NewScanner(log)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "listening")
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(log)
		rest <- string(text)
	}()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-status)
		text := <-rest
		assert.Contains(t, text, "stopped")
		assert.NotContains(t, text, "eyJ", "a token is in the log")
	})
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// post sends a request of revision 2025-11-25.
func (s *service) post(t *testing.T, token, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.resource, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(t, r)
}

func (s *service) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func (s *service) call(t *testing.T, token, tool, nonce string) (*http.Response, string) {
	t.Helper()
	return s.post(t, token, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`","arguments":{"nonce":"`+nonce+`"}}}`)
}

// ran returns what the effects file says.
func (s *service) ran(t *testing.T) []effect {
	t.Helper()
	content, err := os.ReadFile(s.effects)
	require.NoError(t, err)
	var all []effect
	for line := range strings.Lines(string(content)) {
		var one effect
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		all = append(all, one)
	}
	return all
}

// TestTools_PASS_06: each tool runs with its scope and not without; the handler
// knows the caller.
func TestTools_PASS_06(t *testing.T) {
	s := startService(t, mcpauthtest.NewIssuer(t))
	assert.Len(t, required, 5)
	var want []effect
	for tool, scope := range required {
		response, body := s.call(t, s.issuer.TokenFor(s.resource, scope), tool, "n-"+tool)
		assert.Equal(t, http.StatusOK, response.StatusCode, body)
		assert.Contains(t, body, "n-"+tool)
		want = append(want, effect{tool, "n-" + tool, "user-1"})

		var others []string
		for _, other := range required {
			if other != scope {
				others = append(others, other)
			}
		}
		response, body = s.call(t, s.issuer.TokenFor(s.resource, others...), tool, "refused")
		assert.Equal(t, http.StatusForbidden, response.StatusCode, body)
		challenge := response.Header.Get("Www-Authenticate")
		assert.Contains(t, challenge, `Bearer error="insufficient_scope", scope="`)
		assert.Contains(t, challenge, scope)
		assert.Contains(t, challenge, `resource_metadata="`+strings.TrimSuffix(s.resource, "/mcp")+`/.well-known/oauth-protected-resource/mcp"`)
		assert.Contains(t, body, `"id":7`)
	}
	assert.ElementsMatch(t, want, s.ran(t), "effects are those of allowed calls, each once")
}

func TestRefusals(t *testing.T) {
	s := startService(t, mcpauthtest.NewIssuer(t))
	read := func(claims mcpauthtest.Claims) string {
		all := mcpauthtest.Claims{"aud": s.resource, "scope": "mcp:read"}
		for name, value := range claims {
			all[name] = value
		}
		return s.issuer.Token(all)
	}
	stranger := mcpauthtest.NewIssuer(t)
	for _, row := range []struct {
		name, token, tool string
		status            int
		challenge         string
	}{
		{"no token", "", "echo", 401, `Bearer resource_metadata="` + strings.TrimSuffix(s.resource, "/mcp") + `/.well-known/oauth-protected-resource/mcp", scope="mcp:read"`},
		{"expired", read(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}), "echo", 401, `Bearer error="invalid_token"`},
		{"another audience", read(mcpauthtest.Claims{"aud": "https://other.example/mcp"}), "echo", 401, `Bearer error="invalid_token"`},
		{"another issuer", stranger.TokenFor(s.resource, "mcp:read"), "echo", 401, `Bearer error="invalid_token"`},
		{"a tool without a rule", read(nil), "shutdown", 403, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			response, body := s.call(t, row.token, row.tool, "refused")
			assert.Equal(t, row.status, response.StatusCode, body)
			if row.challenge == "" {
				assert.Empty(t, response.Header.Get("Www-Authenticate"))
			}
			assert.True(t, strings.HasPrefix(response.Header.Get("Www-Authenticate"), row.challenge), response.Header.Get("Www-Authenticate"))
		})
	}
	assert.Empty(t, s.ran(t))
	assert.Zero(t, stranger.Fetches(mcpauthtest.Metadata), "nobody asks an issuer that is not configured")
}

// TestTokenAlone: what a client does before it calls a tool needs a valid token
// and no scope.
func TestTokenAlone(t *testing.T) {
	s := startService(t, mcpauthtest.NewIssuer(t))
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	} {
		response, answer := s.post(t, s.issuer.TokenFor(s.resource), body)
		assert.Equal(t, http.StatusOK, response.StatusCode, answer)
		assert.Contains(t, answer, `"result"`)
		assert.Empty(t, response.Header.Get("Mcp-Session-Id"), "the server keeps no sessions")
		if strings.Contains(body, "tools/list") {
			for tool := range required {
				assert.Contains(t, answer, `"name":"`+tool+`"`, "listed for a token without any scope")
			}
		}
		response, _ = s.post(t, "", body)
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
}

func TestPaths(t *testing.T) {
	s := startService(t, mcpauthtest.NewIssuer(t))
	origin := strings.TrimSuffix(s.resource, "/mcp")
	for _, row := range []struct {
		method, path string
		token        bool
		status       int
		contains     string
	}{
		{"GET", "/.well-known/oauth-protected-resource/mcp", false, 200, `"scopes_supported":["mcp:read"]`},
		{"GET", "/.well-known/oauth-protected-resource", false, 200, `"resource":"` + s.resource + `"`},
		{"GET", "/.well-known/oauth-authorization-server", false, 404, ""},
		{"POST", "/register", false, 404, ""},
		{"POST", "/mcp/other", true, 404, ""},
		{"GET", "/mcp", false, 401, ""},
		{"PUT", "/mcp", true, 405, ""},
		{"DELETE", "/mcp", true, 404, "session not found"},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), row.method, origin+row.path, nil)
			require.NoError(t, err)
			if row.token {
				r.Header.Set("Authorization", "Bearer "+s.issuer.TokenFor(s.resource, "mcp:read"))
			}
			response, body := s.do(t, r)
			assert.Equal(t, row.status, response.StatusCode, body)
			assert.Contains(t, body, row.contains)
		})
	}
	t.Run("GET /mcp opens a stream", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel() // it would last as long as its token
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.resource, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+s.issuer.TokenFor(s.resource, "mcp:read"))
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	})
}

// TestOutageAtStart: the server starts while the authorization server is down,
// says so with 503 and not with 401, and works as soon as it is up.
func TestOutageAtStart(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	t.Run("nobody came in the meantime", func(t *testing.T) {
		s := startService(t, issuer)
		issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		response, body := s.call(t, issuer.TokenFor(s.resource, "mcp:read"), "echo", "n1")
		assert.Equal(t, http.StatusOK, response.StatusCode, body)
	})
	issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	t.Run("somebody came", func(t *testing.T) {
		s := startService(t, issuer)
		token := issuer.TokenFor(s.resource, "mcp:read")
		response, body := s.call(t, token, "echo", "n2")
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, body)
		assert.NotEmpty(t, response.Header.Get("Retry-After"))
		assert.Empty(t, response.Header.Get("Www-Authenticate"))
		assert.Empty(t, s.ran(t))
		issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
		// A client comes back, with the same token.
		assert.Eventually(t, func() bool {
			response, _ := s.call(t, token, "echo", "n3")
			return response.StatusCode == http.StatusOK
		}, time.Minute, 200*time.Millisecond)
		assert.Equal(t, []effect{{"echo", "n3", "user-1"}}, s.ran(t))
	})
}

// TestClient: the client of mcp-go, in each protocol that it speaks.
func TestClient(t *testing.T) {
	s := startService(t, mcpauthtest.NewIssuer(t))
	for name, options := range map[string][]client.ClientOption{
		"2026-07-28": nil, // its default
		"2025-11-25": {client.WithProtocolVersion("2025-11-25")},
	} {
		t.Run(name, func(t *testing.T) {
			over, err := transport.NewStreamableHTTP(s.resource, transport.WithHTTPHeaders(map[string]string{
				"Authorization": "Bearer " + s.issuer.TokenFor(s.resource, "mcp:read"),
			}))
			require.NoError(t, err)
			c := client.NewClient(over, options...)
			defer func() { assert.NoError(t, c.Close()) }()
			require.NoError(t, c.Start(t.Context()))
			initialized, err := c.Initialize(t.Context(), mcp.InitializeRequest{})
			require.NoError(t, err)
			assert.Equal(t, "acceptance", initialized.ServerInfo.Name)
			assert.Equal(t, name, c.ProtocolVersion())
			tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
			require.NoError(t, err)
			assert.Len(t, tools.Tools, 5)
			call := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"nonce": name}}}
			result, err := c.CallTool(t.Context(), call)
			require.NoError(t, err)
			assert.Equal(t, "echo "+name, result.Content[0].(mcp.TextContent).Text)
			call.Params.Name = "debug"
			_, err = c.CallTool(t.Context(), call)
			assert.ErrorContains(t, err, "insufficient scope")
		})
	}
	t.Run("made in one line", func(t *testing.T) {
		c, err := client.NewStreamableHttpClient(s.resource, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer nonsense"}))
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		require.NoError(t, c.Start(t.Context()))
		_, err = c.Initialize(t.Context(), mcp.InitializeRequest{})
		assert.Error(t, err)
	})
}

func TestEnvironment(t *testing.T) {
	good := map[string]string{"ISSUER": "https://login.example.com", "RESOURCE": "https://mcp.example.com/mcp", "ADDR": "127.0.0.1:0"}
	for _, row := range []struct {
		name   string
		change map[string]string
		want   []string
	}{
		{"nothing is set", map[string]string{"ISSUER": "", "RESOURCE": "", "ADDR": ""}, []string{"ISSUER is not set", "RESOURCE is not set", "ADDR is not set"}},
		{"plain http", map[string]string{"ISSUER": "http://login.example.com", "RESOURCE": "http://mcp.example.com/mcp"}, []string{"Config.Resource = ", "Config.Issuers[0].URL = ", "must be https"}},
		{"no port", map[string]string{"ADDR": "localhost"}, []string{"ADDR is not host:port"}},
		{"no such port", map[string]string{"ADDR": "127.0.0.1:99999"}, []string{"ADDR: "}},
		{"no URL", map[string]string{"RESOURCE": "://"}, []string{"RESOURCE is not a URL"}},
		{"no directory", map[string]string{"EFFECTS_FILE": filepath.Join(t.TempDir(), "missing", "effects")}, []string{"EFFECTS_FILE: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stderr strings.Builder
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // an environment that is accepted by mistake must not serve for ever
			status := run(ctx, func(name string) string {
				if value, ok := row.change[name]; ok {
					return value
				}
				return good[name]
			}, &stderr)
			assert.Equal(t, 2, status, stderr.String())
			for _, text := range row.want {
				assert.Contains(t, stderr.String(), text)
			}
		})
	}
}
