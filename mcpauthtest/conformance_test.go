package mcpauthtest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

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
	{Name: "count", Scopes: []string{"profile:read"}},
}

// count tells the one who calls it of its progress.
func count(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for i := range 20 {
		if r.Params.Meta != nil {
			_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i})
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return mcp.NewToolResultText("counted"), nil
}

func notes(t *testing.T, issuer *mcpauthtest.Issuer, options ...server.StreamableHTTPOption) http.Handler {
	t.Helper()
	tools := server.NewMCPServer("notes", "1.0.0")
	tools.AddTool(mcp.NewTool("whoami"), whoami)
	tools.AddTool(mcp.NewTool("edit"), whoami)
	tools.AddTool(mcp.NewTool("count"), count)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  resource,
		Issuers:   []mcpauth.Issuer{issuer.Config()},
		Transport: issuer.Transport(),
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"whoami": mcpauth.Scopes("profile:read"), "edit": mcpauth.Scopes("notes:read", "notes:write"), "count": mcpauth.Scopes("profile:read"),
		}},
		Scopes:         []string{"profile:read"},
		AllowedOrigins: []string{"https://app.example.com"},
	})
	require.NoError(t, err)
	return auth.Wrap(server.NewStreamableHTTPServer(tools, options...))
}

// TestConformance: the suite finds nothing in this library, in front of
// servers with and without sessions.
func TestConformance_TOK_43_CHAL_01_PRM_01_ISOL_12(t *testing.T) {
	for name, options := range map[string][]server.StreamableHTTPOption{
		"with sessions": nil, "without sessions": {server.WithStateLess(true)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com/tenant1")
				report := mcpauthtest.Conformance(t, notes(t, issuer, options...), conformance.Target{
					URL: resource, Minter: issuer.Minter(), Tools: harmless, Notifier: "count", Origin: "https://app.example.com",
				})
				for _, result := range report.Results {
					if result.Outcome == conformance.NotRun {
						t.Logf("not run: %s: %s", result.ID, result.Detail)
					}
				}
				assert.Greater(t, report.Passed, 60)
				assert.Zero(t, report.Failed)
				for _, result := range report.Results {
					if result.Group == "isolation" && result.ID != "isolation.resume" { // the server repeats nothing to anybody
						assert.Equal(t, conformance.Pass, result.Outcome, "%s: %s", result.ID, result.Detail)
					}
				}
			})
		})
	}
}
