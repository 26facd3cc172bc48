package gosdk_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// sight is what a tool handler saw of its caller, in each of the places.
type sight struct {
	userID         string
	tokenInfo      []string // scopes of RequestExtra.TokenInfo
	fromTokenInfo  []string
	fromContext    []string
	found          bool // somebody is in the context
	expires        bool
	authorizations []string
	headers        string
}

// site is an SDK server behind mcpauth, on loopback.
type site struct {
	issuer   *mcpauthtest.Issuer
	server   *mcp.Server
	resource string

	mu   sync.Mutex
	seen map[string][]sight // by tool
}

func newSite(t *testing.T, stateless bool, middlewares ...mcp.Middleware) *site {
	t.Helper()
	return newSiteOf(t, stateless, func(*mcpauth.Issuer) {}, middlewares...)
}

// newSiteOf is a site with a changed issuer.
func newSiteOf(t *testing.T, stateless bool, change func(*mcpauth.Issuer), middlewares ...mcp.Middleware) *site {
	t.Helper()
	s := &site{issuer: mcpauthtest.NewIssuer(t), seen: map[string][]sight{}}
	s.server = mcp.NewServer(&mcp.Implementation{Name: "dashboards", Version: "1"}, nil)
	s.server.AddReceivingMiddleware(middlewares...)
	for _, name := range []string{"look", "edit"} {
		mcp.AddTool(s.server, &mcp.Tool{Name: name}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			s.note(name, look(ctx, r))
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
		})
	}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	s.resource = web.URL + "/mcp"
	trusted := s.issuer.Config()
	change(&trusted)
	guard, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource,
		Issuers:  []mcpauth.Issuer{trusted},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"look": mcpauth.Authenticated(),
			"edit": mcpauth.Scopes("dashboard:modify"),
		}},
		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)
	handler = guard.Wrap(gosdk.Handler(mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return s.server },
		&mcp.StreamableHTTPOptions{Stateless: stateless, Logger: slog.New(slog.DiscardHandler)})))
	return s
}

func look(ctx context.Context, r *mcp.CallToolRequest) sight {
	found := sight{authorizations: r.Extra.Header["Authorization"]}
	for name, values := range r.Extra.Header {
		found.headers += name + ": " + strings.Join(values, ",") + "\n"
	}
	if info := r.Extra.TokenInfo; info != nil {
		found.userID, found.tokenInfo, found.expires = info.UserID, info.Scopes, !info.Expiration.IsZero()
	}
	if p, ok := gosdk.FromTokenInfo(r.Extra.TokenInfo); ok {
		found.fromTokenInfo = p.Scopes
	}
	if p, ok := mcpauth.FromContext(ctx); ok {
		found.found, found.fromContext = true, p.Scopes
	}
	return found
}

func (s *site) note(tool string, seen sight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[tool] = append(s.seen[tool], seen)
}

func (s *site) runs(tool string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen[tool])
}

// last is what the tool saw when it ran last.
func (s *site) last(t *testing.T, tool string) sight {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.seen[tool], "%s did not run", tool)
	return s.seen[tool][len(s.seen[tool])-1]
}

// wallet is a client's side of OAuth: it holds a token and, when a challenge
// asks for more and its user agrees, gets a better one.
type wallet struct {
	site   *site
	agrees bool

	mu       sync.Mutex
	scopes   []string
	token    string
	statuses []int // of the refusals
}

var errDenied = errors.New("the user says no")

func (w *wallet) hold(scopes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scopes, w.token = scopes, w.site.issuer.TokenFor(w.site.resource, scopes...)
}

func (w *wallet) TokenSource(context.Context) (oauth2.TokenSource, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: w.token}), nil
}

func (w *wallet) Authorize(_ context.Context, _ *http.Request, response *http.Response) error {
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	w.mu.Lock()
	w.statuses = append(w.statuses, response.StatusCode)
	held := slices.Clone(w.scopes)
	w.mu.Unlock()
	challenge := response.Header.Get("WWW-Authenticate")
	_, rest, asked := strings.Cut(challenge, `scope="`)
	if !w.agrees || !asked || !strings.Contains(challenge, `error="insufficient_scope"`) {
		return errDenied
	}
	wanted, _, _ := strings.Cut(rest, `"`)
	for scope := range strings.FieldsSeq(wanted) {
		if !slices.Contains(held, scope) {
			held = append(held, scope)
		}
	}
	w.hold(held...)
	return nil
}

var _ auth.OAuthHandler = (*wallet)(nil)

// connect begins a session with the SDK's own client.
func (w *wallet) connect(t *testing.T) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "tool", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: w.site.resource, OAuthHandler: w, MaxRetries: -1}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, session.Close()) })
	return session
}

func call(t *testing.T, session *mcp.ClientSession, tool string) error {
	t.Helper()
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	return err
}
