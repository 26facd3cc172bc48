package keys

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// A thousand swaps under readers without pause. A set that a reader holds is one version from
// end to end: the race detector watches, and so does the comparison.
func TestRemote_Swap_JWKS_33(t *testing.T) {
	version := 0
	r := &remote[*keySet]{load: func(context.Context, *loaded[*keySet], bool) (*loaded[*keySet], error) {
		version++
		alg := [2]string{"RS256", "ES256"}[version%2]
		keys := []jose.Key{{Kid: "a", HasKid: true, Alg: alg}, {Kid: "b", HasKid: true, Alg: alg}}
		return &loaded[*keySet]{value: newKeySet(keys, nil, false)}, nil
	}}
	_, err := r.get(t.Context(), time.Now())
	require.NoError(t, err)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				doc, err := r.get(t.Context(), time.Now())
				if err != nil || doc.value.byKid["a"][0].Alg != doc.value.byKid["b"][0].Alg || len(doc.value.keys) != 2 {
					t.Errorf("half of two sets: %v", err)
					return
				}
			}
		})
	}
	for range 1000 {
		r.mu.Lock()
		f := r.fly(time.Now(), true)
		r.mu.Unlock()
		<-f.done
	}
	close(stop)
	readers.Wait()
	assert.Equal(t, 1001, version)
}

// Somebody who found no document, and comes to begin a flight when another has
// just landed, begins none.
func TestRemote_LateComer_DISC_18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
			fetches++
			return &loaded[int]{value: fetches}, nil
		}}
		_, err := r.get(t.Context(), time.Now())
		require.NoError(t, err)
		assert.Nil(t, r.start(time.Now(), false))
		assert.Equal(t, 1, fetches)
	})
}

// A transport that panics must not take the process down: the flight is in no request's goroutine.
func TestRemote_Panic_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		broken := true
		r := &remote[int]{failed: func(err error) { told = err }, load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
			if broken {
				panic("secret")
			}
			return &loaded[int]{value: 1}, nil
		}}
		_, err := r.get(t.Context(), time.Now())
		require.EqualError(t, err, "panic with a string")
		synctest.Wait()
		require.EqualError(t, told, "panic with a string")
		broken = false
		time.Sleep(2 * time.Second)
		doc, err := r.get(t.Context(), time.Now())
		require.NoError(t, err)
		assert.Equal(t, 1, doc.value)
	})
}

// shiftMonotonic moves the monotonic reading of a moment and leaves its wall clock.
func shiftMonotonic(moment time.Time, by time.Duration) time.Time {
	type layout struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	(*layout)(unsafe.Pointer(&moment)).ext += int64(by)
	return moment
}

// Keys age by whichever clock says more: one that was set back keeps nothing
// fresh, and a machine that slept knows it when it wakes.
func TestRemote_Clocks_JWKS_19_JWKS_22(t *testing.T) {
	now := time.Now()
	moment := now.Add(time.Hour)
	require.Equal(t, time.Minute, shiftMonotonic(now, time.Minute).Sub(now), "the layout of time.Time has changed")
	assert.False(t, passed(now, moment))
	assert.False(t, passed(moment, moment), "to the moment")
	assert.True(t, passed(moment.Add(1), moment))
	assert.True(t, passed(now.Add(2*time.Hour), moment))
	assert.True(t, passed(shiftMonotonic(now, 2*time.Hour), moment), "the wall clock was set back")
	assert.True(t, passed(shiftMonotonic(now.Add(2*time.Hour), -2*time.Hour), moment), "the machine slept")

	r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
		return nil, errors.New("down")
	}}
	r.current.Store(&loaded[int]{begun: now, refreshAt: moment})
	assert.NotNil(t, r.usable(now))
	assert.Nil(t, r.usable(shiftMonotonic(now, 25*time.Hour)))
	assert.Nil(t, r.usable(shiftMonotonic(now.Add(25*time.Hour), -25*time.Hour)))

	// A backoff ends even if the wall clock was set back in the meantime.
	next := now.Add(30 * time.Second)
	r.nextTry.Store(&next)
	assert.False(t, r.mayTry(now))
	assert.True(t, r.mayTry(shiftMonotonic(now.Add(-24*time.Hour), 24*time.Hour+31*time.Second)))
}

func TestRegistry_Leave_DISC_17(t *testing.T) {
	g := &Registry{sets: map[keyLocation]*sharedKeys{}}
	place := keyLocation{"https://as.example.com/jwks", false}
	named := func(url string) *Source { return &Source{issuer: Issuer{URL: url}} }
	a, b, c, d := named("a"), named("b"), named("c"), named("d")
	first := g.at(place, a, nil)
	assert.Same(t, first, g.at(place, b, nil), "JWKS-26")
	assert.Equal(t, "a, b", g.issuersOf(first), "FRESH-15")
	assert.NotSame(t, first, g.at(keyLocation{place.url, true}, c, nil), "JWKS-26: a guarded reader does not rely on an unguarded one")
	g.leave(place, a)
	assert.Same(t, first, g.at(place, d, nil), "another still reads it")
	g.leave(place, b)
	g.leave(place, d)
	assert.Len(t, g.sets, 1)
	assert.NotSame(t, first, g.at(place, a, nil))
}

// The guard is for what was learned and not typed.
func TestKeyLocation_Guard_DISC_08(t *testing.T) {
	parsed, err := url.Parse("https://as.example.com/tenant1")
	require.NoError(t, err)
	s := &Source{issuer: Issuer{Location: parsed}}
	assert.False(t, s.keyLocation("https://as.example.com/jwks").guarded)
	assert.True(t, s.keyLocation("https://as.example.com:8443/jwks").guarded)
	assert.True(t, s.keyLocation("https://keys.example.com/jwks").guarded)
	assert.True(t, s.keyLocation(":").guarded)
	s.issuer.Private = true
	assert.False(t, s.keyLocation("https://keys.example.com/jwks").guarded)
}

func TestSpread_Bounds_JWKS_22_DISC_19(t *testing.T) {
	within := func(name string, least, most time.Duration, draw func() time.Duration) {
		low, high := most, least
		for range 2000 {
			d := draw()
			low, high = min(low, d), max(high, d)
		}
		assert.GreaterOrEqual(t, low, least, name)
		assert.LessOrEqual(t, high, most, name)
		assert.Greater(t, high, low, "%s: no jitter", name)
	}
	within("JWKS-22 no wish", 54*time.Minute, 66*time.Minute, func() time.Duration { return ttl(-1) })
	within("JWKS-22 a short wish", 270*time.Second, 330*time.Second, func() time.Duration { return ttl(0) })
	within("JWKS-22 a long wish", 648*time.Minute, 792*time.Minute, func() time.Duration { return ttl(1 << 60) })
	within("DISC-19 first", 800*time.Millisecond, 1200*time.Millisecond, func() time.Duration { return backoff(0) })
	within("DISC-19 third", 3200*time.Millisecond, 4800*time.Millisecond, func() time.Duration { return backoff(2) })
	within("DISC-19 hundredth", 25600*time.Millisecond, 30*time.Second, func() time.Duration { return backoff(99) })
}

// A document of which nobody is told fails as any other.
func TestRemote_NobodyIsTold_JWKS_17(t *testing.T) {
	r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) { return nil, errors.New("down") }}
	_, err := r.get(t.Context(), time.Now())
	assert.ErrorContains(t, err, "down")
}

// What lands in the moment in which a token comes to wait for it is not waited for.
func TestSuspects_LandedMeanwhile_FRESH_03(t *testing.T) {
	for name, under := range map[string]func(keys *sharedKeys, metadata *remote[serverMetadata], landed, pending *flight){
		"a fetch on schedule": func(keys *sharedKeys, _ *remote[serverMetadata], landed, _ *flight) { keys.flight = landed },
		"keys before metadata": func(keys *sharedKeys, metadata *remote[serverMetadata], landed, pending *flight) {
			keys.suspects.flight = &suspicion{keys: landed, metadata: map[*remote[serverMetadata]]*flight{metadata: pending}, done: pending.done}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				landed, pending := &flight{done: make(chan struct{})}, &flight{done: make(chan struct{})}
				close(landed.done)
				now, keys, metadata := time.Now(), &sharedKeys{}, &remote[serverMetadata]{}
				metadata.current.Store(&loaded[serverMetadata]{value: serverMetadata{keys: keys}, begun: now})
				keys.current.Store(&loaded[*keySet]{value: &keySet{}, begun: now})
				s := &finder{metadata: metadata}
				c, ok := s.look(now)
				require.True(t, ok)
				keys.current.Store(&loaded[*keySet]{value: &keySet{}, begun: now})
				under(keys, metadata, landed, pending)
				assert.True(t, s.awaitNewer(t.Context(), &c, now, now.Add(5*time.Second)))
				assert.Zero(t, time.Since(now))
			})
		})
	}
	t.Run("a fetch on schedule that has failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			now, keys := time.Now(), &sharedKeys{}
			keys.current.Store(&loaded[*keySet]{value: &keySet{}, begun: now})
			keys.flight = &flight{done: make(chan struct{})}
			close(keys.flight.done)
			s := &finder{fixed: keys}
			c, ok := s.look(now)
			require.True(t, ok)
			assert.True(t, s.awaitNewer(t.Context(), &c, now, now.Add(5*time.Second)))
			assert.Zero(t, time.Since(now))
		})
	})
}

// A log that panics takes the process down as little: nobody's request is there to be ended by it.
func TestRemote_LogPanics_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &remote[int]{failed: func(error) { panic("log") }, load: func(context.Context, *loaded[int], bool) (*loaded[int], error) { return nil, errors.New("down") }}
		_, err := r.get(t.Context(), time.Now())
		require.EqualError(t, err, "down")
		synctest.Wait()
	})
}

// Who has a document at hand waits for no other, and who has none waits once for each backoff.
func TestRemote_Get_JWKS_18_DISC_19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads, down := 0, false
		r := &remote[int]{load: func(ctx context.Context, _ *loaded[int], _ bool) (*loaded[int], error) {
			loads++
			time.Sleep(2 * time.Second)
			if down {
				return nil, errors.New("down")
			}
			return &loaded[int]{value: loads}, nil
		}}
		get := func(want, takes, all int) {
			begun := time.Now()
			doc, err := r.get(t.Context(), begun)
			require.NoError(t, err)
			assert.Equal(t, want, doc.value)
			assert.Equal(t, time.Duration(takes)*time.Second, time.Since(begun))
			synctest.Wait()
			assert.Equal(t, all, loads)
		}
		get(1, 2, 1)
		get(1, 0, 1)
		time.Sleep(time.Hour)
		get(1, 0, 2)
		get(1, 0, 2)
		time.Sleep(3 * time.Second)
		get(2, 0, 2)

		down = true
		time.Sleep(25 * time.Hour)
		for range 10 {
			_, err := r.get(t.Context(), time.Now())
			var unavailable *unavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.LessOrEqual(t, unavailable.retry, 1200*time.Millisecond, "from now on")
			assert.Equal(t, 3, loads)
		}
	})
}

// A fetch that is over holds on to nothing: its context is.
func TestRemote_RunEnds_JWKS_17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var during error
		var of context.Context
		r := &remote[int]{load: func(ctx context.Context, _ *loaded[int], _ bool) (*loaded[int], error) {
			of, during = ctx, ctx.Err()
			return &loaded[int]{}, nil
		}}
		_, err := r.get(t.Context(), time.Now())
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, during)
		assert.ErrorIs(t, of.Err(), context.Canceled)
	})
}

// Of failures it is told each, of their end the first good fetch and the time since the first of them began, whoever listens.
func TestRemote_Told_OBS_08(t *testing.T) {
	var told []string
	failed := func(err error) { told = append(told, err.Error()) }
	mended := func(after time.Duration) { told = append(told, after.String()) }
	for name, row := range map[string]struct {
		failed func(error)
		mended func(time.Duration)
		want   []string
	}{
		"both":            {failed, mended, []string{"1", "2", "6s", "4", "3s"}},
		"failures":        {failed, nil, []string{"1", "2", "4"}},
		"their end":       {nil, mended, []string{"6s", "3s"}},
		"nobody is there": {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetches := 0
				r := &remote[int]{failed: row.failed, mended: row.mended}
				r.load = func(context.Context, *loaded[int], bool) (*loaded[int], error) {
					switch n := fetches; n {
					case 1, 2, 4:
						return nil, errors.New(strconv.Itoa(n))
					}
					return &loaded[int]{}, nil
				}
				told = nil
				for range 7 {
					<-r.suspect(time.Now()).done
					synctest.Wait()
					fetches++
					time.Sleep(3 * time.Second)
				}
				assert.Equal(t, row.want, told)
			})
		})
	}
}

// A document is as new as its sender says and caches on the way, which are believed so far.
func TestRemote_Dated_FRESH_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		at := func(d time.Duration) time.Time { return now.Add(d) }
		for name, row := range map[string]struct {
			age         time.Duration
			date        time.Time
			aged, dated time.Time
		}{
			"nothing is said":     {0, time.Time{}, now, time.Time{}},
			"a minute old":        {time.Minute, at(-time.Minute), at(-time.Minute), at(-time.Minute)},
			"an hour old":         {time.Hour, at(-time.Hour), at(-time.Hour), at(-time.Hour)},
			"more than that":      {time.Hour + 1, at(-time.Hour - 1), at(-time.Hour), at(-time.Hour)},
			"by a clock far off":  {0, time.Unix(0, 0), now, at(-time.Hour)},
			"by a clock ahead":    {0, at(time.Hour), now, at(time.Hour)},
			"cached, and no date": {10 * time.Hour, time.Time{}, at(-time.Hour), time.Time{}},
		} {
			r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
				return &loaded[int]{age: row.age, date: row.date}, nil
			}}
			doc, err := r.get(t.Context(), now)
			require.NoError(t, err)
			assert.Equal(t, row.aged, doc.aged, name)
			assert.Equal(t, row.dated, doc.dated, name)
		}
	})
}
