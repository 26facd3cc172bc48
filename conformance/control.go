package conformance

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

// controlChecks find a token that the target accepts, and how to talk to it.
func controlChecks() []check {
	return []check{
		{id: "control.accepted", title: "a token without any fault is accepted", severity: High, needs: needCandidate,
			rule: "MCP Authorization, Token Handling", requirement: "TOK-43",
			fix: "let the target trust the issuer and the audience that the report names; mcpauth doctor says what it objects to", run: (*suite).findControl},
		{id: "control.other-person", title: "a token of another person is accepted", severity: High, needs: needMinter,
			rule: "RFC 9068 section 2.2", requirement: "TOK-58", fix: "accept every subject of the issuer, or let the policy say who may come",
			run: func(s *suite) verdict { return s.accepted(s.probe(s.mint(nil, claims{"sub": "mcpauth-check-2"}))) }},
		{id: "control.audience-list", title: "aud may be a list that contains the resource", severity: Medium, needs: needMinter,
			rule: "RFC 7519 section 4.1.3", requirement: "AUD-05", fix: "read aud as a string or as a list of strings",
			run: func(s *suite) verdict {
				return s.accepted(s.probe(s.mint(nil, claims{"aud": []string{"https://other.example/mcp", s.target.URL}})))
			}},
		{id: "control.token-type-case", title: "typ is compared without regard to case, with or without application/", severity: Low, needs: needMinter,
			rule: "RFC 7515 section 4.1.9", requirement: "TOK-34", fix: "take AT+JWT and application/at+jwt for at+jwt",
			run: func(s *suite) verdict {
				for _, typ := range []string{"AT+JWT", "application/at+jwt"} {
					if v := s.accepted(s.probe(s.mint(claims{"typ": typ}, nil))); v.outcome != Pass {
						return v
					}
				}
				return passed
			}},
		{id: "control.extra-claims", title: "claims that nobody knows are ignored", severity: Low, needs: needMinter,
			rule: "RFC 7519 section 4", requirement: "TOK-64", fix: "ignore unknown claims",
			run: func(s *suite) verdict {
				return s.accepted(s.probe(s.mint(nil, claims{"https://example.com/unknown": map[string]any{"a": []int{1}}})))
			}},
	}
}

// claims are members of a header or of a token's payload. A nil value takes one away.
type claims map[string]any

// lifetime of minted tokens.
const lifetime = 10 * time.Minute

// goodClaims are those of the control token.
func (s *suite) goodClaims() claims {
	now := time.Now().Unix()
	// Issued a while ago: of a token of this second, signed with a key that it does
	// not know, a server may say that it cannot know (503), not that it is bad.
	c := claims{
		"iss": s.issued, "sub": "mcpauth-check-1", "client_id": "mcpauth-check", "aud": s.target.URL,
		"iat": now - 120, "exp": now + int64(lifetime/time.Second), "jti": rand.Text(),
	}
	if scopes := s.target.scopes(); len(scopes) > 0 {
		c["scope"] = strings.Join(scopes, " ")
	}
	return c
}

func (s *suite) goodHeader() claims {
	kid, alg, _ := s.target.Minter.Key()
	h := claims{"alg": alg, "typ": "at+jwt"}
	if kid != "" {
		h["kid"] = kid
	}
	return h
}

// with renders c with changes.
func (c claims) with(changes claims) string {
	all := maps.Clone(c)
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic("conformance: " + err.Error()) // the checks write what JSON can hold
	}
	return string(text)
}

// mint makes the control token with changes to its header and its claims.
func (s *suite) mint(header, changes claims) string {
	return s.signed(s.goodHeader().with(header), s.goodClaims().with(changes))
}

// signed has the minter sign two texts as they are. A minter that cannot ends the check.
func (s *suite) signed(header, payload string) string {
	token, err := s.target.Minter.Sign(header, payload)
	if err != nil && s.err == nil {
		s.err = err
	}
	return token
}

// findControl looks for the revision that the target speaks, and opens a session.
func (s *suite) findControl() verdict {
	token := s.target.Token
	if s.target.Minter != nil {
		token = s.mint(nil, nil)
	}
	old := s.send(legacy(token, "", initializeBody))
	s.modern = s.send(modern(token, "tools/list", "", modernListBody)).served()
	switch {
	case old.served():
		s.session = old.header.Get("Mcp-Session-Id")
		s.send(legacy(token, s.session, initializedBody))
	case s.modern:
		s.modernOnly = true
	default:
		s.controlProblem = "it got " + old.String()
		return failed("got %s, expected success", old)
	}
	s.control = token
	return passed
}

// other is a good token of another person, "" if there is none.
func (s *suite) other() string {
	if s.target.Minter != nil {
		return s.mint(nil, claims{"sub": "mcpauth-check-2"})
	}
	return s.target.OtherToken
}

func outageChecks() []check {
	return []check{{
		id: "outage.not-401", title: "a token that cannot be checked now is not called invalid", severity: Medium,
		rule: "RFC 9110 section 15.6.4; RFC 6750 section 3.1", requirement: "CHAL-24",
		fix: "answer 503 with Retry-After while keys cannot be fetched: a client throws a good token away on 401", run: (*suite).outage,
	}}
}

// outageWait is how long the target may take to notice that the issuer is back.
const outageWait = 40 * time.Second

// outage presents the first token of the run while the issuer is down. A target
// that has fetched the keys before accepts it; that is fine too.
func (s *suite) outage() verdict {
	issuer, embedded := s.target.Minter.(*Issuer)
	if !embedded || !s.target.Outage {
		return notRun("needs the embedded issuer, and to be asked for (Outage, --outage)")
	}
	issuer.down.Store(true)
	a := s.send(s.probe(s.mint(nil, nil)))
	issuer.down.Store(false)
	if a.status == http.StatusUnauthorized {
		s.recover()
		return failed("got 401 while the issuer was down, expected 503")
	}
	if !s.recover() {
		return failed("the target does not accept tokens %v after the issuer came back", outageWait)
	}
	if a.status >= 500 && a.header.Get("Retry-After") == "" {
		return failed("got %s without Retry-After", a)
	}
	return passed
}

// recover waits until the target accepts tokens again, lest the rest of the
// run fail for the same reason.
func (s *suite) recover() bool {
	for end := time.Now().Add(outageWait); time.Now().Before(end) && s.ctx.Err() == nil; {
		token := s.mint(nil, nil)
		if s.send(legacy(token, "", initializeBody)).served() || s.send(modern(token, "tools/list", "", modernListBody)).served() {
			return true
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
		}
	}
	return false
}
