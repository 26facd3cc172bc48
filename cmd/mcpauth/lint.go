package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
)

// lint compares the rules with what can be known: what a running server lists,
// the scopes that somebody holds, those that an issuer announces.
func (p *policyRun) lint(ctx context.Context, auth *mcpauth.Middleware, report *policyReport) error {
	if p.live != "" && auth != nil {
		if err := p.lintLive(ctx, auth, report); err != nil {
			return err
		}
	}
	if len(p.file.holders) > 0 {
		for _, row := range report.Rules {
			for _, scope := range p.unavailable(row, p.heldScopes()) {
				report.add("scope-nobody-can-get", row.Kind+" "+row.Name+" needs "+scope+": no holder has it", "define the scope and grant it, or correct its name")
			}
		}
	}
	if p.issuer == "" {
		return nil
	}
	supported, granted, err := p.askIssuer(ctx)
	if err == nil && len(supported) > 0 {
		p.lintAnnounced(report, append(supported, granted...))
	}
	return err
}

// lintLive compares tools, prompts and resources with the rules about them.
func (p *policyRun) lintLive(ctx context.Context, auth *mcpauth.Middleware, report *policyReport) error {
	u, err := url.Parse(p.live)
	if err != nil || u.Host == "" {
		return usageError("--live: %w", errNoURL)
	}
	server := newLive(p.live)
	var has mcpauth.Registered
	for i, into := range []*[]string{&has.Tools, &has.Prompts, &has.Resources, &has.Templates} {
		list := listed[i]
		names, err := server.list(ctx, p.token, list)
		switch {
		case errors.Is(err, errRefused) && p.token == "":
			return &codedError{exitFindings, fmt.Errorf("%s: %w, without a token: give one that may see all tools with --token FILE", list.method, err)}
		case errors.Is(err, errRefused):
			return &codedError{exitFindings, fmt.Errorf("%s: %w", list.method, err)}
		case err != nil:
			return &codedError{exitUnreachable, errors.New("the server cannot be reached: " + report.redact(connectionError(err)))}
		}
		*into = names
	}
	p.lintCoverage(auth.Coverage(has), report)
	return nil
}

// lintCoverage tells which names have no rule, and which rules have no name.
func (p *policyRun) lintCoverage(coverage mcpauth.Coverage, report *policyReport) {
	rules := &p.file.rules
	for _, group := range []struct {
		kind  mcpauth.Kind
		rules map[string]mcpauth.Requirement
	}{{mcpauth.KindTool, rules.Tools}, {mcpauth.KindPrompt, rules.Prompts}, {mcpauth.KindResource, rules.Resources}} {
		word := string(group.kind)
		for _, e := range coverage.Entries {
			if e.Kind == group.kind && e.Unreachable != "" {
				report.add(word+"-without-rule", e.Name+" is listed by the server and every call of it is refused: "+e.Unreachable, "add a rule for it")
			}
		}
		for _, rule := range sortedKeys(group.rules) {
			if slices.Contains(coverage.Unused, fmt.Sprintf("%ss[%q]", word, rule)) {
				report.add("rule-without-"+word, "the rule "+rule+" is about no "+word+" that the server lists", "correct its name or remove it; or list with a token that may see it")
			}
		}
	}
}

// lintScopes tells what the middleware finds doubtful about scopes.
func lintScopes(log *collector, report *policyReport) {
	for _, line := range log.lines {
		if line["cause"] == "scope-alike" || line["cause"] == "scope-unused" {
			report.take(policyFinding{Code: line["cause"], Warning: true,
				Detail: strings.TrimSpace(strings.TrimPrefix(line["msg"], "mcpauth: ") + ": " + line["scope"] + " " + line["other"]), Fix: line["fix"]})
		}
	}
}

// lintAnnounced warns of scopes that the issuer does not announce, each once:
// scopes_supported need not be complete (RFC 8414 section 2).
func (p *policyRun) lintAnnounced(report *policyReport, available []string) {
	needed := map[string][]string{}
	for _, row := range report.Rules {
		for _, scope := range p.unavailable(row, available) {
			needed[scope] = append(needed[scope], row.Kind+" "+row.Name)
		}
	}
	for _, scope := range sortedKeys(needed) {
		report.take(policyFinding{Code: "scope-not-announced", Warning: true,
			Detail: p.issuer + " does not list " + scope + " in scopes_supported, which need not be complete; needed by " + strings.Join(needed[scope], ", "),
			Fix:    "check that it can be granted: with --token of somebody who has it, this is silent"})
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
	return map[string]map[string]mcpauth.Requirement{
		"tool": p.file.rules.Tools, "prompt": p.file.rules.Prompts, "resource": p.file.rules.Resources, "method": p.file.rules.Methods,
	}[row.Kind][row.Name]
}

func (p *policyRun) heldScopes() (all []string) {
	for _, group := range sortedKeys(p.file.holders) {
		all = append(all, p.file.holders[group]...)
	}
	return all
}

// askIssuer has the middleware fetch the issuer's metadata and judge the token, and
// returns the scopes that the one announces and the other has.
func (p *policyRun) askIssuer(ctx context.Context) (supported, granted []string, err error) {
	if u, err := url.Parse(p.issuer); err != nil || u.Host == "" {
		return nil, nil, usageError("--issuer: %w", errNoURL)
	}
	f := *p.file
	f.withIssuers([]string{p.issuer})
	resource := f.Resource
	if resource == "" {
		resource = p.live
	}
	if resource == "" {
		resource = standInResource
	}
	judge, err := newLibrary(f.config(resource))
	if err != nil {
		return nil, nil, usageError("--issuer: %w", err)
	}
	warm := judge.auth.Warm(ctx)
	var document serverMetadata
	raw := judge.auth.Issuers()[0].Metadata
	if raw == nil {
		return nil, nil, &codedError{exitUnreachable, warm}
	}
	_ = json.Unmarshal(raw, &document)
	if p.token != "" {
		if decision, err := judge.ask(ctx, p.token, initialize); err == nil && decision.Principal != nil {
			granted = decision.Principal.Scopes
		}
	}
	return document.Scopes, granted, nil
}
