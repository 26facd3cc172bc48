package mcpauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	manyChallenge = `Bearer error="invalid_request", error_description="more than one credential", resource_metadata="` + testMetadataURL + `"`
	bareBody      = `{"error_description":"authorization required"}`
)

// TestExtraction is about where a token stands in a request, and whether.
func TestExtraction(t *testing.T) {
	const served, bare, many = "served", bareChallenge, manyChallenge
	set := func(values ...string) func(*http.Request, string) {
		return func(r *http.Request, token string) {
			for _, value := range values {
				r.Header["Authorization"] = append(r.Header["Authorization"], strings.ReplaceAll(value, "AT", token))
			}
		}
	}
	query := func(query string, authorization ...string) func(*http.Request, string) {
		return func(r *http.Request, token string) {
			r.URL.RawQuery = strings.ReplaceAll(query, "AT", token)
			r.RequestURI = r.URL.RequestURI()
			set(authorization...)(r, token)
		}
	}
	elsewhere := func(name string, value string) func(*http.Request, string) {
		return func(r *http.Request, token string) { r.Header.Set(name, strings.ReplaceAll(value, "AT", token)) }
	}
	tests := []struct {
		name   string
		change func(r *http.Request, token string)
		want   string
	}{
		{"TOK-01 Bearer", set("Bearer AT"), served},
		{"TOK-01 case and spaces", set("bEaReR  AT"), served},
		{"TOK-01 many spaces", set("BEARER      AT  "), served},
		{"TOK-01 no space", set("BearerAT"), bare},
		{"TOK-01 no scheme", set("AT"), bare},
		{"TOK-01 colon", set("Bearer: AT"), bare},
		{"TOK-01 tab for a space", set("Bearer\tAT"), bare},
		{"TOK-01 space in front", set(" Bearer AT"), bare},
		{"TOK-02 JSON", set(`Bearer {"protected":"x"}`), invalidToken("malformed token")},
		{"TOK-02 tab inside", set("Bearer \tAT"), invalidToken("malformed token")},
		{"TOK-02 UTF-8 inside", set("Bearer ATé"), invalidToken("malformed token")},
		{"TOK-02 NUL inside", set("Bearer AT\x00"), invalidToken("malformed token")},
		{"TOK-03 twice the same", set("Bearer AT", "Bearer AT"), many},
		{"TOK-03 Basic and Bearer", set("Basic dTpw", "Bearer AT"), many},
		{"TOK-03 Bearer and nothing", set("Bearer AT", ""), many},
		{"TOK-03 two that are no credentials", set("", ""), many},
		{"TOK-04 query alone", query("access_token=AT"), bare},
		{"TOK-04 query and others", query("a=b&access_token=AT&c=d"), bare},
		{"TOK-04 query, encoded name", query("%61ccess%5Ftoken=AT"), bare},
		{"TOK-04 query behind a semicolon", query("a=b;access_token=AT"), bare},
		{"TOK-04 query without value", query("access_token"), bare},
		{"TOK-04 query and header", query("access_token=AT", "Bearer AT"), many},
		{"TOK-04 empty query token and header", query("access_token=", "Bearer AT"), many},
		{"TOK-04 another parameter and header", query("access_tokens=1&token=2&x=access_token", "Bearer AT"), served},
		{"TOK-05 form body", func(r *http.Request, token string) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = io.NopCloser(strings.NewReader("access_token=" + url.QueryEscape(token)))
		}, bare},
		{"TOK-05 JSON body", func(r *http.Request, token string) {
			r.Body = io.NopCloser(strings.NewReader(`{"access_token":"` + token + `"}`))
		}, bare},
		{"TOK-05 cookie", elsewhere("Cookie", "access_token=AT; Authorization=Bearer AT"), bare},
		{"TOK-05 X-Access-Token", elsewhere("X-Access-Token", "AT"), bare},
		{"TOK-05 X-Forwarded-Authorization", elsewhere("X-Forwarded-Authorization", "Bearer AT"), bare},
		{"TOK-05 Sec-WebSocket-Protocol", elsewhere("Sec-WebSocket-Protocol", "bearer, AT"), bare},
		{"TOK-05 Proxy-Authorization", elsewhere("Proxy-Authorization", "Bearer AT"), bare},
		{"TOK-05 a trailer", func(r *http.Request, token string) { r.Trailer = http.Header{"Authorization": {"Bearer " + token}} }, bare},
		{"TOK-05 user information", func(r *http.Request, token string) { r.URL.User = url.UserPassword("Bearer", token) }, bare},
		{"TOK-06 nothing", set(), bare},
		{"TOK-06 empty header", set(""), bare},
		{"TOK-06 Bearer alone", set("Bearer"), bare},
		{"TOK-06 Bearer and a space", set("Bearer "), bare},
		{"TOK-06 Basic", set("Basic dXNlcjpwYXNz"), bare},
		{"TOK-06 Negotiate", set("Negotiate YII="), bare},
		{"TOK-06 DPoP", set("DPoP AT"), bare},
		{"TOK-06 unknown scheme", set("Bearer2 AT"), bare},
		{"TOK-06 a scheme of another alphabet", set("\u0412earer AT"), bare},
		{"TOK-07 two behind a comma", set("Bearer AT, Bearer AT"), many},
		{"TOK-07 comma without space", set("Bearer AT,AT"), many},
		{"TOK-07 comma at the end", set("Bearer AT,"), many},
		{"TOK-07 comma and Basic", set("Bearer AT, Basic dTpw"), many},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, nil)
			token := f.token(nil)
			r := f.request(http.MethodPost, "/mcp", "", modernCall("echo"), modernHeaders("tools/call", "echo")...)
			test.change(r, token)
			w := f.serve(r)
			assert.NotContains(t, f.log.String(), token)
			assert.NotContains(t, w.Body.String(), token)
			switch test.want {
			case served:
				f.served(w)
			case bare:
				f.refused(w, http.StatusUnauthorized, bare)
				assert.Equal(t, bareBody, w.Body.String())
			case many:
				f.refused(w, http.StatusBadRequest, many)
				assert.Contains(t, w.Body.String(), `"jsonrpc":"2.0"`)
				assert.NotContains(t, w.Body.String(), `"id"`)
			default:
				f.refused(w, http.StatusUnauthorized, test.want)
			}
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		})
	}
}

func TestEveryMethodAndPathNeedsAToken_TOK_08_TOK_09(t *testing.T) {
	f := newFixture(t, nil)
	for _, method := range []string{"POST", "GET", "DELETE", "PUT", "PATCH", "HEAD", "TRACE", "BREW"} {
		for _, path := range []string{"/mcp", "/mcp/", "/mcp_message", "/sse", "/", "/admin", "/healthz", "/.well-known", "/mcp/../sse"} {
			w := f.do(method, path, "", modernCall("echo"), "Mcp-Session-Id: 0123456789abcdef")
			f.refused(w, http.StatusUnauthorized, bareChallenge)
			w = f.do(method, path, "x.y.z", modernCall("echo"), "Mcp-Session-Id: 0123456789abcdef")
			if method == "POST" || method == "GET" || method == "DELETE" {
				f.refused(w, http.StatusUnauthorized, invalidToken("malformed token"))
			} else {
				f.refused(w, http.StatusMethodNotAllowed, "")
				assert.Equal(t, "POST, GET, DELETE", w.Header().Get("Allow"))
			}
		}
	}
}

func TestNothingIsOpenByBeingEmpty_TOK_10(t *testing.T) {
	_, err := mcpauth.New(mcpauth.Config{})
	require.Error(t, err)
	for _, field := range []string{"Resource", "Issuers"} {
		assert.ErrorContains(t, err, "Config."+field)
	}

	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for name, change := range map[string]func(*mcpauth.Issuer){
		"Audiences":     func(i *mcpauth.Issuer) { i.Audiences = []string{} },
		"Algorithms":    func(i *mcpauth.Issuer) { i.Algorithms = []string{} },
		"TokenTypes":    func(i *mcpauth.Issuer) { i.TokenTypes = []string{} },
		"RequireClaims": func(i *mcpauth.Issuer) { i.RequireClaims = map[string][]string{"tid": {}} },
		"Keys":          func(i *mcpauth.Issuer) { i.Keys = []byte{} },
	} {
		config := testConfig(issuer)
		change(&config.Issuers[0])
		_, err := mcpauth.New(config)
		assert.ErrorContains(t, err, "Config.Issuers[0]."+name)
	}

	for name, policy := range map[string]mcpauth.Policy{"nil": nil, "no rules": mcpauth.Rules{}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Policy = policy })
			f.refused(f.call(f.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin *"}), "echo"), http.StatusForbidden, "")
		})
	}
}

func TestOptions_TOK_11(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com"} })
	for name, headers := range map[string][]string{
		"plain":                 nil,
		"with a token":          {"Authorization: Bearer " + f.token(nil)},
		"origin alone":          {"Origin: https://app.example.com"},
		"requested method only": {"Access-Control-Request-Method: POST"},
	} {
		w := f.do(http.MethodOptions, "/mcp", "", "", headers...)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, name)
		assert.Zero(t, f.ran, name)
	}
	w := f.do(http.MethodOptions, "/mcp", "", "", "Origin: https://app.example.com", "Access-Control-Request-Method: POST")
	assert.Equal(t, http.StatusNoContent, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Zero(t, f.ran)
}

// countingBody fails the test when a byte of it is asked for.
type countingBody struct{ reads int }

func (b *countingBody) Read([]byte) (int, error) { b.reads++; return 0, io.EOF }
func (b *countingBody) Close() error             { return nil }

func TestBodyOfARefusedRequestIsNotRead_TOK_12(t *testing.T) {
	f := newFixture(t, nil)
	for name, token := range map[string]string{
		"none": "", "malformed": "x.y.z", "expired": f.token(mcpauthtest.Claims{"exp": 1}), "bad signature": f.token(nil) + "AAAA",
	} {
		body := &countingBody{}
		r := f.request(http.MethodPost, "/mcp", token, "", "Expect: 100-continue")
		r.Body, r.ContentLength = body, 1<<30
		w := f.serve(r)
		assert.Equal(t, http.StatusUnauthorized, w.Code, name)
		assert.Zero(t, body.reads, name)
		assert.Zero(t, f.ran, name)
	}
}

// TestExpectContinue asks a real server: the client is told before it sends.
func TestExpectContinue_TOK_12(t *testing.T) {
	f := newFixture(t, nil)
	server := httptest.NewServer(f.handler)
	defer server.Close()
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	body := &countingBody{}
	r, err := http.NewRequest(http.MethodPost, server.URL+"/mcp", body)
	require.NoError(t, err)
	r.ContentLength = 1 << 30
	r.Header.Set("Expect", "100-continue")
	response, err := transport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	assert.Zero(t, body.reads)
}

// TestDotsCostNothing: what is refused before base64 allocates as much for
// 16,000 bytes as for three.
func TestDotsCostNothing_TOK_20_LIMITS_01(t *testing.T) {
	f := newFixture(t, nil)
	allocs := func(token string) float64 {
		r := f.request(http.MethodPost, "/mcp", token, "")
		return testing.AllocsPerRun(100, func() {
			if _, err := f.auth.Authenticate(r); err == nil {
				t.Fatal("accepted")
			}
		})
	}
	few := allocs("...")
	const noise = 2 // of the race detector
	assert.InDelta(t, few, allocs(strings.Repeat(".", 16000)), noise)
	assert.LessOrEqual(t, allocs(strings.Repeat("?", 17<<10)), few+noise, "longer than 16 KiB is refused unread")
	assert.LessOrEqual(t, few, 8.0)
}

// TestTimes is about the second at which a token begins and ends to be good.
func TestTimes(t *testing.T) {
	tests := []struct {
		name   string
		leeway time.Duration
		claims map[string]int // seconds from now
		want   mcpauth.Reason // "" for served
	}{
		{"TOK-51 exp 29 seconds ago", 0, map[string]int{"exp": -29}, ""},
		{"TOK-51 exp 30 seconds ago", 0, map[string]int{"exp": -30}, expired},
		{"TOK-51 TOK-54 exp 4 minutes ago, leeway 5", 5 * time.Minute, map[string]int{"exp": -299}, ""},
		{"TOK-51 TOK-54 exp 5 minutes ago, leeway 5", 5 * time.Minute, map[string]int{"exp": -300}, expired},
		{"TOK-51 TOK-54 exp now, leeway a nanosecond", 1, map[string]int{"exp": 0}, ""},
		{"TOK-51 TOK-54 exp a second ago, leeway a nanosecond", 1, map[string]int{"exp": -1}, expired},
		{"TOK-52 nbf in 30 seconds", 0, map[string]int{"nbf": 30}, ""},
		{"TOK-52 nbf in 31 seconds", 0, map[string]int{"nbf": 31}, notYetValid},
		{"TOK-52 nbf in the past", 0, map[string]int{"nbf": -1000}, ""},
		{"TOK-53 iat in 2 seconds", 0, map[string]int{"iat": 2}, ""},
		{"TOK-53 iat in 30 seconds", 0, map[string]int{"iat": 30}, ""},
		{"TOK-53 iat in 31 seconds", 0, map[string]int{"iat": 31}, notYetValid},
		{"TOK-53 iat years ago", 0, map[string]int{"iat": -1e8}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = test.leeway })
				claims := mcpauthtest.Claims{}
				for name, seconds := range test.claims {
					claims[name] = time.Now().Unix() + int64(seconds)
				}
				w := f.call(f.token(claims), "echo")
				if test.want == "" {
					f.served(w)
				} else {
					f.refused(w, http.StatusUnauthorized, invalidToken(string(test.want)))
				}
			})
		})
	}
}

// TestFractions: a NumericDate may have a fraction (RFC 7519 section 2), and
// it counts.
// A token may say that it never ends. Its principal can be written down all the same.
func TestFarExpiry_TOK_50(t *testing.T) {
	f := newFixture(t, nil)
	for _, exp := range []string{"9007199254740991", "4503599627370496.5", "253402300800", "253402300799", "1e15"} {
		token := f.token(mcpauthtest.Claims{"exp": json.RawMessage(exp), "auth_time": json.RawMessage(exp)})
		f.served(f.call(token, "echo"))
		p, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
		require.NoError(t, err, exp)
		p.Expiry, p.AuthTime = p.Expiry.In(time.FixedZone("east", 14*60*60)), p.AuthTime.In(time.FixedZone("east", 14*60*60))
		_, err = json.Marshal(p)
		require.NoError(t, err, exp)
		assert.Equal(t, 9999, p.Expiry.UTC().Year(), exp)
		assert.Equal(t, 9999, p.AuthTime.UTC().Year(), exp)
	}
	f.refused(f.call(f.token(mcpauthtest.Claims{"exp": json.RawMessage("9007199254740992")}), "echo"), http.StatusUnauthorized, invalidToken("claim missing or malformed"))
}

func TestFractions_TOK_50_TOK_51(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = 1 })
		token := f.token(mcpauthtest.Claims{"exp": float64(time.Now().Unix()) + 0.5})
		f.served(f.call(token, "echo"))
		time.Sleep(499 * time.Millisecond)
		f.served(f.call(token, "echo"))
		time.Sleep(2 * time.Millisecond)
		f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken("token expired"))
	})
}

func TestLeewayBounds_TOK_54(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for leeway, good := range map[time.Duration]bool{-1: false, 10 * time.Minute: false, 5*time.Minute + 1: false, 0: true, time.Second: true, 5 * time.Minute: true} {
		config := testConfig(issuer)
		config.Leeway = leeway
		_, err := mcpauth.New(config)
		if good {
			assert.NoError(t, err, "%s", leeway)
		} else {
			assert.ErrorContains(t, err, "Config.Leeway", "%s", leeway)
		}
	}
}

// verified returns the principal of a token under a changed issuer.
func verified(t *testing.T, change func(*mcpauth.Issuer), token func(*fixture) string) (*mcpauth.Principal, error) {
	t.Helper()
	f := newFixture(t, func(c *mcpauth.Config) {
		if change != nil {
			change(&c.Issuers[0])
		}
	})
	p, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token(f), ""))
	if err != nil {
		require.Nil(t, p)
		var denied *mcpauth.DeniedError
		require.ErrorAs(t, err, &denied)
	}
	return p, err
}

// raw makes a token with this header and the usual claims, changed.
func raw(head string, claims mcpauthtest.Claims) func(*fixture) string {
	return func(f *fixture) string {
		_, payload, _ := parts(f.token(claims))
		return f.issuer.Sign(head, string(unb64(payload)))
	}
}

// usual makes a token with the usual header.
func usual(claims mcpauthtest.Claims) func(*fixture) string {
	return func(f *fixture) string { return f.token(claims) }
}

func TestStrictTokenType_TOK_34_TOK_53(t *testing.T) {
	strict := func(i *mcpauth.Issuer) { i.TokenTypes = []string{"at+jwt"} }
	configured := func(i *mcpauth.Issuer) { i.TokenTypes = []string{"application/Okta-Internal-AT+jwt", "JWT"} }
	none := mcpauthtest.Claims{}
	tests := []struct {
		name   string
		issuer func(*mcpauth.Issuer)
		header string
		claims mcpauthtest.Claims
		want   error
	}{
		{"TOK-34 strict, at+jwt", strict, `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, none, nil},
		{"TOK-34 strict, application/AT+JWT", strict, `{"alg":"RS256","kid":"k1","typ":"application/AT+JWT"}`, none, nil},
		{"TOK-34 strict, JWT", strict, `{"alg":"RS256","kid":"k1","typ":"JWT"}`, none, tokenType},
		{"TOK-34 strict, absent", strict, `{"alg":"RS256","kid":"k1"}`, none, tokenType},
		{"TOK-34 compatible, JWT", nil, `{"alg":"RS256","kid":"k1","typ":"JWT"}`, none, nil},
		{"TOK-34 compatible, absent", nil, `{"alg":"RS256","kid":"k1"}`, none, nil},
		{"TOK-34 configured, in another case", configured, `{"alg":"RS256","kid":"k1","typ":"okta-internal-at+JWT"}`, none, nil},
		{"TOK-34 configured, JWT", configured, `{"alg":"RS256","kid":"k1","typ":"jwt"}`, none, nil},
		{"TOK-34 configured, at+jwt is not", configured, `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, none, tokenType},
		{"TOK-34 configured, absent is not", configured, `{"alg":"RS256","kid":"k1"}`, none, tokenType},
		{"TOK-34 configured, the Kelvin sign is no k", configured, `{"alg":"RS256","kid":"k1","typ":"o\u212ata-internal-at+jwt"}`, none, tokenType},
		{"TOK-53 strict, no iat", strict, `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, mcpauthtest.Claims{"iat": nil}, badClaims},
		{"TOK-53 compatible, no iat", nil, `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, mcpauthtest.Claims{"iat": nil}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := verified(t, test.issuer, raw(test.header, test.claims))
			assert.ErrorIs(t, err, test.want)
		})
	}
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for _, typ := range forbidden {
		config := testConfig(issuer)
		config.Issuers[0].TokenTypes = []string{"at+jwt", "application/" + strings.ToUpper(typ)}
		_, err := mcpauth.New(config)
		assert.ErrorContains(t, err, "Config.Issuers[0].TokenTypes[1]", "TOK-35: %s cannot be configured", typ)
	}
}

func TestAlgorithmsOfAnIssuer_TOK_32_TOK_33(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for _, alg := range []string{"HS256", "HS384", "HS512", "none", "", "rs256", "RS1", "*"} {
		config := testConfig(issuer)
		config.Issuers[0].Algorithms = []string{"RS256", alg}
		_, err := mcpauth.New(config)
		assert.ErrorContains(t, err, "Config.Issuers[0].Algorithms[1]", alg)
	}
	es := func(i *mcpauth.Issuer) { i.Algorithms = []string{"ES256", "PS256"} }
	_, err := verified(t, es, usual(nil))
	assert.ErrorIs(t, err, algorithm)
	_, err = verified(t, es, func(f *fixture) string {
		f.issuer.Rotate(mcpauthtest.NewKey("es", "ES256"))
		return f.token(nil)
	})
	assert.NoError(t, err)
}

// TestIDTokens: the heuristics in detail, with the ways past them.
func TestIDTokens_TOK_36(t *testing.T) {
	client := func(more func(*mcpauth.Issuer)) func(*mcpauth.Issuer) {
		return func(i *mcpauth.Issuer) {
			i.Audiences = []string{testResource, "client-1", "urn:api", "https://api.example.com"}
			if more != nil {
				more(i)
			}
		}
	}
	roles := client(func(i *mcpauth.Issuer) {
		i.Claims = mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"reader": {"mcp:read"}}}
	})
	permissions := client(func(i *mcpauth.Issuer) { i.Claims = mcpauth.ClaimMap{Scopes: []string{"permissions"}} })
	allow := client(func(i *mcpauth.Issuer) { i.AllowIDTokenClaims = true })
	bare := func(more ...any) mcpauthtest.Claims {
		c := mcpauthtest.Claims{"aud": "client-1", "scope": nil, "client_id": nil}
		for i := 0; i < len(more); i += 2 {
			c[more[i].(string)] = more[i+1]
		}
		return c
	}
	tests := []struct {
		name   string
		issuer func(*mcpauth.Issuer)
		claims mcpauthtest.Claims
		want   error
	}{
		{"aud is a client, nothing else", client(nil), bare(), tokenType},
		{"aud is a URN", client(nil), bare("aud", "urn:api"), tokenType},
		{"scope", client(nil), bare("scope", "mcp:read"), nil},
		{"scp", client(nil), bare("scp", []string{"mcp:read"}), nil},
		{"client_id", client(nil), bare("client_id", "client-1"), nil},
		{"client_id that is a number", client(nil), bare("client_id", 1), tokenType},
		{"azp alone", client(nil), bare("azp", "client-1"), tokenType},
		{"aud is a URL, nothing else", client(nil), bare("aud", "https://api.example.com", "jti", nil), tokenType},
		{"aud is the resource, nothing else", nil, bare("aud", testResource, "jti", nil, "email", "user@example.com"), tokenType},
		{"aud is the resource, in an array", nil, bare("aud", []string{testResource}, "jti", nil), tokenType},
		{"aud is the resource, and a jti", nil, bare("aud", testResource, "jti", "1"), nil},
		{"aud is the resource, and an empty jti", nil, bare("aud", testResource, "jti", ""), tokenType},
		{"aud is the resource, and a client_id", nil, bare("aud", testResource, "jti", nil, "client_id", "client-1"), nil},
		{"aud is the resource, and an azp", nil, bare("aud", testResource, "jti", nil, "azp", "client-1"), nil},
		{"aud is the resource, and a cid", nil, bare("aud", testResource, "jti", nil, "cid", "client-1"), nil},
		{"aud is the resource, and an appid", nil, bare("aud", testResource, "jti", nil, "appid", "client-1"), nil},
		{"aud is the resource, and a client by another name", mapClient("oauth_client"), bare("aud", testResource, "jti", nil, "oauth_client", "client-1"), nil},
		{"aud is the resource, and an empty scope", nil, bare("aud", testResource, "jti", nil, "scope", ""), nil},
		{"aud is the resource, and roles", roles, bare("aud", testResource, "jti", nil, "roles", []string{}), nil},
		{"aud is the resource, and roles that are not mapped", nil, bare("aud", testResource, "jti", nil, "roles", []string{"reader"}), tokenType},
		{"aud is the resource, and permissions", permissions, bare("aud", testResource, "jti", nil, "permissions", []string{"mcp:read"}), nil},
		{"aud is the resource, nothing else, allowed", allow, bare("aud", testResource, "jti", nil), nil},
		{"it says so, as Cognito's", nil, mcpauthtest.Claims{"token_use": "id"}, tokenType},
		{"it says so, as Keycloak's", nil, mcpauthtest.Claims{"typ": "ID", "azp": "client-1"}, tokenType},
		{"it says that it is none, as Cognito's", nil, mcpauthtest.Claims{"token_use": "access"}, nil},
		{"it says that it is none, as Keycloak's", nil, mcpauthtest.Claims{"typ": "Bearer"}, nil},
		{"a typ that is no string", nil, mcpauthtest.Claims{"typ": []string{"ID"}}, nil},
		{"it says so, allowed", allow, mcpauthtest.Claims{"token_use": "id"}, tokenType},
		{"aud has a URL that is not ours", client(nil), bare("aud", []string{"client-1", "https://other.example"}), tokenType},
		{"a scope claim of its own", permissions, bare("permissions", []string{"mcp:read"}), nil},
		{"scope that is not mapped", permissions, bare("scope", "mcp:read"), nil},
		{"scp that is not mapped", permissions, bare("scp", "mcp:read"), nil},
		{"without that claim", permissions, bare("azp", "client-1"), tokenType},
		{"roles, client known", roles, bare("roles", []string{"reader"}, "azp", "client-2"), nil},
		{"roles, client unknown", roles, bare("roles", []string{"reader"}), tokenType},
		{"roles that are not mapped", client(nil), bare("roles", []string{"reader"}, "azp", "client-2"), tokenType},
		{"nonce", nil, mcpauthtest.Claims{"nonce": "n"}, tokenType},
		{"nonce, allowed", allow, mcpauthtest.Claims{"nonce": "n"}, nil},
		{"at_hash, c_hash and s_hash, allowed", allow, mcpauthtest.Claims{"at_hash": "x", "c_hash": "x", "s_hash": "x"}, nil},
		{"no mark at all, allowed", allow, bare(), nil},
		{"a nonce inside another claim", nil, mcpauthtest.Claims{"x": map[string]string{"nonce": "n"}}, nil},
		{"Nonce is another claim", nil, mcpauthtest.Claims{"Nonce": "n"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := verified(t, test.issuer, raw(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, test.claims))
			assert.ErrorIs(t, err, test.want)
		})
	}
}

func TestNothingIsBelievedBeforeTheSignature_TOK_43(t *testing.T) {
	var decisions []mcpauth.Decision
	asked := 0
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
		c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { asked++; return false, nil }
		c.Issuers[0].RequireClaims = map[string][]string{"tid": {"tenant-1"}}
	})
	forged := mcpauthtest.NewKey("forged", "RS256")
	forged.ID = "k1"
	head, payload, _ := parts(f.token(mcpauthtest.Claims{"sub": "root", "scope": "mcp:read mcp:admin", "tid": "tenant-1", "email": "claim-value@example.com"}))
	f.refused(f.call(forged.Sign(string(unb64(head)), string(unb64(payload))), "echo"), http.StatusUnauthorized, invalidToken("signature invalid"))
	require.Len(t, decisions, 1)
	assert.Nil(t, decisions[0].Principal)
	assert.Nil(t, decisions[0].Calls)
	assert.ErrorIs(t, decisions[0].Err, mcpauth.ErrSignature)
	assert.Zero(t, asked, "the revocation function was asked about a stranger")
	assert.NotContains(t, f.log.String(), "root")
	assert.NotContains(t, f.log.String(), "tenant-1\"")
	assert.NotContains(t, f.log.String(), "claim-value")

	// With the tenant wrong as well, the signature is still what counts.
	f.refused(f.call(forged.Sign(string(unb64(head)), `{"iss":"`+testIssuerURL+`","aud":"`+testResource+`","exp":9000000000,"sub":"root"}`), "echo"),
		http.StatusUnauthorized, invalidToken("signature invalid"))
}

// TestLogInjection: what a stranger writes into a token stays on one line of
// the log, quoted and short.
func TestLogInjection_TOK_43(t *testing.T) {
	const poison = "x\nlevel=ERROR msg=\"all is well\"\r\u2028\u202e\u0000\x1b[31m"
	long := strings.Repeat("L", 4000)
	for name, token := range map[string]func(*fixture) string{
		"iss":      usual(mcpauthtest.Claims{"iss": poison}),
		"aud":      usual(mcpauthtest.Claims{"aud": []string{poison, long}}),
		"typ":      raw(`{"alg":"RS256","kid":"k1","typ":`+quote(poison)+`}`, nil),
		"kid":      raw(`{"alg":"RS256","kid":"k\u2028level=ERROR\u202e"}`, nil),
		"long iss": usual(mcpauthtest.Claims{"iss": long}),
		"a name":   func(f *fixture) string { return f.issuer.Sign(header(), `{"`+strings.Repeat("n", 4000)+`\n":nul}`) },
	} {
		f := newFixture(t, nil)
		w := f.call(token(f), "echo")
		assert.Equal(t, http.StatusUnauthorized, w.Code, name)
		var lines []string
		for line := range strings.Lines(f.log.String()) {
			if strings.Contains(line, "request refused") {
				lines = append(lines, line)
			}
		}
		require.Len(t, lines, 1, name)
		assert.Equal(t, strings.Count(f.log.String(), "\n"), strings.Count(f.log.String(), "level="+"INFO")+strings.Count(f.log.String(), "level="+"WARN"), name)
		for _, control := range []string{"\r", "\u2028", "\u202e", "\x00", "\x1b"} {
			assert.NotContains(t, f.log.String(), control, name)
		}
		assert.Less(t, len(lines[0]), 1200, name)
	}
}

func TestLifetime_TOK_55(t *testing.T) {
	day := func(i *mcpauth.Issuer) { i.MaxLifetime = 24 * time.Hour }
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		claims mcpauthtest.Claims
		want   error
	}{
		"ten years":          {mcpauthtest.Claims{"exp": now + 10*365*86400}, badClaims},
		"the end of time":    {mcpauthtest.Claims{"exp": int64(1)<<53 - 1}, badClaims},
		"a second too much":  {mcpauthtest.Claims{"iat": now, "exp": now + 86401}, badClaims},
		"a day":              {mcpauthtest.Claims{"iat": now, "exp": now + 86400}, nil},
		"without iat":        {mcpauthtest.Claims{"iat": nil}, badClaims},
		"iat long ago":       {mcpauthtest.Claims{"iat": 0}, badClaims},
		"exp earlier as iat": {mcpauthtest.Claims{"iat": now + 20, "exp": now + 10}, nil},
	} {
		_, err := verified(t, day, usual(test.claims))
		assert.ErrorIs(t, err, test.want, name)
	}
	_, err := verified(t, nil, usual(mcpauthtest.Claims{"exp": now + 10*365*86400}))
	assert.NoError(t, err, "without MaxLifetime there is no limit")
}

func TestSubject_TOK_57_TOK_58(t *testing.T) {
	missing := func(i *mcpauth.Issuer) { i.AllowMissingSubject = true }
	type want struct {
		subject, client string
		isClient        bool
	}
	tests := []struct {
		name   string
		issuer func(*mcpauth.Issuer)
		claims mcpauthtest.Claims
		want   want
		err    error
	}{
		{"TOK-57 255 bytes", nil, mcpauthtest.Claims{"sub": strings.Repeat("u", 255)}, want{strings.Repeat("u", 255), "client-1", false}, nil},
		{"TOK-57 290 bytes", nil, mcpauthtest.Claims{"sub": strings.Repeat("u", 290)}, want{strings.Repeat("u", 290), "client-1", false}, nil},
		{"TOK-57 2,048 bytes", nil, mcpauthtest.Claims{"sub": strings.Repeat("u", 2048)}, want{strings.Repeat("u", 2048), "client-1", false}, nil},
		{"TOK-57 2,049 bytes", nil, mcpauthtest.Claims{"sub": strings.Repeat("u", 2049)}, want{}, mcpauth.ErrTokenTooComplex},
		{"TOK-57 letters of the world", nil, mcpauthtest.Claims{"sub": "用户 ü@x"}, want{"用户 ü@x", "client-1", false}, nil},
		{"TOK-57 missing", nil, mcpauthtest.Claims{"sub": nil}, want{}, badClaims},
		{"TOK-57 missing, allowed", missing, mcpauthtest.Claims{"sub": nil}, want{"client:client-1", "client-1", true}, nil},
		{"TOK-57 missing, allowed, no client", missing, mcpauthtest.Claims{"sub": nil, "client_id": nil}, want{}, badClaims},
		{"TOK-57 missing, allowed, empty client", missing, mcpauthtest.Claims{"sub": nil, "client_id": ""}, want{}, badClaims},
		{"TOK-57 missing, allowed, control character in the client", missing, mcpauthtest.Claims{"sub": nil, "client_id": "a\nb"}, want{}, badClaims},
		{"TOK-57 missing, allowed, endless client", missing, mcpauthtest.Claims{"sub": nil, "client_id": strings.Repeat("c", 2049)}, want{}, badClaims},
		{"TOK-57 null is not missing", missing, mcpauthtest.Claims{"sub": rawJSON("null")}, want{}, badClaims},
		{"TOK-57 empty is not missing", missing, mcpauthtest.Claims{"sub": ""}, want{}, badClaims},
		{"TOK-57 a number is not missing", missing, mcpauthtest.Claims{"sub": 1}, want{}, badClaims},
		{"TOK-58 sub is the client", nil, mcpauthtest.Claims{"sub": "client-1"}, want{"client-1", "client-1", true}, nil},
		{"TOK-58 a client named as a user", nil, mcpauthtest.Claims{"sub": "user-1", "client_id": "user-1"}, want{"user-1", "user-1", true}, nil},
		{"TOK-58 a user with a client", nil, mcpauthtest.Claims{}, want{"user-1", "client-1", false}, nil},
		{"TOK-58 a user without one", nil, mcpauthtest.Claims{"client_id": nil}, want{"user-1", "", false}, nil},
		{"TOK-58 a user named as a client without sub", missing, mcpauthtest.Claims{"sub": "client:client-2"}, want{}, badClaims},
		{"TOK-58 the same where clients have a sub", nil, mcpauthtest.Claims{"sub": "client:client-2"}, want{"client:client-2", "client-1", false}, nil},
		{"TOK-59 azp", nil, mcpauthtest.Claims{"client_id": nil, "azp": "client-2"}, want{"user-1", "client-2", false}, nil},
		{"TOK-59 cid", nil, mcpauthtest.Claims{"client_id": nil, "cid": "client-2"}, want{"user-1", "client-2", false}, nil},
		{"TOK-59 appid", nil, mcpauthtest.Claims{"client_id": nil, "appid": "client-2"}, want{"user-1", "client-2", false}, nil},
		{"TOK-59 client_id before azp", nil, mcpauthtest.Claims{"azp": "client-2", "cid": "client-3"}, want{"user-1", "client-1", false}, nil},
		{"TOK-59 azp before cid, an empty client_id is none", nil, mcpauthtest.Claims{"client_id": "", "azp": "client-2", "cid": "client-3"}, want{"user-1", "client-2", false}, nil},
		{"TOK-59 never sub", nil, mcpauthtest.Claims{"client_id": nil}, want{"user-1", "", false}, nil},
		{"TOK-59 not a string", nil, mcpauthtest.Claims{"client_id": []string{"client-2"}}, want{"user-1", "", false}, nil},
		{"TOK-59 mapped", mapClient("app.id"), mcpauthtest.Claims{"app": map[string]string{"id": "client-2"}}, want{"user-1", "client-2", false}, nil},
		{"TOK-59 mapped, and nothing else", mapClient("app.id"), mcpauthtest.Claims{}, want{"user-1", "", false}, nil},
		{"TOK-59 mapped, two of them", mapClient("app"), mcpauthtest.Claims{"app": []string{"a", "b"}}, want{"user-1", "", false}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := verified(t, test.issuer, usual(test.claims))
			assert.ErrorIs(t, err, test.err)
			if err == nil {
				assert.Equal(t, test.want, want{p.Subject, p.ClientID, p.Client})
			}
		})
	}
}

func mapClient(path string) func(*mcpauth.Issuer) {
	return func(i *mcpauth.Issuer) { i.Claims.ClientID = path }
}

func TestTheSameTokenTwice_TOK_60(t *testing.T) {
	f := newFixture(t, nil)
	for _, token := range []string{f.token(nil), f.token(mcpauthtest.Claims{"jti": nil}), f.token(mcpauthtest.Claims{"jti": 1})} {
		f.served(f.call(token, "echo"))
		f.served(f.call(token, "echo"))
	}
}

func TestRevoked_TOK_61(t *testing.T) {
	answer := func() (bool, error) { return false, nil }
	var got *mcpauth.Principal
	var decisions []mcpauth.Decision
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) { got = p; return answer() }
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
	})
	token := f.token(mcpauthtest.Claims{"jti": "id-7"})
	f.served(f.call(token, "echo"))
	assert.Equal(t, "id-7", got.TokenID)

	answer = func() (bool, error) { return true, nil }
	f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken("token revoked"))
	require.NotNil(t, decisions[len(decisions)-1].Principal, "the token was verified, so the record says whose it was")

	for name, failing := range map[string]func() (bool, error){
		"an error":          func() (bool, error) { return false, errors.New("database at 10.0.0.5 is down") },
		"an error and true": func() (bool, error) { return true, errors.New("database at 10.0.0.5 is down") },
	} {
		answer = failing
		w := f.call(token, "echo")
		f.refused(w, http.StatusServiceUnavailable, "")
		assert.Regexp(t, `^([1-9]|[12][0-9]|30)$`, w.Header().Get("Retry-After"), name)
		assert.NotContains(t, w.Body.String(), "10.0.0.5", name)
		assert.Contains(t, f.log.String(), "10.0.0.5", name)
		_, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
		var denied *mcpauth.DeniedError
		require.ErrorAs(t, err, &denied, name)
		assert.Equal(t, time.Second, denied.RetryAfter, name)
	}

	answer = func() (bool, error) { panic("secret of the operator") }
	w := f.call(token, "echo")
	f.refused(w, http.StatusInternalServerError, "")
	assert.NotContains(t, w.Body.String()+f.log.String(), "secret of the operator")

	without := newFixture(t, nil)
	token = without.token(nil)
	without.served(without.call(token, "echo"))
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err := without.auth.Authenticate(without.request(http.MethodPost, "/mcp", token, "").WithContext(left))
	require.NoError(t, err, "without Revoked nobody is waited for")

	got = nil
	f.refused(f.call(f.token(mcpauthtest.Claims{"exp": 1}), "echo"), http.StatusUnauthorized, invalidToken("token expired"))
	assert.Nil(t, got, "asked about a token that is refused anyway")
}

// TestRevokedHangs: whoever asks is answered by our own clock, and what is left behind is
// bounded.
func TestRevokedHangs_TOK_61(t *testing.T) {
	for name, row := range map[string]struct {
		hang   func(ctx context.Context, free chan struct{})
		leaves time.Duration // when the client goes, if it does
		after  time.Duration
	}{
		"for ever":                    {func(_ context.Context, free chan struct{}) { <-free }, 0, 5 * time.Second},
		"as long as its context":      {func(ctx context.Context, _ chan struct{}) { <-ctx.Done() }, 0, 5 * time.Second},
		"for ever, the client leaves": {func(_ context.Context, free chan struct{}) { <-free }, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				hangs := map[string]bool{"user-1": true}
				var asked atomic.Int64
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Revoked = func(ctx context.Context, p *mcpauth.Principal) (bool, error) {
						asked.Add(1)
						if hangs[p.Subject] {
							row.hang(ctx, free)
						}
						return false, nil
					}
				})
				begun := time.Now()
				r := f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...)
				if row.leaves > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), row.leaves)
					defer cancel()
					r = r.WithContext(ctx)
				}
				w := f.serve(r)
				assert.Equal(t, row.after, time.Since(begun))
				f.refused(w, http.StatusServiceUnavailable, "")
				assert.Regexp(t, `^([1-9]|[12][0-9]|30)$`, w.Header().Get("Retry-After"))
				assert.Contains(t, f.log.String(), "Revoked")
				f.served(f.call(f.token(mcpauthtest.Claims{"sub": "user-2"}), "echo"))
				assert.EqualValues(t, 2, asked.Load())
				close(free)
				synctest.Wait()
			})
		})
	}
	t.Run("LIMITS-13 a thousand that never return", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free := make(chan struct{})
			var asked atomic.Int64
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
					asked.Add(1)
					<-free
					return false, nil
				}
			})
			var group sync.WaitGroup
			for n := range 1000 {
				if n == 600 { // the others come when these are left behind
					group.Wait()
					synctest.Wait()
				}
				token := f.token(mcpauthtest.Claims{"sub": fmt.Sprint(n / 32)})
				group.Go(func() { f.refused(f.call(token, "echo"), http.StatusServiceUnavailable, "") })
			}
			group.Wait()
			synctest.Wait()
			begun := time.Now()
			f.refused(f.call(f.token(nil), "echo"), http.StatusServiceUnavailable, "")
			assert.Zero(t, time.Since(begun))
			assert.EqualValues(t, 1000, asked.Load())
			close(free)
			synctest.Wait()
			f.served(f.call(f.token(nil), "echo"))
			assert.EqualValues(t, 1001, asked.Load())
		})
	})
}

// TestRevokedLeftBehind: who leaves calls behind that do not return, one after the other or all at
// once, is the only one who is refused for it, and what ends its goroutine is no call that goes on.
func TestRevokedLeftBehind_TOK_61_LIMITS_13(t *testing.T) {
	for name, atOnce := range map[string]int{"one after the other": 1, "all at once": 2000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				var asked atomic.Int64
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
						if p.Subject == "mallory" {
							asked.Add(1)
							<-free
						}
						return false, nil
					}
				})
				mallory := f.token(mcpauthtest.Claims{"sub": "mallory"})
				for range 2000 / atOnce {
					ctx, leave := context.WithCancel(t.Context())
					for range atOnce {
						go f.serve(f.request(http.MethodPost, "/mcp", mallory, modernCall("echo"), modernHeaders("tools/call", "echo")...).WithContext(ctx))
					}
					synctest.Wait()
					leave()
					synctest.Wait()
				}
				begun, before := time.Now(), asked.Load()
				assert.EqualValues(t, max(32, atOnce), before)
				f.refused(f.call(mallory, "echo"), http.StatusServiceUnavailable, "")
				assert.Zero(t, time.Since(begun))
				f.served(f.call(f.token(nil), "echo"))
				close(free)
				synctest.Wait()
				f.served(f.call(mallory, "echo"))
				assert.Equal(t, before+1, asked.Load())
			})
		})
	}
	t.Run("LIMITS-13 what returns counts no more, whoever else hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free := map[string]chan struct{}{"user-1": make(chan struct{}), "user-2": make(chan struct{})}
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) { <-free[p.Subject]; return false, nil }
			})
			var group sync.WaitGroup
			leave := func(sub string, calls int) {
				token := f.token(mcpauthtest.Claims{"sub": sub})
				for range calls {
					group.Go(func() { f.refused(f.call(token, "echo"), http.StatusServiceUnavailable, "") })
				}
				group.Wait()
			}
			leave("user-2", 1)
			leave("user-1", 32)
			close(free["user-1"])
			synctest.Wait()
			f.served(f.call(f.token(nil), "echo"))
			close(free["user-2"])
			synctest.Wait()
		})
	})
	t.Run("TOK-61 the goroutine ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
					runtime.Goexit()
					return false, nil
				}
			})
			begun := time.Now()
			f.refused(f.call(f.token(nil), "echo"), http.StatusInternalServerError, "")
			assert.Zero(t, time.Since(begun))
			assert.Contains(t, f.log.String(), "Revoked")
		})
	})
}

// TestNoResultOutlivesItsReasons: whatever is remembered of a token, the key
// and the clock have the last word.
func TestNoResultOutlivesItsReasons_TOK_62(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=300")
		token := f.token(mcpauthtest.Claims{"exp": time.Now().Add(time.Hour).Unix()})
		for range 3 {
			f.served(f.call(token, "echo"))
		}
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
		time.Sleep(time.Second)
		f.served(f.call(f.token(nil), "echo")) // the new kid makes the set be fetched
		f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken("signing key unknown"))

		token = f.token(nil)
		f.served(f.call(token, "echo"))
		time.Sleep(5*time.Minute + 29*time.Second)
		f.served(f.call(token, "echo"))
		time.Sleep(time.Second)
		f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken("token expired"))
		synctest.Wait()
	})
}

// TestDescriptions: of what a client sends, nothing comes back.
func TestDescriptions_TOK_63(t *testing.T) {
	f := newFixture(t, nil)
	const script = `<script>alert(1)</script>`
	for words, token := range map[string]string{
		"audience mismatch":                f.token(mcpauthtest.Claims{"aud": script}),
		"issuer not accepted":              f.token(mcpauthtest.Claims{"iss": script}),
		"token type not accepted":          f.issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"`+script+`"}`, `{"iss":"`+testIssuerURL+`"}`),
		"signing key unknown":              raw(`{"alg":"RS256","kid":"`+script+`"}`, nil)(f),
		"claim missing or malformed":       f.token(mcpauthtest.Claims{"exp": script}),
		"signature algorithm not accepted": f.issuer.Sign(`{"alg":"`+script+`","kid":"k1"}`, `{}`),
		"malformed token":                  script,
	} {
		w := f.call(token, "echo")
		f.refused(w, http.StatusUnauthorized, invalidToken(words))
		assert.NotContains(t, w.Body.String(), "alert")
	}
	// What is verified is not echoed either.
	f = newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tid": {"tenant-1"}} })
	w := f.call(f.token(mcpauthtest.Claims{"tid": script, "sub": script}), "echo")
	f.refused(w, http.StatusForbidden, "")
	assert.NotContains(t, w.Body.String(), "alert")
}

// TestSignatureChecksAreBounded: a token without kid is tried with eight keys
// at the most, and one with a kid with four.
func TestSignatureChecksAreBounded_LIMITS_08(t *testing.T) {
	var keys []*mcpauthtest.Key
	for _, name := range numbered("es", 9) {
		keys = append(keys, mcpauthtest.NewKey(name, "ES256"))
	}
	without := func(key *mcpauthtest.Key) *mcpauthtest.Key { k := *key; k.ID = ""; return &k }
	named := func(key *mcpauthtest.Key) *mcpauthtest.Key { k := *key; k.ID = "same"; return &k }
	publish := func(n int, as func(*mcpauthtest.Key) *mcpauthtest.Key, signer int) func(*fixture) string {
		return func(f *fixture) string {
			var published []*mcpauthtest.Key
			for _, key := range keys[:n] {
				published = append(published, as(key))
			}
			f.issuer.Rotate(published...)
			key := as(keys[signer])
			kid := ""
			if key.ID != "" {
				kid = quote(key.ID)
			}
			_, payload, _ := parts(f.token(nil))
			return key.Sign(header("alg", `"ES256"`, "kid", kid), string(unb64(payload)))
		}
	}
	for name, test := range map[string]struct {
		token func(*fixture) string
		want  error
	}{
		"no kid, the last of eight":               {publish(8, without, 7), nil},
		"no kid, none of eight":                   {publish(8, without, 8), signature},
		"no kid, nine keys":                       {publish(9, without, 0), noSuchKey},
		"one kid, the last of four":               {publish(4, named, 3), nil},
		"one kid, the fifth of five is not tried": {publish(5, named, 4), signature},
	} {
		_, err := verified(t, nil, test.token)
		assert.ErrorIs(t, err, test.want, name)
	}
}

// TestBoundTokens_DPOP_01: a token that is bound to a key is no bearer token,
// whatever else is sent along, as there is no support for proofs.
func TestBoundTokens_DPOP_01_DPOP_19_MTLS_01_AUD_11(t *testing.T) {
	f := newFixture(t, nil)
	const words = "sender-constrained token without proof of possession"
	for name, cnf := range map[string]any{
		"DPOP-01":           map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		"MTLS-01":           map[string]string{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
		"DPOP-19 empty":     map[string]string{},
		"DPOP-19 kid":       map[string]string{"kid": "x"},
		"DPOP-19 null":      rawJSON("null"),
		"DPOP-19 no object": "x",
	} {
		t.Run(name, func(t *testing.T) {
			f.tb = t
			token := f.token(mcpauthtest.Claims{"cnf": cnf})
			f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken(words))
			w := f.post(token, modernCall("echo"), append(modernHeaders("tools/call", "echo"), "DPoP: "+token)...)
			f.refused(w, http.StatusUnauthorized, invalidToken(words))
			r := f.request(http.MethodPost, "/mcp", "", modernCall("echo"))
			r.Header.Set("Authorization", "DPoP "+token)
			f.refused(f.serve(r), http.StatusUnauthorized, bareChallenge)
			other := f.token(mcpauthtest.Claims{"cnf": cnf, "aud": "https://other.example/mcp"})
			f.refused(f.call(other, "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
		})
	}
	f.tb = t
	// Issuers that mark their tokens otherwise cannot switch the check off.
	_, err := verified(t, func(i *mcpauth.Issuer) { i.AllowIDTokenClaims = true }, usual(mcpauthtest.Claims{"cnf": map[string]string{"jkt": "x"}}))
	assert.ErrorIs(t, err, senderBinding)
}

func unb64(segment string) []byte {
	data, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		panic(err)
	}
	return data
}

func rawJSON(text string) json.RawMessage { return json.RawMessage(text) }

// TestNoMethodIsAnonymous_MCP_46: there is no method that a bad token, or none, opens.
func TestNoMethodIsAnonymous_MCP_46(t *testing.T) {
	f := newFixture(t, nil)
	expired := f.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
	for _, method := range []string{"initialize", "notifications/initialized", "ping", "server/discover", "tools/list", "resources/list"} {
		body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `"}`
		w := f.post(expired, body)
		assert.Equal(t, http.StatusUnauthorized, w.Code, method)
		assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error="invalid_token"`, method)
		w = f.post("", body)
		assert.Equal(t, http.StatusUnauthorized, w.Code, method)
		assert.NotContains(t, w.Header().Get("WWW-Authenticate"), "error", method)
	}
	assert.Zero(t, f.ran)
}

// TestManyClaims: a token may have as many claims, at all depths, as fit into it.
func TestManyClaims_LIMITS_04(t *testing.T) {
	access := map[string]any{}
	for i := range 130 { // of Keycloak, for a user of a large realm
		access[fmt.Sprintf("client-%03d", i)] = map[string]any{"roles": []string{"manager", "viewer"}}
	}
	p, err := verified(t, nil, usual(mcpauthtest.Claims{"resource_access": access}))
	require.NoError(t, err)
	var got struct {
		Access map[string]any `json:"resource_access"`
	}
	require.NoError(t, p.Claims(&got))
	assert.Len(t, got.Access, 130)

	many := map[string]any{}
	for i := range 1200 {
		many[strconv.Itoa(i)] = 0
	}
	p, err = verified(t, func(i *mcpauth.Issuer) {
		i.Claims.Roles, i.Claims.RoleScopes = []string{"many"}, map[string][]string{"1199": {"last"}}
	}, usual(mcpauthtest.Claims{"many": many}))
	require.NoError(t, err)
	assert.Equal(t, []string{"mcp:read", "last"}, p.Scopes)
}

// A typ that is no string says nothing of an ID token.
func TestTypeThatIsNoString_OBS_08(t *testing.T) {
	f := newFixture(t, nil)
	w := f.call(f.issuer.Sign(`{"alg":"RS256","kid":"k1","typ":1}`, `{}`), "echo")
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Contains(t, f.log.String(), "cause=token-type")
}

// TestNewTokensAtOnce_CONC_01: the parts of a token are in memory that is used again. What is found of one
// is never another one's, whatever comes at the same time and is refused.
func TestNewTokensAtOnce_CONC_01(t *testing.T) {
	f := newFixture(t, nil)
	const callers, each = 8, 20
	tokens := make([][each]string, callers)
	for i := range tokens {
		for j := range tokens[i] {
			who := fmt.Sprintf("%d-%d", i, j)
			tokens[i][j] = f.token(mcpauthtest.Claims{"sub": "user " + who, "jti": who, "scope": "mcp:read own:" + who, "padding": strings.Repeat(who, j)})
		}
	}
	found := make([][each]*mcpauth.Principal, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j, token := range tokens[i] {
				_, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token[:len(token)-4]+"AAAA", ""))
				assert.Error(t, err, "another signature")
				found[i][j], err = f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	for i := range found {
		for j, p := range found[i] {
			who := fmt.Sprintf("%d-%d", i, j)
			var claims struct{ Sub, JTI string }
			require.NotNil(t, p)
			require.NoError(t, p.Claims(&claims))
			assert.Equal(t, []string{"user " + who, who, "user " + who, who}, []string{p.Subject, p.TokenID, claims.Sub, claims.JTI})
			assert.Equal(t, []string{"mcp:read", "own:" + who}, p.Scopes)
			assert.Equal(t, []string{testResource}, p.Audiences)
		}
	}
}
