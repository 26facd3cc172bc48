package main

import (
	"fmt"
	"math"
	"strings"
)

// tables are the parts of the report that are figures.
var tables = map[string]func(*data) string{
	"cold":          func(d *data) string { return coldTable(d, "serial") },
	"cold-parallel": func(d *data) string { return coldTable(d, "parallel") },
	"requests":      requestTable,
	"paired":        pairedTable,
	"body":          bodyTable,
	"body-ratios":   bodyRatioTable,
	"refuse":        func(d *data) string { return plainTable(d, "Refuse/") },
	"scale": func(d *data) string {
		return plainTable(d, "Policy/", "Issuers/", "Start")
	},
	"memory": memoryTable,
	"cache":  cacheTable,
	"e2e":    e2eTable,
	"flood":  floodTable,
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

func coldTable(d *data, mode string) string {
	var b strings.Builder
	head(&b, append([]string{"", "raw crypto"}, verifiers...)...)
	for _, alg := range algorithms {
		name := func(impl string) string { return "Cold/alg=" + alg + "/impl=" + impl + "/mode=" + mode }
		cells := []string{alg, number("%.1f us", micro*d.median(name("crypto"), "sec/op"))}
		for _, impl := range verifiers {
			cells = append(cells, number("%.2fx", d.ratio(name(impl), name("crypto"), "sec/op"))+
				number(", %.0f allocs", d.median(name(impl), "allocs/op")))
		}
		row(&b, cells...)
	}
	return b.String()
}

// requestTable has whole requests in process, with known and with new tokens.
func requestTable(d *data) string {
	var b strings.Builder
	head(&b, "token", "body", "implementation", "one core", "spread", "allocs", "bytes", "times mcpauth", "all cores")
	line := func(token, size, impl, name, mine string) {
		serial, parallel := name+"/mode=serial", name+"/mode=parallel"
		row(&b, token, size, impl, number("%.2f us", micro*d.median(serial, "sec/op")), d.spread(serial, "sec/op"),
			number("%.0f", d.median(serial, "allocs/op")), number("%.0f", d.median(serial, "B/op")),
			number("%.1fx", d.ratio(serial, mine+"/mode=serial", "sec/op")),
			number("%.2f us", micro*d.median(parallel, "sec/op")))
	}
	for _, size := range []string{"300", "4096", "65536"} {
		for _, impl := range []string{"noop", "mcpauth", "sdk+lru", "sdk+lru+json", "sdk+golang-jwt"} {
			if name := "Warm/size=" + size + "/impl=" + impl; d.values[name+"/mode=serial"] != nil {
				line("known, RS256", size+" B", impl, name, "Warm/size="+size+"/impl=mcpauth")
			}
		}
	}
	for _, alg := range []string{"RS256", "ES256"} {
		for _, impl := range []string{"mcpauth", "sdk+golang-jwt"} {
			line("new, "+alg, "300 B", impl, "ColdWrapper/alg="+alg+"/impl="+impl, "ColdWrapper/alg="+alg+"/impl=mcpauth")
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
					cells = append(cells, number("%.0f", d.median(bodyName(shape, size, order, impl), "B/s")/1e6))
				}
				row(&b, cells...)
			}
		}
	}
	return b.String()
}

// bodyRatioTable says how many times faster the reader is, in one round.
func bodyRatioTable(d *data) string {
	var b strings.Builder
	head(&b, "shape", "size", "times json.Valid", "times encoding/json", "allocs")
	for _, shape := range []string{"structure", "ascii", "cjk"} {
		for _, size := range bodySizes {
			mine := bodyName(shape, size, "first", "mcpauth")
			row(&b, shape, size,
				number("%.1fx", d.median(bodyPair(shape, size, "json.Valid"), "ratio")),
				number("%.1fx", d.median(bodyPair(shape, size, "encoding-json"), "ratio")),
				number("%.0f", d.median(mine, "allocs/op")))
		}
	}
	return b.String()
}

// pairedTable has the ratios of two operations that took turns.
func pairedTable(d *data) string {
	var b strings.Builder
	head(&b, "what", "ratio", "spread", "beyond")
	for _, name := range d.names {
		if strings.HasPrefix(name, "Paired/") && !strings.HasPrefix(name, "Paired/what=body/") {
			ratio, spread := number("%.3fx", d.median(name, "ratio")), d.spread(name, "ratio")
			if strings.Contains(name, "noop") {
				ratio, spread = "-", d.spread(name, "sec-beyond") // times next to nothing
			}
			row(&b, strings.TrimPrefix(readable(name), "Paired: "), ratio, spread, number("%.2f us", micro*d.median(name, "sec-beyond")))
		}
	}
	return b.String()
}

// plainTable lists benchmarks by their names.
func plainTable(d *data, prefixes ...string) string {
	var b strings.Builder
	head(&b, "what", "time", "spread", "allocs", "bytes")
	for _, prefix := range prefixes {
		for _, name := range d.names {
			if strings.HasPrefix(name, prefix) {
				row(&b, readable(name), number("%.2f us", micro*d.median(name, "sec/op")), d.spread(name, "sec/op"),
					number("%.0f", d.median(name, "allocs/op")), number("%.0f", d.median(name, "B/op")))
			}
		}
	}
	return b.String()
}

// readable turns Policy/tools=10/what=decision into "Policy: tools 10, decision".
func readable(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts[1:] {
		parts[i+1] = strings.Replace(strings.TrimPrefix(part, "what="), "=", " ", 1)
	}
	if len(parts) == 1 {
		return name
	}
	return parts[0] + ": " + strings.Join(parts[1:], ", ")
}

func memoryTable(d *data) string {
	var b strings.Builder
	head(&b, "tokens", "live bytes for each")
	for _, n := range []string{"1000", "10000"} {
		row(&b, n, number("%.0f", d.median("TokenMemory/tokens="+n, "B/token")))
	}
	return b.String()
}

func cacheTable(d *data) string {
	var b strings.Builder
	head(&b, "entries", "cache", "one core", "all cores", "bytes an entry")
	for _, name := range d.names {
		rest, ok := strings.CutPrefix(name, "Cache/entries=")
		base, serial := strings.CutSuffix(name, "/mode=serial")
		if !ok || !serial {
			continue
		}
		entries, rest, _ := strings.Cut(rest, "/impl=")
		impl, _, _ := strings.Cut(rest, "/")
		row(&b, entries, impl, number("%.2f us", micro*d.median(name, "sec/op")),
			number("%.2f us", micro*d.median(base+"/mode=parallel", "sec/op")), number("%.0f", d.median(name, "B/entry")))
	}
	return b.String()
}

func e2eTable(d *data) string {
	var b strings.Builder
	head(&b, "in front of mcp-go", "token", "body", "req/s", "spread", "p50", "p99", "server CPU a request", "throughput against none", "CPU beyond none")
	for _, name := range d.names {
		if !strings.HasPrefix(name, "E2E/") {
			continue
		}
		part := map[string]string{}
		for pair := range strings.SplitSeq(name, "/") {
			key, value, _ := strings.Cut(pair, "=")
			part[key] = value
		}
		none := e2eName("none", "none", "none", part["size"])
		row(&b, part["auth"], strings.Replace(part["token"]+", "+part["alg"], "none, none", "none", 1), part["size"]+" B",
			number("%.0f", d.median(name, "req/s")), d.spread(name, "req/s"),
			number("%.2f ms", d.median(name, "p50-us")/1e3), number("%.2f ms", d.median(name, "p99-us")/1e3),
			number("%.0f us", d.median(name, "cpu-us/req")),
			number("%.2fx", d.ratio(name, none, "req/s")), number("%+.0f us", d.beyond(name, none, "cpu-us/req")))
	}
	return b.String()
}

func floodTable(d *data) string {
	var b strings.Builder
	head(&b, "beside", "flood", "p50 of good requests", "p99 of good requests", "key fetches")
	for _, beside := range []string{"calm", "no-token", "unknown-kid"} {
		name := "Flood/beside=" + beside
		flood := number("%.0f req/s", d.median(name, "flood-req/s"))
		if beside == "calm" {
			flood = "none"
		}
		row(&b, beside, flood, number("%.2f ms", d.median(name, "p50-us")/1e3), number("%.2f ms", d.median(name, "p99-us")/1e3),
			number("%.0f", d.median(name, "fetches")))
	}
	return b.String()
}
