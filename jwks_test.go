package mcpauth_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"runtime"
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

// keyPayload is the payload of a good token; changes override, nil removes.
func (f *fixture) keyPayload(changes mcpauthtest.Claims) string {
	now := time.Now()
	claims := mcpauthtest.Claims{
		"iss": f.issuer.URL(), "aud": testResource, "sub": "user-1", "client_id": "client-1", "jti": "1",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "scope": "mcp:read",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return jsonText(f.tb, claims)
}

// keyToken mints a good token with any key: alg and kid are the key's, and a
// key without ID gives a token without kid.
func (f *fixture) keyToken(key *mcpauthtest.Key, changes mcpauthtest.Claims) string {
	header := map[string]any{"alg": key.Alg, "typ": "at+jwt"}
	if key.ID != "" {
		header["kid"] = key.ID
	}
	return key.Sign(jsonText(f.tb, header), f.keyPayload(changes))
}

// randomKid is a token that gets as far as the keys: its kid is not there, and
// its signature is not one.
func (f *fixture) randomKid(n int) string {
	header := fmt.Sprintf(`{"alg":"ES256","kid":"random-%d","typ":"at+jwt"}`, n)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(f.keyPayload(nil))) + "." + encode(make([]byte, 64))
}

// keysHMAC signs as a client could who takes a public key for a secret.
func keysHMAC(secret []byte, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

func jsonText(tb testing.TB, v any) string {
	tb.Helper()
	text, err := json.Marshal(v)
	require.NoError(tb, err)
	return string(text)
}

// keySetOf renders a set of ready JWKs and of texts.
func keySetOf(tb testing.TB, keys ...any) string {
	for n, key := range keys {
		if text, ok := key.(string); ok {
			keys[n] = json.RawMessage(text)
		}
	}
	return jsonText(tb, map[string]any{"keys": keys})
}

// edited changes members of a JWK; nil removes.
func edited(jwk map[string]any, changes map[string]any) map[string]any {
	maps.Copy(jwk, changes)
	maps.DeleteFunc(jwk, func(_ string, value any) bool { return value == nil })
	return jwk
}

func keyFetches(f *fixture) int { return f.issuer.Fetches(mcpauthtest.JWKS) }

const (
	unknownKey   = "signing key unknown"
	badSignature = "signature invalid"
	badAlgorithm = "signature algorithm not accepted"
)

// One key of a set that cannot be used serves no token, and leaves the others as they are.
func TestKey_Unusable_JWKS_01_to_08_LIMITS_12(t *testing.T) {
	rs, es, ed := mcpauthtest.NewKey("x", "RS256"), mcpauthtest.NewKey("x", "ES256"), mcpauthtest.NewKey("x", "EdDSA")
	weak := &mcpauthtest.Key{ID: "x", Alg: "RS256", Private: weakKey(t)}
	long := func(bits int) string {
		n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
		return base64.RawURLEncoding.EncodeToString(n.Bytes())
	}
	type change = map[string]any
	for _, row := range []struct {
		name   string
		key    *mcpauthtest.Key // signs the token
		change change           // to its JWK
		reason string
	}{
		{"JWKS-01 unknown kty", es, change{"kty": "AKP"}, "key type not accepted"},
		{"JWKS-01 no kty", es, change{"kty": nil}, "key type not accepted"},
		{"JWKS-01 kty in lower case", es, change{"kty": "ec"}, "key type not accepted"},
		{"JWKS-01 unknown curve", es, change{"crv": "secp256k1"}, "curve not accepted"},
		{"JWKS-01 unknown alg", es, change{"alg": "ES256K"}, "alg not accepted or not of this key type"},
		{"JWKS-01 a member is missing", rs, change{"n": nil}, "member missing or malformed"},
		{"JWKS-01 a member is no string", rs, change{"e": 65537}, "member missing or malformed"},
		{"JWKS-02 oct", es, change{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, "private or symmetric key material"},
		{"JWKS-02 oct without k", es, change{"kty": "oct"}, "key type not accepted"},
		{"JWKS-03 use enc", rs, change{"use": "enc"}, "use is not sig"},
		{"JWKS-03 use in upper case", rs, change{"use": "SIG"}, "use is not sig"},
		{"JWKS-04 key_ops encrypt", rs, change{"key_ops": []string{"encrypt"}}, "key_ops without verify"},
		{"JWKS-04 key_ops sign", rs, change{"key_ops": []string{"sign"}}, "key_ops without verify"},
		{"JWKS-04 key_ops is a string", rs, change{"key_ops": "verify"}, "key_ops without verify"},
		{"JWKS-05 1024 bits", weak, nil, "RSA modulus not accepted"},
		{"JWKS-05 LIMITS-12 8200 bits", rs, change{"n": long(8200)}, "RSA modulus not accepted"},
		{"JWKS-05 LIMITS-12 524288 bits", rs, change{"n": long(524288)}, "larger than 8 KiB"},
		{"JWKS-05 an even modulus", rs, change{"n": base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, 255)...))}, "RSA modulus not accepted"},
		{"JWKS-05 e is 1", rs, change{"e": "AQ"}, "RSA exponent not accepted"},
		{"JWKS-05 e is even", rs, change{"e": "AQAA"}, "RSA exponent not accepted"},
		{"JWKS-05 e is 0", rs, change{"e": ""}, "member missing or malformed"},
		{"JWKS-05 e is beyond 2^31-1", rs, change{"e": "gAAAAQ"}, "RSA exponent not accepted"},
		{"JWKS-06 the point zero", es, change{"x": noughts(32), "y": noughts(32)}, "not a point of the curve"},
		{"JWKS-06 off the curve", es, change{"y": noughts(32)}, "not a point of the curve"},
		{"JWKS-06 short coordinate", es, change{"x": noughts(31)}, "member missing or malformed"},
		{"JWKS-06 long coordinate", es, change{"x": noughts(33)}, "member missing or malformed"},
		{"JWKS-06 X25519", ed, change{"crv": "X25519"}, "curve not accepted"},
		{"JWKS-06 Ed448", ed, change{"crv": "Ed448"}, "curve not accepted"},
		{"JWKS-07 private EC key", es, change{"d": "c2VjcmV0"}, "private or symmetric key material"},
		{"JWKS-07 private RSA key", rs, change{"d": "c2VjcmV0", "p": "cA", "q": "cQ"}, "private or symmetric key material"},
		{"JWKS-07 one prime", rs, change{"p": "c2VjcmV0"}, "private or symmetric key material"},
		{"JWKS-08 alg of another family", es, change{"alg": "RS256"}, "alg not accepted or not of this key type"},
		{"JWKS-08 alg of another curve", es, change{"alg": "ES384"}, "alg not accepted or not of this key type"},
		{"JWKS-23 more than 8 KiB", es, change{"x5c": []string{strings.Repeat("x", 8<<10)}}, "larger than 8 KiB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			good := f.issuer.Keys()[0]
			f.issuer.PublishKeySet(keySetOf(t, edited(row.key.JWK(), row.change), good.JWK()))
			f.refused(f.call(f.keyToken(row.key, nil), "echo"), 401, invalidToken(unknownKey))
			f.served(f.call(f.token(nil), "echo"))

			status := f.auth.Issuers()[0]
			assert.Equal(t, []string{"k1"}, status.Keys)
			if assert.Len(t, status.Skipped, 1) {
				assert.Contains(t, status.Skipped[0], row.reason)
			}
			if strings.Contains(row.reason, "private") {
				assert.Contains(t, f.log.String(), "level=ERROR")
				assert.Contains(t, f.log.String(), "kid=x", "JWKS-07")
			}
			assert.NotContains(t, f.log.String(), "c2VjcmV0", "JWKS-07: key material in the log")
		})
	}
	t.Run("JWKS-01 something else instead of a key", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishKeySet(keySetOf(t, `null`, `"key"`, `[]`, `7`, f.issuer.Keys()[0].JWK(), `{}`))
		f.served(f.call(f.token(nil), "echo"))
		assert.Len(t, f.auth.Issuers()[0].Skipped, 5)
	})
	t.Run("JWKS-07 nothing but a private key", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.PublishKeySet(keySetOf(t, edited(f.issuer.Keys()[0].JWK(), change{"d": "c2VjcmV0"})))
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Equal(t, "no_usable_keys", f.lastError())
		assert.Contains(t, f.log.String(), "level=ERROR")
		assert.NotContains(t, f.log.String(), "c2VjcmV0")
	})
}

func noughts(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }

func weakKey(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return key
}

// HS256 with whatever the attacker knows: the octets of a published secret, or a public key.
func TestKey_Symmetric_JWKS_02(t *testing.T) {
	f := newFixture(t, nil)
	f.issuer.PublishKeySet(keySetOf(t, `{"kty":"oct","kid":"x","k":"c2VjcmV0","alg":"HS256"}`, f.issuer.Keys()[0].JWK()))
	f.served(f.call(f.token(nil), "echo"))
	for name, secret := range map[string][]byte{"oct": []byte("secret"), "pem": f.issuer.Keys()[0].PEM()} {
		for _, kid := range []string{"x", "k1"} {
			w := f.call(keysHMAC(secret, `{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, f.keyPayload(nil)), "echo")
			f.refused(w, 401, invalidToken(badAlgorithm))
			assert.NotEmpty(t, name)
		}
	}
	assert.Equal(t, 1, keyFetches(f))
}

// Keys that are good, in every shape that providers publish.
func TestKey_Usable_JWKS_05_JWKS_06_JWKS_08_LIMITS_12(t *testing.T) {
	rs := mcpauthtest.NewKey("x", "RS256")
	as := func(alg string) *mcpauthtest.Key { return &mcpauthtest.Key{ID: "x", Alg: alg, Private: rs.Private} }
	p384 := mcpauthtest.NewKey("x", "ES384")
	type change = map[string]any
	for _, row := range []struct {
		name   string
		key    *mcpauthtest.Key
		alg    string // of the header; "" for the key's
		change change
		words  string // of the refusal; "" for none
	}{
		{"JWKS-08 alg RS256", rs, "", nil, ""},
		{"JWKS-08 no alg, RS256", rs, "", change{"alg": nil}, ""},
		{"JWKS-08 no alg, RS384", as("RS384"), "", change{"alg": nil}, ""},
		{"JWKS-08 no alg, RS512", as("RS512"), "", change{"alg": nil}, ""},
		{"JWKS-08 no alg, PS256", as("PS256"), "", change{"alg": nil}, ""},
		{"JWKS-08 no alg, PS512", as("PS512"), "", change{"alg": nil}, ""},
		{"JWKS-08 no alg, no use", rs, "", change{"alg": nil, "use": nil}, ""},
		{"JWKS-08 alg RS256, a PS256 token", as("PS256"), "", change{"alg": "RS256"}, unknownKey},
		{"JWKS-08 alg RS256, an RS512 token", as("RS512"), "", change{"alg": "RS256"}, unknownKey},
		{"JWKS-08 an ES256 header over P-384", p384, "ES256", change{"alg": nil}, unknownKey},
		{"JWKS-08 an ES256 header over RSA", rs, "ES256", change{"alg": nil}, unknownKey},
		{"JWKS-08 an RS256 header over P-384", p384, "RS256", change{"alg": nil}, unknownKey},
		{"JWKS-06 P-256", mcpauthtest.NewKey("x", "ES256"), "", change{"alg": nil}, ""},
		{"JWKS-06 P-384", p384, "", change{"alg": nil}, ""},
		{"JWKS-06 P-521", mcpauthtest.NewKey("x", "ES512"), "", change{"alg": nil}, ""},
		{"JWKS-06 Ed25519, EdDSA", mcpauthtest.NewKey("x", "EdDSA"), "", change{"alg": nil}, ""},
		{"JWKS-06 Ed25519, by its new name", mcpauthtest.NewKey("x", "Ed25519"), "", change{"alg": nil}, ""},
		{"JWKS-04 key_ops with verify", rs, "", change{"key_ops": []string{"sign", "verify"}}, ""},
		{"JWKS-01 members nobody knows", rs, "", change{"x5c": []string{"!"}, "x5t": 1, "ext": true, "N": "AQ"}, ""},
		{"JWKS-05 LIMITS-12 8192 bits", wideKey(t, "x", 4), "", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.PublishKeySet(keySetOf(t, edited(row.key.JWK(), row.change), f.issuer.Keys()[0].JWK()))
			alg := row.alg
			if alg == "" {
				alg = row.key.Alg
			}
			w := f.call(row.key.Sign(`{"alg":"`+alg+`","kid":"x","typ":"at+jwt"}`, f.keyPayload(nil)), "echo")
			if row.words == "" {
				f.served(w)
				return
			}
			f.refused(w, 401, invalidToken(row.words))
		})
	}
}

// wideKey multiplies moduli of 2048 bits: the product is a modulus of as many
// primes, and nobody has to wait for large ones.
func wideKey(t *testing.T, kid string, factors int) *mcpauthtest.Key {
	wide := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(1), E: 65537}}
	phi, one := big.NewInt(1), big.NewInt(1)
	for n := range factors {
		part := mcpauthtest.NewKey(fmt.Sprintf("factor-%d", n), "RS256").Private.(*rsa.PrivateKey)
		wide.N.Mul(wide.N, part.N)
		for _, prime := range part.Primes {
			wide.Primes = append(wide.Primes, prime)
			phi.Mul(phi, new(big.Int).Sub(prime, one))
		}
	}
	wide.D = new(big.Int).ModInverse(big.NewInt(65537), phi)
	require.NotNil(t, wide.D)
	return &mcpauthtest.Key{ID: kid, Alg: "RS256", Private: wide}
}

func TestKid_Choice_JWKS_09_JWKS_10_JWKS_32(t *testing.T) {
	signer, other := mcpauthtest.NewKey("signer", "ES256"), mcpauthtest.NewKey("other", "ES256")
	rs := mcpauthtest.NewKey("rs", "RS256")
	named := func(key *mcpauthtest.Key, kid any) any { return edited(key.JWK(), map[string]any{"kid": kid}) }
	repeat := func(n int, key any, last any) (keys []any) {
		for range n - 1 {
			keys = append(keys, key)
		}
		return append(keys, last)
	}
	for _, row := range []struct {
		name   string
		keys   []any
		header string // members of the header beside alg and typ
		words  string
	}{
		{"JWKS-09 one", []any{named(signer, "k")}, `,"kid":"k"`, ""},
		{"JWKS-09 two of one kid, the second is right", []any{named(other, "k"), named(signer, "k")}, `,"kid":"k"`, ""},
		{"JWKS-09 two of one kid, of other types", []any{named(rs, "k"), named(signer, "k")}, `,"kid":"k"`, ""},
		{"JWKS-09 four of one kid, the last is right", repeat(4, named(other, "k"), named(signer, "k")), `,"kid":"k"`, ""},
		{"JWKS-09 five of one kid, the last is right", repeat(5, named(other, "k"), named(signer, "k")), `,"kid":"k"`, badSignature},
		{"JWKS-09 those of another type do not count", repeat(9, named(rs, "k"), named(signer, "k")), `,"kid":"k"`, ""},
		{"JWKS-09 upper case", []any{named(signer, "k")}, `,"kid":"K"`, unknownKey},
		{"JWKS-09 a space more", []any{named(signer, "k")}, `,"kid":"k "`, unknownKey},
		{"JWKS-09 normalization", []any{named(signer, "\u00e9")}, `,"kid":"e\u0301"`, unknownKey},
		{"JWKS-09 the right key under another name", []any{named(signer, "k"), named(other, "o")}, `,"kid":"o"`, badSignature},
		{"JWKS-09 the only key has no kid", []any{named(signer, nil)}, `,"kid":"k"`, unknownKey},
		{"JWKS-09 empty is a kid", []any{named(signer, "")}, `,"kid":""`, ""},
		{"JWKS-09 empty is not none", []any{named(signer, nil)}, `,"kid":""`, unknownKey},
		{"JWKS-10 no kid, one key", []any{named(signer, "k")}, ``, ""},
		{"JWKS-10 no kid, two keys", []any{named(other, "a"), named(signer, "b")}, ``, ""},
		{"JWKS-10 no kid, keys without kid", []any{named(other, nil), named(signer, nil)}, ``, ""},
		{"JWKS-10 no kid, eight keys", repeat(8, named(other, "a"), named(signer, "b")), ``, ""},
		{"JWKS-10 no kid, nine keys", repeat(9, named(other, "a"), named(signer, "b")), ``, unknownKey},
		{"JWKS-10 no kid, none fits", []any{named(rs, "a")}, ``, unknownKey},
		{"JWKS-10 no kid, those of another type do not count", repeat(20, named(rs, "a"), named(signer, "b")), ``, ""},
		{"JWKS-32 escapes", []any{named(signer, "k1")}, `,"kid":"\u006b1"`, ""},
		{"JWKS-32 escapes in the member's name", []any{named(signer, "k1")}, `,"\u006bid":"k1"`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.PublishKeySet(keySetOf(t, row.keys...))
			w := f.call(signer.Sign(`{"alg":"ES256","typ":"at+jwt"`+row.header+`}`, f.keyPayload(nil)), "echo")
			if row.words == "" {
				f.served(w)
				return
			}
			f.refused(w, 401, invalidToken(row.words))
		})
	}
	t.Run("JWKS-32 escapes in the set", func(t *testing.T) {
		f := newFixture(t, nil)
		text := strings.Replace(keySetOf(t, f.issuer.Keys()[0].JWK()), `"k1"`, `"\u006b\u0031"`, 1)
		f.issuer.PublishKeySet(text)
		f.served(f.call(f.token(nil), "echo"))
	})
}

// A kid finds a key and nothing else.
func TestKid_Hostile_JWKS_11(t *testing.T) {
	for _, row := range []struct{ name, kid, words string }{
		{"JWKS-11 a path", "../../etc/passwd", unknownKey},
		{"JWKS-11 a URL", "https://evil.example/key", unknownKey},
		{"JWKS-11 SQL", "' OR '1'='1", unknownKey},
		{"JWKS-11 256 bytes", strings.Repeat("k", 256), unknownKey},
		{"JWKS-11 257 bytes", strings.Repeat("k", 257), "malformed token"},
		{"JWKS-11 3 KiB", strings.Repeat("k", 3<<10), "malformed token"},
		{"JWKS-11 10 KiB", strings.Repeat("k", 10<<10), "token too complex"},
		{"JWKS-11 control characters", "k\x001", "malformed token"},
		{"JWKS-11 a line break", "k\r\nSet-Cookie: a=b", "malformed token"},
		{"JWKS-11 C1 control", "k\u0085", "malformed token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			before := keyFetches(f)
			header := jsonText(t, map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": row.kid})
			w := f.call(f.issuer.Sign(header, f.keyPayload(nil)), "echo")
			f.refused(w, 401, invalidToken(row.words))
			if row.words != unknownKey {
				assert.Equal(t, before, keyFetches(f), "no look-up, no fetch")
			}
			for _, url := range urls(f.issuer) {
				assert.Contains(t, []string{placeOAuth, placeKeys}, url)
			}
		})
	}
}

// A token never brings its own key.
func TestKey_Embedded_JWKS_12(t *testing.T) {
	attacker := mcpauthtest.NewKey("k1", "ES256")
	jwk := jsonText(t, attacker.JWK())
	for _, row := range []struct{ name, member string }{
		{"JWKS-12 jwk", `,"jwk":` + jwk},
		{"JWKS-12 jku", `,"jku":"https://evil.example/jwks"`},
		{"JWKS-12 x5u", `,"x5u":"https://evil.example/cert"`},
		{"JWKS-12 x5c", `,"x5c":["` + base64.StdEncoding.EncodeToString(attacker.PEM()) + `"]`},
		{"JWKS-12 all", `,"jwk":` + jwk + `,"jku":"https://evil.example/jwks","x5u":"https://evil.example/cert","x5t":"AA"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Rotate(f.issuer.Keys()[0], mcpauthtest.NewKey("k2", "ES256"))
			for _, kid := range []string{`,"kid":"k2"`, ``} {
				w := f.call(attacker.Sign(`{"alg":"ES256","typ":"at+jwt"`+kid+row.member+`}`, f.keyPayload(nil)), "echo")
				f.refused(w, 401, invalidToken(badSignature))
			}
			f.served(f.call(f.issuer.Sign(`{"alg":"RS256","typ":"at+jwt","kid":"k1"`+row.member+`}`, f.keyPayload(nil)), "echo"))
			for _, url := range urls(f.issuer) {
				assert.Contains(t, []string{placeOAuth, placeKeys}, url)
			}
		})
	}
}

// Everything that is wrong with a token without looking at a key is found without fetching one.
func TestKidMiss_CheapChecksFirst_JWKS_15(t *testing.T) {
	type claims = mcpauthtest.Claims
	good := `{"alg":"RS256","kid":"random","typ":"at+jwt"}`
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, row := range []struct {
		name, header string
		changes      claims
	}{
		{"JWKS-15 expired", good, claims{"exp": in(-time.Minute)}},
		{"JWKS-15 no exp", good, claims{"exp": nil}},
		{"JWKS-15 not yet valid", good, claims{"nbf": in(time.Minute)}},
		{"JWKS-15 issued in the future", good, claims{"iat": in(time.Minute)}},
		{"JWKS-15 another audience", good, claims{"aud": "https://other.example"}},
		{"JWKS-15 no audience", good, claims{"aud": nil}},
		{"JWKS-15 unknown issuer", good, claims{"iss": "https://evil.example"}},
		{"JWKS-15 no subject", good, claims{"sub": nil}},
		{"JWKS-15 bound to a key", good, claims{"cnf": map[string]any{"jkt": "x"}}},
		{"JWKS-15 none", `{"alg":"none","kid":"random"}`, nil},
		{"JWKS-15 HS256", `{"alg":"HS256","kid":"random"}`, nil},
		{"JWKS-15 unknown alg", `{"alg":"RS1","kid":"random"}`, nil},
		{"JWKS-15 alg that the issuer does not use", `{"alg":"ES512","kid":"random"}`, nil},
		{"JWKS-15 type of another JWT", `{"alg":"RS256","kid":"random","typ":"logout+jwt"}`, nil},
		{"JWKS-15 crit", `{"alg":"RS256","kid":"random","crit":["x"],"x":1}`, nil},
		{"JWKS-15 broken header", `{"alg":"RS256","kid":"random"`, nil},
		{"JWKS-15 too large", good, claims{"filler": strings.Repeat("x", 17<<10)}},
	} {
		for _, warm := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, warm %t", row.name, warm), func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{"RS256", "ES256"} })
				want := 0
				if warm {
					f.served(f.call(f.token(nil), "echo"))
					want = 2
				}
				w := f.call(f.issuer.Sign(row.header, f.keyPayload(row.changes)), "echo")
				assert.Equal(t, http.StatusUnauthorized, w.Code)
				assert.Contains(t, w.Result().Header.Get("WWW-Authenticate"), `error="invalid_token"`)
				assert.Zero(t, f.ran)
				assert.Len(t, f.issuer.Requests(), want)
			})
		}
	}
	for _, broken := range []string{"x", "x.y", "a.b.c.d", "..", "a.b.c.d.e"} {
		f := newFixture(t, nil)
		f.refused(f.call(broken, "echo"), 401, invalidToken("malformed token"))
		assert.Empty(t, f.issuer.Requests(), "JWKS-15 %s", broken)
	}
}

// An ordinary rotation costs nobody a 401.
func TestRotation_AtOnce_JWKS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Second)
		for n := range 5 {
			f.issuer.Rotate(mcpauthtest.NewKey(fmt.Sprintf("r%d", n), "ES256"), f.issuer.Keys()[0])
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(31 * time.Second)
		}
		assert.Equal(t, 6, keyFetches(f))
	})
}

func TestFlight_Detached_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.Transport = keysDelay(c.Transport, time.Second)
			c.Issuers[0].JWKSURI = placeKeys
		})
		token, begun := f.token(nil), time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			r := f.request(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
			w := f.serve(r.WithContext(ctx))
			assert.Equal(t, 10*time.Millisecond, time.Since(begun))
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			assert.NotEmpty(t, w.Result().Header.Get("Retry-After"))
		})
		waiting.Go(func() {
			time.Sleep(time.Millisecond)
			assert.Equal(t, http.StatusOK, f.call(token, "echo").Code)
			assert.Equal(t, time.Second, time.Since(begun))
		})
		waiting.Wait()
		assert.Equal(t, 1, keyFetches(f))
		assert.Equal(t, 1, f.ran)
	})
}

func TestRefresh_NeverBlocks_JWKS_18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Hang)
		time.Sleep(2 * time.Hour)
		token, begun := f.token(nil), time.Now()
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				for range 100 {
					assert.Equal(t, http.StatusOK, f.call(token, "echo").Code)
				}
			})
		}
		waiting.Wait()
		assert.Zero(t, time.Since(begun), "somebody waited for the refresh")
		assert.Equal(t, 1000, f.ran)
		synctest.Wait()
		assert.Equal(t, 2, keyFetches(f), "and one is under way")
		time.Sleep(5 * time.Second)
	})
}

func TestStale_Bounded_JWKS_19(t *testing.T) {
	for _, fault := range []mcpauthtest.Fault{mcpauthtest.Down, mcpauthtest.Empty} {
		t.Run("JWKS-19 JWKS-20 "+fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.served(f.call(f.token(nil), "echo"))
				f.issuer.Break(mcpauthtest.JWKS, fault)
				for range 24 {
					time.Sleep(time.Hour - time.Second)
					f.served(f.call(f.token(nil), "echo"))
				}
				assert.True(t, f.auth.Issuers()[0].Ready)
				time.Sleep(time.Minute)
				f.unavailable(f.call(f.token(nil), "echo"))
				status := f.auth.Issuers()[0]
				assert.False(t, status.Ready)
				assert.NotEmpty(t, status.LastError)
				assert.Equal(t, 24*time.Hour+36*time.Second, time.Since(status.LastSuccess))
				f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
				time.Sleep(30 * time.Second)
				f.served(f.call(f.token(nil), "echo"))
				assert.True(t, f.auth.Issuers()[0].Ready)
			})
		})
	}
}

// Keys serve as long as the metadata that names their place does: when that is too old, the issuer is not ready.
func TestStale_Metadata_JWKS_19_FRESH_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		for range 24 {
			assert.True(t, f.auth.Issuers()[0].Ready)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(time.Hour + time.Second)
		}
		f.refused(f.call(f.token(nil), "echo"), http.StatusServiceUnavailable, "")
		status := f.auth.Issuers()[0]
		assert.False(t, status.Ready)
		assert.Empty(t, status.Keys)
		assert.NotEmpty(t, status.JWKSURI)
		assert.Equal(t, "bad_status", status.LastError)
	})
}

// A set without a usable key is a failed fetch, whatever its status says.
func TestSet_NoUsableKeys_JWKS_20(t *testing.T) {
	for name, set := range map[string]string{
		"JWKS-20 empty":    `{"keys":[]}`,
		"JWKS-20 null":     `{"keys":null}`,
		"JWKS-20 only enc": keySetOf(t, edited(mcpauthtest.NewKey("k1", "ES256").JWK(), map[string]any{"use": "enc"})),
		"JWKS-20 only oct": `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.served(f.call(f.token(nil), "echo"))
				f.issuer.PublishKeySet(set)
				time.Sleep(time.Second)
				begun := time.Now()
				f.unavailable(f.call(f.randomKid(0), "echo"))
				assert.Equal(t, 3*time.Second, time.Since(begun), "tried again after one second and after two")
				f.unavailable(f.call(f.randomKid(1), "echo"))
				assert.Equal(t, 4, keyFetches(f), "the budget holds")
				assert.Equal(t, "no_usable_keys", f.lastError())
				f.served(f.call(f.token(nil), "echo"))
			})
		})
	}
}

func TestKey_Removed_JWKS_21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		old := f.token(mcpauthtest.Claims{"exp": time.Now().Add(48 * time.Hour).Unix()})
		f.served(f.call(old, "echo"))
		time.Sleep(time.Second)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
		f.served(f.call(f.token(nil), "echo")) // its kid brings the new set
		f.refused(f.call(old, "echo"), 401, invalidToken(unknownKey))
		assert.Equal(t, []string{"k2"}, f.auth.Issuers()[0].Keys)
	})
	t.Run("JWKS-21 by the schedule", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			old := f.token(mcpauthtest.Claims{"exp": time.Now().Add(48 * time.Hour).Unix()})
			f.served(f.call(old, "echo"))
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			time.Sleep(67 * time.Minute)
			f.call("", "echo")
			f.call(old, "echo")
			synctest.Wait()
			f.ran = 0
			f.refused(f.call(old, "echo"), 401, invalidToken(unknownKey))
		})
	})
}

func TestSet_Limits_JWKS_23(t *testing.T) {
	key := mcpauthtest.NewKey("x", "ES256")
	many := func(n int) string {
		keys := make([]any, n)
		for i := range keys {
			keys[i] = key.JWK()
		}
		return keySetOf(t, keys...)
	}
	padded := func(size int) string {
		text := many(1)
		return text + strings.Repeat(" ", size-len(text))
	}
	for _, row := range []struct{ name, set, class string }{
		{"JWKS-23 100 keys", many(100), ""},
		{"JWKS-23 101 keys", many(101), "bad_key_set"},
		{"JWKS-23 100001 keys", `{"keys":[` + strings.Repeat("{},", 100_000) + `{}]}`, "bad_key_set"},
		{"JWKS-23 512 KiB", padded(512 << 10), ""},
		{"JWKS-23 a byte more", padded(512<<10 + 1), "too_large"},
		{"JWKS-23 deep", `{"keys":[` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `]}`, "bad_key_set"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.PublishKeySet(row.set)
			w := f.call(f.keyToken(key, nil), "echo")
			assert.Equal(t, row.class, f.lastError())
			if row.class == "" {
				f.served(w)
				return
			}
			f.unavailable(w)
		})
	}
	t.Run("JWKS-23 without end", func(t *testing.T) {
		f := newFixture(t, nil)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Huge)
		f.unavailable(f.call(f.token(nil), "echo"))
		assert.Equal(t, "too_large", f.lastError())
		assert.LessOrEqual(t, f.issuer.Served(mcpauthtest.JWKS), int64(512<<10+1))
	})
}

func TestSet_Strict_JWKS_25(t *testing.T) {
	f := newFixture(t, nil)
	jwk := jsonText(t, f.issuer.Keys()[0].JWK())
	for name, set := range map[string]string{
		"JWKS-25 goes on":                    `{"keys":[` + jwk + `]}zzz`,
		"JWKS-25 two values":                 `{"keys":[` + jwk + `]}{}`,
		"JWKS-25 keys twice":                 `{"keys":[],"keys":[` + jwk + `]}`,
		"JWKS-25 keys twice, escaped":        `{"keys":[` + jwk + `],"\u006beys":[]}`,
		"JWKS-25 a member of a key twice":    `{"keys":[{"kty":"RSA",` + jwk[1:] + `]}`,
		"JWKS-25 another member twice":       `{"x":1,"x":1,"keys":[` + jwk + `]}`,
		"JWKS-25 KEYS":                       `{"KEYS":[` + jwk + `]}`,
		"JWKS-25 a bare key":                 jwk,
		"JWKS-25 an array":                   `[` + jwk + `]`,
		"JWKS-25 keys is an object":          `{"keys":` + jwk + `}`,
		"JWKS-25 keys is a string":           `{"keys":"x"}`,
		"JWKS-25 a byte order mark":          "\ufeff" + `{"keys":[` + jwk + `]}`,
		"JWKS-25 not UTF-8":                  `{"x":"` + "\xff" + `","keys":[` + jwk + `]}`,
		"JWKS-25 a comment":                  `{/**/"keys":[` + jwk + `]}`,
		"JWKS-25 ends early":                 `{"keys":[` + jwk + `]`,
		"JWKS-25 nothing":                    ` `,
		"JWKS-25 a web page":                 `<!DOCTYPE html>`,
		"JWKS-25 a lone surrogate":           `{"x":"\ud800","keys":[` + jwk + `]}`,
		"JWKS-25 names of a key in capitals": `{"keys":[` + strings.ToUpper(jwk[:6]) + jwk[6:] + `],}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.PublishKeySet(set)
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, "bad_key_set", f.lastError())
		})
	}
	t.Run("JWKS-25 a good set, broken later", func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		f.issuer.PublishKeySet(`{"keys":[],"keys":[` + jwk + `]}`)
		f.unavailable(f.call(f.randomKid(1), "echo"))
		f.served(f.call(f.token(nil), "echo"))
	})
}

// Two tenants of one provider: one key URL, one fetch, and nothing else in common.
func TestIssuers_SharedKeys_JWKS_26(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shared = "https://one.example/jwks"
		f, one, two := twoIssuers(t, func(c *mcpauth.Config) {
			c.Issuers[0].AllowPrivate, c.Issuers[1].AllowPrivate = true, true // so that neither guards the place
			c.Issuers[1].Algorithms = []string{"ES256"}
		})
		two.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = shared })
		key := one.Keys()[0]
		tenant := func(iss string) string { return f.keyToken(key, mcpauthtest.Claims{"iss": iss}) }

		f.served(f.call(tenant(one.URL()), "echo"))
		f.refused(f.call(tenant(two.URL()), "echo"), 401, invalidToken(badAlgorithm))
		es := mcpauthtest.NewKey("e", "ES256")
		time.Sleep(time.Second)
		one.Rotate(key, es)
		f.served(f.call(f.keyToken(es, mcpauthtest.Claims{"iss": two.URL()}), "echo"))
		f.served(f.call(f.keyToken(es, mcpauthtest.Claims{"iss": one.URL()}), "echo"))
		synctest.Wait() // the metadata comes after the keys, and nobody waited for it
		assert.Equal(t, 2, one.Fetches(mcpauthtest.JWKS), "one, and one for the new kid")
		assert.Zero(t, two.Fetches(mcpauthtest.JWKS))

		// When one of them moves away, the other stays.
		own := mcpauthtest.NewKey("o", "ES256")
		two.Rotate(own)
		two.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://two.example/jwks" })
		time.Sleep(67 * time.Minute)
		f.served(f.call(f.keyToken(es, mcpauthtest.Claims{"iss": two.URL()}), "echo"))
		synctest.Wait()
		f.refused(f.call(f.keyToken(es, mcpauthtest.Claims{"iss": two.URL()}), "echo"), 401, invalidToken(unknownKey))
		f.served(f.call(f.keyToken(own, mcpauthtest.Claims{"iss": two.URL()}), "echo"))
		f.served(f.call(f.keyToken(es, mcpauthtest.Claims{"iss": one.URL()}), "echo"))
	})
	t.Run("JWKS-26 cold and together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			provider := mcpauthtest.NewIssuerAt(t, "https://login.example/t0")
			var tenants []mcpauth.Issuer
			for n := range 10 {
				tenants = append(tenants, mcpauth.Issuer{URL: fmt.Sprintf("https://login.example/t%d", n)})
			}
			f := keysFixture(t, provider, func(c *mcpauth.Config) {
				c.Issuers = tenants
				c.Transport = keysDelay(keysTransport(func(r *http.Request) (*http.Response, error) {
					if tenant, ok := strings.CutPrefix(r.URL.Path, "/.well-known/oauth-authorization-server/"); ok {
						return keysAnswer(r, 200, "application/json",
							`{"issuer":"https://login.example/`+tenant+`","jwks_uri":"https://login.example/t0/jwks"}`), nil
					}
					return provider.Transport().RoundTrip(r)
				}), time.Second)
			})
			require.NoError(t, f.auth.Warm(t.Context()))
			for _, tenant := range tenants {
				f.served(f.call(f.token(mcpauthtest.Claims{"iss": tenant.URL}), "echo"))
			}
			assert.Equal(t, []string{"https://login.example/t0/jwks"}, urls(provider))
		})
	})
}

func TestIssuers_HungOnes_JWKS_27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healthy := mcpauthtest.NewIssuerAt(t, testIssuerURL)
		hosts := map[string]http.RoundTripper{"as.example.com": healthy.Transport()}
		var hung []*mcpauthtest.Issuer
		for n := range 10 {
			issuer := mcpauthtest.NewIssuerAt(t, fmt.Sprintf("https://hung%d.example", n))
			issuer.Break(mcpauthtest.Metadata, mcpauthtest.Hang)
			hosts[fmt.Sprintf("hung%d.example", n)] = issuer.Transport()
			hung = append(hung, issuer)
		}
		f := keysFixture(t, healthy, func(c *mcpauth.Config) {
			for _, issuer := range hung {
				c.Issuers = append(c.Issuers, issuer.Config())
			}
			c.Transport = keysHosts(hosts)
		})
		begun := time.Now()
		var waiting sync.WaitGroup
		for _, issuer := range hung {
			waiting.Go(func() {
				w := f.call(issuer.TokenFor(testResource, "mcp:read"), "echo")
				assert.Equal(t, http.StatusServiceUnavailable, w.Code)
				assert.Equal(t, 4*time.Second, time.Since(begun), "three for each of two places, and the second begins after one")
			})
		}
		synctest.Wait() // ten are hanging
		f.served(f.call(f.token(nil), "echo"))
		assert.Zero(t, time.Since(begun), "the healthy issuer waited for others")
		waiting.Wait()
	})
}

// Nothing is remembered of tokens that the keys cannot verify but how many there were, so
// ten thousand must leave no more behind than none; a table of them would need
// a megabyte.
func TestKidMiss_Memory_JWKS_28(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.Logger = nil })
	f.served(f.call(f.token(nil), "echo"))
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	try := func(n int) {
		r := f.request(http.MethodPost, "/mcp", f.randomKid(n), "")
		_, err := f.auth.Authenticate(r)
		require.ErrorIs(t, err, mcpauth.ErrUnknownKey)
	}
	try(0)
	before := heap()
	for n := range 10_000 {
		try(n)
	}
	after := heap()
	assert.Less(t, int64(after)-int64(before), int64(200<<10))
	assert.Equal(t, 4, keyFetches(f))
}

// Nothing is pending between requests: fetches follow the requests that pass, however many came before.
func TestRefresh_NoTimers_JWKS_30(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		for range 50 {
			require.NoError(t, f.auth.Warm(t.Context()))
		}
		time.Sleep(20 * time.Hour)
		assert.Equal(t, 1, keyFetches(f), "idle")
		for range 10 {
			for range 50 {
				f.served(f.call(f.token(nil), "echo"))
			}
			synctest.Wait()
			time.Sleep(67 * time.Minute)
		}
		assert.Equal(t, 11, keyFetches(f))
	})
}

// Keys change under the requests, again and again. The one key id always
// stands for the key of the version, so a request that saw half of two sets would fail.
func TestSet_Swap_JWKS_33(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Logger = nil })
		f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=0")
		versions := [2][2]*mcpauthtest.Key{}
		for v := range versions {
			for n := range versions[v] {
				key := mcpauthtest.NewKey(fmt.Sprintf("v%d-%d", v, n), "ES256")
				key.ID = fmt.Sprintf("k%d", n)
				versions[v][n] = key
			}
		}
		far := mcpauthtest.Claims{"exp": time.Now().Add(10000 * time.Hour).Unix()}
		tokens := [2][2]string{}
		for v := range versions {
			for n, key := range versions[v] {
				tokens[v][n] = f.keyToken(key, far)
			}
		}
		accepted := func(token string) bool {
			_, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
			if err != nil && !errors.Is(err, mcpauth.ErrSignature) {
				t.Errorf("neither accepted nor refused by its signature: %v", err)
			}
			return err == nil
		}
		for swap := range 150 {
			current := swap % 2
			f.issuer.Rotate(versions[current][0], versions[current][1])
			time.Sleep(6 * time.Minute) // the copy is due: one of the next requests begins the fetch
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					seen := -1
					for n := range 5 {
						for v := range tokens {
							if accepted(tokens[v][n%2]) {
								assert.False(t, seen == current && v != current, "an older set after a newer one")
								seen = v
							}
						}
					}
				})
			}
			readers.Wait()
			synctest.Wait()
			require.True(t, accepted(tokens[current][0]) && accepted(tokens[current][1]))
			require.False(t, accepted(tokens[1-current][0]) || accepted(tokens[1-current][1]))
		}
	})
}
