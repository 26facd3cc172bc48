package lawful

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// server is one of an SDK.
type server struct {
	name     string
	sessions bool // gives out session ids
	sse      bool // the HTTP+SSE transport
	handler  func() http.Handler
}

var servers = []*server{
	{"mcp-go, stateless", false, false, func() http.Handler {
		return mcpgoserver.NewStreamableHTTPServer(mcpGo(), mcpgoserver.WithStateLess(true), quiet, anyHost)
	}},
	{"mcp-go, stateful", true, false, func() http.Handler {
		return mcpgoserver.NewStreamableHTTPServer(mcpGo(), mcpgoserver.WithStateful(true), quiet, anyHost)
	}},
	{"go-sdk, stateless", false, false, func() http.Handler { return goSDK(sdk.StreamableHTTPOptions{Stateless: true}) }},
	{"go-sdk, stateful", true, false, func() http.Handler { return goSDK(sdk.StreamableHTTPOptions{JSONResponse: true}) }},
	{"mcp-go, HTTP+SSE", false, true, func() http.Handler { return mcpgoserver.NewSSEServer(mcpGo()) }},
	{"go-sdk, HTTP+SSE", false, true, func() http.Handler {
		s := goServer()
		return sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil)
	}},
}

var (
	quiet   = mcpgoserver.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler))
	anyHost = mcpgoserver.WithDisableLocalhostProtection(true)
)

func mcpGo() *mcpgoserver.MCPServer {
	s := mcpgoserver.NewMCPServer("s", "1", mcpgoserver.WithToolCapabilities(true), mcpgoserver.WithPromptCapabilities(true),
		mcpgoserver.WithResourceCapabilities(true, true), mcpgoserver.WithLogging(), mcpgoserver.WithCompletions(), mcpgoserver.WithTaskCapabilities(true, true, true))
	s.AddTool(mcpgo.NewTool("echo"), func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText("done"), nil
	})
	s.AddPrompt(mcpgo.NewPrompt("greet"), func(context.Context, mcpgo.GetPromptRequest) (*mcpgo.GetPromptResult, error) {
		return mcpgo.NewGetPromptResult("done", nil), nil
	})
	s.AddResource(mcpgo.NewResource("file:///a", "a"), func(context.Context, mcpgo.ReadResourceRequest) ([]mcpgo.ResourceContents, error) {
		return []mcpgo.ResourceContents{mcpgo.TextResourceContents{URI: "file:///a"}}, nil
	})
	return s
}

func goServer() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "s", Version: "1"}, &sdk.ServerOptions{
		CompletionHandler: func(context.Context, *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return &sdk.CompleteResult{}, nil
		},
		SubscribeHandler:   func(context.Context, *sdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
	})
	s.AddTool(&sdk.Tool{Name: "echo", InputSchema: map[string]any{"type": "object"}}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil
	})
	s.AddPrompt(&sdk.Prompt{Name: "greet"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{}, nil
	})
	s.AddResource(&sdk.Resource{URI: "file:///a", Name: "a"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "file:///a", Text: "done"}}}, nil
	})
	return s
}

func goSDK(options sdk.StreamableHTTPOptions) http.Handler {
	s := goServer()
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &options)
}

// start begins what a client needs before it can send messages: with HTTP+SSE that is a stream,
// which names the endpoint.
func (s *server) start(t *testing.T, around func(http.Handler) http.Handler, token string) *side {
	t.Helper()
	b := &side{handler: around(s.handler()), token: token, endpoint: "/mcp"}
	if !s.sse {
		return b
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mcp.example.com/sse", http.NoBody)
	require.NoError(t, err)
	r.RequestURI, r.Header = "/sse", http.Header{"Accept": {"text/event-stream"}}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.handler.ServeHTTP(&stream{http.Header{}, writer}, r)
	}()
	t.Cleanup(func() { cancel(); _ = reader.Close(); <-ended })
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if reference, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
			b.endpoint = strings.TrimPrefix(strings.TrimSpace(reference), "https://mcp.example.com")
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // answers
	require.Contains(t, b.endpoint, "?")
	initialized := http.Header{"Content-Type": {"application/json"}}
	require.Equal(t, http.StatusAccepted, b.send(t, http.MethodPost, b.endpoint, messages[0].body(false), initialized.Clone()).status)
	require.Equal(t, http.StatusAccepted, b.send(t, http.MethodPost, b.endpoint, messages[20].body(false), initialized).status)
	return b
}

// stream is a ResponseWriter into a pipe.
type stream struct {
	header http.Header
	*io.PipeWriter
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(int)     {}
func (s *stream) Flush()              {}
