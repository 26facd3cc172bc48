package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/stories/stage"
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
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, stage.Run(t.Context(), play(row.rules), nil, io.Discard, &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}

// TestTrail: one line for each decision, by many at a time and over a restart,
// and nothing in it that a reader of the file could use.
func TestTrail_AUDIT_01_AUDIT_03(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	issuer := mcpauthtest.NewIssuer(t)
	caller := issuer.Principal(mcpauthtest.Claims{"sub": "gina\",\"allowed\":\"true", "roles": []string{"auditor", "canary-role"}, "email": "canary-claim"})
	decision := mcpauth.Decision{Principal: caller, Calls: []mcpauth.Call{
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "view_account", Arguments: []byte(`{"account":"canary-argument"}`)},
	}}
	var first []byte
	for run := 1; run <= 2; run++ {
		trail, err := openTrail(path, policy(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { trail.record(context.Background(), decision) })
		}
		all.Wait()
		require.NoError(t, trail.close())
		entries, err := readTrail(path)
		require.NoError(t, err)
		assert.Len(t, entries, 50*run)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, 50*run, strings.Count(string(content), "\n"))
		assert.True(t, strings.HasPrefix(string(content), string(first)), "what stood there has changed")
		assert.NotContains(t, string(content), "canary")
		first = content
		assert.Equal(t, []ruling{{Method: "tools/call", Name: "view_account", Rule: "view_account requires audit:account:view", Roles: []string{"auditor"}}}, entries[0].Calls)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
