package main

import (
	"context"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
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
	auth    *mcpauth.Middleware
	keyErr  string // why the key set cannot be fetched now
	broken  int    // issuers without metadata
}

func (d *doctor) examine(ctx context.Context) *findings {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	d.findings.Resource = d.resource
	d.live = newLive(d.resource)
	d.section = "as a client"
	reachable := d.asClient(ctx)
	d.file.withIssuers(d.issuers)
	if len(d.file.Issuers) == 0 {
		d.file.withIssuers(d.servers)
	}
	d.section = "authorization server"
	for _, i := range d.file.Issuers {
		d.walkIssuer(ctx, i)
	}
	d.section = "as the resource server"
	d.asServer(ctx)
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
	known := explain.Finding{Cause: cause}
	if title == "" {
		title = known.Means()
	}
	if fix == "" {
		fix = known.Fix()
	}
	d.add(step{Section: d.section, State: stateFault, Title: title, Detail: detail, Cause: cause, Fix: fix})
}

// found adds a fault that internal/explain has diagnosed.
func (d *doctor) found(about string, f explain.Finding) {
	title := f.Means()
	if about != "" {
		title = about + ": " + title
	}
	d.fault(f.Cause, title, f.Detail, "")
}

// asServer builds the very middleware that the operator's program has, and lets
// it fetch keys.
func (d *doctor) asServer(ctx context.Context) {
	if len(d.file.Issuers) == 0 {
		d.step(stateSkipped, "no issuer is known", "give --issuer, a file with issuers, or a server whose metadata names them")
		return
	}
	if d.file.Resource == "" {
		d.file.Resource = d.resource
	}
	auth, err := mcpauth.New(d.file.config(d.file.Resource))
	if err != nil {
		for _, one := range unjoin(err) {
			d.fault("configuration", "the configuration is refused", strings.TrimPrefix(one.Error(), "mcpauth: "), "")
		}
		return
	}
	d.auth = auth
	d.ok("the configuration is complete", "tokens must carry "+d.file.Resource+" in aud: this is the string to register at the authorization server")
	if d.broken == len(d.file.Issuers) {
		d.step(stateSkipped, "keys are not fetched: their place is not known", "")
		return
	}
	_ = auth.Warm(ctx) // the status says more
	for _, status := range auth.Issuers() {
		if !status.Ready {
			d.step(stateNote, "no keys of "+status.URL, status.LastError)
			continue
		}
		d.ok("keys of "+status.URL, strings.Join(status.Keys, ", "))
		for _, skipped := range status.Skipped {
			d.step(stateNote, "a key cannot be used", skipped)
		}
	}
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
