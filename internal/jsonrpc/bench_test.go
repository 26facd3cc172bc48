package jsonrpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// benchBody returns a tools/call of about size bytes: "structure" is all tiny
// tokens, "records" is what query results look like. The members that decide
// come first, or last.
func benchBody(shape string, size int, last bool) []byte {
	const call, target = `"jsonrpc":"2.0","id":7,"method":"tools/call"`,
		`"name":"query_usage","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	before, after := `{`+call+`,"params":{`+target+`,"arguments":{`, `}}}`
	if last {
		before, after = `{"params":{"arguments":{`, `},`+target+`},`+call+`}`
	}
	size -= len(after)
	var b strings.Builder
	b.WriteString(before)
	switch shape {
	case "structure":
		b.WriteString(`"rows":[`)
		for i := 0; b.Len() < size-100; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"2026-01-%02d":[%d.5,true,null,[%d,-2]]},["eu-west","b","c",0,12,false],[[1,2,3],["ffd8","x7"]],[["k",[%d]],[0.25,["",[]]],"abc","defgh",7],[[3.25,4],[null,[]],[8,["x","y"]],["user","admin"]]`, i%28+1, i, i*31, i%100)
		}
		b.WriteString(`]`)
	case "records":
		b.WriteString(`"rows":[`)
		for i := 0; b.Len() < size-100; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"day":"2026-01-%02d","region":"eu-west-%d","tags":["production","customer facing","%x"],"views":[%d,%d.25,null]},["2026-01-%02d","signed in","/dashboards/%d/edit",%d,true]`, i%28+1, i%3, i*i, i*31, i%100, i%28+1, i, i*7)
		}
		b.WriteString(`]`)
	case "ascii":
		const line = "The quick brown fox jumps over the lazy dog; then it reads RFC 8259 again. "
		fmt.Fprintf(&b, `"text":"%s"`, strings.Repeat(line, max(1, (size-b.Len())/len(line))))
	case "code":
		const line = `\tif err := run(ctx, \"name\"); err != nil {\n\t\treturn err\n\t}\n`
		fmt.Fprintf(&b, `"text":"%s"`, strings.Repeat(line, max(1, (size-b.Len())/len(line))))
	case "cjk":
		const line = "資源伺服器驗證令牌並檢查範圍，然後才執行工具。"
		fmt.Fprintf(&b, `"text":"%s"`, strings.Repeat(line, max(1, (size-b.Len())/len(line))))
	}
	b.WriteString(after)
	return []byte(b.String())
}

// contender is one way to read a body.
type contender struct {
	name string
	read func(body []byte) bool
}

var contenders = []contender{
	{"ours", func(body []byte) bool { _, err := Parse(body); return err == nil }},
	{"valid", json.Valid},
	{"unmarshal", func(body []byte) bool { return json.Unmarshal(body, &looseMessage{}) == nil }},
}

// benchBodies calls run for each size, shape and place of the members that
// decide.
func benchBodies(b *testing.B, run func(b *testing.B, body []byte)) {
	for _, size := range []int{300, 4 << 10, 64 << 10, 1 << 20, 4 << 20} {
		for _, shape := range []string{"structure", "records", "ascii", "code", "cjk"} {
			if shape == "records" && size >= 1<<20 {
				continue // more members than a message may have
			}
			for _, last := range []bool{false, true} {
				body := benchBody(shape, size, last)
				b.Run(fmt.Sprintf("%s/%d/last=%t", shape, size, last), func(b *testing.B) {
					b.ReportAllocs()
					run(b, body)
				})
			}
		}
	}
}

// BenchmarkParse is [Parse] alone, for profiles and for benchstat.
func BenchmarkParse(b *testing.B) {
	benchBodies(b, func(b *testing.B, body []byte) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := Parse(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRatios is the measure of [Parse]: how many times as fast it is as
// json.Valid and as json.Unmarshal into a struct that leaves the arguments
// alone. The three take turns, and the fastest turn of each counts, so that
// another process on the machine, or a clock that changes, slows all or none.
// Its ns/op is that of a round of all three.
func BenchmarkRatios(b *testing.B) {
	benchBodies(b, func(b *testing.B, body []byte) {
		turns := max(1, 32<<10/len(body)) // long enough for the clock to see
		best := make([]time.Duration, len(contenders))
		for b.Loop() {
			for i, c := range contenders {
				start := time.Now()
				for range turns {
					if !c.read(body) {
						b.Fatal(c.name, "refused")
					}
				}
				if d := time.Since(start); best[i] == 0 || d < best[i] {
					best[i] = d
				}
			}
		}
		ours := best[0].Seconds()
		b.ReportMetric(float64(len(body)*turns)/1e6/ours, "ours-MB/s")
		for i, c := range contenders[1:] {
			b.ReportMetric(best[1+i].Seconds()/ours, "x-"+c.name)
		}
	})
}

type looseMessage struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"params"`
}
