package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestProtected: the same call is now told where to get a token.
func TestProtected_COMPAT_13(t *testing.T) {
	handler := newHandler()
	r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast"}}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.NotContains(t, w.Body.String(), "sunny")
	_, metadata, found := strings.Cut(w.Header().Get("WWW-Authenticate"), `resource_metadata="`)
	assert.True(t, found)
	metadata, _, _ = strings.Cut(metadata, `"`)

	w = httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, metadata, nil))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), "https://login.example.com")
}
