package matrix

import (
	"net/http"
	"slices"
	"strings"
)

// rotated looks for a token that was signed with a key which came after the
// first request, and for both being served.
func rotated(e evidence) (string, string) {
	if e.server.Rotate == nil {
		return stepRotation, "the keys are fixed"
	}
	if granted := e.grants("authorization_code"); len(granted) == 0 || !granted[0].Refresh {
		return stepRotation, "there is no refresh token"
	}
	served := e.find(e.rs, func(x exchange) bool { return x.Bearer && x.Status == http.StatusOK })
	unfit := e.find(e.rs, func(x exchange) bool { return strings.Contains(x.Challenge, "signature invalid") })
	switch r := e.report("call:echo", 2); {
	case !r.OK && len(unfit) > 0: // what the client says of it depends on when it gives up
		return stepRotation, "no key fits a signature: " + r.Text
	case !r.OK:
		return stepRotation, r.Text
	case len(served) == 0 || served[0].Key == "" || served[0].Key == served[len(served)-1].Key:
		return stepRotation, "the key is the same"
	}
	return stepRotation, ""
}

// refusedUp looks for a person who says no when asked for more: the client says so
// and goes on with what it may do.
func refusedUp(e evidence) (string, string) {
	asked := e.authorizations()
	denied := e.find(e.as, func(x exchange) bool { return x.Refusal == "access_denied" })
	r := e.report("call:admin", 1)
	switch {
	case len(asked) < 2 || !slices.Contains(strings.Fields(asked[len(asked)-1].Params.Get("scope")), "mcp:admin"):
		return stepRefusedUp, "consent for the scope was not asked for: " + r.Text
	case len(denied) == 0 && !e.narrowed():
		return stepRefusedUp, "nobody refused: " + r.Text
	case r.OK || slices.Contains(e.guarded.Ran(), "admin"):
		return stepRefusedUp, "the client went on"
	case !tellsWhy(r.Text) && !(e.server.Narrows && tellsMissing(r.Text)):
		return stepRefusedUp, "the client does not tell why: " + r.Text
	case !slices.Equal(e.guarded.Ran(), []string{"echo", "echo"}):
		return stepRefusedUp, "what was allowed before no longer is: " + e.text("call:echo", 2)
	}
	return stepRefusedUp, ""
}

// narrowed says whether the last grant is of fewer scopes than were asked for, which
// is all that some servers have for a refusal.
func (e evidence) narrowed() bool {
	granted := e.grants("authorization_code")
	if !e.server.Narrows || len(granted) < 2 {
		return false
	}
	scope := granted[len(granted)-1].Granted // none in the answer: all that was asked for
	return scope != "" && !slices.Contains(strings.Fields(scope), "mcp:admin")
}

// tellsMissing looks for what a client says of a scope that it did not get.
func tellsMissing(text string) bool {
	return strings.Contains(text, "insufficient scope") || strings.Contains(text, "scopes were not granted")
}

// revoked looks for a token that is refused although it has not expired, and for
// a client that asks the person again.
func revoked(e evidence) (string, string) {
	if e.server.Revoked == nil {
		return stepRevoked, "nobody is told"
	}
	refusals := e.find(e.rs, func(x exchange) bool {
		return x.Bearer && x.Status == http.StatusUnauthorized && strings.Contains(x.Challenge, `error="invalid_token"`)
	})
	switch r := e.report("call:echo", 2); {
	case len(refusals) == 0:
		return stepRevoked, "no token was refused"
	case len(e.guarded.Ran()) > len(e.grants("authorization_code")):
		return stepRevoked, "a tool ran for a token that was revoked"
	case !r.OK:
		return stepRevoked, r.Text
	}
	return stepRevoked, ""
}
