package conformance

import (
	"encoding/base64"
	"net/url"
)

// credentialChecks are about where a token stands in a request, and how often.
func credentialChecks() []check { return append(credentialPlaces(), credentialCounts()...) }

// credentialPlaces are about places that are none for a token.
func credentialPlaces() []check {
	return []check{
		{id: "credentials.scheme-case", title: "the scheme Bearer is read in any case", severity: Medium, needs: needToken,
			rule: "RFC 9110 section 11.1", requirement: "TOK-01", fix: "compare the scheme without regard to case",
			run: func(s *suite) verdict { return s.accepted(s.authorized("bearer " + s.control)) }},
		{id: "credentials.other-scheme", title: "other schemes and an empty token are as good as none", severity: Critical,
			rule: "RFC 6750 section 2.1", requirement: "TOK-06", fix: "accept the scheme Bearer alone",
			run: func(s *suite) verdict {
				basic := base64.StdEncoding.EncodeToString([]byte("admin:admin"))
				return s.refusedAll(s.authorized("Basic "+basic), s.authorized("Bearer "), s.authorized("Bearer"), s.authorized("Bearer null"), s.authorized("Bearer undefined"))
			}},
		{id: "credentials.identity-headers", title: "headers that name a user are no credentials", severity: Critical,
			rule: "MCP Authorization, Token Requirements", requirement: "PASS-05", fix: "believe no identity header unless a proxy of yours is proven to have set it",
			run: func(s *suite) verdict {
				r := s.probe("")
				for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-User", "X-User", "X-User-Id", "Remote-User", "X-Remote-User"} {
					r.header.Set(name, "admin")
				}
				return s.refused(r)
			}},
		{id: "credentials.query", title: "a token in the query is no credential", severity: High, needs: needToken,
			rule: "MCP Authorization, Token Requirements; OAuth 2.1 section 5.1", requirement: "TOK-04", fix: "read the Authorization header alone",
			run: func(s *suite) verdict { return s.refused(s.inQuery(s.probe(""))) }},
		{id: "credentials.body", title: "a token in a form is no credential", severity: High, needs: needToken,
			rule: "MCP Authorization, Token Requirements", requirement: "TOK-05", fix: "read the Authorization header alone",
			run: func(s *suite) verdict {
				r := s.probe("")
				r.header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.body = "access_token=" + url.QueryEscape(s.control)
				return s.refused(r)
			}},
		{id: "credentials.cookie", title: "a token in a cookie or another header is no credential", severity: High, needs: needToken,
			rule: "MCP Authorization, Token Requirements", requirement: "TOK-05", fix: "read the Authorization header alone: browsers send cookies unasked",
			run: func(s *suite) verdict {
				r := s.probe("")
				r.header.Set("Cookie", "access_token="+s.control+"; token="+s.control)
				for _, name := range []string{"X-Access-Token", "X-Forwarded-Access-Token", "X-Auth-Token", "Proxy-Authorization"} {
					r.header.Set(name, "Bearer "+s.control)
				}
				return s.refused(r)
			}},
	}
}

// credentialCounts are about requests with more than one token, or none.
func credentialCounts() []check {
	const once = "OAuth 2.1 section 5.1; RFC 6750 section 2"
	return []check{
		{id: "credentials.two-fields", title: "two Authorization fields are a bad request", severity: Medium, needs: needToken,
			rule: "RFC 9110 section 5.3; RFC 6750 section 3.1", requirement: "TOK-03", fix: "answer 400 invalid_request: which of the two was meant is anybody's guess",
			run: func(s *suite) verdict {
				return s.refusedAll(s.authorized("Bearer "+s.control, "Bearer "+garbage), s.authorized("Bearer "+garbage, "Bearer "+s.control))
			}},
		{id: "credentials.comma", title: "two credentials joined by a comma are refused", severity: Medium, needs: needToken,
			rule: "RFC 9110 section 11.6.2", requirement: "TOK-07", fix: "refuse a comma in the token",
			run: func(s *suite) verdict {
				return s.refused(s.authorized("Bearer " + s.control + ", Bearer " + garbage))
			}},
		{id: "credentials.two-places", title: "a token in the header and one in the query are a bad request", severity: Low, needs: needToken,
			rule: once, requirement: "TOK-03", fix: "answer 400 invalid_request",
			run: func(s *suite) verdict { return s.refused(s.inQuery(s.probe(s.control))) }},
		{id: "credentials.every-request", title: "each request needs the token, also within a session", severity: Critical, needs: needSession,
			rule: "MCP Authorization, Token Requirements; MCP Security Best Practices, Session Hijacking", requirement: "SESS-01",
			fix: "never take a session id for proof of who calls", run: func(s *suite) verdict {
				return s.refused(legacy("", s.session, legacyListBody))
			}},
	}
}

// authorized is the probe with these Authorization fields.
func (s *suite) authorized(fields ...string) request {
	r := s.probe("")
	r.header["Authorization"] = fields
	return r
}

func (s *suite) inQuery(r request) request {
	u := *s.url
	query := u.Query()
	query.Set("access_token", s.control)
	u.RawQuery = query.Encode()
	r.url = u.String()
	return r
}

// refusedAll is the verdict for requests none of which may be served.
func (s *suite) refusedAll(requests ...request) verdict {
	for _, r := range requests {
		if v := s.refused(r); v.outcome != Pass {
			return v
		}
	}
	return passed
}
