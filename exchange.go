package mcpauth

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

// exchange is what becomes known of a request on its way.
type exchange struct {
	principal *Principal
	body      []byte
	session   string      // the handler's session id, verified; "" for none
	query     *string     // the query without our tag, if it had one
	filter    *listFilter // set if the response is filtered
	request
}

// filters reports whether lists in the response must be filtered: the answer to a list
// method, and a stream of the server's own, which may replay one.
func (x *exchange) filters() bool {
	return asksForList(x.calls) || x.isStream()
}

// begun returns the tool call whose result may name a task that it began.
func (x *exchange) begun(m *Middleware) *Call {
	if !m.bindsTasks || len(x.calls) != 1 || x.calls[0].Kind != KindTool {
		return nil
	}
	call := x.calls[0]
	if _, declared := m.policy.policy.(*ruleBook); declared {
		call.Arguments = nil // rules do not look at them
	}
	return &call
}

// read finds out what the request asks for: from the body of a POST, and from the verb of
// the two others, which exist in the legacy era only.
func (x *exchange) read(w http.ResponseWriter, r *http.Request) (denied *DeniedError) {
	switch r.Method {
	case http.MethodGet:
		x.request = request{era: legacy, calls: []Call{{Method: streamMethod, Kind: KindMethod}}}
		return nil
	case http.MethodDelete:
		x.request = request{era: legacy, calls: []Call{{Method: endMethod, Kind: KindMethod}}}
		return nil
	}
	if x.body, denied = readBody(w, r); denied != nil {
		return denied
	}
	if jsonrpc.IsBatch(x.body) {
		x.request, denied = readBatch(r.Header, x.body)
		return denied
	}
	x.request, denied = readRequest(r.Header, x.body)
	return denied
}

// serve calls the handler, for as long as the token is good.
func (m *Middleware) serve(w http.ResponseWriter, r *http.Request, x *exchange, next http.Handler) {
	ctx, expiry := m.expiring(identity.NewContext(r.Context(), x.principal), w, x.principal)
	defer expiry.stop()
	if x.isStream() {
		expiry.arm()
	}
	if begun := x.begun(m); x.filters() || begun != nil {
		x.filter = &listFilter{ctx: ctx, m: m, begun: begun, principal: x.principal, private: x.era == modern}
	}
	forwarded := x.forward(r.WithContext(ctx))
	out := &response{ResponseWriter: expiry, m: m, r: forwarded, x: x, expiry: expiry}
	next.ServeHTTP(out, forwarded)
	out.finish()
}

// isCredential names the header fields that end here, in whatever case a
// handler in front of us may have written them.
func isCredential(name string, _ []string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Dpop", "Proxy-Authorization":
		return true
	}
	return false
}

// isUnverified names the header fields that a handler could take for the
// session of the request, whichever way it spells them: one behind a gateway
// interface (RFC 3875 section 4.1.18) cannot tell a hyphen from an underscore.
func (x *exchange) isUnverified(name string, _ []string) bool {
	switch http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")) {
	case "Mcp-Session-Id":
		return true
	case "Last-Event-Id":
		return x.era == modern
	}
	return false
}

// forward makes the request that the handler sees: a copy, with the principal
// and without credentials.
func (x *exchange) forward(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	maps.DeleteFunc(out.Header, x.isUnverified)
	if x.session != "" {
		out.Header["Mcp-Session-Id"] = []string{x.session}
	}
	if x.query != nil {
		out.URL.RawQuery = *x.query
		out.RequestURI = out.URL.RequestURI()
	}
	if x.filter != nil {
		delete(out.Header, "Accept-Encoding")
	}
	maps.DeleteFunc(out.Header, isCredential)
	maps.DeleteFunc(out.Trailer, isCredential)
	if x.body == nil {
		out.Body, out.ContentLength = http.NoBody, 0
		return out
	}
	body := x.body
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.ContentLength = int64(len(body))
	out.TransferEncoding = nil
	return out
}
