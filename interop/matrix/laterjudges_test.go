package matrix

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// ledger is a list of tokens that were revoked, by their ids.
type ledger struct {
	mu            sync.Mutex
	seen, revoked []string
}

func (l *ledger) ask(_ context.Context, p *mcpauth.Principal) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, p.TokenID)
	return slices.Contains(l.revoked, p.TokenID), nil
}

// revoke revokes what was seen so far.
func (l *ledger) revoke(context.Context, string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked = slices.Clone(l.seen)
	return nil
}

// TestLaterJudges is [TestJudges] for what happens to a client that is connected.
func TestLaterJudges(t *testing.T) {
	server := authservers.StartZitadel(t)
	var list ledger
	server.Rotate = func(context.Context) error { return nil }
	server.Revoke, server.Revoked = list.revoke, list.ask
	run := func(person string, deny bool, steps ...string) evidence {
		guarded := protected.Start(t, protected.Listen(t),
			protected.Options{Backend: protected.MCPGo, Issuer: server.Issuer, Revoked: server.Revoked})
		server.Record.Take()
		browser := authservers.NewBrowser(person, deny)
		browser.Later = deny
		reports := goSDK(t).run(t, job{url: guarded.URL, clientID: server.ClientID, browser: browser, steps: steps,
			operator: operator(server, person)})
		return evidence{server: server, guarded: guarded, reports: reports, as: server.Record.Take(), rs: guarded.Record.Take()}
	}
	unasked := run(authservers.Ann, false, "connect", "call:echo")
	denied := run(authservers.Ann, true, "connect", "call:echo", "call:admin", "call:echo")
	cut := run(authservers.Ann, false, "connect", "call:echo", "operator:revoke", "call:echo")
	same := run(authservers.Lee, false, "connect", "call:echo", "operator:rotate", "call:echo")
	turned := same
	turned.rs = slices.Clone(same.rs)
	for i, x := range slices.Backward(turned.rs) {
		if x.Bearer && x.Status == http.StatusOK {
			turned.rs[i].Key = "another"
			break
		}
	}
	narrows := *server
	narrows.Narrows = true
	narrowed := denied
	narrowed.server, narrowed.as = &narrows, append(slices.Clone(denied.as), exchange{Path: server.Token, Status: http.StatusOK,
		Params: url.Values{"grant_type": {"authorization_code"}}, Granted: "mcp:read"})
	clearRefusals(narrowed.as)
	narrowed.reports = replaced(denied.reports, "call:admin", report{Text: "insufficient scope"})
	blind := *server
	blind.Rotate, blind.Revoked = nil, nil

	for _, row := range []struct {
		name  string
		judge judge
		good  evidence
		spoil func(*evidence)
	}{
		{"nobody was asked", refusedUp, denied, func(e *evidence) { e.as = unasked.as }},
		{"nobody refused", refusedUp, denied, func(e *evidence) { e.as = slices.Clone(e.as); clearRefusals(e.as) }},
		{"the call went on", refusedUp, denied, func(e *evidence) { e.reports = replaced(e.reports, "call:admin", report{OK: true}) }},
		{"nothing is told", refusedUp, denied, func(e *evidence) { e.reports = replaced(e.reports, "call:admin", report{Text: "failed"}) }},
		{"nothing runs any more", refusedUp, denied, func(e *evidence) { e.guarded = unasked.guarded }},
		{"all was granted", refusedUp, narrowed, func(e *evidence) {
			e.as = slices.Clone(e.as)
			e.as[len(e.as)-1].Granted = "mcp:read mcp:admin"
		}},
		{"the answer names no scope", refusedUp, narrowed, func(e *evidence) {
			e.as = slices.Clone(e.as)
			e.as[len(e.as)-1].Granted = ""
		}},
		{"a grant of less is told by nobody", refusedUp, narrowed, func(e *evidence) { e.reports = replaced(e.reports, "call:admin", report{Text: "Unauthorized"}) }},
		{"a grant of less elsewhere", refusedUp, narrowed, func(e *evidence) { e.server = server }},
		{"one key", rotated, turned, func(e *evidence) { e.rs = same.rs }},
		{"no refresh token", rotated, turned, func(e *evidence) { e.as = unasked.as }},
		{"the call fails after the rotation", rotated, turned, func(e *evidence) { e.reports = e.reports[:2] }},
		{"keys that are fixed", rotated, turned, func(e *evidence) { e.server = &blind }},
		{"no refusal", revoked, cut, func(e *evidence) {
			e.rs = slices.DeleteFunc(slices.Clone(e.rs), func(x exchange) bool { return x.Bearer && x.Status == http.StatusUnauthorized })
		}},
		{"a tool for the old token", revoked, cut, func(e *evidence) { e.as = unasked.as }},
		{"the client gives up", revoked, cut, func(e *evidence) { e.reports = e.reports[:3] }},
		{"nobody is told", revoked, cut, func(e *evidence) { e.server = &blind }},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, problem := row.judge(row.good)
			assert.Empty(t, problem, "the good run")
			bad := row.good
			row.spoil(&bad)
			_, problem = row.judge(bad)
			assert.NotEmpty(t, problem)
		})
	}
}

func clearRefusals(all []exchange) {
	for i := range all {
		all[i].Refusal = ""
	}
}

// replaced is the reports with that of one step changed.
func replaced(reports []report, step string, by report) []report {
	reports = slices.Clone(reports)
	for i := range reports {
		if reports[i].Step == step {
			by.Step = step
			reports[i] = by
		}
	}
	return reports
}
