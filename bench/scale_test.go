package bench

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// BenchmarkPolicy asks for one tool among many: the decision alone, and the
// whole wrapper with a known token.
func BenchmarkPolicy(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		m := sync.OnceValue(func() manyTools { return newTools(b, n) }) // only those that are asked for
		b.Run(fmt.Sprintf("tools=%d/what=decision", n), func(b *testing.B) {
			drive(b, false, func() func(int) bool { return m().decision(b) })
		})
		b.Run(fmt.Sprintf("tools=%d/what=request", n), func(b *testing.B) { drive(b, false, m().request(b)) })
	}
}

// manyTools is a middleware that knows so many tools.
type manyTools struct{ auth *mcpauth.Middleware }

func newTools(b *testing.B, n int) manyTools {
	tools := make(map[string]mcpauth.Requirement, n)
	for i := range n - 1 {
		tools["tool_"+strconv.Itoa(i)] = mcpauth.Scopes("tool:" + strconv.Itoa(i))
	}
	tools[tool] = mcpauth.Scopes("analytics:data:read")
	return manyTools{newMiddleware(b, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: tools} })}
}

func (m manyTools) decision(b *testing.B) func(int) bool {
	principal, err := m.auth.Authenticate(fixture.NewRequest(known(), tool, nil).Request)
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: tool}
	return func(int) bool { return m.auth.Authorize(ctx, principal, call) == nil }
}

func (m manyTools) request(b *testing.B) func() func(int) bool {
	return primed(b, serving(m.auth.Wrap(fixture.Served), known(), smallBody, http.StatusOK))
}

// BenchmarkIssuers finds one issuer among many: with a known token, and with
// one that is refused for its audience, which no cache can answer.
func BenchmarkIssuers(b *testing.B) {
	for _, n := range []int{1, 100, 1_000} {
		m := newIssuers(b, n)
		b.Run(fmt.Sprintf("issuers=%d/what=known", n), func(b *testing.B) { drive(b, false, m.known(b)) })
		b.Run(fmt.Sprintf("issuers=%d/what=refused", n), func(b *testing.B) { drive(b, false, m.refused(b)) })
	}
}

// manyIssuers is a wrapper that trusts so many issuers, the real one among them.
type manyIssuers struct {
	handler http.Handler
	foreign string // a token for another audience
}

func newIssuers(b *testing.B, n int) manyIssuers {
	auth := newMiddleware(b, func(c *mcpauth.Config) {
		for i := range n - 1 {
			c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: fmt.Sprintf("https://issuer-%d.example.com", i), Keys: issuer.KeySet()})
		}
	})
	return manyIssuers{auth.Wrap(fixture.Served), issuer.Mint("RS256", func(claims map[string]any) { claims["aud"] = "https://other.example.com" })}
}

func (m manyIssuers) known(b *testing.B) func() func(int) bool {
	return primed(b, serving(m.handler, known(), smallBody, http.StatusOK))
}

func (m manyIssuers) refused(b *testing.B) func() func(int) bool {
	return primed(b, serving(m.handler, m.foreign, smallBody, http.StatusUnauthorized))
}

// BenchmarkTokenMemory is what a verified token leaves behind in the
// middleware, its principal included: live bytes after so many tokens. More
// tokens than the cache has room for cost less each.
func BenchmarkTokenMemory(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			values := authorization(issuer.Tokens("EdDSA", n))
			var perToken float64
			for range b.N {
				auth := newMiddleware(b, nil)
				before := live()
				r := fixture.NewRequest("", tool, nil)
				for _, value := range values {
					r.Header["Authorization"] = value
					if _, err := auth.Authenticate(r.Request); err != nil {
						b.Fatal(err)
					}
				}
				perToken = max(0, float64(live())-float64(before)) / float64(n)
				runtime.KeepAlive(auth)
			}
			b.ReportMetric(perToken, "B/token")
		})
	}
}

// live is the heap after a collection; two, because the first one finalizes.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkStart is a server's first good request after New, the fetch of
// metadata and keys on loopback included.
func BenchmarkStart(b *testing.B) {
	before := issuer.Requests()
	for range b.N {
		auth, err := mcpauth.New(config(nil))
		if err != nil {
			b.Fatal(err)
		}
		if !serving(auth.Wrap(fixture.Served), known(), smallBody, http.StatusOK)()(0) {
			b.Fatal("refused")
		}
	}
	b.ReportMetric(float64(issuer.Requests()-before)/float64(b.N), "roundtrips/op")
}
