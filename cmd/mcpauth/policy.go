package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
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
			token, err := readSecret(c, env.stdin, "token")
			if err == nil && token != "" && c.IsSet("issuer") {
				err = f.readClients(standInResource)
			}
			if err != nil {
				return err
			}
			f.withoutClients()
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

	redact func(string) string // takes the token out of what a server repeats
}

type policyFinding struct {
	Code    string `json:"code"` // docs/cli.md lists them
	Warning bool   `json:"warning,omitempty"`
	Detail  string `json:"detail"`
	Fix     string `json:"fix"`
}

func (r *policyReport) add(code, detail, fix string) {
	r.take(policyFinding{Code: code, Detail: detail, Fix: fix})
}

// take shows what a server or an issuer has written in the finding.
func (r *policyReport) take(f policyFinding) {
	f.Detail, f.Fix = foreign.Line(r.redact(f.Detail)), foreign.Line(r.redact(f.Fix))
	r.Findings = append(r.Findings, f)
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
	log := &collector{}
	auth, err := p.middleware(log)
	report := &policyReport{Findings: []policyFinding{}, redact: foreign.Redact(p.token)}
	if err != nil {
		for _, one := range unjoin(p.file.located(err)) {
			report.add("invalid", strings.TrimPrefix(one.Error(), "mcpauth: "), "correct the file")
		}
	}
	if auth != nil {
		report.Rules = p.rows(ctx, auth)
	}
	if err := p.lint(ctx, auth, report); err != nil {
		return err
	}
	lintScopes(log, report)
	if auth != nil && p.tool != "" {
		if report.Decision, err = p.decide(ctx); err != nil {
			return err
		}
	}
	if asJSON {
		err = foreign.WriteJSON(env.stdout, report)
	} else {
		err = report.write(env)
	}
	if err == nil && slices.ContainsFunc(report.Findings, func(f policyFinding) bool { return !f.Warning }) {
		return &codedError{code: exitFindings}
	}
	return err
}

// What stands where the file has nothing.
const (
	standInResource = "https://resource.example/mcp"
	standInIssuer   = "https://issuer.example"
)

// middleware compiles the rules, which finds every mistake in them. Resource and
// issuer are stand-ins where the file has none: nothing is fetched.
func (p *policyRun) middleware(log *collector) (*mcpauth.Middleware, error) {
	resource := p.file.Resource
	if resource == "" {
		resource = standInResource
	}
	f := *p.file
	if len(f.Issuers) == 0 {
		f.Issuers = []mcpauth.Issuer{{URL: standInIssuer}}
	}
	config := f.config(resource)
	config.Logger = slog.New(log)
	return mcpauth.New(config)
}

func (p *policyRun) rows(ctx context.Context, auth *mcpauth.Middleware) (rows []policyRow) {
	for _, group := range []struct {
		kind  string
		rules map[string]mcpauth.Requirement
	}{{"tool", p.file.rules.Tools}, {"prompt", p.file.rules.Prompts}, {"resource", p.file.rules.Resources}, {"method", p.file.rules.Methods}} {
		for _, name := range sortedKeys(group.rules) {
			rows = append(rows, policyRow{Kind: group.kind, Name: name, Requires: group.rules[name].String(), Holders: p.holders(ctx, auth, group.rules[name])})
		}
	}
	return rows
}

// probe is the name of the tool by which holders are tried against a requirement.
const probe = "probe"

// holders are the groups whose scopes meet a requirement, with what they imply.
func (p *policyRun) holders(ctx context.Context, _ *mcpauth.Middleware, req mcpauth.Requirement) (groups []string) {
	f := file{Config: mcpauth.Config{Implies: p.file.Implies, Issuers: []mcpauth.Issuer{{URL: standInIssuer}}}}
	f.rules.Tools = map[string]mcpauth.Requirement{probe: req}
	auth, err := mcpauth.New(f.config(standInResource))
	if err != nil {
		return nil
	}
	for _, group := range sortedKeys(p.file.holders) {
		caller := &mcpauth.Principal{Issuer: standInIssuer, Subject: group, Scopes: p.file.holders[group]}
		if auth.Authorize(ctx, caller, toolCall(probe)) == nil {
			groups = append(groups, group)
		}
	}
	return groups
}

// decide has the middleware decide about one tool, for a caller whose token has
// the scopes, and tells which rule it was.
func (p *policyRun) decide(ctx context.Context) (*policyDecision, error) {
	f := *p.file
	f.Issuers = []mcpauth.Issuer{{URL: standInIssuer}}
	config, signer, err := trusting(f.config(standInResource))
	if err != nil {
		return nil, err
	}
	judge, err := newLibrary(config)
	if err != nil {
		return nil, err
	}
	claims, err := json.Marshal(map[string]any{"iss": standInIssuer, "sub": "somebody", "client_id": "some-client", "aud": standInResource,
		"exp": time.Now().Add(freshLifetime).Unix(), "scope": strings.Join(p.scopes, " ")})
	if err != nil {
		return nil, err
	}
	token, err := signer.Sign(`{"alg":"ES256","typ":"at+jwt"}`, string(claims))
	if err != nil {
		return nil, err
	}
	decision, err := judge.ask(ctx, token, callOf(p.tool))
	if err != nil {
		return nil, err
	}
	d := &policyDecision{Tool: p.tool, Scopes: p.scopes, Allowed: decision.Err == nil, Why: "the scopes meet the rule"}
	if len(decision.Rulings) > 0 {
		d.Missing = decision.Rulings[0].Missing
		for _, name := range sortedKeys(p.file.rules.Tools) {
			if strings.Contains(decision.Rulings[0].Rule, fmt.Sprintf("tools[%q]", name)) {
				d.Rule, d.Requires = name, p.file.rules.Tools[name].String()
			}
		}
	}
	if decision.Err != nil {
		d.Why, d.Ask = reasonOf(decision), decision.Err.Scopes
	}
	return d, nil
}

func (r *policyReport) write(env environment) error {
	w := tabwriter.NewWriter(env.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tREQUIRES\tWHO HAS IT")
	for _, row := range r.Rules {
		who := strings.Join(row.Holders, ", ")
		if who == "" {
			who = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.Kind, foreign.Line(row.Name), foreign.Line(row.Requires), foreign.Line(who))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d := r.Decision; d != nil {
		word := env.paint("refused", "31")
		if d.Allowed {
			word = env.paint("allowed", "32")
		}
		fmt.Fprintf(env.stdout, "\n%s with scopes %q: %s\n  %s\n", foreign.Line(d.Tool), d.Scopes, word, foreign.Line(d.Why))
		if d.Rule != "" {
			fmt.Fprintf(env.stdout, "  rule %q requires %s\n", d.Rule, foreign.Line(d.Requires))
		}
		if len(d.Ask) > 0 {
			fmt.Fprintf(env.stdout, "  missing: %s; the challenge asks for: %s\n", foreign.Line(strings.Join(d.Missing, " ")), foreign.Line(strings.Join(d.Ask, " ")))
		}
	}
	fmt.Fprintln(env.stdout)
	for _, finding := range r.Findings {
		mark := marks[stateFault]
		if finding.Warning {
			mark = marks[stateNote]
		}
		fmt.Fprintf(env.stdout, "%s %s: %s\n  fix: %s\n", env.paint(mark.sign, mark.color), finding.Code, finding.Detail, finding.Fix)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(env.stdout, "no findings")
	}
	return nil
}
