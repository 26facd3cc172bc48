// Package inprocess carries HTTP requests to a handler in the same process as
// a server would, each answer as it is written, without a socket.
package inprocess

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// Transport is an [http.RoundTripper]. A panic of the handler goes on in who
// reads the answer, [http.ErrAbortHandler] excepted, which cuts the answer off.
type Transport struct{ Handler http.Handler }

// RoundTrip calls the handler and returns once it has sent its header.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	body, out := io.Pipe()
	w := &writer{method: r.Method, header: http.Header{}, ready: make(chan struct{}), body: out}
	go func() {
		defer cancel()
		defer func() { w.end(recover()) }()
		t.Handler.ServeHTTP(w, received(r, ctx))
	}()
	stop := context.AfterFunc(r.Context(), func() {
		_ = out.CloseWithError(context.Cause(r.Context())) // first, or the handler's next words would still be read
		cancel()
	})
	select {
	case <-w.ready:
	case <-r.Context().Done():
		// Who writes still may: it is not looked at any more.
		return nil, context.Cause(r.Context())
	}
	answer := &answer{PipeReader: body, cancel: cancel, stop: stop}
	if w.status == 0 { // the handler ended in a panic before it sent anything
		return nil, answer.failed(w.panicked)
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Body: answer, ContentLength: -1, Request: r,
	}, nil
}

// received is a client's request as a server hands it on.
func received(r *http.Request, ctx context.Context) *http.Request {
	in := r.Clone(ctx)
	in.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "192.0.2.1:1234"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if in.Body == nil {
		in.Body, in.ContentLength = http.NoBody, 0
	}
	in.GetBody = nil
	return in
}

// writer is the ResponseWriter of the handler.
type writer struct {
	method string
	header http.Header
	body   *io.PipeWriter

	once     sync.Once
	ready    chan struct{} // closed when what follows is set
	status   int
	sent     http.Header // the header as it was when it was sent
	panicked any
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *writer) Write(data []byte) (int, error) {
	if w.status == 0 && w.header.Get("Content-Type") == "" && len(data) > 0 {
		w.header.Set("Content-Type", http.DetectContentType(data))
	}
	w.WriteHeader(http.StatusOK)
	if w.method == http.MethodHead {
		return len(data), nil
	}
	return w.body.Write(data)
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

// end is called when the handler has returned, or has ended in a panic.
func (w *writer) end(panicked any) {
	if panicked == nil {
		w.WriteHeader(http.StatusOK)
		_ = w.body.Close()
		return
	}
	w.once.Do(func() {
		w.panicked = panicked
		close(w.ready)
	})
	_ = w.body.CloseWithError(&panicError{panicked})
}

// panicError takes the value of a panic to who reads the answer.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.value) }

// answer is the body of a response.
type answer struct {
	*io.PipeReader
	cancel context.CancelFunc
	stop   func() bool
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.PipeReader.Read(p)
	if panicked, ok := err.(*panicError); ok {
		return n, a.failed(panicked.value)
	}
	return n, err
}

// failed goes on with a panic of the handler.
func (a *answer) failed(panicked any) error {
	if panicked == http.ErrAbortHandler {
		return http.ErrAbortHandler
	}
	panic(panicked)
}

// Close lets go of the answer. The handler's context ends, as with a client that leaves.
func (a *answer) Close() error {
	a.stop()
	a.cancel()
	return a.PipeReader.Close()
}
