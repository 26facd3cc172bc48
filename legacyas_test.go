package mcpauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func legacyAS(c *mcpauth.Config) { c.LegacyASMetadata = true }

// What a client of 2025-03-26 asks of the resource's origin.
func TestOriginAS_COMPAT_01_COMPAT_02_COMPAT_03_COMPAT_04_COMPAT_05(t *testing.T) {
	const rfc8414, oidc = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	tests := []struct {
		name   string
		change func(*mcpauth.Config)
		method string
		target string
		status int
		where  string // Location
	}{
		{"COMPAT-01 metadata", legacyAS, "GET", rfc8414, 200, ""},
		{"COMPAT-01 metadata, head", legacyAS, "HEAD", rfc8414, 200, ""},
		{"COMPAT-04 metadata in OpenID Connect's place", legacyAS, "GET", oidc, 200, ""},
		{"COMPAT-04 metadata with the endpoint's path", legacyAS, "GET", rfc8414 + "/mcp", 404, ""},
		{"COMPAT-04 metadata with the endpoint's path, OpenID Connect", legacyAS, "GET", oidc + "/mcp", 404, ""},
		{"COMPAT-03 authorize", legacyAS, "GET", "/authorize?client_id=a&state=%26%3D", 302, testIssuerURL + "/authorize?client_id=a&state=%26%3D"},
		{"COMPAT-03 authorize without a query", legacyAS, "GET", "/authorize", 302, testIssuerURL + "/authorize"},
		{"COMPAT-03 authorize by POST", legacyAS, "POST", "/authorize", 404, ""},
		{"COMPAT-03 authorize with a token in the query", legacyAS, "GET", "/authorize?access_token=canary", 404, ""},
		{"COMPAT-03 token", legacyAS, "POST", "/token", 404, ""},
		{"COMPAT-03 register", legacyAS, "POST", "/register", 404, ""},
		{"COMPAT-05 off: metadata", nil, "GET", rfc8414, 404, ""},
		{"COMPAT-05 off: metadata in OpenID Connect's place", nil, "GET", oidc, 404, ""},
		{"COMPAT-03 off: authorize is protected like everything", nil, "GET", "/authorize", 401, ""},
		{"COMPAT-03 off: token is protected like everything", nil, "POST", "/token", 401, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.change)
			w := f.do(test.method, test.target, "", "client_secret=canary")
			assert.Equal(t, test.status, w.Code)
			assert.Equal(t, test.where, w.Header().Get("Location"))
			assert.Zero(t, f.ran)
			if test.status == 302 {
				assert.Equal(t, http.Header{"Location": {test.where}, "Cache-Control": {"no-store"}, "Content-Length": {"0"}}, w.Header())
				assert.Empty(t, w.Body.String())
			}
			if test.status != 401 {
				assert.Empty(t, w.Header().Get("WWW-Authenticate"))
			}
			if test.status != 200 || test.method == "HEAD" {
				return
			}
			assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			var doc struct{ Issuer string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
			assert.Equal(t, testIssuerURL, doc.Issuer, "COMPAT-02: the issuer is never the resource's origin")
			assert.Equal(t, string(f.auth.Issuers()[0].Metadata), w.Body.String(), "COMPAT-01: word for word")
		})
	}
}

// An outage is a 503 here too, and an issuer without metadata has none to show.
func TestOriginASOutage_COMPAT_01(t *testing.T) {
	f := newFixture(t, legacyAS)
	f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	for _, target := range []string{"/.well-known/oauth-authorization-server", "/authorize"} {
		w := f.do(http.MethodGet, target, "", "")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.NotEmpty(t, w.Header().Get("Retry-After"))
		assert.Equal(t, http.Header{
			"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Type": {"application/json"},
			"Content-Length": {fmt.Sprint(w.Body.Len())}, "Retry-After": w.Header()["Retry-After"],
		}, w.Header(), "and nothing else is tried")
		assert.Equal(t, `{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, w.Body.String())
	}
	static := newFixture(t, func(c *mcpauth.Config) {
		legacyAS(c)
		c.Issuers[0].Keys = mcpauthtest.NewKey("a", "ES256").PEM()
	})
	assert.Equal(t, http.StatusServiceUnavailable, static.do(http.MethodGet, "/authorize", "", "").Code)
	for _, endpoint := range []string{"javascript:alert(1)", "https:evil.example/authorize", "https:///evil.example", "https://\uff45vil.example/", "https://2130706433/", "ftp://as.example.com/authorize", "//as.example.com/authorize", "https://as.example.com/%zz", ""} {
		odd := newFixture(t, legacyAS)
		odd.issuer.PublishMetadata(func(doc map[string]any) { doc["authorization_endpoint"] = endpoint })
		w := odd.do(http.MethodGet, "/authorize", "", "")
		assert.Equal(t, http.StatusNotFound, w.Code, endpoint)
		assert.Empty(t, w.Header().Get("Location"), endpoint)
	}
}

// One that has nothing to show does not stand in the way of one that has: the first that publishes metadata is shown, whatever stands
// in front of it.
func TestOriginASAmongOthers_COMPAT_01_COMPAT_03(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		legacyAS(c)
		c.Issuers = append([]mcpauth.Issuer{{URL: "https://static.example.com", Keys: []byte(otherKeys(t))}}, c.Issuers...)
	})
	w := f.do(http.MethodGet, "/authorize?state=x", "", "")
	assert.Equal(t, http.StatusFound, w.Code)
	assert.Equal(t, testIssuerURL+"/authorize?state=x", w.Header().Get("Location"))
	assert.Contains(t, f.do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "").Body.String(), `"issuer":"`+testIssuerURL+`"`)
}

// TestOriginASInsecure_COMPAT_03: nobody is sent to an authorization page by plain http, but on this machine and where the issuer is
// there, too. The operator is told once for as long as it is so.
func TestOriginASInsecure_COMPAT_03_DISC_06(t *testing.T) {
	const told = `level=WARN msg="mcpauth: /authorize leads nowhere: the authorization server's metadata name no page that can be used" issuer=`
	const local = "http://127.0.0.1:9000"
	for _, row := range []struct {
		issuer, endpoint string
		loopback         bool
		status           int
		reason           string
	}{
		{testIssuerURL, "https://login.example.com/authorize", false, http.StatusFound, ""},
		{testIssuerURL, "http://login.example.com/authorize", false, http.StatusNotFound, `error="insecure_url: \"http://login.example.com/authorize\" must be https"`},
		{testIssuerURL, "http://login.example.com/authorize", true, http.StatusNotFound, "must be https"},
		{testIssuerURL, "http://127.0.0.1:9000/authorize", false, http.StatusNotFound, "must be https"},
		{testIssuerURL, "http://127.0.0.1:9000/authorize", true, http.StatusNotFound, "must be https"},
		{testIssuerURL, "https://user:canary@login.example.com/authorize", false, http.StatusNotFound, "is not an absolute URL"},
		{testIssuerURL, "https://login.example.com/authorize#x", false, http.StatusNotFound, "is not an absolute URL"},
		{testIssuerURL, "", false, http.StatusNotFound, `error="the metadata has no authorization_endpoint"`},
		{local, "http://127.0.0.1:9001/authorize", true, http.StatusFound, ""},
		{local, "http://localhost:9000/authorize", true, http.StatusFound, ""},
		{local, "http://login.example.com/authorize", true, http.StatusNotFound, "must be https"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixtureOf(t, mcpauthtest.NewIssuerAt(t, row.issuer), func(c *mcpauth.Config) {
				legacyAS(c)
				c.AllowInsecureLoopback = row.loopback
			})
			page := func(endpoint string) {
				f.issuer.PublishMetadata(func(doc map[string]any) { doc["authorization_endpoint"] = endpoint })
				for range 2 {
					f.do(http.MethodGet, "/authorize", "", "") // one is answered with what is at hand
					time.Sleep(2 * time.Hour)
				}
			}
			f.issuer.PublishMetadata(func(doc map[string]any) { doc["authorization_endpoint"] = row.endpoint })
			for range 3 {
				w := f.do(http.MethodGet, "/authorize?state=x", "", "")
				assert.Equal(t, row.status, w.Code, row.endpoint)
				assert.Empty(t, w.Body.String())
				if row.status == http.StatusFound {
					assert.Equal(t, row.endpoint+"?state=x", w.Header().Get("Location"))
				} else {
					assert.Empty(t, w.Header().Get("Location"), row.endpoint)
					assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				}
			}
			assert.Zero(t, f.ran)
			assert.NotContains(t, f.log.String(), "canary")
			if row.reason == "" {
				assert.NotContains(t, f.log.String(), told)
				return
			}
			assert.Equal(t, 1, strings.Count(f.log.String(), told), row.endpoint)
			assert.Contains(t, f.log.String(), told+row.issuer)
			assert.Contains(t, f.log.String(), row.reason)
			page("https://login.example.com/authorize")
			page(row.endpoint)
			assert.Equal(t, 2, strings.Count(f.log.String(), told), "again, when it was good meanwhile")
		})
	}
}

// The authorization page of a server on this machine has no TLS.
func TestOriginASLoopback_COMPAT_03(t *testing.T) {
	const local = "http://127.0.0.1:9000"
	f := newFixtureOf(t, mcpauthtest.NewIssuerAt(t, local), func(c *mcpauth.Config) {
		legacyAS(c)
		c.AllowInsecureLoopback = true
	})
	w := f.do(http.MethodGet, "/authorize?state=x", "", "")
	assert.Equal(t, http.StatusFound, w.Code, w.Body)
	assert.Equal(t, local+"/authorize?state=x", w.Header().Get("Location"))
}

// Strangers may ask for the document as often as they like: during an outage
// that is one attempt, of two well-known places and the one with the path, until its backoff is over.
func TestOriginASStrangers_COMPAT_01_DISC_19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, legacyAS)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		for range 1000 {
			w := f.do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "")
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
		}
		assert.Equal(t, 3, f.issuer.Fetches(mcpauthtest.Metadata))
		assert.Zero(t, f.issuer.Fetches(mcpauthtest.JWKS))
	})
}
