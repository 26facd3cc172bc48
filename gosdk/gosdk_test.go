package gosdk_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestStepUpAndDown: within one session of a real client, every call is made
// as the caller of its own request, whatever the session began with.
func TestStepUpAndDown_SESS_05_SESS_11_PASS_01(t *testing.T) {
	for name, stateless := range map[string]bool{"stateful": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, stateless, gosdk.Middleware)
			client := &wallet{site: s, agrees: true}
			client.hold("analytics:data:read")
			session := client.connect(t)
			id := session.ID()
			assert.Equal(t, stateless, id == "")

			require.NoError(t, call(t, session, "look"))
			s.sees(t, "look", "analytics:data:read")

			require.NoError(t, call(t, session, "edit"), "the client steps up")
			assert.Equal(t, []int{http.StatusForbidden}, client.statuses, "one refusal, one consent")
			s.sees(t, "edit", "analytics:data:read", "dashboard:modify")
			require.NoError(t, call(t, session, "look"))
			s.sees(t, "look", "analytics:data:read", "dashboard:modify")

			client.hold("analytics:data:read")
			client.agrees = false
			require.NoError(t, call(t, session, "look"))
			s.sees(t, "look", "analytics:data:read")
			require.ErrorIs(t, call(t, session, "edit"), errDenied)
			assert.Equal(t, 1, s.runs("edit"), "what a better token was good for, the lesser one is not")

			client.hold()
			require.NoError(t, call(t, session, "look"))
			s.sees(t, "look")
			assert.Equal(t, id, session.ID(), "all of it happened in one session")
		})
	}
}

// sees checks that the tool saw its caller with these scopes everywhere, and no token.
func (s *site) sees(t *testing.T, tool string, scopes ...string) {
	t.Helper()
	seen := s.last(t, tool)
	assert.Equal(t, s.issuer.URL()+"|user-1", seen.userID)
	assert.True(t, seen.found)
	assert.True(t, seen.expires)
	for place, got := range map[string][]string{"TokenInfo": seen.tokenInfo, "FromTokenInfo": seen.fromTokenInfo, "FromContext": seen.fromContext} {
		assert.ElementsMatch(t, scopes, got, place)
	}
	assert.Empty(t, seen.authorizations)
	assert.NotEmpty(t, seen.headers)
	assert.NotContains(t, seen.headers, "eyJ", "no header has the token")
}

// TestForgottenMiddleware: without Middleware, a session's context must not
// pass off its first caller as the caller of each request.
func TestForgottenMiddleware_SESS_11(t *testing.T) {
	for name, stateless := range map[string]bool{"stateful": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, stateless)
			client := &wallet{site: s}
			client.hold("analytics:data:read", "dashboard:modify")
			session := client.connect(t)
			client.hold("analytics:data:read")
			require.NoError(t, call(t, session, "look"))
			seen := s.last(t, "look")
			assert.False(t, seen.found, "the context has nobody")
			assert.Equal(t, []string{"analytics:data:read"}, seen.fromTokenInfo, "the token information is that of the request")
		})
	}
}

// TestNobodyElsesSession: the SDK's own check of the user of a session works,
// also for callers who share a subject. mcpauth refuses them before that, so
// here they come from behind it.
func TestNobodyElsesSession_SESS_02_SESS_11(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	handler := gosdk.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	send := func(p *mcpauth.Principal, session, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(mcpauthtest.NewContext(t.Context(), p), http.MethodPost, "http://127.0.0.1/mcp", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	owner := mcpauth.Principal{Issuer: "https://a.example.com", Subject: "u1"}
	begun := send(&owner, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	require.Equal(t, http.StatusOK, begun.Code, begun.Body)
	session := begun.Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, session)
	const ping = `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	for _, row := range []struct {
		name   string
		caller mcpauth.Principal
		status int
	}{
		{"the owner", owner, http.StatusOK},
		{"the owner with another token and client", mcpauth.Principal{Issuer: "https://a.example.com", Subject: "u1", ClientID: "c2", Scopes: []string{"x"}}, http.StatusOK},
		{"another subject", mcpauth.Principal{Issuer: "https://a.example.com", Subject: "u2"}, http.StatusForbidden},
		{"the same subject of another issuer", mcpauth.Principal{Issuer: "https://b.example.com", Subject: "u1"}, http.StatusForbidden},
		{"a client of that name", mcpauth.Principal{Issuer: "https://a.example.com", Subject: "u1", Client: true}, http.StatusForbidden},
		{"a subject that looks like a whole id", mcpauth.Principal{Issuer: "https://b.example.com", Subject: "https://a.example.com|u1"}, http.StatusForbidden},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.status, send(&row.caller, session, ping).Code)
		})
	}
}

// TestNotWrapped: without mcpauth in front nothing is served, whatever
// credentials the request brings.
func TestNotWrapped(t *testing.T) {
	handler := gosdk.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
	for _, authorization := range []string{"", "Bearer x", "Bearer verified-by-mcpauth"} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
	}
	assert.Panics(t, func() { gosdk.Handler(nil) })
}

// TestHandler: what was decided in front is not decided again, and the
// caller's own request stays as it was.
func TestHandler_PASS_02(t *testing.T) {
	for name, expiry := range map[string]time.Time{
		"good for a minute":  time.Now().Add(time.Minute),
		"within the leeway":  time.Now().Add(-4 * time.Minute),
		"without an expiry":  {},
		"good for centuries": time.Now().AddDate(250, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			caller := &mcpauth.Principal{Issuer: "https://a.example.com", Subject: "u1", Expiry: expiry, Scopes: []string{"a"}}
			served := false
			handler := gosdk.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				served = true
				info := sdkauth.TokenInfoFromContext(r.Context())
				require.NotNil(t, info)
				assert.True(t, info.Expiration.Equal(expiry))
				p, ok := gosdk.FromTokenInfo(info)
				assert.True(t, ok)
				assert.Equal(t, caller, p)
				_, ok = mcpauth.FromContext(r.Context())
				assert.False(t, ok, "a context that lives as long as a session has no caller")
				assert.NotContains(t, r.Header, "Authorization")
				info.Scopes[0] = "changed"
				r.Header.Set("X", "changed")
			}))
			r := httptest.NewRequestWithContext(mcpauthtest.NewContext(t.Context(), caller), http.MethodPost, "/mcp", nil)
			handler.ServeHTTP(httptest.NewRecorder(), r)
			assert.True(t, served)
			assert.Empty(t, r.Header)
			assert.Equal(t, []string{"a"}, caller.Scopes)
		})
	}
}

func TestFromTokenInfo(t *testing.T) {
	const key = "github.com/seed-1e292522/mcpauth"
	for name, info := range map[string]*sdkauth.TokenInfo{
		"none":                   nil,
		"of another middleware":  {UserID: "u1", Extra: map[string]any{"sub": "u1"}},
		"with another type":      {Extra: map[string]any{key: mcpauth.Principal{Subject: "u1"}}},
		"with a nil pointer":     {Extra: map[string]any{key: (*mcpauth.Principal)(nil)}},
		"with nothing in it all": {},
	} {
		p, ok := gosdk.FromTokenInfo(info)
		assert.False(t, ok, name)
		assert.Nil(t, p, name)
	}
}

// TestMiddleware: whoever is in the context already is not the caller of this request.
func TestMiddleware_SESS_11(t *testing.T) {
	first := mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{Subject: "first"})
	for name, request := range map[string]mcp.Request{
		"no HTTP request":   &mcp.CallToolRequest{},
		"nobody verified":   &mcp.CallToolRequest{Extra: &mcp.RequestExtra{}},
		"somebody unproven": &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: &sdkauth.TokenInfo{UserID: "u1"}}},
	} {
		called := false
		handler := gosdk.Middleware(func(ctx context.Context, _ string, _ mcp.Request) (mcp.Result, error) {
			called = true
			_, ok := mcpauth.FromContext(ctx)
			assert.False(t, ok, name)
			return nil, nil
		})
		_, err := handler(first, "tools/call", request)
		require.NoError(t, err)
		assert.True(t, called)
	}
}

// Without a session there is no id, as the SDK wants it: one that it has not
// given out it refuses, and would be asked a second time for each request.
func TestNoSession_ISOL_10(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	var log bytes.Buffer
	const resource = "http://127.0.0.1/mcp"
	guard, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"look": mcpauth.Authenticated()}},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{GetSessionID: func() string { return "" }})
	mcp.AddTool(server, &mcp.Tool{Name: "look"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Logger: slog.New(slog.DiscardHandler)})
	var arrived []string
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived = append(arrived, r.Method+strings.Join(r.Header["Mcp-Session-Id"], ","))
		inner.ServeHTTP(w, r)
	})
	serve := func(handler http.Handler, method string) int {
		body := ""
		if method == http.MethodPost {
			body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{}}}`
		}
		r := httptest.NewRequest(method, "/mcp", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+issuer.TokenFor(resource))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	with := guard.Wrap(gosdk.Handler(count))
	assert.Equal(t, http.StatusOK, serve(with, http.MethodPost))
	assert.Equal(t, []string{"POST"}, arrived)
	assert.NotContains(t, log.String(), "gosdk.Handler")
	assert.Equal(t, http.StatusBadRequest, serve(with, http.MethodGet), "the SDK has no streams without sessions")

	arrived = nil
	without := guard.Wrap(count)
	for range 3 {
		assert.Equal(t, http.StatusOK, serve(without, http.MethodPost))
	}
	assert.Len(t, arrived, 6)
	assert.Equal(t, 1, strings.Count(log.String(), "put gosdk.Handler around the handler"), log.String())
}

// The end of a session that no client knows is not the SDK's business either.
func TestNoSessionEnds_ISOL_20(t *testing.T) {
	called := false
	handler := gosdk.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	r := httptest.NewRequest(http.MethodDelete, "/mcp", nil)
	r.Header.Set("Mcp-Session-Id", "mcpauth.x")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r.WithContext(mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{Issuer: "i", Subject: "s"})))
	assert.Equal(t, http.StatusNoContent, w.Code)
	assert.False(t, called)
}
