package main

import (
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestCoverage_RELOAD_12: each tool of the server has a rule, and each rule a tool.
func TestCoverage_RELOAD_12(t *testing.T) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}}, Policy: policy()})
	require.NoError(t, err)
	coverage := mcpauthtest.CoversHandler(t, auth, server.NewStreamableHTTPServer(newServer()))
	assert.NotEmpty(t, coverage.Entries)
}
