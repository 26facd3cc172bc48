package mcpauth_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
)

// The oracle decides as the requirements say, without any code of the
// library: slowly, with encoding/json, one rule after the other.

// oracleMethods: L and M are the eras, then comes the member of params that is the target.
var oracleMethods = map[string]string{
	"initialize": "L", "notifications/initialized": "L", "ping": "L", "server/discover": "M",
	"tools/list": "LM", "prompts/list": "LM", "resources/list": "LM", "resources/templates/list": "LM",
	"tools/call": "LM name", "prompts/get": "LM name", "resources/read": "LM uri", "resources/subscribe": "L uri", "resources/unsubscribe": "L uri",
	"completion/complete": "LM", "logging/setLevel": "L", "subscriptions/listen": "M",
	"tasks/get": "LM taskId", "tasks/cancel": "LM taskId", "tasks/update": "M taskId", "tasks/result": "L taskId", "tasks/list": "L",
	"notifications/cancelled": "L", "notifications/progress": "L", "notifications/roots/list_changed": "L", "notifications/elicitation/complete": "L",
	"$sse": "L", "$session.delete": "L", "$response": "L", // GET, DELETE and a client's answer, under names that no message may use
}

var oracleFree = []string{"initialize", "notifications/initialized", "ping", "$sse", "$session.delete", "$response"}

// oracleCall is something that the policy has to allow.
type oracleCall struct{ method, kind, name string }

func (c *oracleCase) decide() verdict {
	invalid := verdict{401, strings.Join(c.base, " "), false}
	if c.token == "none" {
		return invalid
	}
	version, agrees := c.version()
	old := !agrees || !isModern(version)
	if c.verb != "POST" && !(old && (c.verb == "GET" || c.verb == "DELETE")) {
		return verdict{status: 405}
	}
	if c.token != "good" {
		return invalid
	}
	calls, status, inBand := []oracleCall{{map[string]string{"GET": "$sse", "DELETE": "$session.delete"}[c.verb], "method", ""}}, 0, false
	switch {
	case !agrees:
		return verdict{status: 400}
	case c.verb == "POST":
		calls, old, status, inBand = c.read()
	}
	switch sessions := c.headers["Mcp-Session-Id"]; { // all of them are forged
	case status != 0:
		return verdict{status: status}
	case old && len(sessions) > 1:
		return verdict{status: 400}
	case old && len(sessions) == 1 && sessions[0] != "" && calls[0].method != "initialize", c.verb == "DELETE":
		return verdict{status: 404}
	}
	return c.authorize(calls, old, inBand)
}

// version is what the header names, once or several times.
func (c *oracleCase) version() (version string, agrees bool) {
	values := strings.Split(strings.Join(c.headers["Mcp-Protocol-Version"], ","), ",")
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	values = slices.Compact(values)
	return values[0], len(values) == 1
}

func isModern(version string) bool {
	return regexp.MustCompile(`^20\d\d-(0\d|1[0-2])-[0-3]\d$`).MatchString(version) && version >= "2026-07-28"
}

// read returns what a body asks for, or the status of its refusal. inBand: there is one request, with an id.
func (c *oracleCase) read() (calls []oracleCall, old bool, status int, inBand bool) {
	c.tells = false
	var body any
	version, method, name := c.headers["Mcp-Protocol-Version"], c.headers["Mcp-Method"], c.headers["Mcp-Name"]
	if len(method) > 1 || len(name) > 1 || json.Unmarshal([]byte(c.body), &body) != nil {
		return nil, old, 400, false
	}
	batch, isBatch := body.([]any)
	if !isBatch {
		m := readMessage(body)
		if m.kind == "" {
			return nil, old, 400, false
		}
		if old, status = c.era(m); status != 0 {
			return nil, old, status, false
		}
		c.tells = m.tells()
		calls, status = m.calls(old)
		return calls, old, status, m.kind == "request"
	}
	answers, ids, messages := 0, map[any]bool{}, []message{}
	for _, element := range batch {
		m := readMessage(element)
		if m.kind == "" || m.kind == "request" && ids[m.id] {
			return nil, true, 400, false
		}
		if ids[m.id] = true; m.kind == "answer" {
			answers++
		}
		messages = append(messages, m)
	}
	if named, _ := c.version(); len(version) > 0 && named != "2025-03-26" || len(batch) == 0 || len(batch) > 32 || answers > 0 && answers < len(batch) {
		return nil, true, 400, false
	}
	for _, m := range messages {
		more, status := m.calls(true)
		if m.versioned || m.method == "initialize" {
			status = 400
		}
		if status != 0 {
			return nil, true, status, false
		}
		calls = append(calls, more...)
	}
	return calls, true, 0, false
}

// message is one JSON-RPC message; kind is request, notification, answer, or "" for none.
type message struct {
	kind, method string
	id, version  any
	versioned    bool
	params       map[string]any
}

func readMessage(v any) (msg message) {
	m, ok := v.(map[string]any)
	id, hasID := m["id"]
	method, hasMethod := m["method"]
	params, fails := m["params"], m["error"] != nil
	_, hasResult := m["result"]
	hasResult = hasResult && (m["result"] != nil || !fails && !hasMethod)
	msg.method, _ = method.(string)
	msg.params, _ = params.(map[string]any)
	meta, _ := msg.params["_meta"].(map[string]any)
	msg.id = id
	msg.version = meta["io.modelcontextprotocol/protocolVersion"]
	msg.versioned = msg.version != nil
	number, isNumber := id.(float64)
	_, isText := id.(string)
	switch {
	case !ok || m["jsonrpc"] != "2.0" || m["Method"] != nil || msg.params["Name"] != nil,
		hasID && !isText && !(isNumber && number == float64(int(number))) && !(id == nil && fails && !hasMethod),
		params != nil && msg.params == nil, hasMethod && msg.method == "", hasMethod == (hasResult || fails), hasResult && fails,
		!hasMethod && params != nil, hasResult && !hasID:
	case hasResult || fails:
		msg.kind = "answer"
	case hasID:
		msg.kind = "request"
	default:
		msg.kind = "notification"
	}
	return msg
}

// tells reports whether a message asks for nothing.
func (m message) tells() bool {
	return m.kind == "notification" && strings.HasPrefix(m.method, "notifications/")
}

// era holds what a modern request says twice against itself.
func (c *oracleCase) era(m message) (old bool, status int) {
	header, _ := c.version()
	method, given := c.headers["Mcp-Method"]
	named, _ := m.version.(string)
	switch {
	case m.versioned && m.version != header:
		return false, 400
	case !isModern(header) && !isModern(named):
		return true, 0
	case m.kind == "answer", given && method[0] != m.method, !given && header == "2026-07-28" && m.kind == "request":
		return false, 400
	}
	words := append(strings.Fields(oracleMethods[m.method]), "", "")
	target, isText := m.params[words[1]].(string)
	name, given := c.headers["Mcp-Name"]
	if words[0] != "L" && isText && (given && name[0] != target || !given && header == "2026-07-28") {
		return false, 400
	}
	return false, 0
}

// calls lists what a message asks for.
func (m message) calls(old bool) ([]oracleCall, int) {
	switch {
	case m.kind == "answer":
		return []oracleCall{{"$response", "method", ""}}, 0
	case strings.HasPrefix(m.method, "$"), m.kind == "request" && oracleMethods[m.method] == "" && strings.HasPrefix(m.method, "notifications/"):
		return nil, map[bool]int{true: 403, false: 404}[old]
	case m.method == "completion/complete":
		ref, _ := m.params["ref"].(map[string]any)
		for of, member := range map[string][3]string{"ref/prompt": {"name", "uri", "prompt"}, "ref/resource": {"uri", "name", "resource"}} {
			target, _ := ref[member[0]].(string)
			if ref["type"] == of && target != "" && ref[member[1]] == nil {
				return []oracleCall{{m.method, member[2], target}}, 0
			}
		}
		return nil, 400
	}
	if words := strings.Fields(oracleMethods[m.method]); !old && !m.tells() && len(words) > 0 && words[0] == "L" {
		return nil, 404 // it was removed, params and all
	} else if len(words) == 2 {
		target, _ := m.params[words[1]].(string)
		if target == "" {
			return nil, 400
		}
		kinds := map[string]string{"name": strings.TrimSuffix(strings.Split(m.method, "/")[0], "s"), "uri": "resource", "taskId": "method"}
		return []oracleCall{{m.method, kinds[words[1]], target}}, 0
	}
	if id, has := m.params["taskId"]; has && oracleMethods[m.method] == "" && strings.HasPrefix(m.method, "tasks/") {
		task, _ := id.(string)
		if task == "" {
			return nil, 400
		}
		return []oracleCall{{m.method, "method", task}}, 0
	}
	calls := []oracleCall{{m.method, "method", ""}}
	if listen, _ := m.params["notifications"].(map[string]any); m.method == "subscriptions/listen" && listen != nil {
		if listen["everything"] != nil {
			return nil, 403
		}
		if listen["toolsListChanged"] == true {
			calls = append(calls, oracleCall{"tools/list", "method", ""})
		}
		uris, _ := listen["resourceSubscriptions"].([]any)
		for _, uri := range uris {
			calls = append(calls, oracleCall{"resources/read", "resource", uri.(string)})
		}
	}
	return calls, 0
}

// authorize puts all calls to the policy.
func (c *oracleCase) authorize(calls []oracleCall, old, inBand bool) verdict {
	unknown := verdict{status: map[bool]int{true: 403, false: 404}[old]}
	for _, call := range calls {
		eras, known := oracleMethods[call.method]
		if eras = strings.Split(eras, " ")[0]; known && !c.tells && !strings.Contains(eras, map[bool]string{true: "L", false: "M"}[old]) {
			return unknown
		}
	}
	var needed []string
	missing, refused, foreign := false, false, false
	for _, call := range calls {
		_, known := oracleMethods[call.method]
		if slices.Contains(oracleFree, call.method) {
			continue
		}
		req, found := c.rule(call, known)
		refused, foreign = refused || !found, foreign || !found && !known
		ask, met := c.weigh(req)
		needed, missing = append(needed, ask...), missing || !met
		inBand = inBand && req.InBand && call.kind == "tool" && len(calls) == 1
	}
	switch {
	case foreign && !c.tells:
		return unknown
	case refused:
		return verdict{status: 403}
	case missing:
		if old {
			needed = append(c.granted(), needed...)
		}
		var unique []string
		for _, scope := range needed {
			if !slices.Contains(unique, scope) {
				unique = append(unique, scope)
			}
		}
		return verdict{map[bool]int{true: 200, false: 403}[inBand], strings.Join(unique, " "), false}
	}
	ours := func(call oracleCall) bool {
		return call.method == "$response" || call.method == "notifications/cancelled"
	}
	if !slices.ContainsFunc(calls, func(call oracleCall) bool { return !ours(call) }) {
		return verdict{status: 202} // nobody has a session
	}
	aTask := slices.ContainsFunc(calls, func(call oracleCall) bool { return strings.HasPrefix(call.method, "tasks/") && call.name != "" })
	return verdict{status: 200, ran: c.delegate || !aTask} // no task was ever begun
}

// rule finds what a call requires, if anything does.
func (c *oracleCase) rule(call oracleCall, known bool) (mcpauth.Requirement, bool) {
	rules := map[string]map[string]mcpauth.Requirement{"tool": c.rules.Tools, "prompt": c.rules.Prompts, "resource": c.rules.Resources}[call.kind]
	if call.kind == "method" {
		req, found := c.rules.Methods[call.method]
		return req, found || known && !strings.HasPrefix(call.method, "tasks/") || strings.HasPrefix(call.method, "notifications/")
	}
	best, exact := rules[call.name]
	found := exact
	front := func(key string) int { return strings.IndexAny(key, "*{") }
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(rules)), func(key string) bool {
		text := strings.ReplaceAll(regexp.QuoteMeta(key), `\*`, `.*`)
		text = strings.ReplaceAll(text, `\{table\}`, `[^/?#]+`)
		return front(key) < 0 || !regexp.MustCompile("^"+text+"$").MatchString(call.name)
	})
	for _, key := range keys {
		if exact || slices.ContainsFunc(keys, func(other string) bool { return front(other) > front(key) }) {
			continue
		}
		best.AllOf, best.AnyOf = slices.Concat(best.AllOf, rules[key].AllOf), slices.Concat(best.AnyOf, rules[key].AnyOf)
		best.InBand = rules[key].InBand && (best.InBand || !found)
		found = true
	}
	if text, _ := json.Marshal(best); call.kind != "resource" {
		best = mcpauth.Requirement{}
		_ = json.Unmarshal([]byte(strings.ReplaceAll(string(text), "{name}", call.name)), &best)
	}
	return best, found
}

// weigh returns the scopes that a challenge names for a requirement, and whether the token meets it.
func (c *oracleCase) weigh(req mcpauth.Requirement) (ask []string, met bool) {
	has := slices.Clone(c.scopes)
	for i := 0; i < len(has); i++ {
		has = append(has, c.implies[has[i]]...)
	}
	ask = slices.Clone(req.AllOf)
	for _, group := range req.AnyOf {
		i := slices.IndexFunc(group, func(scope string) bool { return slices.Contains(has, scope) })
		ask = append(ask, group[max(i, 0)])
	}
	met = !slices.ContainsFunc(ask, func(scope string) bool { return !slices.Contains(has, scope) })
	return ask, met
}

// granted are the token's scopes of which the configuration speaks.
func (c *oracleCase) granted() []string {
	text, _ := json.Marshal([]any{c.base, c.implies, c.rules.Tools, c.rules.Prompts, c.rules.Resources, c.rules.Methods})
	return slices.DeleteFunc(slices.Clone(c.scopes), func(scope string) bool {
		named := strings.HasPrefix(scope, "run:") && strings.Contains(string(text), `"run:{name}"`)
		return !named && !strings.Contains(string(text), `"`+scope+`"`)
	})
}
