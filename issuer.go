package mcpauth

import (
	"time"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/introspect"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// Issuer is one authorization server whose tokens are accepted. Only URL is
// needed. Issuers trust nothing of one another: keys, algorithms, audiences and claims of one
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
	// Tokens whose typ is at+jwt need no leave for that. Set it only for an issuer that is known to make such access tokens.
	AllowIDTokenClaims bool

	// DPoP says whether tokens may be bound to a key of the client, or must be (RFC
	// 9449). Default: those that are bound are refused.
	DPoP DPoP

	// AllowPrivate accepts an issuer on a private address, and lets its
	// metadata name a key URL on one.
	AllowPrivate bool

	// AllowTokenExchange lets tokens of the issuer be exchanged, in the name of the caller, for tokens of other APIs: see
	// the module mcpauth/onbehalf. The handler gets none of them nevertheless. Without it a token ends here.
	AllowTokenExchange bool

	// Introspect has the authorization server asked about tokens that are no JWTs. Nil: they are refused.
	Introspect *Introspection

	// Unlisted leaves the issuer out of all that the public may read, for a server whose issuers
	// would be a list of its customers. Its tokens are accepted as any others.
	Unlisted bool

	// JWKSURI is where the keys are, for an authorization server without
	// metadata. There is no discovery then.
	JWKSURI string

	// Keys are the keys themselves, a JWK Set or PEM public keys. There is no
	// network traffic for the issuer then, and no rotation.
	Keys []byte
}

// Introspection says how an authorization server is asked about tokens that only it can read (RFC 7662). What
// it answers is judged as the claims of a JWT are: aud must name the resource. An answer
// counts for a minute; what lasts longer, such as an event stream, is asked about each minute.
type Introspection struct {
	_ [0]func() // keyed literals only

	// Endpoint is where to ask. Default: introspection_endpoint of the issuer's metadata.
	Endpoint string

	// Client is how this server authenticates there. Most authorization servers want a client of its
	// own for it, and some tell a client only of tokens that name it in aud.
	Client clientauth.Method

	// Prefix is how tokens of this issuer begin ("ory_at_"). A token that is no JWT names no issuer: of
	// several that are asked all but one need a prefix, and that one is asked about all the rest.
	Prefix string

	// JWTs has the issuer asked about its JWTs, too, once they have been verified here: both must find a token good. So
	// one that was revoked is refused within a minute, at the price of a question a minute for each token.
	JWTs bool

	// Tokeninfo is the dialect of Google, at https://oauth2.googleapis.com/tokeninfo. Its tokens name a client and no
	// resource: Audiences must list the client ids that are accepted, and nothing else. Without client authentication.
	Tokeninfo bool
}

// DPoP says what becomes of access tokens that are bound to a key of the client, so
// that whoever steals one cannot use it (RFC 9449). A bound token is never taken for a
// bearer token, whatever this says.
type DPoP int

const (
	// DPoPOff refuses bound tokens. It is the default.
	DPoPOff DPoP = iota
	// DPoPAccepted accepts them with a proof of possession for each request, and bearer tokens
	// as before. A proof counts once, within 5 minutes of its time.
	DPoPAccepted
	// DPoPRequired accepts nothing else, and wants a nonce of this server in each proof: a client
	// gets one with the answer to its first request, and is told when it is a new one.
	DPoPRequired
)

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

	// ClientID is the path of the client id. Default: the first of
	// client_id, azp, cid, appid that is not empty.
	ClientID string

	// Audience is the path of the claim that binds a token of an issuer that
	// sends no aud to its client ("client_id"). It is read only if aud is
	// absent. This is weaker than an audience: prefer RFC 8707.
	Audience string
}

// issuer is an [Issuer] made ready.
type issuer struct {
	url    string
	keys   *keys.Source   // that sign its tokens
	tokens *token.Checker // what its tokens must look like
	entry  edition.Digest // of the whole Issuer
	place  edition.Digest // of where its keys come from

	onBehalf bool // its tokens may be exchanged
	private  bool // what it names may be at a private address

	asks     edition.Digest     // how it is asked
	asked    *introspect.Server // about tokens that are no JWTs; nil: they are refused
	prefix   string             // of those
	confirms bool               // asked about JWTs, too
	unlisted bool
	nonces   bool // DPoP proofs need a nonce of ours
}

// judge is by what a token is judged: who is asked about one remembers a refusal by it.
type judge struct {
	issuer *issuer
	leeway time.Duration
}
