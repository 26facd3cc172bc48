package dpop

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// TestProof: what a proof must be, and what the operator is told of one that is not.
func TestProof_DPOP_03_DPOP_04_DPOP_05_DPOP_07(t *testing.T) {
	c, me := newChecker(t, resource), newClient(t)
	header := func(text string) string { return strings.Replace(me.header(), `"alg":"ES256"`, text, 1) }
	const good = `{"jti":"j","htm":"POST","htu":"` + resource + `","ath":"x","iat":1`
	deep := func(n int) string {
		return strings.Replace(good, `"iat":1`, `"x":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`,"iat":1}`, 1)
	}
	long := me.proof(nil)
	for _, row := range []struct {
		name        string
		field       []string
		cause, what string // of the refusal; "": none
	}{
		{"good", []string{me.proof(nil)}, "", ""},
		{"with white space around", []string{" \t" + me.proof(nil) + "\t "}, "", ""},
		{"with a jti as long as it may be", []string{me.proof(claims{"jti": strings.Repeat("j", 256)})}, "", ""},
		{"with other claims", []string{me.proof(claims{"x": []int{1}})}, "", ""},
		{"missing", nil, "proof-missing", "no DPoP header field"},
		{"twice", []string{long, long}, "proof-several", "the DPoP header field stands more than once"},
		{"twice in one", []string{long + "," + long}, "proof-several", "the DPoP header field has a comma"},
		{"long", []string{long + strings.Repeat("A", 8193-len(long))}, "proof-malformed", "longer than 8 KiB"},
		{"almost long, and no proof", []string{long + strings.Repeat("A", 8192-len(long))}, "proof-malformed", ""},
		{"empty", []string{""}, "proof-malformed", ""},
		{"of another type", []string{me.sign(strings.Replace(me.header(), "dpop+jwt", "JWT", 1), "{}")}, "proof-malformed", "typ"},
		{"of an algorithm of one secret", []string{me.sign(header(`"alg":"HS256"`), "{}")}, "proof-algorithm", ""},
		{"without a key", []string{me.sign(`{"typ":"dpop+jwt","alg":"ES256"}`, "{}")}, "proof-jwk", ""},
		{"no JSON", []string{me.sign(me.header(), "x")}, "proof-malformed", "claims"},
		{"cut off", []string{me.sign(me.header(), good)}, "proof-malformed", "claims"},
		{"two texts", []string{me.sign(me.header(), good+"}{}")}, "proof-malformed", "claims"},
		{"a claim that is no JSON", []string{me.sign(me.header(), `{"jti":"\ud"}`)}, "proof-malformed", "claims"},
		{"a number that is none", []string{me.sign(me.header(), `{"iat":01}`)}, "proof-malformed", "claims"},
		{"nested as deeply as it may be", []string{me.sign(me.header(), deep(15))}, "proof-token", "ath"},
		{"nested more deeply", []string{me.sign(me.header(), deep(16))}, "proof-malformed", "claims"},
		{"no jti", []string{me.proof(claims{"jti": nil})}, "proof-claim", "jti"},
		{"jti empty", []string{me.proof(claims{"jti": ""})}, "proof-claim", "jti"},
		{"jti long", []string{me.proof(claims{"jti": strings.Repeat("j", 257)})}, "proof-claim", "jti"},
		{"jti a number", []string{me.proof(claims{"jti": 1})}, "proof-claim", "jti"},
		{"no htm", []string{me.proof(claims{"htm": nil})}, "proof-claim", "htm"},
		{"htm of another request", []string{me.proof(claims{"htm": "GET"})}, "proof-method", "htm"},
		{"no htu", []string{me.proof(claims{"htu": nil})}, "proof-claim", "htu"},
		{"htu of another resource", []string{me.proof(claims{"htu": "https://other.example.com/mcp"})}, "proof-url", "htu"},
		{"no ath", []string{me.proof(claims{"ath": nil})}, "proof-claim", "ath"},
		{"ath of another token", []string{me.proof(claims{"ath": hash("another")})}, "proof-token", "ath"},
		{"no iat", []string{me.proof(claims{"iat": nil})}, "proof-claim", "iat"},
		{"iat that is not exact", []string{me.proof(claims{"iat": number("9007199254740992")})}, "proof-claim", "iat"},
		{"iat of the first second", []string{me.proof(claims{"iat": 0})}, "proof-time", "iat 1970-01-01T00:00:00Z"},
		{"exp before that", []string{me.proof(claims{"exp": -1})}, "proof-claim", "exp"},
		{"exp beyond all numbers", []string{me.proof(claims{"exp": number("1e999")})}, "proof-claim", "exp"},
		{"iat far away", []string{me.proof(claims{"iat": number("9007199254740991")})}, "proof-time", "iat 9999-12-31T00:00:00Z"},
		{"nbf far away", []string{me.proof(claims{"nbf": number("253402214399")})}, "proof-time", "nbf 9999-12-30T23:59:59Z"},
	} {
		t.Run(row.name, func(t *testing.T) {
			full, denied := c.Check(t.Context(), Request{Field: row.field, Method: "POST", Path: "/mcp", Token: token}, me.binding(), time.Now(), false)
			assert.False(t, full)
			if row.cause == "" {
				assert.Nil(t, denied)
			} else if assert.NotNil(t, denied) {
				assert.Equal(t, []string{string(refusal.InvalidProof), row.cause, row.what}, []string{string(denied.Reason), denied.Cause, denied.What})
			}
		})
	}
}

func TestBindingEqual(t *testing.T) {
	var none *Binding
	a, b := NewBinding(keyNamed(1), "x"), NewBinding(keyNamed(2), "x")
	for _, row := range []struct {
		a, b *Binding
		want bool
	}{
		{none, none, true}, {none, a, false}, {a, none, false}, {a, a, true}, {a, b, false}, {a, NewBinding(keyNamed(1), "y"), true},
	} {
		assert.Equal(t, row.want, row.a.Equal(row.b))
	}
	assert.GreaterOrEqual(t, MaxBinding, jose.MaxKnown)
}

func TestNormalURL_DPOP_05(t *testing.T) {
	for url, want := range map[string][2]string{
		"https://a":               {"https://a", "https://a"},
		"HTTPS://AZ.Example:443/": {"https://az.example", "https://az.example"},
		"http://a:80/x/":          {"http://a/x", "http://a"},
		"http://a:443":            {"http://a:443", "http://a:443"},
		"https://a:/x":            {"https://a/x", "https://a"},
		"https://a/%41%5A%61%7a%30%39%2d%2E%5f%7E": {"https://a/AZaz09-._~", "https://a"},
		"https://a/%2f%40%5b%60%7b%3a%3F%aF%Fa%09": {"https://a/%2F%40%5B%60%7B%3A%3F%AF%FA%09", "https://a"},
		"https://a/x/./y/../z":                     {"https://a/x/z", "https://a"},
		"https://a/x/.":                            {"https://a/x", "https://a"},
		"https://a/x/..":                           {"https://a", "https://a"},
		"https://a/x/y/..":                         {"https://a/x", "https://a"},
		"https://a//.":                             {"https://a/", "https://a"},
		"https://a/..":                             {"https://a", "https://a"},
		"https://a/~!$&'()*+,;=:@":                 {"https://a/~!$&'()*+,;=:@", "https://a"},
		"":                                         {}, "a": {}, "https": {}, "https://": {}, "https:///x": {}, "https://:443/x": {}, "https://b@a/": {}, "https://a%41/": {}, "ftp://a": {}, "://a": {},
		"https://a/\x00": {}, "https://a/ ": {}, "https://a/\x7f": {}, "https://a/é": {}, "https://a/?": {}, "https://a/#": {}, `https://a/"`: {}, "https://a/<": {},
		"https://a/>": {}, `https://a/\`: {}, "https://a/^": {}, "https://a/{": {}, "https://a/|": {}, "https://a/}": {}, "https://a/`": {},
		"https://a/%": {}, "https://a/%4": {}, "https://a/%4g": {}, "https://a/%g4": {}, "https://a/%/4": {}, "https://a/%4/": {}, "https://a/%4@": {}, "https://a/%`4": {},
		"https://a/%4G": {}, "https://a/%:4": {}, "https://a/%4:": {},
	} {
		normal, origin, ok := normalURL(url)
		assert.Equal(t, want, [2]string{normal, origin}, url)
		assert.Equal(t, want[0] != "", ok, url)
	}
	c := newChecker(t, "https://a/b|c") // no URL that a client may name otherwise
	require.True(t, c.names("https://a/b%7Cc", "/x"))
	for _, htu := range []string{"", "x", "https://a/x"} {
		assert.False(t, c.names(htu, "/\x00"), htu)
	}
}
