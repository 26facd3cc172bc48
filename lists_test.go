package mcpauth_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// listsPolicy has of every kind one entry for mcp:read, one for mcp:admin and
// one for mcp:admin that everybody sees.
func listsPolicy(c *mcpauth.Config) {
	read, admin := mcpauth.Scopes("mcp:read"), mcpauth.Scopes("mcp:admin")
	teaser := mcpauth.Requirement{AllOf: []string{"mcp:admin"}, Visible: true}
	c.Policy = mcpauth.Rules{
		Tools:   map[string]mcpauth.Requirement{"echo": read, "admin_delete": admin, "teaser": teaser},
		Prompts: map[string]mcpauth.Requirement{"echo": read, "admin_delete": admin, "teaser": teaser},
		Resources: map[string]mcpauth.Requirement{"db://echo": read, "db://admin_delete": admin, "db://teaser": teaser,
			"files://echo/{name}": read, "files://admin_delete/{name}": admin, "files://teaser/{name}": teaser},
	}
}

// listsKind is one kind of list.
type listsKind struct {
	method, member string
	entry          func(name string) string
}

func listsEntry(format string) func(string) string {
	return func(name string) string { return fmt.Sprintf(format, name) }
}

var listsKinds = []listsKind{
	{"tools/list", "tools", listsEntry(`{"inputSchema":{"properties":{"name":{"const":"echo"}}}, "name":"%s", "x":[1.0,1e400]}`)},
	{"prompts/list", "prompts", listsEntry(`{"name":"%s","arguments":[{"name":"echo"}]}`)},
	{"resources/list", "resources", listsEntry(`{"name":"echo","uri":"db://%s","size":12345678901234567890}`)},
	{"resources/templates/list", "resourceTemplates", listsEntry(`{"name":"echo","uriTemplate":"files://%s/{name}"}`)},
}

// message is a result with these entries and members of every sort around them.
func (k listsKind) message(scope string, names ...string) string {
	entries := make([]string, len(names))
	for i, name := range names {
		entries[i] = k.entry(name)
	}
	return `{"jsonrpc":"2.0", "id":1, "result":{"_meta":{"a":1.50},"` + k.member + `":[` + strings.Join(entries, ",") + `]` +
		scope + `,"nextCursor":"page 2","ttlMs":60000.0}, "extra":[null]}`
}

// listsRequest asks for the list in an era.
func listsRequest(f *fixture, method, token string, modern bool) *http.Request {
	if modern {
		return f.request(http.MethodPost, "/mcp", token, modernBody(method, ""), modernHeaders(method, "")...)
	}
	return f.request(http.MethodPost, "/mcp", token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method))
}

// listsAnswer makes the inner handler answer with a text.
func listsAnswer(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

// listsToken is a token with scopes.
func listsToken(f *fixture, scope string) string {
	return f.token(mcpauthtest.Claims{"scope": scope})
}

const (
	listsJSON   = "application/json"
	listsStream = "text/event-stream; charset=utf-8"
)

func TestListsAreFiltered_MCP_60_MCP_61_MCP_62_MCP_67(t *testing.T) {
	f := newFixture(t, listsPolicy)
	all := []string{"admin_delete", "echo", "unlisted", "teaser", "Echo"}
	for _, kind := range listsKinds {
		for _, caller := range []struct {
			scope string
			sees  []string
		}{
			{"mcp:read", []string{"echo", "teaser"}},
			{"mcp:admin", []string{"admin_delete", "teaser"}},
			{"mcp:read mcp:admin", []string{"admin_delete", "echo", "teaser"}},
			{"other", []string{"teaser"}},
		} {
			for _, modern := range []bool{true, false} {
				for _, scope := range []string{"", `,"cacheScope":"public"`, `,"cacheScope":"private"`, `,"cacheScope":null`} {
					name := fmt.Sprintf("%s %s modern=%v %s", kind.method, caller.scope, modern, scope)
					given, wanted := kind.message(scope, all...), `,"cacheScope":"private"`
					if scope == "" {
						wanted = ""
					}
					want := withoutCursor(kind.message(wanted, caller.sees...))
					if scope == "" && modern {
						want = strings.Replace(want, `}, "extra"`, `,"cacheScope":"private"}, "extra"`, 1)
					}
					token := listsToken(f, caller.scope)

					f.inner = listsAnswer(listsJSON, given)
					w := f.serve(listsRequest(f, kind.method, token, modern))
					f.served(w)
					require.Equal(t, want, withoutCursor(w.Body.String()), "MCP-60 MCP-61 MCP-67 JSON: %s", name)
					require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"), "MCP-65")

					progress := ": comment\r\n\r\nevent: message\nid: 1\ndata: {\"jsonrpc\" :\"2.0\",\ndata: \"method\":\"notifications/progress\",\"params\":{\"tools\":[{\"name\":\"admin_delete\"}]}}\n\nevent: log\ndata: admin_delete {\n\nretry: 10\n\n"
					f.inner = listsAnswer(listsStream, progress+"id: 2\nevent: message\ndata: "+given+"\n\n: end\n\n")
					w = f.serve(listsRequest(f, kind.method, token, modern))
					f.served(w)
					require.Equal(t, progress+"id: 2\nevent: message\ndata: "+want+"\n\n: end\n\n", withoutCursor(w.Body.String()), "MCP-62: %s", name)
					require.Empty(t, w.Header().Get("Content-Length"))
				}
			}
		}
	}
}

// The stream split at every byte, and the result over several data lines.
func TestListsInPieces_MCP_62(t *testing.T) {
	f := newFixture(t, listsPolicy)
	kind := listsKinds[0]
	token := listsToken(f, "mcp:read")
	for _, row := range []struct{ name, in, want string }{
		{"LF", "id: 1\ndata: " + kind.message("", "admin_delete", "echo") + "\n\n", "id: 1\ndata: " + kind.message("", "echo") + "\n\n"},
		{"CRLF", "id: 1\r\ndata: " + kind.message("", "admin_delete", "echo") + "\r\n\r\n", "id: 1\r\ndata: " + kind.message("", "echo") + "\r\n\r\n"},
		{"lines", "data: {\"result\":{\ndata: \"tools\":[\nid: 9\ndata: {\"name\":\"admin_delete\"},\ndata: {\"name\":\"echo\"}]\ndata: }}\n\n",
			"data: {\"result\":{\ndata: \"tools\":[\ndata: {\"name\":\"echo\"}]\ndata: }}\nid: 9\n\n"},
		{"whole lines stay", "data: {\"result\":{\ndata:\"tools\":[\ndata: {\"name\":\"echo\"}]}}\n\n", "data: {\"result\":{\ndata:\"tools\":[\ndata: {\"name\":\"echo\"}]}}\n\n"},
		{"no blank line at the end", "data: {\"result\":{\"tools\":[{\"name\":\"admin_delete\"}]}}\n", "data: {\"result\":{\"tools\":[]}}\n"},
		{"byte order mark", "\ufeffdata: {\"result\":{\"tools\":[{\"name\":\"admin_delete\"}]}}\n\n", "\ufeffdata: {\"result\":{\"tools\":[]}}\n\n"},
		{"an event of another kind", "event: replay\ndata: {\"result\":{\"tools\":[{\"name\":\"admin_delete\"}]}}\n\n", "event: replay\ndata: {\"result\":{\"tools\":[]}}\n\n"},
	} {
		for size := 1; size <= len(row.in); size++ {
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for rest := row.in; rest != ""; {
					n := min(size, len(rest))
					_, err := io.WriteString(w, rest[:n])
					assert.NoError(t, err)
					assert.NoError(t, http.NewResponseController(w).Flush())
					rest = rest[n:]
				}
			}
			w := f.serve(listsRequest(f, "tools/list", token, false))
			f.served(w)
			require.Equal(t, withoutCursor(row.want), withoutCursor(w.Body.String()), "%s in pieces of %d", row.name, size)
		}
	}
}

func TestListEntries_MCP_60_MCP_63_MCP_67(t *testing.T) {
	f := newFixture(t, listsPolicy)
	deep, twice := deepJSON(80), `{"type":"object","type":"object"}`
	for _, row := range []struct{ name, in, want string }{
		{"MCP-67 an empty page goes on", `{"result":{"tools":[{"name":"admin_delete"}],"nextCursor":"c"}}`, `{"result":{"tools":[],"nextCursor":"sealed"}}`},
		{"MCP-67 nothing is added", `{"result":{"tools":[]}}`, `{"result":{"tools":[]}}`},
		{"MCP-60 null", `{"result":{"tools":null}}`, `{"result":{"tools":null}}`},
		{"MCP-61 null too is private", `{"result":{"tools":null,"cacheScope":"public"}}`, `{"result":{"tools":null,"cacheScope":"private"}}`},
		{"MCP-61 the scope stands first", `{"result":{"cacheScope":"public","tools":[{"name":"admin_delete"},{"name":"echo"}],"x":1}}`, `{"result":{"cacheScope":"private","tools":[{"name":"echo"}],"x":1}}`},
		{"MCP-61 a scope of another type", `{"result":{"tools":[],"cacheScope":{"a":[]}}}`, `{"result":{"tools":[],"cacheScope":"private"}}`},
		{"MCP-61 no list, a scope", `{"result":{"cacheScope":"public"}}`, `{"result":{"cacheScope":"private"}}`},
		{"MCP-62 white space", "{ \"result\" : { \"tools\" : [ {\"name\":\"echo\"} ,\n {\"name\":\"admin_delete\"} ] , \"y\" : 0 } }\n", "{ \"result\" : { \"tools\" : [ {\"name\":\"echo\"} ] , \"y\" : 0 } }\n"},
		{"MCP-60 an escaped name", `{"result":{"tools":[{"name":"admin\u005fdelete"},{"na\u006de":"\u0065cho"}]}}`, `{"result":{"tools":[{"na\u006de":"\u0065cho"}]}}`},
		{"MCP-60 an escaped list", `{"r\u0065sult":{"t\u006fols":[{"name":"admin_delete"}]}}`, `{"r\u0065sult":{"t\u006fols":[]}}`},
		{"MCP-60 what has no name is for nobody", `{"result":{"tools":[{},{"name":1},{"name":""},{"name":null},{"Name":"echo"},"echo",["echo"],null,7,true,{"uri":"db://echo"},{"name":"\ud800"}]}}`, `{"result":{"tools":[]}}`},
		{"MCP-60 twice is twice", `{"result":{"tools":[{"name":"echo"},{"name":"echo"}]}}`, `{"result":{"tools":[{"name":"echo"},{"name":"echo"}]}}`},
		{"MCP-60 every list of a result", `{"result":{"prompts":[{"name":"admin_delete"}],"cacheScope":"public","tools":[{"name":"admin_delete"}]}}`, `{"result":{"prompts":[],"cacheScope":"private","tools":[]}}`},
		{"MCP-62 lists inside other things are none", `{"result":{"tools":[],"structuredContent":{"tools":[{"name":"admin_delete"}]},"_meta":{"resources":[{"uri":"db://admin_delete"}]}}}`,
			`{"result":{"tools":[],"structuredContent":{"tools":[{"name":"admin_delete"}]},"_meta":{"resources":[{"uri":"db://admin_delete"}]}}}`},
		{"MCP-60 an id that is not ours", `{"id":99,"result":{"tools":[{"name":"admin_delete"}]}}`, `{"id":99,"result":{"tools":[]}}`},
		{"MCP-66 an array, though nobody asked for one", `[{"result":{"tools":[{"name":"admin_delete"}]}},{"method":"x"}]`, `[{"result":{"tools":[]}},{"method":"x"}]`},
		{"MCP-63 a name twice is no name", `{"result":{"tools":[{"name":"echo","name":"admin_delete"},{"name":"admin_delete","na\u006de":"echo"},{"name":"echo"}]}}`, `{"result":{"tools":[{"name":"echo"}]}}`},
		{"MCP-63 a member twice beside the name", `{"result":{"tools":[{"name":"echo","x":1,"x":2},{"name":"echo"}]}}`, `{"result":{"tools":[{"name":"echo"}]}}`},
		{"MCP-63 what is deeper is not ours", `{"result":{"tools":[{"name":"echo","inputSchema":` + deep + `},{"inputSchema":` + twice + `,"name":"echo"}],"_meta":` + deep + `,"x":` + twice + `},"y":` + deep + `}`,
			`{"result":{"tools":[{"name":"echo","inputSchema":` + deep + `},{"inputSchema":` + twice + `,"name":"echo"}],"_meta":` + deep + `,"x":` + twice + `},"y":` + deep + `}`},
		{"MCP-63 nor does it open anything", `{"result":{"tools":[{"inputSchema":` + deep + `,"name":"admin_delete"},{"x":{"name":"echo"},"name":"admin_delete"},{"name":"echo"}]}}`, `{"result":{"tools":[{"name":"echo"}]}}`},
		{"MCP-63 an entry that is nothing but deep", `{"result":{"tools":[` + deep + `,{"name":"echo"}]}}`, `{"result":{"tools":[{"name":"echo"}]}}`},
		{"MCP-60 an error has no list", `{"id":1,"error":{"code":-32603,"message":"x","data":{"tools":[]}}}`, `{"id":1,"error":{"code":-32603,"message":"x","data":{"tools":[]}}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.inner = listsAnswer(listsJSON, row.in)
			w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
			f.served(w)
			assert.Equal(t, row.want, withoutCursor(w.Body.String()))
		})
	}
}

// MCP-63: what cannot be read is withheld, with the id in JSON; a stream ends.
func TestUnreadableLists_MCP_63_MCP_65(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { listsPolicy(c); allowApp(c) })
	secret := `{"name":"admin_delete"}`
	rows := []struct{ name, text string }{
		{"a list twice", `{"id":1,"result":{"tools":[],"tools":[` + secret + `]}}`},
		{"a list twice, escaped", `{"id":1,"result":{"tools":[],"tool\u0073":[` + secret + `]}}`},
		{"a result twice", `{"result":{},"id":1,"result":{"tools":[` + secret + `]}}`},
		{"a method twice", `{"method":"x","method":"x","result":{"tools":[` + secret + `]}}`},
		{"trailing data", `{"result":{"tools":[]}}{"result":{"tools":[` + secret + `]}}`},
		{"lines of JSON", "{\"result\":{\"tools\":[]}}\n{\"result\":{\"tools\":[" + secret + "]}}"},
		{"cut off", `{"result":{"tools":[` + secret + `,`},
		{"cut off in an array", `[{"result":{"tools":[` + secret + `]}}`},
		{"not UTF-8", "{\"result\":{\"tools\":[" + secret + ",{\"name\":\"\xff\"}]}}"},
		{"a comma too much", `{"result":{"tools":[` + secret + `,]}}`},
		{"a byte order mark", "\ufeff{\"result\":{\"tools\":[" + secret + "]}}"},
		{"a result in another case", `{"Result":{"tools":[` + secret + `]}}`},
		{"a list in another case", `{"result":{"tools":[],"Tools":[` + secret + `]}}`},
		{"a list with a long s", `{"result":{"tool\u017f":[` + secret + `]}}`},
		{"a list that is an object", `{"result":{"tools":{"admin_delete":` + secret + `}}}`},
		{"a list that is a string", `{"result":{"tools":"{admin_delete"}}`},
		{"a list that is not there", `{"result":{"tools":}}`},
		{"a list cut off", `{"result":{"tools":[` + secret},
		{"broken behind the list", `{"result":{"tools":[],"y":nul}}`},
		{"broken in a schema", `{"result":{"tools":[{"name":"echo","inputSchema":{"a":[1,]}}]}}`},
		{"brackets that do not match", `{"result":{"tools":[{"name":"echo","inputSchema":{"a":[1}]}]}}`},
		{"a schema cut off", `{"result":{"tools":[{"name":"echo","inputSchema":{"a":"`},
		{"an array of no messages", `[{"result":{}},[` + secret + `]]`},
		{"a result nested beyond the list", `{"result":{"tools":[{"name":"echo","x":NaN}],"y":` + secret + `}}`},
	}
	for _, row := range rows {
		t.Run("MCP-63 "+row.name, func(t *testing.T) {
			for _, modern := range []bool{true, false} {
				f.log.Reset()
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					h := w.Header()
					for _, name := range []string{"ETag", "Last-Modified", "Expires", "Content-Range"} {
						h.Set(name, "x")
					}
					h.Set("Cache-Control", "public, max-age=60")
					listsAnswer(listsJSON, row.text)(w, nil)
				}
				r := listsRequest(f, "tools/list", listsToken(f, "mcp:read"), modern)
				r.Header.Set("Origin", "https://app.example.com")
				w := f.serve(r)
				assert.Equal(t, 1, f.ran)
				f.ran = 0
				assert.Equal(t, http.StatusInternalServerError, w.Code)
				assert.Equal(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"list cannot be filtered"}}`, w.Body.String())
				assert.Equal(t, http.Header{
					"Content-Type": {listsJSON}, "Content-Length": {strconv.Itoa(w.Body.Len())}, "Cache-Control": {"no-store"},
					"X-Content-Type-Options": {"nosniff"}, "Vary": {"Authorization", "Origin"},
					"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed},
				}, w.Result().Header, "CHAL-19 MCP-65")
				assert.Contains(t, f.log.String(), "level=ERROR")
				assert.Contains(t, f.log.String(), "list cannot be filtered")
				assert.NotContains(t, f.log.String(), "admin_delete", "nothing of the list is logged")
			}
			if strings.Contains(row.text, "\n") {
				return
			}
			f.log.Reset()
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", listsStream)
				_, err := io.WriteString(w, "data: {}\n\n")
				assert.NoError(t, err)
				_, err = io.WriteString(w, "data: "+row.text+"\n\n")
				assert.Error(t, err)
				assert.ErrorIs(t, context.Cause(r.Context()), err, "the handler is told to stop")
				assert.ErrorIs(t, http.NewResponseController(w).Flush(), err)
				_, again := io.WriteString(w, "data: {}\n\n")
				assert.Equal(t, err, again)
			}
			w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
			f.served(w)
			assert.Equal(t, "data: {}\n\n"+lastEvent(-32603, "list cannot be filtered"), w.Body.String(), "the stream ends")
			assert.Equal(t, 1, strings.Count(f.log.String(), "event stream ended because an event cannot be filtered"))
		})
	}
}

// deepJSON is nested n levels deep.
func deepJSON(n int) string { return strings.Repeat(`{"a":[`, n/2) + "1" + strings.Repeat(`]}`, n/2) }

// MCP-63: an entry that is left out because it has no name that can be read is told of.
func TestUnreadableEntries_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	f.inner = listsAnswer(listsJSON, `{"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`)
	f.served(f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), true)))
	assert.NotContains(t, f.log.String(), "left out")
	f.inner = listsAnswer(listsJSON, `{"result":{"tools":[{"name":"echo","name":"admin_delete"},{"name":"echo"}]}}`)
	f.served(f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), true)))
	assert.Equal(t, 1, strings.Count(f.log.String(), "mcpauth: an entry of a list is left out"))
	assert.Contains(t, f.log.String(), "level=ERROR")
	assert.Contains(t, f.log.String(), "list=tools/list")
	assert.NotContains(t, f.log.String(), "a message on a stream")
	assert.NotContains(t, f.log.String(), "admin_delete")
}

// A name in another case is the entry's name to some readers.
func TestEntriesInTwoCases_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, entry := range []string{`{"name":"echo","Name":"admin_delete"}`, `{"NAME":"admin_delete","name":"echo"}`, `{"name":"echo","n\u0061ME":1}`} {
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+entry+`,{"name":"echo"}]}}`)
		w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
		assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`, w.Body.String(), entry)
	}
}

// MCP-63 on a stream of the server's own: what nobody has to check passes in whatever form, and
// what cannot be read is left out alone.
func TestUnreadableNotifications_MCP_63_MCP_68(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Resources: map[string]mcpauth.Requirement{"db://a": mcpauth.Scopes("mcp:read"), "db://b": mcpauth.Scopes("mcp:admin")}}
	})
	event := func(data string) string { return "id: 7\ndata: " + data + "\n\n" }
	deep := deepJSON(80)
	last := event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"last"}}`)
	for _, row := range []struct {
		name, data string
		passes     bool
		told       bool
	}{
		{"a vendor's, 80 deep", `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":` + deep + `}}`, true, false},
		{"a vendor's, with a member twice", `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":1,"a":2}}`, true, false},
		{"a message of a log, 80 deep", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":` + deep + `}}`, true, false},
		{"a request of the server's, 80 deep", `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"a":` + deep + `}}`, true, false},
		{"a resource, and more 80 deep", `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":` + deep + `,"uri":"db://a"}}`, true, false},
		{"a resource that is forbidden, 80 deep", `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":` + deep + `,"uri":"db://b"}}`, false, false},
		{"a resource twice", `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"db://a","uri":"db://b"}}`, false, false},
		{"about a task, behind what is 80 deep", `{"jsonrpc":"2.0","method":"notifications/message","params":{"a":` + deep + `,"_meta":{"b":` + deep + `,"io.modelcontextprotocol/related-task":{"c":` + deep + `,"taskId":"t"}}}}`, false, false},
		{"about two tasks", `{"jsonrpc":"2.0","method":"notifications/message","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t","taskId":""}}}}`, false, false},
		{"about tasks twice", `{"jsonrpc":"2.0","method":"notifications/message","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"io.modelcontextprotocol/related-task":{}}}}`, false, false},
		{"about a task, and _meta twice", `{"jsonrpc":"2.0","method":"notifications/message","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}},"_meta":{}}}`, false, false},
		{"about a task in what is not looked at", `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}}`, true, false},
		{"params twice", `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"db://a"},"params":{"uri":"db://b"}}`, false, true},
		{"a method twice", `{"jsonrpc":"2.0","method":"notifications/vendor","method":"notifications/vendor"}`, false, true},
		{"a method that is none", `{"jsonrpc":"2.0","method":` + deep + `}`, true, false},
		{"no JSON", `{"jsonrpc":"2.0"`, false, true},
		{"a list twice", `{"result":{"tools":[],"tools":[{"name":"admin_delete"}]}}`, false, true},
		{"a list that is none", `{"result":{"tools":{"name":"admin_delete"}}}`, false, true},
	} {
		for way, r := range map[string]func() *http.Request{
			"GET": func() *http.Request { return f.request(http.MethodGet, "/mcp", f.token(nil), "") },
			"listen": func() *http.Request {
				return f.request(http.MethodPost, "/mcp", f.token(nil), modernBody("subscriptions/listen", ""), modernHeaders("subscriptions/listen", "")...)
			},
		} {
			t.Run(row.name+"/"+way, func(t *testing.T) {
				f.log.Reset()
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", listsStream)
					_, err := io.WriteString(w, event(row.data))
					assert.NoError(t, err)
					_, err = io.WriteString(w, last)
					assert.NoError(t, err)
				}
				w := f.serve(r())
				f.servedIn(t, w)
				want := "id: 7\n\n" + last
				if row.passes {
					want = event(row.data) + last
				}
				assert.Equal(t, want, w.Body.String())
				assert.Equal(t, row.told, strings.Contains(f.log.String(), "mcpauth: a message on a stream is left out because it cannot be read"))
				assert.NotContains(t, f.log.String(), "db://")
			})
		}
	}
}

// MCP-65: the status that counts is the first one that the handler gives.
func TestListStatusTwice_MCP_65(t *testing.T) {
	f := newFixture(t, listsPolicy)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", listsJSON)
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"},{"name":"echo"}]}}`)
		w.WriteHeader(http.StatusTeapot)
	}
	w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
	f.served(w)
	assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`, w.Body.String())
	assert.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
}

// MCP-63: 16 MiB is the end.
func TestListTooLarge_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	list := func(size int) string {
		head, tail := `{"result":{"tools":[{"name":"echo","description":"`, `"},{"name":"admin_delete"}]}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	f.inner = listsAnswer(listsJSON, list(16<<20))
	w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
	f.served(w)
	assert.Equal(t, 16<<20-len(`,{"name":"admin_delete"}`), w.Body.Len())

	for _, piece := range []int{16<<20 + 1, 1 << 20} {
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", listsJSON)
			var err error
			for rest := list(16<<20 + 1); rest != "" && err == nil; rest = rest[min(piece, len(rest)):] {
				_, err = io.WriteString(w, rest[:min(piece, len(rest))])
			}
			assert.Error(t, err)
			assert.Error(t, r.Context().Err())
			assert.Error(t, http.NewResponseController(w).Flush())
		}
		w = f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Less(t, w.Body.Len(), 200)
	}
}

// MCP-65: the handler is not asked for compression, and what it compresses all
// the same is not passed on.
func TestCompressedLists_MCP_65(t *testing.T) {
	f := newFixture(t, listsPolicy)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, listsKinds[0].message("", "admin_delete"))
	require.NoError(t, z.Close())
	for _, contentType := range []string{listsJSON, listsStream} {
		for _, coding := range []string{"gzip", "br, gzip"} {
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", coding)
				w.Header().Set("Content-Type", contentType)
				_, err := w.Write(packed.Bytes())
				assert.Error(t, err)
				assert.Error(t, r.Context().Err(), "a stream is told to stop")
			}
			r := listsRequest(f, "tools/list", listsToken(f, "mcp:read"), true)
			r.Header.Set("Accept-Encoding", "gzip")
			w := f.serve(r)
			assert.Empty(t, f.last.Header.Values("Accept-Encoding"))
			assert.Equal(t, http.StatusInternalServerError, w.Code)
			assert.Equal(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"list cannot be filtered"}}`, w.Body.String())
			assert.Empty(t, w.Header().Get("Content-Encoding"))
			assert.Equal(t, listsJSON, w.Header().Get("Content-Type"))
		}
	}
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "Identity")
		listsAnswer(listsJSON, `{"result":{"tools":[{"name":"admin_delete"}]}}`)(w, r)
	}
	w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
	assert.Equal(t, `{"result":{"tools":[]}}`, w.Body.String(), "identity is no coding")

	// No response is asked to be compressed; a call's JSON passes all the same if it is.
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
	w = f.post(f.token(nil), legacyCall("echo"), "Accept-Encoding: gzip")
	assert.Equal(t, packed.Bytes(), w.Body.Bytes())
	assert.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
}

func TestListHeaders_MCP_65_CHAL_18_CHAL_19(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { listsPolicy(c); allowApp(c) })
	text := `{"result":{"tools":[{"name":"admin_delete"},{"name":"echo"}]}}`
	for _, row := range []struct{ name, given, want string }{
		{"CHAL-18 none", "", "private"},
		{"CHAL-18 the handler's stays", "no-cache", "no-cache"},
		{"CHAL-18 stricter stays", "no-store, must-revalidate", "no-store, must-revalidate"},
		{"MCP-61 no shared cache", "public, max-age=60", "private, max-age=60"},
		{"MCP-61 by its other name", "S-MaxAge=60,no-transform", "private, no-transform"},
		{"MCP-61 both", "private, public", "private"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, contentType := range []string{listsJSON, listsStream} {
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					h := w.Header()
					h.Set("Content-Length", "62")
					for _, name := range []string{"ETag", "Content-Digest", "X-Own"} {
						h.Set(name, "x")
					}
					if row.given != "" {
						h.Set("Cache-Control", row.given)
					}
					listsAnswer(contentType, text)(w, r)
				}
				r := listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false)
				r.Header.Set("Origin", "https://app.example.com")
				h := f.serve(r).Result().Header
				assert.Equal(t, []string{row.want}, h["Cache-Control"])
				assert.Equal(t, []string{"Authorization", "Origin"}, h["Vary"])
				assert.Equal(t, []string{"https://app.example.com"}, h["Access-Control-Allow-Origin"])
				assert.Equal(t, []string{exposed}, h["Access-Control-Expose-Headers"])
				assert.Equal(t, []string{"x"}, h["X-Own"])
				assert.NotContains(t, h, "Set-Cookie", "PASS-10")
				if contentType == listsJSON {
					assert.Equal(t, []string{"38"}, h["Content-Length"])
					assert.NotContains(t, h, "Etag")
					assert.NotContains(t, h, "Content-Digest")
				} else {
					assert.NotContains(t, h, "Content-Length")
				}
			}
		})
	}
}

// What holds no result is passed on: nothing, an empty answer, an error.
func TestListAnswersWithoutResult_MCP_64(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, row := range []struct {
		name   string
		status int
		body   string
	}{
		{"nothing", 0, ""}, {"202", 202, ""}, {"204", 204, ""}, {"200 without a body", 200, ""},
		{"400", 400, `not JSON`}, {"404", 404, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601}}`}, {"500", 500, `{"x":1,"x":2}`}, {"307", 307, ""},
		{"502 as a page", 502, "<html>{admin_delete}"}, {"401", 401, `{"error":"x","error_description":"y"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", "x")
				if row.status != 0 {
					w.WriteHeader(row.status)
				}
				if row.body != "" {
					_, _ = io.WriteString(w, row.body)
				}
			}
			w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), true))
			assert.Equal(t, cmp.Or(row.status, http.StatusOK), w.Code)
			assert.Equal(t, row.body, w.Body.String())
			assert.Empty(t, w.Header().Get("ETag"), "it may be that of a list")
			assert.NotContains(t, w.Header(), "Content-Length")
			assert.Contains(t, w.Header().Values("Vary"), "Authorization")
		})
	}
}

// MCP-69: what says what the server can do says it to everybody alike, but for who may keep it (MCP-61).
func TestDiscoveryIsNotAltered_MCP_69(t *testing.T) {
	f := newFixture(t, listsPolicy)
	text := `{"jsonrpc":"2.0","id":1,"result":{ "capabilities":{"tools":{},"prompts":{}},"tools":[{"name":"admin_delete"}],"cacheScope":"public","x":1.0}}` + "\n"
	for i, request := range []*http.Request{
		f.request("POST", "/mcp", f.token(nil), modernBody("server/discover", ""), modernHeaders("server/discover", "")...),
		f.request("POST", "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`),
		f.request("POST", "/mcp", f.token(nil), legacyCall("echo")),
	} {
		for contentType, body := range map[string]string{listsJSON: text, listsStream: "data: " + text + "\ndata: {\"a\":1,\"a\":2}\n\nrest"} {
			f.inner = listsAnswer(contentType, body)
			w := f.serve(request.Clone(context.Background()))
			assert.Equal(t, 1, f.ran)
			f.ran = 0
			if i == 0 {
				body = strings.Replace(body, `"public"`, `"private"`, 1)
			}
			assert.Equal(t, body, w.Body.String())
			request.Body = f.request("POST", "/mcp", "", string(f.body)).Body
		}
	}
}

// MCP-66: batches, and lists that come over a stream of the server's own.
func TestListsElsewhere_MCP_66(t *testing.T) {
	f := newFixture(t, listsPolicy)
	token := listsToken(f, "mcp:read")
	in := `[{"id":1,"result":{"tools":[{"name":"admin_delete"},{"name":"echo"}]}} , {"id":2,"result":{"content":[]}},{"id":3,"result":{"cacheScope":"public","prompts":[{"name":"admin_delete"}]}}]`
	want := `[{"id":1,"result":{"tools":[{"name":"echo"}]}} , {"id":2,"result":{"content":[]}},{"id":3,"result":{"cacheScope":"private","prompts":[]}}]`
	batch := `[{"jsonrpc":"2.0","id":1,"method":"tools/list"},` + strings.Replace(legacyCall("echo"), `"id":1`, `"id":2`, 1) + `,{"jsonrpc":"2.0","id":3,"method":"prompts/list"}]`
	for _, version := range []string{"X-None: 1", "MCP-Protocol-Version: 2025-03-26"} {
		f.inner = listsAnswer(listsJSON, in)
		w := f.post(token, batch, version)
		f.served(w)
		assert.Equal(t, want, w.Body.String())
		f.inner = listsAnswer(listsStream, "data: "+in+"\n\n")
		w = f.post(token, batch, version)
		f.served(w)
		assert.Equal(t, "data: "+want+"\n\n", w.Body.String())
	}

	replay := "id: 8\nevent: message\ndata: " + `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"admin_delete"},{"name":"echo"}]}}` + "\n\n"
	f.inner = listsAnswer(listsStream, ": hello\n\ndata: ping\n\nid: 7\ndata:\n\n"+replay+"data: [DONE]\n\n")
	w := f.do(http.MethodGet, "/mcp", token, "", "Last-Event-ID: 7", "Mcp-Session-Id: "+f.session(t, token))
	f.served(w)
	assert.Equal(t, "7", f.last.Header.Get("Last-Event-Id"))
	assert.Equal(t, ": hello\n\ndata: ping\n\nid: 7\ndata:\n\n"+strings.Replace(replay, `{"name":"admin_delete"},`, "", 1)+"data: [DONE]\n\n", w.Body.String())

	// Not by MCP, and none of our business.
	f.inner = listsAnswer("text/plain", "hello")
	w = f.do(http.MethodGet, "/mcp", token, "")
	f.served(w)
	assert.Equal(t, "hello", w.Body.String())

	// A subscription is answered with a stream; what comes as JSON is looked at.
	listen := modernBody("subscriptions/listen", `"notifications":{"toolsListChanged":true}`)
	f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"}]}}`)
	w = f.post(token, listen, modernHeaders("subscriptions/listen", "")...)
	f.served(w)
	assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`, w.Body.String())
}

// MCP-68: what a stream tells is checked again when it is told.
func TestNotificationsAreCheckedAgain_MCP_68(t *testing.T) {
	revoked := false
	f := newFixture(t, func(c *mcpauth.Config) {
		c.DelegateTasks = true
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if revoked && (call.Name == "db://a" || call.Name == "t-1") {
				return mcpauth.Requirement{AllOf: []string{"mcp:admin"}, Visible: true}, nil
			}
			return mcpauth.Authenticated(), nil
		})
	})
	updated := func(uri string) string {
		return "id: 5\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"" + uri + "\"}}\n\n"
	}
	task := func(method, id string) string {
		return "data: {\"jsonrpc\":\"2.0\",\"method\":\"" + method + "\",\"params\":{\"status\":\"working\",\"taskId\":\"" + id + "\"}}\n\n"
	}
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, updated("db://a")+task("notifications/tasks", "t-1"))
		revoked = true
		_, _ = io.WriteString(w, updated("db://a")+updated("db://b")+task("notifications/tasks", "t-1")+task("notifications/tasks/status", "t-1")+task("notifications/tasks", "t-2"))
	}
	want := updated("db://a") + task("notifications/tasks", "t-1") + "id: 5\n\n" + updated("db://b") + "\n\n" + task("notifications/tasks", "t-2")
	listen := modernBody("subscriptions/listen", `"notifications":{"resourceSubscriptions":["db://a","db://b"]}`)
	w := f.post(f.token(nil), listen, modernHeaders("subscriptions/listen", "")...)
	f.served(w)
	assert.Equal(t, want, w.Body.String())
	revoked = false
	w = f.do(http.MethodGet, "/mcp", f.token(nil), "")
	f.served(w)
	assert.Equal(t, want, w.Body.String())
}

// MCP-68 with tasks bound: a task that is not the caller's is not told of.
func TestNotificationsOfOthersTasks_MCP_68(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil })
	})
	f.inner = listsAnswer(listsStream, "data: {\"id\":1,\"result\":{\"task\":{\"taskId\":\"mine\"}}}\n\n")
	f.served(f.post(f.token(nil), legacyCall("echo")))
	f.inner = listsAnswer(listsJSON, `{"id":1,"result":{"taskId":"theirs"}}`)
	f.served(f.post(f.token(mcpauthtest.Claims{"sub": "user-2"}), legacyCall("echo")))
	text := ""
	for _, id := range []string{"mine", "theirs", "unknown"} {
		text += "data: {\"method\":\"notifications/tasks/status\",\"params\":{\"taskId\":\"" + id + "\"}}\n\n"
	}
	f.inner = listsAnswer(listsStream, text)
	w := f.do(http.MethodGet, "/mcp", f.token(nil), "")
	f.served(w)
	assert.Equal(t, text[:strings.Index(text, "\n\n")+2]+"\n\n", w.Body.String())

	f.inner = listsAnswer(listsJSON, `{"result":{"tasks":[{"taskId":"theirs"},{"taskId":"mine"},{"taskId":"unknown"}]}}`)
	w = f.serve(listsRequest(f, "tasks/list", f.token(nil), false))
	f.served(w)
	assert.Equal(t, `{"result":{"tasks":[{"taskId":"mine"}]}}`, w.Body.String())
}

// MCP-41: a list is no gate. Shown or hidden, the call is refused alike.
func TestCallsAreEnforced_MCP_41(t *testing.T) {
	f := newFixture(t, listsPolicy)
	f.inner = listsAnswer(listsJSON, listsKinds[0].message("", "admin_delete", "teaser", "echo"))
	w := f.serve(listsRequest(f, "tools/list", listsToken(f, "mcp:read"), true))
	f.served(w)
	assert.Contains(t, w.Body.String(), "teaser")
	assert.NotContains(t, w.Body.String(), "admin_delete")
	for _, tool := range []string{"teaser", "admin_delete"} {
		f.refused(f.call(listsToken(f, "mcp:read"), tool), http.StatusForbidden, adminChallenge)
		f.refused(f.legacyCall(listsToken(f, "mcp:read"), tool), http.StatusForbidden,
			strings.Replace(adminChallenge, `scope="mcp:admin"`, `scope="mcp:read mcp:admin"`, 1))
	}
}

// A policy that fails shows nothing and lets no list through.
func TestPolicyFailsOnLists_MCP_60_MCP_63(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			p, ok := mcpauth.FromContext(ctx)
			assert.True(t, ok)
			assert.Equal(t, "user-1", p.Subject)
			switch call.Name {
			case "broken":
				return mcpauth.Authenticated(), errors.New("broken")
			case "panics":
				panic("broken")
			case "impossible":
				return mcpauth.Requirement{AllOf: []string{"a b"}, Visible: true}, nil
			case "refused":
				return mcpauth.Requirement{Visible: true}, nil
			}
			return mcpauth.Authenticated(), nil
		})
	})
	f.inner = listsAnswer(listsJSON, listsKinds[1].message("", "broken", "a", "panics", "impossible", "refused", "b"))
	w := f.serve(listsRequest(f, "prompts/list", f.token(nil), false))
	f.served(w)
	assert.Equal(t, withoutCursor(listsKinds[1].message("", "a", "b")), withoutCursor(w.Body.String()))
}

// listsNames are the names of the entries that a response has, in order.
func listsNames(t *testing.T, body, member, naming string) (names []string) {
	t.Helper()
	if _, data, ok := strings.Cut(body, "data: "); ok {
		body, _, _ = strings.Cut(data, "\n")
	}
	var message struct {
		ID     any
		Result map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(body), &message), body)
	require.NotNil(t, message.ID)
	var entries []map[string]any
	require.NoError(t, json.Unmarshal(message.Result[member], &entries), body)
	for _, e := range entries {
		names = append(names, e[naming].(string))
	}
	slices.Sort(names)
	return names
}

// The lists of a real server, in both eras.
func TestRealLists_MCP_60_MCP_61_MCP_66(t *testing.T) {
	for _, stateful := range []bool{true, false} {
		f := newFixture(t, listsPolicy)
		inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithResourceCapabilities(true, true))
		for _, name := range []string{"echo", "admin_delete", "teaser", "unlisted"} {
			inner.AddTool(mcp.NewTool(name, mcp.WithString("text")), nil)
			inner.AddPrompt(mcp.NewPrompt(name), nil)
			inner.AddResource(mcp.NewResource("db://"+name, name), nil)
			inner.AddResourceTemplate(mcp.NewResourceTemplate("files://"+name+"/{name}", name), nil)
		}
		f.handler = f.auth.Wrap(server.NewStreamableHTTPServer(inner, server.WithStateful(stateful), server.WithStateLess(!stateful),
			server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler))))
		for scope, sees := range map[string][]string{"mcp:read": {"echo", "teaser"}, "mcp:admin": {"admin_delete", "teaser"}} {
			token, session := listsToken(f, scope), "X-None: 1"
			if stateful {
				w := f.post(token, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
				require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
				session = "Mcp-Session-Id: " + w.Header().Get("Mcp-Session-Id")
			}
			for _, kind := range listsKinds {
				naming, want := "name", sees
				w := f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":"x","method":%q}`, kind.method), session)
				require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
				assert.Equal(t, want, listsNames(t, w.Body.String(), kind.member, naming), kind.method)
				assert.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))

				meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
				w = f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":"x","method":%q,"params":{%s}}`, kind.method, meta), modernHeaders(kind.method, "")...)
				require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
				assert.Equal(t, want, listsNames(t, w.Body.String(), kind.member, naming), kind.method)
				assert.Contains(t, w.Body.String(), `"cacheScope":"private"`)
			}
		}
	}
}

// A handler that panics in the middle of a list has sent nothing of it.
func TestPanicInList_MCP_63(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for _, contentType := range []string{listsJSON, listsStream} {
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			listsAnswer(contentType, "data: {\"result\":{\"tools\":[{\"name\":\"admin_delete\"}")(w, nil)
			panic(http.ErrAbortHandler)
		}
		w := httptest.NewRecorder()
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
			f.handler.ServeHTTP(w, listsRequest(f, "tools/list", listsToken(f, "mcp:read"), false))
		})
		assert.Empty(t, w.Body.String())
	}
}
