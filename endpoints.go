package mcpauth

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// Bounds of what is remembered of message endpoints.
const (
	maxEndpoints  = 64  // names
	maxEndpoint   = 256 // bytes of one
	minPathSecret = 16  // bytes; a shorter last segment of a path is no session id
)

// endpoints remembers what the message endpoints of the HTTP+SSE transport look
// like that handlers have announced: what was announced with a tag is accepted
// only with one, wherever the session stands in it.
type endpoints struct {
	any   atomic.Bool
	mu    sync.RWMutex
	names map[string]bool // "message?sid": a parameter; "message/": a segment above an id
	open  map[string]int  // by tag, of the streams that are open: how many subscriptions they carry
}

// opened is told of a stream that has announced the endpoint with the tag.
func (e *endpoints) opened(tag string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		e.open = map[string]int{}
	}
	e.open[tag] += 0
}

// carry has the stream of an endpoint carry a subscription. It reports whether there is one.
func (e *endpoints) carry(tag string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, isOpen := e.open[tag]; !isOpen {
		return false
	}
	e.open[tag]++
	return true
}

// closed returns how many subscriptions end with the stream.
func (e *endpoints) closed(tag string) (carried int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	carried = e.open[tag]
	delete(e.open, tag)
	return carried
}

// announce remembers an endpoint that was announced on a stream. Some handlers repeat the
// query of the stream in it: names in that are the client's, and none is remembered, lest
// one caller fill the bound, or have the requests of another taken for an endpoint.
func (e *endpoints) announce(path, query, asked string) {
	if namesSession(query) {
		return // known by its name
	}
	var invented map[string]bool
	for name := range queryNames(asked) {
		if invented == nil {
			invented = map[string]bool{}
		}
		invented[name] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range endpointNames(path, query) {
		if _, parameter, isParameter := strings.Cut(name, "?"); isParameter && invented[parameter] {
			continue
		}
		if len(e.names) >= maxEndpoints || len(name) > maxEndpoint {
			return
		}
		if e.names == nil {
			e.names = map[string]bool{}
		}
		e.names[name] = true
		e.any.Store(true)
	}
}

// knows reports whether a request without a tag looks like an endpoint that was announced with one.
func (e *endpoints) knows(path, query string) bool {
	if !e.any.Load() {
		return false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for name := range endpointNames(path, query) {
		if e.names[name] {
			return true
		}
	}
	return false
}

// endpointNames yields what of an endpoint may name a session: each parameter of its query or, of
// a path that ends in what may be an id, the segment above. What stands before
// that may be rewritten on the way.
func endpointNames(path, query string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		above, last := "", path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			above, last = path[:i], path[i+1:]
			above = above[strings.LastIndexByte(above, '/')+1:]
		}
		if len(last) >= minPathSecret && !yield(above+"/") {
			return
		}
		for name := range queryNames(query) {
			if !yield(last + "?" + name) {
				return
			}
		}
	}
}

// queryNames yields the names of a query's parameters, in lower case.
func queryNames(query string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, _, _ := strings.Cut(pair, "=")
			if decoded, err := url.QueryUnescape(name); err == nil {
				name = decoded
			}
			if !yield(strings.ToLower(name)) {
				return
			}
		}
	}
}
