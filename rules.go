package mcpauth

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rules is the declarative [Policy]: plain maps, to be printed, compared and
// tested. What is not listed is refused.
//
// Keys of Tools, Prompts and Resources are exact names; a name that ends in *
// stands for all names with that prefix, and "*" alone for the rest. An exact
// name wins over a pattern, and a longer literal prefix over a shorter one;
// patterns with equally long prefixes must all be met. In Resources a key may
// also be a URI template such as "db://{table}", whose variables match at least
// one character and no slash, question mark or number sign, and in a query no
// ampersand, semicolon or plus sign. Expressions with operators (RFC 6570), as in
// "db://{table}/rows{?limit}", match what they expand to. A template of the
// server needs what its key needs, whatever the variables are called, or else
// all that its expansions need.
//
// {name} inside a scope is replaced by the name of the tool or prompt, so a
// naming convention is one rule: "*": Scopes("tool:{name}:execute").
//
// Patterns never match a resource URI that has a second spelling (dot
// segments, empty segments, path parameters, percent-encoded separators or
// unreserved characters, backslashes, characters beyond ASCII, escapes that
// are no UTF-8, default ports, user information or upper case where the host is
// one of the network, a host in a file URI). List such a URI as it is written. What a server could
// take for what another key names, because it differs from that only by case,
// accents, width, escapes, further parameters or their order, fragment, or a
// slash at the end, needs what both keys need. Where "*" is the only key of Resources, it is for
// every URI, since no other key can be meant.
type Rules struct {
	_ [0]func() // keyed literals only

	Tools     map[string]Requirement
	Prompts   map[string]Requirement
	Resources map[string]Requirement

	// Methods says what the methods without a target require, "tools/list" for
	// one. Known methods that are not listed, and notifications, require a valid token,
	// except methods on tasks, which are refused. Unknown methods that are
	// listed become known.
	Methods map[string]Requirement
}

// Require implements [Policy]. It compiles the rules at each call: give the
// Rules to [Config] instead of calling it in a loop.
func (r Rules) Require(ctx context.Context, call Call) (Requirement, error) {
	book, errs := r.compile()
	if len(errs) > 0 {
		return Requirement{}, errs[0]
	}
	return book.Require(ctx, call)
}

// ruleBook is [Rules] made ready for look-up.
type ruleBook struct {
	tools, prompts, resources ruleSet
	methods                   map[string]Requirement
}

type ruleSet struct {
	exact    map[string]Requirement
	patterns prefixes[*pattern]
	named    bool                // some scope has a {name}
	near     *neighbours         // of resources, nil for names
	shapes   map[string]*pattern // the templates of resources, see [template]
	alone    *pattern            // the only key, if it is * of resources
}

const namePlaceholder = "{name}"

// compile checks the rules and returns every mistake.
func (r Rules) compile() (*ruleBook, []error) {
	c := ruleCompiler{}
	book := &ruleBook{
		tools:     c.set("Tools", r.Tools, false),
		prompts:   c.set("Prompts", r.Prompts, false),
		resources: c.set("Resources", r.Resources, true),
		methods:   make(map[string]Requirement, len(r.Methods)),
	}
	for _, method := range slices.Sorted(maps.Keys(r.Methods)) {
		field := fmt.Sprintf("Policy.Methods[%q]", method)
		book.methods[method] = c.check(field, r.Methods[method], false)
		if r.Methods[method].Visible || r.Methods[method].InBand {
			c.fail(field, method, "Visible and InBand are for what is listed and called by name: remove them")
		}
		switch known, ok := methods[method]; {
		case isHandshake(method):
			c.fail(field, method, "every valid token may make it, or no client could connect: remove it")
		case ok && known.kind != KindMethod || method == "subscriptions/listen":
			c.fail(field, method, "it is decided by its target: use Tools, Prompts, Resources or the list methods")
		case method == "" || strings.ContainsAny(method, "*{"):
			c.fail(field, method, "list methods by their exact names")
		}
	}
	return book, c.errs
}

type ruleCompiler struct{ errs []error }

func (c *ruleCompiler) fail(field, value, reason string) {
	c.errs = append(c.errs, &ConfigError{Field: field, Value: shown(value), Reason: reason})
}

// check returns a copy of the requirement that nobody else can change.
func (c *ruleCompiler) check(field string, req Requirement, named bool) Requirement {
	if req.denies() {
		c.fail(field, req.String(), "an empty requirement refuses everybody: write Authenticated() if any valid token will do, or remove it")
	}
	if p := req.problem(); p != "" {
		c.fail(field, req.String(), p)
	}
	if !named && strings.Contains(req.String(), namePlaceholder) {
		c.fail(field, req.String(), namePlaceholder+" stands for the name of a tool or a prompt, and there is none here: write the scope out")
	}
	req.AllOf = slices.Clone(req.AllOf)
	req.AnyOf = slices.Clone(req.AnyOf)
	for i, group := range req.AnyOf {
		req.AnyOf[i] = slices.Clone(group)
	}
	return req
}

func (c *ruleCompiler) set(name string, rules map[string]Requirement, resources bool) ruleSet {
	set := ruleSet{exact: make(map[string]Requirement, len(rules))}
	if resources {
		set.near = &neighbours{exact: make(map[string][]neighbour, len(rules))}
		set.shapes = make(map[string]*pattern)
	}
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		field := fmt.Sprintf("Policy.%s[%q]", name, key)
		req := c.check(field, rules[key], !resources)
		if req.InBand && name != "Tools" {
			c.fail(field, key, "InBand is for tools, whose results can say that they are errors: remove it")
		}
		set.named = set.named || strings.Contains(req.String(), namePlaceholder)
		p, err := parsePattern(key, resources)
		switch {
		case err != nil:
			c.fail(field, key, err.Error())
			continue
		case p == nil:
			set.exact[key] = req
			if resources {
				set.near.addExact(key, req)
			}
			continue
		}
		p.req = req
		if p.template != nil {
			if other, twice := set.shapes[p.template.shape]; twice {
				c.fail(field, key, fmt.Sprintf("stands for the same URIs as %q: keep one of them", other.key))
			}
			set.exact[key] = req // completion/complete refers to the template itself
			set.shapes[p.template.shape] = p
		}
		if resources {
			if p.isDead() {
				c.fail(field, key, "it can cover no URI: patterns are for URIs of ASCII without dot or empty segments, spaces, or escapes that are not needed, and of files without a host (file:///{path}); write it like that, or list the URIs")
			}
			set.near.addPattern(p)
		}
		set.patterns.add(p.prefix, p)
		if resources && len(rules) == 1 && key == "*" {
			set.alone = p
		}
	}
	return set
}

// Require implements [Policy].
func (b *ruleBook) Require(ctx context.Context, call Call) (Requirement, error) {
	switch call.Kind {
	case KindTool:
		return b.tools.find(call.Name), nil
	case KindPrompt:
		return b.prompts.find(call.Name), nil
	case KindResource:
		if req, ok := b.resources.exact[call.Name]; ok {
			return req, nil
		}
		return merged(b.resources.resource(ctx, call)), nil
	case KindMethod:
		if req, ok := b.methods[call.Method]; ok {
			return req, nil
		}
		if known := methods[call.Method]; known.kind == KindMethod && !known.refused || isNotification(call.Method) {
			return Authenticated(), nil
		}
	}
	return Requirement{}, nil
}

func (s *ruleSet) find(name string) Requirement {
	req, ok := s.exact[name]
	if !ok {
		var room [2]*pattern
		req = merged(s.matching(name, room[:0]))
	}
	if s.named {
		return req.named(name)
	}
	return req
}

// matching appends the patterns with the longest literal prefix that cover the name.
func (s *ruleSet) matching(name string, all []*pattern) []*pattern {
	for _, length := range s.patterns.lengths {
		if length > len(name) {
			continue
		}
		for _, p := range s.patterns.values[name[:length]] {
			if p.matches(name) {
				all = append(all, p)
			}
		}
		if len(all) > 0 {
			break
		}
	}
	return all
}

// resource returns the keys that together decide about a resource which is no
// exact key: the patterns that speak for it, and whatever a server may take it
// for that is as close or closer. Who meets all of them may read any.
func (s *ruleSet) resource(ctx context.Context, call Call) []*pattern {
	if s.alone != nil {
		return []*pattern{s.alone} // no other can be meant, however the URI is spelled
	}
	if t := templateOf(ctx, call); t != nil {
		return s.template(t)
	}
	if hasSecondSpelling(call.Name) {
		return nil
	}
	all := s.matching(call.Name, nil)
	if slices.ContainsFunc(all, func(p *pattern) bool { return p.losesUser(call.Name) }) {
		return nil
	}
	for _, p := range all[:len(all):len(all)] {
		all = s.near.meant(call.Name, p, all)
	}
	return all
}

// template returns the keys that decide about all that a template expands to,
// or the one key that is the template itself.
func (s *ruleSet) template(t *template) []*pattern {
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

// expanded turns marks into harmless values.
var expanded = strings.NewReplacer(string(oneSegment), "v", string(anyRest), "v")

// merged returns what patterns require together.
func merged(patterns []*pattern) (req Requirement) {
	if len(patterns) == 1 {
		return patterns[0].req
	}
	for i, p := range patterns {
		if p.req.denies() {
			return Requirement{}
		}
		req.AllOf = append(req.AllOf, p.req.AllOf...)
		req.AnyOf = append(req.AnyOf, p.req.AnyOf...)
		req.Visible = (req.Visible || i == 0) && p.req.Visible
		req.InBand = (req.InBand || i == 0) && p.req.InBand
		req.anyToken = true
	}
	return req
}

// named puts the name in place of {name}. A name that cannot stand in a scope
// makes the rule one that nobody meets.
func (r Requirement) named(name string) Requirement {
	fill := func(scopes []string) []string {
		filled := make([]string, len(scopes))
		for i, s := range scopes {
			filled[i] = strings.ReplaceAll(s, namePlaceholder, name)
		}
		return filled
	}
	out := Requirement{anyToken: r.anyToken, Visible: r.Visible, InBand: r.InBand}
	if r.AllOf != nil {
		out.AllOf = fill(r.AllOf)
	}
	for _, group := range r.AnyOf {
		out.AnyOf = append(out.AnyOf, fill(group))
	}
	if out.problem() != "" {
		return Requirement{}
	}
	return out
}

// scopes returns every scope that the rules name, those with a placeholder as
// they are written.
func (b *ruleBook) scopes() []string {
	var all []string
	add := func(req Requirement) {
		all = append(all, req.AllOf...)
		for _, group := range req.AnyOf {
			all = append(all, group...)
		}
	}
	for _, set := range []*ruleSet{&b.tools, &b.prompts, &b.resources} {
		for _, req := range set.exact {
			add(req)
		}
		for _, patterns := range set.patterns.values {
			for _, p := range patterns {
				add(p.req)
			}
		}
	}
	for _, req := range b.methods {
		add(req)
	}
	return all
}

// opensTasks reports whether there is a rule for tasks at all.
func (b *ruleBook) opensTasks() bool {
	for method := range b.methods {
		if strings.HasPrefix(method, "tasks/") {
			return true
		}
	}
	return false
}
