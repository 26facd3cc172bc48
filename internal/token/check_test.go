package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

const resource = "https://mcp.example.com/mcp"

var now = time.Unix(1_800_000_000, 0)

// rules are those of an issuer of which nothing is configured.
func rules() Rules {
	return Rules{
		Audiences: []string{resource}, Algorithms: []string{"RS256", "ES256"}, Types: []string{"at+jwt", "JWT", ""},
		ScopeClaims: []Path{{"scope"}, {"scp"}},
	}
}

type with = map[string]any

// compact is a token that has no signature to speak of: the room never looks at one.
func compact(t *testing.T, header string, changes with) string {
	t.Helper()
	claims := with{"iss": "i", "aud": resource, "sub": "u", "client_id": "c", "scope": "a b", "iat": now.Unix(), "exp": now.Unix() + 60}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return segments(header, string(payload))
}

func segments(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + ".AAAA"
}

const usualHeader = `{"alg":"RS256"}`

// jkt is the thumbprint of RFC 9449 section 6.1.
const jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

// TestCheck: what is refused before a key is asked for, and why.
func TestCheck(t *testing.T) {
	bare := with{"scope": nil, "client_id": nil} // as ID tokens are
	atjwt := `{"alg":"RS256","typ":"application/AT+JWT"}`
	for _, row := range []struct {
		name    string
		change  func(*Rules)
		header  string
		claims  with
		refused refusal.Reason // "": not
	}{
		{"TOK-60 good", nil, "", nil, ""},
		{"TOK-10 alg not accepted", nil, `{"alg":"PS256"}`, nil, refusal.Algorithm},
		{"TOK-10 alg none", nil, `{"alg":"none"}`, nil, refusal.Algorithm},
		{"TOK-10 typ at+jwt, long and in capitals", nil, atjwt, nil, ""},
		{"typ not accepted", nil, `{"alg":"RS256","typ":"x"}`, nil, refusal.TokenType},
		{"typ empty", nil, `{"alg":"RS256","typ":""}`, nil, refusal.TokenType},
		{"typ that is forbidden, though it is configured", func(r *Rules) { r.Types = []string{"logout+jwt"} }, `{"alg":"RS256","typ":"logout+jwt"}`, nil, refusal.TokenType},
		{"typ is no string", nil, `{"alg":"RS256","typ":1}`, nil, refusal.TokenType},
		{"at+jwt alone, without iat", func(r *Rules) { r.Types = []string{"AT+jwt"} }, atjwt, with{"iat": nil}, refusal.Claims},
		{"at+jwt alone, another type", func(r *Rules) { r.Types = []string{"at+jwt"} }, "", nil, refusal.TokenType},
		{"an issuer that makes no JWTs", func(r *Rules) { r.NoJWTs = true }, "", nil, refusal.TokenType},
		{"at+jwt among others, without iat", nil, atjwt, with{"iat": nil}, ""},
		{"another type alone, without iat", func(r *Rules) { r.Types = []string{""} }, "", with{"iat": nil}, ""},
		{"no exp", nil, "", with{"exp": nil}, refusal.Claims},
		{"exp of the first second", nil, "", with{"exp": 1}, refusal.Expired},
		{"exp with a fraction", nil, "", with{"exp": float64(now.Unix()) + 0.5}, ""},
		{"exp of 1970", nil, "", with{"exp": 0.5}, refusal.Claims},
		{"expired within the leeway", nil, "", with{"exp": now.Unix() - 29}, ""},
		{"expired", nil, "", with{"exp": now.Unix() - 30}, refusal.Expired},
		{"nbf within the leeway", nil, "", with{"nbf": now.Unix() + 30}, ""},
		{"nbf", nil, "", with{"nbf": now.Unix() + 31}, refusal.NotYetValid},
		{"iat", nil, "", with{"iat": now.Unix() + 31}, refusal.NotYetValid},
		{"as long as it may be", func(r *Rules) { r.MaxLifetime = time.Minute }, "", nil, ""},
		{"too long", func(r *Rules) { r.MaxLifetime = time.Minute }, "", with{"exp": now.Unix() + 61}, refusal.Claims},
		{"as long as nobody knows", func(r *Rules) { r.MaxLifetime = time.Minute }, "", with{"iat": nil}, refusal.Claims},
		{"AUD-01 another audience", nil, "", with{"aud": "https://other.example.com"}, refusal.Audience},
		{"AUD-01 one of several, in another spelling", nil, "", with{"aud": []string{"x", "HTTPS://MCP.example.com:443/mcp"}}, ""},
		{"AUD-01 another path", nil, "", with{"aud": resource + "/"}, refusal.Audience},
		{"AUD-07 no aud", nil, "", with{"aud": nil}, refusal.Audience},
		{"AUD-07 no aud, another claim", func(r *Rules) { r.AudienceClaim, r.Audiences = Path{"client_id"}, []string{"c"} }, "", with{"aud": nil}, ""},
		{"AUD-07 no aud, another claim that is no list of texts", func(r *Rules) { r.AudienceClaim, r.Audiences = Path{"x"}, []string{"c"} }, "", with{"aud": nil, "x": []any{"c", 1}}, refusal.Audience},
		{"AUD-07 aud counts, and not the other claim", func(r *Rules) { r.AudienceClaim, r.Audiences = Path{"client_id"}, []string{"c"} }, "", with{"aud": "x"}, refusal.Audience},
		{"sub too long", nil, "", with{"sub": strings.Repeat("u", 2049)}, refusal.TokenTooComplex},
		{"sub as long as it may be", nil, "", with{"sub": strings.Repeat("u", 2048)}, ""},
		{"no sub, and a client with a name that is too long", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": nil, "client_id": strings.Repeat("c", 2049)}, refusal.Claims},
		{"sub with a space, and letters of any kind", nil, "", with{"sub": "Zoë \u00a0Ünal"}, ""},
		{"sub with a line feed", nil, "", with{"sub": "a\nb"}, refusal.Claims},
		{"sub with a delete", nil, "", with{"sub": "a\x7f"}, refusal.Claims},
		{"sub empty", nil, "", with{"sub": ""}, refusal.Claims},
		{"sub with a control character", nil, "", with{"sub": "u\u0085"}, refusal.Claims},
		{"sub is a number", nil, "", with{"sub": 1}, refusal.Claims},
		{"sub is a number, where it need not be", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": 1}, refusal.Claims},
		{"no sub", nil, "", with{"sub": nil}, refusal.Claims},
		{"no sub, which may be", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": nil}, ""},
		{"no sub, and a username, which means nothing in a JWT", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": nil, "username": "n"}, ""},
		{"no sub, and no client", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": nil, "client_id": nil}, refusal.Claims},
		{"sub like a client's", func(r *Rules) { r.AllowMissingSubject = true }, "", with{"sub": "client:c"}, refusal.Claims},
		{"sub like a client's, where each has one", nil, "", with{"sub": "client:c"}, ""},
		{"cnf", nil, atjwt, with{"cnf": with{}}, refusal.SenderConstrained},
		{"DPOP-01 jkt, which is not accepted", nil, atjwt, with{"cnf": with{"jkt": jkt}}, refusal.SenderConstrained},
		{"DPOP-02 jkt", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": jkt}}, ""},
		{"DPOP-12 jkt, where it must be", func(r *Rules) { r.AcceptsBound, r.NeedsBound = true, true }, atjwt, with{"cnf": with{"jkt": jkt}}, ""},
		{"DPOP-12 nothing, where jkt must be", func(r *Rules) { r.AcceptsBound, r.NeedsBound = true, true }, atjwt, nil, refusal.SenderConstrained},
		{"DPOP-12 nothing, where jkt may be", func(r *Rules) { r.AcceptsBound = true }, atjwt, nil, ""},
		{"DPOP-19 jkt and a certificate", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": jkt, "x5t#S256": jkt}}, refusal.SenderConstrained},
		{"DPOP-19 jkt and what Keycloak puts beside it", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"kc-jkt-type": "DPoP", "jkt": jkt}}, ""},
		{"DPOP-19 jkt, and what names no key", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": jkt, "x": with{"jkt": 1}, "JKT": "x"}}, ""},
		{"DPOP-19 jkt and a key", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": jkt, "jwk": with{}}}, refusal.SenderConstrained},
		{"DPOP-19 jkt and the name of a key", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": jkt, "kid": "k"}}, refusal.SenderConstrained},
		{"DPOP-19 only what is unknown", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"kc-jkt-type": "DPoP"}}, refusal.SenderConstrained},
		{"DPOP-19 a certificate", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"x5t#S256": jkt}}, refusal.SenderConstrained},
		{"DPOP-19 cnf empty", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{}}, refusal.SenderConstrained},
		{"DPOP-19 cnf a text", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": jkt}, refusal.SenderConstrained},
		{"DPOP-19 jkt no thumbprint", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": "x"}}, refusal.SenderConstrained},
		{"DPOP-19 jkt a number", func(r *Rules) { r.AcceptsBound = true }, atjwt, with{"cnf": with{"jkt": 1}}, refusal.SenderConstrained},
		{"says that it is an ID token", func(r *Rules) { r.AllowIDTokenClaims = true }, "", with{"token_use": "ID"}, refusal.TokenType},
		{"nonce", nil, "", with{"nonce": "n"}, refusal.TokenType},
		{"nonce, which may be", func(r *Rules) { r.AllowIDTokenClaims = true }, "", with{"nonce": "n"}, ""},
		{"nonce in at+jwt", nil, atjwt, with{"nonce": "n"}, ""},
		{"no marks of an access token", nil, "", bare, refusal.TokenType},
		{"jti is one", nil, "", with{"scope": nil, "client_id": nil, "jti": "1"}, ""},
		{"jti, but for a client", func(r *Rules) { r.Audiences = []string{"c"} }, "", with{"scope": nil, "client_id": nil, "jti": "1", "aud": "c"}, refusal.TokenType},
		{"a scope, for a client", func(r *Rules) { r.Audiences, r.ScopeClaims = []string{"c"}, []Path{{"x"}} }, "", with{"client_id": nil, "aud": "c"}, ""},
		{"scp, for a client", func(r *Rules) { r.Audiences, r.ScopeClaims = []string{"c"}, []Path{{"x"}} }, "", with{"scope": nil, "scp": "a", "client_id": nil, "aud": "c"}, ""},
		{"another scope claim, for a client", func(r *Rules) { r.Audiences, r.ScopeClaims = []string{"c"}, []Path{{"x"}} }, "", with{"scope": nil, "x": "a", "client_id": nil, "aud": "c"}, ""},
		{"client_id, for a client", func(r *Rules) { r.Audiences = []string{"c"} }, "", with{"scope": nil, "aud": "c"}, ""},
		{"a client, and the URL of somebody else", func(r *Rules) { r.Audiences = []string{"c"} }, "", with{"scope": nil, "client_id": nil, "jti": "1", "aud": []string{"c", resource}}, refusal.TokenType},
		{"azp is a mark, where the client is in another claim", func(r *Rules) { r.ClientClaim = Path{"x"} }, "", with{"scope": nil, "client_id": nil, "azp": "c"}, ""},
		{"cid is one", func(r *Rules) { r.ClientClaim = Path{"x"} }, "", with{"scope": nil, "client_id": nil, "cid": "c"}, ""},
		{"appid is one", func(r *Rules) { r.ClientClaim = Path{"x"} }, "", with{"scope": nil, "client_id": nil, "appid": "c"}, ""},
		{"the claim of the client is one", func(r *Rules) { r.ClientClaim = Path{"x"} }, "", with{"scope": nil, "client_id": nil, "x": "c"}, ""},
		{"roles are one", func(r *Rules) { r.RoleClaims = []Path{{"r"}} }, "", with{"scope": nil, "client_id": nil, "r": "x"}, ""},
		{"roles that are not there are none", func(r *Rules) { r.RoleClaims = []Path{{"r"}} }, "", bare, refusal.TokenType},
		{"roles without a client", func(r *Rules) { r.RoleClaims, r.Audiences = []Path{{"r"}}, []string{"c"} }, "",
			with{"scope": nil, "client_id": nil, "aud": "c", "r": "x"}, refusal.TokenType},
		{"a client without roles", func(r *Rules) { r.RoleClaims, r.Audiences = []Path{{"r"}}, []string{"c"} }, "",
			with{"scope": nil, "client_id": nil, "azp": "c", "aud": "c"}, refusal.TokenType},
		{"roles and a client", func(r *Rules) { r.RoleClaims, r.Audiences = []Path{{"r", "s"}}, []string{"c"} }, "",
			with{"scope": nil, "client_id": nil, "azp": "c", "aud": "c", "r": with{"s": "x"}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := rules()
			if row.change != nil {
				row.change(&k)
			}
			if row.header == "" {
				row.header = usualHeader
			}
			var token Token
			denied := token.Read(compact(t, row.header, row.claims))
			if denied == nil {
				denied = NewChecker(k).Check(&token, now, 30*time.Second)
			}
			if row.refused == "" {
				assert.Nil(t, denied)
				return
			}
			require.NotNil(t, denied)
			assert.Equal(t, row.refused, denied.Reason)
		})
	}
}

// TestRead: what is not one token, before anybody asks whose.
func TestRead_TOK_20_TOK_23(t *testing.T) {
	good := compact(t, usualHeader, nil)
	for text, want := range map[string]refusal.Reason{
		"":                                     refusal.MalformedToken,
		"a.b":                                  refusal.MalformedToken,
		good + ".AAAA":                         refusal.MalformedToken,
		segments(usualHeader, `[]`):            refusal.MalformedToken,
		segments(usualHeader, `{} {}`):         refusal.MalformedToken,
		segments(usualHeader, `{"a":1,"a":1}`): refusal.MalformedToken,
		segments(usualHeader, `{"exp":"1"}`):   refusal.Claims,
		segments(usualHeader, `{"iat":-1}`):    refusal.Claims,
		segments(usualHeader, `{"sub":"i"}`):   refusal.Claims,
		// Digits that come round to a moment of this century, if nobody minds how many there are.
		segments(usualHeader, `{"iss":"i","exp":18446744075509551616}`): refusal.Claims,
		segments(usualHeader, `{"iss":"i","exp":9007199254740992}`):     refusal.Claims,
		segments(usualHeader, `{"iss":"i","exp":9007199254740991}`):     "",
		segments(usualHeader, `{"iss":"i","iat":0}`):                    "",
		segments(usualHeader, `{"iss":"i",`+deep(15)[1:]):               "",
		segments(usualHeader, `{"iss":["i"]}`):                          refusal.Claims,
		segments(usualHeader, deep(16)):                                 refusal.TokenTooComplex, // one more than there may be
		segments(usualHeader, `{"scope":"\ud`):                          refusal.MalformedToken,
		segments(`{"alg":"HS256"}`, `{}`):                               refusal.Algorithm,
		segments(`{"crit":[]}`, `{}`):                                   refusal.MalformedToken,
		segments(usualHeader, `{"iss":"i"}`):                            "",
	} {
		var token Token
		denied := token.Read(text)
		if denied == nil {
			var issuer string
			issuer, denied = token.Issuer()
			assert.Equal(t, denied == nil, issuer == "i")
		}
		if want == "" {
			assert.Nil(t, denied, text)
		} else if assert.NotNil(t, denied, text) {
			assert.Equal(t, want, denied.Reason, text)
		}
	}
}

func deep(n int) string {
	return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
}

// TestFacts: what is believed of a good token, and what its holder is refused for nevertheless.
func TestFacts(t *testing.T) {
	many := make([]string, 257)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	usual := Facts{Subject: "u", ClientID: "c", Scopes: []string{"a", "b"}, Audiences: []string{resource}, IssuedAt: now, Expiry: now.Add(time.Minute)}
	for _, row := range []struct {
		name    string
		change  func(*Rules)
		claims  with
		want    func(*Facts)
		refused refusal.Reason
	}{
		{"usual", nil, nil, nil, ""},
		{"all there is", nil, with{"jti": "j", "acr": "x", "amr": []string{"pwd", "otp"}, "auth_time": now.Unix() - 1, "act": with{"sub": "x", "act": with{"sub": "y"}}},
			func(f *Facts) {
				f.ID, f.ACR, f.AMR, f.AuthTime, f.Actors = "j", "x", []string{"pwd", "otp"}, now.Add(-time.Second), []string{"x", "y"}
			}, ""},
		{"a time of login that is none", nil, with{"auth_time": "x"}, nil, ""},
		{"a client", nil, with{"sub": "c"}, func(f *Facts) { f.Subject, f.Client = "c", true }, ""},
		{"a client without sub", nil, with{"sub": nil}, func(f *Facts) { f.Subject, f.Client = "client:c", true }, ""},
		{"a client by another claim", func(r *Rules) { r.ClientClaim = Path{"x", "y"} }, with{"x": with{"y": "z"}}, func(f *Facts) { f.ClientID = "z" }, ""},
		{"no client by another claim", func(r *Rules) { r.ClientClaim = Path{"x"} }, with{"x": 1}, func(f *Facts) { f.ClientID = "" }, ""},
		{"CLAIM-04 the first that is present", nil, with{"scp": "x"}, nil, ""},
		{"CLAIM-04 union", func(r *Rules) { r.Union = true }, with{"scp": []string{"x", "a"}}, func(f *Facts) { f.Scopes = []string{"a", "b", "x"} }, ""},
		{"CLAIM-07 roles", func(r *Rules) { r.RoleClaims, r.RoleScopes = []Path{{"roles"}}, map[string][]string{"r": {"x", "a"}} },
			with{"roles": with{"r": 1, "other": 2}}, func(f *Facts) { f.Scopes = []string{"a", "b", "x"} }, ""},
		{"CLAIM-04 the first that is present is the second", nil, with{"scope": nil, "scp": "x y"}, func(f *Facts) { f.Scopes = []string{"x", "y"} }, ""},
		{"CLAIM-04 none", nil, with{"scope": ""}, func(f *Facts) { f.Scopes = nil }, ""},
		{"CLAIM-04 written otherwise", nil, with{"scope": json.RawMessage(`"\u0061 \u0062"`)}, nil, ""},
		{"CLAIM-07 a role with a space", func(r *Rules) {
			r.RoleClaims, r.RoleScopes = []Path{{"r"}}, map[string][]string{"p q": {"x"}, "p": {"y"}}
		},
			with{"r": "p q"}, func(f *Facts) { f.Scopes = []string{"a", "b", "x"} }, ""},
		{"CLAIM-07 several roles", func(r *Rules) {
			r.RoleClaims, r.RoleScopes = []Path{{"r"}}, map[string][]string{"p": {"x"}, "q": {"y"}}
		},
			with{"r": []string{"p", "q"}}, func(f *Facts) { f.Scopes = []string{"a", "b", "x", "y"} }, ""},
		{"CLAIM-07 scopes that stand for others", func(r *Rules) { r.RoleClaims, r.RoleScopes = []Path{{"scope"}}, map[string][]string{"b": {"x"}} },
			nil, func(f *Facts) { f.Scopes = []string{"a", "b", "x"} }, ""},
		{"CLAIM-07 those of scp", func(r *Rules) { r.RoleClaims, r.RoleScopes = []Path{{"scp"}}, map[string][]string{"d": {"x"}} },
			with{"scp": "c d"}, func(f *Facts) { f.Scopes = []string{"a", "b", "x"} }, ""},
		{"CLAIM-07 those of a list", func(r *Rules) {
			r.RoleClaims, r.RoleScopes = []Path{{"scp"}}, map[string][]string{"d": {"x"}, "d e": {"y"}}
		},
			with{"scp": []string{"c", "d", "d e"}}, func(f *Facts) { f.Scopes = []string{"a", "b", "x", "y"} }, ""},
		{"CLAIM-07 a role below scope", func(r *Rules) {
			r.ScopeClaims, r.RoleClaims, r.RoleScopes = nil, []Path{{"scope", "r"}}, map[string][]string{"p q": {"x"}, "p": {"y"}}
		}, with{"scope": with{"r": "p q"}}, func(f *Facts) { f.Scopes = []string{"x"} }, ""},
		{"CLAIM-13 roles for too many scopes", func(r *Rules) { r.RoleClaims, r.RoleScopes = []Path{{"r"}}, map[string][]string{"p": many} },
			with{"r": "p"}, func(f *Facts) { f.Scopes = nil }, refusal.TokenTooComplex},
		{"CLAIM-13 as many scopes as may be", nil, with{"scope": many[1:]}, func(f *Facts) { f.Scopes = many[1:] }, ""},
		{"CLAIM-13 as many in one text", nil, with{"scope": strings.Join(many[1:], " ")}, func(f *Facts) { f.Scopes = many[1:] }, ""},
		{"CLAIM-13 one more in one text", nil, with{"scope": strings.Join(many, " ")}, func(f *Facts) { f.Scopes = nil }, refusal.TokenTooComplex},
		{"CLAIM-13 a scope as long as it may be", nil, with{"scope": strings.Repeat("s", 256)}, func(f *Facts) { f.Scopes = []string{strings.Repeat("s", 256)} }, ""},
		{"CLAIM-16 four actors and no more", nil, with{"act": chain("1", "2", "3", "4", "5")}, func(f *Facts) { f.Actors = []string{"1", "2", "3", "4"} }, ""},
		{"CLAIM-16 one without a name", nil, with{"act": with{"sub": "1", "act": with{"act": with{"sub": "2"}}}}, func(f *Facts) { f.Actors = []string{"1"} }, ""},
		{"CLAIM-16 one with two names", nil, with{"act": with{"sub": []string{"1", "2"}}}, nil, ""},
		{"DPOP-02 bound", func(r *Rules) { r.AcceptsBound = true }, with{"cnf": with{"jkt": jkt}}, func(f *Facts) {
			f.Bound = true
			f.Key, _ = jose.ParseThumbprint(jkt)
		}, ""},
		{"no client by a list", func(r *Rules) { r.ClientClaim = Path{"x"} }, with{"x": []string{"y", "z"}}, func(f *Facts) { f.ClientID = "" }, ""},
		{"a client by cid", nil, with{"client_id": nil, "cid": "z"}, func(f *Facts) { f.ClientID = "z" }, ""},
		{"a client by appid", nil, with{"client_id": nil, "appid": "z"}, func(f *Facts) { f.ClientID = "z" }, ""},
		{"CLAIM-13 too many scopes", nil, with{"scope": many}, func(f *Facts) { f.Scopes = nil }, refusal.TokenTooComplex},
		{"CLAIM-13 a scope that is too long", nil, with{"scope": strings.Repeat("s", 257)}, func(f *Facts) { f.Scopes = nil }, refusal.TokenTooComplex},
		{"required", func(r *Rules) { r.Required = []Required{{"t", Path{"t"}, []string{"1", "2"}}} }, with{"t": []string{"0", "2"}}, nil, ""},
		{"required and not there", func(r *Rules) { r.Required = []Required{{"t", Path{"t"}, []string{"1", "2"}}} }, with{"t": "3"}, nil, refusal.Forbidden},
	} {
		t.Run(row.name, func(t *testing.T) {
			k, want := rules(), usual
			if row.change != nil {
				row.change(&k)
			}
			if row.want != nil {
				row.want(&want)
			}
			var token Token
			require.Nil(t, token.Read(compact(t, usualHeader, row.claims)))
			got, denied := NewChecker(k).Facts(&token)
			assert.JSONEq(t, string(token.JWS.Claims), got.Text)
			got.Text = ""
			assert.Equal(t, want, got)
			if row.refused == "" {
				assert.Nil(t, denied)
			} else if assert.NotNil(t, denied) {
				assert.Equal(t, row.refused, denied.Reason)
			}
		})
	}
}

// chain is an act claim.
func chain(subjects ...string) (act with) {
	for _, sub := range slices.Backward(subjects) {
		if act = (with{"sub": sub, "act": act}); act["act"].(with) == nil {
			delete(act, "act")
		}
	}
	return act
}

// TestReread: what a refused token says is told as far as it can be read.
func TestReread(t *testing.T) {
	header := `{"alg":"RS256","kid":"k"}`
	text := compact(t, header, with{"nbf": now.Unix() + 1, "aud": []string{}, "nonce": 1})
	u := Reread(text, false)
	assert.Equal(t, []any{text, "k", "RS256", "i", "u", true, true}, []any{u.Compact, u.KeyID, u.Algorithm, u.Issuer, u.Subject, u.OfIDToken, u.HasEmptyAudience()})
	assert.Equal(t, []time.Time{now, now.Add(time.Second), now.Add(time.Minute)}, []time.Time{u.IssuedAt, u.NotBefore, u.Expiry})
	k := NewChecker(rules())
	assert.Equal(t, "c", k.ClientID(&u))
	assert.Equal(t, []string{"a", "b"}, k.Scopes(&u))

	assert.Equal(t, Unverified{Compact: text, KeyID: "k", Algorithm: "RS256"}, Reread(text, true))
	assert.Equal(t, Unverified{}, Reread("", false))
	assert.Equal(t, Unverified{Compact: "a.b"}, Reread("a.b", false))
	broken := segments(header, `{"iss":"i"`)
	u = Reread(broken, false)
	assert.Equal(t, Unverified{Compact: broken, KeyID: "k", Algorithm: "RS256"}, u)
	assert.False(t, u.HasEmptyAudience())
	for aud, empty := range map[string]bool{`["x"]`: false, `[1]`: false, `"x"`: false, `{}`: false, `[]`: true} {
		u := Reread(segments(header, `{"aud":`+aud+`}`), false)
		assert.Equal(t, empty, u.HasEmptyAudience(), aud)
	}
	assert.Empty(t, k.ClientID(&u))
	assert.Empty(t, k.Scopes(&u))
}

// The later one of two moments is the one before which a token cannot be good.
func TestNotBefore_TOK_62(t *testing.T) {
	for _, row := range []struct {
		claims with
		want   time.Time
	}{
		{nil, now},
		{with{"nbf": now.Unix() - 1}, now},
		{with{"nbf": now.Unix() + 1}, now.Add(time.Second)},
		{with{"iat": nil, "nbf": now.Unix()}, now},
		{with{"iat": nil}, time.Time{}},
	} {
		var token Token
		require.Nil(t, token.Read(compact(t, usualHeader, row.claims)))
		assert.Equal(t, row.want, token.NotBefore())
		_, without := row.claims["iat"]
		assert.Equal(t, without, token.IssuedAt().IsZero())
	}
}
