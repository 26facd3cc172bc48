package mcpauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// What a browser may send to the endpoint and read from its answers (Fetch
// standard, CORS protocol). There is no wildcard: it would not cover
// Authorization.
const (
	allowedHeaders = "Authorization, DPoP, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID"

	maxParamHeaders = 32
	maxParamName    = 128 // bytes of a name that a preflight asks for
	paramHeader     = "mcp-param-"
)

var exposedHeaders = []string{"WWW-Authenticate", "DPoP-Nonce", "Mcp-Session-Id", "MCP-Protocol-Version", "Retry-After"}

// origins are those whose scripts may call.
type origins struct {
	own      string          // the resource's: its pages need no permission to read
	listed   map[string]bool // by the configuration
	loopback bool            // all on this machine: the resource is there too, for development
}

// mayRead reports whether scripts of a foreign origin may call and read the answers.
func (o *origins) mayRead(origin string) bool {
	return o.listed[origin] || o.loopback && isLoopbackOrigin(origin)
}

func isLoopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && isOrigin(origin) && (u.Scheme == "http" || u.Scheme == "https") && fetch.IsLoopbackHost(u.Hostname())
}

func (p *public) checkOrigin(r *http.Request) *refusal.Refusal { return p.origins.check(r) }

func (p *public) allowOrigin(h http.Header, r *http.Request) { p.origins.allow(h, r) }

// check refuses scripts of origins that may not call. A request
// without Origin does not come from a script of another site.
func (o *origins) check(r *http.Request) *refusal.Refusal {
	sent := r.Header["Origin"]
	if len(sent) == 0 || len(sent) == 1 && (sent[0] == o.own || o.mayRead(sent[0])) {
		return nil
	}
	denied := refusal.New(refusal.Origin, "Origin", strings.Join(sent, " "), "an origin in AllowedOrigins")
	if denied.Got == "null" {
		denied.Because("origin-null")
	}
	return denied
}

// servePreflight answers a preflight of an allowed origin with what it may do. Any other
// OPTIONS request is refused, as requests are.
func (p *public) servePreflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if _, denied := checkHeaders(r.Header); denied != nil || p.origins.check(r) != nil {
		return false
	}
	h := w.Header()
	p.origins.allow(h, r)
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
		if !strings.HasPrefix(name, paramHeader) || len(name) > maxParamName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			continue
		}
		if count++; count > maxParamHeaders {
			break
		}
		names.WriteString(", " + name)
	}
	return names.String()
}

// allow lets an allowed origin read the response, whatever its status.
// What a handler says about origins is replaced, because two answers are read
// as none; what it exposes is kept.
func (o *origins) allow(h http.Header, r *http.Request) {
	if len(o.listed) == 0 && !o.loopback {
		return
	}
	addToList(h, "Vary", "Origin")
	if origin := r.Header.Get("Origin"); o.mayRead(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		addToList(h, "Access-Control-Expose-Headers", exposedHeaders...)
	}
}
