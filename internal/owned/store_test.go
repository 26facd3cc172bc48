package owned

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A store must do what this one does, which looks at everything each time.
type model struct {
	limits  Limits
	entries []modelEntry // the latest used first
}

type modelEntry struct {
	owner, name string
	size, value int
	nobodys     bool
}

func (m *model) add(e modelEntry) {
	if i := slices.IndexFunc(m.entries, func(o modelEntry) bool { return o.name == e.name }); i >= 0 {
		if known := &m.entries[i]; known.owner != e.owner {
			known.size, known.nobodys = 0, true
		}
		return
	}
	if e.size > m.limits.Size {
		return
	}
	m.entries = slices.Insert(m.entries, 0, e)
	for {
		count, size, _ := m.of(e.owner)
		if count <= m.limits.Entries && size <= m.limits.Size {
			break
		}
		m.dropOldest(e.owner)
	}
	for m.held() > m.limits.All {
		m.dropOldest(m.pays())
	}
}

func (m *model) of(owner string) (count, size, cost int) {
	for _, e := range m.entries {
		if e.owner == owner {
			count, size, cost = count+1, size+e.size, cost+e.size+m.limits.Overhead
		}
	}
	return count, size, cost
}

func (m *model) held() (all int) {
	for _, e := range m.entries {
		all += e.size + m.limits.Overhead
	}
	return all
}

// pays is who holds most; of several, the one whose latest use is longest ago.
func (m *model) pays() (owner string) {
	most := -1
	seen := map[string]bool{}
	for _, e := range m.entries {
		if _, _, cost := m.of(e.owner); !seen[e.owner] && cost >= most {
			owner, most = e.owner, cost
		}
		seen[e.owner] = true
	}
	return owner
}

func (m *model) dropOldest(owner string) {
	for i, e := range slices.Backward(m.entries) {
		if e.owner == owner {
			m.entries = slices.Delete(m.entries, i, i+1)
			return
		}
	}
}

func (m *model) get(owner, name string, take bool) (value int, ok bool) {
	for i, e := range m.entries {
		if e.name == name && e.owner == owner && !e.nobodys {
			m.entries = slices.Delete(m.entries, i, i+1)
			if !take {
				m.entries = slices.Insert(m.entries, 0, e)
			}
			return e.value, true
		}
	}
	return 0, false
}

func TestStore_STORE_05(t *testing.T) {
	limits := Limits{Overhead: 10, Entries: 8, Size: 200, All: 1000}
	s, m := New[int](limits), &model{limits: limits}
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for i := range 40_000 {
		owner, name := fmt.Sprint("o", r.IntN(12)), fmt.Sprint("n", r.IntN(120))
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			size := r.IntN(60)
			if r.IntN(50) == 0 {
				size = 190 + r.IntN(20)
			}
			s.Add(owner, owner, name, i, size)
			m.add(modelEntry{owner: owner, name: name, size: size, value: i})
		case 4:
			got, ok := s.Take(owner, name)
			want, wanted := m.get(owner, name, true)
			require.Equal(t, wanted, ok, i)
			require.Equal(t, want, got, i)
		default:
			got, ok := s.Get(owner, name)
			want, wanted := m.get(owner, name, false)
			require.Equal(t, wanted, ok, i)
			require.Equal(t, want, got, i)
			if ok {
				found++
			}
		}
		require.Equal(t, m.held(), s.held, i)
		require.Len(t, s.byName, len(m.entries), i)
		require.Len(t, s.most, len(s.byAccount), i)
		require.Equal(t, len(m.entries) == 0, s.Empty())
	}
	assert.Greater(t, found, 100)
	for _, e := range m.entries {
		_, ok := s.Take(e.owner, e.name)
		require.Equal(t, !e.nobodys, ok)
		if e.nobodys {
			s.forget(s.byName[e.name])
		}
	}
	assert.True(t, s.Empty())
	assert.Empty(t, s.byAccount)
	assert.Empty(t, s.most)
	assert.Zero(t, s.held)
}

// Who holds most pays, and the one who comes is not asked to pay for those who were there before.
func TestWhoHoldsMostPays_STORE_05_LIMITS_13(t *testing.T) {
	s := New[int](Limits{Overhead: 1, Entries: 100, Size: 100, All: 20})
	has := func(owner, name string) bool { _, ok := s.Get(owner, name); return ok }
	s.Add("u1", "u1", "mine", 1, 4)
	for i := range 50 {
		s.Add("u2", "u2", fmt.Sprint(i), 1, 0)
	}
	assert.True(t, has("u1", "mine"))
	assert.True(t, has("u2", "35"))
	assert.False(t, has("u2", "34"))
	s.Add("u3", "u3", "theirs", 1, 0)
	assert.True(t, has("u3", "theirs"))
	assert.True(t, has("u1", "mine"))
	assert.False(t, has("u2", "36"), "35 was used since")
	assert.False(t, has("u3", "mine"), "somebody else's")
	s.Add("u1", "u1", "mine", 2, 0)
	value, _ := s.Get("u1", "mine")
	assert.Equal(t, 1, value, "a name keeps its value")
	s.Add("u3", "u3", "mine", 2, 0)
	s.Add("u1", "u1", "mine", 3, 0)
	assert.False(t, has("u1", "mine"), "a name of two is nobody's")
	assert.False(t, has("u3", "mine"), "a name of two is nobody's")
}

// Two accounts of one owner: each pays for its own, and both may use all.
func TestAccountsOfOneOwner_STORE_05_LIMITS_13(t *testing.T) {
	s := New[int](Limits{Overhead: 1, Entries: 3, Size: 100, All: 100})
	has := func(owner, name string) bool { _, ok := s.Get(owner, name); return ok }
	s.Add("u1", "u1 by client 1", "mine", 1, 0)
	for i := range 50 {
		s.Add("u1", "u1 by client 2", fmt.Sprint(i), 1, 0)
	}
	assert.True(t, has("u1", "mine"))
	assert.True(t, has("u1", "47"))
	assert.False(t, has("u1", "46"))
	assert.False(t, has("u1 by client 1", "mine"), "an account is no owner")
}

func TestStoreRace(t *testing.T) {
	s := New[int](Limits{Overhead: 1, Entries: 10, Size: 100, All: 100})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			owner := fmt.Sprint("o", w)
			for i := range 5_000 {
				name := fmt.Sprint("n", i%50)
				s.Add(owner, owner, name, w, i%5)
				if got, ok := s.Get(owner, name); ok && got != w {
					t.Error("the value of another owner")
				}
				if i%3 == 0 {
					s.Take(owner, name)
				}
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, s.held, 100)
}

// BenchmarkAdd: what a full store costs, by how many owners fill it.
func BenchmarkAdd(b *testing.B) {
	for _, owners := range []int{100, 1_000, 100_000} {
		b.Run(fmt.Sprint(owners), func(b *testing.B) {
			s := New[int](Limits{Overhead: 1, Entries: 1000, Size: 1000, All: 100_000})
			keys := make([]string, owners)
			for i := range keys {
				keys[i] = fmt.Sprint("owner-", i)
			}
			names := make([]string, 300_000)
			for i := range names {
				names[i] = fmt.Sprint("name-", i)
				s.Add(keys[i%owners], keys[i%owners], names[i], i, 0)
			}
			i := 0
			for b.Loop() {
				s.Add(keys[i%owners], keys[i%owners], names[i%len(names)], i, 0)
				i++
			}
		})
	}
}
