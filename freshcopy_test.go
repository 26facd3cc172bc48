package mcpauth_test

import (
	"context"
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

// answering lets a transport answer some requests in another way: what changed
// returns, unless that is nil.
func answering(next http.RoundTripper, changed func(*http.Request) *http.Response) http.RoundTripper {
	return keysTransport(func(r *http.Request) (*http.Response, error) {
		if resp := changed(r); resp != nil {
			return resp, nil
		}
		return next.RoundTrip(r)
	})
}

// Documents are fetched whole. A server that answers a condition wrongly is never
// asked for one, and a 304 out of the blue is a failure.
func TestNoConditions_FRESH_07_JWKS_22(t *testing.T) {
	for _, status := range []int{304, 412, 500} {
		t.Run(fmt.Sprintf("FRESH-07 %d to a condition", status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Transport = answering(c.Transport, func(r *http.Request) *http.Response {
						for name := range r.Header {
							if strings.HasPrefix(name, "If-") {
								t.Errorf("a condition: %s", name)
								return keysAnswer(r, status, "", "")
							}
						}
						return nil
					})
				})
				for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
					f.issuer.Header(endpoint, "ETag", `"v1"`)
					f.issuer.Header(endpoint, "Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")
				}
				f.served(f.call(f.token(nil), "echo"))
				for n := range 3 {
					time.Sleep(67 * time.Minute)
					f.issuer.Rotate(mcpauthtest.NewKey(fmt.Sprintf("r%d", n), "ES256"))
					f.served(f.call(f.token(nil), "echo"))
				}
			})
		})
	}
	t.Run("FRESH-07 a withdrawn key, and no new token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
				f.issuer.Header(endpoint, "Cache-Control", "max-age=3293198")
			}
			old := f.token(mcpauthtest.Claims{"exp": time.Now().Add(48 * time.Hour).Unix()})
			f.served(f.call(old, "echo"))
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			for time.Sleep(13*time.Hour + 12*time.Minute); ; time.Sleep(time.Second) {
				if f.call(old, "echo").Code == http.StatusUnauthorized {
					break
				}
				synctest.Wait()
				require.Less(t, f.ran, 3)
			}
		})
	})
	t.Run("FRESH-07 nothing but 304", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			always := false
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Transport = answering(c.Transport, func(r *http.Request) *http.Response {
					if always {
						return keysAnswer(r, http.StatusNotModified, "", "")
					}
					return nil
				})
			})
			f.served(f.call(f.token(nil), "echo"))
			always = true
			time.Sleep(23 * time.Hour)
			f.served(f.call(f.token(nil), "echo"))
			synctest.Wait()
			assert.Equal(t, "bad_status", f.lastError())
			time.Sleep(time.Hour + time.Second)
			f.unavailable(f.call(f.token(nil), "echo"))
		})
	})
}

// A new place is found by the first token that it vouches for, whatever stands at
// the old one, and nobody who has a key at hand waits for it.
func TestPlaceMoves_FRESH_08_DISC_17(t *testing.T) {
	const moved = "https://as.example.com/tenant1/v2/keys"
	for _, row := range []struct {
		name string
		old  func(r *http.Request, set string) (*http.Response, error)
	}{
		{"404", func(r *http.Request, _ string) (*http.Response, error) { return keysAnswer(r, 404, "", ""), nil }},
		{"silent", func(r *http.Request, _ string) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}},
		{"frozen", func(r *http.Request, set string) (*http.Response, error) {
			return keysAnswer(r, 200, "application/json", set), nil
		}},
	} {
		for _, flooded := range []bool{false, true} {
			t.Run(fmt.Sprintf("FRESH-08 the old place %s, flooded %t", row.name, flooded), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					frozen := ""
					var away atomic.Bool
					f := newFixture(t, func(c *mcpauth.Config) {
						next := c.Transport
						c.Logger, c.Transport = nil, keysDelay(keysTransport(func(r *http.Request) (*http.Response, error) {
							if away.Load() && r.URL.String() == placeKeys {
								return row.old(r, frozen)
							}
							return next.RoundTrip(r)
						}), 20*time.Millisecond)
					})
					f.issuer.Rotate(mcpauthtest.NewKey("k1", "ES256"))
					frozen = keySetOf(t, f.issuer.Keys()[0].JWK())
					f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=86400")
					f.issuer.Header(mcpauthtest.Metadata, "Cache-Control", "max-age=86400")
					old := f.token(nil)
					f.served(f.call(old, "echo"))
					time.Sleep(time.Minute)
					stop := func() {}
					if flooded {
						stop, _ = f.flood(t, 1000, func(n int) string { return f.junk(n, time.Now()) })
						time.Sleep(2 * time.Second)
					}
					away.Store(true)
					f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = moved })
					f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
					token, begun := f.token(nil), time.Now()
					w := f.call(token, "echo")
					for ; w.Code == http.StatusServiceUnavailable && flooded; w = f.call(token, "echo") {
						time.Sleep(retryAfter(t, w))
					}
					assert.Equal(t, http.StatusOK, w.Code)
					if flooded {
						assert.LessOrEqual(t, time.Since(begun), 17*time.Second)
					} else {
						assert.Equal(t, 40*time.Millisecond, time.Since(begun), "metadata, and the keys that it names")
					}
					stop()
					f.ran = 0
					f.refused(f.call(old, "echo"), 401, invalidToken(unknownKey))
					assert.Equal(t, moved, f.auth.Issuers()[0].JWKSURI)
					time.Sleep(5 * time.Second)
				})
			})
		}
	}
	t.Run("FRESH-08 the new place does not work yet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broken := map[string]bool{}
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Transport = answering(c.Transport, func(r *http.Request) *http.Response {
					if broken[r.URL.String()] {
						return keysAnswer(r, 503, "", "")
					}
					return nil
				})
			})
			old := f.token(nil)
			f.served(f.call(old, "echo"))
			time.Sleep(time.Minute)
			broken[placeKeys], broken[moved] = true, true
			f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = moved })
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			f.unavailable(f.call(f.token(nil), "echo"))
			begun := time.Now()
			f.served(f.call(old, "echo"))
			assert.Zero(t, time.Since(begun), "who has a key at hand does not wait")
			delete(broken, moved)
			time.Sleep(10 * time.Second)
			f.served(f.call(f.token(nil), "echo"))
			f.refused(f.call(old, "echo"), 401, invalidToken(unknownKey))
		})
	})
	t.Run("FRESH-08 before there were any keys", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Transport = answering(keysDelay(c.Transport, time.Millisecond), func(r *http.Request) *http.Response {
					if r.URL.String() == placeKeys {
						return keysAnswer(r, 404, "", "")
					}
					return nil
				})
			})
			f.issuer.Header(mcpauthtest.Metadata, "Cache-Control", "max-age=86400")
			f.unavailable(f.call(f.token(nil), "echo"))
			f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = moved })
			time.Sleep(2 * time.Second)
			f.served(f.call(f.token(nil), "echo"))
		})
	})
}

// Keys that move with every fetch buy strangers no more fetches.
func TestPlaceMovesAlways_FRESH_08_JWKS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var metadata, keys atomic.Int32
		f := newFixture(t, func(c *mcpauth.Config) {
			set := keySetOf(t, mcpauthtest.NewKey("k1", "ES256").JWK())
			c.Logger = nil
			c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
				if strings.Contains(r.URL.Path, "well-known") {
					return keysAnswer(r, 200, "application/json", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://as.example.com/keys/%d"}`, testIssuerURL, metadata.Add(1))), nil
				}
				keys.Add(1)
				return keysAnswer(r, 200, "application/json", set), nil
			})
		})
		require.NoError(t, f.auth.Warm(t.Context()))
		for n := range 6000 {
			time.Sleep(10 * time.Millisecond)
			f.call(f.junk(n, time.Now()), "echo")
		}
		spent := int32(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) / (10 * time.Second))
		assert.LessOrEqual(t, metadata.Load()-1, 3+spent)
		assert.LessOrEqual(t, keys.Load()-1, 2*(3+spent), "at the old place and at the new one")
		assert.Greater(t, metadata.Load(), int32(5), "the flood shows nothing")
	})
}

// Renewal is due well before service ends, so that an outage finds everybody
// with hours in hand.
func TestGrace_FRESH_09_JWKS_19(t *testing.T) {
	for _, maxAge := range []string{"max-age=86400", "max-age=3293198", ""} {
		t.Run("FRESH-09 "+maxAge, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				least := 24 * time.Hour
				for range 40 {
					f := newFixture(t, func(c *mcpauth.Config) { c.Transport = keysDelay(c.Transport, 2*time.Second) })
					f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", maxAge)
					begun := time.Now().Add(2 * time.Second) // of the keys; the metadata comes first
					require.NoError(t, f.auth.Warm(t.Context()))
					status := f.auth.Issuers()[0]
					least = min(least, begun.Add(24*time.Hour).Sub(status.NextRefresh))
				}
				assert.GreaterOrEqual(t, least, 10*time.Hour+48*time.Minute)
				t.Logf("least grace: %v", least)
			})
		})
	}
	t.Run("FRESH-09 service ends a day after the fetch began", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Issuers[0].JWKSURI = placeKeys
				c.Transport = keysDelay(c.Transport, 2*time.Second)
			})
			begun := time.Now()
			require.NoError(t, f.auth.Warm(t.Context()))
			f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
			token := f.token(mcpauthtest.Claims{"exp": time.Now().Add(48 * time.Hour).Unix()})
			time.Sleep(24*time.Hour - time.Since(begun))
			f.served(f.call(token, "echo"))
			time.Sleep(time.Millisecond)
			f.unavailable(f.call(token, "echo"))
			time.Sleep(5 * time.Second)
		})
	})
}

// A fetch ends by our clock, whatever the transport does.
func TestTransport_NeverComesBack_FRESH_12_JWKS_18(t *testing.T) {
	for _, endpoint := range []string{placeKeys, placeOAuth} {
		t.Run("FRESH-12 "+endpoint, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var blocked atomic.Bool
				var stuck atomic.Int32
				release := make(chan struct{})
				f := newFixture(t, func(c *mcpauth.Config) {
					next := c.Transport
					c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
						if r.URL.String() == endpoint && blocked.Load() {
							stuck.Add(1)
							defer stuck.Add(-1)
							<-release // and not even its context ends it
						}
						return next.RoundTrip(r)
					})
				})
				defer synctest.Wait()
				defer close(release)
				f.issuer.ServeOnly("/.well-known/oauth-authorization-server/tenant1")
				f.served(f.call(f.token(nil), "echo"))
				time.Sleep(time.Minute)
				f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
				blocked.Store(true)
				time.AfterFunc(time.Second, func() { blocked.Store(false) })
				begun := time.Now()
				token := f.token(nil)
				w := f.call(token, "echo")
				if w.Code != http.StatusOK {
					time.Sleep(6*time.Second - time.Since(begun))
					w = f.call(token, "echo")
				}
				assert.Equal(t, http.StatusOK, w.Code)
				assert.LessOrEqual(t, time.Since(begun), 6*time.Second)
				time.Sleep(time.Minute)

				blocked.Store(true)
				for n := range 200 {
					f.call(f.randomKid(n), "echo")
					time.Sleep(300 * time.Millisecond)
				}
				assert.LessOrEqual(t, stuck.Load(), int32(6), "four, and one more a minute")
				assert.Equal(t, "timeout", f.lastError())
				assert.Contains(t, f.log.String(), "cause=fetch-timeout")
			})
		})
	}
}

// The well-known places share the time of one fetch, and the one that worked has the
// first turn; which one is preferred is seen at the next renewal.
func TestPlaces_ShareTime_FRESH_13_DISC_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		silent := map[string]bool{placeOAuth: true, placeInserted: true}
		f := newFixture(t, func(c *mcpauth.Config) {
			next := c.Transport
			c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				hangs := silent[r.URL.String()]
				mu.Unlock()
				resp, err := next.RoundTrip(r)
				if hangs {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return resp, err
			})
		})
		begun := time.Now()
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, 2*time.Second, time.Since(begun))
		assert.Equal(t, []string{placeOAuth, placeInserted, placeAppended, placeKeys}, urls(f.issuer))

		// Somebody waits: the place that worked goes first, and the others are not asked.
		time.Sleep(time.Minute)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
		f.served(f.call(f.token(nil), "echo"))
		synctest.Wait()
		assert.ElementsMatch(t, []string{placeAppended, placeKeys}, urls(f.issuer)[4:])

		// On schedule the preferred ones are asked, and what they do not say is waited for by nobody.
		time.Sleep(67 * time.Minute)
		begun = time.Now()
		f.served(f.call(f.token(nil), "echo"))
		assert.Zero(t, time.Since(begun))
		time.Sleep(10 * time.Second)
		assert.ElementsMatch(t, []string{placeOAuth, placeInserted, placeAppended, placeKeys}, urls(f.issuer)[6:])

		mu.Lock()
		clear(silent)
		mu.Unlock()
		time.Sleep(67 * time.Minute)
		f.served(f.call(f.token(nil), "echo"))
		synctest.Wait()
		assert.ElementsMatch(t, []string{placeOAuth, placeKeys}, urls(f.issuer)[10:], "the preferred one answers again")
		time.Sleep(time.Minute)
		f.issuer.Rotate(mcpauthtest.NewKey("k3", "ES256"))
		f.served(f.call(f.token(nil), "echo"))
		synctest.Wait()
		assert.ElementsMatch(t, []string{placeOAuth, placeKeys}, urls(f.issuer)[12:], "and is the one that last worked")
	})
	t.Run("FRESH-13 a preferred place that is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var first atomic.Value
			f := newFixture(t, func(c *mcpauth.Config) {
				next := c.Transport
				c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
					if r.URL.String() != placeKeys {
						first.CompareAndSwap("", r.URL.String())
					}
					if r.URL.String() == placeOAuth {
						time.Sleep(1500 * time.Millisecond)
					}
					return next.RoundTrip(r)
				})
			})
			begun := time.Now()
			f.served(f.call(f.token(nil), "echo"))
			assert.Equal(t, time.Second, time.Since(begun), "the first answer will do when somebody waits")
			time.Sleep(67 * time.Minute)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(5 * time.Second)
			first.Store("")
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(5 * time.Second)
			assert.Equal(t, placeOAuth, first.Load(), "on schedule it was waited for, and is the one that last worked")
		})
	})
}

// A client that leaves stops waiting, and its fetch goes on for the others.
func TestSuspects_ClientLeaves_FRESH_14_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Transport = keysDelay(c.Transport, time.Second) })
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Minute)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		r := f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...)
		f.unavailable(f.serve(r.WithContext(ctx)))
		assert.Equal(t, 100*time.Millisecond, time.Since(begun))
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, time.Second, time.Since(begun))
		assert.Equal(t, 2, keyFetches(f))
	})
}
