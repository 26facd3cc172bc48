package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A verdict is what the tests of one suite say of one mutant.
type verdict string

const (
	killed verdict = "killed"
	late   verdict = "late"   // killed by a test that did not end
	quick  verdict = "quick"  // alive after the quick tests; the slow ones have not run
	alive  verdict = "alive"  // all tests that reach it pass
	broken verdict = "broken" // the binary failed, but nothing shows that a test did, or not because of the mutant
)

// hunter runs mutants against suites.
type hunter struct {
	suites []*suite // by directory of what is mutated: its own tests, then the root's, then others
	store  *store
	quick  bool // leave out the slow tests

	complete bool // suites are all that are asked
	some     bool // and not with all of their tests

	mu     sync.Mutex
	recent map[string][]string // the tests that killed last, by suite and place
}

// hunt comes to a verdict on one mutant. The first suite that kills it ends the hunt.
func (h *hunter) hunt(m *mutant) {
	for _, s := range h.order(m) {
		if !s.judges(m) {
			continue
		}
		v, known := h.store.verdict(s, m)
		if known && (v == alive || v == quick && h.quick) {
			continue
		}
		if !known || v == quick || v == broken {
			v = h.try(s, m, v == quick)
		}
		if v == killed || v == late {
			return
		}
	}
}

// judges: a suite that reads constants has nothing to say of other mutants.
func (s *suite) judges(m *mutant) bool { return s.plain == "" || m.declared != nil }

func (h *hunter) order(m *mutant) []*suite {
	suites := slices.Clone(h.suites)
	slices.SortStableFunc(suites, func(a, b *suite) int {
		own := func(s *suite) int {
			switch {
			case s.dir == m.dir && s.dir != ".": // where it is quick
				return 0
			case s.plain != "":
				return 1
			}
			return 2
		}
		return cmp.Compare(own(a), own(b))
	})
	return suites
}

// budgets are how long the tests of each run take together. The most likely killers come first.
var budgets = []time.Duration{time.Second, 8 * time.Second, 0}

func (h *hunter) try(s *suite, m *mutant, onlySlow bool) verdict {
	start, v, by := time.Now(), alive, ""
	if s.plain != "" {
		v = s.reads(m.declared)
		h.store.add(s, m, v, textTests, time.Since(start))
		return v
	}
	for i, names := range h.runs(s, m) {
		if onlySlow && i < len(budgets)-1 || len(names.names) == 0 {
			continue
		}
		if h.quick && i == len(budgets)-1 {
			v = cmp.Or(map[verdict]verdict{alive: quick}[v], v)
			break
		}
		r := s.ask(m, names)
		if r.passed {
			continue
		}
		if r.failed == "" || len(r.seen[m.dir]) == 0 {
			v, by = broken, r.failed
			continue
		}
		v, by = killed, r.failed
		if r.late {
			v = late
		} else if s.again(m, by, names).passed {
			v = broken // the test fails at times, perhaps without the mutant, too
			continue
		}
		h.remember(s, m, by)
		break
	}
	if h.some && v == alive {
		return ""
	}
	h.store.add(s, m, v, by, time.Since(start))
	return v
}

type batch struct {
	names []string
	took  time.Duration
}

func (s *suite) ask(m *mutant, b batch) result {
	return s.run(fmt.Sprintf("%s:%d", m.dir, m.n), b.names, 3*time.Second+10*b.took)
}

// runs sorts the tests that reach a mutant into one batch for each budget.
func (h *hunter) runs(s *suite, m *mutant) []batch {
	h.mu.Lock()
	likely := []string{h.store.killer(s, m)}
	for _, place := range m.places() {
		likely = append(likely, h.recent[s.dir+" "+place]...)
	}
	h.mu.Unlock()
	rank := func(t *test) int {
		if i := slices.Index(likely, t.Name); i == 0 || i > 0 && t.Took < budgets[0] {
			return i
		}
		return len(likely)
	}
	// A test that goes far into a package is likely to be about it.
	worth := func(t *test) float64 { return float64(len(t.Seen[m.dir])) / (t.Took + 100*time.Millisecond).Seconds() }
	words := m.words()
	var tests []*test
	for _, t := range s.tests {
		if slices.Contains(t.Seen[m.dir], m.n) {
			tests = append(tests, t)
		}
	}
	slices.SortStableFunc(tests, func(a, b *test) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.related(words), a.related(words)), cmp.Compare(worth(b), worth(a)))
	})
	batches, i := make([]batch, len(budgets)), 0
	for _, t := range tests {
		for i < len(budgets)-1 && len(batches[i].names) > 0 && batches[i].took+t.Took > budgets[i] {
			i++
		}
		batches[i].names, batches[i].took = append(batches[i].names, t.Name), batches[i].took+t.Took
	}
	return batches
}

var word = regexp.MustCompile(`[A-Z]?[a-z]{3,}`)

// words are those of a mutant's file, function and text.
func (m *mutant) words() map[string]bool {
	file, _, _ := strings.Cut(m.at, ".")
	words := map[string]bool{}
	for _, w := range word.FindAllString(file+" "+m.function+" "+m.text, -1) {
		words[strings.ToLower(w)] = true
	}
	return words
}

// related counts the words that a test and its file share with these.
func (t *test) related(words map[string]bool) (n int) {
	for _, w := range word.FindAllString(t.Name+" "+t.file, -1) {
		if words[strings.ToLower(w)] {
			n++
		}
	}
	return n
}

// again asks the test that failed once more, or all if it is not known which did.
func (s *suite) again(m *mutant, failed string, b batch) result {
	if slices.Contains(b.names, failed) {
		b.names = []string{failed}
	}
	return s.ask(m, b)
}

// places are where a test that kills this mutant is likely to kill others, the nearest first.
func (m *mutant) places() []string {
	file, _, _ := strings.Cut(m.at, ":")
	return []string{m.function, file, m.dir}
}

// remembered is how many tests are tried first because they have killed at the same place.
const remembered = 8

func (h *hunter) remember(s *suite, m *mutant, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, place := range m.places() {
		key := s.dir + " " + place
		list := slices.DeleteFunc(h.recent[key], func(other string) bool { return other == name })
		h.recent[key] = append([]string{name}, list[:min(len(list), remembered-1)]...)
	}
}
