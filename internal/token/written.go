package token

import (
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// written is a JSON value as it is written in a payload that has been read, and once more as a part of the
// one text that is kept of that: strings that are taken out of it cost no copy of their own.
type written struct {
	raw  []byte // nil for none
	text string
}

// next takes the value that comes next in the payload.
func (w written) next(r *strictjson.Reader) (written, error) {
	raw, err := r.Skip()
	if err != nil {
		return written{}, err
	}
	end := r.Offset()
	return written{raw, w.text[end-len(raw) : end]}, nil
}

// at finds the value at a path.
func (w written) at(path Path) written {
	raw, at := strictjson.Find(w.raw, path, claimLimits)
	if raw == nil {
		return written{}
	}
	return written{raw, w.text[at : at+len(raw)]}
}

// isString reports whether the value is one.
func (w written) isString() bool { return len(w.raw) > 0 && w.raw[0] == '"' }

// string decodes a string.
func (w written) string() string {
	if strings.IndexByte(w.text, '\\') < 0 {
		return w.text[1 : len(w.text)-1]
	}
	var r strictjson.Reader
	r.Reset(w.raw, claimLimits)
	s, _ := r.Text(w.text) // read before
	return s
}

// list decodes a string, or an array of nothing but strings.
func (w written) list() (list []string, ok bool) {
	if w.isString() {
		return []string{w.string()}, true
	}
	var r strictjson.Reader
	r.Reset(w.raw, claimLimits)
	if r.Array() != nil {
		return nil, false
	}
	for {
		more, err := r.Element()
		if err != nil || !more {
			return list, err == nil
		}
		s, err := r.Text(w.text)
		if err != nil {
			return nil, false
		}
		list = append(list, s)
	}
}
