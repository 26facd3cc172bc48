package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
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
	bare := mcpauthCommand(t, "", "policy", "--policy", fileWith(t, `{"rules":{"tools":{"read":["notes:read"]}}}`), "--live", notes(t, issuer.URL()))
	assert.Equal(t, exitFindings, bare.code)
	assert.Contains(t, bare.stderr, "give one that may see all tools with --token FILE")
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

// TestPolicyExplains_RELOAD_12: what has no rule is told with the reason, what the library doubts about scopes as warnings, and a mistake with its
// place.
func TestPolicyExplains_RELOAD_12(t *testing.T) {
	open := server.NewMCPServer("notes", "1.0.0")
	for _, name := range []string{"read", "a b"} {
		open.AddTool(mcp.NewTool(name), textTool)
	}
	handler := server.NewStreamableHTTPServer(open)
	t.Cleanup(func() { handler.CloseSessions(context.Background()) })
	run := func(file string, args ...string) (code int, found []string) {
		got := mcpauthCommand(t, "", append([]string{"policy", "--json", "--policy", fileWith(t, file)}, args...)...)
		var report policyReport
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report), got.stderr)
		for _, f := range report.Findings {
			found = append(found, f.Code+": "+f.Detail)
		}
		return got.code, found
	}
	live := serve(t, handler)
	code, found := run(`{"rules":{"tools":{"reed":["notes:read"]}}}`, "--live", live)
	assert.Equal(t, exitFindings, code)
	assert.Equal(t, []string{
		"tool-without-rule: a b is listed by the server and every call of it is refused: no rule is about it",
		`tool-without-rule: read is listed by the server and every call of it is refused: no rule is about it, but one nearly is: tools["reed"]`,
		"rule-without-tool: the rule reed is about no tool that the server lists",
	}, found)
	code, found = run(`{"rules":{"tools":{"read":["notes:read"],"a b":["notes:reed"]}},"scopes":["other"]}`, "--live", live)
	assert.Equal(t, exitOK, code)
	assert.Equal(t, []string{
		"scope-unused: no rule needs a scope that every client is told to ask for: other",
		"scope-alike: two scopes differ by one letter: notes:read notes:reed",
	}, found)
	code, found = run("{\"rules\":{\"tools\":{\n\"read\":[]}}}")
	assert.Equal(t, exitFindings, code)
	require.Len(t, found, 1)
	assert.Contains(t, found[0], `file:2:1: rules.tools["read"]: "nobody": an empty requirement`)
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

// TestPolicyWithoutSecret_OBS_13: rules are looked at wherever the file is, and nobody is asked about tokens.
func TestPolicyWithoutSecret_OBS_13(t *testing.T) {
	file := fileWith(t, `{"issuers":[{"url":"https://login.example.com","introspect":{"client":{"id":"c","secret":{"env":"MCPAUTH_TEST_UNSET"}}}}],"rules":{"tools":{"a":["x"]}}}`)
	got := mcpauthCommand(t, "", "policy", "--policy", file)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, "no findings")
}

// TestPolicyAnnounced: scopes_supported need not be complete, so what it lacks is a
// warning, once for each scope, and none where somebody's token has it.
func TestPolicyAnnounced_OBS_13(t *testing.T) {
	issuer := newIssuer(t)
	issuer.PublishMetadata(func(m map[string]any) { m["scopes_supported"] = []string{"openid"} })
	resource := notes(t, issuer.URL())
	var rules, scopes []string
	for _, scope := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		rules = append(rules, `"one_`+scope+`":["`+scope+`"],"two_`+scope+`":["`+scope+`","a"]`)
		scopes = append(scopes, scope)
	}
	policy := fileWith(t, `{"resource":"`+resource+`","rules":{"tools":{`+strings.Join(rules, ",")+`}}}`)
	for _, tt := range []struct {
		name     string
		token    []string
		warnings int
	}{{"no token", nil, 8}, {"a token with all", scopes, 0}, {"a token with some", scopes[:3], 5}} {
		args, stdin := []string{"policy", "--json", "--policy", policy, "--issuer", issuer.URL()}, ""
		if tt.token != nil {
			args, stdin = append(args, "--token", "-"), issuer.TokenFor(resource, tt.token...)
		}
		got := mcpauthCommand(t, stdin, args...)
		assert.Equal(t, exitOK, got.code, tt.name)
		var report policyReport
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
		assert.Len(t, report.Findings, tt.warnings, tt.name)
		for _, finding := range report.Findings {
			assert.True(t, finding.Warning)
			assert.Equal(t, "scope-not-announced", finding.Code)
		}
	}
}

// TestPolicyLiveKinds: prompts and resources are compared with the rules as tools are.
func TestPolicyLiveKinds_OBS_13(t *testing.T) {
	backend := server.NewMCPServer("notes", "1.0.0")
	backend.AddTool(mcp.NewTool("read"), textTool)
	for _, name := range []string{"review", "sum_up"} {
		backend.AddPrompt(mcp.NewPrompt(name), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{}, nil
		})
	}
	read := func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) { return nil, nil }
	for _, uri := range []string{"db://one", "log://two"} {
		backend.AddResource(mcp.NewResource(uri, uri), read)
	}
	for _, uri := range []string{"db://{table}", "file:///{name}"} {
		backend.AddResourceTemplate(mcp.NewResourceTemplate(uri, uri), server.ResourceTemplateHandlerFunc(read))
	}
	handler := server.NewStreamableHTTPServer(backend)
	t.Cleanup(func() { handler.CloseSessions(context.Background()) })
	open := serve(t, handler)
	got := mcpauthCommand(t, "", "policy", "--json", "--live", open, "--policy", fileWith(t, `{"rules":{
		"tools":{"read":"authenticated"},"prompts":{"review":["a"],"sum-up":["a"]},"resources":{"db://one":["a"],"db://{table}":["a"],"mail://*":["a"]}}}`))
	assert.Equal(t, exitFindings, got.code, got.stderr)
	var report policyReport
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	var found []string
	for _, finding := range report.Findings {
		found = append(found, finding.Code+" "+strings.Fields(strings.TrimPrefix(finding.Detail, "the rule "))[0])
	}
	assert.ElementsMatch(t, []string{
		"prompt-without-rule sum_up", "rule-without-prompt sum-up",
		"resource-without-rule log://two", "resource-without-rule file:///{name}", "rule-without-resource mail://*",
	}, found)
}
