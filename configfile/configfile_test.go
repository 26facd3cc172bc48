package configfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/configfile"
)

// TestNew_RELOAD_09: what the program adds counts before the whole is checked, and a mistake of its own is told as one.
func TestNew_RELOAD_09(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mcpauth.json")
	write := func(text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	base := func(c *mcpauth.Config) { c.AllowInsecureLoopback = true }

	write(`{"resource": "http://localhost:8080/mcp", "issuers": [{"url": "http://localhost:9000"}], "rules": {"tools": {"a": ["x"]}}}`)
	auth, err := configfile.New(name, base)
	require.NoError(t, err)
	caller := &mcpauth.Principal{Issuer: "http://localhost:9000", Subject: "ada", Scopes: []string{"x"}}
	call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: "a"}
	require.NoError(t, auth.Authorize(t.Context(), caller, call))
	_, err = configfile.Load(name)
	assert.ErrorContains(t, err, `mcpauth.json:1:14: resource: "http://localhost:8080/mcp"`, "by itself the file is not right")

	write(`{"issuers": [{"url": "http://localhost:9000", "algorithms": ["none"]}], "rules": {"tools": {"a": []}}}`)
	_, err = configfile.New(name, func(c *mcpauth.Config) { base(c); c.SessionKey = []byte("short") })
	var located *configfile.Error
	var others []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		if errors.As(one, &located) {
			assert.Equal(t, name, located.File)
			others = append(others, located.Path)
			continue
		}
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, one, &mistake)
		others = append(others, mistake.Field)
	}
	assert.Equal(t, []string{"issuers[0].algorithms[0]", `rules.tools["a"]`, "Resource", "SessionKey"}, others)

	write(`{"issuers": 5, "leeway": 5}`)
	_, err = configfile.New(name, func(*mcpauth.Config) { t.Error("base is asked about a file that cannot be read") })
	assert.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 2)

	_, err = configfile.New(filepath.Join(t.TempDir(), "none"), base)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
