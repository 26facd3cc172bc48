package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const resource = "https://mcp.example.com/mcp"

// world is one server behind the middleware.
type world struct {
	handler http.Handler
	issuer  *mcpauthtest.Issuer
	asked   int
}

func newWorld(t *testing.T, inner http.Handler) *world {
	t.Helper()
	w := &world{issuer: mcpauthtest.NewIssuerAt(t, "https://as.example.com")}
	rules := mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{}, Prompts: map[string]mcpauth.Requirement{}, Resources: map[string]mcpauth.Requirement{},
		Methods: map[string]mcpauth.Requirement{},
	}
	for _, method := range []string{"tasks/list", "tasks/get", "tasks/result", "tasks/cancel", "tasks/update"} {
		rules.Methods[method] = mcpauth.Authenticated()
	}
	for _, name := range names {
		need := mcpauth.Scopes("mcp:read")
		if strings.Contains(name, "canary") {
			need = mcpauth.Scopes("mcp:admin")
		}
		rules.Tools[name], rules.Prompts[name] = need, need
		rules.Resources["db://"+name], rules.Resources["files://"+name+"/{x}"] = need, need
	}
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{w.issuer.Config()}, Transport: w.issuer.Transport(), Policy: rules})
	require.NoError(t, err)
	w.handler = auth.Wrap(inner)
	return w
}

// caller is one who asks.
type caller struct {
	*world
	token  string
	modern bool
	heard  strings.Builder // all that came back
}

func (w *world) caller(subject, scope string, modern bool) *caller {
	return &caller{world: w, modern: modern, token: w.issuer.Token(mcpauthtest.Claims{"aud": resource, "sub": subject, "scope": scope})}
}

// ask makes one request and keeps all of the answer.
func (c *caller) ask(method, params string) (body string) {
	name := regexp.MustCompile(`"(?:name|uri|taskId)":"([^"]*)"`).FindStringSubmatch(params)
	if c.modern {
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
		params = strings.TrimPrefix(params+","+meta, ",")
	}
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token)
	if c.modern {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", method)
		if name != nil {
			r.Header.Set("Mcp-Name", name[1])
		}
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	c.asked++
	fmt.Fprintln(&c.heard, method, w.Code, w.Result().Header, w.Body)
	if _, data, ok := strings.Cut(w.Body.String(), `data: {"jsonrpc":"2.0","id":1`); ok {
		data, _, _ = strings.Cut(data, "\n")
		return `{"jsonrpc":"2.0","id":1` + data
	}
	return w.Body.String()
}

// pages walks through a list and returns its cursors and how many entries there were.
func (c *caller) pages(t *testing.T, method, member string) (entries int, cursors []string) {
	t.Helper()
	params := ""
	for range len(names) + 2 {
		var answer struct {
			Result map[string]json.RawMessage
		}
		body := c.ask(method, params)
		require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
		require.NotNil(t, answer.Result, "%s: %s", method, body)
		var list []json.RawMessage
		require.NoError(t, json.Unmarshal(answer.Result[member], &list), body)
		entries += len(list)
		next := string(answer.Result["nextCursor"])
		if next == "" || next == `""` || next == "null" {
			return entries, cursors
		}
		cursors = append(cursors, next)
		params = `"cursor":` + next
	}
	t.Fatalf("%s does not end", method)
	return 0, nil
}

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{6,}`)

// canaries are the lines in which a word stands, as it is or in an encoding.
func (c *caller) canaries(words ...string) (found []string) {
	for line := range strings.Lines(strings.ReplaceAll(c.heard.String(), "canary-free", "")) {
		texts := []string{line}
		for _, part := range encoded.FindAllString(line, -1) {
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				for cut := range min(4, len(part)) { // it may begin or end elsewhere
					text, _ := e.DecodeString(part[cut:])
					texts = append(texts, string(text))
				}
			}
			text, _ := hex.DecodeString(part)
			texts = append(texts, string(text))
		}
		all := strings.Join(texts, "\n")
		for _, word := range words {
			if strings.Contains(all, word) {
				found = append(found, line)
				break
			}
		}
	}
	return found
}

var kinds = []struct{ method, member string }{
	{"tools/list", "tools"}, {"prompts/list", "prompts"}, {"resources/list", "resources"}, {"resources/templates/list", "resourceTemplates"},
}

// TestCanaries_MCP_61_MCP_67_MCP_68: what a caller without the right can learn from all that comes back: nothing.
func TestCanaries_MCP_61_MCP_67_MCP_68(t *testing.T) {
	for name, inner := range map[string]http.Handler{
		"mcp-go": newMCPGo(), "mcp-go, JSON": newMCPGo(server.WithDisableStreaming(true)),
		"go-sdk": newGoSDK(false), "go-sdk, JSON": newGoSDK(true),
	} {
		for _, modern := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " modern=", modern), func(t *testing.T) {
				w := newWorld(t, inner)
				hasTasks := strings.HasPrefix(name, "mcp-go") && !modern
				words := []string{"canary"}
				admin := w.caller("admin", "mcp:read mcp:admin", modern)
				if hasTasks {
					for range 5 {
						id := regexp.MustCompile(`"taskId":"([^"]+)"`).FindStringSubmatch(admin.ask("tools/call", `"name":"a_open","task":{}`))
						require.NotNil(t, id, admin.heard.String())
						words = append(words, id[1])
					}
				}
				reader := w.caller("reader", "mcp:read", modern)
				for _, kind := range kinds {
					all, cursors := admin.pages(t, kind.method, kind.member)
					assert.Equal(t, len(names), all, "%s: who may see all sees all", kind.method)
					require.NotEmpty(t, cursors)
					open, cursors := reader.pages(t, kind.method, kind.member)
					assert.Equal(t, 5, open, "%s: everybody gets to the end", kind.method)
					lengths := map[int]bool{}
					for _, cursor := range cursors {
						lengths[len(cursor)] = true
					}
					assert.Len(t, lengths, 1, "%s: lengths of cursors", kind.method)
					for _, made := range []string{"b_canary", "db://c_canary", "files://b_canary/{x}"} {
						body := reader.ask(kind.method, `"cursor":"`+base64.StdEncoding.EncodeToString([]byte(made))+`"`)
						assert.Contains(t, body, `"code":-32602`)
					}
				}
				if hasTasks {
					all, _ := admin.pages(t, "tasks/list", "tasks")
					assert.Equal(t, 5, all)
					own, _ := reader.pages(t, "tasks/list", "tasks")
					assert.Zero(t, own)
				}
				for _, c := range []*caller{admin, reader} {
					for _, entry := range []string{"a_open", "b_canary", "nothing"} {
						c.ask("tools/call", `"name":"`+entry+`","arguments":{}`)
						c.ask("prompts/get", `"name":"`+entry+`"`)
						c.ask("resources/read", `"uri":"db://`+entry+`"`)
						c.ask("resources/read", `"uri":"files://`+entry+`/x"`)
						c.ask("completion/complete", `"ref":{"type":"ref/prompt","name":"`+entry+`"},"argument":{"name":"x","value":""}`)
					}
					for _, id := range append(words, "nothing") {
						c.ask("tasks/get", `"taskId":"`+id+`"`)
						c.ask("tasks/result", `"taskId":"`+id+`"`)
					}
					c.ask("server/discover", "")
					c.ask("initialize", `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}`)
				}
				assert.NotEmpty(t, admin.canaries(words...), "who may see them does, or this test sees nothing")
				assert.Empty(t, reader.canaries(words...))
				if modern {
					assert.NotContains(t, reader.heard.String()+admin.heard.String(), `"cacheScope":"public"`)
					assert.Contains(t, reader.heard.String(), `"cacheScope":"private"`)
				}
				t.Logf("%d requests, %d lines with canaries for the admin, %d for the reader", w.asked, len(admin.canaries(words...)), len(reader.canaries(words...)))
			})
		}
	}
}
