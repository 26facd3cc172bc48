package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// examineToken asks the middleware what it makes of the token. The token's text
// is never shown; of its claims only those that decide are.
func (d *doctor) examineToken(ctx context.Context) {
	if d.library == nil {
		d.step(stateSkipped, "the token is not looked at: there is no configuration to judge it by", "")
		return
	}
	decision, err := d.library.ask(ctx, d.token, initialize)
	if err != nil {
		d.fault("", "the middleware gives no answer", err.Error(), "")
		return
	}
	if decision.Err == nil {
		d.accepted(ctx, d.library, d.token, decision.Principal, decision.KeyID)
		return
	}
	if d.bound = decision.Cause == boundAsBearer; d.bound {
		d.shut = true
		d.step(stateNote, "the token is bound to a key, and good with a proof by that key", "nobody without the key can use it, nor can the doctor: what it opens is not looked at")
		return
	}
	if errors.Is(decision.Err, mcpauth.ErrUnavailable) && d.issuerFails {
		d.step(stateNote, "the token cannot be checked to its end: there are no keys", reasonOf(decision))
		return
	}
	d.refusal = true
	d.refused("", decision)
	d.shut = !errors.Is(decision.Err, mcpauth.ErrUnavailable)
	if errors.Is(decision.Err, mcpauth.ErrExpired) || errors.Is(decision.Err, mcpauth.ErrNotYetValid) {
		d.asIfFresh(ctx)
	}
}

// boundAsBearer is the cause of the refusal of a token that is good but for the proof, which the doctor cannot make.
const boundAsBearer = "bound-as-bearer"

// accepted tells who the caller is, and what the token opens.
func (d *doctor) accepted(ctx context.Context, l *library, token string, p *mcpauth.Principal, kid string) {
	client := ""
	if p.ClientID != "" {
		client = ", client " + p.ClientID
	}
	d.ok("this resource server accepts the token", "the caller is "+p.Subject+" of "+p.Issuer+client)
	key := "it names no key"
	if kid != "" {
		key = "kid " + kid
	}
	var claims map[string]any
	_ = p.Claims(&claims) // verified: they are there
	d.ok("what decides", fmt.Sprintf("aud %s; %s; valid for another %s; its claims: %s",
		quoted(p.Audiences), key, time.Until(p.Expiry).Round(time.Minute), strings.Join(sortedKeys(claims), ", ")))
	d.opens(ctx, l, token, p)
}

// refused adds the fault for which the middleware refuses.
func (d *doctor) refused(about string, decision mcpauth.Decision) {
	detail := reasonOf(decision)
	if decision.Detail != "" {
		detail += "; " + decision.Detail
	}
	title := ""
	if about != "" {
		title = about + ": " + means(decision.Cause)
	}
	d.fault(decision.Cause, title, detail, decision.Fix)
}

func reasonOf(decision mcpauth.Decision) string {
	return strings.TrimPrefix(decision.Err.Error(), "mcpauth: ")
}
