// Package fetch makes the bounded GET requests for an authorization server's
// documents: no redirects, no credentials, no cookies, no proxy from the
// environment, limits on time and size, and a guard on the address dialed.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Timeout bounds one request from the dial to the last byte.
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
	Class Class
	URL   string
	Err   error
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
	return fmt.Sprintf("GET %s: %s: %s", foreign.URL(e.URL), e.Class, foreign.LineShort(text, maxReason))
}

// maxReason bounds what of a cause is shown: a transport may repeat what the server has sent.
const maxReason = 256

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Client makes the requests. It is safe for concurrent use.
type Client struct {
	trusted, guarded http.RoundTripper
}

// New returns a client. A custom transport, if not nil, makes the connections;
// then the guard can only look at literal addresses in URLs.
func New(custom http.RoundTripper) *Client {
	if custom != nil {
		return &Client{trusted: custom, guarded: custom}
	}
	return &Client{trusted: transport(nil), guarded: transport(refusePrivate)}
}

func transport(control controlFunc) *http.Transport {
	dialer := &net.Dialer{Timeout: headerTimeout, ControlContext: control}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    headerTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           8,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
	}
}

// Request says what to get.
type Request struct {
	URL     string
	ETag    string // of the copy at hand, "" for none
	Limit   int64  // bytes of the body
	Guarded bool   // the URL was learned from a document: refuse private addresses
}

// Response is a 200, or a 304 without a body.
type Response struct {
	Body        []byte
	NotModified bool
	ETag        string
	ContentType string
	Lifetime    time.Duration // what Cache-Control or Expires allow; negative when they say nothing
}

// Get makes one request, in at most [Timeout].
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
	if req.ETag != "" {
		r.Header.Set("If-None-Match", req.ETag)
	}
	roundTripper := c.trusted
	if req.Guarded {
		if err := refuseLiteral(r.URL.Hostname()); err != nil {
			return fail(DialRefused, err)
		}
		roundTripper = c.guarded
	}
	// A custom transport need not have a limit of its own for this.
	late := time.AfterFunc(headerTimeout, func() { giveUp(errNoHeader) })
	resp, err := roundTripper.RoundTrip(r)
	late.Stop()
	if err != nil {
		return fail(classify(ctx, err), err)
	}
	defer resp.Body.Close()
	switch {
	case resp.Request != nil && resp.Request.Response != nil:
		return fail(Redirect, errors.New("followed by the transport"))
	case resp.StatusCode == http.StatusNotModified && req.ETag != "":
		return &Response{NotModified: true, ETag: req.ETag, Lifetime: lifetime(resp.Header)}, nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fail(Redirect, fmt.Errorf("status %d", resp.StatusCode))
	case resp.StatusCode != http.StatusOK:
		return fail(BadStatus, StatusError(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, req.Limit+1))
	if err != nil {
		return fail(classify(ctx, err), err)
	}
	if int64(len(body)) > req.Limit {
		return fail(TooLarge, fmt.Errorf("more than %d bytes", req.Limit))
	}
	return &Response{
		Body:        body,
		ETag:        resp.Header.Get("ETag"),
		ContentType: resp.Header.Get("Content-Type"),
		Lifetime:    lifetime(resp.Header),
	}, nil
}

var errNoHeader = errors.New("no response header in time")

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

// lifetime reads Cache-Control and Expires (RFC 9111 section 4.2.1).
func lifetime(h http.Header) time.Duration {
	maxAge := time.Duration(-1)
	cacheControl := strings.ToLower(strings.Join(h.Values("Cache-Control"), ","))
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil || errors.Is(err, strconv.ErrRange) {
				maxAge = time.Duration(seconds) * time.Second // the largest value when out of range
			}
		}
	}
	if maxAge >= 0 {
		return maxAge
	}
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil {
		return max(time.Until(expires), 0)
	}
	return -1
}

// SameOrigin reports whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && lower(a.Host) == lower(b.Host)
}
