package mcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// maxMetadata bounds an authorization server's metadata document, in bytes.
const maxMetadata = 256 << 10

// serverMetadata is what a metadata document says that matters here.
type serverMetadata struct {
	raw     json.RawMessage
	jwksURI string
	keys    *remote[*keySet] // what stands at jwksURI
	pkce    bool             // code_challenge_methods_supported is there
}

// Failures of discovery that are not failures to fetch.
var (
	errIssuerMismatch = errors.New("issuer_mismatch")
	errContentType    = errors.New("bad_content_type")
	errBadMetadata    = errors.New("bad_metadata")
	errNoJWKSURI      = errors.New("no_jwks_uri")
	errInsecureURL    = errors.New("insecure_url")
)

// wellKnown lists where the metadata of an issuer may stand, in the order in
// which MCP has clients try: RFC 8414 section 3.1, then OpenID Connect Discovery
// with the well-known part inserted, then appended.
func wellKnown(issuer *url.URL) []string {
	origin := issuer.Scheme + "://" + issuer.Host
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	urls := []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + "/.well-known/openid-configuration" + path,
	}
	if path != "" {
		urls = append(urls, origin+path+"/.well-known/openid-configuration")
	}
	return urls
}

// discover fetches the issuer's metadata. The first document that is one wins;
// an issuer that is not byte-equal makes a document none.
func (s *issuer) discover(ctx context.Context, previous *loaded[serverMetadata]) (*loaded[serverMetadata], error) {
	var errs []error
	for _, location := range wellKnown(s.parsed) {
		resp, err := s.client.Get(ctx, fetch.Request{URL: location, Limit: maxMetadata})
		if err != nil {
			errs = append(errs, &metadataError{err})
			continue
		}
		doc, err := s.readMetadata(resp)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", shownURL(location), err))
			continue
		}
		s.locateKeys(&doc, previous)
		if previous == nil && !doc.pkce {
			s.log.Warn("mcpauth: the authorization server does not announce PKCE (code_challenge_methods_supported): MCP clients will refuse it",
				"issuer", s.url, "cause", "metadata-no-pkce", "fix", explain.Finding{Cause: "metadata-no-pkce"}.Fix())
		}
		return &loaded[serverMetadata]{value: doc, lifetime: resp.Lifetime}, nil
	}
	return nil, errors.Join(errs...)
}

func (s *issuer) readMetadata(resp *fetch.Response) (doc serverMetadata, err error) {
	mediaType, _, err := mime.ParseMediaType(resp.ContentType)
	if err != nil || mediaType != "application/json" &&
		!(strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")) {
		return doc, fmt.Errorf("%w: %s", errContentType, shown(resp.ContentType))
	}
	members, err := topLevelStrings(resp.Body, "issuer", "jwks_uri")
	if err != nil {
		return doc, fmt.Errorf("%w: %w", errBadMetadata, err)
	}
	if members["issuer"] != s.url {
		return doc, fmt.Errorf("%w: the document says %s, configured is %q", errIssuerMismatch, shown(members["issuer"]), s.url)
	}
	_, pkce := members["code_challenge_methods_supported"]
	doc = serverMetadata{raw: resp.Body, jwksURI: members["jwks_uri"], pkce: pkce}
	if doc.jwksURI == "" {
		return doc, errNoJWKSURI
	}
	return doc, s.acceptURL(doc.jwksURI)
}

// acceptURL checks a URL that a document or the configuration gives, before anything is dialed.
func (s *issuer) acceptURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%w: %s is not an absolute URL", errInsecureURL, shownURL(raw))
	}
	if !fetch.HasOneReading(u.Hostname()) {
		return fmt.Errorf("%w: the host of %s can be read in more than one way: a name in ASCII, or an address of four numbers", errInsecureURL, shownURL(raw))
	}
	if u.Scheme == "https" || u.Scheme == "http" && s.loopback && fetch.IsLoopbackHost(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%w: %s must be https", errInsecureURL, shownURL(raw))
}

// topLevelStrings reads one strict JSON object and returns its top-level
// members: the text of strings, "" for the rest. Those that are wanted must be
// strings if they are there.
func topLevelStrings(body []byte, wanted ...string) (map[string]string, error) {
	r := strictjson.NewReader(body, strictjson.Limits{})
	if err := r.Object(); err != nil {
		return nil, err
	}
	members := map[string]string{}
	for {
		name, more, err := r.Member()
		if err != nil {
			return nil, err
		}
		if !more {
			return members, r.End()
		}
		key := string(name)
		if slices.Contains(wanted, key) {
			value, err := r.String()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			members[key] = string(value)
			continue
		}
		if _, err := r.Skip(); err != nil {
			return nil, err
		}
		members[key] = ""
	}
}
