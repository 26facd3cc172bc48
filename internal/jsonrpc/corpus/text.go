package corpus

import (
	"fmt"
	"strings"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// texts are about the JSON grammar outside of strings (RFC 8259).
var texts = []Body{
	{"MCP-12 empty", "", Parse},
	{"MCP-12 white space", " \t\r\n ", Parse},
	{"MCP-12 NUL", "\x00", Parse},
	{"MCP-04 two messages", ping + `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"admin_delete"}}`, Parse},
	{"MCP-04 two messages on lines", ping + "\n" + ping, Parse},
	{"MCP-04 comma between messages", ping + "," + ping, Parse},
	{"MCP-04 record separator", "\x1e" + ping, Parse},
	{"MCP-04 trailing word", ping + "zzz", Parse},
	{"MCP-04 trailing NUL", ping + "\x00", Parse},
	{"MCP-04 trailing brace", ping + "}", Parse},
	{"MCP-04 trailing bracket", ping + "]", Parse},
	{"MCP-04 trailing comment", ping + "//", Parse},
	{"MCP-04 trailing comma", ping + ",", Parse},
	{"MCP-04 trailing null", ping + "null", Parse},
	{"MCP-04 trailing white space", ping + " \t\r\n", Accept},
	{"MCP-04 leading white space", " \t\r\n" + ping, Accept},
	{"MCP-04 white space everywhere", "{ \"jsonrpc\"\t:\n\"2.0\" ,\r\"id\" : 1 , \"method\" : \"ping\" }", Accept},
	{"MCP-04 vertical tab before", "\v" + ping, Parse},
	{"MCP-04 vertical tab after", ping + "\v", Parse},
	{"MCP-04 form feed inside", "{\f\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", Parse},
	{"MCP-04 no-break space before", "\u00a0" + ping, Parse},
	{"MCP-04 no-break space after", ping + "\u00a0", Parse},
	{"MCP-04 line separator", ping + "\u2028", Parse},
	{"MCP-04 next line", ping + "\u0085", Parse},
	{"MCP-04 ideographic space", "{\u3000" + ping[1:], Parse},
	{"MCP-04 byte order mark", "\ufeff" + ping, Parse},
	{"MCP-04 byte order mark after", ping + "\ufeff", Parse},
	{"MCP-04 byte order mark of UTF-16", "\xff\xfe" + ping, Parse},
	{"MCP-04 UTF-16", "{\x00\"\x00}\x00", Parse},
	{"MCP-04 UTF-32", "{\x00\x00\x00}\x00\x00\x00", Parse},
	{"MCP-04 block comment", `{/*"method":"tools/call",*/"jsonrpc":"2.0","id":1,"method":"ping"}`, Parse},
	{"MCP-04 line comment", "{\"jsonrpc\":\"2.0\",\"id\":1,//\n\"method\":\"ping\"}", Parse},
	{"MCP-04 hash comment", "#\n" + ping, Parse},
	{"MCP-04 single quotes", `{'jsonrpc':'2.0','id':1,'method':'ping'}`, Parse},
	{"MCP-04 bare names", `{jsonrpc:"2.0",id:1,method:"ping"}`, Parse},
	{"MCP-04 trailing comma in object", `{"jsonrpc":"2.0","id":1,"method":"ping",}`, Parse},
	{"MCP-04 trailing comma in array", args(`{"a":[1,]}`), Parse},
	{"MCP-04 hole in array", args(`{"a":[1,,2]}`), Parse},
	{"MCP-04 leading comma", `{,"jsonrpc":"2.0","id":1,"method":"ping"}`, Parse},
	{"MCP-04 missing comma", `{"jsonrpc":"2.0" "id":1,"method":"ping"}`, Parse},
	{"MCP-04 missing colon", `{"jsonrpc" "2.0","id":1,"method":"ping"}`, Parse},
	{"MCP-04 equals sign", `{"jsonrpc"="2.0","id":1,"method":"ping"}`, Parse},
	{"MCP-04 semicolon", `{"jsonrpc":"2.0";"id":1,"method":"ping"}`, Parse},
	{"MCP-04 missing value", `{"jsonrpc":"2.0","id":1,"method":"ping","params":}`, Parse},
	{"MCP-04 truncated after brace", `{`, Parse},
	{"MCP-04 truncated in name", `{"jsonr`, Parse},
	{"MCP-04 truncated in string", `{"jsonrpc":"2.0","id":1,"method":"pin`, Parse},
	{"MCP-04 truncated before close", strings.TrimSuffix(ping, "}"), Parse},
	{"MCP-04 truncated in params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}`, Parse},
	{"MCP-04 mismatched close", `{"jsonrpc":"2.0","id":1,"method":"ping"]`, Parse},
	{"MCP-04 NaN", args(`{"a":NaN}`), Parse},
	{"MCP-04 Infinity", args(`{"a":Infinity}`), Parse},
	{"MCP-04 negative Infinity", args(`{"a":-Infinity}`), Parse},
	{"MCP-04 undefined", args(`{"a":undefined}`), Parse},
	{"MCP-04 None", args(`{"a":None}`), Parse},
	{"MCP-04 True", args(`{"a":True}`), Parse},
	{"MCP-04 leading zero", args(`{"a":01}`), Parse},
	{"MCP-04 plus sign", args(`{"a":+1}`), Parse},
	{"MCP-04 hexadecimal", args(`{"a":0x1f}`), Parse},
	{"MCP-04 no digits after point", args(`{"a":1.}`), Parse},
	{"MCP-04 no digits before point", args(`{"a":.5}`), Parse},
	{"MCP-04 no digits in exponent", args(`{"a":1e}`), Parse},
	{"MCP-04 digit separator", args(`{"a":1_000}`), Parse},
	{"MCP-04 lone minus", args(`{"a":-}`), Parse},
	{"MCP-04 big integer", args(`{"a":123456789012345678901234567890}`), Accept},
	{"MCP-04 small fraction", args(`{"a":[0.1,-0,0e0,1E+2,1e-7]}`), Accept},
	{"MCP-04 newline in string", args("{\"a\":\"b\nc\"}"), Parse},
	{"MCP-04 tab in string", args("{\"a\":\"b\tc\"}"), Parse},
	{"MCP-04 NUL in string", args("{\"a\":\"b\x00c\"}"), Parse},
	{"MCP-04 NUL in name", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\x00\":\"ping\"}", Parse},
	{"MCP-04 unknown escape", args(`{"a":"\x41"}`), Parse},
	{"MCP-04 escaped apostrophe", args(`{"a":"\'"}`), Parse},
	{"MCP-04 escaped newline", args("{\"a\":\"\\\n\"}"), Parse},
	{"MCP-04 short escape", args(`{"a":"\u00"}`), Parse},
	{"MCP-04 escape without digits", args(`{"a":"\uzzzz"}`), Parse},
	{"MCP-04 escape with upper case U", args(`{"a":"\U0041"}`), Parse},
	{"MCP-04 plain text", "hello", Parse},
	{"MCP-04 form data", "method=tools/call&name=echo", Parse},
	{"MCP-04 XML", "<methodCall/>", Parse},
	{"MCP-04 event stream", "data: " + ping + "\n\n", Parse},
	{"MCP-07 string at top", `"ping"`, Invalid},
	{"MCP-07 number at top", `1`, Invalid},
	{"MCP-07 null at top", `null`, Invalid},
	{"MCP-07 true at top", `true`, Invalid},
	{"MCP-04 number and more at top", `1 2`, Parse},
}

// encodings are about UTF-8 (RFC 8259 section 8.1).
var encodings = func() (bodies []Body) {
	for _, bad := range []struct{ name, bytes string }{
		{"stray continuation", "\x80"},
		{"byte FF", "\xff"},
		{"byte FE", "\xfe"},
		{"Latin-1", "\xe9"},
		{"overlong slash", "\xc0\xaf"},
		{"overlong quote", "\xc0\xa2"},
		{"overlong NUL", "\xc0\x80"},
		{"overlong in three bytes", "\xe0\x80\xaf"},
		{"overlong in four bytes", "\xf0\x80\x80\xaf"},
		{"high surrogate", "\xed\xa0\x80"},
		{"low surrogate", "\xed\xb0\x80"},
		{"surrogate pair", "\xed\xa0\xbd\xed\xb8\x80"},
		{"beyond U+10FFFF", "\xf4\x90\x80\x80"},
		{"five bytes", "\xf8\x88\x80\x80\x80"},
		{"truncated in two", "\xc3"},
		{"truncated in three", "\xe2\x82"},
		{"truncated in four", "\xf0\x9f\x98"},
	} {
		bodies = append(bodies,
			Body{"MCP-05 " + bad.name + " in name", call(`{"name":"adm` + bad.bytes + `in"}`), Parse},
			Body{"MCP-05 " + bad.name + " in argument", args(`{"a":"x` + bad.bytes + `"}`), Parse})
	}
	return append(bodies,
		Body{"MCP-05 bad byte in member name", envelope(`"x` + "\xff" + `":1`), Parse},
		Body{"MCP-05 bad byte after the text", ping + "\xff", Parse},
		Body{"MCP-05 quote hidden by a lead byte", call("{\"name\":\"echo\xc2\",\"x\":\"y\"}"), Parse},
		Body{"MCP-05 noncharacter", args("{\"a\":\"\uffff\U0010ffff\"}"), Accept},
		Body{"MCP-05 replacement character", call("{\"name\":\"adm\ufffdin\"}"), Accept},
		Body{"MCP-05 four-byte characters", call(`{"name":"😀"}`), Accept},
		Body{"MCP-05 byte order mark in name", call("{\"name\":\"\ufeffecho\"}"), Accept},
	)
}()

// surrogates are escapes that name half a character (RFC 7493 section 2.1).
func surrogates() (bodies []Body) {
	for _, bad := range []struct{ name, escape string }{
		{"high", `\ud800`},
		{"low", `\udc00`},
		{"last", `\udfff`},
		{"swapped", `\udc00\ud800`},
		{"two high", `\ud83d\ud83d`},
		{"high before text", `\ud83dx`},
		{"high before escape", `\ud83d\u0041`},
		{"upper case", `\uD83D`},
	} {
		bodies = append(bodies,
			Body{"MCP-05 lone surrogate, " + bad.name + ", in tool name", call(`{"name":"a` + bad.escape + `"}`), Invalid},
			Body{"MCP-05 lone surrogate, " + bad.name + ", in member name", args(`{"a` + bad.escape + `":1}`), Invalid})
	}
	return append(bodies,
		Body{"MCP-05 lone surrogate in uri", call(`{"uri":"file:///\ud800"}`), Invalid},
		Body{"MCP-05 lone surrogate in method", `{"jsonrpc":"2.0","id":1,"method":"ping\ud800"}`, Invalid},
		Body{"MCP-05 lone surrogate in id", withID(`"\ud800"`), Invalid},
		Body{"MCP-05 lone surrogate in jsonrpc", `{"jsonrpc":"2.0\ud800","id":1,"method":"ping"}`, Invalid},
		Body{"MCP-05 lone surrogate in taskId", call(`{"taskId":"\udfff"}`), Invalid},
		Body{"MCP-05 lone surrogate in envelope member name", envelope(`"\ud800":1`), Invalid},
		Body{"MCP-05 lone surrogate in an argument", args(`{"a":"\ud800"}`), Invalid},
		Body{"MCP-05 pair in tool name", call(`{"name":"\ud83d\ude00"}`), Accept},
	)
}

// depths are about nesting.
func depths() (bodies []Body) {
	for _, n := range []int{62, 63, 64, 65, 66, 1000, 100_000} {
		want := Accept
		if n > 64 {
			want = Invalid
		}
		// The envelope, params and arguments are levels 1 to 3.
		bodies = append(bodies,
			Body{fmt.Sprintf("MCP-06 arrays to level %d", n), args(`{"a":` + strings.Repeat("[", n-3) + strings.Repeat("]", n-3) + `}`), want},
			Body{fmt.Sprintf("MCP-06 objects to level %d", n), args(strings.Repeat(`{"a":`, n-2) + "0" + strings.Repeat("}", n-2)), want})
	}
	return append(bodies,
		Body{"MCP-06 64 levels in _meta", echo(`"_meta":{"x":` + strings.Repeat("[", 61) + strings.Repeat("]", 61) + `}`), Accept},
		Body{"MCP-06 65 levels in _meta", echo(`"_meta":{"x":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}`), Invalid},
		Body{"MCP-06 65 levels in an unknown envelope member", envelope(`"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)), Invalid},
		Body{"MCP-06 65 levels in a result", `{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, Invalid},
		Body{"MCP-06 opened and never closed", strings.Repeat("[", 100_000), Invalid},
		Body{"MCP-06 objects opened and never closed", strings.Repeat(`{"a":`, 100_000), Invalid},
		Body{"MCP-06 many siblings", args(`{"a":[` + strings.Repeat("[[]],", 1000) + `[]]}`), Accept},
	)
}
