package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

const rounds = `goos: linux
cpu: some
cores: 2
BenchmarkCold/alg=RS256/impl=crypto/mode=serial-2 100 10000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth/mode=serial-2 100 11000 ns/op 0 B/op 4 allocs/op
BenchmarkCold/alg=RS256/impl=crypto/mode=serial-2 100 40000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth/mode=serial-2 100 48000 ns/op 0 B/op 4 allocs/op
BenchmarkCold/alg=RS256/impl=crypto/mode=serial-2 100 20000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth/mode=serial-2 100 20000 ns/op 0 B/op 4 allocs/op
BenchmarkPaired/what=cold/alg=RS256/to=crypto 100 1.1 ratio 2800 ns-beyond
BenchmarkE2E/auth=none/alg=none/token=none/size=300 600 75000 ns/op 13000 req/s 400 p50-us 3000 p99-us 100.00 cpu-us/req
BenchmarkE2E/auth=mcpauth/alg=RS256/token=same/size=300 600 75000 ns/op 12900 req/s 400 p50-us 3000 p99-us 101.50 cpu-us/req
BenchmarkFlood/beside=unknown-kid 100 75000 ns/op 400 p50-us 3000 p99-us 13000 flood-req/s 2 fetches
`

func measured(t *testing.T) *data {
	t.Helper()
	d, err := read(strings.NewReader(rounds), "rounds")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A ratio is taken within its round: of 11/10, 48/40 and 20/20 the middle is
// 1.1, while that of the medians would be 1.0.
func TestRatioWithinRounds(t *testing.T) {
	d := measured(t)
	if r := d.ratio(cold("RS256", "mcpauth"), cold("RS256", "crypto"), "sec/op"); math.Abs(r-1.1) > 1e-9 {
		t.Errorf("ratio %v", r)
	}
	if r := d.median(cold("RS256", "mcpauth"), "sec/op"); math.Abs(r-20e-6) > 1e-12 {
		t.Errorf("median %v", r)
	}
	if r := d.beyond(cold("RS256", "mcpauth"), cold("RS256", "crypto"), "allocs/op"); r != 3 {
		t.Errorf("beyond %v", r)
	}
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	if err := report(&b, measured(t)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| new token, RS256, times raw crypto | <= 1.050x | 1.100x | missed |",
		"| new token, PS256, times raw crypto | <= 1.080x | not measured |",
		"| mcp-go with the wrapper, 300 B, throughput | >= 0.98x | 0.99x | met |",
		"| mcp-go with the wrapper, 300 B, CPU | <= 1.02x | 1.01x | met |",
		"| flood of unknown keys, key fetches | <= 1 | 2 | missed |",
		"some, 2 cores",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error("a figure that is none")
	}
}

func TestPlots(t *testing.T) {
	for name, draw := range plots {
		var b bytes.Buffer
		if err := draw(&b, measured(t)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), "<?xml") || !strings.Contains(b.String(), "<svg") {
			t.Errorf("%s is no SVG", name)
		}
	}
}

// TestEveryTargetIsMeasured runs every benchmark once and every server for a
// moment: a benchmark that was renamed, or that fails, would leave its target
// unmeasured without a word.
func TestEveryTargetIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all benchmarks once")
	}
	t.Chdir("../..")
	var out bytes.Buffer
	if err := measure(&out, plan{rounds: 1, benchtime: "1x", e2eRounds: 1, requests: 40, flood: 200}); err != nil {
		t.Fatal(err)
	}
	d, err := read(&out, "smoke")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets() {
		if value := target.measure(d); math.IsNaN(value) || math.IsInf(value, 0) {
			t.Errorf("not measured: %s", target.what)
		}
	}
	for name, table := range tables {
		if text := table(d); strings.Count(text, "\n") < 4 {
			t.Errorf("table %s has no lines", name)
		}
	}
}
