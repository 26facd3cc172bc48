package bench

import (
	"net/http"
	"testing"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// BenchmarkWarm is a whole request with a token that was seen before and a body
// of 300 bytes. sdk+golang-jwt has no cache, which is what people run; the others
// have the cache and the reading of the body that a user must write. impl=noop is
// the handler without any wrapper: one that does nothing, and one that derives from
// its context and asks whether it is done, as mcp-go does.
func BenchmarkWarm(b *testing.B) {
	for _, h := range handlers {
		for _, w := range wrappers {
			b.Run("handler="+h.name+"/impl="+w.name, func(b *testing.B) { drive(b, w.known(b, h.handler, smallBody)) })
		}
	}
}

var handlers = []struct {
	name    string
	handler http.Handler
}{{"none", fixture.Served}, {"derives", fixture.Derived}}

// wrapper is a way to protect a handler.
type wrapper struct {
	name string
	wrap func(b *testing.B, alg string, next http.Handler) http.Handler
}

// known returns the request with a token that the wrapper has seen.
func (w wrapper) known(b *testing.B, next http.Handler, body []byte) func(int) bool {
	b.Helper()
	return serving(b, w.wrap(b, "RS256", next), known(), body, http.StatusOK)
}

var (
	noop = wrapper{"noop", func(_ *testing.B, _ string, next http.Handler) http.Handler { return next }}
	mine = wrapper{"mcpauth", func(b *testing.B, _ string, next http.Handler) http.Handler { return newMiddleware(b, nil).Wrap(next) }}
	// careful is what a user writes who is as careful.
	careful = wrapper{"sdk+lru+json", func(b *testing.B, alg string, next http.Handler) http.Handler {
		reading := peers.ReadCall(map[string]bool{tool: true}, next)
		return peers.BearerToken(peers.Remember(newVerifier(b, peers.All[0], alg)), reading)
	}}
)

var wrappers = []wrapper{
	noop, mine, careful,
	{"sdk+lru", func(b *testing.B, alg string, next http.Handler) http.Handler {
		return peers.BearerToken(peers.Remember(newVerifier(b, peers.All[0], alg)), next)
	}},
	{"sdk+golang-jwt", func(b *testing.B, alg string, next http.Handler) http.Handler {
		return peers.BearerToken(newVerifier(b, peers.All[0], alg), next)
	}},
}
