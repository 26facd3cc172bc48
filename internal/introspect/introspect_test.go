package introspect

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

func TestShape_INTRO_15_INTRO_16(t *testing.T) {
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for token, want := range map[string]bool{
		header(`{"alg":"RS256"}`) + ".e30.AA":     true,
		header(`{"alg":"RS256"}`) + ".e30.":       true,
		header(`{"alg":"RS256"}`) + ".e30":        true,
		header(`{"alg":"RS256"}`):                 true,
		header(`{"alg":1}`) + ".e30.AA":           true,
		header(` {"Alg":"x"} `) + ".e30.AA":       true,
		header(`{"\u0061lg":"x"}`) + ".e30.AA":    true,
		header(`{"alg":"x","alg":"y`) + ".e30.AA": true,
		header(`{"alg":"x"}`) + "==.e30.AA":       true,
		strings.NewReplacer("-", "+", "_", "/").Replace(header(`{"a":"???>>>","alg":"x"}`)) + ".a.b": true,
		header(`{"alg":"dir","enc":"A256GCM"}`) + ".a.b.c.d":                                         false, // encrypted
		header(`{"alg":"dir","enc":"A256GCM"}`) + ".a.b.c":                                           true,
		header(`{"alg":"RS256"}`) + ".e30.AA..":                                                      true, // signed, and dots
		header(`{"alg":"RS256"}`) + "A.e30.AA":                                                       true, // of no length that base64url has
		header(`{"alg":"RS256"}`) + "~.e30.AA":                                                       true,
		header(`{"alg":"RS256","kid":"`) + "~" + header(`k"}`) + ".e30.AA":                           true,
		header(`{"a":"RS256"}`) + "A.e30.AA":                                                         false,
		header(`{"alg":"dir","enc`) + ".a.b.c.d":                                                     true,
		header(`{"enc":"A256GCM"}`) + ".a.b.c.d":                                                     false,
		"a.b.c.d.e":                                                                                  false,
		header(`{"enc":"x"}`) + ".a.b":                                                               false,
		header(`["alg"]`) + ".a.b":                                                                   false,
		header(`{"a":"alg"}`) + ".a.b":                                                               false,
		"a.b.c":                                                                                      false,
		"opaque":                                                                                     false,
		"":                                                                                           false,
		"....":                                                                                       false,
	} {
		assert.Equal(t, want, IsJWT(token), token)
	}
	for text, want := range map[string]bool{
		"a": true, "aZ09-._~+/==": true, "a=b": false, "=": false, "": false, "a b": false, "a\n": false, "\u00e4": false, `a"`: false, "a,b": false,
	} {
		assert.Equal(t, want, IsToken(text), text)
	}
}

func TestBreaker_INTRO_06(t *testing.T) {
	var b breaker
	now := time.Unix(1_800_000_000, 0)
	open := func(who uint32, at time.Time) bool { _, open := b.open(who, at); return open }
	for n := range maxFailures {
		require.True(t, open(0, now))
		want := retrySoon
		if n == maxFailures-1 {
			want = restFor
		}
		require.Equal(t, want, b.note(false, 0, now))
	}
	wait, isOpen := b.open(0, now.Add(time.Second))
	assert.False(t, isOpen)
	assert.Equal(t, 9*time.Second, wait)
	b.again(now.Add(-1), now.Add(time.Second))
	assert.False(t, open(0, now.Add(time.Second)), "what was asked before the rest does not end it")
	now = now.Add(restFor)
	assert.True(t, open(0, now), "one may try")
	assert.False(t, open(0, now), "and only one")
	b.again(now.Add(-1), now)
	assert.False(t, open(0, now), "nor does it make room for one more")
	assert.Equal(t, restFor, b.note(false, 0, now))
	now = now.Add(restFor)
	assert.True(t, open(0, now))
	b.again(now, now)
	assert.True(t, open(0, now), "the last one has told nothing")
	assert.False(t, open(0, now))
	b.note(true, 0, now)
	for range 10 {
		assert.True(t, open(0, now))
	}
}

// TestBreakerOfOne: whoever alone is failed rests alone.
func TestBreakerOfOne_INTRO_06(t *testing.T) {
	var b breaker
	now := time.Unix(1_800_000_000, 0)
	open := func(who uint32) bool { _, open := b.open(who, now); return open }
	fail := func(who uint32, times int) {
		for range times {
			b.note(false, who, now)
		}
	}
	fail(7, maxFailures)
	assert.False(t, open(7))
	assert.True(t, open(8))
	assert.True(t, open(0))
	assert.Positive(t, b.resting(7, now))
	assert.LessOrEqual(t, b.resting(8, now), time.Duration(0))
	fail(8, 1)
	for _, who := range []uint32{0, 7, 8, 9} {
		assert.False(t, open(who), "now it is the server: %d", who)
	}
	b.note(true, 9, now)
	fail(7, maxFailures-1)
	fail(8, 1)
	assert.False(t, open(9), "in a row, whosever they are")
	b.note(true, 9, now)
	fail(0, maxFailures)
	assert.False(t, open(9), "strangers are many")
}

// TestGate_INTRO_22: strangers have 48 places, known tokens 64, and each waits for its time.
func TestGate_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for n := range maxAsked {
			assert.Equal(t, n < maxStrange, g.try(false), n)
		}
		for n := range maxAsked - maxStrange + 1 {
			assert.Equal(t, n < maxAsked-maxStrange, g.try(true), n)
		}
		begun := time.Now()
		assert.False(t, g.enter(false))
		assert.Equal(t, patience, time.Since(begun))
		begun = time.Now()
		assert.False(t, g.enter(true))
		assert.Equal(t, knownPatience, time.Since(begun))

		var in atomic.Int32
		for range 2 * maxWaiting {
			go func() {
				if g.enter(false) {
					in.Add(1)
				}
			}()
		}
		synctest.Wait()
		assert.EqualValues(t, maxWaiting, g.waitingStrange.Load(), "the rest is refused at once")
		g.leave(false)
		g.leave(true) // a place of a known token is none of a stranger's
		synctest.Wait()
		assert.EqualValues(t, 1, in.Load())
		time.Sleep(patience)
		synctest.Wait()
		assert.Zero(t, g.waitingStrange.Load())
		assert.True(t, g.try(true))
		assert.False(t, g.try(false))
	})
}

// A stranger who finds a place among strangers, and none among all, takes none.
func TestGateOfKnown_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for range maxAsked {
			require.True(t, g.try(true))
		}
		assert.False(t, g.try(false))
		assert.False(t, g.enter(false))
		for range maxAsked {
			g.leave(true)
		}
		for n := range maxStrange + 1 {
			assert.Equal(t, n < maxStrange, g.try(false), n)
		}
	})
}

// A server that is left alone is not asked by who has waited for a place meanwhile, and nobody waits for a place then.
func TestRestWhileWaiting_INTRO_06_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { asked++; return 500, "" })
		for i := range maxFailures - 1 {
			s.Ask(t.Context(), nil, strconv.Itoa(i), time.Time{}, 0)
		}
		for range maxStrange {
			require.True(t, s.gate.try(false))
		}
		refused := func(token string) {
			answer, v := s.Ask(t.Context(), nil, token, time.Time{}, 0)
			assert.Zero(t, answer)
			if assert.NotNil(t, v.Denied) {
				assert.ErrorIs(t, v.Denied, errResting)
				assert.Equal(t, "introspection-unreachable", v.Denied.Cause)
				assert.Equal(t, restFor, v.Denied.RetryAfter)
			}
		}
		go refused("waits")
		synctest.Wait()
		assert.EqualValues(t, 1, s.gate.waitingStrange.Load())
		s.breakers[0].note(false, 0, time.Now())
		s.gate.leave(false)
		synctest.Wait()
		assert.Len(t, s.gate.all, maxStrange-1)
		assert.Len(t, s.gate.strange, maxStrange-1)
		require.True(t, s.gate.try(false))
		begun := time.Now()
		refused("comes later")
		assert.Zero(t, time.Since(begun))
		assert.Equal(t, maxFailures-1, asked)
	})
}

// A place is taken until the transport comes back, however long nobody waits for it any more.
func TestPlaceOfTransport_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { time.Sleep(9 * time.Second); return 200, "" })
		begun := time.Now()
		_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		require.NotNil(t, v.Denied)
		assert.Equal(t, 3*time.Second, time.Since(begun))
		assert.Len(t, s.gate.all, 1)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		assert.Empty(t, s.gate.all)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func server(client clientauth.Method, answer func(r *http.Request) (int, string)) *Server {
	return New(fetch.NewPoster(roundTripper(func(r *http.Request) (*http.Response, error) {
		status, text := answer(r)
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})), slog.New(slog.DiscardHandler), Config{
		Issuer: "https://as.example.com", Client: client,
		Endpoint: func(context.Context) (string, bool, error) { return "https://as.example.com/introspect", false, nil },
	})
}

// hung is a signer that does not come back.
type hung struct {
	crypto.Signer
	until chan struct{}
}

func (h *hung) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	<-h.until
	return nil, errors.New("late")
}

// TestHungSigner_INTRO_06: nobody waits for a signer for longer than ten seconds, and a panic of one is a 503.
func TestHungSigner_INTRO_06_INTRO_07(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		signer := &hung{key, make(chan struct{})}
		s := server(clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: signer}), func(*http.Request) (int, string) { return 200, `{"active":true}` })
		begun := time.Now()
		_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		require.NotNil(t, v.Denied)
		assert.Equal(t, refusal.Unavailable, v.Denied.Reason)
		assert.Equal(t, waitFor, time.Since(begun))
		close(signer.until)
		synctest.Wait()
		assert.Empty(t, s.flights)
		assert.Empty(t, s.gate.all)
	})
}

type panicking struct{ crypto.Signer }

func (panicking) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("canary") }

func TestPanickingSigner_INTRO_06(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	s := server(clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: panicking{key}}), nil)
	_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
	require.NotNil(t, v.Denied)
	assert.Equal(t, refusal.Unavailable, v.Denied.Reason)
	assert.NotContains(t, v.Denied.Error(), "canary")
	assert.Empty(t, s.gate.all, "the place at the gate is lost")
}

// TestFresh_INTRO_23: a question that arose later is not answered by an answer that was asked for before.
func TestFresh_INTRO_08_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) {
			time.Sleep(time.Second)
			if asked.Add(1) == 1 {
				return 200, `{"active":true}`
			}
			return 200, `{"active":false}`
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
			assert.Nil(t, v.Denied)
		})
		time.Sleep(500 * time.Millisecond)
		wg.Go(func() {
			_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
			assert.Nil(t, v.Denied, "joined")
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				_, v := s.Ask(t.Context(), nil, "opaque", time.Now(), 0)
				if assert.NotNil(t, v.Denied) {
					assert.Equal(t, refusal.Revoked, v.Denied.Reason)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 2, asked.Load())
	})
}

// TestWaitingQuestion: a question that waits for its place serves whoever comes by then, because it is not put yet.
func TestWaitingQuestion_INTRO_08_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		s := server(clientauth.SecretPost("c", "s"), func(r *http.Request) (int, string) {
			require.NoError(t, r.ParseForm())
			if r.PostForm.Get("token") == "opaque" {
				asked.Add(1)
			}
			time.Sleep(900 * time.Millisecond)
			return 200, `{"active":true}`
		})
		var wg sync.WaitGroup
		for i := range maxStrange {
			wg.Go(func() { s.Ask(t.Context(), nil, strconv.Itoa(i), time.Time{}, 0) })
		}
		synctest.Wait()
		for range 20 {
			since := time.Now()
			wg.Go(func() {
				answer, v := s.Ask(t.Context(), nil, "opaque", since, 0)
				assert.Nil(t, v.Denied)
				assert.False(t, answer.Asked.Before(since))
			})
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		assert.EqualValues(t, 1, asked.Load())
		assert.Empty(t, s.shares)
	})
}

// TestShares: a caller has its share, whoever else has one, and gets it back.
func TestShares_INTRO_22(t *testing.T) {
	s := shares{}
	for range 2 {
		for n := range maxOwn + 1 {
			assert.Equal(t, n < maxOwn, s.take(7))
		}
		assert.True(t, s.take(8))
		assert.True(t, s.take(0))
		for range maxOwn {
			s.give(7)
		}
		s.give(8)
		s.give(0)
		assert.Empty(t, s)
	}
	for range 2 * maxOwn {
		assert.True(t, s.take(0), "strangers are bounded by the gate")
	}
}

// Whoever has filled its share is refused at once, and nobody else is.
func TestShareIsFull_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { time.Sleep(time.Second); return 200, `{"active":true}` })
		for i := range maxOwn {
			go s.Ask(t.Context(), nil, strconv.Itoa(i), time.Time{}, 7)
		}
		synctest.Wait()
		begun := time.Now()
		_, v := s.Ask(t.Context(), nil, "one more", time.Time{}, 7)
		assert.Zero(t, time.Since(begun))
		require.NotNil(t, v.Denied)
		assert.Equal(t, "introspection-busy", v.Denied.Cause)
		assert.False(t, v.Denied.Unsettled)
		_, v = s.Ask(t.Context(), nil, "0", time.Time{}, 7)
		assert.Nil(t, v.Denied, "a question that is under way is shared")
		_, v = s.Ask(t.Context(), nil, "another's", time.Time{}, 8)
		assert.Nil(t, v.Denied)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Empty(t, s.shares, "given back")
	})
}

// A question counts for whoever has the token, if something else vouches for it, and for who had it lately otherwise.
func TestWhoseQuestion_INTRO_22(t *testing.T) {
	for who, counts := range map[uint32]uint32{0: 8, 7: 7} {
		synctest.Test(t, func(t *testing.T) {
			s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { time.Sleep(time.Second); return 200, `{"active":true}` })
			s.Good("opaque", 8)
			go s.Ask(t.Context(), nil, "opaque", time.Time{}, who)
			synctest.Wait()
			s.mu.Lock()
			assert.Equal(t, shares{counts: 1}, s.shares)
			s.mu.Unlock()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			assert.Empty(t, s.shares)
		})
	}
}

// TestLateAnswer: of two answers about a token the one counts that was asked for later, whichever comes first. One that
// tells nothing takes nothing back.
func TestLateAnswer_INTRO_08_INTRO_23(t *testing.T) {
	for later, refused := range map[string]bool{`{"active":false}`: true, `{"active":true}`: false, "<html>": false} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) {
				if asked.Add(1) == 1 {
					time.Sleep(2 * time.Second)
					return 200, `{"active":true}`
				}
				return 200, later
			})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
					assert.Equal(t, refused, v.Denied != nil, later)
				})
			}
			time.Sleep(time.Second)
			s.Ask(t.Context(), nil, "opaque", time.Now(), 0)
			assert.EqualValues(t, 2, asked.Load())
			wg.Wait()
			assert.EqualValues(t, 2, asked.Load())
		})
	}
}

// TestRefusalsAreCopies: whoever gets a refusal may add to it.
func TestRefusalsAreCopies(t *testing.T) {
	s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { return 200, `{"active":false}` })
	for range 3 {
		_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		require.NotNil(t, v.Denied)
		assert.False(t, v.Denied.ByStatus)
		v.Denied.ByStatus, v.Denied.Cause = true, "another"
	}
	assert.Equal(t, "token-inactive", notActive.Denied.Cause)

	mine := refusal.New(refusal.Claims, "sub", "", "")
	s.Refuse("another", Verdict{Denied: mine})
	mine.Reason = refusal.Unavailable
	_, v := s.Ask(t.Context(), nil, "another", time.Time{}, 0)
	require.NotNil(t, v.Denied)
	assert.Equal(t, refusal.Claims, v.Denied.Reason)
}

// A refusal is remembered for whoever takes what is a moment old, and the token is not known any more.
func TestRefused_INTRO_21_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := `{"active":false}`
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { return 200, said })
		s.Good("opaque", 7)
		require.NotNil(t, s.known.Get(s.known.Key("opaque"), time.Now()))
		_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		require.NotNil(t, v.Denied)
		assert.Nil(t, s.known.Get(s.known.Key("opaque"), time.Now()))
		said = `{"active":true}`
		_, v = s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		assert.NotNil(t, v.Denied)
		_, v = s.Ask(t.Context(), nil, "opaque", time.Now(), 0)
		assert.Nil(t, v.Denied)
	})
}

// TestUnescaped: an answer means the same, and what means nothing means nothing still.
func TestUnescaped_INTRO_11_INTRO_13(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	pieces := []string{`"`, `\`, `\\`, `\"`, `\/`, `\u002b`, `\u002F`, `\u0061`, `\u0031`, `\u005c`, `\u0022`, `\ud83d\ude00`, `\ud83d`, `\u00`, `\n`, "u0061", "a", "/", "{", "}", ":", ",", "1", "[", "]", " "}
	valid := 0
	for range 200_000 {
		text := ""
		for range 1 + random.IntN(8) {
			text += pieces[random.IntN(len(pieces))]
		}
		if random.IntN(2) == 0 {
			text = `{"a":"` + text + `"}`
		}
		var before, after any
		errBefore := json.Unmarshal([]byte(text), &before)
		plain := unescaped([]byte(text))
		errAfter := json.Unmarshal(plain, &after)
		require.Equal(t, errBefore == nil, errAfter == nil, "%s made %s", text, plain)
		require.Equal(t, before, after, "%s made %s", text, plain)
		if errBefore == nil {
			valid++
		}
	}
	require.Greater(t, valid, 10_000)
}
