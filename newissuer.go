package mcpauth

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/introspect"
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
		NoJWTs:              c.isTokeninfo(),
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
	b.dpop(field, c, &rules)
	s = &issuer{
		url: c.URL, tokens: token.NewChecker(rules), onBehalf: c.AllowTokenExchange, private: where.Private,
		nonces: rules.NeedsBound, unlisted: c.Unlisted, entry: edition.OfAll(c), place: placeOfKeys(c),
	}
	named = where.Location != nil
	where.Audiences, where.Algorithms, where.Asked = rules.Audiences, rules.Algorithms, c.Introspect != nil
	before := b.before.verifier.issuers[c.URL]
	switch {
	case before != nil && before.entry == s.entry: // tokens that it has verified stay verified
		b.renew(before, c)
		return before, true
	case before != nil && before.place == s.place:
		s.keys = before.keys
	case !named:
		s.keys = b.keysOf(field, c, where) // for its mistakes
	default:
		place := keys.Place{Digest: s.place, Loopback: where.Loopback, Private: where.Private}
		if s.keys = b.m.keys.Hold(place, func() *keys.Source { return b.keysOf(field, c, where) }); s.keys != nil {
			b.cold = append(b.cold, s)
		}
	}
	if c.Introspect != nil {
		b.introspection(field, c, s, before, where)
	}
	return s, named
}

// placeOfKeys tells whether the keys of two issuers come from the same place by the same way.
func placeOfKeys(c *Issuer) edition.Digest {
	return edition.OfAll([]any{c.URL, c.JWKSURI, c.Keys, c.AllowPrivate, c.Introspect != nil, c.isTokeninfo()})
}

// issuerURL checks where an issuer is. Without a usable URL the result has no Location.
func (b *builder) issuerURL(field string, c *Issuer) keys.Issuer {
	where := keys.Issuer{URL: c.URL, Location: b.identifier(field+".URL", c.URL), Private: c.AllowPrivate}
	if where.Location == nil {
		where.Loopback = b.config.AllowInsecureLoopback // of what it may be, for its other URLs
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

// keysOf decides where the issuer's keys come from.
func (b *builder) keysOf(field string, c *Issuer, where keys.Issuer) *keys.Source {
	static := len(bytes.TrimSpace(c.Keys)) > 0
	switch {
	case c.isTokeninfo() && (c.Keys != nil || c.JWKSURI != ""):
		b.fail(field+".Introspect.Tokeninfo", "true", "Keys or JWKSURI are given too, and the issuer signs no access tokens: remove them")
	case c.isTokeninfo():
		return b.m.keys.None(where)
	case static && c.JWKSURI != "":
		b.fail(field+".JWKSURI", shownURL(c.JWKSURI), "Keys are given too: choose one source of keys")
	case static:
		source, err := b.m.keys.Static(where, c.Keys)
		if err != nil {
			b.fail(field+".Keys", fmt.Sprintf("%d bytes", len(c.Keys)), "neither a usable JWK Set nor PEM public keys: "+err.Error())
			return nil
		}
		for _, key := range source.Status().Skipped {
			if key.Reason == jose.ReasonPrivate {
				b.fail(field+".Keys", "key "+shown(key.Kid), "is a private key: give its public part, and replace the key if it has been seen")
			}
		}
		return source
	case c.Keys != nil:
		b.fail(field+".Keys", "empty", "give a JWK Set or PEM public keys, or leave it nil")
	case c.JWKSURI != "":
		source, err := b.m.keys.Fixed(where, c.JWKSURI)
		if err != nil {
			b.fail(field+".JWKSURI", shownURL(c.JWKSURI), urlProblem(c.JWKSURI))
		}
		return source
	default:
		return b.m.keys.Discovered(where)
	}
	return nil
}

func (b *builder) audiences(field string, c *Issuer, rules *token.Rules) {
	rules.Audiences = slices.Clone(c.Audiences)
	switch {
	case c.isTokeninfo():
		if !slices.ContainsFunc(c.Audiences, func(audience string) bool { return !strings.Contains(audience, "://") }) {
			b.fail(field+".Audiences", fmt.Sprintf("%q", c.Audiences), "tokens in this dialect name a client: list the client ids that are accepted")
		}
	case c.Audiences == nil:
		rules.Audiences = []string{b.config.Resource}
	case len(c.Audiences) == 0:
		b.fail(field+".Audiences", "empty", "an empty list accepts no token: leave it nil for the resource, or list audiences")
	case b.url != nil && !slices.Contains(c.Audiences, b.config.Resource):
		b.fail(field+".Audiences", fmt.Sprintf("%q", c.Audiences),
			fmt.Sprintf("must contain the resource %s, which clients will ask for: add it", shown(b.config.Resource)))
	case b.url == nil && b.config.Resource != "" && !slices.ContainsFunc(c.Audiences, isWeb):
		b.fail(field+".Audiences", fmt.Sprintf("%q", c.Audiences), "must contain the resource, which clients will ask for: add it when it is correct")
	}
	for i, audience := range rules.Audiences {
		if audience == "" && c.Audiences != nil {
			b.fail(fmt.Sprintf("%s.Audiences[%d]", field, i), `""`, "an audience is not empty: remove it")
		}
		if slices.ContainsFunc(b.config.Issuers, func(other Issuer) bool { return other.URL == audience }) {
			b.advise("an issuer itself is an accepted audience: tokens for its own endpoints will be accepted here", "Remove it, and have the authorization server put Config.Resource into aud.", "issuer", c.URL, "audience", audience)
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
			} else if token.IsIDTokenType(typ) {
				b.hint("TokenTypes accepts ID tokens by their typ", "token-id", "issuer", c.URL, "typ", typ)
			}
		}
		if len(c.TokenTypes) == 0 {
			b.fail(field+".TokenTypes", "empty", "an empty list accepts no token: leave it nil for at+jwt, JWT and none")
		}
	}
	switch {
	case c.MaxLifetime < 0:
		b.fail(field+".MaxLifetime", c.MaxLifetime.String(), "must not be negative; 0 means no limit")
	case c.MaxLifetime > 0 && c.MaxLifetime < time.Second:
		b.fail(field+".MaxLifetime", c.MaxLifetime.String(), "is shorter than a second, and no token would be accepted: give the unit, as in 1h or time.Hour")
	}
}

// dpop compiles whether tokens may be bound to a key. What one issuer takes is offered to
// everybody: who has no token yet has no issuer.
func (b *builder) dpop(field string, c *Issuer, rules *token.Rules) {
	switch c.DPoP {
	case DPoPOff, DPoPAccepted, DPoPRequired:
	default:
		b.fail(field+".DPoP", strconv.Itoa(int(c.DPoP)), "must be DPoPOff, DPoPAccepted or DPoPRequired")
	}
	if c.DPoP == DPoPRequired && c.isTokeninfo() {
		b.fail(field+".DPoP", "DPoPRequired", "the dialect of Tokeninfo says nothing of keys, and no token would be accepted: remove it")
	}
	rules.AcceptsBound, rules.NeedsBound = c.DPoP != DPoPOff, c.DPoP == DPoPRequired
	b.g.refuser.offersDPoP = b.g.refuser.offersDPoP || rules.AcceptsBound
	b.g.refuser.offersBearer = b.g.refuser.offersBearer || !rules.NeedsBound
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
		b.advise("tokens without aud are accepted by another claim: that binds them to a client, not to this resource", "Nothing, if the issuer can send no aud. Otherwise have it put Config.Resource there, and remove ClaimMap.Audience.", "issuer", issuer.URL, "claim", c.Audience)
	}
}

func (c *Issuer) isTokeninfo() bool { return c.Introspect != nil && c.Introspect.Tokeninfo }

// googleTokeninfo is where Google is asked.
const googleTokeninfo = "https://oauth2.googleapis.com/tokeninfo"

// introspection checks how an issuer is asked about tokens. What is known of them stays, if it was asked so before.
func (b *builder) introspection(at string, c *Issuer, s, before *issuer, where keys.Issuer) {
	how, field := c.Introspect, at+".Introspect"
	s.asks = edition.OfAll([]any{how.Endpoint, how.Client, how.Tokeninfo})
	config := introspect.Config{Issuer: s.url, Client: how.Client, Tokeninfo: how.Tokeninfo}
	endpoint := how.Endpoint
	if how.Tokeninfo && endpoint == "" {
		endpoint = googleTokeninfo
	}
	switch {
	case endpoint != "":
		if where.Accepts(endpoint) != nil {
			b.fail(field+".Endpoint", shownURL(endpoint), urlProblem(endpoint))
		}
		config.Endpoint = func(context.Context) (string, bool, error) { return endpoint, false, nil }
	case c.Keys != nil || c.JWKSURI != "":
		b.fail(field+".Endpoint", `""`, "required where no metadata is read: the URL of the introspection endpoint")
	default:
		config.Endpoint = func(ctx context.Context) (string, bool, error) { return s.keys.Endpoint(ctx, "introspection_endpoint") }
	}
	switch err := how.Client.Validate(); {
	case how.Tokeninfo && how.Client.ClientID() != "":
		b.fail(field+".Client", shown(how.Client.ClientID()), "there is no client authentication in this dialect: remove it")
	case !how.Tokeninfo && err != nil:
		value, problem := shown(how.Client.ClientID()), strings.TrimPrefix(err.Error(), "clientauth: ")
		if how.Client.ClientID() == "" {
			value, problem = "no client", "required: this server has to prove who it is: "+strings.TrimPrefix(problem, "no method: ")
		}
		b.fail(field+".Client", value, problem)
	}
	if how.Tokeninfo && c.AllowIDTokenClaims {
		b.fail(at+".AllowIDTokenClaims", "true", "ID tokens and access tokens of this issuer name the same client: remove it")
	}
	if how.Tokeninfo && c.AllowMissingSubject {
		b.fail(at+".AllowMissingSubject", "true", "a token of a user may come without sub in this dialect, and all users of a client would be one: remove it")
	}
	if !introspect.IsToken(how.Prefix + "a") {
		b.fail(field+".Prefix", shown(how.Prefix), "no token begins so: letters, digits and -._~+/ (RFC 6750 section 2.1)")
	}
	if how.Tokeninfo && how.JWTs {
		b.fail(field+".JWTs", "true", "this issuer makes no JWTs but ID tokens: remove it")
	}
	s.prefix, s.confirms = how.Prefix, how.JWTs
	if before != nil && before.asked != nil && before.asks == s.asks && before.keys == s.keys {
		s.asked = before.asked
		b.renew(s, c)
		return
	}
	s.asked = introspect.New(b.m.poster, b.m.operator.log, config)
	b.asked = append(b.asked, s)
}

// isWeb reports whether an audience could be a resource.
func isWeb(audience string) bool {
	return strings.HasPrefix(audience, "https://") || strings.HasPrefix(audience, "http://")
}

// urlProblem is what is wrong with the URL of a document or an endpoint that was not accepted, and the fix.
func urlProblem(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return "not an absolute URL: write https://host/path"
	case u.User != nil:
		return "has user information: remove it"
	case u.Fragment != "":
		return "has a fragment: remove it"
	case !fetch.HasOneReading(u.Hostname()):
		return "the host can be read in more than one way: write a name in ASCII, or an address of four numbers or of IPv6"
	case fetch.IsLoopbackHost(u.Hostname()):
		return "must be https; for development set AllowInsecureLoopback, where the issuer is on this machine, too"
	}
	return "must be https"
}

// renew has an issuer that is asked as before asked by the client as it is given now, which is as good.
func (b *builder) renew(s *issuer, c *Issuer) {
	if s.asked != nil {
		b.renewed = append(b.renewed, func() { s.asked.Use(c.Introspect.Client) })
	}
}

// prefixes sees to it that each token has one issuer that is asked about it.
func (b *builder) prefixes() {
	type asked struct{ field, url, prefix string }
	var all []asked
	for i := range b.config.Issuers {
		if c := &b.config.Issuers[i]; c.Introspect != nil {
			all = append(all, asked{fmt.Sprintf("Issuers[%d].Introspect.Prefix", i), c.URL, c.Introspect.Prefix})
		}
	}
	for i, one := range all {
		for _, other := range all[:i] {
			switch {
			case one.prefix == "" && other.prefix == "":
				b.fail(one.field, `""`, fmt.Sprintf("%s has none either: a token that is no JWT names no issuer, so give all but one of them the prefix of their tokens", shownURL(other.url)))
			case one.prefix != "" && other.prefix != "" && (strings.HasPrefix(one.prefix, other.prefix) || strings.HasPrefix(other.prefix, one.prefix)):
				b.fail(one.field, shown(one.prefix), fmt.Sprintf("one of two prefixes begins with the other, which is %s of %s: a token would have two issuers, so lengthen the shorter one", shown(other.prefix), shownURL(other.url)))
			}
		}
	}
}

// issuerFor finds the one issuer that is asked about a token that is no JWT, by how it begins; nil for none.
func issuerFor(compact string, issuers []*issuer) (found *issuer) {
	for _, s := range issuers {
		if s.asked != nil && strings.HasPrefix(compact, s.prefix) && (found == nil || s.prefix != "") {
			found = s
		}
	}
	return found
}

func (b *builder) path(field, path string) token.Path {
	names, ok := token.ParsePath(path)
	if !ok {
		b.fail(field, shown(path), `not a claim path: separate names with dots, and put a name with a dot or a slash in double quotes`)
	}
	return names
}
