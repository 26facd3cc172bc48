package main

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// The scopes of the second API.
const (
	recordsRead  = "records.read"
	recordsWrite = "records.write"
)

// records is the second API: plain HTTP, not MCP, and somebody else's. It takes tokens that are addressed to it and were
// made for a service that it knows. Nothing of it needs mcpauth, which happens to verify tokens here, too.
type records struct {
	url  string
	auth *mcpauth.Middleware
	http *http.Server

	mu     sync.Mutex
	of     map[string][]string
	served int
}

// openRecords listens on a free port. It answers when somebody has called serve.
func openRecords(issuer string) (*records, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &records{url: "http://" + listener.Addr().String(), of: map[string][]string{"alice": {"invoice 1", "invoice 2"}, "bob": {"letter 7"}}}
	a.auth, err = mcpauth.New(mcpauth.Config{
		Resource: a.url, Issuers: []mcpauth.Issuer{{URL: issuer}},
		AllowInsecureLoopback: true, // for this story only
	})
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	a.http = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = a.http.Serve(listener) }()
	return a, nil
}

func (a *records) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, err := a.auth.Authenticate(r)
	needed := recordsRead
	if r.Method == http.MethodPost {
		needed = recordsWrite
	}
	switch {
	case err != nil:
		http.Error(w, "no token for this API", http.StatusUnauthorized)
		return
	case caller.ClientID != service || !caller.HasScope(needed):
		http.Error(w, "not with this token", http.StatusForbidden)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.served++
	if r.Method == http.MethodPost {
		a.of[caller.Subject] = append(a.of[caller.Subject], r.FormValue("record"))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.of[caller.Subject]) // the client has gone, if anything
}

func (a *records) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.served
}
