package mcpauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A handler that writes after its request is over writes nowhere: the buffer
// that it would write into is another request's by then.
func TestLateWrites_ISOL_01(t *testing.T) {
	f := newFixture(t, nil)
	var late atomic.Pointer[http.ResponseWriter]
	inside, goOn := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := mcpauth.FromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"of":"`+p.Subject+`"}`)
		if p.Subject == "user-1" {
			assert.NoError(t, http.NewResponseController(w).Flush())
			late.Store(&w)
			return
		}
		inside <- struct{}{}
		<-goOn
	})))
	defer server.Close()
	send := func(subject string) string {
		r := f.request(http.MethodPost, server.URL+"/mcp", f.token(mcpauthtest.Claims{"sub": subject}), modernCall("echo"), modernHeaders("tools/call", "echo")...)
		r.RequestURI, r.Host = "", ""
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	assert.Equal(t, `{"of":"user-1"}`, send("user-1"))
	answer := make(chan string)
	go func() { answer <- send("user-2") }()
	<-inside
	w := *late.Load()
	_, err := io.WriteString(w, "SECRET OF USER-1")
	assert.Error(t, err)
	w.WriteHeader(http.StatusTeapot)
	assert.Error(t, http.NewResponseController(w).Flush())
	close(goOn)
	assert.Equal(t, `{"of":"user-2"}`, <-answer)
}
