package mcpauth_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// TestUnreadableListOfAnyStatus_MCP_63: an error keeps its status, and loses a body that may have a list that cannot be read.
func TestUnreadableListOfAnyStatus_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, status := range []int{300, 400, 404, 500} {
		for name, text := range map[string]string{
			"a name twice": `{"id":1,"id":1,"result":{"tools":[{"name":"admin_delete"}]}}`,
			"not whole":    `{"id":1,"result":{"tools":[{"name":"admin_delete"}`,
			"a mark":       "\ufeff" + `{"id":1,"id":1,"result":{"tools":[{"name":"admin_delete"}]}}`,
			"other case":   `{"id":1,"id":1,"Result":{"tools":[{"name":"admin_delete"}]}}`,
			"a batch":      `[{"id":1,"id":1,"result":{"tools":[{"name":"admin_delete"}]}}]`,
			"compressed":   "coded",
		} {
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", listsJSON)
				w.Header().Set("X-Own", "own")
				if name == "compressed" {
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
			}
			w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
			assert.Equal(t, status, w.Code, name)
			assert.Empty(t, w.Body.String(), name)
			assert.Equal(t, "own", w.Header().Get("X-Own"))
			assert.Empty(t, w.Header().Get("Content-Encoding"), name)
		}
	}
	assert.Contains(t, f.log.String(), "list cannot be filtered")
}

// TestErrorsQuoteNoCursor_MCP_67: a handler that quotes the cursor it was given quotes what its sender may not know.
func TestErrorsQuoteNoCursor_MCP_67(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, modern := range []bool{false, true} {
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"hidden_name"}}`)
		sealed := cursorOf(t, f.serve(listsRequest(f, "tools/list", f.token(nil), modern)).Body.String())
		for given, code := range map[string]string{
			`{"code":-32602,"message":"invalid cursor: hidden_name"}`:         "-32602",
			`{"code":-32603,"message":"x","data":["hidden_name"]}`:            "-32603",
			`{"message":"hidden_name","CODE":7,"x":"hidden_name"}`:            "7",
			`{"code":"hidden_name"}`:                                          "-32603",
			`"hidden_name"`:                                                   "-32603",
			`{"code":-32602,"message":"h\u0069dden_name aGlkZGVuX25hbWU="}`:   "-32602",
			`{"code":123456789012345678901234567890,"message":"hidden_name"}`: "-32603",
		} {
			for _, member := range []string{"error", "Error", "err\\u006fr"} {
				want := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"%s":{"code":%s,"message":"no page for this cursor"}}`, member, code)
				answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"%s":%s}`, member, given)
				for _, status := range []int{200, 400} {
					f.inner = func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", listsJSON)
						w.WriteHeader(status)
						_, _ = io.WriteString(w, answer)
					}
					w := f.serve(pageRequest(f, "tools/list", f.token(nil), sealed, modern))
					require.Equal(t, status, w.Code)
					require.Equal(t, want, w.Body.String())
				}
				f.inner = listsAnswer(listsStream, "data: "+answer+"\n\n")
				w := f.serve(pageRequest(f, "tools/list", f.token(nil), sealed, modern))
				require.Equal(t, "data: "+want+"\n\n", w.Body.String())
			}
			f.inner = listsAnswer(listsJSON, `{"error":`+given+`}`)
			w := f.serve(listsRequest(f, "tools/list", f.token(nil), modern))
			require.Equal(t, `{"error":`+given+`}`, w.Body.String(), "without a cursor the words are the handler's")
		}
		for _, text := range []string{"invalid cursor: hidden_name", `{"detail":"hidden_name"`, ""} {
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, text)
			}
			w := f.serve(pageRequest(f, "tools/list", f.token(nil), sealed, modern))
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Empty(t, w.Body.String())
		}
	}
}

// TestReplayedCursor_MCP_67: a page that is replayed has its cursor sealed, also if it has no entries to tell of what it is.
func TestReplayedCursor_MCP_67(t *testing.T) {
	f := newFixture(t, listsPolicy)
	f.inner = listsAnswer(listsStream, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"nextCursor\":\"hidden_name\"}}\n\n")
	for _, name := range []string{"GET", "replayed", "listen", "list"} {
		w := f.serve(heardStreams(f, t)[name])
		assert.NotContains(t, w.Body.String(), "hidden_name", name)
		assert.Regexp(t, `"nextCursor":"[A-Za-z0-9_-]{100,}"`, w.Body.String(), name)
	}
}

// TestUnnamedTaskMethods_ISOL_15: a method on tasks that names none may list them, whatever it is called.
func TestUnnamedTaskMethods_ISOL_15(t *testing.T) {
	b := newTaskBed(t, func(c *mcpauth.Config) {
		rules := taskRules()
		rules.Methods["tasks/search"] = mcpauth.Authenticated()
		c.Policy = rules
	})
	b.begin(b.token(nil), "echo", "mine")
	for _, cursor := range []string{"", `,"params":{"cursor":%s}`} {
		search := `{"jsonrpc":"2.0","id":1,"method":"tasks/search"%s}`
		if cursor != "" {
			cursor = fmt.Sprintf(cursor, cursorOf(t, b.post(b.token(nil), fmt.Sprintf(search, "")).Body.String()))
			b.ran = 0
		}
		b.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"theirs"},{"taskId":"mine"}],"nextCursor":"theirs"}}`)
		w := b.post(b.token(nil), fmt.Sprintf(search, cursor), "MCP-Protocol-Version: 2025-11-25")
		b.served(w)
		assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"mine"}],"nextCursor":"sealed"}}`, withoutCursor(w.Body.String()))
		if cursor != "" {
			assert.Contains(t, string(b.body), `"cursor":"theirs"`, "the handler's own comes back to it")
		}
	}
}
