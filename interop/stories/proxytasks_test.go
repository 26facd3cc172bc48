package stories

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// taskServer begins a task with each call of its tool, and keeps events to replay them. Its argument "before"
// says what happens first: nothing, a long notification, or a notification and the loss of the connection. A task
// goes on until it may end, since what the server tells of its end could come before the answer that begins it.
func taskServer(mayEnd <-chan struct{}) http.Handler {
	hooks := &server.Hooks{}
	s := server.NewMCPServer("tasks", "1", server.WithToolCapabilities(false), server.WithTaskCapabilities(true, true, true), server.WithHooks(hooks))
	hooks.AddBeforeCallTool(func(ctx context.Context, _ any, call *mcp.CallToolRequest) {
		before := call.GetString("before", "")
		if before == "" {
			return
		}
		text := "soon"
		if before == "long" {
			text = strings.Repeat("x", 70<<10)
		}
		_ = s.SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "info", "data": text})
		if before == "loss" {
			<-ctx.Done()
		}
	})
	s.AddTaskTool(mcp.NewTool("work", mcp.WithString("before"), mcp.WithTaskSupport(mcp.TaskSupportRequired)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
			<-mayEnd
			return &mcp.CreateTaskResult{}, nil
		})
	return server.NewStreamableHTTPServer(s, server.WithEventStore(server.NewInMemoryEventStore()))
}

// worker calls the server behind the proxy with one token.
type worker struct {
	t                        *testing.T
	endpoint, token, session string
}

func (w *worker) send(ctx context.Context, method, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.endpoint, strings.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	if w.session != "" {
		r.Header.Set("Mcp-Session-Id", w.session)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// post returns what a message is answered with.
func (w *worker) post(body string) string {
	w.t.Helper()
	resp := w.send(w.t.Context(), http.MethodPost, body)
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		w.session = id
	}
	return string(text)
}

func (w *worker) get(id string) string {
	w.t.Helper()
	return w.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":9,"method":"tasks/get","params":{"taskId":%q}}`, id))
}

func begins(before string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"work","arguments":{"before":%q},"task":{"ttl":60000}}}`, before)
}

// resume loses the connection of a call and returns what the server replays.
func (w *worker) resume() string {
	w.t.Helper()
	ctx, leave := context.WithCancel(w.t.Context())
	defer leave()
	lines := bufio.NewReader(w.send(ctx, http.MethodPost, begins("loss")).Body)
	id := ""
	for line := "id"; strings.TrimSpace(line) != ""; {
		var err error
		line, err = lines.ReadString('\n')
		require.NoError(w.t, err)
		if value, found := strings.CutPrefix(line, "id: "); found {
			id = strings.TrimSpace(value)
		}
	}
	require.NotEmpty(w.t, id)
	leave()
	text, err := io.ReadAll(w.send(w.t.Context(), http.MethodGet, "", "Last-Event-ID: "+id).Body)
	require.NoError(w.t, err)
	return string(text)
}

var startedTask = regexp.MustCompile(`"taskId":"([^"]+)"`)

// TestTasksBehindProxy_MCP_85: whoever begins a task at a server behind the proxy, which flushes whatever
// comes, finds it again, and nobody else does.
func TestTasksBehindProxy_MCP_85(t *testing.T) {
	behind := httptest.NewServer(taskServer(t.Context().Done()))
	t.Cleanup(behind.Close)
	issuer := mcpauthtest.NewIssuer(t)
	endpoint := start(t, "MCP endpoint: ", exec.Command(buildProxy(t), "--addr", "127.0.0.1:0", "--issuer", issuer.URL(), "--upstream", behind.URL))
	signedIn := func(sub string) *worker {
		w := &worker{t: t, endpoint: endpoint, token: issuer.Token(mcpauthtest.Claims{"aud": endpoint, "sub": sub, "scope": "tool:work:execute"})}
		w.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"w","version":"1"}}}`)
		require.NotEmpty(t, w.session)
		w.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		return w
	}
	owner, foreign := signedIn("user-1"), signedIn("user-2")
	for _, row := range []struct {
		name   string
		begin  func() string
		events bool
	}{
		{"JSON", func() string { return owner.post(begins("")) }, false}, // first: after a notification, the server streams
		{"behind an event of 70 KiB", func() string { return owner.post(begins("long")) }, true},
		{"replayed after a reconnect", owner.resume, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := row.begin()
			match := startedTask.FindStringSubmatch(answer)
			require.NotNil(t, match, "%.500s", answer)
			assert.Equal(t, row.events, strings.Contains(answer, "data: "), "%.100s", answer)
			got := owner.get(match[1])
			assert.Contains(t, got, `"result"`)
			assert.Contains(t, got, match[1])
			assert.Contains(t, owner.post(`{"jsonrpc":"2.0","id":3,"method":"tasks/list"}`), match[1])
			assert.Equal(t, foreign.get("random"), foreign.get(match[1]))
			assert.Contains(t, foreign.get(match[1]), "task not found")
			assert.NotContains(t, foreign.post(`{"jsonrpc":"2.0","id":3,"method":"tasks/list"}`), match[1])
		})
	}
}
