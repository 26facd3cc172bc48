package jsonrpc

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// IsBatch reports whether the body begins like a JSON-RPC batch: its first
// byte that is not white space opens an array. [Parse] refuses batches.
func IsBatch(body []byte) bool {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\n', '\r':
			continue
		}
		return c == '['
	}
	return false
}

// Parse reads a body that must be one JSON-RPC message. Its error is an
// [*Error]. What it returns aliases the body.
func Parse(body []byte) (Message, error) {
	p := parser{}
	p.r.Reset(body, bodyLimits)
	if err := p.message(); err != nil {
		return Message{}, refuse(body, err)
	}
	return p.m, nil
}

// parser is one pass over a body. It stops at the first thing that is wrong
// with the message; [refuse] then looks at the rest of the text.
type parser struct {
	r strictjson.Reader
	m Message

	// The envelope's members, to classify by when all have been seen.
	version, method, id, result, error bool
	nullID, nullResult                 bool

	known int // members of the objects that are read here
}

// message reads the envelope (JSON-RPC 2.0 sections 4 and 5).
func (p *parser) message() error {
	if p.r.Kind() == strictjson.Array {
		return ErrBatch
	}
	err := p.members(ErrEnvelope, func(name []byte) (err error) {
		switch string(name) {
		case "jsonrpc":
			err = p.jsonrpc()
		case "id":
			if p.nullID = p.null(); !p.nullID {
				p.id = true
				p.m.ID, err = readID(&p.r)
			}
		case "method":
			err = p.readMethod()
		case "params":
			err = p.params()
		case "result":
			p.nullResult = p.r.Kind() == strictjson.Null
			p.result = !p.nullResult
			_, err = p.r.Skip()
		case "error":
			err = p.readError()
		default:
			err = p.other(envelopeNames, name)
		}
		return err
	})
	if err == nil {
		err = p.r.End()
	}
	if err == nil {
		err = p.classify()
	}
	return err
}

// classify decides what the message is and refuses mixtures. A null stands for
// what is absent, except for a result that has no error beside it. An error may
// lack its id, and have null there: its sender could not read one.
func (p *parser) classify() error {
	p.result = p.result || p.nullResult && !p.method && !p.error
	switch {
	case !p.version:
		return ErrEnvelope
	case p.nullID && (p.method || p.result || !p.error):
		return ErrID
	case p.method && !p.result && !p.error:
		p.m.Kind = Notification
		if p.id {
			p.m.Kind = Request
		}
		return nil
	case !p.method && (p.id || p.error) && p.result != p.error && !p.m.HasParams:
		p.m.Kind = Response
		return nil
	}
	return ErrEnvelope
}

func (p *parser) readError() error {
	if p.null() {
		return nil
	}
	p.error = true
	if p.r.Kind() != strictjson.Object {
		return ErrEnvelope
	}
	_, err := p.r.Skip()
	return err
}

// null consumes a null, if one comes next.
func (p *parser) null() bool { return p.r.Kind() == strictjson.Null && p.r.Null() == nil }

func (p *parser) jsonrpc() error {
	s, err := p.r.String()
	if err != nil {
		return otherKind(err, ErrEnvelope)
	}
	if string(s) != "2.0" {
		return ErrEnvelope
	}
	p.version = true
	return nil
}

func (p *parser) readMethod() error {
	f, err := p.word(maxMethod)
	if err != nil {
		return err
	}
	if f.State != String || f.Value == "" {
		return ErrEnvelope
	}
	p.method = true
	p.m.Method = f.Value
	return nil
}

// readID reads a string, or an integer that is written the only way there is
// and small enough for float64. JSON-RPC 2.0 allows fractions; MCP does not.
func readID(r *strictjson.Reader) ([]byte, error) {
	switch r.Kind() {
	case strictjson.String:
		raw, s, err := r.RawString()
		if err == nil && len(s) > maxID {
			err = ErrLength
		}
		return raw, err
	case strictjson.Number:
		raw, err := r.Number()
		if err == nil && !isIntegerID(raw) {
			err = ErrID
		}
		return raw, err
	}
	return nil, ErrID
}

// isIntegerID takes a JSON number as written.
func isIntegerID(raw []byte) bool {
	digits := bytes.TrimPrefix(raw, []byte("-"))
	if len(digits) > maxIntegerDigits {
		return false
	}
	var n int64
	for _, c := range digits {
		if c-'0' > 9 {
			return false
		}
		n = 10*n + int64(c-'0')
	}
	return n <= maxIntegerID && (n > 0 || len(raw) == 1) // -0 and 0 differ for some
}

// members calls read for each member of the object that comes next; anything
// but an object is wrong.
func (p *parser) members(wrong error, read func(name []byte) error) error {
	if err := p.r.Object(); err != nil {
		return otherKind(err, wrong)
	}
	for {
		name, ok, err := p.r.Member()
		if err != nil || !ok {
			return err
		}
		if p.known++; p.known > maxKnown {
			return strictjson.ErrMembers
		}
		if err := read(name); err != nil {
			return err
		}
	}
}

// other passes over a member that is not read here.
func (p *parser) other(names vocabulary, name []byte) error {
	if names.resembles(name) {
		return ErrCase
	}
	_, err := p.r.Skip()
	return err
}

// otherKind is wrong in place of [strictjson.ErrKind], and err otherwise.
func otherKind(err, wrong error) error {
	if errors.Is(err, strictjson.ErrKind) {
		return wrong
	}
	return err
}

// field reads a member that should be a string.
func (p *parser) field(limit int) (Field, error) {
	s, state, err := p.text(limit)
	return Field{Value: string(s), State: state}, err
}

// word is field for a member that is mostly one of a few words.
func (p *parser) word(limit int) (Field, error) {
	s, state, err := p.text(limit)
	return Field{Value: interned(s), State: state}, err
}

// text reads a string of at most limit bytes without control characters, or
// passes over a value of another kind. Null is absent.
func (p *parser) text(limit int) (s []byte, state FieldState, err error) {
	switch p.r.Kind() {
	case strictjson.String:
	case strictjson.Null:
		return nil, Absent, p.r.Null()
	default:
		_, err := p.r.Skip()
		return nil, Other, err
	}
	switch s, err = p.r.String(); {
	case err != nil:
		return nil, Absent, err
	case len(s) > limit:
		return nil, Absent, ErrLength
	case hasControl(s):
		return nil, Absent, ErrControl
	}
	return s, String, nil
}

// hasControl reports whether s has a character of the Unicode category Cc.
func hasControl(s []byte) bool {
	for i, c := range s {
		switch {
		case ' ' <= c && c < 0x7f:
		case c <= 0x7f:
			return true
		case c == 0xc2: // the first byte of U+0080 to U+00BF
			if r, _ := utf8.DecodeRune(s[i:]); unicode.IsControl(r) {
				return true
			}
		}
	}
	return false
}
