package authservers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var errUnknown = errors.New("unknown")

// zitadelStorage is what zitadel/oidc asks its operator for, in memory.
type zitadelStorage struct {
	key *rsa.PrivateKey

	mu       sync.Mutex
	requests map[string]*zitadelRequest
	codes    map[string]string          // code -> id of the request
	refresh  map[string]*zitadelRequest // refresh token -> what was granted
}

// zitadelRequest is an authorization request, and what was granted with it.
type zitadelRequest struct {
	id, subject string
	scopes      []string
	asked       oidc.AuthRequest
	done        bool
	at          time.Time
}

func (r *zitadelRequest) GetID() string                      { return r.id }
func (r *zitadelRequest) GetACR() string                     { return "" }
func (r *zitadelRequest) GetAMR() []string                   { return nil }
func (r *zitadelRequest) GetAudience() []string              { return []string{zitadelProject, r.asked.ClientID} }
func (r *zitadelRequest) GetAuthTime() time.Time             { return r.at }
func (r *zitadelRequest) GetClientID() string                { return r.asked.ClientID }
func (r *zitadelRequest) GetNonce() string                   { return r.asked.Nonce }
func (r *zitadelRequest) GetRedirectURI() string             { return r.asked.RedirectURI }
func (r *zitadelRequest) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }
func (r *zitadelRequest) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }
func (r *zitadelRequest) GetScopes() []string                { return r.scopes }
func (r *zitadelRequest) SetCurrentScopes(scopes []string)   { r.scopes = scopes }
func (r *zitadelRequest) GetState() string                   { return r.asked.State }
func (r *zitadelRequest) GetSubject() string                 { return r.subject }
func (r *zitadelRequest) Done() bool                         { return r.done }
func (r *zitadelRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}

func (s *zitadelStorage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	request := &zitadelRequest{id: rand.Text(), scopes: asked.Scopes, asked: *asked, at: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[request.id] = request
	return request, nil
}

// approve records who consented.
func (s *zitadelStorage) approve(id, person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request := s.requests[id]; request != nil {
		request.subject, request.done = person, true
		if person == Ann { // has no refresh tokens, whatever a client asks for
			request.scopes = slices.DeleteFunc(slices.Clone(request.scopes), func(scope string) bool {
				return scope == oidc.ScopeOfflineAccess
			})
		}
	}
}

func (s *zitadelStorage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request := s.requests[id]; request != nil {
		return request, nil
	}
	return nil, errUnknown
}

func (s *zitadelStorage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.codes[code]
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s *zitadelStorage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *zitadelStorage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

func (s *zitadelStorage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	life := 10 * time.Minute
	if request.GetSubject() == Ron {
		life = ShortLife * time.Second
	}
	return rand.Text(), time.Now().Add(life), nil
}

func (s *zitadelStorage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, current string) (string, string, time.Time, error) {
	granted, ok := request.(*zitadelRequest)
	if !ok {
		return "", "", time.Time{}, errUnknown
	}
	kept := *granted
	next := rand.Text()
	s.mu.Lock()
	delete(s.refresh, current) // a refresh token is good once
	s.refresh[next] = &kept
	s.mu.Unlock()
	id, expires, err := s.CreateAccessToken(ctx, request)
	return id, next, expires, err
}

func (s *zitadelStorage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if granted := s.refresh[token]; granted != nil {
		asked := *granted
		return &asked, nil
	}
	return nil, op.ErrInvalidRefreshToken
}

// GetPrivateClaimsFromScopes puts the scopes into the token. Tokens of the
// product Zitadel have roles instead, if an administrator says so.
func (s *zitadelStorage) GetPrivateClaimsFromScopes(_ context.Context, _, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(scopes, " ")}, nil
}

func (s *zitadelStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != "interop" {
		return nil, errUnknown
	}
	return zitadelClient{}, nil
}

func (s *zitadelStorage) SigningKey(context.Context) (op.SigningKey, error) {
	return zitadelKey{private: s.key}, nil
}

func (s *zitadelStorage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *zitadelStorage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{zitadelPublicKey{&s.key.PublicKey}}, nil
}

type zitadelKey struct{ private *rsa.PrivateKey }

func (zitadelKey) ID() string                                  { return "signing" }
func (zitadelKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k zitadelKey) Key() any                                  { return k.private }

type zitadelPublicKey struct{ public *rsa.PublicKey }

func (zitadelPublicKey) ID() string                         { return "signing" }
func (zitadelPublicKey) Use() string                        { return "sig" }
func (zitadelPublicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k zitadelPublicKey) Key() any                         { return k.public }

// zitadelClient is the one client, native and public.
type zitadelClient struct{}

func (zitadelClient) GetID() string { return "interop" }
func (zitadelClient) RedirectURIs() []string {
	return []string{"http://127.0.0.1/callback", "http://127.0.0.1/oauth/callback"} // any port: RFC 8252 section 7.3
}
func (zitadelClient) PostLogoutRedirectURIs() []string    { return nil }
func (zitadelClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (zitadelClient) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (zitadelClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (zitadelClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (zitadelClient) LoginURL(id string) string           { return "/login?id=" + id }
func (zitadelClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (zitadelClient) IDTokenLifetime() time.Duration      { return time.Minute }
func (zitadelClient) DevMode() bool                       { return false }
func (zitadelClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (zitadelClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (zitadelClient) IsScopeAllowed(scope string) bool     { return slices.Contains(Scopes, scope) }
func (zitadelClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (zitadelClient) ClockSkew() time.Duration             { return 0 }

// What follows is asked for by the interface and used by no MCP client.

func (s *zitadelStorage) Health(context.Context) error                           { return nil }
func (s *zitadelStorage) TerminateSession(context.Context, string, string) error { return nil }
func (s *zitadelStorage) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return nil
}
func (s *zitadelStorage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}
func (s *zitadelStorage) AuthorizeClientIDSecret(context.Context, string, string) error {
	return errUnknown
}
func (s *zitadelStorage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}
func (s *zitadelStorage) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return nil
}
func (s *zitadelStorage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnknown
}
func (s *zitadelStorage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnknown
}
func (s *zitadelStorage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnknown
}
