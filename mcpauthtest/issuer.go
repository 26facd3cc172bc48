package mcpauthtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-1e292522/mcpauth"
)

// Issuer is a fake authorization server. It publishes metadata and keys, and
// mints tokens. It is safe for concurrent use, also while its documents, keys
// and faults change.
type Issuer struct {
	tb           testing.TB
	url          string
	origin, path string

	mu        sync.Mutex
	keys      []*Key
	signer    *Key
	places    []string // paths at which metadata answers
	documents documents
	endpoints map[Endpoint]*endpoint
	requests  []*http.Request
	opaque    opaque

	onExchange func(Exchange) (Claims, error)

	edit sync.Mutex // held while a caller edits the metadata
}

// NewIssuer starts an issuer on a free loopback port: its URL is
// http://127.0.0.1:PORT, which [mcpauth.Config].AllowInsecureLoopback lets
// pass. It signs with RS256 and a key named "k1", and is closed when the test
// ends.
//
// It needs real sockets and so does not work inside testing/synctest; there,
// use [NewIssuerAt].
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	server := httptest.NewUnstartedServer(nil)
	i := NewIssuerAt(tb, "http://"+server.Listener.Addr().String())
	// A request that hangs on purpose ends with this context, so that closing
	// the server does not wait for its client.
	ctx, cancel := context.WithCancel(context.Background())
	server.Config.Handler = i
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	tb.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
	})
	return i
}

// NewIssuerAt makes an issuer with any URL, such as
// "https://as.example.com/tenant1". It listens nowhere: hand [Issuer.Transport]
// to [mcpauth.Config], or mount the issuer, which is an [http.Handler], on a
// server of your own. The URL is taken as it stands, however wrong it may be.
// The first key is RS256 and named "k1"; no two issuers that live at the same
// time share one.
func NewIssuerAt(tb testing.TB, url string) *Issuer {
	tb.Helper()
	i := &Issuer{tb: tb, url: url}
	i.origin, i.path = split(url)
	i.places = wellKnown(i.path)
	i.endpoints = map[Endpoint]*endpoint{
		Metadata: newEndpoint(), JWKS: newEndpoint(), TokenEndpoint: newEndpoint(), Introspection: newEndpoint(),
	}
	i.Rotate(issuerKey(tb))
	i.PublishMetadata(nil)
	return i
}

// split takes a URL apart as text, because an issuer may be no URL at all.
func split(url string) (origin, path string) {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		url = url[:end]
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "", url
	}
	host, path, _ := strings.Cut(rest, "/")
	if path != "" {
		path = "/" + strings.TrimSuffix(path, "/")
	}
	if !ok {
		return host, path
	}
	return strings.ToLower(scheme + "://" + host), path
}

// wellKnown lists where the metadata stands: RFC 8414 section 3.1, then OpenID
// Connect Discovery with the well-known part inserted, then appended.
func wellKnown(path string) []string {
	places := []string{oauthPlace + path, openidPlace + path}
	if path != "" {
		places = append(places, path+openidPlace)
	}
	return places
}

// URL is the issuer identifier, which stands in iss and in the metadata.
func (i *Issuer) URL() string { return i.url }

// Config is what makes a server trust this issuer. Its further fields may be set.
func (i *Issuer) Config() mcpauth.Issuer { return mcpauth.Issuer{URL: i.url} }

// Fetches tells how many requests an endpoint has seen, those that failed included.
func (i *Issuer) Fetches(endpoint Endpoint) int {
	e := i.endpoint(endpoint)
	i.mu.Lock()
	defer i.mu.Unlock()
	return e.fetches
}

// Served tells how many bytes of bodies clients have read from an endpoint.
// Over a socket those count that were written, which is more than a client may
// have looked at.
func (i *Issuer) Served(endpoint Endpoint) int64 { return i.endpoint(endpoint).served.Load() }

// Requests returns every request seen so far, in order and without bodies.
// Through [Issuer.Transport] that includes those for other hosts, which are
// never answered: a test can so prove that there were none.
func (i *Issuer) Requests() []*http.Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	seen := make([]*http.Request, len(i.requests))
	for n, r := range i.requests {
		seen[n] = r.Clone(r.Context())
	}
	return seen
}

// Header makes an endpoint send a response header, such as Cache-Control,
// Retry-After or ETag. With an ETag, a matching If-None-Match gets 304 (RFC
// 9110 section 13.1.2), until the test sets another. An empty value leaves the
// header out.
func (i *Issuer) Header(endpoint Endpoint, name, value string) {
	e := i.endpoint(endpoint)
	i.mu.Lock()
	defer i.mu.Unlock()
	e.header[http.CanonicalHeaderKey(name)] = value
}

// endpoint ends the test when the name is not one.
func (i *Issuer) endpoint(name Endpoint) *endpoint {
	e, ok := i.endpoints[name]
	if !ok {
		i.tb.Helper()
		i.tb.Fatalf("mcpauthtest: %q is no endpoint: use Metadata, JWKS, TokenEndpoint or Introspection", name)
	}
	return e
}
