package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// elsewhere is a host that is nobody's, for what must not be believed.
const elsewhere = "attacker.example"

// metadataURL is where RFC 9728 section 3.1 puts the document.
func (s *suite) metadataURL() string {
	u := *s.url
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	u.Path, u.RawPath = "", ""
	at := u.Scheme + "://" + u.Host + wellKnown + path
	if u.RawQuery != "" {
		at += "?" + u.RawQuery
	}
	return at
}

func metadataChecks() []check {
	return []check{
		{id: "metadata.served", title: "the metadata stands at the well-known path of the endpoint, for everybody", severity: High,
			rule: "RFC 9728 section 3.1; MCP Authorization, Protected Resource Metadata Discovery", requirement: "PRM-01",
			fix: "serve the document with 200 at the well-known prefix followed by the endpoint's path, without asking for a token", run: (*suite).metadataServed},
		{id: "metadata.content-type", title: "the metadata is labelled application/json", severity: Medium, needs: needDocument,
			rule: "RFC 9728 section 3.2", requirement: "PRM-16", fix: "send Content-Type: application/json", run: (*suite).metadataType},
		{id: "metadata.unique-names", title: "no member of the metadata stands twice", severity: Medium, needs: needDocument,
			rule: "RFC 8259 section 4", requirement: "PRM-16", fix: "write each member once", run: func(s *suite) verdict {
				if name := duplicateMember(s.rawDocument.body); name != "" {
					return failed("%q stands twice", name)
				}
				return passed
			}},
		{id: "metadata.resource", title: "resource is the URL that clients dial, byte for byte", severity: High, needs: needDocument,
			rule: "RFC 9728 section 3.3", requirement: "PRM-04", fix: "set resource to the endpoint's URL, path and slash included", run: func(s *suite) verdict {
				if got, _ := s.document["resource"].(string); got != s.target.URL {
					return failed("got %q, expected %q", got, s.target.URL)
				}
				return passed
			}},
		{id: "metadata.authorization-servers", title: "authorization_servers names at least one issuer", severity: High, needs: needDocument,
			rule: "MCP Authorization, Authorization Server Location", requirement: "PRM-08", fix: "list the issuers that the server trusts", run: (*suite).metadataServers},
		{id: "metadata.issuer-urls", title: "issuers are https URLs without query and fragment", severity: High, needs: needDocument,
			rule: "RFC 8414 section 2", requirement: "DISC-06", fix: "write the issuer as it stands in iss; http is for loopback only", run: (*suite).metadataIssuerURLs},
		{id: "metadata.no-empty-members", title: "members without a value are left out", severity: Low, needs: needDocument,
			rule: "RFC 9728 section 3.2", requirement: "PRM-09", fix: "leave the member out", run: (*suite).metadataEmpty},
		{id: "metadata.bearer-methods", title: "tokens are announced for the header only", severity: Medium, needs: needDocument,
			rule: "MCP Authorization, Token Requirements", requirement: "PRM-12", fix: `write "bearer_methods_supported": ["header"], or leave it out`, run: (*suite).metadataMethods},
		{id: "metadata.no-offline-access", title: "offline_access is not asked for", severity: Low, needs: needDocument,
			rule: "MCP Authorization, Refresh Tokens", requirement: "PRM-11", fix: "remove offline_access from scopes_supported: it is between client and authorization server",
			run: func(s *suite) verdict {
				if slices.Contains(texts(s.document["scopes_supported"]), "offline_access") {
					return failed("scopes_supported has offline_access")
				}
				return passed
			}},
		{id: "metadata.host-header", title: "nothing in the metadata follows Host and forwarding headers", severity: High, needs: needDocument,
			rule: "RFC 9728 section 7.3", requirement: "PRM-21", fix: "render the document from the configuration, never from the request", run: (*suite).metadataHost},
		{id: "metadata.cors", title: "scripts of any origin can read the metadata", severity: Low, needs: needDocument,
			rule: "Fetch standard, CORS protocol; advice", requirement: "PRM-19", fix: "send Access-Control-Allow-Origin: * with the document, without credentials",
			run: func(s *suite) verdict {
				a := s.send(request{method: http.MethodGet, url: s.documentURL, header: http.Header{"Origin": {"https://client.example"}}})
				if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" && got != "https://client.example" {
					return failed("got Access-Control-Allow-Origin %q, expected *", got)
				}
				return passed
			}},
		{id: "metadata.head", title: "HEAD is answered as GET is", severity: Low, needs: needDocument,
			rule: "RFC 9110 section 9.1", requirement: "PRM-17", fix: "serve HEAD as well", run: func(s *suite) verdict {
				if a := s.send(request{method: http.MethodHead, url: s.documentURL}); a.status != http.StatusOK {
					return failed("got %d, expected 200", a.status)
				}
				return passed
			}},
		{id: "metadata.other-resource", title: "the metadata of a resource that does not exist is not found", severity: Medium, needs: needDocument,
			rule: "RFC 9728 section 3.3", requirement: "PRM-24", fix: "answer 404 to well-known paths of resources that do not exist", run: (*suite).metadataOther},
	}
}

func (s *suite) metadataServed() verdict {
	at := s.metadataURL()
	a := s.send(request{method: http.MethodGet, url: at, header: http.Header{"Accept": {"application/json"}}})
	if a.status != http.StatusOK {
		// It may stand elsewhere, and then it can still be looked at.
		if other := s.documentFromChallenge(); other != "" && other != at {
			return failed("got %d at %s; the challenge points to %s", a.status, at, other)
		}
		return failed("got %d at %s, expected 200", a.status, at)
	}
	if !s.readDocument(at, a) {
		return failed("what stands at %s is no JSON object", at)
	}
	return passed
}

// documentFromChallenge reads the document to which a challenge points, if it
// is on the target's own origin: nobody has allowed requests to others.
func (s *suite) documentFromChallenge() string {
	all, _ := parseChallenges(s.send(s.probe("")).header.Values("WWW-Authenticate"))
	if c := bearer(all); c != nil {
		at := c.params["resource_metadata"]
		if u, err := url.Parse(at); err == nil && fetch.SameOrigin(u, s.url) {
			if a := s.send(request{method: http.MethodGet, url: at}); a.status == http.StatusOK && s.readDocument(at, a) {
				return at
			}
		}
	}
	return ""
}

func (s *suite) readDocument(at string, a *answer) bool {
	var document map[string]any
	if json.Unmarshal(a.body, &document) != nil || document == nil {
		return false
	}
	s.document, s.documentURL, s.rawDocument = document, at, a
	return true
}

func (s *suite) metadataType() verdict {
	got := s.rawDocument.header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(got); err != nil || mediaType != "application/json" {
		return failed("got %q, expected application/json", got)
	}
	return passed
}

func (s *suite) metadataServers() verdict {
	if servers := texts(s.document["authorization_servers"]); len(servers) == 0 {
		return failed("authorization_servers is missing, empty or no list of strings")
	} else if s.issued != "" && !slices.Contains(servers, s.issued) {
		return failed("got %q, which lacks the issuer whose tokens are used, %q", servers, s.issued)
	}
	return passed
}

func (s *suite) metadataIssuerURLs() verdict {
	for _, server := range texts(s.document["authorization_servers"]) {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Contains(server, "#") ||
			u.Scheme != "https" && !(u.Scheme == "http" && fetch.IsLoopbackHost(u.Hostname())) {
			return failed("%q is no issuer URL", server)
		}
	}
	return passed
}

func (s *suite) metadataEmpty() verdict {
	for name, value := range s.document {
		switch v := value.(type) {
		case nil:
			return failed("%s is null", name)
		case string:
			if v == "" {
				return failed("%s is an empty string", name)
			}
		case []any:
			if len(v) == 0 {
				return failed("%s is an empty list", name)
			}
		}
	}
	return passed
}

func (s *suite) metadataMethods() verdict {
	value, given := s.document["bearer_methods_supported"]
	methods := texts(value)
	if given && (!slices.Contains(methods, "header") || slices.Contains(methods, "query") || slices.Contains(methods, "body")) {
		return failed("got %q, expected header alone", methods)
	}
	return passed
}

func (s *suite) metadataHost() verdict {
	forged := http.Header{"X-Forwarded-Host": {elsewhere}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=" + elsewhere},
		"X-Original-Host": {elsewhere}, "X-Host": {elsewhere}}
	for _, r := range []request{
		{method: http.MethodGet, url: s.documentURL, header: forged},
		{method: http.MethodGet, url: s.documentURL, host: elsewhere},
	} {
		a := s.send(r)
		if a.status == http.StatusOK && bytes.Contains(a.body, []byte(elsewhere)) {
			return failed("the document names the host of the request's headers")
		}
	}
	return passed
}

func (s *suite) metadataOther() verdict {
	at := strings.TrimSuffix(strings.Split(s.metadataURL(), "?")[0], "/") + "/mcpauth-check-no-such-resource"
	a := s.send(request{method: http.MethodGet, url: at})
	if a.status == http.StatusOK {
		return failed("got 200 at %s, expected 404", at)
	}
	return passed
}

// texts returns the strings of a list.
func texts(value any) []string {
	list, _ := value.([]any)
	var all []string
	for _, member := range list {
		if text, ok := member.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// duplicateMember returns the name of a top-level member that stands twice.
func duplicateMember(object []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return ""
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return ""
		}
		text := fmt.Sprint(name)
		if seen[text] {
			return text
		}
		seen[text] = true
		var skipped json.RawMessage
		if decoder.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}
