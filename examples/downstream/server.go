package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// service is what the authorization server knows the MCP server as.
const service = "records-desk"

// The scopes of the MCP server. They are not those of the API behind it.
const (
	useDesk    = "desk:use"
	changeDesk = "desk:change"
)

// desk is an MCP server whose tools read and change records that another API has. It never sees
// a token of its callers, and the API never gets one.
type desk struct {
	api       string
	exchanger *onbehalf.Exchanger
	exported  chan export
}

func newDesk(at stage.Stage, api, secret string) (*desk, error) {
	exchanger, err := onbehalf.New(onbehalf.Config{
		Issuer: at.Issuer,
		Client: clientauth.SecretBasic(service, secret),
		Targets: map[string]onbehalf.Target{
			"records": {Audience: api, URL: api, Scopes: []string{recordsRead}, Consent: consentAt(at.Issuer, api)},
			// The authorization server gives out no token for this if the caller's has not changeDesk.
			"changes": {Audience: api, URL: api, Scopes: []string{recordsRead, recordsWrite}, StepUp: []string{changeDesk}, Consent: consentAt(at.Issuer, api)},
		},
		Logger: at.Log,

		AllowInsecureLoopback: true, // for this story only
	})
	return &desk{api: api, exchanger: exchanger, exported: make(chan export, 1)}, err
}

// consentAt names the page on which a user agrees. It signs its visitor in: the URL says nothing of who that is.
func consentAt(issuer, api string) func(context.Context, *onbehalf.Error) (string, error) {
	return func(context.Context, *onbehalf.Error) (string, error) {
		return issuer + login.ConsentPath + "?api=" + url.QueryEscape(api), nil
	}
}

func policy() mcpauth.Rules {
	return mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes(useDesk)}}
}

// protect is the MCP server with its gate. For change_record the token is exchanged before the tool runs: what is
// missing is then a 403 that names all scopes, and an outage a 503.
func (d *desk) protect(at stage.Stage, rules mcpauth.Policy) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: at.Resource,
		Issuers:  []mcpauth.Issuer{{URL: at.Issuer, AllowTokenExchange: true}},
		Policy:   d.exchanger.Policy(rules, map[string]string{"change_record": "changes"}),
		Scopes:   []string{useDesk},
		Logger:   at.Log,

		AllowInsecureLoopback: true, // for this story only
	})
	if err != nil {
		return nil, err
	}
	s := server.NewMCPServer("desk", "1.0.0")
	s.AddTool(mcp.NewTool("read_records", mcp.WithDescription("The records of the user")), d.read)
	s.AddTool(mcp.NewTool("change_record", mcp.WithDescription("Add a record"), mcp.WithString("record")), d.change)
	s.AddTool(mcp.NewTool("export_records", mcp.WithDescription("Export all records, which takes a while")), d.export)
	return auth.Wrap(server.NewStreamableHTTPServer(s, server.WithStateLess(true))), nil
}

func (d *desk) read(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return d.result(ctx)(d.exchanger.Client(ctx, "records").Get(d.api))
}

func (d *desk) change(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	form := url.Values{"record": {request.GetString("record", "")}}
	return d.result(ctx)(d.exchanger.Client(ctx, "changes").PostForm(d.api, form))
}

// export goes on when its request is over. It has to take its token before: a source remembers the last one.
func (d *desk) export(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	source := d.exchanger.Source(ctx, "records")
	if _, err := source.Token(); err != nil {
		return d.failed(ctx, err)
	}
	go func() {
		<-ctx.Done() // the call has been answered
		var done export
		_, done.late = d.exchanger.Token(ctx, "records")
		client := &http.Client{Transport: &oauth2.Transport{Source: source}} // for this API only: it adds the token to any request
		done.records, done.err = texts(client.Get(d.api))
		select {
		case d.exported <- done:
		default: // nobody waits for the one before
		}
	}()
	return mcp.NewToolResultText("the export has begun"), nil
}

// export is what has become of one.
type export struct {
	records []string
	err     error
	late    error // of who asks for a token when the request is over
}

// result makes a tool's result of the API's answer.
func (d *desk) result(ctx context.Context) func(*http.Response, error) (*mcp.CallToolResult, error) {
	return func(response *http.Response, err error) (*mcp.CallToolResult, error) {
		found, err := texts(response, err)
		if err != nil {
			return d.failed(ctx, err)
		}
		return mcp.NewToolResultText(strings.Join(found, ", ")), nil
	}
}

func texts(response *http.Response, err error) (found []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API answers %s", response.Status)
	}
	return found, json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&found)
}

// failed makes of an error what the client can act on: a page to open, or words.
func (d *desk) failed(ctx context.Context, err error) (*mcp.CallToolResult, error) {
	if !errors.As(err, new(*onbehalf.Error)) {
		return mcp.NewToolResultError("the records cannot be reached"), nil
	}
	answer := d.exchanger.Answer(ctx, err, false)
	if answer.Form == onbehalf.InputRequired {
		return server.NewInputRequestBuilder("").Elicit("consent", mcp.ElicitationParams{
			Mode: mcp.ElicitationModeURL, Message: answer.Text, URL: answer.URL,
		}).ToolResult(), nil
	}
	return mcp.ParseCallToolResult(&answer.JSON)
}
