package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	streamLogLine = "stream ended early"
	streamEvent   = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"
	streamResult  = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"
)

// lastEvent is what a stream ends with that owes an answer to request 1.
func lastEvent(code int, words string) string {
	data := ""
	if code == -31401 {
		data = `,"data":{"error":"invalid_token","resource_metadata":"` + testMetadataURL + `"}`
	}
	return fmt.Sprintf("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":%d,\"message\":%q%s}}\n\n", code, words, data)
}

// owed is how a stream ends: with an error for its request, if it is one's answer.
func (o streamOpen) owed(code int, words string) string {
	if o.name == "GET" {
		return ""
	}
	return lastEvent(code, words)
}

// streamOpen is one way to ask for a stream, or to get one.
type streamOpen struct {
	name string
	send func(f *fixture, token string) *http.Request
}

var streamOpens = []streamOpen{
	{"GET", func(f *fixture, token string) *http.Request {
		return f.request(http.MethodGet, "/mcp", token, "")
	}},
	{"subscriptions/listen", func(f *fixture, token string) *http.Request {
		return f.request(http.MethodPost, "/mcp", token, modernBody("subscriptions/listen", `"notifications":{"toolsListChanged":true}`), modernHeaders("subscriptions/listen", "")...)
	}},
	{"legacy call", func(f *fixture, token string) *http.Request {
		return f.request(http.MethodPost, "/mcp", token, legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25")
	}},
	{"modern call", func(f *fixture, token string) *http.Request {
		return f.request(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
	}},
}

// streamToken mints a token that lives for so long.
func streamToken(f *fixture, life time.Duration) string {
	return f.token(mcpauthtest.Claims{"exp": time.Now().Add(life).Unix()})
}

// TestStreamExpiry_MCP_55: a stream ends at exp and leeway, by its context, and
// passes nothing on after that.
func TestStreamExpiry_MCP_55(t *testing.T) {
	for _, open := range streamOpens {
		for _, row := range []struct{ life, leeway time.Duration }{
			{2 * time.Minute, 0}, {2 * time.Minute, time.Nanosecond}, {2 * time.Minute, 5 * time.Minute}, {time.Second, time.Nanosecond}, {59 * time.Second, time.Millisecond},
		} {
			t.Run(fmt.Sprint(open.name, " life ", row.life, " leeway ", row.leeway), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					leeway := row.leeway
					f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = leeway })
					var cause, writeErr error
					f.inner = func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
						_, _ = io.WriteString(w, streamEvent)
						_ = http.NewResponseController(w).Flush()
						<-r.Context().Done()
						cause = context.Cause(r.Context())
						_, writeErr = io.WriteString(w, streamResult) // as a handler that was interrupted may
					}
					token, begun := streamToken(f, row.life), time.Now()
					w := f.serve(open.send(f, token))
					wait := leeway
					if wait == 0 {
						wait = 30 * time.Second
					}
					assert.Equal(t, row.life+wait, time.Since(begun))
					assert.ErrorIs(t, cause, mcpauth.ErrExpired)
					assert.ErrorIs(t, writeErr, mcpauth.ErrExpired)
					assert.Equal(t, http.StatusOK, w.Code)
					assert.Equal(t, streamEvent+open.owed(-31401, "token expired"), w.Body.String(), "no result after the end")
					synctest.Wait()
					assert.Equal(t, 1, strings.Count(f.log.String(), streamLogLine))
					assert.Contains(t, f.log.String(), `subject="\"user-1\""`)
					assert.NotContains(t, f.log.String(), token)
					assert.NotContains(t, f.log.String(), "level=ERROR")
				})
			})
		}
	}
}

// TestStreamEndsEarly_MCP_55: a stream that ends before its token leaves nothing behind.
func TestStreamEndsEarly_MCP_55(t *testing.T) {
	for _, open := range streamOpens {
		t.Run(open.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				var inner context.Context
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					inner = r.Context()
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, streamEvent)
				}
				f.served(f.serve(open.send(f, streamToken(f, time.Minute))))
				require.Error(t, inner.Err())
				assert.Equal(t, context.Canceled, context.Cause(inner))
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.NotContains(t, f.log.String(), streamLogLine)
			})
		})
	}
}

// TestStreamClient_MCP_55: a client that leaves is told apart from a token that expires.
func TestStreamClient_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var cause error
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cause = context.Cause(r.Context())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.serve(streamOpens[0].send(f, streamToken(f, time.Minute)).WithContext(ctx))
		assert.Equal(t, context.DeadlineExceeded, cause)
		time.Sleep(time.Hour)
		assert.NotContains(t, f.log.String(), streamLogLine)
	})
}

// TestStreamKinds_MCP_55: what is no stream is not cut, however long it takes.
func TestStreamKinds_MCP_55(t *testing.T) {
	for _, row := range []struct {
		name, contentType string
		after             time.Duration // that the handler takes to begin its response
		status            int
		cut               bool
	}{
		{"JSON", "application/json", 0, 200, false},
		{"JSON, late", "application/json", time.Hour, 200, false},
		{"none", "", 0, 200, false},
		{"no body", "", 0, 202, false},
		{"nearly the media type", "text/event-stream2", 0, 200, false},
		{"events", "text/event-stream", 0, 200, true},
		{"events, in capitals", "Text/Event-Stream;charset=UTF-8", 0, 200, true},
		{"events, spaced", " text/event-stream ; charset=utf-8", 0, 200, true},
		{"events, late", "text/event-stream", time.Minute, 200, true},
		{"events, after the token has expired", "text/event-stream", time.Hour, 200, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				var cause error
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(row.after)
					w.Header().Set("Content-Type", row.contentType)
					w.WriteHeader(row.status)
					select {
					case <-r.Context().Done():
						cause = context.Cause(r.Context())
					case <-time.After(3 * time.Hour):
					}
					_, _ = io.WriteString(w, "end")
				}
				begun := time.Now()
				w := f.serve(streamOpens[2].send(f, streamToken(f, 2*time.Minute)))
				if row.cut {
					assert.ErrorIs(t, cause, mcpauth.ErrExpired)
					assert.Equal(t, max(2*time.Minute+30*time.Second, row.after), time.Since(begun))
					assert.NotContains(t, w.Body.String(), "end")
					return
				}
				assert.NoError(t, cause)
				assert.Equal(t, row.after+3*time.Hour, time.Since(begun))
				assert.Equal(t, "end", w.Body.String())
				assert.NotContains(t, f.log.String(), streamLogLine)
			})
		})
	}
}

// TestStreamDeaf_MCP_55: a handler that does not look at its context cannot
// write past the end.
func TestStreamDeaf_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = 30*time.Second + 500*time.Millisecond })
		var err error
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for err == nil {
				time.Sleep(time.Second)
				if _, err = io.WriteString(w, streamEvent); err == nil {
					err = http.NewResponseController(w).Flush()
				}
			}
		}
		w := f.serve(streamOpens[2].send(f, streamToken(f, time.Minute)))
		assert.ErrorIs(t, err, mcpauth.ErrExpired)
		assert.Equal(t, 90, strings.Count(w.Body.String(), streamEvent), "one each second until exp and leeway")
	})
}

// TestStreamLimit_LIMITS_09: 32 streams of one principal, whatever their tokens
// and kinds, and a place is free again when one ends, in whatever way.
func TestStreamLimit_LIMITS_09(t *testing.T) {
	for _, ending := range []string{"returns", "panics", "client leaves", "token expires"} {
		t.Run(ending, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				begun, end := 0, make(chan string)
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodDelete || strings.Contains(string(f.body), "tools/call") {
						return
					}
					begun++ // under the eyes of synctest.Wait
					select {
					case how := <-end:
						if how == "panics" {
							panic(http.ErrAbortHandler)
						}
					case <-r.Context().Done():
					}
				}
				session := f.session(t, f.token(nil))
				ctx, leave := context.WithCancel(t.Context())
				start := func(r *http.Request) *httptest.ResponseRecorder {
					w := httptest.NewRecorder()
					go func() {
						defer func() { _ = recover() }()
						f.handler.ServeHTTP(w, r)
					}()
					synctest.Wait()
					return w
				}
				refused := func(w *httptest.ResponseRecorder) {
					assert.Equal(t, http.StatusTooManyRequests, w.Code)
					assert.Contains(t, w.Body.String(), `"error":{"code":-31429,"message":"too many streams"}`)
					assert.Empty(t, w.Header().Get("WWW-Authenticate"))
					seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
					assert.NoError(t, err)
					assert.True(t, seconds >= 1 && seconds <= 30, seconds)
				}
				for i := range 32 { // each with a token of its own
					r := streamOpens[i%2].send(f, f.token(mcpauthtest.Claims{"exp": time.Now().Add(2 * time.Minute).Unix(), "jti": fmt.Sprint(i)}))
					if i == 0 {
						r = r.WithContext(ctx)
					}
					start(r)
				}
				assert.Equal(t, 32, begun)
				for _, open := range streamOpens[:2] {
					refused(start(open.send(f, f.token(nil))))
				}
				assert.Equal(t, 32, begun, "a refused stream reached the handler")
				assert.Equal(t, http.StatusOK, start(streamOpens[2].send(f, f.token(nil))).Code, "calls go on")
				assert.Equal(t, http.StatusOK, start(f.request(http.MethodDelete, "/mcp", f.token(nil), "", "Mcp-Session-Id: "+session)).Code)
				other := streamOpens[0].send(f, f.token(mcpauthtest.Claims{"sub": "user-2"})).WithContext(ctx)
				start(other)
				assert.Equal(t, 33, begun, "another principal has places of its own")

				switch ending {
				case "client leaves":
					leave()
				case "token expires":
					time.Sleep(3 * time.Minute)
				default:
					end <- ending
				}
				synctest.Wait()
				fresh := f.token(mcpauthtest.Claims{"jti": "fresh"})
				start(streamOpens[0].send(f, fresh))
				assert.Equal(t, 34, begun, "the place was not given back")
				if ending != "token expires" {
					refused(start(streamOpens[0].send(f, fresh)))
				}
				leave()
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Equal(t, 34, begun)
			})
		})
	}
}

// TestStreamPanic_LIMITS_09: a panic between the decision and the handler gives the place back too.
func TestStreamPanic_LIMITS_09(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { panic("audit") }
		c.Logger = slog.New(panickingLog{c.Logger.Handler()})
	})
	for range 40 {
		assert.Panics(t, func() { f.do(http.MethodGet, "/mcp", f.token(nil), "") })
	}
	assert.NotContains(t, f.log.String(), "too many streams")
}

// panickingLog panics where the audit has panicked before.
type panickingLog struct{ slog.Handler }

func (l panickingLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "OnDecision") {
		panic("log")
	}
	return l.Handler.Handle(ctx, r)
}

// TestStreamRefused_LIMITS_09: refused requests take no place.
func TestStreamRefused_LIMITS_09(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.OnDecision = func(context.Context, mcpauth.Decision) { panic("audit") } })
	for range 40 {
		assert.Equal(t, http.StatusNotFound, f.do(http.MethodGet, "/mcp", f.token(nil), "", "Mcp-Session-Id: x").Code)
		assert.Equal(t, http.StatusForbidden, f.post(f.token(nil), modernBody("subscriptions/listen", `"notifications":{"taskIds":["a"]}`), modernHeaders("subscriptions/listen", "")...).Code)
	}
	for range 40 { // one after the other, with an audit that panics
		assert.Equal(t, http.StatusOK, f.do(http.MethodGet, "/mcp", f.token(nil), "").Code)
	}
}

// TestStreamNotRecorded_LIMITS_09: a stream that the audit refuses has taken a place by then, and gives
// it back once: beside ten that are open there is room for 22 more.
func TestStreamNotRecorded_LIMITS_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
				if refuse {
					d.Refuse(errors.New("disk full"))
				}
			}
		})
		begun := 0
		f.inner = func(_ http.ResponseWriter, r *http.Request) {
			begun++ // under the eyes of synctest.Wait
			<-r.Context().Done()
		}
		ctx, leave := context.WithCancel(t.Context())
		open := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			go f.handler.ServeHTTP(w, f.request(http.MethodGet, "/mcp", f.token(nil), "").WithContext(ctx))
			synctest.Wait()
			return w
		}
		for range 10 {
			open()
		}
		refuse = true
		for range 40 {
			assert.Equal(t, http.StatusServiceUnavailable, open().Code)
		}
		assert.Equal(t, 10, begun, "a stream that was refused reached the handler")
		refuse = false
		for range 22 {
			open()
		}
		assert.Equal(t, 32, begun, "a place is lost")
		assert.Equal(t, http.StatusTooManyRequests, open().Code, "a place was given back twice")
		leave()
		synctest.Wait()
	})
}
