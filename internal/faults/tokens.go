package faults

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// tokens are credentials of the wrong kind, and good ones that are sent in the wrong way.
var tokens = []Fault{
	{
		Name: "a proxy drops the Authorization header", Cause: "no-credentials", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.proxy = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Del("Authorization")
					next.ServeHTTP(w, r)
				})
			}
			return s
		},
	}, {
		Name: "the client's token is empty", Cause: "token-empty", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) { r.Header.Set("Authorization", "Bearer ") })
			return s
		},
	}, {
		Name: "the client sends another scheme", Cause: "scheme", Status: 401, Mentions: []string{`\"Basic\"`},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) { r.SetBasicAuth("client-1", "hunter2-canary") })
			return s
		},
	}, {
		Name: "the token stands in the query", Cause: "token-in-query", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(s *Scene, r *http.Request) {
				r.Header.Del("Authorization")
				r.URL.RawQuery = "access_token=" + s.Token
			})
			return s
		},
	}, {
		Name: "the word Bearer is sent twice", Cause: "token-twice-bearer", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(s *Scene, r *http.Request) { r.Header.Set("Authorization", "Bearer Bearer "+s.Token) })
			return s
		},
	}, {
		Name: "the token is sent in quotes", Cause: "token-quoted", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(s *Scene, r *http.Request) { r.Header.Set("Authorization", `Bearer "`+s.Token+`"`) })
			return s
		},
	}, {
		Name: "the access token is opaque", Cause: "token-opaque", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.Token = "0AbCdEfGhIjKlMnOpQrStUvWxYz-opaque-canary"
			return s
		},
	}, {
		Name: "the access token is encrypted", Cause: "token-encrypted", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.Token = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..QUFBQUFBQUFBQUFB.QUFBQQ.QUFBQUFBQUFBQUFBQUFBQQ"
			return s
		},
	}, {
		Name: "the issuer signs with a shared secret", Cause: "token-hmac", Status: 401, Mentions: []string{"HS256"},
		Setup: func(tb testing.TB) *Scene { return reheaded(tb, `{"alg":"HS256","typ":"JWT"}`) },
	}, {
		Name: "the issuer signs with an algorithm that is not configured", Cause: "algorithm", Status: 401, Mentions: []string{"RS256", "ES256"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.Algorithms = []string{"ES256"} })
		},
	}, {
		Name: "the client sends the ID token", Cause: "token-id", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			return s.jwt(mcpauthtest.Claims{"aud": "client-1", "scope": nil, "client_id": nil, "nonce": "n-0S6", "at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"})
		},
	}, {
		Name: "access tokens of this issuer carry a nonce", Cause: "token-id", Status: 401,
		Setup: func(tb testing.TB) *Scene { return newScene(tb).jwt(mcpauthtest.Claims{"nonce": "n-0S6"}) },
	}, {
		Name: "only RFC 9068 tokens are accepted, and the issuer sends typ JWT", Cause: "token-type", Status: 401, Mentions: []string{"JWT", "at+jwt"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.TokenTypes = []string{"at+jwt"} }).jwt(nil)
		},
	}, {
		Name: "tokens of machines have no subject", Cause: "subject", Status: 401,
		Setup: func(tb testing.TB) *Scene { return newScene(tb).claims(mcpauthtest.Claims{"sub": nil}) },
	}, {
		Name: "tokens of users have no subject: the realm lacks the client scope basic", Cause: "subject", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).jwt(mcpauthtest.Claims{"sub": nil, "client_id": nil, "azp": "client-1", "typ": "Bearer"})
		},
	}, {
		Name: "the user belongs to another tenant", Cause: "required-claim", Status: 403, Mentions: []string{"tid"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.RequireClaims = map[string][]string{"tid": {tenant}} }).
				claims(mcpauthtest.Claims{"tid": "someone-else"})
		},
	},
}

// jwt makes the client's token anew, with typ JWT.
func (s *Scene) jwt(changes mcpauthtest.Claims) *Scene {
	s.claims(changes)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[1])
	if err != nil {
		s.tb.Fatalf("faults: %v", err)
	}
	s.Token = s.AS.Sign(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, string(payload))
	return s
}

// reheaded is a scene whose token has another header.
func reheaded(tb testing.TB, header string) *Scene {
	s := newScene(tb)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[1])
	if err != nil {
		tb.Fatalf("faults: %v", err)
	}
	s.Token = s.AS.Sign(header, string(payload))
	return s
}

// audiences are tokens for somebody else, or for this server by another name.
var audiences = []Fault{
	audience("the audience is the client id: no audience mapper", "audience-client-id", "client-1"),
	audience("the token has no audience: the client sent no resource parameter", "audience-missing", nil),
	audience("the audience is an empty list: the consent app granted none", "audience-empty", []string{}),
	audience("the audience is the list of scopes", "audience-scopes", []string{"mcp:read"}),
	{
		Name: "the audience is the scopes as one text", Cause: "audience-scopes", Status: 401, Mentions: []string{"RESOURCE", "openid mcp:read"},
		Setup: func(tb testing.TB) *Scene { // as Glewlwyd 2.7 does
			return newScene(tb).claims(mcpauthtest.Claims{"aud": "openid mcp:read", "scope": "openid mcp:read"})
		},
	},
	audience("the audience has a slash at its end", "audience-slash", "RESOURCE/"),
	audience("the audience is the public https URL, the resource plain http", "audience-scheme", "https://HOST/mcp"),
	audience("a proxy rewrites the host: the audience is the public one", "audience-host", "http://mcp.example.com/mcp"),
	audience("the audience is this machine by its other name", "audience-loopback", "http://localhost:OWNPORT/mcp"),
	audience("the audience is the origin without the path", "audience-path", "http://HOST"),
	audience("the audience is the default one for account management", "audience-account", "account"),
	audience("the audience is the provider's default API", "audience-identifier", "api://default"),
	audience("the token is for the directory's own API", "audience-graph", "00000003-0000-0000-c000-000000000000"),
	audience("the audience is a GUID of the provider's application", "audience-identifier", "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"),
	audience("the token is for another API", "audience-other", []string{"https://billing.example.com/api", "https://crm.example.com/api"}),
}

func audience(name, cause string, aud any) Fault {
	f := Fault{Name: name, Cause: cause, Status: 401, Mentions: []string{"RESOURCE"}}
	if text, ok := aud.(string); ok {
		f.Mentions = append(f.Mentions, text)
	}
	f.Setup = func(tb testing.TB) *Scene {
		s := newScene(tb)
		value := aud
		if text, ok := aud.(string); ok {
			value = s.Expand(text)
		}
		return s.claims(mcpauthtest.Claims{"aud": value})
	}
	return f
}

// times are clocks that disagree, and tokens that live too long or too short.
var times = []Fault{
	{
		Name: "the token has expired", Cause: "expired", Status: 401, Mentions: []string{"1h0m"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"iat": ago(2 * time.Hour), "exp": ago(time.Hour)})
		},
	}, {
		Name: "this machine's clock is ahead, and fresh tokens have expired", Cause: "expired-clock", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"iat": ago(2 * time.Minute), "exp": ago(time.Minute)})
		},
	}, {
		Name: "this machine's clock is behind", Cause: "clock-behind", Status: 401, Mentions: []string{"10m"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"iat": ago(-10*time.Minute - 30*time.Second), "exp": ago(-time.Hour)})
		},
	}, {
		Name: "times are milliseconds", Cause: "milliseconds", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"iat": time.Now().UnixMilli(), "exp": time.Now().Add(time.Hour).UnixMilli()})
		},
	}, {
		Name: "tokens live longer than is accepted", Cause: "lifetime", Status: 401, Mentions: []string{"1h0m0s"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.MaxLifetime = time.Hour }).
				claims(mcpauthtest.Claims{"exp": ago(-24 * time.Hour)})
		},
	},
}

func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
