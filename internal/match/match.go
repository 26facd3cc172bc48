// Package match tells which keys of a rule book speak for a name, and when none
// may.
//
// A key is an exact name, a prefix that ends in *, or, for URIs, a template. Keys
// are known by their place in the list that a set is made of: what each of them
// requires is nothing that this package knows.
package match

import (
	"fmt"
	"maps"
	"slices"
)

// Set is a list of keys made ready for look-up. It does not change, and may be
// asked by many at a time.
type Set struct {
	exact    map[string]int
	patterns []*pattern
	index    index               // of the patterns, by place
	near     *neighbours         // of URIs, nil for names
	shapes   map[string]*pattern // the templates of URIs, see [template]
	alone    *pattern            // the only key, if it is *
}

// Problem is a key that cannot be meant as it is written. One key may have several.
type Problem struct {
	Key    int
	Reason string // and what to do
}

// Names makes a set of keys for names, which have one spelling. The problems are
// in the order of the keys.
func Names(keys []string) (*Set, []Problem) {
	s := &Set{exact: make(map[string]int, len(keys))}
	return s, s.add(keys)
}

// URIs makes a set of keys for URIs, which a server may take for each other, and
// for templates of them. The problems are in the order of the keys.
func URIs(keys []string) (*Set, []Problem) {
	s := &Set{
		exact:  make(map[string]int, len(keys)),
		near:   &neighbours{exact: make(map[string][]neighbour, len(keys))},
		shapes: make(map[string]*pattern),
	}
	return s, s.add(keys)
}

func (s *Set) add(keys []string) (problems []Problem) {
	for i, key := range keys {
		p, err := parsePattern(key, s.near != nil)
		switch {
		case err != nil:
			problems = append(problems, Problem{i, err.Error()})
			continue
		case p == nil:
			s.exact[key] = i
			if s.near != nil {
				s.near.addExact(key, i)
			}
			continue
		}
		p.index = i
		if s.near != nil {
			problems = append(problems, s.addURIs(p)...)
		}
		s.index.add(p.text(), len(s.patterns))
		s.patterns = append(s.patterns, p)
		if len(keys) == 1 && key == "*" {
			s.alone = p
		}
	}
	return problems
}

// addURIs adds what a pattern of URIs has beside its prefix.
func (s *Set) addURIs(p *pattern) (problems []Problem) {
	if p.template != nil {
		if other, twice := s.shapes[p.template.shape]; twice {
			problems = append(problems, Problem{p.index, fmt.Sprintf("stands for the same URIs as %q: keep one of them", other.key)})
		}
		s.exact[p.key] = p.index // as a text it is the template itself
		s.shapes[p.template.shape] = p
	}
	if p.isDead() {
		problems = append(problems, Problem{p.index, "it can cover no URI: patterns are for URIs of ASCII with a scheme and, on the web, a host in lower case, without a port that is the default, dot or empty segments, spaces, or escapes that are not needed, and of files without a host (file:///{path}); write it like that, or list the URIs"})
	}
	s.near.addPattern(p)
	return problems
}

// Exact returns the keys that speak for themselves, in order. Templates do, too.
func (s *Set) Exact() []string { return slices.Sorted(maps.Keys(s.exact)) }

// Find appends the keys that decide about a name: the exact one, or else all
// patterns with the longest literal prefix; of URIs also the keys that a server
// may take this one for and that are as close. Who meets them all may have it. Where
// none is appended, nobody may.
func (s *Set) Find(name string, keys []int) []int { return s.find(name, false, keys) }

// FindTemplate is Find for what is said to be a template of URIs: it appends the
// keys that decide about all that the template expands to.
func (s *Set) FindTemplate(text string, keys []int) []int { return s.find(text, true, keys) }

func (s *Set) find(name string, isTemplate bool, keys []int) []int {
	if i, ok := s.exact[name]; ok {
		return append(keys, i)
	}
	if s.near != nil {
		return s.uri(name, isTemplate, keys)
	}
	var room [2]*pattern
	return indices(s.matching(name, room[:0]), keys)
}

// indices appends the places of the patterns' keys.
func indices(patterns []*pattern, keys []int) []int {
	for _, p := range patterns {
		keys = append(keys, p.index)
	}
	return keys
}

// matching appends the patterns with the longest literal prefix that cover the name.
func (s *Set) matching(name string, all []*pattern) []*pattern {
	var room [8]int
	for _, i := range closest(s.index.covering(name, room[:0]), func(i int) int { return len(s.patterns[i].prefix) }) {
		p := s.patterns[i]
		if len(all) > 0 && len(p.prefix) < len(all[0].prefix) {
			break
		}
		if p.matches(name) {
			all = append(all, p)
		}
	}
	return all
}

// uri appends the keys that together decide about a URI which is no exact key.
func (s *Set) uri(uri string, isTemplate bool, keys []int) []int {
	if s.alone != nil {
		return append(keys, s.alone.index) // no other can be meant, however the URI is spelled
	}
	if t := templateOf(uri, isTemplate); t != nil {
		return indices(s.template(t), keys)
	}
	if hasSecondSpelling(uri) {
		return keys
	}
	all := s.matching(uri, nil)
	if len(all) == 0 {
		return keys
	}
	texts := texts(uri)
	if slices.ContainsFunc(all, func(p *pattern) bool { return p.losesUser(texts) }) {
		return keys
	}
	read := readingsOf(texts)
	for _, p := range all[:len(all):len(all)] {
		all = s.near.meant(uri, read, p, all)
	}
	return indices(all, keys)
}

// template returns the keys that decide about all that a template expands to,
// or the one key that is the template itself.
func (s *Set) template(t *template) []*pattern {
	if p, ok := s.shapes[t.shape]; ok {
		return []*pattern{p}
	}
	if hasSecondSpelling(expanded.Replace(t.marked)) {
		return nil
	}
	covering := s.matching(t.whole, nil)
	if len(covering) == 0 {
		return nil
	}
	return append(covering, s.near.overlapping(t, covering)...)
}
