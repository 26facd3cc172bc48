package downstream

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// wiretap keeps the assertions that are sent: nothing of them may be shown.
type wiretap struct{ site *site }

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("client_assertion") {
			w.site.hide(form.Get("client_assertion"))
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestSecret: both ways to send a secret.
func TestSecret_EXCH_09_EXCH_25(t *testing.T) {
	for name, method := range map[string]clientauth.Method{
		"client_secret_basic": clientauth.SecretBasic(authservers.ExchangeClient, authservers.ExchangeSecret),
		"client_secret_post":  clientauth.SecretPost(authservers.ExchangeClient, authservers.ExchangeSecret),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(c *onbehalf.Config) { c.Client = method })
			assert.Equal(t, toolSays("200 the customers of ann-of-exchange", false), s.call(s.signIn("mcp:read"), customers))
		})
	}
	t.Run("a secret that has to be encoded", func(t *testing.T) {
		const odd = "ä:b%+/ &="
		s := newSite(t, func(c *onbehalf.Config) { c.Client = clientauth.SecretBasic(authservers.ExchangeClient, odd) })
		s.hide(odd)
		s.set("secret", odd)
		assert.Equal(t, toolSays("200 the customers of ann-of-exchange", false), s.call(s.signIn("mcp:read"), customers))
	})
}

// TestPrivateKeyJWT: the key is in the JWKS of the client, and Keycloak accepts the assertion as it is made by default.
func TestPrivateKeyJWT_EXCH_09_EXCH_25(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, row := range []struct {
		name     string
		key      crypto.Signer // whose public half Keycloak has
		alg      string
		id       string
		signs    crypto.Signer // nil: the key
		endpoint bool          // aud is the token endpoint
		served   bool
	}{
		{"RS256", rsaKey, "RS256", "k", nil, false, true},
		{"PS256", rsaKey, "PS256", "k", nil, false, true},
		{"ES256", ecKey, "ES256", "k", nil, false, true},
		{"EdDSA", edKey, "EdDSA", "k", nil, false, true},
		{"without a kid", rsaKey, "RS256", "", nil, false, true},
		{"to the token endpoint", rsaKey, "RS256", "k", nil, true, true},
		{"with another key", rsaKey, "RS256", "k", other, false, false},
		{"with another kid", rsaKey, "RS256", "other", nil, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			signs, tap := cmp.Or(row.signs, row.key), &wiretap{}
			s := newSite(t, func(c *onbehalf.Config) {
				key := clientauth.Key{Signer: signs, Algorithm: row.alg, ID: row.id}
				if row.endpoint {
					key.Audience = c.Issuer + "/protocol/openid-connect/token"
				}
				c.Client, c.Transport = clientauth.PrivateKeyJWT(authservers.ExchangeClient, key), tap
			})
			tap.site = s
			keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: row.key.Public(), KeyID: "k", Use: "sig", Algorithm: row.alg}}})
			require.NoError(t, err)
			s.set("clientAuthenticatorType", "client-jwt")
			s.attribute("use.jwks.string", "true")
			s.attribute("jwks.string", string(keys))
			token := s.signIn("mcp:read")
			s.realm.Events(t)
			answer := s.call(token, customers)
			require.Equal(t, 3, len(s.secret), "the client's secret, the caller's token, and the assertion")
			assert.Equal(t, authservers.ExchangeClient, claimsOf(t, s.secret[2]).Subject)
			if row.served {
				assert.Equal(t, toolSays("200 the customers of ann-of-exchange", false), answer, s.logged())
				assert.Equal(t, map[string]int{"": 1}, s.exchanges())
				return
			}
			assert.Equal(t, toolSays("not available", true), answer)
			assert.Equal(t, onbehalf.Misconfigured, s.failed[0].Kind)
			assert.Contains(t, s.logged(), notTaken)
		})
	}
}
