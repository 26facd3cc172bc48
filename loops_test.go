package mcpauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const loopLine = "a client gets one token after the other"

// A client that signs its user in again and again is named, once for a cause; tokens that are sent
// again, old ones, those of several users, and outages are no loop.
func TestLoginLoop_OBS_10(t *testing.T) {
	for _, row := range []struct {
		name     string
		calls    int
		pause    time.Duration
		token    func(f *fixture, n int) string
		tool     string
		lines    int
		mentions []string
	}{
		{"OBS-10 a wrong audience", 50, 6 * time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n)})
		}, "echo", 1, []string{"unverified_subject=", "user-1", "unverified_client=", "client-1", "tokens=5", "cause=audience-other", "fix="}},
		{"OBS-10 a scope that never comes", 5, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n)})
		}, "admin_delete", 1, []string{" subject=", "user-1", " client=", "cause=scope-not-granted"}},
		{"OBS-10 as old, and as far apart, as counts", 5, 75 * time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n), "iat": time.Now().Add(-5 * time.Minute).Unix()})
		}, "echo", 1, nil},
		{"OBS-10 older", 5, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n), "iat": time.Now().Add(-5*time.Minute - time.Second).Unix()})
		}, "echo", 0, nil},
		{"OBS-10 by a clock that is as far ahead as counts", 5, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n), "iat": time.Now().Add(5 * time.Minute).Unix()})
		}, "echo", 1, []string{"cause=clock-behind"}},
		{"OBS-10 further ahead", 5, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n), "iat": time.Now().Add(5*time.Minute + time.Second).Unix()})
		}, "echo", 0, nil},
		{"OBS-10 without iat", 5, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n), "iat": nil})
		}, "echo", 0, nil},
		{"OBS-10 for an hour, once in 10 minutes", 55, time.Minute, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n)})
		}, "echo", 6, nil},
		{"OBS-10 one fewer", 4, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n)})
		}, "echo", 0, nil},
		{"OBS-10 slowly", 50, 2 * time.Minute, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n)})
		}, "echo", 0, nil},
		{"OBS-10 one old token", 50, time.Second, func(f *fixture, _ int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": "1", "iat": time.Now().Add(-time.Hour).Unix()})
		}, "echo", 0, nil},
		{"OBS-10 several users", 50, time.Second, func(f *fixture, n int) string {
			return f.token(mcpauthtest.Claims{"aud": "https://other.example", "sub": fmt.Sprint(n)})
		}, "echo", 0, nil},
		{"OBS-10 an outage", 50, time.Second, func(f *fixture, n int) string {
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
			return f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n)})
		}, "echo", 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				for n := range row.calls {
					f.call(row.token(f, n), row.tool)
					time.Sleep(row.pause)
				}
				assert.Equal(t, row.lines, strings.Count(f.log.String(), loopLine))
				for _, mention := range row.mentions {
					assert.Contains(t, lineWith(f.log.String(), loopLine), mention)
				}
			})
		})
	}
	t.Run("OBS-10 one token, again and again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			token := f.token(mcpauthtest.Claims{"aud": "https://other.example"})
			for range 50 {
				f.call(token, "echo")
			}
			assert.NotContains(t, f.log.String(), loopLine)
		})
	})
	t.Run("OBS-10 strangers write no more lines than a few", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			for user := range 100 {
				for n := range 6 {
					f.call(f.token(mcpauthtest.Claims{"aud": "https://other.example", "sub": fmt.Sprint(user), "jti": fmt.Sprint(n)}), "echo")
				}
			}
			assert.Equal(t, 10, strings.Count(f.log.String(), loopLine))
			for n := range 5 {
				f.call(f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n)}), "admin_delete")
			}
			assert.Contains(t, f.log.String(), "cause=scope-not-granted")
			assert.Equal(t, 11, strings.Count(f.log.String(), loopLine))
			time.Sleep(10 * time.Minute)
			for n := range 5 {
				f.call(f.token(mcpauthtest.Claims{"aud": "https://other.example", "sub": "99", "jti": fmt.Sprint("later", n)}), "echo")
			}
			assert.Equal(t, 12, strings.Count(f.log.String(), loopLine))
		})
	})
	t.Run("OBS-10 a fault of ours is no loop of the client's", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { panic("ours") }
		})
		for n := range 5 {
			assert.Equal(t, http.StatusInternalServerError, f.call(f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n)}), "echo").Code)
		}
		assert.NotContains(t, f.log.String(), loopLine)
	})
	t.Run("OBS-10 at level Warn nobody looks into refused tokens", func(t *testing.T) {
		for level, lines := range map[slog.Level]int{slog.LevelInfo: 1, slog.LevelWarn: 0} {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
				})
				for n := range 5 {
					f.call(f.token(mcpauthtest.Claims{"aud": "https://other.example", "jti": fmt.Sprint(n)}), "echo")
				}
				assert.Equal(t, lines, strings.Count(log.String(), loopLine), level)
			})
		}
	})
	t.Run("OBS-10 strangers take no memory of a caller's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			for n := range 5 {
				f.call(f.token(mcpauthtest.Claims{"jti": fmt.Sprint(n)}), "admin_delete")
				for liar := range 200 {
					f.call(f.token(mcpauthtest.Claims{"aud": "https://other.example", "sub": fmt.Sprint(n, liar)}), "echo")
				}
			}
			assert.Equal(t, 1, strings.Count(f.log.String(), loopLine))
			assert.Contains(t, lineWith(f.log.String(), loopLine), "cause=scope-not-granted")
		})
	})
}
