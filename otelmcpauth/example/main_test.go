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

const resource = "http://127.0.0.1:8080/mcp"

// site is the example in front of a server.
type site struct {
	settings
	t                *testing.T
	issuer           *mcpauthtest.Issuer
	public, operator http.Handler
	stop             func() error
}

func newSite(t *testing.T) *site {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	t.Cleanup(upstream.Close)
	s := &site{t: t, issuer: mcpauthtest.NewIssuer(t)}
	s.settings = settings{resource: resource, issuer: s.issuer.URL(), upstream: upstream.URL, audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	var err error
	s.public, s.operator, s.stop, err = newServer(s.settings)
	require.NoError(t, err)
	return s
}

func (s *site) call(token, tool string) int {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.public.ServeHTTP(w, r)
	return w.Code
}

func (s *site) get(path string) string {
	w := httptest.NewRecorder()
	s.operator.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	assert.Equal(s.t, http.StatusOK, w.Code, path)
	return w.Body.String()
}

func TestExample_OBS_04(t *testing.T) {
	s := newSite(t)
	token := s.issuer.TokenFor(resource, "tool:echo:execute")
	assert.Equal(t, http.StatusOK, s.call(token, "echo"))
	assert.Equal(t, http.StatusForbidden, s.call(token, "other"))
	assert.Equal(t, http.StatusUnauthorized, s.call("", "echo"))

	metrics := s.get("/metrics")
	for _, part := range []string{
		`mcpauth_decisions_total{error_type="no_credentials"`, `mcpauth_outcome="allow"`,
		`mcpauth_decision_duration_seconds_bucket`, `mcpauth_issuer_ready{mcpauth_issuer="` + s.issuer.URL() + `"`, `mcpauth_keys_fetches_total`,
	} {
		assert.Contains(t, metrics, part)
	}
	assert.Contains(t, s.get("/readyz"), `"ready":true`)

	require.NoError(t, s.stop())
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

// A record that is lost shows, and its request is refused. A queue that is closed keeps none.
func TestLostRecords_AUDIT_07(t *testing.T) {
	s := newSite(t)
	lost := func() string {
		_, count, _ := strings.Cut(s.get("/metrics"), "\nmcpauth_audit_lost_total")
		count, _, _ = strings.Cut(count, "\n")
		return count[strings.LastIndex(count, " ")+1:]
	}
	assert.Equal(t, "0", lost())
	token := s.issuer.TokenFor(resource, "tool:echo:execute")
	assert.Equal(t, http.StatusOK, s.call(token, "echo"))
	require.NoError(t, s.stop())
	assert.Equal(t, http.StatusServiceUnavailable, s.call(token, "echo"))
	assert.Equal(t, "1", lost())
}
