package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

const (
	resource = "https://mcp.example.com/mcp"
	token    = "a.good.token"
)

// client is a key with which proofs are made. They are signed by crypto/ecdsa alone.
type client struct{ key *ecdsa.PrivateKey }

func newClient(t testing.TB) client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return client{key}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

func (c client) jwk() string {
	point, _ := c.key.PublicKey.Bytes()
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
}

func (c client) header() string { return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + c.jwk() + `}` }

func (c client) binding() *Binding {
	proof, err := jose.ParseProof(c.sign(c.header(), "{}"), nil)
	if err != nil {
		panic(err)
	}
	return NewBinding(proof.Thumbprint, "somebody")
}

func (c client) sign(header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

type claims map[string]any

// proof makes a good proof, changed by the claims; nil removes one.
func (c client) proof(changes claims) string {
	all := claims{"jti": rand.Text(), "htm": "POST", "htu": resource, "iat": time.Now().Unix(), "ath": hash(token)}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return c.sign(c.header(), string(payload))
}

func newChecker(t testing.TB, resource string) *Checker {
	t.Helper()
	u, err := url.Parse(resource)
	require.NoError(t, err)
	c, err := New(u, nil, []byte("secret"))
	require.NoError(t, err)
	return c
}

func post(proofs ...string) Request {
	return Request{Field: proofs, Method: "POST", Path: "/mcp", Token: token}
}
