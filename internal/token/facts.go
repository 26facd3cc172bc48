package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Facts are the claims of a token whose signature is good.
type Facts struct {
	Subject  string // "client:" and the client id for issuers that omit it
	Client   bool   // the token was issued to the client itself
	ClientID string // "" if the token names none

	Scopes    []string // without duplicates, in the order of the token
	Audiences []string

	Expiry, IssuedAt, AuthTime time.Time // zero if absent
	ID, ACR                    string    // "" if absent
	AMR, Actors                []string

	Bound bool // to Key, by cnf.jkt
	Key   jose.Thumbprint

	Text string // the payload, in memory of its own: nothing here leads to the token
}

// Facts believes the claims of a token whose signature is good. A refusal comes
// with the facts, for the operator's record.
func (k *Checker) Facts(t *Token) (f Facts, denied *refusal.Refusal) {
	c := &t.claims
	f = Facts{
		Subject:   c.sub.value,
		ClientID:  k.clientID(c),
		Audiences: c.aud,
		Expiry:    c.exp.time(),
		IssuedAt:  c.iat.time(),
		AuthTime:  c.authTime.time(),
		ID:        c.jti.value,
		ACR:       c.acr.value,
		Actors:    actors(c.act),
		Text:      c.text, // raw is a part of the buffer that has the token
	}
	f.Key, f.Bound = c.boundTo()
	f.Client = !c.sub.present || f.ClientID == f.Subject
	if !c.sub.present {
		f.Subject = clientSubject + f.ClientID
	}
	if c.amr.raw != nil {
		f.AMR, _ = c.amr.list()
	}
	if f.Scopes, denied = k.scopes(c); denied == nil {
		denied = k.checkRequired(c)
	}
	return f, denied
}

// clientID names the client (RFC 9068 section 2.2, and what providers send instead).
func (k *Checker) clientID(c *claims) string {
	if k.ClientClaim != nil {
		if id, ok := c.written.at(k.ClientClaim).list(); ok && len(id) == 1 {
			return id[0]
		}
		return ""
	}
	for _, id := range []text{c.clientID, c.azp, c.cid, c.appid} {
		if id.value != "" {
			return id.value
		}
	}
	return ""
}

// scopes collects what the token grants.
func (k *Checker) scopes(c *claims) ([]string, *refusal.Refusal) { return k.granted(c, c) }

// granted collects the scopes of one token, and those for which the roles of another stand.
func (k *Checker) granted(scopes, roles *claims) (granted []string, denied *refusal.Refusal) {
	for _, path := range k.ScopeClaims {
		claim := scopes.at(path)
		if granted, denied = scopeList(granted, claim); denied != nil {
			return nil, denied
		}
		if claim.raw != nil && !k.Union {
			break
		}
	}
	for _, path := range k.RoleClaims {
		for _, role := range roles.rolesAt(path) {
			if granted, denied = addScopes(granted, k.RoleScopes[role]); denied != nil {
				return nil, denied
			}
		}
	}
	return granted, nil
}

// rolesAt reads a role claim. A string is one role, because names of roles may
// have spaces; those of scopes have none (RFC 6749 section 3.3), and an issuer that
// shortens its scopes in the token has them mapped back here.
func (c *claims) rolesAt(path Path) []string {
	claim := c.at(path)
	if len(claim.raw) > 0 && claim.raw[0] == '{' {
		return memberNames(claim.raw)
	}
	roles, _ := claim.list()
	if len(path) == 1 && (path[0] == "scope" || path[0] == "scp") && claim.isString() {
		return strings.Split(roles[0], " ")
	}
	return roles
}

// Bounds of the scopes that one token may carry.
const (
	maxScopes      = 256
	maxScopeLength = 256 // bytes
)

// scopeList turns a scope claim into scopes: a string is split at single
// spaces (RFC 6749 section 3.3), the members of an array are whole scopes.
// What is no scope grants nothing. A claim of another type is empty.
func scopeList(into []string, claim written) ([]string, *refusal.Refusal) {
	if !claim.isString() {
		list, _ := claim.list()
		return addScopes(into, list)
	}
	text := claim.string()
	// As many as fit, once; what is beyond the bound is refused anyway.
	into = slices.Grow(into, min(strings.Count(text, " ")+1, maxScopes))
	var denied *refusal.Refusal
	for scope := range strings.SplitSeq(text, " ") {
		if into, denied = addScope(into, scope); denied != nil {
			return nil, denied
		}
	}
	if len(into) == 0 {
		return nil, nil
	}
	return into, nil
}

func addScopes(into, list []string) ([]string, *refusal.Refusal) {
	var denied *refusal.Refusal
	for _, scope := range list {
		if into, denied = addScope(into, scope); denied != nil {
			return nil, denied
		}
	}
	return into, nil
}

func addScope(into []string, scope string) ([]string, *refusal.Refusal) {
	switch {
	case len(scope) > maxScopeLength:
		return nil, refusal.New(refusal.TokenTooComplex, "a scope is longer than 256 bytes", "", "")
	case !challenge.ValidScope(scope) || slices.Contains(into, scope):
		return into, nil
	case len(into) == maxScopes:
		return nil, refusal.New(refusal.TokenTooComplex, "more than 256 scopes", "", "")
	}
	return append(into, scope), nil
}

// maxActors is how far the act chain is followed; what is beyond it is not told.
const maxActors = 4

// actors follows the act chain (RFC 8693 section 4.1).
func actors(act written) (subjects []string) {
	for act.raw != nil && len(subjects) < maxActors {
		sub, ok := act.at(Path{"sub"}).list()
		if !ok || len(sub) != 1 {
			break
		}
		subjects = append(subjects, sub[0])
		act = act.at(Path{"act"})
	}
	return subjects
}

// checkRequired holds the token against Issuer.RequireClaims. The token is
// good; its holder has no business here.
func (k *Checker) checkRequired(c *claims) *refusal.Refusal {
	for i := range k.Required {
		if denied := k.Required[i].check(c.written.at(k.Required[i].Path)); denied != nil {
			return denied
		}
	}
	return nil
}

// check wants one of the values.
func (r *Required) check(claim written) *refusal.Refusal {
	got, _ := claim.list()
	if !slices.ContainsFunc(got, func(v string) bool { return slices.Contains(r.Values, v) }) {
		return refusal.New(refusal.Forbidden, "claim "+r.Name, strings.Join(got, " "), fmt.Sprintf("one of %q", r.Values)).Because("required-claim")
	}
	return nil
}
