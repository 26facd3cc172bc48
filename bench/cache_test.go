package bench

import (
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// tokenCache is as much of a cache of verified tokens as is measured here: the
// way from the compact token to what is remembered, hashing included.
type tokenCache interface {
	Put(token string)
	Get(token string) bool
}

// BenchmarkCache looks up tokens that are there, among so many. A further
// implementation is one more line.
func BenchmarkCache(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		benchmarkCache(b, "mcpauth", n, newTokenCache)
		benchmarkCache(b, "hashicorp-lru", n, newLRU)
	}
}

// benchmarkCache prints the time of a look-up and the bytes that an entry
// takes beside what it remembers, which all entries share here.
func benchmarkCache(b *testing.B, name string, n int, newCache func(capacity int) tokenCache) {
	b.Helper()
	// The tokens that are looked up are a sample: a million of 900 bytes are
	// too much to hold.
	sample := make([]string, 0, min(n, 16<<10))
	before := live()
	cache := newCache(n)
	for i := range n {
		token := syntheticToken(i)
		cache.Put(token)
	}
	perEntry := max(0, float64(live())-float64(before)) / float64(n)
	for i := range cap(sample) {
		sample = append(sample, syntheticToken(i*(n/cap(sample))))
	}
	for _, mode := range modes {
		b.Run(fmt.Sprintf("entries=%d/impl=%s/mode=%s", n, name, mode.name), func(b *testing.B) {
			drive(b, mode.parallel, func() func(int) bool {
				// An entry that was evicted is a miss and no mistake.
				return func(i int) bool { cache.Get(sample[i*7919%len(sample)]); return true }
			})
			b.ReportMetric(perEntry, "B/entry")
		})
	}
	runtime.KeepAlive(cache)
}

var tokenFrame = strings.Repeat("eyJhbGciOiJSUzI1NiIsImtpZCI6IlJTMjU2In0", 22)

func syntheticToken(i int) string {
	return fmt.Sprintf("%s.%020d", tokenFrame, i)
}

// ownCache is the one that the wrapper has, with room for n entries.
type ownCache struct {
	inner *tokencache.Cache[struct{}]
	value *struct{}
	now   time.Time
}

func newTokenCache(capacity int) tokenCache {
	size := func(*struct{}) int { return 0 }
	return &ownCache{inner: tokencache.New(2*capacity, math.MaxInt, size), value: &struct{}{}, now: time.Now()}
}

func (c *ownCache) Put(token string) { c.inner.Add(c.inner.Key(token), 0, c.value, c.now, time.Hour) }

func (c *ownCache) Get(token string) bool { return c.inner.Get(c.inner.Key(token), c.now) != nil }

type lruCache struct {
	inner *lru.Cache[[sha256.Size]byte, *struct{}]
	value *struct{}
}

func newLRU(capacity int) tokenCache {
	inner, err := lru.New[[sha256.Size]byte, *struct{}](capacity)
	if err != nil {
		panic("bench: " + err.Error())
	}
	return &lruCache{inner: inner, value: &struct{}{}}
}

func (c *lruCache) Put(token string) { c.inner.Add(sha256.Sum256([]byte(token)), c.value) }

func (c *lruCache) Get(token string) bool {
	_, ok := c.inner.Get(sha256.Sum256([]byte(token)))
	return ok
}
