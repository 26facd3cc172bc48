package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/match"
)

// Registered is what a server has, by name: see package registered, and gosdk.Registered.
type Registered struct {
	_ [0]func() // keyed literals only

	Tools     []string
	Prompts   []string
	Resources []string // URIs
	Templates []string // URI templates
}

// Coverage is how the rules and what a server has fit together.
type Coverage struct {
	// PolicyIsCode says that the policy is code, which cannot be asked what it would say to somebody: nothing else is known.
	PolicyIsCode bool

	Entries []CoverageEntry // of all that the server has, by kind and name
	Unused  []string        // rules that are about nothing that the server has: `tools["raed"]`
}

// CoverageEntry is one tool, prompt or resource.
type CoverageEntry struct {
	Kind Kind
	Name string // of a resource its URI or template
	Rule string // that decides about it, as [Ruling] names it; "" for none

	// Unreachable is why no token whatever can reach it; "" if one with the right scopes can.
	Unreachable string
}

// Coverage compares the rules in force with what a server has: which of it no token can reach, and which rules are about
// nothing. It asks for everything that is registered, whoever may see it.
func (m *Middleware) Coverage(has Registered) Coverage {
	book := m.generation().policy.rules()
	if book == nil {
		return Coverage{PolicyIsCode: true}
	}
	var c Coverage
	for _, group := range []struct {
		kind        Kind
		method      string
		names, uris []string // uris are templates
		index       func([]string) (*match.Set, []match.Problem)
	}{
		{KindTool, "tools/call", has.Tools, nil, match.Names},
		{KindPrompt, "prompts/get", has.Prompts, nil, match.Names},
		{KindResource, "resources/read", has.Resources, has.Templates, match.URIs},
	} {
		entries := make(map[string]CoverageEntry, len(group.names)+len(group.uris))
		ask := func(ctx context.Context, name string) {
			call := Call{Method: group.method, Kind: group.kind, Name: name}
			rules := book.find(ctx, &call, nil)
			e := CoverageEntry{Kind: group.kind, Name: name, Rule: book.nameOf(call, rules)}
			switch {
			case len(rules) == 0:
				e.Unreachable = "no rule is about it"
			case book.need(&call, rules).denies():
				e.Unreachable = "its name makes no scope of the rule's " + namePlaceholder
			}
			entries[name] = e
		}
		for _, name := range group.names {
			ask(context.Background(), name)
		}
		for _, uri := range group.uris {
			ask(context.WithValue(context.Background(), aboutTemplate{}, true), uri)
		}
		c.unused(group.kind, book.set(group.kind), group.index, entries)
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			c.Entries = append(c.Entries, entries[name])
		}
	}
	return c
}

// unused finds the rules that are about nothing, also if no other rule came before them, and the names that were nearly meant.
func (c *Coverage) unused(kind Kind, set *ruleSet, index func([]string) (*match.Set, []match.Problem), entries map[string]CoverageEntry) {
	for _, key := range set.keys {
		alone, _ := index([]string{key})
		meets := func(name string) bool {
			return len(alone.Find(name, nil)) > 0 || kind == KindResource && len(alone.FindTemplate(name, nil)) > 0
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(entries)), meets) {
			continue
		}
		rule := fmt.Sprintf("%ss[%q]", kind, key)
		c.Unused = append(c.Unused, rule)
		for name, e := range entries {
			if e.Rule == "" && (explain.OneLetterOff(name, key) || strings.EqualFold(name, key)) {
				e.Unreachable += ", but one nearly is: " + rule
				entries[name] = e
			}
		}
	}
}

// Err returns nil if every entry can be reached and every rule is about something, or else an error for each that joins what is wrong: to
// end a program with at its start, or to log.
func (c Coverage) Err() error {
	var errs []error
	for _, e := range c.Entries {
		if e.Unreachable == "" {
			continue
		}
		errs = append(errs, fmt.Errorf("mcpauth: no token can reach %s %s: %s", e.Kind, shown(e.Name), e.Unreachable))
	}
	for _, rule := range c.Unused {
		errs = append(errs, fmt.Errorf("mcpauth: the rule %s is about nothing that the server has: correct its name, or remove it", rule))
	}
	return errors.Join(errs...)
}
