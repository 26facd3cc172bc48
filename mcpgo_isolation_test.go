package mcpauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// sharedServer is mcp-go's own server behind the wrapper, as its users run it: without
// sessions it keys everything on the empty session id.
type sharedServer struct {
	*fixture
	url     string
	inner   *server.MCPServer
	heard   chan struct{} // the client has all notifications of payroll
	waiting chan struct{} // a call of wait has begun
	goOn    chan struct{} // and may end
	ended   chan error    // and has
	asked   chan struct{} // its question has ended
}

func newSharedServer(t *testing.T, options ...server.StreamableHTTPOption) *sharedServer {
	t.Helper()
	s := &sharedServer{heard: make(chan struct{}), waiting: make(chan struct{}, 1), goOn: make(chan struct{}), ended: make(chan error, 1), asked: make(chan struct{})}
	s.fixture = newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"payroll": mcpauth.Scopes("mcp:admin"), "wait": mcpauth.Scopes("mcp:admin"), "harmless": mcpauth.Authenticated(),
		}}
	})
	s.inner = server.NewMCPServer("shared", "1", server.WithToolCapabilities(true), server.WithElicitation())
	notify := func(ctx context.Context, n int) {
		for i := range n {
			assert.NoError(t, s.inner.SendNotificationToClient(ctx, "notifications/message", map[string]any{"data": fmt.Sprintf("payroll row %d", i)}))
		}
	}
	s.inner.AddTool(mcp.NewTool("payroll"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		notify(ctx, 20)
		<-s.heard // or mcp-go itself may drop the last one
		return mcp.NewToolResultText("payroll result"), nil
	})
	s.inner.AddTool(mcp.NewTool("harmless"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("done"), nil
	})
	s.inner.AddTool(mcp.NewTool("wait"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		go func() { // registers the session until the call ends
			question := mcp.ElicitationRequest{Params: mcp.ElicitationParams{Message: "payroll question", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}}}
			answer, err := s.inner.RequestElicitation(ctx, question)
			assert.Error(t, err, "somebody has answered: %v", answer)
			close(s.asked)
		}()
		notify(ctx, 5)
		s.waiting <- struct{}{}
		select {
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return nil, ctx.Err()
		case <-s.goOn:
		}
		s.ended <- nil
		return mcp.NewToolResultText("payroll result"), nil
	})
	options = append(options, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	listener := httptest.NewServer(s.auth.Wrap(server.NewStreamableHTTPServer(s.inner, options...)))
	s.url = listener.URL + "/mcp"
	t.Cleanup(func() { listener.CloseClientConnections(); listener.Close() })
	return s
}

// open sends a request and returns its answer as soon as the header is there.
func (s *sharedServer) open(t *testing.T, method, token, body string, headers ...string) *http.Response {
	t.Helper()
	r := s.request(method, s.url, token, body, headers...).WithContext(t.Context())
	r.RequestURI, r.Host = "", ""
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (s *sharedServer) whole(t *testing.T, method, token, body string, headers ...string) (int, string) {
	t.Helper()
	response := s.open(t, method, token, body, headers...)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// until reads a stream up to what has a text, and returns it.
func until(t *testing.T, stream *bufio.Reader, text string) (all string) {
	t.Helper()
	for !strings.Contains(all, text) {
		line, err := stream.ReadString('\n')
		require.NoError(t, err, "%s", all)
		all += line
	}
	return all
}

func call(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"_meta":{"progressToken":1}}}`, tool)
}

// asTask is a call that asks for a task.
func asTask(tool string) string {
	return strings.Replace(call(tool), `"_meta"`, `"task":{},"_meta"`, 1)
}

// A call that asks for a task, and in it asks its client, is heard by nobody with other rights.
func TestSharedTask_ISOL_01(t *testing.T) {
	s := newSharedServer(t)
	admin := s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
	waits := bufio.NewReader(s.open(t, http.MethodPost, admin, asTask("wait")).Body)
	until(t, waits, "elicitation/create")
	<-s.waiting
	for _, claims := range []mcpauthtest.Claims{{"scope": nil}, {"client_id": "client-2"}, {"sub": "user-2"}} {
		for range 5 {
			_, text := s.whole(t, http.MethodPost, s.token(claims), asTask("harmless"))
			assert.NotContains(t, text, "payroll")
		}
	}
	close(s.goOn)
	assert.NoError(t, <-s.ended)
	<-s.asked
}

// Two principals, and two windows of one, nobody with a session, on one server without sessions.
func TestSharedServer_ISOL_01_ISOL_02_ISOL_13(t *testing.T) {
	store := func() []server.StreamableHTTPOption {
		return []server.StreamableHTTPOption{server.WithEventStore(server.NewInMemoryEventStore())}
	}
	for name, options := range map[string]func() []server.StreamableHTTPOption{
		"plain": func() []server.StreamableHTTPOption { return nil }, "event store": store,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharedServer(t, options()...)
			admin := s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
			others := map[string]string{
				"another user":                  s.token(mcpauthtest.Claims{"sub": "user-2", "scope": nil}),
				"another client of this user":   s.token(mcpauthtest.Claims{"client_id": "client-2", "scope": nil}),
				"this client with fewer scopes": s.token(mcpauthtest.Claims{"scope": nil}),
				"another window of this client": admin,
			}
			streams := map[string]*bufio.Reader{}
			for who, token := range others {
				streams[who] = bufio.NewReader(s.open(t, http.MethodGet, token, "", "Last-Event-ID: 1").Body)
			}
			// ISOL-01: all of one's own, on the answer.
			own := bufio.NewReader(s.open(t, http.MethodPost, admin, call("payroll")).Body)
			text := until(t, own, "row 19")
			close(s.heard)
			text += until(t, own, "payroll result")
			assert.Equal(t, 20, strings.Count(text, "payroll row"), text)

			// While a call waits: the answers to others carry nothing of it.
			waits := bufio.NewReader(s.open(t, http.MethodPost, admin, call("wait")).Body)
			<-s.waiting
			heard := until(t, waits, "elicitation/create")
			if !strings.Contains(heard, "row 4") {
				heard += until(t, waits, "row 4")
			}
			for who, token := range others {
				for _, body := range []string{call("harmless"), asTask("harmless"), batchRequest(1, "tools/list", ""), batchRequest(1, "ping", "")} {
					status, text := s.whole(t, http.MethodPost, token, body)
					assert.Equal(t, http.StatusOK, status, who)
					assert.NotRegexp(t, "payroll (row|result|question)", text, who)
				}
				if who != "another window of this client" {
					status, text := s.whole(t, http.MethodPost, token, cancellation("1"))
					assert.Equal(t, []any{http.StatusAccepted, ""}, []any{status, text}, who)
				}
				for id := range 3 { // an answer to the question that the call asks
					status, _ := s.whole(t, http.MethodPost, token, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"action":"accept","content":{}}}`, id))
					assert.Equal(t, http.StatusAccepted, status, who)
				}
				status, _ := s.whole(t, http.MethodDelete, token, "")
				assert.Equal(t, http.StatusNotFound, status, who)
				// ISOL-02: what has been can not be had again.
				resumed := bufio.NewReader(s.open(t, http.MethodGet, token, "", "Last-Event-ID: 1").Body)
				s.inner.SendNotificationToAllClients("notifications/marker", nil)
				assert.NotContains(t, until(t, resumed, "notifications/marker"), "payroll", who)
			}
			close(s.goOn)
			assert.NoError(t, <-s.ended, "somebody has ended it")
			<-s.asked
			heard += until(t, waits, "payroll result")
			assert.Equal(t, 5, strings.Count(heard, "payroll row"))

			s.inner.SendNotificationToAllClients("notifications/end", nil)
			for who, stream := range streams {
				assert.NotContains(t, until(t, stream, "notifications/end"), "payroll", who)
			}
		})
	}
	t.Run("ISOL-07 ISOL-13 a modern call, and cancellations of both eras with its id", func(t *testing.T) {
		s := newSharedServer(t)
		admin := s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
		body := modernBody("tools/call", `"name":"wait","arguments":{}`)
		body = strings.Replace(body, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{},`, 1)
		done := make(chan string)
		go func() {
			_, text := s.whole(t, http.MethodPost, admin, body, modernHeaders("tools/call", "wait")...)
			done <- text
		}()
		<-s.waiting
		for _, claims := range []mcpauthtest.Claims{{"sub": "user-2", "scope": nil}, {"client_id": "client-2"}, {"scope": "mcp:read mcp:admin"}} {
			token := s.token(claims)
			for _, body := range []string{cancellation("1"), cancellation(`"1"`), batchBody(cancellation("1"), batchRequest(2, "ping", "")), sessionInitialize} {
				_, text := s.whole(t, http.MethodPost, token, body)
				assert.NotContains(t, text, "payroll")
			}
			s.whole(t, http.MethodDelete, token, "")
			for _, meta := range []string{"", `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`} {
				status, text := s.whole(t, http.MethodPost, token, notification("notifications/cancelled", `"requestId":1`+meta), modernHeaders("notifications/cancelled", "")...)
				assert.Equal(t, []any{http.StatusAccepted, ""}, []any{status, text})
			}
		}
		close(s.goOn)
		assert.NoError(t, <-s.ended, "somebody has ended it")
		assert.Contains(t, <-done, "payroll result")
	})
}
