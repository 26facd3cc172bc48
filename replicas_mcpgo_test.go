package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// roundRobin sends one request here and the next one there.
type roundRobin struct {
	replicas []http.Handler
	next     atomic.Uint32
}

func (r *roundRobin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.replicas[int(r.next.Add(1))%len(r.replicas)].ServeHTTP(w, req)
}

// TestReplicasOfMCPGo_STORE_04: two wrappers with mcp-go's transport and server, behind round robin. mcp-go keeps tasks in its server, which both have:
// a task goes on whichever replica is asked, and is its owner's at each; with a session, and without one.
func TestReplicasOfMCPGo_STORE_04_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(false), server.WithTaskCapabilities(true, true, true))
		inner.AddTaskTool(mcp.NewTool("echo", mcp.WithTaskSupport(mcp.TaskSupportRequired)), func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
			<-t.Context().Done() // that of the call ends with the request
			return &mcp.CreateTaskResult{}, nil
		})
		f := newFixture(t, nil)
		proxy := &roundRobin{}
		for range 2 {
			config := testConfig(f.issuer)
			shares(store)(&config)
			config.Policy = taskRules()
			auth, err := mcpauth.New(config)
			require.NoError(t, err)
			proxy.replicas = append(proxy.replicas, auth.Wrap(server.NewStreamableHTTPServer(inner, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))))
		}
		f.handler = proxy
		owner, other := f.token(nil), f.token(mcpauthtest.Claims{"sub": "user-2"})
		for _, session := range []bool{true, false} {
			headers := []string{"MCP-Protocol-Version: 2025-11-25"}
			if session {
				w := f.post(owner, sessionInitialize)
				require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
				if id := w.Header().Get("Mcp-Session-Id"); id != "" {
					headers = append(headers, "Mcp-Session-Id: "+id)
				}
			}
			ask := func(token, method, params string) string {
				w := f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params), headers...)
				return fmt.Sprint(w.Code, " ", w.Body)
			}
			var created struct {
				Result struct {
					Task struct {
						ID string `json:"taskId"`
					} `json:"task"`
				} `json:"result"`
			}
			answer := ask(owner, "tools/call", `"name":"echo","arguments":{},"task":{}`)
			require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &created), answer)
			task := fmt.Sprintf(`"taskId":%q`, created.Result.Task.ID)
			require.NotEqual(t, `"taskId":""`, task, answer)
			headers = headers[:1] // another's session would be refused before its task is
			foreign := func() {
				t.Helper()
				for _, method := range []string{"tasks/get", "tasks/cancel", "tasks/result"} {
					for range 2 {
						got, never := ask(other, method, task), ask(other, method, `"taskId":"0d3c7a3e-9d0b-4c56-9f6e-2f1f4f6f0d11"`)
						assert.Equal(t, never, got, method)
						assert.Contains(t, got, `"code":-32602,"message":"task not found"`, method)
					}
				}
				for range 2 {
					assert.NotContains(t, ask(other, "tasks/list", ""), created.Result.Task.ID)
				}
			}
			foreign()
			for range 4 {
				assert.Contains(t, ask(owner, "tasks/get", task), `"status":"working"`)
				assert.Contains(t, ask(owner, "tasks/list", ""), created.Result.Task.ID)
			}
			store.is(storeGone)
			for range 4 {
				assert.Contains(t, ask(owner, "tasks/get", task), "503 ")
				assert.Contains(t, ask(other, "tasks/get", task), "503 ")
			}
			store.is(nil)
			for range 2 { // the breaker has seen too few failures to have an opinion
				assert.Contains(t, ask(owner, "tasks/get", task), created.Result.Task.ID)
			}
			assert.Contains(t, ask(owner, "tasks/cancel", task), `"status":"cancelled"`)
			for range 2 {
				assert.Contains(t, ask(owner, "tasks/get", task), `"status":"cancelled"`)
			}
			foreign()
		}
	})
}
