package mcpauth_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// document decodes a metadata document and fails unless it is one JSON object.
func documentOf(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(body, &members), "%s", body)
	return members
}

func get(f *fixture, target string, headers ...string) *httptest.ResponseRecorder {
	return f.do(http.MethodGet, target, "", "", headers...)
}

func TestMetadataLocation(t *testing.T) {
	const host = "https://mcp.example.com"
	for _, row := range []struct {
		name, resource, url string
		served, missing     []string
	}{
		{"PRM-01 path after the well-known part", host + "/mcp", host + wellKnown + "/mcp",
			[]string{wellKnown + "/mcp"}, []string{wellKnown + "/mcp/", wellKnown + "/MCP", wellKnown + "/mcp?x=1"}},
		{"PRM-01 longer path", host + "/a/b/mcp", host + wellKnown + "/a/b/mcp",
			[]string{wellKnown + "/a/b/mcp"}, []string{wellKnown + "/a/b", wellKnown + "/mcp"}},
		{"PRM-02 root without a slash", host, host + wellKnown,
			[]string{wellKnown, wellKnown + "?"}, []string{wellKnown + "/", wellKnown + "/mcp", host /* no path at all */}},
		{"PRM-02 root with its slash", host + "/", host + wellKnown,
			[]string{wellKnown}, []string{wellKnown + "/", wellKnown + "//"}},
		{"PRM-02 root with a port", "https://mcp.example.com:8443", "https://mcp.example.com:8443" + wellKnown,
			[]string{wellKnown}, []string{wellKnown + "/mcp"}},
		{"PRM-03 query", host + "/mcp?t=1", host + wellKnown + "/mcp?t=1",
			[]string{wellKnown + "/mcp?t=1", wellKnown}, []string{wellKnown + "/mcp", wellKnown + "/mcp?t=2", wellKnown + "/mcp?t=1&t=2"}},
		{"PRM-03 root with a query", host + "?t=1", host + wellKnown + "?t=1",
			[]string{wellKnown + "?t=1"}, []string{wellKnown, wellKnown + "?t=2"}},
		{"PRM-04 the trailing slash of the resource stays", host + "/mcp/", host + wellKnown + "/mcp/",
			[]string{wellKnown + "/mcp/"}, []string{wellKnown + "/mcp"}},
		{"PRM-07 root alias serves the same document", host + "/mcp", host + wellKnown + "/mcp",
			[]string{wellKnown, wellKnown + "?x=1"}, nil},
		{"PRM-24 unknown suffix", host + "/mcp", host + wellKnown + "/mcp",
			nil, []string{wellKnown + "/x", wellKnown + "/mcp/x", wellKnown + "/", wellKnown + "/../mcp", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration/mcp"}},
		{"PRM-25 encoded letters are letters", host + "/mcp", host + wellKnown + "/mcp",
			[]string{wellKnown + "/m%63p", wellKnown + "/%6d%63%70"}, []string{wellKnown + "/m%2563p"}},
		{"PRM-25 encoded slashes and dots do not alias", host + "/mcp", host + wellKnown + "/mcp",
			nil, []string{wellKnown + "/a%2f..%2fmcp", wellKnown + "%2fmcp", wellKnown + "%2Fmcp", wellKnown + "/%2e/mcp", wellKnown + "/%2e%2e/mcp", wellKnown + "/mcp%2f", "/.well-known%2foauth-protected-resource"}},
		{"PRM-25 an encoded slash of the resource itself", host + "/a%2Fb", host + wellKnown + "/a%2Fb",
			[]string{wellKnown + "/a%2Fb"}, []string{wellKnown + "%2Fa%2Fb"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Resource = row.resource })
			assert.Equal(t, row.url, f.auth.MetadataURL())
			for _, target := range row.served {
				w := get(f, target)
				if assert.Equal(t, http.StatusOK, w.Code, target) {
					assert.Equal(t, row.resource, documentOf(t, w.Body.Bytes())["resource"], "PRM-04 %s", target)
				}
			}
			for _, target := range row.missing {
				w := get(f, target)
				if w.Code == http.StatusUnauthorized {
					// Not below a well-known path once decoded: protected like all else.
					assert.NotContains(t, w.Body.String(), "authorization_servers", target)
					continue
				}
				assert.Equal(t, http.StatusNotFound, w.Code, target)
				assert.Empty(t, w.Header().Get("WWW-Authenticate"), target)
				assert.Empty(t, w.Body.String(), target)
				assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), target)
				assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), target)
			}
			assert.Contains(t, f.post("", modernCall("echo")).Header().Get("WWW-Authenticate"), `resource_metadata="`+row.url+`"`, "PRM-31")
			assert.Zero(t, f.ran)
		})
	}
}

func TestMetadataIsNotServedBelowTheEndpoint_PRM_01(t *testing.T) {
	f := newFixture(t, nil)
	for _, target := range []string{"/mcp" + wellKnown, "/mcp" + wellKnown + "/mcp", "/x/.." + wellKnown + "/mcp", "/.well-known/oauth-protected-resourcex"} {
		f.refused(get(f, target), http.StatusUnauthorized, bareChallenge)
	}
}

func TestMetadataDocument(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*mcpauth.Config)
		want   string
	}{
		{"PRM-08 PRM-10 PRM-12 the least", nil,
			`{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp","scopes_supported":["mcp:read"]}`},
		{"PRM-09 no scopes, no member", func(c *mcpauth.Config) { c.Scopes = nil },
			`{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp"}`},
		{"PRM-09 empty list of scopes, no member", func(c *mcpauth.Config) { c.Scopes = []string{} },
			`{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp"}`},
		{"PRM-10 scopes once each, in the order of the configuration", func(c *mcpauth.Config) { c.Scopes = []string{"z", "a", "z", "m"} },
			`{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp","scopes_supported":["z","a","m"]}`},
		{"PRM-08 several issuers, byte for byte, in order", func(c *mcpauth.Config) {
			c.Issuers = []mcpauth.Issuer{{URL: "https://z.example.com/"}, {URL: "https://a.example.com/t%20x"}}
		}, `{"authorization_servers":["https://z.example.com/","https://a.example.com/t%20x"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp","scopes_supported":["mcp:read"]}`},
		{"PRM-08 a resource with a query, byte for byte", func(c *mcpauth.Config) { c.Resource += "?a=1&b=2" },
			`{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp?a=1&b=2","scopes_supported":["mcp:read"]}`},
		{"PRM-14 descriptive members and language tags", func(c *mcpauth.Config) {
			c.Metadata = map[string]any{"resource_name": "Usage <beta> & more", "resource_name#de": "Nutzung", "resource_documentation": "https://docs.example.com",
				"resource_policy_uri": "https://example.com/policy", "resource_tos_uri": "https://example.com/tos", "x_count": 0, "x_flag": false}
		}, `{"authorization_servers":["https://as.example.com/tenant1"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp",` +
			`"resource_documentation":"https://docs.example.com","resource_name":"Usage \u003cbeta\u003e \u0026 more","resource_name#de":"Nutzung","resource_policy_uri":"https://example.com/policy",` +
			`"resource_tos_uri":"https://example.com/tos","scopes_supported":["mcp:read"],"x_count":0,"x_flag":false}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, row.change)
			w := get(f, wellKnown)
			assert.Equal(t, row.want, w.Body.String())
			assert.Equal(t, row.want, string(f.auth.MetadataJSON()))
			members := documentOf(t, w.Body.Bytes())
			for _, absent := range []string{"jwks_uri", "signed_metadata", "dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required",
				"tls_client_certificate_bound_access_tokens", "authorization_details_types_supported", "resource_signing_alg_values_supported"} {
				assert.NotContains(t, members, absent, "PRM-13 PRM-15 PRM-29")
			}
			assert.NotContains(t, w.Body.String(), "mcp:admin", "PRM-10: the document lists where to begin, not the catalogue")
			assert.NotContains(t, w.Body.String(), "offline_access", "PRM-11")
		})
	}
}

func TestMetadataHeaders_PRM_16_PRM_17_PRM_20_PRM_30(t *testing.T) {
	f := newFixture(t, nil)
	full := get(f, wellKnown+"/mcp")
	etag := full.Header().Get("ETag")
	assert.Equal(t, http.Header{
		"Access-Control-Allow-Origin": {"*"},
		"Cache-Control":               {"public, max-age=3600"},
		"Content-Length":              {strconv.Itoa(full.Body.Len())},
		"Content-Type":                {"application/json"},
		"Etag":                        {etag},
		"X-Content-Type-Options":      {"nosniff"},
	}, full.Header())
	assert.Regexp(t, `^"[A-Za-z0-9_-]{22}"$`, etag, "strong")

	head := f.do(http.MethodHead, wellKnown+"/mcp", "", "")
	assert.Equal(t, http.StatusOK, head.Code)
	assert.Equal(t, full.Header(), head.Header())
	assert.Zero(t, head.Body.Len())

	for _, row := range []struct {
		header string
		status int
	}{
		{etag, 304}, {"W/" + etag, 304}, {"*", 304}, {`"x", ` + etag + `, "y"`, 304}, {`"x",W/` + etag, 304},
		{`"x"`, 200}, {"", 200}, {strings.Trim(etag, `"`), 200}, {etag + "x", 200},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := f.do(method, wellKnown+"/mcp", "", "", "If-None-Match: "+row.header)
			assert.Equal(t, row.status, w.Code, "%s %s", method, row.header)
			assert.Equal(t, etag, w.Header().Get("ETag"))
			if row.status == 304 {
				assert.Zero(t, w.Body.Len())
				assert.Empty(t, w.Header().Get("Content-Type"))
				assert.Equal(t, "public, max-age=3600", w.Header().Get("Cache-Control"))
			}
		}
	}

	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "PROPFIND"} {
		w := f.do(method, wellKnown+"/mcp", f.token(nil), "{}")
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		assert.Equal(t, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Allow": {"GET, HEAD, OPTIONS"}, "Content-Length": {"0"}, "X-Content-Type-Options": {"nosniff"},
		}, w.Header(), method)
		assert.Zero(t, w.Body.Len())
	}
	assert.Zero(t, f.ran)
}

func TestMetadataNeedsNoToken_PRM_18_PRM_19(t *testing.T) {
	f := newFixture(t, nil)
	for _, headers := range [][]string{
		nil,
		{"Authorization: Bearer expired.or.garbage"},
		{"Authorization: Basic eDp5"},
		{"Authorization: Bearer a", "Authorization: Bearer b"},
		{"Origin: https://evil.example"},
		{"Origin: null"},
	} {
		w := get(f, wellKnown+"/mcp", headers...)
		assert.Equal(t, http.StatusOK, w.Code, headers)
		assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
		assert.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
	}
	w := f.do(http.MethodOptions, wellKnown+"/mcp", "", "", "Origin: https://evil.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version")
	assert.Equal(t, http.StatusNoContent, w.Code)
	assert.Equal(t, http.Header{
		"Access-Control-Allow-Origin":  {"*"},
		"Access-Control-Allow-Methods": {"GET, HEAD, OPTIONS"},
		"Access-Control-Allow-Headers": {"MCP-Protocol-Version, Authorization, Content-Type, Accept"},
		"Access-Control-Max-Age":       {"86400"},
		"X-Content-Type-Options":       {"nosniff"},
	}, w.Header())
}

// Everything that a stranger can say about where we are.
var hostileHeaders = []string{
	"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http", "X-Forwarded-Port: 81", "X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil.example",
	"Forwarded: host=evil.example;proto=http", "X-Original-Url: /evil", "X-Rewrite-Url: /evil", "X-Real-Ip: 6.6.6.6", "Referer: https://evil.example/", "X-Host: evil.example",
}

func TestNothingIsDerivedFromTheRequest_PRM_21_PRM_22(t *testing.T) {
	f := newFixture(t, nil)
	baseline := get(f, wellKnown+"/mcp")
	refusal := f.post("", modernCall("echo"))
	require.Equal(t, http.StatusUnauthorized, refusal.Code)
	for _, host := range []string{"mcp.example.com", "evil.example", "", "evil.example:1", "127.0.0.1", "mcp.example.com.evil.example", "a\"b"} {
		for _, absolute := range []string{"", "http://evil.example"} {
			r := f.request(http.MethodGet, absolute+wellKnown+"/mcp", "", "", hostileHeaders...)
			r.Host = host
			w := f.serve(r)
			assert.Equal(t, baseline.Code, w.Code)
			assert.Equal(t, baseline.Header(), w.Header())
			assert.Equal(t, baseline.Body.String(), w.Body.String())

			r = f.request(http.MethodPost, absolute+"/mcp", "", modernCall("echo"), hostileHeaders...)
			r.Host = host
			w = f.serve(r)
			assert.Equal(t, refusal.Header(), w.Header(), "host %q", host)
			assert.Equal(t, refusal.Body.String(), w.Body.String())
		}
	}
}

func TestMetadataElsewhere_PRM_26_PRM_27(t *testing.T) {
	f := newFixture(t, nil)
	want := get(f, wellKnown+"/mcp")
	serve := func(h http.Handler, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		return w
	}
	other := http.NewServeMux()
	other.Handle("/.well-known/", http.StripPrefix("/.well-known", f.auth.Metadata()))
	other.Handle("/mcp/", http.StripPrefix("/mcp", f.handler))
	for name, w := range map[string]*httptest.ResponseRecorder{
		"handler, any path":         serve(f.auth.Metadata(), "/anything"),
		"below another mux":         serve(other, wellKnown+"/mcp"),
		"below StripPrefix":         serve(http.StripPrefix("/outer", f.handler), "/outer"+wellKnown+"/mcp"),
		"the wrapper on a sub-path": serve(other, "/mcp"+wellKnown+"/mcp"),
	} {
		assert.Equal(t, http.StatusOK, w.Code, name)
		assert.Equal(t, want.Header(), w.Header(), name)
		assert.Equal(t, want.Body.String(), w.Body.String(), name)
	}
	assert.Equal(t, want.Body.String(), string(f.auth.MetadataJSON()))

	f.auth.MetadataJSON()[0] = 'X'
	assert.Equal(t, want.Body.String(), string(f.auth.MetadataJSON()), "PRM-28: a caller's change stays the caller's")
}

func TestSeveralResources_PRM_07_PRM_22_PRM_23(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	mux := http.NewServeMux()
	for _, name := range []string{"a", "b"} {
		config := testConfig(issuer)
		config.Resource = "https://mcp.example.com/" + name + "/mcp"
		config.Scopes = []string{"scope:" + name}
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		mux.Handle("/"+name+"/mcp", auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })))
		mux.Handle(wellKnown+"/"+name+"/mcp", auth.Metadata())
	}
	serve := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for _, name := range []string{"a", "b"} {
		resource := "https://mcp.example.com/" + name + "/mcp"
		for _, host := range []string{"mcp.example.com", "evil.example"} {
			r := newRequest(http.MethodGet, wellKnown+"/"+name+"/mcp", "", "")
			r.Host = host
			w := serve(r)
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, resource, documentOf(t, w.Body.Bytes())["resource"])
			assert.Equal(t, []any{"scope:" + name}, documentOf(t, w.Body.Bytes())["scopes_supported"])
		}
		w := serve(newRequest(http.MethodPost, "/"+name+"/mcp", "", modernCall("echo")))
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Equal(t, `Bearer resource_metadata="https://mcp.example.com`+wellKnown+`/`+name+`/mcp", scope="scope:`+name+`"`, w.Header().Get("WWW-Authenticate"))

		for _, other := range []string{"a", "b"} {
			token := issuer.TokenFor("https://mcp.example.com/"+other+"/mcp", "mcp:read")
			w := serve(newRequest(http.MethodPost, "/"+name+"/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...))
			if other == name {
				assert.Equal(t, http.StatusOK, w.Code)
				assert.Equal(t, name, w.Body.String())
			} else {
				assert.Equal(t, http.StatusUnauthorized, w.Code, "a token for %s at %s", other, name)
			}
		}
	}
	assert.Equal(t, http.StatusNotFound, serve(newRequest(http.MethodGet, wellKnown, "", "")).Code, "no root alias among several resources")
}

// discard is a ResponseWriter that costs nothing itself.
type discard struct {
	header http.Header
	status int
	bytes  int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { d.bytes += len(p); return len(p), nil }

func TestMetadataAllocations_PRM_28(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Metadata = map[string]any{"resource_documentation": strings.Repeat("x", 100<<10)}
	})
	r := f.request(http.MethodGet, wellKnown+"/mcp", "", "")
	w := &discard{header: make(http.Header, 16)}
	allocs := testing.AllocsPerRun(200, func() {
		clear(w.header)
		f.handler.ServeHTTP(w, r)
	})
	assert.LessOrEqual(t, allocs, 2.0)
	assert.Equal(t, http.StatusOK, w.status)
	assert.Equal(t, 201*len(f.auth.MetadataJSON()), w.bytes)

	t.Run("no response shares its header with the next", func(t *testing.T) {
		first := get(f, wellKnown+"/mcp")
		for name := range first.Header() {
			first.Header()[name][0] = "spoiled"
			first.Header()[name] = append(first.Header()[name], "spoiled")
		}
		assert.NotContains(t, get(f, wellKnown+"/mcp").Header(), "spoiled")
		for _, values := range get(f, wellKnown+"/mcp").Header() {
			assert.NotContains(t, values, "spoiled")
		}
	})
}

func TestMetadataOverARealServer_PRM_16(t *testing.T) {
	f := newFixture(t, nil)
	server := httptest.NewServer(f.handler)
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	for method, length := range map[string]int{http.MethodGet: len(f.auth.MetadataJSON()), http.MethodHead: 0} {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+wellKnown+"/mcp", nil)
		require.NoError(t, err)
		resp, err := client.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Len(t, body, length)
		assert.Equal(t, int64(len(f.auth.MetadataJSON())), resp.ContentLength, method)
		assert.Equal(t, []string{"application/json"}, resp.Header.Values("Content-Type"))
	}

	// The request line in absolute form, as a proxy or an attacker writes it.
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET http://evil.example"+wellKnown+"/mcp HTTP/1.0\r\nHost: evil.example\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(answer), "HTTP/1.0 200 OK\r\n"))
	assert.True(t, strings.HasSuffix(string(answer), "\r\n\r\n"+string(f.auth.MetadataJSON())))
	assert.NotContains(t, string(answer), "evil")
}

// PRM-31: one who reads no headers finds the document at the well-known place,
// one who knows no such place finds it in the header.
func TestBothWaysOfDiscovery_PRM_31(t *testing.T) {
	f := newFixture(t, nil)
	w := f.post("", legacyCall("echo"))
	f.refused(w, http.StatusUnauthorized, bareChallenge)
	_, rest, _ := strings.Cut(w.Header().Get("WWW-Authenticate"), `resource_metadata="`)
	url, _, _ := strings.Cut(rest, `"`)
	assert.Equal(t, testMetadataURL, url)
	named := get(f, strings.TrimPrefix(url, "https://mcp.example.com"))
	assert.Equal(t, http.StatusOK, named.Code)
	assert.Equal(t, get(f, wellKnown).Body.String(), named.Body.String())
}

// A well-known path that is not routed here shows in challenges that nobody follows: one line,
// once. One fetch silences it, and so do few challenges, a short time, and scanners.
func TestMetadataUnasked_OBS_09(t *testing.T) {
	const line = "none has fetched the metadata from here"
	bare := func() *http.Request { return newRequest(http.MethodPost, "/api/mcp", "", legacyCall("echo")) }
	fetch := func(f *fixture) {
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, newRequest(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "", ""))
		require.Equal(t, http.StatusOK, w.Code)
	}
	for _, row := range []struct {
		name       string
		challenges int
		pause      time.Duration
		before     func(*fixture)
		request    func(f *fixture, n int) *http.Request
		want       int
	}{
		{"OBS-09 not routed", 60, time.Minute, nil, nil, 1},
		{"OBS-09 twenty in ten minutes", 20, 32 * time.Second, nil, nil, 1},
		{"OBS-09 at ten minutes", 21, 30 * time.Second, nil, nil, 1},
		{"OBS-09 before ten minutes", 20, 30 * time.Second, nil, nil, 0},
		{"OBS-09 too few", 19, time.Hour, nil, nil, 0},
		{"OBS-09 too short", 1000, 500 * time.Millisecond, nil, nil, 0},
		{"OBS-09 fetched", 60, time.Minute, fetch, nil, 0},
		{"OBS-09 fetched by another handler", 60, time.Minute, func(f *fixture) {
			f.auth.Metadata().ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodGet, "/x", "", ""))
		}, nil, 0},
		{"OBS-09 scanners", 60, time.Minute, nil, func(*fixture, int) *http.Request {
			r := bare()
			r.Header.Set("Accept", "*/*")
			return r
		}, 0},
		{"OBS-09 clients that have a token, and a bad one", 60, time.Minute, nil, func(f *fixture, n int) *http.Request {
			r := bare()
			r.Header.Set("Authorization", "Bearer "+[]string{f.token(nil), "junk"}[n%2])
			return r
		}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				if row.before != nil {
					row.before(f)
				}
				mux := http.NewServeMux()
				mux.Handle("/api/mcp", f.handler)
				for n := range row.challenges {
					r := bare()
					if row.request != nil {
						r = row.request(f, n)
					}
					mux.ServeHTTP(httptest.NewRecorder(), r)
					time.Sleep(row.pause)
				}
				assert.Equal(t, row.want, strings.Count(f.log.String(), line))
				if row.want > 0 {
					told := lineWith(f.log.String(), line)
					assert.Contains(t, told, "url="+testMetadataURL)
					assert.Contains(t, told, "cause=metadata-not-routed")
				}
			})
		})
	}
}
