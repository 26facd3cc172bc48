package main

import (
	"fmt"
	"math"
	"strings"
)

// target is one line of what the library promises itself.
type target struct {
	what    string
	limit   float64
	least   bool   // the limit is a minimum
	format  string // of the limit, the figure and its spread
	command string // what prints the figures
	measure func(d *data) figure
}

const (
	micro = 1e6 // seconds to microseconds
	milli = 1e3

	benchCold   = "go test -run '^$' -bench 'Cold/' ."
	benchWarm   = "go test -run '^$' -bench Warm ."
	benchRead   = "go test -run '^$' -bench Read ."
	benchLists  = "go test -run '^$' -bench Lists ."
	benchTokens = "go test -run '^$' -bench Tokens ."
	benchPaired = "go test -run '^$' -bench Paired ."
	benchStart  = "go test -run '^$' -bench Start ."
	runServer   = "go run ./cmd/e2e -group server"
	runFlood    = "go run ./cmd/e2e -group flood"
)

func targets() []target {
	var all []target
	for _, group := range [][]target{serverTargets(), warmTargets(), coldTargets(), bodyTargets(), listTargets(), tokenTargets(), refusalTargets(), scaleTargets()} {
		all = append(all, group...)
	}
	return all
}

// server is the name of a variant of the group "server".
func server(auth, token, heap string) string {
	return "E2E/group=server/auth=" + auth + "/token=" + token + "/size=300/gc=GOGC=100/heap=" + heap + "/clients=8"
}

func serverTargets() (all []target) {
	garbage := func(unit string) func(*data) figure {
		return func(d *data) figure {
			return d.beyond(server("mcpauth", "RS256", "0"), server("none", "RS256", "0"), unit)
		}
	}
	for _, c := range []struct {
		heap, name string
		limit      float64
	}{{"0", "GOGC=100", 12}, {"64", "64 MB alive", 6}} {
		beyond := func(auth, than string) func(*data) figure {
			return func(d *data) figure {
				return d.difference(server(auth, "RS256", c.heap), server(than, "RS256", c.heap), "cpu-us/req")
			}
		}
		all = append(all,
			target{"mcp-go, " + c.name + ": CPU beyond the same server with the same token", c.limit, false, "%.1f us", runServer, beyond("mcpauth", "none")},
			target{"the same less go-sdk + LRU + encoding/json, and twice the standard error", 0, false, "%.1f us", runServer, func(d *data) figure {
				f := beyond("mcpauth", "sdk+lru+json")(d)
				return figure{f.value + 2*f.spread, f.spread}
			}},
			target{"the same server twice (A/A), in standard errors", 2, false, "%.1f", runServer, func(d *data) figure {
				f := beyond("again", "none")(d)
				return figure{math.Abs(f.value / f.spread), math.NaN()}
			}})
	}
	return append(all,
		target{"mcp-go: allocations beyond the same server with the same token", 9, false, "%.0f", runServer, garbage("allocs/op")},
		target{"the same, bytes", 1900, false, "%.0f B", runServer, garbage("B/op")})
}

func warm(handler, impl string) string { return "Warm/handler=" + handler + "/impl=" + impl }

func warmTargets() []target {
	beyond := func(handler, unit string) func(*data) figure {
		return func(d *data) figure { return d.beyond(warm(handler, "mcpauth"), warm(handler, "noop"), unit) }
	}
	return []target{
		{"known token, 300 B, whole wrapper, times one RS256 check", 0.060, false, "%.3fx", benchPaired, paired("known/impl=mcpauth/to=crypto", "ratio", 1)},
		{"the same, allocations beyond the handler", 6, false, "%.0f", benchWarm, beyond("none", "allocs/op")},
		{"the same, bytes", 1500, false, "%.0f B", benchWarm, beyond("none", "B/op")},
		{"with a handler that derives a context, allocations beyond it", 9, false, "%.0f", benchWarm, beyond("derives", "allocs/op")},
		{"the same, bytes", 1900, false, "%.0f B", benchWarm, beyond("derives", "B/op")},
		{"body of 300 B, from its bytes to its calls", 0.45, false, "%.2f us", benchPaired, paired("read/to=nothing", "sec-beyond", micro)},
		{"the same, allocations for a listed name", 0, false, "%.0f", benchRead, func(d *data) figure { return d.median("Read", "allocs/op") }},
	}
}

// paired is what was measured by turns.
func paired(name, unit string, factor float64) func(*data) figure {
	return func(d *data) figure { return d.median("Paired/what="+name, unit).times(factor) }
}

func cold(alg, impl string) string { return "Cold/alg=" + alg + "/impl=" + impl }

func coldTargets() (all []target) {
	for _, alg := range algorithms {
		all = append(all,
			target{"new token, " + alg + ", beyond its signature check and without remembering it", 2, false, "%.1f us", benchPaired, func(d *data) figure {
				whole, remember := paired("cold/alg="+alg+"/to=crypto", "sec-beyond", micro)(d), paired("remember/to=nothing", "sec-beyond", micro)(d)
				return figure{whole.value - remember.value, math.Hypot(whole.spread, remember.spread)}
			}},
			target{"the same, allocations, with remembering it", 12, false, "%.0f", benchCold, func(d *data) figure {
				return d.beyond(cold(alg, "mcpauth"), cold(alg, "crypto"), "allocs/op")
			}},
			target{"new token, " + alg + ", times golang-jwt + keyfunc", 0.85, false, "%.2fx", benchPaired, paired("cold/alg="+alg+"/to=golang-jwt+keyfunc", "ratio", 1)})
	}
	return all
}

var bodySizes = []string{"300B", "4KB", "64KB", "1MB", "4MB"}

func bodyName(shape, size, order, impl string) string {
	return "Body/shape=" + shape + "/size=" + size + "/order=" + order + "/impl=" + impl
}

func bodyPair(shape, size, impl string) string {
	return "body/shape=" + shape + "/size=" + size + "/impl=" + impl + "/to=mcpauth"
}

func bodyTargets() []target {
	// slowest is the size at which the reader is least ahead.
	slowest := func(shapes ...string) func(*data) figure {
		return func(d *data) figure {
			least := figure{math.Inf(1), 0}
			for _, shape := range shapes {
				for _, size := range bodySizes[1:] {
					if f := paired(bodyPair(shape, size, "json.Valid"), "ratio", 1)(d); !(f.value >= least.value) {
						least = f
					}
				}
			}
			return least
		}
	}
	return []target{
		{"body from 4 KB, structure, json.Valid times ours", 2.2, true, "%.1fx", benchPaired, slowest("structure")},
		{"body from 4 KB, text, json.Valid times ours", 5, true, "%.1fx", benchPaired, slowest("ascii", "cjk")},
	}
}

func listTargets() (all []target) {
	for _, hidden := range []string{"none", "half"} {
		name := func(form string) string { return "Lists/tools=5000/hidden=" + hidden + "/form=" + form }
		all = append(all, target{"list of 5,000 tools, " + hidden + " hidden, CPU", 2.5, false, "%.1f ms", benchLists, func(d *data) figure {
			return d.median(name("json"), "cpu-sec/op").times(milli)
		}})
		for _, form := range []string{"json", "sse"} {
			all = append(all, target{"the same, garbage in sizes of the list, " + strings.ToUpper(form), 3, false, "%.1fx", benchLists, func(d *data) figure {
				return d.median(name(form), "lists/op")
			}})
		}
	}
	resources := func(n string) string { return "Lists/resources=" + n }
	return append(all,
		target{"list of 2,000 resources against 2,000 templates, CPU", 10, false, "%.1f ms", benchLists, func(d *data) figure {
			return d.median(resources("2000"), "cpu-sec/op").times(milli)
		}},
		target{"the same, times 200 against 200", 12, false, "%.1fx", benchLists, func(d *data) figure {
			return d.ratio(resources("2000"), resources("200"), "cpu-sec/op")
		}})
}

func tokenTargets() []target {
	of := func(n, unit string) func(*data) figure {
		return func(d *data) figure { return d.median("Tokens/tokens="+n, unit) }
	}
	return []target{
		{"verified tokens in the memory of 64 MiB", 60_000, true, "%.0f", benchTokens, of("100000", "held")},
		{"60,000 tokens in turn, known again", 99, true, "%.1f %%", benchTokens, of("60000", "%hits")},
		{"100,000 tokens in turn, known again", 55, true, "%.1f %%", benchTokens, of("100000", "%hits")},
		{"memory of each, its principal included", 1100, false, "%.0f B", benchTokens, of("60000", "B/token")},
	}
}

func refusalTargets() (all []target) {
	for _, what := range []string{"no-token", "garbage-1KB", "garbage-14KB", "alg-none", "alg-unknown", "issuer", "audience", "expired"} {
		all = append(all, target{"refusal: " + what, 3, false, "%.2f us", benchPaired, paired("refuse/why="+what+"/to=noop", "sec-beyond", micro)})
	}
	flood := func(name string) string { return "Flood/beside=" + name }
	return append(all,
		target{"flood of unknown keys, p99 of a good client, times an equal flood without tokens", 1.1, false, "%.2fx", runFlood, func(d *data) figure {
			return d.ratio(flood("unknown-kid"), flood("no-token"), "p99-us")
		}},
		target{"the same, fetches of keys in a round", 1, false, "%.0f", runFlood, func(d *data) figure { return d.median(flood("unknown-kid"), "fetches") }})
}

func scaleTargets() []target {
	return []target{
		{"whole request, 100,000 tools times 10", 1.3, false, "%.2fx", benchPaired, paired("request/tools=100000/to=10", "ratio", 1)},
		{"known token, 1,000 issuers times 1", 1.3, false, "%.2fx", benchPaired, paired("known/issuers=1000/to=1", "ratio", 1)},
		{"refused token, 1,000 issuers times 1", 1.3, false, "%.2fx", benchPaired, paired("refused/issuers=1000/to=1", "ratio", 1)},
		{"round trips of the first request after New", 2, false, "%.0f", benchStart, func(d *data) figure { return d.median("Start", "roundtrips/op") }},
	}
}

// meets reports whether a figure is what the target asks for.
func (t target) meets(value float64) bool {
	return t.least && value >= t.limit || !t.least && value <= t.limit
}

// finest is the format, with as many decimals as a figure needs that misses its target by less than the format shows.
func (t target) finest(value float64) string {
	format := []byte(t.format) // "%.0f"
	for !math.IsNaN(value) && !t.meets(value) && format[2] < '9' && fmt.Sprintf(string(format), value) == fmt.Sprintf(string(format), t.limit) {
		format[2]++
	}
	return string(format)
}

// targetTable is the table of all targets.
func targetTable(d *data) string {
	var b strings.Builder
	head(&b, "what", "target", "figure", "spread", "", "printed by")
	for _, t := range targets() {
		sign, verdict := "<=", "**missed**"
		if t.least {
			sign = ">="
		}
		f := t.measure(d)
		switch {
		case !f.known():
			verdict = "not measured"
		case t.meets(f.value):
			verdict = "met"
		}
		format := t.finest(f.value)
		row(&b, t.what, sign+" "+fmt.Sprintf(t.format, t.limit), number(format, f.value), number("±"+format, f.spread), verdict, "`"+t.command+"`")
	}
	return b.String()
}
