package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Check makes every check that needs no key. What it lets through is still believed by nobody.
func (k *Checker) Check(t *Token, now time.Time, leeway time.Duration) *refusal.Refusal {
	c, header := &t.claims, &t.JWS.Header
	denied := c.checkAnswer()
	if !c.answered {
		denied = k.checkHeader(header)
	}
	if denied == nil {
		denied = k.checkTime(c, now, leeway)
	}
	if denied == nil {
		denied = k.checkAudience(c)
	}
	if denied == nil {
		denied = k.checkIdentity(c)
	}
	if denied == nil {
		denied = k.checkBinding(c)
	}
	if denied == nil {
		denied = k.checkPurpose(c, header)
	}
	return denied
}

func (k *Checker) checkHeader(h *jose.Header) *refusal.Refusal {
	if k.NoJWTs {
		return refusal.New(refusal.TokenType, "a JWT", "", "an access token of the issuer, which makes no JWTs but ID tokens").Because("token-id")
	}
	if !slices.Contains(k.Algorithms, h.Alg) {
		return refusal.New(refusal.Algorithm, "alg", h.Alg, strings.Join(k.Algorithms, ", "))
	}
	typ := mediaType(h.Typ)
	if h.HasTyp && typ == "" || slices.Contains(forbiddenTypes, typ) || !slices.Contains(k.Types, typ) {
		return refusal.New(refusal.TokenType, "typ", h.Typ, fmt.Sprintf("one of %q", k.Types))
	}
	return nil
}

func (k *Checker) checkTime(c *claims, now time.Time, leeway time.Duration) *refusal.Refusal {
	exp, nbf, iat := c.exp.time(), c.nbf.time(), c.iat.time()
	switch {
	case !c.exp.present || c.exp.seconds < 1:
		return refusal.New(refusal.Claims, "exp", "", "seconds since 1970")
	case !now.Before(exp.Add(leeway)):
		return refusal.New(refusal.Expired, "exp "+exp.UTC().Format(time.RFC3339), "", "later than "+now.UTC().Format(time.RFC3339)+" less the leeway of "+leeway.String())
	case c.nbf.present && now.Before(nbf.Add(-leeway)):
		return refusal.New(refusal.NotYetValid, "nbf "+nbf.UTC().Format(time.RFC3339), "", "not later than "+now.UTC().Format(time.RFC3339)+" plus the leeway of "+leeway.String())
	case c.iat.present && now.Before(iat.Add(-leeway)):
		return refusal.New(refusal.NotYetValid, "iat "+iat.UTC().Format(time.RFC3339), "", "not later than "+now.UTC().Format(time.RFC3339)+" plus the leeway of "+leeway.String())
	case c.endless && k.MaxLifetime > 0:
		return refusal.New(refusal.Claims, "exp", "", "seconds since 1970: the issuer is configured with MaxLifetime")
	case !c.iat.present && k.needsIssuedAt && !c.answered, !c.iat.present && k.MaxLifetime > 0:
		return refusal.New(refusal.Claims, "iat", "", "seconds since 1970: the issuer is configured for RFC 9068 tokens or with MaxLifetime")
	case k.MaxLifetime > 0 && exp.Sub(iat) > k.MaxLifetime:
		return refusal.New(refusal.Claims, "exp minus iat is "+exp.Sub(iat).String(), "", "at most "+k.MaxLifetime.String()).Because("lifetime")
	}
	return nil
}

// checkAudience: one member of aud equals one accepted audience. No other
// claim is an audience, unless the issuer is known to send none.
func (k *Checker) checkAudience(c *claims) *refusal.Refusal {
	if !c.audPresent && k.AudienceClaim != nil {
		c.aud, _ = c.written.at(k.AudienceClaim).list()
	}
	for _, aud := range c.aud {
		if k.acceptsAudience(aud) {
			return nil
		}
	}
	what := "unverified aud"
	if c.answered {
		what = "aud of the answer"
	}
	if len(c.aud) == 0 && !c.audPresent {
		what += " is missing"
	}
	return refusal.New(refusal.Audience, what, strings.Join(c.aud, " "), k.acceptable)
}

func (k *Checker) acceptsAudience(aud string) bool {
	if slices.Contains(k.Audiences, aud) {
		return true
	}
	normal, ok := normalURI(aud)
	return ok && slices.Contains(k.normalAudiences, normal)
}

func (k *Checker) checkIdentity(c *claims) *refusal.Refusal {
	switch {
	case len(c.sub.value) > maxSubject:
		return refusal.New(refusal.TokenTooComplex, "sub is longer than 2,048 bytes", "", "")
	case c.sub.wrong, c.sub.present && !validSubject(c.sub.value):
		return refusal.New(refusal.Claims, "sub", "", "a string that is not empty and has no control characters").Because("subject")
	case !c.sub.present && c.ofUser:
		return denyUser()
	case !c.sub.present && (!k.AllowMissingSubject || !validSubject(k.clientID(c))):
		return refusal.New(refusal.Claims, "sub is missing", "", "a subject, or Issuer.AllowMissingSubject and a client id").Because("subject")
	case k.AllowMissingSubject && strings.HasPrefix(c.sub.value, clientSubject):
		return refusal.New(refusal.Claims, "sub", "", "a subject that does not begin with "+clientSubject+", which stands for clients without one").Because("subject")
	}
	return nil
}

// clientSubject begins the subject of a client whose issuer gives it none.
const clientSubject = "client:"

// maxSubject bounds a subject, in bytes. The 255 of OpenID Connect Core section 2 are
// for ID tokens; names in directories are longer.
const maxSubject = 2 << 10

func validSubject(sub string) bool {
	return len(sub) >= 1 && len(sub) <= maxSubject &&
		strings.IndexFunc(sub, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) < 0
}

// checkBinding refuses tokens that are bound to a key in a way that nobody checks here, and those that
// are not where they must be.
func (k *Checker) checkBinding(c *claims) *refusal.Refusal {
	_, bound := c.boundTo()
	switch {
	case c.cnf == nil && k.NeedsBound:
		return refusal.New(refusal.SenderConstrained, "no cnf", "", "a token bound to a key: Issuer.DPoP is DPoPRequired").Because("token-unbound")
	case c.cnf != nil && !k.AcceptsBound:
		return refusal.New(refusal.SenderConstrained, "cnf is present", "", "a token without cnf: Issuer.DPoP is not set")
	case c.cnf != nil && !bound:
		return refusal.New(refusal.SenderConstrained, "cnf", "", "an object with jkt, a JWK thumbprint, and no other key: no other binding is checked here").Because("bound-otherwise")
	}
	return nil
}

// otherBindings are the members of cnf, jkt aside, that name a key (the registry of RFC 7800 section 6.2). Keycloak
// has one there that names none.
var otherBindings = []string{"jwk", "jwe", "kid", "jku", "x5t#S256", "osc"}

// boundTo reads cnf (RFC 9449 section 6.1). One that names another key beside jkt wants more to be proved; members
// that are not known mean nothing (RFC 7800 section 3.1).
func (c *claims) boundTo() (key jose.Thumbprint, ok bool) {
	if c.cnf == nil {
		return key, false
	}
	var r strictjson.Reader
	r.Reset(c.cnf, claimLimits)
	_ = r.Object() // an error stays, and End reports it
	for {
		name, more, _ := r.Member()
		if !more {
			return key, ok && r.End() == nil
		}
		switch {
		case string(name) == "jkt" && r.Kind() == strictjson.String:
			jkt, _ := r.String()
			key, ok = jose.ParseThumbprint(string(jkt))
		case string(name) == "jkt", slices.Contains(otherBindings, string(name)):
			return key, false
		default:
			_, _ = r.Skip()
		}
	}
}

// checkPurpose refuses tokens that are made to tell a client who signed in.
func (k *Checker) checkPurpose(c *claims, h *jose.Header) *refusal.Refusal {
	switch {
	case mediaType(h.Typ) == "at+jwt":
	case c.isID:
		return refusal.New(refusal.TokenType, "token_use or typ among the claims says id: this is an ID token", "", "an access token").Because("token-id")
	case k.AllowIDTokenClaims:
	case c.foreign:
		return refusal.New(refusal.TokenType, "nonce, at_hash, c_hash, s_hash or events is present: this is an ID token or a security event", "",
			"an access token; if the issuer puts these into access tokens, set Issuer.AllowIDTokenClaims").Because("token-id")
	case c.answered, c.scope.raw != nil || c.scp.raw != nil || c.clientID.present || k.hasGrants(c):
	case !k.namesResource(c):
		return refusal.New(refusal.TokenType, "no scope, scp or client_id, and the audience is a client: this is an ID token", "",
			"an access token; see Issuer.AllowIDTokenClaims").Because("token-id")
	case !k.hasMarks(c):
		return refusal.New(refusal.TokenType, "no scope, client, roles or jti: this is an ID token of a client that is named like the resource", "",
			"an access token; if its claims have other names, set Issuer.Claims").Because("token-id")
	}
	return nil
}

// namesResource reports whether an accepted audience of the token is a URL, and no mere client id.
func (k *Checker) namesResource(c *claims) bool {
	return slices.ContainsFunc(c.aud, func(aud string) bool { return strings.Contains(aud, "://") && k.acceptsAudience(aud) })
}

// hasMarks reports whether a token without scopes has something that access tokens have and
// simple ID tokens do not: a client may be named like the resource.
func (k *Checker) hasMarks(c *claims) bool {
	return c.jti.value != "" || c.azp.value != "" || c.cid.value != "" || c.appid.value != "" || k.clientID(c) != "" ||
		slices.ContainsFunc(k.RoleClaims, func(path Path) bool { return c.at(path).raw != nil })
}

// hasGrants reports whether one of the configured scope claims is there, or one
// of the role claims beside a client id: ID tokens carry roles and groups too.
func (k *Checker) hasGrants(c *claims) bool {
	present := func(path Path) bool { return c.at(path).raw != nil }
	return slices.ContainsFunc(k.ScopeClaims, present) ||
		slices.ContainsFunc(k.RoleClaims, present) && k.clientID(c) != ""
}
