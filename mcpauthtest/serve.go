package mcpauthtest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// Where the documents stand, relative to origin and path of the issuer.
const (
	oauthPlace  = "/.well-known/oauth-authorization-server"
	openidPlace = "/.well-known/openid-configuration"
	jwksPlace   = "/jwks"
)

// endpoint is the state of one [Endpoint]; all but served is guarded by [Issuer].mu.
type endpoint struct {
	fault   Fault
	header  map[string]string
	fetches int
	served  atomic.Int64
}

func newEndpoint() *endpoint { return &endpoint{header: map[string]string{}} }

// answer is a response before it is written, to a socket or to a client in the
// same process.
type answer struct {
	status int
	header http.Header
	text   string
	fault  Fault // Slow or Huge: how the body is written
	served *atomic.Int64
}

// answer decides about one request and counts it. With an error nothing is
// written at all: the connection breaks.
func (i *Issuer) answer(r *http.Request, at Endpoint) (*answer, error) {
	token := ""
	if at == Introspection && r.Method == http.MethodPost {
		token = r.PostFormValue("token")
	}
	i.mu.Lock()
	i.requests = append(i.requests, withoutBody(r))
	e := i.endpoints[at]
	if e == nil {
		i.mu.Unlock()
		return &answer{status: http.StatusNotFound, header: http.Header{}, served: new(atomic.Int64)}, nil
	}
	e.fetches++
	fault := e.fault
	a := i.document(r, at, e, token)
	i.mu.Unlock()

	switch fault {
	case Hang:
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	case Reset:
		return nil, connectionReset()
	}
	if at == TokenEndpoint && a.status == http.StatusOK && fault != Down && fault != NotFound {
		i.exchange(a, r)
	}
	a.spoil(at, fault)
	if fault == None && a.status == http.StatusOK && matches(r.Header, a.header.Get("ETag")) {
		a.status, a.text = http.StatusNotModified, ""
		delete(a.header, "Content-Type")
	}
	if r.Method == http.MethodHead {
		a.text, a.fault = "", None
	}
	return a, nil
}

// document is the answer of an endpoint that works, to a question about a token if it is one. It must be called with mu held.
func (i *Issuer) document(r *http.Request, at Endpoint, e *endpoint, token string) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{}, served: &e.served}
	a.header.Set("Content-Type", "application/json")
	for name, value := range e.header {
		if value == "" {
			delete(a.header, name)
		} else {
			a.header[name] = []string{value}
		}
	}
	switch {
	case at == Introspection:
		i.introspect(r, token, a)
	case at == TokenEndpoint && r.Method == http.MethodPost: // see Issuer.exchange
	case at == TokenEndpoint:
		a.replace(http.StatusMethodNotAllowed, "text/plain; charset=utf-8", "only POST\n")
		a.header.Set("Allow", "POST")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a.replace(http.StatusMethodNotAllowed, "text/plain; charset=utf-8", "only GET\n")
		a.header.Set("Allow", "GET, HEAD")
	case at == JWKS:
		a.text = i.keySet()
	case slices.Contains(i.places, r.URL.EscapedPath()):
		a.text = i.metadata()
	default:
		a.replace(http.StatusNotFound, "text/plain; charset=utf-8", "not found\n")
	}
	return a
}

// endpointAt finds the endpoint for a path of the issuer's origin, "" for none.
func (i *Issuer) endpointAt(path string) Endpoint {
	switch {
	case strings.Contains(path, oauthPlace), strings.Contains(path, openidPlace):
		return Metadata
	case path == i.path+jwksPlace:
		return JWKS
	case path == i.path+tokenPlace:
		return TokenEndpoint
	case path == i.path+introspectionPlace:
		return Introspection
	}
	return ""
}

// publishedKeyURL is jwks_uri of the metadata, which a test may have changed.
func (i *Issuer) publishedKeyURL() *url.URL {
	i.mu.Lock()
	defer i.mu.Unlock()
	u, err := url.Parse(i.documents.jwksURI)
	if err != nil {
		return &url.URL{}
	}
	return u
}

// withoutBody copies a request for the record, and cuts it off from what its
// context holds.
func withoutBody(r *http.Request) *http.Request {
	clone := r.Clone(context.Background())
	clone.Body, clone.GetBody = nil, nil
	return clone
}

// matches compares entity tags weakly (RFC 9110 section 13.1.2).
func matches(request http.Header, etag string) bool {
	if etag == "" {
		return false
	}
	for _, line := range request.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
				return true
			}
		}
	}
	return false
}

// ServeHTTP answers as the issuer. It looks at paths alone, so that the issuer
// can be mounted on any server.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	at := i.endpointAt(path)
	if at == "" && path != "" && path == i.publishedKeyURL().EscapedPath() {
		at = JWKS
	}
	a, err := i.answer(r, at)
	if err != nil {
		breakConnection(w)
	}
	a.writeTo(w, r)
}
