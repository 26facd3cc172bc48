package dpop

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// number is a number in the very words.
func number(text string) json.Number { return json.Number(text) }

func TestTime_DPOP_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, me := newChecker(t, resource), newClient(t)
		now := time.Now().Unix()
		for name, row := range map[string]struct {
			claims claims
			good   bool
		}{
			"now":               {nil, true},
			"299 s ago":         {claims{"iat": now - 299}, true},
			"300 s ago":         {claims{"iat": now - 300}, true},
			"299 s ahead":       {claims{"iat": now + 299}, true},
			"a fraction":        {claims{"iat": float64(now) - 0.25}, true},
			"301 s ago":         {claims{"iat": now - 301}, false},
			"300 s ahead":       {claims{"iat": now + 300}, true},
			"nbf 300 s ahead":   {claims{"nbf": now + 300}, true},
			"301 s ahead":       {claims{"iat": now + 301}, false},
			"in 1970":           {claims{"iat": 0}, false},
			"-2^63":             {claims{"iat": number("-9223372036854775808")}, false},
			"2^63":              {claims{"iat": number("9223372036854775808")}, false},
			"1e308":             {claims{"iat": number("1e308")}, false},
			"1e999":             {claims{"iat": number("1e999")}, false},
			"2^53 - 1":          {claims{"iat": number("9007199254740991")}, false},
			"text":              {claims{"iat": "x"}, false},
			"a number in words": {claims{"iat": "1790000000"}, false},
			"null":              {claims{"iat": json.RawMessage("null")}, false},
			"missing":           {claims{"iat": nil}, false},
			"exp ahead":         {claims{"exp": now + 1}, true},
			"exp reached":       {claims{"exp": now}, false},
			"exp text":          {claims{"exp": "x"}, false},
			"nbf now":           {claims{"nbf": now}, true},
			"nbf far ahead":     {claims{"nbf": now + 301}, false},
		} {
			_, denied := c.Check(t.Context(), post(me.proof(row.claims)), me.binding(), time.Now(), false)
			if row.good {
				assert.Nil(t, denied, name)
				continue
			}
			require.NotNil(t, denied, name)
			assert.Equal(t, refusal.InvalidProof, denied.Reason, name)
			assert.Contains(t, []string{"proof-time", "proof-claim"}, denied.Cause, name)
		}
	})
}

// What is compared with the resource is written in many ways (RFC 9449 section 4.3, RFC 3986 section 6.2).
func TestURL_DPOP_05(t *testing.T) {
	for _, row := range []struct {
		resource, path string
		good, bad      []string
	}{
		{resource, "/mcp",
			[]string{resource, "HTTPS://MCP.Example.COM/mcp", "https://mcp.example.com:443/mcp", "https://mcp.example.com:/mcp", resource + "/",
				"https://mcp.example.com/%6dcp", "https://mcp.example.com/./mcp", "https://mcp.example.com/x/../mcp", "https://mcp.example.com/../mcp"},
			[]string{"", "x", "/mcp", "//mcp.example.com/mcp", "mcp.example.com/mcp", "http://mcp.example.com/mcp", "https://mcp.example.com:8443/mcp", "https://mcp.example.com:80/mcp",
				"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com/MCP", "https://mcp.example.com/mcp/x", "https://mcp.example.com/mcp//", "https://mcp.example.com//mcp",
				resource + "?x", resource + "?", resource + "#x", resource + "#", "https://mcp.example.com.evil.example/mcp", "https://evil.example/mcp", "https://evil.example@mcp.example.com/mcp",
				"https://mcp.example.com@evil.example/mcp", "https://mcp.example.com%2eevil.example/mcp", " " + resource, resource + " ", resource + "\n", "https://mcp.example.com/mcp%", "https://mcp.example.com/mcp%2",
				"https://mcp.example.com/%zzmcp", "https://mcp.example.com/%2fmcp", "https://mcp.example.com\\mcp", "https:///mcp", "https://mcp.example.com./mcp", "wss://mcp.example.com/mcp",
				"https://mcp.example.com/mcp/..", "https://mcp.ex\u0430mple.com/mcp", "https://\u212Acp.example.com/mcp"}},
		{"https://mcp.example.com", "/", []string{"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com:443"}, []string{resource, "https://mcp.example.com//", "https://mcp.example.com?"}},
		{"https://mcp.example.com/mcp?tenant=a", "/mcp", []string{resource}, []string{resource + "?tenant=a"}},
		{"http://localhost:8080/mcp/", "/mcp/", []string{"http://localhost:8080/mcp", "http://LOCALHOST:8080/mcp/"}, []string{"http://localhost/mcp", "https://localhost:8080/mcp"}},
		{"https://mcp.example.com/a%2Fb/~c", "/x", []string{"https://mcp.example.com/a%2fb/%7Ec"}, []string{"https://mcp.example.com/a/b/~c"}},
		{resource, "/mcp/message", []string{resource, resource + "/message"}, []string{"https://evil.example/mcp/message", "https://mcp.example.com/message", resource + "/other"}},
		{resource, "/sse", []string{"https://mcp.example.com/sse"}, []string{"https://mcp.example.com/message"}},
	} {
		c := newChecker(t, row.resource)
		for _, htu := range row.good {
			assert.True(t, c.names(htu, row.path), "%s for %s", htu, row.resource)
		}
		for _, htu := range row.bad {
			assert.False(t, c.names(htu, row.path), "%s for %s", htu, row.resource)
		}
	}
}

// A proof that is read again in the same words costs no reading of its key, and the key that is known is none
// that the token does not name.
func TestKnownKey_DPOP_08(t *testing.T) {
	c, me, other := newChecker(t, resource), newClient(t), newClient(t)
	mine := me.binding()
	_, denied := c.Check(t.Context(), post(other.proof(nil)), mine, time.Now(), false)
	require.NotNil(t, denied)
	assert.Equal(t, "proof-key", denied.Cause)
	assert.Nil(t, mine.known.Load(), "the key of a stranger is not kept")

	tampered := me.proof(nil)
	_, denied = c.Check(t.Context(), post(tampered[:len(tampered)-4]+"AAAA"), mine, time.Now(), false)
	require.NotNil(t, denied)
	assert.Equal(t, "proof-signature", denied.Cause)
	assert.Nil(t, mine.known.Load(), "nor one whose signature is wrong")

	for range 3 {
		_, denied = c.Check(t.Context(), post(me.proof(nil)), mine, time.Now(), false)
		require.Nil(t, denied)
	}
	long := me.binding()
	_, denied = c.Check(t.Context(), post(me.sign(strings.Replace(me.header(), `"kty"`, `"pad":"`+strings.Repeat("x", 1024)+`","kty"`, 1),
		string(must(json.Marshal(claims{"jti": "long", "htm": "POST", "htu": resource, "iat": time.Now().Unix(), "ath": hash(token)}))))), long, time.Now(), false)
	require.Nil(t, denied)
	assert.Nil(t, long.known.Load(), "a key of many words is not kept")
	known := mine.known.Load()
	require.NotNil(t, known)
	_, denied = c.Check(t.Context(), post(me.sign(strings.Replace(me.header(), `"jwk":`, `"jwk":`+other.jwk()+`,"jwk2":`, 1), "{}")), mine, time.Now(), false)
	require.NotNil(t, denied)
	assert.Same(t, known, mine.known.Load())
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestNonces_DPOP_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, me := newChecker(t, resource), newClient(t)
		check := func(c *Checker, nonce any, needed bool) *refusal.Refusal {
			_, denied := c.Check(t.Context(), post(me.proof(claims{"nonce": nonce})), me.binding(), time.Now(), needed)
			return denied
		}
		assert.Nil(t, check(c, nil, false), "none is needed")
		nonce := c.Nonce(time.Now())
		assert.Regexp(t, `^[A-Za-z0-9_-]{22}$`, nonce)
		refused := func(nonce any, needed bool) {
			t.Helper()
			denied := check(c, nonce, needed)
			if assert.NotNil(t, denied) {
				assert.Equal(t, refusal.UseNonce, denied.Reason)
			}
		}
		refused(nil, true)
		assert.Equal(t, "no nonce", check(c, nil, true).What)
		refused("x", true)
		refused("x", false)
		refused("", false)
		refused(nonce+"A", true)
		assert.Equal(t, refusal.InvalidProof, check(c, 1, true).Reason)
		assert.Nil(t, check(c, nonce, true))
		assert.Nil(t, check(c, nonce, false))
		assert.Nil(t, check(newChecker(t, resource), nonce, true), "a replica with the same secret")
		stranger := newChecker(t, resource)
		stranger.nonces, _ = newNonces([][]byte{[]byte("another")})
		assert.Equal(t, refusal.UseNonce, check(stranger, nonce, true).Reason)
		ahead, behind := newChecker(t, resource), newChecker(t, resource)
		ahead.nonces, _ = newNonces([][]byte{[]byte("new"), []byte("secret")})
		behind.nonces, _ = newNonces([][]byte{[]byte("secret"), []byte("new")})
		assert.Nil(t, check(ahead, nonce, true), "while the key changes, old nonces are good")
		assert.Nil(t, check(behind, ahead.Nonce(time.Now()), true), "and new ones where the key has not changed yet")

		seen := map[string]bool{nonce: true}
		time.Sleep(nonceTime)
		assert.Nil(t, check(c, nonce, true), "the one before")
		assert.False(t, seen[c.Nonce(time.Now())])
		early := c.nonces.at(time.Now())[0][next]
		assert.Nil(t, check(c, early, true), "of a replica whose clock is ahead")
		time.Sleep(nonceTime)
		refused(nonce, true)
		assert.Equal(t, early, c.Nonce(time.Now()))
	})
}

// A proof that is told to come back with a nonce is not used up, and so is one that is wrong.
func TestRefusedIsNotUsed_DPOP_09(t *testing.T) {
	c, me, other := newChecker(t, resource), newClient(t), newClient(t)
	proof, now := me.proof(nil), time.Now()
	for _, refused := range []func() *refusal.Refusal{
		func() *refusal.Refusal { _, d := c.Check(t.Context(), post(proof), me.binding(), now, true); return d },
		func() *refusal.Refusal {
			_, d := c.Check(t.Context(), post(proof), other.binding(), now, false)
			return d
		},
		func() *refusal.Refusal {
			_, d := c.Check(t.Context(), post(proof, proof), me.binding(), now, false)
			return d
		},
		func() *refusal.Refusal {
			_, d := c.Check(t.Context(), Request{Field: []string{proof}, Method: "GET", Path: "/mcp", Token: token}, me.binding(), now, false)
			return d
		},
	} {
		require.NotNil(t, refused())
	}
	_, denied := c.Check(t.Context(), post(proof), me.binding(), now, false)
	require.Nil(t, denied)
	_, denied = c.Check(t.Context(), post(proof), me.binding(), now, false)
	require.NotNil(t, denied)
	assert.Equal(t, "proof-replayed", denied.Cause)
}
