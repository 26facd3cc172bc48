package mcpauthtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// findings is a test that collects what it is told.
type findings struct {
	testing.TB
	errors, logs []string
}

func (f *findings) Helper() {}
func (f *findings) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *findings) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

// TestCovers_RELOAD_12: the third tool of a server has no rule, and the test says so; * is a rule, and is told.
func TestCovers_RELOAD_12(t *testing.T) {
	backend := server.NewMCPServer("notes", "1.0.0")
	for _, name := range []string{"read", "write", "delete"} {
		backend.AddTool(mcp.NewTool(name), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	}
	issuer := mcpauthtest.NewIssuer(t)
	run := func(policy mcpauth.Policy) *findings {
		auth, err := mcpauth.New(mcpauth.Config{
			Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true, Policy: policy})
		require.NoError(t, err)
		f := &findings{TB: t}
		mcpauthtest.CoversHandler(f, auth, server.NewStreamableHTTPServer(backend))
		return f
	}
	rules := map[string]mcpauth.Requirement{"read": mcpauth.Authenticated(), "write": mcpauth.Scopes("a")}
	got := run(mcpauth.Rules{Tools: rules})
	assert.Equal(t, []string{`mcpauth: no token can reach tool "delete": no rule is about it`}, got.errors)
	assert.Empty(t, got.logs)
	rules["*"] = mcpauth.Scopes("b")
	got = run(mcpauth.Rules{Tools: rules})
	assert.Empty(t, got.errors)
	assert.Equal(t, []string{`mcpauthtest: tool "delete" is decided by *`}, got.logs)
	got = run(mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Requirement{}, nil }))
	require.Len(t, got.errors, 1)
	assert.Contains(t, got.errors[0], "the policy is code")
}
