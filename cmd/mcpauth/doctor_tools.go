package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
)

// toolCall is a call of a tool, as the policy sees it.
func toolCall(name string) mcpauth.Call {
	return mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: name}
}

// opens says which tools the token opens, by the policy of the file.
func (d *doctor) opens(ctx context.Context, p *mcpauth.Principal, claims map[string]any) {
	scopes := strings.Join(p.Scopes, " ")
	if scopes == "" {
		scopes = "none"
	}
	if !d.hasPolicy {
		d.ok("scopes: "+scopes, "with --policy FILE this says which tools they open")
		return
	}
	d.ok("scopes: "+scopes, "")
	var open, shut []string
	for _, name := range sortedKeys(d.file.Rules.Tools) {
		if strings.ContainsAny(name, "*{") {
			continue
		}
		if d.auth.Authorize(ctx, p, toolCall(name)) == nil {
			open = append(open, name)
		} else {
			shut = append(shut, name)
		}
	}
	if len(open) > 0 {
		d.ok("the token opens "+strings.Join(open, ", "), "")
	}
	if len(shut) > 0 {
		d.step(stateNote, "it does not open "+strings.Join(shut, ", "), "")
	}
	switch {
	case d.tool != "":
		d.tellTool(ctx, p, claims, d.tool)
	case len(open) == 0:
		// A token that opens nothing is meant for something all the same.
		for _, name := range shut[:min(len(shut), maxTold)] {
			d.tellTool(ctx, p, claims, name)
		}
	}
}

// maxTold is how many tools are explained when none was asked about.
const maxTold = 5

// tellTool explains the decision about a tool.
func (d *doctor) tellTool(ctx context.Context, p *mcpauth.Principal, claims map[string]any, name string) {
	err := d.auth.Authorize(ctx, p, toolCall(name))
	switch {
	case err == nil:
		d.ok("the token opens "+name, "")
	case errors.Is(err, mcpauth.ErrInsufficientScope):
		d.tellScopes(err, p, claims, name)
	default:
		d.found("tool "+name, explain.Rule("tool", name, sortedKeys(d.file.Rules.Tools)))
	}
}

// tellScopes looks for the missing scopes in the rest of the token.
func (d *doctor) tellScopes(err error, p *mcpauth.Principal, claims map[string]any, name string) {
	var denied *mcpauth.DeniedError
	if !errors.As(err, &denied) || len(denied.Scopes) == 0 {
		d.fault("no-rule", "", strings.TrimPrefix(err.Error(), "mcpauth: "), "")
		return
	}
	missing := slices.DeleteFunc(slices.Clone(denied.Scopes), p.HasScope)
	d.found("tool "+name, explain.Scopes(missing, p.Scopes, claims))
}

// tryLive presents the token to the running server. Where that answers
// otherwise than the middleware here, something lies between the two.
func (d *doctor) tryLive(ctx context.Context) {
	d.section = "the running server"
	answer, err := d.live.post(ctx, d.token, initialize)
	if err != nil {
		d.fault("", "the endpoint cannot be reached with the token", connectionError(err), "look for a proxy that refuses long headers")
		return
	}
	status := fmt.Sprintf("status %d", answer.status)
	agreed := d.auth != nil && d.Faults == 0
	switch {
	case answer.status == http.StatusOK:
		d.ok("it accepts the token", "")
		d.listLive(ctx)
	case !agreed:
		d.step(stateNote, "it refuses the token, too", status)
	case answer.status == http.StatusUnauthorized && parameter(answer.challenge, "error") == "":
		d.fault("no-credentials", "it sees no token", status+" without an error code, as for a request without a token",
			"look for a proxy that drops the Authorization header on its way to the server")
	case answer.status == http.StatusServiceUnavailable:
		d.fault("revocation", "it cannot check the token now, and keys can be fetched from here", status,
			"compare the egress rules of the server with those of this machine, and look at what Config.Revoked asks")
	default:
		d.fault("", "it refuses the token that the same configuration accepts here", status+", "+parameter(answer.challenge, "error_description"),
			"compare the server's configuration with the one given here")
	}
}

// listLive lists tools, which needs the policy to answer.
func (d *doctor) listLive(ctx context.Context) {
	names, err := d.live.tools(ctx, d.token)
	var refused *statusError
	switch {
	case err == nil && len(names) > 0:
		d.ok("it lists tools to this token", strings.Join(names, ", "))
	case err == nil:
		d.step(stateNote, "it lists no tool to this token", "")
	case errors.As(err, &refused) && refused.status == http.StatusInternalServerError:
		d.fault("policy", "", "tools/list got status 500", "")
	}
}
