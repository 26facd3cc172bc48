package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// New asks nobody. Warm fetches at once what the first token would fetch.
func TestWarm_DISC_18_JWKS_29(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		assert.Empty(t, f.issuer.Requests(), "DISC-18: New made a request")
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { assert.NoError(t, f.auth.Warm(t.Context())) })
		}
		calls.Wait()
		assert.Equal(t, []string{placeOAuth, placeKeys}, urls(f.issuer), "JWKS-29: a hundred calls, one fetch")
		f.served(f.call(f.token(nil), "echo"))
		assert.Len(t, f.issuer.Requests(), 2)
	})
}

func TestWarm_Failures_DISC_18(t *testing.T) {
	t.Run("DISC-18 every issuer that fails is named", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, one, two := twoIssuers(t, nil)
			one.Break(mcpauthtest.Metadata, mcpauthtest.Hang)
			two.Break(mcpauthtest.JWKS, mcpauthtest.Down)
			begun := time.Now()
			err := f.auth.Warm(t.Context())
			assert.Equal(t, 4*time.Second, time.Since(begun), "both at once")
			require.ErrorIs(t, err, mcpauth.ErrUnavailable)
			assert.Contains(t, err.Error(), "https://one.example")
			assert.Contains(t, err.Error(), "https://two.example")
			assert.Contains(t, err.Error(), "status 503")

			one.Break(mcpauthtest.Metadata, mcpauthtest.None)
			time.Sleep(2 * time.Second)
			err = f.auth.Warm(t.Context())
			require.ErrorIs(t, err, mcpauth.ErrUnavailable)
			assert.NotContains(t, err.Error(), "https://one.example")
			f.served(f.call(f.token(nil), "echo"))
		})
	})
	t.Run("DISC-18 who is asked about tokens is found as well", func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		require.NoError(t, f.auth.Warm(t.Context()))
		without := newOpaqueFixture(t, nil)
		without.issuer.PublishMetadata(func(document map[string]any) { delete(document, "introspection_endpoint") })
		err := without.auth.Warm(t.Context())
		require.ErrorIs(t, err, mcpauth.ErrUnavailable)
		assert.Contains(t, err.Error(), "introspection_endpoint")
		keyless := newOpaqueFixture(t, nil)
		keyless.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		err = keyless.auth.Warm(t.Context())
		require.ErrorIs(t, err, mcpauth.ErrUnavailable)
		assert.Contains(t, err.Error(), "status 503")
	})
	t.Run("DISC-18 the caller's patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Hang)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			err := f.auth.Warm(ctx)
			assert.Equal(t, time.Second, time.Since(begun))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			var denied *mcpauth.DeniedError
			require.ErrorAs(t, err, &denied)
			assert.Equal(t, http.StatusServiceUnavailable, denied.Status)
			time.Sleep(5 * time.Second)
		})
	})
	t.Run("JWKS-17 cancelled before it began", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Transport = keysDelay(c.Transport, time.Second) })
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New("shutting down"))
			assert.ErrorContains(t, f.auth.Warm(ctx), "shutting down")
			// The fetch goes on for those who come later.
			time.Sleep(500 * time.Millisecond)
			f.served(f.call(f.token(nil), "echo"))
			assert.Equal(t, 1, f.issuer.Fetches(mcpauthtest.Metadata))
		})
	})
}

// The status page tells what is there, and makes no request.
func TestIssuers_Status_JWKS_31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		assert.Equal(t, []mcpauth.IssuerStatus{{URL: testIssuerURL}}, f.auth.Issuers(), "before the first fetch")
		assert.Empty(t, f.issuer.Requests())

		long := mcpauthtest.NewKey(strings.Repeat("k", 100), "ES256")
		unnamed := mcpauthtest.NewKey("", "ES384")
		f.issuer.PublishKeySet(keySetOf(t, f.issuer.Keys()[0].JWK(), long.JWK(), unnamed.JWK(),
			`{"kty":"oct","kid":"secret","k":"c2VjcmV0"}`, `{"kty":"RSA","kid":"enc","use":"enc"}`))
		begun := time.Now()
		f.served(f.call(f.token(nil), "echo"))
		status := f.auth.Issuers()[0]
		assert.NotEmpty(t, status.Metadata)
		status.Metadata = nil
		assert.WithinRange(t, status.NextRefresh, begun.Add(54*time.Minute), begun.Add(66*time.Minute))
		status.NextRefresh = time.Time{}
		assert.True(t, begun.Equal(status.LastSuccess))
		status.LastSuccess = time.Time{}
		assert.Equal(t, mcpauth.IssuerStatus{
			URL: testIssuerURL, Ready: true, JWKSURI: placeKeys, Fetches: 2, FetchTimes: [6]uint64{2},
			Keys:    []string{"k1", strings.Repeat("k", 100), ""},
			Skipped: []string{"secret: private or symmetric key material", "enc: use is not sig"},
		}, status)

		time.Sleep(2 * time.Hour)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(6 * time.Second)
		requests := len(f.issuer.Requests())
		status = f.auth.Issuers()[0]
		assert.Equal(t, "timeout", status.LastError)
		assert.Len(t, status.Keys, 3, "kids unchanged")
		assert.True(t, status.Ready)
		assert.True(t, begun.Equal(status.LastSuccess))
		assert.Len(t, f.issuer.Requests(), requests)

		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		time.Sleep(time.Minute)
		f.served(f.call(f.token(nil), "echo"))
		synctest.Wait()
		status = f.auth.Issuers()[0]
		assert.Empty(t, status.LastError)
		assert.Equal(t, 2*time.Hour+66*time.Second, status.LastSuccess.Sub(begun))
	})
	t.Run("JWKS-31 in the order of the configuration", func(t *testing.T) {
		f, one, two := twoIssuers(t, nil)
		require.NoError(t, f.auth.Warm(t.Context()))
		status := f.auth.Issuers()
		require.Len(t, status, 2)
		assert.Equal(t, []string{one.URL(), two.URL()}, []string{status[0].URL, status[1].URL})
		assert.Equal(t, "https://two.example/jwks", status[1].JWKSURI)
	})
	t.Run("JWKS-31 a key URL that was configured", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = placeKeys })
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Reset)
		require.ErrorIs(t, f.auth.Warm(t.Context()), mcpauth.ErrUnavailable)
		status := f.auth.Issuers()[0]
		status.FetchTime = 0
		assert.Equal(t, mcpauth.IssuerStatus{URL: testIssuerURL, JWKSURI: placeKeys, LastError: "network", Fetches: 1, Failures: 1, FetchTimes: [6]uint64{1}}, status)
	})
}
