package dpop

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Bounds of what is remembered of proofs that were used.
const (
	maxUsed    = 1 << 17 // of all callers
	maxOwnUsed = 1 << 14 // of one caller
)

// expiredAtOnce is how many proofs whose time is over one request takes away: more than it adds, and no more than is done in
// microseconds, because all others wait.
const expiredAtOnce = 16

// memory remembers which proofs were used, for as long as they could be used again. Each belongs to the caller, who
// makes keys at will: one with more than its share loses its own oldest ones, and from then on none of its proofs counts that was
// made by that time. So what was forgotten is refused, too, and whoever makes proofs at the moment of their use notices nothing.
type memory struct {
	limit, share int

	mu     sync.Mutex
	ids    map[id]struct{}
	owners map[string]*owner
	oldest heap[*owner] // who has the oldest use in front
	most   heap[*owner] // who has most in front
	floor  int64        // as that of an owner, of those who are gone
	told   bool         // the operator, that proofs are forgotten before their time
}

// id names a proof: its key and its jti.
type id [16]byte

func nameOf(key jose.Thumbprint, jti string) id {
	sum := sha256.Sum256(append(key[:], jti...))
	return id(sum[:16])
}

func replayed() *refusal.Refusal {
	return deny("a proof that was used before", "", "a new one for each request").Because("proof-replayed")
}

// owner is what is remembered of one caller: at least one use.
type owner struct {
	name             string
	uses             heap[use] // the oldest in front
	floor            int64     // proofs of this second and of those before do not count
	oldestAt, mostAt int       // where it stands
}

type use struct {
	second int64 // when the proof was made, by its own account
	id     id
}

func newMemory() memory {
	return memory{
		limit: maxUsed, share: maxOwnUsed, ids: map[id]struct{}{}, owners: map[string]*owner{}, floor: math.MinInt64,
		oldest: heap[*owner]{
			less:  func(a, b *owner) bool { return earlier(a.uses.all[0], b.uses.all[0]) },
			moved: func(o *owner, at int) { o.oldestAt = at },
		},
		most: heap[*owner]{
			less:  func(a, b *owner) bool { return len(a.uses.all) > len(b.uses.all) },
			moved: func(o *owner, at int) { o.mostAt = at },
		},
	}
}

func earlier(a, b use) bool { return a.second < b.second }

// use takes note that a proof of a caller is used, and refuses one that was before, or of which nobody can say.
func (m *memory) use(by string, proof id, second int64, now time.Time) (full bool, denied *refusal.Refusal) {
	u := use{second: second, id: proof}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(now)
	o := m.owners[by]
	switch _, known := m.ids[u.id]; {
	case known:
		return false, replayed()
	case second <= m.floor, o != nil && second <= o.floor:
		return false, deny("a proof older than what is remembered of this caller", "", "one made for this request").Because("proof-replayed")
	case o == nil && len(m.ids) >= m.limit && len(m.most.all[0].uses.all) == 1:
		return false, deny("more callers are there than there is memory for", "", "").Because("proof-replayed")
	}
	return m.add(by, o, u), nil
}

// add keeps a use. Where there is too much, who has most loses its oldest one: of several, whoever comes.
func (m *memory) add(by string, o *owner, u use) (full bool) {
	m.ids[u.id] = struct{}{}
	if o == nil {
		o = &owner{name: by, floor: math.MinInt64, uses: heap[use]{all: []use{u}, less: earlier}}
		m.owners[by] = o
		m.oldest.push(o)
		m.most.push(o)
	} else {
		o.uses.push(u)
		m.changed(o)
	}
	if len(o.uses.all) <= m.share && len(m.ids) <= m.limit {
		return false
	}
	if first := m.most.all[0]; len(o.uses.all) > m.share || len(o.uses.all) >= len(first.uses.all) {
		m.forget(o)
	} else {
		m.forget(first)
	}
	full = !m.told
	m.told = true
	return full
}

// changed finds the places of an owner that has one more or one less.
func (m *memory) changed(o *owner) {
	m.oldest.fix(o.oldestAt)
	m.most.fix(o.mostAt)
}

// forget takes the oldest use away, and with it all proofs of that age.
func (m *memory) forget(o *owner) {
	u := o.uses.all[0]
	delete(m.ids, u.id)
	o.floor = max(o.floor, u.second)
	if len(o.uses.all) > 1 {
		o.uses.remove(0)
		m.changed(o)
		return
	}
	m.floor = max(m.floor, o.floor)
	m.oldest.remove(o.oldestAt)
	m.most.remove(o.mostAt)
	delete(m.owners, o.name)
}

// expire takes away what could not be used again anyway: unless the clock is set back, for which there are the floors.
func (m *memory) expire(now time.Time) {
	over := now.Add(-Window).Unix() - 1 // the second may not have been over when the proof came
	for range expiredAtOnce {
		if len(m.oldest.all) == 0 || m.oldest.all[0].uses.all[0].second >= over {
			return
		}
		m.forget(m.oldest.all[0])
	}
}
