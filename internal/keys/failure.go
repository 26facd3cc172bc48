package keys

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Failures of discovery that are not failures to fetch.
var (
	errIssuerMismatch = errors.New("issuer_mismatch")
	errContentType    = errors.New("bad_content_type")
	errBadMetadata    = errors.New("bad_metadata")
	errNoJWKSURI      = errors.New("no_jwks_uri")
	errInsecureURL    = errors.New("insecure_url")
)

// metadataError is a failure to fetch metadata: a 404 there says another thing
// than one of the keys.
type metadataError struct{ err error }

func (e *metadataError) Error() string { return e.err.Error() }
func (e *metadataError) Unwrap() error { return e.err }

// failure is what kind of failure a fetch has come to.
type failure struct {
	class string // as [Status] has it
	cause string // id in internal/explain
}

// failureOf finds the kind of a failed discovery or key fetch. A place that has a wrong document
// says more than those that have none.
func failureOf(err error) failure {
	for _, known := range []struct {
		err   error
		cause string
	}{
		{errIssuerMismatch, "metadata-issuer"}, {errNoJWKSURI, "metadata-no-keys"}, {errInsecureURL, "insecure-url"},
		{errBadMetadata, "metadata-malformed"}, {errContentType, "metadata-not-json"},
	} {
		if errors.Is(err, known.err) {
			if known.err == errIssuerMismatch && strings.Contains(err.Error(), "{tenantid}") {
				known.cause = "metadata-issuer-template"
			}
			return failure{known.err.Error(), known.cause}
		}
	}
	var failed *fetch.Error
	switch {
	case errors.Is(err, jose.ErrNoUsableKeys):
		return failure{"no_usable_keys", "keys-none"}
	case errors.As(err, &failed):
		return failure{string(failed.Class), fetchCause(err, failed)}
	case errors.Is(err, jose.ErrMalformed), errors.Is(err, jose.ErrTooLarge):
		return failure{"bad_key_set", "keys-not-json"}
	}
	return failure{"bad_key_set", "fetch-timeout"} // whoever waited has left: nothing else is known
}

func fetchCause(err error, failed *fetch.Error) string {
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

// CauseOf is the cause of a failed discovery or key fetch, as internal/explain calls it.
func CauseOf(err error) string { return failureOf(err).cause }

// denyUnavailable is a 503: the client keeps its token and comes back, not
// before there can be another answer.
func denyUnavailable(err error) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "the issuer's keys", err)
	retry := minBackoff
	var unavailable *unavailableError
	if errors.As(err, &unavailable) {
		retry = unavailable.retry
	}
	rounded := (retry + time.Second - 1).Truncate(time.Second)
	denied.RetryAfter = min(max(rounded, minBackoff), maxBackoff)
	return denied
}

// tellFailure tells the operator that keys or metadata could not be had.
func tellFailure(log *slog.Logger, issuer string, err error) {
	cause := failureOf(err).cause
	log.Warn("mcpauth: cannot refresh what the issuer publishes; keys at hand stay in use for a bounded time",
		"issuer", issuer, "error", foreign.Line(strings.ReplaceAll(err.Error(), "\n", "; ")), "cause", cause, "fix", explain.Finding{Cause: cause}.Fix())
}

// tellMended tells that what could not be had is there again, and how long it was not.
func tellMended(log *slog.Logger, issuer, document string, after time.Duration) {
	log.Info("mcpauth: the issuer can be fetched again", "issuer", issuer, "document", document, "failed_for", after.Round(time.Second))
}
