package differential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	resource = "https://mcp.example.com/mcp"
	// executedBodies is how many generated bodies go to each backend.
	executedBodies = 25_000
)

// requestState travels in the context of a request.
type requestState struct {
	number int
	cancel context.CancelFunc
}

type stateKey struct{}

func numberOf(ctx context.Context) int {
	if s, ok := ctx.Value(stateKey{}).(*requestState); ok {
		return s.number
	}
	return 0
}

// gate is whatever stands in front of a backend and decides.
type gate func(t testing.TB, l *ledger, next http.Handler) (handler http.Handler, token string)

// realGate is the middleware, with a token that opens echo, greet, one file,
// one tenant, and every method without a target.
func realGate(t testing.TB, l *ledger, next http.Handler) (http.Handler, string) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant1")
	read, admin := mcpauth.Scopes("mcp:read"), mcpauth.Scopes("mcp:admin")
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(), Scopes: []string{"mcp:read"},
		Policy: mcpauth.Rules{
			Tools:     map[string]mcpauth.Requirement{toolNames[0]: read, toolNames[1]: admin},
			Prompts:   map[string]mcpauth.Requirement{promptNames[0]: read, promptNames[1]: admin},
			Resources: map[string]mcpauth.Requirement{fileURIs[0]: read, fileURIs[1]: admin, tenantURI: read},
		},
		OnDecision: func(ctx context.Context, d mcpauth.Decision) {
			l.decide(numberOf(ctx), d)
			endSubscription(ctx, d)
		},
	})
	require.NoError(t, err)
	// A leg of runs takes longer than the tokens of mcpauthtest are valid.
	lasting := mcpauthtest.Claims{"aud": resource, "scope": "mcp:read", "exp": time.Now().Add(7 * 24 * time.Hour).Unix()}
	return auth.Wrap(next), issuer.Token(lasting)
}

// endSubscription makes the client of a subscription hang up at once: the
// answer to it never ends by itself.
func endSubscription(ctx context.Context, d mcpauth.Decision) {
	if len(d.Calls) > 0 && d.Calls[0].Method == "subscriptions/listen" {
		ctx.Value(stateKey{}).(*requestState).cancel()
	}
}

// trial sends requests to a backend behind a gate.
type trial struct {
	t       testing.TB
	ledger  *ledger
	handler http.Handler
	token   string
	session string

	requests, served, panics int
}

func newTrial(t testing.TB, b *backend, g gate) *trial {
	tr := &trial{t: t, ledger: newLedger()}
	backend := b.handler(tr.ledger)
	tr.handler, tr.token = g(t, tr.ledger, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.served++
		backend.ServeHTTP(w, r)
	}))
	if b.stateful {
		w := tr.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`, nil)
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		tr.session = w.Header().Get("Mcp-Session-Id")
		require.NotEmpty(t, tr.session)
		tr.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil)
	}
	return tr
}

// send posts a body with further headers. A panic of the handler is counted,
// and a trial that has lost its token fails.
func (tr *trial) send(body string, headers map[string]string) *httptest.ResponseRecorder {
	tr.requests++
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ctx = context.WithValue(ctx, stateKey{}, &requestState{tr.requests, cancel})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(body))
	r.Host = "mcp.example.com"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+tr.token)
	r.Header.Set(numberHeader, strconv.Itoa(tr.requests))
	if tr.session != "" {
		r.Header.Set("Mcp-Session-Id", tr.session)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil {
				tr.panics++
				tr.t.Errorf("panic %v on %q", p, body)
			}
		}()
		tr.handler.ServeHTTP(w, r)
	}()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		tr.t.Errorf("no answer to %q", body)
	case w.Code == http.StatusUnauthorized:
		tr.t.Errorf("the token is not accepted, so nothing is proven: %s", w.Header().Get("WWW-Authenticate"))
	}
	return w
}

// eras are the ways in which headers can stand to a body. Those of the modern
// era agree, as far as the gate can read the body, or lie.
var eras = []struct {
	name    string
	headers func(body string) map[string]string
}{
	{"no version", func(string) map[string]string { return nil }},
	{"2025-11-25", func(string) map[string]string { return map[string]string{"Mcp-Protocol-Version": "2025-11-25"} }},
	{"2026-07-28, agreeing", agreeing},
	{"2026-07-28, lying", func(string) map[string]string { return modernHeaders("tools/call", "echo") }},
}

func modernHeaders(method, name string) map[string]string {
	h := map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method}
	if name != "" {
		h["Mcp-Name"] = name
	}
	return h
}

// agreeing are the headers that the careless would write for a body.
func agreeing(body string) map[string]string {
	r, err := gateReading([]byte(body))
	if err != nil {
		v, err := parseMap([]byte(body))
		if err != nil {
			return modernHeaders("tools/call", "echo")
		}
		r, _ = valueReading(v)
	}
	name := r.Name.Value
	switch {
	case strings.HasPrefix(r.Method, "resources/"):
		name = r.URI.Value
	case strings.HasPrefix(r.Method, "tasks/"):
		name = r.TaskID.Value
	}
	if strings.ContainsFunc(r.Method+name, func(c rune) bool { return c < ' ' || c > '~' }) {
		return modernHeaders("tools/call", "echo") // cannot stand in a header
	}
	return modernHeaders(r.Method, name)
}

// TestExecuted is MCP-13 and MCP-25 on real servers: whatever the body and
// whatever the headers, no backend executes what the middleware's decision did
// not name and allow.
func TestExecuted(t *testing.T) {
	bodies := initialBodies()
	wild, fertile := newGenerator(seed+1), newFertileGenerator(seed+2)
	for range executedBodies / 2 {
		bodies = append(bodies, wild.next(), fertile.next())
	}
	for _, b := range backends {
		t.Run("MCP-13 "+b.name, func(t *testing.T) {
			tr := newTrial(t, &b, realGate)
			executed := tr.run(bodies, len(initialBodies()))
			tools, prompts, resources := tr.ledger.count()
			unjustified := tr.ledger.unjustified()
			t.Logf("%d bodies, %d requests, %d let through, %d tools, %d prompts, %d resources executed (by era: %v), %d unjustified, %d panics",
				len(bodies), tr.requests, tr.served, tools, prompts, resources, executed, len(unjustified), tr.panics)
			assert.Empty(t, unjustified)
			assert.Zero(t, tr.panics)
			for _, n := range []int{tools, prompts, resources} {
				assert.Greater(t, n, 20, "nothing is proven by what is not executed")
			}
			for i, era := range eras[:3] {
				assert.True(t, executed[i] > 10 || i == 2 && !b.modern, "executed with headers %q: %d", era.name, executed[i])
			}
		})
	}
}

// run sends the first bodies with the headers of every era and the others with
// those of one in four, and returns how many tools, prompts and resources were
// executed by era.
func (tr *trial) run(bodies []string, all int) (executed [4]int) {
	random := rand.New(rand.NewPCG(seed, 3))
	for i, body := range bodies {
		for e, era := range eras {
			if i >= all && random.IntN(len(eras)) != 0 {
				continue
			}
			before := tr.ledger.targets()
			tr.send(body, era.headers(body))
			executed[e] += tr.ledger.targets() - before
		}
	}
	return executed
}

// TestCarelessGatesExecute shows that TestExecuted can fail: gates that read
// bodies as other middleware does let tools run which they did not allow.
func TestCarelessGatesExecute(t *testing.T) {
	var bodies []string
	g := newFertileGenerator(seed + 3)
	for range executedBodies {
		bodies = append(bodies, g.next())
	}
	for _, tt := range []struct {
		name     string
		read     func(body []byte) (reading, error)
		backends []string
	}{
		{"MCP-01 names compared exactly", readExactly, []string{"mcp-go, stateless"}},
		{"MCP-01 names compared ignoring case", readIgnoringCase, []string{"go-sdk, stateless", "go-sdk, stateless, JSON"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, b := range backends {
				if !slices.Contains(tt.backends, b.name) {
					continue
				}
				tr := newTrial(t, &b, carelessGate(tt.read))
				for _, body := range bodies {
					tr.send(body, nil)
				}
				smuggled := 0
				for _, e := range tr.ledger.unjustified() {
					if e.name == "admin_delete" {
						smuggled++
					}
				}
				t.Logf("%s: %d requests, %d let through, admin_delete executed: %d", b.name, tr.requests, tr.served, smuggled)
				assert.Positive(t, smuggled)
			}
		})
	}
}

func readExactly(body []byte) (reading, error) {
	v, err := parseMap(body)
	if err != nil {
		return reading{}, err
	}
	return valueReading(v)
}

func readIgnoringCase(body []byte) (reading, error) {
	m, err := readFolding(body)
	if err != nil || m.Kind == jsonrpc.Response {
		return reading{}, errors.Join(err, errors.New("not a request"))
	}
	name := jsonrpc.Field{Value: *m.Name, State: jsonrpc.String}
	return reading{Method: m.Method, Name: name, Arguments: *m.Arguments}, nil
}

// carelessGate allows the tool echo, as it reads the body.
func carelessGate(read func(body []byte) (reading, error)) gate {
	return func(_ testing.TB, l *ledger, next http.Handler) (http.Handler, string) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			m, err := read(body.Bytes())
			if err != nil || m.Method != "tools/call" || m.Name.Value != "echo" {
				http.Error(w, "refused", http.StatusForbidden)
				return
			}
			call := mcpauth.Call{Method: m.Method, Kind: mcpauth.KindTool, Name: m.Name.Value, Arguments: carelessArguments(body.Bytes())}
			l.decide(numberOf(r.Context()), mcpauth.Decision{Calls: []mcpauth.Call{call}})
			forwarded := r.Clone(r.Context())
			forwarded.Body = readCloser{bytes.NewReader(body.Bytes())}
			next.ServeHTTP(w, forwarded)
		}), "none"
	}
}

// carelessArguments are params.arguments as encoding/json finds them.
func carelessArguments(body []byte) json.RawMessage {
	var m folding
	_ = json.Unmarshal(body, &m)
	if string(m.Params.Arguments) == "null" {
		return nil
	}
	return m.Params.Arguments
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
