package mcpauthtest

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
)

// Claims are the claims of a token. A nil value leaves out a claim that would
// stand there otherwise; json.RawMessage("null") writes a null.
type Claims map[string]any

// tokenLifetime is how long a token is valid, unless its claims say otherwise.
const tokenLifetime = 5 * time.Minute

// Token mints an access token as RFC 9068 section 2 has it, signed with the
// current key. The header has alg, kid and typ at+jwt; the claims are iss, sub
// "user-1", client_id "client-1", a random jti, iat now and exp in five
// minutes, changed by those given. There is no aud and no scope unless given.
//
//	expired := issuer.Token(mcpauthtest.Claims{"aud": resource, "exp": time.Now().Add(-time.Hour).Unix()})
func (i *Issuer) Token(claims Claims) string {
	now := time.Now()
	all := map[string]any{
		"iss":       i.url,
		"sub":       "user-1",
		"client_id": "client-1",
		"jti":       rand.Text(),
		"iat":       now.Unix(),
		"exp":       now.Add(tokenLifetime).Unix(),
	}
	i.tb.Helper()
	payload := i.rendered(all, claims)
	key := i.currentKey()
	header := map[string]string{"alg": key.Alg, "typ": "at+jwt"}
	if key.ID != "" {
		header["kid"] = key.ID
	}
	rendered, err := json.Marshal(header)
	if err != nil {
		panic("mcpauthtest: " + err.Error()) // strings always marshal
	}
	return key.Sign(string(rendered), payload)
}

// rendered writes claims down, changed by those given.
func (i *Issuer) rendered(all map[string]any, claims Claims) string {
	i.tb.Helper()
	text, err := json.Marshal(changed(all, claims))
	if err != nil {
		i.tb.Fatalf("mcpauthtest: the claims cannot be rendered: %v", err)
	}
	return string(text)
}

// changed gives claims those of others; a nil value takes one away.
func changed(all map[string]any, claims Claims) map[string]any {
	for name, value := range claims {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

// TokenFor mints a token for a resource, with these scopes: what a client has
// that did everything right.
func (i *Issuer) TokenFor(resource string, scopes ...string) string {
	claims := Claims{"aud": resource}
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	i.tb.Helper()
	return i.Token(claims)
}

// Sign returns the compact JWS of exactly these two texts, signed with the
// current key whatever the header says: the way to a token that is wrong. For a
// token signed with another key see [Key.Sign].
//
//	issuer.Sign(`{"alg":"none","kid":"k1"}`, `{"exp":"never"}`)
func (i *Issuer) Sign(header, payload string) string {
	return i.currentKey().Sign(header, payload)
}

func (i *Issuer) currentKey() *Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.signer
}
