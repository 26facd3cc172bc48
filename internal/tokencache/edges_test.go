package tokencache

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// at is a key of the set of that number, where there are more than n sets.
func at(n, i int) Key { return Key{0: byte(i), 8: byte(n), 15: 1} }

func itself(n *int) int { return *n }

// filled is a cache of so many sets.
func filled(sets, maxBytes int) *Cache[int] {
	c := New(ways*64, maxBytes, itself)
	for len(c.table.Load().sets) < sets {
		c.grow(c.table.Load(), 0)
	}
	return c
}

func TestNames_TOK_62(t *testing.T) {
	c := New(64, 1<<20, hundred)
	assert.NotEqual(t, c.Key("a"), c.Key("b"))
	assert.NotEqual(t, Key{}, c.Key("a"))
	assert.Nil(t, c.Get(Key{}, c.start), "a fingerprint that is zero is not that of a free place")
}

// What cannot be kept costs nobody else's place, and what just fits is kept.
func TestAdd_JustFits_TOK_62_LIMITS_13(t *testing.T) {
	half, whole, more := 500-overhead, 1000-overhead, 1001-overhead
	c := filled(1, 1000)
	now := c.start
	c.Add(at(0, 1), 1, &half, now, time.Hour)
	c.Add(at(0, 2), 2, &half, now, time.Hour)
	assert.Equal(t, 1000, c.bytes, "both fit")
	assert.Len(t, c.table.Load().sets, 1, "there was room")
	c.Add(at(0, 3), 3, &more, now, time.Hour)
	c.Add(at(0, 4), 4, &half, now, 0)
	c.Add(at(0, 1), 1, &more, now, -time.Hour)
	for i := range 5 {
		assert.Equal(t, i == 1 || i == 2, c.Get(at(0, i), now) != nil, i)
	}
	c.Add(at(0, 3), 3, &whole, now, time.Hour)
	assert.NotNil(t, c.Get(at(0, 3), now), "as large as all there is")
	assert.Equal(t, 1000, c.bytes)

	empty := New(64, 1000, itself)
	empty.Add(at(0, 1), 1, &half, now, 0)
	assert.Zero(t, empty.bytes, "no life, no entry")
}

func TestRemove_One_TOK_62(t *testing.T) {
	c := New(64, 1<<20, hundred)
	value := 1
	c.Add(at(0, 1), 0, &value, c.start, time.Hour)
	c.Add(at(0, 2), 0, &value, c.start, time.Hour)
	c.Remove(at(0, 1))
	assert.Nil(t, c.Get(at(0, 1), c.start))
	assert.NotNil(t, c.Get(at(0, 2), c.start), "only that one")
}

// An entry is dead from the moment at which it dies: its place is free then, it moves to no larger
// table, it is swept, and it is the first to make room.
func TestDead_ToTheMoment_TOK_62_LIMITS_13(t *testing.T) {
	value := 100
	full := func() (c *Cache[int], end time.Time) {
		c = filled(2, 1<<20)
		for i := range ways {
			c.Add(at(1+2*(i%2), i), 0, &value, c.start, time.Minute) // one set, which a larger table splits
		}
		require.Len(t, c.table.Load().sets, 2)
		return c, c.start.Add(time.Minute)
	}
	t.Run("LIMITS-13 a free place", func(t *testing.T) {
		c, end := full()
		c.hand = 1 // the other set is swept
		c.Add(at(1, ways), 0, &value, end, time.Minute)
		assert.Len(t, c.table.Load().sets, 2, "no room was needed")
		assert.NotNil(t, c.Get(at(1, ways), end))
	})
	t.Run("LIMITS-13 alive", func(t *testing.T) {
		c, end := full()
		c.Add(at(1, ways), 0, &value, end.Add(-1), time.Minute)
		assert.Greater(t, len(c.table.Load().sets), 2)
		assert.NotNil(t, c.Get(at(1, 0), end.Add(-1)))
	})
	t.Run("TOK-62 a larger table", func(t *testing.T) {
		c, _ := full()
		c.grow(c.table.Load(), time.Minute)
		entries, _ := c.count()
		assert.Zero(t, entries)
		assert.Zero(t, c.bytes)
	})
	t.Run("TOK-62 swept", func(t *testing.T) {
		c, end := full()
		c.hand = 0
		c.Add(at(0, 1), 0, &value, end, time.Minute)
		entries, _ := c.count()
		assert.Equal(t, 1, entries)
	})
	t.Run("LIMITS-13 pays first", func(t *testing.T) {
		c := filled(4, 4*(100+overhead))
		now, end := c.start, c.start.Add(time.Minute)
		for i := range 3 { // the one that dies is not the first of its set
			life := time.Hour
			if i == 2 {
				life = time.Minute
			}
			c.Add(at(2, i), 7, &value, now, life)
		}
		c.Add(at(0, 9), 7, &value, now, 2*time.Hour)
		*c.heldBy(8) = 4 * few                       // who comes has more than all others
		c.hand = 0                                   // set 1 is swept, and the next to pay is set 2
		c.Add(at(3, 1), 8, &value, end, time.Second) // it would die before any other
		assert.Nil(t, c.Get(at(2, 2), now), "its place is taken")
		for _, k := range []Key{at(2, 0), at(2, 1), at(0, 9), at(3, 1)} {
			assert.NotNil(t, c.Get(k, end), k)
		}
	})
}

// Who comes is not the one to go, even if it dies before all others of its owner.
func TestEvict_NotTheNewcomer_LIMITS_13(t *testing.T) {
	value := 100
	c := filled(1, 100+overhead)
	c.Add(at(0, 1), 0, &value, c.start, time.Hour)
	c.Add(at(0, 2), 0, &value, c.start, time.Minute)
	assert.Nil(t, c.Get(at(0, 1), c.start))
	assert.NotNil(t, c.Get(at(0, 2), c.start))
}

// Where all that are looked at have less, the newcomer is not kept.
func TestEvict_NobodyPays_LIMITS_13(t *testing.T) {
	value := 100
	c := filled(64, 2*(100+overhead))
	c.Add(at(5, 1), 1, &value, c.start, time.Hour)
	c.Add(at(5, 2), 2, &value, c.start, time.Hour)
	*c.heldBy(3) = 4 * few // elsewhere, further away than is looked
	c.hand = 0
	c.Add(at(40, 3), 3, &value, c.start, time.Hour)
	assert.Nil(t, c.Get(at(40, 3), c.start))
	assert.NotNil(t, c.Get(at(5, 1), c.start))
	assert.NotNil(t, c.Get(at(5, 2), c.start))
	assert.Equal(t, int32(4*few), *c.heldBy(3))
}

func TestClass_LIMITS_13(t *testing.T) {
	for entries, want := range map[int32]int{0: 0, 7: 0, 8: 1, 15: 1, 16: 2, 31: 2, 32: 3} {
		assert.Equal(t, want, class(entries), entries)
	}
}

// Of those in a set it is always one whose owner has most that makes room; of several mostly the last to die.
func TestPays_LIMITS_13(t *testing.T) {
	value := 100
	c := filled(2, 1<<20)
	s := &c.table.Load().sets[1]
	set := func(owners ...uint32) {
		for i := range s.entries {
			c.put(s, i, nil)
		}
		for i, owner := range owners { // each dies before the one in front of it
			c.put(s, i, &entry[int]{key: at(1, i), dies: time.Hour - time.Duration(i), value: &value, owner: owner, cost: 1})
		}
		*c.heldBy(7) = 4 * few
		*c.heldBy(8) = 2 * few
	}
	newcomer := &entry[int]{owner: 9}
	chosen := func() (times [ways]int) {
		for range 1000 {
			times[c.pays(s, newcomer, 1, 0)]++
		}
		return times
	}
	set(1, 8, 7, 2)
	assert.Equal(t, [ways]int{2: 1000}, chosen())
	set(7, 8, 1)
	assert.Equal(t, [ways]int{0: 1000}, chosen())
	set(1, 2)
	times := chosen()
	assert.Greater(t, times[0], 850, "the last to die")
	assert.Positive(t, times[1], "now and then any")
	for i := range 2 { // and now the second is the last
		c.put(s, i, &entry[int]{key: at(1, i), dies: time.Hour + time.Duration(i), value: &value, owner: uint32(i), cost: 1})
	}
	times = chosen()
	assert.Greater(t, times[1], 850)
	assert.Positive(t, times[0])

	newcomer = s.entries[1].Load()
	assert.Equal(t, 1000, chosen()[0], "never itself")
}

// So far ahead, and no further, it is looked for an entry that makes room.
func TestEvict_HowFar_LIMITS_13(t *testing.T) {
	value := 100
	for set, pays := range map[int]bool{8: true, 16: true, 17: false, 18: false} {
		c := filled(64, 2*(100+overhead))
		c.Add(at(set, 1), 1, &value, c.start, time.Hour)
		c.Add(at(set, 2), 1, &value, c.start, time.Hour)
		c.hand = 63 // the sweep takes one step
		c.Add(at(40, 3), 2, &value, c.start, time.Hour)
		assert.Equal(t, pays, c.Get(at(40, 3), c.start) != nil, set)
		entries, _ := c.count()
		assert.Equal(t, 2, entries, "one makes room and no more")
		assert.Equal(t, uint64(1), c.Use().Lost)
	}
}

// Where bytes run out, those who have room make room for others in time, too.
func TestEquals_Bytes_LIMITS_13(t *testing.T) {
	const fit = 64
	c := New(1<<10, fit*(100+overhead), hundred)
	value, now := 1, c.start
	key := func(i int) Key { return c.hasher.key(fmt.Sprint(i)) }
	for i := range 2000 {
		now = now.Add(time.Millisecond)
		c.Add(key(i), uint32(i), &value, now, time.Hour)
	}
	left := 0
	for i := range fit {
		if c.Get(key(i), now) != nil {
			left++
		}
	}
	assert.Less(t, left, fit*3/4)
}

// The last that came without room makes room for the next, unless its owner has less.
func TestEvictGuest_LIMITS_13(t *testing.T) {
	value := 100
	c := filled(4, 1<<20)
	for i := range 3 {
		c.Add(at(1, i), uint32(i), &value, c.start, time.Hour)
	}
	newcomer := &entry[int]{key: at(2, 9), owner: 9}
	c.guest = at(1, 1)
	*c.heldBy(9) = few
	assert.False(t, c.evictGuest(newcomer, 0), "its owner has less")
	*c.heldBy(9) = 1
	assert.False(t, c.evictGuest(c.table.Load().of(&c.guest).entries[1].Load(), 0), "it is the newcomer")
	assert.True(t, c.evictGuest(newcomer, 0))
	assert.False(t, c.evictGuest(newcomer, 0), "it is gone")
	for i := range 3 {
		assert.Equal(t, i != 1, c.Get(at(1, i), c.start) != nil, i)
	}
}

func TestDrop_TheDeadAreNotLost_TOK_62(t *testing.T) {
	value := 100
	c := filled(2, 1<<20)
	for i := range 2 {
		c.Add(at(1, i), 0, &value, c.start, time.Minute)
		c.drop(&c.table.Load().sets[1], 0, time.Minute-time.Duration(i))
	}
	assert.Equal(t, Use{MaxBytes: 1 << 20, Lost: 1}, c.Use())
	assert.False(t, c.Add(at(1, 1), 0, &value, c.start, 0))
}
