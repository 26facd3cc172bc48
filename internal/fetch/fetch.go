// Package fetch makes the bounded GET requests for an authorization server's
// documents: no redirects, no credentials, no cookies, no conditions, no proxy from
// the environment, limits on time and size, and a guard on the address dialed.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Timeout bounds one request from the dial to the last byte, whatever the transport does.
const Timeout = 5 * time.Second

// headerTimeout bounds the wait for the response header.
const headerTimeout = 3 * time.Second

// Class is the kind of a failure, in words that may be shown on a status page.
type Class string

// The classes of failure.
const (
	Network     Class = "network"
	TimedOut    Class = "timeout"
	DialRefused Class = "dial_refused"
	Redirect    Class = "redirect_refused"
	BadStatus   Class = "bad_status"
	TooLarge    Class = "too_large"
)

// Error is a failed request.
type Error struct {
	Method string // "" for GET
	Class  Class
	URL    string
	Err    error
}

// StatusError is the cause of [BadStatus].
type StatusError int

func (e StatusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// Error shows the URL without its query, also where the cause repeats it.
func (e *Error) Error() string {
	err := e.Err
	var around *url.Error
	if errors.As(err, &around) {
		err = around.Err
	}
	text := strings.ReplaceAll(err.Error(), e.URL, "it")
	if _, query, _ := strings.Cut(e.URL, "?"); query != "" {
		text = strings.ReplaceAll(text, "?"+query, "?...")
	}
	return fmt.Sprintf("%s %s: %s: %s", cmp.Or(e.Method, http.MethodGet), foreign.URL(e.URL), e.Class, foreign.LineShort(text, maxReason))
}

// maxReason bounds what of a cause is shown: a transport may repeat what the server has sent.
const maxReason = 256

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Client makes the requests. It is safe for concurrent use.
type Client struct {
	trusted, guarded http.RoundTripper

	mu      sync.Mutex
	pending map[string]*pending // by URL
	failed  bool                // a request, since connections were let go of
}

// pending are the requests for one URL that have not come back. All but the
// last were given up.
type pending struct {
	count int
	begun time.Time // the last one
}

// A transport that never comes back keeps a goroutine each time.
const (
	maxAbandoned   = 4           // for one URL, with no more than
	abandonedPause = time.Minute // between two attempts beyond that
)

// New returns a client. A custom transport, if not nil, makes the connections;
// then the guard can only look at literal addresses in URLs.
func New(custom http.RoundTripper) *Client {
	c := &Client{trusted: custom, guarded: custom, pending: map[string]*pending{}}
	if custom == nil {
		c.trusted, c.guarded = transport(nil), transport(refusePrivate)
	}
	return c
}

// transport uses no connection twice: documents are fetched too rarely to gain by
// it, and one that has died in silence would be used until somebody notices.
func transport(control controlFunc) *http.Transport {
	dialer := &net.Dialer{Timeout: headerTimeout, ControlContext: control}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    headerTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Request says what to get.
type Request struct {
	URL     string
	Limit   int64 // bytes of the body
	Guarded bool  // the URL was learned from a document: refuse private addresses
}

// Response is a 200.
type Response struct {
	Body        []byte
	ContentType string
	Lifetime    time.Duration // what is left of it by Cache-Control or Expires; negative when they say nothing
	Age         time.Duration // in caches on the way, at most, as they say
	Date        time.Time     // of the answer, by the sender's clock; zero when it says nothing
}

// Get makes one request, in at most [Timeout]: it comes back even if the transport does not.
func (c *Client) Get(ctx context.Context, req Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	fail := func(class Class, err error) (*Response, error) {
		return nil, &Error{Class: class, URL: req.URL, Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL, nil)
	if err != nil {
		return fail(Network, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "mcpauth (+https://github.com/seed-1e292522/mcpauth)")
	roundTripper := c.trusted
	if req.Guarded {
		if err := refuseLiteral(r.URL.Hostname()); err != nil {
			return fail(DialRefused, err)
		}
		roundTripper = c.guarded
	}
	if !c.begin(req.URL, roundTripper) {
		return fail(TimedOut, errAbandoned)
	}
	result := make(chan outcome, 1)
	go func() {
		o := outcome{class: Network, err: errPanic}
		defer func() {
			if recovered := recover(); recovered != nil { // it may come out of a transport that is not ours
				o = outcome{class: Network, err: fmt.Errorf("panic with a %T", recovered)}
			}
			c.end(req.URL, o.err != nil)
			result <- o
		}()
		o = exchange(r, roundTripper, req.Limit, giveUp)
	}()
	select {
	case o := <-result:
		if o.err != nil {
			return fail(o.class, o.err)
		}
		return o.response, nil
	case <-ctx.Done():
		return fail(TimedOut, context.Cause(ctx))
	}
}

// begin takes note of a request. It refuses one for a URL whose requests do not
// come back. Connections that a transport may still have since a failure are let go of.
func (c *Client) begin(url string, roundTripper http.RoundTripper) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, p := time.Now(), c.pending[url]
	if p == nil {
		p = &pending{}
		c.pending[url] = p
	}
	if p.count >= maxAbandoned && now.Sub(p.begun) < abandonedPause {
		return false
	}
	p.count++
	p.begun = now
	if idle, ok := roundTripper.(interface{ CloseIdleConnections() }); ok && (c.failed || p.count > 1) {
		idle.CloseIdleConnections()
		c.failed = false
	}
	return true
}

func (c *Client) end(url string, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = c.failed || failed
	p := c.pending[url]
	if p.count--; p.count == 0 {
		delete(c.pending, url)
	}
}

type outcome struct {
	response *Response
	class    Class
	err      error
}

// exchange makes the request and reads the answer.
func exchange(r *http.Request, roundTripper http.RoundTripper, limit int64, giveUp context.CancelCauseFunc) outcome {
	// A custom transport need not have a limit of its own for this.
	late := time.AfterFunc(headerTimeout, func() { giveUp(errNoHeader) })
	resp, err := roundTripper.RoundTrip(r)
	late.Stop()
	if err != nil {
		return outcome{class: classify(r.Context(), err), err: err}
	}
	defer resp.Body.Close()
	switch {
	case resp.Request != nil && resp.Request.Response != nil:
		return outcome{class: Redirect, err: errors.New("followed by the transport")}
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
		return outcome{class: Redirect, err: fmt.Errorf("status %d", resp.StatusCode)}
	case resp.StatusCode != http.StatusOK:
		return outcome{class: BadStatus, err: StatusError(resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return outcome{class: classify(r.Context(), err), err: err}
	}
	if int64(len(body)) > limit {
		return outcome{class: TooLarge, err: fmt.Errorf("more than %d bytes", limit)}
	}
	answer := &Response{
		Body:        body,
		ContentType: resp.Header.Get("Content-Type"),
		Lifetime:    lifetime(resp.Header),
	}
	if resp.Header.Get("Age") != "" {
		answer.Age = age(resp.Header) + time.Second // it is in whole seconds, rounded down
	}
	answer.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	return outcome{response: answer}
}

var (
	errNoHeader  = errors.New("no response header in time")
	errAbandoned = errors.New("earlier requests have not come back")
	errPanic     = errors.New("the transport has ended the goroutine") // runtime.Goexit
)

func classify(ctx context.Context, err error) Class {
	var timeout net.Error
	switch {
	case errors.Is(err, errPrivateAddress):
		return DialRefused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(),
		errors.Is(context.Cause(ctx), errNoHeader), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return TimedOut
	}
	return Network
}

// SameOrigin reports whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && lower(a.Host) == lower(b.Host)
}
