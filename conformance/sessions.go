package conformance

import "net/http"

func sessionChecks() []check {
	const (
		hijack = "MCP Security Best Practices, Session Hijacking"
		fix    = "bind the session id to issuer and subject of the token that began it, and compare at each request"
	)
	return []check{
		{id: "session.works", title: "a session serves the person who began it", severity: Low, needs: needSession,
			rule: "MCP Transports, Session Management", requirement: "SESS-05", fix: "accept the id that was given out",
			run: func(s *suite) verdict { return s.accepted(legacy(s.control, s.session, legacyListBody)) }},
		{id: "session.foreign", title: "somebody else's session id is refused", severity: High, needs: needSession,
			rule: hijack, requirement: "SESS-02", fix: fix, run: func(s *suite) verdict {
				return s.asOther(func(token string) verdict { return s.refused(legacy(token, s.session, legacyListBody)) })
			}},
		{id: "session.foreign-stream", title: "somebody else's stream cannot be opened", severity: High, needs: needSession,
			rule: hijack, requirement: "SESS-04", fix: fix, run: func(s *suite) verdict {
				return s.asOther(func(token string) verdict {
					r := legacy(token, s.session, "")
					r.method, r.brief = http.MethodGet, true
					r.header.Set("Accept", "text/event-stream")
					return s.refused(r)
				})
			}},
		{id: "session.other-client", title: "the session of another client of the same person is refused", severity: Low, needs: needSession | needMinter,
			rule: hijack + "; advice", requirement: "ISOL-14", fix: "bind the session id to the client too: another one may have fewer rights, and what a session delivers is not decided anew",
			run: func(s *suite) verdict {
				token := s.mint(nil, claims{"client_id": "mcpauth-check-2"})
				if a := s.send(s.probe(token)); !a.served() {
					return notRun("a token of another client gets %s", a)
				}
				return s.refused(legacy(token, s.session, legacyListBody))
			}},
		{id: "session.invented", title: "a session id that was never given out is refused", severity: Medium, needs: needSession,
			rule: "MCP Transports, Session Management", requirement: "SESS-12", fix: "answer 404", run: func(s *suite) verdict {
				return s.refused(legacy(s.control, "mcp-session-00000000-0000-4000-8000-000000000000", legacyListBody))
			}},
		{id: "session.foreign-end", title: "somebody else's session cannot be ended", severity: High, needs: needSession,
			rule: hijack, requirement: "SESS-04", fix: fix, run: func(s *suite) verdict {
				return s.asOther(func(token string) verdict {
					r := legacy(token, s.session, "")
					r.method = http.MethodDelete
					s.send(r)
					if a := s.send(legacy(s.control, s.session, legacyListBody)); !a.served() {
						return failed("after another person's DELETE the session answers %s", a)
					}
					return passed
				})
			}},
	}
}

func (s *suite) asOther(try func(token string) verdict) verdict {
	token := s.other()
	if token == "" {
		return notRun("no token of another person is at hand: give one (OtherToken, --other-token)")
	}
	return try(token)
}
