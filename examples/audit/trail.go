package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// trail is a file to which one line of JSON is appended for each decision. It
// is opened for appending only: what stands there is never changed.
type trail struct {
	rules mcpauth.Rules
	log   *slog.Logger

	mu   sync.Mutex
	file *os.File
}

// entry answers who was allowed what, when, and by which rule. It holds no
// token and no arguments, and of the claims only who, and the roles that counted.
type entry struct {
	Time    time.Time `json:"time"`
	Allowed bool      `json:"allowed"`
	Status  int       `json:"status,omitempty"` // of a refusal
	Reason  string    `json:"reason,omitempty"` // of a refusal

	Issuer  string `json:"issuer,omitempty"` // these three only from a verified token
	Subject string `json:"subject,omitempty"`
	Client  string `json:"client,omitempty"`

	Calls []ruling `json:"calls,omitempty"`
}

// ruling is a call, the rule that was applied to it, and which of the caller's
// roles grant what the rule requires.
type ruling struct {
	Method string   `json:"method"`
	Name   string   `json:"name,omitempty"`
	Rule   string   `json:"rule,omitempty"`
	Roles  []string `json:"roles,omitempty"`
}

func openTrail(path string, rules mcpauth.Rules, log *slog.Logger) (*trail, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &trail{rules: rules, log: log, file: file}, nil
}

// record goes into mcpauth.Config.OnDecision. A request is not served before
// its line is written.
func (t *trail) record(ctx context.Context, d mcpauth.Decision) {
	line, err := json.Marshal(t.entry(ctx, d))
	if err == nil {
		t.mu.Lock()
		_, err = t.file.Write(append(line, '\n')) // one write, so that no line is torn by another
		t.mu.Unlock()
	}
	if err != nil {
		t.log.Error("a decision could not be recorded", "error", err)
	}
}

func (t *trail) entry(ctx context.Context, d mcpauth.Decision) entry {
	e := entry{Time: time.Now().UTC(), Allowed: d.Err == nil}
	if d.Err != nil {
		var reason mcpauth.Reason
		_ = errors.As(d.Err, &reason)
		e.Status, e.Reason = d.Err.Status, reason.Error()
	}
	var roles []string
	if p := d.Principal; p != nil {
		e.Issuer, e.Subject, e.Client = p.Issuer, p.Subject, p.ClientID
		var claims struct{ Roles []string }
		_ = p.Claims(&claims) // no roles, if it is something else
		roles = claims.Roles
	}
	for _, call := range d.Calls {
		r := ruling{Method: call.Method, Name: call.Name}
		if requirement, err := t.rules.Require(ctx, call); err == nil && call.Kind == mcpauth.KindTool {
			r.Rule = fmt.Sprintf("%s requires %s", call.Name, requirement)
			for _, role := range roles {
				if slices.ContainsFunc(requirement.AllOf, func(scope string) bool { return slices.Contains(roleScopes[role], scope) }) {
					r.Roles = append(r.Roles, role)
				}
			}
		}
		e.Calls = append(e.Calls, r)
	}
	return e
}

func (t *trail) close() error { return t.file.Close() }

// readTrail returns all entries, oldest first.
func readTrail(path string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var entries []entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}
