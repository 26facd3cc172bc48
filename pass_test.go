package mcpauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What a client proves itself with ends at the wrapper, in whatever spelling.
func TestCredentialsEnd_PASS_01_PASS_02(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	r := f.request(http.MethodPost, "/mcp", token, legacyCall("echo"), "DPoP: proof-canary", "Proxy-Authorization: Basic canary", "X-Kept: yes", "Cookie: a=b")
	// A handler in front of us may have written names as they came.
	r.Header["dpop"] = []string{"proof-canary"}
	r.Header["AUTHORIZATION"] = []string{"Bearer " + token}
	r.Header["proxy-authorization"] = []string{"Basic canary"}
	r.Header["Proxy_Authorization"] = []string{"Basic canary"}
	r.Header["upgrade"] = []string{"h2c"}
	r.Header["CONNECTION"] = []string{"upgrade"}
	r.Header["Connection"] = []string{"X-Kept"}
	// What was compared with the body has one spelling: one behind a gateway interface reads both.
	r.Header["Mcp_Protocol_Version"] = []string{"2026-07-28"}
	r.Header["mcp_name"] = []string{"admin_delete"}
	r.Header["Mcp-Protocol_Version"] = []string{"2026-07-28"}
	r.Header["MCP_METHOD"] = []string{"tools/list"}
	r.Header["Mcp-Protocol-Version"] = []string{" 2025-11-25\t"} // as HTTP/2 may bring it
	r.Header["Accept-Encoding"] = []string{"gzip"}               // the answer may have to be looked at
	r.Trailer = http.Header{"Authorization": {"Bearer " + token}, "dpop": {"proof-canary"}, "X-Kept": {"yes"}}
	f.servedIn(t, f.serve(r))
	assert.Regexp(t, `^mcpauth\.[A-Za-z0-9_-]{22}$`, f.last.Header.Get("Mcp-Session-Id")) // ISOL-04
	f.last.Header.Del("Mcp-Session-Id")
	assert.Equal(t, http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "X-Kept": {"yes"}, "Cookie": {"a=b"},
		"Mcp-Protocol-Version": {"2025-11-25"},
	}, f.last.Header)
	assert.Equal(t, http.Header{"X-Kept": {"yes"}}, f.last.Trailer)
	assert.NotSame(t, r, f.last)

	// PASS-02: what the handler does to its copy is not done to ours.
	f.last.Header.Set("X-Kept", "changed")
	f.last.Header.Set("X-New", "1")
	f.last.Trailer.Set("X-Kept", "changed")
	f.last.URL.Path = "/changed"
	assert.Equal(t, "yes", r.Header.Get("X-Kept"))
	assert.Empty(t, r.Header.Get("X-New"))
	assert.Equal(t, "yes", r.Trailer.Get("X-Kept"))
	assert.Equal(t, "/mcp", r.URL.Path)
	assert.Equal(t, "Bearer "+token, r.Header.Get("Authorization")) // for those in front, as it was
}

// What has no body that was read has none, however its sender has announced one, and what is no answer to look at keeps its conditions.
func TestWithoutBody_PASS_02_MCP_65(t *testing.T) {
	f := newFixture(t, nil)
	session := f.session(t, f.token(nil))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		r := f.request(method, "/mcp?a=b", f.token(nil), "canary", "Mcp-Session-Id: "+session, "If-Match: \"1\"", "Content-Type: text/plain")
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
		f.servedIn(t, f.serve(r))
		assert.Equal(t, http.NoBody, f.last.Body, method)
		assert.Nil(t, f.last.GetBody, method)
		assert.Zero(t, f.last.ContentLength, method)
		assert.Empty(t, f.last.TransferEncoding, method)
		assert.Empty(t, f.body, method)
		want := http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"text/plain"}, "Mcp-Session-Id": {"session"}}
		if method == http.MethodDelete {
			want["If-Match"] = []string{`"1"`}
		}
		assert.Equal(t, want, f.last.Header, method)
		assert.Equal(t, []string{"chunked"}, r.TransferEncoding, "of those in front")
	}
}

// Over a real connection: trailers that arrive after the body, and what a
// reverse proxy behind the wrapper sends on.
func TestCredentialsEnd_PASS_01_overTheWire(t *testing.T) {
	var got *http.Request
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got = r
	}))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	f := newFixture(t, nil)
	proxy := httptest.NewServer(f.auth.Wrap(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}))
	defer proxy.Close()
	token, body := f.token(nil), legacyCall("echo")
	connection, err := net.Dial("tcp", proxy.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	_, err = fmt.Fprintf(connection, "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nauthorization: Bearer %s\r\ndpop: proof-canary\r\n"+
		"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization, DPoP, X-Kept\r\nConnection: close\r\n\r\n"+
		"%x\r\n%s\r\n0\r\nAuthorization: Bearer %s\r\nDPoP: proof-canary\r\nX-Kept: yes\r\n\r\n", token, len(body), body, token)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotNil(t, got)
	seen := fmt.Sprint(got.Header, got.Trailer, got.RequestURI)
	assert.NotContains(t, seen, token)
	assert.NotContains(t, seen, "canary")
	assert.Empty(t, got.Header.Get("Authorization"))
	assert.Equal(t, int64(len(body)), got.ContentLength)
}

// The token is in nothing that the handler, the operator or the client can
// see, however a request ends.
func TestNoTokenAnywhere_PASS_03(t *testing.T) {
	secret := func(token string) []string { // any part of it betrays it
		parts := strings.Split(token, ".")
		return []string{token, parts[0] + "." + parts[1], parts[1], parts[2]}
	}
	for name, end := range map[string]struct {
		claims mcpauthtest.Claims
		tool   string
		policy mcpauth.PolicyFunc
		inner  http.HandlerFunc
		status int
	}{
		"PASS-03 served":          {tool: "echo", status: 200},
		"PASS-03 a panic inside":  {tool: "echo", inner: func(http.ResponseWriter, *http.Request) { panic("the handler's own words") }},
		"PASS-03 no scope":        {tool: "admin_delete", status: 403},
		"PASS-03 no rule":         {tool: "other", status: 403},
		"PASS-03 expired":         {claims: mcpauthtest.Claims{"exp": 1}, tool: "echo", status: 401},
		"PASS-03 a wrong aud":     {claims: mcpauthtest.Claims{"aud": "https://other.example/"}, tool: "echo", status: 401},
		"PASS-03 a wrong iss":     {claims: mcpauthtest.Claims{"iss": "https://other.example/"}, tool: "echo", status: 401},
		"PASS-03 a policy panics": {tool: "echo", policy: func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) { panic(ctx) }, status: 500},
		"PASS-03 a policy fails": {tool: "echo", policy: func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, fmt.Errorf("%v %+v", ctx, call)
		}, status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			var seen strings.Builder
			f := newFixture(t, func(c *mcpauth.Config) {
				if end.policy != nil {
					c.Policy = end.policy
				}
				c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
					fmt.Fprintf(&seen, "%v %+v %+v %+v", ctx, d, d.Principal, d.Err)
				}
			})
			f.inner = end.inner
			token := f.token(end.claims)
			w := httptest.NewRecorder()
			func() {
				defer func() { fmt.Fprint(&seen, recover()) }()
				f.handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", token, legacyCall(end.tool), "DPoP: proof-canary"))
			}()
			if end.status != 0 {
				assert.Equal(t, end.status, w.Code)
			}
			if f.last != nil {
				p, _ := mcpauth.FromContext(f.last.Context())
				var claims map[string]any
				require.NoError(t, p.Claims(&claims))
				fmt.Fprintf(&seen, "%+v %#v %v %v", f.last, p, f.last.Context(), claims)
			}
			fmt.Fprint(&seen, w.Result().Header, w.Body, f.log)
			_, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
			fmt.Fprintf(&seen, "%v %+v", err, err)
			for _, part := range append(secret(token), "proof-canary") {
				assert.NotContains(t, seen.String(), part)
			}
		})
	}
	t.Run("PASS-03 MCP-41 Authenticate finds the same caller", func(t *testing.T) {
		f := newFixture(t, nil)
		p, err := f.auth.Authenticate(f.request(http.MethodGet, "/anything", f.token(nil), ""))
		require.NoError(t, err)
		assert.Equal(t, "user-1", p.Subject)
		_, err = f.auth.Authenticate(f.request(http.MethodPost, "/mcp", "", ""))
		require.ErrorIs(t, err, mcpauth.ErrNoCredentials)
		_, err = f.auth.Authenticate(f.request(http.MethodPost, "/mcp", "x.y.z", ""))
		require.ErrorIs(t, err, mcpauth.ErrMalformedToken)
	})
}

// A token in the query is refused, alone or beside a good one, so that no
// handler ever sees one: the query that is forwarded is as it came.
func TestQueryTokens_PASS_04(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, query := range []string{
		"access_token=" + token, "a=b&access_token=" + token, "a=b;access_token=" + token, "access%5Ftoken=" + token, "%61ccess_token=x", "access_token", "access_token=&x=y",
	} {
		t.Run("PASS-04 "+query[:min(len(query), 20)], func(t *testing.T) {
			w := f.do(http.MethodPost, "/mcp?"+query, "", legacyCall("echo"))
			f.refusedWhole(t, w, http.StatusUnauthorized, bareChallenge, `{"error_description":"authorization required"}`)
			w = f.do(http.MethodPost, "/mcp?"+query, token, legacyCall("echo"))
			f.refusedWhole(t, w, http.StatusBadRequest, `Bearer error="invalid_request", error_description="more than one credential", resource_metadata="`+testMetadataURL+`"`,
				`{"jsonrpc":"2.0","error":{"code":-32600,"message":"more than one credential","data":{"error":"invalid_request","resource_metadata":"`+testMetadataURL+`"}}}`)
		})
	}
	for _, query := range []string{"x=access_token", "access_tokens=1", "Access_Token=1", "access%255Ftoken=1", "%zz=1", "x=%26access_token%3D1"} {
		t.Run("PASS-04 "+query, func(t *testing.T) {
			f.servedIn(t, f.do(http.MethodPost, "/mcp?"+query, token, legacyCall("echo")))
			assert.Equal(t, query, f.last.URL.RawQuery)
			assert.Equal(t, "/mcp?"+query, f.last.RequestURI)
		})
	}
}

// No header, path, query or HTTP method of a request turns the checks off.
func TestNoBypass_PASS_06(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	random := rand.New(rand.NewPCG(5, 6))
	words := []string{"X", "Auth", "Bypass", "Internal", "Skip", "Debug", "Test", "Forwarded", "User", "Mcp", "Secret", "Admin", "Original", "URL", "Method", "Override", "Router", "Key", "Health", "No"}
	values := []string{"1", "true", "admin", "127.0.0.1", "/.well-known/oauth-protected-resource", "GET", "OPTIONS", "ping", "initialize", "mcp:admin", token, "Bearer " + token}
	for range 1000 {
		name := words[random.IntN(len(words))]
		for range random.IntN(3) {
			name += "-" + words[random.IntN(len(words))]
		}
		header := name + ": " + values[random.IntN(len(values))]
		w := f.post("", legacyCall("echo"), header)
		require.Equal(t, http.StatusUnauthorized, w.Code, header)
		w = f.post(token, legacyCall("admin_delete"), header)
		require.Equal(t, http.StatusForbidden, w.Code, header)
		require.Zero(t, f.ran, header)
	}
	for _, path := range []string{
		"/", "/health", "/mcp/", "/MCP", "/mcp/../admin", "//mcp", "/mcp/.well-known/oauth-protected-resource", "/%2ewell-known/x", "/.well-known/", "/.well-known/oauth-protected-resourceX",
		"/.well-known/mcp", "/.Well-Known/oauth-protected-resource", "/x/..%2f.well-known/oauth-protected-resource", "/favicon.ico", "/debug/pprof/", "/mcp?initialize", "/mcp;x",
	} {
		for _, method := range []string{"POST", "GET", "HEAD", "DELETE", "PUT", "X"} {
			w := f.do(method, path, "", legacyCall("echo"))
			assert.Equal(t, http.StatusUnauthorized, w.Code, "%s %s", method, path)
			assert.Zero(t, f.ran, "%s %s", method, path)
		}
		w := f.do("POST", path, token, legacyCall("admin_delete"))
		assert.Equal(t, http.StatusForbidden, w.Code, path)
		assert.Zero(t, f.ran, path)
	}
}

// There is no way to keep the token: no field of the configuration does it,
// and no function of the package hands it out.
func TestNoKeepingTheToken_PASS_09_PASS_06(t *testing.T) {
	for _, value := range []any{mcpauth.Config{}, mcpauth.Issuer{}, mcpauth.Principal{}, mcpauth.Decision{}, mcpauth.DeniedError{}, mcpauth.Call{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(value)) {
			lower := strings.ToLower(field.Name)
			for _, word := range []string{"keep", "raw", "bypass", "skip", "disable", "anonymous", "unsafe", "passthrough", "accesstoken"} {
				assert.NotContains(t, lower, word, "%T", value)
			}
		}
	}
	principal := reflect.TypeFor[*mcpauth.Principal]()
	for i := range principal.NumMethod() {
		assert.Contains(t, []string{"Claims", "HasScope", "Key"}, principal.Method(i).Name)
	}
}

func TestWrapNil(t *testing.T) {
	f := newFixture(t, nil)
	assert.PanicsWithValue(t, "mcpauth: Wrap(nil): there is no handler to protect", func() { f.auth.Wrap(nil) })
}
