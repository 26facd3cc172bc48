package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/seed-1e292522/mcpauth"
)

func policyCommand(env environment) *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "print a policy as a table, lint it, explain one decision",
		Flags: []cli.Flag{
			policyFlag(),
			&cli.StringFlag{Name: "live", Usage: "`URL` of a running server: compare the rules with its tools"},
			&cli.StringFlag{Name: "token", Usage: "`FILE` with a token for --live that may list all tools, - for standard input"},
			&cli.StringFlag{Name: "issuer", Usage: "`URL` of an authorization server: can it grant what the rules ask for?"},
			&cli.StringFlag{Name: "tool", Usage: "explain the decision about this tool"},
			&cli.StringFlag{Name: "scopes", Usage: "for a caller with these `SCOPES`, separated by spaces"},
			jsonFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if !c.IsSet("policy") {
				return usageError("policy needs --policy FILE")
			}
			f, err := readFile(c.String("policy"))
			if err != nil {
				return err
			}
			token, err := readSecret(env.stdin, c.String("token"))
			if err != nil {
				return err
			}
			p := &policyRun{file: f, live: c.String("live"), token: token, issuer: c.String("issuer"), tool: c.String("tool"), scopes: strings.Fields(c.String("scopes"))}
			return p.run(ctx, env, c.Bool("json"))
		},
	}
}

type policyRun struct {
	file                *file
	live, token, issuer string
	tool                string
	scopes              []string
}

// policyRow is one rule: what it is about, what it needs, who can get that.
type policyRow struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Requires string   `json:"requires"`
	Holders  []string `json:"holders,omitempty"`
}

type policyReport struct {
	Rules    []policyRow     `json:"rules"`
	Findings []policyFinding `json:"findings"`
	Decision *policyDecision `json:"decision,omitempty"`
}

type policyFinding struct {
	Code   string `json:"code"` // tool-without-rule, rule-without-tool, scope-nobody-can-get, invalid
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

type policyDecision struct {
	Tool     string   `json:"tool"`
	Scopes   []string `json:"scopes"`
	Allowed  bool     `json:"allowed"`
	Rule     string   `json:"rule"`              // name of the rule that decides, "" for none
	Requires string   `json:"requires"`          // what it asks for
	Missing  []string `json:"missing,omitempty"` // what the caller lacks
	Ask      []string `json:"ask,omitempty"`     // what the challenge names
	Why      string   `json:"why"`
}

func (p *policyRun) run(ctx context.Context, env environment, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	auth, err := p.middleware()
	report := &policyReport{Findings: []policyFinding{}}
	if err != nil {
		for _, one := range unjoin(err) {
			report.Findings = append(report.Findings, policyFinding{"invalid", strings.TrimPrefix(one.Error(), "mcpauth: "), "correct the file"})
		}
	}
	if auth != nil {
		report.Rules = p.rows(ctx, auth)
	}
	if err := p.lint(ctx, report); err != nil {
		return err
	}
	if auth != nil && p.tool != "" {
		report.Decision = p.decide(ctx, auth)
	}
	if asJSON {
		err = writeJSON(env.stdout, report)
	} else {
		err = report.write(env)
	}
	if err == nil && len(report.Findings) > 0 {
		return &codedError{code: exitFindings}
	}
	return err
}

// middleware compiles the rules, which finds every mistake in them. Resource and
// issuer are stand-ins where the file has none: nothing is fetched.
func (p *policyRun) middleware() (*mcpauth.Middleware, error) {
	resource := p.file.Resource
	if resource == "" {
		resource = "https://resource.example/mcp"
	}
	f := *p.file
	if len(f.Issuers) == 0 {
		f.Issuers = []fileIssuer{{URL: "https://issuer.example"}}
	}
	return mcpauth.New(f.config(resource))
}

func (p *policyRun) rows(ctx context.Context, auth *mcpauth.Middleware) (rows []policyRow) {
	for _, group := range []struct {
		kind  string
		rules map[string]fileRequirement
	}{{"tool", p.file.Rules.Tools}, {"prompt", p.file.Rules.Prompts}, {"resource", p.file.Rules.Resources}, {"method", p.file.Rules.Methods}} {
		for _, name := range sortedKeys(group.rules) {
			rows = append(rows, policyRow{Kind: group.kind, Name: name, Requires: group.rules[name].String(), Holders: p.holders(ctx, auth, group.rules[name].Requirement)})
		}
	}
	return rows
}

// probe is the name of the tool by which holders are tried against a requirement.
const probe = "probe"

// holders are the groups whose scopes meet a requirement, with what they imply.
func (p *policyRun) holders(ctx context.Context, _ *mcpauth.Middleware, req mcpauth.Requirement) (groups []string) {
	f := file{Implies: p.file.Implies, Issuers: []fileIssuer{{URL: "https://issuer.example"}}}
	f.Rules.Tools = map[string]fileRequirement{probe: {req}}
	auth, err := mcpauth.New(f.config("https://resource.example/mcp"))
	if err != nil {
		return nil
	}
	for _, group := range sortedKeys(p.file.Holders) {
		caller := &mcpauth.Principal{Issuer: "https://issuer.example", Subject: group, Scopes: p.file.Holders[group]}
		if auth.Authorize(ctx, caller, toolCall(probe)) == nil {
			groups = append(groups, group)
		}
	}
	return groups
}

// decide explains the decision about one tool.
func (p *policyRun) decide(ctx context.Context, auth *mcpauth.Middleware) *policyDecision {
	caller := &mcpauth.Principal{Issuer: "https://issuer.example", Subject: "somebody", Scopes: p.scopes}
	err := auth.Authorize(ctx, caller, toolCall(p.tool))
	d := &policyDecision{Tool: p.tool, Scopes: p.scopes, Allowed: err == nil}
	d.Rule = ruleFor(p.tool, p.file.Rules.Tools)
	if d.Rule != "" {
		d.Requires = p.file.Rules.Tools[d.Rule].String()
	}
	var denied *mcpauth.DeniedError
	switch {
	case err == nil:
		d.Why = "the scopes meet the rule"
	case errors.As(err, &denied):
		d.Why = strings.TrimPrefix(denied.Error(), "mcpauth: ")
		d.Ask = denied.Scopes
		d.Missing = slices.DeleteFunc(slices.Clone(denied.Scopes), caller.HasScope)
	}
	return d
}

// ruleFor names the rule that decides: the exact one, else the pattern with the
// longest literal beginning. "" is no rule.
func ruleFor(tool string, rules map[string]fileRequirement) string {
	if _, exact := rules[tool]; exact {
		return tool
	}
	best := ""
	for pattern := range rules {
		if matches(pattern, tool) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return best
}

// matches reports whether a key of the rules is a pattern that stands for the
// name. A star is at the end, or the rules are refused.
func matches(key, name string) bool {
	prefix, star := strings.CutSuffix(key, "*")
	return star && strings.HasPrefix(name, prefix)
}

func (r *policyReport) write(env environment) error {
	w := tabwriter.NewWriter(env.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tREQUIRES\tWHO HAS IT")
	for _, row := range r.Rules {
		who := strings.Join(row.Holders, ", ")
		if who == "" {
			who = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.Kind, clean(row.Name), clean(row.Requires), clean(who))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d := r.Decision; d != nil {
		word := env.paint("refused", "31")
		if d.Allowed {
			word = env.paint("allowed", "32")
		}
		fmt.Fprintf(env.stdout, "\n%s with scopes %q: %s\n  %s\n", clean(d.Tool), d.Scopes, word, clean(d.Why))
		if d.Rule != "" {
			fmt.Fprintf(env.stdout, "  rule %q requires %s\n", d.Rule, clean(d.Requires))
		}
		if len(d.Ask) > 0 {
			fmt.Fprintf(env.stdout, "  missing: %s; the challenge asks for: %s\n", strings.Join(d.Missing, " "), strings.Join(d.Ask, " "))
		}
	}
	fmt.Fprintln(env.stdout)
	for _, finding := range r.Findings {
		fmt.Fprintf(env.stdout, "%s %s: %s\n  fix: %s\n", env.paint("✗", "31"), finding.Code, clean(finding.Detail), clean(finding.Fix))
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(env.stdout, "no findings")
	}
	return nil
}
