package login

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// request is what a client asks for and, once the person has answered, what it
// was granted. It is the provider's AuthRequest.
type request struct {
	id, clientID, redirectURI, state, nonce string

	challenge *oidc.CodeChallenge
	mode      oidc.ResponseMode
	begun     time.Time
	grant
}

// grant is what a person has allowed a client. It is the provider's
// RefreshTokenRequest.
type grant struct {
	client   string
	subject  string
	resource string
	scopes   []string
	signedIn time.Time // zero: not yet
}

func (g *grant) GetAMR() []string            { return []string{"pwd"} }
func (g *grant) GetAudience() []string       { return []string{g.resource} }
func (g *grant) GetAuthTime() time.Time      { return g.signedIn }
func (g *grant) GetClientID() string         { return g.client }
func (g *grant) GetScopes() []string         { return g.scopes }
func (g *grant) GetSubject() string          { return g.subject }
func (g *grant) SetCurrentScopes(s []string) { g.scopes = s }

func (q *request) GetID() string                         { return q.id }
func (q *request) GetACR() string                        { return "" }
func (q *request) GetCodeChallenge() *oidc.CodeChallenge { return q.challenge }
func (q *request) GetNonce() string                      { return q.nonce }
func (q *request) GetRedirectURI() string                { return q.redirectURI }
func (q *request) GetResponseType() oidc.ResponseType    { return oidc.ResponseTypeCode }
func (q *request) GetResponseMode() oidc.ResponseMode    { return q.mode }
func (q *request) GetState() string                      { return q.state }
func (q *request) Done() bool                            { return !q.signedIn.IsZero() }

// client is a Client with what the provider wants to know of it.
type client struct {
	Client
	scopes []string
}

func (c *client) GetID() string                       { return c.ID }
func (c *client) RedirectURIs() []string              { return c.Client.RedirectURIs }
func (c *client) PostLogoutRedirectURIs() []string    { return nil }
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (c *client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c *client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (c *client) LoginURL(id string) string            { return signInPath + "?request=" + id }
func (c *client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c *client) IDTokenLifetime() time.Duration       { return 5 * time.Minute }
func (c *client) DevMode() bool                        { return false }
func (c *client) IsScopeAllowed(scope string) bool     { return slices.Contains(c.scopes, scope) }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c *client) ClockSkew() time.Duration             { return 0 }

func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return all }
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return all }

func all(scopes []string) []string { return scopes }

var (
	_ op.AuthRequest         = (*request)(nil)
	_ op.RefreshTokenRequest = (*grant)(nil)
	_ op.Client              = (*client)(nil)
)
