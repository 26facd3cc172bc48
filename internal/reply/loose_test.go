package reply

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is only looked at is read as far as it goes, and nothing of it is made up.
func TestLoose_MCP_62(t *testing.T) {
	for text, want := range map[string]string{
		``: ``, ` `: ``, `{`: ``, `{}`: ``, `{,}`: ``, `["a":1}`: ``, `"a":1}`: ``, `{a:1,"b":2}`: ``, `{1:2}`: ``, `{"a`: ``, `{"a"`: ``, `{"a" `: ``, `{"a" 1}`: ``, `{"a","b":1}`: ``,
		`{"a":1}`: `a=1;`, `{"a":1`: `a=;`, `{"a":"x`: `a=;`, `{"a":[1`: `a=;`, `{"a":"x"`: `a="x";`, `{"a":"x" "b":2}`: `a="x";`, `{"a":"x":"b":2}`: `a="x";`,
		"\t{\r\n\"a\"\r:\n1\t,\r\"b\" : {\"c\":[\"}\",{}]}\n,\t\"b\":null\r}": `a=1;b={"c":["}",{}]};b=null;`,
		`{"a\"\\":"\\\"}","\u0062":-1.5e3} x`:                                 `a"\="\\\"}";b=-1.5e3;`,
		`{"a":,"b":1}`:                                                        `a=;b=1;`, `{"a":1}{"b":2}`: `a=1;`,
	} {
		got := ""
		for name, value := range jsonMembers([]byte(text)) {
			got += name + "=" + string(value) + ";"
		}
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		`[`: ``, `[]`: ``, ` [ ] `: ``, `[1`: ``, `["a"`: `"a";`, `["a":"b"]`: `"a";`, `["a" "b"]`: `"a";`, `[1,]`: `1;`, `[x"y"z]`: `x"y"z;`,
		" [\t1 ,\r\n{\"a\":[1,2]}\n, [\"]\"] , \"\\\"\" ] ": `1;{"a":[1,2]};["]"];"\"";`,
	} {
		got := ""
		for element := range jsonElements([]byte(text)) {
			got += string(element) + ";"
		}
		assert.Equal(t, want, got, text)
	}
	first := ""
	for name := range jsonMembers([]byte(`{"a":1,"b":2}`)) {
		first = name
		break
	}
	for element := range jsonElements([]byte(`[1,2]`)) {
		first += string(element)
		break
	}
	assert.Equal(t, "a1", first)
	for text, want := range map[string]string{``: "", `"`: "", `"a\u0062"`: "ab", ` "a"`: "", `null`: "", `7`: "", `{}`: "", `"\x"`: ""} {
		assert.Equal(t, want, jsonText([]byte(text)), text)
	}
}

// A message that has begun may pass if no reader takes it for one that is judged, however it goes on.
func TestIsFree_MCP_64(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, ` `: false, "\ufeff": false, `[`: false, `text`: true, `text {`: false, ` {`: false, `{"id":1`: false,
		`{"id":1,"result":{"a":`: true, ` {"error":`: true, "\ufeff" + `{"id":1,"result":"`: true, `{"result":1}`: false, `{"id":1,"result":1} x`: false,
		`{"method":"x","params":`: true, `{"method":7,"params":`: false, `{"method":"`: false, `{"method":"notifications/tasks","result":"`: false,
		`{"method":"x","Method":"notifications/tasks/status","a":`: false, `{"result":1,"method":"`: false,
	} {
		assert.Equal(t, want, isFree([]byte(text)), text)
	}
}

func TestIsShortInteger_MCP_67(t *testing.T) {
	for _, text := range []string{"0", "7", "-7", "12", "123456789", "-123456789"} {
		assert.True(t, isShortInteger([]byte(text)), text)
	}
	for _, text := range []string{"", "-", "1234567890", "-1234567890", "01", "00", "1.5", "1e3", "x", "--1", "+1", `"1"`, "null"} {
		assert.False(t, isShortInteger([]byte(text)), text)
	}
	got := string(wordless([]byte(`{"code":-32000,"message":"` + strings.Repeat("x", 10) + `"}`)))
	assert.Equal(t, `{"code":-32000,"message":"no page for this cursor"}`, got)
}
