package mcpauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestCutBeforeTheHeader_MCP_55_INTRO_23: a stream that has said nothing when it ends is
// a refusal, as it would be for a new request, and has nothing of the handler's in it.
func TestCutBeforeTheHeader_MCP_55_INTRO_23(t *testing.T) {
	type row struct {
		name   string
		life   time.Duration
		change func(t *testing.T, f *fixture, m *minds)
		status int
		header http.Header
		rpc    string // body without the id; "": an OAuth error
		words  string
	}
	challenged := func(words string) http.Header { return http.Header{"Www-Authenticate": {invalidToken(words)}} }
	rows := []row{
		{"expired", 3 * time.Minute, nil, 401, challenged("token expired"), "", "token expired"},
		{"revoked", time.Hour, func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() { m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil } })
		}, 401, challenged("token revoked"), "", "token revoked"},
		{"the key is withdrawn", time.Hour, func(t *testing.T, f *fixture, _ *minds) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			time.Sleep(time.Second)
			f.call(f.token(nil), "admin_delete") // whatever comes of it: the keys are fetched
		}, 401, challenged("signing key unknown"), "", "signing key unknown"},
		{"nobody knows", time.Hour, func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() { m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, errHook } })
		}, 503, nil, `"error":{"code":-31503,"message":"authorization temporarily unavailable"}}`, ""},
		{"the policy has no rule any more", time.Hour, func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() {
				m.require = func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Requirement{}, nil }
			})
		}, 403, nil, `"error":{"code":-31403,"message":"not permitted"}}`, ""},
		{"the policy requires more", time.Hour, func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() {
				m.require = func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
					return mcpauth.Scopes("mcp:admin"), nil
				}
			})
		}, 403, http.Header{"Www-Authenticate": {adminChallenge}},
			`"error":{"code":-31403,"message":"insufficient scope","data":{"error":"insufficient_scope","scope":"mcp:admin","resource_metadata":"` + testMetadataURL + `"}}}`, ""},
	}
	for _, row := range rows {
		for _, open := range streamOpens[:2] {
			if row.status == 403 && open.name == "GET" {
				continue // the policy is not asked about one
			}
			t.Run(row.name+", "+open.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &minds{}
					f := newFixture(t, func(c *mcpauth.Config) {
						m.config(c)
						allowApp(c)
					})
					var part, late, ended error
					f.inner = func(w http.ResponseWriter, r *http.Request) {
						if len(f.body) > 0 && strings.Contains(string(f.body), "tools/call") {
							return
						}
						h := w.Header()
						for _, name := range []string{"Mcp-Session-Id", "Set-Cookie", "Etag", "Last-Modified", "X-Own", "Cache-Control", "Trailer"} {
							h.Set(name, "own")
						}
						<-r.Context().Done()
						ended = context.Cause(r.Context())
						h.Set("Content-Type", "text/event-stream")
						w.WriteHeader(http.StatusOK)
						_, part = io.WriteString(w, "data: ")
						_, late = io.WriteString(w, streamEvent)
						_ = http.NewResponseController(w).Flush()
					}
					r := open.send(f, streamToken(f, row.life))
					r.Header.Set("Origin", "https://app.example.com")
					w, begun := httptest.NewRecorder(), time.Now()
					var over time.Duration
					go func() {
						f.handler.ServeHTTP(w, r)
						over = time.Since(begun)
					}()
					synctest.Wait()
					if row.change != nil {
						row.change(t, f, m)
					}
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					require.NotZero(t, over, "it goes on")
					assert.LessOrEqual(t, over, 5*time.Minute+6*time.Second)
					require.Error(t, late)
					assert.Equal(t, ended, late)
					assert.Equal(t, ended, part, "of a piece of an event")

					body := `{"error":"invalid_token","error_description":"` + row.words + `"}`
					if row.rpc != "" {
						body = `{"jsonrpc":"2.0",` + row.rpc
						if open.name != "GET" {
							body = `{"jsonrpc":"2.0","id":1,` + row.rpc
						}
					}
					want := http.Header{
						"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Type": {"application/json"},
						"Content-Length": {strconv.Itoa(len(body))}, "Vary": {"Origin"},
						"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed},
					}
					for name, values := range row.header {
						want[name] = values
					}
					got := w.Result().Header
					if row.status == 503 {
						assert.NotEmpty(t, got.Get("Retry-After"))
						got.Del("Retry-After")
					}
					assert.Equal(t, row.status, w.Code)
					assert.Equal(t, want, got)
					assert.Equal(t, body, w.Body.String())
					assert.Equal(t, 1, strings.Count(f.log.String(), streamLogLine))
				})
			})
		}
	}
}

// TestStreamLimit_Clients_LIMITS_09_LIMITS_13: the bound is of a user with one client.
func TestStreamLimit_Clients_LIMITS_09_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		open := func(n int, claims mcpauthtest.Claims) *lasting {
			claims["exp"] = time.Now().Add(10 * time.Hour).Unix()
			return f.lasts(streamOpens[n%2].send(f, f.token(claims)))
		}
		var all []*lasting
		for n := range 33 {
			all = append(all, open(n, mcpauthtest.Claims{"client_id": "client-1", "jti": fmt.Sprint(n), "scope": []string{"mcp:read", "mcp:read mcp:admin"}[n%2]}))
		}
		assert.Equal(t, http.StatusTooManyRequests, all[32].w.Code)
		for _, claims := range []mcpauthtest.Claims{
			{"client_id": "client-2"}, {"client_id": nil, "azp": "client-3"}, {"client_id": "user-1"}, // the last one is the client itself
			{"client_id": "client-1", "sub": "user-2"},
		} {
			for n := range 32 {
				all = append(all, open(n, claims))
				require.Zero(t, all[len(all)-1].ended, "%d of %v", n, claims)
			}
			refused := open(0, claims)
			assert.Equal(t, http.StatusTooManyRequests, refused.w.Code)
		}
		for i, l := range all {
			if i != 32 {
				l.goesOn(t)
			}
		}
		open(0, mcpauthtest.Claims{"client_id": "client-1"}).goesOn(t)
	})
}

// pipeServer serves in memory, on the clock of the test, and returns a client for it.
func pipeServer(t *testing.T, handler http.Handler) *http.Client {
	t.Helper()
	return pipeServerOver(t, handler, false)
}

func pipeServerOver(t *testing.T, handler http.Handler, h2 bool) *http.Client {
	t.Helper()
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	server := newServer(handler)
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	server.Protocols = protocols
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	go server.Serve(l)
	carrier := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		l.conns <- there
		return here, nil
	}}
	t.Cleanup(func() {
		carrier.CloseIdleConnections()
		_ = server.Close()
		time.Sleep(time.Second)
	})
	return &http.Client{Transport: carrier}
}

// TestCutOnTheWire_MCP_55: over a connection, what ends between two events ends well
// and leaves the connection for the next request; what ends within one is
// seen to be broken.
func TestCutOnTheWire_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		text := ""
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			if text == "" && r.Method == http.MethodGet {
				<-r.Context().Done()
				time.Sleep(8 * time.Second)
			}
			if text == "" {
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			time.Sleep(8 * time.Second) // longer than the last write may take
		}
		conn := dialServer(t, f.handler)
		buffered := bufio.NewReader(conn)
		send := func(life time.Duration) *http.Response {
			body := legacyCall("echo")
			_, err := fmt.Fprintf(conn, operationsHead+"%s", streamToken(f, life), len(body), body)
			require.NoError(t, err)
			response, err := http.ReadResponse(buffered, nil)
			require.NoError(t, err)
			return response
		}
		for range 3 {
			text = streamEvent
			begun := time.Now()
			response := send(2 * time.Minute)
			want := streamEvent + lastEvent(-31401, "token expired")
			events := make([]byte, len(want))
			_, err := io.ReadFull(response.Body, events)
			require.NoError(t, err)
			assert.Equal(t, want, string(events))
			assert.Equal(t, 150*time.Second, time.Since(begun), "at once, whatever the handler does")
			events, err = io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Empty(t, events)
			assert.Equal(t, 158*time.Second, time.Since(begun))
			time.Sleep(time.Minute)
			text = ""
			response = send(2 * time.Minute)
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, 200, response.StatusCode, "the connection is as it was")
		}
		// One that has said nothing, and whose handler takes its time to return.
		_, err := fmt.Fprintf(conn, "GET /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nAuthorization: Bearer %s\r\n\r\n", streamToken(f, 2*time.Minute))
		require.NoError(t, err)
		response, err := http.ReadResponse(buffered, nil)
		require.NoError(t, err)
		assert.Equal(t, 401, response.StatusCode)
		_, err = io.ReadAll(response.Body)
		require.NoError(t, err)

		text = streamEvent + streamHalf
		events, err := io.ReadAll(send(2 * time.Minute).Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, text, string(events))
	})
}

// streamHalf is so much of an event that it is not held any more.
var streamHalf = `data: {"id":1,"result":{"x":"` + strings.Repeat("x", 70<<10)

// TestCutLateReturn_MCP_55: a handler that takes longer to return than the last write
// may take spoils nothing, in either version of HTTP.
func TestCutLateReturn_MCP_55(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, row := range []struct {
			name, said string
			status     int
			want       string
			broken     bool
		}{
			{"nothing said", "", 401, `{"error":"invalid_token","error_description":"token expired"}`, false},
			{"an event", streamEvent, 200, streamEvent + lastEvent(-31401, "token expired"), false},
			{"half an event, held", "data: {", 200, lastEvent(-31401, "token expired"), false},
			{"half an event", streamHalf, 200, streamHalf, true},
		} {
			t.Run(fmt.Sprint(row.name, " HTTP/2 ", h2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFixture(t, nil)
					f.inner = func(w http.ResponseWriter, r *http.Request) {
						if row.said != "" {
							w.Header().Set("Content-Type", "text/event-stream")
							_, _ = io.WriteString(w, row.said)
							_ = http.NewResponseController(w).Flush()
						}
						<-r.Context().Done()
						time.Sleep(20 * time.Second)
					}
					hc := pipeServerOver(t, f.handler, h2)
					open := streamOpens[3]
					if row.said == "" {
						open = streamOpens[1]
					}
					r := open.send(f, streamToken(f, time.Minute))
					out, err := http.NewRequestWithContext(t.Context(), r.Method, "http://mcp.example.com/mcp", r.Body)
					require.NoError(t, err)
					out.Header = r.Header
					begun := time.Now()
					resp, err := hc.Do(out)
					require.NoError(t, err)
					assert.Equal(t, h2, resp.ProtoMajor == 2)
					assert.Equal(t, row.status, resp.StatusCode)
					body, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					assert.Equal(t, row.broken, err != nil, "%v", err)
					assert.Equal(t, row.want, string(body))
					assert.Equal(t, 110*time.Second, time.Since(begun))
				})
			})
		}
	}
}

// TestCutLongRefusal_MCP_55: a refusal that is longer than what a server keeps back is
// sent whole, though the handler took longer to return than the last write may.
func TestCutLongRefusal_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minds{}
		f := newFixture(t, m.config)
		f.inner = func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			time.Sleep(20 * time.Second)
		}
		hc := pipeServer(t, f.handler)
		r := streamOpens[1].send(f, longToken(f, nil))
		out, err := http.NewRequestWithContext(t.Context(), r.Method, "http://mcp.example.com/mcp", r.Body)
		require.NoError(t, err)
		out.Header = r.Header
		var scopes []string
		for n := range 500 {
			scopes = append(scopes, fmt.Sprintf("scope:%04d", n))
		}
		time.AfterFunc(30*time.Second, func() {
			m.change(func() {
				m.require = func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
					return mcpauth.Scopes(scopes...), nil
				}
			})
		})
		resp, err := hc.Do(out)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, 403, resp.StatusCode)
		assert.Contains(t, string(body), `"scope":"`+strings.Join(scopes, " ")+`"`)
	})
}

// TestStreamLogPanics_INTRO_23: a log that panics does not end the process with the stream.
func TestStreamLogPanics_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Logger = slog.New(panickingAt{c.Logger.Handler(), streamLogLine}) })
		l := f.lasts(streamOpens[1].send(f, streamToken(f, time.Minute)))
		time.Sleep(time.Hour)
		l.endedWith(t, l.begun.Add(90*time.Second), l.begun.Add(90*time.Second), mcpauth.ErrExpired, lastEvent(-31401, "token expired"))
	})
}

// panickingAt panics instead of one line.
type panickingAt struct {
	slog.Handler
	line string
}

func (l panickingAt) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, l.line) {
		panic("log")
	}
	return l.Handler.Handle(ctx, r)
}

// TestCutSlowClient_MCP_55: a client that does not read keeps nothing open: after the
// end of its token a write under way has five seconds.
func TestCutSlowClient_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var stuck, cut time.Duration
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			begun := time.Now()
			context.AfterFunc(r.Context(), func() { cut = time.Since(begun) })
			w.Header().Set("Content-Type", "text/event-stream")
			for range 1000 {
				if _, err := io.WriteString(w, strings.Repeat(streamEvent, 50)); err != nil {
					break
				}
			}
			stuck = time.Since(begun)
		}
		conn := dialServer(t, f.handler)
		body := legacyCall("echo")
		_, err := fmt.Fprintf(conn, operationsHead+"%s", streamToken(f, 2*time.Minute), len(body), body)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 150*time.Second, cut)
		assert.Equal(t, 155*time.Second, stuck)
	})
}

// TestCutUnfiltered_MCP_55_MCP_63: a list in a stream that cannot be filtered is one
// more reason to end it, and its request too is owed an answer; over HTTP/2 as well.
func TestCutUnfiltered_MCP_55_MCP_63(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, mid := range []bool{false, true} {
			t.Run(fmt.Sprint("HTTP/2 ", h2, " within an event ", mid), func(t *testing.T) {
				f := newFixture(t, nil)
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", listsStream)
					_, _ = io.WriteString(w, streamEvent)
					text := "data: {\"result\":{\"tools\":{}}}\n\n"
					if mid {
						text += "data: x"
					}
					_, err := io.WriteString(w, text)
					assert.Error(t, err)
					<-r.Context().Done()
				}
				srv, hc := serverFor(t, f, h2)
				r := listsRequest(f, "tools/list", f.token(nil), true)
				out, err := http.NewRequestWithContext(t.Context(), r.Method, srv.URL+"/mcp", r.Body)
				require.NoError(t, err)
				out.Header = r.Header
				resp, err := hc.Do(out)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				require.NoError(t, err)
				assert.Equal(t, streamEvent+lastEvent(-32603, "list cannot be filtered"), string(body))
			})
		}
	}
}

// progressServer is an mcp-go server with a tool that reports progress until it is stopped.
func progressServer(t *testing.T, stopped chan<- error) http.Handler {
	inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(true))
	inner.AddTool(mcp.NewTool("echo"), func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for n := 0; ; n++ {
			err := server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": "p", "progress": n})
			assert.NoError(t, err)
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
				stopped <- context.Cause(ctx)
				return mcp.NewToolResultText("a result that nobody may have any more"), nil
			}
		}
	})
	return server.NewStreamableHTTPServer(inner, server.WithStateful(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
}

// TestCutMCPGo_INTRO_23_MCP_55: the tool call of a real client to a real server, which streams
// progress, ends with an error for the client when the token is revoked. It may stand
// behind a proxy.
func TestCutMCPGo_INTRO_23_MCP_55(t *testing.T) {
	for _, proxied := range []bool{false, true} {
		t.Run(fmt.Sprint("proxied ", proxied), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &minds{}
				f := newFixture(t, m.config)
				stopped := make(chan error, 1)
				inner := progressServer(t, stopped)
				if proxied {
					upstream := pipeServer(t, inner)
					target, err := url.Parse("http://upstream.example.com")
					require.NoError(t, err)
					inner = &httputil.ReverseProxy{
						Transport: upstream.Transport, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
						ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
					}
				}
				hc := pipeServer(t, f.auth.Wrap(inner))
				token := longToken(f, nil)
				c, err := client.NewStreamableHttpClient("http://mcp.example.com/mcp", transport.WithHTTPBasicClient(hc),
					transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + token}))
				require.NoError(t, err)
				defer func() { _ = c.Close() }()
				progress := 0
				c.OnNotification(func(mcp.JSONRPCNotification) { progress++ })
				require.NoError(t, c.Start(t.Context()))
				initialize := mcp.InitializeRequest{}
				initialize.Params.ProtocolVersion = "2025-11-25"
				initialize.Params.ClientInfo = mcp.Implementation{Name: "c", Version: "1"}
				_, err = c.Initialize(t.Context(), initialize)
				require.NoError(t, err)

				begun := time.Now()
				time.AfterFunc(time.Minute+35*time.Second, func() {
					m.change(func() { m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil } })
				})
				call := mcp.CallToolRequest{}
				call.Params.Name = "echo"
				result, err := c.CallTool(t.Context(), call)
				assert.Nil(t, result)
				require.Error(t, err)
				assert.Contains(t, err.Error(), "token revoked")
				assert.WithinRange(t, time.Now(), begun.Add(95*time.Second), begun.Add(161*time.Second))
				assert.Greater(t, progress, 8)
				cause := <-stopped
				if !proxied {
					assert.ErrorIs(t, cause, mcpauth.ErrRevoked)
				}
				assert.NotContains(t, f.log.String(), "level=ERROR")
			})
		})
	}
}

// TestCutProxied_INTRO_23_MCP_55: the bytes behind a reverse proxy, which panics
// when what it copies to is cut: the stream ends well all the same.
func TestCutProxied_INTRO_23_MCP_55(t *testing.T) {
	for i, open := range streamOpens {
		for _, said := range []string{streamEvent, ""} {
			if said == "" && i > 1 {
				continue // a call that has said nothing is no stream, and is not asked about
			}
			t.Run(open.name+", said "+strconv.Itoa(len(said)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &minds{}
					f := newFixture(t, m.config)
					upstream := pipeServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						w.Header().Set("Content-Type", "text/event-stream")
						if said != "" {
							_, _ = io.WriteString(w, said)
							_ = http.NewResponseController(w).Flush()
						}
						<-r.Context().Done()
					}))
					target, err := url.Parse("http://upstream.example.com")
					require.NoError(t, err)
					hc := pipeServer(t, f.auth.Wrap(&httputil.ReverseProxy{
						Transport: upstream.Transport, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
						ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
					}))
					r := open.send(f, longToken(f, nil))
					out, err := http.NewRequestWithContext(t.Context(), r.Method, "http://mcp.example.com/mcp", r.Body)
					require.NoError(t, err)
					out.Header = r.Header
					time.AfterFunc(30*time.Second, func() {
						m.change(func() { m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil } })
					})
					begun := time.Now()
					resp, err := hc.Do(out)
					require.NoError(t, err)
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					_ = resp.Body.Close()
					assert.LessOrEqual(t, time.Since(begun), 96*time.Second)
					if said == "" {
						assert.Equal(t, 401, resp.StatusCode)
						assert.Equal(t, invalidToken("token revoked"), resp.Header.Get("WWW-Authenticate"))
						assert.Equal(t, `{"error":"invalid_token","error_description":"token revoked"}`, string(body))
						return
					}
					assert.Equal(t, streamEvent+open.owed(-31401, "token revoked"), string(body))
				})
			})
		}
	}
}
