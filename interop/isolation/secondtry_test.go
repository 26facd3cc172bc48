package isolation

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// door stands before a server and notes what comes in and how it was answered.
type door struct {
	next http.Handler
	lock sync.Mutex
	came []visit
	once func(visit) bool // answers a visit with 404, as in a deployment
}

// visit is a request as the server saw it.
type visit struct {
	method, path, session, lastEvent, body string
	status                                 int
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := new(strings.Builder)
	if r.Body != nil {
		buffer := make([]byte, 1<<16)
		for {
			n, err := r.Body.Read(buffer)
			body.Write(buffer[:n])
			if err != nil {
				break
			}
		}
	}
	v := visit{r.Method, r.URL.Path, r.Header.Get("Mcp-Session-Id"), r.Header.Get("Last-Event-Id"), body.String(), 0}
	d.lock.Lock()
	stray := d.once != nil && d.once(v)
	if stray {
		d.once = nil
	}
	d.lock.Unlock()
	answer := &watched{ResponseWriter: w, status: http.StatusOK}
	if stray {
		http.NotFound(answer, r)
	} else {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
		if v.body != "" {
			r.Body = readCloser{strings.NewReader(v.body)}
		}
		d.next.ServeHTTP(answer, r)
	}
	v.status = answer.status
	d.lock.Lock()
	d.came = append(d.came, v)
	d.lock.Unlock()
	theStage.tell()
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Flush()                      { w.ResponseWriter.(http.Flusher).Flush() }
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// visits are those that came, in the order in which they were answered.
func (d *door) visits(which func(visit) bool) (found []visit) {
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, v := range d.came {
		if which(v) {
			found = append(found, v)
		}
	}
	return found
}

// shared are the visits of legacy clients that the server served without a session id.
func shared(v visit) bool {
	return v.session == "" && v.status < 300 && !strings.Contains(v.body, `"method":"initialize"`) && !strings.Contains(v.body, modernVersion)
}

func newDoor(t *testing.T, issuers two, next http.Handler) (*world, *door) {
	d := &door{next: next}
	return newWorldOf(t, issuers, d, false, false), d
}

// minding are servers that refuse session ids that they have not given out, and
// serve who has none.
var minding = map[string]func() http.Handler{
	`go-sdk, GetSessionID ""`: func() http.Handler {
		return goSDKHandler(sdk.ServerOptions{GetSessionID: noSessionID}, sdk.StreamableHTTPOptions{})
	},
	"400 for every session id": func() http.Handler {
		return refusesIDs(goSDKHandler(sdk.ServerOptions{}, sdk.StreamableHTTPOptions{Stateless: true}))
	},
	"mcp-go, own ids, lenient": func() http.Handler { return mcpGoHandler(lenientOption()) },
}

// TestSecondTry_ISOL_19: every lawful call is served by a server that minds our
// session ids, and none of them runs twice.
func TestSecondTry_ISOL_19(t *testing.T) {
	issuers := newIssuers(t)
	for name, handler := range minding {
		t.Run(name, func(t *testing.T) {
			w, d := newDoor(t, issuers, handler())
			var all sync.WaitGroup
			tags := make([]string, 40)
			for i := range tags {
				tags[i] = unique("call")
				all.Go(func() {
					c := w.caller(t, "client", who{sub: fmt.Sprint("user-", i%4), client: "app", scope: broad}, latest)
					a := c.call(1, "run", tags[i], step{Do: "notify", Text: tags[i], N: 3}, step{Do: "say", Text: "done-" + tags[i]})
					a.ended()
					assert.Equal(t, http.StatusOK, a.status)
					if !strings.HasPrefix(name, "mcp-go") { // which may lose the last one when a call ends at once, bare too
						assert.Equal(t, 3, c.numbers(tags[i], 3))
					}
					assert.Contains(t, c.saw(), "done-"+tags[i])
					assert.Equal(t, http.StatusAccepted, c.notify("notifications/initialized", nil).status)
				})
			}
			all.Wait()
			for _, tag := range tags {
				assert.Equal(t, 1, theStage.count(tag, "ran"), "how often a call ran")
			}
			for _, v := range d.visits(func(v visit) bool { return v.session != "" }) {
				assert.GreaterOrEqual(t, v.status, 400, "what had a session id was refused: nothing of it can have run")
			}
		})
	}
}

// TestStrayRefusal_ISOL_19: whatever is sent, and whatever a deployment answers
// for a moment, no request without a session id is served by a server that has
// served one with ours: it keeps things by session id.
func TestStrayRefusal_ISOL_19(t *testing.T) {
	issuers := newIssuers(t)
	for _, tt := range []struct {
		name       string
		first      bool // there was a call before
		stray      bool
		sharedOnes int
	}{
		{"after a call", true, true, 0},
		{"before any call", false, false, 0},
		{"a stray 404 before any call", false, true, 1}, // the one that met it
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, d := newDoor(t, issuers, mcpGoHandler(server.WithStateLess(true)))
			user := w.caller(t, "user", pairs[0].victim, latest)
			served := func() {
				tag := unique("call")
				assert.Equal(t, http.StatusOK, func() int { a := user.call(1, "run", tag); a.ended(); return a.status }())
				assert.Equal(t, 1, theStage.count(tag, "ran"))
			}
			if tt.first {
				served()
			}
			if tt.stray {
				d.lock.Lock()
				d.once = func(v visit) bool { return v.session != "" }
				d.lock.Unlock()
			}
			if !tt.first && tt.stray {
				served()
			}
			hostile(t, w, 1000)
			for range 10 {
				if tt.first || !tt.stray {
					tag := unique("call") // the one that meets the stray 404 is refused
					user.call(1, "run", tag).ended()
					assert.LessOrEqual(t, theStage.count(tag, "ran"), 1)
					continue
				}
				served()
			}
			assert.Len(t, d.visits(shared), tt.sharedOnes)
		})
	}
}

// hostile sends requests that a server may refuse, in every way.
func hostile(t *testing.T, w *world, n int) {
	t.Helper()
	bodies := []func(*caller) *answer{
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "tools/call", "params", object("name", "own-none")))
		},
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "tools/call", "params", object("name", "look", "arguments", 7)))
		},
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "resources/read", "params", object("uri", "note://none")))
		},
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "logging/setLevel", "params", object("level", "loud")))
		},
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "tools/list", "params", object("cursor", "~")))
		},
		func(c *caller) *answer {
			return c.post(object("id", 1, "method", "ping"), "Mcp-Protocol-Version", "2024-11-05")
		},
		func(c *caller) *answer { return c.post(object("id", 1, "method", "ping"), "Mcp-Protocol-Version", "") },
		func(c *caller) *answer { return c.post(object("id", 1, "method", "ping"), "Accept", "text/html") },
		func(c *caller) *answer {
			return c.raw(`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, "Mcp-Protocol-Version", "")
		},
		func(c *caller) *answer { return c.raw(`{"jsonrpc":"2.0","id":1,"result":{}}`) },
		func(c *caller) *answer { return c.raw(`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`) },
		func(c *caller) *answer {
			return c.post(object("method", "notifications/cancelled", "params", object("requestId", 1)))
		},
		func(c *caller) *answer { return c.post(object("method", "notifications/roots/list_changed")) },
		func(c *caller) *answer { return c.send(http.MethodDelete, c.url, "") },
		func(c *caller) *answer { return c.listen("Last-Event-ID", "1", "Accept", "text/html") },
		func(c *caller) *answer {
			return c.send(http.MethodPost, c.url, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", "mcpauth.x")
		},
		func(c *caller) *answer { return c.send(http.MethodPost, c.url, "{") },
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			c := w.caller(t, "hostile", pairs[0].attacker, latest)
			for i := worker; i < n; i += 4 {
				a := bodies[i%len(bodies)](c)
				a.began()
				a.close()
			}
		})
	}
	all.Wait()
}

// TestTwoPaths_ISOL_19: a server that minds and one that does not, behind one
// Wrap, are both served, each in its own way.
func TestTwoPaths_ISOL_19(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(endpointPath+"/accepts", mcpGoHandler(server.WithStateLess(true)))
	mux.Handle(endpointPath+"/minds", minding["400 for every session id"]())
	w, d := newDoor(t, newIssuers(t), mux)
	for range 3 {
		for _, path := range []string{"/accepts", "/minds"} {
			c := w.caller(t, "client", pairs[0].victim, latest)
			c.url += path
			tag := unique("call")
			a := c.call(1, "run", tag)
			require.True(t, a.ended())
			assert.Equal(t, http.StatusOK, a.status, path)
			assert.Equal(t, 1, theStage.count(tag, "ran"), path)
		}
	}
	assert.Empty(t, d.visits(func(v visit) bool { return shared(v) && strings.HasSuffix(v.path, "/accepts") }))
	assert.Len(t, d.visits(func(v visit) bool { return shared(v) && strings.HasSuffix(v.path, "/minds") }), 3)
}

// TestLenientServer_ISOL_19: a server that has sessions and also serves who has
// none does so until it has begun a session. From then on, what it keeps
// without a session id would be shared with who has one.
func TestLenientServer_ISOL_19(t *testing.T) {
	w, d := newDoor(t, newIssuers(t), mcpGoHandler(lenientOption()))
	bare := w.caller(t, "without", pairs[0].victim, latest)
	ask := func() int {
		a := bare.call(1, "run", unique("call"))
		a.ended()
		return a.status
	}
	assert.Equal(t, http.StatusOK, ask())
	with := w.caller(t, "with", pairs[0].attacker, latest)
	require.True(t, with.begin(""))
	assert.Equal(t, http.StatusNotFound, ask())
	a := with.call(1, "run", unique("call"))
	require.True(t, a.ended())
	assert.Equal(t, http.StatusOK, a.status)
	assert.Len(t, d.visits(shared), 1)
}

// TestAnsweredRefusal_ISOL_19: a 404 or 400 that answers the request itself
// says that the server has looked at it. It is passed on, and nothing is tried again.
func TestAnsweredRefusal_ISOL_19(t *testing.T) {
	issuers := newIssuers(t)
	for _, status := range []int{http.StatusBadRequest, http.StatusNotFound} {
		w, d := newDoor(t, issuers, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"the server's own"}}`))
		}))
		c := w.caller(t, "client", pairs[0].victim, latest)
		a := c.call(7, "run", "")
		require.True(t, a.ended())
		assert.Equal(t, status, a.status)
		assert.Contains(t, a.text(), "the server's own")
		assert.Len(t, d.visits(func(visit) bool { return true }), 1)
	}
}
