package mcpauthtest

import (
	"encoding/json"
	"slices"
)

// documents are what the issuer publishes, and what it publishes instead.
type documents struct {
	metadata    map[string]any
	rendered    string // metadata as JSON
	jwksURI     string // what metadata says
	rawMetadata string // instead of rendered
	rawKeySet   string // instead of the rendered keys
}

// PublishMetadata edits the metadata document: it calls change once, at once,
// with the document as it is, and publishes what it then holds. Edits add up; a
// nil change returns to the beginning. The key set is served at jwks_uri
// wherever that points, also on another host when asked through
// [Issuer.Transport].
//
//	issuer.PublishMetadata(func(m map[string]any) { delete(m, "jwks_uri") })
func (i *Issuer) PublishMetadata(change func(metadata map[string]any)) {
	i.tb.Helper()
	i.edit.Lock()
	defer i.edit.Unlock()
	metadata := i.documents.metadata
	if change == nil {
		metadata = i.defaultMetadata()
	} else {
		change(metadata)
	}
	rendered, err := json.Marshal(metadata)
	if err != nil {
		i.tb.Fatalf("mcpauthtest: the metadata cannot be rendered: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.documents.metadata, i.documents.rendered = metadata, string(rendered)
	i.documents.jwksURI, _ = metadata["jwks_uri"].(string)
}

// defaultMetadata has the members that RFC 8414 section 2 and OpenID Connect
// Discovery section 3 require, and those that MCP clients look for.
func (i *Issuer) defaultMetadata() map[string]any {
	base := i.origin + i.path
	return map[string]any{
		"issuer":                                i.url,
		"authorization_endpoint":                base + "/authorize",
		"token_endpoint":                        base + tokenPlace,
		"jwks_uri":                              base + jwksPlace,
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "client_credentials", exchangeGrant},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none", "private_key_jwt", "client_secret_basic", "client_secret_post"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}
}

// PublishMetadataRaw publishes this text in place of the metadata document; ""
// undoes it.
func (i *Issuer) PublishMetadataRaw(raw string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.documents.rawMetadata = raw
}

// PublishKeySet publishes this text in place of the JWK Set; "" undoes it.
// Tokens are signed as before.
func (i *Issuer) PublishKeySet(raw string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.documents.rawKeySet = raw
}

// ServeOnly makes the metadata answer at these paths, such as
// "/.well-known/openid-configuration/tenant1", and 404 everywhere else. At
// first it answers in the three places in which RFC 8414 section 3.1 and OpenID
// Connect Discovery section 4 have clients look.
func (i *Issuer) ServeOnly(paths ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.places = slices.Clone(paths)
}

// keySet must be called with mu held.
func (i *Issuer) keySet() string {
	if i.documents.rawKeySet != "" {
		return i.documents.rawKeySet
	}
	keys := make([]map[string]any, len(i.keys))
	for n, key := range i.keys {
		keys[n] = key.JWK()
	}
	set, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic("mcpauthtest: " + err.Error()) // strings always marshal
	}
	return string(set)
}

// metadata must be called with mu held.
func (i *Issuer) metadata() string {
	if i.documents.rawMetadata != "" {
		return i.documents.rawMetadata
	}
	return i.documents.rendered
}
