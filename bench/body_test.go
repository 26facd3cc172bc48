package bench

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
)

// readers find the deciding members of a body, except for json.Valid and
// jsontext, which only say whether it is JSON: jsontext with unique names,
// mcpauth with unique names and one spelling of the deciding ones.
var readers = []struct {
	name string
	read func(body []byte) bool
}{
	{"mcpauth", func(body []byte) bool {
		message, err := jsonrpc.Parse(body)
		return err == nil && message.Method == "tools/call"
	}},
	{"json.Valid", json.Valid},
	{"encoding-json", func(body []byte) bool {
		var message peers.Message
		return json.Unmarshal(body, &message) == nil && message.Params.Name == tool
	}},
	{"gjson", func(body []byte) bool {
		if !gjson.ValidBytes(body) {
			return false
		}
		found := gjson.GetManyBytes(body, "method", "params.name")
		return found[1].Str == tool
	}},
	{"jsontext", func(body []byte) bool { return jsontext.Value(body).IsValid() }},
}

var bodySizes = []int{300, 4 << 10, 64 << 10, 1 << 20, fixture.MaxBody}

// BenchmarkBody prints MB/s. Bodies have the deciding members first; those of
// 4 KB and 64 KB also have them last.
func BenchmarkBody(b *testing.B) {
	for _, shape := range fixture.Shapes {
		for _, size := range bodySizes {
			for _, order := range []string{"first", "last"} {
				if order == "last" && size != 4<<10 && size != 64<<10 {
					continue
				}
				body := fixture.Body(tool, shape, size, order == "last")
				for _, reader := range readers {
					b.Run("shape="+shape+"/size="+sizeName(size)+"/order="+order+"/impl="+reader.name, func(b *testing.B) {
						b.SetBytes(int64(len(body)))
						drive(b, func(int) bool { return reader.read(body) })
					})
				}
			}
		}
	}
}

func sizeName(size int) string {
	switch {
	case size == fixture.MaxBody:
		return "4MB"
	case size >= 1<<20:
		return strconv.Itoa(size>>20) + "MB"
	case size >= 1<<10:
		return strconv.Itoa(size>>10) + "KB"
	}
	return strconv.Itoa(size) + "B"
}

// read is what a request costs between its body and its calls: a call of a tool
// that the policy lists.
func read() func(int) bool {
	r := fixture.NewRequest("", tool, nil).Request
	names := map[string]string{tool: tool}
	var room [1]mcp.Call
	return func(int) bool {
		_, calls, denied := mcp.Read(r, smallBody, false, names, room[:0])
		return denied == nil && len(calls) == 1
	}
}

func BenchmarkRead(b *testing.B) { drive(b, read()) }
