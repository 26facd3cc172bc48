package mcpauth_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// A server behind a reverse proxy that would change the protocol is not asked
// to: after its 101 the proxy copies bytes, and whatever the client then sends
// nobody checks. Without the upgrade the request is what it always was (RFC 9110 section 7.8).
func TestNoUpgradeBehindProxy_MCP_93(t *testing.T) {
	for _, protocol := range []string{"h2c", "H2C", "tunnel/1", "TLS/1.0, h2c"} {
		t.Run(protocol, func(t *testing.T) {
			asked := make(chan []string, 1)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header["Upgrade"]
				if r.Header.Get("Upgrade") == "" {
					_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
					return
				}
				connection, _, err := w.(http.Hijacker).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				defer func() { _ = connection.Close() }()
				_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
			}))
			defer upstream.Close()
			target, err := url.Parse(upstream.URL)
			require.NoError(t, err)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			f := newFixture(t, nil)
			proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
			server := httptest.NewServer(f.auth.Wrap(proxy))
			defer server.Close()

			r := newRequest(http.MethodPost, server.URL+"/mcp", f.token(nil), legacyCall("echo"),
				"Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol, "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
			connection, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
			require.NoError(t, err)
			defer func() { _ = connection.Close() }()
			require.NoError(t, r.Write(connection))
			resp, err := http.ReadResponse(bufio.NewReader(connection), r)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Empty(t, <-asked)
		})
	}
}

// A client may name fields of its choice in Connection, and a proxy takes them
// out of what it sends on, those that were checked and those that say who the caller is
// included (RFC 9110 section 7.6.1). Which fields end here is not for it to say.
func TestNoFieldVanishesBehindProxy_MCP_08(t *testing.T) {
	f := newFixture(t, nil)
	f.inner = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Mcp-Session-Id", "s1") }
	token := f.token(nil)
	session := f.do(http.MethodPost, "/mcp", token, legacyCall("echo")).Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, session)

	var got http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := mcpauth.FromContext(r.Context())
		r.Header.Set("X-Caller", caller.Subject)
		proxy.ServeHTTP(w, r)
	}))
	for _, connection := range []string{"close", "keep-alive", "X-Caller, Mcp-Protocol-Version, Mcp-Session-Id, Content-Type"} {
		r := newRequest(http.MethodPost, "/mcp", token, legacyCall("echo"),
			"Connection: "+connection, "Mcp-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+session)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		for name, want := range map[string]string{
			"X-Caller": "user-1", "Mcp-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "s1", "Content-Type": "application/json",
		} {
			assert.Equal(t, want, got.Get(name), "%s, Connection: %s", name, connection)
		}
	}
}
