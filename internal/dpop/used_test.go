package dpop

import (
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

func (m *memory) accepts(key int, jti string, second int64, now time.Time) bool {
	_, denied := m.use(keyNamed(key), jti, second, now)
	return denied == nil
}

// A key that is used more than there is room for loses its own oldest proofs, which are refused from then on. Nobody
// else notices.
func TestOneKeyFillsItsShare_DPOP_09(t *testing.T) {
	m, now := small(1000, 100), start
	require.True(t, m.accepts(1, "quiet", now.Unix(), now))
	fulls := 0
	for i := range 10_000 {
		now = start.Add(time.Duration(i) * 10 * time.Millisecond)
		full, _ := m.use(keyNamed(2), fmt.Sprint("p", i), now.Unix(), now)
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

// However many keys somebody has, those who have little keep it, and a proof of this moment counts.
func TestManyKeys_DPOP_09(t *testing.T) {
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
	assert.True(t, m.accepts(100, "a new key", now.Unix(), now))
	for i := 40_000 - 2000; i < 40_000; i++ {
		made := start.Add(time.Duration(i) * 2 * time.Millisecond)
		require.False(t, m.accepts(2+i%40, fmt.Sprint("p", i), made.Unix(), now))
	}
}

// More keys at once than there are places: those that are there stay, and one more is refused until a place is free.
func TestAllKeysHaveOne_DPOP_09(t *testing.T) {
	m, now := small(100, 10), start
	for i := range 100 {
		require.True(t, m.accepts(i, "p", now.Unix(), now))
	}
	assert.False(t, m.accepts(100, "p", now.Unix(), now))
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
	now = now.Add(Window + sweepEvery)
	require.True(t, m.accepts(1000, "p", now.Unix(), now))
	assert.Len(t, m.ids, 1)
	assert.Len(t, m.owners, 1)
}

// The model remembers everything for ever. The memory may refuse more, and never accepts what the model refuses.
func TestMemoryAgainstModel_DPOP_09(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		m, now, used := small(50+random.IntN(100), 5+random.IntN(20)), start, map[string]bool{}
		accepted := 0
		for i := range 2000 {
			now = now.Add(time.Duration(random.IntN(500)) * time.Millisecond)
			key, jti := random.IntN(1+random.IntN(30)), strconv.Itoa(random.IntN(300))
			second := now.Unix() - random.Int64N(int64(Window.Seconds()))
			name := fmt.Sprint(key, " ", jti, " ", second) // the same jti with another time is another proof
			good := m.accepts(key, jti, second, now)
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
				require.LessOrEqual(t, len(o.uses), m.share)
				total += len(o.uses)
			}
			require.Equal(t, len(m.ids), total)
		}
		require.Greater(t, accepted, 100)
	}
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
				if _, denied := c.Check(post(proof), b, now, false); denied == nil {
					served.Add(1)
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, served.Load())
	}
}
