package sealed_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/sealed"
)

// accepting says yes to every question.
type accepting struct{}

func (accepting) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action: mcp.ElicitationResponseActionAccept, Content: map[string]any{"name": "x"},
	}}, nil
}

// A server and a client of mcp-go play two rounds, with the server's own states behind the handler, and with states that the
// tool seals by hand. A client of an older revision, which the server asks in its own process, too.
func TestMCPGo_STATE_09_STATE_01(t *testing.T) {
	s := newSealer(t, sealed.Config{})
	ask := func(state string) *mcp.CallToolResult {
		b := server.NewInputRequestBuilder(state)
		b.Elicit("q", mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: "Really?", RequestedSchema: map[string]any{
			"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
		}})
		return b.ToolResult()
	}
	plain := func(_ context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		switch state := call.Params.RequestState; state {
		case "":
			return ask(canary + "=1"), nil
		case canary + "=1":
			return ask(canary + "=2"), nil
		case canary + "=2":
			return mcp.NewToolResultText("done"), nil
		}
		return mcp.NewToolResultText("tampered"), nil
	}
	byHand := func(ctx context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		this, step := sealed.Tool(call.Params.Name, call.Params.Arguments), 0
		if call.Params.RequestState != "" {
			if err := s.Open(ctx, this, call.Params.RequestState, &step); err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
		}
		if step == 2 {
			return mcp.NewToolResultText("done"), nil
		}
		state, err := s.Seal(ctx, this, step+1)
		if err != nil {
			return nil, err
		}
		return ask(state), nil
	}
	for name, row := range map[string]struct {
		tool    server.ToolHandlerFunc
		between func(http.Handler) http.Handler
	}{"handler": {plain, s.Handler}, "by hand": {byHand, without}, "both": {byHand, s.Handler}} {
		for _, version := range []string{"2026-07-28", "2025-11-25"} {
			t.Run(name+" "+version, func(t *testing.T) {
				m := server.NewMCPServer("rounds", "1", server.WithToolCapabilities(true), server.WithElicitation())
				m.AddTool(mcp.NewTool("echo", mcp.WithNumber("a")), row.tool)
				c := newChain(t, func(http.Handler) http.Handler { return row.between(server.NewStreamableHTTPServer(m)) })
				wire := &wire{next: c.handler}
				web := httptest.NewServer(wire)
				defer web.Close()
				token := c.token(nil)
				options := []transport.StreamableHTTPCOption{transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + token})}
				if version != "2026-07-28" {
					//lint:ignore SA1019 clients of older revisions are asked on that stream
					options = append(options, transport.WithContinuousListening())
				}
				mcpClient, err := client.NewStreamableHttpClient(web.URL+"/mcp", options...)
				require.NoError(t, err)
				client.WithElicitationHandler(accepting{})(mcpClient)
				client.WithProtocolVersion(version)(mcpClient)
				require.NoError(t, mcpClient.Start(t.Context()))
				defer func() { _ = mcpClient.Close() }()
				_, err = mcpClient.Initialize(t.Context(), mcp.InitializeRequest{Params: mcp.InitializeParams{
					ProtocolVersion: version, ClientInfo: mcp.Implementation{Name: "c", Version: "1"},
				}})
				require.NoError(t, err)
				result, err := mcpClient.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"a": 0.1}}})
				require.NoError(t, err)
				require.NotEmpty(t, result.Content)
				assert.Equal(t, "done", result.Content[0].(mcp.TextContent).Text)
				sent := wire.sent()
				assert.NotContains(t, sent, "CANARY")
				assert.Equal(t, version == "2026-07-28", strings.Contains(sent, `"requestState":"v1.`), "older clients never have it")
			})
		}
	}
}

// wire keeps what clients are sent.
type wire struct {
	next http.Handler
	mu   sync.Mutex
	all  bytes.Buffer
}

func (w *wire) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.next.ServeHTTP(&tapped{out, w}, r)
}

type tapped struct {
	http.ResponseWriter
	w *wire
}

func (t *tapped) Write(p []byte) (int, error) {
	t.w.mu.Lock()
	t.w.all.Write(p)
	t.w.mu.Unlock()
	return t.ResponseWriter.Write(p)
}

func (t *tapped) Flush()                      { t.ResponseWriter.(http.Flusher).Flush() }
func (t *tapped) Unwrap() http.ResponseWriter { return t.ResponseWriter }
