package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// command runs the command mcpauth, built once.
type command struct{ program, dir string }

func newCommand(t *testing.T) command {
	t.Helper()
	c := command{dir: t.TempDir()}
	c.program = filepath.Join(c.dir, "mcpauth")
	build := exec.Command("go", "build", "-o", c.program, "./cmd/mcpauth")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return c
}

// run returns the exit code and the output.
func (c command) run(t *testing.T, token string, args ...string) (int, []byte) {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.program, args...)
	command.Stdin = strings.NewReader(token)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	require.Less(t, command.ProcessState.ExitCode(), 2, "%s", stderr.String())
	if token != "" {
		assert.NotContains(t, stdout.String()+stderr.String(), token[strings.LastIndex(token, ".")+1:], "the signature of the token is printed")
	}
	return command.ProcessState.ExitCode(), stdout.Bytes()
}

// doctor returns the causes that the doctor names.
func (c command) doctor(t *testing.T, token, resource, file string) (causes []string) {
	t.Helper()
	code, output := c.run(t, token, "doctor", "--json", "--resource", resource, "--policy", file, "--token", "-")
	var report struct {
		Faults int
		Steps  []struct{ State, Title, Detail, Cause, Fix string }
	}
	require.NoError(t, json.Unmarshal(output, &report), "%s", output)
	assert.Equal(t, report.Faults > 0, code == 1)
	for _, step := range report.Steps {
		if step.State == "fault" {
			assert.NotEmpty(t, step.Fix, step.Title)
			causes = append(causes, step.Cause)
			t.Logf("%s: %s (%s)", step.Cause, step.Title, step.Detail)
		}
	}
	return causes
}

// policyFile is the configuration of the protected server as a file.
func (c command) policyFile(t *testing.T, resource, issuer string, tools map[string]string) string {
	t.Helper()
	rules := map[string][]string{}
	for tool, scope := range tools {
		rules[tool] = []string{scope}
	}
	text, err := json.Marshal(map[string]any{
		"resource": resource, "scopes": []string{"mcp:read"}, "rules": map[string]any{"tools": rules},
		"issuers": []any{map[string]any{"url": issuer, "audiences": []string{resource, authservers.KeycloakAudience}}},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "mcpauth.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// TestKeycloakDoctor: the doctor finds nothing where Keycloak is set up as the page
// says, and names the fault where one of its settings is wrong.
func TestKeycloakDoctor_OBS_12(t *testing.T) {
	realm := authservers.StartKeycloakRealm(t)
	realm.Prepare(authservers.Ann)
	mcpauth := newCommand(t)
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.GoSDK, Issuer: realm.Issuer})
	good := mcpauth.policyFile(t, guarded.URL, realm.Issuer.URL, protected.Tools)
	all := "openid mcp:read mcp:admin"

	assert.Empty(t, mcpauth.doctor(t, realm.Grant(t, realm.Origin(), authservers.Ann, all).AccessToken, guarded.URL, good))
	code, output := mcpauth.run(t, realm.Grant(t, realm.Origin(), authservers.Ann, all).AccessToken,
		"policy", "--policy", good, "--live", guarded.URL, "--issuer", realm.Issuer.URL, "--token", "-")
	assert.Zero(t, code, "%s", output)
	assert.Contains(t, string(output), "no findings")

	for name, row := range map[string]struct {
		token func(t *testing.T) string
		cause string
	}{
		"no audience mapper": {func(t *testing.T) string {
			realm.RemoveMappers(t, "mcp:read")
			return realm.Grant(t, realm.Origin(), authservers.Lee, "openid mcp:read").AccessToken
		}, "audience-account"},
		"another host name": {func(t *testing.T) string {
			return realm.Grant(t, strings.Replace(realm.Origin(), "127.0.0.1", "localhost", 1), authservers.Ann, all).AccessToken
		}, "issuer-host"},
		"no scope basic": {func(t *testing.T) string {
			realm.RemoveMappers(t, "basic")
			return realm.Grant(t, realm.Origin(), authservers.Ann, all).AccessToken
		}, "subject"},
		"the scope is not included in the token": {func(t *testing.T) string {
			realm.Edit(t, realm.Scope(t, "mcp:read"), func(scope map[string]any) {
				scope["attributes"].(map[string]any)["include.in.token.scope"] = "false"
			})
			return realm.Grant(t, realm.Origin(), authservers.Ann, "openid mcp:read").AccessToken
		}, "scope-not-granted"},
		"the ID token": {func(t *testing.T) string {
			return realm.Grant(t, realm.Origin(), authservers.Ann, all).IDToken
		}, "token-id"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Contains(t, mcpauth.doctor(t, row.token(t), guarded.URL, good), row.cause)
		})
	}
}

// TestKeycloakPolicyLive: the policy is compared with the tools of the server and
// with the scopes that Keycloak announces.
func TestKeycloakPolicyLive_OBS_12(t *testing.T) {
	realm := authservers.StartKeycloakRealm(t)
	realm.Prepare(authservers.Ann)
	mcpauth := newCommand(t)
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.GoSDK, Issuer: realm.Issuer})
	token := realm.Grant(t, realm.Origin(), authservers.Ann, "openid mcp:read mcp:admin").AccessToken
	for finding, row := range map[string]struct {
		tools map[string]string
		code  int
	}{
		"tool-without-rule":   {map[string]string{"echo": "mcp:read"}, 1},
		"rule-without-tool":   {map[string]string{"echo": "mcp:read", "admin": "mcp:admin", "ekko": "mcp:read"}, 1},
		"scope-not-announced": {map[string]string{"echo": "mcp:read", "admin": "mcp:write"}, 0},
	} {
		t.Run(finding, func(t *testing.T) {
			file := mcpauth.policyFile(t, guarded.URL, realm.Issuer.URL, row.tools)
			code, output := mcpauth.run(t, token, "policy", "--policy", file, "--live", guarded.URL, "--issuer", realm.Issuer.URL, "--token", "-")
			assert.Equal(t, row.code, code, "%s", output)
			assert.Contains(t, string(output), finding)
		})
	}
}
