package configfile

import (
	"maps"
	"slices"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

// The members of each object. A further field of a Config is a line here, and one in docs/cli.md.
var (
	fileMembers = members[File]{
		"resource":                to(func(f *File) *string { return &f.Config.Resource }, aText),
		"issuers":                 to(func(f *File) *[]mcpauth.Issuer { return &f.Config.Issuers }, list(object(issuerMembers), `[{"url": "https://login.example.com"}]`)),
		"scopes":                  to(func(f *File) *[]string { return &f.Config.Scopes }, texts),
		"implies":                 to(func(f *File) *map[string][]string { return &f.Config.Implies }, byName(texts)),
		"allowed_origins":         to(func(f *File) *[]string { return &f.Config.AllowedOrigins }, texts),
		"metadata":                to(func(f *File) *map[string]any { return &f.Config.Metadata }, byName(anything)),
		"leeway":                  to(func(f *File) *time.Duration { return &f.Config.Leeway }, aDuration),
		"max_body":                to(func(f *File) *int64 { return &f.Config.MaxBody }, anInteger),
		"allow_insecure_loopback": to(func(f *File) *bool { return &f.Config.AllowInsecureLoopback }, aBool),
		"legacy_as_metadata":      to(func(f *File) *bool { return &f.Config.LegacyASMetadata }, aBool),
		"session_key":             to(func(f *File) *[]byte { return &f.Config.SessionKey }, aSecret),
		"old_session_keys":        to(func(f *File) *[][]byte { return &f.Config.OldSessionKeys }, list(aSecret, `[{"env": "NAME"}]`)),
		"delegate_tasks":          to(func(f *File) *bool { return &f.Config.DelegateTasks }, aBool),
		"rules":                   to(func(f *File) *mcpauth.Policy { return &f.Config.Policy }, someRules),
		"holders":                 to(func(f *File) *map[string][]string { return &f.Holders }, byName(texts)),
	}
	issuerMembers = members[mcpauth.Issuer]{
		"url":                   to(func(i *mcpauth.Issuer) *string { return &i.URL }, aText),
		"audiences":             to(func(i *mcpauth.Issuer) *[]string { return &i.Audiences }, texts),
		"algorithms":            to(func(i *mcpauth.Issuer) *[]string { return &i.Algorithms }, texts),
		"token_types":           to(func(i *mcpauth.Issuer) *[]string { return &i.TokenTypes }, texts),
		"claims":                to(func(i *mcpauth.Issuer) *mcpauth.ClaimMap { return &i.Claims }, object(claimMembers)),
		"require_claims":        to(func(i *mcpauth.Issuer) *map[string][]string { return &i.RequireClaims }, byName(texts)),
		"max_lifetime":          to(func(i *mcpauth.Issuer) *time.Duration { return &i.MaxLifetime }, aDuration),
		"allow_missing_subject": to(func(i *mcpauth.Issuer) *bool { return &i.AllowMissingSubject }, aBool),
		"allow_id_token_claims": to(func(i *mcpauth.Issuer) *bool { return &i.AllowIDTokenClaims }, aBool),
		"dpop":                  to(func(i *mcpauth.Issuer) *mcpauth.DPoP { return &i.DPoP }, aMode),
		"introspect":            to(func(i *mcpauth.Issuer) **mcpauth.Introspection { return &i.Introspect }, optional(object(introspectMembers))),
		"unlisted":              to(func(i *mcpauth.Issuer) *bool { return &i.Unlisted }, aBool),
		"allow_private":         to(func(i *mcpauth.Issuer) *bool { return &i.AllowPrivate }, aBool),
		"allow_token_exchange":  to(func(i *mcpauth.Issuer) *bool { return &i.AllowTokenExchange }, aBool),
		"jwks_uri":              to(func(i *mcpauth.Issuer) *string { return &i.JWKSURI }, aText),
		"keys":                  to(func(i *mcpauth.Issuer) *[]byte { return &i.Keys }, keySet),
	}
	introspectMembers = members[mcpauth.Introspection]{
		"endpoint":  to(func(i *mcpauth.Introspection) *string { return &i.Endpoint }, aText),
		"client":    to(func(i *mcpauth.Introspection) *clientauth.Method { return &i.Client }, aClient),
		"prefix":    to(func(i *mcpauth.Introspection) *string { return &i.Prefix }, aText),
		"jwts":      to(func(i *mcpauth.Introspection) *bool { return &i.JWTs }, aBool),
		"tokeninfo": to(func(i *mcpauth.Introspection) *bool { return &i.Tokeninfo }, aBool),
	}
	clientMembers = members[client]{
		"id":     to(func(c *client) *string { return &c.id }, aText),
		"secret": (*reader).clientSecret,
	}
	claimMembers = members[mcpauth.ClaimMap]{
		"scopes":      to(func(c *mcpauth.ClaimMap) *[]string { return &c.Scopes }, texts),
		"union":       to(func(c *mcpauth.ClaimMap) *bool { return &c.Union }, aBool),
		"roles":       to(func(c *mcpauth.ClaimMap) *[]string { return &c.Roles }, texts),
		"role_scopes": to(func(c *mcpauth.ClaimMap) *map[string][]string { return &c.RoleScopes }, byName(texts)),
		"client_id":   to(func(c *mcpauth.ClaimMap) *string { return &c.ClientID }, aText),
		"audience":    to(func(c *mcpauth.ClaimMap) *string { return &c.Audience }, aText),
	}
	ruleMembers = members[mcpauth.Rules]{
		"tools":     to(func(r *mcpauth.Rules) *map[string]mcpauth.Requirement { return &r.Tools }, byName(requirement)),
		"prompts":   to(func(r *mcpauth.Rules) *map[string]mcpauth.Requirement { return &r.Prompts }, byName(requirement)),
		"resources": to(func(r *mcpauth.Rules) *map[string]mcpauth.Requirement { return &r.Resources }, byName(requirement)),
		"methods":   to(func(r *mcpauth.Rules) *map[string]mcpauth.Requirement { return &r.Methods }, byName(requirement)),
	}
	requirementMembers = members[mcpauth.Requirement]{
		"all":     to(func(r *mcpauth.Requirement) *[]string { return &r.AllOf }, texts),
		"any":     to(func(r *mcpauth.Requirement) *[][]string { return &r.AnyOf }, list(texts, `[["a", "b"]]`)),
		"visible": to(func(r *mcpauth.Requirement) *bool { return &r.Visible }, aBool),
		"in_band": to(func(r *mcpauth.Requirement) *bool { return &r.InBand }, aBool),
	}
)

// allNames are the names of all members.
func allNames() []string {
	return slices.Concat(fileMembers.names(), issuerMembers.names(), introspectMembers.names(), clientMembers.names(), claimMembers.names(), ruleMembers.names(), requirementMembers.names())
}

// members are what an object may have, by name.
type members[T any] map[string]reading[T]

func (m members[T]) names() []string { return slices.Sorted(maps.Keys(m)) }

// reading takes a value of the file into one of the configuration.
type reading[T any] func(r *reader, into *T, n *node, path *trail)

// to reads a member into a field.
func to[T, V any](field func(*T) *V, of reading[V]) reading[T] {
	return func(r *reader, into *T, n *node, path *trail) { of(r, field(into), n, path) }
}
