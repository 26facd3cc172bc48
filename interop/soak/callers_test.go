package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// Revisions of MCP: the first without sessions, and the last one with them.
const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
)

// paths are the servers of a replica.
var paths = []string{"/mcpgo", "/gosdk"}

// kindHeader tells a replica what a request is, so that it can have planted faults.
const kindHeader = "Soak-Kind"

// caller is somebody who makes requests, one after the other.
type caller struct {
	*soak
	rand        *rand.Rand
	sub, client string
	key         *mcpauthtest.Key
	tokens      map[string]facts // that it has at hand, by resource and kind
}

func (s *soak) newCaller(n int, name string) *caller {
	return &caller{soak: s, rand: rand.New(rand.NewPCG(s.plan.seed, uint64(n)+100)), sub: name, client: "client-" + name,
		key: mcpauthtest.NewKey("soak-"+name, "ES256"), tokens: map[string]facts{}}
}

// fresh makes a token for a resource that lives for some seconds.
func (c *caller) fresh(path string, k kind, life time.Duration, scopes ...string) facts {
	if len(scopes) == 0 {
		scopes = []string{"mcp:read"}
	}
	return c.as.mint(c.balancer.url+path, facts{kind: k, sub: c.sub, client: c.client, scopes: scopes, exp: time.Now().Add(life)})
}

// life is how long a usual token lives: less than its key is published.
func (c *caller) life() time.Duration {
	return 4*time.Second + time.Duration(c.rand.Int64N(int64(c.plan.life)))
}

// token is one that the caller has at hand, or a new one. Some are used until they have expired, and longer.
func (c *caller) token(path string, k kind) facts {
	name := fmt.Sprint(path, k)
	f, ok := c.tokens[name]
	if !ok || time.Now().After(f.exp.Add(leeway)) || c.rand.IntN(25) == 0 {
		f = c.fresh(path, k, c.life())
		c.tokens[name] = f
	}
	return f
}

// request is what a caller sends.
type request struct {
	kind    string
	method  string // POST, if it is empty
	path    string
	token   facts
	message map[string]any
	raw     string // in place of message
	version string
	session string
	header  http.Header // more of it
	proof   string      // in place of one that is good; "none": none
	ctx     context.Context

	// next is what becomes of it when its token is good; nil: it is served.
	next func(at string, w window) outcomes
	// content is what is wrong with an answer that was served; nil: nothing is looked for.
	content func(number int, body string) string
	// all is what becomes of it whatever its token; nil: see next.
	all outcomes
}

// send makes a request, and holds the answer against the model.
func (c *caller) send(q request) *response {
	response, _ := c.open(q, true)
	return response
}

// open makes a request. Of a stream the answer is not read, but for its header, and the body is the caller's.
func (c *caller) open(q request, whole bool) (*response, io.ReadCloser) {
	number := c.ledger.next()
	r, err := c.build(q, number)
	if err != nil {
		c.t.Error(err)
		return &response{}, nil
	}
	w := window{sent: time.Now()}
	got, err := c.http.Do(r)
	var body []byte
	if err == nil && (whole || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/event-stream")) {
		body, err = io.ReadAll(got.Body)
		_ = got.Body.Close()
	}
	w.answered = time.Now()
	if err != nil && q.ctx != nil && q.ctx.Err() != nil {
		c.ledger.left(number, q.kind)
		return &response{}, nil
	}
	if err == nil && got.StatusCode == http.StatusBadGateway {
		err = errors.New(got.Status)
	}
	if err != nil {
		c.ledger.left(number, q.kind)
		c.ledger.finding(noAnswer, "%d %s: %v after %v; %d bytes of %v; its token expires in %v", number, q.kind, err, w.answered.Sub(w.sent), len(body), headerOf(got),
			time.Until(q.token.exp))
		return &response{}, nil
	}
	answer := &response{status: got.StatusCode, header: got.Header, body: string(body), at: got.Header.Get(atHeader)}
	if q.kind == kindMetadata {
		answer.at = ""
	}
	problem := ""
	if q.content != nil {
		problem = q.content(number, answer.body)
	}
	allowed := c.allowed(&q, answer.at, w)
	if answer.status == http.StatusServiceUnavailable && !allowed[unavailable] {
		c.hearOfSlowness(answer.at)
		allowed = c.allowed(&q, answer.at, w)
	}
	c.ledger.judge(number, q.kind, allowed, answer, w, problem)
	return answer, got.Body
}

func headerOf(r *http.Response) http.Header {
	if r == nil {
		return nil
	}
	return r.Header
}

// allowed is what the model says.
func (c *caller) allowed(q *request, at string, w window) outcomes {
	if q.all != nil {
		return q.all
	}
	allowed := c.as.token(&q.token, at, w)
	if strings.HasSuffix(at, "/gosdk") { // which asks the list of what is revoked
		allowed = c.unless(allowed, w)
	}
	if q.next == nil {
		return allowed
	}
	return allowed.then(q.next(at, w))
}

func (c *caller) build(q request, number int) (*http.Request, error) {
	body := q.raw
	if q.message != nil {
		body = text(q.complete())
	}
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	ctx := q.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	r, err := http.NewRequestWithContext(ctx, method, c.balancer.url+q.path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.version != "" {
		r.Header.Set("Mcp-Protocol-Version", q.version)
	}
	if q.session != "" {
		r.Header.Set("Mcp-Session-Id", q.session)
	}
	r.Header.Set(numberHeader, strconv.Itoa(number))
	r.Header.Set(kindHeader, q.kind)
	if q.version == modern && q.message != nil {
		r.Header.Set("Mcp-Method", q.message["method"].(string))
		if params, _ := q.message["params"].(map[string]any); params["name"] != nil {
			r.Header.Set("Mcp-Name", params["name"].(string))
		}
	}
	c.authorize(r, &q)
	for name, values := range q.header {
		r.Header[name] = values
	}
	return r, nil
}

// authorize sends the token, and a proof with one that is bound.
func (c *caller) authorize(r *http.Request, q *request) {
	f := &q.token
	switch {
	case f.text == "":
		return
	case f.key == nil || q.proof == "none":
		r.Header.Set("Authorization", "Bearer "+f.text)
		return
	}
	r.Header.Set("Authorization", "DPoP "+f.text)
	proof := q.proof
	if proof == "" {
		proof = f.key.Proof(r.Method, f.resource, f.text, nil)
	}
	r.Header.Set("DPoP", proof)
}

// complete adds what a message of its revision has.
func (q *request) complete() map[string]any {
	message := map[string]any{"jsonrpc": "2.0"}
	for name, value := range q.message {
		message[name] = value
	}
	if q.version != modern {
		return message
	}
	params := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    modern,
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "soak", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}}
	if given, ok := q.message["params"].(map[string]any); ok {
		for name, value := range given {
			params[name] = value
		}
	}
	message["params"] = params
	return message
}

// call is a call of a tool.
func call(tool string) map[string]any {
	return map[string]any{"id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": map[string]any{}}}
}

// calls is a request to call a tool, whose answer must be that of this call, for this caller.
func (c *caller) calls(kind, path, tool string, f facts) request {
	return request{
		kind: kind, path: path, token: f, message: call(tool), version: modern,
		next: func(at string, w window) outcomes { return c.policy(&f, tool, at, w) },
		content: func(number int, body string) string {
			if want := said(tool, strconv.Itoa(number), f.sub); !strings.Contains(body, strconv.Quote(want)) {
				return "not " + want
			}
			return ""
		},
	}
}

// policy is what the policy that was in force at that time says of a call.
func (s *soak) policy(f *facts, tool, at string, w window) outcomes {
	all := outcomes{}
	for _, p := range s.inForce(at, w) {
		for code := range f.reaches(tool, p) {
			all[code] = true
		}
	}
	return all
}

// result is a member of the result of an answer, which is JSON or an event stream.
func result(body string, names ...string) string {
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "data:"))
		var answer struct{ Result map[string]any }
		if json.Unmarshal([]byte(line), &answer) != nil || answer.Result == nil {
			continue
		}
		value := any(answer.Result)
		for _, name := range names {
			object, _ := value.(map[string]any)
			value = object[name]
		}
		found, _ := value.(string)
		return found
	}
	return ""
}

// rest waits, like a client that has other things to do.
func (c *caller) rest(upTo time.Duration) { time.Sleep(time.Duration(c.rand.Int64N(int64(upTo)))) }
