package onbehalf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Policy returns a policy that decides as next does and exchanges, for the tools that are named, the caller's
// token for their target before the handler runs: then what needs more scopes is still a 403 with all of them, and
// an outage a 503. What else goes wrong is left to the handler, who can explain it. Nothing is exchanged for
// a caller who lacks scopes that next requires or is of another issuer, nor for the entries of lists.
//
// Give it to [mcpauth.Config] itself, which then knows next: [mcpauth.Rules] stay rules there, and are checked with the
// names of targets. In a policy of your own it does the same, but it knows no [mcpauth.Config].Implies.
func (e *Exchanger) Policy(next mcpauth.Policy, tools map[string]string) mcpauth.Policy {
	return &policy{e, next, maps.Clone(tools)}
}

type policy struct {
	exchanger *Exchanger
	next      mcpauth.Policy
	tools     map[string]string
}

// Require implements [mcpauth.Policy].
func (p *policy) Require(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	requirement, err := p.next.Require(ctx, call)
	if err != nil || !lacksNothing(ctx, requirement) {
		return requirement, err
	}
	return p.Refine(ctx, call, requirement, onward.Ours{})
}

// Refines is how [mcpauth.New] knows the policy inside.
func (p *policy) Refines(onBehalf []string, _ onward.Ours) (mcpauth.Policy, error) {
	var wrong []error
	if issuer := p.exchanger.config.Issuer; !slices.Contains(onBehalf, issuer) {
		wrong = append(wrong, fmt.Errorf("onbehalf.Policy: Config.Issuer = %s: no Issuer with this URL, byte for byte, has AllowTokenExchange: set AllowTokenExchange there", foreign.Quote(issuer)))
	}
	for _, tool := range slices.Sorted(maps.Keys(p.tools)) {
		if p.exchanger.targets[p.tools[tool]] == nil {
			wrong = append(wrong, fmt.Errorf("onbehalf.Policy: tools[%s] = %s: Config.Targets has no such target", foreign.Quote(tool), foreign.Quote(p.tools[tool])))
		}
	}
	return p.next, errors.Join(wrong...)
}

// Refine adds to what is required of a caller who has all that.
func (p *policy) Refine(ctx context.Context, call mcpauth.Call, requirement mcpauth.Requirement, _ onward.Ours) (mcpauth.Requirement, error) {
	target, exchanges := p.tools[call.Name]
	if !exchanges || call.Kind != mcpauth.KindTool || !isDeciding(ctx) {
		return requirement, nil
	}
	if caller, ok := mcpauth.FromContext(ctx); ok && caller.Issuer != p.exchanger.config.Issuer {
		return requirement, nil // another exchanger's
	}
	failed := (*Error)(nil)
	if _, err := p.exchanger.Token(ctx, target); !errors.As(err, &failed) {
		return requirement, nil
	}
	switch failed.Kind {
	case MoreScope:
		requirement.AllOf = append(slices.Clone(requirement.AllOf), failed.Scopes...)
	case Unavailable:
		return mcpauth.Requirement{}, &mcpauth.DeniedError{Err: failed, RetryAfter: failed.RetryAfter}
	}
	return requirement, nil
}

// isDeciding reports whether the request is decided on now. Entries of a list, and the calls of a stream when it
// is asked about again, come later.
func isDeciding(ctx context.Context) (deciding bool) {
	_ = onward.Look(ctx, func(facts onward.Facts) { deciding = facts.Deciding })
	return deciding
}

// lacksNothing reports whether the caller has what is required.
func lacksNothing(ctx context.Context, requirement mcpauth.Requirement) bool {
	p, ok := mcpauth.FromContext(ctx)
	return ok && meets(p, requirement)
}

// meets knows no hierarchy of scopes: for who has a broader scope the tool exchanges.
func meets(p *mcpauth.Principal, requirement mcpauth.Requirement) bool {
	if len(requirement.AllOf) == 0 && len(requirement.AnyOf) == 0 {
		return requirement.String() == mcpauth.Authenticated().String()
	}
	for _, scope := range requirement.AllOf {
		if !p.HasScope(scope) {
			return false
		}
	}
	for _, group := range requirement.AnyOf {
		if !slices.ContainsFunc(group, p.HasScope) {
			return false
		}
	}
	return true
}
