package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
)

var (
	storeKey    = []byte(strings.Repeat("key.", 8))
	oldStoreKey = []byte(strings.Repeat("old.", 8))
)

// testStore is a store in memory that can fail, and remembers all that it was ever given.
type testStore struct {
	mcpauth.Store
	mu    sync.Mutex
	fails func(context.Context) error // nil: it works
	given map[string][][]byte
	calls int
}

func newTestStore() *testStore {
	return &testStore{Store: revoke.MemoryStore(), given: map[string][][]byte{}}
}

func (s *testStore) is(fails func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

func (s *testStore) called(ctx context.Context, key string, value []byte) error {
	s.mu.Lock()
	s.calls++
	if len(s.given) < 1000 {
		s.given[key] = append(s.given[key], bytes.Clone(value))
	}
	fails := s.fails
	s.mu.Unlock()
	if fails == nil {
		return nil
	}
	return fails(ctx)
}

func (s *testStore) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.called(ctx, key, nil); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

func (s *testStore) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := s.called(ctx, key, value); err != nil {
		return nil, err
	}
	return s.Store.PutIfAbsent(ctx, key, value, ttl)
}

func (s *testStore) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := s.called(ctx, key, value); err != nil {
		return nil, err
	}
	return s.Store.Swap(ctx, key, value, ttl)
}

func (s *testStore) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (int64, bool, error) {
	if err := s.called(ctx, key, nil); err != nil {
		return 0, false, err
	}
	return s.Store.Add(ctx, key, n, limit, ttl)
}

func storeGone(context.Context) error { return errors.New("connection refused") }

// storeSlow answers after 200 ms, and storeDeaf never and whatever its context says.
func storeSlow(context.Context) error     { time.Sleep(200 * time.Millisecond); return nil }
func storeDeaf(ctx context.Context) error { time.Sleep(3 * time.Second); return storeGone(ctx) }

// shares has a replica share a store.
func shares(store mcpauth.Store, more ...func(*mcpauth.Config)) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) {
		c.SessionKey, c.Store = storeKey, store
		for _, change := range more {
			change(c)
		}
	}
}

// noAnswer asserts that nobody knows whose a task is.
func (b *taskBed) noAnswer(w interface {
	Result() *http.Response
}) {
	b.tb.Helper()
	r := w.Result()
	body, _ := io.ReadAll(r.Body)
	assert.Equal(b.tb, http.StatusServiceUnavailable, r.StatusCode, "%s", body)
	assert.Regexp(b.tb, "^[1-3]$", r.Header.Get("Retry-After"))
	assert.JSONEq(b.tb, `{"jsonrpc":"2.0","id":1,"error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, string(body))
	assert.Zero(b.tb, b.ran, "the inner handler ran")
}

// TestTasksOfReplicas_STORE_04: a task begun at one replica is its owner's at the others, and after a restart; to everybody else it is
// as one that never was, and an id that two have begun is nobody's.
func TestTasksOfReplicas_STORE_04(t *testing.T) {
	for _, form := range []struct {
		name  string
		reply func(string) string
	}{{name: "legacy", reply: taskLegacy}, {name: "modern", reply: taskModern}} {
		t.Run(form.name, func(t *testing.T) {
			store := newTestStore()
			a, b := newTaskBed(t, shares(store)), newTaskBed(t, shares(store))
			for _, r := range []*taskBed{a, b} {
				r.reply = form.reply("t")
			}
			foreign := mcpauthtest.Claims{"sub": "user-2", "scope": "mcp:read mcp:admin"}
			a.served(a.legacyCall(a.token(nil), "echo"))
			restarted := newTaskBed(t, shares(store))
			for _, r := range []*taskBed{a, b, restarted} {
				for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
					r.served(r.legacyTask(r.token(mcpauthtest.Claims{"client_id": "client-2"}), method, "t"))
					r.unknown(r.legacyTask(r.token(foreign), method, "t"))
					r.unknown(r.legacyTask(r.token(nil), method, "never"))
				}
				for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
					r.served(r.modernTask(r.token(nil), method, "t"))
				}
				w := r.legacyTask(r.token(mcpauthtest.Claims{"scope": "mcp:other"}), "tasks/get", "t")
				r.refused(w, http.StatusForbidden, `Bearer error="insufficient_scope", scope="mcp:read", resource_metadata="`+testMetadataURL+`"`)
			}
			b.served(b.legacyCall(b.token(foreign), "admin_delete"))
			for _, r := range []*taskBed{a, b} {
				r.unknown(r.legacyTask(r.token(nil), "tasks/get", "t"))
				r.unknown(r.legacyTask(r.token(foreign), "tasks/get", "t"))
			}
			a.served(a.legacyCall(a.token(nil), "echo"))
			a.unknown(a.legacyTask(a.token(nil), "tasks/get", "t"))
		})
	}
}

// TestTaskArguments_STORE_04: a policy that looks at arguments is asked about those of the call, at every replica.
func TestTaskArguments_STORE_04_MCP_80(t *testing.T) {
	store := newTestStore()
	policy := func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if strings.Contains(string(call.Arguments), `"secret"`) {
				return mcpauth.Scopes("mcp:admin"), nil
			}
			return mcpauth.Authenticated(), nil
		})
	}
	a, b := newTaskBed(t, shares(store, policy)), newTaskBed(t, shares(store, policy))
	admin := mcpauthtest.Claims{"scope": "mcp:admin"}
	a.reply = taskLegacy("t")
	a.served(a.post(a.token(admin), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x": "secret"}}}`, "MCP-Protocol-Version: 2025-11-25"))
	b.served(b.legacyTask(b.token(admin), "tasks/get", "t"))
	b.refused(b.legacyTask(b.token(mcpauthtest.Claims{"scope": nil}), "tasks/get", "t"), http.StatusForbidden, adminChallenge)
}

// TestTaskAgain_MCP_81: a handler that was restarted may give an id out anew. What the first call needed is not what the second one needs.
func TestTaskAgain_MCP_81_STORE_04(t *testing.T) {
	store := newTestStore()
	a, b, alone := newTaskBed(t, shares(store)), newTaskBed(t, shares(store)), newTaskBed(t, nil)
	low := mcpauthtest.Claims{"client_id": "phone", "scope": "mcp:read"}
	high := mcpauthtest.Claims{"client_id": "desk", "scope": "mcp:read mcp:admin"}
	for name, beds := range map[string][2]*taskBed{"two replicas": {a, b}, "without a store": {alone, alone}} {
		first, second := beds[0], beds[1]
		first.begin(first.token(low), "echo", "1")
		second.served(second.legacyTask(second.token(low), "tasks/result", "1"))
		first.begin(first.token(low), "echo", "1")
		second.served(second.legacyTask(second.token(low), "tasks/result", "1"))
		second.begin(second.token(high), "admin_delete", "1")
		for _, bed := range beds {
			bed.unknown(bed.legacyTask(bed.token(low), "tasks/result", "1"))
			bed.unknown(bed.legacyTask(bed.token(high), "tasks/result", "1"))
		}
		assert.Contains(t, second.log.String(), "mcpauth: a task that the handler has begun belongs to nobody", name)
	}
}

// TestTasksOfRules_STORE_04_RELOAD_04: rules keep no arguments. A policy in code that comes after them cannot judge their tasks, and lets nobody use them.
func TestTasksOfRules_STORE_04_RELOAD_04(t *testing.T) {
	code := mcpauth.PolicyFunc(func(_ context.Context, c mcpauth.Call) (mcpauth.Requirement, error) {
		switch {
		case strings.Contains(string(c.Arguments), "secret"):
			return mcpauth.Scopes("mcp:admin"), nil
		case c.Kind == mcpauth.KindTool:
			return mcpauth.Scopes("mcp:read"), nil
		}
		return mcpauth.Authenticated(), nil
	})
	inCode := func(c *mcpauth.Config) { c.Policy = code }
	begin := func(b *taskBed, id, arguments string) {
		b.contentType, b.reply = "application/json", taskLegacy(id)
		b.served(b.post(b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"}),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"`+arguments+`}}`, "MCP-Protocol-Version: 2025-11-25"))
	}
	const secret = `,"arguments":{"what":"secret"}`
	store := newTestStore()
	rules, before, after := newTaskBed(t, shares(store)), newTaskBed(t, shares(store, inCode)), newTaskBed(t, shares(store, inCode))
	begin(rules, "rules", secret)
	begin(rules, "rules, none", "")
	begin(before, "code", secret)
	begin(before, "code, other", `,"arguments":{"what":"else"}`)
	for _, scope := range []string{"mcp:read", "mcp:read mcp:admin"} {
		token := mcpauthtest.Claims{"scope": scope}
		rules.served(rules.legacyTask(rules.token(token), "tasks/result", "rules"))
		after.unknown(after.legacyTask(after.token(token), "tasks/result", "rules"))
		after.served(after.legacyTask(after.token(token), "tasks/result", "rules, none"))
		after.served(after.legacyTask(after.token(token), "tasks/result", "code, other"))
		rules.served(rules.legacyTask(rules.token(token), "tasks/result", "code"))
	}
	after.refused(after.legacyTask(after.token(mcpauthtest.Claims{"scope": "mcp:read"}), "tasks/result", "code"), http.StatusForbidden,
		`Bearer error="insufficient_scope", scope="mcp:read mcp:admin", resource_metadata="`+testMetadataURL+`"`)
	after.served(after.legacyTask(after.token(mcpauthtest.Claims{"scope": "mcp:admin"}), "tasks/result", "code"))
}

// TestUnnamedTasks_STORE_04: the handler of another replica finds a task by the name under which it was begun, whatever scopes its owner has by then.
func TestUnnamedTasks_STORE_04_ISOL_04(t *testing.T) {
	store := newTestStore()
	a, b := newTaskBed(t, shares(store)), newTaskBed(t, shares(store))
	a.reply = taskLegacy("t")
	a.served(a.post(a.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{}}}`, "MCP-Protocol-Version: 2025-11-25"))
	alias := a.last.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, alias)
	b.served(b.legacyTask(b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:more"}), "tasks/get", "t"))
	assert.Equal(t, alias, b.last.Header.Get("Mcp-Session-Id"))
}

// TestStoreDown_STORE_07: nobody knows, and that is what clients are told; what begins meanwhile is kept, and stored when it is used.
func TestStoreDown_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		var told time.Duration
		a, b := newTaskBed(t, shares(store, func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
				if d.Err != nil {
					told = d.Err.RetryAfter
				}
			}
		})), newTaskBed(t, shares(store))
		a.begin(a.token(nil), "echo", "early")
		store.is(storeGone)
		a.begin(a.token(nil), "echo", "late")
		for range 3 {
			for _, id := range []string{"early", "late", "never"} {
				a.noAnswer(a.legacyTask(a.token(nil), "tasks/get", id))
				b.noAnswer(b.modernTask(b.token(nil), "tasks/cancel", id))
			}
		}
		a.served(a.legacyCall(a.token(nil), "echo"))
		a.noAnswer(a.post(a.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"late"}}`, "MCP-Protocol-Version: 2025-11-25"))
		assert.Equal(t, time.Second, told)
		assert.Equal(t, 1, strings.Count(a.log.String(), "mcpauth: the store cannot be reached"))
		assert.Contains(t, a.log.String(), `level=ERROR msg="mcpauth: a task is known to this process alone`)
		assert.Contains(t, a.log.String(), `level=WARN msg="mcpauth: request refused" status=503`)
		assert.Contains(t, a.log.String(), "cause=store")
		store.is(nil)
		time.Sleep(time.Minute)
		b.unknown(b.legacyTask(b.token(nil), "tasks/get", "late"))
		a.unknown(a.legacyTask(a.token(mcpauthtest.Claims{"sub": "user-2"}), "tasks/get", "late"))
		a.served(a.legacyTask(a.token(nil), "tasks/get", "late"))
		before := store.calls
		a.served(a.legacyTask(a.token(nil), "tasks/get", "late"))
		assert.Equal(t, before+1, store.calls, "it is stored once")
		for _, r := range []*taskBed{a, b} {
			r.served(r.legacyTask(r.token(nil), "tasks/get", "late"))
			r.served(r.legacyTask(r.token(nil), "tasks/get", "early"))
			assert.Equal(t, 1, strings.Count(r.log.String(), "mcpauth: the store answers again"))
		}
		a.unknown(a.legacyTask(a.token(mcpauthtest.Claims{"sub": "user-2"}), "tasks/get", "late"))

		// What waited for the store, and is another's by then, is nobody's.
		store.is(storeGone)
		a.begin(a.token(nil), "echo", "contested")
		store.is(nil)
		b.begin(b.token(mcpauthtest.Claims{"sub": "user-2"}), "echo", "contested")
		time.Sleep(time.Minute)
		a.unknown(a.legacyTask(a.token(nil), "tasks/get", "contested"))
		b.unknown(b.legacyTask(b.token(mcpauthtest.Claims{"sub": "user-2"}), "tasks/get", "contested"))
	})
}

// TestStoreLists_STORE_07: a list of tasks of which nobody knows whose they are is withheld and not empty, and one answer asks
// for no longer than one request does.
func TestStoreLists_STORE_07_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		for i := range 50 {
			b.begin(b.token(nil), "echo", fmt.Sprint("t", i))
		}
		b.begin(b.token(mcpauthtest.Claims{"sub": "user-2"}), "echo", "t50")
		b.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", b.contentType)
			_, _ = io.WriteString(w, b.reply)
		}
		ask := func() (*http.Response, string, time.Duration) {
			began := time.Now()
			b.reply, b.ran = taskList(51), 0
			w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, "MCP-Protocol-Version: 2025-11-25")
			return w.Result(), w.Body.String(), time.Since(began)
		}
		_, body, _ := ask()
		assert.Equal(t, taskList(50), body)
		for name, fails := range map[string]func(context.Context) error{"gone": storeGone, "slow": storeSlow, "deaf": storeDeaf} {
			for _, b.contentType = range []string{"application/json"} {
				store.is(fails)
				for range 8 {
					r, body, took := ask()
					assert.Equal(t, http.StatusServiceUnavailable, r.StatusCode, name)
					assert.Equal(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, body, name)
					assert.LessOrEqual(t, took, 500*time.Millisecond, name)
				}
				store.is(nil)
				time.Sleep(time.Minute)
				_, body, _ := ask()
				assert.Equal(t, taskList(50), body, name)
			}
		}
	})
}

// TestStoreListsOfABatch_STORE_14: several lists in one answer have the time of one request together, and are withheld where nobody knows of
// the last entry alone.
func TestStoreListsOfABatch_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		b.begin(b.token(nil), "echo", "t")
		const list = `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"t","status":"working"}]}}`
		for _, row := range []struct {
			fails         func(context.Context) error
			lists, status int
			want          time.Duration
		}{{storeSlow, 2, 200, 400 * time.Millisecond}, {storeSlow, 3, 503, 500 * time.Millisecond}, {storeGone, 1, 503, 0}} {
			store.is(row.fails)
			b.inner = listsAnswer("application/json", "["+strings.Repeat(list+",", row.lists-1)+list+"]")
			began := time.Now()
			w := b.post(b.token(nil), `[{"jsonrpc":"2.0","id":1,"method":"tasks/list"},{"jsonrpc":"2.0","id":2,"method":"tasks/list"},{"jsonrpc":"2.0","id":3,"method":"tasks/list"}]`)
			assert.Equal(t, row.want, time.Since(began))
			assert.Equal(t, row.status, w.Code, w.Body)
			time.Sleep(time.Minute)
		}
	})
}

// TestStoreListGivesUp_STORE_14: once nobody knows of one entry, no answer about the others is waited for.
func TestStoreListGivesUp_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		b.inner = listsAnswer("application/json", `{"jsonrpc":"2.0","id":1,"result":{"tasks":[`+leftEntries(`{"taskId":"t%d"}`)+`]}}`)
		var asked atomic.Int32
		store.is(func(ctx context.Context) error {
			switch asked.Add(1) {
			case 1: // alone
				return nil
			case 5:
				time.Sleep(time.Millisecond)
				return storeGone(ctx)
			}
			return storeSlow(ctx)
		})
		began := time.Now()
		w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.JSONEq(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, w.Body.String())
		assert.Equal(t, time.Millisecond, time.Since(began))
		assert.Equal(t, int32(17), asked.Load())
		time.Sleep(time.Second)
	})
}

// TestStoreOfDelegatedTasks_STORE_14: where the handler keeps tasks apart, the store is not asked about those of a list, or of a request.
func TestStoreOfDelegatedTasks_STORE_14(t *testing.T) {
	store := newTestStore()
	b := newTaskBed(t, shares(store, func(c *mcpauth.Config) { c.DelegateTasks = true }))
	const list = `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"t","status":"working"}]}}`
	b.inner = listsAnswer("application/json", list)
	w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`)
	b.served(w)
	assert.Equal(t, list, w.Body.String())
	b.served(b.legacyTask(b.token(nil), "tasks/get", "t"))
	assert.Zero(t, store.calls)
}

// TestStoreTime_STORE_07_STORE_14: all tasks of one request, and each answer that begins some, have the time of one together.
func TestStoreTime_STORE_07_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		for i := range 18 {
			b.begin(b.token(nil), "echo", fmt.Sprint("t", i))
		}
		gets := func(n int) string { // the first is asked about alone, then sixteen at a time
			var all []string
			for i := range n {
				all = append(all, batchRequest(i, "tasks/get", fmt.Sprintf(`"taskId":"t%d"`, i)))
			}
			return batchBody(all...)
		}
		store.is(storeSlow)
		b.reply = taskLegacy("late")
		for _, row := range []struct {
			body   string
			status int
			want   time.Duration
		}{
			{gets(2), 200, 400 * time.Millisecond},
			{gets(17), 200, 400 * time.Millisecond},
			{gets(18), 503, 500 * time.Millisecond},
			{legacyCall("echo"), 200, 500 * time.Millisecond},
		} {
			began := time.Now()
			w := b.post(b.token(nil), row.body)
			assert.Equal(t, row.want, time.Since(began), row.body)
			assert.Equal(t, row.status, w.Code, "%s: %s", row.body, w.Body)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 1, strings.Count(b.log.String(), "mcpauth: a task is known to this process alone"), b.log)
	})
}

// TestStoreListFlood_STORE_05_STORE_14: how many tasks others have in a list does not keep a caller from its own, nor from anybody else.
func TestStoreListFlood_STORE_05_STORE_14(t *testing.T) {
	for _, n := range []int{255, 256, 600, 3000} {
		synctest.Test(t, func(t *testing.T) {
			store := newTestStore()
			b := newTaskBed(t, shares(store))
			mine := []string{`{"taskId":"first","status":"working"}`, `{"taskId":"middle","status":"working"}`, `{"taskId":"last","status":"working"}`}
			for _, id := range []string{"first", "middle", "last"} {
				b.begin(b.token(nil), "echo", id)
			}
			all := []string{mine[0]}
			for i := range n {
				id := fmt.Sprint("m", i)
				if i%3 > 0 { // of the others nobody knows anything
					b.begin(b.token(mcpauthtest.Claims{"sub": "mallory", "client_id": fmt.Sprint(i / 900)}), "echo", id)
				}
				if all = append(all, fmt.Sprintf(`{"taskId":%q,"status":"working"}`, id)); i == n/2 {
					all = append(all, mine[1])
				}
			}
			all = append(all, mine[2])
			b.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[`+strings.Join(all, ",")+`]}}`)
			}
			var underWay, most atomic.Int32
			store.is(func(context.Context) error {
				if now := underWay.Add(1); now > most.Load() {
					most.Store(now)
				}
				time.Sleep(time.Millisecond)
				underWay.Add(-1)
				return nil
			})
			began := time.Now()
			w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, "MCP-Protocol-Version: 2025-11-25")
			assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[`+strings.Join(mine, ",")+`]}}`, w.Body.String(), n)
			assert.LessOrEqual(t, time.Since(began), 500*time.Millisecond)
			assert.Equal(t, int32(16), most.Load(), "calls of the store at once")
		})
	}
}

// TestStoreManyTasks_STORE_14: a request that names many tasks is served by a store that takes its time, as a list is: it asks about each once, the first
// alone, and 16 at a time. What it may not have, or of which nobody knows, is decided as of one.
func TestStoreManyTasks_STORE_14_MCP_54_MCP_58(t *testing.T) {
	const ms = time.Millisecond
	listen := func(n int, more ...string) func(b *taskBed) *httptest.ResponseRecorder {
		return func(b *taskBed) *httptest.ResponseRecorder {
			ids := more
			for i := range n {
				ids = append(ids, fmt.Sprintf(`"t%d"`, i))
			}
			body := modernBody("subscriptions/listen", `"notifications":{"taskIds":[`+strings.Join(ids, ",")+`]}`)
			return b.post(b.token(nil), body, modernHeaders("subscriptions/listen", "")...)
		}
	}
	batch := func(n int) func(b *taskBed) *httptest.ResponseRecorder {
		return func(b *taskBed) *httptest.ResponseRecorder {
			var gets []string
			for i := range n {
				gets = append(gets, batchRequest(i+1, "tasks/get", fmt.Sprintf(`"taskId":"t%d"`, i)))
			}
			return b.post(b.token(nil), batchBody(gets...))
		}
	}
	rows := []struct {
		name    string
		takes   time.Duration // of each call
		fails   int32         // this call of the store, if not 0
		request func(*taskBed) *httptest.ResponseRecorder
		want    string // "" if it is served, or why not
		calls   int
		wait    time.Duration
	}{
		{"two tasks", 200 * ms, 0, listen(2), "", 2, 400 * ms},
		{"170 tasks", 3 * ms, 0, listen(170), "", 170, 36 * ms},
		{"as many as one caller has", 3 * ms, 0, listen(1000), "", 1000, 192 * ms},
		{"a batch", 30 * ms, 0, batch(32), "", 32, 90 * ms},
		{"two tasks, often and in turns", 200 * ms, 0, listen(2, slices.Repeat([]string{`"t0"`, `"t1"`}, 499)...), "", 2, 400 * ms},
		{"one is another's", 3 * ms, 0, listen(500, `"foreign"`), "task not found", 501, 99 * ms},
		{"a store that is too slow", 30 * ms, 0, listen(1000), "context deadline exceeded", 257, 500 * ms},
		{"one that has gone", 3 * ms, 1, listen(1000), "connection refused", 1, 0},
		{"one that goes meanwhile", 3 * ms, 50, listen(1000), "connection refused", 65, 12 * ms},
	}
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		token := b.token(nil)
		for i := range 1000 {
			b.begin(token, "echo", fmt.Sprint("t", i))
		}
		b.begin(b.token(mcpauthtest.Claims{"sub": "mallory"}), "echo", "foreign")
		b.inner = listsAnswer("application/json", `{"jsonrpc":"2.0","id":1,"result":{}}`)
		for _, row := range rows {
			var calls, underWay, most atomic.Int32
			store.is(func(ctx context.Context) error {
				if calls.Add(1) == row.fails {
					return storeGone(ctx)
				}
				if now := underWay.Add(1); now > most.Load() {
					most.Store(now)
				}
				defer underWay.Add(-1)
				time.Sleep(row.takes)
				return nil
			})
			began, logged := time.Now(), len(b.log.String())
			w := row.request(b)
			assert.Equal(t, row.wait, time.Since(began), row.name)
			switch row.want {
			case "":
				b.served(w)
				assert.Equal(t, int32(row.calls), calls.Load(), row.name)
			case "task not found":
				b.unknown(w)
			default:
				b.noAnswer(w)
				assert.Contains(t, b.log.String()[logged:], `reason="authorization temporarily unavailable: Store: `+row.want+`" cause=store`, row.name)
			}
			assert.LessOrEqual(t, calls.Load(), int32(row.calls), "%s: calls of the store", row.name) // those that a failure finds about to begin are fewer
			assert.LessOrEqual(t, most.Load(), int32(16), "%s: calls of the store at once", row.name)
			time.Sleep(time.Minute) // who was asked may still be about it
		}
	})
}

// TestSlowPolicyLists_STORE_14: the time of a list is the store's. What a policy in code takes to decide about each entry brings none into doubt;
// what the store takes, or that it is gone meanwhile, does, and the operator is told why.
func TestSlowPolicyLists_STORE_14_STORE_07(t *testing.T) {
	const n = 600
	const doubt = `{"jsonrpc":"2.0","id":1,"error":{"code":-31503,"message":"authorization temporarily unavailable"}}`
	for _, row := range []struct {
		name   string
		fails  func(ctx context.Context, call int32) error
		status int
		body   string
		reason string // in the log
	}{
		{"a store that answers at once", func(context.Context, int32) error { return nil }, http.StatusOK, taskList(n), ""},
		{"one that has gone after the first of them", func(ctx context.Context, call int32) error {
			if call == 300 {
				return storeGone(ctx)
			}
			time.Sleep(time.Millisecond)
			return nil
		}, http.StatusServiceUnavailable, doubt, "connection refused"},
		{"one that has gone, and heeds its context", func(ctx context.Context, call int32) error {
			if call == 300 {
				return storeGone(ctx)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
				return nil
			}
		}, http.StatusServiceUnavailable, doubt, "connection refused"},
		{"one that is slow", func(context.Context, int32) error { time.Sleep(30 * time.Millisecond); return nil }, http.StatusServiceUnavailable, doubt, "context deadline exceeded"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newTestStore()
				var takes time.Duration
				b := newTaskBed(t, shares(store, func(c *mcpauth.Config) {
					c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
						time.Sleep(takes)
						return mcpauth.Authenticated(), nil
					})
				}))
				for i := range n {
					b.begin(b.token(nil), "echo", fmt.Sprint("t", i))
				}
				takes = 2 * time.Millisecond // and two calls for each task
				var calls atomic.Int32
				store.is(func(ctx context.Context) error { return row.fails(ctx, calls.Add(1)) })
				b.inner = listsAnswer("application/json", taskList(n))
				w := b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, "MCP-Protocol-Version: 2025-11-25")
				assert.Equal(t, row.status, w.Code)
				assert.Equal(t, row.body, w.Body.String())
				if row.reason != "" {
					assert.Contains(t, b.log.String(), `reason="authorization temporarily unavailable: Store: `+row.reason+`" cause=store`)
				}
				time.Sleep(time.Second) // who was asked may still be about it
			})
		})
	}
}

// taskList is a list of tasks.
func taskList(n int) string {
	var tasks []string
	for i := range n {
		tasks = append(tasks, fmt.Sprintf(`{"taskId":"t%d","status":"working"}`, i))
	}
	return `{"jsonrpc":"2.0","id":1,"result":{"tasks":[` + strings.Join(tasks, ",") + `]}}`
}

// TestStoreReplays_STORE_07: of a list on a stream, what nobody knows is left out, and nothing else: each look-up has its own outcome and its own time.
func TestStoreReplays_STORE_07_STORE_14(t *testing.T) {
	const n = 200
	// only has the look-ups of some numbers fail, in the order in which they are made.
	only := func(calls *atomic.Int32, at ...int32) func(context.Context) error {
		return func(ctx context.Context) error {
			if slices.Contains(at, calls.Add(1)) {
				return storeGone(ctx)
			}
			time.Sleep(time.Millisecond)
			return nil
		}
	}
	for _, row := range []struct {
		name  string
		fails func(calls *atomic.Int32) func(context.Context) error
		lost  int
	}{
		{"none fails", func(calls *atomic.Int32) func(context.Context) error { return only(calls) }, 0},
		{"the first fails, which is made alone", func(calls *atomic.Int32) func(context.Context) error { return only(calls, 1) }, 1},
		{"one of many that are under way", func(calls *atomic.Int32) func(context.Context) error { return only(calls, 60) }, 1},
		{"the last fails", func(calls *atomic.Int32) func(context.Context) error { return only(calls, n) }, 1},
		{"some fail", func(calls *atomic.Int32) func(context.Context) error { return only(calls, 1, 2, 90, n) }, 4},
		{"a store that takes its time", func(*atomic.Int32) func(context.Context) error { return storeSlow }, 0},
		{"a store that has gone", func(*atomic.Int32) func(context.Context) error { return storeGone }, n},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newTestStore()
				b := newTaskBed(t, shares(store))
				for i := range n {
					b.begin(b.token(nil), "echo", fmt.Sprint("t", i))
				}
				var calls atomic.Int32
				b.inner = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					store.is(row.fails(&calls))
					_, _ = io.WriteString(w, "data: "+taskList(n)+"\n\n")
					store.is(nil)
					time.Sleep(time.Minute)
					_, _ = io.WriteString(w, "data: "+taskList(n)+"\n\n")
				}
				w := b.do(http.MethodGet, "/mcp", longToken(b.fixture, nil), "", "MCP-Protocol-Version: 2025-11-25")
				first, second, _ := strings.Cut(w.Body.String(), "\n\n")
				assert.Equal(t, n-row.lost, strings.Count(first, "taskId"))
				assert.Equal(t, "data: "+taskList(n)+"\n\n", second, "the next event is whole")
				if row.lost == 0 {
					assert.Equal(t, "data: "+taskList(n), first)
				}
			})
		})
	}
}

// TestStoreNotices_STORE_07: a message about a task of which nobody knows whose it is is left out, and the answer that it came with is not.
func TestStoreNotices_STORE_07(t *testing.T) {
	store := newTestStore()
	b := newTaskBed(t, shares(store))
	b.begin(b.token(nil), "echo", "t")
	const notice = `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t","status":"working"}}`
	const result = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
	b.contentType, b.reply = "text/event-stream", "data: "+notice+"\n\ndata: "+result+"\n\n"
	for _, row := range []struct {
		fails func(context.Context) error
		want  string
	}{{nil, b.reply}, {storeGone, "\ndata: " + result + "\n\n"}} {
		store.is(row.fails)
		w := b.legacyCall(b.token(nil), "echo")
		b.served(w)
		assert.Equal(t, row.want, w.Body.String())
	}
	synctest.Test(t, func(t *testing.T) { // nor does it wait for longer than a request may, and a list that is replayed meanwhile spoils nothing that follows
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		b.begin(b.token(nil), "echo", "t")
		const list = `{"jsonrpc":"2.0","id":2,"result":{"tasks":[{"taskId":"t","status":"working"}]}}`
		b.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i, fails := range []func(context.Context) error{nil, storeDeaf, nil} {
				store.is(fails)
				for _, message := range []string{list, notice} {
					began := time.Now()
					_, _ = io.WriteString(w, "data: "+message+"\n\n")
					assert.LessOrEqual(t, time.Since(began), 500*time.Millisecond, i)
				}
				time.Sleep(time.Minute)
			}
		}
		w := b.do(http.MethodGet, "/mcp", longToken(b.fixture, nil), "", "MCP-Protocol-Version: 2025-11-25")
		whole := "data: " + list + "\n\ndata: " + notice + "\n\n"
		assert.True(t, strings.HasPrefix(w.Body.String(), whole), w.Body)
		assert.True(t, strings.HasSuffix(w.Body.String(), whole), w.Body)
		assert.Equal(t, 2, strings.Count(w.Body.String(), notice))
	})
}

// TestStoreCost_STORE_14: whatever the store does, no request waits for it longer than half a second, and none at all once that is known.
func TestStoreCost_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		b := newTaskBed(t, shares(store))
		b.begin(b.token(nil), "echo", "t")
		batch := `[` + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}},`, 20) + `{"jsonrpc":"2.0","method":"notifications/initialized"}]`
		for name, fails := range map[string]func(context.Context) error{"gone": storeGone, "slow": storeSlow, "deaf": storeDeaf} {
			store.is(fails)
			for i := range 30 {
				for what, do := range map[string]func(){
					"get":   func() { b.legacyTask(b.token(nil), "tasks/get", "t") },
					"batch": func() { b.post(b.token(nil), batch) },
					"begin": func() { b.legacyCall(b.token(nil), "echo") },
				} {
					b.reply = taskLegacy(fmt.Sprint(name, i))
					began := time.Now()
					do()
					assert.LessOrEqual(t, time.Since(began), 500*time.Millisecond, "%s %s", name, what)
				}
			}
			store.is(nil)
			time.Sleep(time.Minute)
			b.ran = 0
			b.served(b.legacyTask(b.token(nil), "tasks/get", "t"))
		}
	})
}

// TestStoreFlood_STORE_05: of 100,001 tasks of one user, and of 1,030 with large arguments, none takes another's place.
func TestStoreFlood_STORE_05(t *testing.T) {
	foreign := mcpauthtest.Claims{"sub": "user-2", "scope": nil}
	for _, row := range []struct {
		name        string
		tasks, size int
		dropped     int // the latest of the flood that is not there any more
	}{
		{"STORE-05 1,030 calls with 64 KiB of arguments", 1030, 64 << 10, 1030 - 1 - 1000/16},
		{"STORE-05 100,001 tasks", 100_001, 0, 100_001 - 1001},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newTestStore()
				b := crowd(t, shares(store))
				owner, flooder := b.token(nil), b.token(foreign)
				b.starts(owner, "mine", 64<<10)
				for i := range row.tasks {
					b.starts(flooder, fmt.Sprint("flood-", i), row.size)
				}
				b.has(owner, "mine")
				b.has(flooder, fmt.Sprint("flood-", row.dropped+1))
				b.has(flooder, fmt.Sprint("flood-", row.tasks-1))
				b.ran = 0
				b.unknown(b.legacyTask(flooder, "tasks/get", fmt.Sprint("flood-", row.dropped)))
				b.unknown(b.legacyTask(flooder, "tasks/get", "mine"))
			})
		})
	}
}

// TestStorePlaces_STORE_05: who has been given another's old id loses nothing by the flood of that other.
func TestStorePlaces_STORE_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := crowd(t, shares(newTestStore()))
		flooder, other := b.token(mcpauthtest.Claims{"sub": "user-2"}), b.token(nil)
		b.starts(flooder, "flood-0", 64<<10) // has many places
		for i := range 1000 - 15 {
			b.starts(flooder, fmt.Sprint("flood-", i+1), 0)
		}
		b.starts(other, "flood-0", 0) // the first one's entry is gone with its first place, and its id is free
		b.has(other, "flood-0")
		for i := range 2000 {
			b.starts(flooder, fmt.Sprint("more-", i), 0)
		}
		b.has(other, "flood-0")
	})
}

// TestStoreLife_STORE_06: an entry ends seven days after its beginning, and an id is free then.
func TestStoreLife_STORE_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTaskBed(t, shares(newTestStore()))
		b.begin(b.token(nil), "echo", "t")
		time.Sleep(7*24*time.Hour - time.Minute)
		b.served(b.legacyTask(b.token(nil), "tasks/get", "t"))
		time.Sleep(2 * time.Minute)
		b.unknown(b.legacyTask(b.token(nil), "tasks/get", "t"))
		b.begin(b.token(mcpauthtest.Claims{"sub": "user-2"}), "echo", "t")
		b.served(b.legacyTask(b.token(mcpauthtest.Claims{"sub": "user-2"}), "tasks/get", "t"))
	})
}

// TestStoreSecrets_STORE_02: of what a request says nothing can be read in the store, in no form that it has on its way.
func TestStoreSecrets_STORE_02(t *testing.T) {
	store := newTestStore()
	b := newTaskBed(t, shares(store, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil })
	}))
	token := b.token(mcpauthtest.Claims{"sub": "canary-subject", "jti": "canary-jti", "client_id": "canary-client"})
	b.reply = taskLegacy("canary-task")
	b.served(b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"canary-tool","arguments":{"a":"canary-argument"},"task":{}}}`, "MCP-Protocol-Version: 2025-11-25"))
	b.served(b.legacyTask(token, "tasks/get", "canary-task"))
	store.is(storeGone)
	b.reply = taskLegacy("canary-late")
	b.served(b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"canary-tool","arguments":{"a":"canary-argument"}}}`, "MCP-Protocol-Version: 2025-11-25"))
	b.legacyTask(token, "tasks/get", "canary-late")
	assert.Contains(t, b.log.String(), "known to this process alone")
	assert.NotContains(t, strings.ReplaceAll(b.log.String(), `subject="\"canary-subject\""`, ""), "canary-argument")
	store.mu.Lock()
	defer store.mu.Unlock()
	uses := map[string]int{}
	for key, values := range store.given {
		assert.Regexp(t, `^[a-z]:[\w-]{22}$`, key)
		uses[key[:1]]++
		for _, value := range append(values, []byte(key)) {
			for _, canary := range []string{"canary", base64.RawURLEncoding.EncodeToString([]byte("canary")), token[:20], testIssuerURL, string(storeKey), "tools/call"} {
				assert.NotContains(t, string(value), canary, key)
			}
			if text, err := base64.RawURLEncoding.DecodeString(string(value)); err == nil {
				assert.NotContains(t, string(text), "canary", key)
			}
		}
	}
	assert.ElementsMatch(t, []string{"t", "p", "c"}, slices.Collect(maps.Keys(uses)))
}

// TestStoreKeys_STORE_03: replicas find each other's tasks by the key that they share, also while that changes; those of another resource, or of another key, never.
func TestStoreKeys_STORE_03_SESS_06(t *testing.T) {
	store := newTestStore()
	old := newTaskBed(t, func(c *mcpauth.Config) { c.SessionKey, c.Store = oldStoreKey, store })
	next := newTaskBed(t, shares(store, func(c *mcpauth.Config) { c.OldSessionKeys = [][]byte{oldStoreKey} }))
	early := newTaskBed(t, func(c *mcpauth.Config) {
		c.SessionKey, c.Store, c.OldSessionKeys = oldStoreKey, store, [][]byte{storeKey}
	})
	last := newTaskBed(t, shares(store))
	elsewhere := newTaskBed(t, shares(store, func(c *mcpauth.Config) { c.Resource += "/other" }))
	old.begin(old.token(nil), "echo", "of the old")
	next.begin(next.token(nil), "echo", "of the next")
	for bed, knows := range map[*taskBed][2]bool{old: {true, false}, next: {true, true}, early: {true, true}, last: {false, true}} {
		for i, id := range []string{"of the old", "of the next"} {
			if knows[i] {
				bed.served(bed.legacyTask(bed.token(nil), "tasks/get", id))
			} else {
				bed.unknown(bed.legacyTask(bed.token(nil), "tasks/get", id))
			}
		}
	}
	token := elsewhere.token(mcpauthtest.Claims{"aud": testResource + "/other"})
	elsewhere.unknown(elsewhere.legacyTask(token, "tasks/get", "of the next"))
	foreign := mcpauthtest.Claims{"sub": "user-2"}
	next.begin(next.token(foreign), "echo", "of the old")
	next.unknown(next.legacyTask(next.token(foreign), "tasks/get", "of the old"))
	next.unknown(next.legacyTask(next.token(nil), "tasks/get", "of the old"))

	key := slices.Collect(maps.Keys(store.given))
	for _, one := range key {
		if one[0] == 't' {
			_, _ = store.Swap(t.Context(), one, []byte("v9.of another release"), time.Hour)
		}
	}
	for range 3 {
		last.unknown(last.legacyTask(last.token(nil), "tasks/get", "of the next"))
	}
	assert.Equal(t, 1, strings.Count(last.log.String(), "mcpauth: an entry of the store cannot be read"))
}

// TestOldSessionKeys_SESS_06: a new key ends no session, cursor or endpoint that was begun under one before, and goes out in all new ones.
func TestOldSessionKeys_SESS_06(t *testing.T) {
	with := func(key []byte, old ...[]byte) *fixture {
		return newFixture(t, func(c *mcpauth.Config) { c.SessionKey, c.OldSessionKeys = key, old })
	}
	before, after, between := with(oldStoreKey), with(storeKey, []byte(strings.Repeat("none", 8)), oldStoreKey), with(oldStoreKey, storeKey)
	without := with(storeKey)
	id, next := before.session(t, before.token(nil)), after.session(t, after.token(nil))
	assert.NotEqual(t, id, next)
	assert.Equal(t, next, without.session(t, without.token(nil)), "the new key is in use")
	for _, row := range []struct {
		f  *fixture
		id string
		ok bool
	}{{after, id, true}, {after, next, true}, {between, id, true}, {between, next, true}, {without, next, true}, {without, id, false}, {before, next, false}} {
		for sub, ok := range map[string]bool{"user-1": row.ok, "user-2": false} {
			w := row.f.post(row.f.token(mcpauthtest.Claims{"sub": sub}), legacyCall("echo"), "Mcp-Session-Id: "+row.id)
			if ok {
				row.f.served(w)
				assert.Equal(t, "session", row.f.last.Header.Get("Mcp-Session-Id"))
			} else {
				row.f.refused(w, http.StatusNotFound, "")
			}
		}
	}
	page := func(f *fixture) string {
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"next"}}`)
		w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
		f.served(w)
		return cursorOf(t, w.Body.String())
	}
	cursor := page(before)
	after.served(after.serve(pageRequest(after, "tools/list", after.token(nil), cursor, false)))
	assert.Contains(t, string(after.body), `"next"`)
	w := without.serve(pageRequest(without, "tools/list", without.token(nil), cursor, false))
	assert.Contains(t, w.Body.String(), "invalid cursor")
	assert.Zero(t, without.ran)
	cursor = page(after)
	after.served(after.serve(pageRequest(after, "tools/list", after.token(nil), cursor, false)))
	page(after)

	endpoint := func(f *fixture) string {
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: /mcp?sessionId=1\n\n")
		}
		w := f.do(http.MethodGet, "/mcp", f.token(nil), "")
		f.ran, f.inner = 0, nil
		_, uri, _ := strings.Cut(w.Body.String(), "data: ")
		uri, _, _ = strings.Cut(uri, "\n")
		return uri
	}
	uri := endpoint(before)
	require.Contains(t, uri, "mcpauth=")
	after.served(after.do(http.MethodPost, uri, after.token(nil), legacyCall("echo")))
	without.ran = 0
	without.refused(without.do(http.MethodPost, uri, without.token(nil), legacyCall("echo")), http.StatusNotFound, "")
}

// TestNoRuleForTasks_STORE_04: where rules open nothing on tasks, nobody can ask for one, and a call that begins one stores nothing.
func TestNoRuleForTasks_STORE_04(t *testing.T) {
	for _, opens := range []bool{false, true} {
		store := newTestStore()
		b := newTaskBed(t, shares(store, func(c *mcpauth.Config) {
			if !opens {
				c.Policy = mcpauth.Rules{Tools: taskRules().Tools}
			}
		}))
		b.begin(b.token(nil), "echo", "task-1")
		assert.Equal(t, opens, store.calls > 0, "%d calls of the store", store.calls)
	}
}

// TestReplicasConfig_STORE_03: what cannot be shared, or would be shared by accident, is a mistake.
func TestReplicasConfig_STORE_03_SESS_06(t *testing.T) {
	store := revoke.MemoryStore()
	var none *testStore
	for name, tt := range map[string]struct {
		is    mcpauth.Config
		field string
		words string
	}{
		"STORE-03 a store without a key": {mcpauth.Config{Store: store}, "Store", "needs a SessionKey"},
		"a store that is nil":            {mcpauth.Config{SessionKey: storeKey, Store: none}, "Store", "leave the field out"},
		"SESS-06 an old key alone":       {mcpauth.Config{OldSessionKeys: [][]byte{storeKey}}, "OldSessionKeys", "no SessionKey"},
		"SESS-06 a short one":            {mcpauth.Config{SessionKey: storeKey, OldSessionKeys: [][]byte{storeKey, nil}}, "OldSessionKeys[1]", "32 random bytes"},
		"SESS-06 too many":               {mcpauth.Config{SessionKey: storeKey, OldSessionKeys: slices.Repeat([][]byte{oldStoreKey}, 9)}, "OldSessionKeys", "at most 8"},
	} {
		config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
		config.SessionKey, config.OldSessionKeys, config.Store = tt.is.SessionKey, tt.is.OldSessionKeys, tt.is.Store
		_, err := mcpauth.New(config)
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, err, &mistake, name)
		assert.Equal(t, tt.field, mistake.Field, name)
		assert.Contains(t, mistake.Reason, tt.words, name)
		assert.NotContains(t, err.Error(), "key.", name)
	}
}
