package sealed

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// message is what is looked at of a JSON-RPC request. The wrapper has read the body as strictly before.
type message struct {
	call     mcpauth.Call // without a kind
	uri      string
	id       []byte // as written, nil for none
	state    presence
	text     string // of a state that is a string
	from, to int    // where it stands in the body
}

// presence says whether a request has a state. Null is none: serializers write it that leave no member out.
type presence uint8

const (
	none presence = iota
	isText
	misplaced // it is no string, or in a batch
)

func (m *message) asks() asks {
	if hasRounds(m.call.Method) {
		return forRounds
	}
	return forOther
}

// mayHaveState is a quick look for the member in a body. It never misses one: a letter of its name can be written in one
// other way only.
func mayHaveState(body []byte) bool {
	return bytes.Contains(body, []byte("requestState")) || bytes.Contains(body, []byte(`\u`))
}

// asked finds out what a body asks for, and reads no further than to its method.
func asked(body []byte) asks {
	var r strictjson.Reader
	r.Reset(body, limits)
	if r.Kind() == strictjson.Array {
		return forAny
	}
	_ = r.Object() // an error stays, and Member returns it
	for {
		name, more, err := r.Member()
		if err != nil || !more {
			return forOther
		}
		if string(name) != "method" {
			_, _ = r.Skip()
			continue
		}
		switch method, _ := r.String(); string(method) {
		case toolCall, promptGet, resourceRead:
			return forRounds
		}
		return forOther
	}
}

// find reads a body. Of a batch it says no more than whether there is a state in it.
func find(body []byte) (m message, err error) {
	var r strictjson.Reader
	r.Reset(body, limits)
	if r.Kind() == strictjson.Array {
		_ = r.Array() // an error stays, and Element returns it
		for {
			more, err := r.Element()
			if err != nil {
				return m, err
			}
			if !more {
				return m, r.End()
			}
			var one message
			if err := one.read(&r); err != nil {
				return m, err
			}
			if one.state != none {
				m.state = misplaced
			}
		}
	}
	if err := m.read(&r); err != nil {
		return m, err
	}
	return m, r.End()
}

// read reads one message.
func (m *message) read(r *strictjson.Reader) error {
	err := members(r, func(name string) (err error) {
		switch {
		case name == "id":
			m.id, err = r.Skip()
		case name == "method" && r.Kind() == strictjson.String:
			m.call.Method, err = text(r)
		case name == "params" && r.Kind() == strictjson.Object:
			err = m.params(r)
		default:
			_, err = r.Skip()
		}
		return err
	})
	if m.call.Method == resourceRead {
		m.call.Name, m.call.Arguments = m.uri, nil
	}
	return err
}

func (m *message) params(r *strictjson.Reader) error {
	return members(r, func(name string) (err error) {
		switch isString := r.Kind() == strictjson.String; {
		case name == "name" && isString:
			m.call.Name, err = text(r)
		case name == "uri" && isString:
			m.uri, err = text(r)
		case name == "arguments":
			m.call.Arguments, err = r.Skip()
		case name == "requestState":
			err = m.readState(r)
		default:
			_, err = r.Skip()
		}
		return err
	})
}

func (m *message) readState(r *strictjson.Reader) error {
	switch r.Kind() {
	case strictjson.Null:
		return r.Null()
	case strictjson.String:
		raw, s, err := r.RawString()
		m.state, m.text = isText, string(s)
		m.from, m.to = r.Offset()-len(raw), r.Offset()
		return err
	}
	m.state = misplaced
	_, err := r.Skip()
	return err
}

func members(r *strictjson.Reader, read func(name string) error) error {
	_ = r.Object() // an error stays, and Member returns it
	for {
		name, more, err := r.Member()
		if err != nil || !more {
			return err
		}
		if err := read(string(name)); err != nil {
			return err
		}
	}
}

func text(r *strictjson.Reader) (string, error) {
	s, err := r.String()
	return string(s), err
}

// isString reports whether a text is one string in JSON.
func isString(text []byte) bool {
	return len(text) > 0 && text[0] == '"' && utf8.Valid(text) && json.Valid(text)
}

// idOf returns the id of a request as it is written, nil for none, as of a batch.
func idOf(body []byte) []byte {
	m, err := find(body)
	if err != nil {
		return nil
	}
	return m.id
}

// bodyOf reads a body once more, which was kept for that by who read it first.
func bodyOf(r *http.Request) []byte {
	if r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	defer func() { _ = body.Close() }()
	text, _ := io.ReadAll(body)
	return text
}

// methodIn is the method that a body has, for the log.
func methodIn(body []byte) string {
	m, _ := find(body)
	return m.call.Method
}
