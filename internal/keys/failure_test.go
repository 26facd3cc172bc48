package keys

import (
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
