package mcpauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The places where the documents of the test issuer stand.
const (
	placeOAuth    = "https://as.example.com/.well-known/oauth-authorization-server/tenant1"
	placeInserted = "https://as.example.com/.well-known/openid-configuration/tenant1"
	placeAppended = "https://as.example.com/tenant1/.well-known/openid-configuration"
	placeKeys     = "https://as.example.com/tenant1/jwks"
)

// keysFixture is newFixture with another issuer.
func keysFixture(tb testing.TB, issuer *mcpauthtest.Issuer, change func(*mcpauth.Config)) *fixture {
	tb.Helper()
	return newFixture(tb, func(c *mcpauth.Config) {
		logger := c.Logger
		*c = testConfig(issuer)
		c.Logger = logger
		if change != nil {
			change(c)
		}
	}).of(issuer)
}

// of makes an issuer the one that mints the fixture's tokens.
func (f *fixture) of(issuer *mcpauthtest.Issuer) *fixture {
	f.issuer = issuer
	return f
}

// keysTransport answers requests to authorization servers in the process.
type keysTransport func(*http.Request) (*http.Response, error)

func (f keysTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// keysHosts sends each host's requests to its own transport.
func keysHosts(hosts map[string]http.RoundTripper) http.RoundTripper {
	return keysTransport(func(r *http.Request) (*http.Response, error) {
		if next := hosts[r.URL.Host]; next != nil {
			return next.RoundTrip(r)
		}
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	})
}

// keysDelay lets each request wait.
func keysDelay(next http.RoundTripper, wait time.Duration) http.RoundTripper {
	return keysTransport(func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(wait):
			return next.RoundTrip(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
}

func keysAnswer(r *http.Request, status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {contentType}},
	}
}

// urls lists what an issuer was asked for, in order.
func urls(issuer *mcpauthtest.Issuer) []string {
	list := []string{}
	for _, r := range issuer.Requests() {
		list = append(list, r.URL.String())
	}
	return list
}

// unavailable asserts a whole 503: nothing in it makes a client drop its token.
func (f *fixture) unavailable(w *httptest.ResponseRecorder) {
	f.tb.Helper()
	const body = `{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`
	header := w.Result().Header.Clone()
	seconds := header.Get("Retry-After")
	header.Del("Retry-After")
	assert.Equal(f.tb, http.StatusServiceUnavailable, w.Code, "body %s", w.Body)
	assert.Equal(f.tb, http.Header{
		"Cache-Control":          {"no-store"},
		"Content-Length":         {strconv.Itoa(len(body))},
		"Content-Type":           {"application/json"},
		"X-Content-Type-Options": {"nosniff"},
	}, header)
	assert.Regexp(f.tb, `^([1-9]|[12][0-9]|30)$`, seconds)
	assert.Equal(f.tb, body, w.Body.String())
	assert.Zero(f.tb, f.ran, "the inner handler ran")
}

// lastError is what the status page says about the first issuer.
func (f *fixture) lastError() string { return f.auth.Issuers()[0].LastError }

func TestDiscovery_Places_DISC_01_DISC_02(t *testing.T) {
	const host = "https://as.example.com"
	for _, row := range []struct {
		name, issuer string
		serve        string // path of the place that answers
		want         []string
	}{
		{"DISC-01 first place", testIssuerURL, "/.well-known/oauth-authorization-server/tenant1",
			[]string{placeOAuth, placeKeys}},
		{"DISC-01 second place", testIssuerURL, "/.well-known/openid-configuration/tenant1",
			[]string{placeOAuth, placeInserted, placeKeys}},
		{"DISC-01 third place", testIssuerURL, "/tenant1/.well-known/openid-configuration",
			[]string{placeOAuth, placeInserted, placeAppended, placeKeys}},
		{"DISC-01 a slash at the end of the path", testIssuerURL + "/", "/tenant1/.well-known/openid-configuration",
			[]string{placeOAuth, placeInserted, placeAppended, placeKeys}},
		{"DISC-02 no path", host, "/.well-known/openid-configuration",
			[]string{host + "/.well-known/oauth-authorization-server", host + "/.well-known/openid-configuration", host + "/jwks"}},
		{"DISC-02 only a slash", host + "/", "/.well-known/openid-configuration",
			[]string{host + "/.well-known/oauth-authorization-server", host + "/.well-known/openid-configuration", host + "/jwks"}},
		{"DISC-02 nothing anywhere", host + "/", "/elsewhere",
			[]string{host + "/.well-known/oauth-authorization-server", host + "/.well-known/openid-configuration"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := keysFixture(t, mcpauthtest.NewIssuerAt(t, row.issuer), nil)
			f.issuer.ServeOnly(row.serve)
			w := f.call(f.token(nil), "echo")
			if row.serve == "/elsewhere" {
				f.unavailable(w)
				assert.Equal(t, "bad_status", f.lastError())
			} else {
				f.served(w)
			}
			assert.Equal(t, row.want, urls(f.issuer))
		})
	}
}

// TestIssuerAsWritten: what an authorization server writes as its issuer is configured so. Only
// what is fetched has the host in the usual spelling.
func TestIssuerAsWritten_DISC_03_TOK_56(t *testing.T) {
	const issuer = "https://Login.Example.COM/Tenant1"
	at := mcpauthtest.NewIssuerAt(t, issuer)
	f := newFixture(t, func(c *mcpauth.Config) { c.Issuers, c.Transport = []mcpauth.Issuer{at.Config()}, at.Transport() })
	f.issuer = at
	f.served(f.call(f.token(nil), "echo"))
	assert.Equal(t, issuer, f.auth.Issuers()[0].URL)
	assert.Contains(t, string(f.auth.MetadataJSON()), `"authorization_servers":["`+issuer+`"]`)
	for _, url := range urls(f.issuer) {
		if url != "https://Login.Example.COM/Tenant1/jwks" { // as the metadata has it
			assert.True(t, strings.HasPrefix(url, "https://login.example.com/"), "%s", url)
		}
	}
	f.refused(f.call(f.token(mcpauthtest.Claims{"iss": "https://login.example.com/Tenant1"}), "echo"), http.StatusUnauthorized, invalidToken("issuer not accepted"))
}

// The issuer in the document is compared byte for byte. No key of a document
// that names another is fetched, let alone used.
func TestDiscovery_IssuerMismatch_DISC_03_DISC_04(t *testing.T) {
	for name, says := range map[string]string{
		"DISC-03 another issuer":   `"https://honest.example"`,
		"DISC-04 a slash more":     `"https://as.example.com/tenant1/"`,
		"DISC-03 upper case":       `"https://AS.example.com/tenant1"`,
		"DISC-03 default port":     `"https://as.example.com:443/tenant1"`,
		"DISC-03 percent-encoding": `"https://as.example.com/%74enant1"`,
		"DISC-03 a parent":         `"https://as.example.com"`,
		"DISC-03 empty":            `""`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.PublishMetadataRaw(`{"issuer":` + says + `,"jwks_uri":"` + placeKeys + `"}`)
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, "issuer_mismatch", f.lastError())
			assert.Equal(t, []string{placeOAuth, placeInserted, placeAppended}, urls(f.issuer), "and no keys")
			assert.Contains(t, f.log.String(), strings.ReplaceAll(says, `"`, `\"`))
			assert.Contains(t, f.log.String(), `\"https://as.example.com/tenant1\"`, "both strings, quoted")
		})
	}
	t.Run("DISC-04 the slash belongs to the issuer", func(t *testing.T) {
		const slash = "https://x.auth0.com/"
		f := keysFixture(t, mcpauthtest.NewIssuerAt(t, slash), nil)
		f.served(f.call(f.token(nil), "echo"))

		f = keysFixture(t, mcpauthtest.NewIssuerAt(t, slash), func(c *mcpauth.Config) { c.Issuers[0].URL = "https://x.auth0.com" })
		f.unavailable(f.call(f.token(mcpauthtest.Claims{"iss": "https://x.auth0.com"}), "echo"))
		assert.Equal(t, "issuer_mismatch", f.lastError())
		assert.Contains(t, f.log.String(), `the document says \"https://x.auth0.com/\", configured is \"https://x.auth0.com\"`)
	})
	t.Run("DISC-03 a place without a document hides no mismatch", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.ServeOnly("/tenant1/.well-known/openid-configuration")
		f.issuer.PublishMetadata(func(m map[string]any) { m["issuer"] = "https://honest.example" })
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Equal(t, "issuer_mismatch", f.lastError())
	})
	t.Run("DISC-03 at a refresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			f.issuer.PublishMetadata(func(m map[string]any) {
				m["issuer"], m["jwks_uri"] = "https://evil.example", "https://evil.example/jwks"
			})
			time.Sleep(2 * time.Hour)
			f.served(f.call(f.token(nil), "echo"))
			synctest.Wait()
			f.served(f.call(f.token(nil), "echo"))
			assert.Equal(t, "issuer_mismatch", f.lastError())
			assert.Equal(t, placeKeys, f.auth.Issuers()[0].JWKSURI)
			assert.NotContains(t, urls(f.issuer), "https://evil.example/jwks")
		})
	})
}

// What a document says about a URL is checked before anything is dialed.
func TestDiscovery_KeyURL_DISC_05_DISC_08_DISC_14(t *testing.T) {
	for _, row := range []struct{ name, uri, class string }{
		{"DISC-05 plain http", `"http://as.example.com/jwks"`, "insecure_url"},
		{"DISC-05 plain http to loopback for a public issuer", `"http://127.0.0.1/jwks"`, "insecure_url"},
		{"DISC-05 relative", `"/jwks"`, "insecure_url"},
		{"DISC-05 no scheme", `"//as.example.com/jwks"`, "insecure_url"},
		{"DISC-05 a file", `"file:///etc/passwd"`, "insecure_url"},
		{"DISC-05 a file on a host", `"file://as.example.com/jwks"`, "insecure_url"},
		{"DISC-05 data", `"data:application/json,{}"`, "insecure_url"},
		{"DISC-05 upper-case http", `"HTTP://as.example.com/jwks"`, "insecure_url"},
		{"DISC-05 credentials", `"https://u:p@as.example.com/jwks"`, "insecure_url"},
		{"DISC-05 a fragment", `"https://as.example.com/jwks#x"`, "insecure_url"},
		{"DISC-05 no URL", `"https://as.example.com/%zz"`, "insecure_url"},
		{"DISC-14 absent", ``, "no_jwks_uri"},
		{"DISC-14 empty", `""`, "no_jwks_uri"},
		{"DISC-14 null", `null`, "bad_metadata"},
		{"DISC-14 an object", `{"https://as.example.com/jwks":1}`, "bad_metadata"},
		{"DISC-08 loopback", `"https://127.0.0.1/jwks"`, "dial_refused"},
		{"DISC-08 loopback, mapped", `"https://[::ffff:127.0.0.1]/jwks"`, "dial_refused"},
		{"DISC-08 localhost", `"https://localhost:8443/jwks"`, "dial_refused"},
		{"DISC-08 metadata service", `"https://169.254.169.254/jwks"`, "dial_refused"},
		{"DISC-08 private", `"https://10.0.0.7/jwks"`, "dial_refused"},
		{"DISC-08 unique local", `"https://[fd00:ec2::254]/jwks"`, "dial_refused"},
		{"DISC-08 link-local with a zone", `"https://[fe80::1%25eth0]/jwks"`, "dial_refused"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			member := ""
			if row.uri != "" {
				member = `,"jwks_uri":` + row.uri
			}
			f.issuer.PublishMetadataRaw(`{"issuer":"` + testIssuerURL + `"` + member + `}`)
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, row.class, f.lastError())
			for _, url := range urls(f.issuer) {
				assert.Contains(t, []string{placeOAuth, placeInserted, placeAppended}, url)
			}
		})
	}
	t.Run("DISC-05 http on loopback, where it is allowed", func(t *testing.T) {
		f := keysFixture(t, mcpauthtest.NewIssuer(t), func(c *mcpauth.Config) {
			c.AllowInsecureLoopback, c.Transport = true, nil
		})
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, 1, f.issuer.Fetches(mcpauthtest.JWKS))
	})
	t.Run("DISC-14 without metadata there is no need of it", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = placeKeys })
		f.issuer.PublishMetadataRaw(`{}`)
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, []string{placeKeys}, urls(f.issuer))
	})
}

// TestKeyless: an authorization server of which all tokens are opaque publishes no keys (RFC 8414 section 2). It is
// ready without, and its JWTs, which are forged, are refused; one that had keys goes on with them.
func TestKeyless_DISC_14_INTRO_01_INTRO_16(t *testing.T) {
	none := func(m map[string]any) { delete(m, "jwks_uri") }
	t.Run("from the beginning", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newOpaqueFixture(t, nil)
			f.issuer.PublishMetadata(none)
			f.served(f.call(f.opaque(nil), "echo"))
			require.NoError(t, f.auth.Ready(t.Context()))
			status := f.auth.Issuers()[0]
			assert.True(t, status.Ready)
			assert.Empty(t, status.Keys)
			assert.Empty(t, status.JWKSURI+status.LastError)
			assert.NotContains(t, f.log.String(), "WARN")
			assert.Zero(t, f.issuer.Fetches(mcpauthtest.JWKS))

			time.Sleep(time.Second)
			f.refused(f.call(f.token(nil), "echo"), http.StatusUnauthorized, invalidToken("signing key unknown"))
			for i := range 1000 { // a flood of them costs what it costs elsewhere
				f.call(f.token(mcpauthtest.Claims{"sub": fmt.Sprint(i)}), "echo")
			}
			assert.LessOrEqual(t, f.issuer.Fetches(mcpauthtest.Metadata), 5*3)
			time.Sleep(25 * time.Hour)
			f.ran = 0
			f.served(f.call(f.opaque(nil), "echo"))
			require.NoError(t, f.auth.Ready(t.Context()))

			f.issuer.PublishMetadata(nil) // it begins to sign
			time.Sleep(time.Minute)
			f.ran = 0
			f.served(f.call(f.token(nil), "echo"))
		})
	})
	t.Run("another place has keys", func(t *testing.T) {
		f := newOpaqueFixture(t, func(c *mcpauth.Config) {
			rest := c.Transport
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.String() == placeOAuth {
					return answerOf(r, http.StatusOK, `{"issuer":"`+testIssuerURL+`","introspection_endpoint":"`+testIssuerURL+`/introspect"}`), nil
				}
				return rest.RoundTrip(r)
			})
		})
		f.served(f.call(f.opaque(nil), "echo"))
		f.ran = 0
		f.served(f.call(f.token(nil), "echo"))
	})
	t.Run("later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newOpaqueFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			f.issuer.PublishMetadata(none)
			for range 5 {
				time.Sleep(2 * time.Hour)
				f.ran = 0
				f.served(f.call(f.token(nil), "echo"))
				synctest.Wait()
			}
			assert.Equal(t, "no_jwks_uri", f.lastError())
		})
	})
	t.Run("not asked", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishMetadata(none)
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Error(t, f.auth.Ready(t.Context()))
	})
}

func TestDiscovery_IssuerURL_DISC_05_DISC_06_DISC_09(t *testing.T) {
	for _, row := range []struct{ name, url, fix string }{
		{"DISC-05 http", "http://as.example.com", "must be https"},
		{"DISC-05 http on loopback", "http://127.0.0.1:9000", "AllowInsecureLoopback"},
		{"DISC-06 query", "https://as.example.com/t?x=1", "has no query"},
		{"DISC-06 empty query", "https://as.example.com/t?", "query"},
		{"DISC-06 fragment", "https://as.example.com/t#f", "has no fragment"},
		{"DISC-06 empty fragment", "https://as.example.com/t#", "has no fragment"},
		{"DISC-06 user information", "https://u:p@as.example.com/t", "remove it"},
		{"DISC-09 private address", "https://10.0.0.5/t", "AllowPrivate"},
		{"DISC-09 loopback over https", "https://localhost/t", "AllowPrivate"},
		{"DISC-09 link-local", "https://[fe80::1]/t", "AllowPrivate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: row.url}}})
			var mistake *mcpauth.ConfigError
			require.ErrorAs(t, err, &mistake)
			assert.Equal(t, "Issuers[0].URL", mistake.Field)
			assert.Contains(t, mistake.Reason, row.fix)
			assert.NotContains(t, mistake.Error(), "u:p")
		})
	}
	t.Run("DISC-09 a private issuer that is meant, with keys on a private host", func(t *testing.T) {
		f := keysFixture(t, mcpauthtest.NewIssuerAt(t, "https://10.0.0.5/t"), func(c *mcpauth.Config) { c.Issuers[0].AllowPrivate = true })
		f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://10.0.0.6/jwks" })
		f.served(f.call(f.token(nil), "echo"))
		assert.Contains(t, urls(f.issuer), "https://10.0.0.6/jwks")
	})
}

func TestDiscovery_Redirect_DISC_07_DISC_26_JWKS_24(t *testing.T) {
	for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
		t.Run("DISC-07 JWKS-24 "+string(endpoint), func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Break(endpoint, mcpauthtest.Redirect)
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, "redirect_refused", f.lastError())
			for _, url := range urls(f.issuer) {
				assert.True(t, strings.HasPrefix(url, "https://as.example.com/"), url)
			}
		})
		t.Run("DISC-26 a transport that follows redirects, "+string(endpoint), func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				next := c.Transport
				c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					if keys := r.URL.Path == "/tenant1/jwks"; err == nil && keys == (endpoint == mcpauthtest.JWKS) {
						resp.Request = r.Clone(r.Context())
						resp.Request.Response = keysAnswer(r, http.StatusFound, "", "")
					}
					return resp, err
				})
			})
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, "redirect_refused", f.lastError())
		})
	}
}

// Whatever is no document lets the next place have its turn, and only until the next refresh.
func TestDiscovery_Failover_DISC_10_DISC_11_DISC_13(t *testing.T) {
	const elsewhere = `{"issuer":"` + testIssuerURL + `","jwks_uri":"https://as.example.com/other"}`
	for _, row := range []struct {
		name              string
		status            int
		contentType, body string
	}{
		{"DISC-10 204", 204, "application/json", ""},
		{"DISC-10 206", 206, "application/json", elsewhere},
		{"DISC-10 201", 201, "application/json", elsewhere},
		{"DISC-10 302", 302, "application/json", elsewhere},
		{"DISC-10 401", 401, "application/json", elsewhere},
		{"DISC-10 404", 404, "application/json", elsewhere},
		{"DISC-10 500", 500, "application/json", elsewhere},
		{"DISC-10 array", 200, "application/json", "[" + elsewhere + "]"},
		{"DISC-10 string", 200, "application/json", `"x"`},
		{"DISC-10 empty", 200, "application/json", ``},
		{"DISC-10 ends early", 200, "application/json", elsewhere[:40]},
		{"DISC-10 goes on", 200, "application/json", elsewhere + "x"},
		{"DISC-10 not UTF-8", 200, "application/json", `{"x":"` + "\xff" + `",` + elsewhere[1:]},
		{"DISC-10 issuer of another type", 200, "application/json", `{"issuer":1,"jwks_uri":"https://as.example.com/other"}`},
		{"DISC-10 names in upper case", 200, "application/json", strings.Replace(elsewhere, "issuer", "ISSUER", 1)},
		{"DISC-11 a web page", 200, "text/html; charset=utf-8", elsewhere},
		{"DISC-11 plain text", 200, "text/plain", elsewhere},
		{"DISC-11 no type", 200, "", elsewhere},
		{"DISC-11 other +json", 200, "text/x+json", elsewhere},
		{"DISC-11 almost", 200, "application/jsonp", elsewhere},
		{"DISC-11 two types", 200, "application/json, text/html", elsewhere},
		{"DISC-11 a parameter without a value", 200, "application/json; charset", elsewhere},
		{"DISC-11 a parameter without a name", 200, "application/json; =utf-8", elsewhere},
		{"DISC-11 a parameter that is broken off", 200, "application/json; charset=\"utf-8", elsewhere},
		{"DISC-13 issuer twice", 200, "application/json", `{"issuer":"https://evil.example",` + elsewhere[1:]},
		{"DISC-13 issuer twice, escaped", 200, "application/json", `{"\u0069ssuer":"` + testIssuerURL + `",` + elsewhere[1:]},
		{"DISC-13 something else twice", 200, "application/json", `{"x":1,"x":1,` + elsewhere[1:]},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spoiled := true
				f := newFixture(t, func(c *mcpauth.Config) {
					next := c.Transport
					c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
						if spoiled && r.URL.String() == placeOAuth {
							return keysAnswer(r, row.status, row.contentType, row.body), nil
						}
						return next.RoundTrip(r)
					})
				})
				f.served(f.call(f.token(nil), "echo"))
				assert.Equal(t, []string{placeInserted, placeKeys}, urls(f.issuer))
				assert.Equal(t, placeKeys, f.auth.Issuers()[0].JWKSURI)
				spoiled = false
				time.Sleep(2 * time.Hour)
				f.served(f.call(f.token(nil), "echo"))
				synctest.Wait()
				assert.Contains(t, urls(f.issuer)[2:], placeOAuth, "DISC-10: the first place is asked first again")
				assert.NotContains(t, urls(f.issuer)[2:], placeInserted)
			})
		})
	}
	for _, accepted := range []string{"application/json", "Application/JSON; charset=utf-8", "application/oauth-authz-metadata+json"} {
		t.Run("DISC-11 "+accepted, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Header(mcpauthtest.Metadata, "Content-Type", accepted)
			f.served(f.call(f.token(nil), "echo"))
			assert.Equal(t, []string{placeOAuth, placeKeys}, urls(f.issuer))
		})
	}
	t.Run("DISC-11 the status page says so", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.HTML)
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Equal(t, "bad_content_type", f.lastError())
	})
}

func TestDiscovery_Size_DISC_12(t *testing.T) {
	const limit = 256 << 10
	document := func(size int) string {
		text := `{"issuer":"` + testIssuerURL + `","jwks_uri":"` + placeKeys + `","x":""}`
		return text[:len(text)-2] + strings.Repeat("x", size-len(text)) + `"}`
	}
	t.Run("DISC-12 as large as allowed", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishMetadataRaw(document(limit))
		f.served(f.call(f.token(nil), "echo"))
	})
	t.Run("DISC-12 a byte more", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishMetadataRaw(document(limit + 1))
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Equal(t, "too_large", f.lastError())
	})
	t.Run("DISC-12 without end", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Huge)
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.LessOrEqual(t, f.issuer.Served(mcpauthtest.Metadata), int64(3*(limit+1)), "three places")
	})
	t.Run("DISC-12 slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Slow)
			begun := time.Now()
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, 5*time.Second, time.Since(begun))
			synctest.Wait()
			assert.Equal(t, "timeout", f.lastError())
		})
	})
}

// Keys on another host are usual with large providers. The operator reads of it once.
func TestDiscovery_ForeignHost_DISC_15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://keys.example.net/jwks" })
		for range 3 {
			f.served(f.call(f.token(nil), "echo"))
			synctest.Wait()
			time.Sleep(2 * time.Hour)
		}
		assert.Equal(t, 1, strings.Count(f.log.String(), "another host"))
		assert.Contains(t, f.log.String(), "jwks_uri=https://keys.example.net/jwks")
		assert.Equal(t, 3, f.issuer.Fetches(mcpauthtest.Metadata))
	})
	f := newFixture(t, nil)
	f.served(f.call(f.token(nil), "echo"))
	assert.NotContains(t, f.log.String(), "another host")
}

// lifetimes are what an endpoint may wish for its document, and when the next
// fetch comes: not before the earliest moment, and at the latest one, each a tenth
// to the side of what the wish amounts to.
var lifetimes = []struct {
	name, header, value string
	earliest, latest    time.Duration
}{
	{"says nothing", "X-Nothing", "", 54 * time.Minute, 66 * time.Minute},
	{"max-age=0", "Cache-Control", "max-age=0", 270 * time.Second, 330 * time.Second},
	{"no-store", "Cache-Control", "no-store", 270 * time.Second, 330 * time.Second},
	{"max-age=7200", "Cache-Control", "public, max-age=7200", 108 * time.Minute, 132 * time.Minute},
	{"a year", "Cache-Control", "max-age=31536000", 648 * time.Minute, 792 * time.Minute},
	{"beyond all numbers", "Cache-Control", "max-age=99999999999999999999", 648 * time.Minute, 792 * time.Minute},
	{"Expires", "Expires", "Sat, 01 Jan 2000 02:00:00 GMT", 108 * time.Minute, 132 * time.Minute},
	{"Expires long ago", "Expires", "Mon, 01 Jan 1990 00:00:00 GMT", 270 * time.Second, 330 * time.Second},
}

func TestCache_Lifetime_DISC_16_JWKS_22(t *testing.T) {
	for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
		for _, row := range lifetimes {
			t.Run(fmt.Sprintf("DISC-16 JWKS-22 %s %s", endpoint, row.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // it is midnight, 1 January 2000
					f := newFixture(t, nil)
					f.issuer.Header(endpoint, row.header, row.value)
					f.served(f.call(f.token(nil), "echo"))
					time.Sleep(row.earliest - time.Second)
					f.served(f.call(f.token(nil), "echo"))
					synctest.Wait()
					assert.Equal(t, 1, f.issuer.Fetches(endpoint), "too early")
					time.Sleep(row.latest - row.earliest + 2*time.Second)
					begun := time.Now()
					f.served(f.call(f.token(nil), "echo"))
					assert.Zero(t, time.Since(begun))
					synctest.Wait()
					assert.Equal(t, 2, f.issuer.Fetches(endpoint), "too late")
				})
			})
		}
	}
}

// Metadata that cannot be fetched any more serves on for a day, as the keys would:
// for all that is known, the issuer may have moved them.
func TestCache_MetadataOutage_DISC_16_FRESH_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		for range 23 {
			time.Sleep(time.Hour)
			f.served(f.call(f.token(nil), "echo"))
		}
		assert.Equal(t, "bad_status", f.lastError())
		assert.True(t, f.auth.Issuers()[0].Ready)
		time.Sleep(time.Hour + time.Second)
		f.unavailable(f.call(f.token(nil), "echo"))
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
		time.Sleep(30 * time.Second)
		f.served(f.call(f.token(nil), "echo"))
	})
}

func TestDiscovery_KeysMove_DISC_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=86400")
		first := f.issuer.Keys()[0]
		f.served(f.call(f.token(nil), "echo"))
		move := func(to string, key *mcpauthtest.Key) {
			f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = to })
			f.issuer.Rotate(key)
			time.Sleep(67 * time.Minute)
			f.call(f.keyToken(first, nil), "echo") // it passes, and the metadata is fetched
			synctest.Wait()
			f.ran = 0
		}
		second := mcpauthtest.NewKey("k2", "ES256")
		move("https://as.example.com/tenant1/v2/keys", second)
		f.refused(f.call(f.keyToken(first, nil), "echo"), 401, invalidToken("signing key unknown"))
		f.served(f.call(f.token(nil), "echo"))

		// Back at the old place, which was left an hour ago: its copy, good for a
		// day, holds a key that has been withdrawn since.
		third := mcpauthtest.NewKey("k3", "ES256")
		move(placeKeys, third)
		f.refused(f.call(f.keyToken(first, nil), "echo"), 401, invalidToken("signing key unknown"))
		f.refused(f.call(f.keyToken(second, nil), "echo"), 401, invalidToken("signing key unknown"))
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, placeKeys, f.auth.Issuers()[0].JWKSURI)
	})
}

func TestDiscovery_OneFlight_DISC_18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Transport = keysDelay(c.Transport, time.Second) })
		token, begun := f.token(nil), time.Now()
		var waiting sync.WaitGroup
		for n := range 100 {
			waiting.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				assert.Equal(t, http.StatusOK, f.call(token, "echo").Code)
			})
		}
		waiting.Wait()
		assert.Equal(t, 2*time.Second, time.Since(begun))
		assert.Equal(t, 100, f.ran)
		assert.Equal(t, []string{placeOAuth, placeKeys}, urls(f.issuer))
	})
}

func TestDiscovery_Recovery_DISC_19(t *testing.T) {
	for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
		t.Run("DISC-19 503 for three seconds, "+string(endpoint), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.issuer.Break(endpoint, mcpauthtest.Down)
				f.unavailable(f.call(f.token(nil), "echo"))
				time.Sleep(3 * time.Second)
				f.issuer.Break(endpoint, mcpauthtest.None)
				time.Sleep(time.Second)
				f.served(f.call(f.token(nil), "echo"))
				assert.Empty(t, f.lastError())
			})
		})
		t.Run("DISC-19 who waits as told is served, "+string(endpoint), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.issuer.Break(endpoint, mcpauthtest.Down)
				for range 12 {
					before := f.issuer.Fetches(endpoint)
					w := f.call(f.token(nil), "echo")
					f.unavailable(w)
					assert.Greater(t, f.issuer.Fetches(endpoint), before, "Retry-After ended before the next attempt was due")
					seconds, err := strconv.Atoi(w.Result().Header.Get("Retry-After"))
					require.NoError(t, err)
					time.Sleep(time.Duration(seconds) * time.Second)
				}
				f.issuer.Break(endpoint, mcpauthtest.None)
				f.served(f.call(f.token(nil), "echo"))
			})
		})
	}
	t.Run("DISC-19 backoff", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var attempts []time.Time
			f := newFixture(t, func(c *mcpauth.Config) {
				next := c.Transport
				c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
					if r.URL.String() == placeOAuth {
						attempts = append(attempts, time.Now())
					}
					return next.RoundTrip(r)
				})
			})
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Reset)
			token := f.token(mcpauthtest.Claims{"exp": time.Now().Add(time.Hour).Unix()})
			for range 1800 { // a flood: ten requests a second for three minutes
				require.Equal(t, http.StatusServiceUnavailable, f.call(token, "echo").Code)
				time.Sleep(100 * time.Millisecond)
			}
			require.GreaterOrEqual(t, len(attempts), 8)
			for n := range attempts[1:] {
				gap, want := attempts[n+1].Sub(attempts[n]).Seconds(), float64(int(1)<<min(n, 5))
				assert.GreaterOrEqual(t, gap, min(0.8*want, 25), "attempt %d", n+1)
				assert.LessOrEqual(t, gap, min(1.2*want, 30)+0.1, "attempt %d", n+1)
			}
		})
	})
}

// With the authorization server down, everything that needs no key works on.
func TestDiscovery_Down_DISC_20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		f.refused(f.call("", "echo"), 401, bareChallenge)
		w := f.do(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "", "")
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Body.String(), testIssuerURL)
		assert.Empty(t, urls(f.issuer), "nobody had a token yet")
		f.unavailable(f.call(f.token(nil), "echo"))
		f.refused(f.call(f.token(mcpauthtest.Claims{"aud": "https://other.example"}), "echo"), 401, invalidToken("audience mismatch"))
		f.refused(f.call("", "echo"), 401, bareChallenge)
		assert.Equal(t, 3, len(urls(f.issuer)))
	})
}

// twoIssuers is a fixture with issuers at https://one.example and https://two.example.
func twoIssuers(t *testing.T, change func(*mcpauth.Config)) (f *fixture, one, two *mcpauthtest.Issuer) {
	one, two = mcpauthtest.NewIssuerAt(t, "https://one.example"), mcpauthtest.NewIssuerAt(t, "https://two.example")
	f = keysFixture(t, one, func(c *mcpauth.Config) {
		c.Issuers = append(c.Issuers, two.Config())
		c.Transport = keysHosts(map[string]http.RoundTripper{"one.example": one.Transport(), "two.example": two.Transport()})
		if change != nil {
			change(c)
		}
	})
	return f, one, two
}

func TestIssuers_Apart_DISC_21(t *testing.T) {
	f, one, two := twoIssuers(t, func(c *mcpauth.Config) {
		c.Issuers[1].Audiences = []string{testResource, "api://two"}
		c.Issuers[1].Claims.Scopes = []string{"perms"}
		c.Issuers[1].Algorithms = []string{"RS256", "ES256"}
		c.Issuers[0].Algorithms = []string{"RS256"}
	})
	f.served(f.call(one.TokenFor(testResource, "mcp:read"), "echo"))
	f.served(f.call(two.Token(mcpauthtest.Claims{"aud": "api://two", "perms": "mcp:read"}), "echo"))

	posing := one.Token(mcpauthtest.Claims{"iss": two.URL(), "aud": testResource, "perms": "mcp:read"})
	f.refused(f.call(posing, "echo"), 401, invalidToken("signature invalid"))
	f.refused(f.call(one.Token(mcpauthtest.Claims{"aud": "api://two", "scope": "mcp:read"}), "echo"), 401, invalidToken("audience mismatch"))
	f.refused(f.call(one.Token(mcpauthtest.Claims{"aud": testResource, "perms": "mcp:read"}), "echo"), 403,
		`Bearer error="insufficient_scope", scope="mcp:read", resource_metadata="`+testMetadataURL+`"`)

	one.Rotate(mcpauthtest.NewKey("e1", "ES256"))
	two.Rotate(mcpauthtest.NewKey("e1", "ES256"))
	f.refused(f.call(one.TokenFor(testResource, "mcp:read"), "echo"), 401, invalidToken("signature algorithm not accepted"))
	f.served(f.call(two.Token(mcpauthtest.Claims{"aud": testResource, "perms": "mcp:read"}), "echo"))
}

func TestIssuers_Unknown_DISC_22(t *testing.T) {
	f := newFixture(t, nil)
	for _, iss := range []any{
		"https://evil.example", testIssuerURL + "/", "HTTPS://as.example.com/tenant1", "https://as.example.com:443/tenant1", "", "../tenant1",
	} {
		w := f.call(f.token(mcpauthtest.Claims{"iss": iss}), "echo")
		f.refused(w, 401, invalidToken("issuer not accepted"))
	}
	for _, iss := range []any{nil, 1, []string{testIssuerURL}} {
		w := f.call(f.token(mcpauthtest.Claims{"iss": iss}), "echo")
		f.refused(w, 401, invalidToken("claim missing or malformed"))
	}
	assert.Empty(t, f.issuer.Requests(), "DISC-22: an unknown issuer caused a request")
}

func TestDiscovery_NothingInbound_DISC_25(t *testing.T) {
	f := newFixture(t, nil)
	f.issuer.Header(mcpauthtest.Metadata, "Set-Cookie", "session=1")
	headers := append(modernHeaders("tools/call", "echo"), "Cookie: a=b", "X-Forwarded-For: 192.0.2.1", "Traceparent: 00-1-1-01", "User-Agent: client/1")
	f.served(f.post(f.token(nil), modernCall("echo"), headers...))
	require.Len(t, f.issuer.Requests(), 2)
	for _, r := range f.issuer.Requests() {
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Equal(t, http.Header{
			"Accept":     {"application/json"},
			"User-Agent": {"mcpauth (+https://github.com/seed-1e292522/mcpauth)"},
		}, r.Header)
	}
}

func TestStaticKeys_NoNetwork_DISC_27(t *testing.T) {
	rsaKey, ecKey := mcpauthtest.NewKey("k1", "RS256"), mcpauthtest.NewKey("k2", "ES256")
	stranger := mcpauthtest.NewKey("k9", "ES256")
	set, err := json.Marshal(map[string]any{"keys": []any{rsaKey.JWK(), ecKey.JWK()}})
	require.NoError(t, err)
	for name, row := range map[string]struct {
		keys   []byte
		second string // what becomes of a token by a key that is not there
	}{
		"DISC-27 JWK Set": {set, "signing key unknown"},
		"DISC-27 PEM":     {slices.Concat(rsaKey.PEM(), ecKey.PEM()), "signature invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Issuers[0].Keys = row.keys
				c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
					t.Errorf("a request to %s", r.URL)
					return nil, io.EOF
				})
			})
			require.NoError(t, f.auth.Warm(t.Context()))
			f.served(f.call(f.keyToken(rsaKey, nil), "echo"))
			f.served(f.call(f.keyToken(ecKey, nil), "echo"))
			f.refused(f.call(f.keyToken(stranger, nil), "echo"), 401, invalidToken(row.second))
			status := f.auth.Issuers()[0]
			assert.True(t, status.Ready)
			assert.Len(t, status.Keys, 2)
			assert.Zero(t, status.LastSuccess)
			assert.Empty(t, status.JWKSURI+status.LastError)
		})
	}
}

func TestDiscovery_SignedMetadata_DISC_28(t *testing.T) {
	f := newFixture(t, nil)
	lie := mcpauthtest.NewKey("evil", "ES256").Sign(`{"alg":"ES256"}`, `{"issuer":"`+testIssuerURL+`","jwks_uri":"https://evil.example/jwks"}`)
	f.issuer.PublishMetadata(func(m map[string]any) { m["signed_metadata"] = lie })
	f.served(f.call(f.token(nil), "echo"))
	assert.Equal(t, []string{placeOAuth, placeKeys}, urls(f.issuer))
	assert.NotContains(t, f.log.String(), "WARN")
}

func TestDiscovery_MetadataShown_DISC_29(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishMetadata(func(m map[string]any) {
			delete(m, "code_challenge_methods_supported")
			m["introspection_endpoint"] = "https://as.example.com/introspect"
		})
		assert.Nil(t, f.auth.Issuers()[0].Metadata)
		for range 3 {
			f.served(f.call(f.token(nil), "echo"))
			synctest.Wait()
			time.Sleep(2 * time.Hour)
		}
		var shown struct {
			Issuer        string `json:"issuer"`
			Introspection string `json:"introspection_endpoint"`
		}
		require.NoError(t, json.Unmarshal(f.auth.Issuers()[0].Metadata, &shown))
		assert.Equal(t, testIssuerURL, shown.Issuer)
		assert.Equal(t, "https://as.example.com/introspect", shown.Introspection)
		assert.Equal(t, 1, strings.Count(f.log.String(), "does not announce PKCE"), "a warning, once")
		assert.Contains(t, f.log.String(), "issuer="+testIssuerURL)
		assert.Contains(t, f.log.String(), "level="+slog.LevelWarn.String())
	})
	f := newFixture(t, nil)
	f.served(f.call(f.token(nil), "echo"))
	assert.NotContains(t, f.log.String(), "PKCE")
}
