package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"

	"github.com/seed-1e292522/mcpauth/interop/authservers/pages"
)

type server struct {
	options
	key      *ecdsa.PrivateKey
	provider fosite.OAuth2Provider
}

func newServer(o options) (*server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	store := storage.NewMemoryStore()
	store.Clients[o.clientID] = &fosite.DefaultClient{
		ID:            o.clientID,
		Public:        true,
		RedirectURIs:  []string{"http://127.0.0.1/callback", "http://127.0.0.1/oauth/callback"},
		GrantTypes:    []string{"authorization_code", "refresh_token"},
		ResponseTypes: []string{"code"},
		Scopes:        append([]string{"offline"}, o.scopes...),
		Audience:      []string{o.audience},
	}
	config := &fosite.Config{
		AccessTokenLifespan: 10 * time.Minute,
		AccessTokenIssuer:   o.issuer,
		TokenURL:            o.issuer + "oauth2/token",
		EnforcePKCE:         true,
		ScopeStrategy:       fosite.ExactScopeStrategy,
		JWTScopeClaimKey:    jwt.JWTScopeFieldList,
		GlobalSecret:        []byte(rand.Text() + rand.Text()),
	}
	getKey := func(context.Context) (any, error) {
		return &jose.JSONWebKey{Key: key, KeyID: "signing", Algorithm: "ES256"}, nil
	}
	hmac := compose.NewOAuth2HMACStrategy(config)
	provider := compose.Compose(config, store,
		&compose.CommonStrategy{CoreStrategy: compose.NewOAuth2JWTStrategy(getKey, hmac, config)},
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory, compose.OAuth2PKCEFactory)
	return &server{options: o, key: key, provider: provider}, nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+s.path+".well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer":                                s.issuer,
			"authorization_endpoint":                s.issuer + "oauth2/auth",
			"token_endpoint":                        s.issuer + "oauth2/token",
			"jwks_uri":                              s.issuer + ".well-known/jwks.json",
			"response_types_supported":              []string{"code"},
			"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"token_endpoint_auth_methods_supported": []string{"none"},
			"code_challenge_methods_supported":      []string{"S256"},
		})
	})
	mux.HandleFunc("GET "+s.path+".well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		// Without alg, as Microsoft Entra publishes its keys.
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: "signing", Use: "sig"}}})
	})
	mux.Handle(s.path+"oauth2/auth", s.desk())
	mux.HandleFunc("POST "+s.path+"oauth2/token", s.token)
	return mux
}

// desk is the authorization endpoint with its pages.
func (s *server) desk() pages.Desk {
	return pages.Desk{
		Asks: func(w http.ResponseWriter, r *http.Request) (string, []string, bool) {
			request, err := s.provider.NewAuthorizeRequest(r.Context(), r)
			if err != nil {
				s.provider.WriteAuthorizeError(r.Context(), w, request, err)
				return "", nil, false
			}
			return request.GetClient().GetID(), request.GetRequestedScopes(), true
		},
		Answered: s.answered,
	}
}

func (s *server) answered(w http.ResponseWriter, r *http.Request, person string, approved bool) {
	ctx := r.Context()
	request, err := s.provider.NewAuthorizeRequest(ctx, r)
	if err == nil && !approved {
		err = fosite.ErrAccessDenied.WithHint("the person said no")
	}
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	if person != "ann" {
		request.GrantScope("offline") // with which fosite issues a refresh token
	}
	request.GrantAudience(s.audience)
	session := &oauth2.JWTSession{
		JWTClaims: &jwt.JWTClaims{
			Subject: person,
			Issuer:  s.issuer,
			Extra:   map[string]any{"client_id": request.GetClient().GetID()},
		},
		JWTHeader: &jwt.Headers{Extra: map[string]any{"kid": "signing"}},
		Subject:   person,
	}
	if person == "ron" {
		session.SetExpiresAt(fosite.AccessToken, time.Now().Add(s.shortLife))
	}
	response, err := s.provider.NewAuthorizeResponse(ctx, request, session)
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.provider.WriteAuthorizeResponse(ctx, w, request, response)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.provider.NewAccessRequest(ctx, r, &oauth2.JWTSession{})
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	if session := request.GetSession(); session.GetSubject() == "ron" {
		session.SetExpiresAt(fosite.AccessToken, time.Now().Add(s.shortLife).Round(time.Second))
	}
	response, err := s.provider.NewAccessResponse(ctx, request)
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	s.provider.WriteAccessResponse(ctx, w, request, response)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// The answer has begun, so there is nobody left to tell about an error.
	_ = json.NewEncoder(w).Encode(value)
}
