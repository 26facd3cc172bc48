package revoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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

const (
	resource  = "https://mcp.example.com/mcp"
	issuerURL = "https://as.example.com"
	ping      = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

var key, oldKey = []byte(strings.Repeat("key.", 8)), []byte(strings.Repeat("old.", 8))

// recorded is a store that shows what it was given, and can be slow.
type recorded struct {
	mcpauth.Store
	mu    sync.Mutex
	all   map[string][]byte
	delay time.Duration
	err   error
	swaps func(n int) // is called in front of a swap
	n     int
	asked int // how often
	wrote []string
}

func newRecorded() *recorded {
	return &recorded{Store: MemoryStore(), all: map[string][]byte{}}
}

func (r *recorded) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	r.mu.Lock()
	r.all[key], r.wrote = bytes.Clone(value), append(r.wrote, string(value))
	n, hook := r.n, r.swaps
	r.n++
	r.mu.Unlock()
	if hook != nil {
		hook(n)
	}
	r.mu.Lock()
	err := r.err
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return r.Store.Swap(ctx, key, value, ttl)
}

func (r *recorded) Get(ctx context.Context, key string) ([]byte, error) {
	r.mu.Lock()
	delay, err := r.delay, r.err
	r.asked++
	r.mu.Unlock()
	time.Sleep(delay) // in a bubble
	value, known := r.Store.Get(ctx, key)
	return value, errors.Join(err, known) // what stands beside an error says nothing
}

func (r *recorded) is(delay time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.err = delay, err
}

// replica is a server that asks a list.
type replica struct {
	tb      testing.TB
	list    *List
	issuer  *mcpauthtest.Issuer
	wrapped http.Handler
}

func newReplica(tb testing.TB, store mcpauth.Store, key []byte, old ...[]byte) *replica {
	return replicaOf(tb, mcpauthtest.NewIssuerAt(tb, issuerURL), store, key, old...)
}

func replicaOf(tb testing.TB, issuer *mcpauthtest.Issuer, store mcpauth.Store, key []byte, old ...[]byte) *replica {
	list, err := New(store, key, old...)
	require.NoError(tb, err)
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(), Revoked: list.Revoked})
	require.NoError(tb, err)
	return &replica{tb, list, issuer, auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) }))}
}

func (r *replica) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": resource, "sub": "user", "jti": "token-1"}
	maps.Copy(all, claims)
	return r.issuer.Token(all)
}

// status is that of the answer to a request with a token.
func (r *replica) status(token string) int {
	request := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(ping))
	request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	w := httptest.NewRecorder()
	r.wrapped.ServeHTTP(w, request)
	return w.Code
}

// TestRevoked_STORE_09: what is revoked at one replica is refused by the next request at another, and nothing else is.
func TestRevoked_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		until := begin.Add(time.Hour)
		iat := func(at time.Time) mcpauthtest.Claims {
			return mcpauthtest.Claims{"iat": at.Unix(), "exp": begin.Add(10 * time.Hour).Unix()}
		}
		for name, tt := range map[string]struct {
			revoke func(*List) error
			token  mcpauthtest.Claims
			other  []mcpauthtest.Claims
		}{
			"token": {func(l *List) error { return l.RevokeToken(t.Context(), issuerURL, "token-1", until) }, nil,
				[]mcpauthtest.Claims{{"jti": "token-2"}, {"jti": nil}, {"jti": "token-1x"}}},
			"session": {func(l *List) error { return l.RevokeSession(t.Context(), issuerURL, "s1", until) }, mcpauthtest.Claims{"sid": "s1"},
				[]mcpauthtest.Claims{{"sid": "s2"}, {}, {"sid": 1}, {"SID": "s1"}, {"jti": "s1"}, {"sub": "s1"}, {"sid": nil}}},
			"subject": {func(l *List) error {
				return l.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(time.Minute), until)
			}, iat(begin),
				[]mcpauthtest.Claims{{"sub": "user-2"}, iat(begin.Add(time.Minute + 30*time.Second)), iat(begin.Add(2 * time.Minute))}},
			"subject of a token without iat": {func(l *List) error {
				return l.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(time.Minute), until)
			}, mcpauthtest.Claims{"iat": nil},
				[]mcpauthtest.Claims{{"sub": "user-2", "iat": nil}}},
			"another issuer's": {func(l *List) error {
				return errors.Join(l.RevokeToken(t.Context(), issuerURL+"/", "token-1", until), l.RevokeSubject(t.Context(), "https://other.example.com", "user", until, until))
			}, nil, []mcpauthtest.Claims{{}}},
		} {
			store := newRecorded()
			a := newReplica(t, store, key)
			b := replicaOf(t, a.issuer, store, key)
			time.Sleep(time.Until(begin.Add(2 * time.Minute)))
			token := b.token(tt.token)
			assert.Equal(t, http.StatusOK, b.status(token), name)
			require.NoError(t, tt.revoke(a.list), name)
			want := http.StatusUnauthorized
			if name == "another issuer's" {
				want = http.StatusOK
			}
			assert.Equal(t, want, b.status(token), name)
			for _, claims := range tt.other {
				assert.Equal(t, http.StatusOK, b.status(b.token(claims)), "%s: %v", name, claims)
			}
			restarted := replicaOf(t, a.issuer, store, key)
			assert.Equal(t, want, restarted.status(token), name)
			rotated := replicaOf(t, a.issuer, store, []byte(strings.Repeat("new.", 8)), key)
			assert.Equal(t, want, rotated.status(token), name)
		}
	})
}

// TestUntil_STORE_09: an entry is there as long as was asked for, and not for ever.
func TestUntil_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, newRecorded(), key)
		token := r.token(mcpauthtest.Claims{"exp": time.Now().Add(3 * time.Hour).Unix()})
		require.NoError(t, r.list.RevokeToken(t.Context(), issuerURL, "token-1", time.Now().Add(time.Hour)))
		require.NoError(t, r.list.RevokeToken(t.Context(), issuerURL, "token-1", time.Now().Add(time.Minute)), "shortens nothing")
		time.Sleep(time.Hour + 5*time.Minute - time.Millisecond)
		assert.Equal(t, http.StatusUnauthorized, r.status(token), "a token may be accepted for five minutes after its exp")
		time.Sleep(time.Millisecond)
		assert.Equal(t, http.StatusOK, r.status(token))
	})
}

// TestDown_STORE_09: nobody knows whether the token is revoked, and that is what the client is told, within 250 ms and at once when the store is
// known to be away; it comes back by itself.
func TestDown_STORE_09_STORE_14(t *testing.T) {
	for name, fail := range map[string]func(*recorded){
		"gone": func(r *recorded) { r.is(0, errors.New("connection refused")) },
		"hung": func(r *recorded) { r.is(time.Minute, nil) },
		"slow": func(r *recorded) { r.is(251*time.Millisecond, nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newRecorded()
			r := newReplica(t, store, key)
			good, bad := r.token(mcpauthtest.Claims{"sid": "s", "exp": time.Now().Add(time.Hour).Unix()}), r.token(mcpauthtest.Claims{"jti": "bad", "exp": time.Now().Add(time.Hour).Unix()})
			require.NoError(t, r.list.RevokeToken(t.Context(), issuerURL, "bad", time.Now().Add(time.Hour)))
			assert.Equal(t, http.StatusOK, r.status(good))
			fail(store)
			for i := range 20 {
				began := time.Now()
				assert.Equal(t, http.StatusServiceUnavailable, r.status([]string{good, bad}[i%2]), name)
				most := 250 * time.Millisecond
				if i >= 5 {
					most = 0
				}
				assert.LessOrEqual(t, time.Since(began), most, name)
			}
			_, err := r.list.Revoked(t.Context(), r.issuer.Principal(mcpauthtest.Claims{"sid": "s", "jti": "j"}))
			assert.EqualError(t, err, "the store has not answered lately, and is asked again in a while", "told once, and not for each question")
			synctest.Wait()
			time.Sleep(2 * time.Minute)
			store.is(0, nil)
			time.Sleep(time.Minute)
			r.status(good) // the probe is one of its questions, and the others do not wait for it
			assert.Equal(t, http.StatusUnauthorized, r.status(bad), name)
			assert.Equal(t, http.StatusOK, r.status(good), name)
		})
	}
}

// TestPause_STORE_14: one pause of the store is one failure, however many questions a token is asked about, and costs the next caller nothing.
func TestPause_STORE_14_STORE_09(t *testing.T) {
	for _, old := range [][][]byte{nil, {oldKey}} {
		synctest.Test(t, func(t *testing.T) {
			store := newRecorded()
			r := newReplica(t, store, key, old...)
			token := r.token(mcpauthtest.Claims{"sid": "s", "exp": time.Now().Add(time.Hour).Unix()})
			for range 4 {
				store.is(251*time.Millisecond, nil)
				assert.Equal(t, http.StatusServiceUnavailable, r.status(token))
				store.is(0, nil)
				assert.Equal(t, http.StatusOK, r.status(token))
			}
			time.Sleep(time.Second)
		})
	}
}

// TestTogether_STORE_09: of several who revoke at once nobody undoes what another has, at no time; a failure in between leaves more revoked and not less.
func TestTogether_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		time.Sleep(time.Hour)
		until := time.Now().Add(time.Hour)
		store := newRecorded()
		r := newReplica(t, store, key)
		issued := func(minute int) string {
			return r.token(mcpauthtest.Claims{"iat": begin.Add(time.Duration(minute) * time.Minute).Unix(), "exp": until.Unix()})
		}
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(30*time.Minute), until))
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(10*time.Minute), until))
		assert.Equal(t, http.StatusUnauthorized, r.status(issued(29)))
		assert.Equal(t, http.StatusOK, r.status(issued(31)))

		// While another revokes from minute 40 on, one from minute 50 on comes in between, at each place where it can.
		for between := range 2 {
			user := fmt.Sprint("user-", between)
			issued := func(minute int) string {
				return r.token(mcpauthtest.Claims{"sub": user, "iat": begin.Add(time.Duration(minute) * time.Minute).Unix(), "exp": until.Unix()})
			}
			require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, user, begin.Add(30*time.Minute), until))
			came := false
			store.n, store.swaps = 0, func(n int) {
				assert.Equal(t, http.StatusUnauthorized, r.status(issued(29)), "at no time is less revoked than was")
				if n == between && !came {
					came = true
					require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, user, begin.Add(50*time.Minute), until))
				}
			}
			require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, user, begin.Add(40*time.Minute), until))
			store.swaps = nil
			assert.True(t, came)
			assert.Equal(t, http.StatusUnauthorized, r.status(issued(49)), between)
		}
		var wait sync.WaitGroup
		for i := range 32 {
			wait.Go(func() {
				assert.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "many", begin.Add(time.Duration(i)*time.Minute), until))
			})
		}
		wait.Wait()
		token := r.token(mcpauthtest.Claims{"sub": "many", "iat": begin.Add(30 * time.Minute).Unix(), "exp": until.Unix()})
		assert.Equal(t, http.StatusUnauthorized, r.status(token))
		time.Sleep(skew + time.Second)
		token = r.token(mcpauthtest.Claims{"sub": "many", "iat": time.Now().Unix(), "exp": until.Unix()})
		assert.Equal(t, http.StatusOK, r.status(token))

		store.swaps = func(int) { store.is(0, errors.New("connection refused")) }
		store.n = 0
		assert.Error(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(time.Hour), until))
	})
}

// lossy is a store whose client loses answers, or sends a step again whose answer was lost.
type lossy struct {
	mcpauth.Store
	lose, again map[int]bool // by the number of the swap
	n           int
	wait        func()
	mu          sync.Mutex
}

func (l *lossy) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if l.wait != nil {
		l.wait()
	}
	l.mu.Lock()
	n := l.n
	l.n++
	l.mu.Unlock()
	old, err := l.Store.Swap(ctx, key, value, ttl)
	if l.again[n] {
		old, err = l.Store.Swap(ctx, key, value, ttl)
	}
	if l.lose[n] {
		return nil, errors.New("connection reset")
	}
	return old, err
}

// TestLost_STORE_09: an answer that is lost on the way makes no earlier revocation shorter, and none less.
func TestLost_STORE_09(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for n := range 2 {
			for _, again := range []bool{false, true} {
				name := fmt.Sprintf("swap %d, lost %t, called again %t", n, lost, again)
				synctest.Test(t, func(t *testing.T) {
					store := &lossy{Store: MemoryStore()}
					r := newReplica(t, store, key)
					begin := time.Now()
					time.Sleep(time.Hour)
					token := r.token(mcpauthtest.Claims{"iat": begin.Unix(), "exp": begin.Add(48 * time.Hour).Unix()})
					require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(time.Minute), begin.Add(24*time.Hour)))
					store.n, store.lose, store.again = 0, map[int]bool{n: lost}, map[int]bool{n: !lost}
					revoke := func() error {
						return r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(2*time.Minute), time.Now().Add(time.Minute))
					}
					assert.Equal(t, lost, revoke() != nil, name)
					if again {
						assert.NoError(t, revoke(), name)
					}
					time.Sleep(22 * time.Hour)
					assert.Equal(t, http.StatusUnauthorized, r.status(token), name)
				})
			}
		}
	}
}

// TestLostBetween_STORE_09: what another has revoked in between stays revoked also if it was in an answer that nobody has got.
func TestLostBetween_STORE_09(t *testing.T) {
	for _, lost := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			answers := &lossy{Store: MemoryStore()}
			store := &recorded{Store: answers, all: map[string][]byte{}}
			r := newReplica(t, store, key)
			begin := time.Now()
			time.Sleep(time.Hour)
			revoke := func(minute int) error {
				return r.list.RevokeSubject(t.Context(), issuerURL, "user", begin.Add(time.Duration(minute)*time.Minute), time.Now().Add(time.Hour))
			}
			token := r.token(mcpauthtest.Claims{"iat": begin.Add(49 * time.Minute).Unix(), "exp": begin.Add(48 * time.Hour).Unix()})
			const last = 3 // the second swap of the one, after both of the other
			answers.lose, answers.again = map[int]bool{last: lost}, map[int]bool{last: !lost}
			store.swaps = func(n int) {
				if n == 1 {
					require.NoError(t, revoke(50))
				}
			}
			assert.Equal(t, lost, revoke(40) != nil)
			assert.Equal(t, http.StatusUnauthorized, r.status(token), "lost: %t", lost)
		})
	}
}

// TestForever_STORE_09: a time that is too far away for a store is a long time, and not none.
func TestForever_STORE_09(t *testing.T) {
	for _, until := range []time.Time{
		time.Now().AddDate(11, 0, 0), time.Now().AddDate(250, 0, 0), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0),
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newReplica(t, MemoryStore(), key)
			token := func() string {
				return r.token(mcpauthtest.Claims{"sid": "s", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
			}
			require.NoError(t, r.list.RevokeSession(t.Context(), issuerURL, "s", until))
			assert.Equal(t, http.StatusUnauthorized, r.status(token()), until.Year())
			time.Sleep(10 * 365 * 24 * time.Hour)
			assert.Equal(t, http.StatusUnauthorized, r.status(token()), until.Year())
			time.Sleep(2 * 24 * time.Hour)
			assert.Equal(t, http.StatusOK, r.status(token()), "not for ever")
		})
	}
}

// TestSkew_STORE_09: a token that was issued before the moment is revoked also if the authorization server's clock is ahead.
func TestSkew_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, MemoryStore(), key)
		time.Sleep(time.Hour)
		issued := func() string {
			return r.token(mcpauthtest.Claims{"iat": time.Now().Add(29 * time.Second).Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		}
		before := issued()
		require.Equal(t, http.StatusOK, r.status(before))
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", time.Now(), time.Now().Add(24*time.Hour)))
		assert.Equal(t, http.StatusUnauthorized, r.status(before))
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusUnauthorized, r.status(before))
		assert.Equal(t, http.StatusOK, r.status(issued()))
	})
}

// TestMany_STORE_09: of many who revoke one thing at once each is done soon, and who finds it revoked writes nothing.
func TestMany_STORE_09(t *testing.T) {
	for _, n := range []int{1, 2, 8, 32} {
		synctest.Test(t, func(t *testing.T) {
			store := &lossy{Store: MemoryStore()}
			var wait sync.WaitGroup
			var turn atomic.Int64
			store.wait = func() { time.Sleep(time.Millisecond + time.Duration(turn.Add(7919)%200)*time.Microsecond) }
			list, err := New(store, key)
			require.NoError(t, err)
			until := time.Now().Add(time.Hour + 1234*time.Nanosecond)
			for range n {
				wait.Go(func() { assert.NoError(t, list.RevokeSession(t.Context(), issuerURL, "s", until)) })
			}
			wait.Wait()
			assert.LessOrEqual(t, store.n, 4*n+2, "swaps")
			swaps := store.n
			assert.NoError(t, list.RevokeSession(t.Context(), issuerURL, "s", until))
			assert.Equal(t, swaps, store.n)
			assert.NoError(t, list.RevokeSession(t.Context(), issuerURL, "s", until.AddDate(20, 0, 0)))
			assert.GreaterOrEqual(t, swaps+2, store.n)
		})
	}
}

// TestSecrets_STORE_02: neither issuer, subject, session nor jti can be read in the store, nor tried out without the key.
func TestSecrets_STORE_02_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRecorded()
		l, err := New(store, key)
		require.NoError(t, err)
		until := time.Now().Add(time.Hour)
		require.NoError(t, l.RevokeToken(t.Context(), "https://canary.example.com", "canary-jti", until))
		require.NoError(t, l.RevokeSession(t.Context(), "https://canary.example.com", "canary-sid", until))
		require.NoError(t, l.RevokeSubject(t.Context(), "https://canary.example.com", "canary-sub", time.Now(), until))
		other, err := New(store, oldKey)
		require.NoError(t, err)
		require.NoError(t, other.RevokeToken(t.Context(), "https://canary.example.com", "canary-jti", until))
		assert.Len(t, store.all, 4)
		for name, value := range store.all {
			assert.Regexp(t, `^r:[\w-]{22}$`, name)
			assert.Regexp(t, `^1 \d+ \d+ [A-Z2-7]{13}$`, string(value))
		}
		assert.Len(t, store.wrote, 8)
		for i := 0; i < len(store.wrote); i += 2 {
			assert.Regexp(t, `^1 \d+ \d+ ~[A-Z2-7]{13}$`, store.wrote[i], "what other releases find in between")
		}
	})
}

// TestUnreadable_STORE_03: of an entry that another release has written nobody knows what it says.
func TestUnreadable_STORE_03_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRecorded()
		r := newReplica(t, store, key)
		until := time.Now().Add(time.Hour)
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", time.Now().Add(-time.Hour), until))
		token := r.token(nil)
		assert.Equal(t, http.StatusOK, r.status(token))
		name := slices.Collect(maps.Keys(store.all))[0]
		for _, value := range []string{"v9 1 2 x", "1 1 2", "1 a 2 x", "1 1 b x", "2 1 1 x"} {
			_, err := store.Store.Swap(t.Context(), name, []byte(value), time.Hour)
			require.NoError(t, err)
			assert.Equal(t, http.StatusServiceUnavailable, r.status(token), value)
			assert.Equal(t, http.StatusServiceUnavailable, r.status(r.token(mcpauthtest.Claims{"iat": nil})), value)
		}
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", time.Now().Add(-time.Hour), until))
		assert.Equal(t, http.StatusUnauthorized, r.status(token), "it may have said anything")
		time.Sleep(9 * 365 * 24 * time.Hour)
		assert.Equal(t, http.StatusUnauthorized, r.status(r.token(nil)), "and for any time")
	})
}

// TestClaims_STORE_09: claims that cannot be read name no session, and nobody knows whether it is revoked.
func TestClaims_STORE_09(t *testing.T) {
	l, err := New(newRecorded(), key)
	require.NoError(t, err)
	revoked, err := l.Revoked(t.Context(), &mcpauth.Principal{Issuer: issuerURL, Subject: "user"})
	assert.False(t, revoked)
	assert.EqualError(t, err, "the claims of the token cannot be decoded")
}

// TestQuestions_STORE_09: the store is asked only about what can have been revoked.
func TestQuestions_STORE_09(t *testing.T) {
	for _, tt := range []struct {
		claims mcpauthtest.Claims
		want   int
	}{{mcpauthtest.Claims{"jti": nil}, 1}, {nil, 2}, {mcpauthtest.Claims{"sid": "s"}, 3}, {mcpauthtest.Claims{"sid": ""}, 2}, {mcpauthtest.Claims{"jti": ""}, 1}} {
		store := newRecorded()
		r := newReplica(t, store, key)
		assert.Equal(t, http.StatusOK, r.status(r.token(tt.claims)))
		assert.Equal(t, tt.want, store.asked, tt.claims)
	}
}

// TestMistakes_STORE_09: what would revoke nothing is an error.
func TestMistakes_STORE_09(t *testing.T) {
	_, err := New(nil, key)
	assert.ErrorContains(t, err, "no store")
	for _, bad := range [][]byte{nil, key[:31]} {
		_, err = New(MemoryStore(), bad)
		assert.ErrorContains(t, err, fmt.Sprintf("a key of %d bytes", len(bad)))
		_, err = New(MemoryStore(), key, bad)
		assert.Error(t, err)
	}
	l, err := New(MemoryStore(), key)
	require.NoError(t, err)
	later := time.Now().Add(time.Hour)
	assert.EqualError(t, l.RevokeToken(t.Context(), issuerURL, "", later), "revoke: no issuer, or no jti: nothing would be revoked")
	assert.EqualError(t, l.RevokeSession(t.Context(), "", "s", later), "revoke: no issuer, or no sid: nothing would be revoked")
	assert.EqualError(t, l.RevokeSubject(t.Context(), issuerURL, "u", later, time.Time{}), "revoke: the time until which it is to be remembered is over")
}

// TestOldest_STORE_09: whatever moment an entry of the store names, a token that does not tell its iat is revoked.
func TestOldest_STORE_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRecorded()
		r := newReplica(t, store, key)
		until := time.Now().Add(time.Hour)
		require.NoError(t, r.list.RevokeSubject(t.Context(), issuerURL, "user", time.Now().Add(-time.Hour), until))
		name := slices.Collect(maps.Keys(store.all))[0]
		long := time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)
		_, err := store.Store.Swap(t.Context(), name, fmt.Appendf(nil, "1 %d %d x", long.UnixMilli(), until.UnixMilli()), time.Hour)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, r.status(r.token(nil)))
		assert.Equal(t, http.StatusUnauthorized, r.status(r.token(mcpauthtest.Claims{"iat": nil})))
	})
}
