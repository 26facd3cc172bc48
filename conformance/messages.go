package conformance

import (
	"encoding/json"
	"net/http"
)

// The revisions that the suite speaks.
const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
)

// clientInfo is how the suite introduces itself.
const clientInfo = `{"name":"mcpauth-check","version":"1"}`

const (
	initializeBody  = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacyVersion + `","capabilities":{},"clientInfo":` + clientInfo + `}}`
	initializedBody = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	legacyListBody  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	pingBody        = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

const modernMeta = `{"io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientInfo":` + clientInfo + `,"io.modelcontextprotocol/clientCapabilities":{}}`

const modernListBody = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":` + modernMeta + `}}`

// headers are those of every MCP request.
func headers() http.Header {
	return http.Header{
		"Content-Type": {"application/json"},
		"Accept":       {"application/json, text/event-stream"},
	}
}

// legacy is a request of the revisions up to 2025-11-25.
func legacy(token, session, body string) request {
	h := headers()
	if body != initializeBody {
		h.Set("MCP-Protocol-Version", legacyVersion)
	}
	if session != "" {
		h.Set("Mcp-Session-Id", session)
	}
	return request{header: h, token: token, body: body}
}

// modern is a request of the revision 2026-07-28, which has no sessions.
func modern(token, method, name, body string) request {
	h := headers()
	h.Set("MCP-Protocol-Version", modernVersion)
	h.Set("Mcp-Method", method)
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	return request{header: h, token: token, body: body}
}

// message is a request in the era that the target speaks, in the session of
// the control token.
func (s *suite) message(token, method string, params map[string]any) request {
	name, _ := params["name"].(string)
	if s.modernOnly {
		params["_meta"] = json.RawMessage(modernMeta)
	}
	body := encoded(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if s.modernOnly {
		return modern(token, method, name, body)
	}
	return legacy(token, s.session, body)
}

// encoded is the JSON text of what can be one: arguments have been checked to be JSON.
func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return string(text)
}

// call is a call of a tool.
func (s *suite) call(token string, tool Tool) request {
	params := map[string]any{"name": tool.Name}
	if len(tool.Arguments) > 0 {
		params["arguments"] = tool.Arguments
	}
	return s.message(token, "tools/call", params)
}

// probe is the cheapest request that stands on its own: it begins a session or
// needs none.
func (s *suite) probe(token string) request {
	if s.modernOnly {
		return modern(token, "tools/list", "", modernListBody)
	}
	return legacy(token, "", initializeBody)
}
