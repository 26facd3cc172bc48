package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// store remembers everything until the process ends.
type store struct {
	config Config
	key    key

	mu       sync.Mutex
	clients  map[string]Client
	requests map[string]request
	codes    map[string]string  // code -> id of the request
	refresh  map[string]grant   // refresh token -> what it is good for
	agreed   map[[2]string]bool // name of a person, URL of an API
}

var errUnknown = errors.New("unknown")

// askLifetime is how long a person may think.
const askLifetime = 10 * time.Minute

func newStore(c Config) *store {
	s := &store{config: c, key: newKey(), clients: map[string]Client{}, requests: map[string]request{}, codes: map[string]string{}, refresh: map[string]grant{}, agreed: map[[2]string]bool{}}
	for _, known := range c.Clients {
		s.clients[known.ID] = known
	}
	for _, service := range c.Services {
		s.clients[service.ID] = Client{ID: service.ID, Name: service.ID}
	}
	return s
}

func (s *store) addClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
}

func (s *store) clientName(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id].Name
}

func (s *store) signIn(name, password string) (Person, bool) {
	for _, p := range s.config.People {
		if p.Name == name {
			return p, subtle.ConstantTimeCompare([]byte(p.Password), []byte(password)) == 1
		}
	}
	return Person{}, false
}

// waiting returns a request that its person has not answered yet.
func (s *store) waiting(id string) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.requests[id]
	return q, ok && !q.Done() && time.Since(q.begun) < askLifetime
}

func (s *store) grant(id, subject string, scopes []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q, ok := s.requests[id]; ok {
		q.subject, q.scopes, q.signedIn = subject, scopes, now
		s.requests[id] = q
	}
}

// What follows are the methods by which the provider uses its store.

func (s *store) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if asked.ResponseType != oidc.ResponseTypeCode {
		return nil, oidc.ErrInvalidRequest().WithDescription("response_type must be code")
	}
	if asked.CodeChallenge == "" || asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	q := request{
		id: rand.Text(), clientID: asked.ClientID, redirectURI: asked.RedirectURI, state: asked.State, nonce: asked.Nonce,
		challenge: &oidc.CodeChallenge{Challenge: asked.CodeChallenge, Method: asked.CodeChallengeMethod},
		mode:      asked.ResponseMode,
		begun:     time.Now(),
		grant:     grant{client: asked.ClientID, resource: s.config.Resource, scopes: slices.Clone(asked.Scopes)},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[q.id] = q
	return &q, nil
}

func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.requests[id]
	if !ok {
		return nil, errUnknown
	}
	return &q, nil
}

// AuthRequestByCode uses the code up: it is good once.
func (s *store) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id, ok := s.codes[code]
	delete(s.codes, code)
	s.mu.Unlock()
	if !ok {
		return nil, errUnknown
	}
	return s.AuthRequestByID(ctx, id)
}

func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

func (s *store) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), time.Now().Add(s.config.TokenLifetime), nil
}

// CreateAccessAndRefreshTokens uses the old refresh token up.
func (s *store) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (id, token string, expiry time.Time, err error) {
	id, expiry, err = s.CreateAccessToken(ctx, r)
	if err != nil {
		return "", "", time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refresh, current)
	token = rand.Text()
	switch r := r.(type) {
	case *request:
		s.refresh[token] = r.grant
	case *grant:
		s.refresh[token] = *r
	}
	return id, token, expiry, nil
}

func (s *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.refresh[token]
	if !ok {
		return nil, op.ErrInvalidRefreshToken
	}
	return &g, nil
}

func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clients[id]
	if !ok {
		return nil, errUnknown
	}
	return &client{Client: c, scopes: s.config.Scopes}, nil
}

// GetPrivateClaimsFromRequest writes what a resource server decides by.
func (s *store) GetPrivateClaimsFromRequest(_ context.Context, r op.TokenRequest, _ []string) (map[string]any, error) {
	granted := slices.DeleteFunc(slices.Clone(r.GetScopes()), func(scope string) bool {
		return !slices.Contains(s.config.Scopes, scope)
	})
	claims := map[string]any{}
	if len(granted) > 0 {
		claims["scope"] = strings.Join(granted, " ")
	}
	for _, p := range s.config.People {
		if p.Name == r.GetSubject() && len(p.Roles) > 0 {
			claims["roles"] = p.Roles
		}
	}
	return claims, nil
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }
func (s *store) KeySet(context.Context) ([]op.Key, error)          { return []op.Key{publicKey{s.key}}, nil }
func (s *store) Health(context.Context) error                      { return nil }
func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// The stories have no use for the rest: introspection,
// revocation, the end of a session, and what an ID token says of a person.

func (s *store) TerminateSession(context.Context, string, string) error { return nil }
func (s *store) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrServerError()
}
func (s *store) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}
func (s *store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}
func (s *store) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return errUnknown
}
func (s *store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnknown
}
func (s *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}
func (s *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnknown
}
func (s *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnknown
}

// key signs tokens, for as long as the process lives.
type key struct{ private *ecdsa.PrivateKey }

func newKey() key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	return key{private}
}

func (k key) ID() string                                  { return "story-1" }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k key) Key() any                                    { return k.private }

type publicKey struct{ key }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.private.PublicKey }

var (
	_ op.Storage                        = (*store)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*store)(nil)
)
