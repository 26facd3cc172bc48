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
	"github.com/seed-1e292522/mcpauth/internal/mcp"
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

// Compile checks the rules once and makes a [Policy] of them, for one of your own that asks them and adds to what they say.
// [Config] takes Rules as they are. The error joins one *[ConfigError] for each mistake.
func (r Rules) Compile() (Policy, error) {
	book, errs := r.compile()
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return book, nil
}

// Require implements [Policy]. It compiles the rules at each call: give the
// Rules to [Config], or use [Rules.Compile], instead of calling it in a loop.
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

// ruleSet is one of the maps of [Rules] with its keys in order. A rule is known by
// its place among them.
type ruleSet struct {
	keys  []string
	needs []Requirement // of each key
	index *match.Set
	named bool // some scope has a {name}
}

const namePlaceholder = "{name}"

// compile checks the rules and returns every mistake.
func (r Rules) compile() (*ruleBook, []error) {
	c := ruleCompiler{}
	book := &ruleBook{
		tools:     c.set("Tools", r.Tools, match.Names),
		prompts:   c.set("Prompts", r.Prompts, match.Names),
		resources: c.set("Resources", r.Resources, match.URIs),
		methods:   make(map[string]Requirement, len(r.Methods)),
	}
	for _, method := range slices.Sorted(maps.Keys(r.Methods)) {
		field := fmt.Sprintf("Policy.Methods[%q]", method)
		book.methods[method] = c.check(field, r.Methods[method], false)
		if r.Methods[method].Visible || r.Methods[method].InBand {
			c.fail(field, method, "Visible and InBand are for what is listed and called by name: remove them")
		}
		switch {
		case mcp.IsHandshake(method):
			c.fail(field, method, "every valid token may make it, or no client could connect: remove it")
		case mcp.HasTargets(method):
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

func (c *ruleCompiler) set(name string, rules map[string]Requirement, index func([]string) (*match.Set, []match.Problem)) ruleSet {
	set := ruleSet{keys: slices.Sorted(maps.Keys(rules))}
	var problems []match.Problem
	set.index, problems = index(set.keys)
	for i, key := range set.keys {
		field := fmt.Sprintf("Policy.%s[%q]", name, key)
		req := c.check(field, rules[key], name != "Resources")
		if req.InBand && name != "Tools" {
			c.fail(field, key, "InBand is for tools, whose results can say that they are errors: remove it")
		}
		set.needs = append(set.needs, req)
		set.named = set.named || strings.Contains(req.String(), namePlaceholder)
		for ; len(problems) > 0 && problems[0].Key == i; problems = problems[1:] {
			c.fail(field, key, problems[0].Reason)
		}
	}
	return set
}

// Require implements [Policy].
func (b *ruleBook) Require(ctx context.Context, call Call) (Requirement, error) {
	var room [2]int
	return b.need(&call, b.find(ctx, &call, room[:0])), nil
}

// set returns the rules for targets of a kind, nil if the methods are the targets.
func (b *ruleBook) set(kind Kind) *ruleSet {
	switch kind {
	case KindTool:
		return &b.tools
	case KindPrompt:
		return &b.prompts
	case KindResource:
		return &b.resources
	}
	return nil
}

// targets returns what the rules list, by itself.
func (b *ruleBook) targets() map[string]string {
	targets := map[string]string{}
	for _, set := range []*ruleSet{&b.tools, &b.prompts, &b.resources} {
		for _, key := range set.keys {
			targets[key] = key
		}
	}
	return targets
}

// find appends the rules that decide about the target of a call, for [ruleBook.need]
// and [ruleBook.nameOf]. Methods have none: there the name is the rule.
func (b *ruleBook) find(ctx context.Context, call *Call, rules []int) []int {
	set := b.set(call.Kind)
	switch {
	case set == nil:
		return nil
	case call.Kind == KindResource && isTemplate(ctx, call):
		return set.index.FindTemplate(call.Name, rules)
	}
	return set.index.Find(call.Name, rules)
}

// isTemplate reports whether a call is about a template of the server, and not
// about a URI: of a list or a completion.
func isTemplate(ctx context.Context, call *Call) bool {
	return strings.Contains(call.Name, "{") && (call.Method == "completion/complete" || ctx.Value(aboutTemplate{}) != nil)
}

// aboutTemplate is the context key of calls that stand for an entry in a list
// of templates.
type aboutTemplate struct{}

// need returns what the rules found for a call require together.
func (b *ruleBook) need(call *Call, rules []int) Requirement {
	if set := b.set(call.Kind); set != nil {
		req := set.merged(rules)
		if set.named {
			return req.named(call.Name)
		}
		return req
	}
	if call.Kind != KindMethod {
		return Requirement{}
	}
	if req, ok := b.methods[call.Method]; ok {
		return req
	}
	if mcp.IsFree(call.Method) || mcp.IsNotification(call.Method) {
		return Authenticated()
	}
	return Requirement{}
}

// merged returns what rules require together.
func (s *ruleSet) merged(rules []int) (req Requirement) {
	if len(rules) == 1 {
		return s.needs[rules[0]]
	}
	for i, rule := range rules {
		need := s.needs[rule]
		if need.denies() {
			return Requirement{}
		}
		req.AllOf = append(req.AllOf, need.AllOf...)
		req.AnyOf = append(req.AnyOf, need.AnyOf...)
		req.Visible = (req.Visible || i == 0) && need.Visible
		req.InBand = (req.InBand || i == 0) && need.InBand
		req.anyToken = (req.anyToken || i == 0) && need.anyToken
	}
	return req
}

// nameOf names the rules found for a call, as [Ruling] has it.
func (b *ruleBook) nameOf(call Call, rules []int) string {
	if set := b.set(call.Kind); set != nil {
		var names []string
		for _, rule := range rules {
			names = append(names, fmt.Sprintf("%ss[%q]", call.Kind, set.keys[rule]))
		}
		return strings.Join(names, " and ")
	}
	if _, listed := b.methods[call.Method]; listed {
		return fmt.Sprintf("methods[%q]", call.Method)
	}
	if mcp.IsFree(call.Method) {
		return "known method"
	}
	return ""
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
		for _, req := range set.needs {
			add(req)
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

// misspelt warns of rules whose names, or scopes, nobody can well have meant.
func (b *builder) misspelt(book *ruleBook) {
	names := mcp.Names()
	for _, rule := range slices.Sorted(maps.Keys(book.methods)) {
		if i := slices.IndexFunc(names, func(name string) bool { return explain.OneLetterOff(rule, name) }); i >= 0 && !slices.Contains(names, rule) {
			b.advise("a rule is about a method that MCP does not have, and one letter away from one that it has",
				"Correct the name, unless the server has such a method: the one of MCP needs a rule of its own.", "rule", rule, "method", names[i])
		}
	}
	for _, kind := range []Kind{KindTool, KindPrompt, KindResource} {
		for i, key := range book.set(kind).keys {
			rule := book.nameOf(Call{Kind: kind}, []int{i})
			if strings.TrimSpace(key) != key {
				b.advise("the name of a rule begins or ends with white space, and names are compared byte for byte", "Remove it.", "rule", rule)
			}
			if slices.Contains(names, key) {
				b.advise("a rule for a target has the name of a method of MCP", "Write the names of tools, prompts and resources here; rules about methods stand in Rules.Methods.", "rule", rule)
			}
		}
	}
	told := map[string]bool{}
	for _, scope := range book.scopes() {
		if !told[scope] && strings.Contains(strings.ReplaceAll(scope, namePlaceholder, ""), "{") {
			told[scope] = true
			b.advise("a scope of a rule has a brace that is no placeholder: it stands for itself", "Write {name}, in lower case, for the name of the tool or prompt.", "scope", scope)
		}
	}
}
