package mcpauth

import (
	"testing"
	"time"
)

// BenchmarkVerifyAnew is a token that was not seen before; compare it with
// internal/jose's BenchmarkToken, which has the signature alone.
func BenchmarkVerifyAnew(b *testing.B) { benchmarkVerify(b) }

// benchmarkVerify is set up by the external test package, which has the fake issuer.
var benchmarkVerify func(*testing.B)

// VerifyAnew makes the full verification reachable for benchmarks.
func (m *Middleware) VerifyAnew(b *testing.B, token string) {
	if _, denied := m.verifyAnew(b.Context(), token, time.Now()); denied != nil {
		b.Fatal(denied)
	}
}

// SetBenchmark sets what BenchmarkVerifyAnew runs.
func SetBenchmark(run func(*testing.B)) { benchmarkVerify = run }
