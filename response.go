package mcpauth

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/cachescope"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/reply"
)

// response is the ResponseWriter of an admitted request. It adds headers when
// the handler sends its own and passes the rest on at once, except for what
// has to be looked at first: lists, which are filtered.
type response struct {
	http.ResponseWriter
	r     *http.Request // as the handler sees it: this must not lead to the token
	x     *exchange
	outer http.Header // what stood in the header before the handler was called

	status       int32 // 0 for none, which net/http takes for 200
	wrote        bool  // the handler has sent its header
	stream       bool  // of events
	filters      bool  // lists are filtered
	hears        bool  // a task may begin in it
	aliasRefused bool  // the handler minds the alias of a request without a session: this response is none

	held   *bytes.Buffer // a JSON response that is filtered
	header http.Header   // of what is held, as it was checked
	events *reply.Events // an event stream that is filtered
	failed error         // why the rest of the response is withheld

	scoped bool // cacheScope is made private
	scope  cachescope.Editor
}

// WriteHeader sends the header, or keeps it until the list is complete.
func (w *response) WriteHeader(status int) {
	if status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.begin(status) {
		w.ResponseWriter.WriteHeader(status)
	}
}

// begin decides what becomes of the response, once. It reports whether the
// header is to be sent now.
func (w *response) begin(status int) bool {
	if w.wrote {
		return false
	}
	w.wrote, w.status, w.filters = true, int32(status), w.x.filters()
	if u := w.x.unnamed; u != nil && u.mayRetry && (status == http.StatusBadRequest || status == http.StatusNotFound) {
		w.aliasRefused, w.held, w.header = true, new(bytes.Buffer), w.Header().Clone()
		return false
	}
	h := w.Header()
	keepPrivate(h)
	w.decorate(status)
	if w.stream = isEventStream(h); w.stream {
		w.x.lease.becomesStream(isCoded(h["Content-Encoding"]))
		if u := w.x.unnamed; u != nil && status < 300 {
			u.leaves = w.x.body == nil
		}
	}
	coded := isCoded(h["Content-Encoding"])
	w.hears = w.x.tasks != nil && w.x.tasks.start(status, coded, w.stream)
	if w.scoped = false; (status < 300 || w.filters) && !coded {
		w.makePrivate()
	}
	w.withhold()
	if w.stream && !w.filters && !coded && status < 300 {
		w.events = w.x.newFilter().Notices(passing{w})
		h.Del("Content-Length")
	}
	switch {
	case w.x.filter == nil || w.x.lease.cutFor() != nil: // then the rest is refused
		return true
	case coded:
		w.held = new(bytes.Buffer)
		w.fail(errors.New("the handler has compressed it"))
	case w.stream:
		w.events = w.x.filter.Stream(passing{w})
		h.Del("Content-Length")
	case w.r.Method != http.MethodGet: // a GET is answered with a stream, or not by MCP
		w.held = new(bytes.Buffer)
	}
	if w.held == nil {
		return true
	}
	w.header = h.Clone() // the handler keeps the other one, and its lists of values
	return false
}

// isCoded reports whether there is a content coding (RFC 9110 section 8.4).
func isCoded(codings []string) bool {
	return slices.ContainsFunc(codings, func(c string) bool { return c != "" && !strings.EqualFold(c, "identity") })
}

// fail withholds the rest of the response and tells the handler to stop.
func (w *response) fail(err error) {
	w.failed = err
	w.x.ctx.Cancel(err)
}

// Write sends data, or holds it back to be filtered.
func (w *response) Write(data []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if u := w.x.unnamed; u != nil && w.stream && !u.leaves {
		u.leaves = hasEventID(data)
	}
	if w.hears {
		w.x.tasks.listener.Pass(data) // before anybody is sent it, and can ask for the task
	}
	switch {
	case w.aliasRefused && w.held.Len()+len(data) <= maxRefusal:
		return w.held.Write(data)
	case w.aliasRefused:
		w.accept()
		return w.Write(data)
	case w.failed != nil:
		return 0, w.failed
	case w.events != nil:
		n, err := w.events.Write(data)
		if !w.holds(w.events.Held()) {
			w.events.Fail(refusal.TooMuchHeld)
		}
		w.endStream()
		return n, err
	case w.held == nil:
		return w.pass(data)
	}
	switch size := w.held.Len() + len(data); {
	case size > reply.MaxHeld:
		w.held = new(bytes.Buffer)
		w.fail(errors.New("larger than 16 MiB"))
		return 0, w.failed
	case !w.holds(size):
		w.held = new(bytes.Buffer)
		w.fail(refusal.TooMuchHeld)
		return 0, w.failed
	}
	return w.held.Write(data)
}

// holds books so many bytes of the response on the caller's account.
func (w *response) holds(size int) bool {
	return w.x.hold(&w.x.held.response, size)
}

// endStream ends an event stream in which an event could not be filtered.
func (w *response) endStream() {
	if err := w.events.Err(); err != nil && w.failed == nil {
		if errors.Is(err, reply.ErrOver) {
			w.fail(err)
			return
		}
		w.x.lease.m.log.Error("mcpauth: event stream ended because an event cannot be filtered", "error", shownError(err))
		w.failed = err
		w.x.lease.cut(denyUnfiltered(err))
	}
}

// flushable is a response on a writer that can flush. Handlers ask for that by type.
type flushable struct{ response }

// writer is what the handler is given: it claims no more than the writer in front can do.
func (w *flushable) writer() http.ResponseWriter {
	if canFlush(w.x.lease.ResponseWriter) {
		return w
	}
	return &w.response
}

// canFlush finds what [http.ResponseController] would.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Flush sends what may be sent.
func (w *flushable) Flush() { _ = w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *flushable) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.aliasRefused {
		return nil
	}
	if w.failed != nil || w.held != nil {
		return w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish is called when the handler has returned. It sends what was held or, if
// the response was cut, what is left to be said.
func (w *response) finish() {
	if w.wrote && w.held == nil {
		w.withhold() // of the trailers
	}
	if w.x.lease.cutFor() == nil {
		w.complete()
	}
	denied := w.x.lease.settle()
	switch {
	case denied == nil:
	case !w.x.lease.sent:
		h := w.Header()
		clear(h) // the handler's answer does not go out: nor does what it says of it
		maps.Copy(h, w.outer)
		w.x.lease.m.refuse(w.x.lease.ResponseWriter, w.r, w.x, denied)
	case !w.x.lease.isWhole():
		panic(http.ErrAbortHandler) // to end it as if it were complete would be a lie
	}
}

// complete sends what was held.
func (w *response) complete() {
	switch {
	case !w.wrote:
		w.wrote, w.filters = true, w.x.filters()
		keepPrivate(w.Header())
		w.decorate(http.StatusOK)
		w.withhold()
	case w.events != nil:
		_ = w.events.Close()
		w.endStream()
	case w.held != nil:
		w.sendList()
	}
}

// denyUnfiltered is for an answer that cannot be filtered.
func denyUnfiltered(err error) *refusal.Refusal {
	if errors.Is(err, refusal.TooMuchHeld) {
		return denyHeld()
	}
	return refusal.For(refusal.Unfiltered, "", err)
}

// sendList sends a filtered list, or an error in its place.
func (w *response) sendList() {
	body := w.held.Bytes()
	if w.failed == nil && len(body) > 0 {
		body, w.failed = w.x.filter.Answer(body, w.status >= 300)
	}
	h := w.header
	if errors.Is(w.failed, reply.ErrOver) && errors.Is(w.failed, context.Canceled) {
		// The client has left, and nothing is sent. Whoever is there all the same
		// does not take that for an empty answer, but for one that was cut off.
		h.Set("Content-Length", strconv.Itoa(w.held.Len()))
		w.replaceHeader()
		return
	}
	if w.failed != nil && w.status >= 300 {
		w.withoutBody()
		return
	}
	if w.failed != nil {
		denied := denyUnfiltered(w.failed)
		w.x.lease.m.logRefusal(w.r, w.x, denied)
		for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Expires", "Last-Modified", "Mcp-Session-Id", "Trailer"} {
			delete(h, name)
		}
		w.replaceHeader()
		w.x.lease.m.refuse(w.ResponseWriter, w.r, w.x, denied)
		return
	}
	if body = w.whole(body); len(body) > 0 && (w.status < 300 || !bytes.Equal(body, w.held.Bytes())) {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.sendHeld(body)
}

// withoutBody sends the status and the header of an error whose body could not be read.
func (w *response) withoutBody() {
	w.x.lease.m.logRefusal(w.r, w.x, denyUnfiltered(w.failed))
	for _, name := range [...]string{"Content-Encoding", "Content-Length", "Content-Type"} {
		delete(w.header, name)
	}
	w.sendHeld(nil)
}

// accept makes an answer of what looked like the refusal of an alias.
func (w *response) accept() {
	refusal := w.held
	w.replaceHeader()
	w.x.unnamed.mayRetry, w.aliasRefused, w.wrote, w.held, w.header = false, false, false, nil, nil
	w.WriteHeader(int(w.status))
	_, _ = w.Write(refusal.Bytes())
}

// sendHeld sends an answer that was held, with the header as it was checked. What the handler
// has done to the header since then has no effect, as [http.ResponseWriter] has it of a header that
// was sent. Trailers are the exception, and are left for the server to find.
func (w *response) sendHeld(body []byte) {
	declared, prefixed := w.trailers(w.Header())
	h := w.replaceHeader()
	maps.Copy(h, prefixed)
	if prefixed != nil || len(h["Trailer"]) > 0 {
		delete(h, "Content-Length") // HTTP/1.1 has trailers only where the length is not known
	}
	w.ResponseWriter.WriteHeader(int(w.status))
	maps.Copy(h, declared) // a name that was declared is one of the header, too, until that is sent
	_, _ = w.ResponseWriter.Write(body)
}

// replaceHeader puts the header that was checked in the place of what the handler has made of it.
func (w *response) replaceHeader() http.Header {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.header)
	return h
}

// trailers finds the trailers that the handler has set: those that it declared before its
// first Write, and those by [http.TrailerPrefix].
func (w *response) trailers(h http.Header) (declared, prefixed http.Header) {
	for name, values := range h {
		bare, hasPrefix := strings.CutPrefix(name, http.TrailerPrefix)
		into := &declared
		switch {
		case w.isWithheld(bare):
			continue
		case hasPrefix:
			into = &prefixed
		case !isListed(w.header["Trailer"], name):
			continue
		}
		if *into == nil {
			*into = http.Header{}
		}
		(*into)[name] = values
	}
	return declared, prefixed
}

// decorate keeps shared caches away from what one caller may see, lets
// allowed origins read it, and binds a session that begins to its principal.
func (w *response) decorate(status int) {
	h := w.Header()
	w.x.fields = [...]string{"private", "Authorization"} // not shared with other responses, lest one be changed
	if status < 300 && first(h["Cache-Control"]) == "" {
		h["Cache-Control"] = w.x.fields[0:1:1]
	}
	if len(h["Vary"]) == 0 {
		h["Vary"] = w.x.fields[1:2:2]
	} else {
		addToList(h, "Vary", "Authorization")
	}
	w.x.lease.m.allowOrigin(h, w.r)
	w.x.lease.m.sealSession(h, w.x, status)
}

// cacheable are the methods whose results say in cacheScope who may keep them; one
// that says nothing is for everybody (2026-07-28, Caching).
func cacheable(method string) bool {
	return method == "resources/read" || method == "server/discover" || method != "tasks/list" && reply.IsList(method)
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

// onePiece is the size of what is written in one although it was changed, in bytes.
const onePiece = 64 << 10

// pass sends data that has been looked at, or needs not to be.
func (w *response) pass(data []byte) (int, error) {
	if !w.scoped {
		return w.ResponseWriter.Write(data)
	}
	parts := w.scope.Edit(data)
	switch {
	case parts == nil:
		return w.ResponseWriter.Write(data)
	case len(data) <= onePiece: // in one, as it was written
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

// Endpoint binds the message endpoint of the HTTP+SSE transport to its principal.
func (w passing) Endpoint(uri string) string {
	return w.x.sealEndpoint(w.r.URL.RawQuery, uri)
}

// whole is pass for what is sent together with its header.
func (w *response) whole(body []byte) []byte {
	if !w.scoped {
		return body
	}
	return w.scope.Whole(body)
}
