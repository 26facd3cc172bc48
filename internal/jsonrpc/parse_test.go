package jsonrpc

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

func str(s string) Field { return Field{Value: s, State: String} }

func long(n int) string { return strings.Repeat("n", n) }

// members are n members with names that mean nothing.
func members(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"x%d":0`, i)
	}
	return strings.Join(all, ",")
}

// TestMessage reads bodies of every shape into every field.
func TestMessage(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		want Message
	}{
		{"MCP-11 request", `{"jsonrpc":"2.0","id":"a\u0062","method":"ping"}`,
			Message{Kind: Request, ID: []byte(`"a\u0062"`), Method: "ping"}},
		{"MCP-11 notification", `{"jsonrpc":"2.0","method":"notifications/unheard_of"}`,
			Message{Kind: Notification, Method: "notifications/unheard_of"}},
		{"MCP-11 result", `{"jsonrpc":"2.0","id":-7,"result":[1]}`,
			Message{Kind: Response, ID: []byte(`-7`)}},
		{"MCP-11 error", `{"error":{"code":1},"id":0,"jsonrpc":"2.0"}`,
			Message{Kind: Response, ID: []byte(`0`)}},
		{"MCP-42 targets, params first", ` {"params":{"name":"ec\u0068o","uri":"file:///\u00e9","taskId":"t","arguments": { "a" : 1 } },"method":"tools/call","id":1,"jsonrpc":"2.0"} `,
			Message{Kind: Request, ID: []byte(`1`), Method: "tools/call", HasParams: true,
				Name: str("echo"), URI: str("file:///é"), TaskID: str("t"), Arguments: []byte(`{ "a" : 1 }`)}},
		{"MCP-42 targets of other kinds", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":1,"uri":null,"taskId":["t"],"arguments":null}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true,
				Name: Field{State: Other}, URI: Field{State: Other}, TaskID: Field{State: Other}}},
		{"MCP-07 null is absent", `{"jsonrpc":"2.0","id":1,"method":"m","params":null,"result":null,"error":null}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m"}},
		{"MCP-26 null is absent in params", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":null,"ref":null,"notifications":null,"_meta":null}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true}},
		{"MCP-42 null is absent in ref and _meta", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"ref":{"type":"ref/prompt","name":"p","uri":null},"_meta":{"io.modelcontextprotocol/protocolVersion":null}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, HasMeta: true, Ref: Ref{Present: true, Type: str("ref/prompt"), Name: str("p")}}},
		{"MCP-11 result and null error", `{"jsonrpc":"2.0","id":1,"result":{},"error":null}`,
			Message{Kind: Response, ID: []byte(`1`)}},
		{"MCP-11 error without id", `{"jsonrpc":"2.0","error":{"code":1}}`, Message{Kind: Response}},
		{"MCP-11 error with id null", `{"jsonrpc":"2.0","id":null,"error":{"code":1}}`, Message{Kind: Response}},
		{"MCP-42 empty target", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":""}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, Name: str("")}},
		{"MCP-20 version", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":[],"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, HasMeta: true, Version: str("2026-07-28")}},
		{"MCP-20 version of another kind", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, HasMeta: true, Version: Field{State: Other}}},
		{"MCP-20 version outside of _meta", `{"jsonrpc":"2.0","id":1,"method":"m","io.modelcontextprotocol/protocolVersion":"2026-07-28","params":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true}},
		{"MCP-53 ref", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","uri":"u","title":"x"}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "completion/complete", HasParams: true,
				Ref: Ref{Present: true, Type: str("ref/prompt"), Name: str("p"), URI: str("u")}}},
		{"MCP-53 ref of another kind", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":[{"type":"ref/prompt"}]}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "completion/complete", HasParams: true, Ref: Ref{Present: true}}},
		{"MCP-54 everything", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a","\u0062"],"taskIds":["t"]}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "subscriptions/listen", HasParams: true,
				Listen: &Listen{ToolsListChanged: true, PromptsListChanged: true, ResourcesListChanged: true,
					ResourceSubscriptions: []string{"a", "b"}, TaskIDs: []string{"t"}}}},
		{"MCP-54 nothing", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":false}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "subscriptions/listen", HasParams: true, Listen: &Listen{}}},
		{"MCP-54 unknown", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"all":true}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "subscriptions/listen", HasParams: true, Listen: &Listen{Unknown: true}}},
		{"MCP-54 of another kind", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":["all"]}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "subscriptions/listen", HasParams: true, Listen: &Listen{Unknown: true}}},
		{"MCP-11 null result", `{"jsonrpc":"2.0","id":1,"result":null}`,
			Message{Kind: Response, ID: []byte(`1`)}},
		{"MCP-11 error and null result", `{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1}}`,
			Message{Kind: Response, ID: []byte(`1`)}},
		{"MCP-07 greatest id", `{"jsonrpc":"2.0","id":9007199254740991,"method":"m"}`,
			Message{Kind: Request, ID: []byte(`9007199254740991`), Method: "m"}},
		{"LIMITS-07 longest id and method", `{"jsonrpc":"2.0","id":"` + long(256) + `","method":"` + long(256) + `"}`,
			Message{Kind: Request, ID: []byte(`"` + long(256) + `"`), Method: long(256)}},
		{"LIMITS-07 longest name and URI", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"` + long(512) + `","uri":"` + long(8192) + `","taskId":"` + long(48) + `"}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, Name: str(long(512)), URI: str(long(8192)), TaskID: str(long(48))}},
		{"LIMITS-07 as many members as possible", `{"jsonrpc":"2.0","id":1,"method":"m","params":{` + members(9996) + `}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true}},
		{"MCP-15 no control characters", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":" ~","uri":"\u00a0\u00bfÿ"}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true, Name: str(" ~"), URI: str("\u00a0\u00bfÿ")}},
		{"MCP-01 another object's name elsewhere", `{"jsonrpc":"2.0","id":1,"method":"m","Name":1,"params":{"level":"x","context":{}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "m", HasParams: true}},
		{"MCP-54 null is absent", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":null,"resourceSubscriptions":null,"taskIds":null}}}`,
			Message{Kind: Request, ID: []byte(`1`), Method: "subscriptions/listen", HasParams: true, Listen: &Listen{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			got, err := Parse(body)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.body, string(body), "MCP-08: the body is only read")
		})
	}
}

// TestRefusals has one body for each reason, with the id that the answer may
// carry.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		code int
		err  error
		id   string
	}{
		{"MCP-12 empty", ``, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-05 not UTF-8", "{\"id\":1,\"method\":\"\xff\"}", CodeParse, strictjson.ErrUTF8, ``},
		{"MCP-04 trailing data", `{"jsonrpc":"2.0","id":1,"method":"m"}x`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-04 wrong message, then wrong text", `{"jsonrpc":"1.0","id":1,"method":"m"`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-04 wrong type, then wrong text", `{"jsonrpc":"2.0","id":1,"method":"m","params":[1,]}`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-04 no object, then wrong text", `"x" y`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-04 no object and no text", `"x`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-01 wrong message, then a duplicate", `{"jsonrpc":"1.0","id":1,"a":{"b":1,"b":1}}`, CodeInvalid, strictjson.ErrDuplicate, ``},
		{"MCP-01 duplicate id", `{"jsonrpc":"2.0","id":1,"method":"m","id":2}`, CodeInvalid, strictjson.ErrDuplicate, ``},
		{"MCP-01 duplicate elsewhere", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","name":"b"}}`, CodeInvalid, strictjson.ErrDuplicate, ``},
		{"MCP-06 depth", `{"id":1,"a":` + strings.Repeat("[", 64), CodeInvalid, strictjson.ErrDepth, ``},
		{"MCP-06 depth before any member", strings.Repeat("[", 65), CodeInvalid, strictjson.ErrDepth, ``},
		{"LIMITS-07 members", `{"id":1,"a":[` + strings.Repeat(`{"a":1},`, 100_000), CodeInvalid, strictjson.ErrMembers, ``},
		{"MCP-05 lone surrogate", `{"jsonrpc":"2.0","id":1,"method":"\ud800"}`, CodeInvalid, strictjson.ErrSurrogate, `1`},
		{"MCP-05 lone surrogate in an argument", `{"jsonrpc":"2.0","method":"m","params":{"arguments":{"a":["\udc00"]}},"id":1}`, CodeInvalid, strictjson.ErrSurrogate, `1`},
		{"LIMITS-07 members that are read", `{"jsonrpc":"2.0","id":1,"method":"m","params":{` + members(9997) + `}}`, CodeInvalid, strictjson.ErrMembers, `1`},
		{"MCP-58 batch", `[{"jsonrpc":"2.0","id":1,"method":"m"}]`, CodeInvalid, ErrBatch, ``},
		{"MCP-07 no object", `1`, CodeInvalid, ErrEnvelope, ``},
		{"MCP-07 id null", `{"jsonrpc":"2.0","id":null,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id fraction", `{"jsonrpc":"2.0","id":1.5,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id beyond float64", `{"jsonrpc":"2.0","id":9007199254740992,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id of 17 digits", `{"jsonrpc":"2.0","id":10000000000000000,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id that is 1 in 64 bits", `{"jsonrpc":"2.0","id":18446744073709551617,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id of very many digits", `{"jsonrpc":"2.0","id":` + strings.Repeat("1", 300) + `,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id -0", `{"jsonrpc":"2.0","id":-0,"method":"m"}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id null alone", `{"jsonrpc":"2.0","id":null}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id null in a mixture", `{"jsonrpc":"2.0","id":null,"method":"m","error":{}}`, CodeInvalid, ErrID, ``},
		{"MCP-07 id null, result and error", `{"jsonrpc":"2.0","id":null,"result":1,"error":{}}`, CodeInvalid, ErrID, ``},
		{"LIMITS-07 id too long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("a", 257) + `","method":"m"}`, CodeInvalid, ErrLength, ``},
		{"MCP-01 case variant of id", `{"jsonrpc":"2.0","id":1,"method":"m","ID":2}`, CodeInvalid, ErrCase, ``},
		{"MCP-01 case variant of id before it", `{"Id":2,"jsonrpc":"2.0","id":1,"method":"m"}`, CodeInvalid, ErrCase, ``},
		{"MCP-04 case variant of id, then wrong text", `{"jsonrpc":"2.0","id":1,"method":"m","ID":2}x`, CodeParse, strictjson.ErrSyntax, ``},
		{"MCP-01 case variant in the envelope", `{"jsonrpc":"2.0","id":1,"Method":"m"}`, CodeInvalid, ErrCase, ``},
		{"MCP-01 case variant in params", `{"jsonrpc":"2.0","id":"a","method":"m","params":{"Name":"x"}}`, CodeInvalid, ErrCase, `"a"`},
		{"MCP-07 jsonrpc", `{"jsonrpc":"1.0","id":1,"method":"m"}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-07 jsonrpc, and more that is wrong", `{"jsonrpc":"1.0","id":1,"method":"\u0000"}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-07 jsonrpc number", `{"jsonrpc":2,"method":"m","id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-05 lone surrogate in jsonrpc", `{"jsonrpc":"\ud800","method":"m","id":1}`, CodeInvalid, strictjson.ErrSurrogate, `1`},
		{"MCP-07 method", `{"jsonrpc":"2.0","method":1,"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-07 params", `{"jsonrpc":"2.0","method":"m","params":[],"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-11 empty method beside a result", `{"jsonrpc":"2.0","method":"","result":1,"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-11 params beside a result", `{"jsonrpc":"2.0","params":{},"result":1,"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-11 mixture", `{"jsonrpc":"2.0","method":"m","result":1,"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-11 error is no object", `{"jsonrpc":"2.0","error":1,"id":1}`, CodeInvalid, ErrEnvelope, `1`},
		{"MCP-14 arguments", `{"jsonrpc":"2.0","method":"m","params":{"arguments":[]},"id":1}`, CodeInvalid, ErrType, `1`},
		{"MCP-20 _meta", `{"jsonrpc":"2.0","method":"m","params":{"_meta":[]},"id":1}`, CodeInvalid, ErrType, `1`},
		{"MCP-54 list", `{"jsonrpc":"2.0","method":"m","params":{"notifications":{"taskIds":"t"}},"id":1}`, CodeInvalid, ErrType, `1`},
		{"MCP-54 entry", `{"jsonrpc":"2.0","method":"m","params":{"notifications":{"taskIds":[1]}},"id":1}`, CodeInvalid, ErrType, `1`},
		{"MCP-54 flag", `{"jsonrpc":"2.0","method":"m","params":{"notifications":{"toolsListChanged":1}},"id":1}`, CodeInvalid, ErrType, `1`},
		{"MCP-54 entries", `{"jsonrpc":"2.0","method":"m","params":{"notifications":{"taskIds":[` + strings.Repeat(`"",`, 1000) + `""]}},"id":1}`, CodeInvalid, ErrLength, `1`},
		{"LIMITS-07 method", `{"jsonrpc":"2.0","method":"` + strings.Repeat("m", 257) + `","id":1}`, CodeInvalid, ErrLength, `1`},
		{"MCP-15 control character", `{"jsonrpc":"2.0","method":"m","params":{"name":"echo\u0000"},"id":1}`, CodeInvalid, ErrControl, `1`},
		{"MCP-15 control character beyond ASCII", `{"jsonrpc":"2.0","method":"m","params":{"uri":"echo\u0080"},"id":1}`, CodeInvalid, ErrControl, `1`},
		{"MCP-15 last control character", `{"jsonrpc":"2.0","method":"m","params":{"taskId":"echo\u009f"},"id":1}`, CodeInvalid, ErrControl, `1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.body))
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.code, e.Code)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.id, string(e.ID))
			assert.Contains(t, err.Error(), "jsonrpc: ")
			assert.NotContains(t, err.Error(), "echo", "no input in errors")
		})
	}
}

func TestIsBatch(t *testing.T) {
	for body, want := range map[string]bool{
		`[]`: true, " \t\r\n[{}]": true, `[[`: true, `{}`: false, ``: false, ` `: false, "\ufeff[]": false, "\v[]": false, `{"a":[]}`: false,
	} {
		assert.Equal(t, want, IsBatch([]byte(body)), "MCP-59 %q", body)
	}
}

// TestFold is the definition of MCP-01: all that Unicode simple folding takes
// for the same, and more.
func TestFold(t *testing.T) {
	for _, v := range []vocabulary{envelopeNames, paramsNames, metaNames, refNames, listenNames} {
		for _, word := range v {
			name := word.Text
			require.False(t, v.resembles([]byte(name)), name)
			for i, c := range []byte(name) {
				for other := unicode.SimpleFold(rune(c)); other != rune(c); other = unicode.SimpleFold(other) {
					variant := name[:i] + string(other) + name[i+1:]
					require.True(t, v.resembles([]byte(variant)), "%q", variant)
				}
			}
		}
	}
	for r, letters := range map[rune]string{'ß': "ss", 'ẞ': "ss", 'ﬀ': "ff", 'ﬁ': "fi", 'ﬂ': "fl", 'ﬃ': "ffi", 'ﬄ': "ffl", 'ﬅ': "st", 'ﬆ': "st", 'é': "", '😀': ""} {
		assert.Equal(t, letters, foldRune(r), "MCP-01 %c", r)
	}
	assert.True(t, listenNames.resembles([]byte("tooLſLİSTCHANGED")))
	assert.False(t, envelopeNames.resembles([]byte("ſd")), "no i")
	assert.False(t, listenNames.resembles([]byte("taſ\u212a")), "as long as taskIds, and only the beginning of it")
	for c := range byte(utf8.RuneSelf) {
		assert.Equal(t, bytes.ToLower([]byte{c})[0], lower(c))
	}
	assert.False(t, envelopeNames.resembles([]byte(strings.Repeat("id", 40))))
	assert.False(t, envelopeNames.resembles([]byte(strings.Repeat("ﬃ", 40))))
	assert.False(t, envelopeNames.resembles(nil))
}

// TestAllocations: nothing but the strings
// that are no well-known words.
func TestAllocations(t *testing.T) {
	for body, want := range map[string]float64{
		`{"jsonrpc":"2.0","id":"abc","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`: 0,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2,{"b":null}]}}}`:                     1,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"` + strings.Repeat("資源", 1000) + `"}}}`: 1,
	} {
		bytes := []byte(body)
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			if _, err := Parse(bytes); err != nil {
				t.Fatal(err)
			}
		}), want, fmt.Sprintf("%.60s", body))
	}
}

// TestNames_CONC_08: a name that is known costs no memory, and is held to the same rules.
func TestNames_CONC_08(t *testing.T) {
	known := Names{}
	for _, name := range []string{"echo", "資源", "file:///a", "del\x7f", strings.Repeat("n", maxName+1)} {
		known[name] = name
	}
	for _, tt := range []struct {
		params string
		err    error
	}{
		{`"name":"echo"`, nil},
		{`"name":"資源","uri":"file:///a","taskId":"echo"`, nil},
		{`"name":"del` + "\x7f" + `"`, ErrControl},
		{`"name":"` + strings.Repeat("n", maxName+1) + `"`, ErrLength},
	} {
		body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + tt.params + `}}`)
		got, err := known.Parse(body)
		require.ErrorIs(t, err, tt.err)
		want, err := Parse(body)
		require.ErrorIs(t, err, tt.err)
		assert.Equal(t, want, got)
		if tt.err == nil {
			assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = known.Parse(body) }), tt.params)
		}
	}
}

// TestLongNames_LIMITS_07: what is refused for its length is not copied before.
func TestLongNames_LIMITS_07(t *testing.T) {
	const size = 1 << 20
	for _, member := range []string{"name", "uri", "taskId"} {
		body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"` + member + `":"` + strings.Repeat("n", size) + `"}}`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(body)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, ErrLength)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/2), member)
	}
}

// TestAllocationsBySize: what a body costs in
// memory does not grow with it. The one allocation is the tool's name.
func TestAllocationsBySize(t *testing.T) {
	for _, shape := range []string{"structure", "records", "ascii", "code", "cjk"} {
		for _, size := range []int{300, 4 << 10, 64 << 10} {
			body := benchBody(shape, size, false)
			assert.Zero(t, testing.AllocsPerRun(10, func() {
				if err := strictjson.Valid(body, bodyLimits); err != nil {
					t.Fatal(err)
				}
			}), "the scan of %s, %d", shape, size)
			assert.LessOrEqual(t, testing.AllocsPerRun(10, func() {
				if _, err := Parse(body); err != nil {
					t.Fatal(err)
				}
			}), 1.0, "%s, %d", shape, size)
		}
	}
}
