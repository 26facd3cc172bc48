package mcpauth_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// hostile is what must stand in no line of a log as it is.
const hostile = "a\n\x1b[31m\u0085\u009b31m\u200e\u202e\u2066\u200b\ufeff"

// longHostile is 200 KB of it.
var longHostile = strings.Repeat(hostile, 200<<10/len(hostile))

// assertShowable looks at every text of a log's JSON lines: bounded, and nothing
// in it that a terminal acts on.
func assertShowable(t *testing.T, log string) (lines int) {
	t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(log))
	scanner.Buffer(nil, 8<<20)
	for ; scanner.Scan(); lines++ {
		var line map[string]any
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		text := fmt.Sprint(line)
		assert.LessOrEqual(t, len(scanner.Text()), 2<<10, "%.300s", scanner.Text())
		assert.NotContains(t, text, "canary")
		assert.False(t, strings.ContainsAny(text, "\n\x1b\u0085\u009b\u200e\u202e\u2066\u200b\ufeff\ufffd"), "%.300q", text)
	}
	return lines
}

// What an authorization server publishes, answers and breaks with is shown
// bounded and escaped in every line, and the query of a configured URL nowhere.
func TestForeignText_OBS_11_JWKS_07(t *testing.T) {
	transport := func(fail func(r *http.Request) error) func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
		return func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			next := c.Transport
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if err := fail(r); err != nil {
					return nil, err
				}
				return next.RoundTrip(r)
			})
		}
	}
	metadata := func(name string, value any) func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
		return func(_ *mcpauth.Config, i *mcpauthtest.Issuer) {
			i.PublishMetadata(func(m map[string]any) { m[name] = value })
		}
	}
	for name, set := range map[string]func(c *mcpauth.Config, i *mcpauthtest.Issuer){
		"OBS-11 jwks_uri of 200 KB, unreachable":  metadata("jwks_uri", "https://keys.example.com/"+longHostile[len("a\n\x1b[31m"):]),
		"OBS-11 jwks_uri with marks, unreachable": metadata("jwks_uri", "https://keys.example.com/\u202e\u200b?key=canary"),
		"OBS-11 jwks_uri is no URL":               metadata("jwks_uri", hostile+longHostile),
		"OBS-11 jwks_uri on a hostile host":       metadata("jwks_uri", "https://"+strings.Repeat("\u202e", 1<<10)+".example/"),
		"OBS-11 another issuer":                   metadata("issuer", longHostile),
		"OBS-11 content type": func(_ *mcpauth.Config, i *mcpauthtest.Issuer) {
			i.Header(mcpauthtest.Metadata, "Content-Type", "text/\u202e\u009b"+strings.Repeat("x", 30<<10))
		},
		"JWKS-07 private key with a hostile kid": func(_ *mcpauth.Config, i *mcpauthtest.Issuer) {
			private := i.Keys()[0].JWK()
			private["kid"], private["d"] = longHostile[:6<<10], "canary"
			i.PublishKeySet(keySetOf(t, private))
		},
		"OBS-11 many keys with hostile kids": func(_ *mcpauth.Config, i *mcpauthtest.Issuer) {
			var all []any
			for n := range 9 {
				key := mcpauthtest.NewKey(fmt.Sprint("\u202e\u200b\u00e9", n, strings.Repeat("\u00e9", 100)), "ES256").JWK()
				all = append(all, key)
				key = mcpauthtest.NewKey(fmt.Sprint(hostile, n), "ES256").JWK()
				key["use"] = "enc"
				all = append(all, key)
			}
			i.PublishKeySet(keySetOf(t, append(all, i.Keys()[0].JWK())...))
		},
		"OBS-11 a transport that repeats what the server sent": transport(func(*http.Request) error { return errors.New("malformed response " + longHostile) }),
		"OBS-11 a transport that repeats the URL": transport(func(r *http.Request) error {
			return fmt.Errorf("Get %q: %s refused", r.URL, r.URL)
		}),
		"OBS-11 secret in the query of JWKSURI": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Issuers[0].JWKSURI = "https://keys.example.com/jwks?key=canary"
			transport(func(r *http.Request) error { return fmt.Errorf("Get %q: %s refused", r.URL, r.URL) })(c, i)
		},
		"OBS-11 secret in the query of JWKSURI, redirected": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Issuers[0].JWKSURI = testIssuerURL + "/jwks?key=canary"
			i.Break(mcpauthtest.JWKS, mcpauthtest.Redirect)
		},
		"OBS-11 secret in the query of JWKSURI, no key set": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Issuers[0].JWKSURI = testIssuerURL + "/jwks?key=canary"
			i.PublishKeySet(`{"keys":[{"kty":"oct","k":"canary","kid":"x"}]}`)
		},
		"OBS-11 secret in the query of JWKSURI, in order": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Issuers[0].JWKSURI = testIssuerURL + "/jwks?key=canary"
		},
		"OBS-11 Revoked repeats what it was sent": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, errors.New(longHostile) }
		},
		"OBS-11 the policy repeats what it was sent": func(c *mcpauth.Config, i *mcpauthtest.Issuer) {
			c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
				return mcpauth.Requirement{}, errors.New(longHostile)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			config := testConfig(f.issuer)
			config.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			set(&config, f.issuer)
			auth, err := mcpauth.New(config)
			require.NoError(t, err)
			f.auth, f.handler = auth, auth.Wrap(http.HandlerFunc(f.record))
			warm := auth.Warm(t.Context())
			f.call(f.token(nil), "echo")
			f.call(f.issuer.Sign(`{"alg":"RS256","kid":"`+strings.Repeat("\u202e", 80)+`"}`, `{"iss":"`+testIssuerURL+`","sub":"x","aud":"`+testResource+`","client_id":"c","exp":9999999999}`), "echo")
			assert.Positive(t, assertShowable(t, log.String()))
			text := fmt.Sprint(warm, auth.Issuers()[0].Skipped, auth.Issuers()[0].LastError)
			assert.NotContains(t, text, "canary")
			assert.False(t, strings.ContainsAny(strings.ReplaceAll(text, "\n", ""), "\x1b\u0085\u009b\u202e"), "%.300q", text)
		})
	}
}

// ConfigErrors are shown too, and show no query and no password.
func TestConfigErrors_OBS_11(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for name, change := range map[string]func(c *mcpauth.Config){
		"JWKSURI by http": func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "http://keys.example.com/jwks?key=canary" },
		"JWKSURI beside keys": func(c *mcpauth.Config) {
			c.Issuers[0].JWKSURI, c.Issuers[0].Keys = "https://k.example/?key=canary", issuer.Keys()[0].PEM()
		},
		"JWKSURI with a password":   func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "https://u:canary@keys.example.com/" },
		"JWKSURI with marks":        func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "keys\u202e\u009b" + longHostile },
		"issuer with a query":       func(c *mcpauth.Config) { c.Issuers[0].URL += "?key=canary" },
		"issuer with a query, http": func(c *mcpauth.Config) { c.Issuers[0].URL = "http://as.example.com/?key=canary" },
		"origin with a query":       func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://a.example?key=canary"} },
	} {
		config := testConfig(issuer)
		change(&config)
		_, err := mcpauth.New(config)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "canary", name)
		assert.Less(t, len(err.Error()), 1<<10, name)
		assert.False(t, bytes.ContainsAny([]byte(err.Error()), "\x1b\u0085\u009b\u202e"), name)
	}
}
