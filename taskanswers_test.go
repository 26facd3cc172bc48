package mcpauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// visibleTasks are rules under which the tools of tasks need different scopes,
// one of them visible to everybody, and asking for a task needs one of its own.
func visibleTasks() mcpauth.Rules {
	rules := taskRules()
	rules.Tools["teaser"] = mcpauth.Requirement{AllOf: []string{"mcp:admin"}, Visible: true}
	rules.Methods["tasks/get"] = mcpauth.Scopes("tasks:read")
	return rules
}

// TestTasksAreShownAsServed_ISOL_15: a list and a stream tell of a task, and of
// what its status message says, only to whom tasks/get would.
func TestTasksAreShownAsServed_ISOL_15(t *testing.T) {
	const all = "mcp:read mcp:admin mcp:audit tasks:read"
	began := map[string]string{"e": "echo", "d": "admin_delete", "a": "audit", "v": "teaser"}
	ids := []string{"e", "d", "a", "v", "theirs", "random"}
	state := func(id string) string {
		return fmt.Sprintf(`{"taskId":%q,"status":"working","statusMessage":"canary-of-%s"}`, id, id)
	}
	for policyName, policy := range map[string]mcpauth.Policy{
		"rules": visibleTasks(),
		"a function": mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if call.Method == "tasks/get" && call.Name == "a" { // who may ask for one task may not ask for all
				return mcpauth.Scopes("mcp:owner"), nil
			}
			return visibleTasks().Require(ctx, call)
		}),
	} {
		b := newTaskBed(t, func(c *mcpauth.Config) { c.Policy = policy })
		for id, tool := range began {
			b.begin(b.token(mcpauthtest.Claims{"scope": all}), tool, id)
		}
		b.begin(b.token(mcpauthtest.Claims{"sub": "user-2", "scope": all}), "echo", "theirs")
		for _, caller := range []mcpauthtest.Claims{
			{"scope": all}, {"scope": "mcp:read tasks:read"}, {"scope": "mcp:audit tasks:read"}, {"scope": "tasks:read"},
			{"scope": "mcp:read mcp:admin mcp:audit"}, {"scope": nil}, {"scope": all, "sub": "user-2"}, {"scope": all, "sub": "user-3"},
			{"scope": all, "client_id": "user-1"},
		} {
			name := fmt.Sprint(policyName, " ", caller)
			token := b.token(caller)
			var want, entries, heard []string
			stream := ""
			for _, id := range ids {
				b.ran = 0
				b.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				b.legacyTask(token, "tasks/get", id)
				if b.ran == 1 {
					want = append(want, state(id))
				}
				entries = append(entries, state(id))
				for _, method := range []string{"notifications/tasks", "notifications/tasks/status"} {
					event := "data: {\"jsonrpc\":\"2.0\",\"method\":\"" + method + "\",\"params\":" + state(id) + "}\n\n"
					stream += event
					if b.ran != 1 {
						event = "\n" // what is left of an event without its data
					}
					heard = append(heard, event)
				}
			}
			b.ran = 0
			list := `{"jsonrpc":"2.0","id":1,"result":{"tasks":[%s]}}`
			b.inner = listsAnswer(listsJSON, fmt.Sprintf(list, strings.Join(entries, ",")))
			w := b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, "MCP-Protocol-Version: 2025-11-25")
			b.served(w)
			assert.Equal(t, fmt.Sprintf(list, strings.Join(want, ",")), w.Body.String(), name)

			b.inner = listsAnswer(listsStream, stream)
			w = b.do(http.MethodGet, "/mcp", token, "")
			b.served(w)
			assert.Equal(t, strings.Join(heard, ""), w.Body.String(), name)
		}
	}
}

// TestUnknownTaskMethods_MCP_80: a method on a task that no revision knows is
// the owner's like those that are known, once the rules let it through at all.
func TestUnknownTaskMethods_MCP_80(t *testing.T) {
	for name, policy := range map[string]mcpauth.Policy{
		"rules": mcpauth.Rules{
			Tools:   map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")},
			Methods: map[string]mcpauth.Requirement{"tasks/delete": mcpauth.Authenticated(), "files/delete": mcpauth.Authenticated()},
		},
		"a function": mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil }),
	} {
		t.Run(name, func(t *testing.T) {
			b := newTaskBed(t, func(c *mcpauth.Config) { c.Policy = policy })
			owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
			b.begin(owner, "echo", "t")
			w := b.legacyTask(foreign, "tasks/delete", "t")
			b.unknown(w)
			assert.Equal(t, sessionAnswer(b.legacyTask(foreign, "tasks/delete", "random")), sessionAnswer(w))
			w = b.modernTask(foreign, "tasks/delete", "t")
			b.unknown(w)
			assert.Equal(t, sessionAnswer(b.modernTask(foreign, "tasks/delete", "random")), sessionAnswer(w))
			b.refused(b.post(foreign, `[{"jsonrpc":"2.0","id":1,"method":"tasks/delete","params":{"taskId":"t"}}]`), http.StatusOK, "")

			b.served(b.legacyTask(owner, "tasks/delete", "t"))
			b.served(b.modernTask(owner, "tasks/delete", "t"))
			w = b.legacyTask(b.token(mcpauthtest.Claims{"scope": nil}), "tasks/delete", "t")
			if name == "rules" { // what the call needs that began the task, the deletion needs
				b.refused(w, http.StatusForbidden, `Bearer error="insufficient_scope", scope="mcp:read", resource_metadata="`+testMetadataURL+`"`)
			} else {
				b.served(w)
			}
			// Neither names a task: nothing to own.
			b.served(b.post(foreign, `{"jsonrpc":"2.0","id":1,"method":"tasks/delete"}`, "MCP-Protocol-Version: 2025-11-25"))
			b.served(b.legacyTask(foreign, "files/delete", "t"))
			for _, id := range []string{`7`, `["t"]`, `{"":"t"}`, `""`, `null`, `true`} {
				w := b.post(foreign, `{"jsonrpc":"2.0","id":1,"method":"tasks/delete","params":{"taskId":`+id+`}}`, "MCP-Protocol-Version: 2025-11-25")
				b.refused(w, http.StatusBadRequest, "")
				assert.Contains(t, w.Body.String(), `"code":-32602`, id)
			}
		})
	}
}

// TestDelegatedTasks_ISOL_15: where the handler keeps the owners itself, a list
// shows what the policy lets the caller ask for, and nothing for being visible.
func TestDelegatedTasks_ISOL_15(t *testing.T) {
	b := newTaskBed(t, func(c *mcpauth.Config) {
		c.DelegateTasks = true
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if call.Name == "secret" {
				return mcpauth.Requirement{AllOf: []string{"mcp:admin"}, Visible: true}, nil
			}
			return mcpauth.Authenticated(), nil
		})
	})
	b.inner = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"secret","statusMessage":"canary"},{"taskId":"t"}]}}`)
	}
	w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, "MCP-Protocol-Version: 2025-11-25")
	b.served(w)
	assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"t"}]}}`, w.Body.String())
	require.Equal(t, http.StatusForbidden, b.legacyTask(b.token(nil), "tasks/get", "secret").Code)
}
