package mcpauth

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// serveOriginAS answers what clients of 2025-03-26 ask of the resource's
// origin, which they take for the authorization server
// ([Config.LegacyASMetadata]): its metadata, word for word, and the way to its
// authorization page. Nothing that carries credentials is passed on.
func (p *public) serveOriginAS(w http.ResponseWriter, r *http.Request) bool {
	if !p.legacyAS {
		return false
	}
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration":
		p.serveASMetadata(w, r)
	case "/authorize":
		p.redirectToAS(w, r)
	case "/token", "/register":
		notFound(w)
	default:
		return false
	}
	return true
}

// asMetadata returns the metadata of the first issuer that publishes any.
func (p *public) asMetadata(r *http.Request) (*loaded[serverMetadata], error) {
	for _, s := range p.issuers {
		if s.keys.metadata != nil {
			return s.keys.metadata.get(r.Context(), time.Now())
		}
	}
	return nil, errBadMetadata
}

// serveASMetadata serves the document as it was fetched: its issuer stays the
// authorization server's own (RFC 8414 section 3.3).
func (p *public) serveASMetadata(w http.ResponseWriter, r *http.Request) {
	doc, err := p.asMetadata(r)
	if err != nil {
		p.refuser.refuse(w, r, &exchange{}, denyUnavailable(err))
		return
	}
	served := newDocument(doc.value.raw)
	served.serve(w, r)
}

// redirectToAS sends the user's browser to the authorization endpoint, with
// the query as it came.
func (p *public) redirectToAS(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || hasQueryToken(r.URL) {
		notFound(w)
		return
	}
	doc, err := p.asMetadata(r)
	if err != nil {
		p.refuser.refuse(w, r, &exchange{}, denyUnavailable(err))
		return
	}
	members, _ := topLevelStrings(doc.value.raw, "authorization_endpoint")
	target, err := url.Parse(members["authorization_endpoint"])
	if err != nil || target.Scheme != "https" && target.Scheme != "http" || !fetch.HasOneReading(target.Hostname()) {
		notFound(w)
		return
	}
	target.RawQuery = strings.Trim(target.RawQuery+"&"+r.URL.RawQuery, "&")
	h := w.Header()
	h.Set("Location", target.String())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}
