package faults

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// Fault is one thing that goes wrong.
type Fault struct {
	// Name is what a user would say has happened, in a few words.
	Name string
	// Cause is the id, in internal/explain, of what has to be named.
	Cause string
	// Status is what the client gets. 0: [mcpauth.New] refuses the configuration.
	Status int
	// Mentions are texts that must stand beside the cause, such as the wrong
	// value. AS, RESOURCE and HOST stand for what [Scene.Expand] puts there.
	Mentions []string
	// Unlogged says why the server's log cannot name the cause, if so.
	Unlogged string
	// Setup makes the scene. Nothing has been sent to the resource server then.
	Setup func(tb testing.TB) *Scene
}

// Scene is an authorization server, a resource server and a client, on loopback.
type Scene struct {
	// AS is the authorization server.
	AS *mcpauthtest.Issuer
	// Resource is the URL that the client dials.
	Resource string
	// Issuer is what the operator takes for the issuer's URL.
	Issuer string
	// Token is the access token that the client has; "" for none.
	Token string
	// Config is what the operator has written. Logger and OnDecision are free.
	Config mcpauth.Config

	tb      testing.TB
	server  *httptest.Server
	proxy   func(http.Handler) http.Handler // what stands in front of the server
	onlyMCP bool                            // the well-known path is not routed to it
	before  func(s *Scene)                  // runs when the server does, before the request
	request func(s *Scene) *http.Request    // the request that goes wrong; nil: [Scene.ToolCall]
	inner   http.Handler
}

// newScene is a scene in which all is well: tool echo needs mcp:read,
// admin_delete needs mcp:admin, and the token has mcp:read.
func newScene(tb testing.TB) *Scene {
	tb.Helper()
	return sceneWith(tb, mcpauthtest.NewIssuer(tb))
}

// sceneAt is a scene whose issuer has a path.
func sceneAt(tb testing.TB, path string) *Scene {
	tb.Helper()
	var issuer *mcpauthtest.Issuer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
	issuer = mcpauthtest.NewIssuerAt(tb, "http://"+server.Listener.Addr().String()+path)
	server.Start()
	tb.Cleanup(server.Close)
	return sceneWith(tb, issuer)
}

func sceneWith(tb testing.TB, issuer *mcpauthtest.Issuer) *Scene {
	tb.Helper()
	s := &Scene{tb: tb, AS: issuer, Issuer: issuer.URL(), server: httptest.NewUnstartedServer(nil)}
	tb.Cleanup(s.server.Close)
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Resource = "http://" + s.server.Listener.Addr().String() + "/mcp"
	s.Config = mcpauth.Config{
		Resource:              s.Resource,
		Issuers:               []mcpauth.Issuer{issuer.Config()},
		Scopes:                []string{"mcp:read"},
		AllowInsecureLoopback: true,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"echo":         mcpauth.Scopes("mcp:read"),
			"admin_delete": mcpauth.Scopes("mcp:admin"),
		}},
	}
	s.Token = issuer.TokenFor(s.Resource, "mcp:read")
	return s
}

// claims makes the client's token anew: a good one with these changes.
func (s *Scene) claims(changes mcpauthtest.Claims) *Scene {
	all := mcpauthtest.Claims{"aud": s.Resource, "scope": "mcp:read"}
	maps.Copy(all, changes)
	s.Token = s.AS.Token(all)
	return s
}

// config changes what the operator has written.
func (s *Scene) config(change func(*mcpauth.Config)) *Scene {
	change(&s.Config)
	return s
}

// issuer changes what the operator has written about the issuer.
func (s *Scene) issuer(change func(*mcpauth.Issuer)) *Scene {
	change(&s.Config.Issuers[0])
	s.Issuer = s.Config.Issuers[0].URL
	return s
}

// Serve starts the resource server with the operator's configuration and does
// what happens before the request that goes wrong. The error is that of [mcpauth.New].
func (s *Scene) Serve(logger *slog.Logger) (*mcpauth.Middleware, error) {
	s.tb.Helper()
	if logger != nil {
		s.Config.Logger = logger
	}
	auth, err := mcpauth.New(s.Config)
	if err != nil {
		return nil, err
	}
	inner := s.inner
	if inner == nil {
		inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		})
	}
	handler := auth.Wrap(inner)
	if s.onlyMCP {
		mux := http.NewServeMux()
		mux.Handle("/mcp", handler)
		handler = mux
	}
	if s.proxy != nil {
		handler = s.proxy(handler)
	}
	s.server.Config.Handler = handler
	s.server.Start()
	if s.before != nil {
		s.before(s)
	}
	return auth, nil
}

// Send makes the request that goes wrong and returns the status of the answer.
func (s *Scene) Send() int {
	s.tb.Helper()
	r := s.ToolCall("echo")
	if s.request != nil {
		r = s.request(s)
	}
	return s.send(r)
}

func (s *Scene) send(r *http.Request) int {
	s.tb.Helper()
	transport := &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}
	response, err := transport.RoundTrip(r)
	if err != nil {
		s.tb.Fatalf("faults: %v", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// ToolCall is a request of revision 2025-11-25, with the client's token.
func (s *Scene) ToolCall(tool string) *http.Request {
	return s.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool))
}

func (s *Scene) post(body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, s.Resource, strings.NewReader(body))
	if err != nil {
		s.tb.Fatalf("faults: %v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	if s.Token != "" {
		r.Header.Set("Authorization", "Bearer "+s.Token)
	}
	return r
}

// with is a change to the usual request.
func with(change func(s *Scene, r *http.Request)) func(s *Scene) *http.Request {
	return func(s *Scene) *http.Request {
		r := s.ToolCall("echo")
		change(s, r)
		return r
	}
}

// Expand writes the scene's own values for AS, RESOURCE, HOST, and OWNPORT for its port.
func (s *Scene) Expand(text string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(s.Resource, "http://"), "/mcp")
	return strings.NewReplacer("AS", s.AS.URL(), "RESOURCE", s.Resource, "HOST", host, "OWNPORT", host[strings.LastIndexByte(host, ':')+1:]).Replace(text)
}

// All lists the faults, grouped by what they concern.
func All() []Fault {
	var all []Fault
	for _, group := range [][]Fault{configuration, issuers, keys, tokens, introspection, bound, audiences, times, scopes, requests} {
		all = append(all, group...)
	}
	return all
}
