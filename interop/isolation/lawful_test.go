package isolation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// lawful is something that a client may want, and what came of it: a text that
// is the same whenever it went the same, and begins with "refused" where the server did not
// serve it.
type lawful struct {
	name    string
	applies func(*backend, side) bool // nil for everywhere
	run     func(*client) string
}

// client is one that behaves.
type client struct {
	*caller
	s *scene // with the client alone
}

// loss is something that the bare server serves and the wrapped one does not, and why.
type loss struct {
	reason  string
	applies func(b *backend, s side, name string) bool
}

var losses = []*loss{
	{"Bare, mcp-go keeps what is set without a session (a log level, a tool of the session) for everybody who has none. " +
		"Wrapped it holds for the request that set it.", func(b *backend, s side, name string) bool {
		return strings.HasPrefix(b.name, "mcp-go, stateless") && s.presence == nobody && (name == levelHolds || name == toolHolds)
	}},
	{"Without a session there is nothing to resume: bare, mcp-go replays the events of everybody who has none to anybody who has none. " +
		"Wrapped such a request opens a new stream.", func(b *backend, s side, name string) bool {
		return strings.HasPrefix(b.name, "mcp-go, stateless") && b.store && s.presence == nobody && name == resumes
	}},
	{"A server that gives out session ids, refuses those of others, and serves who has none: once it has begun a session for anybody or served a stream, " +
		"who comes without one is refused (404), for what is kept without a name would be everybody's.", func(b *backend, s side, name string) bool {
		return strings.HasSuffix(b.name, "lenient") && !s.modern() && s.presence == nobody && name != "initialize" && name != "a stream" && name != unasked
	}},
	{"Bare, the go-sdk begins a session for each such request and ends it with the answer, so that nothing comes of it. " +
		"Wrapped it is refused (404) once a session has been begun for anybody. With gosdk.Handler it is served.", func(b *backend, s side, name string) bool {
		idle := []string{"notifications/initialized", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
			"notifications/roots/list_changed", "notifications/progress"}
		return strings.HasPrefix(b.name, "go-sdk, stateful") && !strings.HasSuffix(b.name, "gosdk.Handler") && s.presence == nobody && slices.Contains(idle, name)
	}},
}

const (
	levelHolds       = "a log level that was set before"
	toolHolds        = "a tool that was added to the session before"
	resumes          = "the rest of one's own answer, after its event"
	callsAfterStream = "a call after a stream"
	unasked          = "an answer that nobody asked for"
)

func isLegacy(_ *backend, s side) bool { return !s.modern() }
func isModern(_ *backend, s side) bool { return s.modern() }

// request is a row of a plain request, whose whole answer counts.
func plain(name string, method string, params map[string]any, applies func(*backend, side) bool) lawful {
	return lawful{name, applies, func(c *client) string { return c.outcome(method, params) }}
}

func object(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

var everything = []lawful{
	{"initialize", isLegacy, func(c *client) string { return c.initializes() }},
	{"notifications/initialized", isLegacy, func(c *client) string { return c.told("notifications/initialized", nil) }},
	plain("ping", "ping", nil, isLegacy),
	plain("server/discover", "server/discover", nil, isModern),
	plain("tools/list", "tools/list", nil, nil),
	plain("prompts/list", "prompts/list", nil, nil),
	plain("resources/list", "resources/list", nil, nil),
	plain("resources/templates/list", "resources/templates/list", nil, nil),
	plain("prompts/get", "prompts/get", object("name", "p"), nil),
	plain("resources/read", "resources/read", object("uri", "note://all"), nil),
	plain("completion/complete", "completion/complete", object("ref", object("type", "ref/prompt", "name", "p"), "argument", object("name", "a", "value", "")), nil),
	plain("tools/call", "tools/call", object("name", "look", "arguments", object("tag", "t", "steps", []step{{Do: "say", Text: "said"}})), nil),
	plain("a call that the server refuses", "tools/call", object("name", "own-none", "arguments", object()), nil),
	{"a call with notifications", nil, func(c *client) string { return c.hearsOf("notify") }},
	{"a call with progress", nil, func(c *client) string { return c.hearsOf("progress") }},
	{"a call that is cancelled", isLegacy, func(c *client) string { return c.cancels() }},
	{"a call that is left", isModern, func(c *client) string { return c.leaves() }},
	plain("logging/setLevel", "logging/setLevel", object("level", "debug"), isLegacy),
	{levelHolds, isLegacy, func(c *client) string { return strings.Join(c.s.levels(), " ") }},
	plain("resources/subscribe", "resources/subscribe", object("uri", "note://all"), isLegacy),
	{"an update of what was subscribed to", func(b *backend, s side) bool { return s.presence == own && b.subs }, func(c *client) string {
		c.call(c.next(), "run", unique("call"), step{Do: "updated", URI: "note://all"})
		return c.came("resources/updated")
	}},
	plain("resources/unsubscribe", "resources/unsubscribe", object("uri", "note://all"), isLegacy),
	{"notifications/roots/list_changed", isLegacy, func(c *client) string { return c.told("notifications/roots/list_changed", nil) }},
	{"notifications/progress", isLegacy, func(c *client) string {
		return c.told("notifications/progress", object("progressToken", "p", "progress", 1))
	}},
	{"an answer to an elicitation", func(b *backend, s side) bool { return s.presence == own && b.asks }, func(c *client) string {
		return c.answers("elicit", "elicitation/create", declines)
	}},
	{"an answer to a sampling request", func(b *backend, s side) bool { return s.presence == own && b.asks }, func(c *client) string {
		return c.answers("sample", "sampling/createMessage", samples)
	}},
	{unasked, isLegacy, func(c *client) string {
		a := c.raw(`{"jsonrpc":"2.0","id":77,"result":{}}`)
		a.ended()
		return served(a)
	}},
	{"a batch", func(b *backend, s side) bool { return s.version == batching }, func(c *client) string { return c.batch() }},
	{"a task, begun, looked at and done", func(b *backend, s side) bool { return b.tasks && !s.modern() }, func(c *client) string { return c.task(false) }},
	{"a task, begun and ended", func(b *backend, s side) bool { return b.tasks && !s.modern() }, func(c *client) string { return c.task(true) }},
	{toolHolds, func(b *backend, s side) bool { return b.tools && !s.modern() }, func(c *client) string {
		added := unique("added")
		a := c.call(c.next(), "run", unique("call"), step{Do: "tool", Text: "own-lawful"}, step{Do: "say", Text: added})
		if a.ended(); a.status < 300 {
			c.awaits(added)
		}
		return c.outcome("tools/list", nil)
	}},
	{"a listen stream", isModern, func(c *client) string { return c.listens() }},
	{resumes, func(b *backend, s side) bool { return b.store && !s.modern() }, func(c *client) string { return c.resumes() }},
	{"a stream", func(b *backend, s side) bool { return !s.modern() && !b.sse && s.presence == nobody }, func(c *client) string { return c.streams() }},
	{callsAfterStream, func(b *backend, s side) bool { return !s.modern() && !b.sse && s.presence == nobody }, func(c *client) string {
		return c.outcome("tools/call", object("name", "look", "arguments", object("tag", "t", "steps", []step{{Do: "say", Text: "said"}})))
	}},
	{"the end of one's session", func(b *backend, s side) bool { return s.presence == own && !b.sse }, func(c *client) string {
		a := c.send(http.MethodDelete, c.url, "")
		a.ended()
		return fmt.Sprint(served(a), ", then ", c.outcome("ping", nil))
	}},
}

// sides are how the clients come.
var sides = []struct {
	era string
	side
}{
	{"2025-11-25, no session", side{version: latest}},
	{"2025-03-26, no session", side{version: batching}},
	{"2025-11-25, its session", side{version: latest, presence: own}},
	{"2025-03-26, its session", side{version: batching, presence: own}},
	{"2026-07-28", side{version: modernVersion}},
}

// tally is what was lost of what a bare server serves.
type tally struct {
	served int
	lost   map[string]*loss
}

// tallies are by backend and era.
type tallies struct {
	lock sync.Mutex
	of   map[[2]string]*tally
}

// TestLawful_ISOL_11: whatever a bare server serves is served as well when it is
// wrapped, with the same status and the same result, or it is said why not.
func TestLawful_ISOL_09_ISOL_11(t *testing.T) {
	issuers := newIssuers(t)
	lawfulResults := &tallies{of: map[[2]string]*tally{}}
	t.Run("servers", func(t *testing.T) {
		everyBackend(t, func(t *testing.T, b *backend) {
			for _, era := range sides {
				if !b.comes(era.side) {
					continue
				}
				t.Run(era.era, func(t *testing.T) {
					one := b.countLost(t, issuers, era.side)
					lawfulResults.lock.Lock()
					defer lawfulResults.lock.Unlock()
					lawfulResults.of[[2]string{b.family(), era.era}] = one
				})
			}
		})
	})
	if !lawfulResults.whole() {
		t.Log("only a part was run: the table is neither compared nor written")
		assert.False(t, *update)
		return
	}
	golden(t, "lawful", lawfulResults.markdown(t), sameLosses)
}

// comes reports whether the server serves anything of such a client.
func (b *backend) comes(s side) bool {
	return b.serves(s) || !s.modern() && s.presence == nobody && !b.sse
}

// mayLose reports whether it is said that a row is lost.
func (b *backend) mayLose(s side, row string) bool {
	return slices.ContainsFunc(losses, func(l *loss) bool { return l.applies(b, s, row) })
}

// losesMore reports whether something is lost of which nobody says so.
func (b *backend) losesMore(s side, bare, wrapped map[string]string) bool {
	for name, was := range bare {
		if !strings.HasPrefix(was, "refused") && lost(was, wrapped[name]) && !b.mayLose(s, name) {
			return true
		}
	}
	return false
}

// lost reports whether less came of the wrapped server. What may be missing by
// the server's own doing stands last in an outcome: who has more has lost nothing.
func lost(bare, wrapped string) bool { return !strings.HasPrefix(wrapped, bare) }

func (b *backend) countLost(t *testing.T, issuers two, s side) *tally {
	bare, wrapped := b.visit(t, issuers, s, true), b.visit(t, issuers, s, false)
	for range 4 { // some servers answer now and then before their own notifications: what is lost is lost each time
		if !b.losesMore(s, bare, wrapped) {
			break
		}
		for name, is := range b.visit(t, issuers, s, false) {
			if !lost(bare[name], is) && !b.mayLose(s, name) {
				wrapped[name] = is
			}
		}
	}
	one := &tally{lost: map[string]*loss{}}
	for _, row := range everything {
		was, asked := bare[row.name]
		if !asked || strings.HasPrefix(was, "refused") {
			continue
		}
		one.served++
		if is := wrapped[row.name]; lost(was, is) {
			known := slices.IndexFunc(losses, func(l *loss) bool { return l.applies(b, s, row.name) })
			if known < 0 {
				t.Errorf("lost: %s\nbare:    %s\nwrapped: %s", row.name, was, is)
				continue
			}
			one.lost[row.name] = losses[known]
		} else if slices.ContainsFunc(losses, func(l *loss) bool { return l.applies(b, s, row.name) }) {
			t.Errorf("%s is said to be lost, and is not", row.name)
		}
	}
	assert.NotZero(t, one.served)
	return one
}

// visit does everything that such a client may want, and returns what came of it.
func (b *backend) visit(t *testing.T, issuers two, s side, bare bool) map[string]string {
	came := map[string]string{}
	t.Run(map[bool]string{true: "bare", false: "wrapped"}[bare], func(t *testing.T) {
		served := *b
		if bare && b.bare != nil {
			served.handler = b.bare
		}
		w := newWorld(t, issuers, &served, bare)
		sc := &scene{t: t, backend: b, setup: setup{victim: s, attacker: s}, pair: pairs[0], world: w}
		sc.victim = w.caller(t, "client", sc.pair.victim, s.version)
		sc.attacker = sc.victim
		sc.canary = unique("canary")
		c := &client{sc.victim, sc}
		if s.presence == own {
			if !c.begin(b.level) {
				t.Fatalf("no session: %s", c.saw())
			}
			if !b.sse {
				sc.stream = c.listen()
				if sc.stream.began() != http.StatusOK {
					t.Fatalf("no stream: %d", sc.stream.status)
				}
			}
		}
		for _, row := range everything {
			if row.applies == nil || row.applies(b, s) {
				came[row.name] = row.run(c)
			}
		}
	})
	return came
}

var counter struct {
	sync.Mutex
	n int
}

// next is a JSON-RPC id that was not used before.
func (c *client) next() int {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return counter.n + 1000
}

// served says how a message was taken, of which nothing else is to come.
func served(a *answer) string {
	if a.status >= 300 || a.status == 0 {
		return fmt.Sprintf("refused %d", a.status)
	}
	return fmt.Sprint(a.status)
}

func (c *client) told(method string, params map[string]any) string {
	return served(c.notify(method, params))
}

// outcome makes a request and returns its status, its media type and the answer to it.
func (c *client) outcome(method string, params map[string]any) string {
	c.t.Helper()
	id := c.next()
	a := c.request(id, method, cloned(params))
	return c.answerTo(id, a)
}

func (c *client) answerTo(id any, a *answer) string {
	if a.status >= 300 || a.status == 0 {
		return fmt.Sprintf("refused %d", a.status)
	}
	response, ok := find(a.text(), id)
	if !ok {
		response, ok = find(c.saw(), id) // with HTTP+SSE
	}
	switch {
	case !ok:
		return fmt.Sprintf("refused %d without an answer", a.status)
	case response.Error != nil:
		return fmt.Sprintf("refused %d %s", a.status, volatile.ReplaceAllString(string(response.Error), "_"))
	}
	result := volatile.ReplaceAllString(string(response.Result), "_")
	// What differs from caller to caller is private, by mcpauth's own doing.
	return fmt.Sprintf("%d %s", a.status, strings.ReplaceAll(result, `"cacheScope":"public"`, `"cacheScope":"private"`))
}

// volatile is what differs from one time to the other.
var volatile = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|` + `call-[a-z0-9]+|gate-[a-z0-9]+|canary-[a-z0-9]+`)

// message is a JSON-RPC response.
type message struct {
	ID            json.RawMessage
	Result, Error json.RawMessage
	Method        string
}

// find looks for the response under an id in all that a client was sent.
func find(seen string, id any) (found message, ok bool) {
	want := text(id)
	for line := range strings.Lines(seen) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "data:"))
		for _, m := range parse(line) {
			if string(m.ID) == want && m.Method == "" {
				return m, true
			}
		}
	}
	return message{}, false
}

func parse(line string) []message {
	var all []message
	if strings.HasPrefix(line, "[") {
		_ = json.Unmarshal([]byte(line), &all)
		return all
	}
	var one message
	if json.Unmarshal([]byte(line), &one) == nil {
		all = append(all, one)
	}
	return all
}

// initializes begins anew, and does not use what it is given.
func (c *client) initializes() string {
	version := c.version
	if version == batching {
		version = "2025-03-26"
	}
	if c.sse {
		return "200"
	}
	a := c.raw(fmt.Sprintf(initialize, version))
	a.ended()
	given := ""
	if a.header.Get("Mcp-Session-Id") != "" {
		given = ", with a session"
	}
	return c.answerTo("begin", a) + given
}

func (c *client) hearsOf(do string) string {
	id, tag, gate := c.next(), unique("hears"), c.s.newGate()
	a := c.call(id, "look", tag, step{Do: do, Text: tag, N: notes, Token: "p"}, step{Do: "wait", Gate: gate}, step{Do: "say", Text: "done-" + tag})
	theStage.until(func() bool {
		return theStage.has(tag, "waits "+gate) || isClosed(a.done) && !c.sse || theStage.ended(tag) != ""
	})
	if len(theStage.noted(tag)) == 0 {
		return fmt.Sprintf("refused %d", a.status)
	}
	if c.s.hears(c.s.setup.victim) {
		theStage.until(func() bool { return c.numbers(tag, notes) == notes })
	}
	theStage.open(gate)
	if !c.awaits("done-" + tag) {
		return "refused, no result"
	}
	return fmt.Sprint(a.began(), strings.Repeat(" notified", c.numbers(tag, notes)))
}

func (c *client) cancels() string {
	id, tag, gate := c.next(), unique("cancels"), c.s.newGate()
	a := c.call(id, "look", tag, step{Do: "wait", Gate: gate}, step{Do: "say", Text: "done-" + tag})
	theStage.until(func() bool { return theStage.has(tag, "waits "+gate) || isClosed(a.done) && !c.sse })
	if len(theStage.noted(tag)) == 0 {
		return fmt.Sprintf("refused %d", a.status)
	}
	said := c.told("notifications/cancelled", object("requestId", id))
	c.there()
	for range 200 { // some servers hear of it after they have answered
		if theStage.ended(tag) != "" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	theStage.open(gate) // a server that has not heard of it ends the call well
	theStage.until(func() bool { return theStage.ended(tag) != "" })
	a.close()
	if how := theStage.ended(tag); how != "cancelled" {
		return "refused, " + how
	}
	return said + ", cancelled"
}

func (c *client) leaves() string {
	tag, gate := unique("leaves"), c.s.newGate()
	a := c.call(c.next(), "look", tag, step{Do: "wait", Gate: gate})
	theStage.until(func() bool { return theStage.has(tag, "waits "+gate) || isClosed(a.done) })
	if len(theStage.noted(tag)) == 0 {
		return fmt.Sprintf("refused %d", a.status)
	}
	a.close()
	for range 3 {
		c.there()
	}
	theStage.open(gate)
	theStage.until(func() bool { return theStage.ended(tag) != "" })
	return theStage.ended(tag)
}

// came waits for a notification.
func (c *client) came(method string) string {
	if !c.awaits(method) {
		return "refused, nothing came"
	}
	return "came"
}

func (c *client) answers(do, method, result string) string {
	tag, id := unique("answers"), c.next()
	before := len(c.saw())
	c.call(id, "run", tag, step{Do: do, Text: tag}, step{Do: "say", Text: "done-" + tag})
	asked := func() (string, bool) { return requestOf(c.saw()[before:], method) }
	if !theStage.until(func() bool { _, ok := asked(); return ok || theStage.ended(tag) != "" }) || theStage.ended(tag) != "" {
		return "refused, not asked"
	}
	its, _ := asked()
	said := served(c.postRaw(`{"jsonrpc":"2.0","id":` + its + `,"result":` + result + `}`))
	theStage.until(func() bool { return theStage.ended(tag) != "" })
	return fmt.Sprint(said, " ", theStage.noted(tag))
}

func (c *client) postRaw(body string) *answer {
	a := c.raw(body)
	a.ended()
	return a
}

func (c *client) batch() string {
	first, second := c.next(), c.next()
	steps := []step{{Do: "say", Text: "said"}}
	a := c.postRaw("[" + text(callOf(first, "look", "t", steps...)) + "," + text(callOf(second, "look", "t", steps...)) +
		`,{"jsonrpc":"2.0","method":"notifications/initialized"}]`)
	return c.answerTo(first, a) + " and " + c.answerTo(second, a)
}

func (c *client) task(ends bool) string {
	tag, gate, id := unique("task"), c.s.newGate(), c.next()
	call := callOf(id, "run", tag, step{Do: "wait", Gate: gate}, step{Do: "say", Text: "done"})
	call["params"].(map[string]any)["task"] = object("ttl", 60_000)
	a := c.post(call)
	a.ended()
	began := c.answerTo(id, a)
	response, _ := find(c.saw(), id)
	match := taskID.FindStringSubmatch(string(response.Result))
	if match == nil {
		return "refused, " + began
	}
	params := object("taskId", match[1])
	all := []string{began, c.outcome("tasks/get", params)}
	if ends {
		all = append(all, c.outcome("tasks/cancel", params))
	}
	theStage.open(gate)
	if !ends {
		all = append(all, c.outcome("tasks/result", params), c.outcome("tasks/get", params))
	}
	list := c.request(c.next(), "tasks/list", nil)
	return strings.Join(append(all, fmt.Sprintf("listed %v", strings.Contains(list.text(), match[1]))), "; ")
}

func (c *client) listens() string {
	uri := "note://" + unique("note")
	a := c.post(object("id", c.next(), "method", "subscriptions/listen", "params", object(
		"notifications", object("resourceSubscriptions", []string{uri}, "toolsListChanged", true))))
	if !theStage.until(func() bool { return strings.Contains(a.text(), "acknowledged") || isClosed(a.done) }) || a.status >= 300 {
		return fmt.Sprintf("refused %d", a.status)
	}
	said := fmt.Sprint(a.status)
	if c.s.backend.listens {
		c.call(c.next(), "run", unique("call"), step{Do: "updated", URI: uri})
		if theStage.until(func() bool { return strings.Contains(a.text(), "resources/updated") }) {
			said += " updated"
		}
	}
	if strings.HasPrefix(c.s.backend.name, "mcp-go") && (!c.s.backend.listens || strings.HasSuffix(said, "updated")) {
		c.call(c.next(), "run", unique("call"), step{Do: "broadcast", Text: "x"})
		if theStage.until(func() bool { return strings.Contains(a.text(), "list_changed") }) {
			said += " changed"
		}
	}
	a.close()
	return said
}

// resumes makes a call with notifications, and asks for what came after the first.
func (c *client) resumes() string {
	var tag string
	var ids [][]string
	for range 100 { // some servers have their result before they see that there are events, or give those to another stream
		tag = unique("resumes")
		a := c.call(c.next(), "look", tag, step{Do: "notify", Text: tag, N: 20}, step{Do: "say", Text: "done-" + tag})
		if a.ended(); a.status >= 300 || !strings.Contains(a.text(), "done-"+tag) {
			return fmt.Sprintf("refused %d", a.status)
		}
		if ids = eventID.FindAllStringSubmatch(a.text(), -1); len(ids) >= 2 {
			break
		}
	}
	if len(ids) < 2 {
		return "refused, no events"
	}
	again := c.listen("Last-Event-ID", ids[0][1])
	defer again.close()
	if again.began() != http.StatusOK {
		return fmt.Sprintf("refused %d", again.status)
	}
	for range 3 {
		c.there()
	}
	theStage.until(func() bool {
		return strings.Contains(again.text(), "done-"+tag) || isClosed(again.done) || c.s.setup.victim.presence == nobody && !c.s.world.bare
	})
	if !strings.Contains(again.text(), "done-"+tag) {
		return "refused, nothing replayed"
	}
	return "replayed"
}

func (c *client) streams() string {
	a := c.listen()
	defer a.close()
	if a.began() != http.StatusOK {
		return fmt.Sprintf("refused %d", a.status)
	}
	if !c.s.backend.marks {
		return "200" // nothing would come
	}
	marker, other := unique("marker"), c.caller
	if c.s.backend.sessions { // a broadcast is for everybody, whoever made the server send it
		other = c.s.world.caller(c.t, "other", pairs[0].attacker, latest)
		other.begin(c.s.level)
	}
	for range 50 {
		other.call(c.next(), "look", unique("call"), step{Do: "broadcast", Text: marker}).ended()
		// Where all share a session, it may come on the answer to the call instead.
		theStage.until(func() bool { return strings.Contains(a.text()+c.caller.saw(), marker) })
		if strings.Contains(a.text(), marker) {
			return "200, reached"
		}
	}
	return "200"
}
