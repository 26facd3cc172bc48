package mcpauth

import (
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// rereadToken is a token as far as it can be read, for explaining a refusal. It is
// read again, and not kept on the way, so that requests that nobody explains pay nothing.
type rereadToken struct {
	compact  string
	kid, alg string
	claims   claims // zero if they cannot be read
}

// reread takes a token apart once more. The claims are looked at only after a
// refusal, and believed by nobody.
func reread(compact string, denied *refusal.Refusal) rereadToken {
	t := rereadToken{compact: compact}
	switch {
	case compact == "":
		return t
	case denied == nil:
		header, _ := jose.ParseHeader(compact) // read before, without an error
		t.kid, t.alg = header.Kid, header.Alg
		return t
	}
	token, err := jose.Parse(compact)
	if err != nil {
		return t
	}
	t.kid, t.alg = token.Header.Kid, token.Header.Alg
	var c claims
	if c.readAll(token.Claims) == nil {
		t.claims = c
	}
	return t
}

// finding says what is the matter, as far as the request tells.
func (o *operator) finding(r *http.Request, x *exchange, denied *refusal.Refusal) explain.Finding {
	compact, _ := credentials(r)
	token := reread(compact, denied)
	return o.findingOf(r, x, denied, &token)
}

func (o *operator) findingOf(r *http.Request, x *exchange, denied *refusal.Refusal, token *rereadToken) explain.Finding {
	f := x.g.causeOf(r, x, denied, token)
	o.noteLoop(x, token, denied, f.Cause)
	return f
}

// causeOf is the cause that the refusal names, or what can be found out by comparing the request
// with the configuration.
func (g *generation) causeOf(r *http.Request, x *exchange, denied *refusal.Refusal, token *rereadToken) explain.Finding {
	switch {
	case denied.Cause == "no-rule":
		for _, call := range x.calls {
			if call.target() == denied.Got {
				return explain.Rule(string(call.Kind), denied.Got, g.policy.ruleNames(call.Kind))
			}
		}
	case denied.Cause != "":
		return explain.Finding{Cause: denied.Cause}
	}
	switch denied.Reason {
	case refusal.NoCredentials:
		return explain.Authorization(r.Header.Get("Authorization"))
	case refusal.MalformedToken:
		return explain.Compact(token.compact)
	case refusal.Algorithm:
		return explain.Algorithm(headerAlgorithm(token))
	case refusal.Issuer:
		return explain.Issuer(token.claims.iss.value, g.issuerURLs())
	case refusal.Audience:
		return g.audienceFinding(&token.claims)
	case refusal.Expired:
		return explain.Expired(token.claims.iat.time(), token.claims.exp.time(), time.Now())
	case refusal.NotYetValid:
		return explain.Future(token.claims.iat.time(), token.claims.nbf.time(), time.Now())
	case refusal.UnknownKey:
		if denied.Unsettled {
			return explain.Unsettled(token.kid, g.keySetOf(token.claims.iss.value))
		}
		return explain.Key(token.kid, token.alg, g.keySetOf(token.claims.iss.value))
	case refusal.InsufficientScope:
		return g.scopeFinding(x, denied)
	case refusal.Unavailable:
		return g.unavailableFinding(denied, token)
	}
	return explain.Finding{Cause: denied.Reason.Entry().Cause}
}

// headerAlgorithm is the token's alg, or what the strict reader says of one that it refuses.
func headerAlgorithm(token *rereadToken) string {
	if token.alg != "" {
		return token.alg
	}
	return jose.HeaderAlgorithm(token.compact)
}

func (g *generation) issuerURLs() []string {
	urls := make([]string, len(g.verifier.ordered))
	for i, s := range g.verifier.ordered {
		urls[i] = s.url
	}
	return urls
}

// audienceFinding looks at the claims of a token that was made for somebody else.
func (g *generation) audienceFinding(t *claims) explain.Finding {
	if t.foreign {
		return explain.Finding{Cause: "token-id"}
	}
	if list, ok := stringOrList(lookup(t.raw, audPath)); ok && len(list) == 0 {
		return explain.EmptyAudience(g.resource)
	}
	var client string
	var scopes []string
	if s := g.verifier.issuers[t.iss.value]; s != nil {
		client = s.clientID(t)
		scopes, _ = s.scopes(t) // of what cannot be read, none
	}
	return explain.Audience(t.aud, g.resource, client, t.iss.value, scopes)
}

var audPath = []string{"aud"}

// scopeFinding looks for what is missing in the whole of a verified token.
func (g *generation) scopeFinding(x *exchange, denied *refusal.Refusal) explain.Finding {
	if x.principal == nil {
		return explain.Finding{Cause: "scope-not-granted"}
	}
	var missing []string
	for _, scope := range denied.Scopes {
		if !g.policy.holds(x.principal, scope) {
			missing = append(missing, scope)
		}
	}
	var all map[string]any
	_ = x.principal.Claims(&all) // without claims the scopes still tell something
	return explain.Scopes(missing, x.principal.Scopes, all)
}

func (g *generation) unavailableFinding(denied *refusal.Refusal, token *rereadToken) explain.Finding {
	if set := g.keySetOf(token.claims.iss.value); set.Age != "" && len(set.Kids) > 0 {
		return explain.Key(token.kid, token.alg, set)
	}
	return explain.Finding{Cause: keys.CauseOf(denied.Err)}
}

// keySetOf says what is known of the keys of an issuer that a token names.
func (g *generation) keySetOf(issuer string) explain.KeySet {
	s := g.verifier.issuers[issuer]
	if s == nil {
		return explain.KeySet{}
	}
	status := s.keys.Status()
	set := explain.KeySet{Failed: status.Failed}
	for _, key := range status.Keys {
		set.Kids, set.Algorithms = append(set.Kids, key.Kid), append(set.Algorithms, key.Alg)
	}
	for _, skipped := range status.Skipped {
		set.Skipped = append(set.Skipped, explain.Skipped{Kid: skipped.Kid, Why: string(skipped.Reason)})
	}
	if !status.LastSuccess.IsZero() {
		set.Age = time.Since(status.LastSuccess).Round(time.Second).String()
	}
	return set
}
