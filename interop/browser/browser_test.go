package browser

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// client is the go-sdk's client. When it needs a token it sends a person to
// the authorization page, and waits for them to come back.
type client struct {
	session *mcp.ClientSession
	tokens  atomic.Int32 // requests for a token
}

// RoundTrip counts the requests for tokens.
func (c *client) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		c.tokens.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// connect registers the client and connects it. The person makes these
// choices, one at each visit to the authorization server.
func connect(t *testing.T, w *world, p *person, name string, choices ...choice) (*client, error) {
	t.Helper()
	c, visits := &client{}, 0
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "notes reader", RedirectURIs: []string{p.redirectURL()},
			TokenEndpointAuthMethod: "none",
		}},
		RedirectURL: p.redirectURL(),
		Client:      &http.Client{Transport: c},
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			if visits >= len(choices) {
				return nil, errors.New("one visit too many")
			}
			visits++
			answer, err := p.visit(args.URL, name+"-"+string(rune('0'+visits)), choices[visits-1])
			if err != nil {
				return nil, err
			}
			if code := answer.Get("error"); code != "" {
				return nil, errors.New(code)
			}
			return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
		},
	})
	require.NoError(t, err)
	transport := &mcp.StreamableClientTransport{Endpoint: w.resource, OAuthHandler: handler, DisableStandaloneSSE: true}
	c.session, err = mcp.NewClient(&mcp.Implementation{Name: "notes reader", Version: "1.0.0"}, nil).Connect(t.Context(), transport, nil)
	if err == nil {
		t.Cleanup(func() { _ = c.session.Close() })
	}
	t.Cleanup(func() { assert.Equal(t, len(choices), visits, "visits to the authorization server") })
	return c, err
}

// call calls a tool and returns its text.
func (c *client) call(t *testing.T, tool string) (string, error) {
	t.Helper()
	result, err := c.session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil {
		return "", err
	}
	require.False(t, result.IsError)
	require.Len(t, result.Content, 1)
	return result.Content[0].(*mcp.TextContent).Text, nil
}

// A person who says yes twice: to reading, and later to writing as well. Each
// page asks for what the challenge named.
func TestApproves_CHAL_02(t *testing.T) {
	p, w := newPerson(t), newWorld(t)
	c, err := connect(t, w, p, "approves", signInAndApprove, approve)
	require.NoError(t, err)

	text, err := c.call(t, "read_notes")
	require.NoError(t, err)
	assert.Equal(t, "read_notes for alice", text)
	require.Len(t, p.consents, 1)
	assert.Contains(t, p.consents[0], w.resource)
	assert.Contains(t, p.consents[0], "notes:read")
	assert.NotContains(t, p.consents[0], "notes:write")

	text, err = c.call(t, "write_notes")
	require.NoError(t, err)
	assert.Equal(t, "write_notes for alice", text)
	require.Len(t, p.consents, 2)
	assert.Contains(t, p.consents[1], "notes:write")

	_, err = c.call(t, "read_notes")
	require.NoError(t, err, "the new token does what the old one did")
	assert.Equal(t, []string{"read_notes for alice", "write_notes for alice", "read_notes for alice"}, w.ran())
	assert.EqualValues(t, 2, c.tokens.Load())
}

// A person who says no at the first opportunity gets no client connected, and
// nothing of the server runs. The go-sdk asks twice: it begins as a client of
// 2026-07-28, takes the refusal for a server that is older, and begins again.
func TestDenies(t *testing.T) {
	for name, choices := range map[string][]choice{"denies": {signInAndDeny, deny}, "leaves": {leave, leave}} {
		t.Run(name, func(t *testing.T) {
			p, w := newPerson(t), newWorld(t)
			c, err := connect(t, w, p, name, choices...)
			require.ErrorContains(t, err, "access_denied")
			assert.Zero(t, c.tokens.Load(), "requests for a token")
			assert.Empty(t, w.ran())
		})
	}
}

// A person who says no to more keeps what they have said yes to.
func TestDeniesMore(t *testing.T) {
	p, w := newPerson(t), newWorld(t)
	c, err := connect(t, w, p, "denies-more", signInAndApprove, deny)
	require.NoError(t, err)
	_, err = c.call(t, "write_notes")
	require.ErrorContains(t, err, "access_denied")
	assert.Empty(t, w.ran())

	text, err := c.call(t, "read_notes")
	require.NoError(t, err)
	assert.Equal(t, "read_notes for alice", text)
	assert.EqualValues(t, 1, c.tokens.Load())
}
