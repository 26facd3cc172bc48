package mcpauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// Lists are filtered without it. Who wants mcp-go itself to know what a caller
// may use, for code of its own that asks, gives it one line: Authorize is the
// decision that Wrap enforces.
func ExampleMiddleware_Authorize_toolFilter() {
	var t exampleTB // in a test: t
	defer t.done()
	issuer := mcpauthtest.NewIssuerAt(&t, "https://login.example.com")
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  "https://mcp.example.com/mcp",
		Issuers:   []mcpauth.Issuer{issuer.Config()},
		Transport: issuer.Transport(),
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"query_usage":    mcpauth.Scopes("analytics:data:read"),
			"edit_dashboard": mcpauth.Scopes("dashboard:modify"),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}

	mayCall := func(ctx context.Context, tool mcp.Tool) bool {
		p, _ := mcpauth.FromContext(ctx)
		return auth.Authorize(ctx, p, mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: tool.Name}) == nil
	}
	mcpServer := server.NewMCPServer("dashboards", "1.0.0", server.WithToolFilter(func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
		return slices.DeleteFunc(tools, func(tool mcp.Tool) bool { return !mayCall(ctx, tool) })
	}))
	mcpServer.AddTool(mcp.NewTool("query_usage"), nil)
	mcpServer.AddTool(mcp.NewTool("edit_dashboard"), nil)
	handler := auth.Wrap(server.NewStreamableHTTPServer(mcpServer, server.WithStateLess(true)))

	for _, scope := range []string{"analytics:data:read", "dashboard:modify", "profile"} {
		r := httptest.NewRequest("POST", "https://mcp.example.com/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+issuer.TokenFor("https://mcp.example.com/mcp", scope))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		list := answer.Body.String()
		fmt.Println(scope, strings.Contains(list, "query_usage"), strings.Contains(list, "edit_dashboard"))
	}
	// Output:
	// analytics:data:read true false
	// dashboard:modify false true
	// profile false false
}

// exampleTB lets an example use what is made for tests.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper() {}

func (t *exampleTB) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (*exampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func (t *exampleTB) done() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
