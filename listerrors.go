package mcpauth

import (
	"bytes"
	"errors"
	"slices"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// An answer to a list may have any status, and an error may tell as much as a list: a
// handler that is given back its own cursor, which the client must not read, may quote it.

var errQuotes = errors.New("an error that may quote a cursor, and is no JSON-RPC message")

// ofList filters what was held of an answer of any status. What is no message, and can have no list, passes.
func (w *response) ofList(body []byte) ([]byte, error) {
	filtered, err := w.x.filter.message(body)
	switch isError := w.status >= 300; {
	case err == nil || errors.Is(err, errOver) || !isError:
		return filtered, err
	case w.x.filter.paged:
		return nil, errQuotes
	case mayAnswer(bytes.TrimPrefix(body, byteOrderMark)):
		return nil, err
	}
	return body, nil
}

// denyUnfiltered is for an answer that cannot be filtered.
func denyUnfiltered(err error) *refusal.Refusal {
	if errors.Is(err, refusal.TooMuchHeld) {
		return denyHeld()
	}
	return refusal.For(refusal.Unfiltered, "", err)
}

// isMessage reports whether a text begins as a JSON-RPC message or a batch does.
func isMessage(text []byte) bool {
	start := skipJSONSpace(text, 0)
	return start < len(text) && (text[start] == '{' || text[start] == '[')
}

// mayAnswer reports whether some reader may find a result in a text that we cannot read.
func mayAnswer(text []byte) bool {
	return isMessage(text) && (bytes.Contains(bytes.ToUpper(text), []byte("RESULT")) || bytes.Contains(text, []byte(`\u`)))
}

// withoutBody sends the status and the header of an error whose body could not be read.
func (w *response) withoutBody() {
	w.x.lease.m.logRefusal(w.r, w.x, denyUnfiltered(w.failed))
	for _, name := range [...]string{"Content-Encoding", "Content-Length", "Content-Type"} {
		delete(w.header, name)
	}
	w.sendHeld(nil)
}

// wordless returns what stands for the error of a handler that was given one of its cursors.
func wordless(failure []byte) []byte {
	if string(failure) == "null" {
		return failure
	}
	code := []byte("-32603")
	for value := range membersNamed(failure, "code") {
		if isShortInteger(value) {
			code = value
		}
	}
	return slices.Concat([]byte(`{"code":`), code, []byte(`,"message":"no page for this cursor"}`))
}

func isShortInteger(value []byte) bool {
	digits := bytes.TrimPrefix(value, []byte("-"))
	return len(digits) > 0 && len(digits) <= 9 && len(bytes.Trim(digits, "0123456789")) == 0 && (digits[0] != '0' || len(digits) == 1)
}
