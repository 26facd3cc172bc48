package mcpauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
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
			ids = append(ids, p.TokenID)
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

// TestWordsOfTransports: what is said of a question that fails has neither the token nor a secret of this server, whoever
// repeats them and however.
func TestWordsOfTransports_INTRO_06_INTRO_13(t *testing.T) {
	const token = "CANARYTOKEN+abcdef/0123456789=="
	for _, client := range []clientauth.Method{
		clientauth.SecretBasic("rs", "CANARYSECRET:/+ "), clientauth.SecretPost("rs", "CANARYSECRET:/+ "), clientauth.SecretPost("rs", "CANARY"), clientauth.SecretBasic("rs", "CANARY"),
	} {
		for name, fails := range map[string]func(r *http.Request, body string) error{
			"form":       func(_ *http.Request, body string) error { return errors.New("cannot post " + body) },
			"header":     func(r *http.Request, _ string) error { return fmt.Errorf("cannot send %v", r.Header) },
			"the answer": func(_ *http.Request, body string) error { return fmt.Errorf("malformed HTTP response %q", body) },
			"values":     func(r *http.Request, _ string) error { return fmt.Errorf("cannot post %v", r.PostForm) },
			"request":    func(r *http.Request, _ string) error { return fmt.Errorf("cannot send %+v", *r) },
			"cut": func(r *http.Request, _ string) error {
				return errors.New(strings.Repeat("x", 180) + r.PostForm.Get("token") + r.Header.Get("Authorization"))
			},
			"around": func(r *http.Request, body string) error {
				return &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New(body)}
			},
		} {
			f := newOpaqueFixture(t, func(c *mcpauth.Config) {
				c.Issuers[0].Introspect.Client = client
				rest := c.Transport
				c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodPost {
						return rest.RoundTrip(r)
					}
					require.NoError(t, r.ParseForm())
					return nil, fails(r, r.PostForm.Encode())
				})
			})
			w := f.call(token, "echo")
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			log := f.log.String()
			require.Contains(t, log, "cause=introspection-unreachable ")
			for _, canary := range []string{"CANARY", "abcdef", base64.StdEncoding.EncodeToString([]byte("rs:CANARY"))[:11]} {
				assert.NotContains(t, log, canary, name)
			}
		}
	}
}

// TestEndpointThatEchoes: the house's own transport repeats what it cannot read.
func TestEndpointThatEchoes_INTRO_06_INTRO_13(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = c.Write(append(body, "\r\n\r\n"...))
			_ = c.Close()
		}
	}))
	defer server.Close()
	f := newFixtureOf(t, mcpauthtest.NewIssuer(t), func(c *mcpauth.Config) {
		c.Issuers[0].Introspect = &mcpauth.Introspection{Client: clientauth.SecretPost("rs", "CANARYSECRET"), Endpoint: server.URL}
		c.AllowInsecureLoopback, c.Transport = true, nil
	})
	w := f.call("CANARYTOKEN0123456789", "echo")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, f.log.String(), "malformed HTTP response")
	assert.NotContains(t, f.log.String(), "CANARY")
}
