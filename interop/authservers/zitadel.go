package authservers

import (
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers/pages"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// zitadelProject is the audience of the tokens. RFC 8707 is unknown to the
// server: whatever resource a client asks for, it gets a token for the project.
const zitadelProject = "281430709561589761"

// StartZitadel starts the OpenID provider of zitadel/oidc.
func StartZitadel(t testing.TB) *Server {
	t.Helper()
	server := &Server{
		Name:    "zitadel/oidc",
		Version: ModuleVersion(t, "github.com/zitadel/oidc/v3"),
		Habits: "no registration, no RFC 8707: `aud` is a project's number and the client, refresh tokens for " +
			"`offline_access` only, no `typ`, OpenID discovery only",
		ClientID:        "interop",
		IgnoresResource: true,
		Authorize:       "/authorize", Token: "/oauth/token",
		Record: &wire.Record{},
	}
	serve(t, server.Record, func(origin string) http.Handler {
		server.Issuer = mcpauth.Issuer{URL: origin, Audiences: []string{zitadelProject}}
		return zitadelHandler(t, origin)
	})
	return server
}

func zitadelHandler(t testing.TB, issuer string) http.Handler {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	storage := &zitadelStorage{
		key:      key,
		requests: map[string]*zitadelRequest{},
		codes:    map[string]string{},
		refresh:  map[string]*zitadelRequest{},
	}
	config := &op.Config{
		CodeMethodS256:        true,
		GrantTypeRefreshToken: true,
		SupportedScopes:       append([]string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess}, Scopes...),
	}
	_, _ = rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, storage, op.StaticIssuer(issuer), op.WithAllowInsecure(),
		op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.Handle("/login", op.NewIssuerInterceptor(provider.IssuerFromRequest).Handler(zitadelDesk(storage, provider)))
	return mux
}

// zitadelDesk is the page that [op.Client.LoginURL] leads to.
func zitadelDesk(storage *zitadelStorage, provider *op.Provider) pages.Desk {
	return pages.Desk{
		Asks: func(w http.ResponseWriter, r *http.Request) (string, []string, bool) {
			request, err := storage.AuthRequestByID(r.Context(), r.URL.Query().Get("id"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return "", nil, false
			}
			return request.GetClientID(), request.GetScopes(), true
		},
		Answered: func(w http.ResponseWriter, r *http.Request, person string, approved bool) {
			id := r.URL.Query().Get("id")
			if !approved {
				request, err := storage.AuthRequestByID(r.Context(), id)
				if err != nil {
					http.Error(w, err.Error(), http.StatusNotFound)
					return
				}
				op.AuthRequestError(w, r, request, oidc.ErrAccessDenied().WithDescription("the person said no"), provider)
				return
			}
			storage.approve(id, person)
			http.Redirect(w, r, op.AuthCallbackURL(provider)(r.Context(), id), http.StatusSeeOther)
		},
	}
}
