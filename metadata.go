package mcpauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// metadataRoot is the well-known path of RFC 9728 section 3.
const metadataRoot = "/.well-known/oauth-protected-resource"

// metadata is the protected resource metadata, rendered once.
type metadata struct {
	url   string // absolute, as challenges name it
	path  string // decoded
	raw   string // as it stands in url
	query string
	alias string // "" or the root path, where clients look that know no other
	body  []byte
	etag  string
	// fields are the values of the response header, in the order in which serve names them.
	fields [6]string
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
	servers := make([]string, len(b.m.ordered))
	for i, s := range b.m.ordered {
		servers[i] = s.url
	}
	members["resource"] = b.config.Resource
	members["authorization_servers"] = servers
	members["bearer_methods_supported"] = []string{"header"}
	if b.m.scope != "" {
		members["scopes_supported"] = strings.Split(b.m.scope, " ")
	}
	if len(b.errs) > 0 || b.url == nil {
		return
	}
	b.m.metadata = renderMetadata(b.url, members)
}

func renderMetadata(resource *url.URL, members map[string]any) metadata {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(members) // strings, and members that have been encoded before
	sum := sha256.Sum256(body.Bytes())
	path, escaped := resource.Path, resource.EscapedPath()
	if path == "/" {
		path, escaped = "", ""
	}
	doc := metadata{
		url:   resource.Scheme + "://" + resource.Host + metadataRoot + escaped,
		path:  metadataRoot + path,
		raw:   metadataRoot + escaped,
		query: resource.RawQuery,
		body:  bytes.TrimSuffix(body.Bytes(), []byte("\n")),
		etag:  `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`,
	}
	if doc.query != "" {
		doc.url += "?" + doc.query
	}
	if doc.path != metadataRoot {
		doc.alias = metadataRoot
	}
	doc.fields = [...]string{"*", "nosniff", "public, max-age=3600", doc.etag, "application/json", strconv.Itoa(len(doc.body))}
	return doc
}

// MetadataURL returns the URL of the protected resource metadata, to which challenges point.
func (m *Middleware) MetadataURL() string { return m.metadata.url }

// MetadataJSON returns the protected resource metadata document (RFC 9728
// section 3.2), for a server of static files.
func (m *Middleware) MetadataJSON() []byte { return bytes.Clone(m.metadata.body) }

// Metadata returns a handler that serves the protected resource metadata
// whatever the path. [Middleware.Wrap] serves it too; this one is for a mux on
// which the wrapped handler does not see the path of [Middleware.MetadataURL],
// because of a prefix or because the origin has several resources.
func (m *Middleware) Metadata() http.Handler {
	return http.HandlerFunc(m.metadata.serve)
}

// serveWellKnown answers requests for discovery documents, without a token. What it does not have is not found, so that
// clients which try several places go on to the next.
func (m *Middleware) serveWellKnown(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	switch doc := &m.metadata; {
	case doc.spells(r.URL) && (path == doc.path && r.URL.RawQuery == doc.query || path == doc.alias && doc.alias != ""):
		doc.serve(w, r)
		return true
	case isUnder(path, metadataRoot), isUnder(path, "/.well-known/oauth-authorization-server"), isUnder(path, "/.well-known/openid-configuration"):
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusNotFound)
		return true
	}
	return false
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

func (doc *metadata) serve(w http.ResponseWriter, r *http.Request) {
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
