package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocsFile: the file in the documentation is one that can be read, and uses every member.
func TestDocsFile_TEST_16(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(strings.ReplaceAll(string(page), "\r\n", "\n"), "```json\n")
	require.True(t, ok)
	text, _, _ := strings.Cut(rest, "```")
	got := mcpauthCommand(t, "", "policy", "--policy", fileWith(t, text), "--tool", "query_usage", "--scopes", "analytics:admin")
	assert.Equal(t, exitFindings, got.code, got.stderr)
	assert.Contains(t, got.stdout, "resource db://{table} needs db:read: no holder has it")
	assert.Contains(t, got.stdout, "allowed")
	assert.NotContains(t, got.stdout, "invalid")
	for _, flag := range []string{"resource", "issuer", "token", "tool", "origin", "policy", "embed-issuer", "key", "kid", "other-token", "foreign-token", "outage", "rate", "wait", "format", "fail-on", "list", "i-own-this-target", "live", "scopes"} {
		assert.Contains(t, string(page), "--"+flag, flag)
	}
}
