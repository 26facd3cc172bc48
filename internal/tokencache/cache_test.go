package tokencache

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hundred is the size of every value.
func hundred(*int) int { return 100 }

func keyOf(i int) Key {
	return Key{byte(i), byte(i >> 8), byte(i >> 16), 1, 8: byte(i * 7), 9: byte(i >> 3)}
}

func TestGet_TOK_62(t *testing.T) {
	c := New(64, 1<<20, hundred)
	now := c.start.Add(time.Hour)
	one, two := 1, 2
	k := keyOf(1)
	assert.Nil(t, c.Get(k, now), "empty")
	c.Add(k, 0, &one, now, time.Minute)
	assert.Same(t, &one, c.Get(k, now))
	assert.Same(t, &one, c.Get(k, now.Add(time.Minute-1)))
	assert.Nil(t, c.Get(k, now.Add(time.Minute)), "TOK-62: its time is over")
	assert.Nil(t, c.Get(keyOf(2), now), "another token")
	c.Add(k, 0, &two, now, time.Hour)
	assert.Same(t, &two, c.Get(k, now.Add(time.Minute)), "the later one counts")
	assert.Equal(t, 100+overhead, c.bytes)
	c.Remove(keyOf(3))
	c.Remove(k)
	assert.Nil(t, c.Get(k, now))
	assert.Zero(t, c.bytes)
	c.Add(k, 0, &one, now, 0)
	assert.Nil(t, c.Get(k, now), "no life, no entry")
	small := New(64, 100, hundred)
	small.Add(k, 0, &one, now, time.Hour)
	assert.Nil(t, small.Get(k, now), "larger than all there is")
}

// Two keys with one fingerprint in one set are two tokens.
func TestFingerprint_TOK_62(t *testing.T) {
	c := New(64, 1<<20, hundred)
	now := c.start
	a, b := Key{0: 1, 15: 1}, Key{0: 1, 15: 2}
	require.Equal(t, a.print(), b.print())
	one, two := 1, 2
	c.Add(a, 0, &one, now, time.Hour)
	assert.Nil(t, c.Get(b, now))
	c.Add(b, 0, &two, now, time.Hour)
	assert.Same(t, &one, c.Get(a, now))
	assert.Same(t, &two, c.Get(b, now))
}

func (c *Cache[V]) count() (entries, bytes int) {
	sets := c.table.Load().sets
	for i := range sets {
		for j := range sets[i].entries {
			if e := sets[i].entries[j].Load(); e != nil {
				entries++
				bytes += overhead + c.size(e.value)
			}
		}
	}
	return entries, bytes
}

// Whatever happens, the bounds hold, and a value is that of its key and alive.
func TestBounds_TOK_62(t *testing.T) {
	const maxEntries, maxBytes = 256, 3_000
	c := New(maxEntries, maxBytes, hundred)
	r := rand.New(rand.NewPCG(1, 2))
	now := c.start
	dies := map[Key]time.Time{}
	hits := 0
	for i := range 200_000 {
		now = now.Add(time.Duration(r.IntN(int(time.Second))))
		n := r.IntN(2000)
		k := keyOf(n)
		switch r.IntN(8) {
		case 0, 1, 2:
			life := time.Duration(r.IntN(100)) * time.Second
			c.Add(k, 0, &n, now, life)
			if life > 0 {
				dies[k] = now.Add(life)
			}
		case 3:
			c.Remove(k)
			delete(dies, k)
		default:
			if got := c.Get(k, now); got != nil {
				hits++
				require.Equal(t, n, *got, "the value of another token")
				require.True(t, now.Before(dies[k]), "dead, or removed")
			}
		}
		require.LessOrEqual(t, c.bytes, maxBytes)
		if i%1000 == 0 {
			entries, bytes := c.count()
			require.LessOrEqual(t, entries, maxEntries)
			require.Equal(t, bytes, c.bytes)
		}
	}
	assert.Greater(t, hits, 100, "it does remember")
}

// What is alive and within the bounds is not lost while the table grows.
func TestGrowth(t *testing.T) {
	c := New(1<<14, 1<<30, hundred)
	now := c.start
	h := newHasher(false)
	for i := range 1000 {
		c.Add(h.key(fmt.Sprint(i)), 0, &i, now, time.Hour)
	}
	for i := range 1000 {
		require.NotNil(t, c.Get(h.key(fmt.Sprint(i)), now), i)
	}
	// A flood of further tokens takes places, and the bound holds.
	for i := range 60_000 {
		c.Add(h.key(fmt.Sprint("flood", i)), 0, &i, now, time.Hour)
	}
	entries, _ := c.count()
	assert.LessOrEqual(t, entries, 1<<14)
	assert.Greater(t, entries, 1<<13)
	// The dead leave with the writes that follow.
	later := now.Add(2 * time.Hour)
	for i := range 1 << 11 {
		c.Add(h.key(fmt.Sprint("later", i)), 0, &i, later, time.Minute)
	}
	entries, _ = c.count()
	assert.LessOrEqual(t, entries, 1<<11, "swept")
}

// Whoever fills the memory pushes out what it has there itself: what somebody else has
// is found for all of its life, whether bytes run out or places, and a newcomer finds room.
func TestFlood_LIMITS_13(t *testing.T) {
	for _, row := range []struct {
		name             string
		entries, bytes   int
		size, flood      int
		owners, ownerHas int // of the flood, and how many others there are with how many each
	}{
		{"LIMITS-13 bytes", 1 << 16, 64 << 20, 1900, 100_000, 1, 1},
		{"LIMITS-13 bytes, large tokens", 1 << 16, 64 << 20, 25_000, 20_000, 1, 3},
		{"LIMITS-13 places", 1 << 14, 1 << 30, 100, 100_000, 1, 4},
		{"LIMITS-13 a hundred who flood", 1 << 16, 64 << 20, 1900, 50_000, 100, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := New(row.entries, row.bytes, func(*int) int { return row.size })
			now, value := c.start, 1
			key := func(owner string, i int) Key { return c.hasher.key(fmt.Sprint(owner, i)) }
			const others = 100
			for o := range others {
				owner := fmt.Sprint("u", o)
				for i := range row.ownerHas {
					c.Add(key(owner, i), c.Owner("as", owner), &value, now, time.Minute)
				}
			}
			for i := range row.flood {
				owner := fmt.Sprint("flooder", i%row.owners)
				c.Add(key(owner, i), c.Owner("as", owner), &value, now.Add(time.Second), time.Minute)
				if i%1000 == 0 {
					require.LessOrEqual(t, c.bytes, row.bytes)
				}
			}
			end := now.Add(time.Minute - 1)
			lost := 0
			for o := range others {
				for i := range row.ownerHas {
					if c.Get(key(fmt.Sprint("u", o), i), end) == nil {
						lost++
					}
				}
			}
			// Who has the number of one who floods, by chance, pays with him. More than so many never do.
			assert.LessOrEqual(t, lost, row.ownerHas*(2+row.owners/8), "numbers: %d", len(c.held))
			newcomers := 0
			for i := range others {
				owner := fmt.Sprint("newcomer", i)
				c.Add(key(owner, i), c.Owner("as", owner), &value, end, time.Minute)
				if c.Get(key(owner, i), end) != nil {
					newcomers++
				}
			}
			assert.GreaterOrEqual(t, newcomers, others-2)
			entries, bytes := c.count()
			assert.Equal(t, bytes, c.bytes)
			assert.LessOrEqual(t, bytes, row.bytes)
			assert.LessOrEqual(t, entries, row.entries)
			counted := 0
			for _, n := range c.held {
				counted += int(n)
			}
			assert.Equal(t, entries, counted)
		})
	}
}

// Who has as many as everybody else is not worse off for coming late: he is found at once, and those who have
// room make room for others in time, though not for each.
func TestEquals_LIMITS_13(t *testing.T) {
	c := New(64, 1<<20, hundred)
	value, now := 1, c.start
	key := func(i int) Key { return c.hasher.key(fmt.Sprint(i)) }
	left := func() (n int) {
		for i := range 64 {
			if c.Get(key(i), now) != nil {
				n++
			}
		}
		return n
	}
	for i := range 2000 {
		now = now.Add(time.Millisecond)
		c.Add(key(i), uint32(i), &value, now, time.Hour)
		require.NotNil(t, c.Get(key(i), now), i)
		if i == 128 {
			assert.Greater(t, left(), 24)
		}
	}
	assert.Less(t, left(), 24)
	assert.Equal(t, Use{64, 64 * (100 + overhead), 1 << 20, 2000 - 64}, c.Use())
}

// What is lost is counted if it was alive, and the first time is told.
func TestUse_TOK_62(t *testing.T) {
	c := New(1<<10, 3*(100+overhead), hundred)
	value, now := 1, c.start
	for i := range 3 {
		assert.False(t, c.Add(keyOf(i), uint32(i), &value, now, time.Second))
	}
	assert.Equal(t, Use{3, 3 * (100 + overhead), 3 * (100 + overhead), 0}, c.Use())
	assert.False(t, c.Add(keyOf(2), 2, &value, now, time.Minute), "it takes its own place")
	assert.True(t, c.Add(keyOf(3), 3, &value, now, time.Second), "the first")
	assert.False(t, c.Add(keyOf(4), 4, &value, now, time.Second), "and the second")
	assert.Equal(t, Use{3, 3 * (100 + overhead), 3 * (100 + overhead), 2}, c.Use())
	c.Remove(keyOf(4))
	assert.EqualValues(t, 2, c.Use().Lost)
	for i := range 100 { // the dead make room, and are no loss
		now = now.Add(2 * time.Minute)
		c.Add(keyOf(5+i), uint32(i), &value, now, time.Minute)
	}
	assert.EqualValues(t, 2, c.Use().Lost)
	small := New(8, 99, hundred)
	assert.True(t, small.Add(keyOf(1), 1, &value, now, time.Minute), "larger than all there is")
	assert.Equal(t, Use{0, 0, 99, 1}, small.Use())
}

func TestReadersAndWriters(t *testing.T) {
	c := New(512, 1<<20, hundred)
	var wg sync.WaitGroup
	values := make([]int, 600)
	for i := range values {
		values[i] = i
	}
	for range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				n := i * 31 % len(values)
				if got := c.Get(keyOf(n), c.start); got != nil && *got != n {
					t.Error("the value of another token")
					return
				}
			}
		})
	}
	for w := range 2 {
		wg.Go(func() {
			for i := range 5_000 {
				n := (i*17 + w) % len(values)
				c.Add(keyOf(n), 0, &values[n], c.start, time.Hour)
				if i%5 == 0 {
					c.Remove(keyOf((n + 1) % len(values)))
				}
			}
		})
	}
	wg.Wait()
}

func TestKey_TOK_62(t *testing.T) {
	token := strings.Repeat("a.b", 5000)
	for name, approved := range map[string]bool{"GMAC": false, "HMAC": true} {
		t.Run(name, func(t *testing.T) {
			h, other := newHasher(approved), newHasher(approved)
			k := h.key(token)
			assert.Equal(t, k, h.key(token))
			assert.NotEqual(t, k, other.key(token), "another process, another name")
			assert.NotEqual(t, Key{}, h.key(""))
			seen := map[Key]bool{}
			for i := range len(token) {
				changed := []byte(token)
				changed[i] ^= 1
				for _, text := range []string{string(changed), token[:i]} {
					k := h.key(text)
					require.False(t, seen[k], "one name for two tokens")
					seen[k] = true
				}
				if i == 500 {
					break
				}
			}
			s := h.pool.Get().(*scratch)
			assert.NotContains(t, string(s.text[:cap(s.text)]), "a.b", "the scratch buffer keeps no token")
		})
	}
	assert.Equal(t, approvedOnly(), New(1, 1, hundred).hasher.secret != nil)
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and empties pools")
	}
	c := New(64, 1<<20, hundred)
	token, value := strings.Repeat("x", 900), 1
	c.Add(c.Key(token), 0, &value, c.start, time.Hour)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if c.Get(c.Key(token), c.start) == nil {
			t.Fatal("not found")
		}
	}))
}

func BenchmarkKey(b *testing.B) {
	token := strings.Repeat("x", 900)
	for name, approved := range map[string]bool{"GMAC": false, "HMAC": true} {
		b.Run(name, func(b *testing.B) {
			h := newHasher(approved)
			b.ReportAllocs()
			for b.Loop() {
				h.key(token)
			}
		})
	}
}

// BenchmarkGet looks tokens up among many, each another than the last, and
// reports the memory that an entry costs beside its value.
func BenchmarkGet(b *testing.B) {
	token := []byte(strings.Repeat("x", 900))
	text := func(i int) string {
		copy(token, fmt.Sprintf("%012d", i))
		return string(token)
	}
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := New(2*n, math.MaxInt, hundred)
			value := 1
			for i := range n {
				c.Add(c.Key(text(i)), 0, &value, c.start, time.Hour)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			tokens := make([]string, 1024)
			for i := range tokens {
				tokens[i] = text(rand.IntN(n))
			}
			hits, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if c.Get(c.Key(tokens[i&1023]), c.start) != nil {
					hits++
				}
				i++
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
			b.ReportMetric(float64(hits)/float64(i), "hits/op")
		})
	}
}

func BenchmarkGetParallel(b *testing.B) {
	c := New(1<<14, 1<<30, hundred)
	value := 1
	tokens := make([]string, 1024)
	for i := range tokens {
		tokens[i] = strings.Repeat("x", 900) + fmt.Sprint(i)
		c.Add(c.Key(tokens[i]), 0, &value, c.start, time.Hour)
	}
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Get(c.Key(tokens[i&1023]), c.start)
		}
	})
}

// The two primitives, computed here once more: neither may stand in for the other.
func TestPrimitives_TOK_62(t *testing.T) {
	h := newHasher(true)
	require.NotNil(t, h.secret)
	assert.Nil(t, h.gmac)
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte("a.b.c"))
	assert.Equal(t, Key(mac.Sum(nil)[:16]), h.key("a.b.c"))
	h = newHasher(false)
	assert.Nil(t, h.secret)
	want := h.gmac.Seal(nil, nonce[:], nil, []byte("a.b.c"))
	h.block.Encrypt(want, want)
	assert.Equal(t, Key(want), h.key("a.b.c"))
}

// In FIPS 140 mode a cache names tokens by the approved function. The mode is chosen when a process starts.
func TestApproved_TOK_62(t *testing.T) {
	if os.Getenv("TOKENCACHE_APPROVED") != "" {
		require.True(t, fips140.Enabled())
		require.NotNil(t, New(1, 1, hundred).hasher.secret)
		return
	}
	command := exec.Command(os.Args[0], "-test.run=^TestApproved_TOK_62$", "-test.count=1")
	command.Env = append(os.Environ(), "TOKENCACHE_APPROVED=1", "GODEBUG=fips140=on")
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// A value dies at its moment, not after; one that fills the bound fits; one without a life does not.
func TestEdges_TOK_62(t *testing.T) {
	c := New(8, overhead+100, hundred)
	one, now := 1, c.start
	c.Add(keyOf(1), 0, &one, now, time.Second)
	assert.NotNil(t, c.Get(keyOf(1), now.Add(time.Second-1)), "and it fits exactly")
	assert.Nil(t, c.Get(keyOf(1), now.Add(time.Second)))
	c.Add(keyOf(2), 0, &one, now.Add(time.Second), time.Second)
	assert.NotNil(t, c.Get(keyOf(2), now.Add(time.Second)), "the dead make room")
	c.Add(keyOf(3), 0, &one, now.Add(time.Second), 0)
	assert.Nil(t, c.Get(keyOf(3), now.Add(time.Second)))
	assert.NotNil(t, c.Get(keyOf(2), now.Add(time.Second)), "and takes nobody's place")
	entries, _ := c.count()
	assert.LessOrEqual(t, entries, 1)
	small := New(8, overhead+99, hundred)
	small.Add(keyOf(1), 0, &one, small.start, time.Second)
	assert.Nil(t, small.Get(keyOf(1), small.start))
}

// usualSize is what is kept of a usual token, see verified.size of the root.
const usualSize = 960

// hitRate is how many of the tokens that are used in turn are found, in the third turn and the fourth. The
// tokens are those of so many owners.
func hitRate(c *Cache[int], tokens, owners, size int) float64 {
	value, hits, now := size, 0, c.start
	for turn := range 4 {
		for i := range tokens {
			k := c.Key(fmt.Sprint(i))
			now = now.Add(10 * time.Microsecond)
			if c.Get(k, now) != nil {
				if turn > 1 {
					hits++
				}
				continue
			}
			c.Add(k, c.Owner("as", fmt.Sprint(i%owners)), &value, now, time.Minute)
		}
	}
	return float64(hits) / float64(2*tokens)
}

// TestProportion_TOK_62: there is no cliff. Of more tokens than there is room for, nearly as many are found as there is room for,
// though each is used as seldom as the others.
func TestProportion_TOK_62(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("hundreds of thousands of tokens, one after the other")
	}
	const room = 64 << 20
	for _, row := range []struct{ tokens, owners int }{
		{60_000, 60_000}, {60_000, 1}, {70_000, 70_000}, {100_000, 100_000}, {100_000, 500},
	} {
		c := New(1<<17, room, func(size *int) int { return *size })
		rate := hitRate(c, row.tokens, row.owners, usualSize)
		fit := min(1, float64(room/(usualSize+overhead))/float64(row.tokens))
		t.Logf("%d tokens of %d owners: %.3f of %.3f", row.tokens, row.owners, rate, fit)
		assert.GreaterOrEqual(t, rate, 0.85*fit)
		if fit == 1 {
			assert.GreaterOrEqual(t, rate, 0.99)
		}
	}
}
