package conformance

import (
	"net/http"
	"slices"
	"strings"
)

func scopeChecks() []check {
	const rule = "MCP Authorization, Scope Challenge Handling; RFC 6750 section 3.1"
	row := func(id, title string, severity Severity, rule, requirement, fix string, each func(s *suite, tool Tool) verdict) check {
		return check{id: "scopes." + id, title: title, severity: severity, rule: rule, requirement: requirement, fix: fix, needs: needTools,
			run: func(s *suite) verdict { return s.eachTool(each) }}
	}
	return []check{
		row("granted", "a tool is served to a token with exactly its scopes", Medium, "RFC 6749 section 3.3", "CLAIM-17",
			"demand of a call what the tool needs and nothing more", func(s *suite, tool Tool) verdict {
				return s.accepted(s.call(s.mint(nil, claims{"scope": strings.Join(tool.Scopes, " ")}), tool))
			}),
		row("missing", "a tool is refused to a token without its scopes", Critical, rule, "MCP-41",
			"decide at each call, whatever lists have shown", func(s *suite, tool Tool) verdict {
				if len(tool.Scopes) == 0 {
					return passed
				}
				return s.refused(s.call(s.mint(nil, claims{"scope": nil}), tool))
			}),
		row("partial", "one scope of several is not enough", Critical, rule, "CHAL-07",
			"demand all scopes", func(s *suite, tool Tool) verdict {
				for _, scope := range tool.Scopes {
					if len(tool.Scopes) < 2 {
						break
					}
					if v := s.refused(s.call(s.mint(nil, claims{"scope": scope}), tool)); v.outcome != Pass {
						return v
					}
				}
				return passed
			}),
		row("similar", "scopes are compared exactly", High, "RFC 6749 section 3.3", "CLAIM-09",
			"split scope on spaces and compare whole, case-sensitively", similarScopes),
		row("wildcard", "a star in a token means nothing by itself", High, "RFC 6749 section 3.3", "CLAIM-11",
			"give no meaning to * in granted scopes", func(s *suite, tool Tool) verdict {
				if len(tool.Scopes) == 0 {
					return passed
				}
				return s.refused(s.call(s.mint(nil, claims{"scope": "* mcp:* tool:*"}), tool))
			}),
		row("status", "missing scopes are answered with 403", Medium, rule, "CHAL-04",
			"answer 403: on 401 a client throws a good token away, on 200 it asks for no scope", func(s *suite, tool Tool) verdict {
				if a := s.refusal(tool); a != nil && a.status != http.StatusForbidden {
					return failed("%s got %s, expected 403", tool.Name, a)
				}
				return passed
			}),
		row("challenge", "the 403 says insufficient_scope and names all scopes of the call", Medium, rule, "CHAL-04",
			`send WWW-Authenticate: Bearer error="insufficient_scope" with scope and resource_metadata`, scopeChallenge),
		{id: "scopes.unknown-tool", title: "a tool that does not exist is not served", severity: Low, needs: needToken,
			rule: "MCP Tools, Error Handling", requirement: "MCP-40", fix: "refuse what has no rule", run: func(s *suite) verdict {
				return s.refused(s.call(s.control, Tool{Name: noTool}))
			}},
		{id: "scopes.unknown-method", title: "a method that does not exist is not served", severity: Low, needs: needToken,
			rule: "JSON-RPC 2.0 section 5.1", requirement: "MCP-47", fix: "refuse methods that are not known", run: func(s *suite) verdict {
				return s.refused(s.message(s.control, "mcpauth-check/none", map[string]any{}))
			}},
	}
}

// eachTool stops at the first tool whose verdict is not a pass.
func (s *suite) eachTool(each func(s *suite, tool Tool) verdict) verdict {
	for _, tool := range s.target.Tools {
		if v := each(s, tool); v.outcome != Pass {
			v.detail = "tool " + tool.Name + ": " + v.detail
			return v
		}
	}
	return passed
}

func similarScopes(s *suite, tool Tool) verdict {
	for _, scope := range tool.Scopes {
		for _, similar := range []string{scope + "x", "x" + scope, scope[:len(scope)-1], strings.ToUpper(scope), strings.ReplaceAll(scope, ":", " "), scope + ",other"} {
			if similar == scope || similar == "" || slices.Contains(strings.Fields(similar), scope) {
				continue
			}
			if v := s.refused(s.call(s.mint(nil, claims{"scope": similar}), tool)); v.outcome != Pass {
				return v
			}
		}
	}
	return passed
}

// refusal is the answer to a call without scopes, nil if the tool needs none.
func (s *suite) refusal(tool Tool) *answer {
	if len(tool.Scopes) == 0 {
		return nil
	}
	return s.send(s.call(s.mint(nil, claims{"scope": nil}), tool))
}

func scopeChallenge(s *suite, tool Tool) verdict {
	a := s.refusal(tool)
	if a == nil {
		return passed
	}
	all, err := parseChallenges(a.header.Values("WWW-Authenticate"))
	if err != nil {
		return failed("the challenge cannot be read: %v", err)
	}
	c := bearer(all)
	switch {
	case c == nil:
		return failed("got %s without a Bearer challenge", a)
	case c.params["error"] != "insufficient_scope":
		return failed("got error %q, expected insufficient_scope", c.params["error"])
	case c.params["resource_metadata"] == "":
		return failed("there is no resource_metadata")
	}
	named := strings.Fields(c.params["scope"])
	for _, scope := range tool.Scopes {
		if !slices.Contains(named, scope) {
			return failed("the challenge names %q, expected all of %q", named, tool.Scopes)
		}
	}
	return passed
}
