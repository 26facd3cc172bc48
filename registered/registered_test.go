package registered_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/registered"
)

// TestMCPGo_RELOAD_12: a server of mcp-go is asked for all pages, with sessions and without.
func TestMCPGo_RELOAD_12(t *testing.T) {
	backend := server.NewMCPServer("notes", "1.0.0", server.WithPaginationLimit(2))
	var want mcpauth.Registered
	for i := range 5 {
		name := fmt.Sprintf("tool-%d", i)
		backend.AddTool(mcp.NewTool(name), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
		want.Tools = append(want.Tools, name)
	}
	for i := range 3 {
		name := fmt.Sprintf("prompt-%d", i)
		backend.AddPrompt(mcp.NewPrompt(name), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
		want.Prompts = append(want.Prompts, name)
	}
	read := func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) { return nil, nil }
	backend.AddResource(mcp.NewResource("db://one", "one"), read)
	backend.AddResourceTemplate(mcp.NewResourceTemplate("db://{table}", "table"), server.ResourceTemplateHandlerFunc(read))
	want.Resources, want.Templates = []string{"db://one"}, []string{"db://{table}"}
	for _, options := range [][]server.StreamableHTTPOption{nil, {server.WithStateLess(true)}, {server.WithStateful(true)}} {
		handler := server.NewStreamableHTTPServer(backend, options...)
		got, err := registered.By(t.Context(), handler)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		handler.CloseSessions(context.Background())
	}
	bare := server.NewStreamableHTTPServer(server.NewMCPServer("bare", "1.0.0"))
	got, err := registered.By(t.Context(), bare)
	require.NoError(t, err)
	assert.Equal(t, mcpauth.Registered{}, got, "a list that the server does not have is empty")
}

// TestOthers_RELOAD_12: servers that speak the newest revision alone, answer in streams, or not at all.
func TestOthers_RELOAD_12(t *testing.T) {
	answers := func(list func(body string) string, stream bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			content, _ := io.ReadAll(r.Body)
			body := string(content)
			if !strings.Contains(body, `"tools/list"`) || r.Header.Get("Mcp-Method") != "tools/list" || r.Header.Get("MCP-Protocol-Version") != "2026-07-28" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method not found"}}`)
				return
			}
			if stream {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\nevent: message\ndata: "+list(body)+"\n\n")
				return
			}
			_, _ = io.WriteString(w, list(body))
		}
	}
	page := func(tools, next string) string {
		return `{"jsonrpc":"2.0","id":2,"result":{"tools":[` + tools + `]` + next + `}}`
	}
	two := func(body string) string {
		if strings.Contains(body, `"cursor":"p2"`) {
			return page(`{"name":"b"}`, "")
		}
		return page(`{"name":"a"}`, `,"nextCursor":"p2"`)
	}
	for name, tt := range map[string]struct {
		handler http.Handler
		want    string // of the error
	}{
		"modern":        {answers(two, false), ""},
		"in streams":    {answers(two, true), ""},
		"a page twice":  {answers(func(string) string { return page("", `,"nextCursor":"p"`) }, false), "tools/list: a page follows itself"},
		"no list":       {answers(func(string) string { return `{"jsonrpc":"2.0","id":2,"result":{}}` }, false), "tools/list"},
		"no name":       {answers(func(string) string { return page(`{"name":5}`, "") }, false), "tools/list"},
		"another error": {answers(func(string) string { return `{"jsonrpc":"2.0","id":2,"error":{"code":-1}}` }, false), "does not answer"},
		"a web page":    {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), "does not answer"},
		"refuses":       {http.NotFoundHandler(), "does not answer"},
		"ends":          {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "registered"},
	} {
		got, err := registered.By(t.Context(), tt.handler)
		if tt.want != "" {
			assert.ErrorContains(t, err, tt.want, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, mcpauth.Registered{Tools: []string{"a", "b"}}, got, name)
	}
}
