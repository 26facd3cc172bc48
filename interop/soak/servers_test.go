package soak

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
)

// firstPolicy and secondPolicy say which scope a tool needs. The tool "unlisted" is there, and in neither.
var (
	firstPolicy  = policy{"echo": "mcp:read", "slow": "mcp:read", "admin": "mcp:admin", "flip": "mcp:read"}
	secondPolicy = policy{"echo": "mcp:read", "slow": "mcp:read", "admin": "mcp:admin", "flip": "mcp:flip"}
)

var toolNames = []string{"echo", "slow", "admin", "flip", "unlisted"}

// said is what a tool answers: which request it serves, and for whom.
func said(tool, number, sub string) string { return fmt.Sprintf("%s %s for %s", tool, number, sub) }

func callerOf(ctx context.Context, p *plants) string {
	if p.on[plantStranger] {
		return "somebody else"
	}
	if p, ok := mcpauth.FromContext(ctx); ok {
		return p.Subject
	}
	return "nobody"
}

const (
	steps = 3
	pause = 50 * time.Millisecond
)

// mcpGoHandler is a server of mcp-go with sessions and tasks, which forgets both.
func mcpGoHandler(p *plants) http.Handler {
	s := server.NewMCPServer("soak", "1", server.WithToolCapabilities(true), server.WithTaskCapabilities(true, true, true))
	for _, name := range toolNames {
		s.AddTool(mcp.NewTool(name, mcp.WithTaskSupport(mcp.TaskSupportOptional)), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if name == "slow" {
				for n := range steps {
					_ = s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": "p", "progress": n})
					time.Sleep(pause)
				}
			}
			return mcp.NewToolResultText(said(name, r.Header.Get(numberHeader), callerOf(ctx, p))), nil
		})
	}
	return server.NewStreamableHTTPServer(s, server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)), server.WithSessionIdleTTL(20*time.Second))
}

// goSDKHandler is a server of the official SDK, without sessions.
func goSDKHandler(p *plants) http.Handler {
	s := sdk.NewServer(&sdk.Implementation{Name: "soak", Version: "1"}, nil)
	s.AddReceivingMiddleware(gosdk.Middleware)
	for _, name := range toolNames {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			if name == "slow" {
				for n := range steps {
					_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: "p", Progress: float64(n)})
					time.Sleep(pause)
				}
			}
			text := said(name, r.Extra.Header.Get(numberHeader), callerOf(ctx, p))
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, nil
		})
	}
	return gosdk.Handler(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true}))
}
