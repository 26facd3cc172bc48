package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
)

func TestStory(t *testing.T) {
	var stdout, stderr strings.Builder
	require.Zero(t, stage.Run(t.Context(), play(newPolicy()), nil, &stdout, &stderr), stderr.String())
	assert.Empty(t, stderr.String())
	assert.True(t, strings.HasSuffix(stdout.String(), "\nAll 13 steps went as told.\n"))
	assert.NotContains(t, stdout.String(), "eyJ", "a token is printed")
}

// TestStoryFails: the story is told only if the gate does its work.
func TestStoryFails_CLAIM_10(t *testing.T) {
	for name, row := range map[string]struct {
		policy mcpauth.Policy
		failed string
	}{
		"arguments do not count": {newPolicy().rules, "step 5 "},
		"everything is open":     {mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}}, "step 1 "},
		"another scope debugs": {byArguments{mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"*": newPolicy().rules.Tools["*"], "debug": mcpauth.Scopes("tool:debug:all")}}}, "step 10 "},
		"nobody may": {mcpauth.Rules{}, "step 1 "},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, stage.Run(t.Context(), play(row.policy), nil, io.Discard, &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}

// TestPolicy: what nobody has thought of is a deployment to production.
func TestPolicy_CLAIM_10_CLAIM_11(t *testing.T) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy: newPolicy(), Implies: implied,
	})
	require.NoError(t, err)
	prod := executeDeploy + " " + prodDeploy
	for _, row := range []struct {
		tool, arguments string
		needs           string // "" for what only a scope that nobody has would open
	}{
		{"deploy", `{"environment":"dev"}`, executeDeploy},
		{"deploy", `{"environment":"staging"}`, executeDeploy},
		{"deploy", ``, executeDeploy},
		{"deploy", `{"environment":"prod"}`, prod},
		{"deploy", `{"environment":"DEV"}`, prod},
		{"deploy", `{"environment":"dev "}`, prod},
		{"deploy", `{"environment":"d\u0435v"}`, prod}, // a Cyrillic e
		{"deploy", `{"environment":["dev"]}`, prod},
		{"deploy", `{"environment":null}`, prod},
		{"deploy", `{"Environment":"dev"}`, prod},
		{"deploy", `{"environment":"prod","Environment":"dev"}`, prod},
		{"deploy", `{}`, prod},
		{"deploy", `null`, prod},
		{"Deploy", `{"environment":"dev"}`, "tool:Deploy:execute"},
		{"generate", `{"environment":"prod"}`, executeGenerate},
		{"debug", ``, inspectDebug},
		{"refactor", ``, "tool:refactor:execute"},
	} {
		t.Run(row.tool+row.arguments, func(t *testing.T) {
			call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: row.tool}
			if row.arguments != "" {
				call.Arguments = json.RawMessage(row.arguments)
			}
			may := func(scopes ...string) error {
				return auth.Authorize(t.Context(), &mcpauth.Principal{Subject: "u", Scopes: scopes}, call)
			}
			needs := strings.Fields(row.needs)
			assert.NoError(t, may(needs...))
			var denied *mcpauth.DeniedError
			require.ErrorAs(t, may(needs[:len(needs)-1]...), &denied)
			assert.Equal(t, needs, denied.Scopes, "the challenge names what is needed, and never the star")
			_, known := map[string]bool{"deploy": true, "generate": true, "debug": true}[row.tool]
			assert.Equal(t, known, may(everyTool) == nil, "the star includes what is listed and nothing else")
			assert.Error(t, may("*", "tool:", "TOOL:*"))
		})
	}
}
