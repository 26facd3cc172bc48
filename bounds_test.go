package mcpauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// boundRow is a bound that many share: who fills it is refused, or loses what
// is its own, and everybody else is served as before. docs/operations.md has the whole list.
type boundRow struct {
	name   string
	change func(t *testing.T, c *mcpauth.Config)
	// fill makes requests until the bound is reached, and far beyond; those that wait do so as long as ctx.
	fill func(f *fixture, ctx context.Context, token func(i int) string)
	// full reports whether the one who filled it notices. Nil where it does not: then the test that
	// docs/operations.md names looks inside.
	full func(f *fixture, token string) bool
	// probe is what somebody else does, before and after.
	probe func(f *fixture, token string) *httptest.ResponseRecorder
}

const boundsVersion = "MCP-Protocol-Version: 2025-11-25"

// boundsCall is a call whose arguments are the text.
func boundsCall(f *fixture, token, arguments string) *httptest.ResponseRecorder {
	return f.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":`+arguments+`}}`, boundsVersion)
}

func boundsTask(f *fixture, token, id string) *httptest.ResponseRecorder {
	return f.post(token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":%q}}`, id), boundsVersion)
}

// hold is in a request whose answer takes until the request ends.
const hold = "hold-the-answer"

// boundsHandler begins the task that a call names, answers a list, and holds what it is told to hold.
func boundsHandler(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	held := strings.Contains(string(body), hold) || r.Header.Get("X-Hold") != ""
	answer := `{"jsonrpc":"2.0","id":1,"result":{}}`
	_, task, begins := strings.Cut(string(body), `"task":"`)
	switch {
	case begins:
		id, _, _ := strings.Cut(task, `"`)
		answer = taskLegacy(id)
	case strings.Contains(string(body), "tools/list"):
		answer = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		answer = "data: {}\n\n"
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	if held {
		answer = strings.Repeat(" ", 16<<20-1024)
		defer func() { <-r.Context().Done() }()
	}
	if !held || r.Method == http.MethodPost {
		_, _ = io.WriteString(w, answer)
	}
}

var boundRows = []boundRow{
	{
		name: "tasks, and the arguments that began them",
		change: func(_ *testing.T, c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
				return mcpauth.Authenticated(), nil
			})
		},
		fill: func(f *fixture, _ context.Context, token func(int) string) {
			filler := strings.Repeat("a", 60<<10)
			for i := range 1200 {
				boundsCall(f, token(i), fmt.Sprintf(`{"task":"flood-%d","filler":%q}`, i, filler))
			}
		},
		full: func(f *fixture, token string) bool {
			return strings.Contains(boundsTask(f, token, "flood-0").Body.String(), "task not found")
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder {
			if f.ran == 0 { // before
				f.served(boundsCall(f, token, `{"task":"mine"}`))
			}
			return boundsTask(f, token, "mine")
		},
	},
	{
		name: "long bodies under way",
		fill: func(f *fixture, ctx context.Context, token func(int) string) {
			for i := range 40 {
				f.start(f.stalled(ctx, token(i), 4<<20))
			}
		},
		full: func(f *fixture, token string) bool {
			return f.post(token, sized(65<<10)).Code == http.StatusTooManyRequests
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder { return f.post(token, sized(4<<20)) },
	},
	{
		name: "answers that are held to be filtered",
		fill: func(f *fixture, ctx context.Context, token func(int) string) {
			for i := range 10 {
				f.start(f.request(http.MethodPost, "/mcp", token(i), `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"`+hold+`"}}`).WithContext(ctx))
			}
		},
		full: func(f *fixture, token string) bool {
			return f.post(token, sized(65<<10)).Code == http.StatusTooManyRequests
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder {
			return f.serve(listsRequest(f, "tools/list", token, false))
		},
	},
	{
		name: "streams",
		fill: func(f *fixture, ctx context.Context, token func(int) string) {
			for i := range 40 {
				f.start(f.request(http.MethodGet, "/mcp", token(i), "", "X-Hold: 1").WithContext(ctx))
			}
		},
		full: func(f *fixture, token string) bool {
			return f.do(http.MethodGet, "/mcp", token, "").Code == http.StatusTooManyRequests
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder {
			return f.do(http.MethodGet, "/mcp", token, "")
		},
	},
	{
		name: "the queue of the audit, which refuses what it cannot record",
		change: func(t *testing.T, c *mcpauth.Config) {
			goOn := make(chan struct{})
			queue := auditlog.NewQueue(hangingSink(goOn), 50)
			t.Cleanup(func() { close(goOn); assert.NoError(t, queue.Close(context.Background())) })
			log, err := auditlog.New(queue, auditlog.Options{FailClosed: true})
			require.NoError(t, err)
			c.OnDecision = log.OnDecision
		},
		fill: func(f *fixture, _ context.Context, token func(int) string) {
			for i := range 300 {
				f.call(token(i), "echo")
				synctest.Wait()
			}
		},
		full: func(f *fixture, token string) bool {
			return f.call(token, "echo").Code == http.StatusServiceUnavailable
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder { return f.call(token, "echo") },
	},
	{
		name: "verified tokens",
		fill: func(f *fixture, _ context.Context, token func(int) string) {
			for i := range 3600 { // of u2 they are more than 64 MiB
				f.call(token(i), "echo")
			}
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder { return f.call(token, "echo") },
	},
	{
		name: "fetches for tokens that the keys cannot verify, of which there are three, and one more in ten seconds",
		fill: func(f *fixture, _ context.Context, _ func(int) string) {
			key := mcpauthtest.NewKey("made up", "EdDSA")
			for i := range 200 {
				header := fmt.Sprintf(`{"alg":"EdDSA","kid":"made-up-%d"}`, i)
				claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"user-1","scope":"mcp:read","client_id":"c","exp":%d}`, testIssuerURL, testResource, time.Now().Add(time.Hour).Unix())
				f.call(key.Sign(header, claims), "echo")
				time.Sleep(time.Millisecond)
			}
		},
		full:  func(f *fixture, _ string) bool { return f.auth.Issuers()[0].Suppressed > 100 },
		probe: func(f *fixture, token string) *httptest.ResponseRecorder { return f.call(token, "echo") },
	},
	{
		name: "what a single request may be",
		fill: func(f *fixture, _ context.Context, token func(int) string) {
			for i := range 10 {
				f.post(token(i), sized(5<<20))
				f.post(token(i), legacyCall("echo"), manyHeaders(101)...)
				f.post(token(i), legacyCall("echo"), "X-Filler: "+strings.Repeat("x", 70<<10))
				f.post(token(i), "["+strings.Repeat(legacyCall("echo")+",", 32)+legacyCall("echo")+"]")
				f.post(token(i), strings.Repeat("[", 1<<20))
				f.post(token(i), legacyCall(strings.Repeat("n", 1<<20)))
				f.post("x."+strings.Repeat("A", 17<<10)+".x", legacyCall("echo"))
			}
		},
		probe: func(f *fixture, token string) *httptest.ResponseRecorder { return f.call(token, "echo") },
	},
}

type hangingSink chan struct{}

func (s hangingSink) Write(...auditlog.Record) error { <-s; return nil }

// TestBoundsHaveOwners_LIMITS_13: each bound that requests can fill is filled by another principal, and by
// strangers whose tokens are not good. Then somebody is served as before, byte for byte.
func TestBoundsHaveOwners_LIMITS_13(t *testing.T) {
	for _, row := range boundRows {
		for _, by := range []string{"another principal", "strangers"} {
			t.Run("LIMITS-13 "+row.name+", filled by "+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { row.run(t, by == "strangers") })
			})
		}
	}
}

func (row boundRow) run(t *testing.T, strangers bool) {
	f := newFixture(t, func(c *mcpauth.Config) {
		if row.change != nil {
			row.change(t, c)
		}
	})
	f.issuer.Rotate(mcpauthtest.NewKey("bounds", "EdDSA"))
	f.inner = boundsHandler
	ctx, leave := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer leave()
	u1 := f.token(nil)
	before := row.probe(f, u1)
	require.Equal(t, http.StatusOK, before.Code, "%s", before.Body)
	f.mu.Lock()
	served := f.ran
	f.mu.Unlock()

	u2 := func(i int) string {
		return f.token(mcpauthtest.Claims{"sub": "user-2", "jti": fmt.Sprint(i), "padding": strings.Repeat("p", 8<<10)})
	}
	fillers := u2
	if strangers {
		bad := badTokens(f, u1)
		fillers = func(i int) string { return bad[i%len(bad)] }
	}
	row.fill(f, ctx, fillers)
	synctest.Wait()
	f.mu.Lock()
	if strangers {
		assert.Equal(t, served, f.ran, "a stranger was served")
	}
	f.ran = max(f.ran, 1)
	f.mu.Unlock()
	if row.full != nil && !strangers {
		assert.True(t, row.full(f, u2(0)), "the bound is not full: this row shows nothing")
	}
	for _, token := range []string{u1, f.token(mcpauthtest.Claims{"jti": "another token"})} {
		after := row.probe(f, token)
		assert.Equal(t, sessionAnswer(before), sessionAnswer(after))
	}
}

// badTokens are tokens that are not good, some of them very like the one that is.
func badTokens(f *fixture, good string) []string {
	claims := strings.Split(good, ".")[1]
	return []string{
		"", "x", good[:len(good)-4] + "AAAA",
		f.token(mcpauthtest.Claims{"exp": 1}), f.token(mcpauthtest.Claims{"aud": "https://other.example.com"}),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + claims + ".",
	}
}
