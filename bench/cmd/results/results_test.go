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
BenchmarkCold/alg=RS256/impl=crypto-2 100 10000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth-2 100 11000 ns/op 0 B/op 4 allocs/op
BenchmarkCold/alg=RS256/impl=crypto-2 100 40000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth-2 100 48000 ns/op 0 B/op 4 allocs/op
BenchmarkCold/alg=RS256/impl=crypto-2 100 20000 ns/op 0 B/op 1 allocs/op
BenchmarkCold/alg=RS256/impl=mcpauth-2 100 20000 ns/op 0 B/op 4 allocs/op
BenchmarkPaired/what=cold/alg=RS256/to=golang-jwt+keyfunc 100 0.8 ratio
BenchmarkE2E/group=server/auth=none/token=RS256/size=300/gc=GOGC=100/heap=0/clients=8 600 75000 ns/op 100.00 cpu-us/req
BenchmarkE2E/group=server/auth=mcpauth/token=RS256/size=300/gc=GOGC=100/heap=0/clients=8 600 75000 ns/op 114.00 cpu-us/req
BenchmarkE2E/group=server/auth=mcpauth/token=RS256/size=300/gc=GOGC=100/heap=0/clients=8 600 75000 ns/op 111.00 cpu-us/req
BenchmarkE2E/group=server/auth=none/token=RS256/size=300/gc=GOGC=100/heap=0/clients=8 600 75000 ns/op 100.00 cpu-us/req
BenchmarkFlood/beside=unknown-kid 100 75000 ns/op 400 p50-us 3000 p99-us 13000 flood-req/s 2 fetches
BenchmarkGrowth/by=tools/n=10/impl=mcpauth 100 75000 ns/op 10000 cpu-ns/op
BenchmarkGrowth/by=tools/n=100/impl=mcpauth 100 75000 ns/op 100000 cpu-ns/op
BenchmarkGrowth/by=tools/n=1000/impl=mcpauth 100 75000 ns/op 1000000 cpu-ns/op
BenchmarkGrowth/by=tools/n=5000/impl=mcpauth 100 75000 ns/op 5000000 cpu-ns/op
BenchmarkGrowth/by=body/n=300/impl=mcpauth 100 75000 ns/op 10000 cpu-ns/op
BenchmarkGrowth/by=body/n=4096/impl=mcpauth 100 75000 ns/op 5000000 cpu-ns/op
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
	if r := d.ratio(cold("RS256", "mcpauth"), cold("RS256", "crypto"), "sec/op").value; math.Abs(r-1.1) > 1e-9 {
		t.Errorf("ratio %v", r)
	}
	if r := d.median(cold("RS256", "mcpauth"), "sec/op").value; math.Abs(r-20e-6) > 1e-12 {
		t.Errorf("median %v", r)
	}
	if r := d.beyond(cold("RS256", "mcpauth"), cold("RS256", "crypto"), "allocs/op").value; r != 3 {
		t.Errorf("beyond %v", r)
	}
}

// A mean is not moved by the fifths at the ends, and its error counts them as the last
// that stay: of 1 1 2 3 3 the mean is 2, the deviation 1, and the error 1·√5/3.
func TestTrimmed(t *testing.T) {
	f := trimmed([]float64{2, 1000, -50, 1, 3})
	if math.Abs(f.value-2) > 1e-9 || math.Abs(f.spread-math.Sqrt(5)/3) > 1e-9 {
		t.Errorf("%+v", f)
	}
	if f := trimmed([]float64{7}); f.value != 7 || f.spread != 0 {
		t.Errorf("%+v", f)
	}
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	if err := report(&b, measured(t)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| the same, allocations, with remembering it | <= 12 | 3 | ±0 | met |",
		"| new token, RS256, times golang-jwt + keyfunc | <= 0.85x | 0.80x | ±0.00x | met |",
		"| new token, PS256, times golang-jwt + keyfunc | <= 0.85x | - | - | not measured |",
		"| mcp-go, GOGC=100: CPU beyond the same server with the same token | <= 12.0 us | 12.5 us | ±1.5 us | **missed** |",
		"| the same, fetches of keys in a round | <= 1 | 2 | ±0 | **missed** |",
		"mcpauth costs +12.5 ±1.5 us of CPU a request",
		"| CPU a list in us, by tools in it, half of them hidden | 10 | 10.0 ±0 |  |  | linear |",
		"- CPU a request by bytes of a body: ",
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

// A figure that misses its target does not look like the target.
func TestFinest(t *testing.T) {
	for value, want := range map[float64]string{
		8.6: "%.0f B", 9: "%.0f B", 9.5: "%.0f B", 9.4: "%.1f B", 9.004: "%.3f B", math.Nextafter(9, 10): "%.9f B", math.NaN(): "%.0f B",
	} {
		if got := (target{limit: 9, format: "%.0f B"}).finest(value); got != want {
			t.Errorf("%v: %s, expected %s", value, got, want)
		}
	}
	if got := (target{limit: 9, least: true, format: "%.1f"}).finest(8.98); got != "%.2f" {
		t.Error(got)
	}
}

func TestGrows(t *testing.T) {
	for want, values := range map[string][3]float64{
		"flat": {10, 12, 11}, "linear": {10, 80, 900}, "**more than linear**": {10, 100, 5000}, "**less than linear**": {10, 20, 40}, "**falls**": {50, 20, 20},
	} {
		d := &data{values: map[string]map[string][]float64{}}
		a := axis{sizes: []int{1, 10, 100}, linear: strings.HasSuffix(want, "linear") && want != "**less than linear**", factor: 1, key: "x", name: func(n int, _ string) string { return count(n) }}
		for i, n := range a.sizes {
			d.values[count(n)] = map[string][]float64{"x": {values[i]}}
		}
		if got := a.grows(d); got != want {
			t.Errorf("%v: %s, expected %s", values, got, want)
		}
	}
}

func TestPlot(t *testing.T) {
	var b bytes.Buffer
	if err := plotGrowth(&b, measured(t)); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.HasPrefix(text, "<?xml") || !strings.Contains(text, "CPU a list, us") || !strings.Contains(text, "Arial") {
		t.Error("no picture")
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
	if err := measure(&out, plan{rounds: 1, benchtime: "1x", e2e: []string{"-rounds=1", "-requests=40", "-flood=200"}}); err != nil {
		t.Fatal(err)
	}
	d, err := read(&out, "smoke")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets() {
		if strings.Contains(target.what, "(A/A)") {
			continue // one round has no standard error
		}
		if !target.measure(d).known() {
			t.Errorf("not measured: %s", target.what)
		}
	}
	for _, a := range axes {
		for _, n := range a.sizes {
			for _, l := range a.lines {
				if !a.at(d, n, l.impl).known() {
					t.Errorf("not measured: %s", a.name(n, l.impl))
				}
			}
		}
	}
	for name, table := range tables {
		if text := table(d); strings.Count(text, "\n") < 4 {
			t.Errorf("table %s has no lines", name)
		}
	}
}
