package mcpauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

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
