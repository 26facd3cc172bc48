package mcpauth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// declaredReasons reads the reasons out of errors.go: the catalogue must not
// depend on somebody remembering it.
func declaredReasons(t *testing.T) (words []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			words = append(words, text)
		}
		return true
	})
	require.NotEmpty(t, words)
	return words
}

// The catalogue has every reason, and no other, with the status of its answer.
func TestCatalogue_OBS_01_OBS_07(t *testing.T) {
	var listed []string
	caused := map[string]bool{}
	for _, c := range explain.Causes() {
		caused[c.Reason] = true
		assert.NotEmpty(t, c.Means, c.ID)
		assert.NotEmpty(t, c.Fix, c.ID)
	}
	ids := map[string]bool{}
	for _, c := range explain.Causes() {
		assert.False(t, ids[c.ID], "%s stands twice", c.ID)
		ids[c.ID] = true
	}
	codes := map[string]bool{}
	for _, r := range explain.Reasons() {
		listed = append(listed, r.Words)
		assert.Equal(t, r.Status, Reason(r.Words).answer().status, r.Code)
		assert.Equal(t, r.Code, Reason(r.Words).Code())
		assert.Regexp(t, `^[a-z_]+$`, r.Code)
		assert.False(t, codes[r.Code], "%s stands twice", r.Code)
		assert.True(t, caused[r.Code], "%s has no cause", r.Code)
		codes[r.Code] = true
	}
	assert.ElementsMatch(t, declaredReasons(t), listed)
	for reason, id := range defaultCauses {
		c, known := explain.ByID(id)
		require.True(t, known, id)
		assert.Equal(t, reason.Code(), c.Reason, id)
	}
	for _, c := range explain.Causes() {
		assert.True(t, c.Reason == "" || codes[c.Reason], "%s: no reason %s", c.ID, c.Reason)
	}
	assert.Equal(t, explain.Other, Reason("something new").Code())
	assert.Empty(t, explain.Finding{Cause: "none"}.Fix()+explain.Finding{}.Means())
}

// TestClassesAreDocumented_OBS_03: each class of a failed fetch that probes and metrics show has its
// cause beside it in docs/observability.md.
func TestClassesAreDocumented_OBS_03(t *testing.T) {
	page, err := os.ReadFile("docs/observability.md")
	require.NoError(t, err)
	failures := []error{
		errIssuerMismatch, errContentType, errBadMetadata, errNoJWKSURI, errInsecureURL, jose.ErrNoUsableKeys, jose.ErrMalformed,
		&fetch.Error{Class: fetch.BadStatus, Err: fetch.StatusError(http.StatusInternalServerError)},
	}
	for _, class := range []fetch.Class{fetch.Network, fetch.TimedOut, fetch.DialRefused, fetch.Redirect, fetch.TooLarge} {
		failures = append(failures, &fetch.Error{Class: class})
	}
	for _, failure := range failures {
		r := &remote[int]{lastErr: failure}
		cause := fetchCause(failure)
		assert.Contains(t, string(page), "| `"+r.lastClass()+"` | ["+cause+"](troubleshooting.md#"+cause+")")
	}
}
