package isolation_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// javaUnknown is a session id as mcpauth makes them, and that nobody has.
const javaUnknown = "mcpauth.abcdefghijklmnopqrstuv"

// javaStream is the status of an answer that does not end.
const javaStream = -200

// TestJavaServesAsBefore_ISOL_09_ISOL_11_ISOL_19: what a server of the Java SDK
// serves to a client that presents no session, it also serves behind mcpauth. The
// figures of the bare server are what the official SDK does (2.1.0).
func TestJavaServesAsBefore_ISOL_09_ISOL_11_ISOL_19(t *testing.T) {
	origin := javaServer(t)
	type statuses struct {
		bare, unknown int // without a session, and with a session id that it has not given out
		wrapped, used int // without a session behind mcpauth: at first, and when the path has given out or served an id
	}
	table := map[string]map[string]statuses{
		"stateless": {
			"call":                           {200, 200, 200, 200},
			"list":                           {200, 200, 200, 200},
			"ping":                           {200, 200, 200, 200},
			"notification":                   {202, 202, 202, 202},
			"cancellation":                   {202, 202, 202, 202},
			"response":                       {400, 400, 202, 202},
			"level":                          {200, 200, 200, 200}, // -32601
			"batch":                          {400, 400, 400, 400},
			"GET":                            {405, 405, 405, 405},
			"GET with Last-Event-ID":         {405, 405, 405, 405},
			"DELETE":                         {405, 405, 404, 404},
			"initialize":                     {200, 200, 200, 200},
			"modern call":                    {200, 200, 200, 200}, // as a legacy one
			"modern server/discover":         {200, 200, 200, 200}, // -32601
			"modern subscriptions/listen":    {200, 200, 200, 200}, // -32601
			"call of who names a session id": {200, 200, 404, 404},
		},
		"sessions": {
			"call":                           {400, 404, 400, 404},
			"list":                           {400, 404, 400, 404},
			"ping":                           {400, 404, 400, 404},
			"notification":                   {400, 404, 400, 404},
			"cancellation":                   {400, 404, 202, 202},
			"response":                       {400, 404, 202, 202},
			"level":                          {400, 404, 400, 404},
			"batch":                          {400, 400, 400, 400},
			"GET":                            {400, 404, 400, 404},
			"GET with Last-Event-ID":         {400, 404, 400, 404},
			"DELETE":                         {400, 404, 404, 404},
			"initialize":                     {200, 200, 200, 200},
			"modern call":                    {400, 404, 400, 400},
			"modern server/discover":         {400, 404, 400, 400},
			"modern subscriptions/listen":    {400, 404, 400, 400},
			"call of who names a session id": {404, 404, 404, 404},
		},
		"HTTP+SSE": {
			"call":                           {400, 400, 400, 400},
			"list":                           {400, 400, 400, 400},
			"ping":                           {400, 400, 400, 400},
			"notification":                   {400, 400, 400, 400},
			"cancellation":                   {400, 400, 202, 202},
			"response":                       {400, 400, 202, 202},
			"level":                          {400, 400, 400, 400},
			"batch":                          {400, 400, 400, 400},
			"GET":                            {javaStream, javaStream, javaStream, javaStream},
			"GET with Last-Event-ID":         {javaStream, javaStream, javaStream, javaStream},
			"DELETE":                         {405, 405, 404, 404},
			"initialize":                     {400, 400, 400, 400},
			"modern call":                    {400, 400, 400, 400},
			"modern server/discover":         {400, 400, 400, 400},
			"modern subscriptions/listen":    {400, 400, 400, 400},
			"call of who names a session id": {400, 400, 404, 404},
		},
	}
	ask := func(c *javaCaller, what string, headers ...string) int {
		t.Helper()
		switch {
		case what == "DELETE":
			return c.send(http.MethodDelete, c.world.url, "", headers...).ended(t)
		case strings.HasPrefix(what, "GET"):
			if what != "GET" {
				headers = append(headers, "Last-Event-Id", "1")
			}
			a := c.listen(headers...)
			defer a.leave()
			<-a.begun
			if a.status == http.StatusOK && c.world.sse {
				require.True(t, theJavaStage.until(func() bool { return javaEndpoint.MatchString(a.text()) }), "%q", a.text())
				return javaStream
			}
			return a.ended(t)
		case strings.HasPrefix(what, "modern"):
			c.version = javaModern
			headers = append(headers, "Mcp-Method", strings.TrimPrefix(what, "modern "))
			body := c.message(1, strings.TrimPrefix(what, "modern "), nil)
			if what == "modern call" {
				body = c.callOf(1, "look", javaUnique("call"))
				headers = append(headers, "Mcp-Method", "tools/call", "Mcp-Name", "look")
			}
			return c.send(http.MethodPost, c.messages, body, headers...).ended(t)
		case what == "call of who names a session id":
			c.session = javaUnknown
		case what == "batch":
			c.version = ""
		}
		call := c.callOf(1, "look", javaUnique("call"))
		body := map[string]string{
			"call":                           call,
			"list":                           c.message(1, "tools/list", map[string]any{}),
			"ping":                           c.message(1, "ping", nil),
			"notification":                   c.message(nil, "notifications/roots/list_changed", nil),
			"cancellation":                   c.message(nil, "notifications/cancelled", map[string]any{"requestId": 1}),
			"response":                       `{"jsonrpc":"2.0","id":"x-0","result":{"action":"accept"}}`,
			"level":                          c.message(1, "logging/setLevel", map[string]any{"level": "debug"}),
			"batch":                          "[" + call + "]",
			"initialize":                     javaInitialize,
			"call of who names a session id": call,
		}[what]
		require.NotEmpty(t, body, what)
		return c.send(http.MethodPost, c.messages, body, headers...).ended(t)
	}
	cells, lost := 0, 0
	for _, transport := range []javaTransport{javaStateless, javaSessions, javaSSE} {
		bare := newJavaWorld(t, origin, transport, true)
		used := newJavaWorld(t, origin, transport, false)
		if transport.sessions {
			used.caller(t, javaAlice).begin()
		} else {
			require.Equal(t, 200, ask(used.caller(t, javaAlice), "call"))
		}
		for what, want := range table[transport.name] {
			t.Run(transport.name+"/"+what, func(t *testing.T) {
				got := statuses{
					bare:    ask(bare.caller(t, javaAlice), what),
					unknown: ask(bare.caller(t, javaAlice), what, "Mcp-Session-Id", javaUnknown),
					wrapped: ask(newJavaWorld(t, origin, transport, false).caller(t, javaAlice), what),
					used:    ask(used.caller(t, javaAlice), what),
				}
				assert.Equal(t, want, got)
				cells++
				if got.bare < 300 && what != "call of who names a session id" && (got.wrapped >= 300 || got.used >= 300) {
					lost++
				}
			})
		}
	}
	assert.Zero(t, lost)
	t.Logf("%d kinds of requests without a session, lawful ones that the bare server serves and the wrapped one loses: %d", cells, lost)
}

// TestJavaRunsACallOnce_ISOL_19: whatever becomes of a call, its tool has run once, at the first
// request of all, which may be tried again, as later.
func TestJavaRunsACallOnce_ISOL_19(t *testing.T) {
	origin := javaServer(t)
	ends := []javaStep{{Do: "say", Text: "well"}}
	for _, what := range []string{"illegal argument", "input and output", "not found", "anything"} {
		ends = append(ends, javaStep{Do: "throw", Text: what})
	}
	for _, transport := range []javaTransport{javaStateless, javaSessions, javaSSE} {
		for _, end := range ends {
			t.Run(transport.name+"/"+end.Do+" "+end.Text, func(t *testing.T) {
				for _, bare := range []bool{true, false} {
					w := newJavaWorld(t, origin, transport, bare)
					c := w.caller(t, javaAlice)
					if transport.sessions {
						c.begin()
					}
					w.take()
					for range 2 {
						tag := javaUnique("call")
						a := c.call(1, "run", tag, end)
						assert.Equal(t, 200, a.ended(t), "%s", a.text())
						assert.Equal(t, 1, theJavaStage.count(tag, "ran"))
					}
					assert.Len(t, w.take(), 2, "nothing has been tried again")
				}
			})
		}
	}
}

// TestJavaSeesNewNames_ISOL_04: each request without a session comes to the server once, under a
// name of its own.
func TestJavaSeesNewNames_ISOL_04(t *testing.T) {
	w := newJavaWorld(t, javaServer(t), javaStateless, false)
	c := w.caller(t, javaAlice)
	for range 5 {
		assert.Equal(t, 405, c.listen("Last-Event-Id", "1").ended(t))
		assert.Equal(t, 200, c.call(1, "look", javaUnique("call")).ended(t))
	}
	behind := w.take()
	assert.Len(t, behind, 10, "405 is not tried again")
	for _, request := range behind {
		assert.Regexp(t, `^(GET|POST) mcpauth\.[\w-]{22}$`, request)
	}
	slices.Sort(behind)
	assert.Len(t, slices.Compact(behind), 10)
}

// javaPairs are two who must not meet; bob comes to alice.
var javaPairs = []struct {
	name       string
	bob        javaWho
	sameClient bool // the token of the same client has fewer scopes: what that client began is also his
}{
	{"two users", javaWho{"bob", "app", javaBroad, false}, false},
	{"two clients of one user", javaWho{"alice", "other", javaNarrow, false}, false},
	{"one client, a narrower token", javaWho{"alice", "app", javaNarrow, false}, true},
	{"equal sub at two issuers", javaWho{"alice", "app", javaBroad, true}, false},
	{"equal sub, a user and a client", javaWho{"alice", "alice", javaBroad, false}, false},
}

// javaEras are how two come to a server without sessions.
var javaEras = [][2]string{{javaLatest, javaLatest}, {javaModern, javaLatest}, {javaLatest, javaModern}, {javaModern, javaModern}}

// TestJavaCallersDoNotMeet_ISOL_01_ISOL_06_ISOL_07_ISOL_11_ISOL_13: while a call of alice's goes on
// at the server without sessions, bob does all that could reach it under the same ids, and nothing of it is lost, or comes to him.
func TestJavaCallersDoNotMeet_ISOL_01_ISOL_06_ISOL_07_ISOL_11_ISOL_13(t *testing.T) {
	w := newJavaWorld(t, javaServer(t), javaStateless, false)
	cells, crossings := 0, 0
	for _, pair := range javaPairs {
		for _, era := range javaEras {
			t.Run(pair.name+"/"+era[0]+" and "+era[1], func(t *testing.T) {
				alice, bob := w.caller(t, javaAlice), w.caller(t, pair.bob)
				alice.version, bob.version = era[0], era[1]
				tag, gate, canary := javaUnique("call"), javaUnique("gate"), javaUnique("canary")
				call := alice.call(1, "run", tag, javaStep{Do: "wait", Gate: gate}, javaStep{Do: "say", Text: canary})
				require.True(t, theJavaStage.until(func() bool { return theJavaStage.count(tag, "waits "+gate) == 1 }))

				if bob.version == javaLatest {
					assert.Equal(t, 202, bob.post(bob.message(nil, "notifications/cancelled", map[string]any{"requestId": 1})).ended(t))
					assert.Equal(t, 202, bob.post(`{"jsonrpc":"2.0","id":1,"result":{}}`).ended(t))
					assert.Equal(t, 405, bob.listen().ended(t))
					assert.Equal(t, 405, bob.listen("Last-Event-Id", "1").ended(t))
					assert.Equal(t, 404, bob.send(http.MethodDelete, w.url, "").ended(t))
					assert.Equal(t, 200, bob.post(javaInitialize).ended(t))
				} else {
					assert.Equal(t, 200, bob.post(bob.message(1, "subscriptions/listen", map[string]any{"notifications": map[string]any{}})).ended(t))
				}
				own := javaUnique("bob")
				a := bob.call(1, "look", javaUnique("call"), javaStep{Do: "say", Text: own})
				assert.Equal(t, 200, a.ended(t))
				assert.Contains(t, a.text(), own)
				assert.Equal(t, 200, bob.post(bob.message(1, "tools/list", map[string]any{})).ended(t))

				theJavaStage.open(gate)
				status := call.ended(t)
				cells++
				crossed := strings.Contains(bob.saw(), canary) || strings.Contains(alice.saw(), own) ||
					status != 200 || !strings.Contains(call.text(), canary) || theJavaStage.count(tag, "ran") != 1
				if !assert.False(t, crossed, "bob saw %q, alice %d %q", bob.saw(), status, call.text()) {
					crossings++
				}
			})
		}
	}
	t.Logf("%d cells, crossings: %d", cells, crossings)

	t.Run("alice gives up her own call", func(t *testing.T) {
		alice := w.caller(t, javaAlice)
		tag, gate := javaUnique("call"), javaUnique("gate")
		call := alice.call(1, "run", tag, javaStep{Do: "wait", Gate: gate}, javaStep{Do: "say", Text: "done"})
		defer theJavaStage.open(gate)
		require.True(t, theJavaStage.until(func() bool { return theJavaStage.count(tag, "waits "+gate) == 1 }))
		assert.Equal(t, 202, alice.post(alice.message(nil, "notifications/cancelled", map[string]any{"requestId": 1})).ended(t))
		assert.Equal(t, 200, call.ended(t))
		assert.Contains(t, call.text(), `"error":{"code":-31499,"message":"request cancelled"}`)
	})
}

var javaAsked = regexp.MustCompile(`"method":"elicitation/create","id":"([^"]+)"|"id":"([^"]+)","method":"elicitation/create"`)

// javaStanding is a call of alice's in her session: it sends 20 notifications, and asks her something between.
type javaStanding struct {
	alice         *javaCaller
	stream, call  *javaAnswer
	canary, tag   string
	question      string // the id of the server's request
	eventIDs      []string
	sealed, plain string // the session, as alice knows it, and as the server does
}

func javaStand(t *testing.T, alice *javaCaller) *javaStanding {
	t.Helper()
	s := &javaStanding{alice: alice, canary: javaUnique("canary"), tag: javaUnique("call")}
	s.stream = alice.begin()
	if s.sealed, s.plain = alice.session, alice.session; !alice.world.bare && s.sealed != "" {
		s.plain = s.sealed[:strings.LastIndexByte(s.sealed, '.')]
	}
	s.call = alice.call(1, "run", s.tag, javaStep{Do: "notify", Text: s.canary, N: 5}, javaStep{Do: "elicit", Text: s.canary},
		javaStep{Do: "notify", Text: s.canary, From: 5, N: 15}, javaStep{Do: "say", Text: s.canary + "done"})
	require.True(t, theJavaStage.until(func() bool { return javaAsked.MatchString(alice.saw()) }), "%q", alice.saw())
	ids := javaAsked.FindStringSubmatch(alice.saw())
	s.question = ids[1] + ids[2]
	for _, match := range regexp.MustCompile(`(?m)^id: ?(\S+)`).FindAllStringSubmatch(alice.saw(), -1) {
		s.eventIDs = append(s.eventIDs, match[1])
	}
	return s
}

// attack does under bob's name what could reach the call, one after the other: some of it would end his
// own request of the same id.
func (s *javaStanding) attack(bob *javaCaller) (answers []*javaAnswer) {
	bob.t.Helper()
	for _, body := range []string{
		bob.message(nil, "notifications/cancelled", map[string]any{"requestId": 1}),
		bob.message(1, "logging/setLevel", map[string]any{"level": "emergency"}),
		bob.callOf(1, "look", javaUnique("call"), javaStep{Do: "say", Text: "bob"}),
		fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"decline"}}`, s.question),
	} {
		a := bob.post(body)
		a.ended(bob.t)
		answers = append(answers, a)
	}
	return answers
}

// finish lets alice answer, and reports what has become of her call.
func (s *javaStanding) finish(t *testing.T, bob *javaCaller) (crossed []string) {
	t.Helper()
	s.alice.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"accept"}}`, s.question)).ended(t)
	theJavaStage.until(func() bool { return strings.Contains(s.alice.saw(), s.canary+"done") || s.javaOver() })
	if theJavaStage.count(s.tag, "elicited accept") != 1 {
		crossed = append(crossed, "the answer was not alice's")
	}
	if theJavaStage.count(s.tag, "ran") != 1 || theJavaStage.count(s.tag, "ended well") != 1 {
		crossed = append(crossed, "the call did not run once to its end")
	}
	for i := range 20 {
		if !strings.Contains(s.alice.saw(), fmt.Sprintf("%s-n%d;", s.canary, i)) {
			crossed = append(crossed, fmt.Sprintf("alice had no notification %d", i))
		}
	}
	if !strings.Contains(s.alice.saw(), s.canary+"done") {
		crossed = append(crossed, "alice had no result")
	}
	if strings.Contains(bob.saw(), s.canary) {
		crossed = append(crossed, "bob saw something of the call")
	}
	return crossed
}

// javaOver reports whether the call can have no result any more.
func (s *javaStanding) javaOver() bool {
	of := s.call
	if s.alice.world.sse {
		of = s.stream
	}
	select {
	case <-of.done:
		return true
	default:
		return false
	}
}

// TestJavaSessionsDoNotMeet_ISOL_09_ISOL_11_ISOL_14: alice has a session, and is asked something in it. Bob
// comes without one, with his own, and with hers in every form that he could have it in.
func TestJavaSessionsDoNotMeet_ISOL_09_ISOL_11_ISOL_14(t *testing.T) {
	origin := javaServer(t)
	cells, crossings := 0, 0
	for _, transport := range []javaTransport{javaSessions, javaSSE} {
		w := newJavaWorld(t, origin, transport, false)
		for _, pair := range javaPairs {
			for _, presents := range []string{"no session", "his own", "hers", "hers without the seal", "hers with his seal"} {
				if pair.sameClient && presents == "hers" {
					continue // what his own client began
				}
				t.Run(transport.name+"/"+pair.name+"/"+presents, func(t *testing.T) {
					s := javaStand(t, w.caller(t, javaAlice))
					bob := w.caller(t, pair.bob)
					var stream *javaAnswer
					if presents == "his own" || presents == "hers with his seal" {
						stream = bob.begin()
					}
					javaPresent(bob, s, presents)
					for _, a := range s.attack(bob) {
						switch {
						case presents == "his own":
						case presents == "no session":
							assert.Contains(t, []int{202, 400, 404}, a.status, "%s", a.text())
						default:
							assert.Equal(t, 404, a.status, "%s", a.text())
						}
					}
					if presents != "his own" && !transport.sse {
						for _, headers := range append([]string{""}, s.eventIDs...) {
							a := bob.listen("Last-Event-Id", headers)
							assert.Equal(t, 404, a.ended(t))
						}
						assert.Equal(t, 404, bob.listen().ended(t))
					}
					if presents == "his own" {
						bob.mark(stream)
					}
					if presents != "his own" {
						assert.Equal(t, 404, bob.send(http.MethodDelete, w.url, "").ended(t))
					}
					crossed := s.finish(t, bob)
					assert.Empty(t, crossed)
					cells++
					crossings += len(crossed)
					if presents == "his own" && !transport.sse {
						assert.Equal(t, 200, bob.send(http.MethodDelete, w.url, "").ended(t))
					}
				})
			}
		}
	}
	t.Logf("%d cells, crossings: %d", cells, crossings)
}

// javaPresent gives bob a session as he could present it.
func javaPresent(bob *javaCaller, s *javaStanding, presents string) {
	bobs := bob.messages
	switch {
	case presents == "no session" || presents == "his own":
	case !bob.world.sse && presents == "hers":
		bob.session = s.sealed
	case !bob.world.sse && presents == "hers without the seal":
		bob.session = s.plain
	case !bob.world.sse:
		bob.session = s.plain + bob.session[strings.LastIndexByte(bob.session, '.'):]
	case presents == "hers":
		bob.messages = s.alice.messages
	case presents == "hers without the seal":
		bob.messages, _, _ = strings.Cut(s.alice.messages, "&mcpauth=")
	default:
		hers, _, _ := strings.Cut(s.alice.messages, "&mcpauth=")
		_, seal, _ := strings.Cut(bobs, "&mcpauth=")
		bob.messages = hers + "&mcpauth=" + seal
	}
}

// TestJavaBareSessionsMeet shows that the attacks above are some: at the bare server, who has alice's session
// answers in her name, and hears what she should hear.
func TestJavaBareSessionsMeet(t *testing.T) {
	origin := javaServer(t)
	for _, transport := range []javaTransport{javaSessions, javaSSE} {
		t.Run(transport.name, func(t *testing.T) {
			w := newJavaWorld(t, origin, transport, true)
			s := javaStand(t, w.caller(t, javaAlice))
			bob := w.caller(t, javaPairs[0].bob)
			javaPresent(bob, s, "hers")
			s.attack(bob)
			if !transport.sse {
				bob.mark(bob.listen())
			}
			crossed := s.finish(t, bob)
			assert.Contains(t, crossed, "the answer was not alice's")
		})
	}
}
