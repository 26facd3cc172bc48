// Package gosdk connects mcpauth to the official Go SDK of the Model Context
// Protocol: it hands the verified caller of each request to tool handlers in
// the places where the SDK has one.
//
//	server.AddReceivingMiddleware(gosdk.Middleware)
//	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
//	mux.Handle("/", auth.Wrap(gosdk.Handler(handler)))
//
// The SDK needs this because in its stateful sessions a handler's context is
// that of the request that began the session. What such a context says of
// scopes is out of date as soon as the client comes with another token, one
// that can do more (step-up) or less. [Handler] therefore takes the caller
// out of that context and gives it to the SDK as the token information of the
// one request, and [Middleware] puts it into the context of the one call. Where
// Middleware was forgotten, [mcpauth.FromContext] finds nobody rather than
// an old caller.
package gosdk

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// extraKey is where TokenInfo.Extra holds the principal.
const extraKey = "github.com/seed-1e292522/mcpauth"

// onwardKey is where it holds what the request lets packages of mcpauth have of it. Nothing of it can be read.
const onwardKey = extraKey + "/onward"

// placeholder stands where the SDK expects a token. Nobody compares it with
// anything: the verifier looks at the context alone.
const placeholder = "Bearer verified-by-mcpauth"

// Handler returns the handler to give to [mcpauth.Middleware.Wrap] in place of
// next, a [mcp.StreamableHTTPHandler]. (The SDK's handler for the old HTTP+SSE
// transport tells nothing of a request to its tools: behind it they see
// nobody.) The SDK then has for each request
//
//   - TokenInfo.UserID: issuer and subject, by which it refuses a session to
//     anybody but the user who began it. A client that acts for itself has
//     "client:" in front, since a user may have the same subject;
//   - TokenInfo.Scopes and TokenInfo.Expiration, as the token has them;
//   - TokenInfo.Extra: the principal, for [FromTokenInfo].
//
// No header that it sees has the token, or anything in its place. A request
// that [mcpauth.Middleware] has not let through is answered with 500.
func Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("gosdk: Handler(nil): there is no handler to give callers to")
	}
	inform := auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{
		// mcpauth has decided about the expiry, with the leeway of its
		// configuration. A second opinion without it would be a 401 that
		// carries no challenge.
		AllowMissingExpiration: true,
		ClockSkew:              24 * time.Hour,
	})
	informed := inform(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r.WithContext(ofNobody(r.Context())))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := mcpauth.FromContext(r.Context()); !ok {
			http.Error(w, "this handler is not behind mcpauth.Middleware.Wrap", http.StatusInternalServerError)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", placeholder)
		if strings.HasPrefix(r.Header.Get("Mcp-Session-Id"), identity.AliasPrefix) {
			// The SDK serves nobody under an id that it has not given out, and
			// keeps nothing for requests without one.
			r.Header.Del("Mcp-Session-Id")
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		informed.ServeHTTP(w, r)
	})
}

// ofNobody takes the caller and the request out of a context that may live as long as a session.
func ofNobody(ctx context.Context) context.Context {
	return onward.NewContext(identity.NewContext(ctx, nil), nil)
}

// verify is the SDK's question about a token, answered with what mcpauth has
// verified already.
func verify(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	p, ok := mcpauth.FromContext(ctx)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{
		UserID:     userID(p),
		Scopes:     slices.Clone(p.Scopes),
		Expiration: p.Expiry,
		Extra:      map[string]any{extraKey: p, onwardKey: onward.FromContext(ctx)},
	}, nil
}

// userID differs for different principals: an issuer is a URL, which does not
// begin with "client:", and [mcpauth.New] refuses one with a bar (RFC 3986 section 2).
func userID(p *mcpauth.Principal) string {
	id := p.Issuer + "|" + p.Subject
	if p.Client {
		return "client:" + id
	}
	return id
}

// Middleware gives the context of each call its own caller, so that
// [mcpauth.FromContext] and what acts on behalf of the caller work in handlers of the SDK as they
// do elsewhere, in stateful sessions too. Add it to every server:
//
//	server.AddReceivingMiddleware(gosdk.Middleware)
func Middleware(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		ctx = ofNobody(ctx) // unless this very request has brought somebody
		if extra := req.GetExtra(); extra != nil {
			if p, ok := FromTokenInfo(extra.TokenInfo); ok {
				request, _ := extra.TokenInfo.Extra[onwardKey].(*onward.Request)
				ctx = onward.NewContext(identity.NewContext(ctx, p), request)
			}
		}
		return next(ctx, method, req)
	}
}

// FromTokenInfo returns the caller whom [Handler] has put there. It takes
// RequestExtra.TokenInfo of a request, and in a callback that is given an
// *http.Request the result of [auth.TokenInfoFromContext]. It reports false
// for nil and for the token information of somebody else.
func FromTokenInfo(info *auth.TokenInfo) (*mcpauth.Principal, bool) {
	if info == nil {
		return nil, false
	}
	p, ok := info.Extra[extraKey].(*mcpauth.Principal)
	return p, ok && p != nil
}
