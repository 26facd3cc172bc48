package jsonrpc

import (
	"errors"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// MaxBatch bounds the messages of a batch.
const MaxBatch = 32

// ErrBatchForm reports a batch that is empty or longer than [MaxBatch], that mixes
// responses with requests, or has two requests of one id.
var ErrBatchForm = errors.New("batch is empty, too long or mixed, or repeats an id")

// ParseBatch reads a body that must be one JSON-RPC batch (JSON-RPC 2.0
// section 6): an array of messages of which each is acceptable on its own. Its
// error is an [*Error] without an id.
func ParseBatch(body []byte) ([]Message, error) {
	messages, err := parseBatch(body)
	if err == nil {
		return messages, nil
	}
	if textErr := strictjson.Valid(body, bodyLimits); textErr != nil {
		err = textErr
	}
	if element := (&Error{}); errors.As(err, &element) {
		err = element.Err
	}
	code := CodeInvalid
	if errors.Is(err, strictjson.ErrSyntax) || errors.Is(err, strictjson.ErrUTF8) {
		code = CodeParse
	}
	return nil, &Error{Code: code, Err: err}
}

func parseBatch(body []byte) (messages []Message, err error) {
	var r strictjson.Reader
	r.Reset(body, bodyLimits)
	if err := r.Array(); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	responses := 0
	for {
		more, err := r.Element()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		raw, err := r.Skip()
		if err != nil {
			return nil, err
		}
		if len(messages) == MaxBatch {
			return nil, ErrBatchForm
		}
		msg, err := Parse(raw)
		if err != nil {
			return nil, err
		}
		switch msg.Kind {
		case Response:
			responses++
		case Request:
			id := comparableID(msg.ID)
			if ids[id] {
				return nil, ErrBatchForm
			}
			ids[id] = true
		}
		if c := &msg.Cursor; c.State != Absent {
			c.From += r.Offset() - len(raw)
			c.To += r.Offset() - len(raw)
		}
		messages = append(messages, msg)
	}
	if len(messages) == 0 || responses > 0 && responses < len(messages) {
		return nil, ErrBatchForm
	}
	return messages, r.End()
}

// comparableID is equal for ids that are equal, however they are written: a
// string may be written with escapes, an integer in one way only.
func comparableID(raw []byte) string {
	var r strictjson.Reader
	r.Reset(raw, strictjson.Limits{})
	if s, err := r.String(); err == nil {
		return `"` + string(s)
	}
	return string(raw)
}
