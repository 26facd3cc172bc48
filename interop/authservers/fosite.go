package authservers

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// fosite's issuer has a path that ends in a slash, as many of Ory Hydra have,
// and its tokens are for what an operator registered as the audience.
const (
	fositePath     = "/tenants/acme/"
	fositeAudience = "https://api.example.com/mcp"
)

// buildFosite builds the program of the directory fosite. It is a module of
// its own, because it links a hundred packages that nothing else here needs.
func buildFosite(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(t.TempDir(), "fosite")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(filepath.Dir(file), "fosite")
	build.Env = append(os.Environ(), "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("fosite cannot be built: %v\n%s", err, output)
	}
	return program
}

// StartFosite starts an authorization server made of ory/fosite, the engine
// of Ory Hydra.
func StartFosite(t testing.TB) *Server {
	t.Helper()
	program := buildFosite(t)
	server := &Server{
		Name: "ory/fosite",
		Habits: "no registration, an issuer with a path and a trailing slash, `scp` array, a key without `alg`, " +
			"no RFC 8707: `aud` is what the operator registered, OpenID discovery only",
		ClientID:        "interop",
		IgnoresResource: true,
		Authorize:       fositePath + "oauth2/auth", Token: fositePath + "oauth2/token",
		Record: &wire.Record{},
	}
	serve(t, server.Record, func(origin string) http.Handler {
		issuer := origin + fositePath
		server.Issuer = mcpauth.Issuer{URL: issuer, Audiences: []string{fositeAudience}}
		ready := process.Start(t, exec.Command(program), "ISSUER="+issuer, "AUDIENCE="+fositeAudience,
			"CLIENT_ID="+server.ClientID, "SHORT_LIFE="+strconv.Itoa(ShortLife))
		server.Version = ready.Version
		return forward(ready.Port)
	})
	return server
}
