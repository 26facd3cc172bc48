package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// batchCall is a call of a tool for a batch.
func batchCall(id int, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q}}`, id, tool)
}

// batchRequest is any other request for a batch, or a notification if id is 0.
func batchRequest(id int, method, params string) string {
	if id == 0 {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{%s}}`, method, params)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)
}

func batchBody(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }

// batchPings is a batch of n pings.
func batchPings(n int) string {
	var pings []string
	for i := range n {
		pings = append(pings, batchRequest(i+1, "ping", ""))
	}
	return batchBody(pings...)
}

const (
	batchAnswer    = `{"jsonrpc":"2.0","id":9,"result":{}}`
	batchForbidden = `{"jsonrpc":"2.0","error":{"code":-31403,"message":"not permitted"}}`
	batchBadTarget = `{"jsonrpc":"2.0","error":{"code":-32602,"message":"target of the call is missing or malformed"}}`
	batchMismatch  = `{"jsonrpc":"2.0","error":{"code":-32020,"message":"header and body disagree"}}`
)

// batchFixture has the fixture's tools, one that needs mcp:write, and open lists.
func batchFixture(t *testing.T) *fixture {
	return newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"echo":         mcpauth.Scopes("mcp:read"),
			"write":        mcpauth.Scopes("mcp:write"),
			"admin_delete": mcpauth.Scopes("mcp:admin"),
		}}
	})
}

// Every element is authorized, all or nothing; one challenge names what all of
// them need.
func TestBatches_MCP_58_MCP_59_COMPAT_09(t *testing.T) {
	f := batchFixture(t)
	echo, admin, write := batchCall(1, "echo"), batchCall(2, "admin_delete"), batchCall(3, "write")
	for _, row := range []struct {
		name, scope, body string
		status            int
		needed            string // scopes of a 403; "": none would help
		answer            string // body of any other refusal
	}{
		{"MCP-58 one call", "mcp:read", batchBody(echo), 200, "", ""},
		{"MCP-58 calls that are all allowed", "mcp:read mcp:admin", batchBody(echo, admin), 200, "", ""},
		{"MCP-58 the second needs more", "mcp:read", batchBody(echo, admin), 403, "mcp:read mcp:admin", ""},
		{"MCP-58 the first needs more", "mcp:read", batchBody(admin, echo), 403, "mcp:read mcp:admin", ""},
		{"MCP-58 two need more, one challenge for both", "mcp:read", batchBody(echo, admin, write), 403, "mcp:read mcp:admin mcp:write", ""},
		{"MCP-58 the union of three for a token without any", "x", batchBody(write, admin, echo), 403, "mcp:write mcp:admin mcp:read", ""},
		{"MCP-58 one of many is not allowed", "mcp:read", batchBody(echo, batchRequest(5, "ping", ""), batchRequest(0, "notifications/progress", ""), admin), 403, "mcp:read mcp:admin", ""},
		{"MCP-58 one has no rule", "mcp:read", batchBody(echo, batchCall(2, "unlisted")), 403, "", batchForbidden},
		{"MCP-58 no scope would open one, so none is asked for", "mcp:read", batchBody(admin, batchCall(3, "unlisted")), 403, "", batchForbidden},
		{"MCP-58 a notification is authorized too", "mcp:read", batchBody(batchRequest(0, "tools/call", `"name":"admin_delete"`)), 403, "mcp:read mcp:admin", ""},
		{"MCP-58 a notification among requests", "mcp:read", batchBody(echo, batchRequest(0, "tools/call", `"name":"admin_delete"`)), 403, "mcp:read mcp:admin", ""},
		{"MCP-58 an unknown method", "mcp:read", batchBody(echo, batchRequest(2, "tools/explode", "")), 403, "", batchForbidden},
		{"MCP-58 a method of the modern era", "mcp:read", batchBody(echo, batchRequest(2, "server/discover", "")), 403, "", batchForbidden},
		{"MCP-58 a subscription of the modern era", "mcp:read", batchBody(batchRequest(2, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)), 403, "", batchForbidden},
		{"MCP-58 a resource without rule", "mcp:read", batchBody(echo, batchRequest(2, "resources/read", `"uri":"file:///etc/passwd"`)), 403, "", batchForbidden},
		{"MCP-58 completion of a prompt without rule", "mcp:read", batchBody(echo, batchRequest(2, "completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`)), 403, "", batchForbidden},
		{"MCP-58 a call without target", "mcp:read", batchBody(echo, batchRequest(2, "tools/call", "")), 400, "", batchBadTarget},
		{"MCP-07 nulls", "mcp:read", batchBody(echo, `{"jsonrpc":"2.0","id":2,"method":"ping","params":null}`, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":null}}}`), 200, "", ""},
		{"MCP-11 an error without an id among responses", "x", batchBody(batchAnswer, `{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}`), 202, "", ""},
		{"MCP-49 a vendor's notification", "x", batchBody(batchRequest(1, "ping", ""), batchRequest(0, "notifications/vendor", "")), 200, "", ""},
		{"MCP-49 a request by the name of one", "mcp:read", batchBody(echo, batchRequest(2, "notifications/vendor", "")), 403, "", batchForbidden},
		{"MCP-58 pings", "x", batchPings(2), 200, "", ""},
		{"MCP-58 lists and notifications", "x", batchBody(batchRequest(1, "tools/list", ""), batchRequest(0, "notifications/cancelled", `"requestId":1`)), 200, "", ""},
		{"MCP-58 notifications alone", "x", batchBody(batchRequest(0, "notifications/progress", ""), batchRequest(0, "notifications/initialized", "")), 200, "", ""},
		{"MCP-59 responses alone", "x", batchBody(batchAnswer, `{"jsonrpc":"2.0","id":"b","error":{"code":1,"message":"m"}}`), 202, "", ""},
		{"MCP-59 a response and a call", "mcp:read", batchBody(batchAnswer, echo), 400, "", invalidBody},
		{"MCP-59 a call and a response", "mcp:read", batchBody(echo, batchAnswer), 400, "", invalidBody},
		{"MCP-59 a response and a notification", "mcp:read", batchBody(batchAnswer, batchRequest(0, "notifications/progress", "")), 400, "", invalidBody},
		{"MCP-59 none", "mcp:read", `[]`, 400, "", invalidBody},
		{"MCP-59 none, after white space", "mcp:read", "\n\t [ ]", 400, "", invalidBody},
		{"MCP-59 32 elements", "mcp:read", batchPings(32), 200, "", ""},
		{"MCP-59 33 elements", "mcp:read", batchPings(33), 400, "", invalidBody},
		{"MCP-59 an array inside", "mcp:read", batchBody(batchBody(echo)), 400, "", invalidBody},
		{"MCP-59 an array beside a call", "mcp:read", batchBody(echo, batchBody(batchCall(2, "echo"))), 400, "", invalidBody},
		{"MCP-59 white space in front", "mcp:read", "\r\n\t " + batchBody(echo) + " \n", 200, "", ""},
		{"MCP-59 white space in front of what is not allowed", "mcp:read", "\r\n\t " + batchBody(echo, admin), 403, "mcp:read mcp:admin", ""},
		{"MCP-59 an id twice", "mcp:read", batchBody(echo, batchCall(1, "echo")), 400, "", invalidBody},
		{"MCP-59 an id twice, once escaped", "mcp:read", `[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","id":"\u0061","method":"ping"}]`, 400, "", invalidBody},
		{"MCP-59 initialize", "mcp:read", batchBody(batchRequest(1, "initialize", `"protocolVersion":"2025-03-26"`)), 400, "", invalidBody},
		{"MCP-59 initialize behind a call", "mcp:read", batchBody(echo, batchRequest(2, "initialize", "")), 400, "", invalidBody},
		{"MCP-59 initialize as a notification", "mcp:read", batchBody(batchRequest(0, "initialize", "")), 400, "", invalidBody},
		{"MCP-58 a modern message", "mcp:read", "[" + modernCall("echo") + "]", 400, "", invalidBody},
		{"MCP-58 a modern message behind an old one", "mcp:read", batchBody(batchRequest(2, "ping", ""), modernCall("echo")), 400, "", invalidBody},
		{"MCP-58 a version that is no string", "mcp:read", batchBody(batchRequest(1, "ping", `"_meta":{"io.modelcontextprotocol/protocolVersion":1}`)), 400, "", invalidBody},
		{"MCP-47 the inside name of a response", "mcp:read", batchBody(batchRequest(1, "$response", "")), 403, "", batchForbidden},
		{"MCP-47 the inside name of a stream", "mcp:read", batchBody(echo, batchRequest(2, "$sse", "")), 403, "", batchForbidden},
		{"MCP-47 the inside name of an end", "mcp:read", batchBody(echo, batchRequest(0, "$session.delete", "")), 403, "", batchForbidden},
		{"MCP-59 one element is a number", "mcp:read", batchBody(echo, "1"), 400, "", invalidBody},
		{"MCP-59 one element has a name twice", "mcp:read", batchBody(batchRequest(1, "ping", ""), `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","name":"admin_delete"}}`), 400, "", invalidBody},
		{"MCP-59 one element has a name in another case", "mcp:read", batchBody(batchRequest(1, "ping", ""), `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","Name":"admin_delete"}}`), 400, "", invalidBody},
		{"MCP-59 a text behind the batch", "mcp:read", batchBody(echo) + batchBody(admin), 400, "", unreadableBody},
		{"MCP-59 cut short", "mcp:read", "[" + echo, 400, "", unreadableBody},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := f.token(mcpauthtest.Claims{"scope": row.scope})
			for _, headers := range [][]string{nil, {"MCP-Protocol-Version: 2025-03-26"}, {"MCP-Protocol-Version:  2025-03-26\t"}} {
				w := f.post(token, row.body, headers...)
				switch {
				case row.status == http.StatusAccepted:
					f.ours(t, w)
				case row.status == http.StatusOK:
					f.servedIn(t, w)
					assert.Equal(t, row.body, string(f.body), "the very bytes")
				case row.needed != "":
					needed := row.needed
					if row.scope == "mcp:read" && !strings.HasPrefix(needed, "mcp:read") {
						needed = "mcp:read " + needed
					}
					f.refusedWhole(t, w, row.status, scopeChallenge(needed), scopeBody("", needed))
				default:
					f.refusedWhole(t, w, row.status, "", row.answer)
				}
			}
			// No other revision has batches, and no other answer than that.
			for _, version := range []string{"2024-11-05", "2025-03-25", "2025-06-18", "2025-11-25", "2026-07-28", "2027-01-01", "garbage", ""} {
				w := f.post(token, row.body, "MCP-Protocol-Version: "+version)
				f.refusedWhole(t, w, http.StatusBadRequest, "", invalidBody)
			}
		})
	}
}

// What reads headers reads one of each, in a batch as anywhere.
func TestBatchHeaders_MCP_24_MCP_58(t *testing.T) {
	f := batchFixture(t)
	token := f.token(nil)
	for _, headers := range [][]string{
		{"MCP-Protocol-Version: 2025-03-26", "MCP-Protocol-Version: 2025-06-18"},
		{"MCP-Protocol-Version: 2025-03-26, 2025-06-18"},
		{"Mcp-Method: tools/call", "Mcp-Method: ping"},
		{"Mcp-Name: echo", "Mcp-Name: echo"},
	} {
		f.refusedWhole(t, f.post(token, batchBody(batchCall(1, "echo")), headers...), http.StatusBadRequest, "", batchMismatch)
	}
	f.refusedWhole(t, f.post("", batchBody(batchCall(1, "echo"))), http.StatusUnauthorized, bareChallenge, `{"error_description":"authorization required"}`)
}

// The operator and the policy see every element, in order; a policy that
// fails or panics on one refuses all.
func TestBatchDecision_MCP_58(t *testing.T) {
	var seen []mcpauth.Call
	var asked []string
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { seen = d.Calls }
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			asked = append(asked, call.Method+" "+call.Name)
			switch call.Name {
			case "panics":
				panic(call.Name)
			case "fails":
				return mcpauth.Requirement{}, assert.AnError
			}
			return mcpauth.Authenticated(), nil
		})
	})
	token := f.token(nil)
	body := batchBody(batchCall(1, "a"), batchRequest(0, "notifications/progress", ""), `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"b","arguments":{"k":[1]}}}`)
	f.servedIn(t, f.post(token, body))
	require.Len(t, seen, 3)
	assert.Equal(t, []string{"tools/call a", "notifications/progress ", "tools/call b"}, asked)
	assert.Equal(t, mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: "b", Arguments: []byte(`{"k":[1]}`)}, seen[2])
	for _, tool := range []string{"panics", "fails"} {
		w := f.post(token, batchBody(batchCall(1, "a"), batchCall(2, tool), batchCall(3, "b")))
		f.refusedWhole(t, w, http.StatusInternalServerError, "", `{"jsonrpc":"2.0","error":{"code":-32603,"message":"authorization failed"}}`)
	}
}

// A tool result is the answer to one request with an id. Batches and
// notifications have no place for it and get 403 from rules with InBand too.
func TestInBandNeedsOneRequest_MCP_58(t *testing.T) {
	f := newFixture(t, wireInBand)
	token := f.token(nil)
	w := f.post(token, batchCall(7, "admin_delete"))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), `"id":7,"result":{`)
	assert.Empty(t, w.Header().Values("WWW-Authenticate"))
	for name, body := range map[string]string{
		"a batch of one": batchBody(batchCall(7, "admin_delete")),
		"a batch of two": batchBody(batchCall(7, "admin_delete"), batchCall(8, "admin_delete")),
		"a notification": batchRequest(0, "tools/call", `"name":"admin_delete"`),
	} {
		t.Run(name, func(t *testing.T) {
			needed := "mcp:read mcp:admin"
			f.refusedWhole(t, f.post(token, body), http.StatusForbidden, scopeChallenge(needed), scopeBody("", needed))
		})
	}
}
