package owned

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

// endpointTag is the query parameter that binds the message endpoint of the
// HTTP+SSE transport (2024-11-05) to the caller that was told it.
const endpointTag = "mcpauth"

// HasEndpointTag reports whether a query is one of an endpoint that was sealed, or says so.
func HasEndpointTag(query string) bool {
	return strings.HasPrefix(query, endpointTag+"=") || strings.Contains(query, "&"+endpointTag+"=")
}

// SealEndpoint adds the tag to the URI reference that an endpoint event names, on a stream
// that was asked for with a query.
func (s *Sessions) SealEndpoint(c Caller, asked, reference string) (sealed, tag string) {
	bare, _, _ := strings.Cut(reference, "#") // nobody sends a fragment
	path, query, _ := strings.Cut(bare, "?")
	s.announced.add(path, query, asked)
	use, named := endpointName(path, query)
	tag = s.mac(c, use, named)
	if query == "" {
		return path + "?" + endpointTag + "=" + tag, tag
	}
	return path + "?" + query + "&" + endpointTag + "=" + tag, tag
}

// OpenEndpoint verifies the tag of a request's query and takes it off. A query that
// names a session needs one, and so does what looks like an announced endpoint: it reports false without.
// The tag is that under the key in use, as streams announce it now, and "" for what needs none and has none.
func (s *Sessions) OpenEndpoint(c Caller, u *url.URL) (query, tag string, ok bool) {
	raw := u.RawQuery
	if raw == "" && !s.announced.any.Load() {
		return "", "", true
	}
	query, tag, tagged := strings.Cut("&"+raw, "&"+endpointTag+"=")
	query = strings.TrimPrefix(query, "&")
	if !tagged && !namesSession(raw) && !s.announced.knows(u.EscapedPath(), raw) {
		return raw, "", true
	}
	use, named := endpointName(u.EscapedPath(), query)
	if !s.isTag(tag, c, use, named) {
		return "", "", false
	}
	return query, s.mac(c, use, named), true
}

// endpointName is what of an endpoint names the session, and for which use that is authenticated: the query, or
// the last segment of the path. What stands before it may be rewritten on the way.
func endpointName(path, query string) (use, named string) {
	if namesSession(query) {
		return "endpoint", query
	}
	return "endpoint path", path[strings.LastIndexByte(path, '/')+1:] + "?" + query
}

// namesSession reports whether a query has a parameter such as sessionId,
// session_id or sessionid.
func namesSession(query string) bool {
	for name := range queryNames(query) {
		if strings.NewReplacer("_", "", "-", "").Replace(name) == "sessionid" {
			return true
		}
	}
	return false
}

// endpoints remembers what the message endpoints of the HTTP+SSE transport look
// like that handlers have announced: what was announced with a tag is accepted
// only with one, wherever the session stands in it.
type endpoints struct {
	any   atomic.Bool
	mu    sync.RWMutex
	names map[string]bool // "message?sid": a parameter; "message/": a segment above an id
}

// add remembers an endpoint that was announced on a stream. Some handlers repeat the
// query of the stream in it: names in that are the client's, and none is remembered, lest
// one caller fill the bound, or have the requests of another taken for an endpoint.
func (e *endpoints) add(path, query, asked string) {
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
