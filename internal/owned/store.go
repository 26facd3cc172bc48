package owned

import (
	"container/heap"
	"container/list"
	"sync"
)

// Limits bound a [Store].
type Limits struct {
	Overhead int // what an entry costs beside its size, in bytes
	Entries  int // on one account
	Size     int // of all entries on one account together, in bytes without overhead
	All      int // of everything, in bytes with overhead
}

// Store remembers values by name, each for one owner and on one account: that
// of the owner, or of a part of it. An account with more than its share loses its
// own entries, those first that were not used for longest. When everything
// together is too much, the account that holds most loses one. It is safe for
// concurrent use.
type Store[V any] struct {
	limits Limits

	mu        sync.Mutex
	byName    map[string]*list.Element // of *entry[V]
	byAccount map[string]*account
	most      byCost
	held      int    // bytes, with overhead
	clock     uint64 // counts uses
}

type entry[V any] struct {
	name    string
	owner   string
	account *account
	size    int
	value   V
	nobodys bool // two owners have added it
}

// account is what is held for somebody.
type account struct {
	key    string
	recent list.List // of *entry[V], the latest first
	size   int       // bytes, without overhead
	cost   int       // bytes, with overhead
	used   uint64    // when last, by the clock of the store
	place  int       // in the heap
}

// New makes a store.
func New[V any](limits Limits) *Store[V] {
	return &Store[V]{limits: limits, byName: map[string]*list.Element{}, byAccount: map[string]*account{}}
}

// Add remembers a value of so many bytes. A name that is known as the owner's keeps its
// value. One that is somebody else's is nobody's from then on, until it is forgotten. What is larger
// than an account's share is not remembered.
func (s *Store[V]) Add(owner, payer, name string, value V, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byName[name]; known != nil {
		if e := known.Value.(*entry[V]); e.owner != owner {
			s.disown(e)
		}
		return
	}
	if size > s.limits.Size {
		return
	}
	o := s.byAccount[payer]
	if o == nil {
		o = &account{key: payer}
		s.byAccount[payer] = o
		heap.Push(&s.most, o)
	}
	s.byName[name] = o.recent.PushFront(&entry[V]{name: name, owner: owner, account: o, size: size, value: value})
	s.book(o, size, s.limits.Overhead)
	s.use(o)
	for o.recent.Len() > s.limits.Entries || o.size > s.limits.Size {
		s.forget(o.recent.Back())
	}
	for s.held > s.limits.All {
		s.forget(s.most[0].recent.Back())
	}
}

// Get returns the value of a name that is the owner's.
func (s *Store[V]) Get(owner, name string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.find(owner, name)
	if found == nil {
		var none V
		return none, false
	}
	e.account.recent.MoveToFront(found)
	s.use(e.account)
	return e.value, true
}

// Take is Get, and the name is nobody's afterwards.
func (s *Store[V]) Take(owner, name string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.find(owner, name)
	if found == nil {
		var none V
		return none, false
	}
	s.forget(found)
	return e.value, true
}

// Disown makes a name that is the owner's nobody's, until it is forgotten.
func (s *Store[V]) Disown(owner, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, found := s.find(owner, name); found != nil {
		s.disown(e)
	}
}

// Empty reports whether nobody has anything.
func (s *Store[V]) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName) == 0
}

func (s *Store[V]) find(owner, name string) (*entry[V], *list.Element) {
	found := s.byName[name]
	if found == nil {
		return nil, nil
	}
	e := found.Value.(*entry[V])
	if e.nobodys || e.owner != owner {
		return nil, nil
	}
	return e, found
}

// disown takes a name from its owner, whose account goes on to pay for what is left of it.
func (s *Store[V]) disown(e *entry[V]) {
	var none V
	s.book(e.account, -e.size, 0)
	heap.Fix(&s.most, e.account.place)
	e.value, e.size, e.nobodys = none, 0, true
}

// use notes that an account is used. Among those who hold as much as one another, who
// was not heard of for longest loses first.
func (s *Store[V]) use(o *account) {
	s.clock++
	o.used = s.clock
	heap.Fix(&s.most, o.place)
}

func (s *Store[V]) book(o *account, size, overhead int) {
	o.size += size
	o.cost += size + overhead
	s.held += size + overhead
}

func (s *Store[V]) forget(element *list.Element) {
	e := element.Value.(*entry[V])
	o := e.account
	o.recent.Remove(element)
	delete(s.byName, e.name)
	s.book(o, -e.size, -s.limits.Overhead)
	if o.recent.Len() > 0 {
		heap.Fix(&s.most, o.place)
		return
	}
	heap.Remove(&s.most, o.place)
	delete(s.byAccount, o.key)
}

// byCost is a heap of accounts: on top is the one that holds most.
type byCost []*account

func (h byCost) Len() int { return len(h) }

func (h byCost) Less(i, j int) bool {
	if h[i].cost != h[j].cost {
		return h[i].cost > h[j].cost
	}
	return h[i].used < h[j].used
}

func (h byCost) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *byCost) Push(o any) {
	o.(*account).place = len(*h)
	*h = append(*h, o.(*account))
}

// Pop implements [heap.Interface].
func (h *byCost) Pop() any {
	last := len(*h) - 1
	o := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return o
}
