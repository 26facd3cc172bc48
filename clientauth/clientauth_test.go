package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var endpoint = clientauth.Endpoint{Issuer: "https://as.example.com", URL: "https://as.example.com/token"}

func applied(t *testing.T, m clientauth.Method) (http.Header, url.Values) {
	t.Helper()
	h, form := http.Header{}, url.Values{}
	require.NoError(t, m.Validate())
	require.NoError(t, m.Apply(t.Context(), endpoint, h, form))
	return h, form
}

func TestSecrets_EXCH_09(t *testing.T) {
	basic := clientauth.SecretBasic("a:b%", "s ü&=")
	h, form := applied(t, basic)
	assert.Equal(t, http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("a%3Ab%25:s+%C3%BC%26%3D"))}}, h)
	assert.Empty(t, form)
	assert.Equal(t, "a:b%", basic.ClientID())

	h, form = applied(t, clientauth.SecretPost("a:b%", "s ü&="))
	assert.Empty(t, h)
	assert.Equal(t, url.Values{"client_id": {"a:b%"}, "client_secret": {"s ü&="}}, form)
}

func TestPrivateKeyJWT_EXCH_09(t *testing.T) {
	for _, row := range []struct{ key, asked, alg string }{
		{"RS256", "", "RS256"}, {"RS256", "PS256", "PS256"}, {"ES256", "", "ES256"}, {"ES256", "ES256", "ES256"}, {"EdDSA", "", "EdDSA"},
	} {
		t.Run(row.key+" "+row.asked, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := mcpauthtest.NewKey("mine", row.key)
				der := certificateOf(t, key.Private)
				m := clientauth.PrivateKeyJWT("mcp-server", clientauth.Key{Signer: key.Private, Algorithm: row.asked, ID: "mine", Certificate: der})
				seen := map[string]bool{}
				for range 2 {
					h, form := applied(t, m)
					assert.Empty(t, h)
					assertion := form.Get("client_assertion")
					form.Del("client_assertion")
					assert.Equal(t, url.Values{"client_id": {"mcp-server"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, form)
					header, claims := verified(t, key, row.alg, assertion)
					sum := sha256.Sum256(der)
					assert.Equal(t, map[string]any{"alg": row.alg, "typ": "JWT", "kid": "mine", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}, header)
					jti, now := claims["jti"].(string), float64(time.Now().Unix())
					assert.False(t, seen[jti] || len(jti) < 20, "a fresh jti")
					seen[jti] = true
					delete(claims, "jti")
					assert.Equal(t, map[string]any{"iss": "mcp-server", "sub": "mcp-server", "aud": "https://as.example.com", "iat": now, "nbf": now, "exp": now + 60}, claims)
				}
			})
		})
	}
	key := mcpauthtest.NewKey("mine", "ES256")
	_, form := applied(t, clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key.Private, Audience: endpoint.URL}))
	_, claims := verified(t, key, "ES256", form.Get("client_assertion"))
	assert.Equal(t, endpoint.URL, claims["aud"])
}

// verified takes an assertion apart and checks its signature.
func verified(t *testing.T, key *mcpauthtest.Key, alg, assertion string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(assertion, ".")
	require.Len(t, parts, 3)
	for i, v := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, v))
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	require.NoError(t, err)
	input := parts[0] + "." + parts[1]
	digest := sha256.Sum256([]byte(input))
	switch public := key.Private.Public().(type) {
	case *rsa.PublicKey:
		if alg == "PS256" {
			err = rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			err = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
		}
		require.NoError(t, err)
	case *ecdsa.PublicKey:
		require.Len(t, signature, 64)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		require.True(t, ecdsa.Verify(public, digest[:], r, s))
	case ed25519.PublicKey:
		require.True(t, ed25519.Verify(public, []byte(input), signature))
	}
	return header, claims
}

// broken is a key that does not do what it says.
type broken struct {
	crypto.Signer
	signature []byte
	err       error
}

func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.signature, b.err }

// certificateOf makes a certificate of a key, which it signs itself.
func certificateOf(t *testing.T, key crypto.Signer) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return der
}

func TestMistakes_EXCH_09(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	ec, p384 := mcpauthtest.NewKey("mine", "ES256").Private, mcpauthtest.NewKey("mine", "ES384").Private
	for _, row := range []struct {
		name   string
		method clientauth.Method
		want   string
	}{
		{"none", clientauth.Method{}, "no method"},
		{"no id", clientauth.SecretBasic("", "s"), "client id is empty"},
		{"no secret", clientauth.SecretPost("c", ""), "secret is empty"},
		{"neither", clientauth.SecretBasic("", ""), "client id and secret are empty"},
		{"a secret read with its line end", clientauth.SecretBasic("c", "s\n"), "trim it"},
		{"an id read with its line end", clientauth.SecretPost("c\r\n", "s"), "trim it"},
		{"no id with a key", clientauth.PrivateKeyJWT("", clientauth.Key{Signer: ec}), "client id is empty"},
		{"no key", clientauth.PrivateKeyJWT("c", clientauth.Key{}), "no Signer"},
		{"another algorithm", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Algorithm: "RS256"}), "[ES256]"},
		{"another curve", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: p384}), "not on P-256"},
		{"a certificate as PEM", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(t, ec)})}), "decode"},
		{"a certificate of another key", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Certificate: certificateOf(t, p384)}), "another key"},
		{"a small key", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: small}), "1024 bits"},
	} {
		require.ErrorContains(t, row.method.Validate(), row.want, row.name)
		require.Error(t, row.method.Apply(t.Context(), endpoint, http.Header{}, url.Values{}), row.name)
	}
	for _, signer := range []crypto.Signer{broken{ec, nil, errors.New("locked")}, broken{ec, []byte("no signature"), nil}, broken{ec, []byte{0x30, 6, 2, 1, 0, 2, 1, 0}, nil}} {
		form := url.Values{}
		require.ErrorContains(t, clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: signer}).Apply(context.Background(), endpoint, nil, form), "cannot sign")
		assert.Empty(t, form)
	}
}

// However a method is printed, no secret is seen.
func TestNotShown_EXCH_25(t *testing.T) {
	const secret = "canary-of-the-secret"
	for _, m := range []any{clientauth.SecretBasic("c", secret), clientauth.SecretPost("c", secret)} {
		text, _ := json.Marshal(m)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", m, m, m, text), secret)
	}
}
