package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// toolCall is a call of a tool, as the policy sees it.
func toolCall(name string) mcpauth.Call {
	return mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: name}
}

// opens says which tools the token opens, by the policy of the file.
func (d *doctor) opens(ctx context.Context, l *library, token string, p *mcpauth.Principal) {
	scopes := strings.Join(p.Scopes, " ")
	if scopes == "" {
		scopes = "none"
	}
	if !d.hasPolicy {
		d.ok("scopes: "+scopes, "with --policy FILE this says which tools they open")
		return
	}
	d.ok("scopes: "+scopes, "")
	var shut []string
	refusals := map[string]mcpauth.Decision{}
	for _, name := range sortedKeys(d.file.rules.Tools) {
		if strings.ContainsAny(name, "*{") {
			continue
		}
		if decision := d.calls(ctx, l, token, name); decision.Err != nil {
			shut, refusals[name] = append(shut, name), decision
		} else {
			d.open = append(d.open, name)
		}
	}
	if len(d.open) > 0 {
		d.ok("the token opens "+strings.Join(d.open, ", "), "")
	}
	if len(shut) > 0 {
		d.step(stateNote, "it does not open "+strings.Join(shut, ", "), "")
	}
	switch {
	case d.tool != "":
		if decision := d.calls(ctx, l, token, d.tool); decision.Err != nil {
			d.refused("tool "+d.tool, decision)
		} else {
			d.ok("the token opens "+d.tool, "")
		}
	case len(d.open) == 0:
		// A token that opens nothing is meant for something all the same.
		for _, name := range shut[:min(len(shut), maxTold)] {
			d.refused("tool "+name, refusals[name])
		}
	}
}

// maxTold is how many tools are explained when none was asked about.
const maxTold = 5

// calls is what the middleware decides about a call of the tool.
func (d *doctor) calls(ctx context.Context, l *library, token, tool string) mcpauth.Decision {
	decision, err := l.ask(ctx, token, callOf(tool))
	if err != nil {
		decision.Err = &mcpauth.DeniedError{Err: err}
	}
	return decision
}

// callOf is a call of a tool as a client sends it.
func callOf(tool string) string {
	name, _ := json.Marshal(tool) // a string
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(name) + `,"arguments":{}}}`
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
	if answer.challenge != "" {
		status += ", WWW-Authenticate: " + answer.challenge
	}
	bare := answer.status == http.StatusUnauthorized && parameter(answer.challenge, "error") == ""
	agreed := d.library != nil && d.Faults == 0
	switch {
	case answer.status/100 == 2 && d.shut:
		d.fault("", "it serves a token that is refused here", status,
			"compare the server's configuration with the one given here; if they are the same, its handler is not behind the middleware")
	case d.bound && answer.status == http.StatusUnauthorized && !bare:
		d.ok("it refuses the token without a proof, as it must", status)
	case answer.status == http.StatusOK:
		d.ok("it accepts the token", "")
		d.listLive(ctx)
	case answer.status == http.StatusForbidden && bytes.Contains(answer.body, []byte("invalid Host header")):
		d.fault("host-guard", "", "status 403: "+foreign.LineShort(string(answer.body), maxShown), "")
	case d.library == nil && len(d.file.Issuers) > 0:
		d.fault("", "it refuses the token", status, "correct the configuration, and the token is judged here; the cause stands in the server's log, too (Config.Logger)")
	case d.library == nil:
		d.fault("", "it refuses the token", status, "give --issuer, or a file with issuers, and it is judged here; the cause stands in the server's log, too (Config.Logger)")
	case !agreed && bare:
		d.step(stateNote, "it refuses the token"+d.too()+", or does not see it", status+"; there is no error code, as for a request without a token")
	case !agreed:
		d.step(stateNote, "it refuses the token"+d.too(), status)
	case bare:
		d.fault("no-credentials", "it sees no token", status+"; there is no error code, as for a request without a token",
			"look for a proxy that drops the Authorization header on its way to the server")
	case answer.status == http.StatusServiceUnavailable:
		d.fault("revocation", "it cannot check the token now, and keys can be fetched from here", status,
			"compare the egress rules of the server with those of this machine, and look at what Config.Revoked asks")
	case d.bound:
		d.fault("", "it does not refuse a bound token without a proof with 401", status,
			"compare the server's configuration with the one given here, and look for what answers in its place")
	default:
		d.fault("", "it refuses the token that the same configuration accepts here", status,
			"compare the server's configuration with the one given here")
	}
}

// too is said of a server that does what the middleware here has done.
func (d *doctor) too() string {
	if d.refusal {
		return ", too"
	}
	return ""
}

// maxShown bounds what is repeated of a body, in bytes.
const maxShown = 128

// listLive lists what the token may see, which needs the policy to answer.
func (d *doctor) listLive(ctx context.Context) {
	var seen, all []string
	for _, kind := range listed {
		names, err := d.live.list(ctx, d.token, kind)
		var refused *statusError
		switch {
		case errors.As(err, &refused) && refused.status == http.StatusInternalServerError:
			d.fault("policy", "", kind.method+" got status 500", "")
			return
		case err != nil && kind.method == "tools/list":
			d.step(stateNote, "it does not list its tools", err.Error())
			return
		case kind.method == "tools/list":
			seen = names
		}
		all = append(all, names...)
	}
	switch {
	case len(seen) > 0:
		d.ok("it lists tools to this token", quoted(seen))
	case len(d.open) > 0:
		d.fault("", "it lists no tool to this token", "by the file the token opens "+strings.Join(d.open, ", "),
			"have the server run with this policy: one without a policy refuses every tool to everybody")
	case len(all) > 0:
		d.step(stateNote, "it lists no tool to this token, but prompts or resources", quoted(all))
	case len(d.scopes) == 0 && !d.hasPolicy:
		d.fault("no-policy", "it lists nothing to this token, and asks for no scope", "this is how a server without a policy looks: every tool, prompt and resource is refused to everybody",
			"set Config.Policy; if there is one, give it with --policy FILE")
	default:
		d.step(stateNote, "it lists nothing to this token", "with --policy FILE this says what the token should open; a server without a policy refuses everything to everybody")
	}
}
