package login

import (
	"context"
	"crypto/subtle"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Service is a server that exchanges tokens of its callers for those of other APIs. It is a
// confidential client.
type Service struct{ ID, Secret string }

// API is one of those.
type API struct {
	URL    string            // aud of its tokens
	Scopes map[string]string // that a token for it may have, and what the caller's needs for each
}

// ConsentPath is where a person agrees that a service acts for her at an API: ?api=URL.
const ConsentPath = "/consent"

var consentPage = template.Must(template.New("consent").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Agree</title>
<h1>{{.}} is to be used in your name</h1>
<form method="post">
<input type="hidden" name="api" value="{{.}}">
<p><label>Name <input name="name" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<button name="answer" value="allow">Sign in and agree</button>
</form>
`))

// agree notes that a person has agreed. Whoever has opened the page, the password says who that is.
func (s *Server) agree(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	person, ok := s.store.signIn(r.PostFormValue("name"), r.PostFormValue("password"))
	api := s.store.api([]string{r.PostFormValue("api")})
	if !ok || api == nil || r.PostFormValue("answer") != "allow" {
		http.Error(w, "Name or password is wrong, or there is no such API.", http.StatusForbidden)
		return
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.agreed[[2]string{person.Name, api.URL}] = true
}

func (s *Server) askConsent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	_ = consentPage.Execute(w, r.URL.Query().Get("api")) // the browser has gone, if anything
}

// exchange lets the story see exchanges, and make them fail. The provider does them.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	isExchange := r.PostFormValue("grant_type") == string(oidc.GrantTypeTokenExchange)
	if isExchange && s.config.Exchanging != nil && !s.config.Exchanging() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	s.provider.ServeHTTP(w, r)
}

// api finds an API by the one audience that is asked for.
func (s *store) api(audience []string) *API {
	for i := range s.config.APIs {
		if api := &s.config.APIs[i]; len(audience) == 1 && api.URL == audience[0] {
			return api
		}
	}
	return nil
}

// What follows are the methods by which the provider exchanges tokens.

func (s *store) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	for _, service := range s.config.Services {
		if service.ID == id && subtle.ConstantTimeCompare([]byte(service.Secret), []byte(secret)) == 1 {
			return nil
		}
	}
	return errUnknown
}

// ValidateTokenExchangeRequest decides. The provider has verified the caller's token.
func (s *store) ValidateTokenExchangeRequest(_ context.Context, r op.TokenExchangeRequest) error {
	api := s.api(r.GetAudience())
	if api == nil {
		return oidc.ErrInvalidTarget()
	}
	scope, _ := r.GetExchangeSubjectTokenClaims()["scope"].(string)
	held := strings.Fields(scope)
	for _, asked := range r.GetScopes() {
		if needed, known := api.Scopes[asked]; !known || !slices.Contains(held, needed) {
			return oidc.ErrInvalidScope().WithDescription("the caller's token does not reach so far")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.agreed[[2]string{r.GetSubject(), api.URL}] {
		return oidc.ErrInteractionRequired().WithDescription("the person has not agreed yet")
	}
	r.SetRequestedTokenType(oidc.AccessTokenType)
	return nil
}

func (s *store) CreateTokenExchangeRequest(context.Context, op.TokenExchangeRequest) error {
	return nil
}

func (s *store) GetPrivateClaimsFromTokenExchangeRequest(_ context.Context, r op.TokenExchangeRequest) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(r.GetScopes(), " ")}, nil
}

func (s *store) SetUserinfoFromTokenExchangeRequest(context.Context, *oidc.UserInfo, op.TokenExchangeRequest) error {
	return nil
}

var _ op.TokenExchangeStorage = (*store)(nil)
