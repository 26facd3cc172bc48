package mcpauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOddMessagesOnAListStream_MCP_63: in the answer to a list, too, what cannot be read and is no answer is left out
// alone; what may be the answer is withheld.
func TestOddMessagesOnAListStream_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	list := "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[]}}\n\n"
	for _, odd := range []string{
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1},"params":{"data":2}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":NaN}}`,
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"\xff\"}}",
		`{"jsonrpc":"2.0","method":"notifications/message","method":"x"}`,
		`ping {}`,
	} {
		for _, modern := range []bool{false, true} {
			f.log.Reset()
			f.inner = listsAnswer(listsStream, "id: 4\ndata: "+odd+"\n\n"+list)
			w := f.serve(listsRequest(f, "tools/list", f.token(nil), modern))
			f.served(w)
			got := strings.Replace(w.Body.String(), `,"cacheScope":"private"`, "", 1)
			require.True(t, strings.HasSuffix(got, list), "%s: %s", odd, got)
			require.NotContains(t, got, "-32603", odd)
		}
	}
	for _, answer := range []string{
		`{"id":1,"id":1,"result":{"tools":[{"name":"admin_delete"}]}}`,
		`{"method":"x","method":"x","Result":{"tools":[{"name":"admin_delete"}]}}`,
		`{"id":1,"r\u0065sult":{"tools":[{"name":"admin_delete"}]},"id":1}`,
		`[{"id":1,"id":1,"result":{"tools":[{"name":"admin_delete"}]}}]`,
		`{"id":1,"result":{"tools":[{"name":"admin_delete"}]}`,
	} {
		f.inner = listsAnswer(listsStream, "data: "+answer+"\n\n"+list)
		w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
		f.served(w)
		require.Contains(t, w.Body.String(), "-32603", answer)
		require.NotContains(t, w.Body.String(), "admin_delete", answer)
	}
}

// TestNotificationsBehindOtherThings_MCP_68: a notification is judged behind a byte order mark, behind another JSON text and
// in arrays of any depth, for some readers find it there.
func TestNotificationsBehindOtherThings_MCP_68(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, long := range []string{"", strings.Repeat(" ", 70<<10)} {
		for _, form := range []string{
			"\ufeff%s", "{} %s", "{}%s", "[{}]%s", "1 %s", "\"x\"%s", "[[%s]]", "[{},[[{}],[%s]]]", "[%s", "[1]\ndata: %s", "{}\ndata: {}\ndata: %s", "\x00%s", "x%s", `"a{" %s`, `["{\"{",%s]`,
			strings.Repeat("[", 2000) + "%s" + strings.Repeat("]", 2000),
		} {
			for _, name := range []string{"call", "legacy", "read", "batch", "handshake", "GET", "listen"} {
				for target, passes := range map[string]bool{"db://admin_delete": false, "db://echo": true} {
					text := "data: " + fmt.Sprintf(form, long+fmt.Sprintf(heardMessages[0], target)) + "\n\ndata: {\"last\":1}\n\n"
					f.inner = listsAnswer(listsStream, text)
					w := f.serve(heardStreams(f, t)[name])
					f.served(w)
					require.True(t, strings.HasSuffix(w.Body.String(), "data: {\"last\":1}\n\n"), "%s %q", name, form[:min(20, len(form))])
					if !passes {
						require.NotContains(t, w.Body.String(), "admin_delete", "%s %q", name, form[:min(20, len(form))])
					}
				}
			}
		}
	}
	for _, text := range []string{"data: [[1],{}] x\n\n", "data: \ufeff{\"a\":1}\n\n", "data: {}{}\n\n"} { // what tells of nothing passes
		f.inner = listsAnswer(listsStream, text)
		w := f.serve(f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo")))
		f.served(w)
		assert.Equal(t, text, w.Body.String())
	}
}
