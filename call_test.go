package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The bodies of refusals for a request with id 1, whole.
const (
	forbiddenBody     = `{"jsonrpc":"2.0","id":1,"error":{"code":-31403,"message":"not permitted"}}`
	unknownMethodBody = `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method not found"}}`
	badTargetBody     = `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"target of the call is missing or malformed"}}`
	invalidBody       = `{"jsonrpc":"2.0","error":{"code":-32600,"message":"body is not an acceptable JSON-RPC message"}}`
)

// scopeBody is the body of a refusal that these scopes would cure.
func scopeBody(id, scope string) string {
	if id != "" {
		id = `"id":` + id + `,`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0",%s"error":{"code":-31403,"message":"insufficient scope","data":`+
		`{"error":"insufficient_scope","scope":%q,"resource_metadata":%q}}}`, id, scope, testMetadataURL)
}

// scopeChallenge is the challenge that goes with it.
func scopeChallenge(scope string) string {
	return fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q, resource_metadata=%q`, scope, testMetadataURL)
}

// refusedWhole asserts every header of a refusal, its body, and that the inner
// handler did not run.
func (f *fixture) refusedWhole(t *testing.T, w *httptest.ResponseRecorder, status int, challenge, body string) {
	t.Helper()
	want := http.Header{
		"Cache-Control":          {"no-store"},
		"Content-Length":         {strconv.Itoa(len(body))},
		"Content-Type":           {"application/json"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if challenge != "" {
		want["Www-Authenticate"] = []string{challenge}
	}
	if status == http.StatusRequestEntityTooLarge {
		want["Connection"] = []string{"close"}
	}
	assert.Equal(t, status, w.Code)
	assert.Equal(t, want, w.Result().Header)
	assert.Equal(t, body, w.Body.String())
	assert.Zero(t, f.ran, "the inner handler ran")
	f.ran = 0
}

// servedIn is served with the assertions at t.
func (f *fixture) servedIn(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	assert.Equal(t, http.StatusOK, w.Code, "body %s", w.Body)
	assert.Empty(t, w.Result().Header.Values("WWW-Authenticate"))
	assert.Equal(t, 1, f.ran, "the inner handler ran not once")
	f.ran = 0
}

// How a row of the target table can end.
const (
	wantServed  = "served"
	wantOurs    = "202"
	wantScope   = "403 insufficient_scope"
	wantDenied  = "403"
	wantUnknown = "404"
	wantInvalid = "400"
)

// targetRow is a method: what it does with a rule that is met, with a rule whose
// scope is missing, and with a policy that is empty.
type targetRow struct {
	method         string // its name; a space and more may follow, to tell rows apart
	params         string
	name           string // Mcp-Name
	notification   bool
	legacy, modern [3]string
}

var (
	always   = [3]string{wantServed, wantServed, wantServed} // whatever the policy
	freely   = [3]string{wantServed, wantScope, wantServed}  // unless the policy asks for more
	byRule   = [3]string{wantServed, wantScope, wantDenied}  // only by rule
	notHere  = [3]string{wantDenied, wantDenied, wantDenied} // no method of the legacy era
	notFound = [3]string{wantUnknown, wantUnknown, wantUnknown}
	unusable = [3]string{wantInvalid, wantInvalid, wantInvalid} // its params name no target
)

var targetTable = []targetRow{
	{method: "initialize", params: `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"admin_delete"}`, legacy: always, modern: notFound},
	{method: "notifications/initialized", notification: true, legacy: always, modern: always},
	{method: "notifications/initialized as a request", legacy: always, modern: notFound},
	{method: "ping", legacy: always, modern: notFound},
	{method: "server/discover", legacy: notHere, modern: freely},
	{method: "tools/list", params: `"cursor":""`, legacy: freely, modern: freely},
	{method: "prompts/list", legacy: freely, modern: freely},
	{method: "resources/list", legacy: freely, modern: freely},
	{method: "resources/templates/list", legacy: freely, modern: freely},
	{method: "tools/call", params: `"name":"t"`, name: "t", legacy: byRule, modern: byRule},
	{method: "prompts/get", params: `"name":"p"`, name: "p", legacy: byRule, modern: byRule},
	{method: "resources/read", params: `"uri":"r://x/y"`, name: "r://x/y", legacy: byRule, modern: byRule},
	{method: "resources/subscribe", params: `"uri":"r://x/y"`, legacy: byRule, modern: notFound},
	{method: "resources/unsubscribe", params: `"uri":"r://x/y"`, legacy: byRule, modern: notFound},
	{method: "resources/subscribe to nothing", legacy: unusable, modern: notFound},
	{method: "resources/unsubscribe from nothing", params: `"uri":5`, legacy: unusable, modern: notFound},
	{method: "completion/complete of a prompt", params: `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}`, legacy: byRule, modern: byRule},
	{method: "completion/complete of a resource", params: `"ref":{"type":"ref/resource","uri":"r://x/y"}`, legacy: byRule, modern: byRule},
	{method: "completion/complete of a template", params: `"ref":{"type":"ref/resource","uri":"db://{table}"}`, legacy: byRule, modern: byRule},
	{method: "logging/setLevel", params: `"level":"debug"`, legacy: freely, modern: notFound},
	{method: "subscriptions/listen", legacy: notHere, modern: always},
	{method: "subscriptions/listen to a list", params: `"notifications":{"toolsListChanged":true}`, legacy: notHere, modern: freely},
	{method: "subscriptions/listen to a resource", params: `"notifications":{"resourceSubscriptions":["r://x/y"]}`, legacy: notHere, modern: byRule},
	{method: "subscriptions/listen to a task", params: `"notifications":{"taskIds":["1"]}`, legacy: notHere, modern: byRule},
	{method: "tasks/get", params: `"taskId":"1"`, name: "1", legacy: byRule, modern: byRule},
	{method: "tasks/cancel", params: `"taskId":"1"`, name: "1", legacy: byRule, modern: byRule},
	{method: "tasks/update", params: `"taskId":"1"`, name: "1", legacy: notHere, modern: byRule},
	{method: "tasks/result", params: `"taskId":"1"`, legacy: byRule, modern: notFound},
	{method: "tasks/list", legacy: byRule, modern: notFound},
	{method: "notifications/cancelled", params: `"requestId":1`, notification: true, legacy: [3]string{wantOurs, wantScope, wantOurs}, modern: [3]string{wantOurs, wantScope, wantOurs}},
	{method: "notifications/progress", params: `"progressToken":1`, notification: true, legacy: freely, modern: freely},
	{method: "notifications/roots/list_changed", notification: true, legacy: freely, modern: freely},
	{method: "notifications/elicitation/complete", notification: true, legacy: freely, modern: freely},
	{method: "vendor/listed", legacy: byRule, modern: [3]string{wantServed, wantScope, wantUnknown}},
	{method: "vendor/unlisted", legacy: notHere, modern: notFound},
	{method: "notifications/vendor", notification: true, legacy: always, modern: always},
	{method: "notifications/vendor/listed", notification: true, legacy: freely, modern: freely},
	{method: "notifications/tasks/status", params: `"taskId":"somebody's","status":"working"`, notification: true, legacy: always, modern: always},
	{method: "notifications/vendor that wants an answer", legacy: notHere, modern: notFound},
	{method: "vendor/event", notification: true, legacy: notHere, modern: notFound}, // others take it for a call without answer
	{method: "Notifications/vendor", notification: true, legacy: notHere, modern: notFound},
	{method: "Tools/call", params: `"name":"t"`, legacy: notHere, modern: notFound},
	{method: "tools/call/", params: `"name":"t"`, legacy: notHere, modern: notFound},
	// What stands for a client's answer inside is no method that a client may call.
	{method: "$response", params: `"name":"t"`, legacy: notHere, modern: notFound},
	{method: "$sse", legacy: notHere, modern: notFound},
	{method: "*", legacy: notHere, modern: notFound},
}

// targetRules has a rule for everything in the table that can have one.
func targetRules() mcpauth.Rules {
	need := mcpauth.Scopes("s:x")
	rules := mcpauth.Rules{
		Tools:     map[string]mcpauth.Requirement{"t": need},
		Prompts:   map[string]mcpauth.Requirement{"p": need},
		Resources: map[string]mcpauth.Requirement{"r://x/y": need, "db://{table}": need},
		Methods:   map[string]mcpauth.Requirement{},
	}
	for _, method := range []string{
		"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "logging/setLevel",
		"tasks/get", "tasks/cancel", "tasks/update", "tasks/result", "tasks/list", "vendor/listed", "notifications/cancelled",
		"notifications/progress", "notifications/roots/list_changed", "notifications/elicitation/complete", "notifications/vendor/listed",
	} {
		rules.Methods[method] = need
	}
	return rules
}

func (row *targetRow) message(modern bool) (body string, headers []string) {
	method, _, _ := strings.Cut(row.method, " ")
	body = fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, row.params)
	headers = []string{"MCP-Protocol-Version: 2025-11-25"}
	if modern {
		body, headers = modernBody(method, row.params), modernHeaders(method, row.name)
	}
	if row.notification {
		body = strings.Replace(body, `"id":1,`, ``, 1)
	}
	return body, headers
}

// The target table 8h: what is authorized, in which era, on what.
func TestTargets_MCP_40_MCP_42_MCP_47_MCP_48_MCP_49_MCP_53_MCP_54(t *testing.T) {
	ruled := newFixture(t, func(c *mcpauth.Config) { c.Policy = targetRules() })
	ruled.beginTask(t, ruled.token(mcpauthtest.Claims{"scope": "s:x"}), "t", "1")
	bare := newFixture(t, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{} })
	for _, row := range targetTable {
		for i, state := range []string{"rule met", "scope missing", "no rule"} {
			for _, modern := range []bool{false, true} {
				f, want, era := ruled, row.legacy[i], "legacy"
				if modern {
					want, era = row.modern[i], "modern"
				}
				if state == "no rule" {
					f = bare
				}
				granted := "mcp:read s:x"
				if state == "scope missing" {
					granted = "mcp:read"
				}
				t.Run(fmt.Sprintf("%s/%s/%s", row.method, era, state), func(t *testing.T) {
					body, headers := row.message(modern)
					w := f.post(f.token(mcpauthtest.Claims{"scope": granted}), body, headers...)
					f.ends(t, w, want, modern, row.notification)
				})
			}
		}
	}
}

// The log advises to list a method only where that would help.
func TestUnknownMethodAdvice_MCP_47(t *testing.T) {
	f := newFixture(t, nil)
	for method, advised := range map[string]bool{"ping": false, "vendor/x": true} {
		f.log.Reset()
		f.endsHeaders(t, f.token(nil), modernBody(method, ""), wantUnknown, modernHeaders(method, "")...)
		assert.Contains(t, f.log.String(), "a method of 2026-07-28")
		assert.Equal(t, advised, strings.Contains(f.log.String(), "listed in the policy"), "%s: %s", method, f.log)
	}
}

// beginTask calls a tool that answers with a task, which then belongs to the caller.
func (f *fixture) beginTask(t *testing.T, token, tool, id string) {
	t.Helper()
	inner := f.inner
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":%q,"status":"working"}}}`, id)
	}
	f.servedIn(t, f.legacyCall(token, tool))
	f.inner = inner
}

// ends asserts how a row of the target table ended.
func (f *fixture) ends(t *testing.T, w *httptest.ResponseRecorder, want string, modern, notification bool) {
	t.Helper()
	withID := func(body string) string {
		if notification {
			return strings.Replace(body, `"id":1,`, ``, 1)
		}
		return body
	}
	switch want {
	case wantServed:
		f.servedIn(t, w)
	case wantOurs:
		f.ours(t, w)
	case wantScope:
		needed := "s:x"
		if !modern {
			needed = "mcp:read s:x" // older clients forget what they had
		}
		f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(needed), withID(scopeBody("1", needed)))
	case wantDenied:
		f.refusedWhole(t, w, http.StatusForbidden, "", withID(forbiddenBody))
	case wantUnknown:
		f.refusedWhole(t, w, http.StatusNotFound, "", withID(unknownMethodBody))
	case wantInvalid:
		f.refusedWhole(t, w, http.StatusBadRequest, "", withID(badTargetBody))
	default:
		t.Fatalf("no such ending: %s", want)
	}
}

// With every right there is, a target that is no string is nobody's.
func TestMandatoryTargets_MCP_42(t *testing.T) {
	all := mcpauth.Authenticated()
	anything := map[string]mcpauth.Requirement{"*": all}
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: anything, Prompts: anything, Resources: anything, Methods: map[string]mcpauth.Requirement{
			"tasks/get": all, "tasks/cancel": all, "tasks/result": all, "tasks/update": all}}
	})
	token := f.token(nil)
	for method, member := range map[string]string{
		"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "resources/subscribe": "uri", "resources/unsubscribe": "uri",
		"tasks/get": "taskId", "tasks/cancel": "taskId", "tasks/result": "taskId", "tasks/update": "taskId",
	} {
		for name, value := range map[string]string{
			"number": `1`, "null": `null`, "true": `true`, "array": `["echo"]`, "object": `{"name":"echo"}`, "empty": `""`,
		} {
			t.Run("MCP-42 "+method+" with "+name, func(t *testing.T) {
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%q:%s}}`, method, member, value)
				f.ends(t, f.post(token, body), wantInvalid, false, false)
			})
		}
		for name, params := range map[string]string{"no params": ``, "no target": `,"params":{}`, "the other's target": `,"params":{"target":"echo"}`} {
			t.Run("MCP-42 "+method+" with "+name, func(t *testing.T) {
				f.ends(t, f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q%s}`, method, params)), wantInvalid, false, false)
			})
		}
	}
	t.Run("MCP-42 modern, with the headers that a target would need", func(t *testing.T) {
		w := f.post(token, modernBody("tools/call", `"name":1`), modernHeaders("tools/call", "1")...)
		f.ends(t, w, wantInvalid, true, false)
	})
}

func TestCompletion_MCP_53(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:     map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()},
			Prompts:   map[string]mcpauth.Requirement{"open": mcpauth.Scopes("mcp:read"), "admin": mcpauth.Scopes("mcp:admin")},
			Resources: map[string]mcpauth.Requirement{"db://{table}": mcpauth.Scopes("mcp:read"), "admin://{t}/x": mcpauth.Scopes("mcp:admin")},
		}
	})
	token := f.token(nil)
	for name, row := range map[string]struct{ params, want string }{
		"a prompt":                           {`"ref":{"type":"ref/prompt","name":"open","title":"t"}`, wantServed},
		"a template":                         {`"ref":{"type":"ref/resource","uri":"db://{table}"}`, wantServed},
		"a template by other variable names": {`"ref":{"type":"ref/resource","uri":"db://{t}"}`, wantServed},
		"an admin prompt":                    {`"ref":{"type":"ref/prompt","name":"admin"}`, wantScope},
		"an admin template":                  {`"ref":{"type":"ref/resource","uri":"admin://{t}/x"}`, wantScope},
		"a prompt without rule":              {`"ref":{"type":"ref/prompt","name":"other"}`, wantDenied},
		"a tool as a prompt":                 {`"ref":{"type":"ref/prompt","name":"echo"}`, wantDenied},
		"a template without rule":            {`"ref":{"type":"ref/resource","uri":"db://{table}/{row}"}`, wantDenied},
		"a type that is not known":           {`"ref":{"type":"ref/tool","name":"open"}`, wantInvalid},
		"a type in upper case":               {`"ref":{"type":"REF/PROMPT","name":"open"}`, wantInvalid},
		"no type":                            {`"ref":{"name":"open"}`, wantInvalid},
		"a type that is no string":           {`"ref":{"type":["ref/prompt"],"name":"open"}`, wantInvalid},
		"no reference":                       {`"name":"open"`, wantInvalid},
		"a reference that is a string":       {`"ref":"ref/prompt"`, wantInvalid},
		"a reference that is null":           {`"ref":null`, wantInvalid},
		"a prompt without name":              {`"ref":{"type":"ref/prompt"}`, wantInvalid},
		"a prompt with an empty name":        {`"ref":{"type":"ref/prompt","name":""}`, wantInvalid},
		"a prompt with a name that is null":  {`"ref":{"type":"ref/prompt","name":null}`, wantInvalid},
		"a resource without URI":             {`"ref":{"type":"ref/resource"}`, wantInvalid},
		"a prompt whose uri is null":         {`"ref":{"type":"ref/prompt","name":"open","uri":null}`, wantServed},
		"a template whose name is null":      {`"ref":{"type":"ref/resource","uri":"db://{table}","name":null}`, wantServed},
		"an admin template beside null":      {`"ref":{"type":"ref/resource","uri":"admin://{t}/x","name":null}`, wantScope},
		"a type that is null":                {`"ref":{"type":null,"name":"open"}`, wantInvalid},
		"a prompt that is a resource too":    {`"ref":{"type":"ref/prompt","name":"open","uri":"admin://{t}/x"}`, wantInvalid},
		"a resource that is a prompt too":    {`"ref":{"type":"ref/resource","uri":"db://{table}","name":"admin"}`, wantInvalid},
	} {
		t.Run("MCP-53 "+name, func(t *testing.T) {
			w := f.post(token, modernBody("completion/complete", row.params), modernHeaders("completion/complete", "")...)
			if row.want == wantScope {
				f.refusedWhole(t, w, http.StatusForbidden, adminChallenge, scopeBody("1", "mcp:admin"))
				return
			}
			f.ends(t, w, row.want, true, false)
		})
	}
}

func TestListen_MCP_54(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Resources: map[string]mcpauth.Requirement{"file:///a": mcpauth.Scopes("a:read"), "file:///b": mcpauth.Scopes("b:read")},
			Methods:   map[string]mcpauth.Requirement{"prompts/list": mcpauth.Scopes("p:list"), "tasks/get": mcpauth.Scopes("t:read")},
			Tools:     map[string]mcpauth.Requirement{"begin": mcpauth.Authenticated()},
		}
	})
	f.beginTask(t, f.token(nil), "begin", "1")
	for name, row := range map[string]struct{ granted, notifications, want, scopes string }{
		"one list":                        {"x", `{"toolsListChanged":true}`, wantServed, ""},
		"an entry that is off":            {"x", `{"promptsListChanged":false}`, wantServed, ""},
		"all that is granted":             {"a:read b:read p:list t:read", `{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["file:///a","file:///b"],"taskIds":["1"]}`, wantServed, ""},
		"the second of two":               {"a:read", `{"resourceSubscriptions":["file:///a","file:///b"]}`, wantScope, "a:read b:read"},
		"a list and a resource":           {"x", `{"promptsListChanged":true,"resourceSubscriptions":["file:///a"]}`, wantScope, "p:list a:read"},
		"a task":                          {"a:read", `{"taskIds":["1"]}`, wantScope, "t:read"},
		"one without rule among the rest": {"a:read b:read", `{"resourceSubscriptions":["file:///a","file:///c","file:///b"]}`, wantDenied, ""},
		"a second spelling":               {"a:read b:read", `{"resourceSubscriptions":["file:///x/../a"]}`, wantDenied, ""},
		"an empty URI":                    {"a:read b:read", `{"resourceSubscriptions":[""]}`, wantDenied, ""},
		"a member that is not understood": {"a:read", `{"toolsListChanged":true,"everything":true}`, wantDenied, ""},
		"a filter that is no object":      {"a:read", `["toolsListChanged"]`, wantDenied, ""},
	} {
		t.Run("MCP-54 "+name, func(t *testing.T) {
			token := f.token(mcpauthtest.Claims{"scope": row.granted})
			w := f.post(token, modernBody("subscriptions/listen", `"notifications":`+row.notifications), modernHeaders("subscriptions/listen", "")...)
			if row.want == wantScope {
				f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(row.scopes), scopeBody("1", row.scopes))
				return
			}
			f.ends(t, w, row.want, true, false)
		})
	}
}

// A client's answer to a request of the server is one thing, a method of that
// name another.
func TestResponses_MCP_30(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"no"}}`,
		`{"jsonrpc":"2.0","error":{"code":-1,"message":"no"}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"error":null}`,
	} {
		t.Run("MCP-30 legacy "+body, func(t *testing.T) {
			f.ours(t, f.post(token, body)) // ISOL-07
			f.ours(t, f.post(token, body, "MCP-Protocol-Version: 2025-06-18"))
			f.ours(t, f.post(token, body, "MCP-Protocol-Version: garbage")) // MCP-29
			session := "Mcp-Session-Id: " + f.session(t, token)
			f.servedIn(t, f.post(token, body, session))
			f.servedIn(t, f.post(token, body, session, "MCP-Protocol-Version: 2025-06-18"))
			assert.Equal(t, body, string(f.body))
		})
		t.Run("MCP-30 modern "+body, func(t *testing.T) {
			for _, version := range []string{"2026-07-28", "2027-01-01", "2026-07-28, 2026-07-28"} {
				w := f.post(token, body, "MCP-Protocol-Version: "+version, "Mcp-Method: tools/call")
				f.refusedWhole(t, w, http.StatusBadRequest, "", invalidBody)
			}
		})
		t.Run("MCP-30 without token "+body, func(t *testing.T) {
			w := f.post("", body)
			f.refusedWhole(t, w, http.StatusUnauthorized, bareChallenge, `{"error_description":"authorization required"}`)
		})
	}
	for name, body := range map[string]string{
		"with a result and a method":      `{"jsonrpc":"2.0","id":1,"method":"$response","result":{}}`,
		"with params":                     `{"jsonrpc":"2.0","id":1,"result":{},"params":{"name":"admin_delete"}}`,
		"without id":                      `{"jsonrpc":"2.0","result":{}}`,
		"with a result and an error":      `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`,
		"with an error that is no object": `{"jsonrpc":"2.0","id":1,"error":"no"}`,
		"with an error that is null":      `{"jsonrpc":"2.0","id":1,"error":null}`,
		"with a result and a null id":     `{"jsonrpc":"2.0","id":null,"result":{}}`,
	} {
		t.Run("MCP-30 MCP-11 "+name, func(t *testing.T) {
			w := f.post(token, body)
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Contains(t, w.Body.String(), `"code":-32600`)
			assert.Zero(t, f.ran)
		})
	}
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"$response"}`,
		`{"jsonrpc":"2.0","id":1,"method":"\u0024response","params":{"name":"admin_delete"}}`,
	} {
		t.Run("MCP-30 MCP-47 the method "+body, func(t *testing.T) {
			f.refusedWhole(t, f.post(token, body), http.StatusForbidden, "", forbiddenBody)
		})
	}
	t.Run("MCP-30 MCP-49 the notification $response", func(t *testing.T) {
		w := f.post(token, `{"jsonrpc":"2.0","method":"$response"}`)
		f.ends(t, w, wantDenied, false, true)
	})
}

// A policy of the user's own is not asked about what the handshake needs, and
// cannot open what no era knows.
func TestOwnPolicy_MCP_47_MCP_48(t *testing.T) {
	var asked []string
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			asked = append(asked, call.Method)
			if strings.HasPrefix(call.Method, "no/") {
				return mcpauth.Requirement{}, nil
			}
			return mcpauth.Authenticated(), nil
		})
	})
	token := f.token(nil)
	legacy := func(method string) *httptest.ResponseRecorder {
		return f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method))
	}
	modern := func(method string) *httptest.ResponseRecorder {
		return f.post(token, modernBody(method, ""), modernHeaders(method, "")...)
	}
	for _, method := range []string{"initialize", "notifications/initialized", "ping"} {
		f.servedIn(t, legacy(method))
		f.ends(t, modern(method), wantUnknown, true, false)
	}
	f.ends(t, legacy("$response"), wantDenied, false, false)
	f.ends(t, legacy("server/discover"), wantDenied, false, false)
	f.ends(t, modern("logging/setLevel"), wantUnknown, true, false)
	require.Empty(t, asked)
	f.servedIn(t, legacy("vendor/x"))
	f.servedIn(t, modern("vendor/x"))
	f.ends(t, legacy("no/x"), wantDenied, false, false)
	f.ends(t, modern("no/x"), wantUnknown, true, false)
	assert.Equal(t, []string{"vendor/x", "vendor/x", "no/x", "no/x"}, asked)
}

// What the policy and the operator are told of a request.
func TestCalls_MCP_13_MCP_42(t *testing.T) {
	var got []mcpauth.Call
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { got = d.Calls }
	})
	token := f.token(nil)
	for body, want := range map[string][]mcpauth.Call{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{ "a" : [1] }}}`: {
			{Method: "tools/call", Kind: mcpauth.KindTool, Name: "echo", Arguments: json.RawMessage(`{ "a" : [1] }`)}},
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u0065cho","arguments":null}}`: {
			{Method: "tools/call", Kind: mcpauth.KindTool, Name: "echo"}},
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"b":"c"}}}`: {
			{Method: "prompts/get", Kind: mcpauth.KindPrompt, Name: "p", Arguments: json.RawMessage(`{"b":"c"}`)}},
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"r://x","arguments":{}}}`: {
			{Method: "resources/read", Kind: mcpauth.KindResource, Name: "r://x"}},
		`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"7"}}`: {{Method: "tasks/get", Kind: mcpauth.KindMethod, Name: "7"}},
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"echo"}}`: {
			{Method: "tools/list", Kind: mcpauth.KindMethod}},
		`{"jsonrpc":"2.0","id":1,"result":{"name":"echo"}}`: {{Method: "$response", Kind: mcpauth.KindMethod}},
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"db://{t}"},"name":"echo"}}`: {
			{Method: "completion/complete", Kind: mcpauth.KindResource, Name: "db://{t}"}},
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["echo"]}}`: nil,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call"`:                             nil,
	} {
		got = []mcpauth.Call{{Name: "nothing reported"}}
		f.post(token, body)
		assert.Equal(t, want, got, "%s", body)
	}
}
