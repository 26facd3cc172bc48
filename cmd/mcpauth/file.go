package main

import (
	"errors"
	"net/url"
	"os"
	"slices"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/configfile"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// file is what --policy names: the file of the operator's program, without its secrets.
type file struct {
	mcpauth.Config
	rules    mcpauth.Rules
	hasRules bool // if only an empty object
	holders  map[string][]string
	text     *configfile.File // nil if there is none
}

// readFile reads the file of --policy. No name is an empty file.
func readFile(name string) (*file, error) {
	if name == "" {
		return &file{}, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError("--policy: %s: %w: name the file with the policy (docs/cli.md)", foreign.Quote(name), withoutName(err))
	}
	text, err := configfile.Read(name, content)
	if err != nil {
		return nil, &codedError{exitUsage, err}
	}
	f := &file{Config: text.Config, holders: text.Holders, text: text}
	f.rules, f.hasRules = text.Config.Policy.(mcpauth.Rules)
	f.SessionKey, f.OldSessionKeys = nil, nil // secrets that nobody has read
	return f, nil
}

// readClients reads the secrets with which authorization servers are asked about tokens. If one is missing, all else that is
// wrong with the configuration is told, too.
func (f *file) readClients(resource string) error {
	if f.text == nil {
		return nil
	}
	missing := f.text.ReadClientSecrets()
	if missing == nil {
		return nil
	}
	f.withoutClients()
	_, rest := mcpauth.New(f.config(resource))
	return &codedError{exitUsage, errors.Join(missing, f.located(rest))}
}

// withoutClients puts something in the place of secrets that were not read: for one who asks nobody.
func (f *file) withoutClients() {
	f.Issuers = slices.Clone(f.Issuers)
	for i := range f.Issuers {
		one := &f.Issuers[i]
		if one.Introspect == nil || one.Introspect.Tokeninfo || one.Introspect.Client.ClientID() == "" || one.Introspect.Client.Validate() == nil {
			continue
		}
		how := *one.Introspect
		how.Client = clientauth.SecretBasic(how.Client.ClientID(), "not read")
		one.Introspect = &how
	}
}

func (f *file) isEmpty() bool {
	r := &f.rules
	return len(r.Tools)+len(r.Prompts)+len(r.Resources)+len(r.Methods) == 0
}

// config makes what the operator's program has, for a resource and issuers that
// may come from the command line.
func (f *file) config(resource string) mcpauth.Config {
	c := f.Config
	c.Resource, c.Policy, c.Issuers = resource, f.rules, slices.Clone(f.Issuers)
	c.AllowInsecureLoopback = c.AllowInsecureLoopback || onLoopback(resource)
	for _, i := range c.Issuers {
		c.AllowInsecureLoopback = c.AllowInsecureLoopback || onLoopback(i.URL)
	}
	return c
}

// located says of mistakes where in the file they stand.
func (f *file) located(err error) error {
	if f.text == nil {
		return err
	}
	return f.text.Locate(err)
}

// withIssuers takes the URLs of the command line, with what the file says about
// them. One on a private address, of which it says nothing, needs Issuer.AllowPrivate in the program.
func (f *file) withIssuers(urls []string) {
	if len(urls) == 0 {
		return
	}
	known := map[string]mcpauth.Issuer{}
	for _, i := range f.Issuers {
		known[i.URL] = i
	}
	f.Issuers = nil
	for _, u := range urls {
		i, given := known[u]
		if parsed, err := url.Parse(u); err == nil && !given {
			i.AllowPrivate = fetch.IsPrivateHost(parsed.Hostname()) // whoever names it means it
		}
		i.URL, i.Unlisted = u, false // it may be the only one
		f.Issuers = append(f.Issuers, i)
	}
}

// onLoopback reports whether plain http is for this machine alone.
func onLoopback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "http" && fetch.IsLoopbackHost(u.Hostname())
}
