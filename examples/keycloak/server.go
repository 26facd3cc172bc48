package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
)

// The client scopes of realm.json. Each has an audience mapper for the endpoint.
const (
	readUsage       = "analytics:data:read"
	modifyDashboard = "dashboard:modify"
)

// protect is the platform's MCP server with its gate.
func protect(at stage.Stage, p *platform) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: at.Resource,
		Issuers:  []mcpauth.Issuer{{URL: at.Issuer}},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			// Visible: a tool finds out what there is before its user has consented to it.
			"read_usage_log": {AllOf: []string{readUsage}, Visible: true},
			"edit_view":      {AllOf: []string{modifyDashboard}, Visible: true},
		}},
		Scopes: []string{readUsage}, // what a tool asks for to begin with
		Logger: at.Log,

		AllowInsecureLoopback: true, // for this story only
	})
	if err != nil {
		return nil, err
	}
	return auth.Wrap(server.NewStreamableHTTPServer(p.server(), server.WithStateLess(true))), nil
}

// platform has the tools, and counts how often each of them ran.
type platform struct {
	mu  sync.Mutex
	ran map[string]int
}

func (p *platform) server() *server.MCPServer {
	s := server.NewMCPServer("analytics", "1.0.0")
	s.AddTool(mcp.NewTool("read_usage_log", mcp.WithDescription("Who used what")), p.answer("read_usage_log", "1,204 requests, seen by "))
	s.AddTool(mcp.NewTool("edit_view", mcp.WithDescription("Change a view of the dashboard")), p.answer("edit_view", "the view has been changed by "))
	return s
}

// answer is a tool that does its work in the name of its caller.
func (p *platform) answer(name, text string) server.ToolHandlerFunc {
	return func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, ok := mcpauth.FromContext(ctx)
		if !ok {
			return mcp.NewToolResultError("the server is not wrapped"), nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ran == nil {
			p.ran = map[string]int{}
		}
		p.ran[name]++
		return mcp.NewToolResultText(text + caller.Subject), nil
	}
}

func (p *platform) runs(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ran[name]
}
