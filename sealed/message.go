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
		name, more, _ := r.Member()
		if !more {
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

// find reads a body. Of a batch it says no more than whether there is a state in it. An error of the reader stays, and is
// returned at the end.
func find(body []byte) (m message, err error) {
	var r strictjson.Reader
	r.Reset(body, limits)
	if r.Kind() == strictjson.Array {
		_ = r.Array()
		for {
			if more, _ := r.Element(); !more {
				return m, r.End()
			}
			var one message
			one.read(&r)
			if one.state != none {
				m.state = misplaced
			}
		}
	}
	m.read(&r)
	return m, r.End()
}

// read reads one message.
func (m *message) read(r *strictjson.Reader) {
	members(r, func(name string) {
		switch {
		case name == "id":
			m.id, _ = r.Skip()
		case name == "method" && r.Kind() == strictjson.String:
			m.call.Method = text(r)
		case name == "params" && r.Kind() == strictjson.Object:
			m.params(r)
		default:
			_, _ = r.Skip()
		}
	})
	if m.call.Method == resourceRead {
		m.call.Name, m.call.Arguments = m.uri, nil
	}
}

func (m *message) params(r *strictjson.Reader) {
	members(r, func(name string) {
		switch isString := r.Kind() == strictjson.String; {
		case name == "name" && isString:
			m.call.Name = text(r)
		case name == "uri" && isString:
			m.uri = text(r)
		case name == "arguments":
			m.call.Arguments, _ = r.Skip()
		case name == "requestState":
			m.readState(r)
		default:
			_, _ = r.Skip()
		}
	})
}

func (m *message) readState(r *strictjson.Reader) {
	switch r.Kind() {
	case strictjson.Null:
		_ = r.Null()
	case strictjson.String:
		raw, s, _ := r.RawString()
		m.state, m.text = isText, string(s)
		m.from, m.to = r.Offset()-len(raw), r.Offset()
	default:
		m.state = misplaced
		_, _ = r.Skip()
	}
}

func members(r *strictjson.Reader, read func(name string)) {
	_ = r.Object()
	for {
		name, more, _ := r.Member()
		if !more {
			return
		}
		read(string(name))
	}
}

func text(r *strictjson.Reader) string {
	s, _ := r.String()
	return string(s)
}

// isString reports whether what has quotes around it is a string in JSON.
func isString(text []byte) bool { return utf8.Valid(text) && json.Valid(text) }

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
