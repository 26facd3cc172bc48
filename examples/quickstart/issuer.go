package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// issuer is a small authorization server: metadata, keys, registration, and the
// authorization code flow with PKCE and a resource indicator. It stands where
// Keycloak, Auth0 or Entra stand in production. Its one user is always signed
// in, and it forgets everything when the process ends.
type issuer struct {
	url      string
	resource string
	key      *ecdsa.PrivateKey
	clients  shelf[registration]
	consents shelf[grant] // waiting for the user's answer
	codes    shelf[grant] // waiting for the client to fetch a token
}

// grant is what a user is asked for and a client then gets.
type grant struct {
	clientID, clientName string
	redirectURI, state   string
	challenge            string // PKCE
	resource, scope      string
	user                 string
}

// offered are the scopes that this authorization server knows.
var offered = []string{"analytics:data:read", "dashboard:modify", "tool:codegen:execute"}

const (
	keyID         = "demo-1"
	tokenLifetime = 10 * time.Minute
	askLifetime   = 10 * time.Minute
	codeLifetime  = time.Minute
)

func newIssuer(url, resource string) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	return &issuer{url: url, resource: resource, key: key}
}

func (i *issuer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", open(i.serveMetadata))
	mux.HandleFunc("GET /jwks", open(i.serveKeys))
	mux.HandleFunc("POST /register", open(i.register))
	mux.HandleFunc("POST /token", open(i.token))
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /consent", i.consent)
	mux.HandleFunc("OPTIONS /", open(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
	}))
	return mux
}

// open lets clients that run in a browser read the answer. What a user sees
// and answers is not open.
func open(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		handler(w, r)
	}
}

// serveMetadata answers with the authorization server metadata (RFC 8414).
func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer":                                i.url,
		"authorization_endpoint":                i.url + "/authorize",
		"token_endpoint":                        i.url + "/token",
		"registration_endpoint":                 i.url + "/register",
		"jwks_uri":                              i.url + "/jwks",
		"scopes_supported":                      offered,
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"authorization_code"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none"},

		"authorization_response_iss_parameter_supported": true,
	})
}

// serveKeys answers with the public key (RFC 7517, RFC 7518 section 6.2.1).
func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	point, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err) // the key was made for this curve
	}
	reply(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": keyID,
		"x": encode64(point[1:33]), "y": encode64(point[33:]),
	}}})
}

// mint makes an access token as RFC 9068 has it, for one resource.
func (i *issuer) mint(g grant) (string, error) {
	now := time.Now()
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "at+jwt", "kid": keyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": i.url, "aud": g.resource, "sub": g.user, "client_id": g.clientID, "scope": g.scope,
		"iat": now.Unix(), "exp": now.Add(tokenLifetime).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		return "", err
	}
	signed := encode64(header) + "." + encode64(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + encode64(signature), nil
}

// knows reports whether every scope is one that can be granted here.
func knows(scope string) bool {
	for _, s := range strings.Fields(scope) {
		if !slices.Contains(offered, s) {
			return false
		}
	}
	return scope != ""
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone, if anything
}

// refuse answers with an OAuth error object (RFC 6749 section 5.2).
func refuse(w http.ResponseWriter, code, description string) {
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}
