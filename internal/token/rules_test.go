package token

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

func TestParsePath(t *testing.T) {
	for path, want := range map[string]Path{
		"a": {"a"}, "a.b": {"a", "b"}, `"a.b".c`: {"a.b", "c"}, `a."https://x/y"`: {"a", "https://x/y"}, `"a"."b"`: {"a", "b"},
		"": nil, `"`: nil, `""`: nil, "a..b": nil, ".a": nil, "a.": nil, `a."b"c`: nil, `a"b`: nil, "a/b": nil, `"a`: nil, `"a"b`: nil,
	} {
		names, ok := ParsePath(path)
		assert.Equal(t, want, names, path)
		assert.Equal(t, want != nil, ok, path)
	}
}

func TestNormalURI_AUD_04(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a": "https://a/", "HTTPS://A.Example:443/B?C#D": "https://a.example/B?C#D", "http://a:80": "http://a/", "https://a:80/": "https://a:80/",
		"http://a:443/": "http://a:443/", "http://A": "http://a/", "http://Z": "http://z/", "https://AZ/": "https://az/", "https://a?x": "https://a?x",
		"a": "", "https": "", "ftp://a/": "", "https:///x": "", "https://": "", "https://b@a/": "",
	} {
		got, ok := normalURI(uri)
		if assert.Equal(t, want != "", ok, uri); ok {
			assert.Equal(t, want, got, uri)
		}
	}
}

// What is no letter of ASCII stays as it is, also where it is no UTF-8.
func TestLowerASCII_AUD_04(t *testing.T) {
	for s, want := range map[string]string{"": "", "@AZ[": "@az[", "K\u212a\xff": "k\u212a\xff", "\x80\xff": "\x80\xff"} {
		assert.Equal(t, want, lowerASCII(s))
	}
}

func TestIsForbiddenType(t *testing.T) {
	for typ, want := range map[string]bool{"logout+jwt": true, "application/LOGOUT+JWT": true, "at+jwt": false, "": false} {
		assert.Equal(t, want, IsForbiddenType(typ), typ)
	}
}

// A moment beyond what RFC 3339 can write counts as the last day that it can.
func TestLastInstant(t *testing.T) {
	for seconds, want := range map[float64]string{
		253402214399: "9999-12-30T23:59:59Z", 253402214400: "9999-12-31T00:00:00Z", 253402214401: "9999-12-31T00:00:00Z", 1 << 52: "9999-12-31T00:00:00Z",
	} {
		assert.Equal(t, want, instant{seconds, true}.time().UTC().Format(time.RFC3339))
	}
}

// The rules are their owner's: what is made ready is a copy.
func TestNewCheckerKeepsRules(t *testing.T) {
	types := []string{"AT+JWT"}
	NewChecker(Rules{Types: types})
	assert.Equal(t, []string{"AT+JWT"}, types)
}

func TestDenied(t *testing.T) {
	assert.Equal(t, refusal.TokenTooComplex, denyToken(jose.ErrTooLarge).Reason)
	assert.Equal(t, refusal.TokenTooComplex, denyClaims("x", strictjson.ErrMembers).Reason)
	assert.Equal(t, refusal.TokenTooComplex, denyClaims("x", strictjson.ErrDepth).Reason)
}

// The operator is told which claim it is, and what it should be.
func TestReadSaysWhere(t *testing.T) {
	for payload, want := range map[string][2]string{
		`{"scope":"\ud"}`:      {`claim "scope"`},
		`{"iss":"\ud"}`:        {`claim "iss"`},
		`{"iss":["\ud"]}`:      {`claim "iss"`},
		`{"aud":["\ud"]}`:      {`claim "aud"`},
		`{"x":"\ud"}`:          {`claim "x"`},
		`{"username":"\ud"}`:   {`claim "username"`},
		`{"username":["\ud"]}`: {`claim "username"`},
		`{"auth_time":["\ud"}`: {`claim "auth_time"`},
		`{"auth_time":01}`:     {`claim "auth_time"`},
		`{"exp":"\ud"}`:        {"exp"},
		`{"exp":01}`:           {"exp"},
		`{"exp":"1"}`:          {"exp", "a JSON number"},
		`{"exp":-1}`:           {"exp", "seconds since 1970, below 2^53"},
		`{"exp":1e400}`:        {"exp", "seconds since 1970, below 2^53"},
		`[]`:                   {"claims"},
		`{"a":1`:               {"claims"},
	} {
		for _, answered := range []bool{false, true} {
			denied := (&claims{answered: answered}).readAll([]byte(payload))
			if assert.NotNil(t, denied, payload) {
				assert.Equal(t, want, [2]string{denied.What, denied.Want}, payload)
			}
		}
	}
}

// What is no object is told as that.
func TestReadSaysWhy_TOK_23(t *testing.T) {
	for _, payload := range []string{`[]`, `"x"`, `7`} {
		assert.ErrorIs(t, (&claims{}).readAll([]byte(payload)), strictjson.ErrKind, payload)
	}
}
