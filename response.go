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
	lease   *lease        // by which it is sent
	r       *http.Request // as the handler sees it: this must not lead to the token
	request answered
	outer   http.Header   // what stood in the header before the handler was called
	filter  *reply.Filter // set if lists are filtered
	tasks   *hearing      // set if a task may begin in it

	status       int32 // 0 for none, which net/http takes for 200
	modern       bool  // the era
	addsScope    bool  // a result without a cacheScope is for everybody
	hasAlias     bool  // of a session that no client knows
	mayRetry     bool  // the handler may mind the alias
	bodiless     bool  // the request has no body: it asks for a stream
	wrote        bool  // the handler has sent its header
	stream       bool  // of events
	hears        bool  // a task may begin in it
	aliasRefused bool  // the handler minds the alias: this response is none
	leaves       bool  // the handler may keep something under the alias after the request
	scoped       bool  // cacheScope is made private

	held   *reply.Held   // a JSON response that is filtered
	header http.Header   // of what is held, as it was checked
	events *reply.Events // an event stream that is filtered
	failed error         // why the rest of the response is withheld

	scope  cachescope.Editor
	fields [2]string // values of the header
}

// answered is what a response asks of the request that it answers.
type answered interface {
	// decorate lets allowed origins read the response, and binds a session that begins to its principal.
	decorate(h http.Header, r *http.Request, status int)
	// holdAnswer books what is held of the response, so many bytes, on the caller's account.
	holdAnswer(size int) bool
	// newFilter returns what takes out of the response what is not for the principal.
	newFilter() *reply.Filter
	refuse(w http.ResponseWriter, r *http.Request, denied *refusal.Refusal)
	logRefusal(r *http.Request, denied *refusal.Refusal)
}

// Header returns the header as the handler makes it.
func (w *response) Header() http.Header { return w.lease.Header() }

// WriteHeader sends the header, or keeps it until the list is complete.
func (w *response) WriteHeader(status int) {
	if status < 200 {
		w.lease.WriteHeader(status)
		return
	}
	if w.begin(status) {
		w.lease.WriteHeader(status)
	}
}

// begin decides what becomes of the response, once. It reports whether the
// header is to be sent now.
func (w *response) begin(status int) bool {
	if w.wrote {
		return false
	}
	w.wrote, w.status = true, int32(status)
	if w.mayRetry && (status == http.StatusBadRequest || status == http.StatusNotFound) {
		w.aliasRefused, w.held, w.header = true, new(reply.Held), w.Header().Clone()
		return false
	}
	h := w.Header()
	keepPrivate(h)
	w.decorate(status)
	if w.stream = isEventStream(h); w.stream {
		w.lease.becomesStream(isCoded(h["Content-Encoding"]))
		w.leaves = w.hasAlias && status < 300 && w.bodiless
	}
	coded := isCoded(h["Content-Encoding"])
	w.hears = w.tasks != nil && w.tasks.start(status, coded, w.stream)
	if w.scoped = false; (status < 300 || w.filter != nil) && !coded {
		w.makePrivate()
	}
	w.withhold()
	if w.stream && w.filter == nil && !coded {
		w.events = w.request.newFilter().Notices(passing{w})
		h.Del("Content-Length")
	}
	switch {
	case w.filter == nil || w.lease.cutFor() != nil: // then the rest is refused
		return true
	case coded:
		w.held = new(reply.Held)
		w.fail(errors.New("the handler has compressed it"))
	case w.stream:
		w.events = w.filter.Stream(passing{w})
		h.Del("Content-Length")
	case w.r.Method != http.MethodGet: // a GET is answered with a stream, or not by MCP
		w.held = new(reply.Held)
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
	w.lease.stopHandler(err)
}

// Write sends data, or holds it back to be filtered.
func (w *response) Write(data []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.hasAlias && w.stream && !w.leaves {
		w.leaves = hasEventID(data)
	}
	if w.hears {
		w.tasks.listener.Pass(data) // before anybody is sent it, and can ask for the task
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
			w.events.Fail(errTooMuchHeld)
		}
		w.endStream()
		return n, err
	case w.held == nil:
		return w.pass(data)
	}
	switch size := w.held.Len() + len(data); {
	case size > reply.MaxHeld:
		w.held = new(reply.Held)
		w.fail(errors.New("larger than 16 MiB"))
		return 0, w.failed
	case !w.holds(size):
		w.held = new(reply.Held)
		w.fail(errTooMuchHeld)
		return 0, w.failed
	}
	return w.held.Write(data)
}

// holds books so many bytes of the response on the caller's account.
func (w *response) holds(size int) bool {
	return w.request.holdAnswer(size)
}

// endStream ends an event stream in which an event could not be filtered.
func (w *response) endStream() {
	if err := w.events.Err(); err != nil {
		if errors.Is(err, reply.ErrOver) {
			w.fail(err)
			return
		}
		w.failed = err
		w.lease.endUnfiltered(err)
	}
}

// flushable is a response on a writer that can flush. Handlers ask for that by type.
type flushable struct{ response }

// writer is what the handler is given: it claims no more than the writer in front can do.
func (w *flushable) writer() http.ResponseWriter {
	if canFlush(w.lease.ResponseWriter) {
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
	return http.NewResponseController(w.lease).Flush()
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *response) Unwrap() http.ResponseWriter { return w.lease }

// finish is called when the handler has returned. It sends what was held or, if
// the response was cut, what is left to be said.
func (w *response) finish() {
	if w.wrote && w.held == nil {
		w.withhold() // of the trailers
	}
	if w.lease.cutFor() == nil {
		w.complete()
	}
	denied := w.lease.settle()
	switch {
	case denied == nil:
	case !w.lease.sent:
		h := w.Header()
		clear(h) // the handler's answer does not go out: nor does what it says of it
		maps.Copy(h, w.outer)
		w.request.refuse(w.lease.ResponseWriter, w.r, denied)
	case !w.lease.isWhole():
		panic(http.ErrAbortHandler) // to end it as if it were complete would be a lie
	}
}

// complete sends what was held.
func (w *response) complete() {
	switch {
	case !w.wrote:
		w.wrote = true
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

// errTooMuchHeld is what the handler is told: a reason of this package, as all that leaves it.
const errTooMuchHeld = Reason(refusal.TooMuchHeld)

// denyUnfiltered is for an answer that cannot be filtered.
func denyUnfiltered(err error) *refusal.Refusal {
	if errors.Is(err, errTooMuchHeld) {
		return denyHeld()
	}
	if doubt := (*refusal.Refusal)(nil); errors.As(err, &doubt) {
		return doubt
	}
	return refusal.For(refusal.Unfiltered, "", err)
}

// sendList sends a filtered list, or an error in its place.
func (w *response) sendList() {
	body, size := w.held.Bytes(), w.held.Len()
	if w.failed == nil && size > 0 {
		body, w.failed = w.filter.Answer(body, w.status >= 300)
	}
	h := w.header
	if errors.Is(w.failed, reply.ErrOver) && errors.Is(w.failed, context.Canceled) {
		// The client has left, and nothing is sent. Whoever is there all the same
		// does not take that for an empty answer, but for one that was cut off.
		h.Set("Content-Length", strconv.Itoa(size))
		w.replaceHeader()
		return
	}
	if w.failed != nil && w.status >= 300 {
		w.withoutBody()
		return
	}
	if w.failed != nil {
		denied := denyUnfiltered(w.failed)
		w.request.logRefusal(w.r, denied)
		for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Expires", "Last-Modified", "Mcp-Session-Id", "Trailer"} {
			delete(h, name)
		}
		w.replaceHeader()
		w.request.refuse(w.lease, w.r, denied)
		return
	}
	parts := w.edited(body)
	if parts == nil {
		parts = [][]byte{body}
	}
	sent := 0
	for _, part := range parts {
		sent += len(part)
	}
	if sent > 0 && (w.status < 300 || sent != size) {
		h.Set("Content-Length", strconv.Itoa(sent))
	}
	w.sendHeld(parts...)
}

// withoutBody sends the status and the header of an error whose body could not be read.
func (w *response) withoutBody() {
	w.request.logRefusal(w.r, denyUnfiltered(w.failed))
	for _, name := range [...]string{"Content-Encoding", "Content-Length", "Content-Type"} {
		delete(w.header, name)
	}
	w.sendHeld(nil)
}

// accept makes an answer of what looked like the refusal of an alias.
func (w *response) accept() {
	refusal := w.held
	w.replaceHeader()
	w.mayRetry, w.aliasRefused, w.wrote, w.held, w.header = false, false, false, nil, nil
	w.WriteHeader(int(w.status))
	_, _ = w.Write(refusal.Bytes())
}

// sendHeld sends an answer that was held, with the header as it was checked. What the handler
// has done to the header since then has no effect, as [http.ResponseWriter] has it of a header that
// was sent. Trailers are the exception, and are left for the server to find.
func (w *response) sendHeld(parts ...[]byte) {
	declared, prefixed := w.trailers(w.Header())
	h := w.replaceHeader()
	maps.Copy(h, prefixed)
	if prefixed != nil || len(h["Trailer"]) > 0 {
		delete(h, "Content-Length") // HTTP/1.1 has trailers only where the length is not known
	}
	w.lease.WriteHeader(int(w.status))
	maps.Copy(h, declared) // a name that was declared is one of the header, too, until that is sent
	for _, part := range parts {
		if _, err := w.lease.Write(part); err != nil {
			return
		}
	}
}

// letGo forgets what was held. Who writes late is held back as before.
func (w *response) letGo() {
	if w.held != nil {
		w.held = new(reply.Held)
	}
}

// replaceHeader puts the header that was checked in the place of what the handler has made of it.
func (w *response) replaceHeader() http.Header {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.header)
	return h
}

// makePrivate makes the cacheScope of the results private, as they pass: each
// answer is for the one whose token it took. What could be said of the body
// as it was is not said of it.
func (w *response) makePrivate() {
	w.scoped = w.modern || w.filter != nil
	w.scope = cachescope.Editor{Events: w.stream, Adds: w.addsScope}
	if w.modern && w.filter == nil { // with lists this is done when they are sent
		delete(w.Header(), "Content-Length")
	}
}

// onePiece is the size of what is written in one although it was changed, in bytes.
const onePiece = 64 << 10

// pass sends data that has been looked at, or needs not to be.
func (w *response) pass(data []byte) (int, error) {
	parts := w.edited(data)
	if parts == nil {
		return w.lease.Write(data)
	}
	for _, part := range parts {
		if _, err := w.lease.Write(part); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// passing is a response for what passes.
type passing struct{ *response }

// Write is [response.pass].
func (w passing) Write(data []byte) (int, error) { return w.pass(data) }

// edited returns the parts of a piece of the answer in which the scopes are private, nil if it stays as
// it is. What is long is not copied for that.
func (w *response) edited(data []byte) [][]byte {
	if !w.scoped {
		return nil
	}
	parts := w.scope.Edit(data)
	if parts != nil && len(data) <= onePiece { // in one, as it was written
		parts = [][]byte{bytes.Join(parts, nil)}
	}
	return parts
}

func isEventStream(h http.Header) bool {
	mediaType, _, _ := strings.Cut(first(h["Content-Type"]), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
