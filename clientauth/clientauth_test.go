package clientauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
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
	"github.com/seed-1e292522/mcpauth/internal/edition"
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
	header, claims := verified(t, key, "ES256", form.Get("client_assertion"))
	assert.Equal(t, map[string]any{"alg": "ES256", "typ": "JWT"}, header)
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
		{"neither id nor key", clientauth.PrivateKeyJWT("", clientauth.Key{}), "no Signer"},
		{"no key", clientauth.PrivateKeyJWT("c", clientauth.Key{}), "no Signer"},
		{"another algorithm", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Algorithm: "RS256"}), "[ES256]"},
		{"another curve", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: p384}), "not on P-256"},
		{"a certificate as PEM", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(t, ec)})}), "decode"},
		{"a certificate of another key", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Certificate: certificateOf(t, p384)}), "another key"},
		{"a certificate of a key of another kind", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: ec, Certificate: ofEd448(certificateOf(t, mcpauthtest.NewKey("", "EdDSA").Private))}), "another key"},
		{"a key of no kind", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: noKey{}}), "a string signs nothing that is accepted here"},
		{"a small key", clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: small}), "1024 bits"},
	} {
		require.ErrorContains(t, row.method.Validate(), row.want, row.name)
		require.Error(t, row.method.Apply(t.Context(), endpoint, http.Header{}, url.Values{}), row.name)
	}
	const notP256 = "the signature is none of P-256"
	large := new(big.Int).Lsh(big.NewInt(1), 256)
	for _, row := range []struct {
		signature []byte
		err       error
		want      string
	}{
		{nil, errors.New("locked"), "locked"},
		{[]byte("no signature"), nil, notP256},
		{pair(t, 0, big.NewInt(0), big.NewInt(0)), nil, notP256},
		{pair(t, 0, big.NewInt(0), big.NewInt(1)), nil, notP256},
		{pair(t, 0, big.NewInt(1), big.NewInt(0)), nil, notP256},
		{pair(t, 0, large, big.NewInt(1)), nil, notP256},
		{pair(t, 0, big.NewInt(1), large), nil, notP256},
		{pair(t, 1, big.NewInt(1), big.NewInt(1)), nil, notP256},
	} {
		form := url.Values{}
		err := clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: broken{ec, row.signature, row.err}}).Apply(context.Background(), endpoint, nil, form)
		require.EqualError(t, err, "clientauth: the key cannot sign: "+row.want)
		assert.Empty(t, form)
	}
}

// pair is the DER of an ECDSA signature, and so many bytes behind it.
func pair(t *testing.T, behind int, r, s *big.Int) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	require.NoError(t, err)
	return append(der, make([]byte, behind)...)
}

// noKey is a signer whose public key is none.
type noKey struct{ crypto.Signer }

func (noKey) Public() crypto.PublicKey { return "" }

// ofEd448 has a certificate say that its key is of a kind that is not known here.
func ofEd448(der []byte) []byte {
	return bytes.ReplaceAll(der, []byte{0x2b, 0x65, 0x70}, []byte{0x2b, 0x65, 0x71})
}

// However a method is printed, no secret is seen.
func TestNotShown_EXCH_25(t *testing.T) {
	const secret = "canary-of-the-secret"
	for _, m := range []any{clientauth.SecretBasic("c", secret), clientauth.SecretPost("c", secret)} {
		text, _ := json.Marshal(m)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", m, m, m, text), secret)
	}
}

// TestToldApart_RELOAD_08: a method that differs in anything is another configuration, and what is published of it tells nothing of a secret.
func TestToldApart_RELOAD_08(t *testing.T) {
	shown, all := map[edition.Digest]string{}, map[edition.Digest]string{}
	key, other := mcpauthtest.NewKey("mine", "ES256").Private, mcpauthtest.NewKey("other", "ES256").Private
	for name, m := range map[string]clientauth.Method{
		"basic":       clientauth.SecretBasic("c", "1"),
		"post":        clientauth.SecretPost("c", "1"),
		"id":          clientauth.SecretBasic("c2", "1"),
		"key":         clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key}),
		"other key":   clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: other}),
		"kid":         clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key, ID: "mine"}),
		"audience":    clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key, Audience: "mine"}),
		"certificate": clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key, Certificate: certificateOf(t, key)}),
		"id of a key": clientauth.PrivateKeyJWT("c2", clientauth.Key{Signer: key}),
	} {
		assert.Empty(t, shown[edition.Of(m)], name)
		assert.Empty(t, all[edition.OfAll(m)], name)
		shown[edition.Of(m)], all[edition.OfAll(m)] = name, name
	}
	for text, same := range map[string]bool{"1": true, "2": false, "1 ": false, "": false} {
		m := clientauth.SecretBasic("c", text)
		assert.Equal(t, text != "", edition.Of(m) == edition.Of(clientauth.SecretBasic("c", "1")), "%q: the mistake shows", text)
		assert.Equal(t, same, all[edition.OfAll(m)] != "", "%q", text)
	}
	assert.NotEqual(t, edition.OfAll(clientauth.SecretPost("c1", "2")), edition.OfAll(clientauth.SecretPost("c", "12")))
}
