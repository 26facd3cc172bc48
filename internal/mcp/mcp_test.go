package mcp

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// request has header fields written as "Name: value".
func request(verb string, fields ...string) *http.Request {
	r := &http.Request{Method: verb, Header: http.Header{}}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func message(method, params string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{` + params + `}}`
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`

var modernFields = []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: =?base64?ZWNobw==?="}

var readings = []struct {
	name, verb, body string
	fields           []string
	tagged           bool
	era              Era
	id               string
	calls            []Call
	refused          refusal.Reason // "" for none
}{
	{name: "MCP-20 nothing names a revision", body: message("tools/call", `"name":"echo","arguments":{"a":1}`),
		era: Legacy, id: "7", calls: []Call{{"tools/call", Tool, "echo", []byte(`{"a":1}`)}}},
	{name: "MCP-20 the header does", body: message("prompts/get", `"name":"p","arguments":{}`), fields: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: prompts/get", "Mcp-Name: p"},
		era: Modern, id: "7", calls: []Call{{"prompts/get", Prompt, "p", []byte(`{}`)}}},
	{name: "MCP-23 MCP-26 both do, and all agrees", body: message("tools/call", `"name":"echo",`+meta), fields: modernFields,
		era: Modern, id: "7", calls: []Call{{"tools/call", Tool, "echo", nil}}},
	{name: "MCP-26 the body alone", body: message("tools/call", `"name":"echo",`+meta), era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-92 the body alone, for a tagged endpoint", body: message("tools/call", `"name":"echo",`+meta), tagged: true,
		era: Modern, id: "7", calls: []Call{{"tools/call", Tool, "echo", nil}}},
	{name: "MCP-92 the header alone, for a tagged endpoint", body: message("tools/call", `"name":"echo"`), fields: modernFields[:1], tagged: true,
		era: Modern, id: "7", calls: []Call{{"tools/call", Tool, "echo", nil}}},
	{name: "MCP-92 another revision, for a tagged endpoint", body: message("tools/call", `"name":"echo",`+meta), fields: []string{"MCP-Protocol-Version: 2025-11-25"}, tagged: true,
		era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-21 no method", body: message("tools/list", ``), fields: modernFields[:1], era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-21 no name", body: message("tools/call", `"name":"echo"`), fields: modernFields[:2], era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-21 another method", body: message("tools/list", `"name":"echo"`), fields: modernFields, era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-27 a later revision has fields of its own", body: message("tools/call", `"name":"echo"`), fields: []string{"MCP-Protocol-Version: 2027-01-01"},
		era: Modern, id: "7", calls: []Call{{"tools/call", Tool, "echo", nil}}},
	{name: "MCP-29 a modern method under what is no revision", body: message("server/discover", strings.Replace(meta, "2026-07-28", "v9", 1)), fields: []string{"MCP-Protocol-Version: v9"},
		era: Modern, id: "7", calls: []Call{{Method: "server/discover", Kind: Itself}}},
	{name: "MCP-23 a name that only begins as if it were encoded", body: message("tools/call", `"name":"=?base64?a"`), fields: append(modernFields[:2:2], "Mcp-Name: =?base64?a"),
		era: Modern, id: "7", calls: []Call{{"tools/call", Tool, "=?base64?a", nil}}},
	{name: "MCP-21 the name is another's", body: message("tools/call", `"name":"admin",`+meta), fields: modernFields, era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-23 the name cannot be decoded", body: message("tools/call", `"name":"echo"`), fields: append(modernFields[:2:2], "Mcp-Name: =?base64?*?="), era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-24 the method twice", body: message("ping", ``), fields: []string{"Mcp-Method: ping", "Mcp-Method: ping"}, era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-24 one revision twice", body: message("ping", ``), fields: []string{"MCP-Protocol-Version: 2025-11-25, 2025-11-25"},
		era: Legacy, id: "7", calls: []Call{{Method: "ping", Kind: Itself}}},
	{name: "MCP-24 two revisions", body: message("ping", ``), fields: []string{"MCP-Protocol-Version: 2025-11-25, 2025-06-18"}, era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-42 a resource", body: message("resources/read", `"uri":"r://x","arguments":{}`), era: Legacy, id: "7", calls: []Call{{Method: "resources/read", Kind: Resource, Name: "r://x"}}},
	{name: "MCP-42 no target", body: message("tools/call", ``), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-42 a target that is none", body: message("tools/call", `"name":5`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-42 what is done to a task by an unknown method", body: message("tasks/explode", `"taskId":"t"`), era: Legacy, id: "7", calls: []Call{{Method: "tasks/explode", Kind: Itself, Name: "t"}}},
	{name: "MCP-47 a method that was removed", body: message("ping", ``), fields: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: ping"}, era: Modern, id: "7", refused: refusal.UnknownMethod},
	{name: "MCP-47 a name that stands for a verb", body: message(Stream, ``), era: Legacy, id: "7", refused: refusal.Forbidden},
	{name: "MCP-53 a prompt's argument", body: message("completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`), era: Legacy, id: "7", calls: []Call{{Method: "completion/complete", Kind: Prompt, Name: "p"}}},
	{name: "MCP-53 a template's argument", body: message("completion/complete", `"ref":{"type":"ref/resource","uri":"db://{t}"}`), era: Legacy, id: "7", calls: []Call{{Method: "completion/complete", Kind: Resource, Name: "db://{t}"}}},
	{name: "MCP-53 of two readings", body: message("completion/complete", `"ref":{"type":"ref/prompt","name":"p","uri":"r://x"}`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-54 each object of a subscription", body: message(Listen, `"notifications":{"toolsListChanged":true,"resourceSubscriptions":["r://x"],"taskIds":["t"]}`),
		fields: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: " + Listen}, era: Modern, id: "7",
		calls: []Call{{Method: Listen, Kind: Itself}, {Method: "tools/list", Kind: Itself}, {Method: "resources/read", Kind: Resource, Name: "r://x"}, {Method: "tasks/get", Kind: Itself, Name: "t"}}},
	{name: "MCP-54 a subscription to nothing", body: message(Listen, ``), fields: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: " + Listen}, era: Modern, id: "7", calls: []Call{{Method: Listen, Kind: Itself}}},
	{name: "MCP-54 an object that is not understood", body: message(Listen, `"notifications":{"all":true}`), era: Legacy, id: "7", refused: refusal.Forbidden},
	{name: "MCP-30 a response", body: `{"jsonrpc":"2.0","id":7,"result":{}}`, era: Legacy, calls: []Call{{Method: Response, Kind: Itself}}},
	{name: "MCP-30 a response in the modern era", body: `{"jsonrpc":"2.0","id":7,"result":{}}`, fields: []string{"MCP-Protocol-Version: 2026-07-28"}, era: Modern, refused: refusal.InvalidRequest},
	{name: "MCP-07 no JSON", body: `{"jsonrpc":`, refused: refusal.UnreadableBody},
	{name: "MCP-07 no message", body: `{"jsonrpc":"1.0","id":7,"method":"ping"}`, id: "7", refused: refusal.InvalidRequest},
	{name: "MCP-58 a batch", body: "[" + message("ping", ``) + "," + strings.Replace(message("tools/call", `"name":"echo"`), "7", "8", 1) + "]",
		era: Legacy, calls: []Call{{Method: "ping", Kind: Itself}, {Method: "tools/call", Kind: Tool, Name: "echo"}}},
	{name: "MCP-58 a batch of a response", body: `[{"jsonrpc":"2.0","id":7,"result":{}}]`, era: Legacy, calls: []Call{{Method: Response, Kind: Itself}}},
	{name: "MCP-58 a batch of another revision", body: "[" + message("ping", ``) + "]", fields: []string{"MCP-Protocol-Version: 2025-06-18"}, era: Legacy, refused: refusal.InvalidRequest},
	{name: "MCP-58 a modern message in a batch", body: "[" + message("ping", meta) + "]", era: Legacy, calls: []Call{}, refused: refusal.InvalidRequest},
	{name: "MCP-58 initialize in a batch", body: "[" + message("initialize", ``) + "]", era: Legacy, calls: []Call{}, refused: refusal.InvalidRequest},
	{name: "MCP-58 a batch that is none", body: "[]", era: Legacy, refused: refusal.InvalidRequest},
	{name: "MCP-24 a batch of two revisions", body: "[]", fields: []string{"MCP-Protocol-Version: 1, 2"}, era: Legacy, refused: refusal.HeaderMismatch},
	{name: "MCP-24 a batch with a name twice", body: "[]", fields: []string{"Mcp-Name: a", "Mcp-Name: a"}, era: Legacy, refused: refusal.HeaderMismatch},
	{name: "MCP-58 a batch of what cannot be called", body: "[" + message("ping", ``) + "," + strings.Replace(message(Stream, ``), "7", "8", 1) + "]",
		era: Legacy, calls: []Call{{Method: "ping", Kind: Itself}}, refused: refusal.Forbidden},
	{name: "MCP-58 a batch without a target", body: "[" + message("tools/call", ``) + "]", era: Legacy, refused: refusal.InvalidParams},
	{name: "MCP-26 a revision that is a number", body: message("ping", `"_meta":{"io.modelcontextprotocol/protocolVersion":7}`), era: Modern, id: "7", refused: refusal.HeaderMismatch},
	{name: "MCP-30 a response in the modern era that names a method", body: `{"jsonrpc":"2.0","id":7,"result":{}}`, fields: modernFields[:2], era: Modern, refused: refusal.InvalidRequest},
	{name: "MCP-21 a notification names no method", body: `{"jsonrpc":"2.0","method":"vendor/event"}`, fields: modernFields[:1], era: Modern, calls: []Call{{Method: "vendor/event", Kind: Itself}}},
	{name: "MCP-47 a resource of a method that was removed", body: message("resources/subscribe", `"uri":"r://x"`), fields: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: resources/subscribe"},
		era: Modern, id: "7", refused: refusal.UnknownMethod},
	{name: "MCP-42 no target, and no header for it", body: message("tools/call", ``), fields: modernFields[:2], era: Modern, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-29 a modern method under a legacy revision", body: message("server/discover", strings.Replace(meta, "2026-07-28", "2025-11-25", 1)), fields: []string{"MCP-Protocol-Version: 2025-11-25"},
		era: Legacy, id: "7", calls: []Call{{Method: "server/discover", Kind: Itself}}},
	{name: "MCP-29 a method of both eras under what is no revision", body: message("tools/list", strings.Replace(meta, "2026-07-28", "v9", 1)), fields: []string{"MCP-Protocol-Version: v9"},
		era: Legacy, id: "7", calls: []Call{{Method: "tools/list", Kind: Itself}}},
	{name: "MCP-42 a target without letters", body: message("tools/call", `"name":""`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-42 what only looks as if it were done to a task", body: message("vendor/x", `"taskId":"t"`), era: Legacy, id: "7", calls: []Call{{Method: "vendor/x", Kind: Itself}}},
	{name: "MCP-42 a list is not done to a task", body: message("tasks/list", `"taskId":"t"`), era: Legacy, id: "7", calls: []Call{{Method: "tasks/list", Kind: Itself}}},
	{name: "MCP-47 a name that stands for the end of a session", body: message(endSession, ``), era: Legacy, id: "7", refused: refusal.Forbidden},
	{name: "MCP-47 a name that stands for a response", body: message(Response, ``), era: Legacy, id: "7", refused: refusal.Forbidden},
	{name: "MCP-53 of no type, with a name", body: message("completion/complete", `"ref":{"name":"p"}`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-53 of no type, with a URI", body: message("completion/complete", `"ref":{"uri":"r://x"}`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-53 of two readings, a resource", body: message("completion/complete", `"ref":{"type":"ref/resource","name":"p","uri":"r://x"}`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-53 without letters", body: message("completion/complete", `"ref":{"type":"ref/prompt","name":""}`), era: Legacy, id: "7", refused: refusal.InvalidParams},
	{name: "MCP-58 a batch of the revision that has them", body: "[" + message("ping", ``) + "]", fields: []string{"MCP-Protocol-Version: 2025-03-26"}, era: Legacy, calls: []Call{{Method: "ping", Kind: Itself}}},
	{name: "MCP-56 GET", verb: http.MethodGet, era: Legacy, calls: []Call{{Method: Stream, Kind: Itself}}},
	{name: "MCP-56 DELETE", verb: http.MethodDelete, era: Legacy, calls: []Call{{Method: endSession, Kind: Itself}}},
	{name: "MCP-24 GET of two revisions", verb: http.MethodGet, fields: []string{"MCP-Protocol-Version: 1, 2"}, era: Legacy, calls: []Call{{Method: Stream, Kind: Itself}}, refused: refusal.HeaderMismatch},
}

// TestRead: what a request asks for, or why nobody can tell.
func TestRead(t *testing.T) {
	for _, row := range readings {
		t.Run(row.name, func(t *testing.T) {
			if row.verb == "" {
				row.verb = http.MethodPost
			}
			var room [1]Call
			req, calls, denied := Read(request(row.verb, row.fields...), []byte(row.body), row.tagged, nil, room[:0])
			if row.refused == "" {
				require.Nil(t, denied)
			} else {
				require.NotNil(t, denied)
				assert.Equal(t, row.refused, denied.Reason, "%v", denied)
			}
			assert.Equal(t, Request{Era: row.era, ID: req.ID}, req)
			assert.Equal(t, row.id, string(req.ID))
			assert.Equal(t, row.calls, calls)
		})
	}
}

// TestNotifications: one tells, whoever knows it, also in an era that does not have it. What only looks
// like one asks.
func TestNotifications_MCP_47(t *testing.T) {
	for _, row := range []struct {
		body           string
		tells, refused bool
	}{
		{`{"jsonrpc":"2.0","method":"notifications/vendor"}`, true, false},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, true, false},
		{`{"jsonrpc":"2.0","method":"vendor/event"}`, false, false},
		{`{"jsonrpc":"2.0","method":"ping"}`, false, true},
		{`{"jsonrpc":"2.0","id":7,"method":"notifications/vendor"}`, false, true},
		{`{"jsonrpc":"2.0","id":7,"method":"notifications/progress"}`, false, true},
	} {
		method := strings.Split(row.body, `"method":"`)[1]
		r := request(http.MethodPost, modernFields[0], "Mcp-Method: "+strings.TrimSuffix(method, `"}`))
		req, calls, denied := Read(r, []byte(row.body), false, nil, nil)
		assert.Equal(t, row.tells, req.Tells, row.body)
		assert.Equal(t, row.refused, denied != nil, row.body)
		assert.Equal(t, row.refused, len(calls) == 0, row.body)
	}
}

// TestPages: a cursor is where it stands in the body. An empty one is none.
func TestPages_MCP_67(t *testing.T) {
	for _, row := range []struct{ method, params, list, cursor string }{
		{"tools/list", `"cursor":"a\u0062c"`, "tools/list", `"a\u0062c"`},
		{"tools/list", `"cursor":5`, "tools/list", `5`},
		{"tasks/all", `"cursor":"abc"`, "tasks/list", `"abc"`},
		{"tools/list", `"cursor":""`, "", ""},
		{"tools/list", `"cursor":null`, "", ""},
		{"tasks/result", `"taskId":"t","cursor":"abc"`, "", ""},
		{"vendor/list", `"cursor":"abc"`, "", ""},
	} {
		body := message(row.method, row.params)
		req, _, denied := Read(request(http.MethodPost), []byte(body), false, nil, nil)
		require.Nil(t, denied, body)
		if row.list == "" {
			assert.Empty(t, req.Pages, body)
			continue
		}
		require.Len(t, req.Pages, 1, body)
		batch, _, denied := Read(request(http.MethodPost), []byte("["+body+"]"), false, nil, nil)
		require.Nil(t, denied, body)
		require.Len(t, batch.Pages, 1, body)
		page := req.Pages[0]
		assert.Equal(t, row.list, page.List, body)
		assert.Equal(t, row.cursor, body[page.Cursor.From:page.Cursor.To])
	}
}

// TestMethods: what is said of a method in several places is one thing.
func TestMethods_MCP_47_MCP_61(t *testing.T) {
	for name, known := range methods {
		assert.NotZero(t, known.eras&(Legacy|Modern), name)
		assert.Equal(t, strings.HasSuffix(name, "/list"), known.list, "%s: a list that is not known as one is not filtered", name)
		assert.Equal(t, known.list, ListOf(name, "x") == name, name)
		assert.Equal(t, known.kind, KindOf(name), name)
		assert.False(t, IsHandshake(name) && !IsFree(name), name)
		assert.False(t, IsHandshake(name) && known.eras&Modern != 0, "%s: the modern era has no handshake", name)
		assert.False(t, HasTargets(name) && IsFree(name) && name != Listen, name)
		assert.Equal(t, IsTask(name), known.refused, name)
		assert.False(t, known.named && known.target == byMethod, name)
		assert.Equal(t, known.kind == Tool || known.kind == Prompt || known.kind == Resource || known.target == byTask, known.target != byMethod, name)
		assert.Nil(t, CheckKnown(Legacy, name), name)
		for _, era := range []Era{Legacy, Modern} {
			assert.Equal(t, known.eras&era != 0, CheckEra(era, name) == nil, "%s in %s", name, era)
		}
	}
	for _, name := range []string{"", "*", "Tools/list", "tools/list/", "vendor/list", "notifications/vendor"} {
		assert.Nil(t, CheckEra(Modern, name), "%s: nobody has it, and a policy may", name)
		require.NotNil(t, CheckKnown(Modern, name), name)
		assert.Equal(t, refusal.UnknownMethod, CheckKnown(Modern, name).Reason, name)
		assert.Equal(t, refusal.Forbidden, CheckKnown(Legacy, name).Reason, "%s: 404 is the end of a session there", name)
		assert.False(t, IsFree(name) || HasTargets(name) || IsHandshake(name) || IsCacheable(name), name)
		assert.Empty(t, ListOf(name, ""), name)
		assert.Empty(t, KindOf(name), name)
	}
	assert.True(t, slices.IsSorted(Names()))
	assert.ElementsMatch(t, slices.Collect(maps.Keys(methods)), Names())
	assert.True(t, IsHandshake("initialize") && IsHandshake(Stream))
	assert.True(t, HasTargets("tools/call") && HasTargets("completion/complete") && HasTargets(Listen))
	assert.False(t, HasTargets("tools/list"))
	assert.True(t, IsFree("tools/list"))
	assert.False(t, IsFree("tasks/get"))
	assert.Equal(t, []string{"method", "method-revision"}, []string{CheckKnown(Legacy, "x").Cause, CheckEra(Legacy, "server/discover").Cause})
	assert.Contains(t, CheckKnown(Legacy, "x").Want, "policy")
	assert.Equal(t, "tasks/list", ListOf("tasks/all", ""), "whatever it is called, it may list tasks")
	assert.Empty(t, ListOf("tasks/get", "t"))
	assert.Equal(t, []bool{true, true, true, false, false}, []bool{IsCacheable("tools/list"), IsCacheable("resources/read"),
		IsCacheable("server/discover"), IsCacheable("tasks/list"), IsCacheable("tools/call")})
	assert.Equal(t, []string{"legacy", "modern", ""}, []string{Legacy.String(), Modern.String(), Era(0).String()})
}

// TestVerbs: the modern era has POST alone, and nobody changes the protocol.
func TestVerbs_MCP_56_MCP_57(t *testing.T) {
	const modern = "MCP-Protocol-Version: 2026-07-28"
	for _, row := range []struct {
		verb, field, allowed string // allowed is "" for what passes
	}{
		{"POST", "", ""}, {"POST", modern, ""}, {"GET", "", ""}, {"DELETE", "", ""}, {"DELETE", "MCP-Protocol-Version: latest", ""},
		{"GET", modern, "POST"}, {"DELETE", "MCP-Protocol-Version: 2027-01-01", "POST"},
		{"PUT", "", "POST, GET, DELETE"}, {"post", "", "POST, GET, DELETE"}, {"PUT", modern, "POST"},
		{"POST", "Upgrade: h2c, WebSocket", "HTTP"}, {"POST", "Upgrade: h2c", ""},
	} {
		r := request(row.verb, row.field)
		denied := CheckVerb(r)
		if row.allowed == "" {
			assert.Nil(t, denied, "%s %s", row.verb, row.field)
			continue
		}
		require.NotNil(t, denied, "%s %s", row.verb, row.field)
		assert.Equal(t, refusal.HTTPMethod, denied.Reason)
		assert.Equal(t, row.allowed, denied.Want)
		assert.Equal(t, row.allowed == "POST", Verbs(r.Header) == "POST")
		assert.Equal(t, row.allowed == "POST", IsModern(r.Header))
	}
}
