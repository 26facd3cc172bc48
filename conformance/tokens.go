package conformance

import (
	"net/http"
	"strings"
	"time"
)

// tokenChecks present tokens that the trusted issuer has really signed, each
// wrong in one way.
func tokenChecks() []check {
	var all []check
	for _, group := range [][]badToken{audienceTokens, issuerTokens, timeTokens, kindTokens, shapeTokens} {
		for _, bad := range group {
			all = append(all, check{
				id: "token." + bad.id, title: bad.title + " is refused", severity: bad.severity, rule: bad.rule, requirement: bad.requirement, fix: bad.fix,
				needs: needMinter, run: func(s *suite) verdict { return s.noneAccepted(bad.id, bad.make(s)...) },
			})
		}
	}
	return all
}

// badToken is one way to be wrong.
type badToken struct {
	id, title         string
	severity          Severity
	rule, requirement string
	fix               string
	make              func(s *suite) []string
}

// each makes a token for each change of the claims.
func each(changes ...claims) func(s *suite) []string {
	return func(s *suite) (tokens []string) {
		for _, change := range changes {
			tokens = append(tokens, s.mint(nil, change))
		}
		return tokens
	}
}

const (
	audienceRule = "MCP Authorization, Token Audience Binding and Validation; RFC 9068 section 4"
	audienceFix  = "compare aud, whole, with the resource's own identifier"
)

var audienceTokens = []badToken{
	{"audience-other", "a token for another resource", Critical, audienceRule, "AUD-06", audienceFix,
		each(claims{"aud": "https://other.example/mcp"}, claims{"aud": []string{"https://other.example/mcp", "https://third.example"}})},
	{"audience-missing", "a token without an audience", Critical, audienceRule, "AUD-01", audienceFix, each(claims{"aud": nil}, claims{"aud": []string{}}, claims{"aud": ""})},
	{"audience-part", "a token whose audience merely contains the resource, or is a part of it", Critical, audienceRule, "AUD-03", audienceFix,
		func(s *suite) []string {
			u := s.target.URL
			return each(claims{"aud": u + "." + elsewhere}, claims{"aud": u + "/other"}, claims{"aud": "x" + u}, claims{"aud": u + " https://other.example"},
				claims{"aud": u[:len(u)-1]}, claims{"aud": s.url.Scheme + "://"}, claims{"aud": "*"})(s)
		}},
	{"audience-elsewhere", "a token that names the resource in other claims than aud", Critical, audienceRule, "AUD-07", audienceFix,
		func(s *suite) []string {
			u := s.target.URL
			return each(claims{"aud": nil, "resource": u}, claims{"aud": nil, "azp": u}, claims{"aud": nil, "client_id": u}, claims{"aud": nil, "AUD": u}, claims{"aud": "https://other.example", "Aud": u})(s)
		}},
	{"audience-issuer", "a token for the authorization server itself", High, audienceRule, "AUD-12", audienceFix,
		func(s *suite) []string {
			return each(claims{"aud": s.issued}, claims{"aud": strings.TrimSuffix(s.issued, "/") + "/token"})(s)
		}},
	{"audience-duplicate", "a token with two aud members, the last for another resource", High, "RFC 7519 section 4", "TOK-23", "refuse claims with a repeated name",
		func(s *suite) []string {
			return []string{s.signed(s.goodHeader().with(nil), insert(s.goodClaims().with(nil), `"aud":"https://other.example/mcp"`))}
		}},
}

// insert puts a member at the end of an object.
func insert(object, member string) string {
	return strings.TrimSuffix(object, "}") + "," + member + "}"
}

var issuerTokens = []badToken{
	{"issuer-other", "a token that names another issuer", Critical, "RFC 9068 section 4; RFC 8725 section 3.8", "TOK-56", "compare iss byte for byte with the issuer of the key",
		func(s *suite) []string {
			return each(claims{"iss": "https://" + elsewhere}, claims{"iss": toggleSlash(s.issued)}, claims{"iss": s.issued + "#x"}, claims{"iss": strings.ToUpper(s.issued)})(s)
		}},
	{"issuer-missing", "a token without an issuer", High, "RFC 9068 section 2.2", "TOK-56", "demand iss", each(claims{"iss": nil}, claims{"iss": ""})},
	{"subject-missing", "a token without a subject", Low, "RFC 9068 section 2.2", "TOK-57", "demand sub", each(claims{"sub": nil}, claims{"sub": ""})},
}

func toggleSlash(u string) string {
	if cut, ok := strings.CutSuffix(u, "/"); ok {
		return cut
	}
	return u + "/"
}

func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

var timeTokens = []badToken{
	{"expired", "an expired token", Critical, "RFC 7519 section 4.1.4; MCP Authorization, Token Handling", "TOK-51", "compare exp with the clock, with a leeway of seconds",
		func(s *suite) []string {
			return each(claims{"exp": ago(time.Hour), "iat": ago(2 * time.Hour)}, claims{"exp": ago(10 * time.Minute), "iat": ago(time.Hour)}, claims{"exp": 1, "iat": 0})(s)
		}},
	{"expiry-missing", "a token that never expires", High, "RFC 9068 section 2.2", "TOK-50", "demand exp, as a number",
		func(s *suite) []string {
			return each(claims{"exp": nil}, claims{"exp": nil, "EXP": ago(-time.Hour)})(s)
		}},
	{"expiry-type", "a token whose exp is no number", Medium, "RFC 7519 section 2 (NumericDate)", "TOK-50", "demand exp as a JSON number",
		each(claims{"exp": "never"}, claims{"exp": true}, claims{"exp": []int64{1 << 40}}, claims{"exp": -1})},
	{"not-yet-valid", "a token that is not valid yet", High, "RFC 7519 section 4.1.5", "TOK-52", "compare nbf with the clock",
		func(s *suite) []string { return each(claims{"nbf": ago(-time.Hour), "exp": ago(-2 * time.Hour)})(s) }},
	{"issued-in-future", "a token of tomorrow", Low, "RFC 9068 section 2.2; advice", "TOK-53", "refuse an iat that lies ahead beyond the leeway",
		func(s *suite) []string { return each(claims{"iat": ago(-time.Hour), "exp": ago(-2 * time.Hour)})(s) }},
}

var kindTokens = []badToken{
	{"id-token", "an ID token", Critical, "RFC 9068 section 4; RFC 8725 section 3.12", "TOK-36", "accept typ at+jwt, or where issuers leave it out, refuse what an ID token has and an access token has not",
		func(s *suite) []string {
			id := claims{"aud": "mcpauth-check", "nonce": "n", "at_hash": "h", "auth_time": ago(time.Minute), "scope": nil, "client_id": nil}
			return []string{s.mint(claims{"typ": "JWT"}, id), s.mint(claims{"typ": nil}, id)}
		}},
	{"id-token-for-resource", "an ID token whose audience is the resource", Medium, "RFC 8725 section 3.12", "TOK-36", "refuse tokens of typ JWT that have nonce or at_hash",
		func(s *suite) []string {
			return []string{s.mint(claims{"typ": "JWT"}, claims{"nonce": "n", "at_hash": "h", "scope": nil, "client_id": nil})}
		}},
	{"other-type", "a JWT that says that it is something else", High, "RFC 8725 section 3.11; RFC 9068 section 4", "TOK-35", "compare typ with at+jwt, and with JWT where an issuer is known to send it",
		func(s *suite) (tokens []string) {
			for _, typ := range []string{"dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "client-authentication+jwt"} {
				tokens = append(tokens, s.mint(claims{"typ": typ}, nil))
			}
			return tokens
		}},
	{"bound-to-key", "a token that is bound to a key, sent without a proof", High, "RFC 9449 section 7.2; RFC 8705 section 3", "DPOP-01", "refuse tokens with cnf as plain bearer tokens",
		each(claims{"cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, claims{"cnf": claims{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}})},
	{"critical-header", "a token with a critical header that nobody knows", High, "RFC 7515 section 4.1.11", "TOK-30", "refuse crit unless every name in it is understood",
		func(s *suite) []string {
			return []string{
				s.mint(claims{"crit": []string{"urn:mcpauth:check"}, "urn:mcpauth:check": true}, nil),
				s.mint(claims{"crit": []string{}}, nil),
			}
		}},
}

var shapeTokens = []badToken{
	{"segments", "a token with parts too many or in another serialization", Low, "RFC 7515 section 7.1", "TOK-20", "count three parts before anything is decoded",
		func(s *suite) []string {
			good := s.mint(nil, nil)
			return []string{good + ".", good + ".e30", "." + good, strings.ReplaceAll(good, ".", ".."), `{"payload":"e30","signature":"e30"}`}
		}},
	{"base64", "a token that is not strictly base64url", Low, "RFC 7515 section 2; RFC 4648 sections 3.2 and 3.5", "TOK-22", "decode without padding, without line breaks, and with all spare bits zero",
		func(s *suite) []string {
			good := s.mint(nil, nil)
			return []string{good + "=", strings.Replace(good, ".", "=.", 1), looseBits(good)}
		}},
	{"duplicate-header", "a token with two alg or two typ members", Low, "RFC 7515 section 4", "TOK-23", "refuse headers with a repeated name",
		func(s *suite) []string {
			header := s.goodHeader().with(nil)
			return []string{s.signed(insert(header, `"alg":"none"`), s.goodClaims().with(nil)), s.signed(insert(header, `"typ":"JWT"`), s.goodClaims().with(nil))}
		}},
	{"oversized", "a token of 32 KiB", Low, "RFC 9110 section 5.4; advice", "LIMITS-04", "bound the length of tokens before they are parsed",
		func(s *suite) []string { return []string{s.mint(nil, claims{"filler": strings.Repeat("x", 24<<10)})} }},
}

// looseBits sets a spare bit of the last character, which decodes to the same bytes in lenient readers.
func looseBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	length := len(token) - strings.LastIndexByte(token, '.') - 1
	if last < 0 || length%4 == 0 {
		return token + "="
	}
	return token[:len(token)-1] + string(alphabet[last^1])
}

// statusChecks are about what all refusals have in common.
func statusChecks() []check {
	return []check{{
		id: "status.bad-tokens", title: "every bad token is answered with 401", severity: Medium, needs: needMinter,
		rule: "RFC 6750 section 3.1; MCP Authorization, Token Handling", requirement: "CHAL-03", fix: "answer 401 invalid_token, so that clients fetch a new token",
		run: func(s *suite) verdict {
			if len(s.notUnauthorized) > 0 {
				return failed("refused with another status: %s", strings.Join(s.notUnauthorized, ", "))
			}
			return passed
		}}, {
		id: "status.bad-body", title: "a body that is no JSON is the request's fault, not the token's", severity: Medium, needs: needToken,
		rule: "JSON-RPC 2.0 section 5.1; MCP Transports, Streamable HTTP", requirement: "MCP-04", fix: "answer 400",
		run: func(s *suite) verdict {
			r := s.probe(s.control)
			r.body = `{"jsonrpc":"2.0","id":1,`
			a := s.send(r)
			if a.served() || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status >= 500 {
				return failed("got %s, expected 400", a)
			}
			return passed
		}}}
}
