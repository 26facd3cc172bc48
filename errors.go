package mcpauth

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Reason says, in fixed words, why a request was refused. It is all that a
// client is told, as error_description and message, and it is an error, so that
// errors.Is(err, mcpauth.ErrExpired) works on whatever this package returns.
type Reason string

// Error returns the words.
func (r Reason) Error() string { return string(r) }

// What is wrong with a token is answered with 401, what is missing in rights
// with 403, and what we cannot find out with 503, so that a client keeps a
// good token through an outage.
const (
	ErrNoCredentials     Reason = "authorization required"   // 401 without an error code: nothing usable was presented
	ErrManyCredentials   Reason = "more than one credential" // 400 invalid_request
	ErrMalformedToken    Reason = "malformed token"          // 401 invalid_token, as the next twelve
	ErrTokenTooComplex   Reason = "token too complex"
	ErrTokenType         Reason = "token type not accepted"
	ErrAlgorithm         Reason = "signature algorithm not accepted"
	ErrClaims            Reason = "claim missing or malformed"
	ErrIssuer            Reason = "issuer not accepted"
	ErrAudience          Reason = "audience mismatch"
	ErrExpired           Reason = "token expired"
	ErrNotYetValid       Reason = "token not yet valid"
	ErrUnknownKey        Reason = "signing key unknown"
	ErrSignature         Reason = "signature invalid"
	ErrSenderConstrained Reason = "sender-constrained token without proof of possession"
	ErrRevoked           Reason = "token revoked"
	ErrInsufficientScope Reason = "insufficient scope"                    // 403 insufficient_scope: other scopes would help
	ErrForbidden         Reason = "not permitted"                         // 403: no scope would help
	ErrUnavailable       Reason = "authorization temporarily unavailable" // 503: keys or revocation cannot be looked up
	ErrPolicy            Reason = "authorization failed"                  // 500: the policy or the revocation function is broken
)

// What is wrong with the request itself.
const (
	errOrigin         Reason = "origin not allowed"
	errHTTPMethod     Reason = "HTTP method not allowed"
	errRequestHeaders Reason = "request header fields too large"
	errMediaType      Reason = "content type or encoding not supported"
	errBodyTooLarge   Reason = "request body too large"
	errSlowBody       Reason = "request body too slow"
	errTooMuchHeld    Reason = "too many large messages at once"
	errUnreadableBody Reason = "body is not one JSON text"
	errInvalidRequest Reason = "body is not an acceptable JSON-RPC message"
	errInvalidParams  Reason = "target of the call is missing or malformed"
	errHeaderMismatch Reason = "header and body disagree"
	errUnknownMethod  Reason = "method not found"
	errUnknownSession Reason = "session not found"
	errUnknownTask    Reason = "task not found"
	errUnknownCursor  Reason = "invalid cursor"
	errCancelled      Reason = "request cancelled"
	errTooManyStreams Reason = "too many streams"
	errUnfiltered     Reason = "list cannot be filtered"
)

// refusal is how one reason is answered.
type refusal struct {
	status int
	oauth  string // RFC 6750 section 3.1 error code, "" for none
	rpc    int    // JSON-RPC error code; 0: the body is an OAuth error object instead
}

// answer returns how r is answered. Codes of our own lie outside the range
// that JSON-RPC reserves; -32020 is MCP's header mismatch.
func (r Reason) answer() refusal {
	switch r {
	case ErrNoCredentials:
		return refusal{http.StatusUnauthorized, "", 0}
	case ErrManyCredentials:
		return refusal{http.StatusBadRequest, "invalid_request", -32600}
	case ErrUnavailable:
		return refusal{http.StatusServiceUnavailable, "", -31503}
	case ErrInsufficientScope:
		return refusal{http.StatusForbidden, "insufficient_scope", -31403}
	case ErrForbidden, errOrigin:
		return refusal{http.StatusForbidden, "", -31403}
	case ErrPolicy:
		return refusal{http.StatusInternalServerError, "", -32603}
	case errHTTPMethod:
		return refusal{http.StatusMethodNotAllowed, "", -31405}
	case errRequestHeaders:
		return refusal{http.StatusRequestHeaderFieldsTooLarge, "", -31431}
	case errMediaType:
		return refusal{http.StatusUnsupportedMediaType, "", -31415}
	case errBodyTooLarge:
		return refusal{http.StatusRequestEntityTooLarge, "", -31413}
	case errSlowBody:
		return refusal{http.StatusRequestTimeout, "", -31408}
	case errUnreadableBody:
		return refusal{http.StatusBadRequest, "", -32700}
	case errInvalidRequest:
		return refusal{http.StatusBadRequest, "", -32600}
	case errInvalidParams:
		return refusal{http.StatusBadRequest, "", -32602}
	case errHeaderMismatch:
		return refusal{http.StatusBadRequest, "", -32020}
	case errUnknownMethod:
		return refusal{http.StatusNotFound, "", -32601}
	case errUnknownSession:
		return refusal{http.StatusNotFound, "", -31404}
	case errUnknownTask, errUnknownCursor:
		return refusal{http.StatusOK, "", -32602} // as the handler answers
	case errCancelled:
		return refusal{http.StatusOK, "", -31499} // nobody waits for it, but clients want a whole answer
	case errTooManyStreams, errTooMuchHeld:
		return refusal{http.StatusTooManyRequests, "", -31429}
	case errUnfiltered:
		return refusal{http.StatusInternalServerError, "", -32603}
	}
	return refusal{http.StatusUnauthorized, "invalid_token", 0}
}

// DeniedError is every refusal of this package. The client sees Status, Code,
// Scopes and the words of the [Reason] inside; Error adds what the operator
// needs: what was got and what was expected. It never holds a token.
type DeniedError struct {
	Status int      // HTTP status
	Code   string   // OAuth error code of RFC 6750 section 3.1, "" when the standard has none
	Scopes []string // all scopes of the refused operation, when scopes would help
	Err    error    // wraps a [Reason]

	// RetryAfter is how long to wait after a 503; 0 otherwise.
	RetryAfter time.Duration

	inBand bool // to be answered with a tool result
}

// Error returns the operator's text. Do not send it to a client.
func (e *DeniedError) Error() string { return "mcpauth: " + e.Err.Error() }

// Unwrap returns Err, and nil of a nil *DeniedError: errors.Is may be asked
// about [Decision].Err of a request that is let through.
func (e *DeniedError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// cause is a reason with its got and expected, put into words only when
// somebody reads it.
type cause struct {
	reason    Reason
	what      string // the thing that is wrong: "iss", "exp", "Content-Type"
	got, want string // got is the sender's: quoted and shortened before it is shown
	err       error
}

func (c *cause) Error() string {
	var b strings.Builder
	b.WriteString(string(c.reason))
	if c.what != "" {
		b.WriteString(": " + c.what)
	}
	if c.got != "" {
		b.WriteString(", got " + shown(c.got))
	}
	if c.want != "" {
		b.WriteString(", expected " + c.want)
	}
	if c.err != nil {
		b.WriteString(": " + shownError(c.err))
	}
	return b.String()
}

func (c *cause) Unwrap() []error {
	if c.err == nil {
		return []error{c.reason}
	}
	return []error{c.reason, c.err}
}

// deny makes the refusal for a reason; what, got and want may be empty.
func deny(reason Reason, what, got, want string) *DeniedError {
	a := reason.answer()
	return &DeniedError{Status: a.status, Code: a.oauth, Err: &cause{reason: reason, what: what, got: got, want: want}}
}

// denyFor makes the refusal for a reason that another error explains.
func denyFor(reason Reason, what string, err error) *DeniedError {
	a := reason.answer()
	return &DeniedError{Status: a.status, Code: a.oauth, Err: &cause{reason: reason, what: what, err: err}}
}

// reason returns the catalogue entry inside the error.
func (e *DeniedError) reason() Reason {
	if c, ok := e.Err.(*cause); ok {
		return c.reason
	}
	return ErrForbidden
}

// speakByStatus is for the message endpoint of HTTP+SSE. Its clients wait for answers on their
// stream and look at the status of a POST alone: one told of a refusal by a body with 200 waits
// until its own timeout.
func (e *DeniedError) speakByStatus() {
	e.inBand = false
	if e.Status == http.StatusOK {
		e.Status = http.StatusBadRequest
	}
}

// said is the reason that the client is told: of a token that nobody can judge yet,
// not that there is anything wrong with it.
func (e *DeniedError) said() Reason {
	if e.isUnsettled() {
		return ErrUnavailable
	}
	return e.reason()
}

// shown makes a sender's string fit for a log.
func shown(s string) string { return foreign.Quote(s) }

// ConfigError is one mistake in a [Config]. [New] returns all of them at once,
// joined.
type ConfigError struct {
	Field  string // path of the field, "Issuers[0].URL"
	Value  string // what it holds, as far as it may be shown
	Reason string // what is wrong with it, and the fix
}

// Error names the field, the value and the fix.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("mcpauth: Config.%s = %s: %s", e.Field, e.Value, e.Reason)
}

// shownError shows the text of an error that may repeat what somebody else has
// sent. Joined errors stand on one line.
func shownError(err error) string {
	return foreign.Line(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// shownURL shows a URL without what may be a secret in it.
func shownURL(raw string) string { return foreign.URL(raw) }
