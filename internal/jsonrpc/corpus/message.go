package corpus

import (
	"fmt"
	"strings"
)

// versions are about the member jsonrpc.
var versions = []Body{
	{"MCP-07 jsonrpc absent", `{"id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc number", `{"jsonrpc":2.0,"id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc integer", `{"jsonrpc":2,"id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc null", `{"jsonrpc":null,"id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc empty", `{"jsonrpc":"","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc 2", `{"jsonrpc":"2","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc 2.00", `{"jsonrpc":"2.00","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc with space", `{"jsonrpc":"2.0 ","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc with NUL", `{"jsonrpc":"2.0\u0000","id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc array", `{"jsonrpc":["2.0"],"id":1,"method":"ping"}`, Invalid},
	{"MCP-07 jsonrpc escaped", `{"jsonrpc":"\u0032.0","id":1,"method":"ping"}`, Accept},
	{"MCP-07 jsonrpc last", `{"method":"ping","id":1,"jsonrpc":"2.0"}`, Accept},
	{"MCP-07 empty object", `{}`, Invalid},
}

// identifiers are about the member id.
func identifiers() (bodies []Body) {
	for _, id := range []string{
		`0`, `1`, `-1`, `9007199254740991`, `-9007199254740991`,
		`""`, `"a"`, `"1"`, `"null"`, `"\u0061"`, `"資源"`, `"\ud83d\ude00"`, `"\u0000"`, `"\""`,
	} {
		bodies = append(bodies, Body{"MCP-07 id " + id, withID(id), Accept})
	}
	for _, id := range []string{
		`null`, `true`, `false`, `{}`, `[]`, `[1]`, `{"a":1}`,
		`1.5`, `1.0`, `-0`, `-0.0`, `0.0`, `1e2`, `1E2`, `1e0`, `1e-1`, `1e400`, `-1e400`,
		`9007199254740992`, `-9007199254740992`, `9007199254740993`, `9223372036854775807`, `9223372036854775808`,
		`-9223372036854775809`, `18446744073709551616`, `100000000000000000000000000000000000`,
	} {
		bodies = append(bodies, Body{"MCP-07 id " + id, withID(id), Invalid})
	}
	for _, id := range []string{`01`, `-`, `+1`, `0x1`, `1.`, `.1`, `1e`, `NaN`, `'a'`, `a`, `--1`, `1 2`} {
		bodies = append(bodies, Body{"MCP-04 id " + id, withID(id), Parse})
	}
	return append(bodies,
		Body{"LIMITS-07 id of 256 bytes", withID(`"` + strings.Repeat("a", 256) + `"`), Accept},
		Body{"LIMITS-07 id of 257 bytes", withID(`"` + strings.Repeat("a", 257) + `"`), Invalid},
		Body{"LIMITS-07 id of 256 bytes in escapes", withID(`"` + strings.Repeat(`\u0061`, 256) + `"`), Accept},
		Body{"LIMITS-07 id of 257 bytes in characters", withID(`"` + strings.Repeat("é", 128) + `a"`), Invalid},
		Body{"LIMITS-07 id of a million digits", withID(strings.Repeat("1", 1_000_000)), Invalid},
		Body{"MCP-07 id of zeros", withID(`0000000000000001`), Parse},
		Body{"MCP-11 id absent", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, Accept},
		Body{"MCP-07 id null in a notification", `{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}`, Invalid},
		Body{"MCP-07 id null in a response", `{"jsonrpc":"2.0","id":null,"result":{}}`, Invalid},
		Body{"MCP-11 id null in an error", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`, Accept},
		Body{"MCP-11 id null beside a null error", `{"jsonrpc":"2.0","id":null,"error":null}`, Invalid},
		Body{"MCP-11 id null beside result and error", `{"jsonrpc":"2.0","id":null,"result":{},"error":{}}`, Invalid},
		Body{"MCP-11 id null beside method and error", `{"jsonrpc":"2.0","id":null,"method":"ping","error":{}}`, Invalid},
	)
}

// methods are about the member method.
func methods() (bodies []Body) {
	method := func(m string) string { return `{"jsonrpc":"2.0","id":1,"method":` + m + `}` }
	for _, m := range []string{`null`, `1`, `true`, `{}`, `["ping"]`, `""`, `"ping\u0000"`, `"ping\n"`, `"\u007f"`, `"tools/call\u0085"`, `"\tping"`} {
		bodies = append(bodies, Body{"MCP-07 method " + m, method(m), Invalid})
	}
	for _, m := range []string{`"PING"`, `"Tools/Call"`, `"\u0070ing"`, `"tools\/call"`, `" ping"`, `"ping "`, `"tools//call"`, `"rpc.discover"`, `"$/cancel"`, `"méthode"`, `"__proto__"`} {
		bodies = append(bodies, Body{"MCP-07 method " + m, method(m), Accept})
	}
	return append(bodies,
		Body{"LIMITS-07 method of 256 bytes", method(`"` + strings.Repeat("m", 256) + `"`), Accept},
		Body{"LIMITS-07 method of 257 bytes", method(`"` + strings.Repeat("m", 257) + `"`), Invalid},
		Body{"MCP-11 no method", `{"jsonrpc":"2.0","id":1}`, Invalid},
		Body{"MCP-11 params only", `{"jsonrpc":"2.0","params":{}}`, Invalid},
	)
}

// mixtures are about what makes a message a request, a notification or a
// response.
var mixtures = []Body{
	{"MCP-11 method and result", `{"jsonrpc":"2.0","id":1,"method":"x","result":{}}`, Invalid},
	{"MCP-11 method and null result", `{"jsonrpc":"2.0","id":1,"method":"x","result":null}`, Accept},
	{"MCP-11 method, null result and null error", `{"jsonrpc":"2.0","id":1,"method":"x","params":null,"result":null,"error":null}`, Accept},
	{"MCP-11 null method and result", `{"jsonrpc":"2.0","id":1,"method":null,"result":{}}`, Invalid},
	{"MCP-11 notification and null result", `{"jsonrpc":"2.0","method":"x","result":null}`, Accept},
	{"MCP-11 method and error", `{"jsonrpc":"2.0","id":1,"method":"x","error":{}}`, Invalid},
	{"MCP-11 notification and result", `{"jsonrpc":"2.0","method":"x","result":{}}`, Invalid},
	{"MCP-11 result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, Invalid},
	{"MCP-11 result and null error", `{"jsonrpc":"2.0","id":1,"result":{},"error":null}`, Accept},
	{"MCP-11 null error and result", `{"jsonrpc":"2.0","error":null,"id":1,"result":{}}`, Accept},
	{"MCP-11 null result and error", `{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"x"}}`, Accept},
	{"MCP-11 null result", `{"jsonrpc":"2.0","id":1,"result":null}`, Accept},
	{"MCP-11 null result and null error", `{"jsonrpc":"2.0","id":1,"result":null,"error":null}`, Accept},
	{"MCP-11 null error", `{"jsonrpc":"2.0","id":1,"error":null}`, Invalid},
	{"MCP-11 string error", `{"jsonrpc":"2.0","id":1,"error":"x"}`, Invalid},
	{"MCP-11 result and params", `{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, Invalid},
	{"MCP-11 result and null params", `{"jsonrpc":"2.0","id":1,"result":{},"params":null}`, Accept},
	{"MCP-11 result without id", `{"jsonrpc":"2.0","result":{}}`, Invalid},
	{"MCP-11 null result without id", `{"jsonrpc":"2.0","result":null}`, Invalid},
	{"MCP-11 error without id", `{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`, Accept},
	{"MCP-11 null error without id", `{"jsonrpc":"2.0","error":null}`, Invalid},
	{"MCP-11 string error without id", `{"jsonrpc":"2.0","error":"x"}`, Invalid},
	{"MCP-11 result", `{"jsonrpc":"2.0","id":1,"result":{"a":[1,2]}}`, Accept},
	{"MCP-11 result first", `{"result":{},"id":"a","jsonrpc":"2.0"}`, Accept},
	{"MCP-11 error", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`, Accept},
	{"MCP-11 unknown member", envelope(`"meta":{"a":1}`), Accept},
	{"MCP-07 params null", envelope(`"params":null`), Accept},
	{"MCP-07 params null in a notification", `{"jsonrpc":"2.0","method":"notifications/initialized","params":null}`, Accept},
	{"MCP-07 params cut short", envelope(`"params":nul`), Parse},
	{"MCP-07 params array", envelope(`"params":[]`), Invalid},
	{"MCP-07 params positional", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["echo",{}]}`, Invalid},
	{"MCP-07 params string", envelope(`"params":"{}"`), Invalid},
	{"MCP-07 params number", envelope(`"params":0`), Invalid},
	{"MCP-07 params false", envelope(`"params":false`), Invalid},
	{"MCP-07 params empty", envelope(`"params":{}`), Accept},
	{"MCP-07 params first", `{"params":{"name":"echo"},"method":"tools/call","id":1,"jsonrpc":"2.0"}`, Accept},
}

// batches are arrays, which are read elsewhere or nowhere.
var batches = []Body{
	{"MCP-59 empty batch", `[]`, Invalid},
	{"MCP-58 batch of one", `[` + ping + `]`, Invalid},
	{"MCP-58 batch of two", `[` + ping + `,` + call(`{"name":"admin_delete"}`) + `]`, Invalid},
	{"MCP-59 nested batch", `[[` + ping + `]]`, Invalid},
	{"MCP-59 batch after white space", "\n\t [" + ping + `]`, Invalid},
	{"MCP-59 batch of numbers", `[1,2,3]`, Invalid},
	{"MCP-59 batch and more", `[` + ping + `]` + ping, Parse},
	{"MCP-59 batch cut short", `[` + ping, Parse},
	{"MCP-59 batch with a duplicate", `[{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}]`, Invalid},
	{"MCP-59 batch behind a byte order mark", "\ufeff[" + ping + `]`, Parse},
}

// sizes are about counts and lengths over the whole text.
func sizes() []Body {
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":0`, i)
		}
		return `{` + strings.TrimPrefix(b.String(), ",") + `}`
	}
	// Four members of the envelope and two of params stand around the arguments.
	return []Body{
		{"LIMITS-07 10,000 members", args(members(9_994)), Accept},
		{"LIMITS-07 10,001 members", args(members(9_995)), Accept},
		{"LIMITS-07 100,000 members", args(members(99_994)), Accept},
		{"LIMITS-07 100,001 members", args(members(99_995)), Invalid},
		{"LIMITS-07 10,001 members in the envelope", envelope(strings.Trim(members(9_998), "{}")), Invalid},
		{"LIMITS-07 small objects", args(`{"a":[` + strings.Repeat(`{"b":0},`, 99_994) + `0]}`), Invalid},
		{"LIMITS-07 long argument", args(`{"a":"` + strings.Repeat("long text ", 20_000) + `"}`), Accept},
		{"LIMITS-07 long argument of escapes", args(`{"a":"` + strings.Repeat(`\n\u00e9`, 20_000) + `"}`), Accept},
		{"LIMITS-07 long array", args(`{"a":[` + strings.Repeat("1,", 50_000) + `1]}`), Accept},
		{"LIMITS-07 long run of white space", "{" + strings.Repeat(" ", 100_000) + ping[1:], Accept},
	}
}

// plain are bodies as clients send them.
var plain = []Body{
	{"MCP-14 ping", ping, Accept},
	{"MCP-14 initialize", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}}}`, Accept},
	{"MCP-14 initialized", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, Accept},
	{"MCP-14 cancelled", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"x"}}`, Accept},
	{"MCP-14 progress", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":0.5}}`, Accept},
	{"MCP-14 discover", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, Accept},
	{"MCP-14 list with cursor", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"abc"}}`, Accept},
	{"MCP-14 call", `{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"echo","arguments":{"nonce":"x"},"_meta":{"progressToken":1}}}`, Accept},
	{"MCP-14 read", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a%20b?c#d"}}`, Accept},
	{"MCP-14 get prompt", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"a":"b"}}}`, Accept},
	{"MCP-14 set level", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, Accept},
	{"MCP-14 task", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t-1"}}`, Accept},
	{"MCP-14 input responses", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","inputResponses":{"k":{"action":"accept"}},"requestState":"s"}}`, Accept},
}
