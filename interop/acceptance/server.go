package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
)

// required says which scope each tool needs.
var required = map[string]string{
	"echo":           "mcp:read",
	"query_usage":    "analytics:data:read",
	"edit_dashboard": "dashboard:modify",
	"codegen":        "tool:codegen:execute",
	"debug":          "tool:debug:inspect",
}

// newHandler makes the protected MCP server. Rules lists tools only:
// initialize, ping and tools/list need a valid token and no scope.
func newHandler(s settings, log *slog.Logger) (http.Handler, error) {
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{}}
	for tool, scope := range required {
		// Visible: clients under test see every tool, and learn from the 403 what it needs.
		rules.Tools[tool] = mcpauth.Requirement{AllOf: []string{scope}, Visible: true}
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource,
		Issuers:  []mcpauth.Issuer{{URL: s.issuer}},
		Policy:   rules,
		Scopes:   []string{"mcp:read"},
		Logger:   log,

		AllowInsecureLoopback: true,
	})
	if err != nil {
		return nil, err
	}
	mcpServer := server.NewMCPServer("acceptance", "1.0.0")
	for tool := range required {
		addTool(mcpServer, tool, s.effects, log)
	}
	// Stateless, although sessions would work: a black-box test wants requests
	// that are complete in themselves, whatever was sent before and whichever
	// revision the client speaks.
	return route(s.path, auth.Wrap(server.NewStreamableHTTPServer(mcpServer, server.WithStateLess(true)))), nil
}

// addTool registers a tool that records that it ran before it answers.
func addTool(s *server.MCPServer, name string, recorder *effects, log *slog.Logger) {
	tool := mcp.NewTool(name,
		mcp.WithDescription("Answers with the nonce. Needs the scope "+required[name]+"."),
		mcp.WithString("nonce", mcp.Description("any text, repeated in the answer")))
	s.AddTool(tool, func(ctx context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, ok := mcpauth.FromContext(ctx)
		if !ok {
			return mcp.NewToolResultError("nobody has verified a token"), nil
		}
		nonce := call.GetString("nonce", "")
		if err := recorder.append(effect{Tool: name, Nonce: nonce, Subject: caller.Subject}); err != nil {
			log.Error("cannot record the effect", "tool", name, "error", err)
			return mcp.NewToolResultError("the effect could not be recorded"), nil
		}
		return mcp.NewToolResultText(name + " " + nonce), nil
	})
}
