package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// lint compares the rules with what can be known: the tools of a running
// server, the scopes that somebody holds, those that an issuer can grant.
func (p *policyRun) lint(ctx context.Context, report *policyReport) error {
	if p.live != "" {
		u, err := url.Parse(p.live)
		if err != nil || u.Host == "" {
			return usageError("--live: %w", errNoURL)
		}
		names, err := newLive(p.live).tools(ctx, p.token)
		switch {
		case errors.Is(err, errRefused):
			return &codedError{exitFindings, err}
		case err != nil:
			return &codedError{exitUnreachable, errors.New("the server cannot be reached: " + connectionError(err))}
		}
		p.lintTools(names, report)
	}
	if len(p.file.Holders) > 0 {
		p.lintScopes(report, "no holder has it", p.heldScopes())
	}
	if p.issuer == "" {
		return nil
	}
	supported, err := supportedScopes(ctx, p.issuer)
	if err != nil {
		return err
	}
	if len(supported) > 0 {
		p.lintScopes(report, p.issuer+" does not list it in scopes_supported", supported)
	}
	return nil
}

func (p *policyRun) lintTools(names []string, report *policyReport) {
	for _, name := range names {
		if ruleFor(name, p.file.Rules.Tools) == "" {
			report.Findings = append(report.Findings, policyFinding{"tool-without-rule", name + " is listed by the server and has no rule: every call of it is refused", "add a rule for it"})
		}
	}
	for _, rule := range sortedKeys(p.file.Rules.Tools) {
		met := slices.ContainsFunc(names, func(name string) bool {
			return name == rule || matches(rule, name)
		})
		if !met {
			report.Findings = append(report.Findings, policyFinding{"rule-without-tool", "the rule " + rule + " is about no tool that the server lists", "correct its name or remove it; or list with a token that may see it"})
		}
	}
}

// lintScopes reports the scopes without which a rule can never be met.
func (p *policyRun) lintScopes(report *policyReport, why string, available []string) {
	for _, row := range report.Rules {
		for _, scope := range p.unavailable(row, available) {
			report.Findings = append(report.Findings, policyFinding{"scope-nobody-can-get", row.Kind + " " + row.Name + " needs " + scope + ": " + why, "define the scope and grant it, or correct its name"})
		}
	}
}

func (p *policyRun) unavailable(row policyRow, available []string) (missing []string) {
	req := p.requirement(row)
	lacks := func(scope string) bool { return !strings.Contains(scope, "{name}") && !p.covers(available, scope) }
	for _, scope := range req.AllOf {
		if lacks(scope) {
			missing = append(missing, scope)
		}
	}
	for _, group := range req.AnyOf {
		if !slices.ContainsFunc(group, func(scope string) bool { return !lacks(scope) }) {
			missing = append(missing, strings.Join(group, " or "))
		}
	}
	return missing
}

// covers reports whether a scope is there, or a broader one that implies it.
func (p *policyRun) covers(available []string, scope string) bool {
	seen, queue := map[string]bool{}, slices.Clone(available)
	for len(queue) > 0 {
		one := queue[0]
		queue = queue[1:]
		if one == scope {
			return true
		}
		if !seen[one] {
			seen[one] = true
			queue = append(queue, p.file.Implies[one]...)
		}
	}
	return false
}

func (p *policyRun) requirement(row policyRow) mcpauth.Requirement {
	return map[string]map[string]fileRequirement{
		"tool": p.file.Rules.Tools, "prompt": p.file.Rules.Prompts, "resource": p.file.Rules.Resources, "method": p.file.Rules.Methods,
	}[row.Kind][row.Name].Requirement
}

func (p *policyRun) heldScopes() (all []string) {
	for _, group := range sortedKeys(p.file.Holders) {
		all = append(all, p.file.Holders[group]...)
	}
	return all
}

// supportedScopes reads what an issuer says that it can grant; none if it does not say.
func supportedScopes(ctx context.Context, issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil, usageError("--issuer: %w", errNoURL)
	}
	var errs []error
	for _, at := range places(u) {
		response, err := fetch.New(nil).Get(ctx, fetch.Request{URL: at, Limit: maxDocument})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var document serverMetadata
		if err := json.Unmarshal(response.Body, &document); err != nil {
			errs = append(errs, errors.New(at+" is no metadata"))
			continue
		}
		return document.Scopes, nil
	}
	return nil, &codedError{exitUnreachable, errors.Join(errs...)}
}
