package lawful

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const (
	golden   = "testdata/refused.golden"
	resource = "https://mcp.example.com/mcp"
	modern   = "2026-07-28"
)

// message is what a client of some revision may send.
type message struct {
	method, params string
	name           string // what Mcp-Name repeats
	notification   bool
}

var messages = []message{
	{method: "initialize", params: `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}`},
	{method: "ping"},
	{method: "server/discover"},
	{method: "tools/list"},
	{method: "prompts/list"},
	{method: "resources/list"},
	{method: "resources/templates/list"},
	{method: "tools/call", params: `"name":"echo","arguments":{}`, name: "echo"},
	{method: "prompts/get", params: `"name":"greet"`, name: "greet"},
	{method: "resources/read", params: `"uri":"file:///a"`, name: "file:///a"},
	{method: "resources/subscribe", params: `"uri":"file:///a"`, name: "file:///a"},
	{method: "resources/unsubscribe", params: `"uri":"file:///a"`, name: "file:///a"},
	{method: "completion/complete", params: `"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"a","value":"b"}`},
	{method: "logging/setLevel", params: `"level":"info"`},
	{method: "subscriptions/listen", params: `"notifications":{"toolsListChanged":true}`},
	{method: "tasks/get", params: `"taskId":"1"`, name: "1"},
	{method: "tasks/cancel", params: `"taskId":"1"`, name: "1"},
	{method: "tasks/update", params: `"taskId":"1"`, name: "1"},
	{method: "tasks/result", params: `"taskId":"1"`, name: "1"},
	{method: "tasks/list"},
	{method: "notifications/initialized", notification: true},
	{method: "notifications/cancelled", params: `"requestId":77`, notification: true},
	{method: "notifications/progress", params: `"progressToken":1,"progress":1`, notification: true},
	{method: "notifications/roots/list_changed", notification: true},
	{method: "notifications/elicitation/complete", params: `"elicitationId":"1"`, notification: true},
	{method: "a result", params: `"result":{}`},
	{method: "an error", params: `"error":{"code":-1,"message":"no"}`},
}

// body is the message as a client of an era writes it.
func (m message) body(isModern bool) string {
	if strings.Contains(m.method, " ") {
		return `{"jsonrpc":"2.0","id":77,` + m.params + `}`
	}
	var members []string
	if m.params != "" {
		members = append(members, m.params)
	}
	if isModern {
		members = append(members, `"_meta":{"io.modelcontextprotocol/protocolVersion":"`+modern+`",`+
			`"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`)
	}
	id := `"id":1,`
	if m.notification {
		id = ""
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":{%s}}`, id, m.method, strings.Join(members, ","))
}

// try is one request.
type try struct {
	server  *server
	message message
	modern  bool     // as the body says
	version []string // lines of MCP-Protocol-Version
	routing string   // which of Mcp-Method and Mcp-Name
	session string   // of Mcp-Session-Id
}

var (
	versions = [][]string{nil, {"2025-03-26"}, {"2025-06-18"}, {"2025-11-25"}, {"2025-11-25, 2025-11-25"}, {"2025-11-25", "2025-11-25"}, {modern}, {modern, modern}, {"latest"}}
	routings = []string{"none", "method", "both"}
	sessions = []string{"none", "own", "empty"}
)

func tries(s *server) (all []try) {
	for _, m := range messages {
		for _, isModern := range []bool{false, true} {
			for _, version := range versions {
				for _, routing := range routings {
					for _, session := range sessions {
						switch {
						case isModern && strings.Contains(m.method, " "), // says nothing of its era
							routing == "both" && m.name == "",
							session != "none" && s.sse,
							session == "own" && !s.sessions:
						default:
							all = append(all, try{s, m, isModern, version, routing, session})
						}
					}
				}
			}
		}
	}
	return all
}

// header is that of the try; id is the session of the client.
func (c *try) header(id string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if c.version != nil {
		h["Mcp-Protocol-Version"] = c.version
	}
	if c.routing != "none" {
		h.Set("Mcp-Method", c.message.method)
	}
	if c.routing == "both" {
		h.Set("Mcp-Name", c.message.name)
	}
	switch c.session {
	case "own":
		h.Set("Mcp-Session-Id", id)
	case "empty":
		h.Set("Mcp-Session-Id", "")
	}
	return h
}

// answer is a ResponseWriter that ends the request with its first event.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	cancel context.CancelFunc
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) Flush()              { a.WriteHeader(http.StatusOK) }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body.Write(p)
	if strings.Contains(a.header.Get("Content-Type"), "event-stream") && bytes.Contains(a.body.Bytes(), []byte("\n\n")) {
		a.cancel()
	}
	return len(p), nil
}

// outcome is the status, and whether the JSON-RPC answer was an error.
func (a *answer) outcome() (text string, served bool) {
	text = fmt.Sprint(a.status)
	for line := range strings.Lines(a.body.String()) {
		var response struct {
			Error  json.RawMessage
			Method string
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data:")), &response) == nil && response.Error != nil && response.Method == "" {
			return text + " error", false
		}
	}
	return text, a.status < 300
}

// side is a server, bare or wrapped.
type side struct {
	handler  http.Handler
	token    string
	endpoint string // where messages go
	sessions int
}

func (s *side) send(t *testing.T, method, target, body string, header http.Header) *answer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://mcp.example.com"+target, io.NopCloser(strings.NewReader(body)))
	require.NoError(t, err)
	r.RequestURI, r.ContentLength, r.Header = target, int64(len(body)), header
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	a := &answer{header: http.Header{}, cancel: cancel}
	s.handler.ServeHTTP(a, r)
	return a
}

// begin begins a session and returns its id.
func (s *side) begin(t *testing.T) string {
	t.Helper()
	plain := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	a := s.send(t, http.MethodPost, s.endpoint, messages[0].body(false), plain.Clone())
	id := a.header.Get("Mcp-Session-Id")
	require.NotEmpty(t, id, "%d %s", a.status, &a.body)
	plain.Set("Mcp-Session-Id", id)
	a = s.send(t, http.MethodPost, s.endpoint, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, plain)
	require.Equal(t, http.StatusAccepted, a.status, "%s", &a.body)
	return id
}

func (s *side) try(t *testing.T, c *try) (string, bool) {
	t.Helper()
	id := ""
	if c.session == "own" {
		id = s.begin(t)
	}
	outcome, served := s.send(t, http.MethodPost, s.endpoint, c.message.body(c.modern), c.header(id)).outcome()
	if id != "" {
		s.send(t, http.MethodDelete, s.endpoint, "", http.Header{"Mcp-Session-Id": {id}})
	}
	return outcome, served
}

// wrap puts mcpauth around a handler, with rules that allow everything to one user.
func wrap(t *testing.T) (*mcpauth.Middleware, string) {
	t.Helper()
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	all := map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}
	methods := map[string]mcpauth.Requirement{}
	for _, m := range messages {
		if strings.HasPrefix(m.method, "tasks/") {
			methods[m.method] = mcpauth.Authenticated()
		}
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(), DelegateTasks: true,
		Policy: mcpauth.Rules{Tools: all, Prompts: all, Resources: all, Methods: methods},
	})
	require.NoError(t, err)
	return auth, issuer.Token(mcpauthtest.Claims{"aud": resource})
}

// TestLawful_MCP_20_MCP_24_MCP_29_MCP_49_SESS_08: what the bare server serves is served, or refused for a reason.
func TestLawful_MCP_20_MCP_24_MCP_29_MCP_49_SESS_08(t *testing.T) {
	report := map[string]map[string]int{} // reason, then where and what
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			auth, token := wrap(t)
			bare, wrapped := s.start(t, func(h http.Handler) http.Handler { return h }, ""), s.start(t, auth.Wrap, token)
			requests, served := 0, 0
			for _, c := range tries(s) {
				requests++
				want, ok := bare.try(t, &c)
				if !ok {
					continue
				}
				served++
				got, ok := wrapped.try(t, &c)
				if ok {
					continue
				}
				reason := c.reason()
				if reason == "" {
					t.Errorf("%s, modern %t, version %q, routing %s, session %s: bare %s, wrapped %s", c.message.method, c.modern, c.version, c.routing, c.session, want, got)
					continue
				}
				if report[reason] == nil {
					report[reason] = map[string]int{}
				}
				report[reason][fmt.Sprintf("%s: %s, bare %s, wrapped %s", s.name, c.message.method, want, got)]++
			}
			t.Logf("%d requests, %d of them served by the bare server", requests, served)
			assert.NotZero(t, served)
		})
	}
	if t.Failed() {
		return
	}
	var text strings.Builder
	for _, r := range reasons {
		assert.NotEmpty(t, report[r.text], "nothing is refused because: %s", r.text)
		fmt.Fprintf(&text, "%s\n", r.text)
		for _, row := range slices.Sorted(maps.Keys(report[r.text])) {
			fmt.Fprintf(&text, "\t%s (%d)\n", row, report[r.text][row])
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text.String(), "go test ./lawful -update in interop/")
}
