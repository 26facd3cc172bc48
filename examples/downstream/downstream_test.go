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

func TestStory_EXCH_04_EXCH_15_EXCH_18_EXCH_19(t *testing.T) {
	var stdout, stderr strings.Builder
	require.Zero(t, stage.Run(t.Context(), play(policy(), needs()), nil, &stdout, &stderr), stderr.String())
	assert.Empty(t, stderr.String())
	told := stdout.String()
	for _, found := range []string{
		"refused: it is addressed to the MCP server",
		"one page, then: invoice 1, invoice 2\n",
		"no page and no exchange: invoice 1, invoice 2\n",
		"he is told: the user's consent is needed\n",
		`["desk:change" "desk:use" "offline_access"], then: invoice 1, invoice 2, invoice 3` + "\n",
		"bob: 503, and nobody had to sign in again",
		"bob: letter 7\n",
		"then 3 records with the token that it had taken; who asks later is told: onbehalf: records: the request is over\n",
	} {
		assert.Contains(t, told, found)
	}
	assert.True(t, strings.HasSuffix(told, "\nAll 9 steps went as told.\n"))
	assert.NotContains(t, told, "eyJ", "a token is printed")
}

// TestStoryFails: the story is told only if gate and authorization server do their work.
func TestStoryFails_EXCH_19(t *testing.T) {
	for name, row := range map[string]struct {
		rules  mcpauth.Policy
		needs  map[string]string
		failed string
	}{
		"nobody may anything":                   {mcpauth.Rules{}, needs(), "step 3 "},
		"the API gives nothing to these tokens": {policy(), nil, "step 3 "},
		"nothing more is needed for a change":   {policy(), map[string]string{recordsRead: useDesk, recordsWrite: useDesk}, "step 6 "},
		"what is needed is not to be had":       {policy(), map[string]string{recordsRead: useDesk, recordsWrite: "else"}, "step 6 "},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, stage.Run(t.Context(), play(row.rules, row.needs), nil, io.Discard, &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}
