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
		{"nothing listed, our own", nil, []string{"Origin: https://mcp.example.com"}, false},
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
				if row.name != "two fields" && row.name != "the same twice" {
					assert.Empty(t, corsHeaders(w.Header()), "CHAL-30")
				}
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
			assert.Zero(t, f.issuer.Fetches(mcpauthtest.JWKS), "keys were fetched for a request that is refused anyway")
		})
	}
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
