package browser

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// world is an MCP server behind mcpauth and the authorization server that it
// trusts.
type world struct {
	resource string

	mu    sync.Mutex
	calls []string // what ran, and for whom
}

// newWorld starts both. Reading notes needs one scope, which clients are told
// to begin with; writing needs another.
func newWorld(t *testing.T) *world {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	w := &world{resource: "http://" + front.Listener.Addr().String() + "/mcp"}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: w.resource,
		Issuers:  []mcpauth.Issuer{{URL: startAS(t, w.resource)}},
		Scopes:   []string{"notes:read"},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"read_notes":  mcpauth.Scopes("notes:read"),
			"write_notes": {AllOf: []string{"notes:write"}, Visible: true},
		}},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),

		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)

	notes := server.NewMCPServer("notes", "1.0.0")
	for _, name := range []string{"read_notes", "write_notes"} {
		notes.AddTool(mcp.NewTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			caller, ok := mcpauth.FromContext(ctx)
			if !ok {
				return mcp.NewToolResultError("nobody has verified a token"), nil
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.calls = append(w.calls, name+" for "+caller.Subject)
			return mcp.NewToolResultText(name + " for " + caller.Subject), nil
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/", auth.Wrap(server.NewStreamableHTTPServer(notes)))
	front.Config.Handler = mux
	front.Start()
	t.Cleanup(front.CloseClientConnections)
	t.Cleanup(front.Close)
	return w
}

func (w *world) ran() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// startAS runs the authorization server and returns its issuer.
func startAS(t *testing.T, resource string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, node(t), "as.mjs", resource)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	var complaints strings.Builder
	command.Stderr = &complaints
	require.NoError(t, command.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	t.Cleanup(func() {
		stop()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the authorization server wrote:\n%s", &complaints)
		}
	})
	require.NoError(t, err, "the authorization server said nothing")
	return strings.TrimSpace(line)
}
