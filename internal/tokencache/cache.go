// Package tokencache remembers what the verification of an access token has
// found, for a short time and under a name from which nobody can get the token
// back.
//
// Reading takes no lock and writes nothing, so it scales with the cores: a table of sets with
// eight places each, every place a fingerprint and a pointer to an entry that
// never changes. Writing takes one lock; each write follows a signature check,
// which costs a hundred times as much.
package tokencache

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ways is the number of places in a set: their fingerprints fill one cache line.
const ways = 8

// lookedAt is in how many sets an entry is looked for that makes room for another.
const lookedAt = 16

// few is the number of entries from which on somebody has more than others.
const few = 8

// overhead is what an entry costs beside its value, in bytes: 48 for the entry itself, and 20
// for each place, with the number of an owner's entries, of a table of which a third is in use.
const overhead = 112

// Cache is a bounded map from tokens to values of type *V. The zero value is
// not usable: see [New]. It is safe for concurrent use.
type Cache[V any] struct {
	hasher   *hasher
	maxSets  int
	maxBytes int
	size     func(*V) int
	start    time.Time // moments are counted from here, on the monotonic clock
	table    atomic.Pointer[table[V]]
	seed     maphash.Seed // of the numbers of owners

	mu      sync.Mutex
	bytes   int
	entries int     // the dead that are not swept yet included
	lost    uint64  // living entries that made room, or found none
	guest   Key     // the entry that came last while there was no room; any other if it is gone
	hand    int     // the set that is swept next
	held    []int32 // entries of each owner, at its number modulo the length: as many as there are places
}

type table[V any] struct {
	sets []set[V] // a power of two
}

type set[V any] struct {
	prints  [ways]atomic.Uint64
	entries [ways]atomic.Pointer[entry[V]]
}

// entry never changes once it is in a table.
type entry[V any] struct {
	key   Key
	dies  time.Duration // since start
	value *V
	owner uint32
	cost  uint32 // bytes
}

// New makes a cache of at most maxEntries values, rounded up to a power of
// two, and at most maxBytes bytes. size tells how many bytes a value keeps
// alive, always the same. The cache begins small and grows with use.
func New[V any](maxEntries, maxBytes int, size func(*V) int) *Cache[V] {
	c := &Cache[V]{hasher: newHasher(approvedOnly()), maxSets: 1, maxBytes: maxBytes, size: size, start: time.Now(),
		seed: maphash.MakeSeed(), held: make([]int32, ways)}
	for c.maxSets*ways < maxEntries {
		c.maxSets *= 2
	}
	c.table.Store(&table[V]{sets: make([]set[V], 1)})
	return c
}

// Key returns the name of a token in this cache. Names of different caches
// have nothing in common.
func (c *Cache[V]) Key(token string) Key { return c.hasher.key(token) }

// print is the part of a key that a place shows; of picks the set by another part.
func (k *Key) print() uint64 { return binary.LittleEndian.Uint64(k[:8]) }

func (t *table[V]) of(k *Key) *set[V] {
	return &t.sets[binary.LittleEndian.Uint64(k[8:])&uint64(len(t.sets)-1)]
}

// Get returns the value of a token, or nil when there is none or its time is over.
func (c *Cache[V]) Get(k Key, now time.Time) *V {
	s := c.table.Load().of(&k)
	print := k.print()
	for i := range s.prints {
		if s.prints[i].Load() != print {
			continue
		}
		if e := s.entries[i].Load(); e != nil && e.key == k && now.Sub(c.start) < e.dies {
			return e.value
		}
	}
	return nil
}

// Owner returns a number for somebody, which [Cache.Add] wants. That two have
// one number is unlikely, cannot be brought about, and only lets them share a fate.
func (c *Cache[V]) Owner(names ...string) uint32 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, name := range names {
		_, _ = h.WriteString(name)
		_ = h.WriteByte(0)
	}
	return uint32(h.Sum64())
}

// Add remembers a value of an owner for a while. Beyond the bounds it takes the
// place of one whose owner has at least as much as its own, of several mostly the one
// that came last: if more are used in turn than there is room for, those that have it are found
// again, and do not push each other out before they are. Where there is none it is not remembered
// itself: a flood pushes out what the flooder has, and nothing else. It reports whether something
// was lost for the first time although its time was not over.
func (c *Cache[V]) Add(k Key, owner uint32, value *V, now time.Time, life time.Duration) (full bool) {
	age := now.Sub(c.start)
	e := &entry[V]{key: k, dies: age + life, value: value, owner: owner, cost: uint32(min(overhead+c.size(value), math.MaxInt32))}
	if life <= 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.lost
	c.add(e, age)
	return before == 0 && c.lost > 0
}

func (c *Cache[V]) add(e *entry[V], age time.Duration) {
	if int(e.cost) > c.maxBytes {
		c.lost++
		return
	}
	c.sweep(age)
	k, t := e.key, c.table.Load()
	i, free := t.of(&k).place(&k, age)
	for !free && len(t.sets) < c.maxSets {
		t = c.grow(t, age)
		i, free = t.of(&k).place(&k, age)
	}
	if !free {
		c.lost++
		if i = c.pays(t.of(&k), e, *c.heldBy(e.owner)+1, age); i < 0 {
			return
		}
	}
	c.put(t.of(&k), i, e)
	for c.bytes > c.maxBytes {
		c.evict(e, age)
		c.guest = k
	}
}

// Use is how full a cache is.
type Use struct {
	Entries  int
	Bytes    int // of MaxBytes
	MaxBytes int
	Lost     uint64 // entries since the start that made room while they were alive, or found none
}

// Use tells how full the cache is.
func (c *Cache[V]) Use() Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Use{c.entries, c.bytes, c.maxBytes, c.lost}
}

// Remove forgets the value of a token.
func (c *Cache[V]) Remove(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k)
}

func (c *Cache[V]) remove(k Key) {
	s := c.table.Load().of(&k)
	for i := range s.entries {
		if e := s.entries[i].Load(); e != nil && e.key == k {
			c.put(s, i, nil)
		}
	}
}

// place finds where an entry may stand: in its own former place, or in one that
// is free or whose entry is dead.
func (s *set[V]) place(k *Key, age time.Duration) (at int, free bool) {
	for i := range s.entries {
		e := s.entries[i].Load()
		if e != nil && e.key == *k {
			return i, true
		}
		if !free && (e == nil || e.dies <= age) {
			at, free = i, true
		}
	}
	return at, free
}

// heldBy counts the entries of an owner.
func (c *Cache[V]) heldBy(owner uint32) *int32 { return &c.held[owner&uint32(len(c.held)-1)] }

// class is how much somebody has who has so many entries, in powers of two. All who
// have a few are equal, so that nobody has the worse of it for a second token.
func class(entries int32) int { return bits.Len32(uint32(entries) / few) }

// turnover is how many newcomers there are to one for which something older makes room than the last of them.
const turnover = 8

// pays chooses the entry of a set that makes room for another one, whose owner
// has so many: a dead one, or of those whose owners have most the last to die, and now and then any.
// It is -1 if all others have less.
func (c *Cache[V]) pays(s *set[V], newcomer *entry[V], has int32, age time.Duration) (at int) {
	var last time.Duration
	own, most, equals := c.heldBy(newcomer.owner), class(has), 0
	anyOf := rand.IntN(turnover) == 0
	at = -1
	for i := range s.entries {
		e := s.entries[i].Load()
		if e == nil || e == newcomer {
			continue
		}
		if e.dies <= age {
			return i
		}
		held := class(has)
		if other := c.heldBy(e.owner); other != own {
			held = class(*other)
		}
		if held < most {
			continue
		}
		if equals++; held > most {
			most, equals = held, 1
		}
		if equals == 1 || anyOf && rand.IntN(equals) == 0 || !anyOf && e.dies > last {
			at, last = i, e.dies
		}
	}
	return at
}

// put fills or frees a place. A reader in between finds an entry that is not
// the one its fingerprint promises, and takes it for none.
func (c *Cache[V]) put(s *set[V], i int, e *entry[V]) {
	if old := s.entries[i].Load(); old != nil {
		c.bytes -= int(old.cost)
		c.entries--
		*c.heldBy(old.owner)--
	}
	s.entries[i].Store(e)
	if e == nil {
		s.prints[i].Store(0)
		return
	}
	c.bytes += int(e.cost)
	c.entries++
	*c.heldBy(e.owner)++
	s.prints[i].Store(e.key.print())
}

// grow moves what is alive to a table of twice the size.
func (c *Cache[V]) grow(old *table[V], age time.Duration) *table[V] {
	t := &table[V]{sets: make([]set[V], 2*len(old.sets))}
	c.bytes, c.entries, c.held = 0, 0, make([]int32, ways*len(t.sets))
	for i := range old.sets {
		for j := range old.sets[i].entries {
			if e := old.sets[i].entries[j].Load(); e != nil && e.dies > age {
				s := t.of(&e.key)
				at, _ := s.place(&e.key, age) // there are as many places as in the old set
				c.put(s, at, e)
			}
		}
	}
	c.table.Store(t)
	return t
}

// sweep frees the places of the dead in one set: with each write a further
// one, so that no value stays in memory long after its time.
func (c *Cache[V]) sweep(age time.Duration) {
	s := c.next()
	for i := range s.entries {
		if e := s.entries[i].Load(); e != nil && e.dies <= age {
			c.put(s, i, nil)
		}
	}
}

// evict frees a place for the entry that has just come, in one of the sets
// ahead, or takes that entry out again.
func (c *Cache[V]) evict(newcomer *entry[V], age time.Duration) {
	if rand.IntN(turnover) > 0 && c.evictGuest(newcomer, age) {
		return
	}
	for range lookedAt {
		s := c.next()
		if i := c.pays(s, newcomer, *c.heldBy(newcomer.owner), age); i >= 0 {
			c.drop(s, i, age)
			return
		}
	}
	c.lost++
	c.remove(newcomer.key)
}

// drop frees a place for want of room.
func (c *Cache[V]) drop(s *set[V], i int, age time.Duration) {
	if s.entries[i].Load().dies > age {
		c.lost++
	}
	c.put(s, i, nil)
}

// evictGuest lets the last one that came without room make room, if its owner has no less than that of the next.
func (c *Cache[V]) evictGuest(newcomer *entry[V], age time.Duration) bool {
	s := c.table.Load().of(&c.guest)
	for i := range s.entries {
		e := s.entries[i].Load()
		if e != nil && e.key == c.guest && e != newcomer && class(*c.heldBy(e.owner)) >= class(*c.heldBy(newcomer.owner)) {
			c.drop(s, i, age)
			return true
		}
	}
	return false
}

func (c *Cache[V]) next() *set[V] {
	sets := c.table.Load().sets
	c.hand = (c.hand + 1) & (len(sets) - 1)
	return &sets[c.hand]
}
