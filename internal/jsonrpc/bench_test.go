package jsonrpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// benchBody returns a tools/call of about size bytes: "structure" is all tiny
// tokens, "records" is what query results look like.
func benchBody(shape string, size int) []byte {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"query_usage",` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"arguments":{`)
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
	b.WriteString(`}}}`)
	return []byte(b.String())
}

// BenchmarkParse prints MB/s; the ratios to valid and unmarshal are the
// measure.
func BenchmarkParse(b *testing.B) {
	for _, size := range []int{300, 4 << 10, 64 << 10, 1 << 20} {
		for _, shape := range []string{"structure", "records", "ascii", "code", "cjk"} {
			if shape == "records" && size == 1<<20 {
				continue // more members than a message may have
			}
			body := benchBody(shape, size)
			for _, c := range []struct {
				name string
				read func() bool
			}{
				{"parse", func() bool { _, err := Parse(body); return err == nil }},
				{"valid", func() bool { return json.Valid(body) }},
				{"unmarshal", func() bool { return json.Unmarshal(body, &looseMessage{}) == nil }},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", shape, size, c.name), func(b *testing.B) {
					b.SetBytes(int64(len(body)))
					b.ReportAllocs()
					for b.Loop() {
						if !c.read() {
							b.Fatal("refused")
						}
					}
				})
			}
		}
	}
}

type looseMessage struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  struct {
		Name      string         `json:"name"`
		URI       string         `json:"uri"`
		Arguments map[string]any `json:"arguments"`
	} `json:"params"`
}
