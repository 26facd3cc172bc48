package isolation

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// alias is what a handler gets for a request without a session.
var alias = regexp.MustCompile(`^mcpauth\.[A-Za-z0-9_-]{22}$`)

// recording is a server that serves everything and keeps nothing. It says in
// its answer which session it was asked in, as careless servers do.
func recording(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("Mcp-Session-Id"); id != "" {
		w.Header().Set("Mcp-Session-Id", id)
	}
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"7c2c","status":"working"}}}`))
}

// TestWhatArrives_ISOL_11: what exactly comes to a server of requests that
// present no session.
func TestWhatArrives_ISOL_03_ISOL_04_ISOL_05_ISOL_06_ISOL_07_ISOL_08_ISOL_09_ISOL_11(t *testing.T) {
	issuers := newIssuers(t)
	call := callOf(1, "look", "")
	task := callOf(1, "look", "")
	task["params"].(map[string]any)["task"] = object("ttl", 1000)
	const (
		fresh  = "under an id of its own"
		fixed  = "under the id for tasks"
		naked  = "without an id"
		absent = "not at all"
	)
	for _, tt := range []struct {
		name    string
		version string
		send    func(*caller) *answer
		want    string
		status  int
	}{
		{"a call", latest, func(c *caller) *answer { return c.post(call) }, fresh, 200},
		{"a call of 2025-03-26", batching, func(c *caller) *answer { return c.post(call) }, fresh, 200},
		{"a call in a batch", batching, func(c *caller) *answer { return c.raw("[" + text(call) + "]") }, fresh, 200},
		{"a call with Last-Event-ID", latest, func(c *caller) *answer { return c.post(call, "Last-Event-ID", "1") }, fresh, 200},
		{"a notification", latest, func(c *caller) *answer { return c.post(object("method", "notifications/initialized")) }, fresh, 200},
		{"a ping", latest, func(c *caller) *answer { return c.post(object("id", 1, "method", "ping")) }, fresh, 200},
		{"a call with a task", latest, func(c *caller) *answer { return c.post(task) }, fixed, 200},
		{"initialize", latest, func(c *caller) *answer {
			return c.post(object("id", 1, "method", "initialize", "params", object("protocolVersion", latest)))
		}, naked, 200},
		{"a modern call", modernVersion, func(c *caller) *answer { return c.post(call) }, naked, 200},
		{"a modern call with a session id", modernVersion, func(c *caller) *answer { return c.post(call, "Mcp-Session-Id", "x") }, naked, 200},
		{"a modern call with Last-Event-ID", modernVersion, func(c *caller) *answer { return c.post(call, "Last-Event-ID", "1") }, naked, 200},
		{"a cancellation", latest, func(c *caller) *answer {
			return c.post(object("method", "notifications/cancelled", "params", object("requestId", 1)))
		}, absent, 202},
		{"a cancellation in a batch", batching, func(c *caller) *answer {
			return c.raw(`[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`)
		}, absent, 202},
		{"an answer", latest, func(c *caller) *answer { return c.raw(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`) }, absent, 202},
		{"an error as an answer", latest, func(c *caller) *answer { return c.raw(`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`) }, absent, 202},
		{"an answer in a batch", batching, func(c *caller) *answer { return c.raw(`[{"jsonrpc":"2.0","id":1,"result":{}}]`) }, absent, 202},
		{"DELETE", latest, func(c *caller) *answer { return c.send(http.MethodDelete, c.url, "") }, absent, 404},
		{"a call in the name of one of ours", latest, func(c *caller) *answer {
			return c.post(call, "Mcp-Session-Id", "mcpauth.AAAAAAAAAAAAAAAAAAAAAA")
		}, absent, 404},
		{"DELETE in the name of one of ours", latest, func(c *caller) *answer {
			return c.send(http.MethodDelete, c.url, "", "Mcp-Session-Id", "mcpauth.AAAAAAAAAAAAAAAAAAAAAA")
		}, absent, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, d := newDoor(t, issuers, http.HandlerFunc(recording))
			seen := map[string]string{} // session id to whom it was given
			for _, who := range []who{pairs[0].victim, pairs[0].attacker, pairs[1].attacker, pairs[2].attacker} {
				for range 3 {
					c := w.caller(t, who.sub, who, tt.version)
					a := tt.send(c)
					require.True(t, a.ended())
					assert.Equal(t, tt.status, a.status)
					assert.Empty(t, a.header.Values("Mcp-Session-Id"), "it never comes to the client")
					assert.NotContains(t, c.saw(), "mcpauth.")
					whose := who.sub + " by " + who.client
					for _, v := range d.visits(func(visit) bool { return true }) {
						assert.Empty(t, v.lastEvent)
						if v.session == "" {
							continue
						}
						assert.Regexp(t, alias, v.session)
						before, known := seen[v.session]
						assert.True(t, !known || tt.want == fixed && before == whose, "given once, or to one client for its tasks")
						seen[v.session] = whose
					}
					came := d.visits(func(visit) bool { return true })
					d.lock.Lock()
					d.came = nil
					d.lock.Unlock()
					if tt.want == absent {
						assert.Empty(t, came)
						continue
					}
					if assert.Len(t, came, 1) {
						assert.Equal(t, tt.want == naked, came[0].session == "")
					}
				}
			}
			assert.Len(t, seen, map[string]int{fresh: 12, fixed: 4}[tt.want])
		})
	}
}

// TestStreamIsForgotten_ISOL_20: a stream without a session reaches the server
// under an id of its own, without the event that its client would go on from, and
// when it ends the server is told that nobody comes back.
func TestStreamIsForgotten_ISOL_03_ISOL_20(t *testing.T) {
	w, d := newDoor(t, newIssuers(t), http.HandlerFunc(recording))
	c := w.caller(t, "client", pairs[0].victim, latest)
	seen := map[string]bool{}
	for range 3 {
		a := c.listen("Last-Event-ID", "1")
		require.Equal(t, http.StatusOK, a.began())
		assert.Empty(t, a.header.Values("Mcp-Session-Id"))
		a.close()
	}
	theStage.until(func() bool { return len(d.visits(func(visit) bool { return true })) == 6 })
	counts := map[string]int{}
	for _, v := range d.visits(func(visit) bool { return true }) {
		assert.Regexp(t, alias, v.session)
		assert.Empty(t, v.lastEvent)
		counts[v.method]++
		seen[v.session] = true
	}
	assert.Equal(t, map[string]int{http.MethodGet: 3, http.MethodDelete: 3}, counts)
	assert.Len(t, seen, 3)
}

// TestOwnCancellation_ISOL_07: without a session one ends one's own call, and
// nothing where two windows have used the same id.
func TestOwnCancellation_ISOL_07(t *testing.T) {
	issuers := newIssuers(t)
	for _, b := range goBackends {
		if !b.stateless {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			w := newWorld(t, issuers, b, false)
			first, second := w.caller(t, "first", pairs[0].victim, latest), w.caller(t, "second", pairs[0].victim, latest)
			one, other, gate := unique("call"), unique("call"), unique("gate")
			first.call(7, "run", one, step{Do: "wait", Gate: gate})
			second.call(7, "run", other, step{Do: "wait", Gate: gate})
			theStage.until(func() bool { return theStage.has(one, "waits "+gate) && theStage.has(other, "waits "+gate) })
			assert.Equal(t, http.StatusAccepted, first.notify("notifications/cancelled", object("requestId", 7)).status)
			first.there()
			theStage.open(gate)
			theStage.until(func() bool { return theStage.ended(one) != "" && theStage.ended(other) != "" })
			assert.Equal(t, []string{"well", "well"}, []string{theStage.ended(one), theStage.ended(other)}, "nobody can say which is meant")

			one, gate = unique("call"), unique("gate")
			first.call(8, "run", one, step{Do: "wait", Gate: gate})
			theStage.until(func() bool { return theStage.has(one, "waits "+gate) })
			assert.Equal(t, http.StatusAccepted, first.notify("notifications/cancelled", object("requestId", 8)).status)
			if strings.HasPrefix(b.name, "mcp-go") { // in the go-sdk a request of its own kind of session knows nothing of the client's leaving
				theStage.until(func() bool { return theStage.ended(one) != "" })
				assert.Equal(t, "cancelled", theStage.ended(one))
			}
			first.there()
			theStage.open(gate)
			theStage.until(func() bool { return theStage.ended(one) != "" })
		})
	}
}

// TestStepUpKeepsSession_ISOL_14: a refreshed or wider token of the same client
// goes on with the session; nobody else does.
func TestStepUpKeepsSession_ISOL_14(t *testing.T) {
	issuers := newIssuers(t)
	for _, b := range goBackends {
		if !b.sessions || b.sse {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			w := newWorld(t, issuers, b, false)
			before := w.caller(t, "before", who{sub: "alice", client: "app", scope: narrow}, latest)
			require.True(t, before.begin(b.level))
			for _, tt := range []struct {
				who  who
				want int
			}{
				{who{sub: "alice", client: "app", scope: narrow}, 200},
				{who{sub: "alice", client: "app", scope: broad}, 200},
				{who{sub: "alice", client: "other", scope: broad}, 404},
				{who{sub: "alice", client: "app", scope: broad, elsewhere: true}, 404},
				{who{sub: "app", client: "app", scope: broad}, 404},
				{who{sub: "mallory", client: "app", scope: broad}, 404},
			} {
				c := w.caller(t, "caller", tt.who, latest)
				c.session = before.session
				tag := unique("call")
				a := c.call(1, "look", tag)
				require.True(t, a.ended())
				assert.Equal(t, tt.want, a.status, "%+v", tt.who)
				assert.Equal(t, tt.want == 200, theStage.has(tag, "ran"))
			}
		})
	}
}
