package mcpauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Bounds of a request. The body's is that of the official Go SDK, unless the configuration says otherwise.
const (
	maxHeaderFields = 100
	maxHeaderBytes  = 64 << 10
	maxNameHeader   = 12 << 10 // the longest URI that a body may name, in base64
	maxBody         = 4 << 20
	minBody         = 1 << 10 // of Config.MaxBody: a modern request of no arguments has some 300 bytes
)

// checkHeaders bounds the header section and the fields of MCP that are
// decoded later. It reports whether a field ends here beside the usual one,
// Authorization.
func checkHeaders(h http.Header) (hides bool, denied *refusal.Refusal) {
	fields, size, params := 0, 0, 0
	for name, values := range h {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
		if strings.HasPrefix(name, "Mcp-Param-") {
			params += len(values)
		}
		hides = hides || name != "Authorization" && ending(name) != 0
	}
	switch {
	case fields > maxHeaderFields:
		return hides, refusal.New(refusal.RequestHeaders, "more than 100 fields", "", "")
	case size > maxHeaderBytes:
		return hides, refusal.New(refusal.RequestHeaders, "more than 64 KiB", "", "")
	case params > maxParamHeaders:
		return hides, refusal.New(refusal.RequestHeaders, "more than 32 Mcp-Param fields", "", "")
	case len(first(h["Mcp-Name"])) > maxNameHeader:
		return hides, refusal.New(refusal.RequestHeaders, "Mcp-Name longer than 12 KiB", "", "")
	}
	return hides, nil
}

// credentials finds the one bearer token of a request (RFC 6750 section 2.1).
// A comma joins credentials; in JSON, which is no token, it does not.
// Other schemes and other places are as good as nothing.
func credentials(r *http.Request) (token string, denied *refusal.Refusal) {
	lines := r.Header["Authorization"]
	inQuery := hasQueryToken(r.URL)
	switch {
	case len(lines) > 1:
		return "", refusal.New(refusal.ManyCredentials, "Authorization stands more than once", "", "")
	case len(lines) == 1 && inQuery:
		return "", refusal.New(refusal.ManyCredentials, "Authorization and access_token in the query", "", "")
	case inQuery:
		return "", refusal.New(refusal.NoCredentials, "access_token in the query", "", "the Authorization header").Because("token-in-query")
	case len(lines) == 0:
		return "", refusal.New(refusal.NoCredentials, "no Authorization header", "", "")
	}
	scheme, rest, _ := strings.Cut(lines[0], " ")
	token = strings.Trim(rest, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", refusal.New(refusal.NoCredentials, "Authorization has no bearer token", "", "")
	case len(lines[0]) > maxToken:
		return "", refusal.New(refusal.TokenTooComplex, "longer than 16 KiB", "", "")
	case strings.Contains(token, ",") && !strings.ContainsAny(token, `{"`):
		return "", refusal.New(refusal.ManyCredentials, "Authorization has a comma", "", "one bearer token")
	}
	return token, nil
}

// hasQueryToken looks for access_token in any spelling that decodes to it.
func hasQueryToken(u *url.URL) bool {
	if u.RawQuery == "" {
		return false
	}
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil && decoded == "access_token" {
			return true
		}
	}
	return false
}

// allowedMethods are the methods of the endpoint. The modern era has POST
// only; the legacy one also streams of the server's own and the end of
// sessions.
func allowedMethods(h http.Header) string {
	if version, _ := versionOf(h); isModernRevision(version) {
		return "POST"
	}
	return "POST, GET, DELETE"
}

func checkMethod(r *http.Request) *refusal.Refusal {
	if r.Method != http.MethodPost {
		allowed := allowedMethods(r.Header)
		if !slices.Contains(strings.Split(allowed, ", "), r.Method) {
			return refusal.New(refusal.HTTPMethod, "method", r.Method, allowed)
		}
	}
	for _, upgrade := range r.Header["Upgrade"] {
		if strings.Contains(strings.ToLower(upgrade), "websocket") {
			return refusal.New(refusal.HTTPMethod, "Upgrade", upgrade, "HTTP")
		}
	}
	return nil
}

// isJSON wants JSON in UTF-8. No parameter has an effect on JSON (RFC 8259 section 11), but
// a charset has one on some readers: it may only name UTF-8, in whatever way.
func isJSON(contentType string) bool {
	mediaType, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return false
	}
	for param := range strings.SplitSeq(lowerASCII(params), ";") {
		name, value, _ := strings.Cut(param, "=")
		switch name, value = strings.TrimSpace(name), strings.Trim(value, "\" \t"); {
		case strings.HasPrefix(name, "charset*"): // in parts or in another notation (RFC 2231)
			return false
		case name == "charset" && value != "" && value != "utf-8" && value != "utf8":
			return false
		}
	}
	return true
}

// checkMediaType wants JSON in UTF-8 as it is.
func checkMediaType(h http.Header) *refusal.Refusal {
	types := h["Content-Type"]
	if len(types) != 1 {
		return refusal.New(refusal.MediaType, "Content-Type", strings.Join(types, " and "), "application/json, once")
	}
	if types[0] != "application/json" && !isJSON(types[0]) {
		return refusal.New(refusal.MediaType, "Content-Type", types[0], "application/json in UTF-8")
	}
	if encodings := h["Content-Encoding"]; isCoded(encodings) {
		return refusal.New(refusal.MediaType, "Content-Encoding", strings.Join(encodings, " and "), "identity")
	}
	return nil
}
