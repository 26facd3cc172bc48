package matrix

import (
	"context"
	"errors"
	"fmt"
	"testing"

	mcpgoclient "github.com/mark3labs/mcp-go/client"
	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

// goSDK is the client of the official Go SDK with its authorization handler.
func goSDK(t *testing.T) client {
	return client{
		name:    "go-sdk",
		version: authservers.ModuleVersion(t, "github.com/modelcontextprotocol/go-sdk"),
		run: func(t *testing.T, j job) []report {
			return drive(t, &goSDKSession{job: j}, j)
		},
	}
}

type goSDKSession struct {
	job     job
	session *sdk.ClientSession
}

func (s *goSDKSession) connect(ctx context.Context) error {
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:              redirect,
		RequestRefreshToken:      true,
		AuthorizationCodeFetcher: s.authorize,
	}
	if s.job.clientID != "" {
		config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: s.job.clientID}
	} else {
		config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "interop",
				RedirectURIs:            []string{redirect},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				ResponseTypes:           []string{"code"},
				TokenEndpointAuthMethod: "none",
			},
		}
	}
	handler, err := auth.NewAuthorizationCodeHandler(config)
	if err != nil {
		return err
	}
	own := sdk.NewClient(&sdk.Implementation{Name: "interop", Version: "1.0.0"}, nil)
	s.session, err = own.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: s.job.url, OAuthHandler: handler}, nil)
	return err
}

func (s *goSDKSession) authorize(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	back, err := s.job.browser.Walk(ctx, args.URL)
	if err != nil {
		return nil, err
	}
	answer := back.Query()
	if refusal := answer.Get("error"); refusal != "" {
		return nil, errors.New(refusal)
	}
	return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
}

func (s *goSDKSession) list(ctx context.Context) ([]string, error) {
	return listWith(ctx, s.session)
}

func (s *goSDKSession) call(ctx context.Context, tool string) (string, error) {
	return callWith(ctx, s.session, tool)
}

func (s *goSDKSession) close() {
	if s.session != nil {
		_ = s.session.Close() // the test is over, whatever it says
	}
}

func listWith(ctx context.Context, session *sdk.ClientSession) ([]string, error) {
	result, err := session.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func callWith(ctx context.Context, session *sdk.ClientSession, tool string) (string, error) {
	result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: map[string]any{}})
	if err != nil {
		return "", err
	}
	text, ok := result.Content[0].(*sdk.TextContent)
	if !ok || result.IsError {
		return "", fmt.Errorf("the tool failed: %v", result.Content)
	}
	return text.Text, nil
}

// mcpGo is the client of mcp-go with OAuth.
func mcpGo(t *testing.T) client {
	return client{
		name:    "mcp-go",
		version: authservers.ModuleVersion(t, "github.com/mark3labs/mcp-go"),
		run: func(t *testing.T, j job) []report {
			return drive(t, &mcpGoSession{job: j}, j)
		},
	}
}

type mcpGoSession struct {
	job    job
	client *mcpgoclient.Client
}

func (s *mcpGoSession) connect(ctx context.Context) error {
	own, err := mcpgoclient.NewOAuthStreamableHttpClient(s.job.url, mcpgoclient.OAuthConfig{
		ClientID:    s.job.clientID,
		RedirectURI: redirect,
		Scopes:      []string{"mcp:read"}, // it does not read the challenge's
		TokenStore:  mcpgoclient.NewMemoryTokenStore(),
		PKCEEnabled: true,
	})
	if err != nil {
		return err
	}
	s.client = own
	initialize := func() error {
		if err := own.Start(ctx); err != nil {
			return err
		}
		request := mcpgo.InitializeRequest{}
		request.Params.ProtocolVersion = mcpgo.LATEST_PROTOCOL_VERSION
		request.Params.ClientInfo = mcpgo.Implementation{Name: "interop", Version: "1.0.0"}
		_, err := own.Initialize(ctx, request)
		return err
	}
	return s.authorized(ctx, initialize)
}

// authorized is the application's part of the flow: authorize when the client
// asks for it, and try again.
func (s *mcpGoSession) authorized(ctx context.Context, attempt func() error) error {
	err := attempt()
	if !mcpgoclient.IsOAuthAuthorizationRequiredError(err) {
		return err
	}
	handler := mcpgoclient.GetOAuthHandler(err)
	verifier, err := mcpgoclient.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := mcpgoclient.GenerateState()
	if err != nil {
		return err
	}
	if handler.GetClientID() == "" {
		if err := handler.RegisterClient(ctx, "interop"); err != nil {
			return err
		}
	}
	authorization, err := handler.GetAuthorizationURL(ctx, state, mcpgoclient.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	back, err := s.job.browser.Walk(ctx, authorization)
	if err != nil {
		return err
	}
	answer := back.Query()
	if refusal := answer.Get("error"); refusal != "" {
		return errors.New(refusal)
	}
	if err := handler.ProcessAuthorizationResponse(ctx, answer.Get("code"), answer.Get("state"), verifier); err != nil {
		return err
	}
	return attempt()
}

func (s *mcpGoSession) list(ctx context.Context) ([]string, error) {
	result, err := s.client.ListTools(ctx, mcpgo.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func (s *mcpGoSession) call(ctx context.Context, tool string) (text string, err error) {
	err = s.authorized(ctx, func() error {
		request := mcpgo.CallToolRequest{}
		request.Params.Name = tool
		result, err := s.client.CallTool(ctx, request)
		if err != nil {
			return err
		}
		content, ok := result.Content[0].(mcpgo.TextContent)
		if !ok || result.IsError {
			return fmt.Errorf("the tool failed: %v", result.Content)
		}
		text = content.Text
		return nil
	})
	return text, err
}

func (s *mcpGoSession) close() {
	if s.client != nil {
		_ = s.client.Close() // the test is over, whatever it says
	}
}
