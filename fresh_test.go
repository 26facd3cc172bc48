package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// sameKid makes a key that stands under the name of the issuer's first one.
func sameKid(alg string, n int) *mcpauthtest.Key {
	key := *mcpauthtest.NewKey(fmt.Sprintf("another-%d", n), alg)
	key.ID = "k1"
	return &key
}

// retryAfter is what a 503 promises.
func retryAfter(t *testing.T, w *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(w.Result().Header.Get("Retry-After"))
	require.NoError(t, err)
	return time.Duration(seconds) * time.Second
}

// junk is a token that nobody's key has signed, issued when it says.
func (f *fixture) junk(n int, issued time.Time) string {
	parts := strings.Split(f.randomKid(n), ".")
	return parts[0] + "." + mcpauthtest.NewKey("junk", "ES256").Sign(`{}`, f.keyPayload(mcpauthtest.Claims{"iat": issued.Unix()}))[len("e30."):]
}

// spend uses up what such tokens may have fetched, and takes three milliseconds.
func (f *fixture) spend() {
	for n := range 3 {
		f.call(f.randomKid(-n-1), "echo")
		time.Sleep(time.Millisecond)
	}
	f.ran = 0
}

// A key that is replaced in a way that no new kid gives away costs nobody a 401, and is
// there with the first token that it signs.
func TestRotation_WithoutNewKid_FRESH_01(t *testing.T) {
	first := mcpauthtest.NewKey("", "RS256")
	for _, row := range []struct {
		name   string
		before *mcpauthtest.Key
		next   func(n int) *mcpauthtest.Key
		gone   string // what is said of the old token
	}{
		{"FRESH-01 without a kid", first, func(n int) *mcpauthtest.Key {
			key := *mcpauthtest.NewKey(fmt.Sprintf("another-%d", n), "RS256")
			key.ID = ""
			return &key
		}, badSignature},
		{"FRESH-01 under the same kid", nil, func(n int) *mcpauthtest.Key { return sameKid("RS256", n) }, badSignature},
		{"FRESH-01 for another algorithm", nil, func(int) *mcpauthtest.Key { return sameKid("ES256", 0) }, unknownKey},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				if row.before != nil {
					f.issuer.Rotate(row.before)
				}
				f.issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=86400")
				f.issuer.Header(mcpauthtest.Metadata, "Cache-Control", "max-age=86400")
				long := mcpauthtest.Claims{"exp": time.Now().Add(48 * time.Hour).Unix()}
				old := f.token(long)
				f.served(f.call(old, "echo"))
				for range 24 * 60 {
					time.Sleep(time.Minute)
					f.served(f.call(f.token(nil), "echo"))
					f.served(f.call(old, "echo")) // which is remembered
				}
				synctest.Wait()
				before := keyFetches(f)
				f.issuer.Rotate(row.next(1))
				f.served(f.call(old, "echo")) // nobody can know
				token := f.token(nil)
				f.served(f.call(token, "echo"))
				synctest.Wait()
				assert.Equal(t, before+1, keyFetches(f), "one suspect fetch")
				f.refused(f.call(old, "echo"), 401, invalidToken(row.gone))
				f.served(f.call(token, "echo"))
			})
		})
	}
}

// A flood is forged tokens from strangers, at a rate for each second, until it is stopped.
func (f *fixture) flood(t *testing.T, rate int, forged func(n int) string) (stop func(), waiting *atomic.Int32) {
	if raceEnabled {
		rate = min(rate, 20) // fewer wait at a time than the detector has places for
	}
	var most, now atomic.Int32
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-time.After(time.Second / time.Duration(rate)):
			}
			token := forged(n)
			all.Go(func() {
				begun := time.Now()
				most.Store(max(most.Load(), now.Add(1)))
				w := f.call(token, "echo")
				now.Add(-1)
				assert.LessOrEqual(t, time.Since(begun), 5*time.Second)
				if w.Code != http.StatusUnauthorized && w.Code != http.StatusServiceUnavailable {
					t.Errorf("a forged token got %d", w.Code)
				}
			})
		}
	})
	return func() { close(ended); all.Wait() }, &most
}

// Forged tokens buy nobody else a 401: who comes with a new key waits, or is told
// when to come back, and is served then.
func TestFlood_BuysNo401_FRESH_02_FRESH_06_JWKS_13_JWKS_16(t *testing.T) {
	rotations := 12
	if raceEnabled {
		rotations = 3
	}
	for _, row := range []struct {
		name  string
		pace  time.Duration // of a fetch
		fault mcpauthtest.Fault
		same  bool // the new key stands under the old kid
	}{
		{"FRESH-02 at once", 0, mcpauthtest.None, false},
		{"FRESH-02 50 ms", 50 * time.Millisecond, mcpauthtest.None, false},
		{"FRESH-02 half a second", 500 * time.Millisecond, mcpauthtest.None, false},
		{"FRESH-02 under the same kid", 50 * time.Millisecond, mcpauthtest.None, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Logger, c.Transport = nil, keysDelay(c.Transport, row.pace)
				})
				f.issuer.Rotate(mcpauthtest.NewKey("k1", "ES256"))
				f.served(f.call(f.token(nil), "echo"))
				time.Sleep(time.Minute)
				begun, before := time.Now(), keyFetches(f)
				stop, most := f.flood(t, 100, func(n int) string { return f.junk(n, time.Now()) })
				worst, refused := time.Duration(0), 0
				for n := range rotations {
					// Never at the moment of a forged token: of two things at one moment nobody can say which was first.
					time.Sleep(time.Duration(2+n%7)*1700*time.Millisecond - time.Since(begun)%(10*time.Millisecond) + 3*time.Millisecond)
					if row.same {
						f.issuer.Rotate(sameKid("ES256", n))
					} else {
						f.issuer.Rotate(mcpauthtest.NewKey(fmt.Sprintf("r%d", n), "ES256"))
					}
					token, since, told := f.token(nil), time.Now(), 0
					for {
						w := f.call(token, "echo")
						if w.Code == http.StatusOK {
							break
						}
						require.Equal(t, http.StatusServiceUnavailable, w.Code, "a good token was refused")
						told++
						time.Sleep(retryAfter(t, w))
					}
					worst, refused = max(worst, time.Since(since)), refused+told
					assert.LessOrEqual(t, told, 1, "FRESH-06: at most one 503 for a good token")
				}
				stop()
				fetches := keyFetches(f) - before
				assert.LessOrEqual(t, fetches, 3+int(time.Since(begun)/(10*time.Second)))
				assert.LessOrEqual(t, worst, 13*time.Second, "11 s, and the jitter of Retry-After")
				assert.LessOrEqual(t, most.Load(), int32(257), "256 that wait, and the one that is told so")
				assert.True(t, refused > 0 || raceEnabled && most.Load() > 75, "the flood shows nothing")
				t.Logf("%d rotations in %v: worst %v, %d times 503, %d fetches, %d waiting at most", rotations, time.Since(begun), worst, refused, fetches, most.Load())
			})
		})
	}
}

// Three fetches at once, and one more each ten seconds, failed ones included.
func TestSuspects_Budget_JWKS_13_JWKS_14_FRESH_02(t *testing.T) {
	for _, fault := range []mcpauthtest.Fault{mcpauthtest.None, mcpauthtest.Down, mcpauthtest.Reset, mcpauthtest.Malformed, mcpauthtest.Empty} {
		t.Run("JWKS-13 "+fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) { c.Logger = nil })
				f.served(f.call(f.token(nil), "echo"))
				time.Sleep(time.Second)
				before, begun := keyFetches(f), time.Now()
				f.issuer.Break(mcpauthtest.JWKS, fault)
				stop, _ := f.flood(t, 1000, f.randomKid)
				time.Sleep(time.Second)
				stop()
				assert.LessOrEqual(t, keyFetches(f)-before, 3)
				stop, _ = f.flood(t, 20, f.randomKid)
				time.Sleep(10*time.Minute - time.Since(begun))
				stop()
				assert.LessOrEqual(t, keyFetches(f)-before, 63)
				assert.GreaterOrEqual(t, keyFetches(f)-before, 55, "the flood shows nothing")
				t.Logf("%d fetches in %v", keyFetches(f)-before, time.Since(begun))
				f.ran = 0
				f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
				f.served(f.call(f.token(nil), "echo"))
			})
		})
	}
	t.Run("JWKS-14 the slot that opens in time is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(time.Minute)
			f.spend()
			begun, before := time.Now(), keyFetches(f)
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			time.Sleep(4900 * time.Millisecond)
			w := f.call(f.token(nil), "echo")
			f.unavailable(w)
			assert.GreaterOrEqual(t, retryAfter(t, w), 5100*time.Millisecond)
			assert.Equal(t, 4900*time.Millisecond, time.Since(begun), "at once")
			time.Sleep(100 * time.Millisecond)
			f.served(f.call(f.token(nil), "echo"))
			assert.Equal(t, 10*time.Second-3*time.Millisecond, time.Since(begun))
			assert.Equal(t, before+1, keyFetches(f))
		})
	})
}

// A flight that began before a token came may serve it, and does not judge it.
func TestFlight_BegunBefore_FRESH_03_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drips atomic.Bool
		f := newFixture(t, func(c *mcpauth.Config) {
			next := c.Transport
			c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if r.URL.Path == "/tenant1/jwks" && drips.CompareAndSwap(true, false) {
					resp.Body = &dripping{ReadCloser: resp.Body, pause: 4 * time.Second}
				}
				return resp, err
			})
		})
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(67 * time.Minute)
		before := keyFetches(f)
		drips.Store(true)
		f.served(f.call(f.token(nil), "echo")) // begins the refresh
		synctest.Wait()
		time.Sleep(time.Millisecond)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
		begun := time.Now()
		var all sync.WaitGroup
		for n := range 20 {
			token := f.keyToken(f.issuer.Keys()[0], mcpauthtest.Claims{"jti": strconv.Itoa(n)})
			all.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				assert.Equal(t, http.StatusOK, f.call(token, "echo").Code)
			})
		}
		all.Wait()
		assert.Equal(t, 3999*time.Millisecond, time.Since(begun))
		assert.Equal(t, 2, keyFetches(f)-before)
	})
}

// dripping is a body that comes after a pause, as it was when it was asked for.
type dripping struct {
	io.ReadCloser
	pause time.Duration
}

func (d *dripping) Read(p []byte) (int, error) {
	time.Sleep(d.pause)
	d.pause = 0
	return d.ReadCloser.Read(p)
}

// A fetch that fails is made again soon, by the request that waits for it.
func TestSuspects_LostConnection_FRESH_04(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Minute)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Reset)
		time.AfterFunc(time.Millisecond, func() { f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None) })
		begun, before := time.Now(), keyFetches(f)
		f.served(f.call(f.token(nil), "echo"))
		assert.Equal(t, time.Second, time.Since(begun))
		assert.Equal(t, 2, keyFetches(f)-before)
	})
	t.Run("FRESH-04 as long as it lasts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(time.Minute)
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"))
			f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
			begun, before := time.Now(), keyFetches(f)
			w := f.call(f.token(nil), "echo")
			f.unavailable(w)
			assert.Equal(t, 3*time.Second, time.Since(begun), "after one second and after two; then the next is too far")
			assert.Equal(t, 3, keyFetches(f)-before)
			assert.GreaterOrEqual(t, retryAfter(t, w), 7*time.Second, "FRESH-06")
			f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
			time.Sleep(retryAfter(t, w))
			f.served(f.call(f.token(nil), "echo"))
		})
	})
}

// What is settled is final, and what is not is no fault of the token's.
func TestSettled_FRESH_05(t *testing.T) {
	begin := func(t *testing.T, do func(t *testing.T, f *fixture)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(time.Minute)
			do(t, f)
		})
	}
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for _, row := range []struct {
		name string
		do   func(t *testing.T, f *fixture)
	}{
		{"FRESH-05 forged, issued now", func(t *testing.T, f *fixture) {
			f.refused(f.call(f.junk(0, time.Now()), "echo"), 401, invalidToken(unknownKey))
			assert.Equal(t, 2, keyFetches(f))
		}},
		{"FRESH-05 forged, without iat", func(t *testing.T, f *fixture) {
			f.refused(f.call(f.keyToken(mcpauthtest.NewKey("nobody", "ES256"), mcpauthtest.Claims{"iat": nil}), "echo"), 401, invalidToken(unknownKey))
			assert.Equal(t, 2, keyFetches(f))
		}},
		{"FRESH-05 forged, issued in the future", func(t *testing.T, f *fixture) {
			f.refused(f.call(f.junk(0, ago(-20*time.Second)), "echo"), 401, invalidToken(unknownKey))
			assert.Equal(t, 2, keyFetches(f))
		}},
		{"FRESH-05 no budget, two minutes old, and a recent copy", func(t *testing.T, f *fixture) {
			f.spend()
			f.refused(f.call(f.junk(0, ago(2*time.Minute)), "echo"), 401, invalidToken(unknownKey))
			assert.Equal(t, 4, keyFetches(f))
		}},
		{"FRESH-05 no budget, issued now", func(t *testing.T, f *fixture) {
			f.spend()
			f.unavailable(f.call(f.junk(0, time.Now()), "echo"))
			assert.Equal(t, 4, keyFetches(f))
		}},
		{"FRESH-05 no budget, without iat", func(t *testing.T, f *fixture) {
			f.spend()
			f.unavailable(f.call(f.keyToken(mcpauthtest.NewKey("nobody", "ES256"), mcpauthtest.Claims{"iat": nil}), "echo"))
		}},
		{"FRESH-05 no budget, issued in the future", func(t *testing.T, f *fixture) {
			f.spend()
			f.unavailable(f.call(f.junk(0, ago(-20*time.Second)), "echo"))
		}},
		{"FRESH-05 the set is five minutes old", func(t *testing.T, f *fixture) {
			f.issuer.Header(mcpauthtest.JWKS, "Age", "300")
			f.unavailable(f.call(f.junk(0, ago(2*time.Minute)), "echo"))
			assert.Equal(t, 2, keyFetches(f), "another fetch would bring the same")
			f.refused(f.call(f.junk(0, ago(6*time.Minute)), "echo"), 401, invalidToken(unknownKey))
		}},
		{"FRESH-05 the metadata is five minutes old", func(t *testing.T, f *fixture) {
			f.issuer.Header(mcpauthtest.Metadata, "Age", "300")
			f.unavailable(f.call(f.junk(0, ago(2*time.Minute)), "echo"))
		}},
		{"FRESH-05 a cached copy of a server whose clock is ahead", func(t *testing.T, f *fixture) {
			const ahead, old = 29 * time.Second, 20 * time.Second
			f.issuer.Header(mcpauthtest.JWKS, "Date", time.Now().Add(ahead-old).UTC().Format(http.TimeFormat))
			f.unavailable(f.call(f.junk(0, time.Now().Add(ahead)), "echo"))
			f.refused(f.call(f.junk(0, time.Now().Add(ahead-old)), "echo"), 401, invalidToken(unknownKey))
		}},
		{"FRESH-05 a Date of another century", func(t *testing.T, f *fixture) {
			f.issuer.Header(mcpauthtest.JWKS, "Date", "Thu, 01 Jan 1970 00:00:00 GMT")
			f.unavailable(f.call(f.junk(0, ago(59*time.Minute)), "echo"))
			time.Sleep(time.Second)
			f.refused(f.call(f.junk(0, ago(61*time.Minute)), "echo"), 401, invalidToken(unknownKey))
		}},
		{"FRESH-05 an age beyond belief", func(t *testing.T, f *fixture) {
			f.issuer.Header(mcpauthtest.JWKS, "Age", "99999999999")
			f.unavailable(f.call(f.junk(0, ago(59*time.Minute)), "echo"))
			time.Sleep(time.Second)
			f.refused(f.call(f.junk(0, ago(61*time.Minute)), "echo"), 401, invalidToken(unknownKey))
		}},
		{"FRESH-05 metadata cannot be fetched", func(t *testing.T, f *fixture) {
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
			f.unavailable(f.call(f.junk(0, ago(2*time.Minute)), "echo"))
		}},
	} {
		t.Run(row.name, func(t *testing.T) { begin(t, row.do) })
	}
	t.Run("FRESH-05 static keys", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.Issuers[0].Keys = []byte(keySetOf(t, mcpauthtest.NewKey("k1", "ES256").JWK()))
		})
		for n := range 10 {
			f.refused(f.call(f.junk(n, time.Now()), "echo"), 401, invalidToken(unknownKey))
		}
		assert.Empty(t, urls(f.issuer))
	})
}

// The authorization server's clock dates its tokens and its documents alike.
func TestSettled_OtherClock_FRESH_05(t *testing.T) {
	for _, ahead := range []time.Duration{-4 * time.Minute, -time.Second, 0, time.Second, 30 * time.Second} {
		t.Run(fmt.Sprintf("FRESH-05 %v ahead", ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *mcpauth.Config) {
					next := c.Transport
					c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
						resp, err := next.RoundTrip(r)
						if err == nil {
							resp.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
						}
						return resp, err
					})
				})
				f.served(f.call(f.token(nil), "echo"))
				for n := range 20 {
					time.Sleep(4321 * time.Millisecond)
					f.issuer.Rotate(mcpauthtest.NewKey(fmt.Sprintf("r%d", n%3), "ES256"))
					time.Sleep(8765 * time.Millisecond)
					f.served(f.call(f.keyToken(f.issuer.Keys()[0], mcpauthtest.Claims{"iat": time.Now().Add(ahead).Unix()}), "echo"))
				}
				w := f.call(f.junk(0, time.Now().Add(ahead)), "echo")
				f.refused(w, 401, invalidToken(unknownKey))
			})
		})
	}
}

// A flood of tokens that nothing verifies is one line in half a minute, and is not
// counted among the outages.
func TestFlood_Told_FRESH_14_OBS_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes, causes := map[string]int{}, map[string]int{}
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
				if d.Err != nil {
					codes[fmt.Sprint(d.Err.Status, " ", d.Reason().Code())]++
					causes[d.Cause]++
					if d.Err.Status == http.StatusServiceUnavailable {
						assert.True(t, errors.Is(d.Err, mcpauth.ErrUnknownKey) && errors.Is(d.Err, mcpauth.ErrUnavailable))
					}
				}
			}
		})
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Second)
		begun := time.Now()
		for n := range 10_000 {
			f.call(f.junk(n, time.Now()), "echo")
			time.Sleep(12 * time.Millisecond)
		}
		minutes := int(time.Since(begun)/time.Minute) + 1
		assert.Equal(t, 0, codes["503 unavailable"], "the alarm of docs/operations.md")
		assert.Len(t, codes, 2)
		assert.Equal(t, codes["503 unknown_key"], causes["key-unsettled"])
		assert.EqualValues(t, codes["503 unknown_key"], f.auth.Issuers()[0].Suppressed)
		assert.Greater(t, codes["503 unknown_key"], 100)
		loops := strings.Count(f.log.String(), loopLine) // that is what so many fresh tokens look like
		assert.LessOrEqual(t, loops, 1)
		loud := strings.Count(f.log.String(), "level=WARN") - loops
		assert.LessOrEqual(t, loud, 2*minutes)
		assert.Equal(t, loud, strings.Count(f.log.String(), "have used up the fetches"))
		assert.Contains(t, f.log.String(), `issuer=`+testIssuerURL+` cause=key-unsettled`)
	})
}

// Who shares a place finds that its own keys have moved, though all fetches are caused by
// tokens of another issuer.
func TestSuspects_SharedAndMoved_FRESH_15_FRESH_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, one, two := twoIssuers(t, func(c *mcpauth.Config) {
			c.Issuers[0].AllowPrivate, c.Issuers[1].AllowPrivate, c.Logger = true, true, nil
		})
		for _, issuer := range []*mcpauthtest.Issuer{one, two} {
			issuer.Header(mcpauthtest.Metadata, "Cache-Control", "max-age=86400")
		}
		two.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://one.example/jwks" })
		require.NoError(t, f.auth.Warm(t.Context()))
		time.Sleep(time.Minute)
		stop, _ := f.of(one).flood(t, 200, func(n int) string { return f.junk(n, time.Now()) })
		time.Sleep(3 * time.Second)
		two.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://two.example/jwks" })
		two.Rotate(mcpauthtest.NewKey("t", "ES256"))
		token, begun := two.TokenFor(testResource, "mcp:read"), time.Now()
		w := f.call(token, "echo")
		for ; w.Code == http.StatusServiceUnavailable && time.Since(begun) < time.Hour; w = f.call(token, "echo") {
			time.Sleep(retryAfter(t, w))
		}
		assert.Equal(t, http.StatusOK, w.Code)
		assert.LessOrEqual(t, time.Since(begun), 35*time.Second)
		stop()
	})
}

// Issuers whose keys stand at one place share copy and budget, and no others do.
func TestSuspects_Shared_FRESH_15(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("FRESH-15 one place: %t", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, one, two := twoIssuers(t, func(c *mcpauth.Config) {
					c.Issuers[0].AllowPrivate, c.Issuers[1].AllowPrivate = true, true
				})
				if shared {
					two.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://one.example/jwks" })
				}
				require.NoError(t, f.auth.Warm(t.Context()))
				before := one.Fetches(mcpauthtest.JWKS) + two.Fetches(mcpauthtest.JWKS)
				for n := range 1000 {
					time.Sleep(time.Millisecond)
					f.call(f.of([]*mcpauthtest.Issuer{one, two}[n%2]).randomKid(n), "echo")
				}
				fetches := one.Fetches(mcpauthtest.JWKS) + two.Fetches(mcpauthtest.JWKS) - before
				if shared {
					assert.Equal(t, 3, fetches)
					assert.Contains(t, f.log.String(), `issuer="https://one.example, https://two.example" cause=key-unsettled`)
					return
				}
				assert.Equal(t, 6, fetches)
				// A flood at one makes nobody else wait.
				two.Rotate(mcpauthtest.NewKey("t", "ES256"))
				time.Sleep(9 * time.Second)
				for n := range 100 {
					time.Sleep(time.Millisecond)
					f.call(f.of(one).randomKid(n), "echo")
				}
				begun := time.Now()
				f.served(f.call(two.TokenFor(testResource, "mcp:read"), "echo"))
				assert.Less(t, time.Since(begun), 2*time.Second)
			})
		})
	}
}
