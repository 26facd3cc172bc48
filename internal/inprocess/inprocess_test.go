package inprocess

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// send sends a request to a handler.
func send(t *testing.T, ctx context.Context, method, target, body string, handler http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Asked", "yes")
	return Transport{handler}.RoundTrip(r)
}

// TestAsAServer: what comes of a handler is what a server makes of it.
func TestAsAServer(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"text": func(w http.ResponseWriter, _ *http.Request) {
			n, err := io.WriteString(w, "hello")
			assert.Equal(t, 5, n)
			assert.NoError(t, err)
		},
		"a type of its own": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		},
		"no byte": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
		"status": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Late", "no")
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, "b")
		},
		"a type that is taken away when it has been sent": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusOK)
			w.Header().Del("Content-Type")
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, w.Header().Get("Content-Type"))
		},
		"hints first": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.WriteHeader(http.StatusTeapot)
		},
		"request": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.RequestURI, r.URL.String(), r.Proto, r.Header.Get("X-Asked"), string(body)}, "\n"))
			assert.NotEmpty(t, r.RemoteAddr)
			assert.NotEmpty(t, r.Host)
			assert.EqualValues(t, len(body), r.ContentLength)
		},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead} {
			t.Run(name+" "+method, func(t *testing.T) {
				server := httptest.NewUnstartedServer(handler)
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				server.Start()
				defer server.Close()
				body := ""
				if method == http.MethodPost {
					body = "body"
				}
				got, err := send(t, t.Context(), method, server.URL+"/a%2Fb?c=d", body, handler)
				require.NoError(t, err)
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/a%2Fb?c=d", strings.NewReader(body))
				require.NoError(t, err)
				r.Header.Set("X-Asked", "yes")
				want, err := server.Client().Do(r)
				require.NoError(t, err)
				gotBody, err := io.ReadAll(got.Body)
				require.NoError(t, err)
				require.NoError(t, got.Body.Close())
				wantBody, err := io.ReadAll(want.Body)
				require.NoError(t, err)
				require.NoError(t, want.Body.Close())
				assert.Equal(t, want.Status, got.Status)
				assert.Equal(t, string(wantBody), string(gotBody))
				if method != http.MethodHead {
					want.Header.Del("Date")
					want.Header.Del("Content-Length")
					assert.Equal(t, want.Header, got.Header)
				}
			})
		}
	}
}

// TestAsItIsWritten: a part of an answer arrives while the handler still runs,
// and a client that closes it, or gives up, ends the handler's context.
func TestAsItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		handler := func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "one\n")
			<-r.Context().Done()
			_, err := io.WriteString(w, "two\n")
			ended <- err
		}
		response, err := send(t, t.Context(), http.MethodGet, "http://127.0.0.1/", "", handler)
		require.NoError(t, err)
		line, err := bufio.NewReader(response.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "one\n", line)
		require.NoError(t, response.Body.Close())
		assert.ErrorIs(t, <-ended, io.ErrClosedPipe)

		gone := errors.New("gone")
		ctx, leave := context.WithCancelCause(t.Context())
		response, err = send(t, ctx, http.MethodGet, "http://127.0.0.1/", "", handler)
		require.NoError(t, err)
		time.AfterFunc(time.Minute, func() { leave(gone) })
		_, err = io.ReadAll(response.Body)
		assert.ErrorIs(t, err, gone)
		assert.ErrorIs(t, <-ended, io.ErrClosedPipe)

		ctx, leave = context.WithCancelCause(t.Context())
		leave(gone)
		_, err = send(t, ctx, http.MethodGet, "http://127.0.0.1/", "", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})
		assert.ErrorIs(t, err, gone)
		synctest.Wait()
	})
}

// TestPanics: a panic is seen where the answer is read; one that only ends the answer cuts it off.
func TestPanics(t *testing.T) {
	for _, value := range []any{"bug", http.ErrAbortHandler} {
		for _, first := range []string{"", "half"} {
			read := func() (err error) {
				response, err := send(t, t.Context(), http.MethodGet, "http://127.0.0.1/", "", func(w http.ResponseWriter, _ *http.Request) {
					if first != "" {
						_, _ = io.WriteString(w, first)
					}
					panic(value)
				})
				if err == nil {
					assert.Equal(t, "half", first, "no answer is made of nothing")
					_, err = io.ReadAll(response.Body)
				}
				return err
			}
			if value == http.ErrAbortHandler {
				assert.ErrorIs(t, read(), http.ErrAbortHandler)
				continue
			}
			assert.PanicsWithValue(t, value, func() { _ = read() })
		}
	}
}

// TestABareRequest: a request that a client may send without a path, a header or a
// body reaches the handler with all three, as a server hands it on.
func TestABareRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var called context.Context
		answer, err := Transport{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = r.Context()
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Empty(t, body)
			assert.Equal(t, "/", r.URL.Path)
			assert.Equal(t, "/", r.RequestURI)
			assert.Equal(t, "mcp.example", r.Host)
			assert.Equal(t, "HTTP/1.1", r.Proto)
			assert.True(t, r.ProtoAtLeast(1, 1))
			assert.Nil(t, r.GetBody, "that is a client's")
			r.Header.Set("X-Of-The-Handler", "may be set")
		})}.RoundTrip(&http.Request{
			Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "mcp.example"},
			GetBody: func() (io.ReadCloser, error) { return http.NoBody, nil },
		})
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, answer.StatusCode)
		_, err = io.ReadAll(answer.Body)
		assert.NoError(t, err)
		<-called.Done() // what the handler began for the request ends with it
		assert.NoError(t, answer.Body.Close())
	})
}
