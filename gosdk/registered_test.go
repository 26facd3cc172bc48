package gosdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/registered"
)

// TestRegistered_RELOAD_12: all pages of all lists, in memory and by the handler alike.
func TestRegistered_RELOAD_12(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, &mcp.ServerOptions{PageSize: 2})
	server.AddReceivingMiddleware(gosdk.Middleware)
	var want mcpauth.Registered
	for i := range 5 {
		name := fmt.Sprintf("tool-%d", i)
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		})
		want.Tools = append(want.Tools, name)
	}
	for i := range 3 {
		name := fmt.Sprintf("prompt-%d", i)
		server.AddPrompt(&mcp.Prompt{Name: name}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
		want.Prompts = append(want.Prompts, name)
	}
	read := func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) { return nil, nil }
	for i := range 3 {
		uri := fmt.Sprintf("db://%d", i)
		server.AddResource(&mcp.Resource{URI: uri, Name: uri}, read)
		want.Resources = append(want.Resources, uri)
	}
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "db://{table}", Name: "table"}, read)
	want.Templates = []string{"db://{table}"}

	got, err := gosdk.Registered(t.Context(), server)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	for _, stateless := range []bool{true, false} {
		got, err = registered.By(t.Context(), mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	got, err = gosdk.Registered(t.Context(), mcp.NewServer(&mcp.Implementation{Name: "bare", Version: "1"}, nil))
	require.NoError(t, err)
	assert.Empty(t, got)

	broken := errors.New("no list today")
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
			if method == "prompts/list" {
				return nil, broken
			}
			return next(ctx, method, r)
		}
	})
	_, err = gosdk.Registered(t.Context(), server)
	assert.ErrorContains(t, err, "no list today")
}
