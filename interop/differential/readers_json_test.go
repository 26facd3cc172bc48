package differential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fastjson"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

// reader is somebody else who reads a body.
type reader struct {
	name string
	// strict says that a body which this reader refuses is no JSON, so that
	// nobody may accept it. An SDK may refuse what it likes.
	strict bool
	// differs returns what it sees otherwise than the gate, or "", or the
	// error with which it refuses the body.
	differs func(body []byte, gate *reading) (string, error)
}

// readers are all those that are Go packages.
var readers = []reader{
	{"mcp-go", false, byType(readMCPGo)},
	{"go-sdk", false, byType(readGoSDK)},
	{"encoding/json, map", true, byValue(parseMap)},
	{"encoding/json, struct", false, byType(readFolding)},
	{"jsontext", true, byValue(parseJSONText)},
	{"fastjson", true, byValue(parseFastJSON)},
}

func byValue(parse func(body []byte) (any, error)) func([]byte, *reading) (string, error) {
	return func(body []byte, gate *reading) (string, error) {
		v, err := parse(body)
		if err != nil {
			return "", err
		}
		r, err := valueReading(v)
		if err != nil {
			return "", err
		}
		if r != *gate {
			return fmt.Sprintf("%+v, gate: %+v", r, *gate), nil
		}
		return "", nil
	}
}

func byType(read func(body []byte) (typed, error)) func([]byte, *reading) (string, error) {
	return func(body []byte, gate *reading) (string, error) {
		t, err := read(body)
		if err != nil {
			return "", err
		}
		return t.differs(gate), nil
	}
}

// parseMap is encoding/json where names are compared exactly.
func parseMap(body []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err = d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err = d.Token(); err != io.EOF {
		return nil, errors.New("trailing data")
	}
	return v, nil
}

// folding is what a server decodes into that was written by hand.
type folding struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Params  struct {
		Name      any             `json:"name"`
		URI       any             `json:"uri"`
		TaskID    any             `json:"taskId"`
		Arguments json.RawMessage `json:"arguments"`
		Ref       any             `json:"ref"`
		Meta      struct {
			Version any `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// readFolding is encoding/json where names are compared ignoring case.
func readFolding(body []byte) (typed, error) {
	var m folding
	if err := json.Unmarshal(body, &m); err != nil {
		return typed{}, err
	}
	var t typed
	if string(m.ID) != "null" {
		t.ID = canonicalRaw(m.ID)
	}
	switch {
	case m.Method == nil:
		t.Kind = jsonrpc.Response
		return t, nil
	case m.ID == nil:
		t.Kind = jsonrpc.Notification
	}
	t.Method = *m.Method
	t.Name, t.URI, t.TaskID = text(m.Params.Name), text(m.Params.URI), text(m.Params.TaskID)
	t.Version = text(m.Params.Meta.Version)
	arguments := ""
	if string(m.Params.Arguments) != "null" {
		arguments = canonicalRaw(m.Params.Arguments)
	}
	t.Arguments = &arguments
	ref, _ := m.Params.Ref.(map[string]any)
	t.RefType, t.RefName, t.RefURI = text(ref["type"]), text(ref["name"]), text(ref["uri"])
	return t, nil
}

// text is the string that a value is, or the empty one.
func text(v any) *string {
	s, _ := v.(string)
	return &s
}

// parseJSONText reads as RFC 7493 has it: no duplicate names, no bad UTF-8.
func parseJSONText(body []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	v, err := jsonTextValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("trailing data")
	}
	return v, nil
}

func jsonTextValue(d *jsontext.Decoder) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := jsonTextValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.ReadToken()
		return list, err
	case '{':
		object := map[string]any{}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			text := name.String() // a token is valid until the next one is read
			if object[text], err = jsonTextValue(d); err != nil {
				return nil, err
			}
		}
		_, err := d.ReadToken()
		return object, err
	}
	return nil, errors.New("no value")
}

// parseFastJSON is strict with our help: the library checks the grammar, and
// neither UTF-8 nor duplicates.
func parseFastJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	if err := fastjson.ValidateBytes(body); err != nil {
		return nil, err
	}
	v, err := fastjson.ParseBytes(body)
	if err != nil {
		return nil, err
	}
	return fastValue(v)
}

func fastValue(v *fastjson.Value) (any, error) {
	switch v.Type() {
	case fastjson.TypeNull:
		return nil, nil
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return v.Type() == fastjson.TypeTrue, nil
	case fastjson.TypeNumber:
		return json.Number(v.MarshalTo(nil)), nil
	case fastjson.TypeString:
		s, err := v.StringBytes()
		return string(s), err
	case fastjson.TypeArray:
		list := []any{}
		elements, err := v.Array()
		for i := 0; i < len(elements) && err == nil; i++ {
			var e any
			e, err = fastValue(elements[i])
			list = append(list, e)
		}
		return list, err
	}
	object := map[string]any{}
	members, err := v.Object()
	if err != nil {
		return nil, err
	}
	members.Visit(func(name []byte, v *fastjson.Value) {
		if _, again := object[string(name)]; again && err == nil {
			err = errors.New("duplicate name")
		}
		e, valueErr := fastValue(v)
		if err == nil {
			err = valueErr
		}
		object[string(name)] = e
	})
	return object, err
}
