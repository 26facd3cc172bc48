package mcp

import (
	"net/http"
	"testing"
)

// BenchmarkRead is what a request costs between its body and its calls: a call of a
// tool that the policy lists, of 300 bytes and with the headers of its revision.
func BenchmarkRead(b *testing.B) {
	body := []byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},` +
		`"name":"query_usage","arguments":{"range":["2026-01-01",7],"by":[["eu",1,true,null],{"k":[-2.5,"x"]}],"top":[[1,2],{"n":{}}]}}}`)
	r := &http.Request{Method: http.MethodPost, Header: http.Header{
		"Mcp-Protocol-Version": {modernVersion}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"query_usage"},
	}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	names := map[string]string{"query_usage": "query_usage", "export_usage": "export_usage"}
	var room [1]Call
	for b.Loop() {
		if _, calls, denied := Read(r, body, false, names, room[:0]); denied != nil || len(calls) != 1 {
			b.Fatal(denied)
		}
	}
}
