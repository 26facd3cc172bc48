package matrix

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

type exchange = wire.Exchange

// evidence is all that is known about one scenario.
type evidence struct {
	server  *authservers.Server
	guarded *protected.Server
	reports []report
	as, rs  []exchange
}

// judge looks for one step of the flow. It returns the step's name and what is
// wrong with it, or nothing.
type judge func(evidence) (step, problem string)

// The steps, as the columns of the table are called.
const (
	stepDiscover      = "discovery"
	stepRegister      = "registration"
	stepAuthorize     = "code, PKCE, resource"
	stepList          = "list"
	stepCall          = "call"
	stepUp            = "step-up"
	stepUpWithRefresh = "step-up with a refresh token"
	stepRefresh       = "refresh"
	stepRotation      = "key rotation"
	stepRefused       = "consent refused"
	stepRefusedUp     = "step-up refused"
	stepRevoked       = "revocation"
)

var columns = []string{
	stepDiscover, stepRegister, stepAuthorize, stepList, stepCall, stepUp, stepUpWithRefresh, stepRefresh, stepRotation,
	stepRefused, stepRefusedUp, stepRevoked,
}

// find returns the exchanges that match.
func (evidence) find(in []exchange, matches func(exchange) bool) []exchange {
	var found []exchange
	for _, e := range in {
		if matches(e) {
			found = append(found, e)
		}
	}
	return found
}

// report returns what the client said about the nth time of a step.
func (e evidence) report(step string, nth int) report {
	for _, r := range e.reports {
		if r.Step == step {
			if nth--; nth == 0 {
				return r
			}
		}
	}
	return report{Text: "the client did not get so far"}
}

func (e evidence) ok(step string, nth int) bool     { return e.report(step, nth).OK }
func (e evidence) text(step string, nth int) string { return e.report(step, nth).Text }

// authorizations are the requests for a person's consent.
func (e evidence) authorizations() []exchange {
	return e.find(e.as, func(x exchange) bool {
		return x.Method == http.MethodGet && x.Path == e.server.Authorize && x.Params.Has("response_type")
	})
}

// grants are the token requests of one type that were answered with tokens.
func (e evidence) grants(grantType string) []exchange {
	return e.find(e.as, func(x exchange) bool {
		return x.Path == e.server.Token && x.Status == http.StatusOK && x.Params.Get("grant_type") == grantType
	})
}

// tooMuch holds the rule of every scenario, whatever the client does: no tool
// runs for whose scope nobody was asked.
func (e evidence) tooMuch() string {
	asked := ""
	for _, a := range e.authorizations() {
		asked += " " + a.Params.Get("scope")
	}
	for _, tool := range e.guarded.Ran() {
		if !slices.Contains(strings.Fields(asked), protected.Tools[tool]) {
			return fmt.Sprintf("%s ran, and consent was asked for%s", tool, asked)
		}
	}
	return ""
}

func discovered(e evidence) (string, string) {
	challenged := slices.IndexFunc(e.rs, func(x exchange) bool {
		return !x.Bearer && x.Status == http.StatusUnauthorized &&
			strings.Contains(x.Challenge, "resource_metadata=") && !strings.Contains(x.Challenge, "error=")
	})
	read := slices.IndexFunc(e.rs, func(x exchange) bool {
		return x.Path == protected.MetadataPath && x.Status == http.StatusOK
	})
	asked := e.find(e.as, func(x exchange) bool {
		return strings.Contains(x.Path, "/.well-known/") && x.Status == http.StatusOK
	})
	switch {
	case challenged < 0:
		return stepDiscover, "no request without a token, so no challenge"
	case read < challenged:
		return stepDiscover, "the challenge did not lead to the metadata"
	case len(asked) == 0:
		return stepDiscover, "the metadata did not lead to the authorization server"
	}
	return stepDiscover, ""
}

func registered(e evidence) (string, string) {
	made := e.find(e.as, func(x exchange) bool {
		return e.server.Register != "" && x.Path == e.server.Register && x.Method == http.MethodPost &&
			(x.Status == http.StatusCreated || x.Status == http.StatusOK) // RFC 7591 has the first
	})
	if len(made) == 0 {
		return stepRegister, "no client was registered"
	}
	return stepRegister, ""
}

func authorized(e evidence) (string, string) {
	asked := e.authorizations()
	if len(asked) == 0 {
		return stepAuthorize, "no authorization request"
	}
	first := asked[0].Params
	granted := e.grants("authorization_code")
	switch {
	case first.Get("response_type") != "code" || first.Get("code_challenge_method") != "S256":
		return stepAuthorize, "no code, or no PKCE"
	case first.Get("resource") != e.guarded.URL:
		return stepAuthorize, fmt.Sprintf("the authorization request names the resource %q", first.Get("resource"))
	case len(granted) == 0:
		return stepAuthorize, "no token"
	case granted[0].Params.Get("resource") != e.guarded.URL:
		return stepAuthorize, fmt.Sprintf("the token request names the resource %q", granted[0].Params.Get("resource"))
	}
	return stepAuthorize, ""
}

func listed(e evidence) (string, string) {
	if r := e.report("list", 1); !r.OK || r.Text != "admin echo" {
		return stepList, r.Text
	}
	return stepList, ""
}

func called(e evidence) (string, string) {
	r := e.report("call:echo", 1)
	if !r.OK || r.Text != "echo for ann" || !slices.Contains(e.guarded.Ran(), "echo") {
		return stepCall, r.Text
	}
	return stepCall, ""
}

func steppedUp(e evidence) (string, string) {
	return stepUp, e.stepUpProblem("ann")
}

func steppedUpWithRefresh(e evidence) (string, string) {
	if granted := e.grants("authorization_code"); len(granted) == 0 || !granted[0].Refresh {
		return stepUpWithRefresh, "there is no refresh token"
	}
	return stepUpWithRefresh, e.stepUpProblem("lee")
}

// stepUpProblem looks for the whole walk: refused once, consent asked for the
// scope, the same call again, and what was allowed before still is.
func (e evidence) stepUpProblem(person string) string {
	refusals := e.find(e.rs, func(x exchange) bool {
		return x.Status == http.StatusForbidden && strings.Contains(x.Challenge, `error="insufficient_scope"`)
	})
	asked := e.authorizations()
	r := e.report("call:admin", 1)
	switch {
	case len(refusals) == 0:
		return "nothing was refused"
	case len(asked) < 2 || !slices.Contains(strings.Fields(asked[len(asked)-1].Params.Get("scope")), "mcp:admin"):
		return "consent for the scope was not asked for: " + r.Text
	case !r.OK || r.Text != "admin for "+person:
		return r.Text
	case !slices.Equal(e.guarded.Ran(), []string{"echo", "admin", "echo"}):
		return fmt.Sprintf("%v ran: %s", e.guarded.Ran(), e.text("call:echo", 2))
	}
	return ""
}

func refreshed(e evidence) (string, string) {
	granted := e.grants("authorization_code")
	r := e.report("call:echo", 2)
	switch {
	case len(granted) == 0 || !granted[0].Refresh:
		return stepRefresh, "there is no refresh token"
	case !r.OK || !slices.Equal(e.guarded.Ran(), []string{"echo", "echo"}):
		return stepRefresh, r.Text
	case len(e.grants("refresh_token")) == 0:
		return stepRefresh, "the refresh token was not used"
	case len(granted) != 1:
		return stepRefresh, "the person was asked again"
	}
	return stepRefresh, ""
}

func refused(e evidence) (string, string) {
	denied := e.find(e.as, func(x exchange) bool { return x.Refusal == "access_denied" })
	r := e.report("connect", 1)
	switch {
	case len(denied) == 0:
		return stepRefused, "nobody refused"
	case r.OK || len(e.grants("authorization_code")) > 0 || len(e.guarded.Ran()) > 0:
		return stepRefused, "the client went on"
	case !tellsWhy(r.Text):
		return stepRefused, "the client does not tell why: " + r.Text
	}
	return stepRefused, ""
}

// tellsWhy looks for the error that the authorization server gave, or for its
// description of it.
func tellsWhy(text string) bool {
	return slices.ContainsFunc([]string{"access_denied", "the person said no", "User denied access"},
		func(told string) bool { return strings.Contains(text, told) })
}

// dump shows the evidence of a cell that is not as expected. There is no
// secret in it.
func (e evidence) dump(t *testing.T) {
	t.Helper()
	for _, r := range e.reports {
		t.Logf("client: %+v", r)
	}
	for _, x := range e.as {
		t.Logf("authorization server: %s %s %v -> %d %s", x.Method, x.Path, x.Params, x.Status, x.Refusal)
	}
	for _, x := range e.rs {
		t.Logf("resource server: %s %s bearer=%t %v -> %d %s", x.Method, x.Path, x.Bearer, x.Params, x.Status, x.Challenge)
	}
	t.Logf("ran: %v\n%s", e.guarded.Ran(), e.guarded.Log())
}
