package conformance

import "strings"

// opaqueChecks are about tokens that only their issuer can read, and tokens that were made for somebody else.
func opaqueChecks() []check {
	return []check{
		{id: "opaque.changed", title: "an opaque token that was changed is refused", severity: Critical, needs: needToken | needOpaque,
			rule: "RFC 7662 section 4", requirement: "INTRO-02", fix: "ask the issuer about the whole token, and remember answers under the whole token",
			run: func(s *suite) verdict {
				token := s.control
				swapped := strings.Map(swapCase, token)
				tokens := []string{token[:len(token)-1], token[1:], token + token, token + "A", otherEnd(token)}
				if swapped != token {
					tokens = append(tokens, swapped)
				}
				return s.noneAccepted("opaque.changed", tokens...)
			}},
		{id: "opaque.unsigned", title: "an opaque token as a claim of a JWT that nobody has signed is refused", severity: Critical, needs: needToken | needOpaque,
			rule: "RFC 8725 section 3.1", requirement: "INTRO-16", fix: "tell by the shape alone what a token is, and never fall back from one way of verification to the other",
			run: func(s *suite) verdict {
				claims := claims{"jti": s.control, "access_token": s.control, "sub": "admin", "aud": s.target.URL}.with(nil)
				unsigned := encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + "."
				return s.noneAccepted("opaque.unsigned", unsigned, unsigned+s.control, encode([]byte(`{"alg":"none"}`))+"."+s.control+".")
			}},
		{id: "opaque.foreign", title: "a good token that was made for another client or API is refused", severity: Critical, needs: needToken | needForeign,
			rule: "MCP Authorization, Token Audience Binding and Validation; RFC 7662 section 4", requirement: "INTRO-03",
			fix: "demand that aud, of the claims or of the issuer's answer, names this resource: that a token is active says nothing of whom it is for",
			run: func(s *suite) verdict { return s.noneAccepted("opaque.foreign", s.target.ForeignToken) }},
	}
}

func swapCase(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case 'A' <= r && r <= 'Z':
		return r - 'A' + 'a'
	}
	return r
}

// otherEnd is a token with another last character.
func otherEnd(token string) string {
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	return token[:len(token)-1] + last
}
