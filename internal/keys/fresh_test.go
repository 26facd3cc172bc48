package keys

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

const junk = "tokens that the issuer's keys cannot verify have used up the fetches that they may cause"

// used has verified one token a minute ago, and has told what is told at first.
func used(t *testing.T, r *rig, s *Source) (proof Proof) {
	t.Helper()
	proof, denied := verify(t, s, keyA)
	require.Nil(t, denied)
	synctest.Wait()
	r.told()
	time.Sleep(time.Minute)
	return proof
}

// A copy to judge tokens by is there if both metadata and keys may serve.
func TestFinder_Look_JWKS_19_FRESH_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, metadata, set := &sharedKeys{}, &remote[serverMetadata]{}, newKeySet(nil, nil, false)
		discovered, fixed := &finder{metadata: metadata}, &finder{fixed: keys}
		at := func(s *finder) bool {
			_, ok := s.look(time.Now())
			return ok
		}
		assert.False(t, at(discovered), "no metadata")
		metadata.current.Store(&loaded[serverMetadata]{value: serverMetadata{keys: keys}, begun: time.Now()})
		assert.False(t, at(discovered), "no keys")
		keys.current.Store(&loaded[*keySet]{value: set, begun: time.Now()})
		assert.True(t, at(discovered))
		c, ok := fixed.look(time.Now())
		require.True(t, ok)
		assert.False(t, fixed.isNewer(&c))
		keys.current.Store(&loaded[*keySet]{value: set, begun: time.Now().Add(time.Second)})
		assert.True(t, fixed.isNewer(&c), "the same keys, fetched again")
		time.Sleep(maxStale + 2*time.Second)
		assert.False(t, at(discovered))
		assert.False(t, fixed.isNewer(&c), "what is too old is nothing new")
	})
}

// A token whose keys have become too old in the meantime is judged by those that are fetched then.
func TestSettle_NothingAtHand_JWKS_19(t *testing.T) {
	for name, down := range map[string]bool{"there again": false, "down": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				if down {
					r.set(published, page{status: http.StatusInternalServerError})
				}
				s := r.registry.Discovered(r.issuer)
				set, key, denied := s.settle(t.Context(), newDoubt(keyA.token(t), time.Now(), time.Now()))
				if down {
					require.NotNil(t, denied)
					assert.Equal(t, refusal.Unavailable, denied.Reason)
					return
				}
				require.Nil(t, denied)
				assert.Equal(t, "a", key.Kid)
				assert.Same(t, s.keys.serving(time.Now()), set)
			})
		})
	}
}

// A token of a new key waits for the keys and for nothing else. What the old one has signed is withdrawn with it.
func TestSource_Rotated_JWKS_16_JWKS_21_FRESH_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		old := used(t, r, s)
		require.Nil(t, s.AwaitRecheck(t.Context(), &old, time.Now()))
		r.set(published, page{body: jwkSet(keyB), takes: time.Second})
		r.set(described, page{body: metadataOf(as, published), takes: 3 * time.Second})
		begun := time.Now()
		proof, denied := verify(t, s, keyB)
		require.Nil(t, denied)
		assert.Equal(t, time.Second, time.Since(begun))
		require.NotNil(t, proof.key)
		assert.Equal(t, "b", proof.key.Kid)
		assert.True(t, s.IsCurrent(&proof, time.Now()))
		assert.False(t, s.IsCurrent(&old, time.Now()))
		assert.Nil(t, s.AwaitRecheck(t.Context(), &proof, time.Now()))
		denied = s.AwaitRecheck(t.Context(), &old, time.Now())
		require.NotNil(t, denied)
		assert.Equal(t, refusal.New(refusal.UnknownKey, "kid", "a", "a key of the issuer's current key set"), denied)
		time.Sleep(5 * time.Second)
		assert.Equal(t, 2, r.requests(published))
		assert.Equal(t, 2, r.requests(described))
	})
}

// Who waits at a place gives it back when the keys are at another by then.
func TestSource_MovedMeanwhile_FRESH_02_FRESH_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		used(t, r, s)
		before := s.keys.metadata.current.Load().value.keys
		r.set(as+"/moved", page{body: jwkSet(keyA), date: time.Now()})
		r.set(described, page{body: metadataOf(as, as+"/moved"), takes: time.Second})
		_, denied := s.Verify(t.Context(), keyB.token(t), time.Now().Add(time.Minute), time.Now())
		require.NotNil(t, denied)
		assert.True(t, denied.Unsettled)
		after := s.keys.metadata.current.Load().value.keys
		assert.NotSame(t, before, after)
		assert.Zero(t, before.suspects.waiting)
		assert.Zero(t, after.suspects.waiting)
	})
}

// A token that says it was issued after the keys were sent, by the clock of both, waits for no further fetch.
func TestSource_IssuedAhead_FRESH_05_FRESH_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		used(t, r, s)
		r.set(published, page{body: jwkSet(keyA), date: time.Now()})
		begun := time.Now()
		_, denied := s.Verify(t.Context(), keyB.token(t), begun.Add(time.Minute), begun)
		require.NotNil(t, denied)
		assert.True(t, denied.Unsettled)
		assert.Less(t, time.Since(begun), time.Second)
		assert.Equal(t, 2, r.requests(published))
		assert.Equal(t, uint64(1), s.Status().Suppressed)
		assert.Empty(t, r.told(), "there are fetches left")
	})
}

// Junk costs three fetches, what it is refused with is about the key, and then the operator hears of it once.
func TestSource_Junk_JWKS_13_JWKS_14_FRESH_14(t *testing.T) {
	for name, discovered := range map[string]bool{"discovered": true, "fixed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				s, err := r.registry.Fixed(r.issuer, published)
				require.NoError(t, err)
				if discovered {
					s = r.registry.Discovered(r.issuer)
				}
				used(t, r, s)
				for range suspectBurst {
					_, denied := verify(t, s, keyB)
					assert.Equal(t, refusal.New(refusal.UnknownKey, "kid", "b", "a key of the issuer's current key set"), denied)
					time.Sleep(10 * time.Millisecond)
				}
				assert.Empty(t, r.told())
				for n := range 3 {
					begun := time.Now()
					_, denied := verify(t, s, keyB)
					require.NotNil(t, denied)
					assert.Equal(t, refusal.UnknownKey, denied.Reason)
					assert.True(t, denied.Unsettled)
					assert.ErrorIs(t, denied, errUnsettled)
					assert.Zero(t, time.Since(begun))
					assert.Equal(t, uint64(n+1), s.Status().Suppressed)
					time.Sleep(10 * time.Millisecond)
				}
				assert.Contains(t, r.log.String(), "issuer="+as+" cause=key-unsettled")
				assert.Equal(t, []string{junk}, r.told())
				assert.Equal(t, 1+suspectBurst, r.requests(published))
			})
		})
	}
}

// When keys or metadata cannot be had, it is this that a token which waits for them is refused with.
func TestSource_DownMeanwhile_FRESH_14_DISC_20(t *testing.T) {
	for name, down := range map[string]string{"keys": published, "metadata": described} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				s := r.registry.Discovered(r.issuer)
				used(t, r, s)
				r.set(down, page{status: http.StatusInternalServerError})
				_, denied := verify(t, s, keyB)
				require.NotNil(t, denied)
				assert.Equal(t, refusal.Unavailable, denied.Reason)
				assert.False(t, denied.Unsettled)
				assert.ErrorContains(t, denied, "status 500")
				_, denied = verify(t, s, keyA)
				assert.Nil(t, denied)
			})
		})
	}
}

// With all places taken there is an answer at once, and the metadata is in doubt all the same.
func TestSource_NoPlace_FRESH_02_JWKS_28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		used(t, r, s)
		b := &s.keys.metadata.current.Load().value.keys.suspects
		b.waiting = maxSuspects
		begun := time.Now()
		_, denied := verify(t, s, keyB)
		require.NotNil(t, denied)
		assert.True(t, denied.Unsettled)
		assert.Zero(t, time.Since(begun))
		assert.Equal(t, 1, r.requests(published))
		assert.Equal(t, maxSuspects, b.waiting)
		assert.True(t, b.doubted[s.keys.metadata])
		assert.Equal(t, []string{junk}, r.told())
	})
}

// A fetch on schedule that is under way is waited for, and costs nothing of the budget.
func TestSuspects_JoinsTheSchedule_FRESH_03(t *testing.T) {
	metadata, keys := &remote[serverMetadata]{}, &sharedKeys{}
	keys.flight = &flight{done: make(chan struct{})}
	f, _ := (&finder{metadata: metadata}).suspect(&keyCopy{keys: keys}, time.Now())
	require.NotNil(t, f)
	assert.Same(t, keys.flight, f.keys)
	assert.Zero(t, f.begun)
	assert.Nil(t, keys.suspects.flight)
	assert.Zero(t, keys.suspects.full)
	assert.Nil(t, metadata.underWay())
}

// An issuer that shares the keys is fetched with them the next time, if it is not this time.
func TestSuspects_DoubtedMeanwhile_FRESH_15(t *testing.T) {
	mine, other := &remote[serverMetadata]{}, &remote[serverMetadata]{}
	b := &suspects{flight: &suspicion{metadata: map[*remote[serverMetadata]]*flight{other: {}}}}
	b.doubt(other)
	assert.Empty(t, b.doubted)
	b.doubt(mine)
	assert.Equal(t, map[*remote[serverMetadata]]bool{mine: true}, b.doubted)
}

// Metadata that grows too old while it is asked for again names no place.
func TestFinder_TooOldMeanwhile_JWKS_19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := &sharedKeys{}
		keys.failedAt = time.Now()
		keys.load = func(context.Context, *loaded[*keySet], bool) (*loaded[*keySet], error) {
			return nil, http.ErrServerClosed
		}
		metadata := &remote[serverMetadata]{load: func(context.Context, *loaded[serverMetadata], bool) (*loaded[serverMetadata], error) {
			time.Sleep(2 * time.Second)
			return nil, http.ErrHandlerTimeout
		}}
		begun := time.Now().Add(time.Second - maxStale)
		metadata.current.Store(&loaded[serverMetadata]{value: serverMetadata{keys: keys}, begun: begun, refreshAt: time.Now().Add(time.Hour)})
		_, err := (&finder{metadata: metadata}).awaited(t.Context(), time.Now())
		assert.ErrorIs(t, err, http.ErrServerClosed)
	})
}
