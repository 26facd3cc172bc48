package products

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // zitadel/oidc logs there
	var err error
	if built, err = os.MkdirTemp("", "mcpauth-command"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

var built string // directory for the command, until the tests end

// products are the authorization servers, with the faults that only they have.
var products = []struct {
	name   string
	start  func(testing.TB) *authservers.Server
	faults []fault
}{
	{"oidc-provider", func(t testing.TB) *authservers.Server {
		return authservers.StartOIDCProvider(t, authservers.OIDCProviderOptions{})
	}, nil},
	{"zitadel/oidc", authservers.StartZitadel, nil},
	{"ory/fosite", authservers.StartFosite, nil},
	{"Better Auth", authservers.StartBetterAuth, []fault{
		{name: "the client sends no resource", ask: func(a *ask) { a.resource = "" }, cause: "token-opaque"},
		{name: "the client sends the ID token", ask: func(a *ask) { a.id, a.scope = true, "openid mcp:read" }, cause: "token-id"},
	}},
	{"Ory Hydra", func(t testing.TB) *authservers.Server { return authservers.StartHydra(t, false) }, []fault{
		{name: "the client sends the ID token", ask: func(a *ask) { a.id, a.scope = true, "openid mcp:read" }, cause: "token-id"},
		{name: "the access token is opaque", ask: func(a *ask) { a.client = authservers.HydraOpaque }, cause: "token-opaque"},
		{name: "the consent app grants no audience", ask: func(a *ask) { a.resource = "" }, cause: "audience-empty"},
		{name: "a refreshed token names the key of before the rotation", ask: func(a *ask) { a.rotated = true }, cause: "signature"},
	}},
	{"Keycloak", authservers.StartKeycloak, []fault{
		{name: "the client sends the ID token", ask: func(a *ask) { a.id, a.scope = true, "openid mcp:read" }, cause: "token-id"},
		{name: "the client asks for no scope of a tool", ask: func(a *ask) { a.scope = "" }, cause: "audience-missing"},
		{name: "the issuer is configured without its path", change: withoutPath, cause: "issuer-path metadata-not-found"},
	}},
	{"Glewlwyd", authservers.StartGlewlwyd, []fault{
		{name: "the client sends no resource", ask: func(a *ask) { a.resource = "" }, cause: "audience-scopes"},
		{name: "the client sends the ID token", ask: func(a *ask) { a.id, a.scope = true, "openid mcp:read" }, cause: "token-id"},
		{name: "the issuer is configured without its path", change: withoutPath, cause: "issuer-path metadata-not-found"},
	}},
}

// setup is what an operator has: a running server, its policy, and a token of a client.
type setup struct {
	issuer, resource string
	audiences        []string
	ask              ask
	tool             string
	policy           string
}

// fault is a set-up with one thing wrong.
type fault struct {
	name   string
	ask    func(*ask)
	change func(*setup)
	cause  string // of docs/troubleshooting.md, or more than one if all follow from it
}

const policy = `{"tools":{"echo":["mcp:read"],"admin":["mcp:admin"]}}`

// common are the faults that can be had with every server.
var common = []fault{
	{name: "the issuer is configured with a slash at its end, or without it", change: func(s *setup) {
		if trimmed, ends := strings.CutSuffix(s.issuer, "/"); ends {
			s.issuer = trimmed
		} else {
			s.issuer += "/"
		}
	}, cause: "issuer-slash metadata-issuer"},
	{name: "the token is for another server", change: func(s *setup) {
		s.ask.resource, s.audiences = "http://127.0.0.1:9/mcp", nil
	}, cause: "audience-(host|client-id)"},
	{name: "nobody consented to the scope of the tool", change: func(s *setup) { s.tool = "admin" }, cause: "scope-not-granted"},
}

// withoutPath leaves nothing but the origin of the issuer.
func withoutPath(s *setup) {
	u, err := url.Parse(s.issuer)
	if err != nil {
		panic(err) // it is one of ours
	}
	s.issuer = u.Scheme + "://" + u.Host
}

// command builds the command mcpauth.
var command = sync.OnceValues(func() (string, error) {
	program := filepath.Join(built, "mcpauth")
	build := exec.Command("go", "build", "-o", program, "./cmd/mcpauth")
	build.Dir = filepath.Join("..", "..")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return program, nil
})

// run runs the command and returns its exit code.
func run(t *testing.T, arguments ...string) (code int, output []byte) {
	t.Helper()
	program, err := command()
	require.NoError(t, err)
	output, err = exec.CommandContext(t.Context(), program, arguments...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), output
	}
	require.NoError(t, err)
	return 0, output
}

// arguments writes the token and the file of a set-up.
func (s setup) arguments(t *testing.T, server *authservers.Server) []string {
	t.Helper()
	directory := t.TempDir()
	token, file := filepath.Join(directory, "token"), filepath.Join(directory, "mcpauth.json")
	require.NoError(t, os.WriteFile(token, []byte(s.ask.token(t, server)), 0o600))
	config := map[string]any{
		"resource": s.resource, "allow_insecure_loopback": true,
		"scopes":  []string{"mcp:read"},
		"issuers": []any{map[string]any{"url": s.issuer, "audiences": s.audiences}},
		"rules":   json.RawMessage(s.policy),
		"holders": map[string][]string{"everybody": {"mcp:read", "mcp:admin"}},
	}
	text, err := json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return []string{"--token", token, "--policy", file}
}

type findings struct {
	Faults int
	Steps  []struct{ Section, State, Title, Detail, Cause string }
}

// causes are what the doctor finds wrong, each once.
func (f findings) causes(t *testing.T) (causes []string) {
	t.Helper()
	for _, step := range f.Steps {
		switch {
		case step.State != "fault" || slices.Contains(causes, step.Cause):
		case step.Cause != "":
			causes = append(causes, step.Cause)
		default: // the running server has not the fault of the file
			assert.Equal(t, "it serves a token that is refused here", step.Title)
		}
	}
	return causes
}

// notes are what the doctor says of a healthy set-up beside the scope that was not asked for.
var notes = map[string][]string{
	"zitadel/oidc": {"clients cannot register themselves"},
	"ory/fosite":   {"clients cannot register themselves"},
	"Ory Hydra":    {"clients cannot register themselves"},
	"Keycloak":     {"a key cannot be used"}, // it is for encryption
}

// beside are the titles of what is neither well nor a fault.
func (f findings) beside() (titles []string) {
	for _, step := range f.Steps {
		if step.State != "ok" && step.State != "fault" {
			titles = append(titles, step.Title)
		}
	}
	return titles
}

func (s setup) doctor(t *testing.T, server *authservers.Server) (code int, found findings) {
	t.Helper()
	arguments := append([]string{"doctor", "--json", "--resource", s.resource, "--issuer", s.issuer}, s.arguments(t, server)...)
	if s.tool != "" {
		arguments = append(arguments, "--tool", s.tool)
	}
	code, output := run(t, arguments...)
	require.NoError(t, json.Unmarshal(output, &found), "%s", output)
	return code, found
}

// TestDoctor: no fault is found where all is well, and of one fault its cause.
func TestDoctor(t *testing.T) {
	for _, product := range products {
		t.Run(product.name, func(t *testing.T) {
			server := product.start(t)
			guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: server.Issuer})
			well := setup{issuer: server.Issuer.URL, resource: guarded.URL, policy: policy,
				ask: ask{resource: guarded.URL, scope: "mcp:read"}}
			if len(server.Issuer.Audiences) > 0 {
				well.audiences = append([]string{guarded.URL}, server.Issuer.Audiences...)
			}
			t.Run("healthy", func(t *testing.T) {
				code, found := well.doctor(t, server)
				assert.Zero(t, found.Faults, "%+v", found.Steps)
				assert.Zero(t, code)
				assert.Equal(t, append(notes[product.name], "it does not open admin"), found.beside(), "%+v", found.Steps)
			})
			for _, f := range append(common, product.faults...) {
				t.Run(f.name, func(t *testing.T) {
					ill := well
					if f.ask != nil {
						f.ask(&ill.ask)
					}
					if f.change != nil {
						f.change(&ill)
					}
					code, found := ill.doctor(t, server)
					assert.Equal(t, 1, code)
					assert.Regexp(t, "^"+f.cause+"$", strings.Join(found.causes(t), " "), "%+v", found.Steps)
				})
			}
		})
	}
}

// TestPolicyLive: the policy that fits the server has no finding, and each that
// does not has its own, and what follows from it.
func TestPolicyLive(t *testing.T) {
	for _, product := range products {
		t.Run(product.name, func(t *testing.T) {
			server := product.start(t)
			guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: server.Issuer})
			for _, row := range []struct{ name, policy, finding string }{
				{"healthy", policy, ""},
				{"a tool has no rule", `{"tools":{"echo":["mcp:read"]}}`, "tool-without-rule"},
				{"a rule is misspelt", `{"tools":{"echo":["mcp:read"],"admin":["mcp:admin"],"ehco":["mcp:read"]}}`, "rule-without-tool"},
				{"nobody can get a scope", `{"tools":{"echo":["mcp:read"],"admin":["mcp:adm"]}}`, "scope-nobody-can-get( scope-not-announced)?"},
			} {
				t.Run(row.name, func(t *testing.T) {
					s := setup{issuer: server.Issuer.URL, resource: guarded.URL, policy: row.policy,
						ask: ask{resource: guarded.URL, scope: "mcp:read mcp:admin"}}
					if len(server.Issuer.Audiences) > 0 {
						s.audiences = append([]string{guarded.URL}, server.Issuer.Audiences...)
					}
					code, output := run(t, append([]string{"policy", "--json", "--live", guarded.URL, "--issuer", server.Issuer.URL}, s.arguments(t, server)...)...)
					var report struct{ Findings []struct{ Code string } }
					require.NoError(t, json.Unmarshal(output, &report), "%s", output)
					var codes []string
					for _, found := range report.Findings {
						codes = append(codes, found.Code)
					}
					assert.Equal(t, row.finding != "", code == 1, "%s", output)
					assert.Regexp(t, "^"+row.finding+"$", strings.Join(codes, " "), "%s", output)
				})
			}
		})
	}
}
