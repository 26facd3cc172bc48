package mcpauth

import (
	"bytes"

	"github.com/seed-1e292522/mcpauth/internal/cachescope"
)

// cacheable are the methods whose results say in cacheScope who may keep them; one
// that says nothing is for everybody (2026-07-28, Caching).
func cacheable(method string) bool {
	return method == "resources/read" || method == "server/discover" || method != "tasks/list" && isListMethod(method)
}

// makePrivate makes the cacheScope of the results private, as they pass: each
// answer is for the one whose token it took. What could be said of the body
// as it was is not said of it.
func (w *response) makePrivate() {
	modern := w.x.era == modern
	w.scoped = modern || w.filters
	w.scope = cachescope.Editor{Events: w.stream, Adds: modern && len(w.x.calls) == 1 && cacheable(w.x.calls[0].Method)}
	if modern && !w.filters { // with lists this is done when they are sent
		delete(w.Header(), "Content-Length")
	}
}

// pass sends data that has been looked at, or needs not to be.
func (w *response) pass(data []byte) (int, error) {
	if !w.scoped {
		return w.ResponseWriter.Write(data)
	}
	parts := w.scope.Edit(data)
	switch {
	case parts == nil:
		return w.ResponseWriter.Write(data)
	case len(data) <= eventPiece: // in one, as it was written
		parts = [][]byte{bytes.Join(parts, nil)}
	}
	for _, part := range parts {
		if _, err := w.ResponseWriter.Write(part); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// passing is a response for what passes.
type passing struct{ *response }

// Write is [response.pass].
func (w passing) Write(data []byte) (int, error) { return w.pass(data) }

// whole is pass for what is sent together with its header.
func (w *response) whole(body []byte) []byte {
	if !w.scoped {
		return body
	}
	return w.scope.Whole(body)
}
