package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// start runs the command and returns its endpoint.
func start(t *testing.T, issuer, transport string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // outlives the clients, which say goodbye in a cleanup
	stdout, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"--addr", "127.0.0.1:0", "--issuer", issuer, "--transport", transport}, in, io.Discard)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-status)
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(line, "MCP endpoint: "))
}

// connect is mcp-go's own client, which sends whatever token it holds.
func connect(t *testing.T, kind, endpoint string, token *atomic.Value) *client.Client {
	t.Helper()
	header := func(context.Context) map[string]string {
		return map[string]string{"Authorization": "Bearer " + token.Load().(string)}
	}
	var c *client.Client
	var err error
	if kind == sse {
		c, err = client.NewSSEMCPClient(endpoint, transport.WithHeaderFunc(header))
	} else {
		c, err = client.NewStreamableHttpClient(endpoint, transport.WithHTTPHeaderFunc(header))
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Start(t.Context()))
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = "2025-06-18"
	request.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	_, err = c.Initialize(t.Context(), request)
	require.NoError(t, err)
	return c
}

// TestTransports: whoever calls is the caller of this request, and lists show
// what this caller may use, in a session as without one.
func TestTransports_SESS_05_COMPAT_14(t *testing.T) {
	for _, kind := range []string{stateless, stateful, sse} {
		t.Run(kind, func(t *testing.T) {
			issuer := mcpauthtest.NewIssuer(t)
			endpoint := start(t, issuer.URL(), kind)
			var token atomic.Value
			hold := func(scopes ...string) { token.Store(issuer.TokenFor(endpoint, scopes...)) }
			hold("analytics:data:read")
			c := connect(t, kind, endpoint, &token)
			call := func(tool string) (string, error) {
				result, err := c.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool}})
				if err != nil {
					return "", err
				}
				assert.False(t, result.IsError)
				return fmt.Sprint(result.Content[0].(mcp.TextContent).Text), nil
			}
			for _, row := range []struct {
				scopes []string
				listed []string
				edits  bool
			}{
				{[]string{"analytics:data:read"}, []string{"query_usage", "whoami"}, false},
				{[]string{"analytics:data:read", "dashboard:modify"}, []string{"edit_dashboard", "query_usage", "whoami"}, true},
				{[]string{}, []string{"query_usage", "whoami"}, false},
			} {
				hold(row.scopes...)
				list, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
				require.NoError(t, err)
				if kind == sse {
					// The list comes over the stream, for which the token counts that opened it.
					row.listed = []string{"query_usage", "whoami"}
				}
				var names []string
				for _, tool := range list.Tools {
					names = append(names, tool.Name)
				}
				assert.ElementsMatch(t, row.listed, names)

				who, err := call("whoami")
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprint("user-1 with ", row.scopes), who)
				if _, err = call("edit_dashboard"); row.edits {
					assert.NoError(t, err)
				} else {
					assert.ErrorContains(t, err, "insufficient scope")
				}
			}
		})
	}
}

// TestSessionOfAnother: a session is a handle and not a credential.
func TestSessionOfAnother_SESS_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	endpoint := start(t, issuer.URL(), stateful)
	var token atomic.Value
	token.Store(issuer.TokenFor(endpoint))
	c := connect(t, stateful, endpoint, &token)
	session := c.GetSessionId()
	require.NotEmpty(t, session)
	for subject, status := range map[string]int{"user-1": http.StatusOK, "user-2": http.StatusNotFound} {
		r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+issuer.Token(mcpauthtest.Claims{"aud": endpoint, "sub": subject}))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Mcp-Session-Id", session)
		r.Header.Set("Mcp-Protocol-Version", "2025-06-18")
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode, subject)
	}
}

// TestEnd: the program is not over before a call that is under way has its answer.
func TestEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	var answered atomic.Bool
	begun, over := make(chan struct{}), make(chan int)
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-ctx.Done()
		for range 100_000 { // others get their turns first
			runtime.Gosched()
		}
		answered.Store(true)
	})
	go func() { over <- serve(ctx, listener, slow, slog.New(slog.DiscardHandler)) }()
	go func() {
		if resp, err := http.Get("http://" + listener.Addr().String()); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-begun
	end()
	assert.Zero(t, <-over)
	assert.True(t, answered.Load())
}

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		args   string
		status int
		text   string
	}{
		{"--help", 0, "-transport"},
		{"--port 1", 2, "flag provided but not defined"},
		{"--addr 127.0.0.1:0", 2, "Config.Issuers[0].URL"},
		{"--addr 127.0.0.1:0 --issuer https://login.example.com --transport stdio", 2, `unknown transport "stdio"`},
		{"--addr 127.0.0.1", 1, "missing port"},
	} {
		var stderr strings.Builder
		assert.Equal(t, row.status, run(t.Context(), strings.Fields(row.args), io.Discard, &stderr), row.args)
		assert.Contains(t, stderr.String(), row.text)
	}
}
