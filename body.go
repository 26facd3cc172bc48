package mcpauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

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
	source := io.Reader(r.Body)
	if r.ContentLength < 0 {
		source = http.MaxBytesReader(w, r.Body, limit) // tells the server to close the connection
	}
	body := buf[:0]
	if size := max(min(int(r.ContentLength)+bufferMargin, firstBuffer), minBuffer); cap(body) < size {
		body = make([]byte, 0, size)
	}
	clock := newBodyClock(w, r)
	for {
		clock.await()
		n, err := source.Read(body[len(body):cap(body)])
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

// checkedBody is the body that the handler reads: the very bytes that were
// checked. Once the request is over it has none any more, because the buffer
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
