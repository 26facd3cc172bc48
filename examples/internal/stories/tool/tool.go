// Package tool is the client of the stories: a developer tool that is made with
// the official Go SDK, and the person who uses it. The SDK does the OAuth of
// the tool: discovery, registration, PKCE, step-up and refresh. The person's
// browser is a few lines of HTTP that fill in the page of package login.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// RedirectURI is where the tool waits for the answer of the authorization
// server. Nobody listens there, since the tool is its own browser.
const RedirectURI = "http://127.0.0.1:33418/callback"

// ErrDenied is what a call fails with when the person says no.
var ErrDenied = errors.New("the user has denied access")

// Person is who sits in front of the tool.
type Person struct {
	Name, Password string

	// Allows are the scopes that the person leaves ticked; none denies
	// everything. nil leaves the page as it is.
	Allows []string

	// Agrees is what the person does with a page that a server sends her to: sign in and agree, or close it.
	Agrees bool

	// Visit goes through the pages of another authorization server than that
	// of package login, and returns the URL with which it sends the browser back.
	Visit func(ctx context.Context, address string) (*url.URL, error)
}

// Tool is a client that acts for one person.
type Tool struct {
	Name     string
	Endpoint string // of the MCP server
	Person   *Person

	// ID is that of a client which the authorization server knows. Without one
	// the tool registers itself.
	ID string

	// Scopes are what the tool asks for in any case.
	Scopes []string

	// OpensURLs lets the server send the person to a page, which Agrees or not.
	OpensURLs bool

	mu      sync.Mutex
	asked   [][]string // scopes of each trip to the authorization server
	visited []string   // pages that the server has sent the person to
	config  *oauth2.Config
	token   *oauth2.Token
	session *mcp.ClientSession
}

// Connect begins a session. The server's first answer is 401, and all that
// follows from it happens in here.
func (t *Tool) Connect(ctx context.Context) error {
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:              RedirectURI,
		AuthorizationCodeFetcher: t.browse,
		RequestRefreshToken:      true,
		NewTokenSource:           t.keep,
		ScopeFilter: func(found []string) []string {
			return append(slices.Clone(found), t.Scopes...)
		},
	}
	if t.ID != "" {
		config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: t.ID}
	} else {
		config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              t.Name,
			RedirectURIs:            []string{RedirectURI},
			GrantTypes:              []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}}
	}
	handler, err := auth.NewAuthorizationCodeHandler(config)
	if err != nil {
		return err
	}
	return t.begin(ctx, handler)
}

// begin begins a session, for which the handler gets the tokens.
func (t *Tool) begin(ctx context.Context, handler auth.OAuthHandler) (err error) {
	options := &mcp.ClientOptions{}
	if t.OpensURLs {
		options.Capabilities = &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}}
		options.ElicitationHandler = t.visit
	}
	client := mcp.NewClient(&mcp.Implementation{Name: t.Name, Version: "1.0.0"}, options)
	t.session, err = client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: t.Endpoint, OAuthHandler: handler, DisableStandaloneSSE: true, MaxRetries: -1,
	}, nil)
	return err
}

// Close ends the session.
func (t *Tool) Close() {
	if t.session != nil {
		_ = t.session.Close() // the server may be gone already
	}
}

// Tools lists what the server shows to this caller.
func (t *Tool) Tools(ctx context.Context) ([]string, error) {
	list, err := t.session.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names, nil
}

// Call calls a tool. If the server answers that scopes are missing, the person
// is asked, and the call made again. The SDK registers a client anew for that where
// it has no ID: a server with sessions does not know that one.
func (t *Tool) Call(ctx context.Context, name string, arguments map[string]any) (string, error) {
	result, err := t.session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, content := range result.Content {
		if c, ok := content.(*mcp.TextContent); ok {
			text.WriteString(c.Text)
		}
	}
	if result.IsError {
		return "", errors.New(text.String())
	}
	return text.String(), nil
}

// Asked returns the scopes of each trip to the authorization server so far.
func (t *Tool) Asked() [][]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.asked)
}

// Expire makes the tool believe that its access token has expired: it will
// fetch a new one with its refresh token, without the person.
func (t *Tool) Expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	expired := *t.token
	expired.Expiry = time.Unix(1, 0)
	t.token = &expired
}

// AccessToken is the one at hand.
func (t *Tool) AccessToken() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token.AccessToken
}

// Visited returns the pages that the server has sent the person to.
func (t *Tool) Visited() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.visited)
}

// visit is the person's part when a server sends her to a page.
func (t *Tool) visit(ctx context.Context, request *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
	t.mu.Lock()
	t.visited = append(t.visited, request.Params.URL)
	t.mu.Unlock()
	b := browser{ctx: ctx}
	if err := b.open(request.Params.URL); err != nil {
		return nil, err
	}
	if !t.Person.Agrees {
		return &mcp.ElicitResult{Action: "decline"}, nil
	}
	form := url.Values{"api": {b.page.Query().Get("api")}, "name": {t.Person.Name}, "password": {t.Person.Password}, "answer": {"allow"}}
	return &mcp.ElicitResult{Action: "accept"}, b.submit(form)
}

// Tokens returns a function that tells whether the tool has another access
// token than now.
func (t *Tool) Tokens() (renewed func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.token.AccessToken
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.token.AccessToken != before
	}
}

// keep takes care of a token that has just been granted.
func (t *Tool) keep(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.config, t.token = config, token
	return source{ctx, t}, nil
}

// source hands out the token, and a refreshed one in its place when it has expired.
type source struct {
	ctx  context.Context
	tool *Tool
}

func (s source) Token() (*oauth2.Token, error) {
	s.tool.mu.Lock()
	defer s.tool.mu.Unlock()
	token, err := s.tool.config.TokenSource(s.ctx, s.tool.token).Token()
	if err != nil {
		return nil, err
	}
	s.tool.token = token
	return token, nil
}

// browse is the person's part of the authorization code flow: sign in, untick,
// and allow or deny.
func (t *Tool) browse(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	address, err := url.Parse(args.URL)
	if err != nil {
		return nil, err
	}
	asked := strings.Fields(address.Query().Get("scope"))
	t.mu.Lock()
	t.asked = append(t.asked, asked)
	t.mu.Unlock()

	b := browser{ctx: ctx}
	if t.Person.Visit != nil {
		if b.page, err = t.Person.Visit(ctx, args.URL); err != nil {
			return nil, err
		}
		return b.came()
	}
	if err := b.open(args.URL); err != nil {
		return nil, err
	}
	form := url.Values{"request": {b.page.Query().Get("request")}, "name": {t.Person.Name}, "password": {t.Person.Password}, "answer": {"allow"}}
	form["scope"] = asked
	if t.Person.Allows != nil {
		form["scope"] = t.Person.Allows
	}
	if len(form["scope"]) == 0 {
		form.Set("answer", "deny")
	}
	if err := b.submit(form); err != nil {
		return nil, err
	}
	return b.came()
}

// came is what the authorization server sends the browser back with.
func (b *browser) came() (*auth.AuthorizationResult, error) {
	answer := b.page.Query()
	switch {
	case !strings.HasPrefix(b.page.String(), RedirectURI+"?"):
		return nil, errors.New("the authorization server does not come back")
	case answer.Get("error") == "access_denied":
		return nil, ErrDenied
	case answer.Get("code") == "":
		return nil, fmt.Errorf("no code, error %q", answer.Get("error"))
	}
	return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
}

// browser follows redirects until they lead to the tool, or to a page.
type browser struct {
	ctx  context.Context
	page *url.URL
}

func (b *browser) open(address string) error { return b.send(http.MethodGet, address, nil) }
func (b *browser) submit(form url.Values) error {
	return b.send(http.MethodPost, b.page.String(), form)
}

func (b *browser) send(method, address string, form url.Values) error {
	client := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), RedirectURI+"?") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := http.NewRequestWithContext(b.ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the authorization server answers %s: %.200s", response.Status, text)
	}
	b.page = response.Request.URL
	if location, err := response.Location(); err == nil {
		b.page = location
	}
	return nil
}
