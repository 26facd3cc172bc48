package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// Issuer is an authorization server for one run: it publishes metadata and one
// key, and mints whatever the checks ask for. It is an [http.Handler], to be
// served at its URL, where the target must be able to reach it. Its key is made
// anew each time. Never let a server trust it that anybody depends on.
type Issuer struct {
	*Signer
	stranger *Signer
	metadata []byte
	keys     []byte
	foreign  []byte // the stranger's keys, to which no document points
	path     string

	down, fetchedForeign atomic.Bool
}

// NewIssuer makes an issuer for a URL such as "http://127.0.0.1:9400".
func NewIssuer(issuerURL string) (*Issuer, error) {
	u, err := url.Parse(issuerURL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("conformance: %q is no issuer URL", issuerURL)
	}
	i := &Issuer{path: strings.TrimSuffix(u.Path, "/")}
	if i.Signer, i.keys, err = newKey(issuerURL, "check-1"); err != nil {
		return nil, err
	}
	if i.stranger, i.foreign, err = newKey(issuerURL, "check-stranger"); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(issuerURL, "/")
	i.metadata, err = json.Marshal(map[string]any{
		"issuer":                           issuerURL,
		"jwks_uri":                         base + "/jwks",
		"authorization_endpoint":           base + "/authorize",
		"token_endpoint":                   base + "/token",
		"response_types_supported":         []string{"code"},
		"code_challenge_methods_supported": []string{"S256"},
	})
	return i, err
}

func newKey(issuer, kid string) (signer *Signer, set []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	if signer, err = NewSigner(issuer, kid, key); err != nil {
		return nil, nil, err
	}
	jwk, err := publicJWK(kid, signer.alg, key.Public())
	if err != nil {
		return nil, nil, err
	}
	set, err = json.Marshal(map[string]any{"keys": []any{jwk}})
	return signer, set, err
}

// foreignKeysPath is where keys stand that no document of the issuer names. Only a
// server that believes the header of a token comes here.
const foreignKeysPath = "/keys-of-a-stranger"

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.down.Load() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	var document []byte
	switch r.URL.Path {
	case i.path + "/jwks":
		document = i.keys
	case i.path + foreignKeysPath:
		i.fetchedForeign.Store(true)
		document = i.foreign
	case "/.well-known/oauth-authorization-server" + i.path, "/.well-known/openid-configuration" + i.path,
		i.path + "/.well-known/openid-configuration":
		document = i.metadata
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
}
