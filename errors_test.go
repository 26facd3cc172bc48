package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A refusal is found by its reason, whatever is wrapped around it, and tells
// the operator what was got and what was expected.
func TestDeniedError_CHAL_23(t *testing.T) {
	down := errors.New("the database of revocations is down")
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			if p.Subject == "unlucky" {
				return false, down
			}
			return false, nil
		}
	})
	authenticate := func(token string) error {
		_, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
		return fmt.Errorf("wrapped: %w", err)
	}
	for _, row := range []struct {
		token  string
		reason mcpauth.Reason
		status int
		code   string
		text   []string
	}{
		{"", mcpauth.ErrNoCredentials, 401, "", []string{"mcpauth: authorization required: no Authorization header"}},
		{"a,b", mcpauth.ErrManyCredentials, 400, "invalid_request", []string{"expected one bearer token"}},
		{"garbage", mcpauth.ErrMalformedToken, 401, "invalid_token", []string{"malformed token"}},
		{f.token(mcpauthtest.Claims{"aud": "https://x\r\ny"}), mcpauth.ErrAudience, 401, "invalid_token", []string{`got "https://x\r\ny"`, testResource}},
		{f.token(mcpauthtest.Claims{"iss": "https://evil.example"}), mcpauth.ErrIssuer, 401, "invalid_token", []string{`got "https://evil.example"`, testIssuerURL}},
		{f.token(mcpauthtest.Claims{"exp": 1000}), mcpauth.ErrExpired, 401, "invalid_token", []string{"exp 1970-01-01T00:16:40Z, expected later than", " less the leeway of 30s"}},
		{f.token(mcpauthtest.Claims{"nbf": time.Now().Add(time.Hour).Unix()}), mcpauth.ErrNotYetValid, 401, "invalid_token", []string{"expected not later than", " plus the leeway of 30s"}},
		{f.token(mcpauthtest.Claims{"aud": nil}), mcpauth.ErrAudience, 401, "invalid_token", []string{"unverified aud is missing, expected one of"}},
		{f.token(mcpauthtest.Claims{"sub": "unlucky"}), mcpauth.ErrUnavailable, 503, "", []string{down.Error()}},
	} {
		t.Run(string(row.reason), func(t *testing.T) {
			err := authenticate(row.token)
			assert.ErrorIs(t, err, row.reason)
			for _, other := range []mcpauth.Reason{mcpauth.ErrNoCredentials, mcpauth.ErrSignature, mcpauth.ErrForbidden} {
				assert.Equal(t, other == row.reason, errors.Is(err, other))
			}
			var denied *mcpauth.DeniedError
			require.ErrorAs(t, err, &denied)
			assert.Equal(t, row.status, denied.Status)
			assert.Equal(t, row.code, denied.Code)
			assert.Equal(t, row.status == 503, denied.RetryAfter >= time.Second && denied.RetryAfter <= 30*time.Second)
			for _, text := range row.text {
				assert.Contains(t, err.Error(), text)
			}
			assert.NotContains(t, err.Error(), "\n")
			if len(row.token) > 20 {
				for part := range strings.SplitSeq(row.token, ".") {
					assert.NotContains(t, err.Error(), part, "the token ends here")
				}
			}
		})
	}
	assert.ErrorIs(t, authenticate(f.token(mcpauthtest.Claims{"sub": "unlucky"})), down, "the cause stays reachable")
	assert.Equal(t, "token expired", mcpauth.ErrExpired.Error())
	for _, bare := range []*mcpauth.DeniedError{nil, {}, {Status: 503, RetryAfter: time.Second}} { // a policy's own, or none
		assert.Equal(t, "mcpauth: refused", bare.Error())
		assert.NoError(t, bare.Unwrap())
	}
}

// What a stranger sends stands in one line of the log, bounded, and cannot
// steer a terminal.
func TestLogIsSafe_CHAL_23(t *testing.T) {
	f := newFixture(t, nil)
	var every strings.Builder
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs) {
			every.WriteRune(r)
		}
	}
	text := every.String()
	for len(text) > 0 {
		chunk := text[:min(len(text), 200)]
		text = text[len(chunk):]
		f.call(f.token(mcpauthtest.Claims{"aud": chunk}), "echo")
	}
	f.call(f.token(mcpauthtest.Claims{"iss": strings.Repeat("\u202e", 2000)}), "echo")
	for line := range strings.Lines(f.log.String()) {
		assert.Less(t, len(line), 4000)
		assert.True(t, strings.HasPrefix(line, "time="))
		for _, r := range strings.TrimSuffix(line, "\n") {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U stands in the log", r)
			}
		}
	}
	assert.Positive(t, strings.Count(f.log.String(), "audience mismatch"))
	assert.Equal(t, 1, strings.Count(f.log.String(), "issuer not accepted"))
}

// A refusal leaves one line: status, reason, who and what, and no token.
func TestRefusalIsLogged(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	f.call(token, "admin_delete")
	line := f.log.String()
	assert.Equal(t, 1, strings.Count(line, "request refused"), line)
	for _, want := range []string{"level=INFO", "status=403", "insufficient scope", "mcp:admin", testIssuerURL, "user-1", "admin_delete"} {
		assert.Contains(t, line, want)
	}
	assert.NotContains(t, line, token[strings.LastIndexByte(token, '.'):])

	f.log.Reset()
	f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	cold := newFixture(t, nil)
	cold.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	cold.call(cold.token(nil), "echo")
	assert.Contains(t, cold.log.String(), "level=WARN")

	broken := newFixture(t, wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic("x") }))
	broken.call(broken.token(nil), "echo")
	assert.Contains(t, broken.log.String(), "level=ERROR")

	f.log.Reset()
	f.served(f.call(token, "echo"))
	assert.Empty(t, f.log.String(), "what is allowed is for OnDecision")

	silent := newFixture(t, func(c *mcpauth.Config) { c.Logger = nil })
	silent.refused(silent.call("", "echo"), 401, bareChallenge)
}

func TestConfigErrorText(t *testing.T) {
	err := &mcpauth.ConfigError{Field: "Leeway", Value: "-1ns", Reason: "must be between 0 and 5m"}
	assert.EqualError(t, err, "mcpauth: Config.Leeway = -1ns: must be between 0 and 5m")
}
