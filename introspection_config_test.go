package mcpauth_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestIntrospectionConfig_INTRO_17: what cannot be meant is refused by New, with field and fix.
func TestIntrospectionConfig_INTRO_17_INTRO_19_TENANT_09(t *testing.T) {
	asked := func(prefix string) *mcpauth.Introspection {
		return &mcpauth.Introspection{Client: clientauth.SecretBasic("c", "s"), Prefix: prefix}
	}
	issuer := func(change func(*mcpauth.Issuer)) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Issuers[0].Introspect = asked("")
			change(&c.Issuers[0])
		}
	}
	two := func(a, b string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Issuers[0].Introspect = asked(a)
			c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: secondIssuerURL, Introspect: asked(b)})
		}
	}
	google := func(change func(*mcpauth.Issuer)) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Issuers[0].Audiences = []string{"client-1.apps"}
			c.Issuers[0].Introspect = &mcpauth.Introspection{Tokeninfo: true}
			change(&c.Issuers[0])
		}
	}
	for _, row := range []struct {
		name       string
		change     func(*mcpauth.Config)
		field, fix string // "" for none
	}{
		{"good", issuer(func(*mcpauth.Issuer) {}), "", ""},
		{"good, two", two("a_", ""), "", ""},
		{"good, two prefixes", two("a_", "b_"), "", ""},
		{"good, JWTs too", issuer(func(i *mcpauth.Issuer) { i.Introspect.JWTs = true }), "", ""},
		{"good, clients without subjects", issuer(func(i *mcpauth.Issuer) { i.AllowMissingSubject = true }), "", ""},
		{"good, ID tokens", issuer(func(i *mcpauth.Issuer) { i.AllowIDTokenClaims = true }), "", ""},
		{"good, Google", google(func(*mcpauth.Issuer) {}), "", ""},
		{"two without a prefix", two("", ""), "Issuers[1].Introspect.Prefix", "has none either"},
		{"equal prefixes", two("a_", "a_"), "Issuers[1].Introspect.Prefix", testIssuerURL},
		{"one prefix begins with the other", two("a_", "a_b_"), "Issuers[1].Introspect.Prefix", "lengthen the shorter one"},
		{"the other way round", two("a_b_", "a_"), "Issuers[1].Introspect.Prefix", testIssuerURL},
		{"no prefix of a token", issuer(func(i *mcpauth.Issuer) { i.Introspect.Prefix = "a b" }), "Issuers[0].Introspect.Prefix", "RFC 6750"},
		{"no client", issuer(func(i *mcpauth.Issuer) { i.Introspect.Client = clientauth.Method{} }), "Issuers[0].Introspect.Client", "prove who it is"},
		{"no secret", issuer(func(i *mcpauth.Issuer) { i.Introspect.Client = clientauth.SecretBasic("c", "") }), "Issuers[0].Introspect.Client", "the secret is empty"},
		{"a secret with the end of a line", issuer(func(i *mcpauth.Issuer) { i.Introspect.Client = clientauth.SecretBasic("c", "s\n") }), "Issuers[0].Introspect.Client", "trim it"},
		{"endpoint by http", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "http://as.example.com/introspect" }), "Issuers[0].Introspect.Endpoint", "must be https"},
		{"endpoint by http on loopback", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "http://127.0.0.1/introspect" }), "Issuers[0].Introspect.Endpoint", "AllowInsecureLoopback"},
		{"endpoint is no URL", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "introspect" }), "Issuers[0].Introspect.Endpoint", "not an absolute URL"},
		{"endpoint with the secret", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "https://c:canary@as.example.com/introspect" }), "Issuers[0].Introspect.Endpoint", "user information"},
		{"endpoint with a fragment", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "https://as.example.com/introspect#a" }), "Issuers[0].Introspect.Endpoint", "fragment"},
		{"endpoint with two readings", issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = "https://127.1/introspect" }), "Issuers[0].Introspect.Endpoint", "more than one way"},
		{"no metadata and no endpoint", issuer(func(i *mcpauth.Issuer) { i.JWKSURI = testIssuerURL + "/jwks" }), "Issuers[0].Introspect.Endpoint", "required where no metadata"},
		{"keys and no endpoint", issuer(func(i *mcpauth.Issuer) { i.Keys = []byte(otherKeys(t)) }), "Issuers[0].Introspect.Endpoint", "required where no metadata"},
		{"Google without Audiences", google(func(i *mcpauth.Issuer) { i.Audiences = nil }), "Issuers[0].Audiences", "list the client ids"},
		{"Google with the resource alone", google(func(i *mcpauth.Issuer) { i.Audiences = []string{testResource} }), "Issuers[0].Audiences", "list the client ids"},
		{"Google with a client", google(func(i *mcpauth.Issuer) { i.Introspect.Client = clientauth.SecretBasic("c", "s") }), "Issuers[0].Introspect.Client", "no client authentication"},
		{"Google with ID tokens", google(func(i *mcpauth.Issuer) { i.AllowIDTokenClaims = true }), "Issuers[0].AllowIDTokenClaims", "name the same client"},
		{"Google without subjects", google(func(i *mcpauth.Issuer) { i.AllowMissingSubject = true }), "Issuers[0].AllowMissingSubject", "all users of a client would be one"},
		{"Google with keys", google(func(i *mcpauth.Issuer) { i.JWKSURI = testIssuerURL + "/jwks" }), "Issuers[0].Introspect.Tokeninfo", "signs no access tokens"},
		{"Google with keys that are given", google(func(i *mcpauth.Issuer) { i.Keys = []byte(otherKeys(t)) }), "Issuers[0].Introspect.Tokeninfo", "signs no access tokens"},
		{"Google and bound tokens alone", google(func(i *mcpauth.Issuer) { i.DPoP = mcpauth.DPoPRequired }), "Issuers[0].DPoP", "no token would be accepted"},
		{"Google with JWTs", google(func(i *mcpauth.Issuer) { i.Introspect.JWTs = true }), "Issuers[0].Introspect.JWTs", "makes no JWTs"},
		{"all unlisted", func(c *mcpauth.Config) { c.Issuers[0].Unlisted = true }, "Issuers", "list one of them"},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
			row.change(&config)
			_, err := mcpauth.New(config)
			if row.field == "" {
				require.NoError(t, err)
				return
			}
			var wrong *mcpauth.ConfigError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, row.field, wrong.Field)
			assert.Contains(t, wrong.Reason, row.fix)
			assert.NotContains(t, err.Error(), "\n", "another mistake is told, too")
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}

// TestIntrospectionMistakesAtOnce_INTRO_17: what is wrong with the issuer hides nothing of how it is asked, and who
// asks is shown by name.
func TestIntrospectionMistakesAtOnce_INTRO_17(t *testing.T) {
	wrong := func() *mcpauth.Introspection {
		return &mcpauth.Introspection{Endpoint: "/introspect", Client: clientauth.SecretBasic("mcp-server", ""), Prefix: "a b"}
	}
	const how = `Config.Issuers[0].Introspect.Endpoint = "/introspect": not an absolute URL: write https://host/path
mcpauth: Config.Issuers[0].Introspect.Client = "mcp-server": the secret is empty: give the one that the authorization server has issued
mcpauth: Config.Issuers[0].Introspect.Prefix = "a b": no token begins so: letters, digits and -._~+/ (RFC 6750 section 2.1)`
	for _, row := range []struct {
		name, want string
		issuer     mcpauth.Issuer
	}{
		{"all is well with the issuer", "", mcpauth.Issuer{URL: testIssuerURL}},
		{"no URL of an issuer", `Config.Issuers[0].URL = "http://as.example.com": must be https`, mcpauth.Issuer{URL: "http://as.example.com"}},
		{"a wrong URL of keys, too", `Config.Issuers[0].URL = "http://as.example.com": must be https
mcpauth: Config.Issuers[0].JWKSURI = "/jwks": not an absolute URL: write https://host/path`, mcpauth.Issuer{URL: "http://as.example.com", JWKSURI: "/jwks"}},
		{"empty keys", `Config.Issuers[0].Keys = empty: give a JWK Set or PEM public keys, or leave it nil`, mcpauth.Issuer{URL: testIssuerURL, Keys: []byte{}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
			row.issuer.Introspect = wrong()
			config.Issuers = []mcpauth.Issuer{row.issuer}
			_, err := mcpauth.New(config)
			want := "mcpauth: " + how
			if row.want != "" {
				want = "mcpauth: " + row.want + "\n" + want
			}
			assert.EqualError(t, err, want)
		})
	}
	t.Run("on this machine", func(t *testing.T) {
		config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
		config.AllowInsecureLoopback = true
		config.Issuers = []mcpauth.Issuer{{URL: "127.0.0.1:9000", Introspect: &mcpauth.Introspection{
			Endpoint: "http://127.0.0.1:9000/introspect", Client: clientauth.SecretBasic("c", "s")}}}
		_, err := mcpauth.New(config)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "Endpoint", "nothing is wrong with it, once the URL is right")
	})
}

// googleGood is what Google says of a token of a client that is accepted.
const googleGood = `{"azp":"client-1.apps","aud":"client-1.apps","sub":"1234","scope":"openid mcp:read","exp":"9000000000","expires_in":"3599","email":"a@example.com","access_type":"online"}`

// TestTokeninfoAttacks_INTRO_19: Google's dialect, with its decimal texts and the names of two versions.
func TestTokeninfoAttacks_INTRO_19(t *testing.T) {
	good := func(old, new string) string { return strings.Replace(googleGood, old, new, 1) }
	for _, row := range []struct {
		name   string
		status int // of Google
		text   string
		want   int
		words  mcpauth.Reason
		cause  string
	}{
		{"good", 200, googleGood, 200, "", ""},
		{"good, numbers", 200, good(`"9000000000"`, `9000000000`), 200, "", ""},
		{"good, expires_in alone", 200, good(`"exp":"9000000000",`, ""), 200, "", ""},
		{"good, first version", 200, `{"issued_to":"client-1.apps","audience":"client-1.apps","user_id":"1234","scope":"mcp:read","expires_in":3599}`, 200, "", ""},
		{"a foreign client", 200, good(`"aud":"client-1.apps"`, `"aud":"client-2.apps"`), 401, mcpauth.ErrAudience, "audience-foreign-client"},
		{"no aud", 200, good(`"aud":"client-1.apps",`, ""), 401, mcpauth.ErrAudience, "audience-missing"},
		{"aud of both versions", 200, good(`"aud":"client-1.apps"`, `"aud":"client-2.apps","audience":"client-1.apps"`), 401, mcpauth.ErrAudience, "audience-foreign-client"},
		{"aud is the resource", 200, good(`"aud":"client-1.apps"`, `"aud":"`+testResource+`"`), 401, mcpauth.ErrAudience, "audience-foreign-client"},
		{"no sub", 200, good(`"sub":"1234",`, ""), 401, mcpauth.ErrClaims, "subject"},
		{"exp in exponents", 200, good(`"9000000000"`, `"9e9"`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"exp with a sign", 200, good(`"9000000000"`, `"+9000000000"`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"exp is empty", 200, good(`"9000000000"`, `""`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"exp is a fraction", 200, good(`"9000000000"`, `"9000000000.5"`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"exp is 2^53", 200, good(`"9000000000"`, `"9007199254740992"`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"exp is over", 200, good(`"9000000000"`, `"1000000000"`), 401, mcpauth.ErrExpired, "expired"},
		{"expires_in is negative", 200, good(`"exp":"9000000000","expires_in":"3599"`, `"expires_in":-1`), 401, mcpauth.ErrClaims, "claim-missing"},
		{"no end", 200, good(`"exp":"9000000000","expires_in":"3599",`, ""), 401, mcpauth.ErrClaims, "claim-missing"},
		{"DPOP-01 bound to a key", 200, good("{", `{"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},`), 401, mcpauth.ErrSenderConstrained, "sender-constrained"},
		{"DPOP-01 bound to a certificate", 200, good("{", `{"cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},`), 401, mcpauth.ErrSenderConstrained, "sender-constrained"},
		{"DPOP-01 token_type DPoP", 200, good("{", `{"token_type":"DPoP",`), 401, mcpauth.ErrSenderConstrained, "token-unbound"},
		{"good, token_type Bearer", 200, good("{", `{"token_type":"Bearer",`), 200, "", ""},
		{"invalid", 400, `{"error":"invalid_token","error_description":"Invalid Value"}`, 401, mcpauth.ErrRevoked, "token-inactive"},
		{"invalid, without a code", 400, "{\n  \"error_description\": \"Invalid Value\"\n}\n", 401, mcpauth.ErrRevoked, "token-inactive"},
		{"another description", 400, `{"error_description":"Bad Request"}`, 503, "", "introspection-answer"},
		{"another error with that description", 400, `{"error":"invalid_client","error_description":"Invalid Value"}`, 503, "", "introspection-answer"},
		{"unauthorized", 401, `{"error":"unauthorized"}`, 503, "", "introspection-answer"},
		{"another error", 400, `{"error":"invalid_request"}`, 503, "", "introspection-answer"},
		{"invalid with another status", 500, `{"error":"invalid_token"}`, 503, "", "introspection-unreachable"},
		{"down", 500, ``, 503, "", "introspection-unreachable"},
		{"no JSON", 200, `<html>`, 503, "", "introspection-answer"},
		{"aud stands twice", 200, good(`"aud":"client-1.apps"`, `"aud":"client-2.apps","aud":"client-1.apps"`), 503, "", "introspection-answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, said := newTokeninfoFixture(t, nil)
			*said = func(token string) (int, string) {
				assert.Equal(t, "ya29.token-canary", token)
				return row.status, row.text
			}
			w := f.call("ya29.token-canary", "echo")
			require.Equal(t, row.want, w.Code, "body %s", w.Body)
			assert.NotContains(t, f.log.String()+w.Body.String(), "canary")
			switch {
			case row.want == 200:
				p, _ := mcpauth.FromContext(f.last.Context())
				assert.Equal(t, "1234", p.Subject)
				assert.Equal(t, "client-1.apps", p.ClientID)
				return
			case row.words != "":
				assert.Equal(t, invalidToken(string(row.words)), w.Header().Get("WWW-Authenticate"))
			}
			assert.Zero(t, f.ran)
			if row.cause != "" {
				assert.Contains(t, f.log.String(), "cause="+row.cause+" ")
			}
		})
	}
	for _, endpoint := range []string{"", "https://google.example/tokeninfo"} {
		var asked []string
		f, _ := newTokeninfoFixture(t, func(c *mcpauth.Config) {
			c.Issuers[0].Introspect.Endpoint = endpoint
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.URL.String())
				return answerOf(r, http.StatusOK, googleGood), nil
			})
		})
		f.served(f.call("ya29.token-canary", "echo"))
		assert.Equal(t, []string{cmp.Or(endpoint, "https://oauth2.googleapis.com/tokeninfo")}, asked)
	}
	f, said := newTokeninfoFixture(t, nil)
	*said = func(string) (int, string) { t.Error("a JWT was asked about"); return 200, googleGood }
	id := f.issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, `{"iss":"`+testIssuerURL+`","aud":"client-1.apps","azp":"client-1.apps","sub":"1234","scope":"mcp:read","exp":9000000000}`)
	f.refused(f.call(id, "echo"), http.StatusUnauthorized, invalidToken("token type not accepted"))
	assert.Contains(t, f.log.String(), "cause=token-id")
	require.NoError(t, f.auth.Ready(t.Context()), "there are no keys to wait for")
	assert.Zero(t, f.issuer.Fetches(mcpauthtest.Metadata)+f.issuer.Fetches(mcpauthtest.JWKS))
}

// TestUnlisted_TENANT_09: an issuer that is not listed is accepted, and stands in nothing that the public reads.
func TestUnlisted_TENANT_09(t *testing.T) {
	const tenant = "https://customer-canary.example.com"
	other := mcpauthtest.NewIssuerAt(t, tenant)
	f := newFixture(t, func(c *mcpauth.Config) {
		rest := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "customer-canary.example.com" {
				return other.Transport().RoundTrip(r)
			}
			return rest.RoundTrip(r)
		})
		hidden := other.Config()
		hidden.Unlisted = true
		c.Issuers = append([]mcpauth.Issuer{hidden}, c.Issuers...)
		c.LegacyASMetadata = true
	})
	f.served(f.call(other.TokenFor(testResource, "mcp:read"), "echo"))
	p, _ := mcpauth.FromContext(f.last.Context())
	assert.Equal(t, tenant, p.Issuer)
	f.log.Reset() // it has the line about the issuer's keys, and that one is the operator's

	public := []string{string(f.auth.MetadataJSON())}
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server", "/authorize?x=1"} {
		w := f.do(http.MethodGet, path, "", "")
		assert.NotEqual(t, http.StatusNotFound, w.Code, path)
		public = append(public, w.Body.String(), w.Header().Get("Location"))
	}
	health := httptest.NewRecorder()
	f.auth.Health().ServeHTTP(health, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	assert.Equal(t, http.StatusOK, health.Code)
	assert.Contains(t, health.Body.String(), `"issuers":[{"issuer":"","ready":true`)
	public = append(public, health.Body.String())
	for _, iss := range []string{"https://other.example.com", tenant + "/", "http://customer-canary.example.com", "https://customer-canary.example.com:444"} {
		f.log.Reset()
		w := f.call(f.token(mcpauthtest.Claims{"iss": iss}), "echo")
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		public = append(public, w.Body.String(), w.Header().Get("WWW-Authenticate"))
		own := strings.Count(f.log.String(), iss) // what the token itself says
		assert.Equal(t, own*strings.Count(iss, "canary"), strings.Count(f.log.String(), "canary"), f.log.String())
		assert.Contains(t, f.log.String(), "cause=issuer-unknown ")
	}
	public = append(public, f.call("", "echo").Header().Get("WWW-Authenticate"))
	for _, text := range public {
		assert.NotContains(t, text, "canary")
	}
	var document struct {
		Servers []string `json:"authorization_servers"`
	}
	require.NoError(t, json.Unmarshal(f.auth.MetadataJSON(), &document))
	assert.Equal(t, []string{testIssuerURL}, document.Servers)
}

// TestUnlistedAreNotConfirmed: who makes tokens up learns from no answer that an issuer is configured, or how its tokens
// begin. The log tells what is wrong.
func TestUnlistedAreNotConfirmed_TENANT_09_INTRO_17(t *testing.T) {
	second := mcpauthtest.NewIssuerAt(t, secondIssuerURL)
	f := newFixture(t, func(c *mcpauth.Config) {
		first := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "as2.example.com" {
				return second.Transport().RoundTrip(r)
			}
			return first.RoundTrip(r)
		})
		other := second.Config()
		other.Unlisted = true
		other.Introspect = second.Introspection()
		other.Introspect.Prefix = "acme_at_"
		c.Issuers = append(c.Issuers, other)
	})
	f.served(f.call(second.TokenFor(testResource, "mcp:read"), "echo"))
	ago := time.Now().Add(-10 * time.Minute).Unix()
	made := func(claims mcpauthtest.Claims) func(iss string) string { // by a stranger
		return func(iss string) string {
			all := mcpauthtest.Claims{"iss": iss, "iat": ago}
			maps.Copy(all, claims)
			return f.token(all)
		}
	}
	type answer struct {
		status int
		header http.Header
		body   string
	}
	ask := func(token string) answer {
		w := f.call(token, "echo")
		return answer{w.Code, w.Header(), w.Body.String()}
	}
	for cause, token := range map[string]func(iss string) string{
		"signature":      made(nil),
		"expired":        made(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"audience-other": made(mcpauthtest.Claims{"aud": "https://other.example.com/api"}),
		"claim-missing":  made(mcpauthtest.Claims{"exp": nil}),
		"subject":        made(mcpauthtest.Claims{"sub": nil}),
		"token-unsigned": func(iss string) string { return f.issuer.Sign(`{"alg":"none"}`, `{"iss":"`+iss+`"}`) },
		"key-unknown": func(iss string) string {
			return f.keyToken(mcpauthtest.NewKey("k9", "ES256"), mcpauthtest.Claims{"iss": iss, "iat": ago})
		},
	} {
		unknown := ask(token("https://as3.example.com"))
		assert.Equal(t, http.StatusUnauthorized, unknown.status)
		f.log.Reset()
		assert.Equal(t, unknown, ask(token(secondIssuerURL)), cause)
		assert.Contains(t, f.log.String(), "cause="+cause+" ")
	}
	inactive := ask("acme_at_x")
	f.log.Reset()
	assert.Equal(t, 1, second.Fetches(mcpauthtest.Introspection))
	assert.Equal(t, inactive, ask("other_at_x"))
	assert.Contains(t, f.log.String(), "cause=opaque-prefix ")
	assert.NotContains(t, f.log.String(), "acme_at_")
	assert.Equal(t, 1, second.Fetches(mcpauthtest.Introspection))

	second.Break(mcpauthtest.Introspection, mcpauthtest.Down)
	assert.Equal(t, http.StatusServiceUnavailable, ask("acme_at_y").status, "an outage is never 401, for anybody")

	f = newFixture(t, func(c *mcpauth.Config) {
		c.Issuers[0].Unlisted = true
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: secondIssuerURL, Keys: []byte(otherKeys(t))})
	})
	f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	w := f.call(f.token(nil), "echo")
	f.refused(w, http.StatusServiceUnavailable, "")
	assert.Equal(t, `{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, w.Body.String())
}

// TestAskedOfTwo_INTRO_17: wherever the issuer stands that is asked, its tokens are taken, and the one whose prefix a token
// has goes before the one without.
func TestAskedOfTwo_INTRO_17(t *testing.T) {
	own := func(c *mcpauth.Config, prefix string) mcpauth.Issuer {
		one := c.Issuers[0]
		one.Introspect = &mcpauth.Introspection{Endpoint: testIssuerURL + "/introspect", Client: clientauth.SecretBasic("c", "s"), Prefix: prefix}
		return one
	}
	other := mcpauth.Issuer{URL: secondIssuerURL, Keys: []byte(otherKeys(t))}
	asked := other
	asked.Introspect = &mcpauth.Introspection{Endpoint: testIssuerURL + "/other", Client: clientauth.SecretBasic("c", "s")}
	for name, row := range map[string]struct {
		prefix      string
		other       mcpauth.Issuer
		token, path string
	}{
		"alone":                            {"", other, "a_1", "/tenant1/introspect"},
		"with its prefix, and one without": {"a_", asked, "a_1", "/tenant1/introspect"},
		"without a prefix that is known":   {"a_", asked, "b_1", "/tenant1/other"},
	} {
		for _, order := range []bool{false, true} {
			var at string
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Issuers = []mcpauth.Issuer{own(c, row.prefix), row.other}
				if order {
					slices.Reverse(c.Issuers)
				}
				c.Transport = &askedAt{c.Transport, &at}
			})
			f.refused(f.call(row.token, "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrRevoked)))
			assert.Equal(t, row.path, at, name)
		}
	}
}

// TestIssuersExpected_TENANT_09: the log of a refusal names the issuers, and prefixes, that are expected and listed.
func TestIssuersExpected_TENANT_09_OBS_01(t *testing.T) {
	how := func(prefix string) *mcpauth.Introspection {
		return &mcpauth.Introspection{Endpoint: testIssuerURL + "/introspect", Client: clientauth.SecretBasic("c", "s"), Prefix: prefix}
	}
	keys := []byte(otherKeys(t))
	listed := mcpauth.Issuer{URL: secondIssuerURL, Keys: keys}
	canary := mcpauth.Issuer{URL: "https://canary.example.com", Keys: keys, Unlisted: true, Introspect: how("canary_")}
	for _, row := range []struct {
		name             string
		prefix           string
		others           []mcpauth.Issuer
		issuers, opaques string
	}{
		{"one without a prefix", "", []mcpauth.Issuer{listed}, `"` + testIssuerURL + `", "` + secondIssuerURL + `"`, ""},
		{"a prefix", "a_", []mcpauth.Issuer{listed}, `"` + testIssuerURL + `", "` + secondIssuerURL + `"`, `: "a_"`},
		{"one that is not listed", "a_", []mcpauth.Issuer{canary}, `"` + testIssuerURL + `"`, `: "a_"`},
		{"it alone has a prefix", "-", []mcpauth.Issuer{canary, listed}, `"` + testIssuerURL + `", "` + secondIssuerURL + `"`, ""},
	} {
		f := newFixture(t, func(c *mcpauth.Config) {
			if row.prefix != "-" {
				c.Issuers[0].Introspect = how(row.prefix)
			}
			c.Issuers = append(c.Issuers, row.others...)
		})
		f.call(f.token(mcpauthtest.Claims{"iss": "https://stranger.example.com"}), "echo")
		assert.Contains(t, unquoted(f.log), `expected one of the configured issuers, byte for byte: `+row.issuers+`"`, row.name)
		f.log.Reset()
		if row.prefix != "" {
			f.call("b_1", "echo")
			assert.Contains(t, unquoted(f.log), `expected one that begins with Introspect.Prefix of an issuer`+row.opaques+`"`, row.name)
		}
		assert.NotContains(t, f.log.String(), "canary", row.name)
	}
}

// unquoted is a log without what quotes the quotes.
func unquoted(log *logBuffer) string { return strings.ReplaceAll(log.String(), `\"`, `"`) }

// TestNarrowed_INTRO_23: a new answer with fewer scopes counts at once on a stream, and one with more does not.
func TestNarrowed_INTRO_23(t *testing.T) {
	answer := func(scope string) string {
		return `{"active":true,"sub":"user-1","client_id":"client-1","aud":"` + testResource + `","scope":"` + scope + `"}`
	}
	list := "event: message\ndata: " + `{"jsonrpc":"2.0","id":9,"result":{"tools":[{"name":"echo","inputSchema":{}},{"name":"admin_delete","inputSchema":{}}]}}` + "\n\n"
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		token := f.answered(answer("mcp:read mcp:admin"))
		next := make(chan struct{})
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				_, _ = w.Write([]byte(list))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-next:
				case <-r.Context().Done():
					return
				}
			}
		}
		w := httptest.NewRecorder()
		r := streamOpens[0].send(f, token)
		done := make(chan struct{})
		go func() { defer close(done); f.handler.ServeHTTP(w, r) }()
		lists := func() []string {
			synctest.Wait()
			var names []string
			for _, event := range strings.SplitAfter(w.Body.String(), "\n\n") {
				if event != "" {
					names = append(names, strings.Join([]string{has(event, "echo"), has(event, "admin_delete")}, ""))
				}
			}
			return names
		}
		assert.Equal(t, []string{"echo admin_delete "}, lists())
		f.issuer.Answer(token, answer("mcp:read"))
		time.Sleep(66 * time.Second)
		next <- struct{}{}
		assert.Equal(t, []string{"echo admin_delete ", "echo "}, lists())
		f.issuer.Answer(token, answer("mcp:read mcp:admin"))
		time.Sleep(3 * time.Minute)
		next <- struct{}{}
		assert.Equal(t, []string{"echo admin_delete ", "echo ", "echo "}, lists(), "a wider answer widens nothing")
		f.issuer.Answer(token, "")
		time.Sleep(66 * time.Second)
		<-done
	})
}

// has is a name and a space if the text has the name.
func has(text, name string) string {
	if strings.Contains(text, `"`+name+`"`) {
		return name + " "
	}
	return ""
}

// TestPrefixesAreTold_INTRO_17: the log of a token that begins like those of no issuer says how those begin.
func TestPrefixesAreTold_INTRO_17(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		for i, prefix := range []string{"a_", "b_"} {
			c.Issuers = append(c.Issuers, mcpauth.Issuer{
				URL: []string{secondIssuerURL, "https://as3.example.com"}[i], Introspect: &mcpauth.Introspection{Client: clientauth.SecretBasic("c", "s"), Prefix: prefix},
			})
		}
	})
	assert.Equal(t, http.StatusUnauthorized, f.call("other_at", "echo").Code)
	assert.Contains(t, strings.ReplaceAll(f.log.String(), `\`, ""), `expected one that begins with Introspect.Prefix of an issuer: "a_", "b_""`)
}
