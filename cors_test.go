package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const exposed = "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"

func corsHeaders(h http.Header) []string {
	var names []string
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

func TestOrigin_MCP_90(t *testing.T) {
	for _, row := range []struct {
		name    string
		origins []string // of the configuration
		headers []string
		allowed bool
	}{
		{"absent", nil, nil, true},
		{"absent, list given", []string{"https://app.example.com"}, nil, true},
		{"listed", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com"}, true},
		{"second of the list", []string{"https://app.example.com", "http://localhost:6274"}, []string{"Origin: http://localhost:6274"}, true},
		{"extension", []string{"chrome-extension://abcdef"}, []string{"Origin: chrome-extension://abcdef"}, true},
		{"nothing listed", nil, []string{"Origin: https://evil.example"}, false},
		{"our own", nil, []string{"Origin: https://mcp.example.com"}, true},
		{"our own, others listed", []string{"https://app.example.com"}, []string{"Origin: https://mcp.example.com"}, true},
		{"our own without TLS", nil, []string{"Origin: http://mcp.example.com"}, false},
		{"our own on another port", nil, []string{"Origin: https://mcp.example.com:8443"}, false},
		{"our own with its path", nil, []string{"Origin: " + testResource}, false},
		{"our own twice", nil, []string{"Origin: https://mcp.example.com", "Origin: https://mcp.example.com"}, false},
		{"null, nothing listed", nil, []string{"Origin: null"}, false},
		{"loopback, and the resource is not", nil, []string{"Origin: http://localhost:6274"}, false},
		{"null", []string{"https://app.example.com"}, []string{"Origin: null"}, false},
		{"empty", []string{"https://app.example.com"}, []string{"Origin: "}, false},
		{"other scheme", []string{"https://app.example.com"}, []string{"Origin: http://app.example.com"}, false},
		{"other port", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com:8443"}, false},
		{"default port written out", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com:443"}, false},
		{"subdomain", []string{"https://app.example.com"}, []string{"Origin: https://x.app.example.com"}, false},
		{"suffix", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com.evil.example"}, false},
		{"prefix", []string{"https://app.example.com"}, []string{"Origin: https://evilapp.example.com"}, false},
		{"upper case", []string{"https://app.example.com"}, []string{"Origin: https://APP.example.com"}, false},
		{"trailing slash", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com/"}, false},
		{"list in one field", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com https://evil.example"}, false},
		{"two fields", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com", "Origin: https://evil.example"}, false},
		{"the same twice", []string{"https://app.example.com"}, []string{"Origin: https://app.example.com", "Origin: https://app.example.com"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.AllowedOrigins = row.origins })
			good := f.token(nil)
			if row.allowed {
				f.served(f.post(good, legacyCall("echo"), row.headers...))
				return
			}
			// Refused before the token is looked at: a bad one changes nothing.
			for _, token := range []string{good, "garbage", ""} {
				w := f.post(token, legacyCall("echo"), row.headers...)
				f.refused(w, http.StatusForbidden, "")
				assert.Equal(t, `{"jsonrpc":"2.0","error":{"code":-31403,"message":"origin not allowed"}}`, w.Body.String())
				if row.name != "two fields" && row.name != "the same twice" && row.name != "our own twice" {
					assert.Empty(t, corsHeaders(w.Header()), "CHAL-30")
				}
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
			assert.Zero(t, f.issuer.Fetches(mcpauthtest.JWKS), "keys were fetched for a request that is refused anyway")
		})
	}
}

// TestLoopbackOrigins: in development every page on this machine may call a resource on
// it, and read the answers; nobody else may.
func TestLoopbackOrigins_MCP_90_CHAL_19_CHAL_30(t *testing.T) {
	for _, row := range []struct {
		resource, origin string
		allowed          bool
	}{
		{"http://localhost:8080/mcp", "http://localhost:6274", true},
		{"http://localhost:8080/mcp", "http://localhost:8080", true},
		{"http://localhost:8080/mcp", "http://localhost", true},
		{"http://localhost:8080/mcp", "http://127.0.0.1:3000", true},
		{"http://localhost:8080/mcp", "https://[::1]:3000", true},
		{"http://127.0.0.1:8080/mcp", "http://app.localhost:3000", true},
		{"http://[::1]:8080", "http://localhost:6274", true},
		{"https://localhost/mcp", "http://localhost:6274", true},
		{"http://localhost:8080/mcp", "https://evil.example", false},
		{"http://localhost:8080/mcp", "http://localhost.evil.example", false},
		{"http://localhost:8080/mcp", "http://127.0.0.1.evil.example:8080", false},
		{"http://localhost:8080/mcp", "http://evil.example:8080", false},
		{"http://localhost:8080/mcp", "http://192.168.0.1:3000", false},
		{"http://localhost:8080/mcp", "http://user@localhost:3000", false},
		{"http://localhost:8080/mcp", "http://localhost:3000/", false},
		{"http://localhost:8080/mcp", "http://LOCALHOST:3000", false},
		{"http://localhost:8080/mcp", "chrome-extension://localhost", false},
		{"http://localhost:8080/mcp", "http://localhost:3000 https://evil.example", false},
		{"http://localhost:8080/mcp", "null", false},
		{"http://localhost:8080/mcp", "", false},
		{"https://mcp.example.com/mcp", "http://localhost:6274", false}, // the option alone says nothing of the resource
	} {
		t.Run(row.resource+" from "+row.origin, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Resource, c.AllowInsecureLoopback = row.resource, true
				c.Issuers[0].Audiences = nil
			})
			good := f.issuer.TokenFor(row.resource, "mcp:read")
			origin := "Origin: " + row.origin
			preflight := f.do(http.MethodOptions, "/mcp", "", "", origin, "Access-Control-Request-Method: POST")
			bare := f.post("", legacyCall("echo"), origin)
			if !row.allowed {
				f.refused(f.post(good, legacyCall("echo"), origin), http.StatusForbidden, "")
				assert.Equal(t, []int{403, 403}, []int{preflight.Code, bare.Code})
				assert.Empty(t, append(corsHeaders(preflight.Header()), corsHeaders(bare.Header())...))
				return
			}
			w := f.post(good, legacyCall("echo"), origin)
			f.served(w)
			assert.Equal(t, []int{204, 401}, []int{preflight.Code, bare.Code})
			for _, w := range []*httptest.ResponseRecorder{preflight, bare, w} {
				assert.Equal(t, row.origin, w.Header().Get("Access-Control-Allow-Origin"))
				assert.Contains(t, strings.Join(w.Header().Values("Vary"), ","), "Origin")
			}
			assert.Equal(t, exposed, bare.Header().Get("Access-Control-Expose-Headers"))
		})
	}
	t.Run("without AllowInsecureLoopback", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Resource = "https://localhost/mcp"; c.Issuers[0].Audiences = nil })
		good := f.issuer.TokenFor("https://localhost/mcp", "mcp:read")
		f.refused(f.post(good, legacyCall("echo"), "Origin: http://localhost:6274"), http.StatusForbidden, "")
		f.served(f.post(good, legacyCall("echo"), "Origin: https://localhost"))
	})
}

// TestOwnOrigin: a default port is not part of what a browser sends.
func TestOwnOrigin_MCP_90_CHAL_31(t *testing.T) {
	for _, resource := range []string{"https://mcp.example.com:443/mcp", "https://mcp.example.com", "https://mcp.example.com/a/b"} {
		f := newFixture(t, func(c *mcpauth.Config) { c.Resource = resource; c.Issuers[0].Audiences = nil })
		w := f.post(f.issuer.TokenFor(resource, "mcp:read"), legacyCall("echo"), "Origin: https://mcp.example.com")
		f.served(w)
		assert.Empty(t, corsHeaders(w.Header()), "a page of the same origin needs none")
	}
	f := newFixture(t, func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com:8443/mcp"; c.Issuers[0].Audiences = nil })
	good := f.issuer.TokenFor("https://mcp.example.com:8443/mcp", "mcp:read")
	f.served(f.post(good, legacyCall("echo"), "Origin: https://mcp.example.com:8443"))
	f.refused(f.post(good, legacyCall("echo"), "Origin: https://mcp.example.com"), http.StatusForbidden, "")
}

// CHAL-31: without a list no answer of the endpoint has anything to do with CORS.
func TestCORSIsOff_CHAL_31(t *testing.T) {
	f := newFixture(t, nil)
	for _, w := range []*httptest.ResponseRecorder{
		f.call("", "echo"), f.call("x", "echo"), f.call(f.token(nil), "echo"), f.call(f.token(nil), "admin_delete"),
		f.do("OPTIONS", "/mcp", "", ""), f.do("OPTIONS", "/mcp", "", "", "Origin: https://a.example", "Access-Control-Request-Method: POST"),
		f.do("GET", "/mcp", "", ""), f.post(f.token(nil), "{"),
	} {
		assert.Empty(t, corsHeaders(w.Header()), "%d %s", w.Code, w.Body)
		assert.NotContains(t, w.Header().Values("Vary"), "Origin")
	}
	assert.Equal(t, "*", get(f, wellKnown+"/mcp").Header().Get("Access-Control-Allow-Origin"), "PRM-19")
}

// CHAL-19: whatever the status, the script of an allowed origin can read it.
func TestEveryAnswerIsReadable_CHAL_19(t *testing.T) {
	const origin = "Origin: https://app.example.com"
	broken := func(c *mcpauth.Config) {
		allowApp(c)
		c.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("down") })
	}
	failing := func(c *mcpauth.Config) {
		allowApp(c)
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, errors.New("x")
		})
	}
	for _, row := range []struct {
		status int
		change func(*mcpauth.Config)
		do     func(*fixture) *httptest.ResponseRecorder
	}{
		{200, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), legacyCall("echo"), origin)
		}},
		{400, allowApp, func(f *fixture) *httptest.ResponseRecorder { return f.post(f.token(nil), "{", origin) }},
		{401, allowApp, func(f *fixture) *httptest.ResponseRecorder { return f.post("", legacyCall("echo"), origin) }},
		{401, allowApp, func(f *fixture) *httptest.ResponseRecorder { return f.post("x", legacyCall("echo"), origin) }},
		{403, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), legacyCall("admin_delete"), origin)
		}},
		{404, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), modernBody("x/y", ""), append(modernHeaders("x/y", ""), origin)...)
		}},
		{405, allowApp, func(f *fixture) *httptest.ResponseRecorder { return f.do("PUT", "/mcp", f.token(nil), "", origin) }},
		{413, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), strings.Repeat(" ", 5<<20), origin)
		}},
		{415, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), "{}", origin, "Content-Type: a/b")
		}},
		{431, allowApp, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), "{}", append(manyHeaders(101), origin)...)
		}},
		{500, failing, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), legacyCall("echo"), origin)
		}},
		{503, broken, func(f *fixture) *httptest.ResponseRecorder {
			return f.post(f.token(nil), legacyCall("echo"), origin)
		}},
	} {
		t.Run(fmt.Sprint(row.status), func(t *testing.T) {
			w := row.do(newFixture(t, row.change))
			assert.Equal(t, row.status, w.Code)
			h := w.Result().Header
			assert.Equal(t, []string{"https://app.example.com"}, h.Values("Access-Control-Allow-Origin"))
			assert.Equal(t, []string{exposed}, h.Values("Access-Control-Expose-Headers"))
			assert.Contains(t, h.Values("Vary"), "Origin")
			assert.NotContains(t, h, "Access-Control-Allow-Credentials")
		})
	}
}

func TestPreflight_CHAL_30_TOK_11(t *testing.T) {
	f := newFixture(t, allowApp)
	preflight := func(headers ...string) *httptest.ResponseRecorder {
		return f.do(http.MethodOptions, "/mcp", "", "", append([]string{"Origin: https://app.example.com", "Access-Control-Request-Method: POST"}, headers...)...)
	}
	const fixed = "Authorization, DPoP, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID"
	var many, want []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("Mcp-Param-%d", i))
		if i < 32 {
			want = append(want, fmt.Sprintf("mcp-param-%d", i))
		}
	}
	for _, row := range []struct {
		name      string
		headers   []string
		reflected string
	}{
		{"nothing asked", nil, ""},
		{"known ones", []string{"Access-Control-Request-Headers: authorization, mcp-method, content-type"}, ""},
		{"a parameter", []string{"Access-Control-Request-Headers: authorization,mcp-method,mcp-param-region"}, ", mcp-param-region"},
		{"unknown ones are not listed", []string{"Access-Control-Request-Headers: x-evil, cookie, mcp-param, xmcp-param-a"}, ""},
		{"case and spaces", []string{"Access-Control-Request-Headers:  Mcp-Param-A ,\tMCP-PARAM-b_2"}, ", mcp-param-a, mcp-param-b_2"},
		{"injection", []string{"Access-Control-Request-Headers: mcp-param-a\r\nx: y, mcp-param-b;c, mcp-param-\u00e9, mcp-param-*, mcp-param-d e"}, ""},
		{"too long", []string{"Access-Control-Request-Headers: mcp-param-" + strings.Repeat("a", 200)}, ""},
		{"as long as can be, and one more", []string{"Access-Control-Request-Headers: mcp-param-" + strings.Repeat("a", 118) + ",mcp-param-" + strings.Repeat("b", 119)}, ", mcp-param-" + strings.Repeat("a", 118)},
		{"two fields", []string{"Access-Control-Request-Headers: mcp-param-a", "Access-Control-Request-Headers: mcp-param-b"}, ", mcp-param-a, mcp-param-b"},
		{"32 and no more", []string{"Access-Control-Request-Headers: " + strings.Join(many, ",")}, ", " + strings.Join(want, ", ")},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := preflight(row.headers...)
			assert.Equal(t, http.StatusNoContent, w.Code)
			assert.Equal(t, http.Header{
				"Access-Control-Allow-Headers":  {fixed + row.reflected},
				"Access-Control-Allow-Methods":  {"POST, GET, DELETE"},
				"Access-Control-Allow-Origin":   {"https://app.example.com"},
				"Access-Control-Expose-Headers": {exposed},
				"Access-Control-Max-Age":        {"86400"},
				"Cache-Control":                 {"no-store"},
				"Vary":                          {"Origin"},
			}, w.Header())
			assert.Zero(t, w.Body.Len())
		})
	}
	t.Run("not listed: no CORS headers", func(t *testing.T) {
		for _, origin := range []string{"https://evil.example", "null", ""} {
			w := f.do(http.MethodOptions, "/mcp", "", "", "Origin: "+origin, "Access-Control-Request-Method: POST")
			f.refused(w, http.StatusForbidden, "")
			assert.Empty(t, corsHeaders(w.Header()))
		}
	})
	t.Run("TOK-11 no preflight, no answer", func(t *testing.T) {
		for _, headers := range [][]string{nil, {"Origin: https://app.example.com"}, {"Access-Control-Request-Method: POST"}} {
			for _, token := range []string{"", f.token(nil)} {
				w := f.do(http.MethodOptions, "/mcp", token, "", headers...)
				f.refused(w, http.StatusMethodNotAllowed, "")
				assert.Equal(t, "POST, GET, DELETE", w.Header().Get("Allow"))
			}
		}
	})
	t.Run("no preflight, of nobody's origin", func(t *testing.T) {
		w := f.do(http.MethodOptions, "/mcp", f.token(nil), "", "Origin: https://evil.example")
		f.refused(w, http.StatusForbidden, "")
		assert.Empty(t, w.Header().Get("Allow"))
	})
	t.Run("what only looks like one is a call", func(t *testing.T) {
		f.served(f.post(f.token(nil), legacyCall("echo"), "Origin: https://app.example.com", "Access-Control-Request-Method: POST"))
		f.ran = 0
	})
	t.Run("a huge preflight is refused unread", func(t *testing.T) {
		w := preflight("Access-Control-Request-Headers: " + strings.Repeat("mcp-param-a,", 10000))
		f.refused(w, http.StatusRequestHeaderFieldsTooLarge, "")
	})
}

// The operator who forgot to list an origin finds out from the log.
func TestRefusedPreflightIsReported(t *testing.T) {
	var decisions []mcpauth.Decision
	f := newFixture(t, func(c *mcpauth.Config) {
		allowApp(c)
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
	})
	w := f.do(http.MethodOptions, "/mcp", "", "", "Origin: https://other.example", "Access-Control-Request-Method: POST")
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, f.log.String(), `origin not allowed: Origin, got \"https://other.example\", expected an origin in AllowedOrigins`)
	require.Len(t, decisions, 1)
	assert.Equal(t, http.StatusForbidden, decisions[0].Err.Status)

	f.do(http.MethodOptions, "/mcp", "", "", "Origin: https://app.example.com", "Access-Control-Request-Method: POST")
	assert.Len(t, decisions, 1, "a preflight that is answered is no call")
}
