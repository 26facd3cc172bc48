package isolation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// attacks are all of them, in the order of the table's columns.
var attacks = slices.Concat(sees, steers, breaks)

// result is what came of all cells of a row and column of the table.
type result struct {
	run, crossed, excused int
	excuses               map[*excuse]bool
}

type cell struct{ backend, era, kind string }

// results collects the cells of a run.
type results struct {
	lock  sync.Mutex
	cells map[cell]*result
	red   []string
}

func (r *results) add(c cell, crossings []string, e *excuse, name string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.cells[c] == nil {
		r.cells[c] = &result{excuses: map[*excuse]bool{}}
	}
	one := r.cells[c]
	one.run++
	switch {
	case len(crossings) == 0:
	case e != nil:
		one.excused++
		one.excuses[e] = true
	default:
		one.crossed++
		r.red = append(r.red, name+": "+strings.Join(crossings, "; "))
	}
}

// family is the backend, whatever proxy it is behind.
func (b *backend) family() string {
	name, _, _ := strings.Cut(b.name, ", flush")
	return name
}

// excuse is a crossing that mcpauth cannot hold off, or means to allow.
type excuse struct {
	reason  string
	applies func(*scene, *attack) bool
}

var excuses = []*excuse{
	{"A narrower token of the same client may resume what this client began in its own session.", func(s *scene, a *attack) bool {
		return s.sameClient && s.setup.attacker.presence == stolen && a.name == replay
	}},
	{"mcp-go runs every call of 2026-07-28 under the empty session: tools that such a call adds to its session are everybody's " +
		"(add none, or keep state by Principal.Key).", func(s *scene, a *attack) bool {
		return strings.HasPrefix(s.backend.name, "mcp-go") && s.victim.modern() && s.attacker.modern() && a.name == sessionTools
	}},
	{"One event store for all sessions replays to any of them, for whoever knows the id of an event, which nobody can guess " +
		"(in TypeScript give each session a store of its own; the Python SDK has one for all).", func(s *scene, a *attack) bool {
		return s.upstream != "" && s.oneStore && a.name == replay
	}},
}

func (s *scene) excuse(a *attack) *excuse {
	for _, e := range excuses {
		if e.applies(s, a) {
			return e
		}
	}
	return nil
}

// TestTwoCallers is the matrix: whatever two callers do, and however they come
// to whatever server, neither has anything of the other.
func TestTwoCallers_ISOL_01_ISOL_02_ISOL_08_ISOL_11_ISOL_13_ISOL_14(t *testing.T) {
	all := &results{cells: map[cell]*result{}}
	issuers := newIssuers(t)
	t.Run("cells", func(t *testing.T) {
		everyBackend(t, func(t *testing.T, b *backend) { b.meetAll(t, issuers, all) })
	})
	slices.Sort(all.red)
	for _, red := range all.red {
		t.Log("crossing: ", red)
	}
	if !all.whole() {
		t.Log("only a part of the matrix was run: the table is neither compared nor written")
		assert.False(t, *update)
		return
	}
	golden(t, "cells", all.markdown(t), equal)
}

func (b *backend) meetAll(t *testing.T, issuers two, all *results) {
	for _, setup := range setups {
		if !b.holds(setup) {
			continue
		}
		for _, pair := range pairs {
			var these []*attack
			for i := range attacks {
				if b.meets(setup, pair, &attacks[i]) {
					these = append(these, &attacks[i])
				}
			}
			if len(these) == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, %s, %s", setup.era, setup.name, pair.name), func(t *testing.T) {
				w := newWorld(t, issuers, b, false)
				for _, a := range these {
					t.Run(a.kind+" "+a.name, func(t *testing.T) {
						s := &scene{t: t, backend: b, setup: setup, pair: pair, world: w}
						defer func() { s.settle(t, a, all) }() // of the last meeting
						for meeting, lost := 1, false; ; meeting++ {
							s.enter()
							a.run(s)
							s.look()
							switch {
							case s.onlyLost() && !lost:
								lost = true
								t.Logf("met twice more: %q", s.crossings)
							case len(s.crossings) > 0 || !lost || meeting == 3:
								return
							}
							s = &scene{t: t, backend: b, setup: setup, pair: pair, world: w}
						}
					})
				}
			})
		}
	}
}

// meets reports whether two such callers are worth a meeting at a server. At
// a program only two users meet in every way and through both proxies: whom
// mcpauth takes for another is decided before any server is asked. The other
// pairs meet where nobody presents a session, each its own, or one the other's.
func (b *backend) meets(s setup, p pair, a *attack) bool {
	throughOther := strings.HasSuffix(b.name, flushing[0].name)
	switch {
	case a.applies != nil && !a.applies(b, s):
		return false
	case p.sameClient && s.attacker.presence == stolen && a.name != replay:
		return false // it is the session of that one client
	case b.upstream == "":
		return true
	case p.name == pairs[0].name:
		return !throughOther || a.kind == "see"
	case throughOther || s.attacker.batches || s.era == "across":
		return false
	case b.store:
		return a.name == replay
	}
	return s.victim.presence == s.attacker.presence || s.attacker.presence == stolen
}

// look looks at what the attacker has seen in all.
func (s *scene) look() {
	const seen = "the attacker saw the canary"
	if strings.Contains(s.attacker.saw(), s.canary) && !slices.Contains(s.crossings, seen) {
		s.cross(seen)
	}
}

// onlyLost reports whether the victim missed something and the attacker had nothing of
// it. They meet twice more then, and it counts if it comes again: a bare server, too,
// gives a message now and then to a request of the same session that is
// just ending.
func (s *scene) onlyLost() bool {
	return len(s.crossings) > 0 && !slices.ContainsFunc(s.crossings, func(crossing string) bool {
		return !strings.HasPrefix(crossing, "the victim") || strings.Contains(crossing, "attacker's")
	})
}

// settle notes the cell.
func (s *scene) settle(t *testing.T, a *attack, all *results) {
	if s.attacker == nil || s.victim == nil {
		return
	}
	s.look()
	e := s.excuse(a)
	all.add(cell{s.backend.family(), s.era, a.kind}, s.crossings, e, t.Name())
	if e == nil {
		assert.Empty(t, s.crossings)
	}
}
