package conformance

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// garbage is a token that is none, with a mark that must not come back.
const garbage = "mcpauth-check-canary.no.token"

func challengeChecks() []check { return append(challengeForm(), challengeReach()...) }

// challengeForm are the checks about what the challenge says.
func challengeForm() []check {
	return []check{
		{id: "challenge.no-token", title: "a request without a token is answered with 401", severity: Critical,
			rule: "MCP Authorization, Error Handling; RFC 6750 section 3", requirement: "TOK-08",
			fix: "ask for a token before anything else, also for initialize and lists", run: (*suite).challengeStatus},
		{id: "challenge.present", title: "the 401 has a Bearer challenge", severity: High,
			rule: "RFC 9110 section 15.5.2; RFC 6750 section 3", requirement: "CHAL-01", fix: "send WWW-Authenticate: Bearer with each 401", run: (*suite).challengePresent},
		{id: "challenge.grammar", title: "the challenge is well formed, each parameter once", severity: Medium, needs: needChallenge,
			rule: "RFC 9110 sections 11.2 and 5.6.4", requirement: "CHAL-10", fix: "quote values, escape only the quote and the backslash, and name no parameter twice",
			run: func(s *suite) verdict {
				if _, err := parseChallenges(s.bareAnswer.header.Values("WWW-Authenticate")); err != nil {
					return failed("%v", err)
				}
				return passed
			}},
		{id: "challenge.resource-metadata", title: "the challenge points to the metadata", severity: Medium, needs: needChallenge,
			rule: "RFC 9728 section 5.1; MCP Authorization, Protected Resource Metadata Discovery", requirement: "CHAL-05",
			fix: "add resource_metadata with the absolute URL of the document: clients of 2025-06-18 know no other way", run: (*suite).challengeMetadata},
		{id: "challenge.no-error-without-token", title: "without a token the challenge has no error code", severity: Low, needs: needChallenge,
			rule: "RFC 6750 section 3.1", requirement: "CHAL-02", fix: "leave error, error_description and error_uri out when no token was sent",
			run: func(s *suite) verdict {
				for _, name := range []string{"error", "error_description", "error_uri"} {
					if _, there := s.bare.params[name]; there {
						return failed("the challenge has %s", name)
					}
				}
				return passed
			}},
		{id: "challenge.no-empty-parameters", title: "no parameter of the challenge is empty", severity: Low, needs: needChallenge,
			rule: "RFC 6749 appendix A; advice: some clients cannot read them", requirement: "CHAL-10", fix: "leave the parameter out",
			run: func(s *suite) verdict {
				for name, value := range s.bare.params {
					if value == "" && name != "realm" {
						return failed("%s is empty", name)
					}
				}
				return passed
			}},
		{id: "challenge.scope", title: "the scopes in the challenge are scopes", severity: Low, needs: needChallenge,
			rule: "RFC 6749 section 3.3", requirement: "CHAL-09", fix: "separate scopes by single spaces, each once", run: func(s *suite) verdict {
				scope, given := s.bare.params["scope"]
				if problem := scopeProblem(scope); given && problem != "" {
					return failed("scope %s", problem)
				}
				return passed
			}},
		{id: "challenge.host-header", title: "nothing in the challenge follows Host and forwarding headers", severity: High, needs: needChallenge,
			rule: "RFC 9728 section 7.3", requirement: "PRM-21", fix: "build resource_metadata from the configuration, never from the request", run: (*suite).challengeHost},
	}
}

// challengeReach are the checks about which requests are challenged.
func challengeReach() []check {
	return []check{
		{id: "challenge.invalid-token", title: "a token that is none is answered with invalid_token", severity: Medium,
			rule: "RFC 6750 section 3.1", requirement: "CHAL-03", fix: `answer 401 with error="invalid_token"`, run: (*suite).challengeInvalid},
		{id: "challenge.no-echo", title: "nothing of a token comes back in the answer", severity: Low,
			rule: "RFC 6750 section 5.3; advice", requirement: "TOK-63", fix: "answer with fixed texts", run: func(s *suite) verdict {
				a := s.send(s.probe(garbage))
				if bytes.Contains(a.body, []byte("mcpauth-check-canary")) || strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), " "), "mcpauth-check-canary") {
					return failed("the answer repeats the token that was sent")
				}
				return passed
			}},
		{id: "challenge.every-method", title: "no HTTP method gets through without a token", severity: Critical,
			rule: "MCP Authorization, Token Requirements", requirement: "TOK-08", fix: "protect the path, not the method", run: (*suite).challengeMethods},
		{id: "challenge.every-path", title: "no spelling of the path gets through without a token", severity: Critical,
			rule: "MCP Authorization, Token Requirements", requirement: "TOK-09", fix: "put the gate around the handler, not beside it", run: (*suite).challengePaths},
		{id: "challenge.before-body", title: "without a token the body does not matter", severity: Low,
			rule: "RFC 9110 section 15.5.2; advice", requirement: "TOK-12", fix: "ask for the token before the body is read", run: func(s *suite) verdict {
				r := s.probe("")
				r.body = `{"jsonrpc":`
				if a := s.send(r); a.status != http.StatusUnauthorized {
					return failed("got %s for half a body, expected 401", a)
				}
				return passed
			}},
		{id: "challenge.discovery-probes", title: "authorization server metadata that is not there is not found", severity: Low,
			rule: "MCP 2025-03-26 Authorization, Fallbacks for Servers without Metadata Discovery", requirement: "COMPAT-05",
			fix: "answer 404 to well-known paths that do not exist: a 401 there stops the discovery of old clients", run: func(s *suite) verdict {
				a := s.send(request{method: http.MethodGet, url: s.url.Scheme + "://" + s.url.Host + "/.well-known/oauth-authorization-server"})
				if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
					return failed("got %s, expected 404 or a document", a)
				}
				return passed
			}},
	}
}

// challengeStatus tries a handshake, a list and a body of the modern era.
func (s *suite) challengeStatus() verdict {
	s.bareAnswer = s.send(s.probe(""))
	for _, a := range []*answer{s.bareAnswer, s.send(legacy("", "", legacyListBody)), s.send(modern("", "tools/list", "", modernListBody))} {
		if a.status != http.StatusUnauthorized {
			return failed("got %s, expected 401", a)
		}
	}
	return passed
}

func (s *suite) challengePresent() verdict {
	if s.bareAnswer.status == 0 {
		return notRun("the target gave no answer")
	}
	all, err := parseChallenges(s.bareAnswer.header.Values("WWW-Authenticate"))
	if s.bare = bearer(all); s.bare != nil {
		return passed
	}
	if err != nil {
		return failed("the challenge cannot be read: %v", err)
	}
	return failed("got %d challenges, none of them Bearer", len(all))
}

func (s *suite) challengeMetadata() verdict {
	at := s.bare.params["resource_metadata"]
	u, err := url.Parse(at)
	switch {
	case at == "":
		return failed("there is no resource_metadata")
	case err != nil || u.Host == "":
		return failed("%q is not an absolute URL", at)
	case at == s.documentURL:
		return passed
	case !fetch.SameOrigin(u, s.url):
		return failed("it points to %q, on another origin than the endpoint", at)
	}
	if a := s.send(request{method: http.MethodGet, url: at}); a.status != http.StatusOK || !strings.Contains(string(a.body), s.target.URL) {
		return failed("it points to %q, where the metadata of this resource is not found", at)
	}
	return passed
}

func (s *suite) challengeHost() verdict {
	r := s.probe("")
	r.header.Set("X-Forwarded-Host", elsewhere)
	r.header.Set("Forwarded", "host="+elsewhere)
	other := s.probe("")
	other.host = elsewhere
	for _, r := range []request{r, other} {
		if a := s.send(r); strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), " "), elsewhere) {
			return failed("the challenge names the host of the request's headers")
		}
	}
	return passed
}

func (s *suite) challengeInvalid() verdict {
	a := s.send(s.probe(garbage))
	all, _ := parseChallenges(a.header.Values("WWW-Authenticate"))
	c := bearer(all)
	switch {
	case a.status != http.StatusUnauthorized:
		return failed("got %s, expected 401", a)
	case c == nil:
		return failed("got 401 without a Bearer challenge")
	case c.params["error"] != "invalid_token":
		return failed("got error %q, expected invalid_token", c.params["error"])
	}
	if problem := descriptionProblem(c.params["error_description"]); problem != "" {
		return failed("error_description %s", problem)
	}
	return passed
}

func (s *suite) challengeMethods() verdict {
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut, http.MethodPatch, "QUERY"} {
		r := legacy("", "", legacyListBody)
		r.method, r.brief = method, true
		if method == http.MethodGet || method == http.MethodDelete {
			r.body = ""
		}
		if a := s.send(r); a.status < 300 {
			return failed("%s got %d", method, a.status)
		}
	}
	return passed
}

func (s *suite) challengePaths() verdict {
	base := s.url.Scheme + "://" + s.url.Host
	path := strings.TrimSuffix(s.url.EscapedPath(), "/")
	for _, spelling := range []string{path + "/", path + "/x", "/" + path, path + "/.", strings.ToUpper(path), path + ";x=y", path + "?x=y", path + "%2f", "/./" + strings.TrimPrefix(path, "/")} {
		r := legacy("", "", legacyListBody)
		r.url = base + spelling
		if a := s.send(r); a.status < 300 && (a.rpc.Result != nil || a.rpc.Error != nil) {
			return failed("%s is answered by the MCP server with %s", spelling, a)
		}
	}
	return passed
}

// scopeProblem says what is wrong with a list of scopes (RFC 6749 section 3.3).
func scopeProblem(scope string) string {
	seen := map[string]bool{}
	for one := range strings.SplitSeq(scope, " ") {
		switch {
		case one == "":
			return "is empty or has two spaces in a row"
		case seen[one]:
			return "names a scope twice"
		case strings.IndexFunc(one, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }) >= 0:
			return "has a character that no scope may have"
		}
		seen[one] = true
	}
	return ""
}

// descriptionProblem holds a description against the characters of RFC 6750 section 3.
func descriptionProblem(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) >= 0 {
		return "has a character that may not stand there (RFC 6750 section 3)"
	}
	return ""
}
