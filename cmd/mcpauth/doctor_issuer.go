package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// serverMetadata is what matters of an authorization server's document (RFC 8414 section 2).
type serverMetadata struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	PKCE          []string `json:"code_challenge_methods_supported"`
	Scopes        []string `json:"scopes_supported"`
	Registration  string   `json:"registration_endpoint"`
	ClientID      bool     `json:"client_id_metadata_document_supported"`
}

const maxDocument = 1 << 20

// classCauses are the causes of failed fetches.
var classCauses = map[fetch.Class]string{
	fetch.Network: "fetch-network", fetch.TimedOut: "fetch-timeout", fetch.DialRefused: "private-address",
	fetch.Redirect: "fetch-redirect", fetch.BadStatus: "fetch-status", fetch.TooLarge: "fetch-too-large",
}

// fetchCause names the cause of a failed fetch; a 404 of metadata means
// another thing than a 503.
func fetchCause(err error, metadata bool) string {
	var failure *fetch.Error
	if !errors.As(err, &failure) {
		return "fetch-network"
	}
	if metadata && failure.Class == fetch.BadStatus && strings.Contains(failure.Err.Error(), "404") {
		return "metadata-not-found"
	}
	return classCauses[failure.Class]
}

// places are where metadata may stand (RFC 8414 section 3.1, OpenID Connect Discovery section 4).
func places(issuer *url.URL) []string {
	origin, path := issuer.Scheme+"://"+issuer.Host, strings.TrimSuffix(issuer.EscapedPath(), "/")
	all := []string{origin + "/.well-known/oauth-authorization-server" + path, origin + "/.well-known/openid-configuration" + path}
	if path != "" {
		all = append(all, origin+path+"/.well-known/openid-configuration")
	}
	return all
}

// walkIssuer fetches metadata and keys as the resource server does, and says at
// which step it fails.
func (d *doctor) walkIssuer(ctx context.Context, issuer fileIssuer) {
	u, err := url.Parse(issuer.URL)
	if err != nil || u.Host == "" {
		d.fault("", fmt.Sprintf("the issuer %q is no URL", issuer.URL), "", "write it as it stands in iss")
		return
	}
	if strings.Contains(u.Path, "/.well-known/") {
		d.fault("issuer-metadata-url", "", issuer.URL, "")
		return
	}
	jwksURI := issuer.JWKSURI
	if jwksURI == "" {
		document, ok := d.discover(ctx, issuer, u)
		if !ok {
			d.broken++
			return
		}
		jwksURI = document.JWKSURI
		d.forClients(document)
	}
	if at, err := url.Parse(jwksURI); err != nil || at.Scheme != "https" && !(at.Scheme == "http" && onLoopback(issuer.URL) && fetch.IsLoopbackHost(at.Hostname())) {
		d.fault("insecure-url", "", "jwks_uri is "+jwksURI, "")
		return
	}
	d.keySet(ctx, issuer, jwksURI)
}

func (d *doctor) fetch(ctx context.Context, issuer fileIssuer, at string) (*fetch.Response, error) {
	// Only a URL that a document of a public issuer names must not lead inside.
	learned := !strings.Contains(at, "/.well-known/") && at != issuer.JWKSURI
	u, err := url.Parse(issuer.URL)
	guarded := learned && !issuer.AllowPrivate && err == nil && !fetch.IsPrivateHost(u.Hostname())
	return fetch.New(nil).Get(ctx, fetch.Request{URL: at, Limit: maxDocument, Guarded: guarded})
}

// discover tries the well-known places. When none has a document, the failure
// that says most is reported: a document that is wrong before one that is missing.
func (d *doctor) discover(ctx context.Context, issuer fileIssuer, u *url.URL) (document serverMetadata, ok bool) {
	cause, detail := "", ""
	for _, at := range places(u) {
		found, why, text := d.readMetadata(ctx, issuer, at)
		if why == "" {
			d.ok("the authorization server's metadata is there and names "+issuer.URL, at)
			return found, true
		}
		if cause == "" || cause == "metadata-not-found" {
			cause, detail = why, text
		}
		if why == "fetch-timeout" {
			break // whoever drops this request drops the next
		}
	}
	d.fault(cause, "", detail, "")
	return document, false
}

func (d *doctor) readMetadata(ctx context.Context, issuer fileIssuer, at string) (document serverMetadata, cause, detail string) {
	response, err := d.fetch(ctx, issuer, at)
	if err != nil {
		return document, fetchCause(err, true), err.Error()
	}
	if mediaType, _, _ := mime.ParseMediaType(response.ContentType); !strings.HasSuffix(mediaType, "json") {
		return document, "metadata-not-json", at + " is " + response.ContentType
	}
	if err := json.Unmarshal(response.Body, &document); err != nil {
		return document, "metadata-malformed", at + ": " + err.Error()
	}
	switch {
	case document.Issuer != issuer.URL && strings.Contains(document.Issuer, "{"):
		return document, "metadata-issuer-template", fmt.Sprintf("the document says %q, configured is %q", document.Issuer, issuer.URL)
	case strings.TrimSuffix(document.Issuer, "/") == strings.TrimSuffix(issuer.URL, "/") && document.Issuer != issuer.URL:
		return document, "issuer-slash", fmt.Sprintf("the document says %q, configured is %q", document.Issuer, issuer.URL)
	case document.Issuer != issuer.URL:
		return document, "metadata-issuer", fmt.Sprintf("the document says %q, configured is %q", document.Issuer, issuer.URL)
	case document.JWKSURI == "":
		return document, "metadata-no-keys", at
	}
	return document, "", ""
}

// forClients looks at what clients need of the authorization server.
func (d *doctor) forClients(document serverMetadata) {
	if len(document.PKCE) == 0 {
		d.fault("metadata-no-pkce", "", "", "")
	}
	if document.Authorization == "" || document.Token == "" {
		d.step(stateNote, "the metadata names no authorization or token endpoint", "clients that sign people in cannot use it; clients with tokens of their own can")
	}
	if document.Registration == "" && !document.ClientID {
		d.step(stateNote, "clients cannot register themselves", "neither registration_endpoint nor client_id_metadata_document_supported: register each client by hand")
	}
}

func (d *doctor) keySet(ctx context.Context, issuer fileIssuer, at string) {
	response, err := d.fetch(ctx, issuer, at)
	if err != nil {
		d.keyErr = err.Error()
		d.fault(fetchCause(err, false), "", err.Error(), "")
		return
	}
	keys, skipped, err := jose.ParseSet(response.Body)
	switch {
	case errors.Is(err, jose.ErrNoUsableKeys):
		d.keyErr = "no usable key"
		d.fault("keys-none", "", fmt.Sprintf("%s has %d keys that cannot be used", at, len(skipped)), "")
	case err != nil:
		d.keyErr = err.Error()
		d.fault("keys-not-json", "", at+": "+err.Error(), "")
	default:
		d.ok("the key set is there", fmt.Sprintf("%s: %d usable, %d skipped", at, len(keys), len(skipped)))
	}
}
