package bench

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// BenchmarkWarm is a whole request with a token that was seen before, around a
// handler that does nothing. sdk+golang-jwt has no cache, which is what people
// run; the others have the cache and the reading of the body that a user must
// write. impl=noop is the handler without any wrapper.
func BenchmarkWarm(b *testing.B) {
	for _, size := range []int{300, 4 << 10, 64 << 10} {
		body := fixture.Body(tool, "structure", size, false)
		for _, mode := range modes {
			for _, w := range wrappers {
				if size > 300 && !w.readsBody {
					continue // the size changes nothing
				}
				b.Run("size="+strconv.Itoa(size)+"/impl="+w.name+"/mode="+mode.name, func(b *testing.B) {
					drive(b, mode.parallel, w.known(b, body))
				})
			}
		}
	}
}

// wrapper is a way to protect a handler.
type wrapper struct {
	name      string
	readsBody bool
	wrap      func(b *testing.B) http.Handler
}

// known returns the request with a token that the wrapper has seen.
func (w wrapper) known(b *testing.B, body []byte) func() func(int) bool {
	return primed(b, serving(w.wrap(b), known(), body, http.StatusOK))
}

var wrappers = []wrapper{
	{"noop", true, func(*testing.B) http.Handler { return fixture.Served }},
	{"mcpauth", true, func(b *testing.B) http.Handler { return newMiddleware(b, nil).Wrap(fixture.Served) }},
	{"sdk+lru+json", true, func(b *testing.B) http.Handler {
		reading := peers.ReadCall(map[string]bool{tool: true}, fixture.Served)
		return peers.BearerToken(peers.Remember(newVerifier(b, peers.All[0], "RS256")), reading)
	}},
	{"sdk+lru", false, func(b *testing.B) http.Handler {
		return peers.BearerToken(peers.Remember(newVerifier(b, peers.All[0], "RS256")), fixture.Served)
	}},
	{"sdk+golang-jwt", false, func(b *testing.B) http.Handler {
		return peers.BearerToken(newVerifier(b, peers.All[0], "RS256"), fixture.Served)
	}},
}
