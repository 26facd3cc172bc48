package mcpauth_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

const app = "Origin: https://app.example.com"

func TestHandlerHeaders_CHAL_13_CHAL_18_CHAL_19(t *testing.T) {
	set := func(pairs ...string) func(http.Header) {
		return func(h http.Header) {
			for i := 0; i < len(pairs); i += 2 {
				h.Add(pairs[i], pairs[i+1])
			}
		}
	}
	cors := http.Header{"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed}}
	for _, row := range []struct {
		name   string
		status int
		header func(http.Header)
		cors   bool
		want   http.Header // in full
	}{
		{"CHAL-18 private is added", 200, nil, false, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization"}}},
		{"CHAL-18 202", 202, nil, false, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization"}}},
		{"CHAL-18 the handler's Cache-Control stays", 200, set("Cache-Control", "no-cache"), false, http.Header{"Cache-Control": {"no-cache"}, "Vary": {"Authorization"}}},
		{"CHAL-18 in several lines", 200, set("Cache-Control", "no-cache", "Cache-Control", "max-age=0"), false, http.Header{"Cache-Control": {"no-cache", "max-age=0"}, "Vary": {"Authorization"}}},
		{"CHAL-18 only successes", 404, nil, false, http.Header{"Vary": {"Authorization"}}},
		{"CHAL-18 Vary is appended", 200, set("Vary", "Accept"), false, http.Header{"Cache-Control": {"private"}, "Vary": {"Accept", "Authorization"}}},
		{"CHAL-18 and not twice", 200, set("Vary", "Accept, authorization"), false, http.Header{"Cache-Control": {"private"}, "Vary": {"Accept, authorization"}}},
		{"CHAL-18 nor beside a star", 200, set("Vary", "*"), true, http.Header{"Cache-Control": {"private"}, "Vary": {"*"},
			"Access-Control-Allow-Origin": cors["Access-Control-Allow-Origin"], "Access-Control-Expose-Headers": cors["Access-Control-Expose-Headers"]}},
		{"CHAL-18 in a second line", 200, set("Vary", "Accept", "Vary", "Authorization"), false, http.Header{"Cache-Control": {"private"}, "Vary": {"Accept", "Authorization"}}},
		{"CHAL-19 an origin's headers are added", 200, nil, true, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization", "Origin"},
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed}}},
		{"CHAL-19 Vary: Origin not twice", 200, set("Vary", "origin,Authorization"), true, http.Header{"Cache-Control": {"private"}, "Vary": {"origin,Authorization"},
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed}}},
		{"CHAL-19 CHAL-31 the handler's star gives way", 200, set("Access-Control-Allow-Origin", "*"), true, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization", "Origin"},
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed}}},
		{"CHAL-19 two answers give way", 200, set("Access-Control-Allow-Origin", "https://app.example.com", "Access-Control-Allow-Origin", "*"), true, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization", "Origin"},
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed}}},
		{"CHAL-19 what the handler exposes stays, once", 200, set("Access-Control-Expose-Headers", "X-Rate, mcp-session-id"), true, http.Header{"Cache-Control": {"private"}, "Vary": {"Authorization", "Origin"},
			"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {"X-Rate, mcp-session-id", "WWW-Authenticate, DPoP-Nonce, MCP-Protocol-Version, Retry-After"}}},
		{"CHAL-13 the handler's challenge", 401, set("WWW-Authenticate", `Basic realm="x"`), false, http.Header{"Vary": {"Authorization"}, "Www-Authenticate": {`Basic realm="x"`}}},
		{"CHAL-13 on 403", 403, set("WWW-Authenticate", `Bearer error="insufficient_scope"`, "WWW-Authenticate", "Basic"), false,
			http.Header{"Vary": {"Authorization"}, "Www-Authenticate": {`Bearer error="insufficient_scope"`, "Basic"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				if row.cors {
					allowApp(c)
				}
			})
			headers := []string{}
			if row.cors {
				headers = append(headers, app)
			}
			// However a handler comes to send its header.
			for how, send := range map[string]func(http.ResponseWriter){
				"WriteHeader": func(w http.ResponseWriter) {
					w.WriteHeader(row.status)
					w.WriteHeader(500)
					_, _ = io.WriteString(w, "x")
				},
				"Write":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x"); _, _ = io.WriteString(w, "y") },
				"Flush":   func(w http.ResponseWriter) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, "x") },
				"nothing": func(http.ResponseWriter) {},
			} {
				if how != "WriteHeader" && row.status != 200 {
					continue
				}
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					if row.header != nil {
						row.header(w.Header())
					}
					send(w)
				}
				token := f.token(nil)
				w := f.post(token, legacyCall("echo"), append(headers, "Mcp-Session-Id: "+f.session(t, token))...)
				assert.Equal(t, 1, f.ran)
				assert.Equal(t, row.status, w.Code, how)
				h := w.Result().Header
				h.Del("Content-Type") // sniffed
				assert.Equal(t, row.want, h, how)
			}
		})
	}
}

// A wrapper outside of this one has its say too.
func TestOuterHeadersStay_CHAL_18(t *testing.T) {
	f := newFixture(t, allowApp)
	for _, token := range []string{f.token(nil), ""} {
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		f.handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", token, legacyCall("echo"), app))
		vary := strings.Join(w.Header().Values("Vary"), ", ")
		assert.True(t, strings.HasPrefix(vary, "Accept-Encoding, ") && strings.HasSuffix(vary, "Origin"), vary)
		assert.Equal(t, "max-age=1", w.Header().Get("Strict-Transport-Security"))
	}
}

// realCall posts a good call to a real server.
func realCall(t *testing.T, f *fixture, server *httptest.Server, client *http.Client) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/mcp", strings.NewReader(legacyCall("echo")))
	require.NoError(t, err)
	r.Header = newRequest(http.MethodPost, "/mcp", f.token(nil), "").Header
	resp, err := client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// A stream is what it was: the client has the event while the handler still runs.
func TestStreamArrivesAtOnce_CHAL_18(t *testing.T) {
	for _, flush := range []struct {
		name  string
		flush func(http.ResponseWriter)
	}{
		{"Flusher", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }},
		{"ResponseController", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(flush.name, func(t *testing.T) {
				f := newFixture(t, nil)
				received := make(chan struct{})
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, "data: 1\n\n")
					flush.flush(w)
					<-received
					_, _ = io.WriteString(w, "data: 2\n\n")
				}
				server, client := serverFor(t, f, h2)
				resp := realCall(t, f, server, client)
				body := bufio.NewReader(resp.Body)
				line, err := body.ReadString('\n')
				close(received)
				require.NoError(t, err)
				assert.Equal(t, "data: 1\n", line)
				rest, err := io.ReadAll(body)
				require.NoError(t, err)
				assert.Equal(t, "\ndata: 2\n\n", string(rest))
				assert.Equal(t, "private", resp.Header.Get("Cache-Control"))
			})
		}
	}
}

// Header alone, flushed before the first event.
func TestFlushWithoutBody_CHAL_18(t *testing.T) {
	f := newFixture(t, nil)
	done := make(chan struct{})
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-done
	}
	server, client := serverFor(t, f, false)
	resp := realCall(t, f, server, client)
	close(done)
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	assert.Equal(t, "private", resp.Header.Get("Cache-Control"))
}

func TestResponseController_CHAL_18(t *testing.T) {
	f := newFixture(t, nil)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		assert.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, c.EnableFullDuplex())
		assert.NoError(t, c.Flush())
		_, err := io.WriteString(w, "ok")
		assert.NoError(t, err)
	}
	server, client := serverFor(t, f, false)
	body, err := io.ReadAll(realCall(t, f, server, client).Body)
	require.NoError(t, err)
	assert.Equal(t, "ok", string(body))

	t.Run("a connection can be taken over", func(t *testing.T) {
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if assert.NoError(t, err) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
				_ = conn.Close()
			}
		}
		body, err := io.ReadAll(realCall(t, f, server, client).Body)
		require.NoError(t, err)
		assert.Equal(t, "hi", string(body))
	})
}

// plainWriter hides what the writer that it wraps can do.
type plainWriter struct{ http.ResponseWriter }

// wrappedWriter hides it from who does not ask [http.ResponseController].
type wrappedWriter struct{ plainWriter }

func (w wrappedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// What the writer in front cannot do is not claimed: a handler that cannot stream says so
// before its header is sent.
func TestWriterClaimsNothing_CHAL_18_MCP_64(t *testing.T) {
	alias := func(f *fixture, w http.ResponseWriter) { // refused once, and tried without it
		ran := 0
		inner := f.inner
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			if ran++; ran == 1 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			inner(w, r)
		}
		f.handler.ServeHTTP(w, f.request(http.MethodGet, "/mcp", f.token(nil), ""))
		assert.Equal(t, 2, ran)
	}
	get := func(f *fixture, w http.ResponseWriter) {
		f.handler.ServeHTTP(w, f.request(http.MethodGet, "/mcp", f.token(nil), ""))
	}
	list := func(f *fixture, w http.ResponseWriter) {
		f.handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", f.token(nil), modernBody("tools/list", ""), modernHeaders("tools/list", "")...))
	}
	for name, send := range map[string]func(*fixture, http.ResponseWriter){"a stream": get, "a second try": alias, "a list": list} {
		for _, row := range []struct {
			name string
			wrap func(http.ResponseWriter) http.ResponseWriter
			can  bool
		}{
			{"the server's", func(w http.ResponseWriter) http.ResponseWriter { return w }, true},
			{"one that can be unwrapped", func(w http.ResponseWriter) http.ResponseWriter { return wrappedWriter{plainWriter{w}} }, true},
			{"one that cannot", func(w http.ResponseWriter) http.ResponseWriter { return plainWriter{w} }, false},
			{"one that leads nowhere", func(w http.ResponseWriter) http.ResponseWriter { return wrappedWriter{plainWriter{plainWriter{w}}} }, false},
		} {
			t.Run(name+", "+row.name, func(t *testing.T) {
				f := newFixture(t, nil)
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					_, isFlusher := w.(http.Flusher)
					assert.Equal(t, row.can, isFlusher)
					if !row.can {
						assert.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
						http.Error(w, "no stream", http.StatusMethodNotAllowed)
						return
					}
					w.Header().Set("Content-Type", "text/event-stream")
					assert.NoError(t, http.NewResponseController(w).Flush())
				}
				w := httptest.NewRecorder()
				send(f, row.wrap(w))
				assert.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusMethodNotAllowed}[row.can], w.Code)
				assert.Equal(t, row.can, w.Flushed)
			})
		}
	}
	t.Run("mcp-go refuses a stream that it cannot write", func(t *testing.T) {
		b := newSessionBed(t)
		id := b.begin(b.token(nil))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		r := b.request(http.MethodGet, "/mcp", b.token(nil), "", sessionVersion, "Mcp-Session-Id: "+id)
		b.auth.ServeHTTP(plainWriter{w}, r.WithContext(ctx))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	})
}

func TestHandlerThatPanics_CHAL_18(t *testing.T) {
	f := newFixture(t, nil)
	for _, value := range []any{http.ErrAbortHandler, errors.New("bug")} {
		f.inner = func(http.ResponseWriter, *http.Request) { panic(value) }
		assert.PanicsWithValue(t, value, func() { f.post(f.token(nil), legacyCall("echo")) })
	}
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	server, client := serverFor(t, f, false)
	_, err := io.ReadAll(realCall(t, f, server, client).Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "the client sees that it was cut")
}

// CHAL-25: informational responses go through at once and undecorated.
func TestInformational_CHAL_25(t *testing.T) {
	f := newFixture(t, nil)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusAccepted)
	}
	server, client := serverFor(t, f, false)
	var hints []textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		assert.Equal(t, http.StatusEarlyHints, code)
		hints = append(hints, h)
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/mcp", strings.NewReader(legacyCall("echo")))
	require.NoError(t, err)
	r.Header = newRequest(http.MethodPost, "/mcp", f.token(nil), "").Header
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, []textproto.MIMEHeader{{"Link": {"</style.css>; rel=preload"}}}, hints)
	assert.Equal(t, http.StatusAccepted, resp.StatusCode)
	assert.Equal(t, "private", resp.Header.Get("Cache-Control"))
	assert.Equal(t, []string{"Authorization"}, resp.Header.Values("Vary"))
}

// A server in another language behind a reverse proxy: the proxy adds the
// upstream's headers, and none of ours may stand twice for it.
func TestReverseProxy_CHAL_13_CHAL_18_CHAL_19(t *testing.T) {
	released := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Authorization"))
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Vary", "Origin, Accept")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id")
		h.Set("Mcp-Session-Id", "s1")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-released
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	f := newFixture(t, allowApp)
	f.inner = proxy.ServeHTTP
	server, client := serverFor(t, f, false)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/mcp", strings.NewReader(legacyCall("echo")))
	require.NoError(t, err)
	r.Header = newRequest(http.MethodPost, "/mcp", f.token(nil), "", app).Header
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	close(released)
	require.NoError(t, err)
	assert.Equal(t, "data: 1\n", line)
	assert.Equal(t, []string{"https://app.example.com"}, resp.Header.Values("Access-Control-Allow-Origin"))
	assert.Equal(t, []string{"Mcp-Session-Id", "WWW-Authenticate, DPoP-Nonce, MCP-Protocol-Version, Retry-After"}, resp.Header.Values("Access-Control-Expose-Headers"))
	assert.Equal(t, []string{"Origin, Accept", "Authorization"}, resp.Header.Values("Vary"))
	assert.Equal(t, []string{"private"}, resp.Header.Values("Cache-Control"))
	require.Len(t, resp.Header.Values("Mcp-Session-Id"), 1)
	assert.Regexp(t, `^s1\.[A-Za-z0-9_-]{22}$`, resp.Header.Get("Mcp-Session-Id"), "bound to its principal")
}

// An OnDecision that panics is the operator's bug and no refusal; one that is
// asked sees each request once, before it is served.
func TestOnDecision(t *testing.T) {
	var decisions []mcpauth.Decision
	var ranBefore []int
	var f *fixture
	f = newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			decisions = append(decisions, d)
			ranBefore = append(ranBefore, f.ran)
			panic("bug")
		}
	})
	f.served(f.call(f.token(nil), "echo"))
	f.call(f.token(nil), "admin_delete")
	f.call("", "echo")
	get(f, wellKnown+"/mcp")
	require.Len(t, decisions, 3)
	assert.Equal(t, []int{0, 0, 0}, ranBefore)
	assert.Nil(t, decisions[0].Err)
	assert.Equal(t, "user-1", decisions[0].Principal.Subject)
	assert.Equal(t, "echo", decisions[0].Calls[0].Name)
	assert.ErrorIs(t, decisions[1].Err, mcpauth.ErrInsufficientScope)
	assert.Equal(t, []string{"mcp:admin"}, decisions[1].Err.Scopes)
	assert.ErrorIs(t, decisions[2].Err, mcpauth.ErrNoCredentials)
	assert.Nil(t, decisions[2].Principal)
	assert.Nil(t, decisions[2].Calls)
	assert.Contains(t, f.log.String(), "OnDecision panicked")
}
