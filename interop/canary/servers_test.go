//lint:file-ignore SA1019 Servers of the older revisions have what the newest one has given up.

package canary

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// names are those of the entries of each kind, in pages of two. Who has mcp:read may use those
// with open in them; the others are hidden.
var names = []string{"a_open", "b_canary", "c_canary", "d_canary", "e_open", "f_open", "g_open", "h_canary", "i_open", "j_canary"}

const pageSize = 2

func newMCPGo(options ...server.StreamableHTTPOption) http.Handler {
	s := server.NewMCPServer("canary-free", "1", server.WithToolCapabilities(true), server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true), server.WithCompletions(), server.WithTaskCapabilities(true, true, true),
		server.WithPaginationLimit(pageSize), server.WithCacheHints(60_000, mcp.CacheScopePublic))
	tell := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for method, params := range map[string]map[string]any{
			"notifications/resources/updated": {"uri": "db://b_canary"}, "notifications/resources/list_changed": nil,
			"notifications/tasks/status": {"taskId": "task-canary", "statusMessage": "canary"},
		} {
			if err := s.SendNotificationToClient(ctx, method, params); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("told"), nil
	}
	read := func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: r.Params.URI, Text: r.Params.URI}}, nil
	}
	for _, name := range names {
		s.AddTool(mcp.NewTool(name, mcp.WithTaskSupport(mcp.TaskSupportOptional)), tell)
		s.AddPrompt(mcp.NewPrompt(name), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return mcp.NewGetPromptResult(name, nil), nil
		})
		s.AddResource(mcp.NewResource("db://"+name, name), read)
		s.AddResourceTemplate(mcp.NewResourceTemplate("files://"+name+"/{x}", name), read)
	}
	return server.NewStreamableHTTPServer(s, append(options, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))...)
}

func newGoSDK(json bool) http.Handler {
	s := sdk.NewServer(&sdk.Implementation{Name: "canary-free", Version: "1"}, &sdk.ServerOptions{PageSize: pageSize})
	read := func(_ context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: r.Params.URI, Text: r.Params.URI}}}, nil
	}
	for _, name := range names {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "told"}}}, nil
		})
		s.AddPrompt(&sdk.Prompt{Name: name}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
			return &sdk.GetPromptResult{Description: name}, nil
		})
		s.AddResource(&sdk.Resource{URI: "db://" + name, Name: name}, read)
		s.AddResourceTemplate(&sdk.ResourceTemplate{URITemplate: "files://" + name + "/{x}", Name: name}, read)
	}
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: json})
}
