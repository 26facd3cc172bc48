package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A document server has no business with anything but the path, and learns
// nothing that came in with a request.
func TestGet_Headers_DISC_25(t *testing.T) {
	var seen []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Age", "60")
		w.Header().Set("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
		_, _ = io.WriteString(w, `{"keys":[]}`)
	}))
	defer server.Close()
	client := New(nil)
	for range 2 {
		resp, err := client.Get(t.Context(), Request{URL: server.URL + "/jwks", Limit: 100})
		require.NoError(t, err)
		assert.Equal(t, &Response{
			Body: []byte(`{"keys":[]}`), ContentType: "application/json; charset=utf-8",
			Lifetime: 9 * time.Minute, Age: 61 * time.Second, Date: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		}, resp)
	}
	want := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"gzip"},
		"Connection":      {"close"},
		"User-Agent":      {"mcpauth (+https://github.com/seed-1e292522/mcpauth)"},
	}
	assert.Equal(t, []http.Header{want, want}, seen, "DISC-25: and no cookie of the first answer in the second request")
}

// What only a slow or huge server could show is read off the transport.
func TestTransport_Bounds_DISC_12_DISC_25(t *testing.T) {
	client := New(nil)
	for _, roundTripper := range []http.RoundTripper{client.trusted, client.guarded} {
		transport := roundTripper.(*http.Transport)
		assert.Nil(t, transport.Proxy, "DISC-25: no proxy from the environment")
		assert.Equal(t, 3*time.Second, transport.ResponseHeaderTimeout, "DISC-12")
		assert.Equal(t, 3*time.Second, transport.TLSHandshakeTimeout, "DISC-12")
		assert.EqualValues(t, 64<<10, transport.MaxResponseHeaderBytes, "DISC-12")
		assert.Nil(t, transport.TLSClientConfig, "certificates are verified")
	}
}

// No connection is used for a second document, with HTTP/1.1 nor with HTTP/2: a
// proxy that swallows one in silence costs nothing beyond it.
func TestGet_EachOnItsOwnConnection_FRESH_11(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("FRESH-11 HTTP/2 %t", http2), func(t *testing.T) {
			var peers []string
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				peers = append(peers, r.RemoteAddr)
				assert.Equal(t, http2, r.ProtoMajor == 2)
				_, _ = io.WriteString(w, "{}")
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			client := New(nil)
			trusting := transport(nil)
			trusting.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			client.trusted = trusting
			for range 3 {
				_, err := client.Get(t.Context(), Request{URL: server.URL, Limit: 100})
				require.NoError(t, err)
			}
			slices.Sort(peers)
			assert.Len(t, slices.Compact(peers), 3)
		})
	}
}

// letting counts how often a transport was asked to let go of its connections.
type letting struct {
	roundTripFunc
	let int
}

func (l *letting) CloseIdleConnections() { l.let++ }

// A transport that is not ours has its own mind about connections, and is asked to
// let go of them after a failure.
func TestGet_LetsGo_FRESH_11(t *testing.T) {
	status := http.StatusOK
	custom := &letting{roundTripFunc: func(r *http.Request) (*http.Response, error) { return answer(r, status, "{}"), nil }}
	client := New(custom)
	for _, row := range []struct{ status, let int }{{200, 0}, {200, 0}, {500, 0}, {200, 1}, {200, 1}, {500, 1}, {500, 2}} {
		status = row.status
		_, err := client.Get(t.Context(), Request{URL: "https://as.example.com/x", Limit: 100})
		assert.Equal(t, row.status == 200, err == nil)
		assert.Equal(t, row.let, custom.let)
	}
}

// A transport that never comes back keeps a goroutine each time, and not more than
// a few; what comes back late is dropped.
func TestGet_NeverComesBack_FRESH_12_DISC_26(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blocked atomic.Bool
		var asked atomic.Int32
		release := make(chan struct{})
		blocked.Store(true)
		client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if blocked.Load() {
				<-release
			}
			return answer(r, http.StatusOK, "{}"), nil
		}))
		get := func(path string) (time.Duration, error) {
			begun := time.Now()
			_, err := client.Get(t.Context(), Request{URL: "https://as.example.com" + path, Limit: 100})
			return time.Since(begun), err
		}
		for n := range 4 {
			took, err := get("/a")
			requireClass(t, err, TimedOut)
			assert.Equal(t, 3*time.Second, took, "%d", n)
		}
		for range 10 {
			took, err := get("/a")
			requireClass(t, err, TimedOut)
			assert.Zero(t, took)
			assert.EqualValues(t, 4, asked.Load(), "four have not come back: no fifth")
		}
		blocked.Store(false)
		_, err := get("/b")
		require.NoError(t, err, "another document is not concerned")
		time.Sleep(time.Minute)
		_, err = get("/a")
		require.NoError(t, err, "one more a minute")
		_, err = get("/a")
		requireClass(t, err, TimedOut)
		close(release)
		synctest.Wait()
		for range 3 {
			_, err = get("/a")
			require.NoError(t, err, "all have come back")
		}
		assert.Empty(t, client.pending)
	})
}

// A panic in the transport is a failure. The goroutine is not its caller's.
func TestGet_Panic_FRESH_12(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("secret") }, "goexit": runtime.Goexit} {
		client := New(roundTripFunc(func(*http.Request) (*http.Response, error) {
			fail()
			return nil, nil
		}))
		_, err := client.Get(t.Context(), Request{URL: "https://as.example.com/x", Limit: 100})
		requireClass(t, err, Network)
		assert.NotContains(t, err.Error(), "secret", name)
		assert.Empty(t, client.pending, name)
	}
}

func TestGet_HugeHeader_DISC_12(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length := 1 << 10
		if r.URL.Path == "/huge" {
			length = 65 << 10
		}
		w.Header().Set("X-Filler", strings.Repeat("x", length))
	}))
	defer server.Close()
	client := New(nil)
	_, err := client.Get(t.Context(), Request{URL: server.URL + "/small", Limit: 100})
	require.NoError(t, err)
	_, err = client.Get(t.Context(), Request{URL: server.URL + "/huge", Limit: 100})
	requireClass(t, err, Network)
}

func TestGet_Status_DISC_07_DISC_10(t *testing.T) {
	for status, class := range map[int]Class{
		201: BadStatus, 204: BadStatus, 206: BadStatus, 400: BadStatus, 401: BadStatus, 404: BadStatus, 429: BadStatus, 500: BadStatus, 503: BadStatus,
		300: Redirect, 301: Redirect, 302: Redirect, 303: Redirect, 307: Redirect, 308: Redirect,
		304: BadStatus, // FRESH-07: nobody has asked for it
	} {
		t.Run(fmt.Sprintf("DISC-10 %d", status), func(t *testing.T) {
			body := &closeRecorder{Reader: strings.NewReader("{}")}
			requests := 0
			client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				requests++
				resp := answer(r, status, "")
				resp.Header.Set("Location", "http://169.254.169.254/")
				resp.Body = body
				return resp, nil
			}))
			_, err := client.Get(t.Context(), Request{URL: "https://as.example.com/x", Limit: 100})
			failed := requireClass(t, err, class)
			assert.Contains(t, failed.Err.Error(), fmt.Sprint(status))
			assert.Equal(t, 1, requests, "DISC-07: a redirect was followed")
			assert.True(t, body.closed, "JWKS-23: the body stays open")
		})
	}
}

// Over real sockets: where a redirect points to sees nobody.
func TestGet_Redirect_DISC_07_JWKS_24(t *testing.T) {
	var visited atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	_, err := New(nil).Get(t.Context(), Request{URL: server.URL, Limit: 100})
	requireClass(t, err, Redirect)
	assert.Zero(t, visited.Load())
}

// A transport that follows redirects on its own cannot be stopped, but what
// it brings back is refused.
func TestGet_FollowingTransport_DISC_26(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer target.Close()
	server := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer server.Close()
	client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) { return server.Client().Do(r) }))
	_, err := client.Get(t.Context(), Request{URL: server.URL, Limit: 100})
	requireClass(t, err, Redirect)
	_, err = client.Get(t.Context(), Request{URL: target.URL, Limit: 100})
	require.NoError(t, err)
	// The transport of the test server is shared with its client only.
	server.Client().CloseIdleConnections()
}

func TestGet_Size_DISC_12_JWKS_23(t *testing.T) {
	const limit = 512 << 10
	for name, row := range map[string]struct {
		size, read int64
		class      Class
	}{
		"DISC-12 as large as allowed": {limit, limit, ""},
		"JWKS-23 one byte more":       {limit + 1, limit + 1, TooLarge},
		"JWKS-23 1 GiB":               {1 << 30, limit + 1, TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			body := &closeRecorder{Reader: io.LimitReader(zeros{}, row.size)}
			client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				resp := answer(r, http.StatusOK, "")
				resp.Body = body
				return resp, nil
			}))
			resp, err := client.Get(t.Context(), Request{URL: "https://as.example.com/jwks", Limit: limit})
			assert.Equal(t, row.read, body.read)
			assert.True(t, body.closed)
			if row.class != "" {
				requireClass(t, err, row.class)
				return
			}
			require.NoError(t, err)
			assert.Len(t, resp.Body, limit)
		})
	}
}

// The limits on time hold for any transport that heeds its context.
func TestGet_Time_DISC_12_DISC_26(t *testing.T) {
	never := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	stalling := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		resp := answer(r, http.StatusOK, "")
		resp.Body = io.NopCloser(stall{r.Context()})
		return resp, nil
	})
	late := func(wait time.Duration) roundTripFunc {
		return func(r *http.Request) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(wait):
				return answer(r, http.StatusOK, "{}"), nil
			}
		}
	}
	for name, row := range map[string]struct {
		transport http.RoundTripper
		patience  time.Duration // of the caller
		class     Class
		took      time.Duration
	}{
		"DISC-12 no header":               {never, time.Minute, TimedOut, 3 * time.Second},
		"DISC-12 header just in time":     {late(2999 * time.Millisecond), time.Minute, "", 2999 * time.Millisecond},
		"DISC-12 header too late":         {late(3001 * time.Millisecond), time.Minute, TimedOut, 3 * time.Second},
		"DISC-12 body stalls":             {stalling, time.Minute, TimedOut, 5 * time.Second},
		"DISC-12 the caller's time is up": {never, time.Second, TimedOut, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), row.patience)
				defer cancel()
				begun := time.Now()
				_, err := New(row.transport).Get(ctx, Request{URL: "https://as.example.com/jwks", Limit: 100})
				assert.Equal(t, row.took, time.Since(begun))
				if row.class == "" {
					require.NoError(t, err)
					return
				}
				requireClass(t, err, row.class)
			})
		})
	}
}

func TestGet_Failures_DISC_10(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for name, row := range map[string]struct {
		url       string
		transport roundTripFunc
	}{
		"no connection":          {"https://as.example.com/", func(*http.Request) (*http.Response, error) { return nil, reset }},
		"reset within the body":  {"https://as.example.com/", func(r *http.Request) (*http.Response, error) { return broken(r, reset), nil }},
		"ends within the body":   {"https://as.example.com/", func(r *http.Request) (*http.Response, error) { return broken(r, io.ErrUnexpectedEOF), nil }},
		"not a URL":              {"https://as example/", nil},
		"not a URL with a space": {"https://as.example.com/\x7f", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(row.transport).Get(t.Context(), Request{URL: row.url, Limit: 100})
			requireClass(t, err, Network)
		})
	}
	// The real transport's own time limit is a net.Error and not a context's.
	assert.Equal(t, TimedOut, classify(t.Context(), &net.DNSError{IsTimeout: true}))
	// And a transport may wrap a context's so that what is around it knows of no timeout.
	assert.Equal(t, TimedOut, classify(t.Context(), &url.Error{Op: "Get", Err: fmt.Errorf("upstream: %w", context.DeadlineExceeded)}))
}

func broken(r *http.Request, err error) *http.Response {
	resp := answer(r, http.StatusOK, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"keys":[`), failing{err}))
	return resp
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type stall struct{ ctx context.Context }

func (s stall) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// closeRecorder counts what is read and remembers whether it was closed.
type closeRecorder struct {
	io.Reader
	read   int64
	closed bool
}

func (c *closeRecorder) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return nil
}
