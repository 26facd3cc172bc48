//go:build !race

// The race detector makes sync.Pool forget at random and adds allocations of
// its own: there are no exact numbers under it.

package mcpauth_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// allocationBudget is what each kind of request may allocate, exactly: a
// regression fails the test, and so does an improvement, until its number
// stands here. It is what the wrapper adds, around a handler and a response
// writer that allocate nothing.
var allocationBudget = map[string]float64{
	"served, modern":        4,
	"served, in a session":  17,
	"served, no session":    7,
	"refused, no token":     3,
	"refused, garbage":      5,
	"refused, long garbage": 5,
	"refused, alg none":     4,
	"refused, issuer":       7,
	"refused, audience":     8,
	"refused, expired":      11,
	"refused, unknown kid":  7,
	"refused, signature":    20,
	"refused, scope":        23,
	"refused, tool unknown": 10,
	"refused, duplicate":    14,
	"decision":              1,
}

// garbageBudget is what a request may leave behind that came from net/http, exactly, beyond what it
// leaves behind without the wrapper: a small server pays for its bytes several times. Its header is a map
// as net/http makes it, and the second handler derives from its context and asks that for Done, as mcp-go does.
var garbageBudget = map[string]spent{
	"no-op":           {4, 1568},
	"asks for Done":   {9, 2032},
	"ten fields stay": {6, 1960},
}

type spent struct{ allocs, bytes int }

// The Go release and the architecture that the numbers were counted with.
// Others may allocate less, or more, without any change of ours.
const (
	exactToolchain    = "go1.26"
	exactArchitecture = "amd64"
)

// TestAllocations_CONC_08 is the regression gate for speed that no clock can upset:
// strangers cost a fixed number of allocations however long their token is, and
// a known token costs next to none.
func TestAllocations_CONC_08(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counters of coverage change what the compiler keeps on the stack")
	}
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	auth, err := mcpauth.New(testConfig(issuer))
	require.NoError(t, err)
	handler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Initialize") != "" {
			w.Header().Set("Mcp-Session-Id", "session")
		}
		w.WriteHeader(http.StatusOK)
	}))

	claims := func(name string, value any) string {
		return issuer.Token(mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read", name: value})
	}
	good := claims("jti", "1")
	begun := httptest.NewRecorder()
	handler.ServeHTTP(begun, newRequest(http.MethodPost, "/other", good, sessionInitialize, "Initialize: 1"))
	session := begun.Header().Get("Mcp-Session-Id")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(good, ".")[1] + ".AA"
	otherKey := mcpauthtest.NewKey("nobody", "RS256").Sign(`{"alg":"RS256","kid":"nobody"}`, `{"iss":"`+testIssuerURL+`","exp":99999999999,"aud":"`+testResource+`","sub":"u","client_id":"c","iat":1}`)
	// The signature of another key would be refused early when it happens to be
	// larger than this one's modulus.
	good, second := claims("iat", time.Now().Add(-2*time.Minute).Unix()), claims("jti", "2")
	forged := good[:strings.LastIndexByte(good, '.')] + second[strings.LastIndexByte(second, '.'):]
	modern, echo := modernCall("echo"), modernHeaders("tools/call", "echo")
	for range 4 { // what such tokens may have fetched is used up: the numbers are those of a flood
		handler.ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodPost, "/mcp", otherKey, modern, echo...))
	}
	legacy := []string{"MCP-Protocol-Version: 2025-11-25"}

	for _, c := range []struct {
		name, token, body string
		headers           []string
		status            int
	}{
		{"served, modern", good, modern, echo, http.StatusOK},
		{"served, in a session", good, legacyCall("echo"), append(legacy, "Mcp-Session-Id: "+session), http.StatusOK},
		{"served, no session", good, legacyCall("echo"), legacy, http.StatusOK},
		{"refused, no token", "", modern, echo, http.StatusUnauthorized},
		{"refused, garbage", strings.Repeat("A", 1<<10), modern, echo, http.StatusUnauthorized},
		{"refused, long garbage", strings.Repeat("A", 14<<10), modern, echo, http.StatusUnauthorized},
		{"refused, alg none", none, modern, echo, http.StatusUnauthorized},
		{"refused, issuer", claims("iss", "https://other.example.com"), modern, echo, http.StatusUnauthorized},
		{"refused, audience", claims("aud", "https://other.example.com"), modern, echo, http.StatusUnauthorized},
		{"refused, expired", claims("exp", time.Now().Add(-time.Hour).Unix()), modern, echo, http.StatusUnauthorized},
		{"refused, unknown kid", otherKey, modern, echo, http.StatusUnauthorized},
		{"refused, signature", forged, modern, echo, http.StatusUnauthorized},
		{"refused, scope", good, modernCall("admin_delete"), modernHeaders("tools/call", "admin_delete"), http.StatusForbidden},
		{"refused, tool unknown", good, modernCall("x"), modernHeaders("tools/call", "x"), http.StatusForbidden},
		{"refused, duplicate", good, strings.Replace(modern, `"id":1`, `"id":1,"id":2`, 1), echo, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			send := repeated(t, handler, newRequest(http.MethodPost, "/mcp", c.token, c.body, c.headers...), c.body, c.status)
			checkAllocations(t, c.name, send)
		})
	}
	t.Run("decision", func(t *testing.T) {
		principal, err := auth.Authenticate(newRequest(http.MethodPost, "/mcp", good, ""))
		require.NoError(t, err)
		call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: "echo"}
		ctx := t.Context()
		checkAllocations(t, "decision", func() {
			if auth.Authorize(ctx, principal, call) != nil {
				panic("refused")
			}
		})
	})
}

// TestGarbage_CONC_08 counts what is left of a request as a server has it, which is not what httptest makes.
func TestGarbage_CONC_08(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counters of coverage change what the compiler keeps on the stack")
	}
	f := newFixture(t, nil)
	body := modernCall("echo")
	lines := append(modernHeaders("tools/call", "echo"), "Authorization: Bearer "+f.token(nil), "Content-Type: application/json",
		"Accept: application/json, text/event-stream", "User-Agent: client", "Accept-Encoding: gzip")
	noop := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for name, c := range map[string]struct {
		handler http.Handler
		more    []string
	}{
		"no-op": {noop, nil},
		"asks for Done": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			select {
			case <-ctx.Done():
			default:
				w.WriteHeader(http.StatusOK)
			}
		}), nil},
		"ten fields stay": {noop, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := received(t, body, slices.Concat(lines, c.more))
			bare, wrapped := garbageOf(t, c.handler, r, body), garbageOf(t, f.auth.Wrap(c.handler), r, body)
			got := spent{wrapped.allocs - bare.allocs, wrapped.bytes - bare.bytes}
			if strings.HasPrefix(runtime.Version(), exactToolchain) && runtime.GOARCH == exactArchitecture {
				assert.Equal(t, garbageBudget[name], got, "more: find out why. Less: lower the budget.")
			}
		})
	}
}

// received is a request as net/http makes it of what a client sends.
func received(t *testing.T, body string, lines []string) *http.Request {
	t.Helper()
	head := "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + body)))
	require.NoError(t, err)
	return r
}

// garbageOf measures a request, each time under a context of its own, as a server does.
func garbageOf(t *testing.T, handler http.Handler, r *http.Request, body string) spent {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	base := r.Context()
	send := repeated(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(base)
		defer cancel()
		handler.ServeHTTP(w, r.WithContext(ctx))
	}), r, body, http.StatusOK)
	const runs = 200
	var before, after runtime.MemStats
	send()
	runtime.ReadMemStats(&before)
	for range runs {
		send()
	}
	runtime.ReadMemStats(&after)
	return spent{int(after.Mallocs-before.Mallocs) / runs, int(after.TotalAlloc-before.TotalAlloc) / runs} // less than one is not ours
}

// checkAllocations compares with the budget. The collector rests meanwhile,
// because it empties pools.
func checkAllocations(t *testing.T, name string, run func()) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	budget, ok := allocationBudget[name]
	require.True(t, ok, "no budget")
	run()
	got := testing.AllocsPerRun(200, run)
	if strings.HasPrefix(runtime.Version(), exactToolchain) && runtime.GOARCH == exactArchitecture {
		assert.Equal(t, budget, got, "more: find out why. Fewer: lower the budget.")
		return
	}
	t.Logf("%s on %s: %v allocations; the budget of %v is for another toolchain", runtime.Version(), runtime.GOARCH, got, budget)
}

// repeated returns a function that serves the same request again, without any
// allocation of its own.
func repeated(t *testing.T, handler http.Handler, r *http.Request, body string, status int) func() {
	t.Helper()
	reader := &rewound{}
	w := &bareWriter{header: http.Header{}}
	content := []byte(body)
	return func() {
		reader.Reset(content)
		r.Body = reader
		clear(w.header)
		w.status = 0
		handler.ServeHTTP(w, r)
		if w.status != status {
			t.Fatalf("status %d, expected %d", w.status, status)
		}
	}
}

type rewound struct{ bytes.Reader }

func (*rewound) Close() error { return nil }

type bareWriter struct {
	header http.Header
	status int
}

func (w *bareWriter) Header() http.Header         { return w.header }
func (w *bareWriter) WriteHeader(status int)      { w.status = status }
func (w *bareWriter) Write(b []byte) (int, error) { return len(b), nil }
