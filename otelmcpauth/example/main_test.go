package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func TestExample_OBS_04(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	defer upstream.Close()
	const resource = "http://127.0.0.1:8080/mcp"
	s := settings{resource: resource, issuer: issuer.URL(), upstream: upstream.URL, audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	public, operator, stop, err := newServer(s)
	require.NoError(t, err)

	token := issuer.TokenFor(resource, "tool:echo:execute")
	call := func(token, tool string) int {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		public.ServeHTTP(w, r)
		return w.Code
	}
	get := func(path string) string {
		w := httptest.NewRecorder()
		operator.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, http.StatusOK, w.Code, path)
		return w.Body.String()
	}
	assert.Equal(t, http.StatusOK, call(token, "echo"))
	assert.Equal(t, http.StatusForbidden, call(token, "other"))
	assert.Equal(t, http.StatusUnauthorized, call("", "echo"))

	metrics := get("/metrics")
	for _, part := range []string{
		`mcpauth_decisions_total{error_type="no_credentials"`, `mcpauth_outcome="allow"`,
		`mcpauth_decision_duration_seconds_bucket`, `mcpauth_issuer_ready{mcpauth_issuer="` + issuer.URL() + `"`, `mcpauth_keys_fetches_total`,
	} {
		assert.Contains(t, metrics, part)
	}
	assert.Contains(t, get("/readyz"), `"ready":true`)

	require.NoError(t, stop())
	audit, err := os.ReadFile(s.audit)
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(string(audit), "\n"))
	for part := range strings.SplitSeq(token, ".") {
		assert.NotContains(t, metrics+string(audit), part)
	}
	for _, bad := range []settings{{upstream: ":"}, {audit: t.TempDir()}, {audit: s.audit}} {
		_, _, _, err := newServer(bad)
		assert.Error(t, err)
	}
}
