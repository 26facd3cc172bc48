package configfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// source is a file as it is written.
type source struct {
	name string
	data []byte
	root *node // nil if the text cannot be read

	// For position, made when it is asked for the first time.
	lines      []int // where each line begins
	characters []int // in front of each block
}

// node is a value and where it begins.
type node struct {
	at      int
	kind    strictjson.Kind
	text    string         // of a string or number
	raw     []byte         // as it is written
	members []member       // of an object
	items   []*node        // of an array
	named   map[string]int // the first member of each name, by it; made when somebody looks for one
	plainly map[string]int // and by the plain name
}

// has reports whether an object has a member of a name that is not empty.
func (n *node) has(name string) bool {
	return name != "" && slices.ContainsFunc(n.members, func(m member) bool { return m.name == name })
}

type member struct {
	at    int
	name  string
	value *node
}

// isNothing reports whether a value is null, which is as good as none.
func (n *node) isNothing() bool { return n.kind == strictjson.Null }

// kinds are what values are called.
var kinds = map[strictjson.Kind]string{
	strictjson.Object: "an object", strictjson.Array: "a list", strictjson.String: "a text", strictjson.Number: "a number",
	strictjson.True: "true", strictjson.False: "false", strictjson.Null: "null",
}

const maxMembers = 1 << 20

// parse reads the text as JSON. That a name stands twice does not keep it from going on: who reads
// an object looks for that.
func (t *source) parse() (*node, *Error) {
	err := strictjson.Valid(t.data, strictjson.Limits{Members: maxMembers, StrictStrings: true})
	if errors.Is(err, strictjson.ErrDuplicate) {
		err = passed(t.data)
	}
	if err := t.flaw(err); err != nil {
		return nil, err
	}
	p := parser{text: t, decoder: json.NewDecoder(bytes.NewReader(t.data))}
	p.decoder.UseNumber()
	root, err := p.value(0)
	if err != nil { // it is JSON, but passed is not asked how deep
		return nil, t.flaw(&strictjson.Error{Offset: p.start(), Err: strictjson.ErrDepth})
	}
	return root, nil
}

// passed reads a text in which names may stand twice.
func passed(data []byte) error {
	var r strictjson.Reader
	r.Reset(data, strictjson.Limits{})
	_, _ = r.Pass() // an error stays, and End returns it
	return r.End()
}

// flaw says what is wrong with a text that is no JSON, or more than JSON.
func (t *source) flaw(err error) *Error {
	var flaw *strictjson.Error
	switch {
	case !errors.As(err, &flaw):
		return nil
	case errors.Is(err, strictjson.ErrUTF8):
		return t.mistake(flaw.Offset, "", "a byte that is no UTF-8", "save the file as UTF-8")
	case errors.Is(err, strictjson.ErrSurrogate):
		return t.mistake(flaw.Offset, "", "half of a character", `write the character, or both halves of it as \uD83D\uDE00`)
	case errors.Is(err, strictjson.ErrDepth):
		return t.mistake(flaw.Offset, "", "more than 64 levels", "nothing here has so many: look for a bracket too many")
	case errors.Is(err, strictjson.ErrMembers):
		return t.mistake(flaw.Offset, "", "more than a million members", "write a shorter file")
	}
	return t.broken(flaw.Offset)
}

// broken says what is wrong where the grammar of JSON ends.
func (t *source) broken(at int) *Error {
	what, fix := "not JSON", "write a comma between two members, a colon behind a name, and a text in double quotes"
	rest, before := t.data[at:], bytes.TrimRight(t.data[:at], " \t\r\n")
	afterComma := bytes.HasSuffix(before, []byte(","))
	switch {
	case len(bytes.TrimSpace(t.data)) == 0:
		what, fix = "empty", "write a JSON object, {} at least"
	case bytes.HasPrefix(t.data, []byte("\uFEFF")):
		what, fix = "a byte order mark", "save the file as UTF-8 without one"
	case len(rest) == 0:
		what, fix = "ends in the middle", "close what is open: a text, a list or an object"
	case rest[0] == '/' || rest[0] == '#':
		what, fix = "a comment", "JSON has none: remove it"
	case rest[0] == '\'':
		what, fix = "a single quote", "a text stands in double quotes"
	case (rest[0] == '}' || rest[0] == ']') && afterComma:
		at, what, fix = len(before)-1, "a comma behind the last member", "remove it"
	case rest[0] == '\n' || rest[0] == '\r':
		what, fix = "a line ends inside a text", `close the text in front, or write \n for the end of a line`
	case json.Valid(before):
		what, fix = "something behind the end of the object", "remove it"
	case rest[0] == '"':
		what, fix = "nothing between two members", "write a comma in front, or a colon behind a name"
	case rest[0] == '\\':
		what, fix = "a backslash", `write \\ for one in a text`
	case rest[0] == '\t':
		what, fix = "a tab inside a text", `write \t for one`
	default:
		r, _ := utf8.DecodeRune(rest)
		what = "not JSON from " + foreign.Quote(string(r)) + " on"
	}
	return t.mistake(at, "", what, fix)
}

// parser makes nodes.
type parser struct {
	text    *source
	decoder *json.Decoder
}

// start is where the next token begins.
func (p *parser) start() int {
	rest := p.text.data[p.decoder.InputOffset():]
	return len(p.text.data) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
}

func (p *parser) value(depth int) (*node, error) {
	n := &node{at: p.start()}
	if depth == strictjson.MaxDepth && bytes.IndexByte([]byte("{["), p.text.data[n.at]) >= 0 {
		return nil, strictjson.ErrDepth
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if n.kind = strictjson.Array; token == '{' {
			n.kind = strictjson.Object
		}
		err = p.inside(n, depth+1)
	case string:
		n.kind, n.text = strictjson.String, token
	case json.Number:
		n.kind, n.text = strictjson.Number, token.String()
	case bool:
		if n.kind = strictjson.False; token {
			n.kind = strictjson.True
		}
	default:
		n.kind = strictjson.Null
	}
	n.raw = p.text.data[n.at:p.decoder.InputOffset()]
	return n, err
}

// inside reads what an object or a list has in it.
func (p *parser) inside(n *node, depth int) error {
	for p.decoder.More() {
		m := member{at: p.start()}
		if n.kind == strictjson.Object {
			token, err := p.decoder.Token()
			if err != nil {
				return err
			}
			m.name, _ = token.(string)
		}
		value, err := p.value(depth)
		if err != nil {
			return err
		}
		if m.value = value; n.kind == strictjson.Object {
			n.members = append(n.members, m)
		} else {
			n.items = append(n.items, value)
		}
	}
	_, err := p.decoder.Token()
	return err
}
