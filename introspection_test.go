package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// newOpaqueFixture is a fixture whose issuer is asked about tokens that are no JWTs.
func newOpaqueFixture(tb testing.TB, change func(*mcpauth.Config)) *fixture {
	tb.Helper()
	issuer := mcpauthtest.NewIssuerAt(tb, testIssuerURL)
	return newFixtureOf(tb, issuer, func(c *mcpauth.Config) {
		c.Issuers[0].Introspect = issuer.Introspection()
		if change != nil {
			change(c)
		}
	})
}

// opaque mints a good opaque token for the test resource with scope mcp:read; claims override, and a nil
// value removes.
func (f *fixture) opaque(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return f.issuer.Opaque(all)
}

// answered is an opaque token about which the issuer says exactly this.
func (f *fixture) answered(text string) string {
	token := f.opaque(nil)
	f.issuer.Answer(token, text)
	return token
}

// questions is how often the issuer was asked about a token.
func (f *fixture) questions() int { return f.issuer.Fetches(mcpauthtest.Introspection) }

// tokeninfo makes the fixture's issuer one that speaks Google's dialect: what it says stands word for word.
func newTokeninfoFixture(tb testing.TB, change func(*mcpauth.Config)) (f *fixture, said *func(token string) (int, string)) {
	tb.Helper()
	said = new(func(string) (int, string))
	f = newFixture(tb, func(c *mcpauth.Config) {
		rest := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != "https://oauth2.googleapis.com/tokeninfo" {
				return rest.RoundTrip(r)
			}
			require.Equal(tb, http.MethodPost, r.Method)
			require.Empty(tb, r.Header.Get("Authorization"))
			require.NoError(tb, r.ParseForm())
			status, text := (*said)(r.PostForm.Get("access_token"))
			return answerOf(r, status, text), nil
		})
		c.Issuers[0].Audiences = []string{"client-1.apps"}
		c.Issuers[0].Introspect = &mcpauth.Introspection{Tokeninfo: true}
		if change != nil {
			change(c)
		}
	})
	return f, said
}

func answerOf(r *http.Request, status int, text string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(text)),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: readCloser(text),
	}
}

type textCloser struct{ *strings.Reader }

func (textCloser) Close() error { return nil }

func readCloser(text string) textCloser { return textCloser{strings.NewReader(text)} }

// introspectionAttack is a token that must not open anything.
type introspectionAttack struct {
	name   string
	claims mcpauthtest.Claims // of the answer, beside those of a good one
	raw    string             // the answer, word for word
	token  func(f *fixture) string
	change func(*mcpauth.Config)
	status int    // 401 if zero
	words  string // that the client is told
	cause  string // that the log names
	silent bool   // the issuer must not be asked
}

func words(reason mcpauth.Reason) string { return string(reason) }

const hidden = "opaque_" // no log and no answer has it: each opaque token begins so

var introspectionAttacks = []introspectionAttack{
	{name: "INTRO-02 inactive", raw: `{"active":false}`, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 inactive with claims", raw: `{"active":false,"sub":"user-1","aud":"` + testResource + `","scope":"mcp:read"}`, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 active is a text", claims: mcpauthtest.Claims{"active": "true"}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 active is 1", claims: mcpauthtest.Claims{"active": 1}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 active is null", claims: mcpauthtest.Claims{"active": json.RawMessage("null")}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 active is a list", claims: mcpauthtest.Claims{"active": []bool{true}}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 active is missing", claims: mcpauthtest.Claims{"active": nil}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 Active", claims: mcpauthtest.Claims{"active": nil, "Active": true}, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 an empty object", raw: `{}`, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},
	{name: "INTRO-02 unknown token", token: func(*fixture) string { return "opaque_unknown" }, words: words(mcpauth.ErrRevoked), cause: "token-inactive"},

	{name: "INTRO-03 INTRO-18 no aud", claims: mcpauthtest.Claims{"aud": nil}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},
	{name: "INTRO-03 aud is another API", claims: mcpauthtest.Claims{"aud": "https://other.example.com/api"}, words: words(mcpauth.ErrAudience), cause: "audience-other"},
	{name: "INTRO-03 aud is the client", claims: mcpauthtest.Claims{"aud": "client-1"}, words: words(mcpauth.ErrAudience), cause: "audience-client-id"},
	{name: "INTRO-03 aud is empty", claims: mcpauthtest.Claims{"aud": ""}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},
	{name: "INTRO-03 aud is an empty list", claims: mcpauthtest.Claims{"aud": []string{}}, words: words(mcpauth.ErrAudience), cause: "audience-empty"},
	{name: "INTRO-03 aud has a slash more", claims: mcpauthtest.Claims{"aud": testResource + "/"}, words: words(mcpauth.ErrAudience), cause: "audience-slash"},
	{name: "INTRO-03 aud begins like the resource", claims: mcpauthtest.Claims{"aud": testResource + "2"}, words: words(mcpauth.ErrAudience), cause: "audience-path"},
	{name: "INTRO-03 aud is a number", claims: mcpauthtest.Claims{"aud": 1}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},
	{name: "INTRO-03 aud is an object", claims: mcpauthtest.Claims{"aud": map[string]any{testResource: true}}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},
	{name: "INTRO-03 aud has a number beside the resource", claims: mcpauthtest.Claims{"aud": []any{testResource, 1}}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},
	{name: "INTRO-03 aud is the issuer", claims: mcpauthtest.Claims{"aud": testIssuerURL}, words: words(mcpauth.ErrAudience), cause: "audience-issuer"},
	{name: "INTRO-03 resource instead of aud", claims: mcpauthtest.Claims{"aud": nil, "resource": testResource}, words: words(mcpauth.ErrAudience), cause: "audience-missing"},

	{name: "INTRO-18 another iss", claims: mcpauthtest.Claims{"iss": "https://evil.example.com"}, words: words(mcpauth.ErrIssuer), cause: "introspection-issuer"},
	{name: "INTRO-18 iss with a slash more", claims: mcpauthtest.Claims{"iss": testIssuerURL + "/"}, words: words(mcpauth.ErrIssuer), cause: "introspection-issuer"},
	{name: "INTRO-18 iss is empty", claims: mcpauthtest.Claims{"iss": ""}, words: words(mcpauth.ErrIssuer), cause: "introspection-issuer"},
	{name: "INTRO-18 iss is a list", claims: mcpauthtest.Claims{"iss": []string{testIssuerURL}}, words: words(mcpauth.ErrIssuer), cause: "introspection-issuer"},
	{name: "INTRO-18 iss is null", claims: mcpauthtest.Claims{"iss": json.RawMessage("null")}, words: words(mcpauth.ErrIssuer), cause: "introspection-issuer"},

	{name: "INTRO-03 expired", claims: mcpauthtest.Claims{"exp": time.Now().Add(-time.Minute).Unix()}, words: words(mcpauth.ErrExpired), cause: "expired"},
	{name: "INTRO-03 exp is 0", claims: mcpauthtest.Claims{"exp": 0}, words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 exp is negative", claims: mcpauthtest.Claims{"exp": -1}, words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 exp is a text", claims: mcpauthtest.Claims{"exp": "9999999999"}, words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 exp is null", claims: mcpauthtest.Claims{"exp": json.RawMessage("null")}, words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 exp is beyond 2^53", claims: mcpauthtest.Claims{"exp": json.RawMessage("1e300")}, words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 nbf in the future", claims: mcpauthtest.Claims{"nbf": time.Now().Add(time.Hour).Unix()}, words: words(mcpauth.ErrNotYetValid), cause: "not-before"},
	{name: "INTRO-03 iat in the future", claims: mcpauthtest.Claims{"iat": time.Now().Add(time.Hour).Unix()}, words: words(mcpauth.ErrNotYetValid), cause: "clock-behind"},
	{name: "INTRO-03 iat in milliseconds", claims: mcpauthtest.Claims{"iat": time.Now().UnixMilli()}, words: words(mcpauth.ErrNotYetValid), cause: "milliseconds"},
	{name: "INTRO-04 no exp with MaxLifetime", claims: mcpauthtest.Claims{"exp": nil}, change: func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = time.Hour },
		words: words(mcpauth.ErrClaims), cause: "claim-missing"},
	{name: "INTRO-03 beyond MaxLifetime", claims: mcpauthtest.Claims{"exp": time.Now().Add(2 * time.Hour).Unix()}, change: func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = time.Hour },
		words: words(mcpauth.ErrClaims), cause: "lifetime"},
	{name: "INTRO-03 no iat with MaxLifetime", claims: mcpauthtest.Claims{"iat": nil}, change: func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = time.Hour },
		words: words(mcpauth.ErrClaims), cause: "claim-missing"},

	{name: "INTRO-12 only username", claims: mcpauthtest.Claims{"sub": nil, "username": "user-1"}, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 only username, AllowMissingSubject", claims: mcpauthtest.Claims{"sub": nil, "username": "user-1"}, change: allowMissingSubject, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 only username, which is the client's id, AllowMissingSubject", claims: mcpauthtest.Claims{"sub": nil, "username": "client-1"}, change: allowMissingSubject, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 username is a number, AllowMissingSubject", claims: mcpauthtest.Claims{"sub": nil, "username": 7}, change: allowMissingSubject, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 sub is empty", claims: mcpauthtest.Claims{"sub": ""}, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 sub is a number", claims: mcpauthtest.Claims{"sub": 7}, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 sub has a line break", claims: mcpauthtest.Claims{"sub": "user-1\nroot"}, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-12 sub of 3 KiB", claims: mcpauthtest.Claims{"sub": strings.Repeat("s", 3<<10)}, words: words(mcpauth.ErrTokenTooComplex), cause: "token-size"},
	{name: "INTRO-18 neither sub nor client, AllowMissingSubject", claims: mcpauthtest.Claims{"sub": nil, "client_id": nil}, change: allowMissingSubject, words: words(mcpauth.ErrClaims), cause: "subject"},
	{name: "INTRO-18 a subject that looks like a client's", claims: mcpauthtest.Claims{"sub": "client:other"}, change: allowMissingSubject, words: words(mcpauth.ErrClaims), cause: "subject"},

	{name: "INTRO-03 a refresh token of Hydra", claims: mcpauthtest.Claims{"token_use": "refresh_token"}, words: words(mcpauth.ErrTokenType), cause: "token-refresh"},
	{name: "INTRO-03 a refresh token of Keycloak", claims: mcpauthtest.Claims{"typ": "Refresh"}, words: words(mcpauth.ErrTokenType), cause: "token-refresh"},
	{name: "INTRO-03 an offline token of Keycloak", claims: mcpauthtest.Claims{"typ": "Offline"}, words: words(mcpauth.ErrTokenType), cause: "token-refresh"},
	{name: "INTRO-03 an ID token", claims: mcpauthtest.Claims{"typ": "ID"}, words: words(mcpauth.ErrTokenType), cause: "token-id"},
	{name: "INTRO-03 an ID token by its nonce", claims: mcpauthtest.Claims{"nonce": "n"}, words: words(mcpauth.ErrTokenType), cause: "token-id"},
	{name: "INTRO-03 token_type refresh_token", claims: mcpauthtest.Claims{"token_type": "refresh_token"}, words: words(mcpauth.ErrTokenType), cause: "token-type"},
	{name: "INTRO-03 token_type N_A", claims: mcpauthtest.Claims{"token_type": "N_A"}, words: words(mcpauth.ErrTokenType), cause: "token-type"},
	{name: "INTRO-03 token_type mac", claims: mcpauthtest.Claims{"token_type": "mac"}, words: words(mcpauth.ErrTokenType), cause: "token-type"},
	{name: "INTRO-03 token_type is a list", claims: mcpauthtest.Claims{"token_type": []string{"Bearer"}}, words: words(mcpauth.ErrTokenType), cause: "token-type"},
	{name: "INTRO-03 DPoP without cnf", claims: mcpauthtest.Claims{"token_type": "DPoP"}, words: words(mcpauth.ErrSenderConstrained), cause: "token-unbound"},
	{name: "INTRO-03 cnf of a certificate", claims: mcpauthtest.Claims{"cnf": map[string]any{"x5t#S256": "abc"}}, words: words(mcpauth.ErrSenderConstrained), cause: "sender-constrained"},
	{name: "INTRO-03 empty cnf", claims: mcpauthtest.Claims{"cnf": map[string]any{}}, words: words(mcpauth.ErrSenderConstrained), cause: "sender-constrained"},
	{name: "INTRO-03 the tenant is another", claims: mcpauthtest.Claims{"tid": "other"}, change: func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tid": {"mine"}} },
		status: http.StatusForbidden, cause: "required-claim"},
	{name: "INTRO-12 no scope", claims: mcpauthtest.Claims{"scope": nil}, status: http.StatusForbidden, cause: "scopes-none"},
	{name: "INTRO-12 scope is an object", claims: mcpauthtest.Claims{"scope": map[string]any{"mcp:read": true}}, status: http.StatusForbidden, cause: "scopes-none"},
	{name: "INTRO-12 257 scopes", claims: mcpauthtest.Claims{"scope": manyScopes(257)}, words: words(mcpauth.ErrTokenTooComplex), cause: "token-size"},

	{name: "INTRO-11 active stands twice", raw: `{"active":false,"active":true,"sub":"u","aud":"` + testResource + `","scope":"mcp:read"}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 aud stands twice", raw: `{"active":true,"sub":"u","aud":"` + testResource + `","\u0061ud":"x","scope":"mcp:read"}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 two objects", raw: `{"active":true}{"active":true}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 a list", raw: `[{"active":true}]`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 true", raw: `true`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 a comment", raw: `{"active":true/**/}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 not UTF-8", raw: "{\"active\":true,\"sub\":\"\xff\"}", status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 deep", raw: `{"active":true,"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 more than 64 KiB", raw: `{"active":true,"a":"` + strings.Repeat("a", 64<<10) + `"}`, status: 503, cause: "introspection-answer"},
	{name: "INTRO-11 a signed answer", raw: "eyJhbGciOiJSUzI1NiJ9.eyJhY3RpdmUiOnRydWV9.AA", status: 503, cause: "introspection-answer"},

	{name: "INTRO-16 INTRO-09 an expired JWT", silent: true, token: func(f *fixture) string {
		return f.rescued(f.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}))
	}, words: words(mcpauth.ErrExpired), cause: "expired"},
	{name: "INTRO-16 a JWT with a broken signature", silent: true, token: func(f *fixture) string {
		token := f.token(nil)
		return f.rescued(token[:len(token)-8] + "AAAAAAAA")
	}, words: words(mcpauth.ErrSignature), cause: "signature"},
	{name: "INTRO-16 a JWT without a signature", silent: true, token: func(f *fixture) string {
		token := f.token(nil)
		return f.rescued(token[:strings.LastIndexByte(token, '.')+1])
	}, words: words(mcpauth.ErrMalformedToken), cause: "token-malformed"},
	{name: "INTRO-16 a JWT without its signature part", silent: true, token: func(f *fixture) string {
		token := f.token(nil)
		return f.rescued(token[:strings.LastIndexByte(token, '.')])
	}, words: words(mcpauth.ErrMalformedToken), cause: "token-opaque"},
	{name: "INTRO-16 a JWT whose header is padded", silent: true, token: func(f *fixture) string {
		return f.rescued(base64.URLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30.AA")
	}, words: words(mcpauth.ErrMalformedToken), cause: "token-malformed"},
	{name: "INTRO-16 a JWT whose header names alg otherwise", silent: true, token: func(f *fixture) string {
		return f.rescued(base64.StdEncoding.EncodeToString([]byte(` {"ALG":"RS256"} `)) + ".e30.AA")
	}, words: words(mcpauth.ErrMalformedToken), cause: "token-malformed"},
	{name: "INTRO-16 a JWT whose header escapes alg", silent: true, token: func(f *fixture) string {
		return f.rescued(base64.RawURLEncoding.EncodeToString([]byte(`{"\u0061lg":"none"}`)) + ".e30.AA")
	}, words: words(mcpauth.ErrAlgorithm), cause: "token-unsigned"},
	{name: "INTRO-16 a JWT whose header breaks off", silent: true, token: func(f *fixture) string {
		return f.rescued(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256`)) + ".e30.AA")
	}, words: words(mcpauth.ErrMalformedToken), cause: "token-malformed"},
	{name: "INTRO-15 no b64token", silent: true, token: func(f *fixture) string { return f.rescued("opaque_\u00e9") }, words: words(mcpauth.ErrMalformedToken), cause: "token-opaque"},
	{name: "INTRO-15 padding in the middle", silent: true, token: func(f *fixture) string { return f.rescued("opaque_a=b") }, words: words(mcpauth.ErrMalformedToken), cause: "token-opaque"},
	{name: "INTRO-15 4,097 bytes", silent: true, token: func(f *fixture) string { return f.rescued(strings.Repeat("o", 4097)) }, words: words(mcpauth.ErrTokenTooComplex), cause: "token-size"},
	{name: "INTRO-17 another prefix", silent: true, change: func(c *mcpauth.Config) { c.Issuers[0].Introspect.Prefix = "other_" }, words: words(mcpauth.ErrRevoked), cause: "opaque-prefix"},

	{name: "INTRO-07 our credentials are wrong", change: func(c *mcpauth.Config) {
		c.Issuers[0].Introspect.Client = clientauth.SecretBasic("resource-server", "wrong")
	}, status: 503, cause: "introspection-credentials"},
	{name: "INTRO-06 no endpoint", change: func(c *mcpauth.Config) { c.Issuers[0].Introspect.Endpoint = testIssuerURL + "/nothing" }, status: 503, cause: "introspection-answer", silent: true},
}

func allowMissingSubject(c *mcpauth.Config) { c.Issuers[0].AllowMissingSubject = true }

// rescued makes a token one that the issuer would call good if it were asked.
func (f *fixture) rescued(token string) string {
	f.issuer.Answer(token, `{"active":true,"sub":"user-1","client_id":"c","aud":"`+testResource+`","scope":"mcp:read"}`)
	return token
}

// TestIntrospectionAttacks_INTRO_03: none is accepted, the log says why, and no text has the token.
func TestIntrospectionAttacks_INTRO_03(t *testing.T) {
	for _, row := range introspectionAttacks {
		t.Run(row.name, func(t *testing.T) {
			f := newOpaqueFixture(t, row.change)
			token := ""
			switch {
			case row.token != nil:
				token = row.token(f)
			case row.raw != "":
				token = f.answered(row.raw)
			default:
				token = f.opaque(row.claims)
			}
			for range 2 { // the second time it is remembered
				w := f.call(token, "echo")
				assert.Zero(t, f.ran, "accepted")
				want := row.status
				if want == 0 {
					want = http.StatusUnauthorized
					assert.Equal(t, invalidToken(row.words), w.Header().Get("WWW-Authenticate"))
				}
				assert.Equal(t, want, w.Code, "body %s", w.Body)
				assert.Equal(t, want == 503, w.Header().Get("Retry-After") != "")
				assert.NotContains(t, w.Body.String(), hidden)
			}
			log := f.log.String()
			refusals := regexp.MustCompile(`msg="mcpauth: request refused" .* cause=` + row.cause + " ")
			assert.Len(t, refusals.FindAllString(log, -1), 2, log)
			assert.NotContains(t, log, hidden)
			if row.silent {
				assert.Zero(t, f.questions())
			} else if row.status != 503 && row.cause != "scopes-none" {
				assert.Equal(t, 1, f.questions(), "INTRO-21: junk is not looked up twice")
			}
		})
	}
	t.Logf("%d attacks", len(introspectionAttacks))
}
