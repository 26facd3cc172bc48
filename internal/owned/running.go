package owned

import "sync"

// maxRunning bounds the requests under way of one caller that can be
// cancelled; one beyond it runs to its end.
const maxRunning = 1024

// Running holds requests that are under way, each with a value, so that who holds the same
// rights as the one that sent it can name it. The zero value is ready for use, by several goroutines too.
type Running[V any] struct {
	mu    sync.Mutex
	of    map[requestName]*Request[V] // and those that follow by next
	count map[grant]int
}

// Request is the place of one request. The zero value is of one that has not begun.
type Request[V any] struct {
	value V
	name  requestName
	next  *Request[V] // another one of the same name
}

// requestName is how the client of a request names it.
type requestName struct {
	grant grant
	id    string
}

// Begin adds a request, unless it has no id.
func (t *Running[V]) Begin(r *Request[V], c Caller, scopes []string, id string, value V) {
	if id == "" {
		return
	}
	name := requestName{c.grant(scopes), id}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.count = map[requestName]*Request[V]{}, map[grant]int{}
	}
	if t.count[name.grant] >= maxRunning {
		return
	}
	t.count[name.grant]++
	r.value, r.name, r.next = value, name, t.of[name]
	t.of[name] = r
}

// End removes a request, if Begin has added it.
func (t *Running[V]) End(r *Request[V]) {
	name := r.name
	if name.id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[name.grant]--; t.count[name.grant] == 0 {
		delete(t.count, name.grant)
	}
	first := t.of[name]
	if first != r {
		for first.next != r {
			first = first.next
		}
		first.next = r.next
		return
	}
	if t.of[name] = r.next; r.next == nil {
		delete(t.of, name)
	}
}

// Meant returns the value of the request that a caller has under way by this id. Where
// two windows of one client have used the same id, nobody can say which is meant.
func (t *Running[V]) Meant(c Caller, scopes []string, id string) (value V, ok bool) {
	name := requestName{c.grant(scopes), id}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.of[name]; r != nil && r.next == nil {
		return r.value, true
	}
	return value, false
}
