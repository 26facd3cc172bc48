package onbehalf_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// Over sockets, with the transports that there are by default.
func TestOverTheWire_EXCH_10_EXCH_24(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	var got []string
	crm := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
	}))
	defer crm.Close()
	exchanged := issuer.TokenFor(crm.URL, "crm.read")
	redirects := false
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirects {
			http.Redirect(w, r, crm.URL, http.StatusTemporaryRedirect)
			return
		}
		assert.Equal(t, "mcp-server", r.PostFormValue("client_id"))
		says(200, `{"access_token":"`+exchanged+`","token_type":"Bearer","expires_in":10}`)(w, r)
	}))
	defer tokens.Close()
	issuer.PublishMetadata(func(m map[string]any) { m["token_endpoint"] = tokens.URL })
	trusted := issuer.Config()
	trusted.AllowTokenExchange = true
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{trusted}, AllowInsecureLoopback: true,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Authenticated()}},
	})
	require.NoError(t, err)
	for _, row := range []struct {
		name     string
		redirect bool
		want     onbehalf.Kind
	}{{"for development", false, ""}, {"a redirect", true, onbehalf.Unavailable}} {
		redirects = row.redirect
		exchanger, err := onbehalf.New(onbehalf.Config{
			Issuer: issuer.URL(), Client: clientauth.SecretPost("mcp-server", secret), AllowInsecureLoopback: true,
			Targets: map[string]onbehalf.Target{"crm": {Resource: crm.URL}},
		})
		require.NoError(t, err)
		s := &site{t: t, issuer: issuer}
		s.handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.inner(w, r) }))
		s.during(s.token(nil), func(ctx context.Context) {
			if row.want == "" {
				_, err = exchanger.Client(ctx, "crm").Get(crm.URL)
				require.NoError(t, err, row.name)
				return
			}
			_, err := exchanger.Token(ctx, "crm")
			assert.Equal(t, row.want, failure(t, err).Kind, row.name)
		})
	}
	assert.Equal(t, []string{"Bearer " + exchanged}, got)
}
