package mcpauth

import (
	"net/http"
	"strings"
)

// What a browser may send to the endpoint and read from its answers (Fetch
// standard, CORS protocol). There is no wildcard: it would not cover
// Authorization.
const (
	allowedHeaders = "Authorization, DPoP, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID"

	maxParamHeaders = 32
	paramHeader     = "mcp-param-"
)

var exposedHeaders = []string{"WWW-Authenticate", "DPoP-Nonce", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After"}

// checkOrigin refuses scripts of origins that are not listed. A request
// without Origin does not come from a script of another site.
func (m *Middleware) checkOrigin(r *http.Request) *DeniedError {
	origins := r.Header["Origin"]
	if len(origins) == 0 || len(origins) == 1 && m.origins[origins[0]] {
		return nil
	}
	return deny(errOrigin, "Origin", strings.Join(origins, " "), "an origin in AllowedOrigins")
}

// serveOptions answers every OPTIONS request: a preflight of an allowed origin
// with what it may do, anything else with a refusal.
func (m *Middleware) serveOptions(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions {
		return false
	}
	_, denied := checkHeaders(r.Header)
	if denied == nil {
		denied = m.checkOrigin(r)
	}
	if denied == nil && (r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "") {
		denied = deny(errHTTPMethod, "OPTIONS without a preflight", "", "POST")
	}
	if denied != nil {
		x := exchange{}
		m.report(r, &x, denied)
		m.refuse(w, r, &x, denied)
		return true
	}
	h := w.Header()
	m.allowOrigin(h, r)
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE")
	h.Set("Access-Control-Allow-Headers", allowedHeaders+paramHeaders(r.Header))
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// paramHeaders repeats the Mcp-Param-* names that the preflight asks for.
func paramHeaders(h http.Header) string {
	var names strings.Builder
	count := 0
	for name := range strings.SplitSeq(strings.Join(h["Access-Control-Request-Headers"], ","), ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.HasPrefix(name, paramHeader) || len(name) > 128 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			continue
		}
		if count++; count > maxParamHeaders {
			break
		}
		names.WriteString(", " + name)
	}
	return names.String()
}

// allowOrigin lets an allowed origin read the response, whatever its status.
// What a handler says about origins is replaced, because two answers are read
// as none; what it exposes is kept.
func (m *Middleware) allowOrigin(h http.Header, r *http.Request) {
	if len(m.origins) == 0 {
		return
	}
	addToList(h, "Vary", "Origin")
	if origin := r.Header.Get("Origin"); m.origins[origin] {
		h.Set("Access-Control-Allow-Origin", origin)
		addToList(h, "Access-Control-Expose-Headers", exposedHeaders...)
	}
}
