package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// maxToken bounds the Authorization header field, in bytes.
const maxToken = 16 << 10

// endOf is when a token is good no more.
func (v *verifier) endOf(p *Principal) time.Time { return p.Expiry.Add(v.leeway) }

// clientOf names the client of a token that was not verified, "" if it names none.
func (v *verifier) clientOf(c *claims) string {
	if s := v.issuers[c.iss.value]; s != nil {
		return s.clientID(c)
	}
	return ""
}

// verify turns a compact token that arrived now into a verified one, which
// nobody may change. A token that was verified a moment ago is not verified again. With a
// refusal comes what is known of the token, or nil.
func (m *Middleware) verify(ctx context.Context, compact string, now time.Time) (*verified, *refusal.Refusal) {
	if m.memory.tokens == nil {
		return nil, refusal.New(refusal.Issuer, "a Middleware that New has not made", "", "one made by New")
	}
	if strings.Count(compact, ".") != 2 { // it is no JWS, and not worth a look into the memory
		_, denied := m.verifyAnew(ctx, compact, now)
		return nil, denied
	}
	key := m.memory.tokens.Key(compact)
	v := m.memory.get(key, now, m.generation().verifier.leeway)
	if v == nil {
		var denied *refusal.Refusal
		if v, denied = m.verifyAnew(ctx, compact, now); denied != nil {
			return v, denied
		}
		m.memory.put(key, v, now, m.generation().verifier.leeway)
	}
	return v, m.checkRevoked(ctx, &v.principal)
}

// verifyAnew makes every check there is. The order is the defence: what can be
// refused without a key is refused first, then one key set is looked at, then
// one signature is checked, and only then is a claim believed. A refusal after
// that names the principal too, for the operator's record.
func (m *Middleware) verifyAnew(ctx context.Context, compact string, now time.Time) (*verified, *refusal.Refusal) {
	token, err := jose.Parse(compact)
	if err != nil {
		return nil, denyToken(err)
	}
	var c claims
	if denied := c.readAll(token.Claims); denied != nil {
		return nil, denied
	}
	s, denied := m.issuerOf(&c)
	if denied == nil {
		denied = s.checkHeader(&token.Header)
	}
	if denied == nil {
		denied = s.checkTime(&c, now, m.generation().verifier.leeway)
	}
	if denied == nil {
		denied = s.checkAudience(&c)
	}
	if denied == nil {
		denied = s.checkIdentity(&c)
	}
	if denied == nil {
		denied = s.checkPurpose(&c, &token.Header)
	}
	if denied != nil {
		return nil, denied
	}
	proof, denied := s.keys.Verify(ctx, &token, c.iat.time(), now)
	if denied != nil {
		return nil, denied
	}
	v := &verified{issuer: s, proof: proof, notBefore: c.notBefore()}
	if denied := s.principal(&c, &v.principal); denied != nil {
		return v, denied
	}
	return v, s.checkRequired(&c)
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

// issuerOf finds the issuer by its exact name. A name that is not configured
// costs nothing more than this look-up.
func (m *Middleware) issuerOf(c *claims) (*issuer, *refusal.Refusal) {
	if !c.iss.present {
		return nil, refusal.New(refusal.Claims, "iss", "", "a string").Because("issuer-missing")
	}
	if s := m.generation().verifier.issuers[c.iss.value]; s != nil {
		return s, nil
	}
	return nil, refusal.New(refusal.Issuer, "unverified iss", c.iss.value, m.generation().verifier.names)
}

// forbiddenTypes are media types of JWTs that are no access tokens, whatever
// the configuration (RFC 8725 section 3.11).
var forbiddenTypes = []string{
	"dpop+jwt", "oauth-id-jag+jwt", "token-introspection+jwt", "logout+jwt", "secevent+jwt",
	"oauth-authz-req+jwt", "client-authentication+jwt", "entity-statement+jwt", "kb+jwt",
	"vc+sd-jwt", "dc+sd-jwt",
}

// mediaType is typ in the short, lower-case form (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(lowerASCII(typ), "application/")
}

// lowerASCII leaves all but A to Z alone: strings.ToLower would make a k of the
// Kelvin sign, and two names equal that are not.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func (s *issuer) checkHeader(h *jose.Header) *refusal.Refusal {
	if !slices.Contains(s.algorithms, h.Alg) {
		return refusal.New(refusal.Algorithm, "alg", h.Alg, strings.Join(s.algorithms, ", "))
	}
	typ := mediaType(h.Typ)
	if h.HasTyp && typ == "" || slices.Contains(forbiddenTypes, typ) || !slices.Contains(s.types, typ) {
		return refusal.New(refusal.TokenType, "typ", h.Typ, fmt.Sprintf("one of %q", s.types))
	}
	return nil
}

func (s *issuer) checkTime(c *claims, now time.Time, leeway time.Duration) *refusal.Refusal {
	exp, nbf, iat := c.exp.time(), c.nbf.time(), c.iat.time()
	switch {
	case !c.exp.present || c.exp.seconds < 1:
		return refusal.New(refusal.Claims, "exp", "", "seconds since 1970")
	case !now.Before(exp.Add(leeway)):
		return refusal.New(refusal.Expired, "exp "+exp.UTC().Format(time.RFC3339), "", "later than "+now.UTC().Format(time.RFC3339))
	case c.nbf.present && now.Before(nbf.Add(-leeway)):
		return refusal.New(refusal.NotYetValid, "nbf "+nbf.UTC().Format(time.RFC3339), "", "not later than "+now.UTC().Format(time.RFC3339))
	case c.iat.present && now.Before(iat.Add(-leeway)):
		return refusal.New(refusal.NotYetValid, "iat "+iat.UTC().Format(time.RFC3339), "", "not later than "+now.UTC().Format(time.RFC3339))
	case !c.iat.present && s.needsIssuedAt:
		return refusal.New(refusal.Claims, "iat", "", "seconds since 1970: the issuer is configured for RFC 9068 tokens or with MaxLifetime")
	case s.maxLifetime > 0 && exp.Sub(iat) > s.maxLifetime:
		return refusal.New(refusal.Claims, "exp minus iat is "+exp.Sub(iat).String(), "", "at most "+s.maxLifetime.String()).Because("lifetime")
	}
	return nil
}

// checkAudience: one member of aud equals one accepted audience. No other
// claim is an audience, unless the issuer is known to send none.
func (s *issuer) checkAudience(c *claims) *refusal.Refusal {
	if !c.audPresent && s.audienceClaim != nil {
		c.aud, _ = stringOrList(lookup(c.raw, s.audienceClaim))
	}
	for _, aud := range c.aud {
		if s.acceptsAudience(aud) {
			return nil
		}
	}
	return refusal.New(refusal.Audience, "unverified aud", strings.Join(c.aud, " "), s.acceptable)
}

func (s *issuer) acceptsAudience(aud string) bool {
	if slices.Contains(s.audiences, aud) {
		return true
	}
	normal, ok := normalURI(aud)
	return ok && slices.Contains(s.normalAudiences, normal)
}

// normalURI writes scheme and host in lower case, drops the default port and
// gives an empty path its slash (RFC 3986 section 6.2.2.1 and 6.2.3). Nothing
// else about a URI is equivalent here.
func normalURI(s string) (string, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = lowerASCII(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path := lowerASCII(rest[:end]), rest[end:]
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, host != "" && !strings.Contains(host, "@")
}

func (s *issuer) checkIdentity(c *claims) *refusal.Refusal {
	switch {
	case len(c.sub.value) > maxSubject:
		return refusal.New(refusal.TokenTooComplex, "sub is longer than 2,048 bytes", "", "")
	case c.sub.wrong, c.sub.present && !validSubject(c.sub.value):
		return refusal.New(refusal.Claims, "sub", "", "a string that is not empty and has no control characters").Because("subject")
	case !c.sub.present && (!s.allowMissingSubject || !validSubject(s.clientID(c))):
		return refusal.New(refusal.Claims, "sub is missing", "", "a subject, or Issuer.AllowMissingSubject and a client id").Because("subject")
	case s.allowMissingSubject && strings.HasPrefix(c.sub.value, clientSubject):
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

// checkPurpose refuses tokens that are meant for something else: bound to a
// key that the request does not prove, or made to tell a client who signed in.
func (s *issuer) checkPurpose(c *claims, h *jose.Header) *refusal.Refusal {
	if c.confirmed {
		return refusal.New(refusal.SenderConstrained, "cnf is present", "", "a token without cnf: sender constraints are not supported yet")
	}
	switch {
	case mediaType(h.Typ) == "at+jwt":
	case c.isID:
		return refusal.New(refusal.TokenType, "token_use or typ among the claims says id: this is an ID token", "", "an access token").Because("token-id")
	case s.allowIDTokenClaims:
	case c.foreign:
		return refusal.New(refusal.TokenType, "nonce, at_hash, c_hash, s_hash or events is present: this is an ID token or a security event", "",
			"an access token; if the issuer puts these into access tokens, set Issuer.AllowIDTokenClaims").Because("token-id")
	case c.scope != nil || c.scp != nil || c.clientID.present || s.hasGrants(c):
	case !s.namesResource(c):
		return refusal.New(refusal.TokenType, "no scope, scp or client_id, and the audience is a client: this is an ID token", "",
			"an access token; see Issuer.AllowIDTokenClaims").Because("token-id")
	case !s.hasMarks(c):
		return refusal.New(refusal.TokenType, "no scope, client, roles or jti: this is an ID token of a client that is named like the resource", "",
			"an access token; if its claims have other names, set Issuer.Claims").Because("token-id")
	}
	return nil
}

// namesResource reports whether an accepted audience of the token is a URL, and no mere client id.
func (s *issuer) namesResource(c *claims) bool {
	return slices.ContainsFunc(c.aud, func(aud string) bool { return strings.Contains(aud, "://") && s.acceptsAudience(aud) })
}

// hasMarks reports whether a token without scopes has something that access tokens have and
// simple ID tokens do not: a client may be named like the resource.
func (s *issuer) hasMarks(c *claims) bool {
	return c.jti.value != "" || c.azp.value != "" || c.cid.value != "" || c.appid.value != "" || s.clientID(c) != "" ||
		slices.ContainsFunc(s.rolePaths, func(path []string) bool { return c.at(path) != nil })
}

// principal believes the claims of a token whose signature is good.
func (s *issuer) principal(c *claims, p *Principal) (denied *refusal.Refusal) {
	*p = Principal{
		Issuer:    s.url,
		Subject:   c.sub.value,
		ClientID:  s.clientID(c),
		Audiences: c.aud,
		Expiry:    c.exp.time(),
		IssuedAt:  c.iat.time(),
		AuthTime:  c.authTime.time(),
		ID:        c.jti.value,
		ACR:       c.acr.value,
		Actors:    actors(c.act),
		claims:    c.text, // raw is a part of the buffer that has the token
	}
	p.Client = !c.sub.present || p.ClientID == p.Subject
	if !c.sub.present {
		p.Subject = clientSubject + p.ClientID
	}
	if c.amr != nil {
		p.AMR, _ = stringOrList(c.amr)
	}
	p.Scopes, denied = s.scopes(c)
	return denied
}

// checkRequired holds the token against Issuer.RequireClaims. The token is
// good; its holder has no business here.
func (s *issuer) checkRequired(c *claims) *refusal.Refusal {
	for _, required := range s.required {
		got, _ := stringOrList(lookup(c.raw, required.path))
		if !slices.ContainsFunc(got, func(v string) bool { return slices.Contains(required.values, v) }) {
			return refusal.New(refusal.Forbidden, "claim "+required.name, strings.Join(got, " "), fmt.Sprintf("one of %q", required.values)).Because("required-claim")
		}
	}
	return nil
}

// How many calls of Revoked may go on after their requests have had their answer. Whose
// own they are is counted apart, so that nobody fills the bound for others.
const (
	maxAbandoned    = 1000
	maxOwnAbandoned = 32 // of one principal
)

// checkRevoked asks the operator's function for a request, which waits for askTimeout at
// the most: a function that does not heed its context is left behind.
func (m *Middleware) checkRevoked(ctx context.Context, p *Principal) *refusal.Refusal {
	if m.generation().verifier.revoked == nil {
		return nil
	}
	if !m.mayAskRevoked(p) {
		return doubtRevoked(errors.New("too many calls of it have not returned"))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer := make(chan *refusal.Refusal, 1)
	go func() {
		var denied *refusal.Refusal
		exited := true // runtime.Goexit
		defer func() {
			if exited {
				denied = refusal.New(refusal.Policy, "Revoked ended its goroutine", "", "")
			}
			answer <- denied
		}()
		denied, exited = m.askRevoked(ctx, p), false
	}()
	select {
	case denied := <-answer:
		return denied
	case <-ctx.Done():
	}
	m.abandon(p.Key(), answer)
	return doubtRevoked(ctx.Err())
}

// mayAskRevoked reports whether a call more may be left behind.
func (m *Middleware) mayAskRevoked(p *Principal) bool {
	switch count := m.operator.abandoned.Load(); {
	case count == 0:
		return true
	case count >= maxAbandoned:
		return false
	}
	owner := p.Key()
	if !m.operator.abandonedBy.Take(owner, 1, maxOwnAbandoned) {
		return false
	}
	m.operator.abandonedBy.Give(owner, 1)
	return true
}

// abandon counts a call until it returns. Those of one principal that were all under way
// before the first was left behind count up to its share.
func (m *Middleware) abandon(owner string, answer <-chan *refusal.Refusal) {
	if !m.operator.abandonedBy.Take(owner, 1, maxOwnAbandoned) {
		return
	}
	m.operator.abandoned.Add(1)
	go func() {
		<-answer
		m.operator.abandoned.Add(-1)
		m.operator.abandonedBy.Give(owner, 1)
	}()
}

// askRevoked asks the operator's function, if there is one, and contains its failures.
func (m *Middleware) askRevoked(ctx context.Context, p *Principal) (denied *refusal.Refusal) {
	if m.generation().verifier.revoked == nil {
		return nil
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			denied = refusal.New(refusal.Policy, fmt.Sprintf("Revoked panicked with a %T", recovered), "", "")
		}
	}()
	revoked, err := m.generation().verifier.revoked(ctx, p.clone())
	switch {
	case err != nil:
		return doubtRevoked(err)
	case revoked:
		return refusal.New(refusal.Revoked, "jti", p.ID, "a token that is not revoked")
	}
	return nil
}

func doubtRevoked(err error) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "Revoked", err).Because("revocation")
	denied.RetryAfter = retrySoon
	return denied
}
