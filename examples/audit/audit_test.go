package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func TestStory(t *testing.T) {
	var stdout, stderr strings.Builder
	require.Zero(t, stage.Run(t.Context(), play(policy()), nil, &stdout, &stderr), stderr.String())
	assert.Empty(t, stderr.String())
	assert.True(t, strings.HasSuffix(stdout.String(), "\nAll 10 steps went as told.\n"))
	assert.NotContains(t, stdout.String(), "eyJ", "a token is printed")
}

// TestStoryFails: the story is told only if the gate does its work.
func TestStoryFails_CLAIM_07(t *testing.T) {
	rules := func(view, create mcpauth.Requirement) mcpauth.Rules {
		return mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"view_account": view, "create_report": create}}
	}
	for name, row := range map[string]struct {
		rules  mcpauth.Rules
		failed string
	}{
		"everything is open":       {rules(mcpauth.Authenticated(), mcpauth.Authenticated()), "step 3 "},
		"a role is taken for one":  {rules(mcpauth.Scopes("auditor"), mcpauth.Scopes(createReport)), "step 5 "},
		"every auditor may report": {rules(mcpauth.Scopes(viewAccount), mcpauth.Scopes(viewAccount)), "step 5 "},
		"nobody may report":        {rules(mcpauth.Scopes(viewAccount), mcpauth.Scopes("audit:nobody")), "step 8 "},
		"a rule of another name": {mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"view_*": mcpauth.Scopes(viewAccount), "create_report": mcpauth.Scopes(createReport)}}, "step 10 "},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, stage.Run(t.Context(), play(row.rules), nil, io.Discard, &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}

// firm is the audit tool behind its gate, with an authorization server that
// issues whatever a test wants.
type firm struct {
	http.Handler
	issuer *mcpauthtest.Issuer
	desk   *desk
	trail  *auditlog.File
	path   string
}

func newFirm(t *testing.T, path string) *firm {
	t.Helper()
	f := &firm{issuer: mcpauthtest.NewIssuer(t), desk: &desk{}, path: path}
	trail, decided, err := openTrail(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = trail.Close() })
	f.trail = trail
	at := stage.Stage{Resource: resource, Issuer: f.issuer.URL(), Log: slog.New(slog.DiscardHandler)}
	f.Handler, err = protect(at, policy(), decided, f.desk)
	require.NoError(t, err)
	return f
}

const resource = "https://audit.example.com/mcp"

// view calls view_account as somebody with these roles, and returns the status.
func (f *firm) view(roles any) int {
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"view_account","arguments":{"account":"canary-argument"}}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+f.issuer.Token(mcpauthtest.Claims{
		"aud": resource, "sub": "gina", "roles": roles, "email": "canary-claim", "exp": time.Now().Add(time.Minute).Unix()}))
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code
}

// TestTrail: a record names the rule and the roles that count, whatever else a
// token says, and what the file holds stays when it is opened again.
func TestTrail_AUDIT_01_AUDIT_03_CLAIM_07(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	const rule = `tools["view_account"]`
	rows := []struct {
		roles  any
		status int
		rule   string
	}{
		{[]string{"auditor"}, 200, rule + ", granted by auditor"},
		{[]string{"clerk", "lead-auditor", "canary-role", "auditor"}, 200, rule + ", granted by lead-auditor and auditor"},
		{[]string{"clerk", "canary-role", "audit:account:view"}, 403, rule},
		{"audit:account:view", 403, rule},
		{map[string]any{"clerk": true}, 403, rule},
		{nil, 403, rule},
	}
	for i, row := range rows {
		f := newFirm(t, path)
		require.Equal(t, row.status, f.view(row.roles))
		require.NoError(t, f.trail.Close())
		records, err := readTrail(path)
		require.NoError(t, err)
		require.Len(t, records, i+1)
		record := records[i]
		require.Len(t, record.Calls, 1)
		assert.Equal(t, row.rule, record.Calls[0].Rule)
		assert.Equal(t, row.status == 200, record.Decision == "allow")
		assert.Equal(t, "gina", record.Subject)
		assert.Equal(t, uint64(i+1), record.Seq, "a record is missing")
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, string(content), "canary")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestNoRecord: what cannot be recorded is not done.
func TestNoRecord_AUDIT_07(t *testing.T) {
	f := newFirm(t, filepath.Join(t.TempDir(), "decisions.jsonl"))
	require.Equal(t, http.StatusOK, f.view([]string{"auditor"}))
	require.Len(t, f.desk.deeds(), 1)
	require.NoError(t, f.trail.Close())
	assert.Equal(t, http.StatusServiceUnavailable, f.view([]string{"auditor"}))
	assert.Equal(t, http.StatusForbidden, f.view(nil))
	assert.Len(t, f.desk.deeds(), 1, "it was done without a record")
}

// TestTrailIsWhole: a file in which something is no record answers no question.
func TestTrailIsWhole(t *testing.T) {
	f := newFirm(t, filepath.Join(t.TempDir(), "decisions.jsonl"))
	f.view([]string{"auditor"})
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"seq":2,"sub":"gi`)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	_, err = readTrail(f.path)
	assert.ErrorIs(t, err, auditlog.ErrTorn)
}
