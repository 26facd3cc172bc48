package cachescope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inPieces edits a text in pieces of a size.
func inPieces(e Editor, in string, size int) string {
	var out strings.Builder
	for len(in) > 0 {
		n := min(size, len(in))
		out.Write(e.Whole([]byte(in[:n])))
		in = in[n:]
	}
	return out.String()
}

var rows = []struct{ name, in, kept, added string }{ // kept: what Adds adds nothing to; "" for as it was
	{"public", `{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"public","contents":[]}}`, `{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"private","contents":[]}}`, ""},
	{"private", `{"result":{"cacheScope":"private"}}`, "", ""},
	{"last", `{"result":{"a":{"b":[1,"]"]},"cacheScope" : "public" } ,"id":1}`, `{"result":{"a":{"b":[1,"]"]},"cacheScope" : "private" } ,"id":1}`, ""},
	{"escaped", `{"r\u0065sult":{"cache\u0053cope":"\u0070ublic"}}`, `{"r\u0065sult":{"cache\u0053cope":"private"}}`, ""},
	{"every letter escaped", `{"result":{"\u0063\u0061\u0063\u0068\u0065\u0053\u0063\u006f\u0070\u0065":"public"}}`, `{"result":{"\u0063\u0061\u0063\u0068\u0065\u0053\u0063\u006f\u0070\u0065":"private"}}`, ""},
	{"another case", `{"RESULT":{"CacheſCOPE":"public"}}`, `{"RESULT":{"CacheſCOPE":"private"}}`, `{"RESULT":{"CacheſCOPE":"private","cacheScope":"private"}}`},
	{"twice", `{"result":{"cacheScope":"private","cacheScope":"public"},"result":{"cacheScope":1}}`, `{"result":{"cacheScope":"private","cacheScope":"private"},"result":{"cacheScope":"private"}}`, ""},
	{"a number", `{"result":{"cacheScope":-1.5e9,"a":1}}`, `{"result":{"cacheScope":"private","a":1}}`, ""},
	{"null", "{\"result\":{\"cacheScope\":null\n}}", "{\"result\":{\"cacheScope\":\"private\"\n}}", ""},
	{"an object", `{"result":{"cacheScope":{"a":"}\"","b":[{}]},"x":1}}`, `{"result":{"cacheScope":"private","x":1}}`, ""},
	{"a list", `{"result":{"cacheScope":["public",[]]}}`, `{"result":{"cacheScope":"private"}}`, ""},
	{"a string with everything", `{"result":{"cacheScope":"pu\\\"b,}]lic"}}`, `{"result":{"cacheScope":"private"}}`, ""},
	{"absent", `{"result":{"contents":[]},"id":1}`, "", `{"result":{"contents":[],"cacheScope":"private"},"id":1}`},
	{"empty", `{"result":{ },"id":1}`, "", `{"result":{ "cacheScope":"private"},"id":1}`},
	{"interim", `{"result":{"resultType":"input_required","a":1}}`, "", ""},
	{"complete", `{"result":{"resultType":"complete","a":"input_required"}}`, "", `{"result":{"resultType":"complete","a":"input_required","cacheScope":"private"}}`},
	{"in a tool's own members", `{"result":{"structuredContent":{"cacheScope":"public","result":{"cacheScope":"public"}},"_meta":{"cacheScope":"public"},"content":[{"cacheScope":"public"}],"cacheScope":"private"}}`, "", ""},
	{"outside of the result", `{"cacheScope":"public","error":{"cacheScope":"public"},"params":{"result":{"cacheScope":"public"}}}`, "", ""},
	{"text that looks so", `{"result":{"text":"\"cacheScope\":\"public\"","cacheScopes":"public","cacheScope ":"public","cacheScope":"private"}}`, "", ""},
	{"a result that is none", `{"result":["cacheScope","public"],"id":{"cacheScope":"public"}}`, "", ""},
	{"a value named result", `{"id":"result","x":{"cacheScope":"public"}}`, "", ""},
	{"a batch", ` [ {"result":{"cacheScope":"public"}} , {"id":2,"result":{"a":1}}]`, ` [ {"result":{"cacheScope":"private"}} , {"id":2,"result":{"a":1}}]`, ` [ {"result":{"cacheScope":"private"}} , {"id":2,"result":{"a":1,"cacheScope":"private"}}]`},
	{"one after the other", `{"result":{"cacheScope":"public"}}{"result":{"cacheScope":"public"}}`, `{"result":{"cacheScope":"private"}}{"result":{"cacheScope":"private"}}`, ""},
	{"a byte order mark", "\ufeff{\"result\":{\"cacheScope\":\"public\"}}", "\ufeff{\"result\":{\"cacheScope\":\"private\"}}", ""},
	{"no JSON", `<p>{"result":{"cacheScope":"public"}}</p>`, "", ""},
	{"a long name", `{"result":{"` + strings.Repeat("cacheScope", 30) + `":"public","cacheScope":"private"}}`, "", ""},
	{"a name with 256 bytes in front", `{"result":{"` + strings.Repeat("x", 256) + `cacheScope":"public","cacheScope":"private"}}`, "", ""},
	{"every letter escaped, and one more", `{"result":{"\u0063\u0061\u0063\u0068\u0065\u0053\u0063\u006f\u0070\u0065s":"public","cacheScope":"private"}}`, "", ""},
	{"another name with an escape", `{"result":{"cache\u0053copes":"public","\u0061":"public","cacheScope":"private"},"re\u0073ults":{"cacheScope":"public"}}`, "", ""},
	{"escapes in front", `{"a":"b\\","c":"\u0064\"","result":{"e":"\\","cacheScope":"public"}}`, `{"a":"b\\","c":"\u0064\"","result":{"e":"\\","cacheScope":"private"}}`, ""},
	{"blanks", "\t{\t\"result\"\t:\t{\t\"cacheScope\"\t:\t\"public\"\t}\t}\t", "\t{\t\"result\"\t:\t{\t\"cacheScope\"\t:\t\"private\"\t}\t}\t", ""},
	{"the second member outside of the result", `{"params":{"a":1,"cacheScope":"public"},"result":{"cacheScope":"private"},"error":{"a":1,"cacheScope":"public"}}`, "", ""},
	{"a list with objects as a result", `{"result":[{"a":1},{"a":1,"cacheScope":"public"}]}`, "", ""},
	{"a result in the result", `{"result":{"cacheScope":"private","result":{"a":1,"cacheScope":"public"}}}`, "", ""},
	{"another case behind it", `{"result":{"cacheScope":"public","CacheScope":"public"}}`, `{"result":{"cacheScope":"private","CacheScope":"private"}}`, ""},
	{"a type that is a list", `{"result":{"resultType":["input_required"]}}`, "", `{"result":{"resultType":["input_required"],"cacheScope":"private"}}`},
	{"another bracket", `{"result":{"cacheScope":1],"a":1}}`, `{"result":{"cacheScope":"private"],"a":1}}`, `{"result":{"cacheScope":"private"],"a":1}}`},
	{"something behind the string", `{"result":{"cacheScope":"public"x}}`, `{"result":{"cacheScope":"private"x}}`, ""},
	{"deep", `{"result":{"a":` + strings.Repeat(`[{"cacheScope":`, 500) + `1` + strings.Repeat(`}]`, 500) + `,"cacheScope":"public"}}`, `{"result":{"a":` + strings.Repeat(`[{"cacheScope":`, 500) + `1` + strings.Repeat(`}]`, 500) + `,"cacheScope":"private"}}`, ""},
}

func TestScopes_MCP_61(t *testing.T) {
	for _, row := range rows {
		kept := row.kept
		if kept == "" {
			kept = row.in
		}
		withAdded := row.added
		if withAdded == "" {
			withAdded = kept
		}
		for size := 1; size <= min(len(row.in), 300); size++ {
			require.Equal(t, kept, inPieces(Editor{}, row.in, size), "%s in pieces of %d", row.name, size)
			require.Equal(t, withAdded, inPieces(Editor{Adds: true}, row.in, size), "%s in pieces of %d", row.name, size)
		}
		if kept == row.in && row.name != "private" && !strings.Contains(row.in, `"cacheScope":"private"`) {
			assert.Nil(t, (&Editor{}).Edit([]byte(row.in)), "%s: nothing is made of what stays as it is", row.name)
		}
		if row.name == "no JSON" {
			continue
		}
		for _, form := range []string{"data: %s\n\n", ": data: x\r\nid: 1\r\nevent: message\r\ndata:%s\r\n\r\n", "data: %s\r\r", "\ufeffdata: %s\n\ndata: {\"result\":[]}\n\n"} {
			in := strings.ReplaceAll(row.in, "\n", "\ndata: ")
			want := strings.ReplaceAll(withAdded, "\n", "\ndata: ")
			for size := 1; size <= min(len(in), 100); size++ {
				require.Equal(t, fmt.Sprintf(form, want), inPieces(Editor{Events: true, Adds: true}, fmt.Sprintf(form, in), size), "%s as an event in pieces of %d", row.name, size)
			}
		}
	}
}

// Every blank of JSON may stand between what it has, in front of it, too.
func TestBlanks_MCP_61(t *testing.T) {
	for _, blank := range []string{"\r", "\n", "\t", " ", "\r\n\t "} {
		form := strings.ReplaceAll("_{_\"result\"_:_{_\"cacheScope\"_:_%s_}_}_", "_", blank)
		for size := 1; size <= len(form); size++ {
			for _, value := range []string{`"public"`, `1`, `{"a":[1]}`} {
				require.Equal(t, fmt.Sprintf(form, `"private"`), inPieces(Editor{}, fmt.Sprintf(form, value), size), "%q", blank)
			}
		}
	}
}

// An event is one text, however many lines it has, and what is no data is none.
func TestScopesInEvents_MCP_61(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"data: {\"result\":\ndata: {\"cacheScope\":{\nid: 7\ndata: \"a\":1},\ndata: \"b\":2}}\n\n", "data: {\"result\":\ndata: {\"cacheScope\":\"private\"\nid: 7\ndata: ,\ndata: \"b\":2}}\n\n"},
		{"data\ndata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", "data\ndata: {\"result\":{\"cacheScope\":\"private\"}}\n\n"},
		{"datas: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{"dat: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{": data: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{"data: {\"result\":{\"x\":\"\n\ndata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", "data: {\"result\":{\"x\":\"\n\ndata: {\"result\":{\"cacheScope\":\"private\"}}\n\n"},
		{"data: not {\"json\n\ndata:  {\"result\":{\"cacheScope\":\"public\"}}", "data: not {\"json\n\ndata:  {\"result\":{\"cacheScope\":\"private\"}}"},
		{"data: {\"result\":\r\ndata: {\"cacheScope\":\"public\"}}\r\n\r\n", "data: {\"result\":\r\ndata: {\"cacheScope\":\"private\"}}\r\n\r\n"},
		{"data: {\"x\":\"\r\rdata: {\"result\":{\"cacheScope\":\"public\"}}\r\r", "data: {\"x\":\"\r\rdata: {\"result\":{\"cacheScope\":\"private\"}}\r\r"},
		{"data: {\"x\":\"\r\n\ndata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", "data: {\"x\":\"\r\n\ndata: {\"result\":{\"cacheScope\":\"private\"}}\n\n"},
		{"id: 7\rdata: {\"x\":\"\n\ndata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", "id: 7\rdata: {\"x\":\"\n\ndata: {\"result\":{\"cacheScope\":\"private\"}}\n\n"},
		{"data: {\"result\":{\"a\":{\nid: }}}\"\nid: \"{{{\ndata: },\"cacheScope\":\"public\"}}\n\n", "data: {\"result\":{\"a\":{\nid: }}}\"\nid: \"{{{\ndata: },\"cacheScope\":\"private\"}}\n\n"},
		{"size: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{"\ufeff~data: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{"id: 7\n\ufeffdata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		{"data: {}\n\n\ufeffdata: {\"result\":{\"cacheScope\":\"public\"}}\n\n", ""},
		// What stands first in a line, with no space in front, and deeper than the members of a result.
		{"data:{\"result\":{\"a\":{\"b\":1\ndata:,\ndata:\"cacheScope\"\ndata::\ndata:\"public\"}}}\n\n", ""},
		{"data:{\"result\":{\"a\":[1\ndata:],\"cacheScope\":\"public\"}}\n\n", "data:{\"result\":{\"a\":[1\ndata:],\"cacheScope\":\"private\"}}\n\n"},
	} {
		want := row.want
		if want == "" {
			want = row.in
		}
		for size := 1; size <= len(row.in); size++ {
			require.Equal(t, want, inPieces(Editor{Events: true}, row.in, size), "pieces of %d", size)
		}
	}
}

// TestParts_MCP_61: of what an edit is made no part is empty.
func TestParts_MCP_61(t *testing.T) {
	for _, row := range rows {
		for cut := range len(row.in) {
			e := Editor{Adds: true}
			for _, piece := range []string{row.in[:cut], row.in[cut:]} {
				for _, part := range e.Edit([]byte(piece)) {
					require.NotEmpty(t, part, "%s, cut at %d", row.name, cut)
				}
			}
		}
	}
}

// TestCost_MCP_61: what is not changed is not copied, and a name without escapes is not decoded.
func TestCost_MCP_61(t *testing.T) {
	text := []byte(`{"id":1,"result":{"resultType":"complete","contents":[{"uri":"x"}],"cacheScopes":1}}`)
	var e Editor
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if e = (Editor{}); e.Edit(text) != nil {
			t.Error("changed")
		}
	}))
}

// TestStop_MCP_61: of eight bytes at once each is looked at as it would be alone.
func TestStop_MCP_61(t *testing.T) {
	for _, filler := range []string{"a", " ", "!", "#", "[", "]", "\x7f", "\x80", "\xff"} {
		for at := range 18 {
			for c := range 256 {
				p := []byte(strings.Repeat(filler, 19))
				p[at] = byte(c)
				want := len(p)
				if c == '"' || c == '\\' || c < ' ' {
					want = at
				}
				require.Equal(t, want, stop(p, 0), "%q at %d among %q", c, at, filler)
			}
		}
	}
}

// FuzzScopes holds the editor against encoding/json: after it every result is private to each
// reader, and nothing else has changed.
func FuzzScopes(f *testing.F) {
	for _, row := range rows {
		f.Add([]byte(row.in), 7)
	}
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		size = 1 + max(size, -size-1)%100
		got := inPieces(Editor{Adds: true}, string(in), size)
		require.Equal(t, string((&Editor{Adds: true}).Whole(in)), got, "in pieces of %d", size)
		if !json.Valid(in) {
			return
		}
		require.True(t, json.Valid([]byte(got)), "%s", got)
		var before, after map[string]json.RawMessage
		if json.Unmarshal(in, &before) != nil {
			return
		}
		require.NoError(t, json.Unmarshal([]byte(got), &after))
		for name, value := range before {
			var old, now map[string]json.RawMessage
			if !bytes.EqualFold([]byte(name), []byte("result")) || json.Unmarshal(value, &old) != nil || old == nil {
				require.Equal(t, string(value), string(after[name]))
				continue
			}
			require.NoError(t, json.Unmarshal(after[name], &now))
			for member, scope := range now {
				if bytes.EqualFold([]byte(member), []byte("cacheScope")) {
					require.Equal(t, `"private"`, string(scope))
					continue
				}
				require.Equal(t, string(old[member]), string(scope))
			}
		}
	})
}

func BenchmarkEdit(b *testing.B) {
	for name, in := range map[string]string{
		"text":   `{"result":{"content":[{"type":"text","text":"` + strings.Repeat("some words of text, and more. ", 2000) + `"}]}}`,
		"values": `{"result":{"structuredContent":[` + strings.Repeat(`{"a":1.5,"b":[true,null]},`, 2000) + `1]}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			text := []byte(in)
			for b.Loop() {
				e := Editor{}
				if e.Edit(text) != nil {
					b.Fatal("changed")
				}
			}
		})
	}
}
