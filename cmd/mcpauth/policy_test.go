package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPolicyGolden: the table, and what can be found out about it.
func TestPolicyGolden_MCP_44(t *testing.T) {
	issuer := newIssuer(t)
	full := strings.Replace(notesPolicy, `"ad*"`, `"reed": "authenticated", "{x}": ["a"], "ad*"`, 1)
	table := mcpauthCommand(t, "", "policy", "--policy", fileWith(t, strings.Replace(notesPolicy, `, "ad*": {"all": ["admin"], "visible": true}`, "", 1)))
	assert.Equal(t, exitOK, table.code, table.stdout)
	for _, options := range [][]server.StreamableHTTPOption{nil, {server.WithStateLess(true)}} {
		resource := notes(t, issuer.URL(), options...)
		token := issuer.TokenFor(resource, "notes:read", "notes:write")
		lint := mcpauthCommand(t, token, "policy", "--policy", fileWith(t, strings.Replace(full, `"{x}": ["a"], `, `"wr*": {"any": [["c", "d"], ["notes:read"]]}, `, 1)),
			"--live", resource, "--token", "-", "--issuer", issuer.URL(), "--tool", "write", "--scopes", "notes:read")
		assert.Equal(t, exitFindings, lint.code, lint.stderr)
		golden(t, "testdata/policy.golden", table.stdout+"\n---\n\n"+settled(lint.stdout))
	}
	without := mcpauthCommand(t, "", "policy", "--json", "--policy", fileWith(t, `{"rules":{"tools":{"read":["notes:read"]}}}`),
		"--live", notes(t, issuer.URL()), "--token", fileWith(t, issuer.TokenFor("x")))
	assert.Equal(t, exitFindings, without.code)
	assert.Contains(t, without.stderr, "does not list its tools")
}

func TestPolicyMistakes(t *testing.T) {
	got := mcpauthCommand(t, "", "policy", "--json", "--policy", fileWith(t, `{"rules":{"tools":{"a":[],"b":["x y"]}}}`))
	assert.Equal(t, exitFindings, got.code)
	var report policyReport
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	require.Len(t, report.Findings, 2)
	assert.Equal(t, "invalid", report.Findings[0].Code)

	got = mcpauthCommand(t, "", "policy", "--policy", fileWith(t, `{}`), "--live", "http://127.0.0.1:1/")
	assert.Equal(t, exitUnreachable, got.code)
	got = mcpauthCommand(t, "", "policy", "--policy", fileWith(t, `{}`), "--issuer", "http://127.0.0.1:1/")
	assert.Equal(t, exitUnreachable, got.code)
	html := strings.TrimSuffix(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })), "/mcp")
	got = mcpauthCommand(t, "", "policy", "--policy", fileWith(t, `{}`), "--issuer", html)
	assert.Equal(t, exitUnreachable, got.code)
}

// TestPolicyDecisions: each decision is the middleware's own, and the rule named is the one that made it.
func TestPolicyDecisions_MCP_43(t *testing.T) {
	file := fileWith(t, `{"rules":{"tools":{"a":["x"],"ab*":["y"],"abc*":["z"],"*":["any"],"who":"authenticated"}}}`)
	for _, tt := range []struct {
		tool, scopes, rule string
		allowed            bool
	}{
		{"a", "x", "a", true}, {"a", "y", "a", false}, {"abd", "y", "ab*", true}, {"abcde", "z", "abc*", true}, {"abcde", "y", "abc*", false},
		{"ab", "y", "ab*", true}, {"q", "any", "*", true}, {"who", "", "who", true},
	} {
		got := mcpauthCommand(t, "", "policy", "--json", "--policy", file, "--tool", tt.tool, "--scopes", tt.scopes)
		assert.Equal(t, exitOK, got.code, got.stderr)
		var report policyReport
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
		assert.Equal(t, tt.rule, report.Decision.Rule, tt.tool)
		assert.Equal(t, tt.allowed, report.Decision.Allowed, tt.tool)
	}
}
