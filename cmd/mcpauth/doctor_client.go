package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// asClient goes the way of a client: a request without a token, the challenge,
// the metadata. It reports whether anybody answered.
func (d *doctor) asClient(ctx context.Context) bool {
	bare, err := d.live.post(ctx, "", initialize)
	if err != nil {
		d.Unreachable = true
		d.fault("", "the endpoint cannot be reached", connectionError(err), "check name, port, TLS certificate and whether the server runs")
		return false
	}
	d.challenge(bare)
	d.metadata(ctx, bare)
	if d.origin != "" {
		d.browser(ctx)
	}
	return true
}

// connectionError leaves out the URL, which is known, around the cause.
func connectionError(err error) string {
	var around *url.Error
	if errors.As(err, &around) {
		return around.Err.Error()
	}
	return err.Error()
}

func (d *doctor) challenge(bare *reply) {
	switch {
	case bare.status >= 200 && bare.status < 300:
		d.fault("", "a request without a token is served", fmt.Sprintf("status %d", bare.status),
			"wrap the handler: nothing protects it at this URL")
	case bare.status >= 300 && bare.status < 400:
		d.fault("", "the endpoint redirects", fmt.Sprintf("status %d to %s", bare.status, bare.header.Get("Location")),
			"dial the URL at the end of the redirect, and set Config.Resource to it: clients drop the token on the way")
	case bare.status != http.StatusUnauthorized:
		d.fault("", "a request without a token is not answered with 401", fmt.Sprintf("status %d", bare.status),
			"look at what stands in front of the handler: a proxy, a mux, another middleware")
	case !strings.Contains(bare.challenge, "resource_metadata="):
		d.fault("", "the challenge does not point to the metadata", "WWW-Authenticate: "+bare.challenge,
			"look for a proxy that removes or replaces WWW-Authenticate")
	default:
		d.ok("a request without a token is challenged", "WWW-Authenticate: "+bare.challenge)
	}
}

// metadataURL is where RFC 9728 section 3.1 puts the document.
func metadataURL(resource string) string {
	u, _ := url.Parse(resource)
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	at := u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + path
	if u.RawQuery != "" {
		at += "?" + u.RawQuery
	}
	return at
}

func (d *doctor) metadata(ctx context.Context, bare *reply) {
	at := metadataURL(d.resource)
	answer, err := d.live.get(ctx, at)
	if err != nil {
		d.fault("metadata-not-routed", "", at+": "+connectionError(err), "")
		return
	}
	if answer.status != http.StatusOK {
		if named := parameter(bare.challenge, "resource_metadata"); named != "" && named != at {
			d.fault("resource-dialed", "", fmt.Sprintf("%s got %d; the server says that its metadata stands at %s", at, answer.status, named), "")
			return
		}
		d.fault("metadata-not-routed", "", fmt.Sprintf("%s got %d", at, answer.status), "")
		return
	}
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if err := json.Unmarshal(answer.body, &document); err != nil {
		d.fault("metadata-not-routed", "what stands at the well-known path is not the metadata", at, "")
		return
	}
	d.servers, d.scopes = document.Servers, document.Scopes
	if document.Resource != d.resource {
		d.fault("resource-dialed", "", fmt.Sprintf("the metadata says %q, dialed was %q", document.Resource, d.resource), "")
	} else {
		d.ok("the metadata is there and names this resource", at)
		if named := parameter(bare.challenge, "resource_metadata"); named != "" && named != at {
			d.namedPlace(ctx, named, at)
		}
	}
	switch {
	case len(document.Servers) == 0:
		d.fault("", "the metadata names no authorization server", at, "list the issuers in Config.Issuers")
	default:
		d.compareIssuers(document.Servers)
	}
}

// namedPlace looks where the challenge sends clients, if that is not the well-known place
// of the resource. The examined server's word leads to no private address but its own.
func (d *doctor) namedPlace(ctx context.Context, named, at string) {
	there := d.live
	own, _ := url.Parse(d.resource)
	if u, err := url.Parse(named); err != nil || !fetch.SameOrigin(u, own) {
		there = newLive(d.resource)
		there.client.Transport = fetch.GuardedTransport()
	}
	detail := named + ", and not " + at
	answer, err := there.get(ctx, named)
	if err == nil {
		var document struct {
			Resource string `json:"resource"`
		}
		if answer.status == http.StatusOK && json.Unmarshal(answer.body, &document) == nil && document.Resource == d.resource {
			return
		}
		detail += fmt.Sprintf(": status %d", answer.status)
	} else {
		detail += ": " + connectionError(err)
	}
	d.fault("", "the challenge names a place where the metadata of this resource is not", detail,
		"clients go there first: look for a proxy that changes WWW-Authenticate, or for a scheme, host or path that only the server sees")
}

// apart says how two issuers differ, neither of which stands in a token.
var apart = map[string]string{
	"issuer-slash":         "the two differ only by the slash at the end",
	"issuer-scheme":        "the two differ only by http and https",
	"issuer-host":          "it names the same path on another host or port",
	"issuer-path":          "it names another realm or tenant of the same host",
	"issuer-entra-version": "the two are those of both versions of the Microsoft identity platform",
	"issuer-metadata-url":  "it names the URL of a metadata document",
	"issuer-unknown":       "it names others",
}

// compareIssuers holds the issuers that the operator has in mind against those
// of the metadata.
func (d *doctor) compareIssuers(servers []string) {
	wanted := d.issuers
	if len(wanted) == 0 {
		for _, i := range d.file.Issuers {
			wanted = append(wanted, i.URL)
		}
	}
	for _, issuer := range wanted {
		unlisted := func(i mcpauth.Issuer) bool { return i.URL == issuer && i.Unlisted }
		if !slices.Contains(servers, issuer) && !slices.ContainsFunc(d.file.Issuers, unlisted) {
			cause, fix := explain.Issuer(issuer, servers).Cause, ""
			if cause == "issuer-unknown" {
				fix = "add the issuer to Config.Issuers of the server, or give one that the metadata names"
			}
			d.fault(cause, "the metadata does not name the issuer "+issuer+": "+apart[cause],
				"given is "+foreign.Quote(issuer)+", the metadata names "+quoted(servers), fix)
			return
		}
	}
	d.ok("the metadata names the authorization servers", strings.Join(servers, ", "))
}

// parameter finds an auth-param in a challenge, as lenient clients do.
func parameter(challenge, name string) string {
	_, rest, ok := strings.Cut(challenge, name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// browser asks as a web page of the origin would.
func (d *doctor) browser(ctx context.Context) {
	answer, err := d.live.post(ctx, "", initialize, "Origin", d.origin)
	switch {
	case err != nil:
		d.fault("", "no answer to a browser's request", connectionError(err), "")
	case answer.header.Get("Access-Control-Allow-Origin") != d.origin:
		d.fault("origin", "", fmt.Sprintf("Origin %s got status %d without Access-Control-Allow-Origin", d.origin, answer.status), "")
	case !strings.Contains(strings.ToLower(answer.header.Get("Access-Control-Expose-Headers")), "www-authenticate"):
		d.fault("", "the page cannot read the challenge", "Access-Control-Expose-Headers lacks WWW-Authenticate", "expose it; mcpauth does, so look for a proxy that sets CORS headers of its own")
	default:
		d.ok("a page of "+d.origin+" may call and read the challenge", "")
	}
}
