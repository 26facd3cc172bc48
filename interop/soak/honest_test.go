package soak

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What honest callers do.
const (
	kindMetadata  = "metadata"
	kindNobody    = "first request, without a token"
	kindCall      = "call with a JWT"
	kindOpaque    = "call with an opaque token"
	kindBound     = "call with a bound token and its proof"
	kindFlip      = "call under a policy that changes"
	kindSlow      = "call with an event stream"
	kindList      = "list of tools"
	kindBegin     = "session: initialize"
	kindNotice    = "session: notification"
	kindInside    = "session: call"
	kindEnd       = "session: DELETE"
	kindTask      = "task: begun"
	kindTaskGet   = "task: get"
	kindTaskDone  = "task: result"
	kindStepUp    = "step-up: refused"
	kindSteppedUp = "step-up: with the scope"
)

// honest are the ways of an honest caller, each as often as it stands here.
var honest = []func(*caller){
	(*caller).plain, (*caller).plain, (*caller).plain, (*caller).plain, (*caller).plain, (*caller).plain,
	(*caller).opaque, (*caller).opaque, (*caller).bound, (*caller).bound, (*caller).list, (*caller).flip, (*caller).slow,
	(*caller).inSession, (*caller).task, (*caller).stepUp, (*caller).metadata, (*caller).nobody,
}

func (c *caller) path() string { return paths[c.rand.IntN(len(paths))] }

func (c *caller) plain() {
	path := c.path()
	q := c.calls(kindCall, path, "echo", c.token(path, jwt))
	if path == "/gosdk" && c.rand.IntN(2) == 0 {
		q.version = legacy
	}
	c.send(q)
}

func (c *caller) opaque() {
	path := c.path()
	c.send(c.calls(kindOpaque, path, "echo", c.token(path, opaque)))
}

func (c *caller) boundToken(path string) facts {
	f := facts{kind: jwt, sub: c.sub, client: c.client, scopes: []string{"mcp:read"}, exp: time.Now().Add(c.life()), key: c.key}
	return c.as.mint(c.balancer.url+path, f)
}

func (c *caller) bound() {
	path := c.path()
	name := "bound" + path
	f, ok := c.tokens[name]
	if !ok || time.Now().After(f.exp) {
		f = c.boundToken(path)
		c.tokens[name] = f
	}
	c.send(c.calls(kindBound, path, "echo", f))
}

func (c *caller) flip() {
	path := c.path()
	c.send(c.calls(kindFlip, path, "flip", c.token(path, jwt)))
}

func (c *caller) slow() {
	path := c.path()
	q := c.calls(kindSlow, path, "slow", c.token(path, jwt))
	q.message["params"].(map[string]any)["_meta"] = map[string]any{"progressToken": "p"}
	q.version = ""
	if path == "/mcpgo" {
		q.message = call("slow")
		q.version = modern
	}
	c.send(q)
}

func (c *caller) metadata() {
	path := c.path()
	c.send(request{kind: kindMetadata, method: http.MethodGet, path: "/.well-known/oauth-protected-resource" + path, all: only(served),
		content: func(_ int, body string) string {
			if !strings.Contains(body, c.balancer.url+path) || !strings.Contains(body, c.as.url) {
				return "it does not name resource and issuer"
			}
			return ""
		}})
}

func (c *caller) nobody() {
	path := c.path()
	answer := c.send(request{kind: kindNobody, path: path, message: call("echo"), version: modern})
	if said := answer.header.Get("Www-Authenticate"); !strings.Contains(said, c.balancer.url+"/.well-known/oauth-protected-resource"+path) {
		c.ledger.finding(wrongContent, "%s: the challenge does not say where the metadata is: %q", kindNobody, said)
	}
}

// list holds the tools that a caller is shown against those that it may call.
func (c *caller) list() {
	path := c.path()
	f := c.token(path, jwt)
	c.send(request{kind: kindList, path: path, token: f, version: modern, message: map[string]any{"id": 1, "method": "tools/list"},
		content: func(_ int, body string) string {
			for _, tool := range toolNames {
				shown, may := strings.Contains(body, fmt.Sprintf(`"name":%q`, tool)), f.reaches(tool, firstPolicy)[served]
				if shown != may && tool != "flip" {
					return fmt.Sprintf("%s is shown: %t, and may be called: %t", tool, shown, may)
				}
			}
			return ""
		}})
}

// session is a session with mcp-go, "" if there is none.
func (c *caller) session(f facts) string {
	answer := c.send(request{kind: kindBegin, path: "/mcpgo", token: f, version: legacy, message: map[string]any{
		"id": 1, "method": "initialize", "params": map[string]any{
			"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "soak", "version": "1"},
		},
	}})
	session := answer.header.Get("Mcp-Session-Id")
	if answer.status != http.StatusOK || session == "" {
		return ""
	}
	c.send(request{kind: kindNotice, path: "/mcpgo", token: f, version: legacy, session: session, message: map[string]any{"method": "notifications/initialized"}})
	return session
}

// end ends a session, with a token that is good.
func (c *caller) end(session string) {
	f := c.token("/mcpgo", jwt)
	c.send(request{kind: kindEnd, method: http.MethodDelete, path: "/mcpgo", token: f, version: legacy, session: session})
}

func (c *caller) inSession() {
	f := c.token("/mcpgo", []kind{jwt, opaque}[c.rand.IntN(2)])
	session := c.session(f)
	if session == "" {
		return
	}
	for range 1 + c.rand.IntN(4) {
		q := c.calls(kindInside, "/mcpgo", "echo", f)
		q.version, q.session = legacy, session
		c.send(q)
		c.rest(50 * time.Millisecond)
	}
	c.lend(victim{session: session, owner: c.sub})
	c.end(session)
}

// task begins a task, and asks for it until it is done.
func (c *caller) task() {
	f := c.token("/mcpgo", jwt)
	session := c.session(f)
	if session == "" {
		return
	}
	defer c.end(session)
	q := c.calls(kindTask, "/mcpgo", "echo", f)
	q.version, q.session, q.content = legacy, session, nil
	q.message["params"].(map[string]any)["task"] = map[string]any{"ttl": 20_000}
	answer := c.send(q)
	id := result(answer.body, "task", "taskId")
	if answer.status != http.StatusOK || id == "" {
		return
	}
	for range 2 {
		c.send(c.taskRequest(kindTaskGet, "tasks/get", f, session, id))
	}
	c.send(c.taskRequest(kindTaskDone, "tasks/result", f, session, id))
	c.lend(victim{session: session, task: id, owner: c.sub})
}

func (c *caller) taskRequest(kind, method string, f facts, session, id string) request {
	return request{kind: kind, path: "/mcpgo", token: f, version: legacy, session: session,
		next:    func(_ string, w window) outcomes { return c.unless(only(served), w) },
		message: map[string]any{"id": 1, "method": method, "params": map[string]any{"taskId": id}}}
}

// stepUp is refused, told the scope, and comes back with it.
func (c *caller) stepUp() {
	path := c.path()
	answer := c.send(c.calls(kindStepUp, path, "admin", c.token(path, jwt)))
	if answer.status != http.StatusForbidden {
		return
	}
	scope := challengeScope(answer)
	if !slices.Contains(strings.Fields(scope), "mcp:admin") {
		c.ledger.finding(wrongContent, "%s: the challenge does not name the scope: %q", kindStepUp, answer.header.Get("Www-Authenticate"))
		return
	}
	c.send(c.calls(kindSteppedUp, path, "admin", c.fresh(path, jwt, c.life(), strings.Fields(scope)...)))
}

func challengeScope(answer *response) string {
	_, after, _ := strings.Cut(answer.header.Get("Www-Authenticate"), `scope="`)
	scope, _, _ := strings.Cut(after, `"`)
	return scope
}

// victim is what an honest caller has, and a hostile one would like to use.
type victim struct {
	session, task, owner string
	bound                facts  // a token that is bound to a key
	proof                string // that was used, at
	at                   string
}

// lend lets hostile callers know of something.
func (s *soak) lend(v victim) {
	select {
	case s.victims <- v:
	default:
	}
}
