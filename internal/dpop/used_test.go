package dpop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

func keyNamed(n int) (key jose.Thumbprint) {
	copy(key[:], strconv.Itoa(n))
	return key
}

// small makes a memory with room for few.
func small(limit, share int) *memory {
	m := newMemory()
	m.limit, m.share = limit, share
	return &m
}

var start = time.Unix(1_800_000_000, 0)

// accepts uses a proof of somebody with one key.
func (m *memory) accepts(by int, jti string, second int64, now time.Time) bool {
	return m.acceptsFrom(by, by, jti, second, now)
}

func (m *memory) acceptsFrom(by, key int, jti string, second int64, now time.Time) bool {
	_, denied := m.use(strconv.Itoa(by), nameOf(keyNamed(key), jti), second, now)
	return denied == nil
}

// Who uses more than there is room for loses his own oldest proofs, which are refused from then on. Nobody
// else notices.
func TestOneFillsHisShare_DPOP_09(t *testing.T) {
	m, now := small(1000, 100), start
	require.True(t, m.accepts(1, "quiet", now.Unix(), now))
	fulls := 0
	for i := range 10_000 {
		now = start.Add(time.Duration(i) * 10 * time.Millisecond)
		full, _ := m.use("2", nameOf(keyNamed(2), fmt.Sprint("p", i)), now.Unix(), now)
		if full {
			fulls++
		}
		require.True(t, len(m.ids) <= 1000)
	}
	assert.Equal(t, 1, fulls, "the operator is told once")
	for _, i := range []int{0, 1, 99, 100, 5000, 9000, 9899, 9999} {
		assert.False(t, m.accepts(2, fmt.Sprint("p", i), start.Add(time.Duration(i)*10*time.Millisecond).Unix(), now), "proof %d a second time", i)
	}
	assert.False(t, m.accepts(1, "quiet", start.Unix(), now), "the other's used proof is still refused")
	assert.True(t, m.accepts(1, "quiet 2", start.Unix(), now), "and so old a one of his that was not used still counts")
	assert.True(t, m.accepts(2, "fresh", now.Unix()+1, now))
}

// However many have much, those who have little keep it, and a proof of this moment counts.
func TestManyBusy_DPOP_09(t *testing.T) {
	m, now := small(1000, 100), start
	for i := range 5 {
		require.True(t, m.accepts(1, fmt.Sprint("quiet", i), now.Unix(), now))
	}
	for i := range 40_000 {
		now = start.Add(time.Duration(i) * 2 * time.Millisecond)
		m.accepts(2+i%40, fmt.Sprint("p", i), now.Unix(), now)
		require.LessOrEqual(t, len(m.ids), 1000)
	}
	for i := range 5 {
		assert.False(t, m.accepts(1, fmt.Sprint("quiet", i), start.Unix(), now))
	}
	assert.True(t, m.accepts(1, "quiet, not used", start.Unix(), now))
	for i := range 20 {
		assert.True(t, m.accepts(100+i, "somebody new", now.Unix(), now), "who has most makes room")
	}
	for i := range 20 {
		assert.False(t, m.accepts(100+i, "somebody new", now.Unix(), now))
		assert.True(t, m.accepts(100+i, "a little older", now.Unix()-5, now))
	}
	for i := 40_000 - 2000; i < 40_000; i++ {
		made := start.Add(time.Duration(i) * 2 * time.Millisecond)
		require.False(t, m.accepts(2+i%40, fmt.Sprint("p", i), made.Unix(), now))
	}
}

// More callers at once than there are places: those that are there stay, and one more is refused until a place is free.
func TestAllHaveOne_DPOP_09(t *testing.T) {
	m, now := small(100, 10), start
	for i := range 100 {
		require.True(t, m.accepts(i, "p", now.Unix(), now))
	}
	full, denied := m.use("100", nameOf(keyNamed(100), "p"), now.Unix(), now)
	assert.NotNil(t, denied)
	assert.False(t, full)
	assert.False(t, m.accepts(101, "p", now.Unix(), now))
	assert.True(t, m.accepts(50, "q", now.Unix()+1, now), "who has a place makes room of his own")
	assert.False(t, m.accepts(50, "p", now.Unix(), now))
	assert.Len(t, m.ids, 100)
	now = now.Add(Window + 2*time.Second)
	assert.True(t, m.accepts(100, "p", now.Unix(), now))
}

// Nothing is kept for longer than it can be used again.
func TestOldUsesAreForgotten_DPOP_09(t *testing.T) {
	m, now := small(1000, 10), start
	for i := range 500 {
		require.True(t, m.accepts(i, "p", now.Unix(), now))
	}
	for i := range 30 {
		m.accepts(1, fmt.Sprint("more", i), now.Unix(), now)
	}
	now = now.Add(Window)
	assert.False(t, m.accepts(7, "p", start.Unix(), now), "it is still within the window")
	now = now.Add(2 * time.Second)
	for i := range 50 {
		before := len(m.ids)
		require.True(t, m.accepts(1000, fmt.Sprint(i), now.Unix()+int64(i), now))
		assert.LessOrEqual(t, before-len(m.ids), expiredAtOnce, "work of one request")
	}
	assert.Len(t, m.ids, 10)
	assert.Len(t, m.owners, 1)
	assert.Len(t, m.oldest.all, 1)
	assert.Len(t, m.most.all, 1)
}

// A client makes keys at will: with many of them it fills its own share, and nobody else is refused.
func TestManyKeys_DPOP_09(t *testing.T) {
	m, now := small(1000, 100), start
	for i := range 5 {
		require.True(t, m.accepts(1, fmt.Sprint("quiet", i), now.Unix(), now))
	}
	for i := range 5000 {
		at := now.Add(time.Duration(i) * 10 * time.Millisecond)
		m.acceptsFrom(2, 1000+i, "p", at.Unix()+200, at)
		require.LessOrEqual(t, len(m.ids), 105)
	}
	now = now.Add(50 * time.Second)
	for i := range 500 {
		at := now.Add(time.Duration(i) * 10 * time.Millisecond)
		require.True(t, m.accepts(10+i, "new", at.Unix(), at), "somebody new")
	}
	for i := range 5 {
		assert.False(t, m.accepts(1, fmt.Sprint("quiet", i), start.Unix(), now))
	}
	for i := range 5000 {
		require.False(t, m.acceptsFrom(2, 1000+i, "p", start.Add(time.Duration(i)*10*time.Millisecond).Unix()+200, now), "a second time")
	}
}

// A wall clock that is ahead for a moment makes no proof good twice, of whomever and whoever came meanwhile.
func TestClockStep_DPOP_09(t *testing.T) {
	for by := 1; by <= 2; by++ {
		m, now, ahead := small(1000, 100), start, start.Add(8*time.Minute)
		require.True(t, m.accepts(1, "stolen", now.Unix(), now))
		require.True(t, m.accepts(by, "other", ahead.Unix(), ahead))
		now = now.Add(10 * time.Second)
		assert.False(t, m.accepts(1, "stolen", start.Unix(), now), "the same proof twice")
		assert.True(t, m.accepts(1, "new", now.Unix(), now))
		assert.True(t, m.accepts(3, "new", now.Unix(), now))
	}
}

// Whoever made a proof at the end of a second can use it for as long as others, whoever has come in the next one.
func TestEndOfSecond_DPOP_09(t *testing.T) {
	m, next := small(1000, 100), start.Add(Window+time.Second)
	require.True(t, m.accepts(1, "first of the second", start.Unix(), start))
	require.True(t, m.accepts(2, "of the next", next.Unix(), next))
	assert.True(t, m.accepts(3, "last of the second", start.Unix(), next.Add(-time.Millisecond)))
}

// All others wait while one is taken away: the rest is not copied for that.
func TestRemoveCopiesNothing_DPOP_09(t *testing.T) {
	h := heap[int]{less: func(a, b int) bool { return a < b }}
	for i := range 1000 {
		h.push(i)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.remove(0) }))
}

// What one has that grew gets smaller again.
func TestRoomIsGivenBack_DPOP_09(t *testing.T) {
	m, now := small(20_000, 10_000), start
	for i := range 10_000 {
		require.True(t, m.accepts(1, strconv.Itoa(i), now.Unix(), now))
	}
	now = now.Add(2*Window + 2*time.Second)
	for i := range 2000 {
		m.accepts(1, fmt.Sprint("later", i%2), now.Unix(), now.Add(time.Duration(i)))
	}
	assert.Len(t, m.ids, 2)
	assert.Less(t, cap(m.owners["1"].uses.all), 1000)
}

// The front is the least after any change, and everybody knows where he stands.
func TestHeap_DPOP_09(t *testing.T) {
	type member struct{ value, at int }
	random := rand.New(rand.NewPCG(1, 2))
	h := heap[*member]{less: func(a, b *member) bool { return a.value < b.value }, moved: func(m *member, at int) { m.at = at }}
	for range 5000 {
		switch n := random.IntN(5); {
		case n < 2 || len(h.all) == 0:
			h.push(&member{value: random.IntN(50)})
		case n == 2:
			h.remove(random.IntN(len(h.all)))
		default:
			m := h.all[random.IntN(len(h.all))]
			m.value = random.IntN(50)
			h.fix(m.at)
		}
		for i, m := range h.all {
			if i != m.at || h.all[max(i-1, 0)/2].value > m.value {
				require.Fail(t, "out of order", "%d", i)
			}
		}
	}
}

// The model remembers everything for ever. The memory may refuse more, and never accepts what the model refuses.
func TestMemoryAgainstModel_DPOP_09(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		m, now, used := small(50+random.IntN(100), 5+random.IntN(20)), start, map[string]bool{}
		accepted := 0
		for i := range 2000 {
			now = now.Add(time.Duration(random.IntN(500)) * time.Millisecond)
			by, key, jti := random.IntN(1+random.IntN(30)), random.IntN(3), strconv.Itoa(random.IntN(300))
			if random.IntN(200) == 0 { // the clock is set, and may be set back
				now = now.Add(time.Duration(random.IntN(1200)-600) * time.Second)
			}
			second := now.Unix() - random.Int64N(int64(Window.Seconds()))
			name := fmt.Sprint(by, " ", key, " ", jti, " ", second) // the same jti with another time is another proof
			good := m.acceptsFrom(by, 3*by+key, jti, second, now)
			if good && used[name] {
				require.Fail(t, "a proof twice", name)
			} else if good {
				accepted++
			}
			used[name] = used[name] || good
			if i%50 != 0 {
				continue
			}
			require.LessOrEqual(t, len(m.ids), m.limit)
			total := 0
			for _, o := range m.owners {
				require.NotEmpty(t, o.uses.all)
				require.LessOrEqual(t, len(o.uses.all), m.share)
				total += len(o.uses.all)
			}
			require.Equal(t, len(m.ids), total)
			m.isInOrder(t)
		}
		require.Greater(t, accepted, 100)
	}
}

// isInOrder: everybody knows where he stands, and in front stand who has the oldest use and who has most.
func (m *memory) isInOrder(t *testing.T) {
	t.Helper()
	require.Len(t, m.oldest.all, len(m.owners))
	require.Len(t, m.most.all, len(m.owners))
	for i := range m.owners {
		o := m.owners[i]
		require.Same(t, o, m.oldest.all[o.oldestAt])
		require.Same(t, o, m.most.all[o.mostAt])
		require.LessOrEqual(t, m.oldest.all[0].uses.all[0].second, o.uses.all[0].second)
		require.GreaterOrEqual(t, len(m.most.all[0].uses.all), len(o.uses.all))
		for _, u := range o.uses.all {
			require.LessOrEqual(t, o.uses.all[0].second, u.second)
		}
	}
}

// Of several who have most, whoever comes loses its own.
func TestWhoeverComesPays_DPOP_09(t *testing.T) {
	m, now := small(5, 10), start
	for i := range 3 {
		require.True(t, m.accepts(1, strconv.Itoa(i), now.Unix(), now))
	}
	for i := range 3 {
		require.True(t, m.accepts(2, strconv.Itoa(i), now.Unix()+int64(i), now))
	}
	assert.Len(t, m.owners["1"].uses.all, 3)
	assert.Len(t, m.owners["2"].uses.all, 2)
	full, denied := m.use("1", nameOf(keyNamed(1), "0"), now.Unix(), now)
	assert.NotNil(t, denied)
	assert.False(t, full)
	m.told = false
	full, denied = m.use("2", nameOf(keyNamed(2), "old"), now.Unix(), now)
	assert.NotNil(t, denied)
	assert.False(t, full)
	all := newMemory()
	assert.Equal(t, []int{131072, 16384}, []int{all.limit, all.share})
}

// Of many who come with one proof at once, one is served.
func TestAtOnce_DPOP_09(t *testing.T) {
	c, me := newChecker(t, resource), newClient(t)
	b := me.binding()
	for range 20 {
		proof, now := me.proof(nil), time.Now()
		var served atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if _, denied := c.Check(t.Context(), post(proof), b, now, false); denied == nil {
					served.Add(1)
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, served.Load())
	}
}

// TestClocksOfReplicas: as long as a replica whose clock is behind takes a proof for one of now, the others' entry is there. A proof
// of whatever second counts once.
func TestClocksOfReplicas_DPOP_09(t *testing.T) {
	key := newClient(t)
	for _, behind := range []time.Duration{0, 10 * time.Second, time.Minute} {
		for _, made := range []time.Duration{-Window, -Window + 999*time.Millisecond, 0, Window} {
			var until time.Time // of the entry, by the clock that the store has
			now := start
			first, second := newChecker(t, resource), newChecker(t, resource)
			first.common = func(_ context.Context, _ string, ttl time.Duration) (bool, error) {
				until = now.Add(ttl)
				return true, nil
			}
			second.common = func(context.Context, string, time.Duration) (bool, error) { return !now.Before(until), nil }
			proof := key.proof(claims{"iat": float64(start.Add(made).UnixMilli()) / 1e3})
			_, denied := first.Check(t.Context(), post(proof), key.binding(), now, false)
			require.Nil(t, denied)
			// The last millisecond in which it counts by the other clock.
			now = start.Add(made + Window + behind)
			_, denied = second.Check(t.Context(), post(proof), key.binding(), now.Add(-behind), false)
			require.NotNil(t, denied, "a proof made at %s, and a clock that is %s behind", made, behind)
			assert.Equal(t, "proof-replayed", denied.Cause)
		}
	}
}
