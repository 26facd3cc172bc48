package main

import (
	"fmt"
	"math"
	"strings"
)

// tables are the parts of the report that are figures.
var tables = map[string]func(*data) string{
	"targets":     targetTable,
	"growth":      growthTable,
	"cold":        coldTable,
	"requests":    requestTable,
	"body":        bodyTable,
	"body-ratios": bodyRatioTable,
	"refuse":      refuseTable,
	"cache":       cacheTable,
	"e2e":         e2eTable,
	"gc":          collectorTable,
	"flood":       floodTable,
}

var (
	algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	verifiers  = []string{"mcpauth", "golang-jwt+keyfunc", "jwx-jws", "jwx-jwt", "go-jose", "go-oidc", "auth0"}
	readers    = []string{"mcpauth", "json.Valid", "encoding-json", "gjson", "jsontext"}
)

// row writes a line of a table.
func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func head(b *strings.Builder, cells ...string) {
	row(b, cells...)
	b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
}

// number renders a figure, or a dash for what was not measured.
func number(format string, value float64) string {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return "-"
	}
	return fmt.Sprintf(format, value)
}

// spread renders a figure with its spread and its unit.
func spread(format string, f figure, unit string) string {
	if !f.known() {
		return "-"
	}
	return fmt.Sprintf(format+" ±"+strings.ReplaceAll(format, "+", "")+unit, f.value, f.spread)
}

func coldTable(d *data) string {
	var b strings.Builder
	head(&b, append([]string{"", "raw crypto"}, verifiers...)...)
	for _, alg := range algorithms {
		cells := []string{alg, spread("%.1f", d.median(cold(alg, "crypto"), "cpu-sec/op").times(micro), " us")}
		for _, impl := range verifiers {
			cells = append(cells, spread("%.2f", d.ratio(cold(alg, impl), cold(alg, "crypto"), "cpu-sec/op"), "x, ")+
				number("%.0f allocs", d.median(cold(alg, impl), "allocs/op").value))
		}
		row(&b, cells...)
	}
	return b.String()
}

// requestTable has whole requests in process, with known and with new tokens.
func requestTable(d *data) string {
	var b strings.Builder
	head(&b, "token", "handler", "implementation", "CPU", "allocs", "bytes", "times mcpauth")
	line := func(token, handler, impl, name, mine string) {
		row(&b, token, handler, impl, spread("%.2f", d.median(name, "cpu-sec/op").times(micro), " us"),
			number("%.0f", d.median(name, "allocs/op").value), number("%.0f", d.median(name, "B/op").value),
			number("%.1fx", d.ratio(name, mine, "cpu-sec/op").value))
	}
	for _, handler := range []string{"none", "derives"} {
		for _, impl := range []string{"noop", "mcpauth", "sdk+lru", "sdk+lru+json", "sdk+golang-jwt"} {
			line("known, RS256", handler, impl, warm(handler, impl), warm(handler, "mcpauth"))
		}
	}
	for _, alg := range []string{"RS256", "ES256"} {
		for _, impl := range []string{"mcpauth", "sdk+golang-jwt"} {
			line("new, "+alg, "none", impl, "ColdWrapper/alg="+alg+"/impl="+impl, "ColdWrapper/alg="+alg+"/impl=mcpauth")
		}
	}
	return b.String()
}

func bodyTable(d *data) string {
	var b strings.Builder
	head(&b, append([]string{"shape", "size", "deciding members"}, readers...)...)
	for _, shape := range []string{"structure", "ascii", "cjk"} {
		for _, size := range bodySizes {
			for _, order := range []string{"first", "last"} {
				if d.values[bodyName(shape, size, order, "mcpauth")] == nil {
					continue
				}
				cells := []string{shape, size, order}
				for _, impl := range readers {
					cells = append(cells, number("%.0f", d.median(bodyName(shape, size, order, impl), "B/s").value/1e6))
				}
				row(&b, cells...)
			}
		}
	}
	return b.String()
}

// bodyRatioTable says how many times faster the reader is, by turns.
func bodyRatioTable(d *data) string {
	var b strings.Builder
	head(&b, "shape", "size", "times json.Valid", "times encoding/json", "allocs")
	for _, shape := range []string{"structure", "ascii", "cjk"} {
		for _, size := range bodySizes {
			row(&b, shape, size,
				spread("%.1f", paired(bodyPair(shape, size, "json.Valid"), "ratio", 1)(d), ""),
				spread("%.1f", paired(bodyPair(shape, size, "encoding-json"), "ratio", 1)(d), ""),
				number("%.0f", d.median(bodyName(shape, size, "first", "mcpauth"), "allocs/op").value))
		}
	}
	return b.String()
}

func refuseTable(d *data) string {
	var b strings.Builder
	head(&b, "what", "beyond the handler", "allocs", "bytes")
	for _, name := range d.names {
		if why, ok := strings.CutPrefix(name, "Refuse/what="); ok {
			row(&b, why, spread("%.2f", paired("refuse/why="+why+"/to=noop", "sec-beyond", micro)(d), " us"),
				number("%.0f", d.median(name, "allocs/op").value), number("%.0f", d.median(name, "B/op").value))
		}
	}
	return b.String()
}

func cacheTable(d *data) string {
	var b strings.Builder
	head(&b, "entries", "cache", "CPU a look-up", "bytes an entry")
	for _, n := range []string{"1000", "10000", "60000"} {
		for _, impl := range []string{"mcpauth", "hashicorp-lru"} {
			name := "Cache/entries=" + n + "/impl=" + impl
			row(&b, n, impl, spread("%.2f", d.median(name, "cpu-sec/op").times(micro), " us"), number("%.0f", d.median(name, "B/entry").value))
		}
	}
	return b.String()
}

// parts are the key=value pairs of a name.
func parts(name string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(name, "/") {
		key, value, _ := strings.Cut(pair, "=")
		all[key] = value
	}
	return all
}

// e2eTable compares each server with one of the same group, heap and body that
// gets the same token and does nothing with it.
func e2eTable(d *data) string {
	var b strings.Builder
	head(&b, "in front of mcp-go", "token", "body", "alive", "req/s", "p50", "p99", "CPU a request", "beyond none", "bytes", "allocs", "rounds")
	for _, name := range d.names {
		p := parts(name)
		if !strings.HasPrefix(name, "E2E/group=server/") && !strings.HasPrefix(name, "E2E/group=others/") {
			continue
		}
		none := fmt.Sprintf("E2E/group=%s/auth=none/token=RS256/size=%s/gc=GOGC=100/heap=%s/clients=8", p["group"], p["size"], p["heap"])
		beyond := "-"
		if name != none {
			beyond = spread("%+.1f", d.difference(name, none, "cpu-us/req"), " us")
		}
		row(&b, p["auth"], p["token"], p["size"]+" B", p["heap"]+" MB", spread("%.0f", d.mean(name, "req/s"), ""),
			number("%.2f ms", d.median(name, "p50-us").value/1e3), number("%.2f ms", d.median(name, "p99-us").value/1e3),
			spread("%.1f", d.mean(name, "cpu-us/req"), " us"), beyond,
			number("%.0f", d.median(name, "B/op").value), number("%.0f", d.median(name, "allocs/op").value), fmt.Sprint(len(d.values[name]["req/s"])))
	}
	return b.String()
}

// collectorTable is what the collector's settings do to a small server.
func collectorTable(d *data) string {
	var b strings.Builder
	head(&b, "setting", "mcp-go alone, CPU a request", "with mcpauth", "memory of the runtime with mcpauth")
	for _, setting := range collectors {
		name := func(auth string) string {
			return "E2E/group=gc/auth=" + auth + "/token=RS256/size=300/gc=" + setting + "/heap=0/clients=8"
		}
		row(&b, strings.ReplaceAll(setting, "+", " "), spread("%.1f", d.mean(name("none"), "cpu-us/req"), " us"),
			spread("%.1f", d.mean(name("mcpauth"), "cpu-us/req"), " us"), number("%.0f MB", d.median(name("mcpauth"), "B").value/1e6))
	}
	return b.String()
}

var collectors = []string{"GOGC=100", "GOGC=400", "GOGC=1600", "GOGC=off+GOMEMLIMIT=64MiB"}

func floodTable(d *data) string {
	var b strings.Builder
	head(&b, "beside a flood of", "flood", "p50 of good requests", "p99 of good requests", "key fetches")
	for _, beside := range []string{"no-token", "unknown-kid"} {
		name := "Flood/beside=" + beside
		row(&b, beside, spread("%.0f", d.median(name, "flood-req/s"), " req/s"), spread("%.2f", d.median(name, "p50-us").times(1e-3), " ms"),
			spread("%.2f", d.median(name, "p99-us").times(1e-3), " ms"), number("%.0f", d.median(name, "fetches").value))
	}
	return b.String()
}
