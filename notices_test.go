package mcpauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// heardStreams are the ways to an event stream: the handler's own, a subscription, the answer to a call, to a list,
// to a batch, to a call that may begin a task, what is replayed, and the endpoint of the HTTP+SSE transport.
func heardStreams(f *fixture, t *testing.T) map[string]*http.Request {
	token, batch := f.token(nil), `[`+legacyCall("echo")+`]`
	return map[string]*http.Request{
		"GET":       f.request(http.MethodGet, "/mcp", token, ""),
		"replayed":  f.request(http.MethodGet, "/mcp", token, "", "Last-Event-ID: 4", "Mcp-Session-Id: "+f.session(t, token)),
		"listen":    f.request(http.MethodPost, "/mcp", token, modernBody("subscriptions/listen", `"notifications":{"toolsListChanged":true}`), modernHeaders("subscriptions/listen", "")...),
		"call":      f.request(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...),
		"legacy":    f.request(http.MethodPost, "/mcp", token, legacyCall("echo")),
		"read":      f.request(http.MethodPost, "/mcp", token, modernBody("resources/read", `"uri":"db://echo"`), modernHeaders("resources/read", "db://echo")...),
		"list":      listsRequest(f, "tools/list", token, true),
		"batch":     f.request(http.MethodPost, "/mcp", token, batch),
		"handshake": f.request(http.MethodPost, "/mcp", token, sessionInitialize),
	}
}

// heardMessages are spelled as servers of other languages do, or so that some reader takes them for a notification.
var heardMessages = []string{
	`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"%s"}}`,
	`{"jsonrpc":"2.0","method":"notifications\/resources\/updated","params":{"uri":"%s"}}`,
	`{"jsonrpc":"2.0","method":"notifications\u002fresources/upd\u0061ted","params":{"uri":"%s"}}`,
	`{"params":{"title":"x","uri":"%s"},"m\u0065thod":"notifications/resources/updated","jsonrpc":"2.0"}`,
	`{"Method":"notifications/resources/updated","Params":{"uri":"%s"}}`,
	`[{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"%s"}}]`,
	` { "jsonrpc":"2.0","method" : "notifications/resources/updated", "params" : { "uri" : "%s" } } `,
}

// heardOdd are such that no caller may hear them, because what they name is in doubt. They are dropped alone.
var heardOdd = []string{
	`{"method":"notifications/resources/updated","params":{"uri":"db://echo","uri":"db://admin_delete"}}`,
	`{"method":"notifications/resources/updated","params":{"uri":"db://echo","URI":"db://admin_delete"}}`,
	`{"method":"notifications/resources/updated","params":{"uri":"db://echo"},"params":{"uri":"db://admin_delete"}}`,
	`{"method":"notifications/message","method":"notifications\/resources/updated","params":{"uri":"db://admin_delete"}}`,
	`{"method":"notifications/resources/updated","params":{"uri":["db://admin_delete"]}}`,
	`{"method":"notifications/resources/updated","params":["db://admin_delete"]}`,
	`{"method":"notifications/resources/updated","admin_delete":1}`,
	`{"method":"notifications/tasks\/status","params":{"taskId":"admin_delete"}}`,
	`{"method":"notifications\/tasks","params":{"taskId":"admin_delete"}}`,
}

// TestNotificationsOnEveryStream_MCP_68: what names a resource or a task is judged by its decoded method, on every stream and
// in every answer; all else passes.
func TestNotificationsOnEveryStream_MCP_68(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { privateConfig(c); c.DelegateTasks = false })
	for name := range heardStreams(f, t) {
		answer := func(events string) string {
			f.inner = listsAnswer(listsStream, events)
			w := f.serve(heardStreams(f, t)[name])
			f.served(w)
			return w.Body.String()
		}
		for _, message := range heardMessages {
			for _, event := range []string{"data: %s\n\n", "event: message\r\nid: 5\r\ndata: %s\r\n\r\n", ": hello\ndata: {\"x\":1}\n\ndata: %s"} {
				heard, hidden := fmt.Sprintf(event, fmt.Sprintf(message, "db://echo")), fmt.Sprintf(event, fmt.Sprintf(message, "db://admin_delete"))
				require.Equal(t, heard, answer(heard), "%s %s", name, message)
				require.NotContains(t, answer(hidden), "admin_delete", "%s %s", name, message)
				got := answer(fmt.Sprintf(event, fmt.Sprintf(message, "db://admin_delete")) + "\n\n" + heard)
				require.True(t, strings.HasSuffix(got, heard), "%s: the stream goes on: %q", name, got)
			}
		}
		if name != "GET" && name != "replayed" && name != "listen" && name != "list" { // there all has to be readable
			for _, message := range heardOdd {
				require.Equal(t, "id: 1\n\ndata: {}\n\n", answer("id: 1\ndata: "+message+"\n\ndata: {}\n\n"), "%s %s", name, message)
			}
			deep := `data: {"method":"notifications/vendor","params":` + strings.Repeat("[", 80) + strings.Repeat("]", 80) + "}\n\nrest"
			require.Equal(t, deep, answer(deep), name)
			require.NotContains(t, answer("data: "+fmt.Sprintf(heardMessages[1], "db://admin_delete")+"\r\rdata: {}\r\r"), "admin_delete", name)
		}
		batch := `data: [{"jsonrpc":"2.0","id":9,"result":{"content":[]}}, ` + fmt.Sprintf(heardMessages[0], "db://admin_delete") + `,{"jsonrpc":"2.0","method":"notifications/progress"}]` + "\n\n"
		require.Equal(t, `data: [{"jsonrpc":"2.0","id":9,"result":{"content":[]}},{"jsonrpc":"2.0","method":"notifications/progress"}]`+"\n\n", strings.Replace(answer(batch), `,"cacheScope":"private"`, "", 1), name)
		for _, other := range []string{"notifications/progress", "notifications/message", "notifications/tools/list_changed", "notifications/resources/list_changed", "sampling/createMessage", "notifications/resources/updated/x"} {
			event := `data: {"jsonrpc":"2.0","method":"` + other + `","params":{"uri":"db://admin_delete"}}` + "\n\n"
			require.Equal(t, event, answer(event), name)
		}
	}
}

// TestLongEventsPass_MCP_64_MCP_68: an event that is seen to be an answer passes before its end, of any size; a comment passes
// when its line ends; what does not say what it is waits.
func TestLongEventsPass_MCP_64_MCP_68(t *testing.T) {
	f := newFixture(t, listsPolicy)
	goOn := make(chan struct{})
	long := strings.Repeat("x", 100<<10)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", listsStream)
		write := func(text string) {
			_, err := io.WriteString(w, text)
			assert.NoError(t, err)
			assert.NoError(t, http.NewResponseController(w).Flush())
		}
		write(":\n")
		<-goOn
		write(`data: {"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"` + long)
		<-goOn
		for range 200 {
			write(long)
		}
		write("\"}]}}\r\n\r\ndata: " + fmt.Sprintf(heardMessages[0], "db://admin_delete") + "\n\n")
		write(`data: {"params":{"data":"` + long + `","uri":"db://admin_delete"},"method":"notifications/resources/updated"}` + "\n\n")
		write(`data: {"params":{"data":"` + long + `"},"method":"notifications/message"}` + "\n\ndata: end\n\n")
	}
	server, client := serverFor(t, f, false)
	resp := streamingDo(t, server, client, f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo")))
	body := bufio.NewReader(resp.Body)
	line, err := body.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, ":\n", line, "a heartbeat does not wait for an event")
	goOn <- struct{}{}
	head := make([]byte, 64<<10)
	_, err = io.ReadFull(body, head)
	require.NoError(t, err, "the beginning of a long event")
	goOn <- struct{}{}
	rest, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Greater(t, len(rest), 200*len(long))
	assert.NotContains(t, string(rest), "admin_delete")
	assert.Contains(t, string(rest), "notifications/message")
	assert.True(t, strings.HasSuffix(string(rest), "data: end\n\n"))
}
