package mcpauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// hashOf stands in claims where the issuer repeats the token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestEcho: an issuer that repeats the token in its answer tells the handler nothing of it, however it writes it, and what
// stands around it makes no other name.
func TestEcho_INTRO_13(t *testing.T) {
	const token = "opaque/CANARY+abcdefghijklmnop/qrst=="
	escaped := strings.NewReplacer("/", `\/`, "+", `\u002b`, "=", `\u003D`)
	letters := strings.NewReplacer("A", `\u0041`, "a", `\u0061`)
	for name, echo := range map[string]string{
		"plain": token, "escaped": escaped.Replace(token), "letters": letters.Replace(token),
		"behind a backslash": `\\` + token, "in a form": "token=" + url.QueryEscape(token),
	} {
		t.Run(name, func(t *testing.T) {
			f := newOpaqueFixture(t, nil)
			f.issuer.Answer(token, `{"active":true,"sub":"ad`+echo+`min","client_id":"c","aud":"`+testResource+`","scope":"mcp:read x`+echo+`","name":"\ud83d\ude00 \"\n","`+echo+`":["`+echo+`"]}`)
			f.served(f.call(token, "echo"))
			p, _ := mcpauth.FromContext(f.last.Context())
			var claims map[string]any
			require.NoError(t, p.Claims(&claims))
			assert.Contains(t, p.Subject, hashOf(token))
			assert.True(t, strings.HasPrefix(p.Subject, "ad") && strings.HasSuffix(p.Subject, "min"), p.Subject)
			assert.Equal(t, "\U0001f600 \"\n", claims["name"])
			for name, value := range claims {
				assert.NotContains(t, name, "CANARY")
				assert.NotContains(t, fmt.Sprint(value), "CANARY")
			}
			assert.NotContains(t, f.log.String(), "CANARY")
		})
	}
}

// TestEchoJoinsNothing: what an issuer writes around the token is no name without it.
func TestEchoJoinsNothing_INTRO_03_INTRO_13(t *testing.T) {
	good := map[string]string{"sub": "admin", "tid": "acme", "aud": testResource, "scope": "mcp:read"}
	for cut := range good {
		f := newOpaqueFixture(t, func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tid": {"acme"}} })
		token := f.opaque(nil)
		text := `{"active":true`
		for name, value := range good {
			if name == cut {
				value = value[:2] + token + value[2:]
			}
			text += `,"` + name + `":"` + value + `"`
		}
		f.issuer.Answer(token, text+"}")
		w := f.call(token, "echo")
		if cut == "sub" {
			f.served(w)
			p, _ := mcpauth.FromContext(f.last.Context())
			assert.Equal(t, "ad"+hashOf(token)+"min", p.Subject)
			continue
		}
		assert.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, w.Code, cut)
		assert.Zero(t, f.ran, cut)
	}
}

// TestTokenAsID: where jti is the token itself, Revoked gets an id all the same.
func TestTokenAsID_INTRO_13(t *testing.T) {
	var ids []string
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			ids = append(ids, p.ID)
			return false, nil
		}
	})
	token := f.opaque(nil)
	f.issuer.Answer(token, `{"active":true,"sub":"u","jti":"`+token+`","aud":"`+testResource+`","scope":"mcp:read"}`)
	f.served(f.call(token, "echo"))
	assert.Equal(t, []string{hashOf(token)}, ids)
}

// TestEchoOutsideOfText: an escape is one in a text only.
func TestEchoOutsideOfText_INTRO_11(t *testing.T) {
	f := newOpaqueFixture(t, nil)
	for _, text := range []string{`{"active":\u0074rue`, `{"active":true,"exp":900000000\u0030`, `{"active":true,\u002f`, `{"active":true,"a":"\`, `{"active":true,"a":"\u00`} {
		w := f.call(f.answered(text+`,"sub":"u","aud":"`+testResource+`","scope":"mcp:read"}`), "echo")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code, text)
	}
	assert.Zero(t, f.ran)
}
