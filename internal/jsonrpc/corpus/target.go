package corpus

import "strings"

// targets are about the members that name what a method acts on.
func targets() []Body {
	complete := func(ref string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":` + ref + `,"argument":{"name":"a","value":"b"}}}`
	}
	meta := func(m string) string { return echo(`"_meta":` + m) }
	const version = `"io.modelcontextprotocol/protocolVersion"`
	return []Body{
		// A target that is not a string is classified, and refused where it is needed.
		{"MCP-42 name number", call(`{"name":1}`), Accept},
		{"MCP-42 name null", call(`{"name":null}`), Accept},
		{"MCP-42 name array", call(`{"name":["echo"]}`), Accept},
		{"MCP-42 name object", call(`{"name":{"name":"echo"}}`), Accept},
		{"MCP-42 name absent", call(`{}`), Accept},
		{"MCP-42 uri number", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":1}}`, Accept},
		{"MCP-42 taskId null", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":null}}`, Accept},
		{"MCP-42 name with a bad value inside", call(`{"name":[{"a":1,"a":2}]}`), Invalid},
		{"MCP-15 name empty", call(`{"name":""}`), Accept},
		{"MCP-15 name in upper case", call(`{"name":"ECHO"}`), Accept},
		{"MCP-15 name with spaces", call(`{"name":" echo "}`), Accept},
		{"MCP-15 name with NUL", call(`{"name":"echo\u0000"}`), Invalid},
		{"MCP-15 name with newline", call(`{"name":"echo\n"}`), Invalid},
		{"MCP-15 name with carriage return", call(`{"name":"echo\r"}`), Invalid},
		{"MCP-15 name with tab", call(`{"name":"\techo"}`), Invalid},
		{"MCP-15 name with escape character", call(`{"name":"\u001b[31mecho"}`), Invalid},
		{"MCP-15 name with delete", call("{\"name\":\"echo\x7f\"}"), Invalid},
		{"MCP-15 name with escaped delete", call(`{"name":"echo\u007f"}`), Invalid},
		{"MCP-15 name with C1 control", call("{\"name\":\"echo\u0085\"}"), Invalid},
		{"MCP-15 name with escaped C1 control", call(`{"name":"echo\u009f"}`), Invalid},
		{"MCP-15 name with no-break space", call("{\"name\":\"echo\u00a0\"}"), Accept},
		{"MCP-15 name with right-to-left override", call("{\"name\":\"\u202eecho\"}"), Accept},
		{"MCP-15 name escaped", call(`{"name":"` + escape("admin_delete") + `"}`), Accept},
		{"MCP-15 name like a prototype", call(`{"name":"__proto__"}`), Accept},
		{"MCP-15 uri with newline", call(`{"uri":"file:///a\nb"}`), Invalid},
		{"MCP-15 uri escaped solidus", call(`{"uri":"file:\/\/\/etc\/passwd"}`), Accept},
		{"MCP-15 taskId with NUL", call(`{"taskId":"a\u0000"}`), Invalid},
		{"LIMITS-07 name of 512 bytes", call(`{"name":"` + strings.Repeat("n", 512) + `"}`), Accept},
		{"LIMITS-07 name of 513 bytes", call(`{"name":"` + strings.Repeat("n", 513) + `"}`), Invalid},
		{"LIMITS-07 name of 512 bytes in escapes", call(`{"name":"` + strings.Repeat(`\u006e`, 512) + `"}`), Accept},
		{"LIMITS-07 name of 513 bytes in characters", call(`{"name":"` + strings.Repeat("é", 256) + `n"}`), Invalid},
		{"LIMITS-07 uri of 8 KiB", call(`{"uri":"` + strings.Repeat("u", 8192) + `"}`), Accept},
		{"LIMITS-07 uri of 8 KiB and a byte", call(`{"uri":"` + strings.Repeat("u", 8193) + `"}`), Invalid},
		{"LIMITS-07 taskId of 513 bytes", call(`{"taskId":"` + strings.Repeat("t", 513) + `"}`), Invalid},

		{"MCP-14 arguments null", args(`null`), Accept},
		{"MCP-14 arguments empty array", args(`[]`), Invalid},
		{"MCP-14 arguments array", args(`[{}]`), Invalid},
		{"MCP-14 arguments array of null", args(`[null]`), Invalid},
		{"MCP-14 arguments array cut short", args(`[,]`), Parse},
		{"MCP-14 arguments string", args(`"{}"`), Invalid},
		{"MCP-14 arguments number", args(`0`), Invalid},
		{"MCP-14 arguments false", args(`false`), Invalid},
		{"MCP-14 arguments empty", args(`{}`), Accept},
		{"MCP-14 arguments with a prototype", args(`{"__proto__":{"name":"admin_delete"},"constructor":1}`), Accept},
		{"MCP-14 arguments of all kinds", args(`{"a":[null,true,false,0,-1.5e3,"x",{},[]]}`), Accept},

		{"MCP-26 _meta null", meta(`null`), Accept},
		{"MCP-20 _meta array", meta(`[]`), Invalid},
		{"MCP-20 _meta string", meta(`"x"`), Invalid},
		{"MCP-20 _meta empty", meta(`{}`), Accept},
		{"MCP-20 version", meta(`{` + version + `:"2026-07-28"}`), Accept},
		{"MCP-20 version escaped", meta(`{"io.modelcontextprotocol\/protocolVersion":"2026\u002d07-28"}`), Accept},
		{"MCP-20 version number", meta(`{` + version + `:20260728}`), Accept},
		{"MCP-20 version null", meta(`{` + version + `:null}`), Accept},
		{"MCP-20 version with newline", meta(`{` + version + `:"2026-07-28\n"}`), Invalid},
		{"MCP-20 version of 513 bytes", meta(`{` + version + `:"` + strings.Repeat("2", 513) + `"}`), Invalid},
		{"MCP-20 version and a case variant", meta(`{` + version + `:"2025-06-18","io.modelcontextprotocol/protocolversion":"2026-07-28"}`), Invalid},
		{"MCP-20 version and a prefix in upper case", meta(`{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}`), Invalid},
		{"MCP-20 version with a Kelvin sign", meta("{\"io.modelcontextprotocol/related-tas\u212a\":{}}"), Invalid},
		{"MCP-20 foreign names", meta(`{"com.example/a":1,"COM.example/a":2,"traceparent":"00-0-0-00"}`), Accept},

		{"MCP-53 prompt", complete(`{"type":"ref/prompt","name":"p"}`), Accept},
		{"MCP-53 resource", complete(`{"type":"ref/resource","uri":"file:///{a}"}`), Accept},
		{"MCP-53 unknown type", complete(`{"type":"ref/tool","name":"admin_delete"}`), Accept},
		{"MCP-53 type number", complete(`{"type":1,"name":"p"}`), Accept},
		{"MCP-53 ref null", complete(`null`), Accept},
		{"MCP-42 resource with a null name", complete(`{"type":"ref/resource","uri":"file:///{a}","name":null}`), Accept},
		{"MCP-42 prompt with a null uri", complete(`{"type":"ref/prompt","uri":null,"name":"p"}`), Accept},
		{"MCP-42 null type", complete(`{"type":null,"name":"p"}`), Accept},
		{"MCP-53 ref string", complete(`"ref/prompt"`), Accept},
		{"MCP-53 ref array", complete(`[{"type":"ref/prompt","name":"p"}]`), Accept},
		{"MCP-53 two types", complete(`{"type":"ref/prompt","type":"ref/resource","name":"p"}`), Invalid},
		{"MCP-53 type with newline", complete(`{"type":"ref/prompt\n","name":"p"}`), Invalid},
		{"MCP-53 name of 513 bytes", complete(`{"type":"ref/prompt","name":"` + strings.Repeat("p", 513) + `"}`), Invalid},
		{"MCP-53 uri of 8 KiB and a byte", complete(`{"type":"ref/resource","uri":"` + strings.Repeat("p", 8193) + `"}`), Invalid},
	}
}

// subscriptions are about params.notifications.
func subscriptions() []Body {
	listen := func(n string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":` + n + `}}`
	}
	return []Body{
		{"MCP-54 nothing", listen(`{}`), Accept},
		{"MCP-54 lists", listen(`{"toolsListChanged":true,"promptsListChanged":false,"resourcesListChanged":true}`), Accept},
		{"MCP-54 resources", listen(`{"resourceSubscriptions":["file:///a","file:///b"]}`), Accept},
		{"MCP-54 tasks", listen(`{"taskIds":["a","b"]}`), Accept},
		{"MCP-54 unknown filter", listen(`{"everything":true}`), Accept},
		{"MCP-54 null", listen(`null`), Accept},
		{"MCP-54 array", listen(`["toolsListChanged"]`), Accept},
		{"MCP-54 flag is a number", listen(`{"toolsListChanged":1}`), Invalid},
		{"MCP-54 flag is a string", listen(`{"promptsListChanged":"true"}`), Invalid},
		{"MCP-54 flag is null", listen(`{"resourcesListChanged":null}`), Accept},
		{"MCP-54 resources are a string", listen(`{"resourceSubscriptions":"file:///a"}`), Invalid},
		{"MCP-54 resources are null", listen(`{"resourceSubscriptions":null}`), Accept},
		{"MCP-54 tasks are null", listen(`{"taskIds":null}`), Accept},
		{"MCP-54 resources are an object", listen(`{"resourceSubscriptions":{"0":"file:///a"}}`), Invalid},
		{"MCP-54 resource is null", listen(`{"resourceSubscriptions":["file:///a",null]}`), Invalid},
		{"MCP-54 resource is an array", listen(`{"resourceSubscriptions":[["file:///a"]]}`), Invalid},
		{"MCP-54 task is a number", listen(`{"taskIds":[1]}`), Invalid},
		{"MCP-54 resource with NUL", listen(`{"resourceSubscriptions":["file:///a\u0000"]}`), Invalid},
		{"MCP-54 resource with a lone surrogate", listen(`{"resourceSubscriptions":["file:///\ud800"]}`), Invalid},
		{"MCP-54 resource of 8 KiB and a byte", listen(`{"resourceSubscriptions":["` + strings.Repeat("u", 8193) + `"]}`), Invalid},
		{"MCP-54 task of 513 bytes", listen(`{"taskIds":["` + strings.Repeat("t", 513) + `"]}`), Invalid},
		{"MCP-54 1,000 resources", listen(`{"resourceSubscriptions":[` + strings.Repeat(`"a",`, 999) + `"a"]}`), Accept},
		{"MCP-54 1,001 resources", listen(`{"resourceSubscriptions":[` + strings.Repeat(`"a",`, 1000) + `"a"]}`), Invalid},
		{"MCP-54 array cut short", listen(`{"taskIds":["a",]}`), Parse},
	}
}
