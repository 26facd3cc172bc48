// Package login is the authorization server of the stories: the OpenID
// provider of github.com/zitadel/oidc, with what such a library leaves to its
// user. That is a store (in memory), registration of clients that nobody knows
// (RFC 7591), tokens for one resource (RFC 8707), and a page on which people
// sign in and say what a client may do.
//
// In production Keycloak, Auth0, Entra or another product stands here. Nothing
// of this package is needed to use mcpauth.
package login

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Config says who signs in here, and for what.
type Config struct {
	Issuer   string // URL of this server
	Resource string // URL of the one MCP server that tokens are for
	Scopes   []string
	People   []Person
	Clients  []Client // known beforehand

	// OpenRegistration lets clients that nobody knows register themselves.
	OpenRegistration bool

	// Services exchange the tokens of their callers for tokens of APIs, where the person has agreed.
	Services []Service
	APIs     []API

	// Exchanging, if not nil, is called for each exchange, and says whether the server works at all.
	Exchanging func() bool

	// TokenLifetime is that of an access token. Default: five minutes.
	TokenLifetime time.Duration
}

// Person is somebody who can sign in.
type Person struct {
	Name, Password string
	Roles          []string // stand in the token, as the claim roles
	Scopes         []string // that the person may grant; nil: all
}

// Client is an application that may ask for tokens. All of them are public
// clients: they prove with PKCE that a code is theirs, and have no secret.
type Client struct {
	ID, Name     string
	RedirectURIs []string
}

// Server is a running authorization server.
type Server struct {
	config   Config
	provider *op.Provider
	store    *store
	mux      *http.ServeMux
}

// New makes an authorization server with a new key.
func New(c Config) (*Server, error) {
	if c.TokenLifetime == 0 {
		c.TokenLifetime = 5 * time.Minute
	}
	s := &Server{config: c, store: newStore(c), mux: http.NewServeMux()}
	settings := &op.Config{
		CodeMethodS256:        true,
		AuthMethodPost:        true, // some public clients send an empty secret
		GrantTypeRefreshToken: true,
		SupportedScopes:       append(slices.Clone(c.Scopes), oidc.ScopeOpenID, oidc.ScopeOfflineAccess),
	}
	_, _ = rand.Read(settings.CryptoKey[:]) // never fails
	var err error
	// Plain HTTP, because the stories do not leave this machine.
	s.provider, err = op.NewProvider(settings, s.store, op.StaticIssuer(c.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, err
	}
	s.mux.Handle("/", s.provider)
	s.mux.HandleFunc("/authorize", s.authorize)
	s.mux.HandleFunc("GET /.well-known/openid-configuration", s.metadata)
	s.mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.metadata)
	s.mux.HandleFunc("GET "+signInPath, s.ask)
	s.mux.HandleFunc("POST "+signInPath, s.answer)
	if len(c.Services) > 0 {
		s.mux.HandleFunc("POST /oauth/token", s.exchange)
		s.mux.HandleFunc("GET "+ConsentPath, s.askConsent)
		s.mux.HandleFunc("POST "+ConsentPath, s.agree)
	}
	if c.OpenRegistration {
		s.mux.HandleFunc("POST /register", s.register)
	}
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// metadata is the provider's, with the registration endpoint that it does not have itself.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	document := op.CreateDiscoveryConfig(s.context(r.Context()), s.provider, s.store)
	if s.config.OpenRegistration {
		document.RegistrationEndpoint = s.config.Issuer + "/register"
	}
	reply(w, http.StatusOK, document)
}

// authorize takes note of the resource indicator, of which the provider knows
// nothing, and leaves the rest to it. A token for another resource is not to be had.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what cannot be parsed has no resource
	if resources := r.Form["resource"]; len(resources) != 1 || resources[0] != s.config.Resource {
		http.Error(w, "invalid_target: resource must be "+s.config.Resource, http.StatusBadRequest) // RFC 8707 section 2
		return
	}
	s.provider.ServeHTTP(w, r)
}

// register takes in a client that nobody knows (RFC 7591).
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name         string   `json:"client_name"`
		RedirectURIs []string `json:"redirect_uris"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&asked)
	if err != nil || len(asked.RedirectURIs) == 0 {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_client_metadata"})
		return
	}
	for _, uri := range asked.RedirectURIs {
		if _, loopback := op.HTTPLoopbackOrLocalhost(uri); !loopback {
			reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_redirect_uri"})
			return
		}
	}
	c := Client{ID: "tool-" + rand.Text(), Name: asked.Name, RedirectURIs: asked.RedirectURIs}
	s.store.addClient(c)
	reply(w, http.StatusCreated, map[string]any{
		"client_id":                  c.ID,
		"client_name":                c.Name,
		"redirect_uris":              c.RedirectURIs,
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": "none",
	})
}

// context is one in which the provider finds its issuer.
func (s *Server) context(ctx context.Context) context.Context {
	return op.ContextWithIssuer(ctx, s.config.Issuer)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone, if anything
}
