package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const secondIssuerURL = "https://as2.example.com"

// attackLab is a warm resource server with two issuers and one key of every
// kind, and an attacker who knows all of the public ones.
type attackLab struct {
	*fixture
	k1     *mcpauthtest.Key // the first issuer's RS256 key, pinned by alg
	rsa    *mcpauthtest.Key // an RSA key of the first issuer without alg
	ec     map[string]*mcpauthtest.Key
	ed     *mcpauthtest.Key
	second *mcpauthtest.Issuer // its key is named k1 too
	forged *mcpauthtest.Key    // the attacker's own RSA key, named k1
	now    int64
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newAttackLab(t *testing.T) *attackLab {
	l := &attackLab{now: time.Now().Unix(), ec: map[string]*mcpauthtest.Key{}}
	l.second = mcpauthtest.NewIssuerAt(t, secondIssuerURL)
	l.fixture = newFixture(t, func(c *mcpauth.Config) {
		first := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "as2.example.com" {
				return l.second.Transport().RoundTrip(r)
			}
			return first.RoundTrip(r)
		})
		c.Issuers = append(c.Issuers, mcpauth.Issuer{
			URL:       secondIssuerURL,
			Audiences: []string{testResource, "client-1"},
			Claims:    mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"reader": {"mcp:read"}}},
		})
	})
	l.k1 = l.issuer.Keys()[0]
	l.rsa = mcpauthtest.NewKey("rsa", "RS256")
	l.forged = mcpauthtest.NewKey("forged", "RS256")
	l.forged.ID = "k1"
	l.ed = mcpauthtest.NewKey("ed", "EdDSA")
	keys := []map[string]any{l.k1.JWK(), l.ed.JWK(), l.rsa.JWK()}
	delete(keys[2], "alg")
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		l.ec[alg] = mcpauthtest.NewKey(strings.ToLower(alg), alg)
		keys = append(keys, l.ec[alg].JWK())
	}
	keys = append(keys, map[string]any{"kty": "oct", "kid": "secret", "k": b64([]byte(hmacSecret))})
	set, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	l.issuer.PublishKeySet(string(set))

	require.NoError(t, l.auth.Warm(t.Context()))
	return l
}

// onlyOurs asserts that nobody has been asked for anything but the issuers'
// documents. A token that nothing verifies may have these fetched anew: the fixed
// budget is what other tests look at.
func (l *attackLab) onlyOurs(t *testing.T) {
	t.Helper()
	for _, r := range slices.Concat(l.issuer.Requests(), l.second.Requests()) {
		assert.Contains(t, []string{placeOAuth, placeKeys, secondIssuerURL + "/.well-known/oauth-authorization-server", secondIssuerURL + "/jwks"}, r.URL.String())
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func quote(s string) string {
	quoted, _ := json.Marshal(s)
	return string(quoted)
}

// document writes a JSON object: name and raw value by turns, later values in
// the place of earlier ones, and a name whose value is "" not at all.
func document(pairs ...string) string {
	var names []string
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if _, known := values[pairs[i]]; !known {
			names = append(names, pairs[i])
		}
		values[pairs[i]] = pairs[i+1]
	}
	var members []string
	for _, name := range names {
		if values[name] != "" {
			members = append(members, quote(name)+":"+values[name])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func header(changes ...string) string {
	return document(append([]string{"alg", `"RS256"`, "kid", `"k1"`, "typ", `"at+jwt"`}, changes...)...)
}

func (l *attackLab) payload(changes ...string) string {
	return document(append([]string{
		"iss", quote(testIssuerURL), "aud", quote(testResource), "sub", `"user-1"`, "client_id", `"client-1"`,
		"jti", `"id-1"`, "iat", fmt.Sprint(l.now - 120), "exp", fmt.Sprint(l.now + 300), "scope", `"mcp:read"`,
	}, changes...)...)
}

// with adds raw members to the end of an object.
func with(object, members string) string {
	return strings.TrimSuffix(object, "}") + "," + members + "}"
}

// attack is a token that must be refused, and the words with which it is.
type attack struct {
	name   string
	token  string
	reason mcpauth.Reason
}

// inHeader makes an attack with another header, signed with the key k1.
func (l *attackLab) inHeader(name string, reason mcpauth.Reason, changes ...string) attack {
	return attack{name, l.k1.Sign(header(changes...), l.payload()), reason}
}

// inClaims makes an attack with other claims, signed with the key k1.
func (l *attackLab) inClaims(name string, reason mcpauth.Reason, changes ...string) attack {
	return attack{name, l.k1.Sign(header(), l.payload(changes...)), reason}
}

func TestAttackTokens_TOK_63(t *testing.T) {
	l := newAttackLab(t)
	var attacks []attack
	for _, group := range []func() []attack{
		l.structure, l.encodings, l.algorithms, l.hmac, l.critical, l.embedded, l.headerTexts, l.keyIDs, l.types, l.nested,
		l.claimTexts, l.times, l.issuers, l.audiences, l.subjects, l.confirmations, l.idTokens, l.signatures, l.curves, l.limits,
	} {
		attacks = append(attacks, group()...)
	}
	accepted, seen := 0, map[string]bool{}
	for _, a := range attacks {
		require.False(t, seen[a.name], "two attacks are named %s", a.name)
		require.NotEmpty(t, requirementIn(a.name), "%s names no requirement", a.name)
		seen[a.name] = true
		t.Run(a.name, func(t *testing.T) {
			w := l.call(a.token, "echo")
			if l.ran > 0 {
				accepted++
				l.ran = 0
				t.Error("the inner handler ran")
			}
			assertInvalidToken(t, w, a.reason)
			l.onlyOurs(t)
		})
	}
	t.Logf("%d attack tokens, %d accepted", len(attacks), accepted)
	assert.Zero(t, accepted)
	assert.GreaterOrEqual(t, len(attacks), 160)
}

// requirementIn finds a requirement id in the name of an attack.
func requirementIn(name string) string {
	for _, area := range []string{"TOK-", "AUD-", "CLAIM-", "DPOP-", "MTLS-", "LIMITS-"} {
		if strings.HasPrefix(name, area) {
			return area
		}
	}
	return ""
}

// assertInvalidToken looks at the whole answer to a bad token: nothing in it
// depends on the token but the fixed words (TOK-63).
func assertInvalidToken(t *testing.T, w *httptest.ResponseRecorder, reason mcpauth.Reason) {
	t.Helper()
	words := string(reason)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Equal(t, []string{invalidToken(words)}, w.Result().Header.Values("WWW-Authenticate"))
	assert.Equal(t, `{"error":"invalid_token","error_description":"`+words+`"}`, w.Body.String())
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	assert.Empty(t, w.Header().Get("Retry-After"))
}

// TestAttackControls shows that what the attacks change is the reason why they
// are refused: left alone, the same token is served.
func TestAttackControls_TOK_32_TOK_34_TOK_40_TOK_66(t *testing.T) {
	l := newAttackLab(t)
	controls := map[string]string{
		"unmodified":                           l.k1.Sign(header(), l.payload()),
		"TOK-34 typ JWT":                       l.k1.Sign(header("typ", `"JWT"`), l.payload()),
		"TOK-34 typ AT+JWT":                    l.k1.Sign(header("typ", `"AT+JWT"`), l.payload()),
		"TOK-34 typ application/at+jwt":        l.k1.Sign(header("typ", `"application/at+jwt"`), l.payload()),
		"TOK-34 typ absent":                    l.k1.Sign(header("typ", ""), l.payload()),
		"TOK-36 nonce in an at+jwt":            l.k1.Sign(header(), l.payload("nonce", `"n"`)),
		"TOK-40 unusual spacing":               l.k1.Sign(" {\t\"alg\" :\n\"RS256\" , \"kid\":\"k1\" }\r\n", " "+l.payload()+"\n"),
		"TOK-24 a case variant is another one": l.k1.Sign(header("ALG", `"none"`), l.payload("EXP", "1", "Aud", `"x"`)),
		"TOK-32 no kid":                        l.k1.Sign(header("kid", ""), l.payload()),
		"TOK-66 escapes in iss":                l.k1.Sign(header(), l.payload("iss", `"https:\u002f\u002fas.example.com\/tenant1"`)),
		"TOK-66 escapes in names":              l.k1.Sign(`{"\u0061lg":"RS256","kid":"k\u0031"}`, strings.Replace(l.payload(), `"exp"`, `"e\u0078p"`, 1)),
		"TOK-32 embedded key ignored":          l.k1.Sign(with(header(), `"jwk":`+jwkText(l.forged)+`,"jku":"https://evil.example/jwks"`), l.payload()),
		"TOK-23 depth 16":                      l.k1.Sign(header(), l.payload("x", strings.Repeat("[", 15)+strings.Repeat("]", 15))),
		"TOK-50 exp with a fraction":           l.k1.Sign(header(), l.payload("exp", fmt.Sprintf("%d.5", l.now+300))),
		"TOK-50 exp in scientific notation":    l.k1.Sign(header(), l.payload("exp", "9e15")),
		"CLAIM-13 256 scopes":                  l.k1.Sign(header(), l.payload("scope", quote(strings.Join(append(numbered("s", 255), "mcp:read"), " ")))),
		"the second issuer":                    l.second.Sign(header(), l.payload("iss", quote(secondIssuerURL))),
		"the second issuer, by a role":         l.second.Sign(header("typ", `"JWT"`), l.payload("iss", quote(secondIssuerURL), "aud", `"client-1"`, "scope", "", "client_id", "", "azp", `"client-2"`, "roles", `["reader"]`)),
	}
	sign := func(key *mcpauthtest.Key, alg string) {
		as := *key
		as.Alg = alg
		controls["TOK-32 alg "+alg+" by "+key.ID] = as.Sign(header("alg", quote(alg), "kid", quote(key.ID)), l.payload())
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		sign(l.rsa, alg)
	}
	for alg, key := range l.ec {
		sign(key, alg)
	}
	sign(l.ed, "EdDSA")
	sign(l.ed, "Ed25519")
	sign(l.k1, "RS256")
	require.Len(t, controls, 18+6+3+2+1)
	for name, token := range controls {
		t.Run(name, func(t *testing.T) {
			w := l.call(token, "echo")
			assert.Equal(t, http.StatusOK, w.Code, "body %s", w.Body)
			assert.Equal(t, 1, l.ran)
			assert.Empty(t, w.Header().Values("WWW-Authenticate"))
			l.ran = 0
		})
	}
}

func jwkText(key *mcpauthtest.Key) string {
	text, _ := json.Marshal(key.JWK())
	return string(text)
}

func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%03d", prefix, i))
	}
	return names
}

// TestEverySecondSpelling_TOK_22: of each of the three segments there is one spelling.
func TestEverySecondSpelling_TOK_22(t *testing.T) {
	l := newAttackLab(t)
	token := l.k1.Sign(header(), l.payload())
	for i := range len(token) {
		for _, other := range []byte{'=', '+', '/', ' ', '\n', '\r', '.', 0x80, 0} {
			if token[i] == '.' && other == '.' {
				continue
			}
			changed := []byte(token)
			changed[i] = other
			w := l.post(string(changed), modernCall("echo"))
			require.Equal(t, http.StatusUnauthorized, w.Code, "byte %d is %q", i, other)
			inserted := string(slices.Insert([]byte(token), i, other))
			if i == 0 && other == ' ' {
				continue // RFC 6750 section 2.1 allows more than one space there
			}
			w = l.post(inserted, modernCall("echo"))
			require.Equal(t, http.StatusUnauthorized, w.Code, "%q before byte %d", other, i)
		}
	}
	assert.Zero(t, l.ran)
}
