package main

import (
	"fmt"
	"math"
)

// target is one line of what the library promises itself.
type target struct {
	what    string
	limit   float64
	least   bool   // the limit is a minimum
	format  string // of the limit and the value
	command string // what prints the figures
	measure func(d *data) float64
}

const (
	micro = 1e6 // seconds to microseconds

	benchCold   = "go test -run '^$' -bench 'Cold/' ."
	benchWarm   = "go test -run '^$' -bench 'Warm/size=300' ."
	benchCache  = "go test -run '^$' -bench Cache ."
	benchBody   = "go test -run '^$' -bench Body ."
	benchRefuse = "go test -run '^$' -bench Refuse ."
	benchPaired = "go test -run '^$' -bench Paired ."
	benchStart  = "go test -run '^$' -bench Start ."
	runE2E      = "go run ./cmd/e2e"
	runFlood    = "go run ./cmd/e2e -rounds 0 -flood 100000"
)

func targets() []target {
	var all []target
	for _, group := range [][]target{coldTargets(), warmTargets(), cacheTargets(), bodyTargets(), refusalTargets(), scaleTargets(), serverTargets()} {
		all = append(all, group...)
	}
	return all
}

func cold(alg, impl string) string { return "Cold/alg=" + alg + "/impl=" + impl + "/mode=serial" }
func warm(size, impl string) string {
	return "Warm/size=" + size + "/impl=" + impl + "/mode=serial"
}

func coldTargets() (all []target) {
	for _, c := range []struct {
		alg   string
		limit float64
	}{{"RS256", 1.05}, {"PS256", 1.08}, {"ES256", 1.03}, {"EdDSA", 1.04}} {
		all = append(all,
			target{"new token, " + c.alg + ", times raw crypto", c.limit, false, "%.3fx", benchPaired, func(d *data) float64 {
				return d.median("Paired/what=cold/alg="+c.alg+"/to=crypto", "ratio")
			}},
			target{"new token, " + c.alg + ", time beyond raw crypto", 1.5, false, "%.1f us", benchPaired, func(d *data) float64 {
				return micro * d.median("Paired/what=cold/alg="+c.alg+"/to=crypto", "sec-beyond")
			}},
			target{"new token, " + c.alg + ", allocations beyond raw crypto (a handful)", 10, false, "%.0f", benchCold, func(d *data) float64 {
				return d.beyond(cold(c.alg, "mcpauth"), cold(c.alg, "crypto"), "allocs/op")
			}})
	}
	return append(all, target{"new token, RS256, times golang-jwt + keyfunc", 0.75, false, "%.2fx", benchPaired, func(d *data) float64 {
		return d.median("Paired/what=cold/alg=RS256/to=golang-jwt+keyfunc", "ratio")
	}})
}

func warmTargets() []target {
	mine, noop := warm("300", "mcpauth"), warm("300", "noop")
	beyond := func(unit string) func(*data) float64 {
		return func(d *data) float64 { return d.beyond(mine, noop, unit) }
	}
	times := func(peer string) func(*data) float64 {
		return func(d *data) float64 { return d.median("Paired/what=known/impl="+peer+"/to=mcpauth", "ratio") }
	}
	return []target{
		{"known token and 300 B body, time of the wrapper", 1.0, false, "%.2f us", benchPaired, func(d *data) float64 {
			return -micro * d.median("Paired/what=known/impl=noop/to=mcpauth", "sec-beyond")
		}},
		{"known token and 300 B body, allocations", 2, false, "%.0f", benchWarm, beyond("allocs/op")},
		{"known token and 300 B body, bytes allocated", 400, false, "%.0f B", benchWarm, beyond("B/op")},
		{"the same, against go-sdk + golang-jwt", 50, true, "%.1fx", benchPaired, times("sdk+golang-jwt")},
		{"the same, against go-sdk + LRU + encoding/json", 7, true, "%.1fx", benchPaired, times("sdk+lru+json")},
	}
}

func cacheTargets() (all []target) {
	name := func(n, mode string) string { return "Cache/entries=" + n + "/impl=mcpauth/mode=" + mode }
	for _, c := range []struct {
		entries string
		limit   float64
	}{{"10000", 0.26}, {"100000", 0.33}, {"1000000", 0.45}} {
		all = append(all, target{"cache look-up among " + c.entries, c.limit, false, "%.2f us", benchCache, func(d *data) float64 {
			return micro * d.median(name(c.entries, "serial"), "sec/op")
		}})
	}
	return append(all,
		target{"cache, bytes an entry beside the principal", 64, false, "%.0f B", benchCache, func(d *data) float64 {
			return d.median(name("100000", "serial"), "B/entry")
		}},
		target{"cache, two cores against one", 0.6, false, "%.2fx", benchCache, func(d *data) float64 {
			return d.ratio(name("100000", "parallel"), name("100000", "serial"), "sec/op")
		}})
}

var bodySizes = []string{"300B", "4KB", "64KB", "1MB", "4MB"}

func bodyName(shape, size, order, impl string) string {
	return "Body/shape=" + shape + "/size=" + size + "/order=" + order + "/impl=" + impl
}

// bodyPair is how many times longer a peer takes.
func bodyPair(shape, size, peer string) string {
	return "Paired/what=body/shape=" + shape + "/size=" + size + "/impl=" + peer + "/to=mcpauth"
}

func bodyTargets() []target {
	// slowest is the size at which the reader is least ahead.
	slowest := func(peer string, shapes ...string) func(*data) float64 {
		return func(d *data) float64 {
			least := math.Inf(1)
			for _, shape := range shapes {
				for _, size := range bodySizes {
					least = min(least, d.median(bodyPair(shape, size, peer), "ratio"))
				}
			}
			return least
		}
	}
	return []target{
		{"body, structure, against json.Valid, worst size", 2.3, true, "%.1fx", benchPaired, slowest("json.Valid", "structure")},
		{"body, ASCII text, against json.Valid, worst size", 4, true, "%.1fx", benchPaired, slowest("json.Valid", "ascii")},
		{"body, other text, against json.Valid, worst size", 4, true, "%.1fx", benchPaired, slowest("json.Valid", "cjk")},
		{"body, any shape, against encoding/json, worst size", 5, true, "%.1fx", benchPaired, slowest("encoding-json", "structure", "ascii", "cjk")},
		{"body, allocations, worst", 0, false, "%.0f", benchBody, func(d *data) float64 {
			most := 0.0
			for _, size := range bodySizes {
				for _, shape := range []string{"structure", "ascii", "cjk"} {
					most = max(most, d.median(bodyName(shape, size, "first", "mcpauth"), "allocs/op"))
				}
			}
			return most
		}},
	}
}

func refusalTargets() (all []target) {
	for _, what := range []string{"no-token", "garbage-1KB", "garbage-14KB", "alg-none", "alg-unknown", "issuer", "audience", "expired"} {
		all = append(all, target{"refusal: " + what, 3, false, "%.2f us", benchPaired, func(d *data) float64 {
			return micro * d.median("Paired/what=refuse/why="+what+"/to=noop", "sec-beyond")
		}})
	}
	return append(all, target{"refusal: bytes that 14 KB of garbage allocate beyond 1 KB", 0, false, "%.0f B", benchRefuse, func(d *data) float64 {
		return d.beyond("Refuse/what=garbage-14KB", "Refuse/what=garbage-1KB", "B/op")
	}})
}

func scaleTargets() []target {
	ratio := func(name string) func(*data) float64 {
		return func(d *data) float64 { return d.median("Paired/what="+name, "ratio") }
	}
	return []target{
		{"decision, 100,000 tools against 10", 1.3, false, "%.2fx", benchPaired, ratio("decision/tools=100000/to=10")},
		{"whole request, 100,000 tools against 10", 1.3, false, "%.2fx", benchPaired, ratio("request/tools=100000/to=10")},
		{"known token, 1,000 issuers against 1", 1.3, false, "%.2fx", benchPaired, ratio("known/issuers=1000/to=1")},
		{"refused token, 1,000 issuers against 1", 1.3, false, "%.2fx", benchPaired, ratio("refused/issuers=1000/to=1")},
		{"round trips of the first request after New", 2, false, "%.0f", benchStart, func(d *data) float64 { return d.median("Start", "roundtrips/op") }},
	}
}

func e2eName(auth, alg, token, size string) string {
	return fmt.Sprintf("E2E/auth=%s/alg=%s/token=%s/size=%s", auth, alg, token, size)
}

func serverTargets() (all []target) {
	for _, size := range []string{"300", "4096"} {
		mine, none := e2eName("mcpauth", "RS256", "same", size), e2eName("none", "none", "none", size)
		unread := e2eName("none", "RS256", "same", size)
		all = append(all,
			target{"mcp-go with the wrapper, " + size + " B, throughput", 0.98, true, "%.2fx", runE2E, func(d *data) float64 { return d.ratio(mine, none, "req/s") }},
			target{"mcp-go with the wrapper, " + size + " B, CPU", 1.02, false, "%.2fx", runE2E, func(d *data) float64 { return d.ratio(mine, none, "cpu-us/req") }},
			target{"the same, against mcp-go that gets the token too, throughput", 0.98, true, "%.2fx", runE2E, func(d *data) float64 { return d.ratio(mine, unread, "req/s") }},
			target{"the same, against mcp-go that gets the token too, CPU", 1.02, false, "%.2fx", runE2E, func(d *data) float64 { return d.ratio(mine, unread, "cpu-us/req") }})
	}
	flood := func(beside string) func(*data) float64 {
		return func(d *data) float64 { return d.ratio("Flood/beside=unknown-kid", "Flood/beside="+beside, "p99-us") }
	}
	return append(all,
		target{"flood of unknown keys, key fetches", 1, false, "%.0f", runFlood, func(d *data) float64 { return d.median("Flood/beside=unknown-kid", "fetches") }},
		target{"the same, p99 of good requests, against calm", 1.2, false, "%.1fx", runFlood, flood("calm")},
		target{"the same, against an equal flood without tokens", 1.2, false, "%.1fx", runFlood, flood("no-token")})
}
