package bench

import (
	"bytes"
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

const tool = "query_usage"

// smallBody is what most calls look like.
var smallBody = fixture.Body(tool, "structure", 300, false)

// issuer serves all benchmarks of the process.
var issuer *fixture.Issuer

func TestMain(m *testing.M) {
	issuer = fixture.NewIssuer()
	code := m.Run()
	issuer.Close()
	os.Exit(code)
}

// drive runs an operation b.N times. It reports success: a benchmark of
// refusals by mistake would be a fast one.
func drive(b *testing.B, operation func(i int) bool) {
	b.Helper()
	b.ReportAllocs()
	// What the set-up left behind is not the cost of the operation.
	runtime.GC()
	before := fixture.CPUTime()
	b.ResetTimer()
	for i := range b.N {
		if !operation(i) {
			b.Fatal("the operation failed")
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((fixture.CPUTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// known is the one token of which every benchmark says that it was seen before.
func known() string { return issuer.Tokens("RS256", 1)[0] }

// newMiddleware makes a middleware that has its keys. change, if not nil,
// edits the configuration first.
func newMiddleware(b testing.TB, change func(*mcpauth.Config)) *mcpauth.Middleware {
	b.Helper()
	auth, err := mcpauth.New(config(change))
	if err != nil {
		b.Fatal(err)
	}
	if err := auth.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	return auth
}

func config(change func(*mcpauth.Config)) mcpauth.Config {
	c := mcpauth.Config{
		Resource:              fixture.Resource,
		Issuers:               []mcpauth.Issuer{{URL: issuer.URL}},
		AllowInsecureLoopback: true,
		Scopes:                []string{"mcp:read"},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			tool:             mcpauth.Scopes("analytics:data:read"),
			"edit_dashboard": mcpauth.Scopes("dashboard:modify"),
			"delete_tenant":  mcpauth.Scopes("tenant:admin"),
		}},
	}
	if change != nil {
		change(&c)
	}
	return c
}

// newVerifier makes a peer's verifier that has its keys.
func newVerifier(b *testing.B, peer peers.Peer, alg string) peers.Verifier {
	b.Helper()
	verify, err := peer.New(b.Context(), peers.Source{Issuer: issuer.URL, JWKSURL: issuer.JWKSURL, Audience: fixture.Resource, Alg: alg})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := verify(b.Context(), issuer.Mint(alg, nil)); err != nil {
		b.Fatal(err)
	}
	return verify
}

// authorization returns a header value for each token, made beforehand as a
// server has it from the wire.
func authorization(tokens []string) [][]string {
	values := make([][]string, len(tokens))
	for i, token := range tokens {
		values[i] = []string{"Bearer " + token}
	}
	return values
}

// serving returns an operation that sends one request through a handler again
// and again and wants this status. The first one is sent before the clock runs:
// it fetches keys and fills caches.
func serving(b testing.TB, handler http.Handler, token string, body []byte, status int) func(int) bool {
	b.Helper()
	// The headers of a call have to agree with its body.
	name := tool
	if bytes.Contains(body, []byte("delete_tenant")) {
		name = "delete_tenant"
	}
	r, w := fixture.NewRequest(token, name, body), &fixture.Writer{}
	send := func(int) bool {
		w.Reset()
		r.Rewind(body)
		handler.ServeHTTP(w, r.Request)
		return w.Status == status
	}
	if !send(0) {
		b.Fatalf("the first request was answered with %d", w.Status)
	}
	return send
}
