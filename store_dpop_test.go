package mcpauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// replica is another process for the same resource, with tokens of the same issuer.
func (l *proofLab) replica(tb testing.TB, change func(*mcpauth.Config)) *proofLab {
	other := *l
	other.fixture = newFixtureOf(tb, l.issuer, func(c *mcpauth.Config) {
		c.Issuers[0].DPoP = mcpauth.DPoPAccepted
		change(c)
	})
	return &other
}

func (l *proofLab) bound(proof string) *httptest.ResponseRecorder {
	l.ran = 0
	return l.serve(l.send("DPoP "+l.token, proof))
}

// replayed asserts that a proof is refused as one that was used before, and served to nobody.
func (l *proofLab) replayed(w *httptest.ResponseRecorder) {
	l.refused(w, http.StatusUnauthorized, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
	assert.Contains(l.tb, l.log.String(), "cause=proof-replayed")
}

// TestProofsOfReplicas_STORE_08: a proof that one replica has seen counts at none, whoever else has one; while the store is away
// what each remembers counts alone; and afterwards nothing has to be restarted.
func TestProofsOfReplicas_STORE_08_DPOP_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		a := newProofLab(t, shares(store))
		b, alone := a.replica(t, shares(store)), a.replica(t, func(c *mcpauth.Config) { c.SessionKey = storeKey })
		other := a.replica(t, shares(store))
		other.key, other.token = a.foreign, a.foreignToken

		proof := a.proof(mcpauthtest.Claims{"jti": "canary-1"})
		assert.Equal(t, 200, a.bound(proof).Code, a.log)
		a.replayed(a.bound(proof))
		b.replayed(b.bound(proof))
		assert.Equal(t, 200, alone.bound(proof).Code, "one that does not share the store does not know")
		assert.Equal(t, 200, other.bound(other.key.Proof("POST", testResource, other.token, mcpauthtest.Claims{"jti": "canary-1"})).Code, "the jti of another key")
		assert.Equal(t, 200, b.bound(b.proof(nil)).Code)

		// One proof at both at the same moment counts once.
		for range 20 {
			var codes [2]int
			proof, both := a.proof(nil), []*proofLab{a, b}
			var wg sync.WaitGroup
			for i := range both {
				wg.Go(func() { codes[i] = both[i].bound(proof).Code })
			}
			wg.Wait()
			assert.ElementsMatch(t, []int{200, 401}, codes)
		}

		store.is(storeGone)
		proof = a.proof(nil)
		assert.Equal(t, 200, a.bound(proof).Code, "nobody is locked out")
		a.replayed(a.bound(proof))
		assert.Equal(t, 200, b.bound(proof).Code, "this is what a store is for")
		for range 8 {
			assert.Equal(t, 200, a.bound(a.proof(nil)).Code)
		}
		assert.Equal(t, 1, strings.Count(a.log.String(), "mcpauth: the store cannot be reached"))
		store.is(storeDeaf)
		time.Sleep(time.Minute)
		began := time.Now()
		assert.Equal(t, 200, a.bound(a.proof(nil)).Code)
		assert.LessOrEqual(t, time.Since(began), 250*time.Millisecond, "a probe that nobody answers (virtual time)")
		store.is(nil)
		time.Sleep(time.Minute)
		a.bound(a.proof(nil))
		proof = a.proof(nil)
		assert.Equal(t, 200, a.bound(proof).Code)
		b.replayed(b.bound(proof))
		time.Sleep(6 * time.Minute) // lets what is forgotten be forgotten
		store.mu.Lock()
		defer store.mu.Unlock()
		for key, values := range store.given {
			assert.Regexp(t, `^d:[\w-]{22}$`, key)
			for _, value := range values {
				assert.NotContains(t, string(value), "canary")
				assert.LessOrEqual(t, len(value), 32)
			}
		}
	})
}

// TestProofsWhileKeysChange_STORE_08_SESS_06: replicas of which one has the new key in front, and the other one still the old one, do not
// take a proof twice either, and take each other's nonces.
func TestProofsWhileKeysChange_STORE_08_SESS_06(t *testing.T) {
	store := newTestStore()
	newKey := slices.Concat(oldStoreKey, []byte("new"))
	before := newProofLab(t, func(c *mcpauth.Config) {
		requireDPoP(c)
		c.SessionKey, c.OldSessionKeys, c.Store = storeKey, [][]byte{newKey}, store
	})
	after := before.replica(t, func(c *mcpauth.Config) {
		requireDPoP(c)
		c.SessionKey, c.OldSessionKeys, c.Store = newKey, [][]byte{storeKey}, store
	})
	for _, pair := range [][2]*proofLab{{before, after}, {after, before}} {
		first, second := pair[0], pair[1]
		nonce := first.bound(first.proof(nil)).Header().Get("DPoP-Nonce")
		proof := first.proof(mcpauthtest.Claims{"nonce": nonce})
		assert.Equal(t, 200, second.bound(proof).Code, second.log)
		first.refused(first.bound(proof), 401, dpopError("invalid_dpop_proof", "DPoP proof invalid"))
		assert.Contains(t, first.log.String(), "cause=proof-replayed")
	}
}

// TestProofsByOtherClocks_STORE_08: a proof is remembered for longer than it counts, since the clock of another replica may be behind.
func TestProofsByOtherClocks_STORE_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		l := newProofLab(t, shares(store))
		l.token = l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read", "exp": time.Now().Add(time.Hour).Unix()})
		left := func() (n int) {
			store.mu.Lock()
			defer store.mu.Unlock()
			for name := range store.given {
				if value, err := store.Store.Get(t.Context(), name); err == nil && value != nil {
					n++
				}
			}
			return n
		}
		for _, made := range []time.Duration{-4 * time.Minute, 0, 4 * time.Minute} {
			require.Equal(t, 200, l.bound(l.proof(mcpauthtest.Claims{"iat": time.Now().Add(made).Unix()})).Code, l.log)
			time.Sleep(5*time.Minute + made) // here it counts no more,
			assert.Equal(t, 1, left())
			time.Sleep(5*time.Minute - time.Second) // nor there
			assert.Equal(t, 1, left())
			time.Sleep(time.Minute)
			assert.Equal(t, 0, left())
		}
	})
}

// TestProofsOfThoseWhoLeave_STORE_08: who leaves in the middle of his request has used its proof all the same, at every replica: the
// handler may have done what he wanted.
func TestProofsOfThoseWhoLeave_STORE_08_DPOP_09(t *testing.T) {
	for name, leave := range map[string]func(context.CancelFunc) func(context.Context) error{
		"before the store is asked": func(cancel context.CancelFunc) func(context.Context) error { cancel(); return nil },
		"while it is asked": func(cancel context.CancelFunc) func(context.Context) error {
			return func(ctx context.Context) error {
				cancel()
				time.Sleep(100 * time.Millisecond)
				return ctx.Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newTestStore()
				a := newProofLab(t, shares(store))
				b := a.replica(t, shares(store))
				require.Equal(t, 200, a.bound(a.proof(nil)).Code)
				require.Equal(t, 200, b.bound(b.proof(nil)).Code)
				proof := a.proof(nil)
				ctx, cancel := context.WithCancel(t.Context())
				store.is(leave(cancel))
				a.serve(a.send("DPoP "+a.token, proof).WithContext(ctx))
				time.Sleep(time.Second) // what was left behind comes back
				store.is(nil)
				b.replayed(b.bound(proof))
				assert.Equal(t, 200, b.bound(b.proof(nil)).Code)
			})
		})
	}
}
