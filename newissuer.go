package mcpauth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// issuer checks one Issuer and makes it ready. It always returns something to
// go on checking with; named says that its URL is one.
func (b *builder) issuer(field string, c *Issuer) (s *issuer, named bool) {
	rules := token.Rules{
		MaxLifetime:         c.MaxLifetime,
		AllowMissingSubject: c.AllowMissingSubject,
		AllowIDTokenClaims:  c.AllowIDTokenClaims,
	}
	where := b.issuerURL(field, c)
	b.audiences(field, c, &rules)
	b.accepted(field, c, &rules)
	b.claimMap(field+".Claims", c, &rules)
	for _, name := range slices.Sorted(maps.Keys(c.RequireClaims)) {
		claim := fmt.Sprintf("%s.RequireClaims[%q]", field, name)
		values := slices.Clone(c.RequireClaims[name])
		if len(values) == 0 {
			b.fail(claim, "no values", "list the values that are accepted: an empty list accepts nobody")
		}
		rules.Required = append(rules.Required, token.Required{Name: name, Path: b.path(claim, name), Values: values})
	}
	s = &issuer{
		url: c.URL, tokens: token.NewChecker(rules), onBehalf: c.OnBehalf, private: where.Private,
		entry: edition.OfAll(c), place: placeOfKeys(c),
	}
	if named = where.Location != nil; !named {
		return s, false
	}
	where.Audiences, where.Algorithms = rules.Audiences, rules.Algorithms
	before := b.before.verifier.issuers[c.URL]
	switch {
	case before != nil && before.entry == s.entry: // tokens that it has verified stay verified
		return before, true
	case before != nil && before.place == s.place:
		s.keys = before.keys
	default:
		place := keys.Place{Digest: s.place, Loopback: where.Loopback, Private: where.Private}
		if s.keys = b.m.keys.Hold(place, func() *keys.Source { return b.keysOf(field, c, where) }); s.keys != nil {
			b.cold = append(b.cold, s)
		}
	}
	return s, true
}

// placeOfKeys tells whether the keys of two issuers come from the same place by the same way.
func placeOfKeys(c *Issuer) edition.Digest {
	return edition.OfAll([]any{c.URL, c.JWKSURI, c.Keys, c.AllowPrivate})
}

// issuerURL checks where an issuer is. Without a usable URL the result has no Location.
func (b *builder) issuerURL(field string, c *Issuer) keys.Issuer {
	where := keys.Issuer{URL: c.URL, Location: b.identifier(field+".URL", c.URL), Private: c.AllowPrivate}
	if where.Location == nil {
		return where
	}
	if where.Location.RawQuery != "" {
		b.fail(field+".URL", shownURL(c.URL), "an issuer identifier has no query (RFC 8414 section 2): remove it")
	}
	if strings.Contains(where.Location.Path+"/", "/.well-known/") {
		b.fail(field+".URL", shownURL(c.URL), "this is where metadata stands: write what its member issuer says, without /.well-known/ and what follows")
	}
	if strings.Contains(c.URL, "|") {
		b.fail(field+".URL", shownURL(c.URL), "no URL has a bar (RFC 3986 section 2): write it as the authorization server does, or percent-encoded if it does")
	}
	where.Location.Host = strings.ToLower(where.Location.Host) // where to fetch; the name stays as it is written
	host := where.Location.Hostname()
	if fetch.IsLoopbackHost(host) && b.config.AllowInsecureLoopback {
		where.Loopback, where.Private = true, true
	}
	if fetch.IsPrivateHost(host) && !where.Private {
		b.fail(field+".URL", shown(c.URL), "a private address: set AllowPrivate on the issuer if it is meant")
	}
	return where
}

func (b *builder) audiences(field string, c *Issuer, rules *token.Rules) {
	rules.Audiences = slices.Clone(c.Audiences)
	switch {
	case c.Audiences == nil:
		rules.Audiences = []string{b.config.Resource}
	case len(c.Audiences) == 0:
		b.fail(field+".Audiences", "empty", "an empty list accepts no token: leave it nil for the resource, or list audiences")
	case b.url != nil && !slices.Contains(c.Audiences, b.config.Resource):
		b.fail(field+".Audiences", fmt.Sprintf("%q", c.Audiences),
			fmt.Sprintf("must contain the resource %s, which clients will ask for: add it", shown(b.config.Resource)))
	}
	for i, audience := range rules.Audiences {
		if audience == "" && c.Audiences != nil {
			b.fail(fmt.Sprintf("%s.Audiences[%d]", field, i), `""`, "an audience is not empty: remove it")
		}
		if slices.ContainsFunc(b.config.Issuers, func(other Issuer) bool { return other.URL == audience }) {
			b.warn("an issuer itself is an accepted audience: tokens for its own endpoints will be accepted here", "issuer", c.URL, "audience", audience)
		}
	}
}

// accepted compiles what a token's header may say and how long it may live.
func (b *builder) accepted(field string, c *Issuer, rules *token.Rules) {
	rules.Algorithms = slices.Clone(c.Algorithms)
	if c.Algorithms == nil {
		rules.Algorithms = jose.Algorithms()
	} else if len(c.Algorithms) == 0 {
		b.fail(field+".Algorithms", "empty", "an empty list accepts no token: leave it nil for all that are safe")
	}
	for i, alg := range c.Algorithms {
		if !slices.Contains(jose.Algorithms(), alg) {
			b.fail(fmt.Sprintf("%s.Algorithms[%d]", field, i), shown(alg),
				"not an asymmetric signature algorithm: choose from "+strings.Join(jose.Algorithms(), ", "))
		}
	}
	rules.Types = []string{"at+jwt", "JWT", ""}
	if c.TokenTypes != nil {
		rules.Types = slices.Clone(c.TokenTypes)
		for i, typ := range c.TokenTypes {
			if token.IsForbiddenType(typ) {
				b.fail(fmt.Sprintf("%s.TokenTypes[%d]", field, i), shown(typ), "JWTs of this type are no access tokens: remove it")
			}
		}
		if len(c.TokenTypes) == 0 {
			b.fail(field+".TokenTypes", "empty", "an empty list accepts no token: leave it nil for at+jwt, JWT and none")
		}
	}
	if c.MaxLifetime < 0 {
		b.fail(field+".MaxLifetime", c.MaxLifetime.String(), "must not be negative; 0 means no limit")
	}
}

func (b *builder) claimMap(field string, issuer *Issuer, rules *token.Rules) {
	c := &issuer.Claims
	rules.Union, rules.RoleScopes = c.Union, make(map[string][]string, len(c.RoleScopes))
	scopes := c.Scopes
	if scopes == nil {
		scopes = []string{"scope", "scp"}
	}
	for i, path := range scopes {
		rules.ScopeClaims = append(rules.ScopeClaims, b.path(fmt.Sprintf("%s.Scopes[%d]", field, i), path))
	}
	for i, path := range c.Roles {
		rules.RoleClaims = append(rules.RoleClaims, b.path(fmt.Sprintf("%s.Roles[%d]", field, i), path))
	}
	if (len(c.Roles) == 0) != (len(c.RoleScopes) == 0) {
		b.fail(field+".RoleScopes", fmt.Sprintf("%d roles mapped, %d role claims", len(c.RoleScopes), len(c.Roles)), "Roles and RoleScopes need each other: set both, or neither")
	}
	for _, role := range slices.Sorted(maps.Keys(c.RoleScopes)) {
		rules.RoleScopes[role] = slices.Clone(c.RoleScopes[role])
		for _, scope := range c.RoleScopes[role] {
			if p := scopeProblem(scope); p != "" {
				b.fail(fmt.Sprintf("%s.RoleScopes[%q]", field, role), shown(scope), p)
			}
		}
	}
	if c.ClientID != "" {
		rules.ClientClaim = b.path(field+".ClientID", c.ClientID)
	}
	if c.Audience != "" {
		rules.AudienceClaim = b.path(field+".Audience", c.Audience)
		b.warn("tokens without aud are accepted by another claim: that binds them to a client, not to this resource", "issuer", issuer.URL, "claim", c.Audience)
	}
}

func (b *builder) path(field, path string) token.Path {
	names, ok := token.ParsePath(path)
	if !ok {
		b.fail(field, shown(path), `not a claim path: separate names with dots, and put a name with a dot or a slash in double quotes`)
	}
	return names
}
