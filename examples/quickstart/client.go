package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// client is an MCP client of revision 2026-07-28 with nothing hidden: no
// session, no SDK, each request complete in itself.
type client struct {
	http     *http.Client
	resource string // the MCP endpoint, as the user typed it

	challenge challenge // the last one
	server    serverMetadata
	id        string // client_id
	pending   flow
	token     string
	scopes    []string // what the token has
	calls     int
}

const protocolVersion = "2026-07-28"

func newClient(resource string, transport http.RoundTripper) *client {
	return &client{resource: resource, http: &http.Client{
		Transport: transport,
		Timeout:   5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect is the authorization server's answer to us
		},
	}}
}

// toolCall is the JSON-RPC request that calls a tool.
type toolCall struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  struct {
		Name string         `json:"name"`
		Meta map[string]any `json:"_meta"`
	} `json:"params"`
}

func newToolCall(id int, tool string) (call toolCall) {
	call.Version, call.ID, call.Method = "2.0", id, "tools/call"
	call.Params.Name = tool
	call.Params.Meta = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    protocolVersion,
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}
	return call
}

// call calls a tool and returns the status and the text of the result. A
// challenge in the answer is kept.
func (c *client) call(ctx context.Context, tool string) (status int, text string, err error) {
	c.calls++
	message, err := json.Marshal(newToolCall(c.calls, tool))
	if err != nil {
		return 0, "", err
	}
	header := http.Header{
		"Content-Type":         {"application/json"},
		"Accept":               {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {protocolVersion},
		"Mcp-Method":           {"tools/call"},
		"Mcp-Name":             {tool},
	}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	response, content, err := c.send(ctx, http.MethodPost, c.resource, header, string(message))
	if err != nil {
		return 0, "", err
	}
	if field := response.Header.Get("Www-Authenticate"); field != "" {
		c.challenge = parseChallenge(field)
	}
	var answer struct {
		Result struct {
			Content []struct{ Text string }
			IsError bool
		}
	}
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(content, &answer); err != nil {
			return 0, "", fmt.Errorf("the result of %s: %w", tool, err)
		}
		if answer.Result.IsError || len(answer.Result.Content) != 1 {
			return 0, "", fmt.Errorf("%s answered %s", tool, content)
		}
		text = answer.Result.Content[0].Text
	}
	return response.StatusCode, text, nil
}

// challenge is what a WWW-Authenticate field of the Bearer scheme says (RFC
// 6750 section 3, RFC 9728 section 5.1).
type challenge struct {
	code, metadata string
	scopes         []string
}

var authParam = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

func parseChallenge(field string) (c challenge) {
	if !strings.HasPrefix(field, "Bearer ") {
		return c
	}
	for _, param := range authParam.FindAllStringSubmatch(field, -1) {
		switch param[1] {
		case "error":
			c.code = param[2]
		case "resource_metadata":
			c.metadata = param[2]
		case "scope":
			c.scopes = strings.Fields(param[2])
		}
	}
	return c
}

// serverMetadata is what the client needs of RFC 8414 metadata.
type serverMetadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Registration  string   `json:"registration_endpoint"`
	PKCE          []string `json:"code_challenge_methods_supported"`
	SendsIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// findIssuer reads the protected resource metadata. It must be about the very
// URL that the client dialled (RFC 9728 section 3.3).
func (c *client) findIssuer(ctx context.Context) (string, error) {
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	if err := c.get(ctx, c.challenge.metadata, &document); err != nil {
		return "", err
	}
	switch {
	case document.Resource != c.resource:
		return "", fmt.Errorf("the metadata is about %q, not about %q", document.Resource, c.resource)
	case len(document.Servers) == 0:
		return "", errors.New("the metadata names no authorization server")
	}
	return document.Servers[0], nil
}

// readServer reads the authorization server metadata. Its issuer must be the
// one that was asked for (RFC 8414 section 3.3).
func (c *client) readServer(ctx context.Context, issuer string) error {
	if err := c.get(ctx, issuer+"/.well-known/oauth-authorization-server", &c.server); err != nil {
		return err
	}
	switch {
	case c.server.Issuer != issuer:
		return fmt.Errorf("the metadata is that of %q, not of %q", c.server.Issuer, issuer)
	case !slices.Contains(c.server.PKCE, "S256"):
		return errors.New("the authorization server has no PKCE with S256")
	}
	return nil
}

func (c *client) get(ctx context.Context, address string, into any) error {
	return c.exchange(ctx, http.MethodGet, address, http.Header{"Accept": {"application/json"}}, "", http.StatusOK, into)
}

func (c *client) postForm(ctx context.Context, address string, form url.Values, into any) error {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	return c.exchange(ctx, http.MethodPost, address, header, form.Encode(), http.StatusOK, into)
}

// exchange sends a request and decodes the JSON of an answer that has the
// expected status.
func (c *client) exchange(ctx context.Context, method, address string, header http.Header, content string, status int, into any) error {
	response, received, err := c.send(ctx, method, address, header, content)
	switch {
	case err != nil:
		return err
	case response.StatusCode != status:
		return fmt.Errorf("%s %s: expected %d, got %s", method, address, status, response.Status)
	}
	return json.Unmarshal(received, into)
}

func (c *client) send(ctx context.Context, method, address string, header http.Header, content string) (*http.Response, []byte, error) {
	var reader io.Reader
	if content != "" {
		reader = strings.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, nil, err
	}
	request.Header = header
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	received, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response, received, err
}
