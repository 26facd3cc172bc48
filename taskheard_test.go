package mcpauth_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// writeInPieces answers with a text in pieces of one size (0: all of it), with a flush after each.
func writeInPieces(contentType, text string, size int, flush bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for rest := text; rest != ""; {
			n := len(rest)
			if size > 0 {
				n = min(size, n)
			}
			_, _ = io.WriteString(w, rest[:n])
			rest = rest[n:]
			if flush {
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
}

// behindProxy puts a reverse proxy between the wrapper and the fixture's handler.
func (b *taskBed) behindProxy(interval time.Duration) {
	upstream := httptest.NewServer(http.HandlerFunc(b.record))
	b.tb.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	require.NoError(b.tb, err)
	transport := &http.Transport{DisableCompression: true}
	b.tb.Cleanup(transport.CloseIdleConnections)
	b.handler = b.auth.Wrap(&httputil.ReverseProxy{
		Transport: transport, FlushInterval: interval,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	})
}

// isOwned asserts that a task is its owner's, and to another principal one that never was, in every era.
func (b *taskBed) isOwned(id string) {
	b.tb.Helper()
	owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
	b.inner, b.ran = nil, 0
	b.served(b.legacyTask(owner, "tasks/get", id))
	b.served(b.modernTask(owner, "tasks/get", id))
	b.notOwn(foreign, id)
}

// notOwn asserts that a task is nobody's whose token this is.
func (b *taskBed) notOwn(token, id string) {
	b.tb.Helper()
	b.inner, b.ran = nil, 0
	for _, method := range []string{"tasks/get", "tasks/cancel"} {
		w := b.legacyTask(token, method, id)
		b.unknown(w)
		assert.Equal(b.tb, sessionAnswer(b.legacyTask(token, method, "random")), sessionAnswer(w))
		w = b.modernTask(token, method, id)
		b.unknown(w)
		assert.Equal(b.tb, sessionAnswer(b.modernTask(token, method, "random")), sessionAnswer(w))
	}
}

// event is a message on an event stream.
func event(message string) string { return "event: message\nid: 7\ndata: " + message + "\n\n" }

// withFiller puts a long member in front of the others of a result.
func withFiller(answer string) string {
	return strings.Replace(answer, `"result":{`, `"result":{"_meta":{"a":["`+strings.Repeat("ü\\n]}", 16<<10)+`"]},`, 1)
}

// TestTaskIsHeard_MCP_85: the result that begins a task is heard however it leaves the handler.
func TestTaskIsHeard_MCP_85(t *testing.T) {
	long := event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"` + strings.Repeat("x", 70<<10) + `"}}`)
	answers := []struct {
		name, contentType, text string
		long                    bool
	}{
		{"2025-11-25, JSON", listsJSON, taskLegacy("t"), false},
		{"extension, JSON", listsJSON, taskModern("t"), false},
		{"2025-11-25, event", listsStream, event(taskLegacy("t")), false},
		{"extension, event", listsStream, event(taskModern("t")), false},
		{"event with CRLF and two lines", listsStream, "\ufeffid: 1\r\n\r\ndata:{\"jsonrpc\":\"2.0\",\"id\":1,\r\ndata: \"result\":{\"task\":{\"taskId\":\"t\"}}}\r\n\r\n", false},
		{"event with carriage returns alone", listsStream, "id: 1\r\rdata: " + taskLegacy("t") + "\r\r", false},
		{"event without its blank line", listsStream, "data: " + taskLegacy("t"), false},
		{"escaped names", listsJSON, `{"jsonrpc":"2.0","id":1,"\u0072esult":{"t\u0061sk":{"taskI\u0064":"\u0074"}}}`, false},
		{"behind an event of 70 KiB", listsStream, long + event(taskLegacy("t")), true},
		{"in an event of 80 KiB", listsStream, event(withFiller(taskModern("t"))), true},
		{"in an answer of 80 KiB", listsJSON, withFiller(taskLegacy("t")), true},
	}
	for _, pieces := range []struct {
		name  string
		size  int
		flush bool
	}{{"whole", 0, false}, {"whole, flushed", 0, true}, {"byte by byte, flushed", 1, true}, {"in pieces", 1000, true}} {
		for _, proxy := range []string{"none", "0", "-1ns"} {
			for _, row := range answers {
				if row.long && pieces.size == 1 && proxy != "none" {
					continue // 160,000 packets
				}
				t.Run(fmt.Sprintf("%s, %s, proxy %s", row.name, pieces.name, proxy), func(t *testing.T) {
					b := newTaskBed(t, nil)
					if interval, err := time.ParseDuration(proxy); err == nil {
						b.behindProxy(interval)
					}
					b.inner = writeInPieces(row.contentType, row.text, pieces.size, pieces.flush)
					w := b.legacyCall(b.token(nil), "echo")
					b.served(w)
					want := row.text
					if !strings.Contains(want, "\n") { // a carriage return alone is given its line feed
						want = strings.ReplaceAll(want, "\r", "\r\n")
					}
					assert.Equal(t, want, w.Body.String(), "bodies are passed on byte for byte")
					b.isOwned("t")
					assert.NotContains(t, b.log.String(), "level=ERROR")
				})
			}
		}
	}
}

// TestTaskIsHeardOnce_MCP_85: what is no answer that begins a task is none in pieces either.
func TestTaskIsHeardOnce_MCP_85(t *testing.T) {
	for name, text := range map[string]string{
		"deeper":               `{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"task":{"taskId":"t"},"taskId":"t"},"content":[{"taskId":"t"}]}}`,
		"in an error":          `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","data":{"taskId":"t","task":{"taskId":"t"}}}}`,
		"in params":            `{"jsonrpc":"2.0","method":"notifications/message","params":{"taskId":"t"},"task":{"taskId":"t"},"taskId":"t"}`,
		"twice":                `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t","taskId":"u"}}`,
		"twice, once escaped":  `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t","task\u0049d":"u"}}}`,
		"two results":          `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t"},"result":{}}`,
		"not whole":            `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t"}`,
		"not JSON":             `{"jsonrpc":"2.0","id":1,"result":{"taskId" "t"}}`,
		"not JSON behind it":   `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t",}}`,
		"another bracket":      `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t"]}`,
		"a text":               `"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"taskId\":\"t\"}}"`,
		"too deep":             strings.Repeat("[", 70) + taskLegacy("t") + strings.Repeat("]", 70),
		"too long an id":       taskLegacy("t" + strings.Repeat("u", 600)),
		"an id that is none":   `{"jsonrpc":"2.0","id":1,"result":{"taskId":["t"],"task":"t"}}`,
		"a name longer than t": `{"jsonrpc":"2.0","id":1,"result":{"taskIdx":"t","tasks":{"taskId":"t"},"tas":"t"}}`,
	} {
		for _, contentType := range []string{listsJSON, listsStream} {
			for _, size := range []int{0, 1} {
				t.Run(fmt.Sprint(name, " ", contentType, " ", size), func(t *testing.T) {
					b := newTaskBed(t, nil)
					text := text
					if contentType == listsStream {
						text = event(text)
					}
					b.inner = writeInPieces(contentType, text, size, true)
					w := b.legacyCall(b.token(nil), "echo")
					b.served(w)
					assert.Equal(t, text, w.Body.String())
					b.notOwn(b.token(nil), "t")
					b.notOwn(b.token(nil), "u")
				})
			}
		}
	}
}

// TestTaskOfNotification_MCP_85: a call that asks for no answer has none, and begins nobody's task.
func TestTaskOfNotification_MCP_85(t *testing.T) {
	b := newTaskBed(t, nil)
	for name, id := range map[string]string{"no id": "", "null": `"id":null,`} {
		b.inner = listsAnswer(listsJSON, strings.Replace(taskLegacy("t"), `"id":1,`, id, 1))
		b.served(b.post(b.token(nil), strings.Replace(legacyCall("echo"), `"id":1,`, "", 1), "MCP-Protocol-Version: 2025-11-25"))
		b.inner, b.ran = nil, 0
		b.unknown(b.legacyTask(b.token(nil), "tasks/get", "t"))
		assert.NotContains(t, b.log.String(), "level=ERROR", name)
	}
}

// TestUnheardTaskIsTold_MCP_85: where a task cannot be heard, or not be kept, the operator is told why it is nobody's.
func TestUnheardTaskIsTold_MCP_85(t *testing.T) {
	b := newTaskBed(t, nil)
	b.inner = func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Values("Accept-Encoding"), "it is not asked to compress")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", listsJSON)
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, taskLegacy("t"))
		_ = z.Close()
	}
	closed, c := newFixture(t, nil), newTaskBed(t, nil)
	closed.inner, c.inner = b.inner, b.inner
	closed.legacyCall(closed.token(nil), "echo")
	assert.NotContains(t, closed.log.String(), "level=WARN", "no rule opens tasks")
	c.post(c.token(nil), batchBody(batchCall(1, "echo"), batchCall(2, "echo")))
	assert.NotContains(t, c.log.String(), "level=WARN", "none begins in the answer to several calls")
	for range 2 {
		b.post(b.token(nil), legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "Accept-Encoding: gzip")
	}
	assert.Equal(t, 1, strings.Count(b.log.String(), "level=WARN"), "once: %s", b.log)
	assert.Contains(t, b.log.String(), "compress")
	b.notOwn(b.token(nil), "t")
	b.log.Reset()
	b.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", listsStream)
		w.WriteHeader(http.StatusOK)
	}
	c.inner = b.inner
	c.do(http.MethodGet, "/mcp", c.token(nil), "")
	assert.NotContains(t, c.log.String(), "answers to calls", "a stream is none")

	for reason, answer := range map[string]string{
		"512 bytes":   taskLegacy("canary" + strings.Repeat("u", 600)),
		"strict JSON": `{"jsonrpc":"2.0","id":1,"result":{"taskId":"canary","taskId":"u"}}`,
	} {
		b.log.Reset()
		b.inner = listsAnswer(listsJSON, answer)
		b.legacyCall(b.token(nil), "echo")
		assert.Equal(t, 1, strings.Count(b.log.String(), "level=WARN"), "%s", b.log)
		assert.Contains(t, b.log.String(), reason)
		assert.NotContains(t, b.log.String(), "canary")
	}
	b.log.Reset()
	b.inner = listsAnswer(listsJSON, taskLegacy("v"))
	b.post(b.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"`+strings.Repeat("x", 65<<10)+`"}}}`)
	assert.Empty(t, b.log.String(), "rules do not look at arguments, and none are kept")
	b.inner = nil
	b.ran = 0
	b.served(b.legacyTask(b.token(nil), "tasks/get", "v"))
}

// resumed has a session's call end before its answer, and the answer come on another stream.
type resumed struct {
	*taskBed
	session string
}

func newResumed(t *testing.T) *resumed {
	r := &resumed{taskBed: newTaskBed(t, nil)}
	r.session = r.fixture.session(t, r.token(nil))
	return r
}

// breaksOff makes a call whose stream ends without an answer.
func (r *resumed) breaksOff(token, session, tool string, id int) {
	r.tb.Helper()
	r.inner = listsAnswer(listsStream, "id: 1\ndata:\n\n")
	r.served(r.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, id, tool),
		"MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+session))
}

// resumes asks for what was missed; the handler replays a text.
func (r *resumed) resumes(token, session, text string, flush bool) {
	r.tb.Helper()
	r.inner = writeInPieces(listsStream, text, 100, flush)
	w := r.do(http.MethodGet, "/mcp", token, "", "Accept: text/event-stream", "Last-Event-ID: 1", "Mcp-Session-Id: "+session)
	r.served(w)
	assert.Equal(r.tb, text, w.Body.String())
}

// TestTaskIsHeardOnReplay_MCP_85: an answer that comes on a later stream of the session is the one to the
// call that was made there, and its task needs what that call needs.
func TestTaskIsHeardOnReplay_MCP_85(t *testing.T) {
	answer := func(id int, task string) string {
		return event(strings.Replace(taskLegacy(task), `"id":1`, fmt.Sprintf(`"id":%d`, id), 1))
	}
	all := mcpauthtest.Claims{"scope": "mcp:read mcp:admin mcp:audit"}
	for _, proxy := range []string{"none", "0", "-1ns"} {
		t.Run("proxy "+proxy, func(t *testing.T) {
			r := newResumed(t)
			if interval, err := time.ParseDuration(proxy); err == nil {
				r.behindProxy(interval)
			}
			r.breaksOff(r.token(nil), r.session, "echo", 5)
			r.resumes(r.token(nil), r.session, answer(5, "t"), proxy != "0")
			r.isOwned("t")
			r.resumes(r.token(nil), r.session, answer(5, "t"), true) // once more, since it was missed again
			r.isOwned("t")
			assert.NotContains(t, r.log.String(), "level=WARN", "what is known is not missed")

			r.breaksOff(r.token(all), r.session, "admin_delete", 6)
			r.resumes(r.token(all), r.session, answer(6, "a"), false)
			r.inner, r.ran = nil, 0
			r.refused(r.legacyTask(r.token(nil), "tasks/get", "a"), http.StatusForbidden,
				`Bearer error="insufficient_scope", scope="mcp:read mcp:admin", resource_metadata="`+testMetadataURL+`"`)
			r.served(r.legacyTask(r.token(all), "tasks/get", "a"))
		})
	}
	nobodys := func(name string, play func(r *resumed)) {
		t.Run(name, func(t *testing.T) {
			r := newResumed(t)
			play(r)
			r.notOwn(r.token(all), "t")
			r.notOwn(r.token(mcpauthtest.Claims{"sub": "user-2"}), "t")
			assert.Contains(t, r.log.String(), "level=WARN")
		})
	}
	nobodys("a call that nobody made", func(r *resumed) {
		r.resumes(r.token(nil), r.session, answer(5, "t"), false)
	})
	nobodys("another id", func(r *resumed) {
		r.breaksOff(r.token(nil), r.session, "echo", 5)
		r.resumes(r.token(nil), r.session, answer(6, "t"), false)
	})
	nobodys("another principal's session", func(r *resumed) {
		r.breaksOff(r.token(nil), r.session, "echo", 5)
		foreign := r.token(mcpauthtest.Claims{"sub": "user-2"})
		r.resumes(foreign, r.fixture.session(t, foreign), answer(5, "t"), false)
	})
	nobodys("an id that two calls had", func(r *resumed) {
		r.breaksOff(r.token(all), r.session, "echo", 5)
		r.breaksOff(r.token(all), r.session, "admin_delete", 5)
		r.resumes(r.token(all), r.session, answer(5, "t"), false)
	})
	nobodys("a call that has its answer", func(r *resumed) {
		r.inner = listsAnswer(listsStream, answer(5, "u"))
		r.post(r.token(nil), strings.Replace(legacyCall("echo"), `"id":1`, `"id":5`, 1), "MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+r.session)
		r.ran = 0
		r.resumes(r.token(nil), r.session, answer(5, "t"), false)
	})
	nobodys("a call that was refused", func(r *resumed) {
		r.inner = listsAnswer(listsStream, "")
		r.legacyCall(r.token(nil), "admin_delete")
		r.ran = 0
		r.resumes(r.token(nil), r.session, answer(1, "t"), false)
	})
}

// TestNotificationAwaitsNothing_MCP_85_LIMITS_13: a call without an id takes no room from those whose answer may come later: 64 with
// 64 KiB of arguments are all that one caller's share holds.
func TestNotificationAwaitsNothing_MCP_85_LIMITS_13(t *testing.T) {
	r := &resumed{taskBed: newTaskBed(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil })
	})}
	r.session = r.fixture.session(t, r.token(nil))
	r.inner = listsAnswer(listsStream, "id: 1\ndata:\n\n")
	sends := func(id string) {
		r.served(r.post(r.token(nil), fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":"tools/call","params":{"name":"echo","arguments":{"a":%q}}}`, id,
			strings.Repeat("a", 64<<10-len(`{"a":""}`))), "MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+r.session))
	}
	sends(`"id":1,`)
	sends("")
	for i := range 63 {
		sends(fmt.Sprintf(`"id":%d,`, i+2))
	}
	r.resumes(r.token(nil), r.session, event(taskLegacy("t")), true)
	r.isOwned("t")
}

// TestTaskIsHeardOnSSE_MCP_85: the answers of the HTTP+SSE transport come on the stream that named the endpoint.
func TestTaskIsHeardOnSSE_MCP_85(t *testing.T) {
	b := newTaskBed(t, nil)
	answers, began := make(chan string), make(chan struct{}, 1)
	b.inner = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=s1\n\n")
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		for answer := range answers {
			_, _ = io.WriteString(w, answer)
			_ = http.NewResponseController(w).Flush()
		}
	}
	server, client := serverFor(t, b.fixture, false)
	resp := streamingDo(t, server, client, b.request(http.MethodGet, "/mcp", b.token(nil), ""))
	<-began
	head := make([]byte, 256)
	n, err := resp.Body.Read(head)
	require.NoError(t, err)
	_, endpoint, found := strings.Cut(string(head[:n]), "data: ")
	require.True(t, found, "%s", head[:n])
	endpoint = strings.TrimSpace(endpoint)
	w := b.do(http.MethodPost, endpoint, b.token(nil), legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25")
	require.Equal(t, http.StatusAccepted, w.Code, "%s", w.Body)
	answers <- event(taskLegacy("t"))
	answers <- event(`{"jsonrpc":"2.0","id":9,"result":{"task":{"taskId":"other"}}}`)
	close(answers)
	_, _ = io.ReadAll(resp.Body)
	b.isOwned("t")
	b.notOwn(b.token(nil), "other")
}

// sseBed has a stream of the HTTP+SSE transport open, on which the handler says what it is told to.
type sseBed struct {
	*taskBed
	endpoint string
	says     chan string
}

func newSSEBed(t *testing.T) *sseBed {
	b := &sseBed{newTaskBed(t, nil), "", make(chan string)}
	b.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", listsStream)
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=s1\n\n")
		for text := range b.says {
			_, _ = io.WriteString(w, text)
		}
	}
	wrote, ended := make(chan string, 64), make(chan struct{})
	request := b.request(http.MethodGet, "/sse", b.token(nil), "")
	go func() {
		b.handler.ServeHTTP(&notifying{ResponseRecorder: httptest.NewRecorder(), wrote: wrote}, request)
		close(ended)
	}()
	t.Cleanup(func() { close(b.says); <-ended })
	_, b.endpoint, _ = strings.Cut(strings.TrimSpace(<-wrote), "data: ")
	require.Contains(t, b.endpoint, "mcpauth=")
	return b
}

// answers has the handler answer on the stream, and returns when that has been heard.
func (b *sseBed) answers(task string) {
	b.says <- event(taskLegacy(task))
	b.says <- ":\n\n"
}

// calls makes a call of a tool by the endpoint, which the handler answers as it is told.
func (b *sseBed) calls(tool string, answer http.HandlerFunc, headers ...string) {
	b.inner = answer
	b.do(http.MethodPost, b.endpoint, b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:audit"}), legacyCall(tool), append(headers, "MCP-Protocol-Version: 2025-11-25")...)
}

// TestCallWithoutAnswer_MCP_85: on the stream of the HTTP+SSE transport no answer comes to a call that was refused, or has been answered
// elsewhere. What comes there under its id is the answer to a later call, or to none.
func TestCallWithoutAnswer_MCP_85(t *testing.T) {
	elsewhere := listsAnswer(listsStream, event(taskLegacy("t")))
	for name, answer := range map[string]http.HandlerFunc{
		"refused":           withStatus(http.StatusInternalServerError),
		"refused, just":     withStatus(http.StatusMultipleChoices),
		"answered, JSON":    listsAnswer(listsJSON, taskLegacy("t")),
		"answered, events":  elsewhere,
		"answered, 2 times": listsAnswer(listsStream, strings.Repeat(event(taskLegacy("t")), 2)),
	} {
		t.Run(name, func(t *testing.T) {
			b := newSSEBed(t)
			session := "Mcp-Session-Id: " + b.session(t, b.token(nil))
			for i, headers := range [][]string{nil, {session}} {
				b.calls("echo", answer, headers...)
				b.log.Reset()
				b.answers(fmt.Sprint("none", i))
				b.notOwn(b.token(nil), fmt.Sprint("none", i))
				assert.Contains(t, b.log.String(), "no call of this session is known")

				b.calls("echo", answer, headers...)
				b.calls("audit", withStatus(http.StatusAccepted))
				b.answers(fmt.Sprint("later", i))
				b.inner, b.ran = nil, 0
				b.refused(b.legacyTask(b.token(nil), "tasks/get", fmt.Sprint("later", i)), http.StatusForbidden,
					`Bearer error="insufficient_scope", scope="mcp:read mcp:audit", resource_metadata="`+testMetadataURL+`"`)
			}
		})
	}
	t.Run("answered again, after another call under its id", func(t *testing.T) {
		b := newSSEBed(t)
		b.calls("echo", func(w http.ResponseWriter, r *http.Request) {
			elsewhere(w, r)
			b.calls("audit", withStatus(http.StatusAccepted))
			_, _ = io.WriteString(w, event(taskLegacy("t")))
		})
		b.answers("later")
		b.inner, b.ran = nil, 0
		b.refused(b.legacyTask(b.token(nil), "tasks/get", "later"), http.StatusForbidden,
			`Bearer error="insufficient_scope", scope="mcp:read mcp:audit", resource_metadata="`+testMetadataURL+`"`)
	})
}

// TestStoreOfReplay_MCP_85_STORE_07: where the store does not tell whose a task is that nobody here has begun, that is what the operator is told.
func TestStoreOfReplay_MCP_85_STORE_07(t *testing.T) {
	store := newTestStore()
	b := newTaskBed(t, shares(store))
	r := &resumed{taskBed: b, session: b.session(t, b.token(nil))}
	store.is(storeGone)
	r.resumes(r.token(nil), r.session, event(taskLegacy("t")), false)
	assert.Contains(t, r.log.String(), "mcpauth: a task that the handler has begun belongs to nobody")
	assert.Contains(t, r.log.String(), "connection refused")
	assert.NotContains(t, r.log.String(), "no call of this session is known")
}

// TestTasksOfMessages_ISOL_15: what says to be about a task comes only to whom tasks/get would tell of it.
func TestTasksOfMessages_ISOL_15(t *testing.T) {
	b := newTaskBed(t, nil)
	all := mcpauthtest.Claims{"scope": "mcp:read mcp:admin mcp:audit"}
	b.begin(b.token(all), "admin_delete", "a")
	b.begin(b.token(all), "echo", "e")
	b.begin(b.token(mcpauthtest.Claims{"sub": "user-2"}), "echo", "theirs")
	about := func(id string) string {
		return `"_meta":{"x":1,"io.modelcontextprotocol\/related-task":{"taskId":"` + id + `"}}`
	}
	for _, shape := range []string{
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"canary",%s}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{%s,"message":"canary"}}`,
		`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"canary",%s}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"canary"}],%s}}`,
		`{"result":{%s,"content":"canary"},"jsonrpc":"2.0","id":1}`,
	} {
		for id, want := range map[string]bool{"e": true, "a": false, "theirs": false, "random": false, `\u0065`: true} {
			b.inner = listsAnswer(listsStream, "data: "+fmt.Sprintf(shape, about(id))+"\n\n")
			w := b.do(http.MethodGet, "/mcp", b.token(nil), "")
			b.served(w)
			assert.Equal(t, want, strings.Contains(w.Body.String(), "canary"), "%s %s: %s", shape, id, w.Body)
		}
		b.inner = listsAnswer(listsStream, "data: "+fmt.Sprintf(shape, about("a"))+"\n\n")
		w := b.do(http.MethodGet, "/mcp", b.token(all), "")
		b.served(w)
		assert.Contains(t, w.Body.String(), "canary")
	}
	// The modern stream of a subscription tells of tasks by the same decision.
	told := func(id string) string {
		return "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{\"taskId\":\"" + id + "\",\"statusMessage\":\"canary-of-" + id + "\"}}\n\n"
	}
	b.inner = listsAnswer(listsStream, told("a")+told("e")+told("theirs")+told("random"))
	w := b.post(b.token(nil), modernBody("subscriptions/listen", `"notifications":{"taskIds":["e"]}`), modernHeaders("subscriptions/listen", "")...)
	b.served(w)
	assert.Equal(t, "\n"+told("e")+"\n\n", w.Body.String())
	for _, meta := range []string{`"_meta":{}`, `"_meta":null`, `"_meta":{"io.modelcontextprotocol/related-task":{}}`, `"x":1`} {
		b.inner = listsAnswer(listsStream, `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"canary",`+meta+"}}\n\n")
		w := b.do(http.MethodGet, "/mcp", b.token(nil), "")
		b.served(w)
		assert.Contains(t, w.Body.String(), "canary", "%s names no task", meta)
	}
}
