package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// setup is the proxy in front of a server that notes what reaches it.
type setup struct {
	issuer   *mcpauthtest.Issuer
	resource string

	mu   sync.Mutex
	seen []*http.Request
}

func newSetup(t *testing.T, upstream http.HandlerFunc) *setup {
	t.Helper()
	s := &setup{issuer: mcpauthtest.NewIssuer(t)}
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // trailers come after the body
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		upstream(w, r)
	}))
	t.Cleanup(behind.Close)
	s.run(t, behind.URL)
	return s
}

// run starts the command in front of a server.
func (s *setup) run(t *testing.T, upstream string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"--addr", "127.0.0.1:0", "--issuer", s.issuer.URL(), "--upstream", upstream}, in, io.Discard)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-status)
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	s.resource = strings.TrimSpace(strings.TrimPrefix(line, "MCP endpoint: "))
}

// reached returns what has come through so far.
func (s *setup) reached() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

const whoami = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`

func (s *setup) request(t *testing.T, claims mcpauthtest.Claims, body string) *http.Request {
	t.Helper()
	all := mcpauthtest.Claims{"aud": s.resource}
	for name, value := range claims {
		all[name] = value
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.resource, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+s.issuer.Token(all))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-06-18")
	return r
}

func send(t *testing.T, r *http.Request) int {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
}

// expected are all the headers of a request at the server behind. Accept-Encoding is not among those of a call: in
// what is compressed nobody could hear that a task begins.
func (s *setup) expected() http.Header {
	return http.Header{
		"Accept":               {"application/json, text/event-stream"},
		"Content-Length":       {fmt.Sprint(len(whoami))},
		"Content-Type":         {"application/json"},
		"Mcp-Protocol-Version": {"2025-06-18"},
		"User-Agent":           {"Go-http-client/1.1"},
		"X-Mcp-Client":         {"client-1"},
		"X-Mcp-Issuer":         {url.PathEscape(s.issuer.URL())},
		"X-Mcp-Kind":           {"user"},
		"X-Mcp-Scope":          {""},
		"X-Mcp-Subject":        {"user-1"},
	}
}

// TestForgedHeaders: whatever a client adds, the server behind sees the same
// headers, all of them and no other.
func TestForgedHeaders_PASS_01_PASS_05_PASS_08(t *testing.T) {
	for _, lines := range [][]string{
		{},
		{"X-Mcp-Subject: admin"},
		{"x-mcp-subject: admin"},
		{"X-MCP-SUBJECT: admin", "X-Mcp-Subject: root"},
		{"x_mcp_subject: admin"},
		{"X_MCP-SUBJECT: admin"},
		{"X-Mcp_Subject: admin"},
		{"X-MCP-Scope: tool:deploy:execute", "X_Mcp_Scope: tool:deploy:execute"},
		{"X-Mcp-Future: admin"},
		{"Mcp_Param_X: 1", "Mcp_Session_Id: s", "Mcp-Session_Id: s"},
		{"Connection: X-Mcp-Subject"},
		{"Connection: close, X-Mcp-Subject, X-Mcp-Scope", "X-Mcp-Subject: admin"},
		{"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers"},
		{"Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		{"Forwarded: for=10.0.0.1;host=internal;proto=https"},
		{"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: internal", "X-Forwarded-Proto: https", "X-Forwarded-User: admin"},
		{"X-Real-IP: 10.0.0.1", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-HTTP-Method-Override: DELETE"},
		{"Cookie: session=admin", "DPoP: x"},
	} {
		t.Run(strings.Join(lines, "; "), func(t *testing.T) {
			s := newSetup(t, ok)
			r := s.request(t, nil, whoami)
			for _, line := range lines {
				name, value, _ := strings.Cut(line, ": ")
				r.Header[name] = append(r.Header[name], value)
			}
			require.Equal(t, http.StatusOK, sendRaw(t, r))
			require.Len(t, s.reached(), 1)
			got := s.reached()[0]
			assert.Regexp(t, `^mcpauth\.[\w-]{22}$`, got.Header.Get("Mcp-Session-Id")) // the client has no session
			got.Header.Del("Mcp-Session-Id")
			assert.Equal(t, s.expected(), got.Header)
			assert.Empty(t, got.Trailer)
			assert.Equal(t, "/mcp", got.RequestURI)
		})
	}
}

// sendRaw writes the request itself: net/http would tidy up names and
// leave out headers of the connection.
func sendRaw(t *testing.T, r *http.Request) int {
	t.Helper()
	connection, err := net.Dial("tcp", r.URL.Host)
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n", r.URL.Path, r.URL.Host, len(whoami))
	for name, values := range r.Header {
		for _, value := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	_, err = io.WriteString(connection, b.String()+"\r\n"+whoami)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), r)
	require.NoError(t, err)
	return response.StatusCode
}

// alone is the proxy without its gate, for a caller who has been let in.
func alone(t *testing.T, upstream http.HandlerFunc) string {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	require.NoError(t, err)
	proxy := newProxy(target, slog.New(slog.DiscardHandler))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r.WithContext(mcpauthtest.NewContext(r.Context(), &mcpauth.Principal{Subject: "user-1"})))
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// TestForgedTrailer: a header may also come after the body. The gate reads
// bodies to their end, but the proxy does not count on it.
func TestForgedTrailer_PASS_05(t *testing.T) {
	reached := false
	address := alone(t, func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		_, _ = io.Copy(io.Discard, r.Body)
		assert.Equal(t, "user-1", r.Header.Get("X-Mcp-Subject"))
		assert.Empty(t, r.Trailer)
	})
	r, err := http.NewRequest(http.MethodPost, address, io.MultiReader(strings.NewReader(whoami))) // of unknown length
	require.NoError(t, err)
	r.Trailer = http.Header{"X-Mcp-Subject": {"admin"}}
	require.Equal(t, http.StatusOK, send(t, r))
	assert.True(t, reached)
}

// TestPieces: what is not an event stream is not held back either.
func TestPieces_PASS_08(t *testing.T) {
	received := make(chan struct{})
	address := alone(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "6")
		_, _ = io.WriteString(w, "[1,\n")
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-received
		_, _ = io.WriteString(w, "2]\n")
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(whoami))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	if err == nil {
		defer func() { _ = response.Body.Close() }()
		_, err = bufio.NewReader(response.Body).ReadString('\n')
	}
	assert.NoError(t, err, "the first piece comes before the second is sent")
	close(received)
}

// TestIdentity: the server behind can tell callers apart, however odd their names.
func TestIdentity_PASS_05(t *testing.T) {
	for _, row := range []struct {
		name   string
		claims mcpauthtest.Claims
		want   map[string]string
	}{
		{"scopes", mcpauthtest.Claims{"scope": "a tool:b:execute"}, map[string]string{"X-Mcp-Scope": "a tool:b:execute"}},
		{"another header", mcpauthtest.Claims{"sub": "u X-Mcp-Scope: admin"}, map[string]string{"X-Mcp-Subject": "u%20X-Mcp-Scope:%20admin", "X-Mcp-Scope": ""}},
		{"another list member", mcpauthtest.Claims{"sub": "u,admin"}, map[string]string{"X-Mcp-Subject": "u%2Cadmin"}},
		{"beyond ASCII", mcpauthtest.Claims{"sub": "ünal"}, map[string]string{"X-Mcp-Subject": "%C3%BCnal"}},
		{"encoded already", mcpauthtest.Claims{"sub": "a%7Cb"}, map[string]string{"X-Mcp-Subject": "a%257Cb"}},
		{"an odd client", mcpauthtest.Claims{"client_id": "c,1"}, map[string]string{"X-Mcp-Client": "c%2C1"}},
		{"no client", mcpauthtest.Claims{"client_id": nil}, map[string]string{"X-Mcp-Client": ""}},
		{"a client for itself", mcpauthtest.Claims{"sub": "client-1"}, map[string]string{"X-Mcp-Kind": "client"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSetup(t, ok)
			require.Equal(t, http.StatusOK, send(t, s.request(t, row.claims, whoami)))
			require.Len(t, s.reached(), 1)
			for name, value := range row.want {
				assert.Equal(t, value, s.reached()[0].Header.Get(name), name)
			}
		})
	}
}

// TestNotPassedOn: what is refused or answered by the gate costs the server
// behind nothing, whatever identity it claims.
func TestNotPassedOn_PASS_05(t *testing.T) {
	s := newSetup(t, ok)
	origin := strings.TrimSuffix(s.resource, "/mcp")
	with := func(change func(r *http.Request)) *http.Request {
		r := s.request(t, nil, whoami)
		r.Header.Set("X-Mcp-Subject", "admin")
		change(r)
		return r
	}
	target := func(path string) func(r *http.Request) {
		return func(r *http.Request) {
			var err error
			r.URL, err = url.Parse(origin + path)
			require.NoError(t, err)
		}
	}
	for _, row := range []struct {
		name    string
		request *http.Request
		status  int
	}{
		{"no token", with(func(r *http.Request) { r.Header.Del("Authorization") }), http.StatusUnauthorized},
		{"token of nobody", with(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }), http.StatusUnauthorized},
		{"tool without its scope", s.request(t, mcpauthtest.Claims{"scope": "tool:other:execute"}, strings.Replace(whoami, "whoami", "deploy", 1)), http.StatusForbidden},
		{"another path", with(target("/admin")), http.StatusNotFound},
		{"a path above", with(target("/mcp/../admin")), http.StatusNotFound},
		{"a path below", with(target("/mcp/admin")), http.StatusNotFound},
		{"another method", with(func(r *http.Request) { r.Method = http.MethodPut }), http.StatusMethodNotAllowed},
		{"metadata", with(func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0
			target("/.well-known/oauth-protected-resource/mcp")(r)
		}), http.StatusOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.status, send(t, row.request))
			assert.Empty(t, s.reached())
		})
	}
	require.Equal(t, http.StatusOK, send(t, with(func(*http.Request) {})))
	assert.Len(t, s.reached(), 1, "the one that may")
}

// TestStreaming: each event arrives when it is sent, not when there are
// enough of them, and the server behind notices that its client has gone.
func TestStreaming_PASS_08(t *testing.T) {
	received, gone := make(chan struct{}), make(chan struct{})
	s := newSetup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":1}}\n\n")
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-received
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":2}}\n\n")
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-r.Context().Done()
		close(gone)
	})
	r := s.request(t, nil, whoami)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	response, err := http.DefaultClient.Do(r.WithContext(ctx))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	events := bufio.NewScanner(response.Body)
	require.True(t, events.Scan())
	assert.Contains(t, events.Text(), `"data":1`)
	close(received)
	require.True(t, events.Scan()) // the empty line
	require.True(t, events.Scan())
	assert.Contains(t, events.Text(), `"data":2`)
	leave()
	<-gone
}

func TestUpstreamDown(t *testing.T) {
	s := &setup{issuer: mcpauthtest.NewIssuer(t)}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	s.run(t, nobody.URL)
	assert.Equal(t, http.StatusBadGateway, send(t, s.request(t, nil, whoami)))
}

// TestNotWrapped: without the gate in front the proxy knows nobody.
func TestNotWrapped(t *testing.T) {
	upstream, err := url.Parse("http://127.0.0.1:1")
	require.NoError(t, err)
	w := httptest.NewRecorder()
	newProxy(upstream, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/mcp", nil))
	assert.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		args   string
		status int
		text   string
	}{
		{"--help", 0, "-upstream"},
		{"--port 1", 2, "flag provided but not defined"},
		{"--addr 127.0.0.1:0", 2, "Config.Issuers[0].URL"},
		{"--addr 127.0.0.1:0 --issuer https://login.example.com --upstream 127.0.0.1:3000", 2, "upstream"},
		{"--addr 127.0.0.1", 1, "missing port"},
	} {
		var stderr strings.Builder
		assert.Equal(t, row.status, run(t.Context(), strings.Fields(row.args), io.Discard, &stderr), row.args)
		assert.Contains(t, stderr.String(), row.text)
	}
}
