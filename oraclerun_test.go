package mcpauth_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var (
	oracleCases = flag.Int("oracle", 20_000, "how many triples the oracle judges")
	oracleSeed  = flag.Uint64("oracleseed", 0, "seed of the triples; 0: from the clock")
)

var (
	oracleScopes  = []string{"a", "b", "c", "d", "mcp:read", "run:echo", "run:admin"}
	oracleTools   = []string{"echo", "admin", "admin_delete", "other"}
	oraclePrompts = []string{"p", "echo"}
	oracleURIs    = []string{"r://exact", "r://tree/a", "db://users", "db://users/rows", "z://none"}
	oracleNames   = slices.Sorted(maps.Keys(oracleMethods))
)

// oracleCase is one triple: policy, token ("good", or what is wrong with it), request.
type oracleCase struct {
	rules             mcpauth.Rules
	implies           map[string][]string
	base, scopes      []string // Config.Scopes, the token's
	delegate          bool
	token, verb, body string
	tells             bool // found in read
	headers           http.Header
}

// verdict is what is seen of a decision: status, scope of the challenge (in band or not), whether the handler ran.
type verdict struct {
	status int
	scope  string
	ran    bool
}

// generator makes random triples, most of them nearly right.
type generator struct {
	*rand.Rand
	clean bool // the request under way has no flaw
}

func oneOf[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

// rarely is true once in n times.
func (g *generator) rarely(n int) bool { return g.IntN(n) == 0 }

// flaw is rarely, for what is wrong with a request.
func (g *generator) flaw(n int) bool { return !g.clean && g.rarely(n) }

func (g *generator) some(from []string, atLeast int) []string {
	shuffled := slices.Clone(from)
	g.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	return shuffled[:atLeast+g.IntN(min(4, len(from)-atLeast+1))]
}

func (g *generator) requirement(named, tool bool) mcpauth.Requirement {
	scopes := oracleScopes
	if named {
		scopes = append(slices.Clone(scopes), "run:{name}")
	}
	req := mcpauth.Authenticated()
	switch g.IntN(4) {
	case 0:
		req = mcpauth.Scopes(g.some(scopes, 1)...)
	case 1:
		req = mcpauth.AnyScope(g.some(scopes, 1)...)
	case 2:
		req = mcpauth.Requirement{AllOf: g.some(scopes, 1), AnyOf: [][]string{g.some(scopes, 1), g.some(scopes, 2)}}
	}
	req.InBand = tool && g.rarely(3)
	return req
}

func (g *generator) rules(named, tool bool, keys ...string) map[string]mcpauth.Requirement {
	rules := map[string]mcpauth.Requirement{}
	for _, key := range g.some(keys, 1) {
		rules[key] = g.requirement(named, tool)
	}
	return rules
}

// policy fills in everything that belongs to the configuration.
func (g *generator) policy() oracleCase {
	c := oracleCase{base: g.some(oracleScopes, 0), delegate: g.rarely(2), implies: map[string][]string{}}
	for i, scope := range oracleScopes[:4] { // a scope includes only later ones
		if g.rarely(2) {
			c.implies[scope] = g.some(oracleScopes[i+1:], 1)
		}
	}
	c.rules = mcpauth.Rules{
		Tools:     g.rules(true, true, "echo", "admin", "admin*", "admin_*", "*", "other"),
		Prompts:   g.rules(true, false, "p", "*", "ec*"),
		Resources: g.rules(false, false, "r://exact", "r://tree/*", "db://{table}", "*"),
		Methods:   g.rules(false, false, "tools/list", "server/discover", "logging/setLevel", "tasks/get", "tasks/cancel", "tasks/list", "tasks/delete", "vendor/x", "notifications/progress"),
	}
	return c
}

// compact gives the case a token.
func (g *generator) compact(c *oracleCase, f *fixture) string {
	c.token, c.scopes = "good", g.some(oracleScopes, 0)
	claims := mcpauthtest.Claims{"scope": strings.Join(c.scopes, " ")}
	if len(c.scopes) == 0 {
		claims["scope"] = nil
	}
	if !g.rarely(12) {
		return f.token(claims)
	}
	c.token = oneOf(g, "none", "expired", "audience", "issuer", "signature")
	switch c.token {
	case "none":
		return ""
	case "expired":
		claims["exp"] = time.Now().Add(-time.Hour).Unix()
	case "audience":
		claims["aud"] = oneOf(g, testResource+"/", "https://mcp.example.com", "x")
	case "issuer":
		claims["iss"] = testIssuerURL + "/"
	case "signature":
		parts := strings.Split(f.token(claims), ".")
		other := strings.Split(f.token(mcpauthtest.Claims{"scope": "a b c d", "sub": "other", "iat": time.Now().Add(-2 * time.Minute).Unix()}), ".")
		return parts[0] + "." + other[1] + "." + parts[2]
	}
	return f.token(claims)
}

// request gives the case a request.
func (g *generator) request(c *oracleCase) {
	g.clean = g.rarely(2)
	c.verb, c.headers, c.body = "POST", http.Header{}, ""
	if g.flaw(15) {
		c.verb = oneOf(g, "GET", "DELETE", "PUT", "HEAD")
	}
	modern, batch := g.rarely(2), g.rarely(6)
	switch {
	case g.flaw(12):
		c.headers["Mcp-Protocol-Version"] = oneOf(g, []string{"garbage"}, []string{""}, []string{"2027-01-01"}, []string{"2025-03-26", "2025-03-26"}, []string{"2026-07-27"},
			[]string{"2025-11-25, 2025-11-25"}, []string{"2026-07-28, 2026-07-28"}, []string{"2026-07-28", "2025-11-25"}, []string{"latest,latest"}, []string{"2025-11-25, 2025-06-18"})
	case batch:
		if g.rarely(2) {
			c.headers.Set("Mcp-Protocol-Version", "2025-03-26")
		}
	case modern:
		c.headers.Set("Mcp-Protocol-Version", "2026-07-28")
	case !g.rarely(3):
		c.headers.Set("Mcp-Protocol-Version", oneOf(g, "2025-03-26", "2025-06-18", "2025-11-25"))
	}
	if g.flaw(25) {
		c.headers["Mcp-Session-Id"] = oneOf(g, []string{"forged"}, []string{""}, []string{"a", "b"}, []string{"s.AAAAAAAAAAAAAAAAAAAAAA"})
	}
	if c.verb != "POST" {
		return
	}
	var body any
	if batch {
		elements := make([]any, oneOf(g, 1, 2, 2, 3, 3, 4, 5, 32))
		if g.flaw(6) {
			elements = make([]any, oneOf(g, 0, 33))
		}
		answers := g.rarely(6)
		for i := range elements {
			elements[i] = g.message(float64(i), modern && g.flaw(8), answers && !g.flaw(8))
		}
		if len(elements) > 1 && g.flaw(12) {
			elements[0] = elements[1]
		}
		if len(elements) > 1 && g.flaw(20) {
			elements[1] = oneOf(g, any([]any{elements[1]}), any(1), any(nil))
		}
		if g.flaw(20) {
			c.headers.Set("Mcp-Protocol-Version", "2025-06-18")
		}
		body = elements
	} else {
		m := g.message(1, modern, g.flaw(20))
		g.repeat(c, m, modern)
		body = m
	}
	text, _ := json.Marshal(body)
	c.body = oneOf(g, "", "", "\n ", "\t") + string(text)
	if g.flaw(60) {
		c.body = oneOf(g, c.body+"x", c.body[:len(c.body)-1], "", "1", c.body+c.body)
	}
}

// repeat sets the headers that repeat the body, mostly.
func (g *generator) repeat(c *oracleCase, m map[string]any, modern bool) {
	if !modern && !g.flaw(10) {
		return
	}
	method, _ := m["method"].(string)
	if !g.flaw(15) {
		c.headers.Set("Mcp-Method", method)
	}
	if g.flaw(25) {
		c.headers["Mcp-Method"] = oneOf(g, []string{"ping"}, []string{method, method})
	}
	params, _ := m["params"].(map[string]any)
	for _, member := range []string{"name", "uri", "taskId"} {
		if target, ok := params[member].(string); ok && !g.flaw(15) {
			c.headers.Set("Mcp-Name", target)
			if g.flaw(15) {
				c.headers.Set("Mcp-Name", "echo")
			}
		}
	}
}

// message makes one message.
func (g *generator) message(id any, modern, answer bool) map[string]any {
	m := map[string]any{"jsonrpc": "2.0", "id": id}
	if g.flaw(10) {
		m["id"] = oneOf(g, any("text"), any(nil), any(1.5), any(true), any("id"))
	}
	if g.rarely(8) {
		delete(m, "id")
	}
	if answer {
		failure := map[string]any{"code": 1, "message": "no"}
		for name, value := range oneOf(g, map[string]any{"result": map[string]any{}}, map[string]any{"result": map[string]any{}},
			map[string]any{"error": failure}, map[string]any{"error": failure, "result": nil}, map[string]any{"result": nil, "error": nil, "params": nil}) {
			m[name] = value
		}
		return m
	}
	method := oneOf(g, oneOf(g, oracleNames...), "tools/call", "tools/call", "tools/call", "resources/read", "tools/list", "tasks/get")
	if g.flaw(12) {
		method = oneOf(g, "vendor/x", "vendor/y", "notifications/vendor", "tasks/delete", "$response", "$sse", "Tools/call", "")
	}
	if strings.HasPrefix(method, "notifications/") && !g.flaw(10) {
		delete(m, "id")
	}
	params := map[string]any{}
	switch {
	case strings.HasPrefix(method, "tools/"):
		params["name"] = oneOf(g, oracleTools...)
	case strings.HasPrefix(method, "prompts/"):
		params["name"] = oneOf(g, oraclePrompts...)
	case strings.HasPrefix(method, "resources/"):
		params["uri"] = oneOf(g, oracleURIs...)
	case strings.HasPrefix(method, "tasks/"):
		params["taskId"] = oneOf(g, "1", "2")
	case method == "completion/complete":
		params["ref"] = oneOf(g, any(map[string]any{"type": "ref/prompt", "name": oneOf(g, oraclePrompts...)}), any(map[string]any{"type": "ref/resource", "uri": oneOf(g, oracleURIs...)}),
			any(map[string]any{"type": "ref/prompt", "name": "p", "uri": "r://exact"}), any(map[string]any{"type": "ref/prompt", "name": "p", "uri": nil}), any(map[string]any{"type": "ref/tool", "name": "echo"}), any("ref/prompt"))
	case method == "subscriptions/listen":
		listen := map[string]any{"toolsListChanged": g.rarely(2)}
		if g.rarely(2) {
			listen["resourceSubscriptions"] = g.some(oracleURIs, 1)
		}
		if g.flaw(10) {
			listen["everything"] = true
		}
		params["notifications"] = listen
	}
	if g.flaw(15) {
		for _, member := range []string{"name", "uri", "taskId"} {
			if _, has := params[member]; has {
				params[member] = oneOf(g, any(1), any(""), any(nil), any([]string{"echo"}))
			}
		}
	}
	if modern && !g.flaw(20) || g.flaw(25) {
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": any("2026-07-28")}
		if g.flaw(8) {
			params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": oneOf(g, any("2025-11-25"), any(1), any(nil))}
		}
	}
	if g.flaw(40) {
		params["Name"] = "admin"
	}
	m["method"], m["params"] = method, params
	switch {
	case g.flaw(40):
		m["Method"] = "ping"
	case g.flaw(40):
		m["result"] = map[string]any{}
	case g.flaw(40):
		m["jsonrpc"] = "1.0"
	case g.flaw(40):
		m["params"] = []any{params}
	case g.flaw(20) && len(params) == 0:
		delete(m, "params")
	case g.flaw(20) && len(params) == 0:
		m["params"], m["error"] = nil, nil
	}
	return m
}

// The middleware and the oracle agree about every triple.
func TestOracle_MCP_41_MCP_43_MCP_58_CHAL_07(t *testing.T) {
	seed := *oracleSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	scopeOf := regexp.MustCompile(`[ ,]scope=\\?"([^"\\]*)\\?"`)
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	issuer.Rotate(mcpauthtest.NewKey("oracle", "EdDSA"))
	ends, disagreements := map[verdict]int{}, 0
	var c oracleCase
	f := &fixture{tb: t, issuer: issuer}
	for i := range *oracleCases {
		if i%50 == 0 {
			c = g.policy()
			config := testConfig(issuer)
			config.Policy, config.Implies, config.Scopes, config.DelegateTasks = c.rules, c.implies, c.base, c.delegate
			auth, err := mcpauth.New(config)
			require.NoError(t, err)
			f.handler = auth.Wrap(http.HandlerFunc(f.record))
		}
		token := g.compact(&c, f)
		g.request(&c)
		r := newRequest(c.verb, "/mcp", token, c.body)
		maps.Copy(r.Header, c.headers)
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		got := verdict{status: w.Code, ran: f.ran == 1}
		f.ran = 0
		carrier := w.Header().Get("WWW-Authenticate")
		if strings.Contains(w.Body.String(), "mcp/www_authenticate") {
			carrier = w.Body.String()
		}
		if match := scopeOf.FindStringSubmatch(carrier); match != nil {
			got.scope = match[1]
		}
		want := c.decide()
		if got != want {
			disagreements++
			t.Errorf("seed %d, triple %d: middleware %+v, oracle %+v\n%s\n%s %v\n%s\ntoken %s %q\nrules %+v\nimplies %v base %v delegate %v", seed, i, got, want, w.Body, c.verb, c.headers, c.body, c.token, c.scopes, c.rules, c.implies, c.base, c.delegate)
			require.Less(t, disagreements, 5)
		}
		got.scope = fmt.Sprint(got.scope != "")
		ends[got]++
	}
	t.Logf("seed %d: %d triples, %d disagreements, ends %v", seed, *oracleCases, disagreements, ends)
	for _, end := range []verdict{{200, "false", true}, {200, "true", false}, {200, "false", false}, {403, "true", false}, {403, "false", false}, {400, "false", false}, {404, "false", false}, {405, "false", false}} {
		if *oracleCases >= 20_000 {
			require.Greater(t, ends[end], 50, "the triples no longer reach %+v", end)
		}
	}
}
