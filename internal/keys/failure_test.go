package keys

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// TestClassesAreDocumented_OBS_03: each class of a failed fetch that probes and metrics show has its
// cause beside it in docs/observability.md.
func TestClassesAreDocumented_OBS_03(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	failures := []error{
		errIssuerMismatch, errContentType, errBadMetadata, errNoJWKSURI, errInsecureURL, jose.ErrNoUsableKeys, jose.ErrMalformed,
		&fetch.Error{Class: fetch.BadStatus, Err: fetch.StatusError(http.StatusInternalServerError)},
	}
	for _, class := range []fetch.Class{fetch.Network, fetch.TimedOut, fetch.DialRefused, fetch.Redirect, fetch.TooLarge} {
		failures = append(failures, &fetch.Error{Class: class})
	}
	for _, failure := range failures {
		f := failureOf(failure)
		assert.Contains(t, string(page), "| `"+f.class+"` | ["+f.cause+"](troubleshooting.md#"+f.cause+")")
	}
}

// Each kind of failure has its class and its cause, wherever in a chain of errors it stands.
func TestFailureOf_OBS_03_OBS_08(t *testing.T) {
	missing := &fetch.Error{Class: fetch.BadStatus, Err: fetch.StatusError(http.StatusNotFound)}
	for _, row := range []struct {
		err          error
		class, cause string
	}{
		{jose.ErrMalformed, "bad_key_set", "keys-not-json"},
		{jose.ErrTooLarge, "bad_key_set", "keys-not-json"},
		{jose.ErrNoUsableKeys, "no_usable_keys", "keys-none"},
		{context.Canceled, "bad_key_set", "fetch-timeout"},
		{missing, "bad_status", "keys-not-found"},
		{&metadataError{missing}, "bad_status", "metadata-not-found"},
		{errIssuerMismatch, "issuer_mismatch", "metadata-issuer"},
		{fmt.Errorf("%w: https://as.example.com/{tenantid}", errIssuerMismatch), "issuer_mismatch", "metadata-issuer-template"},
		{fmt.Errorf("%w: https://as.example.com/{tenantid}", errBadMetadata), "bad_metadata", "metadata-malformed"},
	} {
		err := fmt.Errorf("around: %w", row.err)
		assert.Equal(t, failure{row.class, row.cause}, failureOf(err), err)
		assert.Equal(t, row.cause, CauseOf(err), err)
	}
}
