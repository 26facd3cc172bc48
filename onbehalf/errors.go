package onbehalf

import (
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// Kind is what is to be done about an [Error].
type Kind string

// The kinds of errors. A minor version may add one: take what you do not know for [Refused].
const (
	Interaction   Kind = "interaction"   // the user has to agree, or to sign in once more: see [Exchanger.Answer]
	MoreScope     Kind = "more scope"    // the user's token has to have more scopes: see [Exchanger.Answer]
	NoUser        Kind = "no user"       // the caller is a client, and the grant is for users
	Refused       Kind = "refused"       // the authorization server says no, or what it says cannot be used
	Unavailable   Kind = "unavailable"   // nobody can tell now: try again, after RetryAfter
	Over          Kind = "over"          // the request is over, or its token, or the context
	Misconfigured Kind = "misconfigured" // the operator has to mend something; the log says what
)

// words are all that a caller is told.
var words = map[Kind]string{
	Interaction:   "the user's consent is needed",
	MoreScope:     "more scopes are needed",
	NoUser:        "there is no user to act for",
	Refused:       "refused",
	Unavailable:   "not available now",
	Over:          "the request is over",
	Misconfigured: "not available",
}

// Error is why there is no token. Its text has fixed words and may be shown to anybody.
type Error struct {
	Target string
	Kind   Kind
	Code   string // error of the token endpoint's answer, if it is one of the registered codes

	Scopes     []string      // with MoreScope: what the user's token needs in addition
	RetryAfter time.Duration // with Unavailable

	hint   string        // further fixed words
	claims func() string // nil for none; in a closure, where nobody prints it
	cause  error         // end of the caller's own context
}

// Error returns fixed words.
func (e *Error) Error() string {
	text := "onbehalf: " + e.Target + ": " + words[e.Kind]
	if e.hint != "" {
		text += ": " + e.hint
	}
	return text
}

// Claims is the parameter claims that the authorization server wants to see in the request that the user is
// sent there with, "" for none. It belongs into that URL and nowhere else.
func (e *Error) Claims() string {
	if e.claims == nil {
		return ""
	}
	return e.claims()
}

// Unwrap returns [mcpauth.ErrUnavailable] and [mcpauth.ErrInsufficientScope] for what is the same, and why
// the context that was given is over.
func (e *Error) Unwrap() error {
	switch {
	case e.cause != nil:
		return e.cause
	case e.Kind == Unavailable:
		return mcpauth.ErrUnavailable
	case e.Kind == MoreScope:
		return mcpauth.ErrInsufficientScope
	}
	return nil
}

// Event is the record of one token that was asked for.
type Event struct {
	Target    string
	Kind      Kind   // of the error, "" for none
	Principal string // [mcpauth.Principal.Key], "" if there is none
	Took      time.Duration
	Cached    bool // nothing was sent for it
}
