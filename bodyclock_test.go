package mcpauth_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const slowBody = `{"jsonrpc":"2.0","error":{"code":-31408,"message":"request body too slow"}}`

// TestBodyClock_LIMITS_03: on a server without any time limits, a body has ten seconds for
// each piece and a minute in all. Whoever takes longer is told so and cut off.
func TestBodyClock_LIMITS_03(t *testing.T) {
	for _, row := range []struct {
		name    string
		timeout time.Duration // ReadTimeout of the server
		piece   int
		pause   time.Duration
		after   time.Duration // when the answer comes
		status  int
	}{
		{"LIMITS-03 nothing at all", 0, 1, time.Hour, 10 * time.Second, http.StatusRequestTimeout},
		{"LIMITS-03 a byte in a second", 0, 1, time.Second, time.Minute, http.StatusRequestTimeout},
		{"LIMITS-03 a byte in nine seconds", 0, 1, 9 * time.Second, time.Minute, http.StatusRequestTimeout},
		{"LIMITS-03 a third in eleven seconds", 0, 30, 11 * time.Second, 10 * time.Second, http.StatusRequestTimeout},
		{"LIMITS-03 the server is stricter", 4 * time.Second, 1, time.Second, 4 * time.Second, http.StatusRequestTimeout},
		{"LIMITS-03 the server is laxer", time.Hour, 1, time.Second, time.Minute, http.StatusRequestTimeout},
		{"LIMITS-03 a third in nine seconds", 0, 30, 9 * time.Second, 27 * time.Second, http.StatusOK},
		{"LIMITS-03 a piece in nine seconds, six in all", 0, 15, 9 * time.Second, 54 * time.Second, http.StatusOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				body := strings.Replace(legacyCall("echo"), "{}", "{    }", 1)
				require.Len(t, body, 90)
				conn := dial(t, &http.Server{Handler: f.handler, ReadTimeout: row.timeout})
				begun := time.Now()
				_, err := fmt.Fprintf(conn, operationsHead, f.token(nil), len(body))
				require.NoError(t, err)
				done := make(chan struct{})
				go func() { sendSlowly(conn, body, row.piece, row.pause); close(done) }()
				defer func() { _ = conn.Close(); <-done }()
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				assert.Equal(t, row.after, time.Since(begun))
				assert.Equal(t, row.status, response.StatusCode)
				if row.status == http.StatusOK {
					assert.Equal(t, 1, f.ran)
					assert.Equal(t, body, string(f.body))
					return
				}
				answer, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				assert.Equal(t, slowBody, string(answer))
				assert.True(t, response.Close, "the connection is not used again")
				assert.Empty(t, response.Header["Www-Authenticate"])
				assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
				assert.Zero(t, f.ran)
				assert.Contains(t, f.log.String(), "cause=body-slow")
			})
		})
	}
}

// TestBodyClockIsStopped_LIMITS_03: once the body is there, nothing of the clock is left: a call
// may take an hour, and the connection serves further requests, after a refusal too.
func TestBodyClockIsStopped_LIMITS_03(t *testing.T) {
	for _, row := range []struct {
		name  string
		front func(http.Handler) http.Handler
	}{
		{"LIMITS-03 as it is", func(next http.Handler) http.Handler { return next }},
		{"LIMITS-03 a middleware in front has read the body", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				next.ServeHTTP(w, r)
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(50 * time.Minute):
					case <-r.Context().Done():
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				}
				conn := dial(t, &http.Server{Handler: row.front(f.handler)})
				reader := bufio.NewReader(conn)
				body := legacyCall("echo")
				send := func(token string, status int, takes time.Duration) {
					begun := time.Now()
					_, err := fmt.Fprintf(conn, operationsHead+"%s", token, len(body), body)
					require.NoError(t, err)
					response, err := http.ReadResponse(reader, nil)
					require.NoError(t, err)
					_, err = io.ReadAll(response.Body)
					require.NoError(t, err)
					assert.Equal(t, status, response.StatusCode)
					assert.Equal(t, takes, time.Since(begun))
					time.Sleep(time.Hour) // idle
				}
				token := f.token(mcpauthtest.Claims{"exp": time.Now().Add(24 * time.Hour).Unix()})
				for range 2 { // one connection
					send("x", http.StatusUnauthorized, 0)
					send(token, http.StatusOK, 50*time.Minute)
				}
				assert.Equal(t, 2, f.ran)
			})
		})
	}
}

// TestUnreadBodies_LIMITS_03: a refused request's body is thrown away by the server, on a clock of ours too.
func TestUnreadBodies_LIMITS_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		conn := dial(t, &http.Server{Handler: f.handler})
		begun := time.Now()
		_, err := fmt.Fprintf(conn, operationsHead, "x", 100)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		assert.True(t, response.Close)
	})
}

// TestTooLongChunked_LIMITS_02: a body that is too long, and did not say so, is refused at once, and its connection ends, whether or not the rest comes.
func TestTooLongChunked_LIMITS_02(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.MaxBody = 1024 })
		conn := dial(t, &http.Server{Handler: f.handler})
		begun := time.Now()
		head := strings.Replace(operationsHead, "Content-Length: %d", "Transfer-Encoding: chunked", 1)
		go func() { _, _ = fmt.Fprintf(conn, head+"%x\r\n%s", f.token(nil), 1025, strings.Repeat(" ", 1025)) }()
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		assert.Equal(t, tooLargeBody, string(body))
		assert.True(t, response.Close)
		assert.Zero(t, time.Since(begun))
		_, err = reader.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		assert.LessOrEqual(t, time.Since(begun), 10*time.Second)
	})
}

// TestRefusedBodies_CHAL_25_LIMITS_03: a refusal ends a connection of HTTP/1 whose body is long, slow or of no known length, and gives one that
// has not been read ten seconds to be thrown away.
func TestRefusedBodies_CHAL_25_LIMITS_03(t *testing.T) {
	for name, row := range map[string]struct {
		major  int
		length int64
		body   io.Reader
		token  bool
		status int
		close  bool
		clock  []string
	}{
		"short":             {1, 64 << 10, nil, false, http.StatusUnauthorized, false, []string{"10s"}},
		"long":              {1, 64<<10 + 1, nil, false, http.StatusUnauthorized, true, []string{"10s"}},
		"none":              {1, 0, nil, false, http.StatusUnauthorized, false, nil},
		"chunked":           {1, -1, nil, false, http.StatusUnauthorized, true, []string{"10s"}},
		"long, of HTTP/2":   {2, 64<<10 + 1, nil, false, http.StatusUnauthorized, false, []string{"10s"}},
		"slow":              {1, 100, lateReader{}, true, http.StatusRequestTimeout, true, []string{"10s"}},
		"read":              {1, int64(len(legacyCall("admin_delete"))), strings.NewReader(legacyCall("admin_delete")), true, http.StatusForbidden, false, []string{"10s", "10s", "never"}},
		"breaks off":        {1, 100, resetReader{}, true, http.StatusBadRequest, false, []string{"10s", "10s"}},
		"of unknown length": {1, -1, strings.NewReader(legacyCall("admin_delete")), true, http.StatusForbidden, false, []string{"10s", "10s", "never"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			token := ""
			if row.token {
				token = f.token(nil)
			}
			r := f.request(http.MethodPost, "/mcp", token, "")
			r.ProtoMajor, r.ContentLength = row.major, row.length
			if row.body != nil {
				r.Body = io.NopCloser(row.body)
			}
			w := &readClock{ResponseRecorder: httptest.NewRecorder()}
			f.handler.ServeHTTP(w, r)
			assert.Equal(t, row.status, w.Code, name)
			assert.Equal(t, row.close, w.Header().Get("Connection") == "close", name)
			assert.Equal(t, row.clock, w.set, name)
			assert.Zero(t, f.ran, name)
		})
	}
}

// readClock notes the deadlines of reads.
type readClock struct {
	*httptest.ResponseRecorder
	set []string
}

func (w *readClock) SetReadDeadline(at time.Time) error {
	until := "never"
	if !at.IsZero() {
		until = time.Until(at).String()
	}
	w.set = append(w.set, until)
	return nil
}

// lateReader has had its time, and the client of resetReader has closed the connection.
type (
	lateReader  struct{}
	resetReader struct{}
)

func (lateReader) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
func (resetReader) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Err: syscall.ECONNRESET}
}

// shortDeadlines accepts connections that have at most so long for each read, whatever is set.
type shortDeadlines struct {
	net.Listener
	most time.Duration
}

func (l shortDeadlines) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return shortConn{c, l.most}, err
}

type shortConn struct {
	net.Conn
	most time.Duration
}

// SetReadDeadline brings a deadline forward.
func (c shortConn) SetReadDeadline(at time.Time) error {
	if soon := time.Now().Add(c.most); at.After(soon) {
		at = soon
	}
	return c.Conn.SetReadDeadline(at)
}

// TestSlowBodyOverTCP_LIMITS_03: over a real connection, in HTTP/1.1 and HTTP/2; the ten
// seconds pass faster here. A body that is not slow is served on a connection that is kept.
func TestSlowBodyOverTCP_LIMITS_03(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", h2), func(t *testing.T) {
			f := newFixture(t, nil)
			handler := f.handler
			server := httptest.NewUnstartedServer(handler)
			if h2 {
				server.EnableHTTP2 = true
				server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					handler.ServeHTTP(sooner{w, 50 * time.Millisecond}, r)
				})
				server.StartTLS()
			} else {
				server.Listener = shortDeadlines{server.Listener, 50 * time.Millisecond}
				server.Start()
			}
			defer server.Close()
			send := func(body io.Reader) (*http.Response, string) {
				r, err := http.NewRequest(http.MethodPost, server.URL+"/mcp", body)
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+f.token(nil))
				r.ContentLength = int64(len(legacyCall("echo")))
				response, err := server.Client().Do(r)
				require.NoError(t, err)
				defer response.Body.Close()
				answer, _ := io.ReadAll(response.Body)
				return response, string(answer)
			}
			response, _ := send(strings.NewReader(legacyCall("echo")))
			assert.Equal(t, http.StatusOK, response.StatusCode)
			assert.Equal(t, 1, f.ran)
			here, there := io.Pipe()
			defer there.Close()
			go func() { _, _ = io.WriteString(there, `{"jsonrpc"`) }()
			response, answer := send(here)
			assert.Equal(t, http.StatusRequestTimeout, response.StatusCode)
			assert.Equal(t, slowBody, answer)
			assert.Equal(t, 1, f.ran)
			response, _ = send(strings.NewReader(legacyCall("echo")))
			assert.Equal(t, http.StatusOK, response.StatusCode, "others go on")
			assert.Equal(t, 2, f.ran)
		})
	}
}

// sooner brings read deadlines forward.
type sooner struct {
	http.ResponseWriter
	most time.Duration
}

// SetReadDeadline brings a deadline forward.
func (w sooner) SetReadDeadline(at time.Time) error {
	if soon := time.Now().Add(w.most); at.After(soon) {
		at = soon
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(at)
}

// A writer without deadlines is left alone, and an error of one that has them changes nothing.
func TestNoDeadlines_LIMITS_03(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	f.served(f.post(token, legacyCall("echo")))
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(brokenDeadlines{w}, f.request(http.MethodPost, "/mcp", token, legacyCall("echo")))
	f.served(w)
}

type brokenDeadlines struct{ http.ResponseWriter }

// SetReadDeadline fails.
func (brokenDeadlines) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }
