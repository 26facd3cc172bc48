package gosdk_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

// Tools of the SDK that ask for input: with states of their own behind the sealer, and with states that they seal by
// hand, which finds the caller of the call in stateful sessions, too. A tool that forgets its questions sends its state in
// a result that says it is complete: it goes out sealed all the same.
func TestStates_STATE_01_STATE_09(t *testing.T) {
	for name, options := range map[string]*mcp.StreamableHTTPOptions{
		"stateful": {}, "stateless": {Stateless: true}, "JSON": {Stateless: true, JSONResponse: true},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := mcpauthtest.NewIssuer(t)
			sent := &sent{}
			web := httptest.NewServer(sent)
			t.Cleanup(web.Close)
			resource := web.URL + "/mcp"
			sealer, err := sealed.New(sealed.Config{Resource: resource, Ephemeral: true})
			require.NoError(t, err)
			guard, err := mcpauth.New(mcpauth.Config{
				Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true,
				Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}},
			})
			require.NoError(t, err)
			server := mcp.NewServer(&mcp.Implementation{Name: "states", Version: "1"}, nil)
			server.AddReceivingMiddleware(gosdk.Middleware)
			type input struct {
				A float64 `json:"a"`
			}
			mcp.AddTool(server, &mcp.Tool{Name: "plain"}, func(_ context.Context, r *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
				return round(r.Params.RequestState, "CANARY=1", "CANARY=2"), nil, nil
			})
			mcp.AddTool(server, &mcp.Tool{Name: "hand"}, func(ctx context.Context, r *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
				call, came := sealed.Tool(r.Params.Name, r.Params.Arguments), ""
				if r.Params.RequestState != "" {
					if err := sealer.Open(ctx, call, r.Params.RequestState, &came); err != nil {
						return nil, nil, err
					}
				}
				result := round(came, "CANARY=1", "CANARY=2")
				if result.RequestState == "" {
					return result, nil, nil
				}
				var err error
				result.RequestState, err = sealer.Seal(ctx, call, result.RequestState)
				return result, nil, err
			})
			mcp.AddTool(server, &mcp.Tool{Name: "forgetful"}, func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{RequestState: "CANARY"}, nil, nil
			})
			handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
			sent.set(guard.Wrap(sealer.Handler(gosdk.Handler(handler))))

			tokens := &held{}
			tokens.token.Store(issuer.TokenFor(resource))
			client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, &mcp.ClientOptions{
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "x"}}, nil
				},
			})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: resource, OAuthHandler: tokens}, nil)
			require.NoError(t, err)
			defer func() { _ = session.Close() }()
			for _, tool := range []string{"plain", "hand"} {
				result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"a": 0.5}})
				require.NoError(t, err, tool)
				require.NotEmpty(t, result.Content)
				assert.Equal(t, "done", result.Content[0].(*mcp.TextContent).Text, tool)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "forgetful", Arguments: map[string]any{"a": 0.5}})
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(result.RequestState, "v1."), result.RequestState)
			assert.NotContains(t, sent.text(), "CANARY")
			assert.Contains(t, sent.text(), `"requestState":"v1.`)
		})
	}
}

// round asks once more for each of the states, and is done after the last.
func round(came string, states ...string) *mcp.CallToolResult {
	next := ""
	for i, state := range append([]string{""}, states...) {
		if state == came && i < len(states) {
			next = states[i]
		}
	}
	switch {
	case next != "":
		return &mcp.CallToolResult{RequestState: next, InputRequests: mcp.InputRequestMap{"q": &mcp.ElicitParams{
			Message: "Really?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}},
		}}}
	case came == states[len(states)-1]:
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "tampered"}}, IsError: true}
}

// sent keeps what clients are sent.
type sent struct {
	mu   sync.Mutex
	next http.Handler
	all  strings.Builder
}

func (s *sent) set(next http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

func (s *sent) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func (s *sent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	next := s.next
	s.mu.Unlock()
	next.ServeHTTP(&overheard{w, s}, r)
}

type overheard struct {
	http.ResponseWriter
	s *sent
}

func (o *overheard) Write(p []byte) (int, error) {
	o.s.mu.Lock()
	o.s.all.Write(p)
	o.s.mu.Unlock()
	return o.ResponseWriter.Write(p)
}

func (o *overheard) Flush()                      { o.ResponseWriter.(http.Flusher).Flush() }
func (o *overheard) Unwrap() http.ResponseWriter { return o.ResponseWriter }
