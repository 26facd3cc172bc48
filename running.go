package mcpauth

import (
	"crypto/sha256"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"slices"
	"sync"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// cancelMethod is the notification by which a client gives up a request of its own.
const cancelMethod = "notifications/cancelled"

// maxRunning bounds the requests under way of one caller that can be
// cancelled; one beyond it runs to its end.
const maxRunning = 1024

// grant tells apart who holds the same rights: principal, client and scopes.
type grant [sha256.Size]byte

func grantOf(p *Principal) grant {
	var room [512]byte
	text := appendCaller(room[:0], p)
	scopes := p.Scopes
	if !slices.IsSorted(scopes) {
		scopes = slices.Sorted(slices.Values(scopes))
	}
	for i, scope := range scopes {
		if i == 0 || scope != scopes[i-1] {
			text = appendField(text, scope)
		}
	}
	return sha256.Sum256(text)
}

// canBeCancelled reports whether the client may name the request in a
// cancellation that only we can understand.
func (x *exchange) canBeCancelled() bool { return x.unnamed != nil && x.query == nil && x.id != nil }

// running holds the requests without a session that are under way, so that a
// client can cancel its own. The handler cannot tell whose they are: each has
// a session of its own there.
type running struct {
	mu    sync.Mutex
	of    map[runningKey]*exchange // and those that follow by unnamed.next
	count map[grant]int
}

// runningKey names a request as its client does.
type runningKey struct {
	grant grant
	id    string // idKey
}

// begin adds a request.
func (t *running) begin(x *exchange) {
	id := idKey(x.id)
	if id == "" {
		return
	}
	u, key := x.unnamed, runningKey{grantOf(x.principal), id}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.count = map[runningKey]*exchange{}, map[grant]int{}
	}
	if t.count[key.grant] >= maxRunning {
		return
	}
	t.count[key.grant]++
	u.running, u.next = key, t.of[key]
	t.of[key] = x
}

// end removes a request, if begin has added it.
func (t *running) end(x *exchange) {
	key := x.unnamed.running
	if key.id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[key.grant]--; t.count[key.grant] == 0 {
		delete(t.count, key.grant)
	}
	first := t.of[key]
	if first != x {
		for first.unnamed.next != x {
			first = first.unnamed.next
		}
		first.unnamed.next = x.unnamed.next
		return
	}
	if t.of[key] = x.unnamed.next; x.unnamed.next == nil {
		delete(t.of, key)
	}
}

// meant returns the request that a caller has under way by this id, or nil. Where
// two windows of one client have used the same id, nobody can say which is meant.
func (t *running) meant(g grant, id string) *exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.of[runningKey{g, id}]; x != nil && x.unnamed.next == nil {
		return x
	}
	return nil
}

// cancelOwn does what the cancellations in a request without a session ask for.
func (m *Middleware) cancelOwn(x *exchange) {
	g := grantOf(x.principal)
	each(x.body, func(message []byte) {
		if textOf(message, "method") == cancelMethod {
			if meant := m.running.meant(g, idKey(lookupWithin(message, requestIDPath, listLimits))); meant != nil {
				meant.lease.cut(refusal.New(refusal.Cancelled, "the client has given up this request", "", ""))
			}
		}
	})
}

var requestIDPath = []string{"params", "requestId"}

// each calls what for the message of a body, or for every message of a batch.
func each(body []byte, what func(message []byte)) {
	if !jsonrpc.IsBatch(body) {
		what(body)
		return
	}
	r := strictjson.NewReader(body, listLimits)
	_ = r.Array() // it has been read before, and is one
	for {
		if more, err := r.Element(); err != nil || !more {
			return
		}
		message, err := r.Skip()
		if err != nil {
			return
		}
		what(message)
	}
}

// idKey is a JSON-RPC id as a key: a text however it is escaped, a number as it
// is written; "" for what is neither.
func idKey(raw []byte) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw)
	case raw[0] != '"':
		return ""
	}
	text, err := strictjson.NewReader(raw, listLimits).String()
	if err != nil {
		return ""
	}
	return `"` + string(text)
}
