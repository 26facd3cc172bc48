package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// realServer is a real mcp-go server behind the wrapper. It remembers what ran
// and what the decision had named.
type realServer struct {
	*fixture
	session string // of a stateful server

	mu       sync.Mutex
	executed []string // "tool echo", "prompt p", "resource r://x"
	callers  []string // whom the handlers saw in their context
	decision mcpauth.Decision
}

// realTools are the tools of the server: those of the policy and every name
// that a hostile body might smuggle in.
var realTools = []string{"echo", "admin_delete", "Echo", "ECHO", "x", "a", "b", "e", " echo ", "__proto__"}

func newRealServer(t *testing.T, stateful bool, change func(*mcpauth.Config)) *realServer {
	t.Helper()
	s := &realServer{}
	s.fixture = newFixture(t, func(c *mcpauth.Config) {
		if change != nil {
			change(c)
		}
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.decision = d
		}
	})
	inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(false), server.WithPromptCapabilities(false), server.WithResourceCapabilities(true, false))
	for _, name := range realTools {
		inner.AddTool(mcp.NewTool(name), func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			s.note(ctx, "tool "+name)
			assert.Equal(t, name, request.Params.Name)
			return mcp.NewToolResultText("done"), nil
		})
	}
	inner.AddPrompt(mcp.NewPrompt("p"), func(ctx context.Context, _ mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		s.note(ctx, "prompt p")
		return mcp.NewGetPromptResult("", nil), nil
	})
	for _, uri := range []string{"r://x", "file:///etc/passwd"} {
		inner.AddResource(mcp.NewResource(uri, uri), func(ctx context.Context, _ mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			s.note(ctx, "resource "+uri)
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, Text: "x"}}, nil
		})
	}
	s.handler = s.auth.Wrap(server.NewStreamableHTTPServer(inner, server.WithStateful(stateful), server.WithStateLess(!stateful),
		server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler))))
	if stateful {
		s.begin(t, s.token(nil))
	}
	return s
}

// begin begins a session, in which the requests that follow are sent.
func (s *realServer) begin(t *testing.T, token string) {
	t.Helper()
	w := s.post(token, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	s.session = w.Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, s.session)
}

// note is called by every handler of the server.
func (s *realServer) note(ctx context.Context, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.executed = append(s.executed, what)
	if p, ok := mcpauth.FromContext(ctx); ok {
		s.callers = append(s.callers, p.Subject)
	}
}

// send posts a body, as a client of one era or the other, and returns what ran and what had been decided.
func (s *realServer) send(token, body string, headers ...string) (w *httptest.ResponseRecorder, executed []string, d mcpauth.Decision) {
	s.mu.Lock()
	s.executed, s.callers, s.decision = nil, nil, mcpauth.Decision{}
	s.mu.Unlock()
	if s.session != "" {
		headers = append(headers, "Mcp-Session-Id: "+s.session)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if strings.Contains(body, "subscriptions/listen") {
		cancel() // a stream that would not end by itself
	}
	w = s.serve(s.request(http.MethodPost, "/mcp", token, body, headers...).WithContext(ctx))
	s.mu.Lock()
	defer s.mu.Unlock()
	return w, s.executed, s.decision
}

// unnamed returns what ran without being named by a decision that said yes.
func unnamed(executed []string, d mcpauth.Decision) []string {
	named := map[string]bool{}
	for _, call := range d.Calls {
		named[string(call.Kind)+" "+call.Name] = d.Err == nil
	}
	return slices.DeleteFunc(slices.Clone(executed), func(what string) bool { return named[what] })
}

// wholeMeta is what mcp-go demands of a modern request.
const wholeMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// wholeCall is a modern call that mcp-go serves.
func wholeCall(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,%s}}`, tool, wholeMeta)
}

func eachServer(t *testing.T, change func(*mcpauth.Config), run func(t *testing.T, s *realServer)) {
	for name, stateful := range map[string]bool{"stateless": false, "stateful": true} {
		t.Run(name, func(t *testing.T) { run(t, newRealServer(t, stateful, change)) })
	}
}

func TestMCPGo_MCP_25_MCP_41(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, s *realServer) {
		token := s.token(nil)
		old := "MCP-Protocol-Version: 2025-11-25"

		w, executed, _ := s.send(token, legacyCall("echo"), old)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Body.String(), "done")
		assert.Equal(t, []string{"tool echo"}, executed)
		assert.Equal(t, []string{"user-1"}, s.callers, "the handler reads the caller from its context")

		w, executed, _ = s.send(token, wholeCall("echo"), modernHeaders("tools/call", "echo")...)
		assert.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		assert.Equal(t, []string{"tool echo"}, executed)
		assert.Equal(t, []string{"user-1"}, s.callers)

		w, executed, d := s.send(token, legacyCall("admin_delete"), old, "Mcp-Method: tools/call", "Mcp-Name: echo")
		s.fixture.refusedWhole(t, w, 403, `Bearer error="insufficient_scope", scope="mcp:read mcp:admin", resource_metadata="`+testMetadataURL+`"`, scopeBody("1", "mcp:read mcp:admin"))
		assert.Empty(t, executed)
		assert.Equal(t, "admin_delete", d.Calls[0].Name)

		w, executed, _ = s.send(token, wholeCall("admin_delete"), modernHeaders("tools/call", "admin_delete")...)
		s.fixture.refusedWhole(t, w, 403, adminChallenge, scopeBody("1", "mcp:admin"))
		assert.Empty(t, executed)

		w, executed, _ = s.send(token, legacyCall("x"), old)
		s.fixture.refusedWhole(t, w, 403, "", forbiddenBody)
		assert.Empty(t, executed)

		w, executed, _ = s.send("", legacyCall("echo"), old)
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Empty(t, executed)

		// What may not be called is not listed.
		w, _, _ = s.send(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, old)
		assert.Contains(t, w.Body.String(), `"name":"echo"`)
		assert.Equal(t, 1, strings.Count(w.Body.String(), `"name":`), "%s", w.Body)

		root := s.token(mcpauthtest.Claims{"scope": "mcp:admin", "sub": "root"})
		if s.session != "" {
			w, executed, _ = s.send(root, legacyCall("admin_delete"), old)
			s.fixture.refusedWhole(t, w, 404, "", `{"jsonrpc":"2.0","id":1,"error":{"code":-31404,"message":"session not found"}}`)
			assert.Empty(t, executed, "a session of another principal")
			s.begin(t, root)
		}
		w, executed, _ = s.send(root, legacyCall("admin_delete"), old)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, []string{"tool admin_delete"}, executed)
		assert.Equal(t, []string{"root"}, s.callers)
	})
}

// The server's own answers go through: an unsupported version is its business.
func TestMCPGo_MCP_27(t *testing.T) {
	s := newRealServer(t, false, nil)
	body := strings.Replace(wholeCall("echo"), "2026-07-28", "2099-01-01", 1)
	w, executed, d := s.send(s.token(nil), body, "MCP-Protocol-Version: 2099-01-01", "Mcp-Method: tools/call", "Mcp-Name: echo")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "-32022")
	assert.Empty(t, executed)
	assert.Nil(t, d.Err)
}

func openPolicy(c *mcpauth.Config) {
	c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil })
}

// inEra returns a body and the headers of a client of the era that means it.
func inEra(body string, modern bool) (string, []string) {
	if !modern {
		return body, []string{"MCP-Protocol-Version: 2025-11-25"}
	}
	var message struct {
		Method string
		Params struct{ Name, URI string }
	}
	_ = json.Unmarshal([]byte(body), &message)
	body = strings.Replace(body, `"params":{`, `"params":{`+wholeMeta+`,`, 1)
	body = strings.Replace(body, wholeMeta+`,}`, wholeMeta+`}`, 1)
	headers := []string{"MCP-Protocol-Version: 2026-07-28"}
	if message.Method != "" {
		headers = append(headers, "Mcp-Method: "+message.Method)
	}
	if name := message.Params.Name + message.Params.URI; name != "" && !strings.ContainsAny(name, "\r\n") && strings.TrimSpace(name) == name {
		headers = append(headers, "Mcp-Name: "+name)
	}
	return body, headers
}

// The whole corpus of hostile bodies against the real thing: whatever runs was
// named by the decision.
func TestMCPGoCorpus_MCP_13_MCP_14(t *testing.T) {
	assert.Equal(t, []string{"tool b"}, unnamed([]string{"tool a", "tool b"}, mcpauth.Decision{Calls: []mcpauth.Call{tool("a")}}))
	assert.Equal(t, []string{"tool a"}, unnamed([]string{"tool a"}, mcpauth.Decision{Calls: []mcpauth.Call{tool("a")}, Err: &mcpauth.DeniedError{}}))
	bodies := map[string]string{}
	for _, row := range corpus.Bodies {
		bodies[row.Name] = row.Body
	}
	eachServer(t, openPolicy, func(t *testing.T, s *realServer) { s.unnamedIn(t, bodies, 20) })
}

// The same for bodies that are a valid call, changed by chance.
func TestMCPGoMutations_MCP_13_MCP_14_MCP_25(t *testing.T) {
	bodies := map[string]string{}
	random := rand.New(rand.NewPCG(7, 8))
	for i := range 600 {
		body := mutated(random)
		bodies[fmt.Sprintf("%d: %s", i, body)] = body
	}
	eachServer(t, openPolicy, func(t *testing.T, s *realServer) { s.unnamedIn(t, bodies, 60) })
	t.Run("with rules", func(t *testing.T) {
		s := newRealServer(t, false, nil) // echo alone is open to the token
		token, ran := s.token(nil), 0
		for _, body := range bodies {
			for _, modern := range []bool{false, true} {
				sent, headers := inEra(body, modern)
				_, executed, _ := s.send(token, sent, headers...)
				for _, what := range executed {
					assert.Equal(t, "tool echo", what, "%s", sent)
					ran++
				}
			}
		}
		assert.Greater(t, ran, 20)
	})
}

func (s *realServer) unnamedIn(t *testing.T, bodies map[string]string, least int) {
	t.Helper()
	token, ran, stray := s.token(nil), 0, 0
	for name, body := range bodies {
		for _, modern := range []bool{false, true} {
			sent, headers := inEra(body, modern)
			_, executed, d := s.send(token, sent, headers...)
			ran += len(executed)
			if d.Err != nil && len(executed) > 0 {
				t.Errorf("%s: refused, and %v ran", name, executed)
			}
			if without := unnamed(executed, d); len(without) > 0 {
				stray += len(without)
				t.Errorf("%s: %v ran, decided on %+v\n%s", name, without, d.Calls, sent)
			}
			assert.Len(t, s.callers, len(executed))
		}
	}
	t.Logf("bodies: %d, executed: %d, executed that the decision did not name: %d", 2*len(bodies), ran, stray)
	assert.Greater(t, ran, least, "the server ran next to nothing: this test proves nothing")
}

// mutated is a valid call after one to three changes that are meant to make two
// readers disagree.
func mutated(random *rand.Rand) string {
	seeds := []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"b"}}}`,
		`{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"arguments":{},"name":"echo"}}`,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"},"id":2}`,
		`{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"p"}}`,
		`{"jsonrpc":"2.0","id":4,"method":"resources/read","params":{"uri":"r://x"}}`,
		`{"jsonrpc":"2.0","id":5,"method":"ping","params":{"name":"echo"}}`,
	}
	body := seeds[random.IntN(len(seeds))]
	for range 1 + random.IntN(3) {
		body = mutations[random.IntN(len(mutations))](random, body)
	}
	return body
}

func pick(random *rand.Rand, list ...string) string { return list[random.IntN(len(list))] }

// a member that a reader might take for another's.
func smuggled(random *rand.Rand) string {
	name := pick(random, `"name"`, `"Name"`, `"NAME"`, `"\u006eame"`, `"nam\u0065"`, `"method"`, `"Method"`, `"m\u0065thod"`, `"params"`, `"Params"`, `"param\u017f"`, "\"param\u017f\"", `"uri"`, `"URI"`, `"id"`, `"_meta"`, `"x"`, `"arguments"`)
	value := pick(random, `"admin_delete"`, `"ECHO"`, `"tools/call"`, `"ping"`, `null`, `{}`, `{"name":"admin_delete"}`, `{"name":"admin_delete","arguments":{}}`, `[]`, `1`, `"\u0061dmin_delete"`, `"file:///etc/passwd"`)
	return name + ":" + value
}

var mutations = []func(*rand.Rand, string) string{
	func(r *rand.Rand, s string) string { // a member more, at the beginning of some object
		return insertAfter(r, s, "{", smuggled(r)+",")
	},
	func(r *rand.Rand, s string) string { // or at its end
		return insertBefore(r, s, "}", ","+smuggled(r))
	},
	func(r *rand.Rand, s string) string { // a name in another spelling
		name := pick(r, "name", "method", "params", "arguments", "jsonrpc", "id")
		return strings.Replace(s, `"`+name+`"`, `"`+pick(r, strings.ToUpper(name), strings.ToUpper(name[:1])+name[1:], fmt.Sprintf(`\u%04x`, name[0])+name[1:], name+" ", name+`\u0000`)+`"`, 1)
	},
	func(r *rand.Rand, s string) string { // a value in another spelling
		return strings.Replace(s, `"echo"`, pick(r, `"\u0065cho"`, `"ech\u006F"`, `"Echo"`, `" echo "`, `null`, `["echo"]`, `{"name":"echo"}`, `"echo\u0000"`, `"x"`), 1)
	},
	func(r *rand.Rand, s string) string { // another method
		return strings.Replace(s, `"tools/call"`, pick(r, `"tools\/call"`, `"\u0074ools/call"`, `"Tools/Call"`, `"prompts/get"`, `"ping"`, `"$response"`, `"initialize"`, `null`), 1)
	},
	func(r *rand.Rand, s string) string { // something before or after
		other := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"admin_delete"}}`
		return pick(r, s+other, other+s, s+"\n"+other, "["+s+","+other+"]", "["+s+"]", "\ufeff"+s, s+"\x00", " \t\r\n"+s+"\n", "//\n"+s)
	},
	func(r *rand.Rand, s string) string { // a level more
		return strings.Replace(s, `"params":`, pick(r, `"params":{"params":{"name":"admin_delete"}},"x":`, `"Params":{"name":"admin_delete"},"params":`, `"params":null,"params":`, `"result":{},"params":`), 1)
	},
	func(r *rand.Rand, s string) string { // a blank somewhere
		return insertAfter(r, s, pick(r, "{", ",", ":"), pick(r, " ", "\n", "\t", "\u00a0", "/**/"))
	},
	func(r *rand.Rand, s string) string { // a byte changed
		b := []byte(s)
		b[r.IntN(len(b))] = byte(r.IntN(256))
		return string(b)
	},
	func(r *rand.Rand, s string) string { // a byte lost
		i := r.IntN(len(s))
		return s[:i] + s[i+1:]
	},
}

func insertAfter(r *rand.Rand, s, mark, more string) string { return insertAt(r, s, mark, more, 1) }

func insertBefore(r *rand.Rand, s, mark, more string) string { return insertAt(r, s, mark, more, 0) }

func insertAt(r *rand.Rand, s, mark, more string, offset int) string {
	n := strings.Count(s, mark)
	if n == 0 {
		return s
	}
	at := -1
	for range 1 + r.IntN(n) {
		at += 1 + strings.Index(s[at+1:], mark)
	}
	at += offset
	return s[:at] + more + s[at:]
}
