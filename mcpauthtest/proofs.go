package mcpauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"time"
)

// BoundToken mints a token as [Issuer.Token] does that is bound to a client's key (RFC 9449 section 6.1): it is
// good only with a proof by that key.
//
//	key := mcpauthtest.NewKey("client", "ES256")
//	token := issuer.BoundToken(key, mcpauthtest.Claims{"aud": resource})
//	r.Header.Set("Authorization", "DPoP "+token)
//	r.Header.Set("DPoP", key.Proof(http.MethodPost, resource, token, nil))
func (i *Issuer) BoundToken(key *Key, claims Claims) string {
	i.tb.Helper()
	all := Claims{"cnf": map[string]any{"jkt": key.Thumbprint()}}
	maps.Copy(all, claims)
	return i.Token(all)
}

// Thumbprint returns the JWK thumbprint of the public key (RFC 7638).
func (k *Key) Thumbprint() string {
	sum := sha256.Sum256([]byte(marshal(k.bareJWK()))) // in lexicographic order, without white space
	return encode(sum[:])
}

// bareJWK has what makes the key, and nothing else.
func (k *Key) bareJWK() map[string]any {
	jwk := k.JWK()
	for _, optional := range []string{"alg", "use", "kid"} {
		delete(jwk, optional)
	}
	return jwk
}

func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("mcpauthtest: the claims cannot be rendered: " + err.Error())
	}
	return string(text)
}

// Proof makes a DPoP proof for one request with a token (RFC 9449 section 4.2): it has the method, the URL, the hash
// of the token, a random jti and iat now, changed by the claims; a nil value leaves out what would stand there
// otherwise. To come back with a nonce, give it as "nonce".
func (k *Key) Proof(method, url, token string, claims Claims) string {
	sum := sha256.Sum256([]byte(token))
	all := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix(), "ath": encode(sum[:])}
	return k.Sign(k.ProofHeader(), marshal(changed(all, claims)))
}

// ProofHeader returns the header of the key's proofs, for [Key.Sign]: the way to a proof that is wrong.
func (k *Key) ProofHeader() string {
	return marshal(map[string]any{"typ": "dpop+jwt", "alg": k.Alg, "jwk": k.bareJWK()})
}
