package lawful

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bearer puts a token on each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// listen serves a handler behind mcpauth, and returns its URL and a client with a token. after, if not
// nil, is called with each request that has been answered.
func listen(t *testing.T, h http.Handler, after func(*http.Request)) (url string, c *http.Client) {
	t.Helper()
	auth, token := wrap(t)
	wrapped := auth.Wrap(h)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrapped.ServeHTTP(w, r)
		if after != nil {
			after(r)
		}
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL, &http.Client{Transport: bearer(token)}
}

// TestGoClientOverSSE_MCP_20_MCP_92: the go-sdk's client asks first for 2026-07-28, on a transport without headers.
func TestGoClientOverSSE_MCP_20_MCP_92(t *testing.T) {
	for _, s := range servers {
		if !s.sse {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			url, c := listen(t, s.handler(), nil)
			session, err := sdk.NewClient(&sdk.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), &sdk.SSEClientTransport{Endpoint: url + "/sse", HTTPClient: c}, nil)
			require.NoError(t, err)
			defer func() { _ = session.Close() }()
			list, err := session.ListTools(t.Context(), nil)
			require.NoError(t, err)
			assert.Len(t, list.Tools, 1)
		})
	}
}

// TestGoClientCancels_MCP_49_ISOL_07: a call that is given up costs the go-sdk's client that call and no other.
func TestGoClientCancels_MCP_49_ISOL_07(t *testing.T) {
	s := goServer()
	began, told := make(chan struct{}), make(chan struct{})
	s.AddTool(&sdk.Tool{Name: "wait", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, _ *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	url, c := listen(t, sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s },
		&sdk.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true}), func(r *http.Request) {
		if r.Header.Get("Mcp-Method") == "notifications/cancelled" {
			close(told)
		}
	})
	session, err := sdk.NewClient(&sdk.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: url, HTTPClient: c}, nil)
	require.NoError(t, err)
	defer func() { _ = session.Close() }()
	require.Equal(t, modern, session.InitializeResult().ProtocolVersion)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, err = session.CallTool(ctx, &sdk.CallToolParams{Name: "wait"})
	require.ErrorIs(t, err, context.Canceled)
	<-told
	for range 20 { // the client may take a moment to read the answer to its notification
		_, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo"})
		require.NoError(t, err)
	}
}
