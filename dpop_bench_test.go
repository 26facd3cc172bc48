package mcpauth_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// BenchmarkDPoP authenticates requests with a token that was verified before: as a bearer token, and bound to a key
// with a new proof each. "signature" is the check of such a proof's signature alone, which nobody can go below;
// "beyond-ns/op" is what is left of a request with a proof when that and the bearer request are taken off.
func BenchmarkDPoP(b *testing.B) {
	l := newProofLab(b, nil)
	bearer := l.send("Bearer " + l.bearer)
	b.Run("bearer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.auth.Authenticate(bearer); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		l.key = mcpauthtest.NewKey("bench", alg)
		l.token = l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"})
		b.Run(alg, func(b *testing.B) {
			requests := make([]*http.Request, b.N)
			for i := range requests {
				requests[i] = l.send("DPoP "+l.token, l.proof(nil))
			}
			proof, err := jose.ParseProof(l.proof(nil), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var beyond, signatures []time.Duration // by turns, because the machine has other things to do
			for batch := range slices.Chunk(requests, 20) {
				begun := time.Now()
				for _, r := range batch {
					if _, err := l.auth.Authenticate(r); err != nil {
						b.Fatal(err)
					}
				}
				whole := time.Since(begun)
				b.StopTimer()
				begun = time.Now()
				for range batch {
					_ = proof.Verify()
				}
				signature := time.Since(begun)
				begun = time.Now()
				for range batch {
					_, _ = l.auth.Authenticate(bearer)
				}
				each := time.Duration(len(batch))
				beyond, signatures = append(beyond, (whole-signature-time.Since(begun))/each), append(signatures, signature/each)
				b.StartTimer()
			}
			slices.Sort(beyond)
			slices.Sort(signatures)
			b.ReportMetric(float64(signatures[len(signatures)/2]), "signature-ns/op")
			b.ReportMetric(float64(beyond[len(beyond)/2]), "beyond-ns/op")
		})
	}
}
