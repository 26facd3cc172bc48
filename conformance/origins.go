package conformance

import (
	"net/http"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

const foreignOrigin = "https://" + elsewhere

func originChecks() []check {
	const rule = "MCP Transports, Streamable HTTP, Security Warning"
	return []check{
		{id: "origin.foreign", title: "a request from a foreign origin is refused", severity: High, needs: needToken,
			rule: rule, requirement: "MCP-90", fix: "answer 403 when Origin is there and is not one that you allow",
			run: func(s *suite) verdict {
				for _, origin := range []string{foreignOrigin, "null"} {
					r := s.probe(s.control)
					r.header.Set("Origin", origin)
					if v := s.refused(r); v.outcome != Pass {
						v.detail += ", for Origin " + origin
						return v
					}
				}
				return passed
			}},
		{id: "origin.preflight", title: "a foreign origin gets no permission from a preflight", severity: Medium,
			rule: "Fetch standard, CORS protocol", requirement: "CHAL-31", fix: "allow the origins that you know, by name",
			run: func(s *suite) verdict {
				return notReflected(s.send(preflight(foreignOrigin)))
			}},
		{id: "origin.response", title: "a foreign origin cannot read answers", severity: Medium, needs: needToken,
			rule: "Fetch standard, CORS protocol", requirement: "CHAL-31", fix: "send no Access-Control-Allow-Origin to origins that you do not know, and never * with credentials",
			run: func(s *suite) verdict {
				r := s.probe(s.control)
				r.header.Set("Origin", foreignOrigin)
				return notReflected(s.send(r))
			}},
		{id: "origin.admitted", title: "an admitted origin may send what MCP sends", severity: Medium, needs: needOrigin,
			rule: "Fetch standard, CORS protocol", requirement: "CHAL-30", fix: "name the headers of MCP in Access-Control-Allow-Headers: a star does not cover Authorization",
			run: func(s *suite) verdict {
				a := s.send(preflight(s.target.Origin))
				allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
				if a.status >= 300 || a.header.Get("Access-Control-Allow-Origin") == "" {
					return failed("the preflight got %s, Access-Control-Allow-Origin %q", a, a.header.Get("Access-Control-Allow-Origin"))
				}
				for _, name := range []string{"authorization", "content-type", "mcp-protocol-version", "mcp-session-id"} {
					if !strings.Contains(allowed, name) {
						return failed("the preflight does not allow %s", name)
					}
				}
				return passed
			}},
		{id: "origin.readable-challenge", title: "an admitted origin can read the challenge", severity: Medium, needs: needOrigin,
			rule: "Fetch standard, CORS protocol; RFC 6750 section 3", requirement: "CHAL-19", fix: "send the CORS headers with refusals too, and expose WWW-Authenticate and Mcp-Session-Id",
			run: func(s *suite) verdict {
				r := s.probe("")
				r.header.Set("Origin", s.target.Origin)
				a := s.send(r)
				exposed := strings.ToLower(strings.Join(a.header.Values("Access-Control-Expose-Headers"), ","))
				if a.header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(exposed, "www-authenticate") {
					return failed("the 401 has Access-Control-Allow-Origin %q and exposes %q", a.header.Get("Access-Control-Allow-Origin"), exposed)
				}
				return passed
			}},
		{id: "origin.rebinding", title: "a server on loopback refuses foreign host names", severity: Low, needs: needToken,
			rule: rule + "; advice where Origin is checked", requirement: "MCP-91", fix: "compare Host with loopback names when listening on loopback", run: (*suite).rebinding},
	}
}

func preflight(origin string) request {
	return request{method: http.MethodOptions, header: http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {http.MethodPost},
		"Access-Control-Request-Headers": {"authorization,content-type,mcp-protocol-version"},
	}}
}

// notReflected fails when the answer lets the foreign origin read, or lets all
// read what was sent with credentials.
func notReflected(a *answer) verdict {
	allowed := a.header.Get("Access-Control-Allow-Origin")
	withCredentials := a.header.Get("Access-Control-Allow-Credentials") == "true"
	if allowed == foreignOrigin || allowed == "*" && withCredentials {
		return failed("got Access-Control-Allow-Origin %q, Access-Control-Allow-Credentials %t", allowed, withCredentials)
	}
	return passed
}

// rebinding is what a page does that has moved its own name to 127.0.0.1: Host
// and Origin are its own, and so a browser sees no other origin at all.
func (s *suite) rebinding() verdict {
	if !fetch.IsLoopbackHost(s.url.Hostname()) {
		return notRun("the target is not on loopback")
	}
	r := s.probe(s.control)
	r.host = elsewhere
	r.header.Set("Origin", s.url.Scheme+"://"+elsewhere)
	return s.refused(r)
}
