package mcpauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// slowPolicy takes 10 ms for each question about a target and counts those
// that are asked once the client has left.
type slowPolicy struct {
	left  chan struct{}
	asked atomic.Int32
	late  atomic.Int32
}

func (p *slowPolicy) Require(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	if call.Name == "" {
		return mcpauth.Authenticated(), nil
	}
	p.asked.Add(1)
	select {
	case <-p.left:
		p.late.Add(1)
	default:
	}
	time.Sleep(10 * time.Millisecond)
	return mcpauth.Authenticated(), nil
}

// leftWriter notices whether anything at all is sent.
type leftWriter struct {
	*httptest.ResponseRecorder
	header bool
}

func (w *leftWriter) WriteHeader(status int) {
	w.header = true
	w.ResponseRecorder.WriteHeader(status)
}

// leftEntries are 300 of a kind, each made from its number.
func leftEntries(format string) string {
	entries := make([]string, 300)
	for i := range entries {
		entries[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(entries, ",")
}

// TestClientLeavesFilter_ISOL_18: when the client has gone, nobody is asked any
// more what it may see, it is sent nothing, and the log has no failure of ours.
func TestClientLeavesFilter_ISOL_18(t *testing.T) {
	post := func(body string) func(f *fixture) *http.Request {
		return func(f *fixture) *http.Request { return f.request(http.MethodPost, "/mcp", f.token(nil), body) }
	}
	list := func(method string) func(f *fixture) *http.Request {
		return post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `"}`)
	}
	stream := func(f *fixture) *http.Request { return f.request(http.MethodGet, "/mcp", f.token(nil), "") }
	result := func(member, entry string) string {
		return `{"jsonrpc":"2.0","id":1,"result":{"` + member + `":[` + leftEntries(entry) + `]}}`
	}
	events := func(format string) string {
		return "data: " + strings.ReplaceAll(leftEntries(format), ",{\"jsonrpc", "\n\ndata: {\"jsonrpc") + "\n\n"
	}
	rows := []struct {
		name, contentType, answer string
		request                   func(f *fixture) *http.Request
		held                      bool // nothing is sent before all of it has been looked at
	}{
		{"tools", listsJSON, result("tools", `{"name":"t%d"}`), list("tools/list"), true},
		{"prompts", listsJSON, result("prompts", `{"name":"t%d"}`), list("prompts/list"), true},
		{"resources", listsJSON, result("resources", `{"uri":"db://t%d"}`), list("resources/list"), true},
		{"templates", listsJSON, result("resourceTemplates", `{"uriTemplate":"db://t%d/{x}"}`), list("resources/templates/list"), true},
		{"tasks", listsJSON, result("tasks", `{"taskId":"task-%d"}`), list("tasks/list"), true},
		{"a batch", listsJSON, "[" + result("tools", `{"name":"t%d"}`) + "]", post(`[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`), true},
		{"a batch of many", listsJSON, "[" + strings.ReplaceAll(leftEntries(`{"result":{"tools":[{"name":"t%d"}]}}`), "\n", "") + "]", post(`[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`), true},
		{"tools in an event", listsStream, "data: " + result("tools", `{"name":"t%d"}`) + "\n\n", list("tools/list"), false},
		{"tools in an event of another name", listsStream, "event: other\ndata: " + result("tools", `{"name":"t%d"}`) + "\n\n", list("tools/list"), false},
		{"tools in an event that does not end", listsStream, "data: " + result("tools", `{"name":"t%d"}`), list("tools/list"), false},
		{"a list on a stream", listsStream, "data: " + result("tools", `{"name":"t%d"}`) + "\n\n", stream, false},
		{"many lists on a stream", listsStream, events(`{"jsonrpc":"2.0","result":{"tools":[{"name":"t%d"}]}}`), stream, false},
		{"notifications on a stream", listsStream, events(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"db://%d"}}`), stream, false},
		{"notifications in the answer to a call", listsStream, events(`{"jsonrpc":"2.0","method":"notifications\/resources\/updated","params":{"uri":"db://%d"}}`), post(legacyCall("echo")), false},
		{"notifications in one event", listsStream, "data: [" + leftEntries(`{"method":"notifications/resources/updated","params":{"uri":"db://%d"}}`) + "]\n\n", post(legacyCall("echo")), false},
		{"notifications in one event of a stream", listsStream, "data: [" + leftEntries(`{"method":"notifications/resources/updated","params":{"uri":"db://%d"}}`) + "]\n\n", stream, false},
		{"notifications of tasks", listsStream, events(`{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"task-%d"}}`), stream, false},
		{"messages about tasks", listsStream, events(`{"jsonrpc":"2.0","method":"notifications/message","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"task-%d"}}}}`), stream, false},
		{"results of tasks", listsStream, events(`{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"task-%d"}}}}`), stream, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				policy := &slowPolicy{left: make(chan struct{})}
				f := newFixture(t, func(c *mcpauth.Config) { c.Policy = policy })
				token := f.token(nil)
				for i := range 300 {
					f.inner = listsAnswer(listsJSON, taskLegacy(fmt.Sprintf("task-%d", i)))
					f.served(f.post(token, legacyCall("echo")))
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var began int32
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					began = policy.asked.Load()
					time.AfterFunc(25*time.Millisecond, func() { leave(); close(policy.left) }) // while it is asked
					w.Header().Set("Content-Type", row.contentType)
					for rest := row.answer; rest != ""; { // a handler that does not look at errors
						n := min(1000, len(rest))
						_, _ = io.WriteString(w, rest[:n])
						rest = rest[n:]
					}
					if strings.HasSuffix(row.answer, "\n\n") { // some event was not decided about
						assert.ErrorIs(t, http.NewResponseController(w).Flush(), context.Canceled)
					}
				}
				f.log.Reset()
				w := &leftWriter{ResponseRecorder: httptest.NewRecorder()}
				f.handler.ServeHTTP(w, row.request(f).WithContext(ctx))
				<-policy.left
				assert.LessOrEqual(t, policy.late.Load(), int32(1), "questions after the client has left, beside the second one of a decision under way")
				assert.GreaterOrEqual(t, policy.asked.Load()-began, int32(2), "and it was asked before")
				t.Logf("questions after the client has left: %d", policy.late.Load())
				if row.held {
					assert.False(t, w.header)
					assert.Zero(t, w.Body.Len())
				}
				assert.False(t, strings.Contains(w.Body.String(), "9"), "what was not asked about is passed on")
				assert.Empty(t, f.log.String())
			})
		})
	}
}

// TestClientLeavesTask_ISOL_18: a task that began is its owner's, although
// nobody waited for the answer, and no list in that answer is asked about.
func TestClientLeavesTask_ISOL_18(t *testing.T) {
	for _, contentType := range []string{listsJSON, listsStream} {
		synctest.Test(t, func(t *testing.T) {
			policy := &slowPolicy{left: make(chan struct{})}
			f := newFixture(t, func(c *mcpauth.Config) { c.Policy = policy })
			ctx, leave := context.WithCancel(t.Context())
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				leave()
				close(policy.left)
				listsAnswer(contentType, `data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b"}],"task":{"taskId":"t"}}}`[map[string]int{listsJSON: 6}[contentType]:])(w, r)
			}
			f.serve(f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo")).WithContext(ctx))
			assert.Zero(t, policy.late.Load(), "nothing of the answer to a call is filtered")
			f.inner, f.ran = nil, 0
			get := `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`
			f.served(f.post(f.token(nil), get))
			f.post(f.token(mcpauthtest.Claims{"sub": "user-2"}), get)
			assert.Zero(t, f.ran)
		})
	}
}

// TestDeadlineOfList_ISOL_18: who set a deadline is still there, and is told
// that there is no list; so is the operator. Nobody is asked any more.
func TestDeadlineOfList_ISOL_18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &slowPolicy{left: make(chan struct{})}
		f := newFixture(t, func(c *mcpauth.Config) { c.Policy = policy })
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
		defer cancel()
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+leftEntries(`{"name":"t%d"}`)+`]}}`)
		w := f.serve(f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).WithContext(ctx))
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.False(t, strings.Contains(w.Body.String(), "t1"))
		assert.Equal(t, int32(3), policy.asked.Load())
		assert.Contains(t, f.log.String(), "level=ERROR")
		assert.Contains(t, f.log.String(), "context deadline exceeded")
		assert.NotContains(t, f.log.String(), "JSON-RPC message")
	})
}

// TestCancelledBesideClient_ISOL_18: a context may end while the client still
// waits. It does not take the answer for an empty one, but for one cut off.
func TestCancelledBesideClient_ISOL_18(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		f := newFixture(t, nil)
		f.served(f.legacyCall(f.token(nil), "echo")) // the keys are there
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`)(w, r)
			w.Header().Set("Set-Cookie", "late=canary")
		}
		wrapped := f.handler
		f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			wrapped.ServeHTTP(w, r.WithContext(ctx))
		})
		server, client := serverFor(t, f, h2)
		resp := streamingDo(t, server, client, f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		body, err := io.ReadAll(resp.Body)
		require.Error(t, err, "%v %s", resp.Header, body)
		assert.Empty(t, body)
		assert.Empty(t, resp.Header.Values("Set-Cookie"))
	}
}
