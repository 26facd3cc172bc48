// Package protected is the MCP server of the interop tests: a server of either
// Go SDK behind mcpauth, with a record of what came in and what ran.
package protected

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// Tools says which scope each tool needs.
var Tools = map[string]string{"echo": "mcp:read", "admin": "mcp:admin"}

// Path is where the MCP endpoint and its metadata are.
const (
	Path         = "/mcp"
	MetadataPath = "/.well-known/oauth-protected-resource" + Path
)

// Backend is the SDK that serves.
type Backend string

// The backends.
const (
	MCPGo Backend = "mcp-go"
	GoSDK Backend = "go-sdk"
)

// Server is a running protected server.
type Server struct {
	URL    string // of the MCP endpoint, also the resource
	Record *wire.Record

	mu  sync.Mutex
	ran []string
	log bytes.Buffer
}

// Options are what differs between tests.
type Options struct {
	Backend Backend
	Issuer  mcpauth.Issuer
	Legacy  bool // authorization-server metadata at the resource's origin
	Revoked func(context.Context, *mcpauth.Principal) (bool, error)
}

// Listen reserves an address, for tests in which the authorization server must
// know the resource before it starts.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Resource is the URL of the server that will listen there.
func Resource(listener net.Listener) string {
	return "http://" + listener.Addr().String() + Path
}

// Start serves until the test ends.
func Start(t testing.TB, listener net.Listener, options Options) *Server {
	t.Helper()
	s := &Server{URL: Resource(listener), Record: &wire.Record{}}
	issuer := options.Issuer
	if len(issuer.Audiences) > 0 {
		issuer.Audiences = append([]string{s.URL}, issuer.Audiences...)
	}
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{}}
	for tool, scope := range Tools {
		rules.Tools[tool] = mcpauth.Requirement{AllOf: []string{scope}, Visible: true}
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:              s.URL,
		Issuers:               []mcpauth.Issuer{issuer},
		Policy:                rules,
		Scopes:                []string{"mcp:read"},
		Leeway:                time.Nanosecond, // all clocks are this machine's: a token ends when it says so
		AllowInsecureLoopback: true,
		LegacyASMetadata:      options.Legacy,
		Revoked:               options.Revoked,
		Logger:                slog.New(slog.NewTextHandler(&lockedWriter{s: s}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := auth.Wrap(s.backend(options.Backend))
	outer := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s.Record.Handler(route(handler))}}
	outer.Start()
	t.Cleanup(func() {
		outer.CloseClientConnections()
		outer.Close()
	})
	return s
}

// route answers 404 outside the endpoint and the well-known paths, as a server
// with other things on its origin does.
func route(protected http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(Path, protected)
	mux.Handle("/.well-known/", protected)
	mux.Handle("/authorize", protected)
	return mux
}

func (s *Server) backend(backend Backend) http.Handler {
	if backend == GoSDK {
		own := sdk.NewServer(&sdk.Implementation{Name: "interop", Version: "1.0.0"}, nil)
		for tool := range Tools {
			sdk.AddTool(own, &sdk.Tool{Name: tool, Description: "says who called"},
				func(ctx context.Context, _ *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
					return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: s.run(ctx, tool)}}}, nil, nil
				})
		}
		// With sessions it serves no client of 2026-07-28; the other backend has them.
		return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return own },
			&sdk.StreamableHTTPOptions{Stateless: true})
	}
	own := server.NewMCPServer("interop", "1.0.0")
	for tool := range Tools {
		own.AddTool(mcp.NewTool(tool, mcp.WithDescription("says who called")),
			func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return mcp.NewToolResultText(s.run(ctx, tool)), nil
			})
	}
	return server.NewStreamableHTTPServer(own)
}

// run notes that a tool ran, and says for whom.
func (s *Server) run(ctx context.Context, tool string) string {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return "nobody"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, tool)
	return fmt.Sprintf("%s for %s", tool, caller.Subject)
}

// Ran returns the tools that ran, in their order.
func (s *Server) Ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ran...)
}

// Log is what mcpauth wrote.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

type lockedWriter struct{ s *Server }

func (w *lockedWriter) Write(line []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(line)
}
