package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func TestPrincipal_TOK_64(t *testing.T) {
	f := newFixture(t, nil)
	now := time.Now().Unix()
	token := f.token(mcpauthtest.Claims{
		"aud": []string{"https://other.example", testResource}, "scope": "mcp:read x", "jti": "id-7", "acr": "urn:acr:2", "amr": []string{"pwd", "otp"},
		"auth_time": now - 60, "act": map[string]string{"sub": "agent-1"}, "custom": map[string]any{"a": 1},
	})
	var got *mcpauth.Principal
	f.inner = func(_ http.ResponseWriter, r *http.Request) {
		p, ok := mcpauth.FromContext(r.Context())
		require.True(t, ok)
		got = p
	}
	f.served(f.call(token, "echo"))
	seconds := func(at time.Time) int64 { return at.Unix() }
	assert.Equal(t, testIssuerURL, got.Issuer)
	assert.Equal(t, "user-1", got.Subject)
	assert.Equal(t, "client-1", got.ClientID)
	assert.False(t, got.Client)
	assert.Equal(t, []string{"mcp:read", "x"}, got.Scopes)
	assert.Equal(t, []string{"https://other.example", testResource}, got.Audiences)
	assert.Equal(t, []int64{now + 300, now, now - 60}, []int64{seconds(got.Expiry), seconds(got.IssuedAt), seconds(got.AuthTime)})
	assert.Equal(t, "id-7", got.TokenID)
	assert.Equal(t, "urn:acr:2", got.ACR)
	assert.Equal(t, []string{"pwd", "otp"}, got.AMR)
	assert.Equal(t, []string{"agent-1"}, got.Actors)
	var claims struct {
		Custom struct{ A int } `json:"custom"`
	}
	require.NoError(t, got.Claims(&claims))
	assert.Equal(t, 1, claims.Custom.A)
	assert.Error(t, got.Claims(&[]string{}), "the claims are an object")

	// What one handler does to its principal, no other request sees.
	got.Scopes[0], got.Audiences[0], got.Subject = "mcp:admin", "x", "root"
	raw := json.RawMessage{}
	require.NoError(t, got.Claims(&raw))
	clear(raw)
	again := got
	f.served(f.call(token, "echo"))
	assert.NotSame(t, again, got)
	assert.Equal(t, []string{"mcp:read", "x"}, got.Scopes)
	assert.Equal(t, "user-1", got.Subject)
	require.NoError(t, got.Claims(&claims))
	require.NoError(t, again.Claims(&claims), "the bytes inside are out of reach")
}

// TestAbsentClaims: what a token does not say is zero, and what it says in the
// wrong type too, where nothing hangs on it.
func TestAbsentClaims_TOK_64(t *testing.T) {
	for name, claims := range map[string]mcpauthtest.Claims{
		"absent":     {"jti": nil, "iat": nil},
		"wrong type": {"jti": 1, "iat": nil, "acr": []string{"x"}, "amr": map[string]string{"pwd": "x"}, "act": 1},
		"null":       {"jti": rawJSON("null"), "iat": nil, "acr": rawJSON("null"), "amr": rawJSON("null"), "act": rawJSON("null"), "auth_time": rawJSON("null")},
		"text":       {"jti": nil, "iat": nil, "auth_time": "2026-11-29T08:00:00.000Z"}, // AD FS
		"number":     {"jti": nil, "iat": nil, "auth_time": "1764450000"},
		"negative":   {"jti": nil, "iat": nil, "auth_time": -62135596800}, // the zero time of .NET and Go
		"huge":       {"jti": nil, "iat": nil, "auth_time": rawJSON("1e400")},
		"2^53":       {"jti": nil, "iat": nil, "auth_time": rawJSON("9007199254740992")},
		"list":       {"jti": nil, "iat": nil, "auth_time": []int64{1764450000}},
	} {
		p, err := verified(t, nil, usual(claims))
		require.NoError(t, err, name)
		assert.True(t, p.IssuedAt.IsZero() && p.AuthTime.IsZero(), name)
		assert.Empty(t, p.TokenID+p.ACR, name)
		assert.Empty(t, p.AMR, name)
		assert.Empty(t, p.Actors, name)
	}
	p, err := verified(t, nil, usual(mcpauthtest.Claims{"amr": "pwd", "auth_time": 0, "nbf": 0}))
	require.NoError(t, err)
	assert.Equal(t, []string{"pwd"}, p.AMR)
	assert.Equal(t, int64(0), p.AuthTime.Unix())
}

func TestNobodyInTheContext_TOK_64(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"empty": t.Context(),
		"nil":   mcpauthtest.NewContext(t.Context(), nil),
	} {
		p, ok := mcpauth.FromContext(ctx)
		assert.False(t, ok, name)
		assert.Nil(t, p, name)
	}
	p, ok := mcpauth.FromContext(mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{Subject: "user-1"}))
	assert.True(t, ok)
	assert.Equal(t, "user-1", p.Subject)
}

func TestNumbersKeepTheirDigits_TOK_65(t *testing.T) {
	p, err := verified(t, nil, usual(mcpauthtest.Claims{"id": rawJSON("9007199254740993"), "deep": map[string]any{"n": rawJSON("[1e400,0.10,-0]")}}))
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, p.Claims(&all))
	assert.Equal(t, json.Number("9007199254740993"), all["id"])
	assert.Equal(t, []any{json.Number("1e400"), json.Number("0.10"), json.Number("-0")}, all["deep"].(map[string]any)["n"])
	var one struct {
		ID int64 `json:"id"`
	}
	require.NoError(t, p.Claims(&one))
	assert.Equal(t, int64(9007199254740993), one.ID)
}

// canary looks for pieces of a compact token in whatever can be looked at.
type canary struct{ pieces map[string]bool }

const pieceLength = 16

func newCanary(token string) *canary {
	c := &canary{pieces: map[string]bool{}}
	for i := 0; i+pieceLength <= len(token); i++ {
		c.pieces[token[i:i+pieceLength]] = true
	}
	return c
}

// in reports the first piece of the token that stands in the text.
func (c *canary) in(text string) string {
	for i := 0; i+pieceLength <= len(text); i++ {
		if c.pieces[text[i:i+pieceLength]] {
			return text[i : i+pieceLength]
		}
	}
	return ""
}

// reachable walks over everything that reflection can see from v.
func (c *canary) reachable(v any) (path string) {
	seen := map[any]bool{}
	var walk func(v reflect.Value, at string) string
	walk = func(v reflect.Value, at string) string {
		switch v.Kind() {
		case reflect.String:
			if c.in(v.String()) != "" {
				return at
			}
		case reflect.Pointer, reflect.Map:
			key := [2]any{v.Type(), v.Pointer()}
			if v.IsNil() || seen[key] {
				return ""
			}
			seen[key] = true
			if v.Kind() == reflect.Pointer {
				return walk(v.Elem(), at)
			}
			for entries := v.MapRange(); entries.Next(); {
				if found := walk(entries.Key(), at+".key") + walk(entries.Value(), fmt.Sprintf("%s[%v]", at, entries.Key())); found != "" {
					return found
				}
			}
		case reflect.Interface:
			if !v.IsNil() {
				return walk(v.Elem(), at)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if found := walk(v.Field(i), at+"."+v.Type().Field(i).Name); found != "" {
					return found
				}
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				var text strings.Builder
				for i := range v.Len() {
					text.WriteByte(byte(v.Index(i).Uint()))
				}
				if c.in(text.String()) != "" {
					return at
				}
				return ""
			}
			for i := range v.Len() {
				if found := walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i)); found != "" {
					return found
				}
			}
		}
		return ""
	}
	return walk(reflect.ValueOf(v), "")
}

// secretClaim stands in claims that are nobody's business but the handler's.
const secretClaim = "secret-claim-value"

// secretClaims fills the claims that nothing is decided on.
func secretClaims(changes mcpauthtest.Claims) mcpauthtest.Claims {
	all := mcpauthtest.Claims{
		"aud": testResource, "scope": "mcp:read", "email": secretClaim + "@example.com", "name": secretClaim, "acr": secretClaim, "amr": []string{secretClaim},
		"act": map[string]string{"sub": secretClaim}, "groups": []string{secretClaim}, "address": map[string]any{"street": secretClaim}, "client_id": secretClaim,
	}
	for name, value := range changes {
		all[name] = value
	}
	return all
}

// leak is one way for a request to end, which must not tell anybody its token.
type leak struct {
	name   string
	reason mcpauth.Reason // "" where the reason is not exported, or nothing is refused
	config func(*mcpauth.Config)
	claims mcpauthtest.Claims
	forge  func(f *fixture, token string) string // another token out of the good one
	change func(r *http.Request, token string)   // another request
	broken mcpauthtest.Fault
}

func leaks() []leak {
	forged := mcpauthtest.NewKey("forged", "RS256")
	head := func(text string) func(*fixture, string) string {
		return func(f *fixture, token string) string {
			_, payload, _ := parts(token)
			return f.issuer.Sign(text, string(unb64(payload)))
		}
	}
	tenant := func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tid": {"tenant-1"}} }
	revoked := func(answer bool, err error) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return answer, err }
		}
	}
	body := func(text string) func(*http.Request, string) {
		return func(r *http.Request, _ string) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	set := func(name, value string) func(*http.Request, string) {
		return func(r *http.Request, token string) { r.Header.Set(name, strings.ReplaceAll(value, "AT", token)) }
	}
	return []leak{
		{name: "served"},
		{name: "in the query", reason: mcpauth.ErrNoCredentials, change: func(r *http.Request, token string) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "access_token=" + token
			r.RequestURI = r.URL.RequestURI()
		}},
		{name: "another scheme", reason: mcpauth.ErrNoCredentials, change: set("Authorization", "Basic AT")},
		{name: "twice", reason: mcpauth.ErrManyCredentials, change: func(r *http.Request, token string) { r.Header.Add("Authorization", "Bearer "+token) }},
		{name: "in the query too", reason: mcpauth.ErrManyCredentials, change: func(r *http.Request, token string) { r.URL.RawQuery = "access_token=" + token }},
		{name: "with a comma", reason: mcpauth.ErrManyCredentials, change: set("Authorization", "Bearer AT,AT")},
		{name: "padded", reason: malformed, forge: func(_ *fixture, token string) string { return token + "=" }},
		{name: "crit", reason: malformed, forge: head(`{"alg":"RS256","crit":["x"]}`)},
		{name: "claims cut off", reason: malformed, forge: func(f *fixture, token string) string {
			_, payload, _ := parts(token)
			text := string(unb64(payload))
			return f.issuer.Sign(header(), text[:len(text)-1])
		}},
		{name: "too long", reason: tooComplex, change: func(r *http.Request, token string) {
			r.Header.Set("Authorization", "Bearer "+strings.Repeat(token, 20))
		}},
		{name: "too many scopes", reason: tooComplex, claims: mcpauthtest.Claims{"scope": numbered("s", 257)}},
		{name: "typ", reason: tokenType, forge: head(`{"alg":"RS256","typ":"logout+jwt"}`)},
		{name: "nonce", reason: tokenType, claims: mcpauthtest.Claims{"nonce": secretClaim}, forge: head(`{"alg":"RS256","kid":"k1"}`)},
		{name: "alg", reason: algorithm, forge: head(`{"alg":"HS256"}`)},
		{name: "exp", reason: badClaims, claims: mcpauthtest.Claims{"exp": secretClaim}},
		{name: "sub", reason: badClaims, claims: mcpauthtest.Claims{"sub": secretClaim + "\n"}},
		{name: "iss", reason: badIssuer, claims: mcpauthtest.Claims{"iss": "https://other.example"}},
		{name: "aud", reason: badAudience, claims: mcpauthtest.Claims{"aud": "https://other.example"}},
		{name: "expired", reason: expired, claims: mcpauthtest.Claims{"exp": 1000}},
		{name: "not yet", reason: notYetValid, claims: mcpauthtest.Claims{"nbf": int64(9_000_000_000)}},
		{name: "kid", reason: noSuchKey, forge: head(`{"alg":"RS256","kid":"k9"}`)},
		{name: "another key", reason: signature, forge: func(_ *fixture, token string) string {
			_, payload, _ := parts(token)
			return forged.Sign(header(), string(unb64(payload)))
		}},
		{name: "cnf", reason: senderBinding, claims: mcpauthtest.Claims{"cnf": map[string]string{"jkt": secretClaim}}},
		{name: "revoked", reason: mcpauth.ErrRevoked, config: revoked(true, nil)},
		{name: "scope", reason: mcpauth.ErrInsufficientScope, claims: mcpauthtest.Claims{"scope": "other"}},
		{name: "no rule", reason: mcpauth.ErrForbidden, config: func(c *mcpauth.Config) { c.Policy = nil }},
		{name: "tenant", reason: mcpauth.ErrForbidden, config: tenant},
		{name: "keys down", reason: mcpauth.ErrUnavailable, broken: mcpauthtest.Down},
		{name: "keys malformed", reason: mcpauth.ErrUnavailable, broken: mcpauthtest.Malformed},
		{name: "revocation down", reason: mcpauth.ErrUnavailable, config: revoked(false, errors.New("down"))},
		{name: "revocation panics", reason: mcpauth.ErrPolicy, config: func(c *mcpauth.Config) {
			c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) { panic(fmt.Sprint(p)) }
		}},
		{name: "policy panics", reason: mcpauth.ErrPolicy, config: func(c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) { panic(ctx) })
		}},
		{name: "decision panics", config: func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) { panic(d) }
		}},
		{name: "origin", change: set("Origin", "https://evil.example")},
		{name: "method", change: func(r *http.Request, _ string) { r.Method = http.MethodDelete }},
		{name: "header fields", change: func(r *http.Request, token string) {
			for _, name := range numbered("X-", 101) {
				r.Header.Set(name, token)
			}
		}},
		{name: "media type", change: set("Content-Type", "text/plain")},
		{name: "body too long", change: func(r *http.Request, _ string) { r.ContentLength = 1 << 30 }},
		{name: "no JSON", change: body("{")},
		{name: "no JSON-RPC", change: body("[]")},
		{name: "no name", change: body(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`)},
		{name: "header and body", change: set("Mcp-Name", "other")},
		{name: "unknown method", change: func(r *http.Request, token string) {
			body(modernBody("x/y", ""))(r, token)
			r.Header.Set("Mcp-Method", "x/y")
			r.Header.Del("Mcp-Name")
		}},
		{name: "DPoP", change: set("DPoP", "AT")},
		{name: "Proxy-Authorization", change: set("Proxy-Authorization", "Bearer AT")},
	}
}

func TestTheTokenTellsNobody_PASS_03_TOK_43(t *testing.T) {
	reasons := map[mcpauth.Reason]bool{}
	for _, l := range leaks() {
		t.Run(l.name, func(t *testing.T) {
			var decision mcpauth.Decision
			f := newFixture(t, func(c *mcpauth.Config) {
				c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decision = d }
				if l.config != nil {
					l.config(c)
				}
			})
			f.issuer.Break(mcpauthtest.JWKS, l.broken)
			token := f.issuer.Token(secretClaims(l.claims))
			if l.forge != nil {
				token = l.forge(f, token)
			}
			c := newCanary(token)
			r := f.request(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
			if l.change != nil {
				l.change(r, token)
			}
			require.NotEmpty(t, c.reachable(r), "the walk does not find what is there")
			w := f.serve(r)

			for what, text := range map[string]string{
				"the log": f.log.String(), "the body": w.Body.String(), "the header": fmt.Sprint(w.Header()), "the decision": fmt.Sprintf("%+v %+v", decision.Err, decision.Principal),
			} {
				assert.Empty(t, c.in(text), "%s: %s", what, text)
				if what != "the decision" {
					assert.NotContains(t, text, secretClaim, what)
				}
			}
			assert.Empty(t, c.reachable(decision), "in the decision")
			if f.last != nil {
				assert.Empty(t, c.reachable(f.last), "in the handler's request")
			}
			if l.reason == "" {
				return
			}
			require.NotNil(t, decision.Err)
			require.ErrorIs(t, decision.Err, l.reason)
			reasons[l.reason] = true
			assert.Empty(t, c.in(decision.Err.Error()))
			assert.NotContains(t, decision.Err.Error(), secretClaim)
			assert.Zero(t, f.ran)
		})
	}
	assert.Len(t, reasons, 19, "every exported reason")
}

// TestPanickingHandler: what a server logs of a panic has no token in it, and
// neither has what the handler could panic with.
func TestPanickingHandler_PASS_03(t *testing.T) {
	f := newFixture(t, nil)
	token := f.issuer.Token(secretClaims(nil))
	c := newCanary(token)
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		p, _ := mcpauth.FromContext(r.Context())
		panic(fmt.Sprintf("%+v %+v %v", r, p, r.Context()))
	}
	var crash bytes.Buffer
	server := httptest.NewUnstartedServer(f.handler)
	server.Config.ErrorLog = log.New(&crash, "", 0)
	server.Start()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/mcp", strings.NewReader(modernCall("echo")))
	require.NoError(t, err)
	r.Header = f.request(http.MethodPost, "/mcp", token, "", modernHeaders("tools/call", "echo")...).Header
	r.Header.Set("DPoP", token)
	r.Header.Set("Proxy-Authorization", "Bearer "+token)
	transport := &http.Transport{}
	_, err = transport.RoundTrip(r) //nolint:bodyclose // there is no response
	assert.Error(t, err)
	transport.CloseIdleConnections()
	server.Close()
	assert.Contains(t, crash.String(), "panic serving")
	assert.Equal(t, 1, f.ran)
	assert.Empty(t, c.in(crash.String()))
	assert.Empty(t, c.in(f.log.String()))
}
