package mcpauth_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filled is a call whose argument is one letter many times: bytes of two
// requests that get mixed show.
func filled(i, size int) (body, letter string) {
	letter = string(rune('A' + i%26))
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":%q}}}`, strings.Repeat(letter, size)), letter
}

// onlyOwn reports whether no capital letter but the own one is among the bytes.
func onlyOwn(got []byte, letter string) bool {
	return bytes.IndexFunc(got, func(r rune) bool { return 'A' <= r && r <= 'Z' && string(r) != letter }) < 0
}

// A handler that goes on after its request, and whatever it still asks, sees bytes of its own request or none
// at all, and a context that has ended: while the next requests use the buffer.
func TestGoesOnAfterwards_MCP_08_CONC_01(t *testing.T) {
	for name, around := range map[string]func(http.Handler) http.Handler{
		"as it is":                            func(h http.Handler) http.Handler { return h },
		"around and inside, a TimeoutHandler": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Nanosecond, "late") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			var loose sync.WaitGroup
			inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				letter := r.Header.Get("X-Letter")
				ctx := r.Context()
				derived, stop := context.WithCancelCause(ctx)
				t.Cleanup(func() { stop(nil) })
				ended := make(chan struct{})
				context.AfterFunc(ctx, func() { close(ended) })
				for range 2 {
					loose.Go(func() {
						piece := make([]byte, 97)
						kept, errKept := r.GetBody()
						for {
							n, err := r.Body.Read(piece)
							assert.True(t, onlyOwn(piece[:n], letter))
							if again, err := r.GetBody(); err == nil {
								all, err := io.ReadAll(again)
								assert.NoError(t, err)
								assert.True(t, len(all) > 1000 && onlyOwn(all, letter))
							}
							if ctx.Err() != nil {
								<-ctx.Done()
								<-derived.Done()
								assert.Equal(t, context.Cause(ctx), context.Cause(derived))
							}
							if err != nil && ctx.Err() != nil {
								break
							}
						}
						<-ended
						if errKept == nil {
							all, err := io.ReadAll(kept)
							assert.NoError(t, err)
							assert.True(t, len(all) > 1000 && onlyOwn(all, letter))
						}
						assert.NoError(t, context.WithoutCancel(ctx).Err())
					})
				}
			})
			awaited := func(h http.Handler) http.Handler {
				within := around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer loose.Done()
					h.ServeHTTP(w, r)
				}))
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					loose.Add(1)
					within.ServeHTTP(w, r)
				})
			}
			handler := awaited(f.auth.Wrap(awaited(inner)))
			var clients sync.WaitGroup
			token := f.token(nil)
			for c := range 4 {
				clients.Go(func() {
					for i := range 50 {
						body, letter := filled(4*i+c, 2000)
						r := f.request(http.MethodPost, "/mcp", token, body, "X-Letter: "+letter)
						handler.ServeHTTP(httptest.NewRecorder(), r)
					}
				})
			}
			clients.Wait()
			loose.Wait()
		})
	}
}

// A server behind a proxy may answer before it has read the body, or go away. What the
// proxy's transport still sends then is never another request's.
func TestProxyStillSends_MCP_08(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		letter := r.Header.Get("X-Letter")
		switch letter[0] % 3 {
		case 0:
			w.WriteHeader(http.StatusAccepted)
			_ = http.NewResponseController(w).Flush()
		case 1:
			panic(http.ErrAbortHandler)
		}
		got, _ := io.ReadAll(r.Body)
		assert.True(t, onlyOwn(got, letter))
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	f := newFixture(t, nil)
	handler := f.auth.Wrap(&httputil.ReverseProxy{
		Transport:    transport,
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	token := f.token(nil)
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for i := range 40 {
				body, letter := filled(4*i+c, 50_000)
				r := newRequest(http.MethodPost, server.URL+"/mcp", token, body, "X-Letter: "+letter)
				r.RequestURI = ""
				resp, err := server.Client().Do(r)
				if assert.NoError(t, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		})
	}
	clients.Wait()
}
