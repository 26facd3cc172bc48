package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
)

// The firm's permissions.
const (
	viewAccount  = "audit:account:view"
	createReport = "audit:report:create"
)

// roleScopes says what the firm's roles grant here. Other roles of a token grant nothing.
var roleScopes = map[string][]string{
	"auditor":      {viewAccount},
	"lead-auditor": {viewAccount, createReport},
}

func policy() mcpauth.Rules {
	return mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
		"view_account":  mcpauth.Scopes(viewAccount),
		"create_report": mcpauth.Scopes(createReport),
	}}
}

// protect is the audit tool's MCP server with its gate.
func protect(at stage.Stage, rules mcpauth.Rules, decided func(context.Context, mcpauth.Decision), d *desk) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: at.Resource,
		Issuers: []mcpauth.Issuer{{
			URL:          at.Issuer,
			AllowPrivate: true, // the authorization server stands in the house
			MaxLifetime:  10 * time.Minute,
			Claims:       mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: roleScopes},
		}},
		Policy:     rules,
		OnDecision: decided,
		Logger:     at.Log,

		AllowInsecureLoopback: true, // for this story only
	})
	if err != nil {
		return nil, err
	}
	return auth.Wrap(server.NewStreamableHTTPServer(d.server(), server.WithStateLess(true))), nil
}

// desk has the tools, and remembers what they did.
type desk struct {
	mu   sync.Mutex
	done []string
}

func (d *desk) server() *server.MCPServer {
	s := server.NewMCPServer("audit", "1.0.0")
	s.AddTool(mcp.NewTool("view_account", mcp.WithDescription("Movements of an account")), d.does("viewed an account"))
	s.AddTool(mcp.NewTool("create_report", mcp.WithDescription("Write a report")), d.does("created a report"))
	return s
}

func (d *desk) does(what string) server.ToolHandlerFunc {
	return func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, ok := mcpauth.FromContext(ctx)
		if !ok {
			return mcp.NewToolResultError("the server is not wrapped"), nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.done = append(d.done, caller.Subject+" "+what)
		return mcp.NewToolResultText(caller.Subject + " " + what), nil
	}
}

func (d *desk) deeds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.done)
}
