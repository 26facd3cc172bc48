package main

import (
	"context"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// doctor examines one set-up: what a client finds, what the resource server
// finds, and what becomes of a token. Each step adds to the findings.
type doctor struct {
	findings
	resource  string
	file      *file
	hasPolicy bool
	issuers   []string // of the command line
	token     string
	hasToken  bool
	tool      string
	origin    string

	section string
	live    *live
	servers []string // authorization_servers of the metadata
	scopes  []string // scopes_supported of the metadata
	learned bool     // the issuers are those of the metadata
	library *library

	issuerFails bool     // what is wrong with the issuers, or the configuration, has been told
	refusal     bool     // the middleware here has refused the token
	open        []string // tools that the token opens by the file
	shut        bool     // the token itself is refused here
	bound       bool     // it is bound to a key, and otherwise good
}

func (d *doctor) examine(ctx context.Context) *findings {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	d.findings.Resource = d.resource
	if d.hasToken {
		d.redact = foreign.Redact(d.token)
	}
	d.live = newLive(d.resource)
	d.section = "as a client"
	reachable := d.asClient(ctx)
	d.file.withIssuers(d.issuers)
	d.section = "as the resource server"
	if len(d.file.Issuers) == 0 {
		d.learnIssuers()
	}
	before := d.Faults
	d.asServer(ctx)
	d.issuerFails = d.Faults > before
	if d.hasToken {
		d.section = "token"
		d.examineToken(ctx)
		if reachable {
			d.tryLive(ctx)
		}
	}
	return &d.findings
}

func (d *doctor) step(st state, title, detail string) {
	d.add(step{Section: d.section, State: st, Title: title, Detail: detail})
}

func (d *doctor) ok(title, detail string) { d.step(stateOK, title, detail) }

// fault adds a fault; a cause of the catalogue brings meaning and fix along.
func (d *doctor) fault(cause, title, detail, fix string) {
	if title == "" {
		title = means(cause)
	}
	if fix == "" {
		fix = explain.Finding{Cause: cause}.Fix()
	}
	d.add(step{Section: d.section, State: stateFault, Title: title, Detail: detail, Cause: cause, Fix: fix})
}

func means(cause string) string { return explain.Finding{Cause: cause}.Means() }

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
