package fetch_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

type posterFunc func(*http.Request) (*http.Response, error)

func (f posterFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// question is a request with a token that no error may show.
func question(location string, returned func()) fetch.PostRequest {
	return fetch.PostRequest{
		URL: location, Header: http.Header{"Authorization": {"Basic canary"}}, Form: url.Values{"token": {"canary"}}, Limit: 16, Returned: returned,
	}
}

// TestPost_INTRO_01: a form, and whatever status comes back; connections are used again.
func TestPost_INTRO_01_INTRO_13(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodPost, r.Method)
		assert.Equal(t, "Basic canary", r.Header.Get("Authorization"))
		assert.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		assert.Contains(t, r.Header.Get("User-Agent"), "mcpauth")
		assert.NotContains(t, r.URL.String(), "canary")
		assert.NotContains(t, r.Header, "X-Idempotency-Key")
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "token=canary", string(body))
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	p := fetch.NewPoster(nil)
	for range 3 {
		returned := false
		posted, err := p.Post(t.Context(), question(server.URL, func() { returned = true }))
		require.NoError(t, err)
		assert.Equal(t, &fetch.Posted{Status: http.StatusTooManyRequests, Body: []byte("slow down"), RetryAfter: 7 * time.Second}, posted)
		assert.True(t, returned)
	}
	assert.Equal(t, int32(1), connections.Load())
}

// TestPostFails_INTRO_06: what is no answer, and that no error shows what was sent.
func TestPostFails_INTRO_06_INTRO_13(t *testing.T) {
	answer := func(status int, header http.Header, text string) posterFunc {
		return func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
		}
	}
	for _, row := range []struct {
		name    string
		custom  posterFunc
		url     string
		guarded bool
		class   fetch.Class
	}{
		{"redirect", answer(http.StatusFound, http.Header{"Location": {"https://other.example.com"}}, ""), "https://as.example.com/i", false, fetch.Redirect},
		{"not modified", answer(http.StatusNotModified, http.Header{}, ""), "https://as.example.com/i", false, fetch.Redirect},
		{"too large", answer(http.StatusOK, http.Header{}, strings.Repeat("a", 17)), "https://as.example.com/i", false, fetch.TooLarge},
		{"network", func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New("broken")}
		}, "https://as.example.com/i?canary", false, fetch.Network},
		{"panic", func(*http.Request) (*http.Response, error) { panic("canary") }, "https://as.example.com/i", false, fetch.Network},
		{"a private address that was learned", answer(http.StatusOK, http.Header{}, "{}"), "https://10.0.0.1/i", true, fetch.DialRefused},
		{"no URL", nil, "https://as.example.com/\x00", false, fetch.Network},
	} {
		t.Run(row.name, func(t *testing.T) {
			returned := 0
			req := question(row.url, func() { returned++ })
			req.Guarded = row.guarded
			_, err := fetch.NewPoster(row.custom).Post(t.Context(), req)
			var failed *fetch.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, row.class, failed.Class)
			assert.NotContains(t, err.Error(), "canary")
			assert.Contains(t, err.Error(), "POST ")
			assert.Equal(t, 1, returned)
		})
	}
}

// TestPostStatus_INTRO_06: any status is an answer, but for a redirect that was followed or not.
func TestPostStatus_INTRO_06(t *testing.T) {
	post := func(status int, body io.Reader, follow bool) (*fetch.Posted, error) {
		return fetch.NewPoster(posterFunc(func(r *http.Request) (*http.Response, error) {
			if status == 500 {
				r = nil // of a transport that does not say
			}
			if follow {
				r = &http.Request{Response: &http.Response{}}
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		})).Post(t.Context(), question("https://as.example.com/i", func() {}))
	}
	for status, redirect := range map[int]bool{200: false, 299: false, 300: true, 399: true, 400: false, 500: false} {
		posted, err := post(status, strings.NewReader(strings.Repeat("a", 16)), false)
		if !redirect {
			require.NoError(t, err)
			assert.Equal(t, status, posted.Status)
			assert.Len(t, posted.Body, 16, "as long as it may be")
			continue
		}
		var failed *fetch.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, fetch.Redirect, failed.Class)
		assert.Nil(t, posted)
	}
	var failed *fetch.Error
	_, err := post(200, strings.NewReader("{}"), true)
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, fetch.Redirect, failed.Class)
	_, err = post(200, iotest.ErrReader(errors.New("cut off")), false)
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, fetch.Network, failed.Class)
	require.ErrorContains(t, err, "cut off")
}

// idle counts how often its connections are closed.
type idle struct {
	posterFunc
	closed *int
}

func (i idle) CloseIdleConnections() { *i.closed++ }

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

// TestPostConnections_INTRO_06: after a failure no connection is used again, and a body that was read is closed.
func TestPostConnections_INTRO_06(t *testing.T) {
	for text, failures := range map[string]int{"{}": 0, strings.Repeat("a", 17): 1} {
		failed, closed := 0, false
		var ctx context.Context
		_, err := fetch.NewPoster(idle{func(r *http.Request) (*http.Response, error) {
			ctx = r.Context()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: closer{strings.NewReader(text), &closed}, Request: r}, nil
		}, &failed}).Post(t.Context(), question("https://as.example.com/i", func() {}))
		assert.Equal(t, failures > 0, err != nil)
		assert.Equal(t, failures, failed)
		assert.True(t, closed)
		assert.ErrorIs(t, ctx.Err(), context.Canceled, "nothing of the request goes on")
	}
}

// TestPostAgain_INTRO_06: a server that closes a connection which was kept, at the moment of a question, is asked on another one.
func TestPostAgain_INTRO_06(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	p := fetch.NewPoster(nil)
	for range 2 {
		posted, err := p.Post(t.Context(), question(server.URL, func() {}))
		require.NoError(t, err)
		assert.Equal(t, "{}", string(posted.Body))
	}
	assert.Equal(t, int32(3), asked.Load())
}

// TestPostSecrets_INTRO_13: what a transport repeats is not told, however short it is; all else is.
func TestPostSecrets_INTRO_13(t *testing.T) {
	for _, row := range []struct{ token, says, told string }{
		{"canary", "broken", "broken"},
		{"", "broken", "broken"},
		{"a b", "no a b", "in words that repeat what was sent"},
		{"a/b", "no a%2Fb", "in words that repeat what was sent"},
		{"q", "bequest", "in words that repeat what was sent"},
	} {
		req := question("https://as.example.com/i", func() {})
		req.Form.Set("token", row.token)
		_, err := fetch.NewPoster(posterFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New(row.says) })).Post(t.Context(), req)
		assert.ErrorContains(t, err, row.told, row.says)
	}
	_, err := fetch.NewPoster(posterFunc(func(*http.Request) (*http.Response, error) { panic("canary") })).Post(t.Context(), question("https://as.example.com/i", func() {}))
	assert.ErrorContains(t, err, "panic with a string")
}

// TestPostNeverComesBack_INTRO_06: a transport that heeds no context is left behind, and holds its place until it returns.
func TestPostNeverComesBack_INTRO_06_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var returned atomic.Bool
		begun := time.Now()
		_, err := fetch.NewPoster(posterFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Minute)
			return nil, errors.New("late")
		})).Post(t.Context(), question("https://as.example.com/i", func() { returned.Store(true) }))
		var failed *fetch.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, fetch.TimedOut, failed.Class)
		assert.Equal(t, 3*time.Second, time.Since(begun))
		assert.False(t, returned.Load())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.True(t, returned.Load())
	})
}
