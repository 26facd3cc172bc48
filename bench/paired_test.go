package bench

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// BenchmarkPaired measures small ratios: two operations take turns, in blocks
// of well under a millisecond, and the middle of the ratios of neighbouring
// blocks counts. What else the machine does then hits both alike. Collections
// fall into few blocks and so out of the ratio; BenchmarkCold has them.
func BenchmarkPaired(b *testing.B) {
	for _, alg := range fixture.Algorithms {
		b.Run("what=cold/alg="+alg+"/to=crypto", func(b *testing.B) {
			pair(b, 8, func(n int) (_, _ func(int) bool) { return coldAuthenticate(b, alg, n), rawCrypto(alg, n) })
		})
		b.Run("what=cold/alg="+alg+"/to=golang-jwt+keyfunc", func(b *testing.B) {
			verify := newVerifier(b, peers.All[0], alg)
			pair(b, 8, func(n int) (_, _ func(int) bool) { return coldAuthenticate(b, alg, n), coldPeer(verify, alg, n) })
		})
	}
	b.Run("what=remember/to=nothing", func(b *testing.B) {
		pair(b, 50, func(n int) (_, _ func(int) bool) { return remember(n), nothing })
	})
	b.Run("what=read/to=nothing", func(b *testing.B) {
		pair(b, 50, func(int) (_, _ func(int) bool) { return read(), nothing })
	})
	pairedRequests(b)
	pairedBodies(b)
	many, few := newTools(b, 100_000), newTools(b, 10)
	b.Run("what=request/tools=100000/to=10", func(b *testing.B) {
		pair(b, 20, func(int) (_, _ func(int) bool) { return known200(b, many), known200(b, few) })
	})
	crowd, one := newIssuers(b, 1_000), newIssuers(b, 1)
	b.Run("what=known/issuers=1000/to=1", func(b *testing.B) {
		pair(b, 20, func(int) (_, _ func(int) bool) { return known200(b, crowd), known200(b, one) })
	})
	b.Run("what=refused/issuers=1000/to=1", func(b *testing.B) {
		// For its audience, which no memory of tokens can know.
		foreign := issuer.Mint("RS256", func(claims map[string]any) { claims["aud"] = "https://other.example.com" })
		refused := func(h http.Handler) func(int) bool { return serving(b, h, foreign, smallBody, http.StatusUnauthorized) }
		pair(b, 50, func(int) (_, _ func(int) bool) { return refused(crowd), refused(one) })
	})
}

func nothing(int) bool { return true }

func known200(b *testing.B, h http.Handler) func(int) bool {
	b.Helper()
	return serving(b, h, known(), smallBody, http.StatusOK)
}

// newTools is a wrapper that knows so many tools.
func newTools(b *testing.B, n int) http.Handler {
	b.Helper()
	tools := make(map[string]mcpauth.Requirement, n)
	for i := range n - 1 {
		tools["tool_"+strconv.Itoa(i)] = mcpauth.Scopes("tool:" + strconv.Itoa(i))
	}
	tools[tool] = mcpauth.Scopes("analytics:data:read")
	return newMiddleware(b, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: tools} }).Wrap(fixture.Served)
}

// newIssuers is a wrapper that trusts so many issuers, the real one among them.
func newIssuers(b *testing.B, n int) http.Handler {
	b.Helper()
	return newMiddleware(b, func(c *mcpauth.Config) {
		for i := range n - 1 {
			c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: fmt.Sprintf("https://issuer-%d.example.com", i), Keys: issuer.KeySet()})
		}
	}).Wrap(fixture.Served)
}

// pairedRequests compares whole requests with a known token, among them with one
// bare signature check, and refusals with the bare handler: what is beyond is the
// wrapper.
func pairedRequests(b *testing.B) {
	b.Run("what=known/impl=mcpauth/to=crypto", func(b *testing.B) {
		pair(b, 20, func(n int) (_, _ func(int) bool) {
			return mine.known(b, fixture.Served, smallBody), rawCrypto("RS256", n)
		})
	})
	for _, other := range wrappers {
		if other.name == mine.name {
			continue
		}
		b.Run("what=known/impl="+other.name+"/to=mcpauth", func(b *testing.B) {
			pair(b, 20, func(int) (_, _ func(int) bool) {
				return other.known(b, fixture.Served, smallBody), mine.known(b, fixture.Served, smallBody)
			})
		})
	}
	for _, c := range refusals() {
		b.Run("what=refuse/why="+c.name+"/to=noop", func(b *testing.B) {
			pair(b, 20, func(int) (_, _ func(int) bool) { return c.request(b), noop.known(b, fixture.Served, smallBody) })
		})
	}
}

// pairedBodies compares the standard library's readers with ours.
func pairedBodies(b *testing.B) {
	for _, shape := range fixture.Shapes {
		for _, size := range bodySizes {
			body := fixture.Body(tool, shape, size, false)
			for _, other := range readers[1:3] {
				b.Run("what=body/shape="+shape+"/size="+sizeName(size)+"/impl="+other.name+"/to=mcpauth", func(b *testing.B) {
					pair(b, max(1, 50_000/size), func(int) (_, _ func(int) bool) {
						return func(int) bool { return other.read(body) }, func(int) bool { return readers[0].read(body) }
					})
				})
			}
		}
	}
}

// pair runs blocks of one operation and of another, b.N of each, and nine at
// least where a block is one long operation: a middle needs neighbours. The
// operations are made for the number of times that they will run.
func pair(b *testing.B, block int, newOperations func(n int) (first, second func(i int) bool)) {
	b.Helper()
	blocks := b.N
	if block == 1 {
		blocks = max(blocks, 9)
	}
	first, second := newOperations(blocks * block)
	ratios, differences := make([]float64, blocks), make([]float64, blocks)
	b.ResetTimer()
	for i := range blocks {
		one := timed(b, first, i*block, block)
		two := timed(b, second, i*block, block)
		ratios[i] = one / two
		differences[i] = (one - two) / float64(block)
	}
	b.ReportMetric(middle(ratios), "ratio")
	b.ReportMetric(middle(differences), "ns-beyond")
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
}

// timed is how many nanoseconds a block takes.
func timed(b *testing.B, operation func(i int) bool, from, n int) float64 {
	begun := time.Now()
	for i := from; i < from+n; i++ {
		if !operation(i) {
			b.Fatal("the operation failed")
		}
	}
	return float64(time.Since(begun).Nanoseconds())
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
