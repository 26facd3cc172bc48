package bench

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// The bounds of the wrapper's own memory of tokens, and what a usual one takes.
const (
	maxTokens  = 1 << 17
	maxBytes   = 64 << 20
	tokenBytes = 1_000
)

// BenchmarkCache looks up tokens that are there, among so many: hashing
// included, on the way from the compact token to what is remembered. It stops
// where the wrapper's memory is full.
func BenchmarkCache(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 60_000} {
		benchmarkCache(b, "mcpauth", n, func() cache { return newTokenCache() })
		benchmarkCache(b, "hashicorp-lru", n, newLRU)
	}
}

type cache interface {
	Add(token string)
	Get(token string) bool
}

// benchmarkCache prints the time of a look-up and the bytes that an entry
// takes beside what it remembers, which all entries share here.
func benchmarkCache(b *testing.B, name string, n int, newCache func() cache) {
	b.Helper()
	b.Run(fmt.Sprintf("entries=%d/impl=%s", n, name), func(b *testing.B) {
		before := live()
		cache := newCache()
		for i := range n {
			cache.Add(syntheticToken(i))
		}
		perEntry := max(0, float64(live())-float64(before)) / float64(n)
		sample := make([]string, 16<<10) // all of them are too much to hold
		for i := range sample {
			sample[i] = syntheticToken(i * 7919 % n)
		}
		drive(b, func(i int) bool { cache.Get(sample[i%len(sample)]); return true })
		b.ReportMetric(perEntry, "B/entry")
	})
}

// remember is what a new token costs after it was verified: n of them.
func remember(n int) func(int) bool {
	tokens, cache := issuer.Tokens("RS256", min(n, ring)), newTokenCache()
	return func(i int) bool {
		if i%ring == 0 {
			cache = newTokenCache()
		}
		cache.Add(tokens[i%ring])
		return true
	}
}

var tokenFrame = strings.Repeat("eyJhbGciOiJSUzI1NiIsImtpZCI6IlJTMjU2In0", 22)

func syntheticToken(i int) string {
	return fmt.Sprintf("%s.%020d", tokenFrame, i)
}

// tokenCache is the one that the wrapper has.
type tokenCache struct {
	inner *tokencache.Cache[struct{}]
	value *struct{}
	now   time.Time
}

func newTokenCache() *tokenCache {
	size := func(*struct{}) int { return tokenBytes }
	return &tokenCache{inner: tokencache.New(maxTokens, maxBytes, size), value: &struct{}{}, now: time.Now()}
}

func (c *tokenCache) Add(token string) {
	c.inner.Add(c.inner.Key(token), c.inner.Owner("issuer", "subject", "false"), c.value, c.now, time.Hour)
}

func (c *tokenCache) Get(token string) bool { return c.inner.Get(c.inner.Key(token), c.now) != nil }

type lruCache struct {
	inner *lru.Cache[[sha256.Size]byte, *struct{}]
}

func newLRU() cache {
	inner, err := lru.New[[sha256.Size]byte, *struct{}](maxTokens)
	if err != nil {
		panic("bench: " + err.Error())
	}
	return lruCache{inner}
}

func (c lruCache) Add(token string) { c.inner.Add(sha256.Sum256([]byte(token)), &struct{}{}) }

func (c lruCache) Get(token string) bool {
	_, ok := c.inner.Get(sha256.Sum256([]byte(token)))
	return ok
}

// live is the heap after a collection; two, because the first one finalizes.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
