package authservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

const betterAuthPath = "/api/auth"

// StartBetterAuth starts the npm package better-auth with its OAuth provider, as
// betterauth/auth.mjs has it.
func StartBetterAuth(t testing.TB) *Server {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	directory := filepath.Join(filepath.Dir(file), "betterauth")
	node.NeedIn(t, directory)
	server := &Server{
		Name:    "Better Auth",
		Version: betterAuthVersion(t, directory),
		Habits: "dynamic registration, an issuer with a path, RFC 8707, RFC 9068 tokens (`at+jwt`, EdDSA), " +
			"refresh tokens for `offline_access` only, revocation by signing out",
		Authorize: betterAuthPath + "/oauth2/authorize", Token: betterAuthPath + "/oauth2/token",
		Register: betterAuthPath + "/oauth2/register",
		Record:   &wire.Record{},
	}
	var operator betterAuthOperator
	serve(t, server.Record, func(origin string) http.Handler {
		server.Issuer = mcpauth.Issuer{URL: origin + betterAuthPath}
		ready := process.Start(t, exec.Command("node", filepath.Join(directory, "server.mjs")),
			"ISSUER="+origin, "SHORT_LIFE="+strconv.Itoa(ShortLife))
		operator = betterAuthOperator(fmt.Sprintf("http://127.0.0.1:%d/operator/", ready.Port))
		return forward(ready.Port)
	})
	server.Rotate = operator.rotate
	server.Revoke, server.Revoked = operator.revoke, operator.revoked
	return server
}

func betterAuthVersion(t testing.TB, directory string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(directory, "node_modules", "better-auth", "package.json"))
	must(t, err)
	var manifest struct{ Version string }
	must(t, json.Unmarshal(text, &manifest))
	return manifest.Version
}

// betterAuthOperator is where betterauth/server.mjs does what an operator's own
// code does with Better Auth's interfaces.
type betterAuthOperator string

func (o betterAuthOperator) ask(ctx context.Context, what, about string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, string(o)+what, strings.NewReader(about))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d", what, response.StatusCode)
	}
	return answer, err
}

func (o betterAuthOperator) rotate(ctx context.Context) error {
	_, err := o.ask(ctx, "rotate", "")
	return err
}

// revoke signs a person out everywhere.
func (o betterAuthOperator) revoke(ctx context.Context, person string) error {
	_, err := o.ask(ctx, "revoke", person)
	return err
}

// revoked asks whether the session goes on that a token names in sid.
func (o betterAuthOperator) revoked(ctx context.Context, p *mcpauth.Principal) (bool, error) {
	var claims struct {
		SID string `json:"sid"`
	}
	if err := p.Claims(&claims); err != nil {
		return false, err
	}
	if claims.SID == "" {
		return false, errors.New("the token has no sid")
	}
	answer, err := o.ask(ctx, "session", claims.SID)
	if err != nil {
		return false, err
	}
	return !bytes.Contains(answer, []byte(`"active":true`)), nil
}
