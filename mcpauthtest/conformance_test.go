package mcpauthtest_test

import (
	"net/http"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// harmless are the tools that the suite may call.
var harmless = []conformance.Tool{
	{Name: "whoami", Scopes: []string{"profile:read"}},
	{Name: "edit", Scopes: []string{"notes:read", "notes:write"}},
}

func notes(t *testing.T, issuer *mcpauthtest.Issuer, options ...server.StreamableHTTPOption) http.Handler {
	t.Helper()
	tools := server.NewMCPServer("notes", "1.0.0")
	tools.AddTool(mcp.NewTool("whoami"), whoami)
	tools.AddTool(mcp.NewTool("edit"), whoami)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  resource,
		Issuers:   []mcpauth.Issuer{issuer.Config()},
		Transport: issuer.Transport(),
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"whoami": mcpauth.Scopes("profile:read"), "edit": mcpauth.Scopes("notes:read", "notes:write"),
		}},
		Scopes:         []string{"profile:read"},
		AllowedOrigins: []string{"https://app.example.com"},
	})
	require.NoError(t, err)
	return auth.Wrap(server.NewStreamableHTTPServer(tools, options...))
}

// TestConformance: the suite finds nothing in this library, in front of
// servers with and without sessions.
func TestConformance_TOK_43_CHAL_01_PRM_01(t *testing.T) {
	for name, options := range map[string][]server.StreamableHTTPOption{
		"with sessions": nil, "without sessions": {server.WithStateLess(true)},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com/tenant1")
			report := mcpauthtest.Conformance(t, notes(t, issuer, options...), conformance.Target{
				URL: resource, Minter: issuer.Minter(), Tools: harmless, Origin: "https://app.example.com",
			})
			for _, result := range report.Results {
				if result.Outcome == conformance.NotRun {
					t.Logf("not run: %s: %s", result.ID, result.Detail)
				}
			}
			assert.Greater(t, report.Passed, 60)
			assert.Zero(t, report.Failed)
		})
	}
}
