package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// learnIssuers takes the issuers from the metadata of the examined server, when the operator
// names none. Its word does not lead to a private address: that needs the operator's.
func (d *doctor) learnIssuers() {
	d.learned = true
	for _, server := range d.servers {
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" || fetch.HasOneReading(u.Hostname()) && !fetch.IsPrivateHost(u.Hostname()) {
			d.file.Issuers = append(d.file.Issuers, mcpauth.Issuer{URL: server})
			continue
		}
		detail := "the server that is examined names it, and its address is private, or has more than one reading"
		fix := "if it is yours, give --issuer " + foreign.BareURL(server)
		own, err := url.Parse(d.resource)
		if err == nil && fetch.IsPrivateHost(own.Hostname()) {
			d.step(stateSkipped, foreign.BareURL(server)+" is not asked", detail+": "+fix)
			continue
		}
		d.fault("private-address", foreign.BareURL(server)+" is not asked", detail, fix+"; otherwise correct Config.Issuers")
	}
}

// asServer builds the middleware that the operator's program has, and has it
// fetch metadata and keys.
func (d *doctor) asServer(ctx context.Context) {
	if len(d.file.Issuers) == 0 && len(d.servers) > 0 {
		return // each has been said not to be asked
	}
	if len(d.file.Issuers) == 0 {
		d.step(stateSkipped, "no issuer is known", "give --issuer, a file with issuers, or a server whose metadata names them")
		return
	}
	if d.file.Resource == "" {
		d.file.Resource = d.resource
	}
	config := d.file.config(d.file.Resource)
	if d.learned {
		config.Transport = fetch.GuardedTransport()
	}
	var err error
	if d.library, err = newLibrary(config); err != nil {
		for _, one := range unjoin(err) {
			d.fault("configuration", "the configuration is refused", strings.TrimPrefix(one.Error(), "mcpauth: "), "")
		}
		return
	}
	for _, i := range config.Issuers {
		if i.AllowPrivate && !onLoopback(i.URL) {
			d.step(stateNote, i.URL+" is on a private address, or may lead to one", "the program has to set Issuer.AllowPrivate, as is done here")
		}
	}
	d.ok("the configuration is complete", "tokens must carry "+d.file.Resource+" in aud: this is the string to register at the authorization server")
	if d.hasPolicy && d.file.isEmpty() {
		d.fault("no-policy", "the file has no rules", "without a policy every tool, prompt and resource is refused to everybody", "")
	}
	err = d.library.auth.Warm(ctx)
	for _, status := range d.library.auth.Issuers() {
		d.issuer(status, err)
	}
	d.unlisted(ctx)
}

// unlisted looks for scopes that clients are told to ask for and an issuer does not list. It
// need not list all (RFC 8414 section 2), and grants those that the token has.
func (d *doctor) unlisted(ctx context.Context) {
	var granted []string
	if d.hasToken && len(d.file.Scopes) > 0 {
		if decision, err := d.library.ask(ctx, d.token, initialize); err == nil && decision.Principal != nil {
			granted = decision.Principal.Scopes
		}
	}
	for _, status := range d.library.auth.Issuers() {
		var document serverMetadata
		_ = json.Unmarshal(status.Metadata, &document)
		missing := slices.DeleteFunc(slices.Clone(d.file.Scopes), func(scope string) bool {
			return slices.Contains(document.Scopes, scope) || slices.Contains(granted, scope)
		})
		if len(document.Scopes) > 0 && len(missing) > 0 {
			d.step(stateNote, "the authorization server does not list a scope that clients are told to ask for",
				"scopes_supported of "+status.URL+", which need not be complete, lacks "+quoted(missing)+": check that it can be granted")
		}
	}
}

// issuer says what the middleware has found at one authorization server.
func (d *doctor) issuer(status mcpauth.IssuerStatus, warm error) {
	if status.Metadata != nil {
		d.ok("the authorization server's metadata is there and names "+status.URL, "keys are at "+foreign.BareURL(status.JWKSURI))
		d.forClients(status.Metadata)
	}
	trouble := d.library.trouble(status.URL)
	for range 100 { // who gives up waiting does so a moment before the fetch fails
		if status.Ready || len(trouble) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		trouble = d.library.trouble(status.URL)
	}
	for _, line := range trouble {
		d.fault(line["cause"], "", line["error"], "")
	}
	if !status.Ready {
		if len(trouble) == 0 && warm != nil {
			d.fault("", "no keys of "+status.URL, strings.TrimPrefix(warm.Error(), "mcpauth: "), "")
		}
		return
	}
	d.ok("keys of "+status.URL, fmt.Sprintf("%d usable: %s", len(status.Keys), quoted(status.Keys)))
	for _, one := range unjoin(warm) {
		if one != nil && strings.Contains(one.Error(), "introspection at issuer "+status.URL+": ") {
			d.fault("introspection-endpoint", "", strings.TrimPrefix(one.Error(), "mcpauth: "), "")
		}
	}
	for _, skipped := range status.Skipped {
		if strings.HasSuffix(skipped, ": "+string(jose.ReasonPrivate)) {
			d.fault("", "a published key holds what nobody else may have", skipped,
				"have the authorization server withdraw the key, and publish the public part of a new one alone: whoever has read this one can sign in the issuer's name")
			continue
		}
		d.step(stateNote, "a key cannot be used", skipped)
	}
}

// quoted shows the first few of a list.
func quoted(list []string) string {
	const few = 8
	var b strings.Builder
	for i, one := range list {
		if i == few {
			fmt.Fprintf(&b, " and %d more", len(list)-few)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(foreign.Quote(one))
	}
	return b.String()
}

// serverMetadata is what clients need of an authorization server's document (RFC 8414 section 2).
type serverMetadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Scopes        []string `json:"scopes_supported"`
	Registration  string   `json:"registration_endpoint"`
	ClientID      bool     `json:"client_id_metadata_document_supported"`
}

// forClients looks at what clients need of the authorization server.
func (d *doctor) forClients(raw json.RawMessage) {
	var document serverMetadata
	_ = json.Unmarshal(raw, &document) // what is of another type is as good as absent
	if document.Authorization == "" || document.Token == "" {
		d.step(stateNote, "the metadata names no authorization or token endpoint", "clients that sign people in cannot use it; clients with tokens of their own can")
	}
	if document.Registration == "" && !document.ClientID {
		d.step(stateNote, "clients cannot register themselves", "neither registration_endpoint nor client_id_metadata_document_supported: register each client by hand")
	}
}
