package token

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// answerLife is how long an answer that says nothing of an end is good.
const answerLife = time.Minute

// ReadAnswer reads what an authorization server says of a token that only it can read and that it calls
// active (RFC 7662 section 2.2): claims that are judged as those of a JWT, but for what its header would say.
func (t *Token) ReadAnswer(text []byte, issuer string, asked time.Time) *refusal.Refusal {
	c := &t.claims
	c.answered = true
	if denied := c.readAll(text); denied != nil {
		return denied
	}
	switch {
	case c.iss.wrong, c.iss.present && c.iss.value != issuer:
		return refusal.New(refusal.Issuer, "iss of the answer", c.iss.value, issuer+", or none").Because("introspection-issuer")
	case !c.exp.present:
		c.endless = true
		c.exp = instant{seconds: float64(asked.Add(answerLife).Unix()), present: true}
	}
	return nil
}

// IsEndless reports whether the authorization server says nothing of an end of the token.
func (t *Token) IsEndless() bool { return t.claims.endless }

// Said is what the token says, to explain a refusal.
func (t *Token) Said() Unverified {
	c := &t.claims
	return Unverified{
		Issuer: c.iss.value, Subject: c.sub.value, Audiences: c.aud, OfIDToken: c.foreign,
		IssuedAt: c.iat.time(), NotBefore: c.nbf.time(), Expiry: c.exp.time(), claims: *c,
	}
}

// Confirm holds what an authorization server says of a verified JWT, and that it calls active, against the JWT. All
// that the answer says must be good, too, and be of the same holder; what it leaves out is as in the JWT. Of the scopes
// in the facts those stay that both grant, and of the two ends the first.
func (k *Checker) Confirm(t *Token, f *Facts, answer *Token, now time.Time, leeway time.Duration) *refusal.Refusal {
	c, sub := &answer.claims, answer.claims.sub
	c.fill(&t.claims)
	denied := cmp.Or(c.checkAnswer(), k.checkTime(c, now, leeway), k.checkAudience(c), k.checkBinding(c), k.checkPurpose(c, &t.JWS.Header))
	key, bound := c.boundTo()
	switch client := k.clientID(c); {
	case denied != nil:
		return denied
	case sub.wrong, sub.present && sub.value != t.claims.sub.value && (t.claims.sub.present || sub.value != f.ClientID):
		return refusal.New(refusal.Claims, "sub of the answer", sub.value, "that of the token").Because("subject")
	case c.ofUser && !sub.present && !t.claims.sub.present:
		return denyUser()
	case client != "" && f.ClientID != "" && client != f.ClientID:
		return refusal.New(refusal.Claims, "client of the answer", client, "that of the token").Because("subject")
	case bound != f.Bound || key != f.Key:
		return refusal.New(refusal.SenderConstrained, "cnf of the answer", "", "that of the token")
	}
	if denied = k.checkSaid(c); denied != nil {
		return denied
	}
	if end := c.exp.time(); end.Before(f.Expiry) {
		f.Expiry = end
	}
	granted, denied := k.granted(c.orOf(&t.claims, k.ScopeClaims), c.orOf(&t.claims, k.RoleClaims))
	f.Scopes = slices.DeleteFunc(f.Scopes, func(scope string) bool { return !slices.Contains(granted, scope) })
	return denied
}

// denyUser is for a token of a user whom nobody identifies: without sub all users of a client would be one, the client.
func denyUser() *refusal.Refusal {
	return refusal.New(refusal.Claims, "sub is missing, and username names a user", "", "a subject: username is none").Because("subject")
}

// checkSaid holds an answer about a JWT against Issuer.RequireClaims, as far as it names what is required.
func (k *Checker) checkSaid(c *claims) *refusal.Refusal {
	for i := range k.Required {
		if got := c.written.at(k.Required[i].Path); got.raw != nil {
			if denied := k.Required[i].check(got); denied != nil {
				return denied
			}
		}
	}
	return nil
}

// fill takes from the claims of a JWT what an answer about it leaves out.
func (c *claims) fill(own *claims) {
	if c.endless {
		c.exp, c.endless = own.exp, false
	}
	if !c.iat.present {
		c.iat = own.iat
	}
	if !c.audPresent {
		c.aud, c.audPresent = own.aud, true
	}
	if c.cnf == nil {
		c.cnf = own.cnf
	}
}

// orOf returns the claims of an answer if one of the paths is there, and those of the JWT if none is.
func (c *claims) orOf(own *claims, paths []Path) *claims {
	if slices.ContainsFunc(paths, func(path Path) bool { return c.at(path).raw != nil }) {
		return c
	}
	return own
}

// bearerTypes are values of token_type for tokens that whoever has them may use. Some servers name the kind of
// the token there.
var bearerTypes = []string{"bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token"}

// checkAnswer refuses what an authorization server may call active, too, and is no access token.
func (c *claims) checkAnswer() *refusal.Refusal {
	if !c.answered {
		return nil
	}
	switch kind := lowerASCII(c.tokenType.value); {
	case c.refresh:
		return refusal.New(refusal.TokenType, "token_use or typ of the answer says that this is a refresh token", "", "an access token").Because("token-refresh")
	case kind == "dpop" && c.cnf == nil:
		return refusal.New(refusal.SenderConstrained, "token_type", c.tokenType.value, "cnf beside it, which says to which key the token is bound").Because("token-unbound")
	case c.tokenType.wrong, c.tokenType.present && kind != "dpop" && !slices.Contains(bearerTypes, kind):
		return refusal.New(refusal.TokenType, "token_type", c.tokenType.value, "Bearer")
	}
	return nil
}

// isRefresh knows how authorization servers call refresh tokens: Hydra, Keycloak.
func isRefresh(use string) bool {
	const refresh = "refresh"
	return len(use) >= len(refresh) && strings.EqualFold(use[:len(refresh)], refresh) || strings.EqualFold(use, "offline")
}
