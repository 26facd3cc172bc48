package mcpauth

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// Bounds of the buffers that bodies are read into.
const (
	minBuffer    = 512
	maxPooled    = 64 << 10 // a larger buffer is not kept for the next request
	bufferMargin = 1        // so that the end of a body of known length is seen without growing
)

// buffers are for bodies of requests whose arguments nobody outside of this
// package has seen.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readBody reads the whole body, once, within its bound, into buf or into
// something larger.
func readBody(w http.ResponseWriter, r *http.Request, buf []byte) ([]byte, *DeniedError) {
	if denied := checkMediaType(r.Header); denied != nil {
		return buf, denied
	}
	if r.ContentLength > maxBody {
		return buf, deny(errBodyTooLarge, "Content-Length", "", "at most 4 MiB")
	}
	if r.Body == nil {
		return buf[:0], nil
	}
	source := io.Reader(r.Body)
	if r.ContentLength < 0 {
		source = http.MaxBytesReader(w, r.Body, maxBody) // tells the server to close the connection
	}
	body := buf[:0]
	if size := max(int(r.ContentLength)+bufferMargin, minBuffer); cap(body) < size {
		body = make([]byte, 0, size)
	}
	for {
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody || isTooLarge(err):
			return body, deny(errBodyTooLarge, "body", "", "at most 4 MiB")
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, denyFor(errUnreadableBody, "reading the body", err)
		case len(body) == cap(body):
			body = append(body, 0)[:len(body)]
		}
	}
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
