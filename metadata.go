package mcpauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// public is what anybody may read, without a token: documents, and what browsers ask before they call.
type public struct {
	metadata metadata
	origins  origins
	legacyAS bool
	issuers  []*issuer // whose metadata is served to clients of 2025-03-26
	refuser  *refuser
	unasked  *unasked
	log      *slog.Logger
	astray   atomic.Bool // the operator has been told that /authorize leads nowhere
}

// serve answers what concerns no token. It reports whether it has.
func (p *public) serve(w http.ResponseWriter, r *http.Request) bool {
	return p.serveOriginAS(w, r) || p.serveWellKnown(w, r) || p.servePreflight(w, r)
}

// metadataRoot is the well-known path of RFC 9728 section 3.
const metadataRoot = "/.well-known/oauth-protected-resource"

// metadata is the protected resource metadata, rendered once.
type metadata struct {
	url   string // absolute, as challenges name it
	path  string // decoded
	raw   string // as it stands in url
	query string
	alias string // "" or the root path, where clients look that know no other
	document
}

// reservedMetadata are members that only the configuration's own fields may
// set, or that promise what this package does not do.
var reservedMetadata = []string{
	"resource", "authorization_servers", "scopes_supported", "bearer_methods_supported", "jwks_uri", "signed_metadata",
	"dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens",
	"authorization_details_types_supported", "resource_signing_alg_values_supported",
}

func (b *builder) metadata() {
	members := make(map[string]any, len(b.config.Metadata)+4)
	for _, name := range slices.Sorted(maps.Keys(b.config.Metadata)) {
		value, field := b.config.Metadata[name], fmt.Sprintf("Metadata[%q]", name)
		bare, _, _ := strings.Cut(name, "#") // a language tag may follow
		switch text, err := json.Marshal(value); {
		case slices.Contains(reservedMetadata, bare):
			b.fail(field, "reserved", "this member follows from the rest of the configuration: remove it")
		case err != nil:
			b.fail(field, fmt.Sprintf("a %T", value), "cannot be written as JSON: "+err.Error())
		case slices.Contains([]string{"null", `""`, "[]", "{}"}, string(text)):
			b.fail(field, string(text), "members without a value are left out (RFC 9728 section 3.2): remove it")
		default:
			members[name] = json.RawMessage(text)
		}
	}
	var servers []string
	for _, s := range b.g.verifier.ordered {
		if !s.unlisted {
			servers = append(servers, s.url)
		}
	}
	if len(servers) == 0 && len(b.config.Issuers) > 0 {
		b.fail("Issuers", "all are Unlisted", "clients need one authorization server to begin with: list one of them")
	}
	members["resource"] = b.config.Resource
	members["authorization_servers"] = servers
	if b.g.refuser.offersBearer {
		members["bearer_methods_supported"] = []string{"header"}
	}
	if b.g.refuser.offersDPoP {
		members["dpop_signing_alg_values_supported"] = jose.Algorithms()
		members["dpop_bound_access_tokens_required"] = !b.g.refuser.offersBearer
	}
	if b.g.refuser.scope != "" {
		members["scopes_supported"] = strings.Split(b.g.refuser.scope, " ")
	}
	if len(b.errs) > 0 || b.url == nil {
		return
	}
	b.g.public.metadata = renderMetadata(b.url, members)
	b.g.refuser.metadataURL = b.g.public.metadata.url
}

func renderMetadata(resource *url.URL, members map[string]any) metadata {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(members) // strings, and members that have been encoded before
	path, escaped := resource.Path, resource.EscapedPath()
	if path == "/" {
		path, escaped = "", ""
	}
	doc := metadata{
		url:      resource.Scheme + "://" + resource.Host + metadataRoot + escaped,
		path:     metadataRoot + path,
		raw:      metadataRoot + escaped,
		query:    resource.RawQuery,
		document: newDocument(bytes.TrimSuffix(body.Bytes(), []byte("\n"))),
	}
	if doc.query != "" {
		doc.url += "?" + doc.query
	}
	if doc.path != metadataRoot {
		doc.alias = metadataRoot
	}
	return doc
}

// MetadataURL returns the URL of the protected resource metadata, to which challenges point.
func (m *Middleware) MetadataURL() string { return m.generation().public.metadataURL() }

func (p *public) metadataURL() string { return p.metadata.url }

// MetadataJSON returns the protected resource metadata document (RFC 9728
// section 3.2), for a server of static files.
func (m *Middleware) MetadataJSON() []byte { return bytes.Clone(m.generation().public.metadata.body) }

// Metadata returns a handler that serves the protected resource metadata
// whatever the path. [Middleware.Wrap] serves it too; this one is for a mux on
// which the wrapped handler does not see the path of [Middleware.MetadataURL],
// because of a prefix or because the origin has several resources.
func (m *Middleware) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &m.generation().public
		p.unasked.over.Store(true)
		p.metadata.serve(w, r)
	})
}

// serveWellKnown answers requests for discovery documents, without a token. What it does not have is not found, so that
// clients which try several places go on to the next.
func (p *public) serveWellKnown(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/.well-known/") {
		return false
	}
	switch doc := &p.metadata; {
	case p.isAt(r.URL), doc.spells(r.URL) && path == doc.alias:
		p.unasked.over.Store(true)
		doc.serve(w, r)
		return true
	case isUnder(path, metadataRoot), isUnder(path, "/.well-known/oauth-authorization-server"), isUnder(path, "/.well-known/openid-configuration"):
		notFound(w)
		return true
	}
	return false
}

// isAt reports whether a URL is that of the metadata, and of no other resource's.
func (p *public) isAt(u *url.URL) bool {
	doc := &p.metadata
	return doc.spells(u) && u.Path == doc.path && u.RawQuery == doc.query
}

// spells reports whether no slash of the path is encoded that is not encoded
// in the document's own URL.
func (doc *metadata) spells(u *url.URL) bool {
	return u.RawPath == "" || u.RawPath == doc.raw || !strings.Contains(strings.ToLower(u.RawPath), "%2f")
}

func isUnder(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/')
}

// document is a public JSON document, ready to be served without a token to
// anybody, scripts of any origin included.
type document struct {
	body []byte
	etag string
	// fields are the values of the response header, in the order in which serve names them.
	fields [6]string
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return document{body: body, etag: etag, fields: [...]string{
		"*", "nosniff", "public, max-age=3600", etag, "application/json", strconv.Itoa(len(body)),
	}}
}

// serve answers with the document, whatever the path.
func (doc *document) serve(w http.ResponseWriter, r *http.Request) {
	h, fields := w.Header(), doc.fields // a copy, lest a change to this response change the next
	h["Access-Control-Allow-Origin"] = fields[0:1:1]
	h["X-Content-Type-Options"] = fields[1:2:2]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "MCP-Protocol-Version, Authorization, Content-Type, Accept")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h["Cache-Control"] = fields[2:3:3]
	h["Etag"] = fields[3:4:4]
	if matchesETag(r.Header.Get("If-None-Match"), doc.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = fields[4:5:5]
	h["Content-Length"] = fields[5:6:6]
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(doc.body)
	}
}

// matchesETag compares weakly (RFC 9110 section 13.1.2).
func matchesETag(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// notFound is the answer where a client may find a document on other servers.
func notFound(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusNotFound)
}

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

// isOriginAS reports whether serveOriginAS answers at a path.
func (p *public) isOriginAS(path string) bool { return p.legacyAS && slices.Contains(originAS, path) }

// originAS are the places at the origin that clients of 2025-03-26 take for the authorization server's.
var originAS = []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/authorize", "/token", "/register"}

// asMetadata returns the metadata of the first issuer that publishes any, and that issuer.
func (p *public) asMetadata(r *http.Request) (json.RawMessage, *issuer, *refusal.Refusal) {
	i := slices.IndexFunc(p.issuers, func(s *issuer) bool { return s.keys.Discovers() })
	s := p.issuers[max(i, 0)]
	doc, denied := s.keys.Metadata(r.Context()) // one that has none says so
	return doc, s, denied
}

// serveASMetadata serves the document as it was fetched: its issuer stays the
// authorization server's own (RFC 8414 section 3.3).
func (p *public) serveASMetadata(w http.ResponseWriter, r *http.Request) {
	doc, _, denied := p.asMetadata(r)
	if denied != nil {
		p.refuser.refuse(w, r, &exchange{}, denied)
		return
	}
	served := newDocument(doc)
	served.serve(w, r)
}

// redirectToAS sends the user's browser to the authorization endpoint, with
// the query as it came. It has to be one that this server would ask itself.
func (p *public) redirectToAS(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || hasQueryToken(r.URL) {
		notFound(w)
		return
	}
	_, s, denied := p.asMetadata(r)
	if denied != nil {
		p.refuser.refuse(w, r, &exchange{}, denied)
		return
	}
	endpoint, _, err := s.keys.Endpoint(r.Context(), "authorization_endpoint")
	if err != nil {
		p.noteAstray(s, err)
		notFound(w)
		return
	}
	p.astray.Store(false)
	target, _ := url.Parse(endpoint) // it has been, when it was accepted
	target.RawQuery = strings.Trim(target.RawQuery+"&"+r.URL.RawQuery, "&")
	h := w.Header()
	h.Set("Location", target.String())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

// noteAstray tells the operator that nobody can be sent to the authorization endpoint, once for as long as it is so.
func (p *public) noteAstray(s *issuer, err error) {
	if !p.astray.Swap(true) {
		p.log.Warn("mcpauth: /authorize leads nowhere: the authorization server's metadata name no page that can be used",
			"issuer", foreign.BareURL(s.url), "error", shownError(err))
	}
}

// Where the well-known path is not routed here, calls work and clients that look for the
// metadata get 404. Scanners are challenged and never look, and clients look once and keep what
// they found: so many challenges, over so long, and not one fetch are neither.
const (
	unaskedChallenges = 20
	unaskedFor        = 10 * time.Minute
)

// unasked notices that nobody fetches the metadata.
type unasked struct {
	over atomic.Bool // somebody has, or the operator was told

	mu         sync.Mutex
	since      time.Time
	challenges int
}

// challenged counts a challenge to a client of MCP, which says that it accepts events. It
// returns how many there were when the operator is to be told, 0 otherwise.
func (u *unasked) challenged(r *http.Request) int {
	if u.over.Load() || !strings.Contains(strings.Join(r.Header["Accept"], ","), "text/event-stream") {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.challenges++; u.challenges == 1 {
		u.since = now
	}
	if u.challenges < unaskedChallenges || now.Sub(u.since) < unaskedFor || !u.over.CompareAndSwap(false, true) {
		return 0
	}
	return u.challenges
}

// noteChallenge tells the operator, once, that the metadata seems to be out of reach.
func (p *public) noteChallenge(r *http.Request, log *slog.Logger) {
	if challenges := p.unasked.challenged(r); challenges > 0 {
		log.Warn("mcpauth: clients without a token are challenged, and none has fetched the metadata from here: fetch it to see whether it is routed",
			"url", p.metadata.url, "challenges", challenges, "cause", "metadata-not-routed", "fix", explain.Finding{Cause: "metadata-not-routed"}.Fix())
	}
}
