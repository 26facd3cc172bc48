package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
)

// policy says what each tool requires. A tool that is added later and
// forgotten here falls under "*", and its scope is one that nobody has yet.
func policy() mcpauth.Rules {
	return mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{
			"whoami": mcpauth.Authenticated(),
			// Visible: a client sees the tool before its user has consented, and can ask.
			"query_usage":    {AllOf: []string{"analytics:data:read"}, Visible: true},
			"edit_dashboard": {AllOf: []string{"dashboard:modify"}, Visible: true},
			"*":              {AllOf: []string{"tool:{name}:execute"}, Visible: true},
		},
	}
}

// protect is all that an MCP server needs: a configuration, and one wrapper
// around the handler that was there before.
func protect(resource, issuer string, rules mcpauth.Rules, tools *toolbox, log *slog.Logger) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource,
		Issuers:  []mcpauth.Issuer{{URL: issuer}},
		Policy:   rules,
		Scopes:   []string{"analytics:data:read"}, // what a client asks for to begin with
		Logger:   log,

		AllowInsecureLoopback: true, // for this demonstration only
	})
	if err != nil {
		return nil, err
	}
	// Sessions are of no use here: the tools answer and send nothing else. A GET
	// opens a stream that stays silent, so curl waits.
	handler := server.NewStreamableHTTPServer(tools.server(), server.WithStateLess(true))
	return auth.Wrap(handler), nil
}

// toolbox has the tools, and remembers how often each of them ran.
type toolbox struct {
	mu  sync.Mutex
	ran map[string]int
}

func (t *toolbox) server() *server.MCPServer {
	s := server.NewMCPServer("quickstart", "1.0.0")
	t.add(s, "whoami", "Who the caller is", func(p *mcpauth.Principal) string {
		return "You are " + p.Subject + ", and " + p.ClientID + " acts for you."
	})
	t.add(s, "query_usage", "How many requests there were this month", func(*mcpauth.Principal) string {
		return "1,204 requests this month."
	})
	t.add(s, "edit_dashboard", "Change the title of the dashboard", func(p *mcpauth.Principal) string {
		return "The title has been changed by " + p.Subject + "."
	})
	t.add(s, "codegen", "Write code", func(*mcpauth.Principal) string {
		return "func main() {}"
	})
	return s
}

// add registers a tool. Its handler finds the verified caller in ctx; the
// token itself never reaches it.
func (t *toolbox) add(s *server.MCPServer, name, description string, answer func(*mcpauth.Principal) string) {
	tool := mcp.NewTool(name, mcp.WithDescription(description))
	s.AddTool(tool, func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, ok := mcpauth.FromContext(ctx)
		if !ok {
			return mcp.NewToolResultError("this server is not wrapped"), nil
		}
		t.mu.Lock()
		if t.ran == nil {
			t.ran = map[string]int{}
		}
		t.ran[name]++
		t.mu.Unlock()
		return mcp.NewToolResultText(answer(caller)), nil
	})
}

func (t *toolbox) runs(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ran[name]
}
