package mcpauth

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
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
	// Nothing usable was presented (401 without an error code), or too much (400 invalid_request).
	ErrNoCredentials   Reason = "authorization required"
	ErrManyCredentials Reason = "more than one credential"
	// The token is wrong: 401 invalid_token.
	ErrMalformedToken    Reason = "malformed token"
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
	// The rights do not suffice: 403 insufficient_scope if other scopes would help, 403 if none would.
	ErrInsufficientScope Reason = "insufficient scope"
	ErrForbidden         Reason = "not permitted"
	// Nobody can tell: 503 if keys or revocation cannot be looked up, 500 if the policy or the
	// revocation function is broken.
	ErrUnavailable Reason = "authorization temporarily unavailable"
	ErrPolicy      Reason = "authorization failed"
)

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

	refusal *refusal.Refusal // nil of one that somebody else has made
}

// Error returns the operator's text. Do not send it to a client.
func (e *DeniedError) Error() string {
	if e == nil || e.Err == nil { // somebody else has made it, such as a policy for its RetryAfter
		return "mcpauth: refused"
	}
	return "mcpauth: " + e.Err.Error()
}

// Unwrap returns Err, and nil of a nil *DeniedError: errors.Is may be asked
// about [Decision].Err of a request that is let through.
func (e *DeniedError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// deniedError makes the public error of a refusal, at the doors through which one leaves the package.
func deniedError(r *refusal.Refusal) *DeniedError {
	return &DeniedError{Status: r.Status(), Code: r.OAuth(), Scopes: r.Scopes, RetryAfter: r.RetryAfter, Err: &reasoned{r}, refusal: r}
}

// reasoned is a refusal whose reasons are those of this package.
type reasoned struct{ *refusal.Refusal }

// Unwrap implements the interface that [errors.Is] and [errors.As] look for.
func (r *reasoned) Unwrap() []error {
	all := r.Refusal.Unwrap()
	for i, err := range all {
		switch err := err.(type) {
		case refusal.Reason:
			all[i] = Reason(err)
		case *refusal.Refusal:
			all[i] = &reasoned{err}
		}
	}
	return all
}

// reason returns the reason inside, [ErrForbidden] if there is none.
func (e *DeniedError) reason() Reason {
	if e.refusal != nil {
		return Reason(e.refusal.Reason)
	}
	return ErrForbidden
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

// newConfigError bounds what is shown of a value.
func newConfigError(field, value, reason string) *ConfigError {
	return &ConfigError{Field: field, Value: foreign.Line(value), Reason: reason}
}

// Error names the field, the value and the fix.
func (e *ConfigError) Error() string {
	field := "." + e.Field
	if strings.HasPrefix(e.Field, "[") {
		field = e.Field // of one of several, for NewHost
	}
	return fmt.Sprintf("mcpauth: Config%s = %s: %s", field, e.Value, e.Reason)
}

// shownError shows the text of an error that may repeat what somebody else has
// sent. Joined errors stand on one line.
func shownError(err error) string {
	return foreign.Line(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// shownURL shows a URL without what may be a secret in it.
func shownURL(raw string) string { return foreign.URL(raw) }
