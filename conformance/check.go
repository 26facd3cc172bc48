package conformance

import (
	"fmt"
	"net/http"

	"github.com/seed-1e292522/mcpauth/internal/introspect"
)

// check is one question to the target.
type check struct {
	id          string // "group.name"
	title       string // what a conforming server does
	severity    Severity
	rule        string
	requirement string
	needs       need
	fix         string
	run         func(s *suite) verdict
}

// need is what a check cannot do without.
type need uint16

const (
	needDocument  need = 1 << iota // the metadata document
	needChallenge                  // a readable challenge
	needCandidate                  // a token of which it is not yet known whether the target accepts it
	needToken                      // a token that the target has accepted
	needMinter                     // a minter whose control token the target has accepted
	needTools                      // tools that may be called, and a minter
	needSession                    // a session
	needModern                     // a target that speaks 2026-07-28
	needLegacy                     // a target that speaks an older revision
	needOrigin                     // an origin that the target admits
	needNotifier                   // a tool that sends notifications while it runs
	needOpaque                     // a token that only its issuer can read
	needForeign                    // a token that was made for somebody else
)

// verdict is the outcome of a check.
type verdict struct {
	outcome Outcome
	detail  string
}

var passed = verdict{outcome: Pass}

func failed(format string, args ...any) verdict {
	return verdict{Fail, fmt.Sprintf(format, args...)}
}

func notRun(format string, args ...any) verdict {
	return verdict{NotRun, fmt.Sprintf(format, args...)}
}

const giveMinter = ": give one (Minter, --embed-issuer, or --issuer with --key)"

// lacks says why a check cannot be run, "" if it can.
func (s *suite) lacks(n need) string {
	control := "the control token, which has no fault, was not accepted: " + s.controlProblem
	for _, required := range []struct {
		need
		met    bool
		reason string
	}{
		{needDocument, s.document != nil, "there is no metadata document to look at"},
		{needChallenge, s.bare != nil, "there is no Bearer challenge to look at"},
		{needMinter, s.target.Minter != nil, "no issuer to mint tokens with" + giveMinter},
		{needCandidate | needToken, s.target.Minter != nil || s.target.Token != "", "no token that the target accepts is at hand: give one (Token, --token), or an issuer (Minter, --embed-issuer, or --issuer with --key)"},
		{needToken | needMinter, s.control != "", control},
		{needTools, len(s.target.Tools) > 0, "no harmless tools were named: name some (Tools, --tool)"},
		{needTools, s.target.Minter != nil, "no issuer to mint tokens with" + giveMinter},
		{needTools, s.control != "", control},
		{needSession, s.session != "", "the target gave no session id"},
		{needModern, s.modern, "the target does not speak " + modernVersion},
		{needLegacy, !s.modernOnly, "the target speaks no revision before " + modernVersion},
		{needNotifier, s.target.Notifier != "", "no tool that sends notifications was named: name one (Notifier, --notifier)"},
		{needOpaque, s.target.Minter == nil && !introspect.IsJWT(s.target.Token), "the token at hand is a JWT: give one that is none, and no issuer (Token, --token)"},
		{needForeign, s.target.ForeignToken != "", "no good token for another client or API was given: give one (ForeignToken, --foreign-token)"},
		{needOrigin, s.target.Origin != "", "no admitted browser origin was named: name one (Origin, --origin)"},
	} {
		if n&required.need != 0 && !required.met {
			return required.reason
		}
	}
	return ""
}

// refused is the verdict for a request that must not be served.
func (s *suite) refused(r request) verdict {
	a := s.send(r)
	s.ignored = a.status == http.StatusAccepted && a.rpc.Result == nil
	switch {
	case a.served():
		return failed("got %s, expected a refusal", a)
	case a.status >= 500:
		return failed("got %s, expected a refusal with a status of the 400s", a)
	}
	return passed
}

// accepted is the verdict for a request that must be served.
func (s *suite) accepted(r request) verdict {
	if a := s.send(r); !a.served() {
		return failed("got %s, expected success", a)
	}
	return passed
}
