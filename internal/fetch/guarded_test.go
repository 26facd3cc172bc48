package fetch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// A name that is public to look at may still resolve to a private address: what
// was learned goes over the transport that looks at the address dialed, and over no other.
func TestGet_GuardedTransport_DISC_08(t *testing.T) {
	client := New(nil)
	var used []string
	over := func(name string) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			used = append(used, name)
			return answer(r, http.StatusOK, "{}"), nil
		})
	}
	client.trusted, client.guarded = over("trusted"), over("guarded")
	for _, guarded := range []bool{true, false, true} {
		_, err := client.Get(t.Context(), Request{URL: "https://keys.example.com/jwks", Limit: 100, Guarded: guarded})
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"guarded", "trusted", "guarded"}, used)
}

// A question goes the same way as what is got.
func TestPost_GuardedTransport_DISC_08(t *testing.T) {
	poster := NewPoster(nil)
	var used []string
	over := func(name string) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			used = append(used, name)
			return answer(r, http.StatusOK, "{}"), nil
		})
	}
	poster.trusted, poster.guarded = over("trusted"), over("guarded")
	for _, guarded := range []bool{true, false, true} {
		_, err := poster.Post(t.Context(), PostRequest{URL: "https://as.example.com/i", Header: http.Header{}, Limit: 100, Guarded: guarded, Returned: func() {}})
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"guarded", "trusted", "guarded"}, used)
}

// What the transport refuses at the moment of connecting is named as that, and not
// as a network that is down.
func TestGet_DialRefused_DISC_08(t *testing.T) {
	client := New(nil)
	client.guarded = roundTripFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: refusePrivate(t.Context(), "tcp", "10.0.0.1:443", nil)}
	})
	_, err := client.Get(t.Context(), Request{URL: "https://keys.example.com/jwks", Limit: 100, Guarded: true})
	requireClass(t, err, DialRefused)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:1/", nil)
	require.NoError(t, err)
	resp, err := GuardedTransport().RoundTrip(r)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorIs(t, err, errPrivateAddress)
}

// No part of a query is shown, whoever repeats it; nor is a question mark a query.
func TestError_Query_OBS_11(t *testing.T) {
	around := &url.Error{Op: "Get", URL: "https://elsewhere.example/?key=secret", Err: io.ErrUnexpectedEOF}
	for _, row := range []struct {
		url  string
		err  error
		want string
	}{
		{"https://as.example.com/jwks?key=secret", around, "unexpected EOF"},
		{"https://as.example.com/jwks", around, "unexpected EOF"},
		{"https://as.example.com/jwks?key=secret", errors.New("no route for /jwks?key=secret"), "no route for /jwks?..."},
		{"https://as.example.com/jwks?key=secret", errors.New("no route for https://as.example.com/jwks?key=secret"), "no route for it"},
		{"https://as.example.com/jwks", errors.New("what? no"), "what? no"},
	} {
		text := (&Error{Class: Network, URL: row.url, Err: row.err}).Error()
		assert.NotContains(t, text, "secret")
		assert.Equal(t, "GET "+foreign.URL(row.url)+": network: "+foreign.LineShort(row.want, 256), text)
	}
}

// A panic and an ended goroutine are told apart, for who looks for the fault.
func TestGet_PanicNamed_FRESH_12(t *testing.T) {
	for want, fail := range map[string]func(){"panic with a string": func() { panic("secret") }, errPanic.Error(): runtime.Goexit} {
		client := New(roundTripFunc(func(*http.Request) (*http.Response, error) {
			fail()
			return nil, nil
		}))
		_, err := client.Get(t.Context(), Request{URL: "https://as.example.com/x", Limit: 100})
		assert.EqualError(t, requireClass(t, err, Network).Err, want)
	}
}

// A transport that forgets to name the request is served all the same.
func TestGet_ResponseWithoutRequest_DISC_26(t *testing.T) {
	client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		resp := answer(r, http.StatusOK, "{}")
		resp.Request = nil
		return resp, nil
	}))
	_, err := client.Get(t.Context(), Request{URL: "https://as.example.com/x", Limit: 100})
	require.NoError(t, err)
}

// Time that has run out is named as that, whatever the transport says of it.
func TestClassify_Time_DISC_12(t *testing.T) {
	aborted := errors.New("stream aborted")
	assert.Equal(t, Network, classify(t.Context(), aborted))
	late, giveUp := context.WithCancelCause(t.Context())
	giveUp(errNoHeader)
	assert.Equal(t, TimedOut, classify(late, aborted))
	over, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	assert.Equal(t, TimedOut, classify(over, aborted))
	gone, leave := context.WithCancel(t.Context())
	leave()
	assert.Equal(t, Network, classify(gone, aborted))
}

// A request that has not come back casts doubt on the connections, too, and one
// that went well does not take it from them.
func TestGet_LetsGoWhilePending_FRESH_11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		custom := &letting{roundTripFunc: func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/held":
				<-held
			case "/broken":
				return nil, io.ErrUnexpectedEOF
			}
			return answer(r, http.StatusOK, "{}"), nil
		}}
		client := New(custom)
		get := func(path string) error {
			_, err := client.Get(t.Context(), Request{URL: "https://as.example.com" + path, Limit: 100})
			return err
		}
		require.Error(t, get("/held"))
		assert.Zero(t, custom.let)
		require.Error(t, get("/held"))
		assert.Equal(t, 1, custom.let, "the one before has not come back")
		require.Error(t, get("/broken"))
		close(held)
		synctest.Wait()
		require.NoError(t, get("/good"))
		assert.Equal(t, 2, custom.let, "the failure is not forgotten for what ended well after it")
	})
}

// The pause between two attempts at a URL that does not come back is a minute, to the moment.
func TestGet_AbandonedPause_FRESH_12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			<-release
			return answer(r, http.StatusOK, "{}"), nil
		}))
		const location = "https://as.example.com/a"
		var last time.Time
		for range maxAbandoned {
			last = time.Now()
			_, err := client.Get(t.Context(), Request{URL: location, Limit: 100})
			requireClass(t, err, TimedOut)
		}
		time.Sleep(time.Until(last.Add(time.Minute - 1)))
		assert.False(t, client.begin(location, client.trusted))
		time.Sleep(time.Nanosecond)
		assert.True(t, client.begin(location, client.trusted))
		client.end(location, false)
		close(release)
		synctest.Wait()
	})
}
