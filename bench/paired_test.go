package bench

import (
	"slices"
	"testing"
	"time"

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
			pair(b, 8, func(n int) (_, _ func(int) bool) { return coldAuthenticate(b, alg, n)(), rawCrypto(alg, n)() })
		})
		b.Run("what=cold/alg="+alg+"/to=golang-jwt+keyfunc", func(b *testing.B) {
			verify := newVerifier(b, peers.All[0], alg)
			pair(b, 8, func(n int) (_, _ func(int) bool) {
				return coldAuthenticate(b, alg, n)(), coldPeer(verify, alg, n)()
			})
		})
	}
	pairedRequests(b)
	pairedBodies(b)
	many, few := newTools(b, 100_000), newTools(b, 10)
	b.Run("what=decision/tools=100000/to=10", func(b *testing.B) {
		pair(b, 500, func(int) (_, _ func(int) bool) { return many.decision(b), few.decision(b) })
	})
	b.Run("what=request/tools=100000/to=10", func(b *testing.B) {
		pair(b, 20, func(int) (_, _ func(int) bool) { return many.request(b)(), few.request(b)() })
	})
	crowd, one := newIssuers(b, 1_000), newIssuers(b, 1)
	b.Run("what=known/issuers=1000/to=1", func(b *testing.B) {
		pair(b, 20, func(int) (_, _ func(int) bool) { return crowd.known(b)(), one.known(b)() })
	})
	b.Run("what=refused/issuers=1000/to=1", func(b *testing.B) {
		pair(b, 50, func(int) (_, _ func(int) bool) { return crowd.refused(b)(), one.refused(b)() })
	})
}

// pairedRequests compares whole requests with a known token, and refusals with
// the bare handler: what is beyond is the wrapper.
func pairedRequests(b *testing.B) {
	noop, mine := wrappers[0], wrappers[1]
	for _, other := range wrappers {
		if other.name == mine.name {
			continue
		}
		b.Run("what=known/impl="+other.name+"/to=mcpauth", func(b *testing.B) {
			pair(b, 20, func(int) (_, _ func(int) bool) { return other.known(b, smallBody)(), mine.known(b, smallBody)() })
		})
	}
	for _, c := range refusals() {
		b.Run("what=refuse/why="+c.name+"/to=noop", func(b *testing.B) {
			pair(b, 20, func(int) (_, _ func(int) bool) { return c.request(b)(), noop.known(b, smallBody)() })
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
