package mcpauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Bounds of a request. The body's is that of the official Go SDK, unless the configuration says otherwise.
const (
	maxHeaderFields = 100
	maxHeaderBytes  = 64 << 10
	maxToken        = 16 << 10 // the Authorization header field
	maxNameHeader   = 12 << 10 // the longest URI that a body may name, in base64
	maxBody         = 4 << 20
	minBody         = 1 << 10 // of Config.MaxBody: a modern request of no arguments has some 300 bytes
)

// request is what one HTTP request asks for.
type request struct {
	id    []byte // raw JSON, nil when there is none to answer to
	calls []Call
	one   [1]Call     // room for the usual one
	pages *[]mcp.Page // of lists that are to go on; nil for none
}

// checkHeaders bounds the header section and the fields of MCP that are
// decoded later. It reports whether a field ends here beside the usual one,
// Authorization.
func checkHeaders(h http.Header) (strips bool, denied *refusal.Refusal) {
	fields, size, params := 0, 0, 0
	for name, values := range h {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
		if strings.HasPrefix(name, "Mcp-Param-") {
			params += len(values)
		}
		strips = strips || name != "Authorization" && stripped(name) != 0
	}
	switch {
	case fields > maxHeaderFields:
		return strips, refusal.New(refusal.RequestHeaders, "more than 100 fields", "", "")
	case size > maxHeaderBytes:
		return strips, refusal.New(refusal.RequestHeaders, "more than 64 KiB", "", "")
	case params > maxParamHeaders:
		return strips, refusal.New(refusal.RequestHeaders, "more than 32 Mcp-Param fields", "", "")
	case len(first(h["Mcp-Name"])) > maxNameHeader:
		return strips, refusal.New(refusal.RequestHeaders, "Mcp-Name longer than 12 KiB", "", "")
	}
	return strips, nil
}

// first returns the first value of a field, or "".
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// credential is the access token of a request, and the scheme under which it was sent.
type credential struct {
	token string
	dpop  bool // DPoP (RFC 9449 section 7.1), and not Bearer
}

// credentials finds the one token of a request (RFC 6750 section 2.1); under the scheme DPoP where
// that is taken. A comma joins credentials; in JSON, which is no token, it does not.
// Other schemes and other places are as good as nothing.
func credentials(r *http.Request, takesDPoP bool) (sent credential, denied *refusal.Refusal) {
	lines := r.Header["Authorization"]
	inQuery := hasQueryToken(r.URL)
	switch {
	case len(lines) > 1:
		return sent, refusal.New(refusal.ManyCredentials, "Authorization stands more than once", "", "")
	case len(lines) == 1 && inQuery:
		return sent, refusal.New(refusal.ManyCredentials, "Authorization and access_token in the query", "", "")
	case inQuery:
		return sent, refusal.New(refusal.NoCredentials, "access_token in the query", "", "the Authorization header").Because("token-in-query")
	case len(lines) == 0:
		return sent, refusal.New(refusal.NoCredentials, "no Authorization header", "", "")
	}
	scheme, rest, _ := strings.Cut(lines[0], " ")
	token := strings.Trim(rest, " ")
	sent.dpop = takesDPoP && strings.EqualFold(scheme, "DPoP")
	switch {
	case !sent.dpop && !strings.EqualFold(scheme, "Bearer") || token == "":
		return sent, refusal.New(refusal.NoCredentials, "Authorization has no bearer token", "", "")
	case len(lines[0]) > maxToken:
		return sent, refusal.New(refusal.TokenTooComplex, "longer than 16 KiB", "", "")
	case strings.Contains(token, ",") && !strings.ContainsAny(token, `{"`):
		return sent, refusal.New(refusal.ManyCredentials, "Authorization has a comma", "", "one bearer token")
	}
	sent.token = token
	return sent, nil
}

// hasQueryToken looks for access_token in any spelling that decodes to it.
func hasQueryToken(u *url.URL) bool {
	if u.RawQuery == "" {
		return false
	}
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil && decoded == "access_token" {
			return true
		}
	}
	return false
}

// read finds out what the request asks for. Of a POST it reads the body.
func (x *exchange) read(w http.ResponseWriter, r *http.Request) (denied *refusal.Refusal) {
	if r.Method == http.MethodPost {
		var buf []byte
		if x.pooled != nil {
			buf = *x.pooled
		}
		if x.body, denied = x.readBody(w, r, buf); denied != nil {
			x.body = nil
			return denied
		}
		if x.pooled != nil {
			*x.pooled = x.body
		}
	}
	return x.parseCalls(r)
}

// parseCalls turns what was read into calls. The headers must agree with it.
func (x *exchange) parseCalls(r *http.Request) *refusal.Refusal {
	var room [1]mcp.Call // it does not outlive the function: the calls are copied out of it
	asked, calls, denied := mcp.Read(r, x.body, owned.HasEndpointTag(r.URL.RawQuery), x.g.policy.targets(), room[:0])
	x.era, x.tells, x.id = asked.Era, asked.Tells, asked.ID
	if len(asked.Pages) > 0 {
		pages := asked.Pages
		x.pages = &pages
	}
	if len(calls) > 0 {
		x.calls = slices.Grow(x.one[:0], len(calls))
	}
	for i := range calls {
		c := &calls[i]
		x.calls = append(x.calls, Call{Method: c.Method, Kind: Kind(c.Kind), Name: c.Name, Arguments: c.Arguments})
	}
	return denied
}

// isJSON wants JSON in UTF-8. No parameter has an effect on JSON (RFC 8259 section 11), but
// a charset has one on some readers: it may only name UTF-8, in whatever way.
func isJSON(contentType string) bool {
	mediaType, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return false
	}
	for param := range strings.SplitSeq(strings.ToLower(params), ";") {
		name, value, _ := strings.Cut(param, "=")
		switch name, value = strings.TrimSpace(name), strings.Trim(value, "\" \t"); {
		case strings.HasPrefix(name, "charset*"): // in parts or in another notation (RFC 2231)
			return false
		case name == "charset" && value != "" && value != "utf-8" && value != "utf8":
			return false
		}
	}
	return true
}

// checkMediaType wants JSON in UTF-8 as it is.
func checkMediaType(h http.Header) *refusal.Refusal {
	types := h["Content-Type"]
	if len(types) != 1 {
		return refusal.New(refusal.MediaType, "Content-Type", strings.Join(types, " and "), "application/json, once")
	}
	if types[0] != "application/json" && !isJSON(types[0]) {
		return refusal.New(refusal.MediaType, "Content-Type", types[0], "application/json in UTF-8")
	}
	if encodings := h["Content-Encoding"]; isCoded(encodings) {
		return refusal.New(refusal.MediaType, "Content-Encoding", strings.Join(encodings, " and "), "identity")
	}
	return nil
}

// Bounds of the buffers that bodies are read into.
const (
	minBuffer    = 512
	firstBuffer  = 32 << 10 // of a body that is announced as longer: it grows with what comes
	maxPooled    = 64 << 10 // a larger buffer is not kept for the next request, and is charged to its caller
	bufferMargin = 1        // so that the end of a body of known length is seen without growing
)

// maxHeldForCaller bounds the long bodies and the long answers that are held for one
// caller at a time, in bytes.
const maxHeldForCaller = 64 << 20

// How long a body may take. Whoever sends more slowly holds a connection and
// a buffer for nothing.
const (
	maxBodyPause = 10 * time.Second // between two pieces
	maxBodyTime  = time.Minute
)

// buffers are for bodies of requests whose arguments nobody outside of this
// package has seen.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readBody reads the whole body, once, within its bound, into buf or into
// something larger.
func (x *exchange) readBody(w http.ResponseWriter, r *http.Request, buf []byte) ([]byte, *refusal.Refusal) {
	if denied := checkMediaType(r.Header); denied != nil {
		return buf, denied
	}
	limit := x.g.maxBody
	if r.ContentLength > limit {
		return buf, denyTooLarge("Content-Length", limit)
	}
	if r.Body == nil {
		return buf[:0], nil
	}
	body := buf[:0]
	if size := max(min(int(r.ContentLength)+bufferMargin, firstBuffer), minBuffer); cap(body) < size {
		body = make([]byte, 0, size)
	}
	clock := newBodyClock(w, r)
	for {
		clock.await()
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit || isTooLarge(err):
			return body, denyTooLarge("body", limit)
		case err == io.EOF:
			clock.stop()
			return body, nil
		case err != nil:
			return body, denyUnread(err)
		case len(body) == cap(body):
			size := biggerBuffer(cap(body), int(r.ContentLength), int(limit))
			if !x.hold(&x.held.body, size-bufferMargin) {
				return body, denyHeld()
			}
			body = append(make([]byte, 0, size), body...)
		}
	}
}

// biggerBuffer is four times as large as one that is full, twice from 4 MiB on, and all that
// was announced if that is hardly more: what is held grows with what has come, and is seldom copied.
func biggerBuffer(full, announced, limit int) int {
	switch whole := announced + bufferMargin; {
	case full < whole && whole <= 5*full:
		return whole
	case full < maxPooled:
		return min(4*full, maxPooled)
	}
	factor := 4
	if full >= maxBody {
		factor = 2
	}
	return min(factor*full, limit+bufferMargin)
}

func denyTooLarge(what string, limit int64) *refusal.Refusal {
	return refusal.New(refusal.BodyTooLarge, what, "", fmt.Sprintf("at most %d bytes", limit))
}

// bodyClock ends a body that comes too slowly, by the read deadlines of the
// connection. A writer that has none is left alone.
type bodyClock struct {
	conn readDeadliner
	end  time.Time
}

type readDeadliner interface{ SetReadDeadline(time.Time) error }

// newBodyClock leaves the server's own ReadTimeout in force if it is shorter.
func newBodyClock(w http.ResponseWriter, r *http.Request) (c bodyClock) {
	if c.conn = deadlinesOf(w); c.conn == nil {
		return c
	}
	limit := maxBodyTime
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		limit = min(limit, server.ReadTimeout)
	}
	c.end = time.Now().Add(limit)
	return c
}

// await sets the deadline of the next piece.
func (c *bodyClock) await() {
	if c.conn == nil {
		return
	}
	deadline := time.Now().Add(maxBodyPause)
	if c.end.Before(deadline) {
		deadline = c.end
	}
	_ = c.conn.SetReadDeadline(deadline)
}

// stop takes the deadline away: the connection is used for longer than the body.
func (c *bodyClock) stop() {
	if c.conn != nil {
		_ = c.conn.SetReadDeadline(time.Time{})
	}
}

// deadlinesOf finds what [http.ResponseController] would, or nil.
func deadlinesOf(w http.ResponseWriter) readDeadliner {
	for {
		switch t := w.(type) {
		case readDeadliner:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// denyUnread tells a deadline, ours or one set in front of us, from a sender that has stopped.
func denyUnread(err error) *refusal.Refusal {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return refusal.For(refusal.SlowBody, "reading the body", err)
	}
	return refusal.For(refusal.UnreadableBody, "reading the body", err)
}

// holding is what one request makes us hold beyond what is free, in bytes. It is
// booked on the account of the caller: the principal and the client that it uses.
type holding struct{ body, response int32 }

// overHolding stands in a holding when the request is over: nobody would give
// anything back.
const overHolding = -1

// hold books that one of the two holds so many bytes now. Up to maxPooled it
// costs nothing and is not counted.
func (x *exchange) hold(part *int32, size int) bool {
	if size <= maxPooled {
		size = 0
	}
	switch more := size - int(*part); {
	case *part == overHolding:
		return size == 0
	case more == 0:
		return true
	case more < 0:
		x.m.owned.held.Give(x.principal.caller().Key(), -more)
	case !x.m.owned.held.Take(x.principal.caller().Key(), more, maxHeldForCaller):
		return false
	}
	*part = int32(size)
	return true
}

// release gives everything back.
func (x *exchange) release() {
	if held := x.held.body + x.held.response; held > 0 {
		x.m.owned.held.Give(x.principal.caller().Key(), int(held))
	}
	x.held = holding{overHolding, overHolding}
}

func denyHeld() *refusal.Refusal {
	return refusal.New(refusal.TooMuchHeld, "long bodies and answers of this principal and client", "", "at most 64 MiB at a time")
}

// isTooLarge tells the bound of a body, ours or one set in front of us.
func isTooLarge(err error) bool {
	if err == nil || err == io.EOF {
		return false
	}
	var tooLarge *http.MaxBytesError
	return errors.As(err, &tooLarge)
}

// checkedBody is the body that the handler reads: the bytes that were
// checked, with its own cursors. Once the request is over it has none any more, because the buffer
// may be another request's by then.
type checkedBody struct {
	mu     sync.Mutex
	rest   []byte
	closed bool
}

// Read implements [io.Reader].
func (b *checkedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Borrow implements [between.Body].
func (b *checkedBody) Borrow() []byte {
	b.mu.Lock()
	return b.rest
}

// Return implements [between.Body].
func (b *checkedBody) Return() { b.mu.Unlock() }

// Close implements [io.Closer].
func (b *checkedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest, b.closed = nil, true
	return nil
}

// openBody returns the body from its beginning, as [http.Request] GetBody wants it:
// a copy, because the one who sends it on may do so for longer than the request lasts.
func (x *exchange) openBody() (io.ReadCloser, error) {
	x.reader.mu.Lock()
	defer x.reader.mu.Unlock()
	if x.over {
		return nil, http.ErrBodyReadAfterClose
	}
	return &checkedBody{rest: append([]byte(nil), x.body...)}, nil
}
