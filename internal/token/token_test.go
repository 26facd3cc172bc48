package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// FuzzReadClaims compares the one pass over a payload with what encoding/json
// makes of it. Whatever is accepted means the same to both, and whatever is
// refused is refused for a reason about the token.
func FuzzReadClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"i","aud":["a","b"],"sub":"s","exp":1,"scope":"a b","scp":["c"],"act":{"sub":"x","act":{"sub":"y"}},"amr":["pwd"]}`,
		`{"exp":1e400}`, `{"auth_time":"2026-11-29T08:00:00Z"}`, `{"auth_time":-1}`, `{"auth_time":1e400}`, `{"exp":0.5,"nbf":-0,"iat":9007199254740992}`, `{"aud":[1,"a"]}`, `{"aud":""}`, `{"a":{"b":{"c":["x"]}}}`, `{"\u0061ud":"x","aud":"y"}`,
		`{"r":{"x":1,"y":{}},"cnf":null,"nonce":0}`, `{"sub":"\ud800"}`, "\ufeff{}", `[]`, `{} {}`, `{"client_id":"c","azp":1}`,
	} {
		f.Add([]byte(seed))
	}
	k := NewChecker(Rules{
		ScopeClaims: []Path{{"scope"}, {"scp"}, {"a", "b"}}, Union: true, RoleClaims: []Path{{"r"}, {"a", "b", "c"}},
		RoleScopes: map[string][]string{"x": {"role:x"}, "y": {"role:y", "role:x"}}, Required: []Required{{Name: "t", Path: Path{"t"}, Values: []string{"1"}}},
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var token Token
		c := &token.claims
		denied := c.readAll(bytes.Clone(payload))
		if denied != nil {
			assert.Equal(t, 401, denied.Status())
			assert.Contains(t, []refusal.Reason{refusal.MalformedToken, refusal.TokenTooComplex, refusal.Claims}, denied.Reason)
			assert.Less(t, len(denied.Error()), 1500)
			assert.NotContains(t, denied.Error(), "\n")
			assert.True(t, utf8.ValidString(denied.Error()))
			return
		}
		assert.Equal(t, payload, c.raw, "the payload was written to")
		var all map[string]any
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		require.NoError(t, d.Decode(&all))
		require.NotNil(t, all)
		sameTexts(t, c, all)
		sameAudience(t, c, all)
		for name, value := range all {
			var again any
			d := json.NewDecoder(bytes.NewReader(c.written.at(Path{name}).raw))
			d.UseNumber()
			require.NoError(t, d.Decode(&again))
			require.Equal(t, value, again)
			if object, ok := value.(map[string]any); ok {
				require.ElementsMatch(t, slices.Collect(maps.Keys(object)), memberNames(c.written.at(Path{name}).raw))
			}
		}
		assert.Nil(t, c.written.at(Path{"\xff no such name"}).raw)

		p, denied := k.Facts(&token)
		if denied != nil && denied.Reason != refusal.Forbidden {
			assert.Equal(t, refusal.TokenTooComplex, denied.Reason)
			return
		}
		assert.LessOrEqual(t, len(p.Scopes), maxScopes)
		assert.LessOrEqual(t, len(p.Actors), 4)
		for i, scope := range p.Scopes {
			assert.NotContains(t, p.Scopes[:i], scope)
			assert.True(t, challenge.ValidScope(scope))
		}
		if single, ok := all["t"].(string); ok {
			assert.Equal(t, single == "1", denied == nil)
		}
	})
}

func sameTexts(t *testing.T, c *claims, all map[string]any) {
	t.Helper()
	for name, got := range map[string]text{"iss": c.iss, "sub": c.sub, "client_id": c.clientID, "azp": c.azp, "cid": c.cid, "appid": c.appid, "jti": c.jti, "acr": c.acr} {
		value, there := all[name]
		want, isString := value.(string)
		assert.Equal(t, text{value: want, present: isString, wrong: there && !isString}, got, name)
	}
	for name, got := range map[string]instant{"exp": c.exp, "nbf": c.nbf, "iat": c.iat, "auth_time": c.authTime} {
		number, there := all[name].(json.Number)
		if seconds, err := number.Float64(); name == "auth_time" && (err != nil || seconds < 0 || seconds >= maxInstant) {
			there = false // it decides nothing
		}
		require.Equal(t, there, got.present, name)
		if there {
			want, err := number.Float64()
			require.NoError(t, err)
			assert.InDelta(t, want, got.seconds, 0)
			assert.True(t, want >= 0 && want < maxInstant)
		}
	}
	_, confirmed := all["cnf"]
	assert.Equal(t, confirmed, c.cnf != nil)
}

func sameAudience(t *testing.T, c *claims, all map[string]any) {
	t.Helper()
	value, there := all["aud"]
	assert.Equal(t, there, c.audPresent)
	var want []string
	switch value := value.(type) {
	case string:
		want = []string{value}
	case []any:
		for _, member := range value {
			if s, ok := member.(string); ok {
				want = append(want, s)
			}
		}
		if len(want) != len(value) {
			want = nil
		}
	}
	if slices.Contains(want, "") {
		want = nil
	}
	assert.Equal(t, want, c.aud)
}

// FuzzAudience: two audiences that are taken for one are the same URL to
// net/url too, but for the case of scheme and host, the default port and the empty path.
func FuzzAudience(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://mcp.example.com/mcp", "HTTPS://MCP.Example.COM:443/mcp"}, {"https://a", "https://a/"}, {"https://a?x", "https://a/?x"}, {"https://a:443@b/", "https://b/"},
		{"https://[::443]/", "https://[::443]:443/"}, {"http://a:80", "http://a"}, {"https://\u212a/", "https://k/"}, {"https://a:443:443/", "https://a/"}, {"https://a%2f/", "https://a//"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		normal, ok := normalURI(a)
		if !ok {
			return
		}
		other, same := normalURI(b)
		if !same || normal != other {
			return
		}
		first, err := url.Parse(a)
		second, err2 := url.Parse(b)
		if err != nil || err2 != nil {
			return
		}
		assert.Nil(t, first.User)
		assert.Equal(t, strings.ToLower(first.Scheme), strings.ToLower(second.Scheme))
		assert.Equal(t, lowerASCII(first.Hostname()), lowerASCII(second.Hostname()))
		port := func(u *url.URL) string {
			if p := u.Port(); p != "" {
				return p
			}
			return map[string]string{"https": "443", "http": "80"}[u.Scheme]
		}
		if !strings.HasSuffix(first.Host, ":") && !strings.HasSuffix(second.Host, ":") {
			assert.Equal(t, port(first), port(second))
		}
		assert.Equal(t, strings.TrimPrefix(first.EscapedPath(), "/"), strings.TrimPrefix(second.EscapedPath(), "/"))
		assert.Equal(t, first.RawQuery, second.RawQuery)
		assert.Equal(t, first.Fragment, second.Fragment)
	})
}

// FuzzClaimPath: a path that is accepted has names, and written with quotes
// around each it is the same path.
func FuzzClaimPath(f *testing.F) {
	for _, seed := range []string{"a", "a.b", `"a.b".c`, `a."https://x/y"`, `"`, `""`, "a..b", `a."b"c`, `"a"."b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		names, ok := ParsePath(path)
		if !ok {
			return
		}
		require.NotEmpty(t, names)
		var quoted []string
		for _, name := range names {
			assert.NotEmpty(t, name)
			assert.NotContains(t, name, `"`)
			quoted = append(quoted, `"`+name+`"`)
		}
		again, ok := ParsePath(strings.Join(quoted, "."))
		assert.True(t, ok)
		assert.Equal(t, names, again)
	})
}

// TestDenyTokenKnowsItsErrors: an error of the JOSE layer that has no reason
// of its own is a malformed token, never an accepted one.
func TestDenyTokenKnowsItsErrors_TOK_63(t *testing.T) {
	denied := denyToken(errors.New("something new"))
	assert.Equal(t, refusal.MalformedToken, denied.Reason)
	assert.Equal(t, 401, denied.Status())
}
