package onbehalf

import (
	"context"
	"errors"
	"slices"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Policy returns a policy that decides as next does and exchanges, for the tools that are named, the caller's
// token for their target before the handler runs: then what needs more scopes is still a 403 with all of them, and
// an outage a 503. What else goes wrong is left to the handler, who can explain it. Nothing is exchanged for
// a caller who lacks scopes that next requires, nor for the entries of lists.
func (e *Exchanger) Policy(next mcpauth.Policy, tools map[string]string) mcpauth.Policy {
	return &policy{e, next, tools}
}

type policy struct {
	exchanger *Exchanger
	next      mcpauth.Policy
	tools     map[string]string
}

// Require implements [mcpauth.Policy].
func (p *policy) Require(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	requirement, err := p.next.Require(ctx, call)
	target, exchanges := p.tools[call.Name]
	if err != nil || !exchanges || call.Kind != mcpauth.KindTool || !asks(ctx, requirement) {
		return requirement, err
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

// asks reports whether the request is decided on now, and its caller has what is required. Entries of a list, and the
// calls of a stream when it is asked about again, come later.
func asks(ctx context.Context, requirement mcpauth.Requirement) (yes bool) {
	_ = onward.Look(ctx, func(facts onward.Facts) {
		p, _ := facts.Principal.(*mcpauth.Principal)
		yes = facts.Deciding && p != nil && meets(p, requirement)
	})
	return yes
}

// meets knows no hierarchy of scopes: who has a broader scope is decided on without an exchange.
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
