package onbehalf

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Bounds of what is remembered.
const (
	maxEntries      = 10_000
	maxEntryBytes   = 32 << 20
	maxPerPrincipal = 64
	maxLife         = 10 * time.Minute

	stepLife = 5 * time.Minute // between a step-up and the next

	earlier   = 30 * time.Second // a token is not given out until its very end
	entrySize = 512              // of an entry, beside its texts
)

// key names what is remembered. Issuer, client and the definition of the target are those of the [Exchanger], which
// has a memory of its own.
type key struct {
	principal string
	target    string
	token     [sha256.Size]byte // that was exchanged
}

// entry is a token, or the error that stands for one for a moment.
type entry struct {
	key   key
	token *oauth2.Token
	err   *Error
	told  [sha256.Size]byte // see firstTold
	dies  time.Time
}

func (n *entry) size() int {
	size := entrySize + len(n.key.principal) + len(n.key.target)
	if n.token != nil {
		size += len(n.token.AccessToken)
	}
	return size
}

// memory remembers what was exchanged. Who fills it pays for it: first the principal with too many
// entries, then of all the one who has most.
type memory struct {
	mu      sync.Mutex
	entries map[key]*list.Element
	owners  map[string]*list.List // of a principal, the oldest in front
	crowds  [maxPerPrincipal + 1]map[string]struct{}
	bytes   int
}

func (m *memory) get(k key, now time.Time) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	element := m.entries[k]
	if element == nil {
		return nil
	}
	n := element.Value.(*entry)
	if !now.Before(n.dies) || !now.Round(0).Before(n.dies.Round(0)) { // on either clock
		m.remove(element)
		return nil
	}
	return n
}

func (m *memory) put(n *entry, now time.Time) {
	if !now.Before(n.dies) || n.size() > maxEntryBytes {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries, m.owners = map[key]*list.Element{}, map[string]*list.List{}
	}
	if old := m.entries[n.key]; old != nil {
		m.remove(old)
	}
	owner := m.owners[n.key.principal]
	if owner == nil {
		owner = list.New()
		m.owners[n.key.principal] = owner
	}
	if owner.Len() == maxPerPrincipal {
		m.remove(owner.Front())
	}
	m.count(n.key.principal, owner, func() { m.entries[n.key] = owner.PushBack(n) })
	m.bytes += n.size()
	for len(m.entries) > maxEntries || m.bytes > maxEntryBytes {
		m.remove(m.oldestOfMost(n.key.principal))
	}
}

// oldestOfMost is the oldest entry of a principal that has most; of the newcomer, if that is one.
func (m *memory) oldestOfMost(newcomer string) *list.Element {
	for i := maxPerPrincipal; i > 0; i-- {
		if _, his := m.crowds[i][newcomer]; his {
			return m.owners[newcomer].Front()
		}
		for name := range m.crowds[i] {
			return m.owners[name].Front()
		}
	}
	return nil
}

// firstTold reports whether this is the first token of a principal and client for which somebody is told that more
// scopes would help. Who comes back with another one and is refused again is not told once more: a client would ask
// its user for ever.
func (m *memory) firstTold(k key, client string, now time.Time) bool {
	of := key{principal: k.principal, target: "scopes for " + k.target + " and " + client} // no token: none of the others
	if last := m.get(of, now); last != nil {
		return last.told == k.token
	}
	m.put(&entry{key: of, told: k.token, dies: now.Add(stepLife)}, now)
	return true
}

func (m *memory) remove(element *list.Element) {
	n := element.Value.(*entry)
	owner := m.owners[n.key.principal]
	m.count(n.key.principal, owner, func() { owner.Remove(element) })
	m.bytes -= n.size()
	delete(m.entries, n.key)
	if owner.Len() == 0 {
		delete(m.owners, n.key.principal)
	}
}

// count keeps who has how many.
func (m *memory) count(name string, owner *list.List, change func()) {
	delete(m.crowds[owner.Len()], name)
	change()
	if n := owner.Len(); n > 0 {
		if m.crowds[n] == nil {
			m.crowds[n] = map[string]struct{}{}
		}
		m.crowds[n][name] = struct{}{}
	}
}

// outage is how long nobody asks the token endpoint for a target.
type outage struct {
	mu       sync.Mutex
	until    time.Time
	failures int
	answered time.Time // when somebody was, last
}

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

func (o *outage) wait(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(o.until.Sub(now), 0)
}

// begin returns the time for which nobody asks: what the server says, or twice the time of before.
func (o *outage) begin(now time.Time, said time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	wait := minBackoff << min(o.failures, 5)
	if said > 0 {
		wait = said
	}
	wait = min(wait, maxBackoff)
	if now.Before(o.until) { // others have failed at the same time
		return max(o.until.Sub(now), minBackoff)
	}
	o.failures++
	o.until = now.Add(wait)
	return wait
}

func (o *outage) end(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until, o.failures, o.answered = time.Time{}, 0, now
}

// isRefuted reports whether somebody was answered while an exchange was without an answer: that is not for everybody,
// then, and whose token makes the endpoint slow would keep all others from it.
func (o *outage) isRefuted(begun time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered.After(begun)
}

// told lets one line a minute pass of each kind: what a caller can bring about must not keep another from being told.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (t *told) mayTell(what string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, before := t.at[what]; before && now.Sub(last) < time.Minute {
		return false
	}
	if t.at == nil {
		t.at = map[string]time.Time{}
	}
	t.at[what] = now
	return true
}
