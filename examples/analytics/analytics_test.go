package main

import (
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
	require.Zero(t, stage.Run(t.Context(), play(policy()), nil, &stdout, &stderr), stderr.String())
	assert.Empty(t, stderr.String())
	assert.True(t, strings.HasSuffix(stdout.String(), "\nAll 11 steps went as told.\n"))
	assert.NotContains(t, stdout.String(), "eyJ", "a token is printed")
}

// TestStoryFails: the story is told only if the gate does its work.
func TestStoryFails_CLAIM_09(t *testing.T) {
	rules := func(readUsageLog, editView mcpauth.Requirement) mcpauth.Rules {
		return mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read_usage_log": readUsageLog, "edit_view": editView}}
	}
	for name, row := range map[string]struct {
		policy mcpauth.Rules
		failed string
	}{
		"everything is open":   {rules(mcpauth.Authenticated(), mcpauth.Authenticated()), "step 3 "},
		"one scope opens both": {rules(mcpauth.AnyScope(readUsage, modifyDashboard), mcpauth.Scopes(modifyDashboard)), "step 9 "},
		"scopes exchanged":     {rules(mcpauth.Scopes(modifyDashboard), mcpauth.Scopes(readUsage)), "step 2 "},
		"another case":         {rules(mcpauth.Scopes("Analytics:Data:Read"), mcpauth.Scopes(modifyDashboard)), "step 2 "},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, stage.Run(t.Context(), play(row.policy), nil, io.Discard, &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}
