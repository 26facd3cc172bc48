// Package wire notes what goes over the wire between clients and servers under
// test, so that a step counts as done because it was seen and not because a
// client says so. It keeps no token, code, verifier or secret.
package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is one request and its answer.
type Exchange struct {
	Method, Path string
	Bearer       bool       // the request had a bearer token
	Key          string     // the key id in the header of that token
	Params       url.Values // of the query, the form or the JSON body, as far as they are no secrets
	Status       int
	Challenge    string // WWW-Authenticate
	Refusal      string // the error parameter of a redirect
	Refresh      bool   // the answer has a refresh token
	Granted      string // the scope in the answer to a token request
}

// Record is a list of exchanges, in the order in which they ended. It is safe
// for concurrent use.
type Record struct {
	mu        sync.Mutex
	exchanges []Exchange
	open      atomic.Int64 // requests that are being answered
}

// kept are the parameters that may be noted. Whatever else is sent may be a secret.
var kept = []string{"grant_type", "response_type", "scope", "resource", "audience", "code_challenge_method", "method"}

// Handler serves with next and notes each exchange.
func (r *Record) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.open.Add(1)
		defer r.open.Add(-1)
		e := Exchange{Method: req.Method, Path: req.URL.Path, Params: params(req)}
		var token string
		token, e.Bearer = strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		e.Key = keyID(token)
		seen := &watched{ResponseWriter: w, status: http.StatusOK}
		// Deferred: a handler that panics to abort its answer is an exchange too.
		defer func() {
			e.Status = seen.status
			e.Refresh = bytes.Contains(seen.start, []byte(`"refresh_token":`)) && e.Params.Has("grant_type")
			if e.Params.Has("grant_type") {
				e.Granted = scopeOf(seen.start)
			}
			e.Challenge = w.Header().Get("WWW-Authenticate")
			if location, err := url.Parse(w.Header().Get("Location")); err == nil {
				e.Refusal = location.Query().Get("error")
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.exchanges = append(r.exchanges, e)
		}()
		next.ServeHTTP(seen, req)
	})
}

// keyID is the kid in the header of a JWT.
func keyID(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	var header struct{ Kid string }
	if text, err := base64.RawURLEncoding.DecodeString(encoded); err != nil || json.Unmarshal(text, &header) != nil {
		return ""
	}
	return header.Kid
}

// scopeOf is the scope in a token response.
func scopeOf(body []byte) string {
	var response struct{ Scope string }
	if json.Unmarshal(body, &response) != nil {
		return ""
	}
	return response.Scope
}

// Settle waits until no request is being answered. Whoever has an answer may be
// faster than the note of it.
func (r *Record) Settle() {
	for range 2000 {
		if r.open.Load() == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Take returns what was noted since the last Take.
func (r *Record) Take() []Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.exchanges
	r.exchanges = nil
	return taken
}

// params reads the body, if it is small enough, and puts it back.
func params(req *http.Request) url.Values {
	all := req.URL.Query()
	if req.Method == http.MethodPost && req.Body != nil {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), req.Body))
		if err != nil {
			return nil
		}
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
			var members map[string]any
			if json.Unmarshal(body, &members) == nil {
				for name, value := range members {
					if text, ok := value.(string); ok {
						all.Add(name, text)
					}
				}
			}
		} else if form, err := url.ParseQuery(string(body)); err == nil {
			for name, values := range form {
				all[name] = append(all[name], values...)
			}
		}
	}
	for name := range all {
		if !slices.Contains(kept, name) {
			delete(all, name)
		}
	}
	return all
}

type watched struct {
	http.ResponseWriter
	status int
	start  []byte // of the body, and never handed out: it may hold a token
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(body []byte) (int, error) {
	w.start = append(w.start, body[:min(len(body), 1<<14-len(w.start))]...)
	return w.ResponseWriter.Write(body)
}

// Flush is needed as a method: not every server asks an [http.ResponseController].
func (w *watched) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
