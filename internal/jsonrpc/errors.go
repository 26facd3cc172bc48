package jsonrpc

import (
	"errors"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// The error codes of JSON-RPC 2.0 section 5.1 that a body can earn here.
const (
	CodeParse   = -32700 // not one JSON text in UTF-8
	CodeInvalid = -32600 // JSON, but no acceptable message
)

// The reasons for CodeInvalid that are not about JSON itself, to be found with
// [errors.Is]; the others are those of [strictjson].
var (
	// ErrEnvelope reports members that are not those of a request, a
	// notification or a response (JSON-RPC 2.0 sections 4 and 5).
	ErrEnvelope = errors.New("not a JSON-RPC 2.0 message")
	// ErrBatch reports an array, which is one message in no version of MCP
	// but 2025-03-26.
	ErrBatch = errors.New("batch")
	// ErrID reports an id that is neither a string nor an integer that every
	// reader reads alike.
	ErrID = errors.New("id is not acceptable")
	// ErrCase reports a member name that differs from a security-relevant one
	// only by case.
	ErrCase = errors.New("member name differs from a known one by case only")
	// ErrType reports a member of params that has not the type MCP gives it.
	ErrType = errors.New("value of the wrong type")
	// ErrLength reports a method, id, name, URI or list beyond its limit.
	ErrLength = errors.New("value too long")
	// ErrControl reports a control character in a method, name or URI.
	ErrControl = errors.New("control character in a name")
)

// Error says why a body was refused. It holds none of the body but the id.
type Error struct {
	Code int    // CodeParse or CodeInvalid
	ID   []byte // as written, when the whole body leaves no doubt about it; else nil
	Err  error
}

// Error implements the error interface.
func (e *Error) Error() string { return "jsonrpc: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// refuse makes the Error for a body. What is wrong with the text itself goes
// before what is wrong with the message in it.
func refuse(body []byte, err error) *Error {
	id, textErr := readEnvelopeID(body)
	if textErr != nil {
		id, err = nil, textErr
	}
	code := CodeInvalid
	if errors.Is(err, strictjson.ErrSyntax) || errors.Is(err, strictjson.ErrUTF8) {
		code = CodeParse
	}
	return &Error{Code: code, ID: id, Err: err}
}

// readEnvelopeID reads the id of a body that is refused, so that the client can
// tell which request that was, and what is wrong with the text, if anything.
// An id that is not acceptable, or could be taken for another, is nil.
func readEnvelopeID(body []byte) (id []byte, err error) {
	limits := bodyLimits
	limits.StrictStrings = false // a bad string elsewhere casts no doubt on the id
	var r strictjson.Reader
	r.Reset(body, limits)
	if err := r.Object(); errors.Is(err, strictjson.ErrKind) {
		return nil, strictjson.Valid(body, limits)
	} else if err != nil {
		return nil, err
	}
	doubtful := false
	for {
		name, ok, err := r.Member()
		switch {
		case err != nil:
			return nil, err
		case !ok && doubtful:
			return nil, r.End()
		case !ok:
			return id, r.End()
		}
		doubtful = doubtful || envelopeNames.resembles(name)
		value, err := r.Skip()
		if err != nil {
			return nil, err
		}
		if string(name) == "id" {
			id = acceptableID(value)
		}
	}
}

func acceptableID(raw []byte) []byte {
	var r strictjson.Reader
	r.Reset(raw, strictjson.Limits{})
	if v, err := r.Value(); err != nil || checkID(&v) != nil {
		return nil
	}
	return raw
}
