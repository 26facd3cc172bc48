package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
)

// The three ways in which mcp-go serves HTTP.
const (
	stateless = "stateless" // streamable HTTP, every request for itself
	stateful  = "stateful"  // streamable HTTP with sessions, which are bound to who began them
	sse       = "sse"       // HTTP+SSE of 2024-11-05, for old clients
)

// endpoints are the paths that clients of each transport dial.
var endpoints = map[string]string{stateless: "/mcp", stateful: "/mcp", sse: "/sse"}

type settings struct {
	transport, issuer, resource string
	log                         *slog.Logger
}

// newHandler makes the protected server. Only the inner handler differs from
// transport to transport.
func newHandler(s settings) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource,
		Issuers:  []mcpauth.Issuer{{URL: s.issuer}},
		Scopes:   []string{"analytics:data:read"},
		Policy:   policy(),
		Logger:   s.log,

		AllowInsecureLoopback: true, // to try it out; has no effect on public addresses
	})
	if err != nil {
		return nil, err
	}
	switch s.transport {
	case stateless:
		return auth.Wrap(server.NewStreamableHTTPServer(newServer(), server.WithStateLess(true))), nil
	case stateful:
		// mcp-go's own client says goodbye without its token, which is 401: what is
		// kept of sessions must end without a goodbye.
		return auth.Wrap(server.NewStreamableHTTPServer(newServer(), server.WithStateful(true), server.WithSessionIdleTTL(time.Hour))), nil
	case sse:
		// The message endpoint is told to clients as a path: a full URL would
		// have to be the public one.
		return auth.Wrap(server.NewSSEServer(newServer(), server.WithUseFullURLForMessageEndpoint(false))), nil
	}
	return nil, fmt.Errorf("unknown transport %q: use stateless, stateful or sse", s.transport)
}

// policy also decides what a caller finds in tools/list: what it may use, and
// what is Visible so that its client can ask for the scope. With the sse
// transport lists arrive over the stream, and it is the token that opened the
// stream which says what is in them; calls are decided by their own.
func policy() mcpauth.Rules {
	return mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
		"whoami":         mcpauth.Authenticated(),
		"query_usage":    {AllOf: []string{"analytics:data:read"}, Visible: true},
		"edit_dashboard": mcpauth.Scopes("dashboard:modify"),
	}}
}

// newServer is an ordinary server of mcp-go. Nothing in it knows of tokens.
func newServer() *server.MCPServer {
	s := server.NewMCPServer("dashboards", "1.0.0")
	s.AddTool(mcp.NewTool("whoami", mcp.WithDescription("Who the caller is")), whoami)
	s.AddTool(mcp.NewTool("query_usage", mcp.WithDescription("Requests this month")), answer("1,204 requests"))
	s.AddTool(mcp.NewTool("edit_dashboard", mcp.WithDescription("Change the title")), answer("The title has been changed"))
	return s
}

// whoami finds the verified caller in its context, whatever the transport.
func whoami(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return mcp.NewToolResultError("the server is not wrapped"), nil
	}
	return mcp.NewToolResultText(fmt.Sprint(caller.Subject, " with ", caller.Scopes)), nil
}

func answer(text string) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(text), nil
	}
}
