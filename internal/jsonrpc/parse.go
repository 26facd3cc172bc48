package jsonrpc

import (
	"bytes"
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

// Names are names and URIs that somebody knows, by themselves: to read one of them
// costs no memory.
type Names map[string]string

// Parse reads a body that must be one JSON-RPC message. Its error is an
// [*Error]. What it returns aliases the body.
func Parse(body []byte) (Message, error) { return Names(nil).Parse(body) }

// Parse is [Parse] for somebody who knows names.
func (n Names) Parse(body []byte) (Message, error) {
	p := parser{names: n}
	p.r.Reset(body, bodyLimits)
	if err := p.message(); err != nil {
		return Message{}, refuse(body, err)
	}
	return p.m, nil
}

// parser is one pass over a body. It stops at the first thing that is wrong
// with the message; [refuse] then looks at the rest of the text.
type parser struct {
	r     strictjson.Reader
	m     Message
	names Names
	err   error // the first thing that is wrong

	// The member last read: its name, "" if it is none that is known, and its
	// value. An object or array is still to be entered, or passed over.
	member string
	value  strictjson.Value

	// The envelope's members, to classify by when all have been seen.
	version, method, id, result, error bool
	nullID, nullResult                 bool

	known int // members of the objects that are read here
}

// message reads the envelope (JSON-RPC 2.0 sections 4 and 5).
func (p *parser) message() error {
	if p.value.Kind = p.r.Kind(); p.value.Kind == strictjson.Array {
		return ErrBatch
	}
	var seen uint64
	for p.object(ErrEnvelope); p.next(envelopeNames, &seen); {
		switch kind := p.value.Kind; p.member {
		case "jsonrpc":
			p.version = kind == strictjson.String && string(p.value.Text()) == "2.0"
			p.must(p.version, ErrEnvelope)
		case "id":
			if p.nullID = kind == strictjson.Null; !p.nullID {
				p.id, p.m.ID = true, p.value.Raw
				p.fail(checkID(&p.value))
			}
		case "method":
			p.m.Method = p.field(maxMethod).Value
			p.method = p.m.Method != ""
			p.must(p.method, ErrEnvelope)
		case "params":
			p.params()
		case "result":
			p.nullResult = kind == strictjson.Null
			p.result = !p.nullResult
			p.pass()
		case "error":
			p.error = kind != strictjson.Null
			p.must(!p.error || kind == strictjson.Object, ErrEnvelope)
			p.pass()
		default:
			p.other(envelopeNames)
		}
	}
	p.fail(p.r.End())
	p.fail(p.classify())
	return p.err
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

// checkID wants a string, or an integer that is written the only way there is
// and small enough for float64. JSON-RPC 2.0 allows fractions; MCP does not.
func checkID(v *strictjson.Value) error {
	switch {
	case v.Kind == strictjson.String && len(v.Text()) > maxID:
		return ErrLength
	case v.Kind == strictjson.String, v.Kind == strictjson.Number && isIntegerID(v.Raw):
		return nil
	}
	return ErrID
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

// fail notes the first error.
func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *parser) must(ok bool, wrong error) {
	if !ok {
		p.fail(wrong)
	}
}

// object enters the value, unless that is anything else, which is wrong.
func (p *parser) object(wrong error) {
	if p.value.Kind != strictjson.Object {
		p.fail(wrong)
		return
	}
	p.fail(p.r.Object())
}

// next reads a member of the object entered last, and reports whether there was one
// and nothing is wrong so far.
func (p *parser) next(names vocabulary, seen *uint64) bool {
	if p.err != nil {
		return false
	}
	p.member, p.value, p.err = p.r.Field(strictjson.Words(names), seen)
	if p.value.Kind == strictjson.Invalid {
		return false
	}
	p.known++
	p.must(p.known <= maxKnown, strictjson.ErrMembers)
	return p.err == nil
}

// pass returns the value as written.
func (p *parser) pass() []byte {
	if kind := p.value.Kind; kind != strictjson.Object && kind != strictjson.Array {
		return p.value.Raw
	}
	raw, err := p.r.Skip()
	p.fail(err)
	return raw
}

// other passes over a member that is not read here.
func (p *parser) other(names vocabulary) {
	p.must(p.member != "" || !names.resembles(p.r.Name()), ErrCase)
	p.pass()
}

// field takes a value that should be a string of at most limit bytes without control
// characters, and passes over one of another kind. Null is absent.
func (p *parser) field(limit int) Field {
	switch p.value.Kind {
	case strictjson.String:
	case strictjson.Null:
		return Field{}
	default:
		p.pass()
		return Field{State: Other}
	}
	s := p.value.Text()
	switch {
	case len(s) > limit:
		p.fail(ErrLength)
	case hasControl(s):
		p.fail(ErrControl)
	default:
		return Field{Value: p.text(s), State: String}
	}
	return Field{}
}

// text returns s as a string, without allocating for the words that nearly all
// messages consist of and for the names that are known.
func (p *parser) text(s []byte) string {
	if word := interned(s); word != "" {
		return word
	}
	if name, known := p.names[string(s)]; known {
		return name
	}
	return string(s)
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
