package mcpauth

import (
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// finding says what is the matter, as far as the request tells.
func (o *operator) finding(r *http.Request, x *exchange, denied *refusal.Refusal) explain.Finding {
	sent, _ := x.g.verifier.credentials(r)
	said := token.Reread(sent.token, denied == nil)
	return o.findingOf(r, x, denied, &said)
}

func (o *operator) findingOf(r *http.Request, x *exchange, denied *refusal.Refusal, said *token.Unverified) explain.Finding {
	f := x.g.causeOf(r, x, denied, said)
	o.noteLoop(x, said, denied, f.Cause)
	return f
}

// causeOf is the cause that the refusal names, or what can be found out by comparing the request
// with the configuration.
func (g *generation) causeOf(r *http.Request, x *exchange, denied *refusal.Refusal, said *token.Unverified) explain.Finding {
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
		return explain.Compact(said.Compact)
	case refusal.Algorithm:
		return explain.Algorithm(headerAlgorithm(said))
	case refusal.Issuer:
		return explain.Issuer(said.Issuer, g.issuerURLs())
	case refusal.Audience:
		return audienceFinding(said, g.verifier.issuers[said.Issuer], g.resource)
	case refusal.Expired:
		return explain.Expired(said.IssuedAt, said.Expiry, time.Now())
	case refusal.NotYetValid:
		return explain.Future(said.IssuedAt, said.NotBefore, time.Now())
	case refusal.UnknownKey:
		if denied.Unsettled {
			return explain.Unsettled(said.KeyID, g.keySetOf(said.Issuer))
		}
		return explain.Key(said.KeyID, said.Algorithm, g.keySetOf(said.Issuer))
	case refusal.InsufficientScope:
		return g.scopeFinding(x, denied)
	case refusal.Unavailable:
		return g.unavailableFinding(denied, said)
	}
	return explain.Finding{Cause: denied.Reason.Entry().Cause}
}

// headerAlgorithm is the token's alg, or what the strict reader says of one that it refuses.
func headerAlgorithm(said *token.Unverified) string {
	if said.Algorithm != "" {
		return said.Algorithm
	}
	return jose.HeaderAlgorithm(said.Compact)
}

// issuerURLs are those with which a stranger's token may be compared in the log.
func (g *generation) issuerURLs() (urls []string) {
	for _, s := range g.verifier.ordered {
		if !s.unlisted {
			urls = append(urls, s.url)
		}
	}
	return urls
}

// explainAnswer names the cause for which a token is refused that only the authorization server can read: whoever
// explains the refusal later knows its text alone.
func explainAnswer(denied *refusal.Refusal, said *token.Unverified, s *issuer, resource string) {
	if denied.Cause != "" {
		return
	}
	switch denied.Reason {
	case refusal.Audience:
		if denied.Cause = audienceFinding(said, s, resource).Cause; s.tokens.NoJWTs && len(said.Audiences) > 0 {
			denied.Cause = "audience-foreign-client"
		}
	case refusal.Expired:
		denied.Cause = explain.Expired(said.IssuedAt, said.Expiry, time.Now()).Cause
	case refusal.NotYetValid:
		denied.Cause = explain.Future(said.IssuedAt, said.NotBefore, time.Now()).Cause
	}
}

// audienceFinding looks at the claims of a token that was made for somebody else.
func audienceFinding(said *token.Unverified, s *issuer, resource string) explain.Finding {
	if said.OfIDToken {
		return explain.Finding{Cause: "token-id"}
	}
	if said.HasEmptyAudience() {
		return explain.EmptyAudience(resource)
	}
	var client string
	var scopes []string
	if s != nil {
		client, scopes = s.tokens.ClientID(said), s.tokens.Scopes(said)
	}
	return explain.Audience(said.Audiences, resource, client, said.Issuer, scopes)
}

// scopeFinding looks for what is missing in the whole of a verified token.
func (g *generation) scopeFinding(x *exchange, denied *refusal.Refusal) explain.Finding {
	if x.principal == nil {
		return explain.Finding{Cause: "scope-not-granted"}
	}
	if a := x.lease.token.answer; a != nil && a.fewer {
		return explain.Finding{Cause: "scopes-withdrawn"}
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

func (g *generation) unavailableFinding(denied *refusal.Refusal, said *token.Unverified) explain.Finding {
	if set := g.keySetOf(said.Issuer); set.Age != "" && len(set.Kids) > 0 {
		return explain.Key(said.KeyID, said.Algorithm, set)
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
