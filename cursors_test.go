package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var anyCursor = regexp.MustCompile(`"nextCursor":"[^"]+"`)

// withoutCursor is a message with the word sealed in the place of a cursor.
func withoutCursor(message string) string {
	return anyCursor.ReplaceAllString(message, `"nextCursor":"sealed"`)
}

// cursorMissiles is what mcp-go makes of the name of the last entry.
var cursorMissiles = base64.StdEncoding.EncodeToString([]byte("launch_missiles"))

// cursorOf returns the cursor of an answer, JSON or one event, as it stands there.
func cursorOf(t *testing.T, answer string) string {
	t.Helper()
	if _, data, ok := strings.Cut(answer, "data: "); ok {
		answer = data
	}
	var message struct {
		Result struct{ NextCursor json.RawMessage }
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &message), answer)
	return string(message.Result.NextCursor)
}

// pageRequest asks for the page after a cursor, which is JSON.
func pageRequest(f *fixture, method, token, cursor string, modern bool) *http.Request {
	if modern {
		return f.request(http.MethodPost, "/mcp", token, modernBody(method, `"cursor": `+cursor+` `), modernHeaders(method, "")...)
	}
	body := fmt.Sprintf(`{"params":{"cursor": %s , "x":"1"},"jsonrpc":"2.0","method":%q,"id":"the id"}`, cursor, method)
	return f.request(http.MethodPost, "/mcp", token, body)
}

// tasksPolicy is listsPolicy with tasks.
func tasksPolicy(c *mcpauth.Config) {
	listsPolicy(c)
	rules := c.Policy.(mcpauth.Rules)
	rules.Methods = map[string]mcpauth.Requirement{"tasks/list": mcpauth.Authenticated(), "tasks/get": mcpauth.Authenticated()}
	c.Policy = rules
}

// TestCursors_MCP_67_MCP_08: a cursor goes out sealed, whatever the handler writes and whatever the page
// has hidden, and comes back to the handler as it was, with no other byte changed.
func TestCursors_MCP_67_MCP_08(t *testing.T) {
	f := newFixture(t, tasksPolicy)
	token := f.token(nil)
	kinds := append([]listsKind{{"tasks/list", "tasks", listsEntry(`{"taskId":"%s"}`)}}, listsKinds...)
	for _, kind := range kinds {
		for _, contentType := range []string{listsJSON, listsStream} {
			for _, modern := range []bool{false, true} {
				if modern && kind.member == "tasks" {
					continue
				}
				for _, cursor := range []string{`"` + cursorMissiles + `"`, `"\u006caunch\/\""`, `7`, `{"after":"launch_missiles","total":9}`, `["a"]`, `" "`, `"` + strings.Repeat("x", 60<<10) + `"`} {
					for _, entries := range []string{kind.entry("echo"), kind.entry("admin_delete"), ""} {
						name := fmt.Sprintf("%s %s modern=%v %.30s", kind.method, contentType, modern, cursor)
						answer := `{"jsonrpc":"2.0","id":1,"result":{"nextCursor": ` + cursor + ` ,"` + kind.member + `":[` + entries + `]}}`
						if contentType == listsStream {
							answer = "data: " + answer + "\n\n"
						}
						f.inner = listsAnswer(contentType, answer)
						w := f.serve(listsRequest(f, kind.method, token, modern))
						f.served(w)
						sealed := cursorOf(t, w.Body.String())
						require.Regexp(t, `^"[A-Za-z0-9_-]{120,}"$`, sealed, name)
						require.NotContains(t, w.Body.String(), "launch")
						require.NotContains(t, w.Body.String(), cursorMissiles)

						f.served(f.serve(pageRequest(f, kind.method, token, sealed, modern)))
						want := pageRequest(f, kind.method, token, cursor, modern)
						require.EqualValues(t, want.ContentLength, f.last.ContentLength, name)
						body := make([]byte, want.ContentLength)
						_, _ = want.Body.Read(body)
						require.Equal(t, string(body), string(f.body), name)
					}
				}
			}
		}
	}
}

// TestNoCursor_MCP_67: what says that there is no further page passes, both ways, and what is no list has no cursor.
func TestNoCursor_MCP_67(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		tasksPolicy(c)
		rules := c.Policy.(mcpauth.Rules)
		rules.Methods["vendor/list"] = mcpauth.Authenticated()
		c.Policy = rules
	})
	token := f.token(nil)
	for _, cursor := range []string{`""`, `null`} {
		for _, modern := range []bool{false, true} {
			answer := `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":` + cursor + `,"cacheScope":"private"}}`
			f.inner = listsAnswer(listsJSON, answer)
			r := pageRequest(f, "tools/list", token, cursor, modern)
			w := f.serve(r)
			f.served(w)
			assert.Equal(t, answer, w.Body.String())
			assert.Contains(t, string(f.body), `"cursor": `+cursor+" ")
		}
	}
	// Not one of ours, and no list.
	answer := `{"jsonrpc":"2.0","id":1,"result":{"things":[],"nextCursor":"x"}}`
	f.inner = listsAnswer(listsJSON, answer)
	w := f.serve(pageRequest(f, "vendor/list", token, `"x"`, false))
	f.served(w)
	assert.Equal(t, answer, w.Body.String())
	assert.Contains(t, string(f.body), `"cursor": "x"`)
	// A result of a tool looks like a list.
	answer = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"}],"nextCursor":"x"}}`
	f.inner = listsAnswer(listsJSON, answer)
	w = f.legacyCall(token, "echo")
	f.served(w)
	assert.Equal(t, answer, w.Body.String())
}

// TestCursorSpellings_MCP_67: whatever some reader takes for the cursor is sealed, and a result that forgot its list
// belongs to the list that was asked for.
func TestCursorSpellings_MCP_67(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, result := range []string{
		`{"tools":[],"NextCursor":"canary"}`, `{"tools":[],"next\u0043ursor":"canary"}`, `{"tools":null,"nextCurſor":"canary"}`,
		`{"nextCursor":"canary"}`, `{"nextCursor":"canary","NEXTCURSOR":"canary","tools":[]}`, `{"x":[],"nextCursor":{"tools":"canary"}}`,
	} {
		for _, modern := range []bool{false, true} {
			f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":`+result+`}`)
			w := f.serve(listsRequest(f, "tools/list", f.token(nil), modern))
			f.served(w)
			assert.NotContains(t, w.Body.String(), "canary", result)
		}
	}
	f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"`+strings.Repeat("x", 64<<10)+`"}}`)
	w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
	assert.Equal(t, http.StatusInternalServerError, w.Code, "longer than what is sealed")
}

// TestForeignCursors_MCP_67: a cursor is of use to the caller and for the list for which it was sealed,
// by whoever shares the key, and no other ever reaches the handler.
func TestForeignCursors_MCP_67(t *testing.T) {
	key := []byte(strings.Repeat("key.", 8))
	withKey := func(c *mcpauth.Config) { tasksPolicy(c); c.SessionKey = key }
	f := newFixture(t, withKey)
	sealedBy := func(f *fixture) string {
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"`+cursorMissiles+`"}}`)
		w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
		f.served(w)
		return cursorOf(t, w.Body.String())
	}
	sealed := sealedBy(f)
	assert.NotEqual(t, sealed, sealedBy(f), "whether the last entry is the same is not to be seen")

	replica := newFixture(t, withKey)
	replica.served(replica.serve(pageRequest(replica, "tools/list", replica.token(mcpauthtest.Claims{"scope": "mcp:admin"}), sealed, true)))
	assert.Contains(t, string(replica.body), `"cursor": "`+cursorMissiles+`"`)

	refused := func(f *fixture, r *http.Request, why string) {
		t.Helper()
		w := f.serve(r)
		assert.Equal(t, http.StatusOK, w.Code, why)
		assert.Contains(t, w.Body.String(), `"error":{"code":-32602,"message":"invalid cursor"}`, why)
		assert.Zero(t, f.ran, why)
		assert.NotContains(t, f.log.String(), "missiles", why)
	}
	for why, claims := range map[string]mcpauthtest.Claims{"another user": {"sub": "user-2"}, "another client": {"client_id": "client-2"}} {
		refused(f, pageRequest(f, "tools/list", f.token(claims), sealed, false), why)
	}
	for _, method := range []string{"prompts/list", "resources/list", "resources/templates/list", "tasks/list"} {
		refused(f, pageRequest(f, method, f.token(nil), sealed, false), method)
	}
	other := newFixture(t, func(c *mcpauth.Config) { tasksPolicy(c) })
	refused(other, pageRequest(other, "tools/list", other.token(nil), sealed, true), "a replica without the key")
	for _, made := range []string{`"` + cursorMissiles + `"`, `"launch_missiles"`, `" "`, `1`, `0`, `true`, `{}`, `[` + sealed + `]`, sealed[:20] + `"`, `"` + strings.Repeat("A", 1<<20) + `"`} {
		for _, modern := range []bool{false, true} {
			refused(f, pageRequest(f, "tools/list", f.token(nil), made, modern), made[:min(len(made), 40)])
		}
	}
	w := f.serve(pageRequest(f, "tools/list", "", sealed, false))
	assert.Equal(t, http.StatusUnauthorized, w.Code)

	// Who may not list hears that, and not whether the cursor is good.
	closed := newFixture(t, func(c *mcpauth.Config) {
		c.SessionKey = key
		c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tools/list": mcpauth.Scopes("mcp:admin")}}
	})
	w = closed.serve(pageRequest(closed, "tools/list", closed.token(nil), `"made up"`, false))
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), "insufficient_scope")
}

// TestCursorsInBatches_MCP_67_MCP_59: each message of a batch has a cursor of its own.
func TestCursorsInBatches_MCP_67_MCP_59(t *testing.T) {
	f := newFixture(t, listsPolicy)
	token := f.token(nil)
	f.inner = listsAnswer(listsJSON, `[{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"t"}},{"jsonrpc":"2.0","id":2,"result":{"nextCursor":"p\"","prompts":[]}}]`)
	w := f.post(token, `[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":2,"method":"prompts/list"}]`)
	f.served(w)
	var answers []struct{ Result struct{ NextCursor string } }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answers))
	tools, prompts := answers[0].Result.NextCursor, answers[1].Result.NextCursor

	batch := `[ {"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"%s"}} , {"params":{"cursor" : "%s"},"jsonrpc":"2.0","id":"b","method":"prompts/list"},{"jsonrpc":"2.0","id":3,"method":"ping"} ]`
	f.served(f.post(token, fmt.Sprintf(batch, tools, prompts)))
	assert.Equal(t, fmt.Sprintf(batch, "t", `p\"`), string(f.body))
	w = f.post(token, fmt.Sprintf(batch, prompts, tools))
	assert.Zero(t, f.ran)
	assert.Contains(t, w.Body.String(), "invalid cursor")
}
