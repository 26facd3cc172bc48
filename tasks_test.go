package mcpauth_test

import (
	"context"
	"encoding/json"
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

// taskRules opens everything on tasks to every valid token.
func taskRules() mcpauth.Rules {
	return mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{
			"echo": mcpauth.Scopes("mcp:read"), "admin_delete": mcpauth.Scopes("mcp:admin"), "audit": mcpauth.Scopes("mcp:audit"),
		},
		Methods: map[string]mcpauth.Requirement{
			"tasks/get": mcpauth.Authenticated(), "tasks/result": mcpauth.Authenticated(), "tasks/cancel": mcpauth.Authenticated(),
			"tasks/update": mcpauth.Authenticated(), "tasks/list": mcpauth.Authenticated(),
		},
	}
}

// taskBed answers each tools/call with what reply makes, and everything else with an empty result.
type taskBed struct {
	*fixture
	contentType, reply string
	status             int
}

func newTaskBed(tb testing.TB, change func(*mcpauth.Config)) *taskBed {
	b := &taskBed{contentType: "application/json", status: http.StatusOK}
	b.fixture = newFixture(tb, func(c *mcpauth.Config) {
		c.Policy = taskRules()
		if change != nil {
			change(c)
		}
	})
	b.inner = func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(string(b.body), "tools/call") {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			return
		}
		w.Header().Set("Content-Type", b.contentType)
		w.WriteHeader(b.status)
		_, _ = io.WriteString(w, b.reply)
	}
	return b
}

// taskLegacy is the answer of the 2025-11-25 revision to a call that begins a task.
func taskLegacy(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":%q,"status":"working","ttl":null}}}`, id)
}

// taskModern is the answer of the tasks extension.
func taskModern(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":%q,"status":"working"}}`, id)
}

// begin has a principal begin a task with a legacy call of a tool.
func (b *taskBed) begin(token, tool, id string) {
	b.tb.Helper()
	b.contentType, b.reply = "application/json", taskLegacy(id)
	b.served(b.legacyCall(token, tool))
}

// legacyTask is a legacy request about a task.
func (b *taskBed) legacyTask(token, method, id string) *httptest.ResponseRecorder {
	return b.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{"taskId":%q}}`, method, id), "MCP-Protocol-Version: 2025-11-25")
}

// modernTask is a modern one.
func (b *taskBed) modernTask(token, method, id string) *httptest.ResponseRecorder {
	return b.post(token, modernBody(method, fmt.Sprintf(`"taskId":%q`, id)), modernHeaders(method, id)...)
}

// unknown asserts that the answer is the one for a task that never was.
func (b *taskBed) unknown(w *httptest.ResponseRecorder) {
	b.tb.Helper()
	b.refused(w, http.StatusOK, "")
	assert.Equal(b.tb, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"task not found"}}`, w.Body.String())
	assert.Equal(b.tb, "no-store", w.Header().Get("Cache-Control"))
}

// TestTaskOwner_MCP_80: in every shape that a task can begin, it is its principal's, and to
// everybody else as one that never was.
func TestTaskOwner_MCP_80(t *testing.T) {
	events := func(messages ...string) string {
		var b strings.Builder
		b.WriteString(": comment\n\nid: 1\ndata:\n\n")
		for _, m := range messages {
			b.WriteString("event: message\ndata: " + m + "\n\n")
		}
		return b.String()
	}
	progress := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
	for _, row := range []struct {
		name, contentType, reply string
		bound                    bool
	}{
		{"2025-11-25, JSON", "application/json", taskLegacy("t"), true},
		{"extension, JSON", "application/json; charset=utf-8", taskModern("t"), true},
		{"2025-11-25, SSE", "text/event-stream", events(progress, taskLegacy("t")), true},
		{"extension, SSE", "text/event-stream", events(progress, taskModern("t")), true},
		{"SSE in several data lines", "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{\"taskId\":\"t\"}}\n\n", true},
		{"escaped id", "application/json", `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"\u0074"}}}`, true},
		{"members around it", "application/json", `{"id":1,"result":{"_meta":{"task":{"taskId":"x"}},"task":{"a":[{}],"taskId":"t","b":1}},"jsonrpc":"2.0"}`, true},
		{"no content type", "", taskLegacy("t"), true},
		{"deeper", "application/json", `{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"task":{"taskId":"t"},"taskId":"t"}}}`, false},
		{"not in a result", "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","data":{"taskId":"t"}}}`, false},
		{"id of another type", "application/json", `{"jsonrpc":"2.0","id":1,"result":{"taskId":7,"task":["t"]}}`, false},
		{"empty id", "application/json", `{"jsonrpc":"2.0","id":1,"result":{"taskId":""}}`, false},
		{"not JSON", "application/json", `{"jsonrpc":"2.0","id":1,"result":{"taskId" "t"}}`, false},
		{"longer than an id can be", "application/json", taskLegacy(strings.Repeat("t", 65<<10)), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newTaskBed(t, nil)
			b.contentType, b.reply = row.contentType, row.reply
			owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
			asClient := b.token(mcpauthtest.Claims{"client_id": "user-1"})
			w := b.legacyCall(owner, "echo")
			b.served(w)
			assert.Equal(t, row.reply, w.Body.String(), "bodies are passed on byte for byte")
			for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
				for _, token := range []string{foreign, asClient} {
					w := b.legacyTask(token, method, "t")
					b.unknown(w)
					assert.Equal(t, sessionAnswer(b.legacyTask(token, method, "random")), sessionAnswer(w))
				}
			}
			for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
				w := b.modernTask(foreign, method, "t")
				b.unknown(w)
				assert.Equal(t, sessionAnswer(b.modernTask(foreign, method, "random")), sessionAnswer(w))
			}
			if !row.bound {
				b.unknown(b.legacyTask(owner, "tasks/get", "t"))
				return
			}
			for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
				b.served(b.legacyTask(owner, method, "t"))
			}
			b.served(b.modernTask(b.token(mcpauthtest.Claims{"jti": "refreshed", "client_id": "client-9"}), "tasks/update", "t"))
		})
	}
}

// TestTaskTakeover_MCP_80: who has a task's id come back from a call of its own does not get it. Nor has the one who
// began the first any more: a handler that counts may have begun to count anew, and the task is the other's by now.
func TestTaskTakeover_MCP_80(t *testing.T) {
	b := newTaskBed(t, nil)
	owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
	b.begin(owner, "echo", "t")
	b.begin(foreign, "echo", "t")
	for range 2 {
		b.notOwn(foreign, "t")
		b.notOwn(owner, "t")
		b.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", b.contentType)
			w.WriteHeader(b.status)
			_, _ = io.WriteString(w, b.reply)
		}
		b.begin(owner, "echo", "t") // nor by beginning it once more
	}
	b.begin(owner, "echo", "mine")
	b.begin(owner, "echo", "mine") // the answer that is sent twice
	b.served(b.legacyTask(owner, "tasks/get", "mine"))
	b.status = http.StatusInternalServerError
	b.reply = taskLegacy("failed")
	b.legacyCall(owner, "echo")
	b.ran = 0
	b.unknown(b.legacyTask(owner, "tasks/get", "failed"))
}

// TestTaskOfAnotherAnswer_MCP_80: a task is that of the request whose answer names it.
func TestTaskOfAnotherAnswer_MCP_80(t *testing.T) {
	for name, row := range map[string]struct {
		request, answer string
		bound           bool
	}{
		"its own":          {`1`, `1`, true},
		"text":             {`"a"`, `"\u0061"`, true},
		"another":          {`1`, `99`, false},
		"text of a number": {`1`, `"1"`, false},
		"number of a text": {`"1"`, `1`, false},
		"null":             {`1`, `null`, false},
		"an object":        {`1`, `{"id":1}`, false},
		"long":             {`"` + strings.Repeat("x", 100) + `"`, `"` + strings.Repeat("x", 100) + `"`, true},
		"long, another":    {`"` + strings.Repeat("x", 100) + `"`, `"` + strings.Repeat("x", 99) + `y"`, false},
	} {
		for _, form := range []string{"%s", "data: %s\n\n", "[%s]"} {
			t.Run(name+" "+form, func(t *testing.T) {
				b := newTaskBed(t, nil)
				b.reply = fmt.Sprintf(form, strings.Replace(taskLegacy("t"), `"id":1`, `"id":`+row.answer, 1))
				if strings.HasPrefix(form, "data") {
					b.contentType = "text/event-stream"
				}
				call := strings.Replace(legacyCall("echo"), `"id":1`, `"id":`+row.request, 1)
				if form[0] == '[' {
					call = "[" + call + "]"
				}
				b.served(b.post(b.token(nil), call))
				b.notOwn(b.token(mcpauthtest.Claims{"sub": "user-2"}), "t")
				if row.bound {
					b.isOwned("t")
					return
				}
				b.notOwn(b.token(nil), "t")
				assert.Contains(t, b.log.String(), "belongs to nobody")
			})
		}
	}
}

// TestTaskInBatch_MCP_80: a batch names no foreign task either, and a batch of one may begin one.
func TestTaskInBatch_MCP_80(t *testing.T) {
	b := newTaskBed(t, nil)
	owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
	b.reply = "[" + taskLegacy("t") + "]"
	b.served(b.post(owner, "["+legacyCall("echo")+"]"))
	get := `[{"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","id":3,"method":"tasks/get","params":{"taskId":"t"}}]`
	b.served(b.post(owner, get))
	w := b.post(foreign, get)
	b.refused(w, http.StatusOK, "")
	assert.Contains(t, w.Body.String(), "task not found")
	b.reply = "[" + taskLegacy("u") + "," + taskLegacy("v") + "]"
	b.served(b.post(owner, "["+legacyCall("echo")+`,{"jsonrpc":"2.0","id":2,"method":"ping"}]`))
	b.unknown(b.legacyTask(owner, "tasks/get", "u"))
}

// TestTaskScopes_MCP_81: a task needs what the call that began it needs, now.
func TestTaskScopes_MCP_81(t *testing.T) {
	b := newTaskBed(t, func(c *mcpauth.Config) {
		rules := taskRules()
		rules.Methods["tasks/result"] = mcpauth.Scopes("tasks:read")
		c.Policy = rules
	})
	all := b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin mcp:audit tasks:read"})
	b.begin(all, "admin_delete", "a")
	b.begin(all, "audit", "b")
	reader := b.token(nil)
	for _, method := range []string{"tasks/get", "tasks/cancel"} {
		b.refused(b.legacyTask(reader, method, "a"), http.StatusForbidden,
			`Bearer error="insufficient_scope", scope="mcp:read mcp:admin", resource_metadata="`+testMetadataURL+`"`)
		b.refused(b.modernTask(reader, method, "a"), http.StatusForbidden, adminChallenge)
	}
	b.refused(b.modernTask(reader, "tasks/update", "a"), http.StatusForbidden, adminChallenge)
	b.refused(b.legacyTask(b.token(mcpauthtest.Claims{"scope": nil}), "tasks/result", "a"), http.StatusForbidden,
		`Bearer error="insufficient_scope", scope="tasks:read mcp:admin", resource_metadata="`+testMetadataURL+`"`)
	w := b.post(reader, modernBody("subscriptions/listen", `"notifications":{"taskIds":["a","b"]}`), modernHeaders("subscriptions/listen", "")...)
	b.refused(w, http.StatusForbidden, `Bearer error="insufficient_scope", scope="mcp:admin mcp:audit", resource_metadata="`+testMetadataURL+`"`)
	b.served(b.legacyTask(all, "tasks/result", "a"))
	b.served(b.post(all, modernBody("subscriptions/listen", `"notifications":{"taskIds":["a","b"]}`), modernHeaders("subscriptions/listen", "")...))
	w = b.post(all, modernBody("subscriptions/listen", `"notifications":{"taskIds":["a","c"]}`), modernHeaders("subscriptions/listen", "")...)
	b.unknown(w)
	// A stranger with too few scopes learns nothing: the same answer with a good task as without one.
	stranger := b.token(mcpauthtest.Claims{"sub": "user-2", "scope": nil})
	b.unknown(b.legacyTask(stranger, "tasks/get", "a"))
	w = b.legacyTask(stranger, "tasks/result", "a")
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Equal(t, sessionAnswer(b.legacyTask(stranger, "tasks/result", "random")), sessionAnswer(w))
}

// TestTaskArguments_MCP_81: a policy that looks at arguments sees those that began the task.
func TestTaskArguments_MCP_81(t *testing.T) {
	b := newTaskBed(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if strings.Contains(string(call.Arguments), "secret") {
				return mcpauth.Scopes("mcp:admin"), nil
			}
			return mcpauth.Authenticated(), nil
		})
	})
	admin := b.token(mcpauthtest.Claims{"scope": "mcp:admin"})
	call := func(arguments string) {
		b.served(b.post(admin, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":`+arguments+`}}`))
	}
	b.reply = taskLegacy("t")
	call(`{"table":"secret"}`)
	b.reply = taskLegacy("u")
	call(`{"table":"public"}`)
	b.reply = taskLegacy("v")
	call(`{"table":"` + strings.Repeat("x", 65<<10) + `"}`)
	b.served(b.legacyTask(admin, "tasks/get", "t"))
	b.served(b.legacyTask(b.token(nil), "tasks/get", "u"))
	w := b.legacyTask(b.token(nil), "tasks/get", "t")
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), "mcp:admin")
	b.unknown(b.legacyTask(admin, "tasks/get", "v"))
}

// TestTaskLists_MCP_82: denied without a rule, and with one cut down to the caller's own.
func TestTaskLists_MCP_82(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`
	version := "MCP-Protocol-Version: 2025-11-25"
	f := newFixture(t, nil)
	f.refused(f.post(f.token(nil), list, version), http.StatusForbidden, "")
	f.refused(f.legacyCall(f.token(nil), "unlisted"), http.StatusForbidden, "")

	b := newTaskBed(t, nil)
	w := b.post(b.token(nil), modernBody("tasks/list", ""), modernHeaders("tasks/list", "")...)
	b.refused(w, http.StatusNotFound, "")
	assert.Contains(t, w.Body.String(), `"code":-32601`)

	owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
	b.begin(owner, "echo", "mine")
	b.begin(foreign, "echo", "theirs")
	all := `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"theirs","status":"working"},{"taskId":"mine","status":"working"},{"taskId":"old"},{"status":"nameless"}],"nextCursor":"n"}}`
	own := `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"mine","status":"working"}],"nextCursor":"sealed"}}`
	for contentType, wrap := range map[string]string{"application/json": "%s", "text/event-stream": "event: message\ndata: %s\n\n"} {
		b.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = fmt.Fprintf(w, wrap, all)
		}
		w := b.post(owner, list, version)
		b.served(w)
		assert.Equal(t, fmt.Sprintf(wrap, own), withoutCursor(w.Body.String()))
		w = b.post(b.token(mcpauthtest.Claims{"sub": "user-3"}), list, version)
		b.served(w)
		assert.Equal(t, fmt.Sprintf(wrap, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[],"nextCursor":"sealed"}}`), withoutCursor(w.Body.String()))
		if contentType == "text/event-stream" { // a list that is replayed
			w = b.do(http.MethodGet, "/mcp", owner, "", version)
			b.served(w)
			assert.Equal(t, fmt.Sprintf(wrap, own), withoutCursor(w.Body.String()))
		}
	}
}

// TestTaskStore_MCP_83: a process that does not know who began a task gives it
// to nobody, unless that is the handler's business.
func TestTaskStore_MCP_83(t *testing.T) {
	cold := newTaskBed(t, nil)
	cold.unknown(cold.legacyTask(cold.token(nil), "tasks/get", "t"))

	delegated := newTaskBed(t, func(c *mcpauth.Config) { c.DelegateTasks = true })
	delegated.served(delegated.legacyTask(delegated.token(nil), "tasks/get", "t"))
	p, ok := mcpauth.FromContext(delegated.last.Context())
	require.True(t, ok, "MCP-80: the handler has the principal")
	assert.NotEmpty(t, p.Key())
	delegated.refused(delegated.legacyTask("", "tasks/get", "t"), http.StatusUnauthorized, bareChallenge)

	closed := newFixture(t, func(c *mcpauth.Config) { c.DelegateTasks = true })
	w := closed.post(closed.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`, "MCP-Protocol-Version: 2025-11-25")
	closed.refused(w, http.StatusForbidden, "") // MCP-80: no rule, no task
}

// TestTaskHeader_MCP_84: Mcp-Name is the task's id.
func TestTaskHeader_MCP_84(t *testing.T) {
	b := newTaskBed(t, nil)
	b.begin(b.token(nil), "echo", "t")
	b.served(b.modernTask(b.token(nil), "tasks/get", "t"))
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		for _, name := range []string{"u", "", "T"} {
			w := b.post(b.token(nil), modernBody(method, `"taskId":"t"`), modernHeaders(method, name)...)
			b.refused(w, http.StatusBadRequest, "")
			assert.Contains(t, w.Body.String(), `"code":-32020`)
		}
	}
}

// TestTaskCost_MCP_83_MCP_85: no response is held back for the task that may be in it, and only where there may
// be one is the handler asked not to compress.
func TestTaskCost_MCP_83_MCP_85(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*mcpauth.Config)
		first  int // bytes that the handler writes at first
		flush  bool
		bound  bool
	}{
		{"no rule for tasks", func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: taskRules().Tools} }, 1, false, false},
		{"delegated", func(c *mcpauth.Config) { c.DelegateTasks = true }, 1, false, false},
		{"rules for tasks", nil, 1, false, true},
		{"rules for tasks, a long response", nil, 65 << 10, false, true},
		{"rules for tasks, flushed", nil, 1, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Policy = taskRules()
				if row.change != nil {
					row.change(c)
				}
			})
			out := httptest.NewRecorder()
			text := strings.Repeat(" ", row.first-1) + taskLegacy("t")
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, text[:row.first])
				if row.flush {
					_ = http.NewResponseController(w).Flush()
				}
				assert.Equal(t, row.first, out.Body.Len(), "it goes out when it comes")
				assert.Equal(t, row.flush, out.Flushed)
				_, _ = io.WriteString(w, text[row.first:])
			}
			f.handler.ServeHTTP(out, f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "Accept-Encoding: gzip"))
			assert.Equal(t, text, out.Body.String())
			f.inner, f.ran = nil, 0
			assert.Empty(t, f.last.Header.Get("Accept-Encoding"), "what is compressed cannot be looked at")
			w := f.post(f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`, "MCP-Protocol-Version: 2025-11-25")
			assert.Equal(t, row.bound || row.name == "delegated", f.ran == 1, "%s", w.Body)
		})
	}
}

// TestTaskMCPGo_MCP_80 is mcp-go's own server with its own tasks.
func TestTaskMCPGo_MCP_80(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = taskRules() })
	inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(false), server.WithTaskCapabilities(true, true, true))
	tool := mcp.NewTool("echo", mcp.WithTaskSupport(mcp.TaskSupportRequired))
	inner.AddTaskTool(tool, func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
		return &mcp.CreateTaskResult{}, nil
	})
	f.handler = f.auth.Wrap(server.NewStreamableHTTPServer(inner, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler))))
	w := f.post(f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"task":{}}}`, "MCP-Protocol-Version: 2025-11-25")
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	var answer struct {
		Result struct {
			Task struct {
				ID string `json:"taskId"`
			} `json:"task"`
		} `json:"result"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
	require.NotEmpty(t, answer.Result.Task.ID, "%s", w.Body)
	get := func(token string) string {
		w := f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":%q}}`, answer.Result.Task.ID), "MCP-Protocol-Version: 2025-11-25")
		return w.Body.String()
	}
	assert.NotContains(t, get(f.token(nil)), "task not found")
	assert.Contains(t, get(f.token(nil)), answer.Result.Task.ID)
	assert.Contains(t, get(f.token(mcpauthtest.Claims{"sub": "user-2"})), "task not found")
}
