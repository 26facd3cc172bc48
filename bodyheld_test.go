package mcpauth_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// heapInUse is what is reachable.
func heapInUse() int {
	var stats runtime.MemStats
	for range 3 { // pools are empty after the second
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// arrivals counts the bodies that the middleware has begun to read.
type arrivals struct {
	http.Handler
	began chan struct{}
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = &arrival{ReadCloser: r.Body, began: a.began}
	a.Handler.ServeHTTP(w, r)
}

type arrival struct {
	io.ReadCloser
	began chan struct{}
	reads int
}

// Read tells of the second read: the first one has had a byte.
func (a *arrival) Read(p []byte) (int, error) {
	if a.reads++; a.reads == 2 {
		a.began <- struct{}{}
	}
	return a.ReadCloser.Read(p)
}

// TestAnnouncedBodies_LIMITS_02: what is held of a body grows with what has come of it,
// not with what was announced.
func TestAnnouncedBodies_LIMITS_02(t *testing.T) {
	const connections, bound = 200, 16 << 20
	f := newFixture(t, nil)
	token := f.token(nil)
	f.served(f.call(token, "echo"))
	a := &arrivals{f.handler, make(chan struct{}, connections)}
	server := httptest.NewServer(a)
	defer server.Close()
	before := heapInUse()
	for range connections {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", token, 4<<20)
		require.NoError(t, err)
	}
	for range connections {
		<-a.began
	}
	grown := heapInUse() - before
	t.Logf("heap for %d announced bodies of 4 MiB: %.1f MiB", connections, float64(grown)/(1<<20))
	assert.Less(t, grown, bound)
	f.served(f.call(token, "echo"))
	f.served(f.post(token, strings.Replace(legacyCall("echo"), "{}", `{"a":"`+strings.Repeat("a", 60<<10)+`"}`, 1)))
}

// stalledBody has all of a text but its end, and then nothing more until its context ends.
type stalledBody struct {
	io.Reader
	ctx context.Context
}

func (b *stalledBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		<-b.ctx.Done()
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *stalledBody) Close() error { return nil }

// stalled is a request with a body of so many bytes of which the last one never comes. It waits as
// long as ctx allows.
func (f *fixture) stalled(ctx context.Context, token string, size int) *http.Request {
	r := f.request(http.MethodPost, "/mcp", token, "")
	r.ContentLength = int64(size)
	r.Body = &stalledBody{io.LimitReader(endless('a'), int64(size-1)), ctx}
	return r
}

// start serves a request in the background and returns once it waits for something.
func (f *fixture) start(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	go f.handler.ServeHTTP(w, r)
	synctest.Wait()
	return w
}

const heldBody = `{"jsonrpc":"2.0","error":{"code":-31429,"message":"too many large messages at once"}}`

// refusedHeld asserts the whole answer to a caller whose account is full.
func (f *fixture) refusedHeld(w *httptest.ResponseRecorder) {
	f.tb.Helper()
	h := w.Result().Header
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	assert.NoError(f.tb, err)
	assert.True(f.tb, seconds >= 1 && seconds <= 30, "Retry-After %d", seconds)
	h.Del("Retry-After")
	assert.Equal(f.tb, http.StatusTooManyRequests, w.Code)
	assert.Equal(f.tb, http.Header{
		"Connection": {"close"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(heldBody))},
	}, h)
	assert.Equal(f.tb, heldBody, w.Body.String())
}

// TestBodiesOfOneCaller_LIMITS_13: whoever sends 200 bodies of 4 MiB and never ends them has
// 64 MiB held and is refused the rest. Everybody else, its own short bodies and another client of
// the same user are served as before, and what it held is free again when it leaves.
func TestBodiesOfOneCaller_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large = 4 << 20
		f := newFixture(t, nil)
		u1, u2 := f.token(nil), f.token(mcpauthtest.Claims{"sub": "user-2"})
		ctx, leave := context.WithCancel(t.Context())
		before := heapInUse()
		refused := 0
		for range 200 {
			if w := f.start(f.stalled(ctx, u2, large)); w.Code == http.StatusTooManyRequests {
				f.refusedHeld(w)
				refused++
			}
		}
		assert.Equal(t, 200-16, refused)
		assert.Zero(t, f.ran)
		grown := heapInUse() - before
		t.Logf("heap for 200 stalled bodies of 4 MiB: %.1f MiB", float64(grown)/(1<<20))
		assert.Less(t, grown, 80<<20)
		assert.Contains(t, f.log.String(), "cause=messages-held")

		f.served(f.post(u1, sized(large)))
		f.served(f.post(u2, sized(64<<10)))
		f.served(f.call(u2, "echo"))
		chunked := f.request(http.MethodPost, "/mcp", u2, "")
		chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(sized(65<<10))), -1
		f.refusedHeld(f.serve(chunked))
		f.refusedHeld(f.post(u2, sized(65<<10)))
		f.refusedHeld(f.post(f.token(mcpauthtest.Claims{"sub": "user-2", "jti": "another token"}), sized(large)))
		f.served(f.post(f.token(mcpauthtest.Claims{"sub": "user-2", "client_id": "another"}), sized(large)))
		assert.Equal(t, http.StatusUnauthorized, f.post("x", sized(large)).Code)

		leave()
		synctest.Wait()
		for range 20 { // one after the other: each gives back what it took
			f.served(f.post(u2, sized(large)))
		}
	})
}

// TestHeldBodyIsGivenBack_LIMITS_13: however a request with a long body ends, its caller's account is
// free again.
func TestHeldBodyIsGivenBack_LIMITS_13(t *testing.T) {
	const large = 4 << 20
	for name, row := range map[string]struct {
		change func(*mcpauth.Config)
		body   func() io.Reader
		inner  http.HandlerFunc
		panics bool
	}{
		"not JSON":           {body: func() io.Reader { return bytes.NewReader(bytes.Repeat([]byte("a"), large)) }},
		"breaks off":         {body: func() io.Reader { return io.MultiReader(strings.NewReader(sized(large)[:large-9]), errorReader{}) }},
		"the handler panics": {inner: func(http.ResponseWriter, *http.Request) { panic("handler") }, panics: true},
		"the policy panics":  {change: wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic("policy") })},
		"the body panics":    {body: func() io.Reader { return io.MultiReader(strings.NewReader(sized(large)[:large-9]), panicReader{}) }, panics: true},
	} {
		t.Run("LIMITS-13 "+name, func(t *testing.T) {
			f := newFixture(t, row.change)
			f.inner = row.inner
			token := f.token(nil)
			for range 20 {
				r := f.request(http.MethodPost, "/mcp", token, sized(large))
				if row.body != nil {
					r.Body = io.NopCloser(row.body())
				}
				var code int
				serve := func() { code = f.serve(r).Code }
				if row.panics {
					assert.Panics(t, serve)
				} else {
					serve()
				}
				require.NotEqual(t, http.StatusTooManyRequests, code)
			}
		})
	}
}

// TestLateWrites_LIMITS_13: what a handler writes after its request is over is charged to nobody.
func TestLateWrites_LIMITS_13(t *testing.T) {
	f := newFixture(t, nil)
	var kept http.ResponseWriter
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`)
		kept = w
	}
	token := f.token(nil)
	for range 20 {
		f.serve(listsRequest(f, "tools/list", token, false))
		for range 8 {
			_, _ = kept.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
	}
	f.inner, f.ran = nil, 0
	f.served(f.post(token, sized(4<<20)))
}

// TestPagesOfOneCaller_LIMITS_13: a long body with a cursor is held twice for a while, and a short one never counts.
func TestPagesOfOneCaller_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large = 4 << 20
		f := newFixture(t, nil)
		token := f.token(nil)
		f.inner = listsAnswer(listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"next"}}`)
		w := f.serve(listsRequest(f, "tools/list", token, false))
		f.served(w)
		cursor := cursorOf(t, w.Body.String())
		page := func(size int) *http.Request {
			head, tail := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":`+cursor+`,"x":"`, `"}}`
			return f.request(http.MethodPost, "/mcp", token, head+strings.Repeat("a", size-len(head)-len(tail))+tail)
		}
		ctx, leave := context.WithCancel(t.Context())
		for range 15 {
			f.start(f.stalled(ctx, token, large))
		}
		f.served(f.serve(page(1 << 20)))
		w = f.serve(page(3 << 20))
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		assert.Equal(t, strings.Replace(heldBody, `"2.0",`, `"2.0","id":1,`, 1), w.Body.String())
		assert.Zero(t, f.ran)
		f.start(f.stalled(ctx, token, large))
		f.served(f.serve(page(40_000)))
		f.served(f.serve(page(64 << 10)))
		f.refusedHeld(f.serve(page(64<<10 + 1)))
		leave()
		synctest.Wait()
	})
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("body") }

// TestAnswersOfOneCaller_LIMITS_13: answers that are held to be filtered are charged to the same account,
// as JSON and as an event that does not end. Whoever has too many of them loses those, and nobody else any.
func TestAnswersOfOneCaller_LIMITS_13(t *testing.T) {
	for _, contentType := range []string{"application/json", "text/event-stream"} {
		t.Run("LIMITS-13 "+contentType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const list = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`
				const shown = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`
				f := newFixture(t, nil)
				goOn := make(chan struct{})
				failed := 0
				var short http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", contentType)
					if contentType == "text/event-stream" {
						_, _ = fmt.Fprintf(w, "data: %s\n\n", list)
						return
					}
					_, _ = io.WriteString(w, list)
				}
				wanted := shown
				if contentType == "text/event-stream" {
					wanted = "data: " + shown + "\n\n"
				}
				var long http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", contentType)
					for range 15 {
						if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
							failed++
							assert.Error(t, r.Context().Err(), "the handler is told to stop")
							for _, err := range []error{err, context.Cause(r.Context())} {
								var reason mcpauth.Reason
								require.ErrorAs(t, err, &reason)
								assert.Equal(t, "too_much_held", reason.Code())
							}
							return
						}
					}
					<-goOn
				}
				ask := func(token string) *httptest.ResponseRecorder {
					return f.start(listsRequest(f, "tools/list", token, false))
				}
				u1, u2 := f.token(nil), f.token(mcpauthtest.Claims{"sub": "user-2"})
				f.inner = long
				before := heapInUse()
				for range 8 {
					ask(u2)
				}
				assert.Equal(t, 4, failed, "four times 15 MiB find room")
				assert.Less(t, heapInUse()-before, 150<<20)
				w := ask(u2)
				if contentType == "application/json" {
					assert.Equal(t, http.StatusTooManyRequests, w.Code)
					assert.Equal(t, strings.Replace(heldBody, `"error"`, `"id":1,"error"`, 1), w.Body.String())
					assert.NotEmpty(t, w.Header().Get("Retry-After"))
				} else {
					assert.Equal(t, http.StatusOK, w.Code)
					assert.Equal(t, "event: message\ndata: "+strings.Replace(heldBody, `"error"`, `"id":1,"error"`, 1)+"\n\n", w.Body.String(), "nothing of the event")
				}
				before = failed
				f.ran = 0
				ask(u1)
				assert.Equal(t, 1, f.ran)
				assert.Equal(t, before, failed, "somebody else has an account of its own")
				f.inner, f.ran = short, 0
				for _, token := range []string{u1, u2} {
					w = ask(token)
					f.served(w)
					assert.Equal(t, wanted, w.Body.String(), "a short list is served")
				}
				close(goOn)
				synctest.Wait()
				f.inner, f.ran = long, 0
				for range 5 {
					ask(u2)
				}
				assert.Equal(t, 5, f.ran)
				assert.Equal(t, before, failed, "what was held is given back")
			})
		})
	}
}

// TestHeldEvents_LIMITS_13: a stream is charged for the event under way only.
func TestHeldEvents_LIMITS_13(t *testing.T) {
	f := newFixture(t, nil)
	event := "data: " + strings.Repeat("a", 1<<20) + "\n\n"
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 100 {
			for _, half := range []string{event[:1<<20], event[1<<20:]} {
				_, err := io.WriteString(w, half)
				assert.NoError(t, err)
			}
		}
	}
	w := f.serve(listsRequest(f, "tools/list", f.token(nil), false))
	f.served(w)
	assert.Equal(t, 100*len(event), w.Body.Len())
}
