package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/seed-1e292522/mcpauth"
)

// The headers in which the server behind the proxy finds its caller. Issuer,
// subject and client are percent-encoded (decodeURIComponent in JavaScript,
// urllib.parse.unquote in Python), because a subject may be any text.
const (
	headerIssuer  = "X-Mcp-Issuer"
	headerSubject = "X-Mcp-Subject"
	headerKind    = "X-Mcp-Kind"   // "user" or "client": they may have the same subject
	headerClient  = "X-Mcp-Client" // absent if the token names none
	headerScope   = "X-Mcp-Scope"  // with spaces between
)

// passedOn are the headers of a client that the server behind gets. Every
// other one ends here: headers of identity in whatever spelling (a server
// behind a gateway interface takes X_MCP_SUBJECT for X-Mcp-Subject, RFC 3875
// section 4.1.18), what a proxy in front of us should have said (Forwarded,
// X-Forwarded-For, X-Original-URL), cookies, and headers of one hop.
var passedOn = map[string]bool{
	"Accept":               true,
	"Accept-Encoding":      true,
	"Content-Type":         true,
	"Last-Event-Id":        true,
	"Mcp-Method":           true,
	"Mcp-Name":             true,
	"Mcp-Protocol-Version": true,
	"Mcp-Session-Id":       true,
	"Traceparent":          true,
	"Tracestate":           true,
	"User-Agent":           true,
}

// passesOn also lets the parameters through that MCP 2026-07-28 repeats in headers.
func passesOn(name string) bool {
	return passedOn[name] || strings.HasPrefix(name, "Mcp-Param-")
}

// newProxy passes requests on to the server at upstream, with their caller.
// It belongs behind [mcpauth.Middleware.Wrap]; anywhere else it refuses.
func newProxy(upstream *url.URL, log *slog.Logger) http.Handler {
	// There is no time limit for answers: a tool may take its time.
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // every event goes out when it comes in
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Trailer = nil // a header may also come after the body
			r.Out.Header = headers(r.In)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				log.Error("the server behind the proxy does not answer", "error", err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := mcpauth.FromContext(r.Context()); !ok {
			http.Error(w, "the proxy is not behind mcpauth", http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// headers are those of the request that goes out: from scratch, so that
// nothing of the client's is there by accident.
func headers(in *http.Request) http.Header {
	out := http.Header{}
	for name, values := range in.Header {
		if passesOn(name) {
			out[name] = values
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // or net/http would name itself
	}
	caller, ok := mcpauth.FromContext(in.Context())
	if !ok {
		return out
	}
	out.Set(headerIssuer, url.PathEscape(caller.Issuer))
	out.Set(headerSubject, url.PathEscape(caller.Subject))
	out.Set(headerKind, "user")
	if caller.Client {
		out.Set(headerKind, "client")
	}
	if caller.ClientID != "" {
		out.Set(headerClient, url.PathEscape(caller.ClientID))
	}
	out.Set(headerScope, strings.Join(caller.Scopes, " "))
	return out
}
