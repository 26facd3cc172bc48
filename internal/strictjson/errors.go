package strictjson

import (
	"errors"
	"strconv"
)

// The reasons for which a text is refused, to be found with [errors.Is].
var (
	// ErrSyntax reports a text that is not exactly one JSON value (RFC 8259
	// section 2): grammar, trailing data, a byte order mark, an empty text.
	ErrSyntax = errors.New("not one JSON text")
	// ErrUTF8 reports bytes that are not UTF-8 (RFC 8259 section 8.1).
	ErrUTF8 = errors.New("not UTF-8")
	// ErrDuplicate reports two members of one object with the same name after
	// decoding of escapes (RFC 8259 section 4, RFC 7493 section 2.3).
	ErrDuplicate = errors.New("duplicate member name")
	// ErrDepth reports nesting beyond [Limits.Depth].
	ErrDepth = errors.New("nested too deeply")
	// ErrMembers reports more object members than [Limits.Members].
	ErrMembers = errors.New("too many object members")
	// ErrSurrogate reports an escaped surrogate that is not half of a pair
	// (RFC 7493 section 2.1).
	ErrSurrogate = errors.New("lone surrogate")
	// ErrKind reports a value that is not of the kind that was asked for. It is
	// the one error after which the Reader goes on: nothing has been consumed.
	ErrKind = errors.New("value of another kind")
	// ErrOrder reports a method called where it does not apply, such as
	// [Reader.Member] outside an object.
	ErrOrder = errors.New("call out of order")
)

// Error says why and where a text was refused. It holds none of the text.
type Error struct {
	Offset int   // in bytes from the start of the text
	Err    error // one of the sentinels of this package
}

// Error implements the error interface.
func (e *Error) Error() string {
	return "json: " + e.Err.Error() + " at byte " + strconv.Itoa(e.Offset)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }
