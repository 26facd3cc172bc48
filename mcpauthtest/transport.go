package mcpauthtest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Transport serves the issuer in process, for [mcpauth.Config].Transport. Any
// other host than the issuer's and that of its published jwks_uri does not
// exist for it.
func (i *Issuer) Transport() http.RoundTripper { return transport{i} }

type transport struct{ issuer *Issuer }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	at, reachable := t.issuer.endpointOf(r.URL)
	if !reachable {
		t.issuer.record(r)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true,
		}}
	}
	a, err := t.issuer.answer(r, at)
	if err != nil {
		return nil, err
	}
	body := a.body(r.Context())
	return &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          body,
		ContentLength: a.length(),
		Request:       r,
	}, nil
}

// endpointOf finds the endpoint for a URL, "" for none, and whether there is a
// server at all.
func (i *Issuer) endpointOf(u *url.URL) (at Endpoint, reachable bool) {
	origin := func(u *url.URL) string { return strings.ToLower(u.Scheme + "://" + u.Host) }
	if origin(u) == strings.ToLower(i.origin) {
		at, reachable = i.endpointAt(u.EscapedPath()), true
	}
	if keys := i.publishedKeyURL(); at == "" && origin(u) == origin(keys) {
		if reachable = true; u.EscapedPath() == keys.EscapedPath() {
			at = JWKS
		}
	}
	return at, reachable
}

func (i *Issuer) record(r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, withoutBody(r))
}

// length is the Content-Length, -1 for a body without end.
func (a *answer) length() int64 {
	if a.fault == Huge {
		return -1
	}
	return int64(len(a.text))
}

// body makes the bytes only as they are read, without a goroutine and without a
// buffer: a client that stops reading costs nothing.
type body struct {
	ctx    context.Context
	rest   string
	fault  Fault
	served *atomic.Int64
	once   sync.Once
	closed chan struct{}
}

func (a *answer) body(ctx context.Context) *body {
	b := &body{ctx: ctx, rest: a.text, fault: a.fault, served: a.served, closed: make(chan struct{})}
	if a.fault == Huge {
		b.rest = `{"filler":"`
	}
	return b
}

func (b *body) Read(p []byte) (n int, err error) {
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	if b.rest == "" && b.fault != Huge {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.fault == Slow {
		if err := b.pause(); err != nil {
			return 0, err
		}
		p = p[:1]
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	if b.fault == Huge {
		for ; n < len(p); n++ {
			p[n] = 'x'
		}
	}
	b.served.Add(int64(n))
	return n, nil
}

// pause waits for the time of one byte, or until nobody wants it any more.
func (b *body) pause() error {
	timer := time.NewTimer(slowPace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b.closed:
		return http.ErrBodyReadAfterClose
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// writeTo writes the answer to a socket.
func (a *answer) writeTo(w http.ResponseWriter, r *http.Request) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.header["Content-Type"] == nil {
		w.Header()["Content-Type"] = nil // net/http would guess one
	}
	if length := a.length(); length > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(a.status)
	flush := http.NewResponseController(w).Flush
	if a.fault == Slow {
		_ = flush()
	}
	b := a.body(r.Context())
	defer b.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := b.Read(buffer)
		if _, failed := w.Write(buffer[:n]); failed != nil {
			return
		}
		if a.fault == Slow {
			_ = flush()
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}

// breakConnection ends the connection without an answer, with a reset where
// there is one.
func breakConnection(w http.ResponseWriter) {
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = connection.Close()
	}
	panic(http.ErrAbortHandler)
}
