package mcpauth

import (
	"net/http"
	"slices"
	"strings"
)

// response is the ResponseWriter of an admitted request. It adds headers when
// the handler sends its own, and passes everything else on at once.
type response struct {
	http.ResponseWriter
	m     *Middleware
	r     *http.Request
	wrote bool
}

func (m *Middleware) newResponse(w http.ResponseWriter, r *http.Request) *response {
	return &response{ResponseWriter: w, m: m, r: r}
}

// WriteHeader sends the header.
func (w *response) WriteHeader(status int) {
	if status >= 200 {
		w.decorate(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends the header, if it has not been sent, and data.
func (w *response) Write(data []byte) (int, error) {
	w.decorate(http.StatusOK)
	return w.ResponseWriter.Write(data)
}

// Flush sends what has been written so far.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *response) FlushError() error {
	w.decorate(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish is called when the handler has returned, perhaps without writing.
func (w *response) finish() { w.decorate(http.StatusOK) }

// decorate keeps shared caches away from what one caller may see, and lets
// allowed origins read it.
func (w *response) decorate(status int) {
	if w.wrote {
		return
	}
	w.wrote = true
	h := w.ResponseWriter.Header()
	if status < 300 && h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "private")
	}
	addToList(h, "Vary", "Authorization")
	w.m.allowOrigin(h, w.r)
}

// addToList adds members to a header field that is a list (RFC 9110 section
// 5.6.1), as one line, except those that stand there already.
func addToList(h http.Header, name string, members ...string) {
	if present := h[name]; len(present) > 0 {
		members = slices.DeleteFunc(slices.Clone(members), func(member string) bool { return isListed(present, member) })
	}
	if len(members) > 0 {
		h[name] = append(h[name], strings.Join(members, ", "))
	}
}

func isListed(lines []string, member string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); strings.EqualFold(element, member) || element == "*" {
				return true
			}
		}
	}
	return false
}
