package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// Revisions: the newest, whose clients begin with server/discover, and the last one before it.
const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
)

// What a client meets, and when.
const (
	rotation = "rotation"
	outage   = "outage of 3 s"
	once     = "one 503"
	refusal  = "one 401" // is in no row: it shows that a client which gives its token up is seen doing so

	discover   = "server/discover"
	initialize = "initialize"
	call       = "tools/call"
)

var events = []string{rotation, outage, once}

// unavailable is the answer while there are no keys, as in keys-down.http.
const unavailable = `{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`

// scene is a server behind mcpauth for one client, whose first request of one method
// meets what goes wrong. It stands in front of mcpauth, and has the client's token
// renewed: whoever presents the one that it was given has the token of the moment.
type scene struct {
	issuer   *mcpauthtest.Issuer
	resource string
	era      string // that the client begins with
	moment   string // method
	event    string
	given    string // the token that the client has
	behind   http.Handler

	mu      sync.Mutex
	token   string // of the moment
	met     bool
	methods []string // as they came
	status  map[int]int
	without int // requests without the token
	sought  int // requests for metadata: the client looks for another token
}

func newScene(t *testing.T, era, moment, event string) *scene {
	s := &scene{issuer: mcpauthtest.NewIssuer(t), era: era, moment: moment, event: event, status: map[int]int{}}
	web := httptest.NewUnstartedServer(s)
	s.resource = "http://" + web.Listener.Addr().String() + "/mcp"
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource, Issuers: []mcpauth.Issuer{s.issuer.Config()}, AllowInsecureLoopback: true,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")}},
	})
	require.NoError(t, err)
	mcp := server.NewMCPServer("rotation", "1", server.WithToolCapabilities(false))
	mcp.AddTool(mcpgo.NewTool("echo"), func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText("done"), nil
	})
	s.behind = auth.Wrap(server.NewStreamableHTTPServer(mcp))
	s.given = s.issuer.TokenFor(s.resource, "mcp:read")
	s.token = s.given
	web.Start()
	t.Cleanup(func() {
		web.CloseClientConnections() // streams that a client has left open
		web.Close()
	})
	require.NoError(t, auth.Warm(t.Context()))
	return s
}

// ServeHTTP notes what the client does, and lets happen what is to happen.
func (s *scene) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var message struct{ Method string }
	_ = json.Unmarshal(body, &message) // a GET has none
	if s.arrives(r, message.Method) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "1")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.count(http.StatusServiceUnavailable)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, unavailable)
		return
	}
	if r.Method != http.MethodDelete {
		w = &counted{w, s}
	}
	s.behind.ServeHTTP(w, r)
}

// arrives gives a request the token of the moment, and reports whether it is refused.
func (s *scene) arrives(r *http.Request, method string) (refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		s.sought++
		return false
	}
	s.methods = append(s.methods, method)
	if method == s.moment && !s.met {
		s.met = true
		switch s.happens(); s.event {
		case once:
			return true
		case refusal:
			r.Header.Set("Authorization", "Bearer "+s.given+"a")
			return false
		}
	}
	switch {
	case r.Header.Get("Authorization") == "Bearer "+s.given:
		r.Header.Set("Authorization", "Bearer "+s.token)
	case r.Method != http.MethodDelete: // mcp-go's client has done everything then, and presents no token
		s.without++
	}
	return false
}

// happens must be called with mu held.
func (s *scene) happens() {
	if s.event == once || s.event == refusal {
		return
	}
	s.issuer.Rotate(mcpauthtest.NewKey("next", "ES256"))
	s.token = s.issuer.TokenFor(s.resource, "mcp:read")
	if s.event == outage {
		for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
			s.issuer.Break(endpoint, mcpauthtest.Down)
			// It began a second ago: tries are made at 0, 1 and 3 seconds, and none may race with its end.
			time.AfterFunc(2*time.Second, func() { s.issuer.Break(endpoint, mcpauthtest.None) })
		}
	}
}

func (s *scene) count(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status[status]++
}

// counted tells the scene how requests are answered.
type counted struct {
	http.ResponseWriter
	scene *scene
}

func (c *counted) WriteHeader(status int) {
	c.scene.count(status)
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// job is what a client is told, and outcome what it says of it.
type (
	job struct {
		URL   string `json:"url"`
		Token string `json:"token"`
		Era   string `json:"era"` // that it is to begin with
	}
	outcome struct {
		Connected, Called bool
		Again             bool // a second call, directly after
		Version           string
		Asked             bool   // it asked the application for another token
		Error             string // the first
	}
)

// TestClients_FRESH_17: what a client makes of the answers. A plain rotation costs none of them anything.
func TestClients_FRESH_17(t *testing.T) {
	wire, err := os.ReadFile("../../testdata/wire/keys-down.http")
	require.NoError(t, err)
	require.Contains(t, string(wire), "\n"+unavailable+"\n", "the 503 is another one")
	found := make([][]row, len(clients))
	t.Run("clients", func(t *testing.T) {
		for i, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				found[i] = c.meets(t)
			})
		}
	})
	wanted := 0
	for _, c := range clients {
		wanted += len(c.moments()) * len(events)
	}
	compare(t, found, wanted)
}

// meets has a client meet all at once: nearly all of the time it waits.
func (c client) meets(t *testing.T) (rows []row) {
	c.version = c.versionOf(t)
	run := c.start(t)
	var scenes []*scene
	for _, moment := range c.moments() {
		for _, event := range events {
			scenes = append(scenes, newScene(t, c.era(moment), moment, event))
		}
	}
	scenes = append(scenes, newScene(t, c.era(call), call, refusal))
	jobs := make([]job, len(scenes))
	for i, s := range scenes {
		jobs[i] = job{s.resource, s.given, s.era}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	outcomes := run(ctx, t, jobs)
	require.Len(t, outcomes, len(scenes))
	for i, s := range scenes {
		t.Run(s.moment+" met by "+s.event, func(t *testing.T) {
			if r := s.judge(t, outcomes[i]); s.event != refusal {
				r.client, r.version = c.name, c.version
				rows = append(rows, r)
			}
		})
	}
	return rows
}

// judge says what has become of a client.
func (s *scene) judge(t *testing.T, o outcome) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%+v: %v, without the token %d, for metadata %d", o, s.methods, s.without, s.sought)
	require.True(t, s.met, "the moment did not come")
	r := row{
		moment: s.moment, event: s.event, unavailable: s.status[http.StatusServiceUnavailable],
		failed: !o.Connected, lost: o.Connected && o.Version != s.era, uncalled: o.Connected && !o.Called,
		thrown: s.without > 0 || s.sought > 0 || o.Asked,
	}
	if s.event == refusal {
		assert.True(t, r.thrown, "a client that has lost its token is not seen")
		return r
	}
	assert.Zero(t, s.status[http.StatusUnauthorized], "a good token is refused")
	assert.Equal(t, o.Connected, o.Again, "it does not recover")
	// One fetch is the server's when it starts, one is good in the end; of an outage one fails at least.
	fetches := map[string]int{rotation: 2, outage: 3, once: 1}[s.event]
	assert.GreaterOrEqual(t, s.issuer.Fetches(mcpauthtest.JWKS), fetches, "it was not met")
	if s.event == rotation {
		assert.Zero(t, r.unavailable)
		assert.False(t, r.deviates(), "a plain rotation costs the client something")
	}
	return r
}

// row is a row of the table.
type row struct {
	client, version, moment, event string
	failed, lost, uncalled, thrown bool
	unavailable                    int // answers
}

func (r row) deviates() bool { return r.failed || r.lost || r.uncalled || r.thrown }

// at is where a row stands in reasons.
func (r row) at() string { return fmt.Sprintf("%s, %s met by %s", r.client, r.moment, r.event) }
