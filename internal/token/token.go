// Package token turns a compact token into claims, or a refusal, by one issuer's rules. It verifies no signature.
//
// The order is the defence: Read takes it apart, [Checker.Check] refuses what can be refused
// without a key, then its reader has the signature verified, and only then [Checker.Facts]
// believes a claim. [Reread] is for explaining a refusal.
package token

import (
	"errors"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Token is a compact token taken apart. Nothing of it is verified: until the signature is, it
// may only be used to refuse.
type Token struct {
	JWS    jose.Token // whose signature is to be verified
	claims claims
}

// Read takes a compact token apart and reads its claims, once.
func (t *Token) Read(compact string) *refusal.Refusal {
	var err error
	if t.JWS, err = jose.Parse(compact); err != nil {
		return denyToken(err)
	}
	return t.claims.readAll(t.JWS.Claims)
}

// denyToken maps what internal/jose refuses.
func denyToken(err error) *refusal.Refusal {
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return refusal.For(refusal.Algorithm, "", err)
	case errors.Is(err, jose.ErrTooLarge):
		return refusal.For(refusal.TokenTooComplex, "", err)
	case errors.Is(err, jose.ErrType):
		return refusal.For(refusal.TokenType, "", err)
	}
	return refusal.For(refusal.MalformedToken, "", err)
}

// Issuer is whose rules the token has to follow.
func (t *Token) Issuer() (string, *refusal.Refusal) {
	if !t.claims.iss.present {
		return "", refusal.New(refusal.Claims, "iss", "", "a string").Because("issuer-missing")
	}
	return t.claims.iss.value, nil
}

// IssuedAt is iat; zero if absent.
func (t *Token) IssuedAt() time.Time { return t.claims.iat.time() }

// NotBefore is the moment before which the token cannot be good: the later one of nbf and iat, zero for neither.
func (t *Token) NotBefore() time.Time {
	if nbf, iat := t.claims.nbf.time(), t.claims.iat.time(); nbf.After(iat) {
		return nbf
	} else {
		return iat
	}
}

// Unverified is what a refused token says, as far as it can be read. It may be a lie, and is
// believed by nobody.
type Unverified struct {
	Compact          string
	KeyID, Algorithm string

	Issuer, Subject             string // this and all below: "" and zero if the claims cannot be read
	Audiences                   []string
	IssuedAt, NotBefore, Expiry time.Time
	OfIDToken                   bool // it has a mark of ID tokens or security events

	claims claims
}

// Reread takes a token apart once more, or its header alone, to explain what has become of it. Nothing is
// kept on the way for that, so that requests that nobody explains pay nothing.
func Reread(compact string, headerAlone bool) Unverified {
	u := Unverified{Compact: compact}
	switch {
	case compact == "":
		return u
	case headerAlone:
		header, _ := jose.ParseHeader(compact) // read before, without an error
		u.KeyID, u.Algorithm = header.Kid, header.Alg
		return u
	}
	parsed, err := jose.Parse(compact)
	if err != nil {
		return u
	}
	u.KeyID, u.Algorithm = parsed.Header.Kid, parsed.Header.Alg
	var c claims
	if c.readAll(parsed.Claims) == nil {
		u.Issuer, u.Subject, u.Audiences, u.OfIDToken = c.iss.value, c.sub.value, c.aud, c.foreign
		u.IssuedAt, u.NotBefore, u.Expiry = c.iat.time(), c.nbf.time(), c.exp.time()
		u.claims = c
	}
	return u
}

// HasEmptyAudience reports whether aud is a list of nothing.
func (u *Unverified) HasEmptyAudience() bool {
	list, ok := u.claims.at(audPath).list()
	return ok && len(list) == 0
}

var audPath = Path{"aud"}

// ClientID is the client that a token names, "" for none.
func (k *Checker) ClientID(u *Unverified) string { return k.clientID(&u.claims) }

// Scopes is what a token would grant; of what cannot be read, nothing.
func (k *Checker) Scopes(u *Unverified) []string {
	granted, _ := k.scopes(&u.claims)
	return granted
}
