package mcpauth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

const (
	leaseEvent = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"
	leaseKey   = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" // of RFC 8037 appendix A.1
	leaseKeys  = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
)

func leaseMiddleware(t *testing.T) *Middleware {
	t.Helper()
	m, err := New(Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []Issuer{{URL: "https://as.example.com", Keys: []byte(leaseKeys)}},
		Policy:   Rules{Tools: map[string]Requirement{"echo": Authenticated()}},
		Logger:   slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return m
}

// leaseToken is a token by leaseKey.
func leaseToken(t *testing.T, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	seed, err := base64.RawURLEncoding.DecodeString(leaseKey)
	require.NoError(t, err)
	input := encode([]byte(`{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`)) + "." + encode([]byte(claims))
	return input + "." + encode(ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(input)))
}

// proofOf is that of a token by leaseKey.
func proofOf(t *testing.T, s *issuer) keys.Proof {
	t.Helper()
	token, err := jose.Parse(leaseToken(t, `{}`))
	require.NoError(t, err)
	proof, denied := s.keys.Verify(t.Context(), &token, time.Time{}, time.Now())
	require.Nil(t, denied)
	return proof
}

// leased serves a request that has been admitted. The handler gets the lease,
// as somebody else does who knows the request.
func leased(t *testing.T, m *Middleware, w http.ResponseWriter, method, body string, handler func(http.ResponseWriter, *http.Request, *lease)) {
	t.Helper()
	r := httptest.NewRequest(method, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if modernVersion := "2026-07-28"; strings.Contains(body, modernVersion) {
		r.Header.Set("MCP-Protocol-Version", modernVersion)
		r.Header.Set("Mcp-Method", "subscriptions/listen")
	}
	x := m.begin(m.generation(), r)
	defer x.end()
	require.Nil(t, x.read(w, r))
	s := m.generation().verifier.ordered[0]
	x.lease.token = &verified{principal: Principal{Issuer: s.url, Subject: "u", Expiry: time.Now().Add(time.Hour)}, evidence: evidence{issuer: s, proof: proofOf(t, s)}}
	x.lease.verified = time.Now()
	x.principal = &x.lease.token.principal
	x.ctx.Principal = x.principal
	x.serve(w, r, &backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r, &x.lease) })})
}

const (
	leaseCall  = `{"jsonrpc":"2.0","id":"a<b","method":"tools/call","params":{"name":"echo","arguments":{}}}`
	leaseBatch = `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":"two","method":"ping"}]`
)

// leaseDenied is a reason for a cut that is answered with a JSON-RPC error and status 200.
func leaseDenied() *refusal.Refusal { return refusal.New(refusal.UnknownTask, "test", "", "") }

const leaseBody = `{"jsonrpc":"2.0","id":"a<b","error":{"code":-32602,"message":"task not found"}}`

// TestCut_MCP_55: whatever a response was about to be, who cuts it has the last
// word, and nothing of the handler's is in a refusal that takes its place.
func TestCut_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	refused := http.Header{
		"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(leaseBody))},
		"Vary": {"Accept-Encoding"}, "Strict-Transport-Security": {"max-age=1"}, // of who wraps us
	}
	event := func(id string) string {
		return `event: message` + "\n" + `data: {"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32602,"message":"task not found"}}` + "\n\n"
	}
	unsent := func(w http.ResponseWriter, r *http.Request, l *lease) {
		h := w.Header()
		for _, name := range []string{"Mcp-Session-Id", "Set-Cookie", "Etag", "Content-Encoding", "X-Own", "Vary"} {
			h.Set(name, "x")
		}
		assert.True(t, l.cut(leaseDenied()))
		assert.ErrorIs(t, context.Cause(r.Context()), Reason(refusal.UnknownTask))
		h.Set("Content-Type", "text/event-stream")
		h.Set("Content-Length", "7")
		w.WriteHeader(http.StatusTeapot)
		n, err := io.WriteString(w, "{}")
		assert.Zero(t, n)
		assert.ErrorIs(t, err, Reason(refusal.UnknownTask))
		assert.ErrorIs(t, http.NewResponseController(w).Flush(), Reason(refusal.UnknownTask))
		assert.ErrorIs(t, err, context.Cause(r.Context()), "one error, wherever the handler meets it")
	}
	stream := func(before string, after ...string) func(http.ResponseWriter, *http.Request, *lease) {
		return func(w http.ResponseWriter, _ *http.Request, l *lease) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, err := io.WriteString(w, before)
			assert.NoError(t, err)
			assert.True(t, l.cut(leaseDenied()))
			for _, text := range after {
				_, err := io.WriteString(w, text)
				assert.ErrorIs(t, err, Reason(refusal.UnknownTask))
			}
		}
	}
	for _, row := range []struct {
		name, method, body string
		handler            func(http.ResponseWriter, *http.Request, *lease)
		status             int
		header             http.Header // nil: not looked at
		want               string
		aborted            bool
	}{
		{"a call that is not answered yet", "POST", leaseCall, unsent, 200, refused, leaseBody, false},
		{"a listen that has said nothing", "POST", `{"jsonrpc":"2.0","id":"a<b","method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, unsent, 200, refused, leaseBody, false},
		{"a list that is held", "POST", strings.Replace(leaseCall, "tools/call", "tools/list", 1), func(w http.ResponseWriter, r *http.Request, l *lease) {
			w.Header().Set("Content-Type", "application/json")
			_, err := io.WriteString(w, `{"jsonrpc":"2.0","id":"a<b","result":{"tools":[]}}`)
			assert.NoError(t, err)
			assert.True(t, l.cut(leaseDenied()))
		}, 200, refused, leaseBody, false},
		{"a GET that has said nothing", "GET", "", func(_ http.ResponseWriter, _ *http.Request, l *lease) {
			assert.True(t, l.cut(refusal.New(refusal.Unavailable, "", "", "")))
		}, 503, nil, `{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, false},
		{"a notification", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, func(_ http.ResponseWriter, _ *http.Request, l *lease) {
			assert.True(t, l.cut(refusal.New(refusal.Revoked, "", "", "")))
		}, 401, nil, `{"error":"invalid_token","error_description":"token revoked"}`, false},
		{"a handler that panics to abort", "POST", leaseCall, func(_ http.ResponseWriter, _ *http.Request, l *lease) {
			assert.True(t, l.cut(leaseDenied()))
			panic(http.ErrAbortHandler)
		}, 200, refused, leaseBody, false},
		{"a whole answer", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			_, _ = io.WriteString(w, `{"whole":true}`)
			assert.True(t, l.cut(leaseDenied()))
		}, 200, nil, `{"whole":true}`, false},
		{"half an answer", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			_, _ = io.WriteString(w, `{"whole":`)
			assert.True(t, l.cut(leaseDenied()))
			_, _ = io.WriteString(w, `false}`)
		}, 200, nil, `{"whole":`, true},
		{"half an answer, which the handler aborts", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			_, _ = io.WriteString(w, `{"whole":`)
			assert.True(t, l.cut(leaseDenied()))
			panic(http.ErrAbortHandler)
		}, 200, nil, `{"whole":`, true},
		{"a stream that the handler aborts", "POST", leaseCall, func(w http.ResponseWriter, r *http.Request, l *lease) {
			stream(leaseEvent)(w, r, l)
			panic(http.ErrAbortHandler)
		}, 200, nil, leaseEvent + event(`"a<b"`), false},
		{"a status without a body", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			w.WriteHeader(http.StatusAccepted)
			assert.True(t, l.cut(leaseDenied()))
		}, 202, nil, "", false},
		{"an early hint is no header", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			w.WriteHeader(http.StatusEarlyHints)
			assert.True(t, l.cut(leaseDenied()))
		}, 103 /* the recorder keeps the first */, nil, leaseBody, false},
		{"a stream", "POST", leaseCall, stream(leaseEvent, leaseEvent, "\n\n"), 200, nil, leaseEvent + event(`"a<b"`), false},
		{"a stream with a hint that comes late", "POST", leaseCall, func(w http.ResponseWriter, r *http.Request, l *lease) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, leaseEvent)
			w.WriteHeader(http.StatusEarlyHints)
			assert.True(t, l.cut(leaseDenied()))
		}, 200, nil, leaseEvent + event(`"a<b"`), false},
		{"a stream whose end nobody has come to write", "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, leaseEvent)
			assert.True(t, l.claim(deniedError(leaseDenied())))
		}, 200, nil, leaseEvent + event(`"a<b"`), false},
		{"a stream without an event", "POST", leaseCall, stream(""), 200, nil, event(`"a<b"`), false},
		{"a stream of a batch", "POST", leaseBatch, stream(leaseEvent), 200, nil, leaseEvent + event("1") + event(`"two"`), false},
		{"a stream for a notification", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, stream(leaseEvent), 200, nil, leaseEvent, false},
		{"a stream in the middle of an event", "POST", leaseCall, stream("id: 1\n", "data: {}\n\n"), 200, nil, event(`"a<b"`), false},
		{"a stream in the middle of an event too long to be held", "POST", leaseCall, stream(leaseLong, "\"}\n\n"), 200, nil, leaseLong, true},
		{"a stream for a notification, in the middle of an event", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, stream("data: {\n"), 200, nil, "", false},
		{"a stream for a notification, in the middle of a long event", "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, stream(leaseLong), 200, nil, leaseLong, true},
		{"a stream of the server's own", "GET", "", stream(leaseEvent, leaseEvent), 200, nil, leaseEvent, false},
		{"a filtered stream in the middle of an event", "GET", "", stream(leaseEvent + "data: {"), 200, nil, leaseEvent, false},
		{"a compressed stream", "POST", leaseCall, func(w http.ResponseWriter, r *http.Request, l *lease) {
			w.Header().Set("Content-Encoding", "gzip")
			stream("zip\n\n")(w, r, l)
		}, 200, nil, "zip\n\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Vary", "Accept-Encoding")
			w.Header().Set("Strict-Transport-Security", "max-age=1")
			var held *lease
			var panicked any
			func() {
				defer func() { panicked = recover() }()
				leased(t, m, w, row.method, row.body, func(w http.ResponseWriter, r *http.Request, l *lease) {
					held = l
					defer func() { assert.False(t, l.cut(refusal.New(refusal.Expired, "", "", "")), "cut a second time") }()
					row.handler(w, r, l)
				})
			}()
			if row.aborted {
				assert.Equal(t, http.ErrAbortHandler, panicked)
			} else {
				assert.Nil(t, panicked)
			}
			assert.Equal(t, row.status, w.Code)
			if row.header != nil {
				assert.Equal(t, row.header, w.Result().Header)
			}
			assert.Equal(t, row.want, w.Body.String())
			assert.False(t, held.cut(leaseDenied()), "cut when it was over")
			assert.Equal(t, row.want, w.Body.String())
		})
	}
}

// TestCut_TooLate_MCP_55: what is over is not cut, and a bug of the handler stays one.
func TestCut_TooLate_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	w := httptest.NewRecorder()
	var held *lease
	leased(t, m, w, "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
		held = l
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, leaseEvent)
	})
	assert.False(t, held.cut(leaseDenied()))
	assert.Equal(t, leaseEvent, w.Body.String())
	assert.Nil(t, held.cutFor())

	bug := errors.New("bug")
	assert.PanicsWithValue(t, bug, func() {
		leased(t, m, httptest.NewRecorder(), "POST", leaseCall, func(_ http.ResponseWriter, _ *http.Request, l *lease) {
			l.cut(leaseDenied())
			panic(bug)
		})
	})
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		leased(t, m, httptest.NewRecorder(), "POST", leaseCall, func(http.ResponseWriter, *http.Request, *lease) {
			panic(http.ErrAbortHandler)
		})
	})

	// Nor is it cut when its handler has returned, and while the operator is told of it.
	w, m = httptest.NewRecorder(), leaseMiddleware(t)
	m.operator.onServed = func(context.Context, Served) { assert.False(t, held.cut(leaseDenied())) }
	leased(t, m, w, "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
		held = l
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, leaseEvent)
	})
	assert.Equal(t, leaseEvent, w.Body.String())

	m.operator.onServed = nil

	// What a handler does when it has broken, or its header is sent, reaches no other response, and nothing begins to last.
	var late http.ResponseWriter
	assert.PanicsWithValue(t, bug, func() {
		leased(t, m, httptest.NewRecorder(), "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			held, late = l, w
			panic(bug)
		})
	})
	assert.False(t, held.cut(leaseDenied()))
	late.Header().Set("Content-Type", "text/event-stream")
	late.WriteHeader(http.StatusOK)
	assert.Nil(t, held.inquiry)
	assert.Empty(t, m.owned.lasts.list())
	e := &exclusive{header: http.Header{}}
	leased(t, m, e, "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, _ *lease) {
		late = w
		w.WriteHeader(http.StatusAccepted)
	})
	late.WriteHeader(http.StatusEarlyHints)
	assert.Equal(t, http.StatusAccepted, e.status)

	// Cut before the handler was called: it is told.
	w = httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/mcp", nil)
	x := m.begin(m.generation(), r)
	require.Nil(t, x.read(w, r))
	x.lease.token, x.lease.verified = held.token, time.Now()
	x.principal = &held.token.principal
	assert.True(t, x.lease.cut(leaseDenied()))
	x.serve(w, r, &backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.ErrorIs(t, context.Cause(r.Context()), Reason(refusal.UnknownTask))
		w.WriteHeader(http.StatusNoContent)
	})})
	x.end()
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"task not found"}}`, w.Body.String())

	// The handler breaks while somebody is about to cut.
	w = httptest.NewRecorder()
	assert.PanicsWithValue(t, bug, func() {
		leased(t, m, w, "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, leaseEvent)
			held = l
			assert.True(t, l.claim(deniedError(leaseDenied())))
			panic(bug)
		})
	})
	held.tell()
	assert.Equal(t, leaseEvent, w.Body.String(), "written after the request")
}

// leaseLong is so much of an event that it is seen to be an answer, and not held any more.
var leaseLong = `data: {"id":1,"result":"` + strings.Repeat("x", 70<<10)

// wholeEvents is what of a stream is not in an event that is under way: all up to the last blank line, and the
// comments behind that.
var wholeEvents = regexp.MustCompile(`(?s)^(?:.*\n\r?\n)?(?:\r?\n|:[^\n]*\n)*`)

// TestCut_Anywhere_MCP_55: a stream that is cut after any number of its bytes ends
// with the error, behind the events that were whole; a reader never gets an event that the handler did
// not write, nor a part of one.
func TestCut_Anywhere_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	for _, text := range []string{
		leaseEvent + leaseEvent,
		"\ufeffid: 1\r\nevent: message\r\ndata: {}\r\n\r\n: ping\r\n\r\ndata: {}\r\n\r\n",
		": comment\n: another\n\nretry: 10\n\ndata\n\n\n\ndata: a\rdata: b\n\ndata: x\r\r\n\n",
	} {
		for size := range len(text) + 1 {
			given := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n").Replace(text[:size]) // what every reader reads
			whole := wholeEvents.FindString(given)
			w := httptest.NewRecorder()
			var panicked any
			func() {
				defer func() { panicked = recover() }()
				leased(t, m, w, "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
					w.Header().Set("Content-Type", "text/event-stream")
					w.WriteHeader(http.StatusOK)
					for _, b := range []byte(text[:size]) { // however it is written
						_, _ = w.Write([]byte{b})
					}
					l.cut(leaseDenied())
					_, _ = io.WriteString(w, text[size:])
				})
			}()
			assert.Nil(t, panicked, "%q", text[:size])
			assert.Equal(t, whole+"event: message\ndata: "+leaseBody+"\n\n", w.Body.String())
		}
	}
}

// exclusive is a writer that the race detector watches: who writes at the same
// time as somebody else is found.
type exclusive struct {
	header http.Header
	body   []byte
	status int
}

func (w *exclusive) Header() http.Header         { return w.header }
func (w *exclusive) WriteHeader(status int)      { w.status = status }
func (w *exclusive) Write(b []byte) (int, error) { w.body = append(w.body, b...); return len(b), nil }
func (w *exclusive) Flush()                      { w.body = w.body[:len(w.body):len(w.body)] }

// TestCut_Race_MCP_55: while the handler writes and flushes, several cut the
// response. What arrives is whole events and one error at the end.
func TestCut_Race_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	streams := 0
	for i := range 300 {
		w := &exclusive{header: http.Header{}}
		cuts := make(chan bool, 3)
		leased(t, m, w, "POST", leaseCall, func(w http.ResponseWriter, r *http.Request, l *lease) {
			w.Header().Set("Content-Type", "text/event-stream")
			var wait sync.WaitGroup
			for range cap(cuts) {
				go func() {
					for range i % 7 {
						_, _ = r.Context(), fmt.Sprint(i)
					}
					cuts <- l.cut(leaseDenied())
				}()
			}
			var mu sync.Mutex // as handlers have one
			for range 4 {
				wait.Go(func() {
					for r.Context().Err() == nil {
						mu.Lock()
						_, err := io.WriteString(w, leaseEvent)
						_ = http.NewResponseController(w).Flush()
						mu.Unlock()
						if err != nil {
							return
						}
					}
				})
			}
			wait.Wait()
		})
		won := 0
		for range cap(cuts) {
			if <-cuts {
				won++
			}
		}
		require.Equal(t, 1, won)
		if string(w.body) == leaseBody { // nothing had been sent
			continue
		}
		streams++
		events := strings.TrimSuffix(string(w.body), "event: message\ndata: "+leaseBody+"\n\n")
		require.NotEqual(t, string(w.body), events)
		require.Empty(t, strings.ReplaceAll(events, leaseEvent, ""))
	}
	assert.Positive(t, streams, "nothing was ever cut while it was written")
}

// TestEnd_IsToldOnce_MCP_55: a response that has ended does not end again.
func TestEnd_IsToldOnce_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	var log strings.Builder
	m.operator.log = slog.New(slog.NewTextHandler(&log, nil))
	leased(t, m, httptest.NewRecorder(), "POST", leaseCall, func(w http.ResponseWriter, _ *http.Request, l *lease) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, leaseEvent)
		l.end(leaseDenied())
		l.end(leaseDenied())
	})
	assert.Equal(t, 1, strings.Count(log.String(), "mcpauth: stream ended early"))
}

// TestCut_WriterPanics_MCP_55: a writer around the server's that panics harms the
// request that it belongs to, and nobody else's goroutine.
func TestCut_WriterPanics_MCP_55(t *testing.T) {
	m, log := leaseMiddleware(t), new(strings.Builder)
	m.operator.log = slog.New(slog.NewTextHandler(log, nil))
	w := &panickingWriter{ResponseRecorder: httptest.NewRecorder()}
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		leased(t, m, w, "POST", leaseCall, func(rw http.ResponseWriter, _ *http.Request, l *lease) {
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, leaseEvent)
			w.armed = true
			assert.True(t, l.cut(leaseDenied()))
		})
	})
	assert.Equal(t, leaseEvent, w.Body.String())
	assert.Regexp(t, `^time=\S+ level=ERROR msg="mcpauth: the end of a response cannot be written" panic=string\n$`, log.String())
}

// TestCut_Deadlines_MCP_55: only the end of a response that was cut has five seconds to be written, and what a handler still does afterwards has
// as long as it had.
func TestCut_Deadlines_MCP_55(t *testing.T) {
	const list = `{"jsonrpc":"2.0","id":"a<b","method":"tools/list"}`
	for name, row := range map[string]struct {
		contentType, body string
		cut               bool
		want              []string
	}{
		"an answer":                   {"application/json", leaseCall, false, []string{"write"}},
		"a stream":                    {"text/event-stream", leaseCall, false, []string{"write"}},
		"a stream that is cut":        {"text/event-stream", leaseCall, true, []string{"write", "until 5s", "write", "flush", "no deadline", "until 5s"}},
		"a list that was held":        {"application/json", list, true, []string{"until 5s", "write"}},
		"a list that was held, whole": {"application/json", list, false, []string{"write"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &clockedWriter{ResponseRecorder: httptest.NewRecorder()}
			leased(t, leaseMiddleware(t), w, "POST", row.body, func(w http.ResponseWriter, _ *http.Request, l *lease) {
				w.Header().Set("Content-Type", row.contentType)
				text := `{"jsonrpc":"2.0","id":"a<b","result":{"tools":[]}}`
				if row.contentType == "text/event-stream" {
					text = leaseEvent
				}
				_, _ = io.WriteString(w, text)
				if row.cut {
					assert.True(t, l.cut(leaseDenied()))
				}
			})
			assert.Equal(t, row.want, w.did, name)
		})
	}
}

// clockedWriter notes what is done, and how long that may take.
type clockedWriter struct {
	*httptest.ResponseRecorder
	did []string
}

func (w *clockedWriter) SetWriteDeadline(at time.Time) error {
	deadline := "no deadline"
	if !at.IsZero() {
		deadline = "until " + time.Until(at).String()
	}
	w.did = append(w.did, deadline)
	return nil
}

func (w *clockedWriter) Write(data []byte) (int, error) {
	w.did = append(w.did, "write")
	return w.ResponseRecorder.Write(data)
}

func (w *clockedWriter) Flush() { w.did = append(w.did, "flush") }

// TestCut_WriterFails_MCP_55: a client that has lost one of the last events is told nothing more, and does not take what it has for all.
func TestCut_WriterFails_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	w := &failingWriter{ResponseRecorder: httptest.NewRecorder()}
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		leased(t, m, w, "POST", leaseBatch, func(rw http.ResponseWriter, _ *http.Request, l *lease) {
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, leaseEvent)
			w.armed = true
			assert.True(t, l.cut(leaseDenied()))
		})
	})
	assert.Equal(t, leaseEvent, w.Body.String())
	assert.Equal(t, 1, w.failed)
}

// failingWriter loses one write.
type failingWriter struct {
	*httptest.ResponseRecorder
	armed  bool
	failed int
}

func (w *failingWriter) Write(data []byte) (int, error) {
	if w.armed {
		w.armed = false
		w.failed++
		return 0, io.ErrShortWrite
	}
	return w.ResponseRecorder.Write(data)
}

type panickingWriter struct {
	*httptest.ResponseRecorder
	armed bool
}

func (w *panickingWriter) Write(data []byte) (int, error) {
	if w.armed {
		panic("a bug of somebody else")
	}
	return w.ResponseRecorder.Write(data)
}

// busyWriter keeps one who writes waiting.
type busyWriter struct {
	exclusive
	mu      sync.Mutex
	entered chan struct{}
	let     chan struct{}
}

func (w *busyWriter) Write(data []byte) (int, error) {
	if w.entered != nil {
		close(w.entered)
		w.entered = nil
		<-w.let
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exclusive.Write(data)
}

func (w *busyWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.body)
}

// TestCut_WhileWriting_MCP_55: who cuts does not wait for one who writes. The error
// follows the event that was under way, at once, though the handler goes on.
func TestCut_WhileWriting_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	w := &busyWriter{exclusive: exclusive{header: http.Header{}}, entered: make(chan struct{}), let: make(chan struct{})}
	entered := w.entered
	leased(t, m, w, "POST", leaseCall, func(rw http.ResponseWriter, r *http.Request, l *lease) {
		go func() {
			<-entered
			assert.True(t, l.cut(leaseDenied()))
			assert.Error(t, r.Context().Err())
			assert.Empty(t, w.text())
			close(w.let)
		}()
		rw.Header().Set("Content-Type", "text/event-stream")
		_, err := io.WriteString(rw, leaseEvent)
		assert.NoError(t, err, "it was sent")
		assert.Equal(t, leaseEvent+"event: message\ndata: "+leaseBody+"\n\n", w.text())
	})
}

// TestHeldIsLetGo_LIMITS_13: what was held of an answer is on nobody's account when the request is over, and not in memory, though the handler keeps
// its writer. What that writes is not held, and says nothing of what went out.
func TestHeldIsLetGo_LIMITS_13(t *testing.T) {
	m := leaseMiddleware(t)
	for _, row := range []struct{ method, writes string }{{"tools/list", `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`}, {"tools/list", ""}, {"ping", ""}} {
		w := &exclusive{header: http.Header{}}
		var late *flushable
		leased(t, m, w, "POST", `{"jsonrpc":"2.0","id":1,"method":"`+row.method+`"}`, func(w http.ResponseWriter, _ *http.Request, _ *lease) {
			late = w.(*flushable)
			if row.writes != "" {
				_, _ = io.WriteString(w, row.writes)
				assert.Equal(t, len(row.writes), late.held.Len())
			}
		})
		assert.Equal(t, row.writes, string(w.body))
		if row.writes != "" {
			assert.Zero(t, late.held.Len())
			_, err := late.Write(make([]byte, maxPooled+1))
			assert.ErrorIs(t, err, Reason(refusal.TooMuchHeld))
			assert.Zero(t, late.held.Len())
			continue
		}
		before := w.header.Clone()
		before["Surrogate-Control"] = []string{"late"}
		late.Header().Set("Surrogate-Control", "late")
		late.WriteHeader(http.StatusOK)
		_, err := io.WriteString(late, "late")
		assert.ErrorIs(t, err, http.ErrHandlerTimeout)
		assert.Equal(t, before, w.header, row.method)
		assert.Empty(t, w.body)
	}
}

// TestStreamLeavesNothing_MCP_55: no timer holds on to a request that is over.
func TestStreamLeavesNothing_MCP_55(t *testing.T) {
	m := leaseMiddleware(t)
	for _, cut := range []bool{false, true} {
		var held weak.Pointer[exchange]
		leased(t, m, httptest.NewRecorder(), "GET", "", func(w http.ResponseWriter, _ *http.Request, l *lease) {
			held = weak.Make(l.x)
			assert.NotNil(t, l.inquiry)
			if cut {
				l.cut(leaseDenied())
			}
		})
		runtime.GC()
		runtime.GC()
		assert.Nil(t, held.Value(), "cut %t", cut)
	}
}
