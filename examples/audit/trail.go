package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
)

// openTrail opens the file to which a record of each decision is appended, and
// returns what goes into [mcpauth.Config].OnDecision. SyncEvery stays 0 and there
// is no queue: a record is on the disk before its request is served, and a request
// whose record cannot be kept is not served.
func openTrail(path string) (*auditlog.File, func(context.Context, mcpauth.Decision), error) {
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: path})
	if err != nil {
		return nil, nil, err
	}
	audit, err := auditlog.New(file, auditlog.Options{FailClosed: true})
	return file, func(ctx context.Context, d mcpauth.Decision) {
		d.Rulings = withRoles(d)
		audit.OnDecision(ctx, d)
	}, err
}

// withRoles adds to each rule the roles of the caller that grant a scope that
// it requires. Records hold no claims, and who asks the file in a year cannot ask
// the directory which roles somebody had then.
func withRoles(d mcpauth.Decision) []mcpauth.Ruling {
	var claims struct{ Roles []string }
	if d.Principal != nil {
		_ = d.Principal.Claims(&claims) // the firm's authorization server writes an array
	}
	rulings := slices.Clone(d.Rulings)
	for i, r := range rulings {
		var granting []string
		for _, role := range claims.Roles {
			if slices.ContainsFunc(r.Required, func(scope string) bool { return slices.Contains(roleScopes[role], scope) }) {
				granting = append(granting, role)
			}
		}
		if granting != nil {
			rulings[i].Rule += ", granted by " + strings.Join(granting, " and ")
		}
	}
	return rulings
}

// readTrail returns all records, oldest first.
func readTrail(path string) (records []auditlog.Record, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for record, err := range auditlog.Read(file) {
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// describe tells a record as a sentence; "" for what is not about a tool.
func describe(r auditlog.Record) string {
	if len(r.Calls) != 1 || r.Calls[0].Kind != string(mcpauth.KindTool) {
		return ""
	}
	call := r.Calls[0]
	if r.Decision != "allow" {
		return fmt.Sprintf("%s was refused %s: %s, by %s, without %s", r.Subject, call.Name, r.Reason, call.Rule, strings.Join(call.Missing, " "))
	}
	return fmt.Sprintf("%s was allowed %s by %s", r.Subject, call.Name, call.Rule)
}
