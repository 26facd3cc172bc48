package mcpauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// proofLab is a resource server that accepts bound tokens, a client with one, and an attacker
// with a key and a token of his own, who knows all that has gone over the wire.
type proofLab struct {
	*fixture
	key, foreign        *mcpauthtest.Key
	token, foreignToken string // bound to these
	bearer              string // bound to nothing
	now                 int64
}

func newProofLab(tb testing.TB, change func(*mcpauth.Config)) *proofLab {
	l := &proofLab{now: time.Now().Unix(), key: mcpauthtest.NewKey("client", "ES256"), foreign: mcpauthtest.NewKey("foreign", "ES256")}
	l.fixture = newFixture(tb, func(c *mcpauth.Config) {
		c.Issuers[0].DPoP = mcpauth.DPoPAccepted
		if change != nil {
			change(c)
		}
	})
	good := mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"}
	l.token, l.foreignToken = l.issuer.BoundToken(l.key, good), l.issuer.BoundToken(l.foreign, good)
	l.bearer = l.fixture.token(nil)
	return l
}

// proof is a good proof for a call with the client's token, changed by the claims.
func (l *proofLab) proof(claims mcpauthtest.Claims) string {
	return l.key.Proof(http.MethodPost, testResource, l.token, claims)
}

// raw signs any header and any claims with the client's key: what a broken client could do.
func (l *proofLab) raw(header, claims string) string { return l.key.Sign(header, claims) }

// header is that of a good proof with further members, or with others in their place.
func (l *proofLab) header(pairs ...string) string {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(l.key.ProofHeader()), &all); err != nil {
		panic(err)
	}
	return document(append([]string{"typ", string(all["typ"]), "alg", string(all["alg"]), "jwk", string(all["jwk"])}, pairs...)...)
}

func (l *proofLab) jwk(more string) string {
	jwk := l.key.JWK()
	delete(jwk, "alg")
	text, err := json.Marshal(jwk)
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "}") + more + "}"
}

// claims are those of a good proof, as text, with others in their place.
func (l *proofLab) claims(pairs ...string) string {
	sum := sha256.Sum256([]byte(l.token))
	return document(append([]string{"jti", quote(randomText()), "htm", `"POST"`, "htu", quote(testResource), "iat", fmt.Sprint(l.now), "ath", quote(b64(sum[:]))}, pairs...)...)
}

func randomText() string { return "canary-" + rand.Text() }

// send sends a call with an Authorization field and DPoP fields.
func (l *proofLab) send(authorization string, proofs ...string) *http.Request {
	r := newRequest(http.MethodPost, "/mcp", "", modernCall("echo"), modernHeaders("tools/call", "echo")...)
	r.Header.Set("Authorization", authorization)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return r
}

// proofAttack is one way to come without possession of the key, or with a proof of something else.
type proofAttack struct {
	name  string
	cause string // what the log says
	make  func(l *proofLab) *http.Request
}

// withProof is an attack by one proof under the scheme DPoP with the client's token.
func withProof(name, cause string, make func(l *proofLab) string) proofAttack {
	return proofAttack{name, cause, func(l *proofLab) *http.Request { return l.send("DPoP "+l.token, make(l)) }}
}

func proofAttacks() []proofAttack {
	var all []proofAttack
	add := func(name, cause string, make func(l *proofLab) string) {
		all = append(all, withProof(name, cause, make))
	}
	header := func(name, cause string, pairs ...string) {
		add(name, cause, func(l *proofLab) string { return l.raw(l.header(pairs...), l.claims()) })
	}
	claim := func(name, cause string, pairs ...string) {
		add(name, cause, func(l *proofLab) string { return l.raw(l.header(), l.claims(pairs...)) })
	}
	text := func(name, cause, text string) { add(name, cause, func(*proofLab) string { return text }) }
	mangled := func(name, cause string, change func(l *proofLab, h, c, s string) string) {
		add(name, cause, func(l *proofLab) string {
			p := strings.Split(l.proof(nil), ".")
			return change(l, p[0], p[1], p[2])
		})
	}

	text("DPOP-03 empty", "proof-malformed", "")
	text("DPOP-04 no JWT", "proof-malformed", "this-is-not-a-jwt")
	text("DPOP-04 dots", "proof-malformed", "..")
	text("DPOP-20 9 KiB", "proof-malformed", strings.Repeat("A", 9<<10))
	add("DPOP-20 a good proof of 9 KiB", "proof-malformed", func(l *proofLab) string { return l.proof(mcpauthtest.Claims{"padding": strings.Repeat("p", 7<<10)}) })
	add("DPOP-03 two in one field", "proof-several", func(l *proofLab) string { return l.proof(nil) + ", " + l.proof(nil) })
	add("DPOP-03 one twice in one field", "proof-several", func(l *proofLab) string { p := l.proof(nil); return p + "," + p })
	add("DPOP-03 a comma at the end", "proof-several", func(l *proofLab) string { return l.proof(nil) + "," })
	mangled("DPOP-04 two segments", "proof-malformed", func(_ *proofLab, h, c, _ string) string { return h + "." + c })
	mangled("DPOP-04 four segments", "proof-malformed", func(_ *proofLab, h, c, s string) string { return h + "." + c + "." + s + "." + s })
	mangled("DPOP-04 padding", "proof-malformed", func(_ *proofLab, h, c, s string) string { return h + "=." + c + "." + s })
	mangled("DPOP-04 a space inside", "proof-malformed", func(_ *proofLab, h, c, s string) string { return h + ". " + c + "." + s })
	mangled("DPOP-04 JSON serialization", "proof-several", func(_ *proofLab, h, c, s string) string {
		return `{"protected":"` + h + `","payload":"` + c + `","signature":"` + s + `"}`
	})
	mangled("DPOP-04 quoted", "proof-malformed", func(_ *proofLab, h, c, s string) string { return `"` + h + "." + c + "." + s + `"` })

	header("DPOP-04 typ JWT", "proof-malformed", "typ", `"JWT"`)
	header("DPOP-04 typ at+jwt", "proof-malformed", "typ", `"at+jwt"`)
	header("DPOP-04 typ in capitals", "proof-malformed", "typ", `"DPoP+JWT"`)
	header("DPOP-04 typ with application", "proof-malformed", "typ", `"application/dpop+jwt"`)
	header("DPOP-04 typ missing", "proof-malformed", "typ", "")
	header("DPOP-04 typ a number", "proof-malformed", "typ", "1")
	header("DPOP-04 crit", "proof-malformed", "crit", `["exp"]`)
	header("DPOP-04 b64", "proof-malformed", "b64", "false")
	header("DPOP-04 zip", "proof-malformed", "zip", `"DEF"`)
	header("DPOP-04 cty", "proof-malformed", "cty", `"JWT"`)
	header("DPOP-04 alg missing", "proof-algorithm", "alg", "")
	header("DPOP-04 alg none", "proof-algorithm", "alg", `"none"`)
	header("DPOP-04 alg HS256", "proof-algorithm", "alg", `"HS256"`)
	header("DPOP-04 alg in small letters", "proof-algorithm", "alg", `"es256"`)
	header("DPOP-04 alg ES256K", "proof-algorithm", "alg", `"ES256K"`)
	header("DPOP-04 alg of another curve", "proof-signature", "alg", `"ES384"`)
	header("DPOP-04 alg of another key type", "proof-signature", "alg", `"RS256"`)
	mangled("DPOP-04 alg none without signature", "proof-malformed", func(_ *proofLab, _, c, _ string) string {
		return b64([]byte(`{"typ":"dpop+jwt","alg":"none"}`)) + "." + c + "."
	})
	add("DPOP-04 HMAC with the public key as secret", "proof-algorithm", func(l *proofLab) string {
		input := b64([]byte(l.header("alg", `"HS256"`))) + "." + b64([]byte(l.claims()))
		mac := hmac.New(sha256.New, []byte(l.jwk("")))
		mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	})
	header("DPOP-04 jwk missing", "proof-jwk", "jwk", "")
	header("DPOP-04 jwk null", "proof-jwk", "jwk", "null")
	header("DPOP-04 jwk a text", "proof-jwk", "jwk", `"x"`)
	header("DPOP-04 jwk symmetric", "proof-jwk", "jwk", `{"kty":"oct","k":"c2VjcmV0"}`)
	header("DPOP-04 jku instead", "proof-jwk", "jwk", "", "jku", `"https://evil.example/keys"`)
	header("DPOP-04 x5c instead", "proof-jwk", "jwk", "", "x5c", `["AA=="]`)
	header("DPOP-04 RSA of 1024 bits", "proof-jwk", "jwk", `{"kty":"RSA","e":"AQAB","n":"`+b64([]byte(strings.Repeat("\xff", 128)))+`"}`)
	header("DPOP-04 no point of the curve", "proof-jwk", "jwk", `{"kty":"EC","crv":"P-256","x":"`+b64(make([]byte, 32))+`","y":"`+b64(make([]byte, 32))+`"}`)
	add("DPOP-04 the private key", "proof-jwk", func(l *proofLab) string { return l.raw(l.header("jwk", l.jwk(`,"d":"AQ"`)), l.claims()) })
	add("DPOP-04 jwk for encryption", "proof-jwk", func(l *proofLab) string {
		return l.raw(l.header("jwk", strings.Replace(l.jwk(""), `"use":"sig"`, `"use":"enc"`, 1)), l.claims())
	})
	add("DPOP-04 two keys, the token's last", "proof-malformed", func(l *proofLab) string {
		return l.foreign.Sign(strings.TrimSuffix(l.foreign.ProofHeader(), "}")+`,"jwk":`+l.jwk("")+"}", l.claims())
	})

	add("DPOP-08 the attacker's key", "proof-key", func(l *proofLab) string { return l.foreign.Proof("POST", testResource, l.token, nil) })
	add("DPOP-08 the attacker's key with the other's name", "proof-key", func(l *proofLab) string {
		return l.foreign.Sign(strings.Replace(l.foreign.ProofHeader(), `"jwk":{`, `"kid":"`+l.key.Thumbprint()+`","jwk":{"kid":"`+l.key.Thumbprint()+`",`, 1), l.claims())
	})
	add("DPOP-04 the client's key, signed by the attacker's", "proof-signature", func(l *proofLab) string { return l.foreign.Sign(l.key.ProofHeader(), l.claims()) })
	mangled("DPOP-04 other claims under a good signature", "proof-signature", func(l *proofLab, h, _, s string) string { return h + "." + b64([]byte(l.claims())) + "." + s })
	mangled("DPOP-04 signature empty", "proof-malformed", func(_ *proofLab, h, c, _ string) string { return h + "." + c + "." })
	mangled("DPOP-04 signature of zeros", "proof-signature", func(_ *proofLab, h, c, _ string) string { return h + "." + c + "." + b64(make([]byte, 64)) })
	mangled("DPOP-04 signature cut", "proof-signature", func(_ *proofLab, h, c, s string) string { return h + "." + c + "." + b64(unb64(s)[:63]) })
	add("DPOP-04 signature in ASN.1", "proof-signature", func(l *proofLab) string {
		input := b64([]byte(l.header())) + "." + b64([]byte(l.claims()))
		sum := sha256.Sum256([]byte(input))
		der, err := ecdsa.SignASN1(rand.Reader, l.key.Private.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			panic(err)
		}
		return input + "." + b64(der)
	})

	for _, name := range []string{"jti", "htm", "htu", "iat", "ath"} {
		claim("DPOP-04 "+name+" missing", "proof-claim", name, "")
		claim("DPOP-04 "+name+" null", "proof-claim", name, "null")
		claim("DPOP-04 "+name+" in a list", "proof-claim", name, "["+`"x"`+"]")
	}
	claim("DPOP-06 jti empty", "proof-claim", "jti", `""`)
	claim("DPOP-06 jti of 257 bytes", "proof-claim", "jti", quote(strings.Repeat("j", 257)))
	claim("DPOP-06 jti a number", "proof-claim", "jti", "7")
	claim("DPOP-05 htm in small letters", "proof-method", "htm", `"post"`)
	claim("DPOP-05 htm of another method", "proof-method", "htm", `"GET"`)
	claim("DPOP-05 htm with a space", "proof-method", "htm", `"POST "`)
	claim("DPOP-05 htm empty", "proof-method", "htm", `""`)
	for name, htu := range map[string]string{
		"of another host": "https://evil.example/mcp", "of another port": "https://mcp.example.com:8443/mcp", "plain": "http://mcp.example.com/mcp", "of another path": "https://mcp.example.com/other",
		"of a path below": testResource + "/x", "of the origin": "https://mcp.example.com", "relative": "/mcp", "empty": "", "with a query": testResource + "?x", "with a fragment": testResource + "#x",
		"with a user": "https://mcp.example.com@evil.example/mcp", "with a longer host": "https://mcp.example.com.evil.example/mcp", "of the issuer": testIssuerURL + "/token", "with an encoded slash": "https://mcp.example.com%2fmcp",
	} {
		claim("DPOP-05 htu "+name, "proof-url", "htu", quote(htu))
	}
	now := time.Now().Unix()
	for name, iat := range map[string]int64{"303 s ago": now - 303, "303 s ahead": now + 303, "of 1970": 0, "in milliseconds": now * 1000} {
		claim("DPOP-06 iat "+name, "proof-time", "iat", fmt.Sprint(iat))
	}
	claim("DPOP-06 iat a text", "proof-claim", "iat", `"`+fmt.Sprint(now)+`"`)
	claim("DPOP-06 iat negative", "proof-claim", "iat", "-9223372036854775808")
	claim("DPOP-06 iat without bound", "proof-claim", "iat", "1e400")
	claim("DPOP-06 exp passed", "proof-time", "exp", fmt.Sprint(now-1))
	claim("DPOP-06 nbf ahead", "proof-time", "nbf", fmt.Sprint(now+400))
	claim("DPOP-07 ath empty", "proof-token", "ath", `""`)
	claim("DPOP-07 ath no hash", "proof-token", "ath", `"not-the-right-hash"`)
	add("DPOP-07 ath of another token", "proof-token", func(l *proofLab) string { return l.key.Proof("POST", testResource, l.bearer, nil) })
	add("DPOP-07 ath in hexadecimal", "proof-token", func(l *proofLab) string {
		return l.proof(mcpauthtest.Claims{"ath": fmt.Sprintf("%x", sha256.Sum256([]byte(l.token)))})
	})
	add("DPOP-07 ath padded", "proof-token", func(l *proofLab) string {
		sum := sha256.Sum256([]byte(l.token))
		return l.proof(mcpauthtest.Claims{"ath": b64(sum[:]) + "="})
	})
	add("DPOP-04 claims that are a list", "proof-malformed", func(l *proofLab) string { return l.raw(l.header(), "["+l.claims()+"]") })
	add("DPOP-04 claims that are no JSON", "proof-malformed", func(l *proofLab) string { return l.raw(l.header(), "x") })
	add("DPOP-04 something follows the claims", "proof-malformed", func(l *proofLab) string { return l.raw(l.header(), l.claims()+"{}") })
	add("DPOP-04 htm twice", "proof-malformed", func(l *proofLab) string { return l.raw(l.header(), `{"htm":"GET",`+l.claims()[1:]) })
	add("DPOP-10 a nonce from elsewhere", "proof-nonce", func(l *proofLab) string { return l.proof(mcpauthtest.Claims{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}) })
	return append(all, tokenConfusions()...)
}

// tokenConfusions are kinds of tokens and proofs in each other's places.
func tokenConfusions() []proofAttack {
	as := func(name, cause string, make func(l *proofLab) (authorization string, proofs []string)) proofAttack {
		return proofAttack{name, cause, func(l *proofLab) *http.Request {
			authorization, proofs := make(l)
			return l.send(authorization, proofs...)
		}}
	}
	bound := func(cnf string) string {
		return `{"iss":"` + testIssuerURL + `","aud":"` + testResource + `","sub":"u","client_id":"c","scope":"mcp:read","exp":99999999999,"cnf":` + cnf + `}`
	}
	otherBinding := func(name, cnf string) proofAttack {
		return as(name, "bound-otherwise", func(l *proofLab) (string, []string) {
			token := l.issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, bound(strings.ReplaceAll(cnf, "JKT", l.key.Thumbprint())))
			return "DPoP " + token, []string{l.key.Proof("POST", testResource, token, nil)}
		})
	}
	return []proofAttack{
		as("DPOP-03 no proof", "proof-missing", func(l *proofLab) (string, []string) { return "DPoP " + l.token, nil }),
		as("DPOP-03 two proofs", "proof-several", func(l *proofLab) (string, []string) { return "DPoP " + l.token, []string{l.proof(nil), l.proof(nil)} }),
		as("DPOP-03 a good proof and a bad one", "proof-several", func(l *proofLab) (string, []string) { return "DPoP " + l.token, []string{"x", l.proof(nil)} }),
		as("DPOP-01 a bound token as Bearer", "bound-as-bearer", func(l *proofLab) (string, []string) { return "Bearer " + l.token, nil }),
		as("DPOP-01 a bound token as Bearer with a proof", "bound-as-bearer", func(l *proofLab) (string, []string) { return "Bearer " + l.token, []string{l.proof(nil)} }),
		as("DPOP-02 a bearer token as DPoP", "token-unbound", func(l *proofLab) (string, []string) {
			return "DPoP " + l.bearer, []string{l.key.Proof("POST", testResource, l.bearer, nil)}
		}),
		as("DPOP-02 a bearer token as DPoP without a proof", "token-unbound", func(l *proofLab) (string, []string) { return "dpop " + l.bearer, nil }),
		as("DPOP-08 a stolen token with the thief's key", "proof-key", func(l *proofLab) (string, []string) {
			return "DPoP " + l.token, []string{l.foreign.Proof("POST", testResource, l.token, nil)}
		}),
		as("DPOP-07 the thief's token with the other's proof", "proof-token", func(l *proofLab) (string, []string) { return "DPoP " + l.foreignToken, []string{l.proof(nil)} }),
		as("DPOP-08 the thief's token with the other's proof for it", "proof-key", func(l *proofLab) (string, []string) {
			return "DPoP " + l.foreignToken, []string{l.key.Proof("POST", testResource, l.foreignToken, nil)}
		}),
		as("DPOP-04 the access token as proof", "proof-jwk", func(l *proofLab) (string, []string) { return "DPoP " + l.token, []string{l.token} }),
		as("DPOP-15 the proof as access token", "issuer-missing", func(l *proofLab) (string, []string) { return "DPoP " + l.proof(nil), []string{l.proof(nil)} }),
		as("DPOP-15 an expired token with a good proof", "expired", func(l *proofLab) (string, []string) {
			token := l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "iat": l.now - 7200, "exp": l.now - 3600})
			return "DPoP " + token, []string{l.key.Proof("POST", testResource, token, nil)}
		}),
		as("DPOP-15 a token for another resource with a good proof", "audience-host", func(l *proofLab) (string, []string) {
			token := l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": "https://other.example.com/mcp"})
			return "DPoP " + token, []string{l.key.Proof("POST", testResource, token, nil)}
		}),
		as("DPOP-15 a forged token that is bound to the attacker's key", "signature", func(l *proofLab) (string, []string) {
			forged := mcpauthtest.NewKey("k1", "RS256").Sign(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, bound(`{"jkt":"`+l.foreign.Thumbprint()+`"}`))
			return "DPoP " + forged, []string{l.foreign.Proof("POST", testResource, forged, nil)}
		}),
		as("DPOP-02 a scheme that is neither", "scheme", func(l *proofLab) (string, []string) { return "DPoP: " + l.token, []string{l.proof(nil)} }),
		otherBinding("DPOP-19 jkt and a certificate", `{"jkt":"JKT","x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`),
		otherBinding("DPOP-19 a certificate and jkt", `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2","jkt":"JKT"}`),
		otherBinding("MTLS-01 a certificate", `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`),
		otherBinding("DPOP-19 empty", `{}`), otherBinding("DPOP-19 null", `null`), otherBinding("DPOP-19 a text", `"JKT"`), otherBinding("DPOP-19 a list", `["JKT"]`),
		otherBinding("DPOP-19 kid", `{"kid":"JKT"}`), otherBinding("DPOP-19 jwk", `{"jwk":{"kty":"EC"}}`), otherBinding("DPOP-19 jkt null", `{"jkt":null}`), otherBinding("DPOP-19 jkt empty", `{"jkt":""}`),
		otherBinding("DPOP-19 jkt padded", `{"jkt":"JKT="}`), otherBinding("DPOP-19 jkt in a list", `{"jkt":["JKT"]}`), otherBinding("DPOP-19 jkt and jwk", `{"jkt":"JKT","jwk":{"kty":"EC"}}`),
		otherBinding("DPOP-19 jkt and jwe", `{"jkt":"JKT","jwe":"x"}`), otherBinding("DPOP-19 kid and jkt", `{"kid":"x","jkt":"JKT"}`), otherBinding("DPOP-19 jkt and jku", `{"jkt":"JKT","jku":"https://evil.example.com"}`),
		otherBinding("DPOP-19 jkt and osc", `{"jkt":"JKT","osc":{}}`), otherBinding("DPOP-19 something unknown alone", `{"kc-jkt-type":"DPoP"}`),
		otherBinding("DPOP-19 jkt in capitals", `{"JKT":"x"}`),
	}
}

var loggedCause = regexp.MustCompile(`(?m) cause=(\S+)`)

// TestProofAttacks: none is served, all are answered with 401 and a challenge that offers both schemes, and the log
// names the cause and shows no token, no proof and no jti.
func TestProofAttacks_DPOP_03_DPOP_04_DPOP_13_DPOP_20(t *testing.T) {
	l := newProofLab(t, nil)
	w := l.serve(l.send("DPoP "+l.token, l.proof(nil)))
	require.Equal(t, http.StatusOK, w.Code, "the control: %s", l.log)
	require.Equal(t, 1, l.ran)
	rows := proofAttacks()
	require.GreaterOrEqual(t, len(rows), 100)
	accepted := 0
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l.log.Reset()
			r := row.make(l)
			w := l.serve(r)
			if !assert.Equal(t, 1, l.ran, "served") {
				accepted++
				l.ran = 1
			}
			assert.Equal(t, http.StatusUnauthorized, w.Code)
			challenges := w.Header()["Www-Authenticate"]
			if assert.Len(t, challenges, 2) {
				assert.True(t, strings.HasPrefix(challenges[0], "Bearer ") && strings.HasPrefix(challenges[1], "DPoP "), "%q", challenges)
				assert.Contains(t, challenges[1], ` algs="RS256 `)
			}
			logged := loggedCause.FindStringSubmatch(l.log.String())
			if assert.NotNil(t, logged, l.log.String()) {
				assert.Equal(t, row.cause, logged[1], l.log.String())
			}
			for _, secret := range append(r.Header["Dpop"], r.Header.Get("Authorization"), "canary-") {
				if len(secret) > 30 || secret == "canary-" {
					assert.NotContains(t, l.log.String(), secret)
					assert.NotContains(t, w.Body.String(), secret)
				}
			}
			t.Logf("log: %s", strings.TrimSpace(l.log.String()[strings.Index(l.log.String(), "reason="):]))
		})
	}
	t.Logf("%d attacks, %d accepted", len(rows), accepted)
	w = l.serve(l.send("DPoP "+l.token, l.proof(nil)))
	assert.Equal(t, http.StatusOK, w.Code, "and the client goes on")
}

// TestReplays: a proof that was used is refused, in whatever spelling, and wherever it is sent.
func TestReplays_DPOP_09_DPOP_16(t *testing.T) {
	l := newProofLab(t, nil)
	used := l.proof(mcpauthtest.Claims{"jti": "the-one"})
	require.Equal(t, http.StatusOK, l.serve(l.send("DPoP "+l.token, used)).Code)
	other := func(method, target, authorization string, proofs ...string) func() *http.Request {
		return func() *http.Request {
			r := l.send(authorization, proofs...)
			again := newRequest(method, target, "", modernCall("echo"), modernHeaders("tools/call", "echo")...)
			again.Header["Authorization"], again.Header["Dpop"] = r.Header["Authorization"], r.Header["Dpop"]
			return again
		}
	}
	for name, row := range map[string]struct {
		cause string
		make  func() *http.Request
	}{
		"again":                           {"proof-replayed", other("POST", "/mcp", "DPoP "+l.token, used)},
		"with another path":               {"proof-replayed", other("POST", "/mcp/", "DPoP "+l.token, used)},
		"the scheme in small letters":     {"proof-replayed", other("POST", "/mcp", "dpop "+l.token, used)},
		"with spaces":                     {"proof-replayed", other("POST", "/mcp", "DPoP   "+l.token, " "+used+"\t")},
		"the other signature":             {"proof-replayed", other("POST", "/mcp", "DPoP "+l.token, otherS(used))},
		"a new proof with the jti":        {"proof-replayed", other("POST", "/mcp", "DPoP "+l.token, l.proof(mcpauthtest.Claims{"jti": "the-one", "iat": l.now - 5}))},
		"as another's":                    {"proof-token", other("POST", "/mcp", "DPoP "+l.foreignToken, used)},
		"DPOP-16 for another HTTP method": {"proof-method", other("GET", "/mcp", "DPoP "+l.token, used)},
		"DPOP-16 for DELETE":              {"proof-method", other("DELETE", "/mcp", "DPoP "+l.token, used)},
	} {
		t.Run(name, func(t *testing.T) {
			l.log.Reset()
			r := row.make()
			if r.Method != http.MethodPost {
				r.Header.Del("MCP-Protocol-Version") // there is no GET in the modern era
			}
			w := l.serve(r)
			assert.Equal(t, http.StatusUnauthorized, w.Code, l.log)
			assert.Equal(t, 1, l.ran)
			assert.Contains(t, l.log.String(), "cause="+row.cause+" ")
		})
	}
	// Another client may have a proof of the same name.
	w := l.serve(l.send("DPoP "+l.foreignToken, l.foreign.Proof("POST", testResource, l.foreignToken, mcpauthtest.Claims{"jti": "the-one"})))
	assert.Equal(t, http.StatusOK, w.Code)
}

// otherS returns the same proof with the second signature that ECDSA allows.
func otherS(proof string) string {
	at := strings.LastIndexByte(proof, '.') + 1
	signature := unb64(proof[at:])
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return proof[:at] + b64(signature)
}
