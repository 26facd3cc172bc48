package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// axis is something that grows, and what grows or does not with it.
type axis struct {
	by, what string
	sizes    []int
	linear   bool // it may grow with the size; otherwise it should not grow
	lines    []line
	unit     string
	factor   float64
	key      string // unit of the benchmark
	name     func(n int, impl string) string
	why      string // it is neither, if it is neither
}

// line is one implementation in the picture.
type line struct {
	impl string
	role role
}

type role int

const (
	ours role = iota
	peer
	bare
)

var roles = []string{"mcpauth", "what a careful user writes: go-sdk, an LRU, encoding/json", "no wrapper"}

func grown(by string) func(n int, impl string) string {
	return func(n int, impl string) string { return fmt.Sprintf("Growth/by=%s/n=%d/impl=%s", by, n, impl) }
}

var (
	mineAndTheirs = []line{{"mcpauth", ours}, {"sdk+lru+json", peer}}
	withBare      = []line{{"mcpauth", ours}, {"sdk+lru+json", peer}, {"noop", bare}}
)

var axes = []axis{
	{
		by: "clients at once", what: "CPU of mcp-go a request", sizes: []int{1, 2, 4, 8, 16, 32, 64},
		lines: []line{{"mcpauth", ours}, {"sdk+lru+json", peer}, {"none", bare}}, unit: "us", factor: 1, key: "cpu-us/req",
		name: func(n int, impl string) string {
			return fmt.Sprintf("E2E/group=clients/auth=%s/token=RS256/size=300/gc=GOGC=100/heap=0/clients=%d", impl, n)
		},
		why: "a client that is alone lets the server fall asleep after each answer, and waking costs, without a wrapper too",
	},
	{
		by: "known tokens in turn", what: "CPU a request", sizes: []int{10, 100, 1_000, 10_000, 60_000},
		lines: mineAndTheirs, unit: "us", factor: micro, key: "cpu-sec/op", name: grown("tokens"),
		why: "what is remembered of many tokens is more than the caches of the processor hold",
	},
	{
		by: "tools in it, half of them hidden", what: "CPU a list", sizes: []int{10, 100, 1_000, 5_000}, linear: true,
		lines: []line{{"mcpauth", ours}, {"encoding-json", peer}}, unit: "us", factor: micro, key: "cpu-sec/op", name: grown("tools"),
	},
	{
		// Of fewer, what the runtime has free for their stacks hides most.
		by: "open streams", what: "memory of each stream", sizes: []int{100, 1_000, 10_000},
		lines: withBare, unit: "KB", factor: 1e-3, key: "B/stream", name: grown("streams"),
	},
	{
		by: "open streams", what: "CPU an event of a stream", sizes: []int{1, 10, 100, 1_000, 10_000},
		lines: withBare, unit: "us", factor: micro, key: "cpu-sec/op", name: grown("streams"),
		why: "between two events of a stream, its memory leaves the caches of the processor, and a collection halves its stack, which the next event grows again",
	},
	{
		by: "bytes of a body", what: "CPU a request", sizes: []int{300, 4 << 10, 64 << 10, 1 << 20, 4<<20 - 256}, linear: true,
		lines: mineAndTheirs, unit: "us", factor: micro, key: "cpu-sec/op", name: grown("body"),
		why: "a body of more than 64 KB has a buffer of its own each time, which grows with it and is garbage then",
	},
}

// at is a point of a line.
func (a axis) at(d *data, n int, impl string) figure {
	return d.median(a.name(n, impl), a.key).times(a.factor)
}

// quartiles are the ends of the bar at a point.
func (a axis) quartiles(d *data, n int, impl string) (low, high float64) {
	values := d.values[a.name(n, impl)][a.key]
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	return a.factor * quantile(values, 0.25), a.factor * quantile(values, 0.75)
}

// grows says in a word how the figures of mcpauth go with the size. What is within
// the spread is no growth.
func (a axis) grows(d *data) string {
	steepest, last, least, most := 0.0, 0.0, math.Inf(1), 0.0
	for i, n := range a.sizes {
		low, high := a.quartiles(d, n, "mcpauth")
		least, most = min(least, high), max(most, low)
		if i > 0 {
			last = math.Log(a.at(d, n, "mcpauth").value/a.at(d, a.sizes[i-1], "mcpauth").value) / math.Log(float64(n)/float64(a.sizes[i-1]))
			steepest = max(steepest, last)
		}
	}
	switch {
	case math.IsNaN(most):
		return "not measured"
	case most < 1.5*least:
		return "flat"
	case steepest >= 1.25:
		return "**more than linear**"
	case a.linear && last > 0.75:
		return "linear"
	case a.at(d, a.sizes[len(a.sizes)-1], "mcpauth").value < a.at(d, a.sizes[0], "mcpauth").value:
		return "**falls**"
	}
	return "**less than linear**"
}

func growthTable(d *data) string {
	var b strings.Builder
	head(&b, append([]string{"what", "size"}, append(roles, "grows")...)...)
	for _, a := range axes {
		for i, n := range a.sizes {
			cells := []string{"", count(n), "", "", "", ""}
			if i == 0 {
				cells[0], cells[5] = a.what+" in "+a.unit+", by "+a.by, a.grows(d)
			}
			for _, l := range a.lines {
				if f := a.at(d, n, l.impl); f.known() {
					cells[2+l.role] = digits(f.value, 3) + " ±" + digits(f.spread, 2)
				}
			}
			row(&b, cells...)
		}
	}
	return b.String()
}

// digits writes a figure with so many digits, or more if it is longer.
func digits(value float64, n int) string {
	if value == 0 {
		return "0"
	}
	return fmt.Sprintf("%.*f", max(0, n-1-int(math.Floor(math.Log10(math.Abs(value))))), value)
}

// oddities names what neither stays nor grows with its size.
func oddities(d *data) string {
	var b strings.Builder
	for _, a := range axes {
		if grows := a.grows(d); grows != "flat" && grows != "linear" {
			fmt.Fprintf(&b, "- %s by %s: %s. %s\n", a.what, a.by, grows, sentence(a.why))
		}
	}
	return b.String()
}

func sentence(s string) string {
	if s == "" {
		return "Why is not known."
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// count writes a size as people do.
func count(n int) string {
	k := 1000
	if n%1024 == 0 {
		k = 1024
	}
	switch {
	case n >= 4_000_000:
		return "4M"
	case n >= k*k:
		return strconv.Itoa(n/k/k) + "M"
	case n >= k:
		return strconv.Itoa(n/k) + "k"
	}
	return strconv.Itoa(n)
}
