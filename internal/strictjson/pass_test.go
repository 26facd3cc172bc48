package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPass holds Pass against encoding/json, and PassNaming against MemberText.
func FuzzPass(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"name":"a"}`, `{"name":"a","name":"b"}`, `{"name":"a","Name":"b"}`, `{"NAME":1}`, `{"name":7}`, `{"name":"\ud800"}`, `{"name":"\u0041"}`,
		`{"n\u0061me":"x"}`, `{"\ud800":1,"name":"a"}`, `{"x":{"name":"a"},"name":[1,{"name":"b"}]}`, `{"name":"a",}`, `{"name" "a"}`, `{"name":"a"`, `{"name":"a"]`,
		` { "name" : "a" , "x" : [ 1 , 2.5e1 , -0 , true , false , null , "\"" ] } `, `[1,]`, `[01]`, `{"a":1}}`, "{\"name\":\"a\xff\"}", "{\"name\":\"a\n\"}", `"x"`, `7`, `{,}`, `[,]`, `{"a"}`,
		`{"name":"a","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":1,"s":1,"a":1}`,
		`{"ſ":1,"ſname":2,"name":"x"}`, `{"name":"x","a":{"b":1,"b":2}}`, `{"":"","":1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(samePass)
}

func samePass(t *testing.T, text string) {
	lim := Limits{Members: 1 << 20}
	r := NewReader([]byte(text), lim)
	raw, err := r.Pass()
	require.Equal(t, err == nil, r.err == nil, "%q: an error is told at once", text)
	require.Equal(t, err == nil, json.Valid(raw), "%q: %q", text, raw)
	if err == nil {
		err = r.End()
	}
	trimmed := strings.Trim(text, " \t\r\n")
	require.Equal(t, utf8.ValidString(text) && json.Valid([]byte(text)), err == nil, "%q: %v", text, err)
	if r.err != nil {
		_, again := r.Pass()
		require.Error(t, again, "%q: it stays", text)
	}
	named := NewReader([]byte(text), lim)
	again, name, errNamed := named.PassNaming("name")
	require.Equal(t, errNamed == nil, named.err == nil, "%q: an error is told at once", text)
	require.Equal(t, errNamed == nil, json.Valid(again), "%q: %q", text, again)
	if errNamed == nil {
		errNamed = named.End()
	}
	require.Equal(t, err == nil, errNamed == nil, "%q: %v", text, errNamed)
	if err != nil {
		return
	}
	require.Equal(t, trimmed, string(raw))
	require.Equal(t, trimmed, string(again))
	require.Equal(t, MemberText([]byte(trimmed), "name", lim), string(name), "%q", text)
}

// TestEveryEdit holds all readers against the oracle, and Pass against encoding/json, with each byte of some texts
// left out, put twice, or replaced by each that means something.
func TestEveryEdit_TOK_23_MCP_63(t *testing.T) {
	for _, base := range []string{
		`{"name":"a","b" : [1,{"c":-2.5e+10,"d":[]}] , "ef":{"g\u0041":null,"\ud83d\ude00":[true,false]},"hijklmnopq":10,"x":0}`,
		`{ "name" : 1 , "abcdefghijklmno":{"a":1,"ab":2},"abcdefghi":"\n\"é€" , "z":[[ ],{ } ,"",12345678,"12345678"] } `,
		`{"aaaaaaaaXbbbbbbbb":1,"aaaaaaaaYbbbbbbbb":{"\u0061aaaaaaaYbbbbbbbb":[]},"aaaaaaaaZbbbbbbbb":2}`,
		`[{"io.modelcontextprotocol/protocolVersion":{},"b":1.5E-3},"\\",{"a":{"a":{"a":0}}},-0]`,
	} {
		for at := range base {
			edits := []string{base[:at], base[:at] + base[at+1:], base[:at+1] + base[at:]}
			for _, c := range "{}[],:\"\\ 09-+.eEtuZ@\t\n\x01\x1f\x7f\x80é" {
				edits = append(edits, base[:at]+string(c)+base[at+1:], base[:at]+string(c)+base[at:])
			}
			for _, text := range append(edits, base[:at]+"\xff"+base[at+1:]) {
				sameAsOracle(t, []byte(text), 0, 0)
				samePass(t, text)
				_, err := NewReader([]byte(text), Limits{}).Pass()
				require.NotErrorIs(t, err, ErrDepth, "%q is not deep", text)
			}
		}
	}
}

// What counts levels elsewhere counts those of what is passed, and is strict about strings alone.
func TestPassLimits_MCP_63(t *testing.T) {
	r := NewReader([]byte(`[{"name":"a"}]`), Limits{Depth: 1})
	require.NoError(t, r.Array())
	_, err := r.Element()
	require.NoError(t, err)
	_, _, err = r.PassNaming("name")
	require.ErrorIs(t, err, ErrDepth)
	_, err = NewReader([]byte(`"\ud800"`), Limits{StrictStrings: true}).Pass()
	require.ErrorIs(t, err, ErrSurrogate)
	_, err = NewReader([]byte(`["\ud800"]`), Limits{StrictStrings: true}).Pass()
	require.NoError(t, err)
}

// An error says where the text is wrong, whatever white space it begins with.
func TestPassOffset_MCP_63(t *testing.T) {
	r := NewReader([]byte(` [{"a`), Limits{})
	require.NoError(t, r.Array())
	_, err := r.Element()
	require.NoError(t, err)
	_, _, err = r.PassNaming("name")
	require.Equal(t, &Error{Offset: 5, Err: ErrSyntax}, err)
}

// Containers are told apart at every depth, also where the bits of a word end.
func TestPassDeep_MCP_63(t *testing.T) {
	for _, depth := range []int{1, 63, 64, 65, 127, 128, 129, 5000, 9_999} {
		for _, row := range []struct{ open, end, wrong string }{{"[", "]", "}"}, {`{"a":`, "}", "]"}, {`[{"a":`, "}]", "]}"}} {
			n := max(1, depth/len(row.end))
			text := strings.Repeat(row.open, n) + "1" + strings.Repeat(row.end, n)
			r := NewReader([]byte("["+text+",2]"), Limits{})
			require.NoError(t, r.Array())
			_, err := r.Element()
			require.NoError(t, err)
			raw, err := r.Pass()
			require.NoError(t, err)
			require.Equal(t, text, string(raw))
			for _, at := range []int{0, n / 2, n - 1} {
				text := strings.Repeat(row.open, n) + "1" + strings.Repeat(row.end, at) + row.wrong + strings.Repeat(row.end, n-at-1)
				_, err := NewReader([]byte(text), Limits{}).Pass()
				assert.Error(t, err, "%s %d %d", row.open, n, at)
			}
		}
	}
}

func BenchmarkPass(b *testing.B) {
	text := []byte(`{"name":"tool_7","description":"Returns the usage of one product between two days, by region, as a table with one row a day.","inputSchema":{"type":"object","properties":{"from":{"type":"string","format":"date","description":"first day"},"to":{"type":"string","format":"date","description":"last day"},"region":{"type":"string","enum":["eu","us","ap"]}},"required":["from","to"]},"annotations":{"readOnlyHint":true}}`)
	b.Run("pass", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		var r Reader
		for b.Loop() {
			r.Reset(text, Limits{})
			_, _ = r.Pass()
		}
	})
	b.Run("naming", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		var r Reader
		for b.Loop() {
			r.Reset(text, Limits{})
			_, _, _ = r.PassNaming("name")
		}
	})
	b.Run("skip", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		var r Reader
		for b.Loop() {
			r.Reset(text, Limits{})
			_, _ = r.Skip()
		}
	})
	b.Run("before", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			json.Valid(text)
			MemberText(text, "name", Limits{})
		}
	})
}
