package dpop

import (
	"crypto/sha256"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Bounds of what is remembered of proofs that were used.
const (
	maxUsed    = 1 << 17 // of all keys
	maxOwnUsed = 1 << 14 // of one key
)

// sweepEvery is how often proofs whose time is over are looked for, and futileFor how long nobody looks for room
// again where there was none.
const (
	sweepEvery = time.Minute
	futileFor  = time.Second
)

// memory remembers which proofs were used, for as long as they could be used again. Each belongs to its key: a key
// with more than its share loses its own oldest ones, and from then on no proof counts that was made by that time.
// So what was forgotten is refused, too, and whoever makes proofs at the moment of their use notices nothing.
type memory struct {
	limit, share int

	mu     sync.Mutex
	ids    map[id]struct{}
	owners map[jose.Thumbprint]*owner
	swept  time.Time // when the memory was last looked through
	futile time.Time // when no room could be made
	told   bool      // the operator, that proofs are forgotten before their time
}

// id names a proof: its key and its jti.
type id [16]byte

// owner is what is remembered of one key.
type owner struct {
	uses  []use // the oldest first
	floor int64 // proofs of this second and of those before do not count
}

type use struct {
	second int64 // when the proof was made, by its own account
	id     id
}

func newMemory() memory {
	return memory{limit: maxUsed, share: maxOwnUsed, ids: map[id]struct{}{}, owners: map[jose.Thumbprint]*owner{}}
}

// use takes note that a proof is used, and refuses one that was before, or of which nobody can say.
func (m *memory) use(key jose.Thumbprint, jti string, second int64, now time.Time) (full bool, denied *refusal.Refusal) {
	sum := sha256.Sum256(append(key[:], jti...))
	u := use{second: second, id: id(sum[:16])}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept) > sweepEvery {
		m.sweep(now)
	}
	o := m.owners[key]
	switch _, known := m.ids[u.id]; {
	case known:
		return false, deny("a proof that was used before", "", "a new one for each request").Because("proof-replayed")
	case o != nil && second <= o.floor:
		return false, deny("a proof older than what is remembered of this key", "", "one made for this request").Because("proof-replayed")
	}
	if len(m.ids) >= m.limit && (o == nil || len(o.uses) == 0) && !m.makeRoom(now) {
		return false, deny("more keys are in use than there is memory for", "", "").Because("proof-replayed")
	}
	if o = m.owners[key]; o == nil {
		o = &owner{floor: math.MinInt64}
		m.owners[key] = o
	}
	m.expire(o, now)
	return m.add(o, u, now), nil
}

// add keeps a use, and takes the owner's oldest one away where there is too much.
func (m *memory) add(o *owner, u use, now time.Time) (full bool) {
	at := len(o.uses)
	for at > 0 && o.uses[at-1].second > u.second {
		at--
	}
	o.uses = slices.Insert(o.uses, at, u)
	m.ids[u.id] = struct{}{}
	held := len(m.ids)
	if held > m.limit {
		m.makeRoom(now)
	}
	if len(o.uses) > m.share || len(m.ids) > m.limit {
		m.forget(o, 1)
	}
	full = !m.told && len(m.ids) < held
	m.told = m.told || full
	return full
}

// forget takes the n oldest uses away, and with them all proofs of that age.
func (m *memory) forget(o *owner, n int) {
	for _, u := range o.uses[:n] {
		delete(m.ids, u.id)
	}
	o.floor = max(o.floor, o.uses[n-1].second)
	o.uses = o.uses[n:]
}

// expire takes away what could not be used again anyway.
func (m *memory) expire(o *owner, now time.Time) {
	over := now.Add(-Window).Unix() - 1 // the second may not have been over when the proof came
	n := 0
	for n < len(o.uses) && o.uses[n].second < over {
		delete(m.ids, o.uses[n].id)
		n++
	}
	o.uses = o.uses[n:]
}

// sweep lets go of what is over.
func (m *memory) sweep(now time.Time) {
	m.swept = now
	for key, o := range m.owners {
		if m.expire(o, now); len(o.uses) == 0 && o.floor < now.Add(-Window).Unix()-1 {
			delete(m.owners, key)
		}
	}
}

// makeRoom has the keys with most proofs lose some, so that a quarter is free, and reports whether there is
// room now. A key that has but one keeps it.
func (m *memory) makeRoom(now time.Time) bool {
	if !m.futile.IsZero() && now.Sub(m.futile) < futileFor {
		return len(m.ids) < m.limit
	}
	m.sweep(now)
	most, enough := m.share, m.limit-m.limit/4
	for m.atMost(most) > enough && most > 1 {
		most /= 2
	}
	for _, o := range m.owners {
		if n := len(o.uses) - most; n > 0 {
			m.forget(o, n)
		}
	}
	if len(m.ids) > enough {
		m.futile = now
	}
	return len(m.ids) < m.limit
}

// atMost counts what is left if no key has more than most.
func (m *memory) atMost(most int) (left int) {
	for _, o := range m.owners {
		left += min(len(o.uses), most)
	}
	return left
}
