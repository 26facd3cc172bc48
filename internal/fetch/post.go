package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// postTimeout bounds one request of a [Poster]: somebody waits for each.
const postTimeout = 3 * time.Second

// keptIdle is how many connections to one endpoint are kept for the next request.
const keptIdle = 16

// Poster asks endpoints that are asked often: other than those of a [Client], its connections are
// used again. It is safe for concurrent use.
type Poster struct{ trusted, guarded http.RoundTripper }

// NewPoster returns a poster. A custom transport, if not nil, makes the connections, as in [New].
func NewPoster(custom http.RoundTripper) *Poster {
	p := &Poster{trusted: custom, guarded: custom}
	if custom == nil {
		p.trusted, p.guarded = keepAlive(nil), keepAlive(refusePrivate)
	}
	return p
}

func keepAlive(control controlFunc) *http.Transport {
	t := transport(control)
	t.DisableKeepAlives, t.MaxIdleConnsPerHost, t.IdleConnTimeout = false, keptIdle, 30*time.Second
	return t
}

// PostRequest is a form for an endpoint.
type PostRequest struct {
	URL     string
	Header  http.Header
	Form    url.Values
	Limit   int64 // bytes of the answer's body
	Guarded bool  // the URL was learned from a document: refuse private addresses

	// Returned is called when the transport has done with the request. That may be later than
	// [Poster.Post] returns.
	Returned func()
}

// Posted is an answer of any status but a redirect.
type Posted struct {
	Status     int
	Body       []byte
	RetryAfter time.Duration // as the server wishes, 0 for no wish
}

// Post makes one request, in at most three seconds: it comes back even if the transport does not.
func (p *Poster) Post(ctx context.Context, req PostRequest) (*Posted, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	fail := func(class Class, err error) (*Posted, error) {
		return nil, &Error{Method: http.MethodPost, Class: class, URL: req.URL, Err: withoutSecrets(err, &req)}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, strings.NewReader(req.Form.Encode()))
	if err != nil {
		req.Returned()
		return fail(Network, err)
	}
	r.Header = req.Header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "mcpauth (+https://github.com/seed-1e292522/mcpauth)")
	// A question changes nothing: net/http may ask it again on another connection when this one had been closed.
	r.Header["X-Idempotency-Key"] = nil
	roundTripper := p.trusted
	if req.Guarded {
		if err := refuseLiteral(r.URL.Hostname()); err != nil {
			req.Returned()
			return fail(DialRefused, err)
		}
		roundTripper = p.guarded
	}
	type result struct {
		posted *Posted
		class  Class
		err    error
	}
	done := make(chan result, 1)
	go func() {
		o := result{class: Network, err: errPanic}
		defer func() {
			if recovered := recover(); recovered != nil { // it may come out of a transport that is not ours
				o = result{class: Network, err: fmt.Errorf("panic with a %T", recovered)}
			}
			req.Returned()
			done <- o
		}()
		o.posted, o.class, o.err = post(r, roundTripper, req.Limit)
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return fail(o.class, o.err)
		}
		return o.posted, nil
	case <-ctx.Done():
		return fail(TimedOut, context.Cause(ctx))
	}
}

// secretFields are those of a form that nobody may see.
var secretFields = []string{"token", "access_token", "client_secret", "client_assertion"}

// withoutSecrets keeps the words of an error alone, and of those nothing that was sent: a transport may repeat the
// request, and net/http repeats an answer that it cannot read.
func withoutSecrets(err error, req *PostRequest) error {
	_, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	_, password, _ := (&http.Request{Header: req.Header}).BasicAuth()
	plain, _ := url.QueryUnescape(password)
	secrets := []string{credentials, password, plain}
	for _, name := range secretFields {
		secrets = append(secrets, req.Form.Get(name), url.QueryEscape(req.Form.Get(name)))
	}
	text := foreign.Redact(secrets...)(err.Error())
	for _, secret := range secrets { // one that is too short to be told from other words
		if secret != "" && strings.Contains(text, secret) {
			text = "in words that repeat what was sent"
		}
	}
	return errors.New(text)
}

// post makes the request and reads the answer. After a failure no connection is used again: one that
// has died in silence would be used until somebody notices.
func post(r *http.Request, roundTripper http.RoundTripper, limit int64) (posted *Posted, class Class, err error) {
	defer func() {
		if idle, ok := roundTripper.(interface{ CloseIdleConnections() }); ok && err != nil {
			idle.CloseIdleConnections()
		}
	}()
	resp, err := roundTripper.RoundTrip(r)
	if err != nil {
		return nil, classify(r.Context(), err), err
	}
	defer resp.Body.Close()
	switch {
	case resp.Request != nil && resp.Request.Response != nil:
		return nil, Redirect, errors.New("followed by the transport")
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, Redirect, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, classify(r.Context(), err), err
	}
	if int64(len(body)) > limit {
		return nil, TooLarge, fmt.Errorf("more than %d bytes", limit)
	}
	posted = &Posted{Status: resp.StatusCode, Body: body}
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		posted.RetryAfter = time.Duration(seconds) * time.Second
	}
	return posted, "", nil
}
