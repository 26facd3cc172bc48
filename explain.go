package mcpauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// defaultCauses are what a reason means when nothing more is known of the case.
var defaultCauses = map[Reason]string{
	ErrManyCredentials: "many-credentials", ErrTokenTooComplex: "token-size", ErrTokenType: "token-type",
	ErrSignature: "signature", ErrSenderConstrained: "sender-constrained", ErrRevoked: "revoked",
	ErrForbidden: "forbidden", ErrPolicy: "policy",
	errOrigin: "origin", errHTTPMethod: "http-method", errRequestHeaders: "header-size",
	errMediaType: "media-type", errBodyTooLarge: "body-size", errUnreadableBody: "body-unreadable",
	errInvalidRequest: "message", errInvalidParams: "target", errHeaderMismatch: "header-mismatch",
	errUnknownMethod: "method", errUnknownSession: "session", errUnknownTask: "task", errUnknownCursor: "cursor", errCancelled: "cancelled",
	errTooManyStreams: "streams", errUnfiltered: "list", errSlowBody: "body-slow", errTooMuchHeld: "messages-held",
}

// rereadToken is a token as far as it can be read, for explaining a refusal. It is
// read again, and not kept on the way, so that requests that nobody explains pay nothing.
type rereadToken struct {
	compact  string
	kid, alg string
	claims   claims // zero if they cannot be read
}

// reread takes a token apart once more. The claims are looked at only after a
// refusal, and believed by nobody.
func reread(compact string, denied *DeniedError) rereadToken {
	t := rereadToken{compact: compact}
	switch {
	case compact == "":
		return t
	case denied == nil:
		header, _ := jose.ParseHeader(compact) // read before, without an error
		t.kid, t.alg = header.Kid, header.Alg
		return t
	}
	token, err := jose.Parse(compact)
	if err != nil {
		return t
	}
	t.kid, t.alg = token.Header.Kid, token.Header.Alg
	var c claims
	if c.readAll(token.Claims) == nil {
		t.claims = c
	}
	return t
}

// finding says what is the matter, as far as the request tells.
func (m *Middleware) finding(r *http.Request, x *exchange, denied *DeniedError) explain.Finding {
	compact, _ := credentials(r)
	token := reread(compact, denied)
	return m.findingOf(r, x, denied, &token)
}

func (m *Middleware) findingOf(r *http.Request, x *exchange, denied *DeniedError, token *rereadToken) explain.Finding {
	f := m.causeOf(r, x, denied, token)
	m.noteLoop(x, token, denied, f.Cause)
	return f
}

func (m *Middleware) causeOf(r *http.Request, x *exchange, denied *DeniedError, token *rereadToken) explain.Finding {
	c, ok := denied.Err.(*cause)
	if !ok {
		return explain.Finding{}
	}
	switch c.reason {
	case ErrNoCredentials:
		if hasQueryToken(r.URL) {
			return explain.Finding{Cause: "token-in-query"}
		}
		return explain.Authorization(r.Header.Get("Authorization"))
	case ErrMalformedToken:
		return explain.Compact(token.compact)
	case ErrAlgorithm:
		return explain.Algorithm(headerAlgorithm(token, c))
	case ErrIssuer:
		return explain.Issuer(token.claims.iss.value, m.issuerURLs())
	case ErrAudience, ErrTokenType, ErrClaims, ErrExpired, ErrNotYetValid:
		return m.tokenFinding(c, &token.claims)
	case ErrUnknownKey:
		if denied.isUnsettled() {
			return explain.Unsettled(token.kid, m.keySetOf(token.claims.iss.value))
		}
		return explain.Key(token.kid, token.alg, m.keySetOf(token.claims.iss.value))
	case ErrInsufficientScope:
		return m.scopeFinding(x, denied)
	case ErrForbidden:
		return m.forbiddenFinding(x, c)
	case errUnknownMethod:
		return methodFinding(c)
	case errOrigin:
		if c.got == "null" {
			return explain.Finding{Cause: "origin-null"}
		}
	case ErrUnavailable:
		return m.unavailableFinding(c, token)
	}
	return explain.Finding{Cause: defaultCauses[c.reason]}
}

// headerAlgorithm is the token's alg, or what the strict reader says of one that it refuses.
func headerAlgorithm(token *rereadToken, c *cause) string {
	if token.alg != "" {
		return token.alg
	}
	return jose.HeaderAlgorithm(token.compact)
}

func (m *Middleware) issuerURLs() []string {
	urls := make([]string, len(m.ordered))
	for i, s := range m.ordered {
		urls[i] = s.url
	}
	return urls
}

// tokenFinding looks at the claims of a token that was refused for them.
func (m *Middleware) tokenFinding(c *cause, t *claims) explain.Finding {
	now := time.Now()
	switch {
	case c.reason == ErrTokenType && strings.HasPrefix(c.what, "typ"):
		return explain.Finding{Cause: "token-type"}
	case c.reason == ErrTokenType, c.reason == ErrAudience && t.foreign:
		return explain.Finding{Cause: "token-id"}
	case c.reason == ErrExpired:
		return explain.Expired(t.iat.time(), t.exp.time(), now)
	case c.reason == ErrNotYetValid:
		return explain.Future(t.iat.time(), t.nbf.time(), now)
	case c.reason == ErrAudience:
		if list, ok := stringOrList(lookup(t.raw, audPath)); ok && len(list) == 0 {
			return explain.EmptyAudience(m.resource)
		}
		var client string
		var scopes []string
		if s := m.issuers[t.iss.value]; s != nil {
			client = s.clientID(t)
			scopes, _ = s.scopes(t) // of what cannot be read, none
		}
		return explain.Audience(t.aud, m.resource, client, t.iss.value, scopes)
	case c.what == "iss":
		return explain.Finding{Cause: "issuer-missing"}
	case strings.HasPrefix(c.what, "sub"):
		return explain.Finding{Cause: "subject"}
	case strings.HasPrefix(c.what, "exp minus iat"):
		return explain.Finding{Cause: "lifetime"}
	}
	return explain.Finding{Cause: "claim-missing"}
}

var audPath = []string{"aud"}

// scopeFinding looks for what is missing in the whole of a verified token.
func (m *Middleware) scopeFinding(x *exchange, denied *DeniedError) explain.Finding {
	if x.principal == nil {
		return explain.Finding{Cause: "scope-not-granted"}
	}
	var missing []string
	for _, scope := range denied.Scopes {
		if !m.policy.holds(x.principal, scope) {
			missing = append(missing, scope)
		}
	}
	var all map[string]any
	_ = x.principal.Claims(&all) // without claims the scopes still tell something
	return explain.Scopes(missing, x.principal.Scopes, all)
}

func (m *Middleware) forbiddenFinding(x *exchange, c *cause) explain.Finding {
	if strings.HasPrefix(c.what, "claim ") {
		return explain.Finding{Cause: "required-claim"}
	}
	for _, call := range x.calls {
		if c.want == "a rule in the policy" && call.target() == c.got {
			return explain.Rule(string(call.Kind), c.got, m.policy.ruleNames(call.Kind))
		}
	}
	if c.what == "method" {
		return methodFinding(c)
	}
	return explain.Finding{Cause: "forbidden"}
}

// methodFinding tells a method of another revision, which no rule helps, from one that nobody knows.
func methodFinding(c *cause) explain.Finding {
	if _, known := methods[c.got]; known {
		return explain.Finding{Cause: "method-revision"}
	}
	return explain.Finding{Cause: "method"}
}

func (m *Middleware) unavailableFinding(c *cause, token *rereadToken) explain.Finding {
	if c.what == "Revoked" {
		return explain.Finding{Cause: "revocation"}
	}
	if set := m.keySetOf(token.claims.iss.value); set.Age != "" && len(set.Kids) > 0 {
		return explain.Key(token.kid, token.alg, set)
	}
	return explain.Finding{Cause: fetchCause(c.err)}
}

// keySetOf says what is known of the keys of an issuer that a token names.
func (m *Middleware) keySetOf(issuer string) explain.KeySet {
	s := m.issuers[issuer]
	if s == nil {
		return explain.KeySet{}
	}
	status := s.status()
	set := explain.KeySet{Failed: status.LastError}
	if at := s.keysAtHand(); at != nil {
		if status.Ready {
			for _, key := range at.keys {
				set.Kids, set.Algorithms = append(set.Kids, key.Kid), append(set.Algorithms, key.Alg)
			}
		}
		for _, skipped := range at.skipped {
			set.Skipped = append(set.Skipped, explain.Skipped{Kid: skipped.Kid, Why: string(skipped.Reason)})
		}
	}
	if !status.LastSuccess.IsZero() {
		set.Age = time.Since(status.LastSuccess).Round(time.Second).String()
	}
	return set
}

// metadataError is a failure to fetch metadata: a 404 there says another thing
// than one of the keys.
type metadataError struct{ err error }

func (e *metadataError) Error() string { return e.err.Error() }
func (e *metadataError) Unwrap() error { return e.err }

// fetchCause finds the cause of a failed discovery or key fetch. A place that
// has a wrong document says more than those that have none.
func fetchCause(err error) string {
	for _, known := range []struct {
		err   error
		cause string
	}{
		{errIssuerMismatch, "metadata-issuer"}, {errNoJWKSURI, "metadata-no-keys"}, {errInsecureURL, "insecure-url"},
		{errBadMetadata, "metadata-malformed"}, {errContentType, "metadata-not-json"}, {jose.ErrNoUsableKeys, "keys-none"},
	} {
		if errors.Is(err, known.err) {
			if known.err == errIssuerMismatch && strings.Contains(err.Error(), "{tenantid}") {
				return "metadata-issuer-template"
			}
			return known.cause
		}
	}
	var failed *fetch.Error
	if !errors.As(err, &failed) {
		if errors.Is(err, jose.ErrMalformed) || errors.Is(err, jose.ErrTooLarge) {
			return "keys-not-json"
		}
		return "fetch-timeout" // whoever waited has left: nothing else is known
	}
	switch failed.Class {
	case fetch.TimedOut:
		return "fetch-timeout"
	case fetch.DialRefused:
		return "private-address"
	case fetch.Redirect:
		return "fetch-redirect"
	case fetch.TooLarge:
		return "fetch-too-large"
	case fetch.BadStatus:
		var metadata *metadataError
		switch missing := errors.Is(failed, fetch.StatusError(http.StatusNotFound)); {
		case missing && errors.As(err, &metadata):
			return "metadata-not-found"
		case missing:
			return "keys-not-found"
		}
		return "fetch-status"
	}
	return "fetch-network"
}

// announce tells once, when an issuer's keys have served for the first time,
// what was found and what tokens must say. These are the strings to compare
// with the authorization server's configuration.
func (s *issuer) announce() {
	s.announced.Do(func() {
		status := s.status()
		s.log.Info("mcpauth: issuer in use", "issuer", s.url, "audiences", s.audiences, "algorithms", s.algorithms,
			"jwks_uri", foreign.BareURL(status.JWKSURI), "keys", few(s.shownKeys()), "skipped_keys", few(status.Skipped))
	})
}

// shownKeys lists the keys at hand, kid and algorithm.
func (s *issuer) shownKeys() (all []string) {
	set := s.keysAtHand()
	if set == nil {
		return nil
	}
	for _, key := range set.keys {
		all = append(all, foreign.QuoteShort(key.Kid, maxShownKid)+" "+key.Alg)
	}
	return all
}

// maxListed is how many of a list are worth a place in one line.
const maxListed = 8

func few(list []string) []string {
	if len(list) <= maxListed {
		return list
	}
	return append(list[:maxListed:maxListed], fmt.Sprintf("and %d more", len(list)-maxListed))
}

// maxShownKid is how much of a kid is worth a place in a list of keys.
const maxShownKid = 64

// keysAtHand is the last key set that was read, nil for none.
func (s *issuer) keysAtHand() *keySet {
	set := s.keys.static
	for _, keys := range []*sharedKeys{s.keys.fixed, s.discovered()} {
		if keys != nil && keys.current.Load() != nil {
			set = keys.current.Load().value
		}
	}
	return set
}

// discovered is where the metadata says that the keys are, nil before.
func (s *issuer) discovered() *sharedKeys {
	if s.keys.metadata == nil {
		return nil
	}
	if doc := s.keys.metadata.current.Load(); doc != nil {
		return doc.value.keys
	}
	return nil
}
