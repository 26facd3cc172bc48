package mcpauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
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
