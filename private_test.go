package mcpauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// privateConfig allows what the rows of this file ask for.
func privateConfig(c *mcpauth.Config) {
	listsPolicy(c)
	rules := c.Policy.(mcpauth.Rules)
	rules.Methods = map[string]mcpauth.Requirement{"tasks/get": mcpauth.Authenticated(), "vendor/read": mcpauth.Authenticated()}
	c.Policy = rules
	c.DelegateTasks = true
}

var privateCalls = []struct {
	method, params, name string
	adds                 bool
}{
	{"server/discover", "", "", true},
	{"tools/list", "", "", true},
	{"prompts/list", "", "", true},
	{"resources/list", "", "", true},
	{"resources/templates/list", "", "", true},
	{"resources/read", `"uri":"db://echo"`, "db://echo", true},
	{"tools/call", `"name":"echo","arguments":{}`, "echo", false},
	{"prompts/get", `"name":"echo"`, "echo", false},
	{"completion/complete", `"ref":{"type":"ref/prompt","name":"echo"},"argument":{"name":"a","value":""}`, "", false},
	{"subscriptions/listen", `"notifications":{"toolsListChanged":true}`, "", false},
	{"vendor/read", `"x":1`, "", false},
}

// TestEveryResultIsPrivate_MCP_61: each modern result needed a token, so none is public, whatever the
// method, the form, and how the member is written. What is inside of other members stays.
func TestEveryResultIsPrivate_MCP_61(t *testing.T) {
	for name, tasks := range map[string]bool{"": true, "held for tasks": false} {
		f := newFixture(t, func(c *mcpauth.Config) { privateConfig(c); c.DelegateTasks = tasks })
		for _, call := range privateCalls {
			for _, form := range []string{"%s", "event: message\ndata: %s\n\n"} {
				for given, want := range map[string]string{
					`"cacheScope":"public"`: `"cacheScope":"private"`, `"cache\u0053cope" : {"public":[1]}`: `"cache\u0053cope" : "private"`,
					`"cacheScope":null`: `"cacheScope":"private"`, `"cacheScope":"private"`: `"cacheScope":"private"`, `"ttlMs":1`: "",
				} {
					end := ""
					if want == "" {
						want = given
						if call.adds {
							end = `,"cacheScope":"private"`
						}
					}
					for _, flush := range []bool{false, true} {
						text := `{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"cacheScope":"public"},%s,"_meta":{"cacheScope":"public"}%s}}`
						in, out := fmt.Sprintf(form, fmt.Sprintf(text, given, "")), fmt.Sprintf(form, fmt.Sprintf(text, want, end))
						f.inner = func(w http.ResponseWriter, _ *http.Request) {
							w.Header().Set("Content-Type", listsJSON)
							if form != "%s" {
								w.Header().Set("Content-Type", listsStream)
							}
							w.Header().Set("Content-Length", fmt.Sprint(len(in)))
							w.Header().Set("Content-Digest", "canary")
							_, _ = io.WriteString(w, in[:50])
							if flush {
								_ = http.NewResponseController(w).Flush()
							}
							_, err := io.WriteString(w, in[50:])
							assert.NoError(t, err)
						}
						w := f.post(f.token(nil), modernBody(call.method, call.params), modernHeaders(call.method, call.name)...)
						f.served(w)
						require.Equal(t, out, w.Body.String(), "%s %s %s", name, call.method, given)
						if length := w.Header().Get("Content-Length"); length != "" {
							require.Equal(t, fmt.Sprint(len(out)), length)
						}
						if form == "%s" {
							require.Empty(t, w.Header().Get("Content-Digest"), call.method)
						}
						require.Empty(t, f.last.Header.Get("Accept-Encoding"))
					}
				}
			}
		}
	}
}

// TestLegacyResultsHaveNoScope_MCP_61: the older revisions have no such member, and what a server says by that name is its own.
func TestLegacyResultsHaveNoScope_MCP_61(t *testing.T) {
	f := newFixture(t, listsPolicy)
	text := `{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"public"}}`
	f.inner = listsAnswer(listsJSON, text)
	w := f.legacyCall(f.token(nil), "echo")
	f.served(w)
	assert.Equal(t, text, w.Body.String())
	f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","tools":[]}}`)
	w = f.serve(listsRequest(f, "tools/list", f.token(nil), true))
	f.served(w)
	assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","tools":[]}}`, w.Body.String(), "interim results have no scope")
}

// TestLargeResultsStream_MCP_61_MCP_64: nothing of a result is held back for its scope, however large it is.
func TestLargeResultsStream_MCP_61_MCP_64(t *testing.T) {
	f := newFixture(t, listsPolicy)
	goOn := make(chan struct{})
	piece := strings.Repeat("x", 1<<20)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", listsJSON)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"contents":[{"text":"begin `)
		_ = http.NewResponseController(w).Flush()
		<-goOn
		for range 40 {
			_, err := io.WriteString(w, piece)
			assert.NoError(t, err)
		}
		_, _ = io.WriteString(w, `"}],"cacheScope":"public"}}`)
	}
	server, client := serverFor(t, f, false)
	r := f.request(http.MethodPost, "/mcp", f.token(nil), modernBody("resources/read", `"uri":"db://echo"`), modernHeaders("resources/read", "db://echo")...)
	resp := streamingDo(t, server, client, r)
	body := bufio.NewReader(resp.Body)
	head, err := body.ReadString(' ')
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(head, `"begin `), head)
	close(goOn)
	rest, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, 40<<20+len(`"}],"cacheScope":"private"}}`), len(rest))
	assert.True(t, strings.HasSuffix(string(rest), `"}],"cacheScope":"private"}}`))
}

// TestLengths_MCP_61_MCP_65_MCP_68: the length that a handler has set goes out where all passes as it is, and no other than that of what goes out. What
// may be a result of a list is private in every era, and with every status.
func TestLengths_MCP_61_MCP_65_MCP_68(t *testing.T) {
	f := newFixture(t, listsPolicy)
	const result = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}],"cacheScope":"public"}}`
	const notice = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"db://admin_delete\"}}\n\n"
	private := strings.Replace(result, "public", "private", 1)
	call, list := modernBody("tools/call", `"name":"echo","arguments":{}`), modernBody("tools/list", "")
	for name, row := range map[string]struct {
		body                string
		status              int
		contentType, coding string
		text, want          string
		length              bool // is told
	}{
		"a result":                     {call, 200, listsJSON, "", result, private, false},
		"an error with a result":       {call, 404, listsJSON, "", result, result, true},
		"a choice":                     {call, 300, listsJSON, "", result, result, true},
		"of the older era":             {legacyCall("echo"), 200, listsJSON, "", result, result, true},
		"a stream":                     {legacyCall("echo"), 200, listsStream, "", notice, "\n", false},
		"a stream that is an error":    {legacyCall("echo"), 404, listsStream, "", notice, "\n", false},
		"a coded stream":               {legacyCall("echo"), 200, listsStream, "gzip", notice, notice, true},
		"a list":                       {list, 200, listsJSON, "", result, private, true},
		"a list with the same length":  {list, 200, listsJSON, "", private, private, true},
		"a list of the older era":      {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 200, listsJSON, "", result, private, true},
		"a list that is an error":      {list, 400, listsJSON, "", result, private, true},
		"a list that is a choice":      {list, 300, listsJSON, "", result, private, true},
		"an error in place of a list":  {list, 400, "text/plain", "", "no list", "no list", true},
		"a choice in place of a list":  {list, 300, "text/plain", "", "no list", "no list", true},
		"nothing in place of the list": {list, 204, "", "", "", "", false},
	} {
		for _, told := range []bool{true, false} {
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				for field, value := range map[string]string{"Content-Type": row.contentType, "Content-Encoding": row.coding} {
					if value != "" {
						w.Header().Set(field, value)
					}
				}
				if told && row.text != "" {
					w.Header().Set("Content-Length", fmt.Sprint(len(row.text)))
				}
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.text)
			}
			headers := modernHeaders("tools/list", "")
			switch {
			case row.body == call:
				headers = modernHeaders("tools/call", "echo")
			case row.body != list:
				headers = nil
			}
			w := f.post(f.token(nil), row.body, headers...)
			assert.Equal(t, row.status, w.Code, name)
			assert.Equal(t, row.want, w.Body.String(), name)
			want := ""
			isList := strings.Contains(row.body, "tools/list")
			if row.length && (told || isList && (row.status < 300 || row.want != row.text)) {
				want = fmt.Sprint(len(row.want))
			}
			assert.Equal(t, want, w.Header().Get("Content-Length"), "%s, told %t", name, told)
		}
	}
}

// TestPieces_MCP_61_MCP_64: a result that is changed as it passes goes out in one piece up to 64 KiB, as it was written, and of what is
// longer nothing goes out behind a piece that is lost, and the handler is told.
func TestPieces_MCP_61_MCP_64(t *testing.T) {
	f := newFixture(t, listsPolicy)
	text := func(size int) string {
		head, tail := `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"cacheScope":"public","x":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	for _, method := range []string{"tools/list", "vendor/read"} {
		for size, pieces := range map[int]int{64 << 10: 1, 64<<10 + 1: 3} {
			for lost := range pieces + 1 {
				f := f
				if method == "vendor/read" {
					f = newFixture(t, privateConfig)
				}
				var n int
				var err error
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", listsJSON)
					n, err = io.WriteString(w, text(size))
				}
				w := &losingWriter{ResponseRecorder: httptest.NewRecorder(), lost: lost}
				f.handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", f.token(nil), modernBody(method, ""), modernHeaders(method, "")...))
				whole := strings.Replace(text(size), "public", "private", 1)
				if lost == 0 {
					assert.Equal(t, pieces, w.written, "%s %d", method, size)
					assert.Equal(t, whole, w.Body.String())
					assert.NoError(t, err)
					continue
				}
				assert.Equal(t, lost, w.written, "%s %d", method, size)
				assert.True(t, strings.HasPrefix(whole, w.Body.String()))
				if method == "vendor/read" {
					assert.ErrorIs(t, err, io.ErrClosedPipe)
					assert.Zero(t, n)
				}
			}
		}
	}
}

// losingWriter counts what is written, and loses one piece of it.
type losingWriter struct {
	*httptest.ResponseRecorder
	written, lost int
}

func (w *losingWriter) Write(data []byte) (int, error) {
	if w.written++; w.written == w.lost {
		return 0, io.ErrClosedPipe
	}
	return w.ResponseRecorder.Write(data)
}

// TestCompressedResults_MCP_61: nobody asks the handler to compress a result. One that does so all the same is passed on.
func TestCompressedResults_MCP_61(t *testing.T) {
	f := newFixture(t, listsPolicy)
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Values("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "coded")
	}
	w := f.post(f.token(nil), modernCall("echo"), append(modernHeaders("tools/call", "echo"), "Accept-Encoding: gzip")...)
	f.served(w)
	assert.Equal(t, "coded", w.Body.String())
	assert.Equal(t, "5", w.Header().Get("Content-Length"))
}
