package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"
)

// issuerURL is the authorization server's name. It publishes nothing here: its key stands in the file.
const issuerURL = "https://login.example.com"

// login stands for the authorization server.
type login struct{ key ed25519.PrivateKey }

func newLogin() (*login, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return &login{key}, err
}

// keys is its JWK Set.
func (l *login) keys() map[string]any {
	x := base64.RawURLEncoding.EncodeToString(l.key.Public().(ed25519.PublicKey))
	return map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "1", "use": "sig", "x": x}}}
}

// token makes an access token for a user.
func (l *login) token(subject, scope string) string {
	now := time.Now()
	text := encode(map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": "1"}) + "." + encode(map[string]any{
		"iss": issuerURL, "aud": resource, "sub": subject, "client_id": "example", "scope": scope, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(l.key, []byte(text)))
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
