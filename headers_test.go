package mcpauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const mismatchBody = `{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"header and body disagree"}}`

// metaCall is a call of echo whose _meta names a version, as raw JSON.
func metaCall(version string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":` + version + `}}}`
}

// How a row about headers can end, beside the endings of the target table.
const (
	wantMismatch = "HM"
	wantAdmin    = "403 for mcp:admin" // the body's admin_delete was seen
)

func (f *fixture) endsHeaders(t *testing.T, token, body, want string, headers ...string) {
	t.Helper()
	w := f.post(token, body, headers...)
	switch want {
	case wantMismatch:
		f.refusedWhole(t, w, http.StatusBadRequest, "", mismatchBody)
	case wantAdmin:
		assert.Equal(t, http.StatusForbidden, w.Code, "%s", w.Body)
		assert.Contains(t, w.Body.String(), "mcp:admin")
		assert.Contains(t, w.Header().Get("WWW-Authenticate"), "mcp:admin")
		assert.Zero(t, f.ran)
	default:
		f.ends(t, w, want, true, false)
	}
}

// The era is what the header or the body says; a contradiction is an answer.
func TestEra_MCP_20_MCP_26_MCP_27_MCP_29(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	const modern, legacy = `"2026-07-28"`, `"2025-11-25"`
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}` // only the legacy era has it
	noMeta := legacyCall("echo")
	v := func(version string) string { return "MCP-Protocol-Version: " + version }
	routing := []string{"Mcp-Method: tools/call", "Mcp-Name: echo"}
	for _, row := range []struct {
		id, body string
		headers  []string
		want     string
	}{
		{"MCP-20 nothing: 2025-03-26", noMeta, nil, wantServed},
		{"MCP-20 nothing: legacy methods", ping, nil, wantServed},
		{"MCP-20 an empty header", ping, []string{"MCP-Protocol-Version: "}, wantServed},
		{"MCP-20 a header of blanks", ping, []string{"MCP-Protocol-Version:  \t "}, wantServed},
		{"MCP-20 2024-11-05", ping, []string{v("2024-11-05")}, wantServed},
		{"MCP-20 2025-03-26", ping, []string{v("2025-03-26")}, wantServed},
		{"MCP-20 2025-06-18", ping, []string{v("2025-06-18")}, wantServed},
		{"MCP-20 2025-11-25", ping, []string{v("2025-11-25")}, wantServed},
		{"MCP-20 2026-07-27", ping, []string{v("2026-07-27")}, wantServed},
		{"MCP-20 2026-07-28 has no ping", ping, []string{v("2026-07-28"), "Mcp-Method: ping"}, wantUnknown},
		{"MCP-20 2027-01-01 has no ping", ping, []string{v("2027-01-01"), "Mcp-Method: ping"}, wantUnknown},
		{"MCP-20 _meta without header", metaCall(modern), routing, wantMismatch},
		{"MCP-20 _meta of an old version without header", metaCall(legacy), routing, wantMismatch},
		{"MCP-20 _meta of an old version with its header", metaCall(legacy), []string{v("2025-11-25")}, wantServed},
		{"MCP-20 _meta alone makes ping modern", strings.Replace(metaCall(modern), "tools/call", "ping", 1), nil, wantMismatch},
		{"MCP-20 _meta of an old version makes nothing modern", strings.Replace(metaCall(legacy), "tools/call", "initialize", 1), []string{v("2025-11-25")}, wantServed},
		{"MCP-29 _meta that is no revision makes nothing modern", strings.Replace(metaCall(`"latest"`), "tools/call", "ping", 1), []string{v("latest")}, wantServed},
		{"MCP-20 _meta of a later revision is modern", strings.Replace(metaCall(`"2027-01-01"`), "tools/call", "ping", 1), []string{v("2027-01-01")}, wantUnknown},
		{"MCP-20 _meta without a version", strings.Replace(metaCall(modern), "protocolVersion", "other", 1), nil, wantServed},
		{"MCP-26 the same in both", metaCall(modern), slices.Concat([]string{v("2026-07-28")}, routing), wantServed},
		{"MCP-26 the same but for blanks", metaCall(modern), slices.Concat([]string{"MCP-Protocol-Version:   2026-07-28\t "}, routing), wantServed},
		{"MCP-26 old header, new _meta", metaCall(modern), slices.Concat([]string{v("2025-11-25")}, routing), wantMismatch},
		{"MCP-26 new header, old _meta", metaCall(legacy), slices.Concat([]string{v("2026-07-28")}, routing), wantMismatch},
		{"MCP-26 two new ones", metaCall(`"2027-01-01"`), slices.Concat([]string{v("2026-07-28")}, routing), wantMismatch},
		{"MCP-26 a version that is null is for the handler", metaCall(`null`), slices.Concat([]string{v("2026-07-28")}, routing), wantServed},
		{"MCP-26 _meta is null", strings.Replace(noMeta, `"params":{`, `"params":{"_meta":null,`, 1), slices.Concat([]string{v("2026-07-28")}, routing), wantServed},
		{"MCP-26 _meta is null, but policy first", strings.Replace(legacyCall("admin_delete"), `"params":{`, `"params":{"_meta":null,`, 1), []string{v("2026-07-28"), "Mcp-Method: tools/call", "Mcp-Name: admin_delete"}, wantAdmin},
		{"MCP-26 _meta is null, no header", strings.Replace(noMeta, `"params":{`, `"params":{"_meta":null,`, 1), nil, wantServed},
		{"MCP-26 _meta is a number", metaCall(`20260728`), slices.Concat([]string{v("20260728")}, routing), wantMismatch},
		{"MCP-26 a version that is null, no header", metaCall(`null`), routing, wantServed},
		{"MCP-26 _meta is empty, no header", metaCall(`""`), routing, wantServed},
		{"MCP-26 no _meta is for the handler", noMeta, slices.Concat([]string{v("2026-07-28")}, routing), wantServed},
		{"MCP-26 no _meta, but policy first", legacyCall("admin_delete"), []string{v("2026-07-28"), "Mcp-Method: tools/call", "Mcp-Name: admin_delete"}, wantAdmin},
		{"MCP-26 no _meta, but rules first", legacyCall("other"), []string{v("2026-07-28"), "Mcp-Method: tools/call", "Mcp-Name: other"}, wantDenied},
		{"MCP-27 1900-01-01 is for the handler", noMeta, []string{v("1900-01-01")}, wantServed},
		{"MCP-27 9999-12-31 is for the handler", noMeta, []string{v("9999-12-31")}, wantServed},
		{"MCP-27 a future version says what it likes", metaCall(`"2027-01-01"`), []string{v("2027-01-01")}, wantServed},
		{"MCP-27 a future version cannot contradict itself", metaCall(`"2027-01-01"`), []string{v("2027-01-01"), "Mcp-Method: ping"}, wantMismatch},
		{"MCP-27 nor the name", metaCall(`"2027-01-01"`), []string{v("2027-01-01"), "Mcp-Name: admin_delete"}, wantMismatch},
		{"MCP-27 the policy holds before", legacyCall("admin_delete"), []string{v("1900-01-01")}, wantAdmin},
		{"MCP-27 the policy holds after", legacyCall("admin_delete"), []string{v("9999-12-31")}, wantAdmin},
		{"MCP-29 2026-13-99", noMeta, []string{v("2026-13-99")}, wantServed},
		{"MCP-29 2026-13-99 and the policy", legacyCall("admin_delete"), []string{v("2026-13-99")}, wantAdmin},
		{"MCP-29 2025-02-30 is no date", ping, []string{v("2025-02-30")}, wantServed},
		{"MCP-29 2026-13-99 is no date", ping, []string{v("2026-13-99")}, wantServed},
		{"MCP-29 garbage and the policy", legacyCall("admin_delete"), []string{v("%00\xff; DROP")}, wantAdmin},
		{"MCP-29 garbage and an unlisted tool", legacyCall("other"), []string{v("latest")}, wantDenied},
		{"MCP-29 garbage makes nothing modern", ping, []string{v("latest")}, wantServed},
		{"MCP-29 1.0", ping, []string{v("1.0")}, wantServed},
		{"MCP-29 a revision with a parameter", ping, []string{v("2025-11-25;q=1")}, wantServed},
		{"MCP-29 garbage and an unknown method", strings.Replace(ping, "ping", "foo/bar", 1), []string{v("latest")}, wantDenied},
		{"MCP-29 garbage, and _meta", metaCall(modern), []string{v("latest")}, wantMismatch},
		{"MCP-29 discovery under what is no revision is for the handler", strings.Replace(metaCall(`"v999"`), "tools/call", "server/discover", 1), []string{v("v999")}, wantServed},
		{"MCP-29 discovery under it, named by the header alone", strings.Replace(ping, "ping", "server/discover", 1), []string{v("v999")}, wantDenied},
		{"MCP-29 discovery under an old revision", strings.Replace(metaCall(legacy), "tools/call", "server/discover", 1), []string{v("2025-11-25")}, wantDenied},
		{"MCP-29 a task under it, and the policy", strings.NewReplacer("tools/call", "tasks/update", `"name":"echo"`, `"taskId":"1"`).Replace(metaCall(`"v999"`)), []string{v("v999")}, wantDenied},
		{"MCP-24 two versions in one", legacyCall("echo"), []string{v("2025-11-25, 2026-07-28")}, wantMismatch},
		{"MCP-24 two versions in two lines", legacyCall("echo"), []string{v("2025-11-25"), v("2025-06-18")}, wantMismatch},
		{"MCP-24 one version twice", ping, []string{v("2025-11-25, 2025-11-25")}, wantServed},
		{"MCP-24 one version in two lines", ping, []string{v("2025-11-25"), v("2025-11-25")}, wantServed},
		{"MCP-24 one version four times", ping, []string{v("2025-11-25,2025-11-25"), v(" 2025-11-25 ,\t2025-11-25")}, wantServed},
		{"MCP-24 the modern version twice", metaCall(modern), slices.Concat([]string{v("2026-07-28, 2026-07-28")}, routing), wantServed},
		{"MCP-24 the modern version twice is strict", metaCall(modern), []string{v("2026-07-28, 2026-07-28")}, wantMismatch},
		{"MCP-24 garbage twice", ping, []string{v("latest, latest")}, wantServed},
		{"MCP-24 garbage and more", ping, []string{v("latest, 2025-11-25")}, wantMismatch},
		{"MCP-24 a batch of one version twice", "[" + ping + "]", []string{v("2025-03-26, 2025-03-26")}, wantServed},
		{"MCP-29 garbage twice", metaCall(`"latest"`), []string{v("latest")}, wantServed},
		{"MCP-29 a kilobyte of garbage", noMeta, []string{v(strings.Repeat("9", 1024))}, wantServed},
	} {
		t.Run(row.id, func(t *testing.T) { f.endsHeaders(t, token, row.body, row.want, row.headers...) })
	}
}

func TestRoutingHeaders_MCP_21_MCP_22_MCP_24(t *testing.T) {
	all := mcpauth.Authenticated()
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools: requirements{"echo": all}, Prompts: requirements{"p": all}, Resources: requirements{"file:///a": all},
			Methods: requirements{"tasks/get": all, "tasks/cancel": all, "tasks/update": all},
		}
		c.DelegateTasks = true
	})
	token := f.token(nil)
	for _, row := range []struct{ method, params, name string }{
		{"tools/call", `"name":"echo"`, "echo"},
		{"prompts/get", `"name":"p"`, "p"},
		{"resources/read", `"uri":"file:///a"`, "file:///a"},
		{"tasks/get", `"taskId":"7"`, "7"},
		{"tasks/cancel", `"taskId":"7"`, "7"},
		{"tasks/update", `"taskId":"7"`, "7"},
		{"tools/list", `"name":"echo"`, ""},
		{"completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`, ""},
		{"subscriptions/listen", `"notifications":{}`, ""},
		{"server/discover", ``, ""},
	} {
		body := modernBody(row.method, row.params)
		version, method, name := "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: "+row.method, "Mcp-Name: "+row.name
		whole := []string{version, method}
		if row.name != "" {
			whole = append(whole, name)
		}
		without := func(drop string) []string {
			return slices.DeleteFunc(slices.Clone(whole), func(h string) bool { return h == drop })
		}
		run := func(id, want string, headers ...string) {
			t.Run(id+" "+row.method, func(t *testing.T) { f.endsHeaders(t, token, body, want, headers...) })
		}
		run("MCP-21 complete", wantServed, whole...)
		run("MCP-21 without version", wantMismatch, without(version)...)
		run("MCP-21 without method", wantMismatch, without(method)...)
		run("MCP-22 another method", wantMismatch, append(without(method), "Mcp-Method: ping")...)
		run("MCP-22 the method in upper case", wantMismatch, append(without(method), "Mcp-Method: "+strings.ToUpper(row.method))...)
		run("MCP-22 an empty method", wantMismatch, append(without(method), "Mcp-Method: ")...)
		run("MCP-22 the method with more", wantMismatch, append(without(method), method+", ping")...)
		run("MCP-22 blanks around", wantServed, append(without(method), "Mcp-Method: \t "+row.method+" \t")...)
		run("MCP-22 header names in any case", wantServed, append(without(method), "mCP-mETHOD: "+row.method)...)
		run("MCP-24 the method twice", wantMismatch, append(slices.Clone(whole), method)...)
		run("MCP-24 the method and another", wantMismatch, append(slices.Clone(whole), "Mcp-Method: ping")...)
		run("MCP-24 the version twice", wantServed, append(slices.Clone(whole), version)...)
		run("MCP-24 the version and another", wantMismatch, append(slices.Clone(whole), "MCP-Protocol-Version: 2025-11-25")...)
		run("MCP-24 the version and an empty one", wantMismatch, append(slices.Clone(whole), "MCP-Protocol-Version: ")...)
		if row.name == "" {
			run("MCP-22 a name that nothing repeats", wantServed, append(slices.Clone(whole), "Mcp-Name: other")...)
			continue
		}
		run("MCP-21 without name", wantMismatch, without(name)...)
		run("MCP-22 another name", wantMismatch, append(without(name), "Mcp-Name: other")...)
		run("MCP-22 an empty name", wantMismatch, append(without(name), "Mcp-Name: ")...)
		run("MCP-22 the name with more", wantMismatch, append(without(name), name+"2")...)
		run("MCP-22 blanks around the name", wantServed, append(without(name), "Mcp-Name:   "+row.name+"  ")...)
		run("MCP-24 the name twice", wantMismatch, append(slices.Clone(whole), name)...)
		run("MCP-24 the name and another", wantMismatch, append(slices.Clone(whole), "Mcp-Name: other")...)
	}
	t.Run("MCP-22 the name in another case", func(t *testing.T) {
		f.endsHeaders(t, token, modernCall("echo"), wantMismatch, modernHeaders("tools/call", "Echo")...)
	})
	t.Run("MCP-21 a notification needs no Mcp-Method", func(t *testing.T) {
		body := strings.Replace(modernCall("echo"), `"id":1,`, "", 1)
		f.servedIn(t, f.post(token, body, "MCP-Protocol-Version: 2026-07-28", "Mcp-Name: echo"))
	})
	t.Run("MCP-24 twice in the legacy era too", func(t *testing.T) {
		f.endsHeaders(t, token, legacyCall("echo"), wantMismatch, "MCP-Protocol-Version: 2025-11-25", "Mcp-Name: echo", "Mcp-Name: echo")
	})
	t.Run("MCP-24 equal versions go on as one line", func(t *testing.T) {
		session := "Mcp-Session-Id: " + f.session(t, token)
		for _, lines := range [][]string{{"2025-11-25, 2025-11-25"}, {"2025-11-25", "2025-11-25"}, {"2025-11-25,2025-11-25", "2025-11-25"}} {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
				r := f.request(method, "/mcp", token, legacyCall("echo"), session)
				r.Header["Mcp-Protocol-Version"] = lines
				f.servedIn(t, f.serve(r))
				assert.Equal(t, []string{"2025-11-25"}, f.last.Header["Mcp-Protocol-Version"], "%s %q", method, lines)
				assert.Equal(t, "session", f.last.Header.Get("Mcp-Session-Id"))
				assert.Equal(t, lines, r.Header["Mcp-Protocol-Version"], "the outer request is unchanged")
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			r := f.request(method, "/mcp", token, "", session)
			r.Header["Mcp-Protocol-Version"] = []string{"2025-11-25, 2026-07-28"}
			f.refusedWhole(t, f.serve(r), http.StatusBadRequest, "", strings.Replace(mismatchBody, `"id":1,`, "", 1))
		}
	})
	t.Run("MCP-22 MCP-21 the id as it was", func(t *testing.T) {
		w := f.post(token, strings.Replace(modernCall("echo"), `"id":1`, `"id":"a\u0062"`, 1), modernHeaders("ping", "echo")...)
		f.refusedWhole(t, w, http.StatusBadRequest, "", strings.Replace(mismatchBody, `"id":1`, `"id":"a\u0062"`, 1))
	})
}

func TestEncodedNames_MCP_23(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: requirements{"*": mcpauth.Authenticated()}}
	})
	token := f.token(nil)
	encoded := func(s string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }
	for _, row := range []struct{ id, name, header, want string }{
		{"MCP-23 encoded", "echo", "=?base64?ZWNobw==?=", wantServed},
		{"MCP-23 encoded without need to pad", "abc", encoded("abc"), wantServed},
		{"MCP-23 beyond ASCII", "écho", encoded("écho"), wantServed},
		{"MCP-23 beyond ASCII as it is", "écho", "écho", wantServed},
		{"MCP-23 blanks that count", " echo ", encoded(" echo "), wantServed},
		{"MCP-23 blanks that are lost", " echo ", " echo ", wantMismatch},
		{"MCP-23 markers in upper case", "echo", "=?BASE64?ZWNobw==?=", wantMismatch},
		{"MCP-23 no padding", "echo", "=?base64?ZWNobw?=", wantMismatch},
		{"MCP-23 too much padding", "echo", "=?base64?ZWNobw===?=", wantMismatch},
		{"MCP-23 bits left over", "echo", "=?base64?ZWNobx==?=", wantMismatch},
		{"MCP-23 the URL alphabet", "~~~", "=?base64?fn5-?=", wantMismatch},
		{"MCP-23 the standard alphabet", "~~~", "=?base64?fn5+?=", wantServed},
		{"MCP-23 blanks inside", "echo", "=?base64?ZWNo bw==?=", wantMismatch},
		{"MCP-23 not base64", "echo", "=?base64?!?=", wantMismatch},
		{"MCP-23 not UTF-8", "echo", "=?base64?/w==?=", wantMismatch},
		{"MCP-23 nothing inside", "echo", "=?base64??=", wantMismatch},
		{"MCP-23 encoded twice", "echo", encoded(encoded("echo")), wantMismatch},
		{"MCP-23 a name that looks encoded, as it is", "=?base64?ZWNobw==?=", "=?base64?ZWNobw==?=", wantMismatch},
		{"MCP-23 a name that looks encoded, encoded", "=?base64?ZWNobw==?=", encoded("=?base64?ZWNobw==?="), wantServed},
		{"MCP-23 a name that nearly looks encoded", "=?base64?ZWNobw==", "=?base64?ZWNobw==", wantServed},
		{"MCP-23 encoded without its end", "echo", "=?base64?ZWNobw==", wantMismatch},
		{"MCP-23 another name, encoded", "echo", encoded("admin_delete"), wantMismatch},
	} {
		t.Run(row.id, func(t *testing.T) {
			f.endsHeaders(t, token, modernCall(row.name), row.want, modernHeaders("tools/call", row.header)...)
		})
	}
	t.Run("MCP-23 methods are not encoded", func(t *testing.T) {
		f.endsHeaders(t, token, modernCall("echo"), wantMismatch, modernHeaders(encoded("tools/call"), "echo")...)
	})
}

// Whatever headers say, the body is what is decided on.
func TestBodyDecides_MCP_25_MCP_28(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, headers := range [][]string{
		{"MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tools/call", "Mcp-Name: echo"},
		{"MCP-Protocol-Version: 2025-11-25", "Mcp-Method: ping"},
		{"MCP-Protocol-Version: 2025-03-26", "Mcp-Method: initialize", "Mcp-Name: echo"},
		{"Mcp-Method: tools/list"},
		{"Mcp-Name: echo"},
		{"MCP-Protocol-Version: 2025-11-25", "Mcp-Param-Name: echo", "Mcp-Param-Tenant: other"},
		{"MCP-Protocol-Version: 2025-11-25", "X-Original-Method: ping", "X-HTTP-Method-Override: GET", "Last-Event-ID: 1"},
	} {
		t.Run("MCP-25 "+strings.Join(headers, " | "), func(t *testing.T) {
			f.endsHeaders(t, token, legacyCall("admin_delete"), wantAdmin, headers...)
			f.endsHeaders(t, token, legacyCall("unlisted"), wantDenied, headers...)
		})
	}
	t.Run("MCP-25 the other way round", func(t *testing.T) {
		f.servedIn(t, f.post(token, legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tools/call", "Mcp-Name: admin_delete"))
	})
	t.Run("MCP-25 modern", func(t *testing.T) {
		f.endsHeaders(t, token, modernCall("admin_delete"), wantMismatch, modernHeaders("tools/call", "echo")...)
	})
	t.Run("MCP-28 parameters are passed on", func(t *testing.T) {
		headers := append(modernHeaders("tools/call", "echo"), "Mcp-Param-Region: =?base64?ZXU=?=", "Mcp-Param-Region: us", "Mcp-Param-Tenant: other")
		f.servedIn(t, f.post(token, modernCall("echo"), headers...))
		assert.Equal(t, []string{"=?base64?ZXU=?=", "us"}, f.last.Header["Mcp-Param-Region"])
		assert.Equal(t, []string{"other"}, f.last.Header["Mcp-Param-Tenant"])
	})
	t.Run("MCP-28 parameters decide nothing", func(t *testing.T) {
		headers := append(modernHeaders("tools/call", "admin_delete"), "Mcp-Param-Name: echo", "Mcp-Param-Scope: mcp:admin")
		f.endsHeaders(t, token, modernCall("admin_delete"), wantAdmin, headers...)
	})
}

func TestHeaderBounds_LIMITS_01_LIMITS_05(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: requirements{"echo": mcpauth.Authenticated()}, Resources: requirements{"*": mcpauth.Authenticated()}}
	})
	token := f.token(nil)
	const tooLarge = `{"jsonrpc":"2.0","error":{"code":-31431,"message":"request header fields too large"}}`
	many := func(name string, n int) (headers []string) {
		for i := range n {
			headers = append(headers, fmt.Sprintf("%s-%d: x", name, i))
		}
		return headers
	}
	for _, row := range []struct {
		id      string
		headers []string
		served  bool
	}{
		{"LIMITS-01 100 fields", many("X", 97), true}, // and Accept, Authorization, Content-Type
		{"LIMITS-01 101 fields", many("X", 98), false},
		{"LIMITS-01 1000 fields of one name", slices.Repeat([]string{"X: y"}, 1000), false},
		{"LIMITS-01 60 KiB", []string{"X: " + strings.Repeat("x", 60<<10)}, true},
		{"LIMITS-01 64 KiB and the rest", []string{"X: " + strings.Repeat("x", 64<<10)}, false},
		{"LIMITS-01 64 KiB in names", []string{strings.Repeat("X", 64<<10) + ": x"}, false},
		{"LIMITS-01 64 KiB in pieces", slices.Repeat([]string{"X: " + strings.Repeat("x", 1<<10)}, 64), false},
		{"LIMITS-05 32 parameters", many("Mcp-Param-X", 32), true},
		{"LIMITS-05 33 parameters", many("Mcp-Param-X", 33), false},
		{"LIMITS-05 33 parameters of one name", slices.Repeat([]string{"Mcp-Param-X: y"}, 33), false},
		{"LIMITS-05 a name of 12 KiB", []string{"Mcp-Name: " + strings.Repeat("n", 12<<10)}, true},
		{"LIMITS-05 a name of 12 KiB and a byte", []string{"Mcp-Name: " + strings.Repeat("n", 12<<10+1)}, false},
	} {
		t.Run(row.id, func(t *testing.T) {
			w := f.post(token, legacyCall("echo"), row.headers...)
			if row.served {
				f.servedIn(t, w)
				return
			}
			f.refusedWhole(t, w, http.StatusRequestHeaderFieldsTooLarge, "", tooLarge)
			w = f.post("x", "", row.headers...) // before anything else is looked at
			f.refusedWhole(t, w, http.StatusRequestHeaderFieldsTooLarge, "", tooLarge)
		})
	}
	t.Run("LIMITS-01 a token of 17 KiB", func(t *testing.T) {
		w := f.post(strings.Repeat("a", 17<<10), legacyCall("echo"))
		f.refusedWhole(t, w, http.StatusUnauthorized, invalidToken("token too complex"), `{"error":"invalid_token","error_description":"token too complex"}`)
		assert.Equal(t, 1, f.issuer.Fetches(mcpauthtest.JWKS)) // that of the tokens before
	})
}

// TestLongNames: what a body may name, the header may repeat.
func TestLongNames_LIMITS_05_MCP_23(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Resources: map[string]mcpauth.Requirement{"file:///*": mcpauth.Authenticated()}}
	})
	uri := "file:///" + strings.Repeat("a", 8<<10-len("file:///"))
	body := modernBody("resources/read", `"uri":"`+uri+`"`)
	for _, name := range []string{uri, "=?base64?" + base64.StdEncoding.EncodeToString([]byte(uri)) + "?="} {
		f.served(f.post(f.token(nil), body, modernHeaders("resources/read", name)...))
	}
}
