package auditlog_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const resource = "https://mcp.example.com/mcp"

// memory is a sink that remembers.
type memory struct {
	mu      sync.Mutex
	records []auditlog.Record
	before  func() error // runs first; an error is returned and nothing kept
}

func (m *memory) Write(records ...auditlog.Record) error {
	if m.before != nil {
		if err := m.before(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, records...)
	return nil
}

func (m *memory) all() []auditlog.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records
}

func (m *memory) last(tb testing.TB) auditlog.Record {
	tb.Helper()
	all := m.all()
	require.NotEmpty(tb, all)
	return all[len(all)-1]
}

// server is a wrapped handler whose decisions go to a sink.
type server struct {
	tb     testing.TB
	issuer *mcpauthtest.Issuer
	auth   *mcpauth.Middleware
	audit  *auditlog.Log
	http.Handler
	ran int
}

func newServer(tb testing.TB, sink auditlog.Sink, options auditlog.Options, change ...func(*mcpauth.Config)) *server {
	tb.Helper()
	s := &server{tb: tb, issuer: mcpauthtest.NewIssuerAt(tb, "https://as.example.com")}
	var err error
	s.audit, err = auditlog.New(sink, options)
	require.NoError(tb, err)
	config := mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{s.issuer.Config()}, Transport: s.issuer.Transport(),
		OnDecision: s.audit.OnDecision,
		Policy: mcpauth.Rules{
			Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read"), "admin_*": mcpauth.Scopes("mcp:admin", "mcp:read")},
			Resources: map[string]mcpauth.Requirement{"db://{table}": mcpauth.AnyScope("db:read", "db:all"), "db://one?key=1": mcpauth.Authenticated(),
				"log://{name}/x": mcpauth.AnyScope("db:read", "db:all"), "log://*": mcpauth.Authenticated()},
			Methods: map[string]mcpauth.Requirement{"vendor/x": mcpauth.Authenticated()},
		},
	}
	for _, c := range change {
		c(&config)
	}
	auth, err := mcpauth.New(config)
	require.NoError(tb, err)
	s.auth = auth
	s.Handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.ran++
		_, _ = io.WriteString(w, "{}")
	}))
	return s
}

func (s *server) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return s.issuer.Token(all)
}

// post sends a body of revision 2025-03-26, which knows batches too.
func (s *server) post(token, body string, headers ...string) int {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

func (s *server) call(token, tool string) int { return s.post(token, call(1, tool)) }

func call(id int, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"secret":"canary-argument"}}}`, id, tool)
}

// readFile returns the records of a file and the lines that are none.
func readFile(tb testing.TB, path string) (records []auditlog.Record, torn []error) {
	tb.Helper()
	file, err := os.Open(path)
	require.NoError(tb, err)
	defer file.Close()
	for record, err := range auditlog.Read(file) {
		if err != nil {
			require.ErrorIs(tb, err, auditlog.ErrTorn)
			torn = append(torn, err)
			continue
		}
		records = append(records, record)
	}
	return records, torn
}
