package matrix

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

func TestMain(m *testing.M) {
	// zitadel/oidc logs there every refused consent.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// TestMatrix walks every client through every authorization server (COMPAT-10,
// COMPAT-12, COMPAT-14) and compares what was seen on the wire with what
// deviations expects and docs/interop.md says.
func TestMatrix(t *testing.T) {
	node.Need(t)
	results := &table{cells: map[cell]verdict{}}
	t.Run("servers", func(t *testing.T) {
		for _, s := range servers {
			t.Run(s.name, func(t *testing.T) { // skipped alone where the server cannot be had
				server := s.start(t)
				results.servers = append(results.servers, server)
				t.Parallel()
				for _, c := range clients(t) {
					t.Run(c.name, func(t *testing.T) { results.resumed(t, server, c, func() { runCell(t, server, c, results) }) })
				}
			})
		}
	})
	results.clients = clients(t)
	if !t.Failed() {
		compareGolden(t, results)
	}
}

// servers are the authorization servers of the matrix.
var servers = []struct {
	name  string
	start func(testing.TB) *authservers.Server
}{
	{oidcProvider, func(t testing.TB) *authservers.Server {
		return authservers.StartOIDCProvider(t, authservers.OIDCProviderOptions{})
	}},
	{oidcProviderFree, func(t testing.TB) *authservers.Server {
		return authservers.StartOIDCProvider(t, authservers.OIDCProviderOptions{FreeScopes: true})
	}},
	{zitadel, authservers.StartZitadel},
	{fosite, authservers.StartFosite},
	{betterAuth, authservers.StartBetterAuth},
	{hydra, func(t testing.TB) *authservers.Server { return authservers.StartHydra(t, false) }},
	{keycloak, authservers.StartKeycloak},
	{glewlwyd, authservers.StartGlewlwyd},
}

func clients(t *testing.T) []client {
	return []client{
		goSDK(t),
		mcpGo(t),
		script(t, "TypeScript SDK 1.x", "@modelcontextprotocol/sdk", "sdk1.mjs"),
		script(t, "TypeScript SDK 2.x", "@modelcontextprotocol/client", "sdk2.mjs"),
		pythonSDK(t),
		inspector(t),
		mcpRemote(t),
	}
}

// scenario is what a client does in a world of its own, and who judges what was seen.
type scenario struct {
	person  string
	refuses refusing
	backend protected.Backend
	steps   []string
	judges  []judge
}

// runCell runs one client against one authorization server. What is not as expected is
// walked once more, and said: dozens of foreign processes share the machine, and one
// that stands still for seconds says nothing about anybody.
func runCell(t *testing.T, server *authservers.Server, c client, results *table) {
	// Not one second after the end of the token: a client whose stream has ended
	// comes back for it then, and two refreshes at once are one too many for a
	// server that rotates.
	wait := "wait:" + strconv.Itoa(authservers.ShortLife+2)
	for _, s := range []scenario{
		{authservers.Ann, never, protected.MCPGo, []string{"connect", "list", "call:echo", "call:admin", "call:echo"},
			[]judge{discovered, registered, authorized, listed, called, steppedUp}},
		{authservers.Ann, never, protected.GoSDK, []string{"connect", "list", "call:echo", "call:admin", "call:echo"},
			[]judge{discovered, registered, authorized, listed, called, steppedUp}},
		{authservers.Lee, never, protected.GoSDK, []string{"connect", "call:echo", "call:admin", "call:echo"}, []judge{steppedUpWithRefresh}},
		{authservers.Ron, never, protected.MCPGo, []string{"connect", "call:echo", wait, "call:echo"}, []judge{refreshed}},
		{authservers.Ron, never, protected.MCPGo, []string{"connect", "call:echo", "operator:rotate", wait, "call:echo"}, []judge{rotated}},
		{authservers.Ann, always, protected.MCPGo, []string{"connect", "call:echo"}, []judge{refused}},
		{authservers.Ann, later, protected.GoSDK, []string{"connect", "call:echo", "call:admin", "call:echo"}, []judge{refusedUp}},
		{authservers.Ann, never, protected.MCPGo, []string{"connect", "call:echo", "operator:revoke", "call:echo"}, []judge{revoked}},
	} {
		seen := walk(t, server, c, s)
		faults := results.judge(s.judges, seen, c)
		if len(faults) > 0 {
			t.Logf("walked once more: %q", faults)
			seen = walk(t, server, c, s)
			faults = results.judge(s.judges, seen, c)
		}
		for _, fault := range faults {
			t.Error(fault)
		}
		if len(faults) > 0 {
			seen.dump(t)
		}
	}
}

// walk runs a scenario with a new browser and a new protected server.
func walk(t *testing.T, server *authservers.Server, c client, s scenario) evidence {
	if slices.Contains(s.steps, "operator:revoke") && server.Revoke == nil || slices.Contains(s.steps, "operator:rotate") && server.Rotate == nil ||
		s.refuses == always && server.Narrows {
		s.steps = nil // nothing to be seen
	}
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: s.backend, Issuer: server.Issuer, Revoked: server.Revoked})
	if server.Prepare != nil {
		server.Prepare(s.person)
	}
	server.Record.Take()
	browser := authservers.NewBrowser(s.person, s.refuses != never)
	browser.Later = s.refuses == later
	var reports []report
	if s.steps != nil {
		j := job{
			url: guarded.URL, clientID: cmp.Or(server.Known[c.name], server.ClientID), browser: browser, steps: s.steps, operator: operator(server, s.person),
		}
		if server.Known[c.name] != "" && server.Redirects != nil {
			j.secret, j.redirects = server.Secret, func(uri string) { require.NoError(t, server.Redirects(t.Context(), uri)) }
		}
		reports = c.run(t, j)
	}
	server.Record.Settle()
	seen := evidence{server: server, guarded: guarded, reports: reports, as: server.Record.Take(), rs: guarded.Record.Take()}
	assert.Empty(t, seen.tooMuch()) // in no walk
	return seen
}

// refusing is when a person refuses consent.
type refusing int

const (
	never  refusing = iota
	always          // at the first question
	later           // from the second on
)

// operator does what the operator of an authorization server does.
func operator(server *authservers.Server, person string) func(context.Context, string) error {
	return func(ctx context.Context, what string) error {
		if what == "revoke" {
			return server.Revoke(ctx, person)
		}
		return server.Rotate(ctx)
	}
}

// TestLegacyClient runs a client that knows only revision 2025-03-26: it takes
// the resource's origin for the authorization server (COMPAT-01, COMPAT-03,
// COMPAT-04). It sends no resource, so its tokens are for the authorization
// server's default, and no scope, so its application asks for one.
func TestLegacyClient(t *testing.T) {
	node.Need(t)
	legacy := script(t, "TypeScript SDK 1.10", "sdk-2025-03-26", "sdk2025.mjs")
	for _, row := range []struct {
		name    string
		enabled bool
	}{
		{"COMPAT-01 on", true},
		{"COMPAT-05 off", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			listener := protected.Listen(t)
			server := authservers.StartOIDCProvider(t, authservers.OIDCProviderOptions{
				DefaultResource: protected.Resource(listener),
			})
			guarded := protected.Start(t, listener, protected.Options{
				Backend: protected.MCPGo, Issuer: server.Issuer, Legacy: row.enabled,
			})
			reports := legacy.run(t, job{url: guarded.URL, scope: "mcp:read", browser: authservers.NewBrowser(authservers.Ann, false),
				steps: []string{"connect", "list", "call:echo"}})
			seen := evidence{server: server, guarded: guarded, reports: reports, as: server.Record.Take(), rs: guarded.Record.Take()}
			if !row.enabled {
				assert.False(t, seen.ok("connect", 1), "the origin is no authorization server")
				assert.Empty(t, guarded.Ran())
				return
			}
			good := assert.True(t, seen.ok("connect", 1)) &&
				assert.Equal(t, "admin echo", seen.text("list", 1)) &&
				assert.NotEmpty(t, seen.find(seen.rs, func(e exchange) bool {
					return e.Path == "/.well-known/oauth-authorization-server" && e.Status == 200
				}), "the client asked the resource's origin") &&
				assert.Equal(t, "echo for ann", seen.text("call:echo", 1)) &&
				assert.Equal(t, []string{"echo"}, guarded.Ran())
			if !good {
				seen.dump(t)
			}
		})
	}
}

// table collects verdicts from tests that run at the same time.
type table struct {
	servers []*authservers.Server
	clients []client

	mu    sync.Mutex
	cells map[cell]verdict
}

type cell struct{ server, client, step string }

// judge compares what was seen with what is expected, and keeps the verdicts. It
// returns what is not as expected.
func (r *table) judge(judges []judge, seen evidence, c client) (faults []string) {
	for _, judge := range judges {
		step, problem := judge(seen)
		expected := deviationFor(seen.server.Name, c.name, step)
		switch {
		case problem == "" && expected != nil:
			faults = append(faults, fmt.Sprintf("%s works, although a deviation says %q: remove it", step, expected.reason))
			continue
		case problem != "" && (expected == nil || !strings.Contains(problem, expected.seen)):
			faults = append(faults, step+": "+problem)
			continue
		}
		r.mu.Lock()
		r.cells[cell{seen.server.Name, c.name, step}] = verdict{deviation: expected}
		r.mu.Unlock()
	}
	return faults
}

type verdict struct{ deviation *deviation }
