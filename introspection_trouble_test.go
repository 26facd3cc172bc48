package mcpauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// endpointSays lets the endpoint answer by itself to some tokens.
func endpointSays(tb testing.TB, says func(token string) (status int, text string)) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) {
		rest := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPost {
				return rest.RoundTrip(r)
			}
			require.NoError(tb, r.ParseForm())
			if status, text := says(r.PostForm.Get("token")); status != 0 {
				return answerOf(r, status, text), nil
			}
			r.Body = readCloser(r.PostForm.Encode())
			return rest.RoundTrip(r)
		})
	}
}

// TestTroubleOfOneToken: what fails because of one token is 503 for whoever has that token, and nothing to others:
// neither to those who were good a moment ago, nor to their streams, nor to newcomers.
func TestTroubleOfOneToken_INTRO_06_INTRO_08_INTRO_11_INTRO_22(t *testing.T) {
	const good = `{"active":true,"sub":"mallory","client_id":"client-1","aud":"` + testResource + `","scope":"mcp:read"`
	for _, row := range []struct {
		name   string
		status int
		text   string
		cause  string
	}{
		{"half an emoji in a name", 200, good + `,"name":"Mallory \ud83d"}`, "introspection-answer"},
		{"17 deep", 200, good + `,"profile":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, "introspection-answer"},
		{"65 KiB", 200, good + `,"groups":"` + strings.Repeat("g", 65<<10) + `"}`, "introspection-answer"},
		{"a member twice", 200, good + `,"name":"a","name":"b"}`, "introspection-answer"},
		{"no JSON", 200, "<html>", "introspection-answer"},
		{"a redirect", 302, "", "introspection-answer"},
		{"400", 400, `{"error":"invalid_request"}`, "introspection-answer"},
		{"403 of a firewall", 403, "<html>blocked", "introspection-credentials"},
		{"404", 404, "", "introspection-answer"},
		{"414", 414, "", "introspection-answer"},
	} {
		for _, jwts := range []bool{false, true} {
			t.Run(fmt.Sprint(row.name, ", JWTs ", jwts), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { troubleOfOneToken(t, row.status, row.text, row.cause, jwts) })
			})
		}
	}
}

func troubleOfOneToken(t *testing.T, status int, text, cause string, jwts bool) {
	var bad sync.Map
	var asked atomic.Int64
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		c.Issuers[0].Introspect.JWTs = jwts
		endpointSays(t, func(token string) (int, string) {
			if _, ok := bad.Load(token); ok {
				asked.Add(1)
				return status, text
			}
			return 0, ""
		})(c)
	})
	stream := f.inner
	f.inner = nil
	mint := func(sub string) string {
		if jwts {
			return longTokenOf(f, sub)
		}
		return longOpaque(f, mcpauthtest.Claims{"sub": sub})
	}
	honest, mine := mint("honest"), []string(nil)
	assert.Equal(t, http.StatusOK, f.call(honest, "echo").Code)
	for i := range 8 {
		mine = append(mine, mint(fmt.Sprint("mallory", i)))
		assert.Equal(t, http.StatusOK, f.call(mine[i], "echo").Code)
	}
	f.inner = stream
	l := f.lasts(streamOpens[0].send(f, mint("listener")))
	f.inner = nil
	time.Sleep(61 * time.Second) // nothing is remembered
	for _, token := range mine {
		bad.Store(token, true)
	}
	const seconds = 6 * 60
	for i := range seconds {
		for _, token := range mine {
			w := f.call(token, "echo")
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.Empty(t, w.Header().Get("WWW-Authenticate"))
		}
		if i%20 == 0 {
			require.Equal(t, http.StatusOK, f.call(honest, "echo").Code, "a known caller after %d s", i)
			require.Equal(t, http.StatusOK, f.call(mint(fmt.Sprint("newcomer", i)), "echo").Code, "a newcomer after %d s", i)
		}
		time.Sleep(time.Second)
	}
	synctest.Wait()
	assert.Zero(t, l.ended, "the stream of somebody else")
	assert.LessOrEqual(t, int(asked.Load()), len(mine)*seconds/5, "a token in trouble is not asked about again for 5 s")
	assert.Greater(t, int(asked.Load()), len(mine)*seconds/10, "it may be over")
	assert.Contains(t, f.log.String(), "cause="+cause+" ")
	for _, token := range mine {
		bad.Delete(token)
	}
	time.Sleep(5 * time.Second)
	for _, token := range mine {
		assert.Equal(t, http.StatusOK, f.call(token, "echo").Code)
	}
	l.leave()
}

// TestFailuresOfOneCaller: a server that breaks at the tokens of one caller is left alone by him, and by nobody else until
// it fails somebody else, too.
func TestFailuresOfOneCaller_INTRO_06_INTRO_08_INTRO_22(t *testing.T) {
	for _, jwts := range []bool{false, true} {
		t.Run(fmt.Sprint("JWTs ", jwts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var breaks sync.Map
				var asked atomic.Int32
				f := newConfirmedFixture(t, endpointSays(t, func(token string) (int, string) {
					if _, ok := breaks.Load(token); ok {
						asked.Add(1)
						return http.StatusInternalServerError, ""
					}
					return 0, ""
				}))
				mint := func(sub string) string {
					if jwts {
						return longTokenOf(f, sub)
					}
					return longOpaque(f, mcpauthtest.Claims{"sub": sub})
				}
				mallory := []string{mint("mallory"), mint("mallory")}
				alice := mint("alice")
				for _, token := range append(mallory, alice) {
					f.served(f.call(token, "echo"))
				}
				time.Sleep(time.Minute)
				for _, token := range mallory {
					breaks.Store(token, true)
				}
				for i := range 20 {
					assert.Equal(t, http.StatusServiceUnavailable, f.call(mallory[i%2], "echo").Code)
				}
				assert.EqualValues(t, 5, asked.Load(), "he rests")
				f.ran = 0
				f.served(f.call(alice, "echo"))
				for range 20 {
					assert.Equal(t, http.StatusServiceUnavailable, f.call(mallory[0], "echo").Code)
				}
				f.ran = 0
				f.served(f.call(mint("newcomer"), "echo"))

				time.Sleep(time.Minute)
				for range 20 {
					assert.Equal(t, http.StatusServiceUnavailable, f.call(mallory[0], "echo").Code)
				}
				f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
				before := f.questions()
				for range 5 {
					assert.Equal(t, http.StatusServiceUnavailable, f.call(alice, "echo").Code)
				}
				assert.Equal(t, before+1, f.questions(), "now it has failed two")
			})
		})
	}
}

// TestJunkThatAFirewallHolds: made-up tokens that are answered with an error of 4xx keep no newcomer out, whatever
// their pace, and write no warning each.
func TestJunkThatAFirewallHolds_INTRO_06_INTRO_22(t *testing.T) {
	for _, status := range []int{400, 403, 404} {
		for _, row := range []struct {
			name  string
			burst int
			pause time.Duration
		}{{"two a second", 2, time.Second}, {"bursts", 8, 2 * time.Second}} {
			t.Run(fmt.Sprint(status, ", ", row.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newOpaqueFixture(t, endpointSays(t, func(token string) (int, string) {
						if strings.HasPrefix(token, "../..") {
							return status, "<html>"
						}
						return 0, ""
					}))
					for n := range 150 {
						statuses := f.many(row.burst, func(i int) string { return fmt.Sprintf("../../etc/passwd%d.%d", n, i) })
						require.Equal(t, map[int]int{503: row.burst}, statuses)
						w := f.call(longOpaque(f, mcpauthtest.Claims{"sub": fmt.Sprint("n", n)}), "echo")
						require.Equal(t, http.StatusOK, w.Code, "newcomer %d: %s", n, w.Body)
						time.Sleep(row.pause)
					}
					minutes := 1 + 150*int(row.pause/time.Second)/60
					assert.LessOrEqual(t, strings.Count(f.log.String(), `level=WARN msg="mcpauth: request refused"`), minutes)
				})
			})
		}
	}
}

// TestJunkAfterAnOutage: what a firewall holds does not use up the one question that is let through after a rest, and says
// nothing of the server behind it.
func TestJunkAfterAnOutage_INTRO_06_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, endpointSays(t, func(token string) (int, string) {
			if strings.HasPrefix(token, "../..") {
				return http.StatusForbidden, "<html>"
			}
			return 0, ""
		}))
		n := 0
		newcomer := func() int {
			n++
			return f.call(longOpaque(f, mcpauthtest.Claims{"sub": fmt.Sprint("n", n)}), "echo").Code
		}
		junk := func() {
			n++
			assert.Equal(t, http.StatusServiceUnavailable, f.call(fmt.Sprint("../../", n), "echo").Code)
		}
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
		for range 5 {
			assert.Equal(t, http.StatusServiceUnavailable, newcomer())
			junk()
		}
		asked := f.questions()
		assert.Equal(t, http.StatusServiceUnavailable, newcomer())
		assert.Equal(t, asked, f.questions(), "it is left alone")
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.None)
		time.Sleep(10 * time.Second)
		for range 3 {
			junk()
		}
		assert.Equal(t, http.StatusOK, newcomer())
	})
}

// TestStrangersWriteNoWarnings: while the endpoint is left alone, and where it fails at what is made up, a warning a
// minute tells the operator.
func TestStrangersWriteNoWarnings_INTRO_06_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
		for i := range 120 {
			assert.Equal(t, http.StatusServiceUnavailable, f.call(fmt.Sprint("opaque_", i), "echo").Code)
			time.Sleep(time.Second)
		}
		const line = `level=WARN msg="mcpauth: request refused"`
		warnings := strings.Count(f.log.String(), line)
		assert.True(t, 2 <= warnings && warnings <= 3, "%d warnings", warnings)
		assert.Equal(t, 120, strings.Count(f.log.String(), "cause=introspection-unreachable "))
	})
}
