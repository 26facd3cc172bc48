package mcpauthtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// open makes a request and leaves the body unread.
func open(t *testing.T, ctx context.Context, via http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := via.RoundTrip(r)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

// wholeAnswers are the faults that come with a complete answer.
var wholeAnswers = []struct {
	fault             mcpauthtest.Fault
	status            int
	contentType, body string // body "": as it should be
}{
	{mcpauthtest.None, 200, "application/json", ""},
	{mcpauthtest.Down, 503, "text/plain; charset=utf-8", "down\n"},
	{mcpauthtest.NotFound, 404, "text/plain; charset=utf-8", "not found\n"},
	{mcpauthtest.Redirect, 302, "text/plain; charset=utf-8", "elsewhere\n"},
	{mcpauthtest.HTML, 200, "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>Sign in</title>\n<p>Please sign in.\n"},
	{mcpauthtest.Empty, 200, "application/json", "{}"},
	{mcpauthtest.Malformed, 200, "application/json", ""},
}

func TestWholeAnswers_TEST_02(t *testing.T) {
	local := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	listening := mcpauthtest.NewIssuer(t)
	for name, with := range map[string]struct {
		issuer *mcpauthtest.Issuer
		via    http.RoundTripper
	}{"in process": {local, local.Transport()}, "socket": {listening, socket(t)}} {
		for _, tt := range wholeAnswers {
			for endpoint, path := range map[mcpauthtest.Endpoint]string{
				mcpauthtest.JWKS: "/jwks", mcpauthtest.Metadata: "/.well-known/openid-configuration",
			} {
				t.Run(name+" "+tt.fault.String()+" "+string(endpoint), func(t *testing.T) {
					with.issuer.Break(endpoint, mcpauthtest.None)
					good := get(t, with.via, with.issuer.URL()+path)
					before, served := with.issuer.Fetches(endpoint), with.issuer.Served(endpoint)
					with.issuer.Break(endpoint, tt.fault)
					answer := get(t, with.via, with.issuer.URL()+path)
					with.issuer.Break(endpoint, mcpauthtest.None)

					assert.Equal(t, tt.status, answer.status)
					assert.Equal(t, tt.contentType, answer.header.Get("Content-Type"))
					assert.Equal(t, before+1, with.issuer.Fetches(endpoint))
					assert.EqualValues(t, len(answer.body), with.issuer.Served(endpoint)-served)
					want := tt.body
					switch {
					case tt.fault == mcpauthtest.None:
						want = good.body
					case tt.fault == mcpauthtest.Malformed:
						want = good.body[:len(good.body)/2]
						assert.False(t, json.Valid([]byte(answer.body)))
					case tt.fault == mcpauthtest.Empty && endpoint == mcpauthtest.JWKS:
						want = `{"keys":[]}`
					case tt.fault == mcpauthtest.Redirect:
						assert.Equal(t, "http://169.254.169.254/", answer.header.Get("Location"))
					}
					assert.Equal(t, want, answer.body)
				})
			}
		}
	}
}

// TestFaultIsAtOneEndpoint: breaking one leaves the other alone, and breaks all
// well-known places.
func TestFaultIsAtOneEndpoint(t *testing.T) {
	const url = "https://as.example.com"
	issuer := mcpauthtest.NewIssuerAt(t, url+"/t")
	issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	for _, place := range []string{"/.well-known/oauth-authorization-server/t", "/.well-known/openid-configuration/t", "/t/.well-known/openid-configuration"} {
		assert.Equal(t, 503, get(t, issuer.Transport(), url+place).status)
	}
	assert.Equal(t, 200, get(t, issuer.Transport(), url+"/t/jwks").status)
	issuer.Header(mcpauthtest.JWKS, "ETag", `"v1"`)
	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Malformed)
	assert.Equal(t, 200, get(t, issuer.Transport(), url+"/t/jwks", "If-None-Match", `"v1"`).status, "a broken endpoint knows no conditions")
}

func TestHang_TEST_02(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		_, err := open(t, ctx, issuer.Transport(), "https://as.example.com/jwks")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(begun))
		assert.Equal(t, 1, issuer.Fetches(mcpauthtest.JWKS))

		_, err = open(t, ctx, issuer.Transport(), "https://as.example.com/jwks")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, issuer.Fetches(mcpauthtest.JWKS), "a request that nobody waits for is not sent")
	})
}

func TestSlow_TEST_02(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
		issuer.PublishKeySet(`{"keys":[]}`)
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.Slow)
		begun := time.Now()
		response, err := open(t, t.Context(), issuer.Transport(), "https://as.example.com/jwks")
		require.NoError(t, err)
		assert.Zero(t, time.Since(begun), "the header comes at once")
		for n := range 11 {
			assert.EqualValues(t, n, issuer.Served(mcpauthtest.JWKS))
			read, err := response.Body.Read(make([]byte, 100))
			require.NoError(t, err)
			assert.Equal(t, 1, read)
			assert.Equal(t, time.Duration(n+1)*time.Second, time.Since(begun))
		}
		_, err = response.Body.Read(make([]byte, 100))
		assert.ErrorIs(t, err, io.EOF)

		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		begun = time.Now()
		response, err = open(t, ctx, issuer.Transport(), "https://as.example.com/jwks")
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, body, 4)
		assert.Equal(t, 4500*time.Millisecond, time.Since(begun))

		response, err = open(t, t.Context(), issuer.Transport(), "https://as.example.com/jwks")
		require.NoError(t, err)
		time.AfterFunc(1500*time.Millisecond, func() { _ = response.Body.Close() })
		body, err = io.ReadAll(response.Body)
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		assert.Len(t, body, 1)
	})
}

func TestHuge_TEST_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	issuer.Break(mcpauthtest.Metadata, mcpauthtest.Huge)
	ctx, cancel := context.WithCancel(t.Context())
	response, err := open(t, ctx, issuer.Transport(), "https://as.example.com/.well-known/openid-configuration")
	require.NoError(t, err)
	assert.EqualValues(t, -1, response.ContentLength)
	assert.Zero(t, issuer.Served(mcpauthtest.Metadata))
	const million = 1_000_000
	var text bytes.Buffer
	_, err = io.CopyN(&text, response.Body, million)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(text.String(), `{"filler":"xxx`))
	assert.EqualValues(t, million, issuer.Served(mcpauthtest.Metadata))
	n, err := response.Body.Read(nil)
	assert.Zero(t, n)
	assert.NoError(t, err)
	cancel()
	_, err = response.Body.Read(make([]byte, 1))
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualValues(t, million, issuer.Served(mcpauthtest.Metadata))
}

func TestReset_TEST_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Reset)
	_, err := open(t, t.Context(), issuer.Transport(), "https://as.example.com/jwks")
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	assert.Equal(t, 1, issuer.Fetches(mcpauthtest.JWKS))
}

// TestFaultsOverASocket: the same faults, as a real client meets them.
func TestFaultsOverASocket_TEST_02(t *testing.T) {
	issuer, via := mcpauthtest.NewIssuer(t), socket(t)
	url := issuer.URL() + "/jwks"

	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Reset)
	_, err := open(t, t.Context(), via, url)
	require.Error(t, err)
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), "%v", err)

	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = open(t, ctx, via, url)
	assert.ErrorIs(t, err, context.DeadlineExceeded)

	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Slow)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	response, err := open(t, ctx, via, url)
	require.NoError(t, err, "the header comes at once")
	assert.Equal(t, 200, response.StatusCode)
	cancel()
	_, err = io.ReadAll(response.Body)
	assert.ErrorIs(t, err, context.Canceled)

	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Huge)
	response, err = open(t, t.Context(), via, url)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, response.Body, 10<<20)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, issuer.Served(mcpauthtest.JWKS), int64(10<<20))
	require.NoError(t, response.Body.Close())
}

// TestCleanup: an issuer that hangs is closed with its test, not with its clients.
func TestCleanup(t *testing.T) {
	for _, fault := range []mcpauthtest.Fault{mcpauthtest.Hang, mcpauthtest.Slow, mcpauthtest.Huge} {
		failed := make(chan error, 1)
		via := socket(t)
		t.Run(fault.String(), func(t *testing.T) {
			issuer := mcpauthtest.NewIssuer(t)
			issuer.Break(mcpauthtest.Metadata, fault)
			sent := make(chan struct{})
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
			})
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.URL()+"/.well-known/openid-configuration", nil)
			require.NoError(t, err)
			go func() {
				response, err := via.RoundTrip(r)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				failed <- err
			}()
			<-sent
		})
		assert.Error(t, <-failed)
	}
}

func TestFaultString(t *testing.T) {
	assert.Equal(t, "None", mcpauthtest.None.String())
	assert.Equal(t, "Empty", mcpauthtest.Empty.String())
	assert.Equal(t, "Fault(11)", mcpauthtest.Fault(11).String())
	assert.Equal(t, "Fault(-1)", mcpauthtest.Fault(-1).String())
}
