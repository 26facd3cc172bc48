package conformance

import "strings"

// noTool is a name that no server gives a tool.
const noTool = "mcpauth-check-no-such-tool"

// bodyCheck is a check whose bodies must all be refused.
func bodyCheck(id, title string, severity Severity, rule, requirement, fix string, bodies ...string) check {
	return check{id: "body." + id, title: title, severity: severity, rule: rule, requirement: requirement, fix: fix, needs: needToken | needLegacy,
		run: func(s *suite) verdict {
			for i, body := range bodies {
				v := s.refused(legacy(s.control, s.session, body))
				if s.ignored && id == "case-variants" {
					continue // a name that is told apart makes the body another kind of message
				}
				if v.outcome != Pass {
					v.detail += ", for body " + string(rune('1'+i))
					return v
				}
			}
			return passed
		}}
}

// bodyChecks send bodies that two honest JSON readers could understand
// differently, and such as are no requests. All that they ask for, in any
// reading, is a list, a ping or a tool that does not exist.
func bodyChecks() []check {
	const strict = "refuse the body: a gate and a server that read it differently decide about different calls"
	return []check{
		bodyCheck("duplicate-names", "a body with a repeated member name is refused", Medium, "RFC 8259 section 4; RFC 7493 section 2.3", "MCP-01", strict,
			`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`,
			`{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}`,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{},"params":{}}`),
		bodyCheck("escaped-duplicates", "an escape does not hide a repeated name", Medium, "RFC 8259 sections 4 and 8.3", "MCP-02", strict,
			`{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/list"}`),
		bodyCheck("case-variants", "member names that differ in case alone are refused or told apart", Medium, "JSON-RPC 2.0 section 2", "MCP-01",
			"compare names case-sensitively, and refuse those that others would confuse",
			`{"jsonrpc":"2.0","id":1,"METHOD":"tools/list"}`,
			`{"jsonrpc":"2.0","id":1,"method":"`+noTool+`","Method":"tools/list"}`,
			`{"jsonrpc":"2.0","id":1,"Method":"ping"}`),
		bodyCheck("trailing-data", "a body with something after its JSON text is refused", Medium, "RFC 8259 section 2", "MCP-04", strict,
			legacyListBody+`{"jsonrpc":"2.0","id":2,"method":"ping"}`, legacyListBody+`]`, legacyListBody+"\x00"),
		bodyCheck("not-json", "a body that is nearly JSON is refused", Low, "RFC 8259 sections 2 and 7", "MCP-04", strict,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list",}`, `{"jsonrpc":"2.0","id":1,/**/"method":"tools/list"}`, `{'jsonrpc':'2.0','id':1,'method':'tools/list'}`),
		bodyCheck("encoding", "a body that is not UTF-8 is refused", Low, "RFC 8259 section 8.1; MCP Transports", "MCP-05", strict,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"`+"\xff\xfe"+`"}}`,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"`+"\xc0\xae"+`"}}`),
		bodyCheck("envelope", "a body that is no JSON-RPC request is refused", Low, "JSON-RPC 2.0 section 4", "MCP-07", "check the envelope before the method",
			`{"jsonrpc":"1.0","id":1,"method":"tools/list"}`, `{"id":1,"method":"tools/list"}`, `{"jsonrpc":"2.0","id":{},"method":"tools/list"}`, `"tools/list"`, `null`),
		bodyCheck("batch", "a batch is refused where revisions have none", Medium, "MCP 2025-06-18, Transports", "MCP-58", "take one message in each body",
			`[`+legacyListBody+`,`+pingBody+`]`, `[]`),
		bodyCheck("target", "a call without a name, or with one that is no string, is refused", Low, "MCP Tools, Calling Tools", "MCP-42", "demand the name",
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["`+noTool+`"]}}`,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`),
		bodyCheck("depth", "a body of 2000 levels does not break the server", Medium, "RFC 8259 section 9", "MCP-06", "bound the depth",
			`{"jsonrpc":"2.0","id":1,"method":"`+noTool+`","params":{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}}`),
		{id: "body.content-type", title: "a body that is not labelled as JSON is refused", severity: Low, needs: needToken,
			rule: "RFC 9110 section 15.5.16; Fetch standard, CORS-safelisted request-header", requirement: "MCP-09", fix: "answer 415: a browser may send text/plain across origins without asking",
			run: func(s *suite) verdict {
				for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"} {
					r := s.probe(s.control)
					r.header.Set("Content-Type", mediaType)
					if v := s.refused(r); v.outcome != Pass {
						v.detail += ", for " + mediaType
						return v
					}
				}
				return passed
			}},
		{id: "body.headers-agree", title: "routing headers that contradict the body are refused", severity: High, needs: needToken | needModern,
			rule: "MCP 2026-07-28, Streamable HTTP, Server Validation", requirement: "MCP-22", fix: "compare Mcp-Method, Mcp-Name and MCP-Protocol-Version with the body, and answer 400", run: (*suite).headersAgree},
	}
}

func (s *suite) headersAgree() verdict {
	otherName := modern(s.control, "tools/list", "", modernListBody)
	otherName.header.Set("Mcp-Method", "ping")
	repeated := modern(s.control, "tools/list", "", modernListBody)
	repeated.header.Add("Mcp-Method", "ping")
	version := modern(s.control, "tools/list", "", modernListBody)
	version.header.Set("MCP-Protocol-Version", legacyVersion)
	missing := modern(s.control, "tools/list", "", modernListBody)
	missing.header.Del("Mcp-Method")
	call := modern(s.control, "tools/call", "other", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+noTool+`","_meta":`+modernMeta+`}}`)
	return s.refusedAll(otherName, repeated, version, missing, call)
}
