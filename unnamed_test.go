package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const aliasPattern = `^mcpauth\.[A-Za-z0-9_-]{22}$`

// arrivalLog is a handler that keeps what reaches it, and answers as it is told.
type arrivalLog struct {
	mu     sync.Mutex
	all    []arrived
	answer http.HandlerFunc
}

type arrived struct {
	method, path, session, lastEvent, body string
	subject, version                       string
}

func (a *arrivalLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p, _ := mcpauth.FromContext(r.Context())
	got := arrived{r.Method, r.URL.Path, strings.Join(r.Header["Mcp-Session-Id"], ","), "", string(body), "", r.Header.Get("Mcp-Protocol-Version")}
	for name, values := range r.Header { // a handler behind a gateway reads any spelling
		if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "Last-Event-Id") {
			got.lastEvent += strings.Join(values, ",")
		}
	}
	if p != nil {
		got.subject = p.Subject
	}
	a.mu.Lock()
	a.all = append(a.all, got)
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}
}

// take returns what has arrived since the last time.
func (a *arrivalLog) take() []arrived {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

func newArrivalLog(tb testing.TB, change func(*mcpauth.Config)) (*fixture, *arrivalLog) {
	f, a := newFixture(tb, change), &arrivalLog{}
	f.handler = f.auth.Wrap(a)
	return f, a
}

func withStatus(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func notification(method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{%s}}`, method, params)
}

const cancelled = "notifications/cancelled"

func cancellation(id string) string {
	return notification(cancelled, `"requestId":`+id)
}

// What a request without a session looks like to the handler: to each its own id,
// in every revision that has sessions, on every verb, and in no other request.
func TestAliases_ISOL_04_ISOL_09(t *testing.T) {
	f, a := newArrivalLog(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:     map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")},
			Resources: map[string]mcpauth.Requirement{"r://x": mcpauth.Authenticated()},
			Methods:   map[string]mcpauth.Requirement{"tasks/list": mcpauth.Authenticated(), "tasks/get": mcpauth.Authenticated()},
		}
	})
	user := f.token(nil)
	otherClient := f.token(mcpauthtest.Claims{"client_id": "client-2"})
	narrow := f.token(mcpauthtest.Claims{"scope": "mcp:read x"})
	sameScopes := f.token(mcpauthtest.Claims{"scope": "x mcp:read x"})
	otherUser := f.token(mcpauthtest.Claims{"sub": "user-2"})
	ask := func(token, body string, headers ...string) string {
		t.Helper()
		method := http.MethodPost
		if body == "" {
			method = http.MethodGet
		}
		w := f.do(method, "/mcp", token, body, headers...)
		require.Less(t, w.Code, 300, "%s", w.Body)
		got := a.take()
		require.Len(t, got, 1)
		assert.Equal(t, body, got[0].body)
		return got[0].session
	}
	t.Run("ISOL-04 a new one for each", func(t *testing.T) {
		seen := map[string]bool{}
		for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2024-11-05", ""} {
			for _, body := range []string{legacyCall("echo"), batchRequest(1, "ping", ""), batchRequest(2, "tools/list", ""), notification("notifications/initialized", ""), ""} {
				for range 20 {
					id := ask(user, body, "MCP-Protocol-Version: "+version)
					assert.Regexp(t, aliasPattern, id)
					assert.False(t, seen[id])
					seen[id] = true
				}
			}
		}
		batch := batchBody(batchRequest(1, "ping", ""), batchRequest(2, "ping", ""))
		assert.NotEqual(t, ask(user, batch), ask(user, batch))
	})
	t.Run("ISOL-04 tasks: one for each set of rights, and later the one that began it", func(t *testing.T) {
		tasks := batchRequest(1, "tasks/list", "")
		begin := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{"ttl":1}}}`
		escaped := strings.Replace(begin, `"task"`, `"t\u0061sk"`, 1)
		id := ask(user, tasks)
		assert.Regexp(t, aliasPattern, id)
		for _, same := range []string{ask(user, begin), ask(user, escaped), ask(f.token(mcpauthtest.Claims{"jti": "later"}), tasks)} {
			assert.Equal(t, id, same)
		}
		for _, token := range []string{otherClient, otherUser, narrow} {
			assert.NotEqual(t, id, ask(token, tasks), "what is delivered there is not decided anew")
		}
		assert.NotEqual(t, id, ask(user, strings.Replace(begin, `"task":{"ttl":1}`, `"arguments":{"task":{"ttl":1}}`, 1)), "no task")
		assert.NotEqual(t, id, ask(user, strings.Replace(begin, `{"ttl":1}`, `null`, 1)), "none either")
		assert.NotEqual(t, id, ask(user, batchRequest(1, "ping", `"task":{"ttl":1}`)), "no call of a tool")

		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t-1","status":"working"}}}`)
		}
		id = ask(narrow, begin)
		a.answer = nil
		get := batchRequest(1, "tasks/get", `"taskId":"t-1"`)
		for _, token := range []string{narrow, user, sameScopes, otherClient} {
			assert.Equal(t, id, ask(token, get), "its owner, by whatever token may make the call")
		}
		w := f.post(otherUser, get)
		assert.Contains(t, w.Body.String(), "task not found")
		assert.Empty(t, a.take())
	})
	t.Run("ISOL-20 settings: one for each set of rights", func(t *testing.T) {
		level := batchRequest(1, "logging/setLevel", `"level":"debug"`)
		id := ask(user, level)
		assert.Regexp(t, aliasPattern, id)
		assert.Equal(t, id, ask(user, level))
		assert.Equal(t, id, ask(user, batchRequest(1, "resources/subscribe", `"uri":"r://x"`)))
		assert.Equal(t, ask(narrow, level), ask(sameScopes, level), "sorted, and each once")
		for _, token := range []string{narrow, otherClient, otherUser} {
			assert.NotEqual(t, id, ask(token, level))
		}
	})
	t.Run("ISOL-04 it is worth nothing to a client, and says nothing of the principal", func(t *testing.T) {
		p, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", user, ""))
		require.NoError(t, err)
		for _, body := range []string{batchRequest(1, "ping", ""), batchRequest(1, "tasks/list", "")} {
			id := ask(user, body)
			assert.NotContains(t, p.Key(), strings.TrimPrefix(id, "mcpauth."))
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
				w := f.do(method, "/mcp", user, legacyCall("echo"), "Mcp-Session-Id: "+id)
				assert.Equal(t, http.StatusNotFound, w.Code)
				assert.Empty(t, a.take())
			}
			assert.NotContains(t, f.log.String(), id)
		}
	})
	t.Run("ISOL-09 initialize has none", func(t *testing.T) {
		assert.Empty(t, ask(user, sessionInitialize))
	})
	t.Run("ISOL-08 modern requests have none", func(t *testing.T) {
		assert.Empty(t, ask(user, modernCall("echo"), modernHeaders("tools/call", "echo")...))
		assert.Empty(t, ask(user, modernCall("echo"), append(modernHeaders("tools/call", "echo"), "Mcp-Session-Id: mcpauth.x")...))
	})
}

// Last-Event-ID resumes what a session has. Without a verified one it goes nowhere.
func TestLastEventID_ISOL_03(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	token := f.token(nil)
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "endpoint" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: /mcp?sessionId=s\n\n")
		}
		if strings.Contains(r.Header.Get("Accept"), "begin") {
			w.Header().Set("Mcp-Session-Id", "s")
		}
	}
	session := f.post(token, sessionInitialize, "Accept: begin").Header().Get("Mcp-Session-Id")
	endpoint := f.do(http.MethodGet, "/mcp", token, "", "Accept: endpoint").Body.String()
	_, endpoint, _ = strings.Cut(strings.TrimSpace(endpoint), "data: ")
	a.take()
	for _, row := range []struct {
		name, method, target, body string
		headers                    []string
		want                       string
	}{
		{"GET", http.MethodGet, "/mcp", "", nil, ""},
		{"GET with an empty version", http.MethodGet, "/mcp", "", []string{"MCP-Protocol-Version: "}, ""},
		{"POST", http.MethodPost, "/mcp", legacyCall("echo"), nil, ""},
		{"initialize", http.MethodPost, "/mcp", sessionInitialize, nil, ""},
		{"modern POST", http.MethodPost, "/mcp", modernCall("echo"), modernHeaders("tools/call", "echo"), ""},
		{"GET with a session in the query", http.MethodGet, endpoint, "", nil, ""},
		{"GET in a session", http.MethodGet, "/mcp", "", []string{"Mcp-Session-Id: " + session}, "7"},
	} {
		t.Run("ISOL-03 "+row.name, func(t *testing.T) {
			for _, spelling := range []string{"Last-Event-Id", "last-event-id", "LAST_EVENT_ID"} {
				r := f.request(row.method, row.target, token, row.body, row.headers...)
				r.Header[spelling] = []string{"7"}
				require.Equal(t, http.StatusOK, f.serve(r).Code)
				got := a.take()
				require.NotEmpty(t, got)
				assert.Equal(t, row.want, got[0].lastEvent, spelling)
			}
		})
	}
}

// The id never comes back, however the handler sends it.
func TestAliasStays_ISOL_05(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	for name, answer := range map[string]http.HandlerFunc{
		"in the header": func(http.ResponseWriter, *http.Request) {},
		"with a body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		},
		"on an error": withStatus(http.StatusInternalServerError),
		"on a stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Mcp-Session-Id"] = r.Header["Mcp-Session-Id"]
			answer(w, r)
		}
		for _, w := range []*httptest.ResponseRecorder{
			f.post(f.token(nil), legacyCall("echo")), f.post(f.token(nil), batchRequest(1, "tools/list", "")), f.do(http.MethodGet, "/mcp", f.token(nil), ""),
		} {
			assert.Empty(t, w.Result().Header["Mcp-Session-Id"], name)
		}
	}
	assert.NotContains(t, f.log.String(), "mcpauth.")
}

// DELETE without a session ends nothing: it does not even arrive.
func TestBareDelete_ISOL_06(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	for _, headers := range [][]string{nil, {"MCP-Protocol-Version: 2025-11-25"}, {"Last-Event-ID: 1"}} {
		w := f.do(http.MethodDelete, "/mcp", f.token(nil), "", headers...)
		f.refusedWhole(t, w, http.StatusNotFound, "", unknownSessionBody)
	}
	assert.Empty(t, a.take())
}

// underWay is a handler in which requests wait until they are told to go on, or their context ends.
type underWay struct {
	mu    sync.Mutex
	ended map[string]error // by the tool's argument
	goOn  chan struct{}
}

func (u *underWay) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var message struct {
		Params struct{ Arguments struct{ Mark string } }
	}
	_ = json.NewDecoder(r.Body).Decode(&message)
	var err error
	select {
	case <-r.Context().Done():
		err = context.Cause(r.Context())
	case <-u.goOn:
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended[message.Params.Arguments.Mark] = err
}

// A cancellation without a session ends one request of who sent it, and nobody else's.
func TestCancellation_ISOL_07(t *testing.T) {
	const ended, goesOn = true, false
	one := map[string]any{"sub": "user-1", "scope": "mcp:read x"}
	claims := func(change mcpauthtest.Claims) mcpauthtest.Claims {
		all := mcpauthtest.Claims{}
		for name, value := range one {
			all[name] = value
		}
		for name, value := range change {
			all[name] = value
		}
		return all
	}
	for _, row := range []struct {
		name    string
		id      string // of the request
		by      mcpauthtest.Claims
		body    string
		headers []string
		windows int
		want    bool
	}{
		{"its own", `1`, nil, cancellation(`1`), nil, 1, ended},
		{"its own, with a refreshed token", `1`, mcpauthtest.Claims{"jti": "new"}, cancellation(`1`), nil, 1, ended},
		{"its own, scopes in another order", `1`, mcpauthtest.Claims{"scope": "x mcp:read x"}, cancellation(`1`), nil, 1, ended},
		{"its own, named by a text", `"a"`, nil, cancellation(`"a"`), nil, 1, ended},
		{"its own, the text escaped", `"a"`, nil, cancellation(`"\u0061"`), nil, 1, ended},
		{"its own, in a batch", `1`, nil, batchBody(cancellation(`2`), cancellation(`1`)), []string{"MCP-Protocol-Version: 2025-03-26"}, 1, ended},
		{"its own, with the method escaped", `1`, nil, strings.Replace(cancellation(`1`), "cancelled", `c\u0061ncelled`, 1), nil, 1, ended},
		{"its own, named by a negative number", `-1`, nil, cancellation(`-1`), nil, 1, ended},
		{"a text is no number", `1`, nil, cancellation(`"1"`), nil, 1, goesOn},
		{"a number is no text", `"1"`, nil, cancellation(`1`), nil, 1, goesOn},
		{"another id", `1`, nil, cancellation(`11`), nil, 1, goesOn},
		{"no id", `1`, nil, notification("notifications/cancelled", ""), nil, 1, goesOn},
		{"null", `1`, nil, cancellation(`null`), nil, 1, goesOn},
		{"another user", `1`, mcpauthtest.Claims{"sub": "user-2"}, cancellation(`1`), nil, 1, goesOn},
		{"another client", `1`, mcpauthtest.Claims{"client_id": "client-2"}, cancellation(`1`), nil, 1, goesOn},
		{"fewer scopes", `1`, mcpauthtest.Claims{"scope": "mcp:read"}, cancellation(`1`), nil, 1, goesOn},
		{"more scopes", `1`, mcpauthtest.Claims{"scope": "mcp:read x y"}, cancellation(`1`), nil, 1, goesOn},
		{"the client itself", `1`, mcpauthtest.Claims{"client_id": "user-1"}, cancellation(`1`), nil, 1, goesOn},
		{"two windows with one id", `1`, nil, cancellation(`1`), nil, 2, goesOn},
	} {
		t.Run("ISOL-07 "+row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				handler := &underWay{ended: map[string]error{}, goOn: make(chan struct{})}
				f.handler = f.auth.Wrap(handler)
				call := func(id, mark string, change mcpauthtest.Claims) *http.Request {
					body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"echo","arguments":{"Mark":%q}}}`, id, mark)
					return f.request(http.MethodPost, "/mcp", f.token(claims(change)), body)
				}
				var requests sync.WaitGroup
				for range row.windows {
					requests.Go(func() { f.serve(call(row.id, "meant", nil)) })
				}
				// The same id of everybody else.
				for i, other := range []mcpauthtest.Claims{{"sub": "user-3"}, {"client_id": "client-3"}, {"scope": "mcp:read z"}} {
					requests.Go(func() { f.serve(call(row.id, fmt.Sprint("other", i), other)) })
				}
				synctest.Wait()
				f.ours(t, f.post(f.token(claims(row.by)), row.body, row.headers...))
				synctest.Wait()
				err, over := handler.ended["meant"]
				assert.Equal(t, row.want, over)
				if row.want == ended {
					assert.EqualError(t, err, "mcpauth: request cancelled: the client has given up this request")
				}
				assert.Len(t, handler.ended, btoi(over), "somebody else's request ended")
				close(handler.goOn)
				requests.Wait()
			})
		})
	}
}

// A request that is over takes nothing from the next one of its id, which can be cancelled as it could.
func TestCancellationOfNext_ISOL_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
		require.Equal(t, http.StatusOK, f.post(f.token(nil), legacyCall("echo")).Code)
		var cause error
		a.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); cause = context.Cause(r.Context()) }
		var requests sync.WaitGroup
		requests.Go(func() { f.post(f.token(nil), legacyCall("echo")) })
		synctest.Wait()
		f.ours(t, f.post(f.token(nil), cancellation("1")))
		synctest.Wait()
		require.EqualError(t, cause, "mcpauth: request cancelled: the client has given up this request")
		requests.Wait()
	})
}

// A cancellation ends what came the same way: on an endpoint of the HTTP+SSE transport the handler knows what is meant, and elsewhere we do. What
// has no id nobody can mean, and a modern cancellation means nothing: there the client closes the response.
func TestCancellationElsewhere_ISOL_07_ISOL_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		handler := &underWay{ended: map[string]error{}, goOn: make(chan struct{})}
		f.handler = f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodGet:
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=1\n\n")
			case http.MethodPost:
				handler.ServeHTTP(w, r)
			}
		}))
		token := f.token(nil)
		_, endpoint, _ := strings.Cut(strings.TrimSpace(f.do(http.MethodGet, "/sse", token, "").Body.String()), "data: ")
		var requests sync.WaitGroup
		start := func(target, id, mark string) {
			body := fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":"tools/call","params":{"name":"echo","arguments":{"Mark":%q}}}`, id, mark)
			requests.Go(func() { f.do(http.MethodPost, target, token, body) })
		}
		start("/mcp", `"id":1,`, "here")
		start("/mcp", "", "without an id")
		start(endpoint, `"id":1,`, "at the endpoint")
		synctest.Wait()
		requests.Go(func() { f.do(http.MethodPost, endpoint, token, cancellation("1")) })
		f.ours(t, f.post(token, notification(cancelled, "")))
		f.ours(t, f.post(token, notification(cancelled, `"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`),
			modernHeaders(cancelled, "")...))
		synctest.Wait()
		assert.Empty(t, handler.ended)
		f.ours(t, f.post(token, cancellation("1")))
		synctest.Wait()
		assert.Len(t, handler.ended, 1)
		assert.Error(t, handler.ended["here"])
		close(handler.goOn)
		requests.Wait()
	})
}

// Whatever a caller has under way, it leaves nothing behind, and no one caller's
// requests keep another's from being cancelled.
func TestManyUnderWay_ISOL_07_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		handler := &underWay{ended: map[string]error{}, goOn: make(chan struct{})}
		f.handler = f.auth.Wrap(handler)
		var requests sync.WaitGroup
		start := func(token, id, mark string) {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"echo","arguments":{"Mark":%q}}}`, id, mark)
			requests.Go(func() { f.post(token, body) })
		}
		greedy, other := f.token(mcpauthtest.Claims{"sub": "user-2"}), f.token(nil)
		for i := range 1025 {
			start(greedy, fmt.Sprint(i), fmt.Sprint("greedy", i))
			synctest.Wait()
		}
		start(other, "1024", "other")
		synctest.Wait()
		f.ours(t, f.post(greedy, cancellation("1024")))
		synctest.Wait()
		assert.Empty(t, handler.ended, "beyond the bound nothing of its own is cancelled")
		f.ours(t, f.post(greedy, cancellation("1023")))
		f.ours(t, f.post(other, cancellation("1024")))
		synctest.Wait()
		assert.Len(t, handler.ended, 2)
		assert.Contains(t, handler.ended, "other")
		assert.Contains(t, handler.ended, "greedy1023")
		close(handler.goOn)
		requests.Wait()
	})
}

// A handler that minds the id is asked once more without it, and nobody notices.
func TestSecondTry_ISOL_10_ISOL_19(t *testing.T) {
	result := `{"jsonrpc":"2.0","id":1,"result":{}}`
	minds := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Header.Get("Mcp-Session-Id") != "" {
				w.Header().Set("Set-Cookie", "first=1")
				w.Header().Set("Retry-After", "99")
				w.WriteHeader(status)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.WriteString(w, "what is that?")
				return
			}
			body, _ := io.ReadAll(r.Body)
			if len(body) > 0 && !bytes.Contains(body, []byte(`"id"`)) {
				w.WriteHeader(http.StatusAccepted)
				return
			}
			_, _ = io.WriteString(w, result)
		}
	}
	for _, status := range []int{400, 404} {
		t.Run(fmt.Sprint("ISOL-10 ", status), func(t *testing.T) {
			f, a := newArrivalLog(t, nil)
			a.answer = minds(status)
			token := f.token(nil)
			for range 3 {
				w := f.post(token, legacyCall("echo"))
				got := a.take()
				assert.Equal(t, http.StatusOK, w.Code)
				assert.Equal(t, result, w.Body.String())
				assert.Equal(t, http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"private"}, "Vary": {"Authorization"}}, w.Result().Header)
				require.Len(t, got, 2)
				assert.Regexp(t, aliasPattern, got[0].session)
				assert.Empty(t, got[1].session)
				for _, one := range got {
					assert.Equal(t, legacyCall("echo"), one.body)
					assert.Equal(t, "user-1", one.subject)
				}
			}
			for _, body := range []string{notification("notifications/initialized", ""), batchBody(batchRequest(1, "ping", ""))} {
				w := f.post(token, body)
				assert.Less(t, w.Code, 300, body)
				assert.Len(t, a.take(), 2)
			}
			assert.Equal(t, http.StatusOK, f.do(http.MethodGet, "/mcp", token, "").Code)
			assert.Len(t, a.take(), 2, "and no DELETE: nothing was begun under the id")
			assert.Equal(t, 1, strings.Count(f.log.String(), "refuses them under a session id of ours"), f.log.String())
			// What acts on requests under way goes no second time, without a name, to who may keep everything by the empty one.
			w := f.post(token, batchBody(batchRequest(1, "ping", ""), cancellation("1")))
			assert.Equal(t, status, w.Code)
			assert.Len(t, a.take(), 1)
		})
	}
	t.Run("ISOL-19 other refusals stay", func(t *testing.T) {
		for _, status := range []int{401, 403, 405, 406, 410, 415, 429, 500, 503} {
			f, a := newArrivalLog(t, nil)
			a.answer = withStatus(status)
			assert.Equal(t, status, f.post(f.token(nil), legacyCall("echo")).Code)
			assert.Len(t, a.take(), 1)
		}
	})
	t.Run("ISOL-10 who still holds the first request has it as it was", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		var held *http.Request
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if held == nil {
				held = r
				w.WriteHeader(http.StatusNotFound)
				return
			}
			assert.NotSame(t, held, r)
			assert.Regexp(t, aliasPattern, held.Header.Get("Mcp-Session-Id"))
			assert.Empty(t, r.Header.Values("Mcp-Session-Id"))
		}
		assert.Equal(t, http.StatusOK, f.post(f.token(nil), legacyCall("echo")).Code)
		assert.Len(t, a.take(), 2)
	})
	t.Run("ISOL-10 what stands in front keeps its header", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = minds(http.StatusNotFound)
		inner := f.handler
		f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Strict-Transport-Security", "max-age=1")
			inner.ServeHTTP(w, r)
		})
		w := f.post(f.token(nil), legacyCall("echo"))
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "max-age=1", w.Header().Get("Strict-Transport-Security"))
		assert.Empty(t, w.Header().Get("Set-Cookie"))
	})
	t.Run("ISOL-19 an answer to the request is no refusal of its session", func(t *testing.T) {
		answer := func(id string) string {
			return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32602,"message":"no such row"}}`
		}
		batch := batchBody(batchRequest(1, "ping", ""), batchRequest(2, "ping", ""))
		text := strings.Replace(legacyCall("echo"), `"id":1`, `"id":"a"`, 1)
		for _, row := range []struct {
			name, request, answer string
			runs                  int
		}{
			{"its id", legacyCall("echo"), answer("1"), 1},
			{"its id, with space", legacyCall("echo"), " {\n \"id\" : 1 }", 1},
			{"its id, a text", text, answer(`"\u0061"`), 1},
			{"the answers of a batch", batch, "[" + answer("1") + "," + answer("2") + "]", 1},
			{"longer than any refusal", legacyCall("echo"), strings.Repeat("x", 64<<10+1), 1},
			{"as long as a refusal may be", legacyCall("echo"), strings.Repeat("x", 64<<10), 2},
			{"null", legacyCall("echo"), answer("null"), 2},
			{"another id", legacyCall("echo"), answer("2"), 2},
			{"a text for a number", legacyCall("echo"), answer(`"1"`), 2},
			{"no id", legacyCall("echo"), `{"error":"session not found"}`, 2},
			{"an id elsewhere", legacyCall("echo"), `{"error":{"id":1}}`, 2},
			{"one answer to a batch", batch, answer("1"), 2},
			{"answers to a notification", notification("notifications/initialized", ""), "[" + answer("1") + "]", 2},
			{"nothing", legacyCall("echo"), "", 2},
		} {
			for _, status := range []int{400, 404} {
				f, a := newArrivalLog(t, nil)
				a.answer = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.Header().Set("X-Own", "1")
					w.WriteHeader(status)
					w.Header().Set("X-Late", "1")
					for piece := range slices.Chunk([]byte(row.answer), 1000) {
						_, _ = w.Write(piece)
					}
				}
				w := f.post(f.token(nil), row.request)
				assert.Len(t, a.take(), row.runs, row.name)
				assert.Equal(t, status, w.Code, row.name)
				assert.Equal(t, row.answer, w.Body.String(), row.name)
				assert.Equal(t, http.Header{"Content-Type": {"application/json"}, "Vary": {"Authorization"}, "X-Own": {"1"}}, w.Result().Header, row.name)
			}
		}
	})
	t.Run("ISOL-19 what is refused twice", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "session: "+r.Header.Get("Mcp-Session-Id"), http.StatusNotFound)
		}
		w := f.post(f.token(nil), legacyCall("echo"))
		assert.Equal(t, http.StatusNotFound, w.Code)
		assert.Equal(t, "session: \n", w.Body.String())
		assert.NotContains(t, f.log.String(), "under a session id of ours")
		assert.Len(t, a.take(), 2)
	})
	t.Run("ISOL-19 what is not served at the second try", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusMultipleChoices + 100*btoi(r.Header.Get("Mcp-Session-Id") != ""))
		}
		assert.Equal(t, http.StatusMultipleChoices, f.post(f.token(nil), legacyCall("echo")).Code)
		assert.NotContains(t, f.log.String(), "under a session id of ours")
		assert.Len(t, a.take(), 2)
	})
	t.Run("ISOL-19 a request with a session has no second try", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Mcp-Session-Id", "s") }
		session := f.post(f.token(nil), sessionInitialize).Header().Get("Mcp-Session-Id")
		a.answer = withStatus(http.StatusNotFound)
		a.take()
		assert.Equal(t, http.StatusNotFound, f.post(f.token(nil), legacyCall("echo"), "Mcp-Session-Id: "+session).Code)
		assert.Len(t, a.take(), 1)
		assert.Equal(t, http.StatusNotFound, f.post(f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...).Code)
		assert.Len(t, a.take(), 1)
	})
}

// What a path has shown once stands: a failure of a moment brings the second try not back.
func TestSecondTryEnds_ISOL_19(t *testing.T) {
	withKey := func(c *mcpauth.Config) { c.SessionKey = storeKey }
	served := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Begin") != "" {
			w.Header().Set("Mcp-Session-Id", "s")
		}
		switch r.Header.Get("Fail") {
		case "":
		case "300":
			w.WriteHeader(http.StatusMultipleChoices)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	for _, row := range []struct {
		name   string
		first  func(*fixture, string)
		second bool // the second try is still there
	}{
		{"nothing", func(*fixture, string) {}, true},
		{"a request served under an id", func(f *fixture, token string) { f.post(token, legacyCall("echo")) }, false},
		{"a stream served under an id", func(f *fixture, token string) { f.do(http.MethodGet, "/mcp", token, "") }, false},
		{"a session id given out", func(f *fixture, token string) { f.post(token, sessionInitialize, "Begin: 1") }, false},
		{"initialize without one", func(f *fixture, token string) { f.post(token, sessionInitialize) }, true},
		{"a session id on another answer", func(f *fixture, token string) {
			f.post(token, notification("notifications/initialized", ""), "Begin: 1")
		}, true},
		{"a notification", func(f *fixture, token string) { f.post(token, notification("notifications/initialized", "")) }, true},
		{"a modern call", func(f *fixture, token string) {
			f.post(token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
		}, true},
		{"a session that a replica has begun, repeated", func(f *fixture, token string) {
			replica, b := newArrivalLog(t, withKey)
			b.answer = served
			id := replica.post(replica.token(mcpauthtest.Claims{"sub": "user-2"}), sessionInitialize, "Begin: 1").Header().Get("Mcp-Session-Id")
			w := f.post(token, legacyCall("echo"), "Mcp-Session-Id: "+id, "Begin: 1")
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, id, w.Header().Get("Mcp-Session-Id"))
		}, true},
		{"what is answered here", func(f *fixture, token string) { f.post(token, cancellation("1")) }, true},
		{"a request that failed under an id", func(f *fixture, token string) { f.post(token, legacyCall("echo"), "Fail: 1") }, true},
		{"a request sent elsewhere under an id", func(f *fixture, token string) { f.post(token, legacyCall("echo"), "Fail: 300") }, true},
		{"another path", func(f *fixture, token string) { f.do(http.MethodPost, "/mcp/", token, legacyCall("echo")) }, true},
	} {
		t.Run("ISOL-19 "+row.name, func(t *testing.T) {
			f, a := newArrivalLog(t, withKey)
			a.answer = served
			row.first(f, f.token(mcpauthtest.Claims{"sub": "user-2"}))
			a.take()
			for _, status := range []int{404, 400} {
				a.answer = withStatus(status)
				assert.Equal(t, status, f.post(f.token(nil), legacyCall("echo")).Code)
				got := a.take()
				assert.Len(t, got, 1+btoi(row.second))
				assert.Regexp(t, aliasPattern, got[0].session)
			}
		})
	}
	t.Run("ISOL-19 an accepting and a refusing path behind one Wrap", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refusing" && r.Header.Get("Mcp-Session-Id") != "" {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
		for range 3 {
			for path, tries := range map[string]int{"/accepting": 1, "/refusing": 2} {
				assert.Equal(t, http.StatusOK, f.do(http.MethodPost, path, f.token(nil), legacyCall("echo")).Code)
				assert.Len(t, a.take(), tries)
			}
		}
	})
	t.Run("ISOL-19 who is cut off by a first session is told of in the log", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) { // it takes who has none, and only its own ids
			switch {
			case r.Header.Get("Begin") != "":
				w.Header().Set("Mcp-Session-Id", "s")
			case r.Header.Get("Mcp-Session-Id") != "":
				w.WriteHeader(http.StatusBadRequest)
			}
		}
		const told = "those are refused there from now on"
		assert.Equal(t, http.StatusOK, f.post(f.token(nil), legacyCall("echo")).Code)
		assert.NotContains(t, f.log.String(), told)
		for range 3 {
			f.post(f.token(nil), sessionInitialize, "Begin: 1")
			assert.Equal(t, http.StatusBadRequest, f.post(f.token(nil), legacyCall("echo")).Code)
		}
		assert.Equal(t, 1, strings.Count(f.log.String(), told))
		f, a = newArrivalLog(t, nil)
		a.answer = served
		f.post(f.token(nil), sessionInitialize, "Begin: 1")
		assert.NotContains(t, f.log.String(), told, "nobody has lost anything")
	})
	t.Run("ISOL-19 a path that is too long to be remembered", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = withStatus(http.StatusNotFound)
		for length, tries := range map[int]int{512: 2, 513: 1} {
			f.do(http.MethodPost, "/"+strings.Repeat("p", length-1), f.token(nil), legacyCall("echo"))
			assert.Len(t, a.take(), tries, length)
		}
	})
	t.Run("LIMITS-13 paths that somebody else invents", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refusing" && r.Header.Get("Mcp-Session-Id") != "" || r.Header.Get("Fail") != "" {
				w.WriteHeader(http.StatusNotFound)
			}
		}
		tokens := map[string]string{"user-1": f.token(nil), "user-2": f.token(mcpauthtest.Claims{"sub": "user-2"})}
		call := func(subject, path string, headers ...string) (status, tries int) {
			w := f.do(http.MethodPost, path, tokens[subject], legacyCall("echo"), headers...)
			return w.Code, len(a.take())
		}
		status, tries := call("user-1", "/refusing")
		assert.Equal(t, []int{200, 2}, []int{status, tries})
		for i := range 1100 {
			call("user-2", fmt.Sprint("/invented/", i))
		}
		status, tries = call("user-1", "/refusing")
		assert.Equal(t, []int{200, 2}, []int{status, tries}, "a path that was used before keeps its place")
		for path, want := range map[string]int{"/invented/0": 1, "/invented/1023": 1, "/invented/1024": 2, "/" + strings.Repeat("long", 200): 1} {
			status, tries = call("user-2", path, "Fail: 1")
			assert.Equal(t, []int{404, want}, []int{status, tries}, path)
		}
	})
	t.Run("LIMITS-13 paths that somebody else invents, at a handler that minds ids", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Mcp-Session-Id") != "" {
				w.WriteHeader(http.StatusNotFound)
			}
		}
		token := f.token(mcpauthtest.Claims{"sub": "user-2"})
		for i := range 1100 {
			f.do(http.MethodPost, fmt.Sprint("/invented/", i), token, batchRequest(1, "ping", ""))
		}
		assert.Equal(t, http.StatusOK, f.post(f.token(nil), legacyCall("echo")).Code, "a path that nobody had used")
		assert.Equal(t, 64, strings.Count(f.log.String(), "under a session id of ours"))
	})
}

// When nobody can come back for what the handler may keep, it is told so.
func TestForgotten_ISOL_20(t *testing.T) {
	var end context.Context // of the request that ends the session
	stream := func(events string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				end = r.Context()
				assert.NotContains(t, r.Header, "Content-Type", "there is no content")
				w.WriteHeader(http.StatusMethodNotAllowed)
				n, err := io.Copy(w, strings.NewReader("nobody reads this"))
				assert.NoError(t, err, "who ends a session as it should notices nothing")
				assert.EqualValues(t, len("nobody reads this"), n)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, events)
		}
	}
	var decisions int
	f, a := newArrivalLog(t, func(c *mcpauth.Config) {
		c.OnDecision = func(context.Context, mcpauth.Decision) { decisions++ }
	})
	token := f.token(nil)
	begin := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{}}}`
	for _, row := range []struct {
		name, method, body string
		answer             http.HandlerFunc
		told               bool
	}{
		{"a stream", http.MethodGet, "", stream(": hello\n\n"), true},
		{"a stream that says nothing", http.MethodGet, "", stream(""), true},
		{"GET without a stream", http.MethodGet, "", withStatus(200), false},
		{"GET refused", http.MethodGet, "", withStatus(405), false},
		{"GET refused by a stream", http.MethodGet, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusMultipleChoices)
		}, false},
		{"a call whose answer looks like events with ids", http.MethodPost, legacyCall("echo"), listsAnswer("text/plain", "data: {}\nid: 1\n\n"), false},
		{"a call", http.MethodPost, legacyCall("echo"), withStatus(200), false},
		{"a call with notifications", http.MethodPost, legacyCall("echo"), stream("data: {\"id\":1}\n\n"), false},
		{"a call with events that have ids", http.MethodPost, legacyCall("echo"), stream("id: 1\ndata: {}\n\n"), true},
		{"a call with a later event that has an id", http.MethodPost, legacyCall("echo"), stream("data: {}\n\nevent: message\nid: 1\ndata: {}\n\n"), true},
		{"who changes the header that it was given", http.MethodGet, "", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				r.Header.Del("Mcp-Session-Id")
			}
			stream("")(w, r)
		}, true},
		{"a list with ids", http.MethodPost, batchRequest(1, "tools/list", ""), stream("id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[]}}\n\n"), true},
		{"a task that goes on", http.MethodPost, begin, stream("id: 1\ndata: {}\n\n"), false},
		{"a level", http.MethodPost, batchRequest(1, "logging/setLevel", ""), withStatus(200), false},
	} {
		t.Run("ISOL-20 "+row.name, func(t *testing.T) {
			a.answer, decisions = row.answer, 0
			w := f.do(row.method, "/mcp", token, row.body)
			got := a.take()
			assert.NotContains(t, w.Body.String(), "nobody")
			assert.Equal(t, 1, decisions)
			if !row.told {
				assert.Len(t, got, 1)
				return
			}
			require.Len(t, got, 2)
			assert.Equal(t, arrived{http.MethodDelete, "/mcp", got[0].session, "", "", "user-1", got[0].version}, got[1])
			assert.Regexp(t, aliasPattern, got[1].session)
			assert.Equal(t, context.Canceled, end.Err(), "it is over when the handler has returned, and not only when its time is")
		})
	}
	assert.NotContains(t, f.log.String(), "level=ERROR")
	t.Run("ISOL-20 after a panic, as of a proxy whose client leaves", func(t *testing.T) {
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			stream("")(w, r)
			panic(http.ErrAbortHandler)
		}
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { f.do(http.MethodGet, "/mcp", token, "") })
		assert.Len(t, a.take(), 2)
		assert.NotContains(t, f.log.String(), "the handler panicked", "that is how a proxy ends")
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			stream("")(w, r)
			if r.Method == http.MethodDelete {
				panic("bug")
			}
		}
		assert.Equal(t, http.StatusOK, f.do(http.MethodGet, "/mcp", token, "").Code)
		assert.Contains(t, f.log.String(), "the handler panicked at the end of a session that no client knows")
	})
	t.Run("ISOL-20 a handler that does not come back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, a := newArrivalLog(t, nil)
			causes := make(chan error, 1)
			a.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					stream("")(w, r)
				}
				<-r.Context().Done()
				causes <- r.Context().Err()
			}
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				f.serve(f.request(http.MethodGet, "/mcp", f.token(nil), "").WithContext(ctx))
			}()
			synctest.Wait()
			leave()
			synctest.Wait()
			assert.Equal(t, context.Canceled, <-causes, "of the stream: the end of the session does not end with it")
			begun := time.Now()
			<-done
			assert.Equal(t, context.DeadlineExceeded, <-causes)
			assert.Equal(t, 2*time.Second, time.Since(begun))
		})
	})
}

// HTTP+SSE, with the session in the query or in the path: an answer to the server and a
// cancellation reach it, of who opened the stream, and of nobody else. A
// handler on the same mux that looks at the header finds no empty one.
func TestHTTPSSE_ISOL_09(t *testing.T) {
	for reference, path := range map[string]string{"/message?sessionId=s": "/message", "/message/s-1": "/message/s-1", "messages/s-1?x=y": "/sse/messages/s-1"} {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: endpoint\ndata: "+reference+"\n\n")
			}
		}
		token := f.token(nil)
		_, endpoint, _ := strings.Cut(strings.TrimSpace(f.do(http.MethodGet, "/sse", token, "").Body.String()), "data: ")
		_, query, _ := strings.Cut(endpoint, "?")
		a.take()
		for _, body := range []string{legacyCall("echo"), batchAnswer, cancellation("1")} {
			assert.Equal(t, http.StatusOK, f.do(http.MethodPost, path+"?"+query, token, body).Code)
			got := a.take()
			require.Len(t, got, 1, "%s %s", reference, body)
			assert.Equal(t, body, got[0].body)
			assert.Regexp(t, aliasPattern, got[0].session)
			for _, foreign := range []mcpauthtest.Claims{{"sub": "user-2"}, {"client_id": "client-2"}} {
				f.refusedWhole(t, f.do(http.MethodPost, path+"?"+query, f.token(foreign), body), http.StatusNotFound, "", withIDOf(body, unknownSessionBody))
			}
			assert.Empty(t, a.take())
		}
		assert.Equal(t, http.StatusOK, f.do(http.MethodGet, path+"?"+query, token, "").Code)
		assert.Len(t, a.take(), 1, "no DELETE: the session goes on")
		if strings.Contains(path, "s-1") { // the tag is for this session
			other := strings.Replace(path, "s-1", "s-2", 1)
			assert.Equal(t, http.StatusNotFound, f.do(http.MethodPost, other+"?"+query, token, legacyCall("echo")).Code)
		}
		assert.Equal(t, http.StatusNotFound, f.do(http.MethodDelete, path+"?"+query, token, "").Code)
		assert.Empty(t, a.take())
	}
}

// TestListensByHTTPSSE_LIMITS_09: a subscription whose POST is answered at once lives on in the stream
// of its endpoint, and takes its place for as long.
func TestListensByHTTPSSE_LIMITS_09(t *testing.T) {
	refuse := false
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			if refuse {
				d.Refuse(errors.New("disk full"))
			}
		}
	})
	opened, free := make(chan string), make(chan struct{})
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId="+r.URL.Query().Get("as")+"\n\n")
		<-free
	}
	open := func(as string) (endpoint string, ended chan struct{}) {
		w := &notifying{ResponseRecorder: httptest.NewRecorder(), wrote: opened}
		ended = make(chan struct{})
		go func() {
			f.handler.ServeHTTP(w, f.request(http.MethodGet, "/sse?as="+as, f.token(nil), ""))
			close(ended)
		}()
		_, endpoint, _ = strings.Cut(strings.TrimSpace(<-opened), "data: ")
		return endpoint, ended
	}
	listen := func(endpoint string) int {
		return f.do(http.MethodPost, endpoint, f.token(nil), modernBody("subscriptions/listen", `"notifications":{}`)).Code
	}
	first, ended := open("one")
	refuse = true
	for range 40 {
		assert.Equal(t, http.StatusServiceUnavailable, listen(first), "one that the handler never sees lives nowhere")
	}
	refuse = false
	for i := range 31 {
		assert.Equal(t, http.StatusAccepted, listen(first), i)
	}
	assert.Equal(t, http.StatusTooManyRequests, listen(first))
	assert.Equal(t, http.StatusAccepted, f.do(http.MethodPost, first, f.token(nil), modernBody("tools/list", "")).Code, "what does not last needs no place")
	assert.Equal(t, http.StatusNotFound, f.do(http.MethodPost, first, f.token(mcpauthtest.Claims{"sub": "user-2"}), modernBody("subscriptions/listen", `"notifications":{}`)).Code)
	close(free)
	<-ended
	free = make(chan struct{})
	second, ended := open("two")
	assert.Equal(t, http.StatusAccepted, listen(second), "all places were given back")
	for range 100 {
		assert.Equal(t, http.StatusAccepted, listen(first), "its stream is not open here: nothing can last")
	}
	close(free)
	<-ended
}

// TestListensByNoStream_LIMITS_09: what comes by an endpoint lives on in the stream that has announced it as its own, and in nothing
// else: elsewhere it gives its place back.
func TestListensByNoStream_LIMITS_09(t *testing.T) {
	f := newFixture(t, nil)
	opened, free := make(chan string), make(chan struct{})
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch {
		case r.URL.Path == "/sse":
			_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=one\n\nevent: endpoint\ndata: /message?sessionId=two\n\n")
			<-free
		case r.Method == http.MethodGet:
		case strings.Contains(string(f.body), "tools/list"):
			_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=three\n\n")
		default:
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusAccepted)
		}
	}
	ended := make(chan struct{})
	go func() {
		f.handler.ServeHTTP(&notifying{ResponseRecorder: httptest.NewRecorder(), wrote: opened}, f.request(http.MethodGet, "/sse", f.token(nil), ""))
		close(ended)
	}()
	announced := ""
	for strings.Count(announced, "mcpauth=") < 2 {
		announced += <-opened
	}
	announced += f.post(f.token(nil), batchRequest(1, "tools/list", "")).Body.String()
	var endpoints []string
	for line := range strings.Lines(announced) {
		if _, uri, is := strings.Cut(strings.TrimSpace(line), "data: "); is {
			endpoints = append(endpoints, uri)
		}
	}
	require.Len(t, endpoints, 3)
	for range 40 {
		assert.Equal(t, http.StatusOK, f.do(http.MethodGet, endpoints[0], f.token(nil), "").Code, "a stream ends by itself")
		for _, endpoint := range endpoints[1:] {
			assert.Equal(t, http.StatusAccepted, f.do(http.MethodPost, endpoint, f.token(nil), modernBody("subscriptions/listen", `"notifications":{}`)).Code, endpoint)
		}
	}
	close(free)
	<-ended
}

// TestListensByOneEndpoint_LIMITS_09: what comes by an endpoint that several streams have announced keeps its place until the last of them ends.
func TestListensByOneEndpoint_LIMITS_09(t *testing.T) {
	f := newFixture(t, nil)
	opened := make(chan string)
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message\n\n")
		<-r.Context().Done()
	}
	open := func() (endpoint string, end func()) {
		ctx, leave := context.WithCancel(t.Context())
		w, ended := &notifying{ResponseRecorder: httptest.NewRecorder(), wrote: opened}, make(chan struct{})
		go func() {
			f.handler.ServeHTTP(w, f.request(http.MethodGet, "/sse", f.token(nil), "").WithContext(ctx))
			close(ended)
		}()
		_, endpoint, _ = strings.Cut(strings.TrimSpace(<-opened), "data: ")
		return endpoint, func() { leave(); <-ended }
	}
	first, end := open()
	second, endSecond := open()
	require.Equal(t, first, second)
	listens := func() (served int) { // of 40
		for range 40 {
			code := f.do(http.MethodPost, first, f.token(nil), modernBody("subscriptions/listen", `"notifications":{}`)).Code
			if code == http.StatusAccepted {
				served++
			} else {
				assert.Equal(t, http.StatusTooManyRequests, code)
			}
		}
		return served
	}
	assert.Equal(t, 30, listens(), "beside the two streams")
	end()
	assert.Equal(t, 1, listens(), "the first has ended, and the second may carry all others")
	endSecond()
	_, end = open()
	assert.Equal(t, 31, listens(), "all places were given back")
	end()
}

// notifying tells what is written.
type notifying struct {
	*httptest.ResponseRecorder
	wrote chan string
}

func (w *notifying) Write(data []byte) (int, error) {
	w.wrote <- string(data)
	return w.ResponseRecorder.Write(data)
}

// withIDOf adds the id of a request to an answer.
func withIDOf(body, answer string) string {
	var message struct {
		ID     json.RawMessage
		Method string
	}
	if json.Unmarshal([]byte(body), &message) != nil || message.Method == "" || message.ID == nil {
		return answer
	}
	return strings.Replace(answer, `"2.0",`, `"2.0","id":`+string(message.ID)+`,`, 1)
}

// Many at once, under the race detector: every request has its own id, and nothing stays.
func TestAliasesAtOnce_ISOL_04(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	tokens := []string{f.token(nil), f.token(mcpauthtest.Claims{"sub": "user-2"})}
	var requests sync.WaitGroup
	for i := range 64 {
		requests.Go(func() {
			for range 20 {
				f.post(tokens[i%2], legacyCall("echo"))
				f.post(tokens[i%2], cancellation("1"))
			}
		})
	}
	requests.Wait()
	var ids []string
	for _, one := range a.take() {
		ids = append(ids, one.session)
	}
	assert.Len(t, ids, 64*20)
	slices.Sort(ids)
	assert.Len(t, slices.Compact(ids), 64*20)
}

// Two readers of the protocol version: what we take for modern, and so let
// through without a session id, no server may take for legacy and serve.
func TestNothingUnnamedIsLegacy_ISOL_13(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	token := f.token(nil)
	versions := []string{"", " ", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2025-11-25 ", "2026-07-27", "2026-07-28", "2026-07-28 ", "2027-01-01",
		"2025-11-25, 2025-11-25", "2026-07-28,2026-07-28", "latest,latest", "2025-11-25;", "2025-11-2", "2025-13-01", "DRAFT-2025-v3", "garbage", "v999", "~", "0", "2026", "2026-07-28, 2025-11-25", "２０２５-11-25"}
	bodies := []string{legacyCall("echo"), modernCall("echo"), strings.Replace(modernCall("echo"), "2026-07-28", "2025-11-25", 1), strings.Replace(modernCall("echo"), `"2026-07-28"`, `"garbage"`, 1),
		modernBody("server/discover", ""), strings.Replace(modernBody("subscriptions/listen", `"notifications":{}`), `"2026-07-28"`, `"garbage"`, 1), strings.Replace(modernBody("server/discover", ""), `"2026-07-28"`, `"v999"`, 1),
		batchBody(legacyCall("echo")), notification("notifications/progress", ""), cancellation("1"), batchAnswer,
		notification(cancelled, `"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`)}
	reached := 0
	for _, version := range append(versions, "-") {
		for _, body := range append(bodies, "") {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
				r := f.request(method, "/mcp", token, body)
				if version != "-" {
					r.Header["Mcp-Protocol-Version"] = []string{version}
				}
				f.serve(r)
				for _, one := range a.take() {
					reached++
					var message struct {
						Params struct {
							Meta *mcp.Meta `json:"_meta"`
						}
					}
					_ = json.Unmarshal([]byte(one.body), &message)
					header := strings.Trim(one.version, " ") // as net/http reads it
					modern := mcp.IsModernProtocol(header) || mcp.IsModernProtocol(message.Params.Meta.ProtocolVersion())
					refused := header != "" && !mcp.IsValidProtocolVersion(header) // by both SDKs for Go
					assert.True(t, one.session != "" || modern || refused, "%s %q %s", method, version, body)
					assert.False(t, modern && !refused && strings.Contains(body, cancelled), "a cancellation in nobody's name: %q %s", version, body)
				}
			}
		}
	}
	assert.Greater(t, reached, 60)
}

// On an endpoint of the HTTP+SSE transport no header names a revision: there _meta may do so
// alone. Who uses its tag elsewhere gains nothing by it.
func TestTaggedEndpoint_MCP_20_MCP_92_ISOL_13(t *testing.T) {
	f, a := newArrivalLog(t, nil)
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=1\n\n")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
	owner, other := f.token(nil), f.token(mcpauthtest.Claims{"sub": "user-2"})
	_, endpoint, _ := strings.Cut(strings.TrimSpace(f.do(http.MethodGet, "/sse", owner, "").Body.String()), "data: ")
	a.take()
	modernCancel := notification(cancelled, `"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`)
	forged := "/message?sessionId=1&mcpauth=AAAAAAAAAAAAAAAAAAAAAA"
	for _, row := range []struct {
		name, token, target, body string
		headers                   []string
		status, reached           int
	}{
		{"MCP-92 discover", owner, endpoint, modernBody("server/discover", ""), nil, 202, 1},
		{"MCP-92 a call", owner, endpoint, modernCall("echo"), nil, 202, 1},
		{"MCP-92 an empty header", owner, endpoint, modernBody("server/discover", ""), []string{"MCP-Protocol-Version: "}, 202, 1},
		{"MCP-92 _meta of an older revision", owner, endpoint, strings.Replace(modernCall("echo"), "2026-07-28", "2025-11-25", 1), nil, 202, 1},
		{"MCP-92 a notification", owner, endpoint, strings.Replace(modernCancel, cancelled, "notifications/progress", 1), nil, 202, 1},
		{"MCP-92 a cancellation", owner, endpoint, modernCancel, nil, 202, 1},
		{"MCP-92 no header repeats the body", owner, endpoint, modernCall("echo"), []string{"MCP-Protocol-Version: 2026-07-28"}, 202, 1},
		{"MCP-21 but it has to elsewhere", owner, "/mcp", modernCall("echo"), []string{"MCP-Protocol-Version: 2026-07-28"}, 400, 0},
		{"MCP-92 the policy holds", owner, endpoint, modernCall("admin_delete"), nil, 403, 0},
		{"MCP-22 what is said twice agrees", owner, endpoint, modernCall("echo"), []string{"Mcp-Name: admin_delete"}, 400, 0},
		{"MCP-26 another header", owner, endpoint, modernCall("echo"), []string{"MCP-Protocol-Version: 2025-11-25"}, 400, 0},
		{"MCP-26 _meta that is no text", owner, endpoint, metaCall("1"), nil, 400, 0},
		{"SESS-02 somebody else's", other, endpoint, modernBody("server/discover", ""), nil, 404, 0},
		{"SESS-02 a forged tag", owner, forged, modernBody("server/discover", ""), nil, 404, 0},
		{"SESS-02 no tag", owner, "/message?sessionId=1", modernBody("server/discover", ""), nil, 400, 0},
		{"MCP-20 the name of the tag elsewhere", owner, "/message?xmcpauth=1", modernBody("server/discover", ""), nil, 400, 0},
		{"ISOL-13 a cancellation that a streamable server would serve", owner, strings.Replace(endpoint, "/message", "/mcp", 1), modernCancel, modernHeaders(cancelled, ""), 202, 0},
		{"ISOL-13 of a later revision", owner, endpoint, notification(cancelled, `"requestId":1`), []string{"MCP-Protocol-Version: 2027-01-01"}, 202, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := f.do(http.MethodPost, row.target, row.token, row.body, row.headers...)
			assert.Equal(t, row.status, w.Code, "%s", w.Body)
			all := a.take()
			require.Len(t, all, row.reached)
			for _, one := range all {
				assert.Equal(t, row.body, one.body)
				if one.version != "2026-07-28" { // some server may take it for a legacy one
					assert.Regexp(t, aliasPattern, one.session)
				}
			}
		})
	}
}

// What was announced with a tag is accepted only with one, wherever its session stands.
func TestEndpointsNeedTheirTag_ISOL_09_SESS_04(t *testing.T) {
	const id = "0123456789abcdef"
	for reference, others := range map[string][]string{
		"/message?sid=" + id:                    {"/message?sid=" + id, "/message?SID=" + id, "/message?x=1&sid=" + id, "/message?s%69d=" + id, "/proxy/message?sid=" + id},
		"message?clientId=" + id + "&tenant=a":  {"/sse/message?clientId=" + id, "/sse/message?tenant=b"},
		"/message/" + id:                        {"/message/" + id, "/message/fedcba9876543210", "/proxy/message/" + id, "/message/" + id + "?x=1"},
		"https://mcp.example.com/message/" + id: {"/message/" + id},
	} {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: endpoint\ndata: "+reference+"\n\n")
			}
		}
		owner, attacker := f.token(nil), f.token(mcpauthtest.Claims{"sub": "attacker"})
		_, endpoint, _ := strings.Cut(strings.TrimSpace(f.do(http.MethodGet, "/sse", owner, "").Body.String()), "data: ")
		_, query, _ := strings.Cut(endpoint, "?")
		a.take()
		for _, target := range others {
			for _, token := range []string{attacker, owner} {
				w := f.do(http.MethodPost, target, token, legacyCall("echo"))
				assert.Equal(t, http.StatusNotFound, w.Code, "%s: %s", reference, target)
				assert.Empty(t, a.take(), "%s: %s", reference, target)
			}
		}
		path, _, _ := strings.Cut(others[0], "?")
		assert.Equal(t, http.StatusOK, f.do(http.MethodPost, path+"?"+query, owner, legacyCall("echo")).Code)
		assert.Len(t, a.take(), 1)
		// Nothing else needs a tag.
		for _, target := range []string{"/mcp", "/message", "/mcp?x=1", "/mcp?sid=1", "/other/" + id, "/message/short", "/message?other=1"} {
			assert.Equal(t, http.StatusOK, f.do(http.MethodPost, target, owner, legacyCall("echo")).Code, "%s: %s", reference, target)
		}
	}
	t.Run("LIMITS-13 names that a caller has the handler announce", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sid=1&"+r.URL.RawQuery+"\n\n")
		}
		for i := range 100 {
			f.do(http.MethodGet, fmt.Sprint("/sse?n", i, "=1"), f.token(mcpauthtest.Claims{"sub": "user-2"}), "")
		}
		a.answer = nil
		a.take()
		assert.Equal(t, http.StatusNotFound, f.do(http.MethodPost, "/message?sid=1", f.token(nil), legacyCall("echo")).Code)
		assert.Equal(t, http.StatusOK, f.do(http.MethodPost, "/mcp?n1=1", f.token(nil), legacyCall("echo")).Code)
		assert.Equal(t, http.StatusOK, f.do(http.MethodPost, "/message?n1=1", f.token(nil), legacyCall("echo")).Code, "a name that another caller has made up")
	})
	t.Run("LIMITS-13 invented names first, another endpoint then", func(t *testing.T) {
		f, a := newArrivalLog(t, nil)
		reference := "/other?key=1"
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\ndata: "+reference+"&"+r.URL.RawQuery+"\n\n")
		}
		var invented strings.Builder
		for i := range 100 {
			fmt.Fprint(&invented, "n", i, "=1&")
		}
		stranger := f.token(mcpauthtest.Claims{"sub": "user-2"})
		for _, own := range []string{invented.String(), "key=2&K%65y=3", strings.ToUpper(invented.String())} {
			f.do(http.MethodGet, "/sse?"+own, stranger, "")
		}
		f.do(http.MethodGet, "/sse", f.token(nil), "")
		reference = "/message?sid=1"
		f.do(http.MethodGet, "/sse", f.token(nil), "")
		a.answer = nil
		a.take()
		for _, target := range []string{"/message?sid=1", "/other?key=1"} {
			assert.Equal(t, http.StatusNotFound, f.do(http.MethodPost, target, stranger, legacyCall("echo")).Code, target)
			assert.Empty(t, a.take(), target)
		}
	})
}
