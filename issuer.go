package mcpauth

import (
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Issuer is one authorization server whose tokens are accepted. Only URL is
// needed. Issuers share nothing: keys, algorithms, audiences and claims of one
// never serve another.
type Issuer struct {
	_ [0]func() // keyed literals only

	// URL is the issuer identifier, byte-equal to iss in its tokens and to
	// issuer in its metadata. A trailing slash counts.
	URL string

	// Audiences are the accepted values of aud. It must contain
	// [Config].Resource; add what the authorization server puts there instead
	// ("api://default", a GUID). Default: the resource alone.
	Audiences []string

	// Algorithms are the accepted values of alg. Default and limit: RS256,
	// RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519.
	Algorithms []string

	// TokenTypes are the accepted values of the header's typ; "" stands for
	// none. Default: "at+jwt", "JWT" and "". With "at+jwt" alone tokens must be
	// as RFC 9068 has them, with iat. Types of JWTs that are no access tokens
	// are never accepted.
	TokenTypes []string

	// Claims says where scopes and client id stand. The zero value suits most.
	Claims ClaimMap

	// RequireClaims lists, by claim path (see [ClaimMap]), values of which the token must have
	// one: a tenant, an organization, token_use. Without one the answer is 403.
	RequireClaims map[string][]string

	// MaxLifetime refuses tokens that are valid for longer, exp minus iat. 0: no limit.
	MaxLifetime time.Duration

	// AllowMissingSubject accepts tokens without sub that name a client. The
	// principal is then that client.
	AllowMissingSubject bool

	// AllowIDTokenClaims accepts access tokens that carry nonce, at_hash, c_hash,
	// s_hash or events, or look like an ID token otherwise without saying that they are one.
	// Set it only for an issuer that is known to make such access tokens.
	AllowIDTokenClaims bool

	// AllowPrivate accepts an issuer on a private address, and lets its
	// metadata name a key URL on one.
	AllowPrivate bool

	// JWKSURI is where the keys are, for an authorization server without
	// metadata. There is no discovery then.
	JWKSURI string

	// Keys are the keys themselves, a JWK Set or PEM public keys. There is no
	// network traffic for the issuer then, and no rotation.
	Keys []byte
}

// ClaimMap says which claims hold what. A path names a claim, or a claim
// inside claims with dots between: realm_access.roles. A name that itself has a dot or
// a slash stands in double quotes: "https://example.com/roles".
type ClaimMap struct {
	_ [0]func() // keyed literals only

	// Scopes are the paths of scope claims; each may be a space-separated
	// string or an array. The first that is present counts. Default: scope, scp.
	Scopes []string

	// Union makes all claims in Scopes count instead of the first.
	Union bool

	// Roles are the paths of claims that hold roles, groups or permissions: a
	// string, an array, or an object whose member names are the roles. For scope
	// and scp, a string is split as scopes are.
	Roles []string

	// RoleScopes says which scopes a role grants. Roles that are not listed
	// grant nothing.
	RoleScopes map[string][]string

	// ClientID is the path of the client id. Default: the first present of
	// client_id, azp, cid, appid.
	ClientID string

	// Audience is the path of the claim that binds a token of an issuer that
	// sends no aud to its client ("client_id"). It is read only if aud is
	// absent. This is weaker than an audience: prefer RFC 8707.
	Audience string
}

// issuer is an [Issuer] made ready.
type issuer struct {
	url  string
	keys *keys.Source

	audiences, normalAudiences []string
	acceptable                 string // the audiences, for the operator
	audienceClaim              []string
	algorithms, types          []string
	needsIssuedAt              bool
	maxLifetime                time.Duration
	allowMissingSubject        bool
	allowIDTokenClaims         bool
	required                   []requiredClaim

	scopePaths, rolePaths [][]string
	union                 bool
	roleScopes            map[string][]string
	clientIDPath          []string
}

type requiredClaim struct {
	name   string
	path   []string
	values []string
}

// scopes collects what the token grants.
func (s *issuer) scopes(c *claims) (granted []string, denied *refusal.Refusal) {
	for _, path := range s.scopePaths {
		raw := c.at(path)
		if granted, denied = scopeList(granted, raw); denied != nil {
			return nil, denied
		}
		if raw != nil && !s.union {
			break
		}
	}
	for _, path := range s.rolePaths {
		for _, role := range c.rolesAt(path) {
			if granted, denied = addScopes(granted, s.roleScopes[role]); denied != nil {
				return nil, denied
			}
		}
	}
	return granted, nil
}

// rolesAt reads a role claim. A string is one role, because names of roles may
// have spaces; those of scopes have none (RFC 6749 section 3.3), and an issuer that
// shortens its scopes in the token has them mapped back here.
func (c *claims) rolesAt(path []string) []string {
	raw := c.at(path)
	if len(raw) > 0 && raw[0] == '{' {
		return memberNames(raw)
	}
	roles, _ := stringOrList(raw)
	if len(path) == 1 && (path[0] == "scope" || path[0] == "scp") && len(raw) > 0 && raw[0] == '"' {
		return strings.Split(roles[0], " ")
	}
	return roles
}

// at returns the raw value at a path, without a second pass for the usual ones.
func (c *claims) at(path []string) []byte {
	if len(path) == 1 {
		switch path[0] {
		case "scope":
			return c.scope
		case "scp":
			return c.scp
		}
	}
	return lookup(c.raw, path)
}

// hasGrants reports whether one of the configured scope claims is there, or one
// of the role claims beside a client id: ID tokens carry roles and groups too.
func (s *issuer) hasGrants(c *claims) bool {
	present := func(path []string) bool { return c.at(path) != nil }
	return slices.ContainsFunc(s.scopePaths, present) ||
		slices.ContainsFunc(s.rolePaths, present) && s.clientID(c) != ""
}

// clientID names the client (RFC 9068 section 2.2, and what providers send instead).
func (s *issuer) clientID(c *claims) string {
	if s.clientIDPath != nil {
		if id, ok := stringOrList(lookup(c.raw, s.clientIDPath)); ok && len(id) == 1 {
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

// parsePath takes a claim path apart.
func parsePath(path string) (names []string, ok bool) {
	for rest := path; ; {
		var name string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			if name, rest, ok = strings.Cut(quoted, `"`); !ok {
				return nil, false
			}
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			name, rest = rest[:end], rest[end:]
			if strings.ContainsAny(name, `"/`) {
				return nil, false
			}
		}
		if name == "" {
			return nil, false
		}
		names = append(names, name)
		if rest == "" {
			return names, true
		}
		if rest, ok = strings.CutPrefix(rest, "."); !ok {
			return nil, false
		}
	}
}
