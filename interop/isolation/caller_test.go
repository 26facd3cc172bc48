package isolation

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// modernVersion is the revision without sessions; latest is the last one with
// them, and batching is the one whose clients send no version and may send batches.
const (
	modernVersion = "2026-07-28"
	latest        = "2025-11-25"
	batching      = ""
)

// caller is a client that does no more than it is told, and writes down
// everything that it is sent.
type caller struct {
	t        testing.TB
	name     string
	url      string
	token    string // "" for none
	version  string
	sse      bool     // HTTP+SSE of 2024-11-05: what is asked by POST is answered on a stream
	session  string   // the Mcp-Session-Id that it presents
	extra    []string // header fields
	ctx      context.Context
	messages string  // where POSTs go, with HTTP+SSE
	batches  bool    // it sends its messages in batches of one
	answers  *caller // whose stream has the answers, with HTTP+SSE: usually its own

	lock sync.Mutex
	seen strings.Builder
	sent []*answer
}

// answer is the response to one request, which may still be coming.
type answer struct {
	caller *caller
	begun  chan struct{} // closed when the header is there
	done   chan struct{} // closed at the end of the body
	cancel context.CancelFunc
	status int
	header http.Header
	err    error

	lock sync.Mutex
	body strings.Builder
}

// transport keeps connections open: a test makes thousands of requests.
var transport = &http.Transport{MaxIdleConnsPerHost: 64}

// send makes a request and does not wait for anything.
func (c *caller) send(method, url, body string, headers ...string) *answer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	a := &answer{caller: c, begun: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.version != "" {
		r.Header.Set("Mcp-Protocol-Version", c.version)
	}
	if c.session != "" && !strings.Contains(body, `"method":"initialize"`) {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	headers = append(c.extra, headers...)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	c.lock.Lock()
	c.sent = append(c.sent, a)
	c.lock.Unlock()
	go a.read(r)
	return a
}

func (a *answer) read(r *http.Request) {
	defer theStage.tell()
	defer close(a.done)
	defer a.cancel()
	response, err := transport.RoundTrip(r)
	if err != nil {
		a.err = err
		close(a.begun)
		return
	}
	defer func() { _ = response.Body.Close() }()
	a.status, a.header = response.StatusCode, response.Header
	close(a.begun)
	theStage.tell()
	reader := bufio.NewReader(response.Body)
	for {
		line, err := reader.ReadString('\n')
		a.lock.Lock()
		a.body.WriteString(line)
		a.lock.Unlock()
		a.caller.lock.Lock()
		a.caller.seen.WriteString(line)
		a.caller.lock.Unlock()
		theStage.tell()
		if err != nil {
			if err != io.EOF {
				a.err = err
			}
			return
		}
	}
}

// text is what has come so far.
func (a *answer) text() string {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.body.String()
}

// began waits for the header and returns the status, 0 if there is none.
func (a *answer) began() int {
	closed(a.begun)
	if !isClosed(a.begun) {
		return 0
	}
	return a.status
}

// ended waits for the end of the answer, and reports whether it came.
func (a *answer) ended() bool { return closed(a.done) }

// close ends the answer from the client's side.
func (a *answer) close() {
	a.cancel()
	<-a.done
}

func closed(c chan struct{}) bool { return theStage.until(func() bool { return isClosed(c) }) }

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// saw is everything that the caller has been sent, of all answers and streams.
func (c *caller) saw() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.seen.String()
}

// awaits waits for a text, and reports whether it came.
func (c *caller) awaits(text string) bool {
	return theStage.until(func() bool { return strings.Contains(c.saw(), text) })
}

// leave ends everything that the caller has open.
func (c *caller) leave() {
	c.lock.Lock()
	sent := c.sent
	c.sent = nil
	c.lock.Unlock()
	for _, a := range sent {
		a.close()
	}
}

// modern reports whether the caller speaks the revision without sessions.
func (c *caller) modern() bool { return c.version == modernVersion }

// post sends a message that is complete but for what its era adds.
func (c *caller) post(message map[string]any, headers ...string) *answer {
	c.t.Helper()
	message = cloned(message)
	message["jsonrpc"] = "2.0"
	if c.modern() {
		params, _ := message["params"].(map[string]any)
		params = cloned(params)
		meta, _ := params["_meta"].(map[string]any)
		meta = cloned(meta)
		meta["io.modelcontextprotocol/protocolVersion"] = modernVersion
		meta["io.modelcontextprotocol/clientInfo"] = map[string]any{"name": "c", "version": "1"}
		meta["io.modelcontextprotocol/clientCapabilities"] = map[string]any{"elicitation": map[string]any{"form": map[string]any{}}, "sampling": map[string]any{}}
		meta["io.modelcontextprotocol/logLevel"] = "info"
		params["_meta"] = meta
		message["params"] = params
		headers = append(headers, "Mcp-Method", message["method"].(string))
		for _, field := range []string{"name", "uri", "taskId"} {
			if value, ok := params[field].(string); ok {
				headers = append(headers, "Mcp-Name", value)
			}
		}
	}
	return c.raw(text(message), headers...)
}

// cloned is a map that may be written to.
func cloned(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return maps.Clone(m)
}

// raw posts a body as it is.
func (c *caller) raw(body string, headers ...string) *answer {
	c.t.Helper()
	url := c.url
	if c.sse {
		url = c.messages
	}
	if c.batches {
		body = "[" + body + "]"
	}
	return c.send(http.MethodPost, url, body, headers...)
}

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// call calls a tool with its steps.
func (c *caller) call(id any, tool, tag string, steps ...step) *answer {
	c.t.Helper()
	return c.post(callOf(id, tool, tag, steps...))
}

func callOf(id any, tool, tag string, steps ...step) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{
		"name": tool, "arguments": script{Tag: tag, Steps: steps}, "_meta": map[string]any{"progressToken": "p"},
	}}
}

// request makes a request with an id, and waits for the end of its answer.
func (c *caller) request(id any, method string, params map[string]any) *answer {
	c.t.Helper()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	where := c
	if c.answers != nil {
		where = c.answers
	}
	mark := `"id":` + text(id)
	had := strings.Count(where.saw(), mark)
	a := c.post(message)
	a.ended()
	if c.sse && a.status < 300 {
		theStage.until(func() bool { return strings.Count(where.saw(), mark) > had })
	}
	return a
}

// there is a round trip: what the caller has sent before has been dealt with.
func (c *caller) there() {
	c.t.Helper()
	where := c
	if c.answers != nil {
		where = c.answers
	}
	said := unique("there")
	a := c.call("there", "look", unique("call"), step{Do: "say", Text: said})
	a.ended()
	if c.sse && a.status < 300 {
		where.awaits(said)
	}
}

// notify sends a notification, and waits for the answer.
func (c *caller) notify(method string, params map[string]any) *answer {
	c.t.Helper()
	message := map[string]any{"method": method}
	if params != nil {
		message["params"] = params
	}
	a := c.post(message)
	a.ended()
	return a
}

// listen opens the stream of the server's own (GET).
func (c *caller) listen(headers ...string) *answer {
	c.t.Helper()
	return c.send(http.MethodGet, c.url, "", headers...)
}

const initialize = `{"jsonrpc":"2.0","id":"begin","method":"initialize","params":{"protocolVersion":"%s","capabilities":` +
	`{"elicitation":{"form":{}},"sampling":{},"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}}}`

// begin does what a client does first, and keeps the session that it is given.
// It reports whether it has one.
func (c *caller) begin(level string) bool {
	c.t.Helper()
	version := c.version
	if version == batching {
		version = "2025-03-26"
	}
	body := fmt.Sprintf(initialize, version)
	if c.sse {
		stream := c.send(http.MethodGet, c.url, "")
		if !theStage.until(func() bool { return endpoint.MatchString(stream.text()) }) {
			return false
		}
		c.messages = c.at(endpoint.FindStringSubmatch(stream.text())[1])
		c.raw(body).ended()
		if !theStage.until(func() bool { return strings.Contains(stream.text(), `"begin"`) }) {
			return false
		}
	} else {
		a := c.raw(body)
		if !a.ended() || a.status != http.StatusOK || a.header.Get("Mcp-Session-Id") == "" {
			return false
		}
		c.session = a.header.Get("Mcp-Session-Id")
	}
	c.notify("notifications/initialized", nil)
	if level != "" {
		c.request("level", "logging/setLevel", map[string]any{"level": level})
	}
	return true
}

var endpoint = regexp.MustCompile(`event: endpoint\r?\ndata: (\S+)`)

// at is the URL of a path on the caller's server.
func (c *caller) at(path string) string {
	origin := c.url[:strings.Index(c.url[len("http://"):], "/")+len("http://")]
	if strings.HasPrefix(path, "http") {
		return path
	}
	return origin + path
}

// eventIDs are the ids of all events that the caller has seen.
func (c *caller) eventIDs() (ids []string) {
	for _, match := range eventID.FindAllStringSubmatch(c.saw(), -1) {
		ids = append(ids, match[1])
	}
	return ids
}

var eventID = regexp.MustCompile(`(?m)^id: ?(\S+)`)

// numbers is how many of n numbered notifications the caller has seen.
func (c *caller) numbers(canary string, n int) (seen int) {
	text := c.saw()
	for i := range n {
		if strings.Contains(text, numbered(canary, i)) {
			seen++
		}
	}
	return seen
}
