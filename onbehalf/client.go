package onbehalf

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Client returns an HTTP client for the target. To requests for [Target].URL and below it adds a token, which it
// asks for each time; all others, after a redirect too, go without. When the request whose ctx this is is over,
// those fail with [Over], whoever keeps the client. A request to the target without an end of its own ends with ctx.
func (e *Exchanger) Client(ctx context.Context, target string) *http.Client {
	base := e.config.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	a := &adder{exchanger: e, ctx: ctx, target: target, base: base}
	return &http.Client{Transport: tripper(a.roundTrip)}
}

// tripper is a method as an [http.RoundTripper]: who prints the client sees nothing of what is behind.
type tripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// adder adds the token to a copy, so that a redirect does not carry it on.
type adder struct {
	exchanger *Exchanger
	ctx       context.Context
	target    string
	base      http.RoundTripper
}

func (a *adder) roundTrip(r *http.Request) (*http.Response, error) {
	fail := func(err *Error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	t := a.exchanger.targets[a.target]
	switch {
	case t == nil:
		return fail(a.exchanger.noTarget(a.target))
	case t.base == nil:
		return fail(a.exchanger.misconfigured(t, "Target.URL is not set, and Resource is no https URL", ""))
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(r.Header)), func(name string) bool { return strings.EqualFold(name, "Authorization") }) {
		return fail(a.exchanger.misconfigured(t, "the request has an Authorization of its own: leave it out", ""))
	}
	if !t.covers(r) {
		a.exchanger.log.Debug("onbehalf: a request is not to Target.URL, and goes without a token", "target", t.name, "host", foreign.Quote(r.URL.Scheme+"://"+r.URL.Host))
		return a.base.RoundTrip(r)
	}
	token, err := a.exchanger.Token(a.ctx, a.target)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(a.lasting(r.Context()))
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	return a.base.RoundTrip(r)
}

// lasting is the context of a request to the target. One that would never end, as that of [http.Client.Get] is,
// ends with the caller's: nobody waits for an answer then.
func (a *adder) lasting(own context.Context) context.Context {
	if own.Done() != nil {
		return own
	}
	return ending{a.ctx, own}
}

// ending has the end of one context and the values of another.
type ending struct {
	context.Context
	values context.Context
}

// Value implements [context.Context].
func (c ending) Value(key any) any { return c.values.Value(key) }

// covers reports whether a request is for the URL of the target, or below it. A field Host names another origin than
// the connection (RFC 9110 section 7.2), and a path with dots in it may lead elsewhere.
func (t *target) covers(r *http.Request) bool {
	u := r.URL
	if !t.isAt(u) || r.Host != "" && !t.isAt(&url.URL{Scheme: u.Scheme, Host: r.Host}) || u.User != nil || u.Opaque != "" || hasDots(u.Path) {
		return false
	}
	below := strings.TrimSuffix(t.base.EscapedPath(), "/")
	return u.EscapedPath() == below || strings.HasPrefix(u.EscapedPath(), below+"/") || below == "" && u.Path == ""
}

// isAt reports whether a URL has the origin of the target.
func (t *target) isAt(u *url.URL) bool {
	return u.Scheme == t.base.Scheme && strings.EqualFold(u.Hostname(), t.base.Hostname()) && port(u) == port(t.base)
}

// decoded undoes what servers decode that do so more than once.
var decoded = strings.NewReplacer("%25", "%", "%2e", ".", "%2f", "/", "%5c", `\`, "%3b", ";")

// hasDots reports whether a segment of a path leads upwards for some server: those of Java take what follows a
// semicolon for parameters.
func hasDots(path string) bool {
	for last := ""; path != last; {
		last, path = path, decoded.Replace(strings.ToLower(path))
	}
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
