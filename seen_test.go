package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A token that was good a moment ago is refused the moment it no longer is.
func TestSeenTokens_TOK_62_JWKS_21(t *testing.T) {
	cases := map[string]struct {
		config func(*mcpauth.Config, *bool)
		change func(*fixture, *bool)
		status int
		reason error
	}{
		"nothing happens": {nil, func(*fixture, *bool) {}, 200, nil},
		"TOK-62 it expires": {nil, func(*fixture, *bool) {
			time.Sleep(5*time.Minute + 31*time.Second)
		}, 401, mcpauth.ErrExpired},
		"JWKS-21 its key is withdrawn": {nil, func(f *fixture, _ *bool) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			time.Sleep(31 * time.Second)
			f.call(f.token(nil), "echo") // the unknown key makes the new set known
			f.ran = 0
		}, 401, mcpauth.ErrUnknownKey},
		"JWKS-21 its key is another under the same kid": {nil, func(f *fixture, _ *bool) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), mcpauthtest.NewKey("k1", "ES256"))
			time.Sleep(31 * time.Second)
			f.call(f.token(nil), "echo")
			f.ran = 0
		}, 401, mcpauth.ErrUnknownKey},
		"JWKS-21 a key is added": {nil, func(f *fixture, _ *bool) {
			f.issuer.Rotate(append(f.issuer.Keys(), mcpauthtest.NewKey("k2", "RS256"))...)
			time.Sleep(31 * time.Second)
		}, 200, nil},
		"TOK-61 it is revoked": {func(c *mcpauth.Config, flag *bool) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return *flag, nil }
		}, func(_ *fixture, flag *bool) { *flag = true }, 401, mcpauth.ErrRevoked},
		"TOK-61 nobody can say whether it is revoked": {func(c *mcpauth.Config, flag *bool) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
				if *flag {
					return false, errors.New("no answer")
				}
				return false, nil
			}
		}, func(_ *fixture, flag *bool) { *flag = true }, 503, mcpauth.ErrUnavailable},
		"the hook changes what it is given": {func(c *mcpauth.Config, _ *bool) {
			c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
				p.Scopes[0], p.Subject = "mcp:admin", "root"
				return false, nil
			}
		}, func(*fixture, *bool) {}, 200, nil},
		"the policy changes what it is given": {func(c *mcpauth.Config, _ *bool) {
			c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
				p, _ := mcpauth.FromContext(ctx)
				p.Scopes[0] = "mcp:admin"
				return mcpauth.Scopes("mcp:read"), nil
			})
		}, func(*fixture, *bool) {}, 200, nil},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reason error
				flag := false
				f := newFixture(t, func(c *mcpauth.Config) {
					if row.config != nil {
						row.config(c, &flag)
					}
					c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
						reason = nil
						if d.Err != nil {
							reason = d.Err
						}
						if d.Principal != nil {
							d.Principal.Subject, d.Principal.Scopes = "root", append(d.Principal.Scopes[:0], "mcp:admin")
						}
					}
				})
				token := f.token(nil)
				for range 3 {
					require.Equal(t, 200, f.call(token, "echo").Code)
				}
				f.ran = 0
				row.change(f, &flag)
				got := f.call(token, "echo")
				assert.Equal(t, row.status, got.Code)
				if row.reason != nil {
					require.ErrorIs(t, reason, row.reason)
					assert.Zero(t, f.ran, "the inner handler ran")
				} else {
					assert.Equal(t, 1, f.ran)
				}
				// The decision is never remembered: another tool, another answer.
				if row.status == 200 && row.config == nil {
					assert.Equal(t, 403, f.call(token, "admin_delete").Code)
				}
			})
		})
	}
}

// What a handler does to its caller's principal is not seen by the next request.
func TestSeenPrincipal_TOK_64(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := mcpauth.FromContext(r.Context())
		require.True(t, ok)
		assert.Equal(t, []string{"mcp:read"}, p.Scopes)
		assert.Equal(t, "user-1", p.Subject)
		p.Scopes[0], p.Subject = "mcp:admin", "root"
		again, _ := mcpauth.FromContext(r.Context())
		assert.Equal(t, "user-1", again.Subject)
		w.WriteHeader(http.StatusAccepted)
	}))
	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", token, legacyCall("echo")))
		assert.Equal(t, http.StatusAccepted, w.Code)
		p, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
		require.NoError(t, err)
		assert.Equal(t, "user-1", p.Subject)
		p.Scopes[0] = "mcp:admin"
	}
}
