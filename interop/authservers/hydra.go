package authservers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

const hydraVersion = "2.3.0" // that of hydra/go.mod

// HydraOpaque is a client of Ory Hydra whose access tokens are opaque.
const HydraOpaque = "interop-opaque"

// hydraProgram builds Ory Hydra, once for this user.
var hydraProgram = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "mcpauth-interop", "hydra-"+hydraVersion, "hydra")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	fresh := fmt.Sprintf("%s.%d", program, os.Getpid())
	build := exec.CommandContext(ctx, "go", "build", "-tags", "sqlite,json1", "-o", fresh, "github.com/ory/hydra/v2")
	build.Dir = hydraDirectory()
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return program, os.Rename(fresh, program)
})

func hydraDirectory() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "hydra")
}

// StartHydra starts Ory Hydra as hydra/hydra.yml says, with a login and consent
// app that grants the resource as audience. Clients have an id from an
// administrator, or register themselves.
func StartHydra(t testing.TB, registration bool) *Server {
	t.Helper()
	program, err := hydraProgram()
	if err != nil {
		process.Unavailable(t, "Ory Hydra could not be built: "+err.Error())
	}
	server := &Server{
		Name:    "Ory Hydra",
		Version: hydraVersion,
		Habits: "an id from an administrator, `scp` array, RS256, OpenID discovery only, " +
			"no RFC 8707: `aud` is what the consent app grants, here the `resource` that stands in the authorization request",
		ClientID:  "interop",
		Authorize: "/oauth2/auth", Token: "/oauth2/token",
		Record: &wire.Record{},
	}
	public, admin := process.FreePort(t), process.FreePort(t)
	app := &hydraApp{admin: "http://127.0.0.1:" + admin}
	var issuer string
	serve(t, server.Record, func(origin string) http.Handler {
		issuer = origin
		port, _ := strconv.Atoi(public)
		mux := http.NewServeMux()
		mux.Handle("/", forward(port))
		mux.HandleFunc("/app/login", app.login)
		mux.HandleFunc("/app/consent", app.consent)
		return mux
	})
	environment := []string{"SERVE_PUBLIC_PORT=" + public, "SERVE_ADMIN_PORT=" + admin,
		"URLS_SELF_ISSUER=" + issuer, "URLS_LOGIN=" + issuer + "/app/login", "URLS_CONSENT=" + issuer + "/app/consent"}
	if registration {
		server.Name += ", registration"
		server.Habits = "the same, but clients register themselves"
		server.ClientID, server.Register = "", "/oauth2/register"
		environment = append(environment, "WEBFINGER_OIDC_DISCOVERY_CLIENT_REGISTRATION_URL="+issuer+"/oauth2/register")
	}
	process.Serve(t, []string{program, "serve", "all", "--dev", "--config", filepath.Join(hydraDirectory(), "hydra.yml")},
		func() bool { return answers(app.admin + "/health/ready") }, environment...)
	for _, set := range []string{"hydra.openid.id-token", "hydra.jwt.access-token"} {
		must(t, app.importKey(t.Context(), set)) // or else Hydra makes some of 4096 bits at the first token, which takes its time
	}
	server.Issuer = mcpauth.Issuer{URL: issuer}
	server.Introspection = app.admin + "/admin/oauth2/introspect"
	server.Rotate = app.rotate
	server.Revoke, server.Revoked = app.revoke, app.revoked
	for id, strategy := range map[string]string{"interop": "jwt", HydraOpaque: "opaque"} {
		must(t, app.ask(t.Context(), http.MethodPost, "/admin/clients", map[string]any{
			"client_id": id, "token_endpoint_auth_method": "none", "access_token_strategy": strategy,
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
			"scope":         "mcp:read mcp:admin offline_access openid",
			"redirect_uris": []string{"http://127.0.0.1/callback", "http://127.0.0.1/oauth/callback"}, // any port: RFC 8252 section 7.3
		}, nil))
	}
	return server
}

func answers(address string) bool {
	response, err := http.Get(address)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rotate adds a key, as hydra import jwk does, with which Hydra signs from then on.
// The one before stays published. Hydra can make a key of its own too, of 4096 bits.
func (a *hydraApp) rotate(ctx context.Context) error {
	return a.importKey(ctx, "hydra.jwt.access-token")
}

func (a *hydraApp) importKey(ctx context.Context, set string) error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	key := jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: "RS256", Use: "sig"}
	return a.ask(ctx, http.MethodPut, "/admin/keys/"+set+"/"+key.KeyID, key, nil)
}

// revoke ends what a person has consented to.
func (a *hydraApp) revoke(ctx context.Context, person string) error {
	return a.ask(ctx, http.MethodDelete, "/admin/oauth2/auth/sessions/consent?all=true&subject="+url.QueryEscape(person), nil, nil)
}

// revoked asks whether the consent stands of which a token is made.
func (a *hydraApp) revoked(ctx context.Context, p *mcpauth.Principal) (bool, error) {
	var consents []struct {
		Request struct {
			Client struct {
				ID string `json:"client_id"`
			} `json:"client"`
		} `json:"consent_request"`
	}
	if err := a.ask(ctx, http.MethodGet, "/admin/oauth2/auth/sessions/consent?subject="+url.QueryEscape(p.Subject), nil, &consents); err != nil {
		return false, err
	}
	for _, consent := range consents {
		if consent.Request.Client.ID == p.ClientID {
			return false, nil
		}
	}
	return true, nil
}
