package mcpauth_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What stays in memory of a verified token is what it was found to say. The token
// itself is gone, signature and all: a look into the memory of the process
// must not give an hour's worth of tokens away, and the bound of the memory is
// counted without them.
func TestSeenKeepsNoToken_TOK_62(t *testing.T) {
	const tokens, payload = 256, 8 << 10
	f := newFixture(t, nil)
	serve := func() {
		token := f.token(mcpauthtest.Claims{"padding": strings.Repeat("p", payload)})
		if f.call(token, "echo").Code != http.StatusOK {
			t.Error("refused")
		}
	}
	serve()
	before := heapInUse()
	for range tokens {
		serve()
	}
	kept := (heapInUse() - before) / tokens
	runtime.KeepAlive(f)
	assert.Greater(t, kept, payload, "nothing was remembered")
	assert.Less(t, kept, payload*5/4+2048, "bytes for each token: more than its claims is kept")
}

// usualClaims are those of a token as large providers make them: twelve, of 425 bytes. With a signature of RSA the
// token has more than 900 bytes.
func usualClaims(i int) mcpauthtest.Claims {
	return mcpauthtest.Claims{
		"sub": fmt.Sprintf("auth0|%024d", i), "client_id": "Wm8T3cS1kQ2nBq7yL4xR", "scope": "openid profile mcp:read analytics:data:read",
		"jti": fmt.Sprintf("9f1c2b7e-%012d", i), "tenant": "acme-production", "email": fmt.Sprintf("someone%06d@acme.example.com", i),
		"roles": []string{"viewer", "analyst"}, "auth_time": 1790000000, "acr": "urn:mace:incommon:iap:silver",
	}
}

// TestTokenMemory_TOK_62: what is booked on the memory of tokens is what they take there, whatever is in them, and 60,000 usual ones
// find room.
func TestTokenMemory_TOK_62(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const tokens = 6000
	for _, row := range []struct {
		name   string
		claims func(i int) mcpauthtest.Claims
	}{
		{"usual", usualClaims},
		{"few claims", func(i int) mcpauthtest.Claims { return mcpauthtest.Claims{"sub": fmt.Sprint("u", i)} }},
		{"lists", func(i int) mcpauthtest.Claims {
			return mcpauthtest.Claims{"sub": fmt.Sprint("u", i), "amr": []string{"pwd", "mfa", "otp"}, "aud": []string{testResource, "https://other.example.com"},
				"scope": fmt.Sprint("mcp:read scope:of:this a b c d e f another:one", i), "act": map[string]any{"sub": "agent"}}
		}},
		{"large", func(i int) mcpauthtest.Claims {
			return mcpauthtest.Claims{"padding": strings.Repeat("p", 3000), "sub": fmt.Sprint("u", i)}
		}},
		{"escapes", func(i int) mcpauthtest.Claims { return mcpauthtest.Claims{"sub": fmt.Sprintf("a\"%0200d", i)} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			key := mcpauthtest.NewKey("k", "EdDSA")
			f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].Algorithms, c.Logger = []string{"EdDSA"}, nil })
			f.issuer.Rotate(key)
			requests := make([]*http.Request, tokens)
			for i := range requests {
				requests[i] = f.request(http.MethodPost, "/mcp", f.token(row.claims(i)), "")
			}
			authenticate := func(requests []*http.Request) {
				for _, r := range requests {
					_, err := f.auth.Authenticate(r)
					require.NoError(t, err)
				}
			}
			authenticate(requests[:1])
			before, booked := heapInUse(), f.auth.TokenMemory()
			authenticate(requests[1:])
			kept, now := (heapInUse() - before), f.auth.TokenMemory()
			runtime.KeepAlive(requests)
			each := (now.Bytes - booked.Bytes) / (tokens - 1)
			t.Logf("%d bytes a token, %d booked", kept/(tokens-1), each)
			assert.Equal(t, tokens, now.Tokens)
			assert.InDelta(t, 1, float64(now.Bytes-booked.Bytes)/float64(kept), 0.25, "the table may just have doubled")
			assert.Zero(t, now.Evicted)
			assert.Equal(t, 64<<20, now.MaxBytes)
			if row.name == "usual" {
				assert.Greater(t, now.MaxBytes/each, 60_000)
			}
		})
	}
}
