package mcpauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"

	"github.com/seed-1e292522/mcpauth"
)

// pipeListener accepts connections that are in memory, so that a server's
// timeouts run on the clock of the test.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dialServer serves with the settings of docs/operations.md and connects.
func dialServer(t *testing.T, handler http.Handler) net.Conn { return dial(t, newServer(handler)) }

// dial connects to a server that it starts.
func dial(t *testing.T, server *http.Server) net.Conn {
	t.Cleanup(func() { time.Sleep(time.Second) }) // the server lingers over a connection that it closes
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	go server.Serve(l)
	t.Cleanup(func() { _ = server.Close() })
	here, there := net.Pipe()
	t.Cleanup(func() { _ = here.Close() })
	l.conns <- there
	return here
}

const operationsHead = "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"

// sendSlowly sends a text in pieces of so many bytes, each after a pause, until nobody listens.
func sendSlowly(conn net.Conn, text string, piece int, pause time.Duration) {
	for len(text) > 0 {
		time.Sleep(pause)
		n := min(piece, len(text))
		if _, err := io.WriteString(conn, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// TestSlowSenders: with the settings that the guide recommends, who sends
// slowly is cut off, with a token or without one, and the handler never runs.
func TestSlowSenders_LIMITS_03(t *testing.T) {
	body := legacyCall("echo")
	for _, row := range []struct {
		name   string
		token  bool
		sent   int // bytes of head and body at once, the rest slowly; -1: the whole head
		after  time.Duration
		status int
	}{
		{"header", false, 20, 5 * time.Second, http.StatusBadRequest},
		{"from the first byte on", false, 0, 5 * time.Second, http.StatusBadRequest},
		{"body of a stranger, which is thrown away unseen", false, -1, 10 * time.Second, http.StatusUnauthorized},
		{"body of a caller", true, -1, 30 * time.Second, http.StatusRequestTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				token := "x"
				if row.token {
					token = f.token(nil)
				}
				text := fmt.Sprintf(operationsHead, token, len(body)) + body
				if row.sent < 0 {
					row.sent = len(text) - len(body)
				}
				conn := dialServer(t, f.handler)
				begun := time.Now()
				_, err := io.WriteString(conn, text[:row.sent])
				require.NoError(t, err)
				done := make(chan struct{})
				go func() { sendSlowly(conn, text[row.sent:], 1, 700*time.Millisecond); close(done) }()
				defer func() { _ = conn.Close(); <-done }()
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				assert.Equal(t, row.after, time.Since(begun))
				assert.Zero(t, f.ran)
				if err != nil { // net/http may also hang up without a word
					require.Equal(t, http.StatusBadRequest, row.status)
					return
				}
				assert.Equal(t, row.status, response.StatusCode)
			})
		})
	}
}

// TestStreamOutlivesReadTimeout: the same settings leave a stream alone until
// its token ends.
func TestStreamOutlivesReadTimeout_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, streamEvent)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Minute):
				}
			}
		}
		token := f.token(mcpauthtest.Claims{"exp": time.Now().Add(10 * time.Minute).Unix()})
		body := legacyCall("echo")
		conn := dialServer(t, f.handler)
		begun := time.Now()
		_, err := fmt.Fprintf(conn, operationsHead+"%s", token, len(body), body)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		events, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat(streamEvent, 11)+lastEvent(-31401, "token expired"), string(events))
		assert.Equal(t, 10*time.Minute+30*time.Second, time.Since(begun), "exp and leeway")
	})
}

// TestLargeHeader: the server itself refuses a header beyond its bound, before it is kept.
func TestLargeHeader_LIMITS_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		conn := dialServer(t, f.handler)
		go func() {
			_, _ = io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nX-Filler: "+strings.Repeat("x", 128<<10)+"\r\n\r\n")
		}()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
		assert.Contains(t, response.Header.Get("Content-Type"), "text/plain", "from net/http, not from us")
		assert.Zero(t, f.ran)
	})
}

// TestShutdown: who calls has an answer, who listens is let go after a while and goes on at another replica, and nothing is left.
func TestShutdown_SESS_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(c *mcpauth.Config) { c.SessionKey = storeKey }
		f, other := newFixture(t, with), newFixture(t, with)
		var over atomic.Int32
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			defer over.Add(1)
			if r.Method == http.MethodPost && strings.Contains(string(f.body), "tools/call") {
				time.Sleep(5 * time.Second)
				assert.NoError(t, r.Context().Err(), "a call goes on")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": open\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		session := f.session(t, longToken(f, nil))
		server := newServer(f.handler)
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		go server.Serve(l)
		carrier := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			l.conns <- there
			return here, nil
		}}
		hc := &http.Client{Transport: carrier}
		send := func(open streamOpen) *http.Response {
			r := open.send(f, longToken(f, nil))
			out, err := http.NewRequestWithContext(t.Context(), r.Method, "http://mcp.example.com/mcp", r.Body)
			require.NoError(t, err)
			out.Header = r.Header
			resp, err := hc.Do(out)
			require.NoError(t, err)
			return resp
		}
		get, listen := send(streamOpens[0]), send(streamOpens[1])
		answer := make(chan string)
		go func() {
			resp := send(streamOpens[2])
			body, _ := io.ReadAll(resp.Body)
			answer <- string(body)
		}()
		time.Sleep(time.Second)
		begun := time.Now()
		ended := make(chan error)
		go func() { ended <- shutDown(server, 10*time.Second) }()
		assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, <-answer)
		require.NoError(t, <-ended)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		for _, resp := range []*http.Response{get, listen} {
			_, err := io.ReadAll(resp.Body)
			assert.Error(t, err, "nobody takes a broken stream for a complete one")
		}
		synctest.Wait()
		assert.Equal(t, int32(3), over.Load(), "all handlers have returned")
		carrier.CloseIdleConnections()

		other.inner = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, ": open\n\n") }
		w := other.do(http.MethodGet, "/mcp", longToken(other, nil), "", "Mcp-Session-Id: "+session)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, ": open\n\n", w.Body.String())
	})
}
