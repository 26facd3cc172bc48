package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

// fullFile has every member, and none that is zero.
const fullFile = `{
  "resource": "https://mcp.example.com/mcp",
  "issuers": [{
    "url": "https://login.example.com", "audiences": ["https://mcp.example.com/mcp"], "algorithms": ["RS256"], "token_types": ["at+jwt"],
    "claims": {"scopes": ["scope"], "union": true, "roles": ["roles"], "role_scopes": {"analyst": ["a"]}, "client_id": "azp", "audience": "client_id"},
    "require_claims": {"tid": ["t"]}, "max_lifetime": "1h", "allow_missing_subject": true, "allow_id_token_claims": true, "dpop": "required", "allow_private": true, "on_behalf": true,
    "introspect": {"endpoint": "https://login.example.com/introspect", "client_id": "c", "client_secret_env": "PATH", "prefix": "at_", "jwts": true, "tokeninfo": false}, "unlisted": true,
    "jwks_uri": "https://login.example.com/keys", "keys": {"keys": []}
  }],
  "scopes": ["a"], "implies": {"a": ["b"]}, "allowed_origins": ["https://app.example.com"], "metadata": {"resource_name": "Example"},
  "leeway": "30s", "max_body": 1048576, "allow_insecure_loopback": true, "legacy_as_metadata": true, "delegate_tasks": true,
  "rules": {"tools": {"whoami": "authenticated"}, "prompts": {"p": ["a"]}, "resources": {"r://r": ["a"]}, "methods": {"m": ["a"]}}
}`

// notInFile are fields that are data and have no place in a file, with the reason.
var notInFile = map[string]string{"SessionKey": "a secret"}

// TestFileHasEveryField_OBS_12: a program's Config can be written down, but for its code and its secret.
func TestFileHasEveryField_OBS_12(t *testing.T) {
	f, err := readFile(fileWith(t, fullFile))
	require.NoError(t, err)
	config := f.config("https://mcp.example.com/mcp")
	require.Len(t, config.Issuers, 1)
	for _, part := range []any{config, config.Issuers[0], config.Issuers[0].Claims, config.Policy} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch field.Type.Kind() {
			case reflect.Func, reflect.Interface, reflect.Pointer:
				if field.Type != reflect.TypeFor[mcpauth.Policy]() {
					continue // code
				}
			}
			if _, excused := notInFile[field.Name]; field.IsExported() && !excused {
				assert.False(t, v.Field(i).IsZero(), "%s.%s has no name in the file of --policy", v.Type(), field.Name)
			}
		}
	}
}

// TestFileIntrospection_INTRO_01: the secret comes from the environment.
func TestFileIntrospection_INTRO_01(t *testing.T) {
	t.Setenv("INTROSPECTION_SECRET", "s3cret")
	f, err := readFile(fileWith(t, strings.ReplaceAll(fullFile, `"PATH"`, `"INTROSPECTION_SECRET"`)))
	require.NoError(t, err)
	got := f.config("https://mcp.example.com/mcp").Issuers[0].Introspect
	require.NotNil(t, got)
	assert.Equal(t, "https://login.example.com/introspect", got.Endpoint)
	assert.Equal(t, "at_", got.Prefix)
	assert.Equal(t, "c", got.Client.ClientID())
	header := http.Header{}
	require.NoError(t, got.Client.Apply(t.Context(), clientauth.Endpoint{}, header, nil))
	assert.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("c:s3cret")), header.Get("Authorization"))
	both := &fileIntrospection{Tokeninfo: true, ClientID: "c", SecretEnv: "INTROSPECTION_SECRET"}
	assert.Equal(t, "c", both.introspection().Client.ClientID(), "which the library refuses, and not the command quietly")
	tokeninfo := &fileIntrospection{Tokeninfo: true}
	assert.Equal(t, &mcpauth.Introspection{Tokeninfo: true}, tokeninfo.introspection())
}

// TestDocsNameEveryMember: docs/cli.md shows all members of the file.
func TestDocsNameEveryMember_OBS_12(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	for _, kind := range []reflect.Type{reflect.TypeFor[file](), reflect.TypeFor[fileIssuer](), reflect.TypeFor[fileClaims](), reflect.TypeFor[fileIntrospection](), reflect.TypeFor[fileRules]()} {
		for i := range kind.NumField() {
			if name := kind.Field(i).Tag.Get("json"); name != "" {
				assert.Contains(t, string(page), `"`+name+`":`, "%s.%s", kind, name)
			}
		}
	}
}

// TestFileKeys_OBS_12: keys are a JWK Set, or PEM as a text.
func TestFileKeys_OBS_12(t *testing.T) {
	for text, want := range map[string]string{
		`{"keys": []}`:                   `{"keys": []}`,
		`"-----BEGIN PUBLIC KEY-----\n"`: "-----BEGIN PUBLIC KEY-----\n",
	} {
		var keys fileKeys
		require.NoError(t, json.Unmarshal([]byte(text), &keys))
		assert.Equal(t, want, string(keys))
	}
	_, err := readFile(fileWith(t, strings.Replace(fullFile, `"max_body": 1048576`, `"max_body": "1 MiB"`, 1)))
	assert.ErrorContains(t, err, "max_body")
}
