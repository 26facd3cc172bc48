package mcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Kind says what a [Call] is about.
type Kind string

// The kinds of target a call can have.
const (
	KindTool     Kind = "tool"
	KindPrompt   Kind = "prompt"
	KindResource Kind = "resource"
	KindMethod   Kind = "method" // the method itself is the target
)

// Call is one operation of a request, read from the bytes of the body that the
// handler receives and from nothing else.
type Call struct {
	_ struct{} // keyed literals only

	// Method is the JSON-RPC method, "tools/call". Where a request has none it is
	// "$response" for a client's answer, "$sse" for GET, "$session.delete" for DELETE.
	Method string
	Kind   Kind
	Name   string // tool or prompt name, resource URI or URI template, task id; empty for most methods

	// Arguments is the raw JSON object params.arguments of a tool call or a
	// prompt, nil when absent. Its member names are unique at every depth, but
	// names that differ by case may stand beside each other: decode it into a
	// map rather than a struct. It must not be modified.
	Arguments json.RawMessage
}

// isHandshake reports whether the call is the method itself and no target that
// somebody put beside its name.
func (c *Call) isHandshake() bool { return c.Kind == KindMethod && mcp.IsHandshake(c.Method) }

// Requirement is what a caller must hold. The zero value can be met by nobody:
// [Authenticated] spells out that a valid token is enough.
type Requirement struct {
	AllOf []string   // every one of these scopes
	AnyOf [][]string // of each group at least one; a challenge asks for the first

	// Visible shows the tool, prompt or resource in lists also to callers who
	// lack the scopes, so that their clients can ask for more. By default
	// lists have only what the caller may use.
	Visible bool

	// InBand answers a tool call that lacks scopes with status 200 and a tool
	// result (isError, and the challenge in _meta["mcp/www_authenticate"]),
	// for hosts that cannot read HTTP errors. By default the answer is 403, and always on a
	// message endpoint of HTTP+SSE, where nobody looks for a result in the answer to a POST.
	InBand bool

	anyToken bool
}

// Scopes requires all of the given scopes.
func Scopes(all ...string) Requirement { return Requirement{AllOf: all} }

// AnyScope requires one of the given scopes. Put the least powerful first: it
// is the one that a challenge asks for.
func AnyScope(oneOf ...string) Requirement { return Requirement{AnyOf: [][]string{oneOf}} }

// Authenticated is met by every valid token.
func Authenticated() Requirement { return Requirement{anyToken: true} }

// String renders the requirement for people, as in "a and b and (c or d)".
func (r Requirement) String() string {
	switch {
	case r.denies():
		return "nobody"
	case r.isEmpty():
		return "any valid token"
	}
	parts := slices.Clone(r.AllOf)
	for _, group := range r.AnyOf {
		parts = append(parts, "("+strings.Join(group, " or ")+")")
	}
	return strings.Join(parts, " and ")
}

func (r Requirement) isEmpty() bool { return len(r.AllOf) == 0 && len(r.AnyOf) == 0 }

// denies reports whether no token whatever can meet the requirement.
func (r Requirement) denies() bool { return r.isEmpty() && !r.anyToken }

// problem says what of the requirement can never stand in a token or a
// challenge, or returns "".
func (r Requirement) problem() string {
	for _, scope := range r.AllOf {
		if p := scopeProblem(scope); p != "" {
			return p
		}
	}
	for _, group := range r.AnyOf {
		if len(group) == 0 {
			return "an any-of group is empty: nobody can meet it"
		}
		for _, scope := range group {
			if p := scopeProblem(scope); p != "" {
				return p
			}
		}
	}
	return ""
}

func scopeProblem(scope string) string {
	switch {
	case !challenge.ValidScope(scope):
		return fmt.Sprintf("%s is not a scope: use printable ASCII without space, quote and backslash (RFC 6749 section 3.3)", shown(scope))
	case scope == "offline_access":
		return "offline_access concerns the client and the authorization server only: remove it"
	}
	return ""
}

// Policy decides what a call requires. It is asked for every call of every
// request, and for every entry of a list that is filtered. It is not asked for
// initialize, notifications/initialized, ping, a client's responses, GET and
// DELETE: any valid token is enough. The caller is in ctx, see [FromContext].
//
// Require must be fast, safe for concurrent use and free of side effects.
// The zero [Requirement] refuses the call. So do an error and a panic, as a
// server error; an error that wraps [ErrUnavailable] is answered with 503, and Retry-After as
// a *[DeniedError] inside says.
type Policy interface {
	Require(ctx context.Context, call Call) (Requirement, error)
}

// PolicyFunc is a function used as a [Policy].
type PolicyFunc func(ctx context.Context, call Call) (Requirement, error)

// Require calls f.
func (f PolicyFunc) Require(ctx context.Context, call Call) (Requirement, error) {
	return f(ctx, call)
}

// refiner is a policy to which a package of this library adds something. What it adds to stays what it is:
// rules are checked by [New] and compiled once.
type refiner interface {
	Policy
	// Refines returns what it adds to, and what is wrong with it. onBehalf are the issuers whose tokens may be exchanged.
	Refines(onBehalf []string, _ onward.Ours) (Policy, error)
	Refine(ctx context.Context, call Call, required Requirement, _ onward.Ours) (Requirement, error)
}

// refined is what is required of a call when something was added.
type refined struct {
	refiner
	required Requirement
}

// Require implements [Policy].
func (r refined) Require(ctx context.Context, call Call) (Requirement, error) {
	return r.Refine(ctx, call, r.required, onward.Ours{})
}

// decider is a [Policy] with the scope hierarchy of the configuration.
type decider struct {
	policy  Policy
	adds    refiner             // nil for nothing
	broader map[string][]string // scope -> scopes that include it, transitively
	listed  map[string]string   // the targets that rules list, by themselves
}

// targets returns the targets that the policy is known to list, by themselves.
func (d *decider) targets() map[string]string { return d.listed }

// isDeclared reports whether the policy is one of rules, so that no code of the operator sees a call.
func (d *decider) isDeclared() bool {
	_, declared := d.policy.(*ruleBook)
	return declared
}

// isRulesAlone reports whether no code has a say in it: what it says of a call, it says again.
func (d *decider) isRulesAlone() bool { return d.isDeclared() && d.adds == nil }

// rules returns the rules of the policy, nil if it is code.
func (d *decider) rules() *ruleBook {
	book, _ := d.policy.(*ruleBook)
	return book
}

// decide returns nil when the principal may make all of the calls. A call that
// no scope can open outweighs any number of missing scopes, and missing scopes
// are those of all calls together, so that one trip through consent is enough.
// What was said of each is noted in the recording, if there is one.
func (d *decider) decide(ctx context.Context, p *Principal, calls []Call, noted *recording) *refusal.Refusal {
	if len(calls) == 0 {
		return refusal.New(refusal.Forbidden, "no call to decide on", "", "")
	}
	var buffer [8]string
	needed := buffer[:0]
	var room [2]int
	var missing *Call
	inBand := true
	for i := range calls {
		if calls[i].isHandshake() {
			noted.handshake()
			continue
		}
		req, rules, denied := d.require(ctx, calls[i], room[:0])
		if denied == nil && d.adds != nil {
			req, denied = d.refine(ctx, p, calls[i], req)
		}
		if denied != nil {
			return denied
		}
		noted.ruled(d, p, calls[i], req, rules)
		if req.denies() {
			return refusal.New(refusal.Forbidden, string(calls[i].Kind)+" has no rule", calls[i].target(), "a rule in the policy").Because("no-rule")
		}
		var met bool
		needed, met = d.resolve(p, req, needed)
		if !met && missing == nil {
			missing = &calls[i]
		}
		inBand = inBand && req.InBand
	}
	if missing == nil {
		return nil
	}
	denied := refusal.New(refusal.InsufficientScope, string(missing.Kind)+" "+shown(missing.target()),
		strings.Join(p.Scopes, " "), strings.Join(needed, " "))
	denied.Scopes = slices.Clone(needed)
	denied.InBand = inBand && len(calls) == 1 && missing.Kind == KindTool
	return denied
}

// target is what a call is about, for the operator.
func (c Call) target() string {
	if c.Kind == KindMethod {
		return c.Method
	}
	return c.Name
}

// shows reports whether lists have an entry for the call.
func (d *decider) shows(ctx context.Context, p *Principal, call Call) bool {
	var room [2]int
	req, _, denied := d.require(ctx, call, room[:0])
	if denied != nil || req.denies() {
		return false
	}
	var buffer [8]string
	_, met := d.resolve(p, req, buffer[:0])
	return met || req.Visible
}

// require asks the policy and contains its failures. Of a policy of rules it also
// appends those that decided.
func (d *decider) require(ctx context.Context, call Call, rules []int) (req Requirement, decided []int, denied *refusal.Refusal) {
	if book, declared := d.policy.(*ruleBook); declared {
		rules = book.find(ctx, &call, rules)
		return book.need(&call, rules), rules, nil
	}
	req, denied = ask(ctx, d.policy, call)
	return req, nil, denied
}

// refine asks what is added to the policy, about a caller who has what the policy itself requires.
func (d *decider) refine(ctx context.Context, p *Principal, call Call, req Requirement) (Requirement, *refusal.Refusal) {
	var buffer [8]string
	if _, met := d.resolve(p, req, buffer[:0]); !met || req.denies() {
		return req, nil
	}
	return ask(ctx, refined{d.adds, req}, call)
}

// ask asks code that is not ours.
func ask(ctx context.Context, policy Policy, call Call) (req Requirement, denied *refusal.Refusal) {
	defer func() {
		if recovered := recover(); recovered != nil {
			denied = refusal.New(refusal.Policy, fmt.Sprintf("the policy panicked with a %T", recovered), "", "")
		}
	}()
	req, err := policy.Require(ctx, call)
	if err != nil {
		return Requirement{}, denyUndecided(err)
	}
	if problem := req.problem(); problem != "" {
		return Requirement{}, refusal.New(refusal.Policy, "the policy answered with an impossible requirement: "+problem, "", "")
	}
	return req, nil
}

// denyUndecided tells a policy that cannot know from one that is broken.
func denyUndecided(err error) *refusal.Refusal {
	if !errors.Is(err, ErrUnavailable) {
		return refusal.For(refusal.Policy, "the policy failed", err)
	}
	denied := refusal.For(refusal.Unavailable, "the policy cannot tell", err).Because("policy-unavailable")
	denied.RetryAfter = retrySoon
	if said := (*DeniedError)(nil); errors.As(err, &said) && said.RetryAfter > 0 {
		denied.RetryAfter = said.RetryAfter
	}
	return denied
}

// resolve appends the scopes that a challenge for req names to needed, and
// reports whether p meets req. Of an any-of group it names the scope that p
// holds, or else the first.
func (d *decider) resolve(p *Principal, req Requirement, needed []string) ([]string, bool) {
	met := true
	for _, scope := range req.AllOf {
		met = d.holds(p, scope) && met
		needed = appendNew(needed, scope)
	}
	for _, group := range req.AnyOf {
		i := slices.IndexFunc(group, func(scope string) bool { return d.holds(p, scope) })
		met = i >= 0 && met
		needed = appendNew(needed, group[max(i, 0)])
	}
	return needed, met
}

// holds reports whether p has the scope or a broader one.
func (d *decider) holds(p *Principal, scope string) bool {
	if p.HasScope(scope) {
		return true
	}
	for _, broader := range d.broader[scope] {
		if p.HasScope(broader) {
			return true
		}
	}
	return false
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// invertHierarchy turns "broader -> narrower" into "narrower -> all broader
// ones", transitively, and returns a scope that includes itself, behind those by way of which it does, or nil.
func invertHierarchy(implies map[string][]string) (broader map[string][]string, cycle []string) {
	broader = make(map[string][]string)
	for _, top := range slices.Sorted(maps.Keys(implies)) {
		reached, by := map[string]bool{}, map[string]string{}
		var queue []string
		follow := func(scope string) {
			for _, next := range implies[scope] {
				if _, known := by[next]; !known {
					by[next] = scope
				}
				queue = append(queue, next)
			}
		}
		follow(top)
		for len(queue) > 0 {
			scope := queue[0]
			queue = queue[1:]
			if scope == top {
				for s := by[top]; s != top; s = by[s] {
					cycle = append(cycle, s)
				}
				return nil, append(cycle, top)
			}
			if !reached[scope] {
				reached[scope] = true
				broader[scope] = append(broader[scope], top)
				follow(scope)
			}
		}
	}
	return broader, nil
}

// byWayOf names the first of those of a cycle that stand between its last scope and itself.
func byWayOf(cycle []string) string {
	between := slices.Clone(cycle[:len(cycle)-1])
	slices.Reverse(between)
	if len(between) == 0 {
		return ""
	}
	rest := ""
	if n := len(between) - 5; n > 0 {
		between, rest = between[:5], fmt.Sprintf(" and %d more", n)
	}
	for i, scope := range between {
		between[i] = shown(scope)
	}
	return ", by way of " + strings.Join(between, ", ") + rest
}

// nameOf names the rules that decided about a call, as [Ruling] has it.
func (d *decider) nameOf(call Call, rules []int) string {
	if book, declared := d.policy.(*ruleBook); declared {
		return book.nameOf(call, rules)
	}
	return "policy"
}

// ruleNames lists the names that have a rule of their own, for the kind of the call.
func (d *decider) ruleNames(kind Kind) []string {
	if book, declared := d.policy.(*ruleBook); declared {
		if set := book.set(kind); set != nil {
			return set.index.Exact()
		}
	}
	return nil
}
