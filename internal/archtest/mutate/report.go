package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// What a second reader has found: nobody can see the mutant; or it does nothing wrong, and somebody pays for it, in
// time or in memory.
const (
	same = "same"
	cost = "cost"
)

// equivalents reads the list of mutants that change nothing that anybody could see: package, function, kind, text,
// reason, what a second reader has found. It returns the reasons, and which of them are mutants that cost something.
func equivalents(name string) (reasons map[string]string, costs map[string]bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	reasons, costs = map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) != 6 || strings.TrimSpace(columns[4]) == "" {
			return nil, nil, fmt.Errorf("%s: not six columns: %q", name, line)
		}
		key, found := strings.Join(columns[:4], "\t"), columns[5]
		switch {
		case reasons[key] != "":
			return nil, nil, fmt.Errorf("%s: twice: %q", name, line)
		case found != same && found != cost:
			return nil, nil, fmt.Errorf("%s: nobody else has read it: %q", name, line)
		}
		reasons[key], costs[key] = columns[4], found == cost
	}
	return reasons, costs, nil
}

// unknown are the rows of the list that name no mutant of these.
func unknown(reasons map[string]string, mutants []*mutant) (stale []string) {
	known := map[string]bool{}
	for _, m := range mutants {
		known[m.key()] = true
	}
	for key := range reasons {
		if !known[key] {
			stale = append(stale, key)
		}
	}
	slices.Sort(stale)
	return stale
}

// score counts the mutants of one package. All that is neither killed nor alive has not been run to the end.
type score struct{ mutants, killed, late, alive, equivalent, cost, unfinished int }

func (s score) raw() float64 { return percent(s.killed+s.late, s.mutants) }

// net is the score without equivalents, and without what only costs something.
func (s score) net() float64 { return percent(s.killed+s.late, s.mutants-s.equivalent-s.cost) }

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

func (s *score) add(other score) {
	s.mutants, s.killed, s.late = s.mutants+other.mutants, s.killed+other.killed, s.late+other.late
	s.alive, s.equivalent, s.cost = s.alive+other.alive, s.equivalent+other.equivalent, s.cost+other.cost
	s.unfinished += other.unfinished
}

// final is what all suites together say: killed if one kills, alive only if all say so.
func (h *hunter) final(m *mutant) verdict {
	all := alive
	if !h.complete {
		all = ""
	}
	for _, s := range h.suites {
		if !s.judges(m) {
			continue
		}
		v, ok := h.store.verdict(s, m)
		switch {
		case ok && (v == killed || v == late):
			return v
		case !ok:
			all = ""
		case v != alive && all == alive:
			all = v
		}
	}
	return all
}

// count scores some mutants. Of those that live and are not equivalent it writes one line each.
func (h *hunter) count(mutants []*mutant, reasons map[string]string, costs map[string]bool, survivors io.Writer) (s score) {
	for _, m := range mutants {
		s.mutants++
		reason := reasons[m.key()]
		v := h.final(m)
		switch {
		case v == killed, v == late:
			if reason != "" {
				fmt.Printf("listed as equivalent, but killed: %s\n", m.key())
			}
			if v == late {
				s.late++
			} else {
				s.killed++
			}
			continue
		case costs[m.key()]:
			s.cost++
			continue
		case reason != "":
			s.equivalent++
			continue
		case v == alive:
			s.alive++
		default:
			s.unfinished++
		}
		if v == "" {
			v = "not run"
		}
		note := ""
		if v == alive && !h.reached(m) {
			note = "no test reaches it"
		}
		fmt.Fprintf(survivors, "%s\t%s\t%s\t%s\n", v, m.at, m.key(), note)
	}
	return s
}

func (h *hunter) reached(m *mutant) bool {
	return slices.ContainsFunc(h.suites, func(s *suite) bool {
		return slices.ContainsFunc(s.tests, func(t *test) bool { return slices.Contains(t.Seen[m.dir], m.n) })
	})
}

func header(w io.Writer) {
	fmt.Fprintf(w, "%-22s %7s %7s %6s %6s %11s %6s %7s %7s %7s %7s\n",
		"package", "mutants", "killed", "late", "alive", "equivalents", "cost", "not run", "raw %", "net %", "time")
}

func (s score) print(w io.Writer, name string, took time.Duration) {
	fmt.Fprintf(w, "%-22s %7d %7d %6d %6d %11d %6d %7d %7.1f %7.1f %7s\n",
		name, s.mutants, s.killed, s.late, s.alive, s.equivalent, s.cost, s.unfinished, s.raw(), s.net(), took.Round(time.Second))
}
