package onbehalf_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// BenchmarkToken_Remembered is what a token costs that is at hand.
func BenchmarkToken_Remembered(b *testing.B) {
	issuer := mcpauthtest.NewIssuerAt(b, issuerURL)
	exchanger, ctx := remembered(b, issuer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchanger.Token(ctx, "crm"); err != nil {
			b.Fatal(err)
		}
	}
}

// remembered is an exchanger that has a token for the request of the context.
func remembered(tb testing.TB, issuer *mcpauthtest.Issuer) (*onbehalf.Exchanger, context.Context) {
	tb.Helper()
	s := &site{t: tb, issuer: issuer, log: &logBuffer{}}
	exchanger, err := onbehalf.New(onbehalf.Config{
		Issuer: issuerURL, TokenURL: tokenURL, Client: clientauth.SecretBasic("mcp-server", secret), Transport: transport(s.roundTrip),
		Targets: map[string]onbehalf.Target{"crm": {Resource: api, Scopes: []string{"crm.read"}}},
	})
	require.NoError(tb, err)
	p := issuer.Principal(mcpauthtest.Claims{"exp": unix(time.Hour)})
	r := new(onward.Request)
	onward.Begin(r, &owner{onward.Facts{Resource: resource, Issuer: p.Issuer, Principal: p}})
	onward.Carry(r, issuer.TokenFor(resource, "mcp:read"), p.Expiry)
	ctx := onward.NewContext(tb.Context(), r)
	_, err = exchanger.Token(ctx, "crm")
	require.NoError(tb, err)
	return exchanger, ctx
}

// What is remembered costs no more than this, whatever the machine.
func TestAllocations_EXCH_12(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counters of coverage change what the compiler keeps on the stack")
	}
	exchanger, ctx := remembered(t, mcpauthtest.NewIssuerAt(t, issuerURL))
	got := testing.AllocsPerRun(200, func() { _, _ = exchanger.Token(ctx, "crm") })
	t.Logf("allocations of a token that is at hand: %v", got)
	require.LessOrEqual(t, got, 20.0)
}
