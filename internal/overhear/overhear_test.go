package overhear

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// heardIn is what a listener hears of a text in pieces of random sizes up to most.
func heardIn(text string, events bool, most int, random *rand.Rand) (heard []string) {
	var l Listener
	l.Start(events, func(a Answer) {
		heard = append(heard, fmt.Sprintf("%s %q %v", a.ID, a.Tasks, a.Flaw))
	})
	for rest := text; rest != ""; {
		n := min(1+random.IntN(most), len(rest))
		l.Pass([]byte(rest[:n]))
		rest = rest[n:]
	}
	return heard
}

// TestHeard_MCP_85: what is heard does not depend on where the pieces end.
func TestHeard_MCP_85(t *testing.T) {
	long := strings.Repeat("x", MaxID)
	notJSON := []string{" [] " + ErrNotJSON.Error()}
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"2025-11-25", `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t","ttl":null}}}`, []string{`1 ["t"] <nil>`}},
		{"extension", `{"result":{"resultType":"task","taskId":"t"},"id":"a","jsonrpc":"2.0"}`, []string{`"a" ["t"] <nil>`}},
		{"both", `{"id":-1.5e3,"result":{"task":{"taskId":"t"},"taskId":"u"}}`, []string{`-1.5e3 ["t" "u"] <nil>`}},
		{"no task", `{"id":1,"result":{}}`, []string{`1 [] <nil>`}},
		{"a result that is no object", `{"id":1,"result":[{"taskId":"t","task":{"taskId":"t"}}]}`, []string{`1 [] <nil>`}},
		{"a task that is no object", `{"id":1,"result":{"task":[{"taskId":"t"}]}}`, []string{`1 [] <nil>`}},
		{"an error", `{"id":1,"error":{"code":-32600,"data":{"taskId":"t","task":{"taskId":"t"}}}}`, []string{`1 [] <nil>`}},
		{"a request", `{"id":1,"method":"x","params":{"taskId":"t","task":{"taskId":"t"},"result":{"taskId":"t"}}}`, nil},
		{"beside the result", `{"id":1,"result":{"a":{"taskId":"t"},"b":[{"taskId":"t"}]},"task":{"taskId":"t"},"taskId":"t"}`, []string{`1 [] <nil>`}},
		{"deeper in the task", `{"id":1,"result":{"task":{"a":{"taskId":"t"},"b":[{"taskId":"t"}]}}}`, []string{`1 [] <nil>`}},
		{"behind the task", `{"id":1,"result":{"task":{"a":1},"b":{"taskId":"t"}}}`, []string{`1 [] <nil>`}},
		{"a batch", `[{"id":1,"result":{"taskId":"t"}},{"method":"x"}, {"id":2,"error":{}} ]`, []string{`1 ["t"] <nil>`, `2 [] <nil>`}},
		{"a batch in a batch", `[[{"id":1,"result":{"taskId":"t"}}]]`, nil},
		{"every kind of value", ` {"a":[true,false,null,-1.5E+9,"\u00e4\\\"",{},[],[[]],{"b":{}}],"id":null,"result":{}} `, []string{` [] <nil>`}},
		{"escapes", `{"\u0069d":"\u0031","re\u0073ult":{"tas\u006b":{"task\u0049d":"\"\u00e4\ud83d\ude00"}}}`, []string{`"\u0031" ["\"ä😀"] <nil>`}},
		{"an empty id", `{"id":1,"result":{"taskId":""}}`, []string{`1 [] <nil>`}},
		{"an id of another type", `{"id":{"x":1},"result":{"taskId":7,"task":{"taskId":["t"]}}}`, []string{` [] <nil>`}},
		{"the longest id", `{"id":1,"result":{"taskId":"` + long[2:] + `"}}`, []string{`1 ["` + long[2:] + `"] <nil>`}},
		{"a longer one", `{"id":1,"result":{"taskId":"` + long + `"}}`, []string{`1 [] ` + ErrLongID.Error()}},
		{"a byte longer", `{"id":1,"result":{"taskId":"` + long[1:] + `"}}`, []string{`1 [] ` + ErrLongID.Error()}},
		{"a long number", `{"id":` + strings.Repeat("1", MaxID+1) + `,"result":{}}`, []string{` [] <nil>`}},
		{"the least number", `{"id":0,"result":{}}`, []string{`0 [] <nil>`}},
		{"the greatest digit", `{"id":9,"result":{}}`, []string{`9 [] <nil>`}},
		{"no number", `[{"id":+1,"result":{}},{"id":.1,"result":{}},{"id":A,"result":{}}]`, []string{` [] <nil>`, ` [] <nil>`, ` [] <nil>`}},
		{"words of all kinds", `{"id":1,"result":{"a":[A,Z,a,z,0,9,-,+,.],"taskId":"t"}}`, []string{`1 ["t"] <nil>`}},
		{"blanks", "\t{ \"id\"\t: 1\t,\t\"result\":{\"a\":\"b c\",\t\"taskId\" :\t\"t\"\t}\t}\t", []string{`1 ["t"] <nil>`}},
		{"line ends", "{\r\n\r\n\"id\":\r1\r,\n\n\"result\"\r\n:{\"taskId\":\"t\"}}\r\n", []string{`1 ["t"] <nil>`}},
		{"names in other places", `{"id":1,"result":{"result":1,"error":1,"id":1,"task":{"task":{},"result":1,"error":1,"id":1,"taskId":"t"}},"error":{}}`, []string{`1 ["t"] <nil>`}},
		{"a name that nobody looks at", `{"id":1,"result":{"taskId":"t","a":{"\x":{"\x":{"\x":1}}}}}`, []string{`1 ["t"] <nil>`}},
		{"a long request id", `{"id":"` + long + `","result":{}}`, []string{` [] <nil>`}},
		{"a long name", `{"` + long + `":1,"id":1,"result":{"` + long + `":"taskId"}}`, []string{`1 [] <nil>`}},
		{"more than one text", `{"id":1,"result":{"taskId":"t"}} {"id":2,"result":{"taskId":"u"}}`, []string{`1 ["t"] <nil>`}},

		{"twice", `{"result":{"taskId":"t","taskId":"t"}}`, notJSON},
		{"the task twice", `{"result":{"task":{"taskId":"t"},"t\u0061sk":{}}}`, notJSON},
		{"two results", `{"result":{"taskId":"t"},"result":{}}`, notJSON},
		{"two ids", `{"id":1,"result":{"taskId":"t"},"id":2}`, notJSON},
		{"a long one, and no end", `{"id":1,"result":{"taskId":"` + long + `"]`, notJSON},
		{"twice, and no task", `{"id":1,"id":1,"result":{}}`, nil},
		{"not whole", `{"id":1,"result":{"taskId":"t"}`, nil},
		{"a lone surrogate", `{"id":1,"result":{"taskId":"\ud800"}}`, nil},
		{"no escape", `{"id":1,"result":{"taskId":"\x"}}`, nil},
		{"not UTF-8", "{\"id\":1,\"result\":{\"taskId\":\"\xff\"}}", nil},
		{"a control character", "{\"id\":1,\"result\":{\"taskId\":\"a\nb\"}}", nil},
		{"as deep as it goes", strings.Repeat(`{"a":`, 63) + `{}` + strings.Repeat("}", 63), nil},
		{"deeper than that", `{"id":1,"result":{"taskId":"t","a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}}`, notJSON},
		{"objects deeper than that", `{"id":1,"result":{"taskId":"t","a":` + strings.Repeat(`{"a":`, 63) + `1` + strings.Repeat("}", 63) + `}}`, notJSON},
		{"a bracket too many that deep", `{"id":1,"result":{"taskId":"t","a":` + strings.Repeat("[", 63) + `1` + strings.Repeat("]", 62) + `}}`, notJSON},
		{"a bracket behind the end", `{"id":1,"result":{"taskId":"t"}}]`, []string{`1 ["t"] <nil>`}},
		{"a comma behind the end", `{"id":1,"result":{"taskId":"t"}},"a":{"id":2,"result":{"taskId":"u"}}`, []string{`1 ["t"] <nil>`}},
		{"another bracket", `{"result":{"taskId":"t"]}`, notJSON},
		{"a comma too many", `{"result":{"taskId":"t",}}`, notJSON},
		{"a comma too many in an array", `{"result":{"taskId":"t","a":[1,]}}`, notJSON},
		{"a comma first", `{"id":1,"result":{"taskId":"t","a":{,"b":1}}}`, notJSON},
		{"a comma first in an array", `{"id":1,"result":{"taskId":"t","a":[,1]}}`, notJSON},
		{"two commas", `{"id":1,"result":{"taskId":"t"},,"a":1}`, notJSON},
		{"another sign for the colon", `{"id":1,"result":{"taskId":"t","a";"b"}}`, notJSON},
		{"a control character in any string", "{\"id\":1,\"result\":{\"taskId\":\"t\",\"a\":\"\x01\"}}", notJSON},
		{"no colon", `{"result":{"taskId":"t","a" 1}}`, notJSON},
		{"no name", `{"result":{"taskId":"t",1:1}}`, notJSON},
		{"no comma", `{"result":{"taskId":"t" "a":1}}`, notJSON},
		{"no value", `{"result":{"taskId":"t","a":}}`, notJSON},
		{"an array like an object", `{"result":{"taskId":"t","a":["b":1]}}`, notJSON},
		{"a text", `"{}"`, nil},
		{"a number", `17`, nil},
		{"brackets of nothing", `]}`, nil},
		{"no JSON", `<html>`, nil},
		{"nothing", ``, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			for _, most := range []int{1, 2, 7, 1 << 20} {
				assert.Equal(t, row.want, heardIn(row.text, false, most, random), "JSON, %d", most)
				if strings.ContainsAny(row.text, "\r\n") {
					continue
				}
				for _, end := range []string{"\n", "\r\n", "\r"} {
					lines := []string{"\ufeffid: 7", ":x", "data: " + row.text, "retry: 1", "data:", "", "event: a", "data: {}", ""}
					text := strings.Join(lines, end)
					assert.Equal(t, row.want, heardIn(text, true, most, random), "event, %q, %d", end, most)
				}
			}
		})
	}
}

// TestEvents_MCP_85: an event stream is read as clients read it.
func TestEvents_MCP_85(t *testing.T) {
	one, two := `{"id":1,"result":{"taskId":"t"}}`, `{"id":2,"result":{"taskId":"u"}}`
	both := []string{`1 ["t"] <nil>`, `2 ["u"] <nil>`}
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"two events", "data: " + one + "\n\ndata: " + two + "\n\n", both},
		{"no space", "data:" + one + "\n\ndata:" + two + "\n", both},
		{"two lines", "data: {\"id\":1,\ndata:\"result\":{\"taskId\":\"t\"}\nid: x\ndata: }\n\ndata: " + two, both},
		{"a byte order mark", "\ufeffdata: " + one + "\n\ndata: " + two + "\n\n", both},
		{"a later one", "\ufeffdata: " + one + "\n\n\ufeffdata: " + two + "\n\n", both[:1]},
		{"a broken event", "data: {\"id\"\n\ndata: " + one + "\n\n\n\n: c\n\ndata: " + two + "\n\n", both},
		{"an event that does not end", "data: {\"id\":1,\"result\":{\"taskId\":\"t\"\n\ndata: " + two + "\n\n", both[1:]},
		{"other fields", "dat: " + one + "\ndatax: " + one + "\nid: " + one + "\n: " + one + "\n data: " + one + "\nlonger name: " + one + "\ndata\n\ndata: " + two + "\n\n", both[1:]},
		{"a line end in a string", "data: {\"id\":1,\"result\":{\"taskId\":\"t\ndata: u\"}}\n\n", nil},
		{"two lines with both", "data: {\"id\":1,\r\ndata:\"result\":{\"taskId\":\"t\"}}\r\n\r\ndata: " + two + "\r\n\r\n", both},
		{"one end, then another", "id: 7\rdata: " + one + "\n\ndata: " + two + "\r\n\n", both},
		{"both, then a line feed", "data: {\"id\"\r\n\ndata: " + one + "\r\n\ndata: " + two + "\n\n", both},
		{"other lines between", "data: {\"id\":1,\n:\n: x\nfoo\nfoo:\ndata\ndata: \"result\":{\"taskId\":\"t\"}}\n\ndata: " + two + "\n\n", both},
		{"carriage returns", "data: " + one + "\r\rdata: " + two + "\r\n\r\n", both},
	} {
		t.Run(row.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			for _, most := range []int{1, 2, 7, 1 << 20} {
				assert.Equal(t, row.want, heardIn(row.text, true, most, random), most)
			}
		})
	}
}

// TestKept_MCP_85: of a message of any size hardly anything is kept.
func TestKept_MCP_85(t *testing.T) {
	var l Listener
	heard := 0
	l.Start(false, func(Answer) { heard++ })
	piece := []byte(`,{"taskId":"` + strings.Repeat(`\u0061`, 1<<12) + `","task":{"taskId":["` + strings.Repeat("a", 1<<12) + `",1e9]}}`)
	l.Pass([]byte(`{"id":1,"result":{"content":[0`))
	allocs := testing.AllocsPerRun(1000, func() { l.Pass(piece) })
	l.Pass([]byte(`]}}`))
	assert.Zero(t, allocs)
	assert.Equal(t, 1, heard)
	assert.LessOrEqual(t, cap(l.text.kept), 2*MaxID)
}

func BenchmarkPass(b *testing.B) {
	text := []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[` + strings.Repeat(`{"type":"text","text":"`+strings.Repeat("lorem ipsum ", 20)+`"},`, 1000) + `{}]}}`)
	var l Listener
	heard := 0
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		l.Start(false, func(Answer) { heard++ })
		l.Pass(text)
	}
	if heard == 0 {
		b.Fatal("nothing heard")
	}
}
