package configfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

	write(`{"resource": "mcp.example.com/mcp", "issuers": [{"url": "http://login.example.com"}], "scope": [], "rules": {"tools": {"a": "x", "b": []}},
"session_key": {"env": "MCPAUTH_NO_SUCH_KEY"}}`)
	const all = `M:1:14: resource: "mcp.example.com/mcp": not an absolute URL: write https://host/path
M:1:57: issuers[0].url: "http://login.example.com": must be https
M:1:87: scope: no such member: write "scopes"
M:1:125: rules.tools["a"]: "x": write a list of scopes, an object with all and any, or the word "authenticated" for any valid token
M:1:130: rules.tools["b"]: "nobody": an empty requirement refuses everybody: write "authenticated" if any valid token will do, or remove it`
	const secret = "\n" + `M:2:16: session_key: the environment has no "MCPAUTH_NO_SUCH_KEY": set it, or correct its name`
	_, err = configfile.New(name, base)
	assert.EqualError(t, err, strings.ReplaceAll(all+secret, "M:", name+":"), "all at once")
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	_, err = configfile.Read(name, content)
	assert.EqualError(t, err, strings.ReplaceAll(all, "M:", name+":"), "the secret is not looked at")

	_, err = configfile.New(filepath.Join(t.TempDir(), "none"), base)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestLocate_RELOAD_09: a mistake is told at its place, or where that would be, and what is not the file's as it is.
func TestLocate_RELOAD_09(t *testing.T) {
	f, err := configfile.Read("m.json", []byte(`{"issuers": [{"url": "https://login.example.com"}], "scopes": ["a"]}`))
	require.NoError(t, err)
	for field, want := range map[string]string{
		"Issuers[0].URL":       "m.json:1:22: issuers[0].url: v: r",
		"Issuers[0].Audiences": "m.json:1:14: issuers[0].audiences: v: r",
		"Issuers[1].URL":       "m.json:1:13: issuers[1].url: v: r",
		"Issuers[2].URL":       "m.json:1:13: issuers[2].url: v: r",
		"Issuers[-1].URL":      "m.json:1:13: issuers[-1].url: v: r",
		"Issuers[x].URL":       "m.json:1:13: issuers[x].url: v: r",
		"Resource":             "mcpauth: Config.Resource = v: r",
	} {
		mistake := &mcpauth.ConfigError{Field: field, Value: "v", Reason: "r"}
		assert.EqualError(t, f.Locate(mistake), want)
		assert.EqualError(t, f.Locate(errors.Join(mistake, os.ErrClosed)), want+"\n"+os.ErrClosed.Error())
	}
	assert.NoError(t, f.Locate(nil))
	assert.EqualError(t, f.Locate(os.ErrClosed), os.ErrClosed.Error())
	f, err = configfile.Read("m.json", []byte(`{`))
	require.Error(t, err)
	assert.EqualError(t, f.Locate(os.ErrClosed), os.ErrClosed.Error())
	assert.ErrorAs(t, f.Locate(&mcpauth.ConfigError{Field: "Resource"}), new(*mcpauth.ConfigError))

	// What the program adds has its place where the file has the like.
	name := filepath.Join(t.TempDir(), "mcpauth.json")
	write(t, name, `{"resource": "https://mcp.example.com/mcp", "issuers": [{"url": "https://login.example.com"}]}`)
	_, err = configfile.New(name, func(c *mcpauth.Config) {
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: "http://login.example.com"})
	})
	assert.EqualError(t, err, name+`:1:56: issuers[1].url: "http://login.example.com": must be https`)
}

// TestLoad_RELOAD_09: a file of 8 MiB is read, and a longer one not.
func TestLoad_RELOAD_09(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mcpauth.json")
	_, err := configfile.Load(name)
	assert.ErrorIs(t, err, os.ErrNotExist)
	const text = `{"resource": "https://mcp.example.com/mcp"}`
	write(t, name, text+strings.Repeat(" ", 8<<20-len(text)))
	config, err := configfile.Load(name)
	require.NoError(t, err)
	assert.Equal(t, "https://mcp.example.com/mcp", config.Resource)
	write(t, name, text+strings.Repeat(" ", 8<<20+1-len(text)))
	_, err = configfile.Load(name)
	assert.EqualError(t, err, name+":1:1: the file: more than 8 MiB: write a shorter file")
}

// TestSecretForPlace_RELOAD_09: what is written where the place of a secret belongs may be the secret. Names that people give are shown.
func TestSecretForPlace_RELOAD_09(t *testing.T) {
	t.Setenv("MCPAUTH_TEST_EMPTY", "")
	const hidden = "a name that is not shown, as it may be the secret itself"
	for _, secret := range []string{
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln", "1f8a09c3d2e44b71a6350c9f27de4b80", "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmE=", "xK3v9pQ2LmN8rT5w", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ",
	} {
		for _, member := range []string{"env", "file"} {
			_, err := configfile.Parse("m.json", fmt.Appendf(nil, `{"session_key": {%q: %q}}`, member, secret))
			assert.ErrorContains(t, err, "m.json:1:17: session_key: ")
			assert.ErrorContains(t, err, hidden, secret)
			assert.NotContains(t, err.Error(), secret[:8])
		}
	}
	for place, want := range map[string]string{
		`{"env": "MCPAUTH_TEST_UNSET_9"}`:                                          `the environment has no "MCPAUTH_TEST_UNSET_9": set it, or correct its name`,
		`{"env": "MCPAUTH_TEST_EMPTY"}`:                                            `"MCPAUTH_TEST_EMPTY" is set in the environment, and empty: put the secret into it`,
		`{"env": "two words"}`:                                                     `the environment has no ` + hidden + `: set it, or correct its name`,
		`{"env": "sessionKeyOfProduction"}`:                                        `the environment has no "sessionKeyOfProduction": set it, or correct its name`,
		`{"file": "/run/none/0b1c7f5e-8a52-4f4e-9d2f-3c5b7e0a1d24/mcpauth-key.2"}`: `"/run/none/0b1c7f5e-8a52-4f4e-9d2f-3c5b7e0a1d24/mcpauth-key.2" cannot be read: correct its name or rights: no such file or directory`,
	} {
		_, err := configfile.Parse("m.json", []byte(`{"session_key": `+place+`}`))
		assert.ErrorContains(t, err, "m.json:1:17: session_key: "+want)
	}
}

// TestNoFile_RELOAD_09: of a file that is not there is said what to do.
func TestNoFile_RELOAD_09(t *testing.T) {
	_, err := configfile.New("nope.json", nil)
	assert.EqualError(t, err, "configfile: open nope.json: no such file or directory: name the file with the configuration, from the directory where the program runs")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestAllAtOnce_RELOAD_09: a mistake hides no other that stands by itself.
func TestAllAtOnce_RELOAD_09(t *testing.T) {
	for text, want := range map[string]string{
		`{"Resource": "https://mcp.example.com/mcp", "resource": "http://mcp.example.com/mcp"}`: `m.json:1:2: Resource: no such member: write "resource"
m.json:1:57: resource: "http://mcp.example.com/mcp": must be https`,
		`{"resource": "http://mcp.example.com/mcp", "Resource": "https://mcp.example.com/mcp"}`: `m.json:1:14: resource: "http://mcp.example.com/mcp": must be https
m.json:1:44: Resource: no such member: write "resource"`,
		`{"Resource": "http://mcp.example.com/mcp"}`: `m.json:1:2: Resource: no such member: write "resource"`,
		`{"issuers": [{"url": 5, "keys": "nope", "max_lifetime": "5ns", "jwks_uri": "x"}]}`: `m.json:1:22: issuers[0].url: a number: write a text in double quotes
m.json:1:57: issuers[0].max_lifetime: 5ns: is shorter than a second, and no token would be accepted: give the unit, as in 1h or time.Hour
m.json:1:76: issuers[0].jwks_uri: "x": keys are given too: choose one source of keys`,
		`{"issuers": [{"url": 5, "keys": "nope"}]}`: `m.json:1:22: issuers[0].url: a number: write a text in double quotes
m.json:1:33: issuers[0].keys: 4 bytes: neither a usable JWK Set nor PEM public keys: malformed: key set: json: value of another kind at byte 0`,
		`{"issuers": [{"url": "http://login.example.com", "dpop": "on"}]}`: `m.json:1:22: issuers[0].url: "http://login.example.com": must be https
m.json:1:58: issuers[0].dpop: "on": write "off", "accepted" or "required"`,
		`{"issuers": [{"url": "https://10.0.0.1", "allow_private": "yes"}]}`: `m.json:1:59: issuers[0].allow_private: a text: write true or false`,
		`{"issuers": [{"URL": "https://login.example.com"}]}`:                `m.json:1:15: issuers[0].URL: no such member: write "url"`,
		`{"issuers": [{"keys": 5}]}`:                                         `m.json:1:23: issuers[0].keys: a number: write a JWK Set, {"keys": [...]}, or PEM as a text`,
		`{"issuers": ["https://login.example.com"]}`:                         `m.json:1:14: issuers[0]: a text: write an object, {"name": value}`,
		`{"resource": "http://mcp.example.com/mcp", "issuers": [{"url": "https://login.example.com", "audiences": ["x"]}]}`: `m.json:1:14: resource: "http://mcp.example.com/mcp": must be https
m.json:1:106: issuers[0].audiences: ["x"]: must contain the resource, which clients will ask for: add it when it is correct`,
		`{"issuers": [{"url": "https://login.example.com", "audiences": ["x"]}], "leeway": 5}`: `m.json:1:83: leeway: a number: write a duration with its unit, such as "30s" or "1h30m"`,
	} {
		_, err := configfile.Read("m.json", []byte(text))
		if err == nil {
			_, err = configfile.Parse("m.json", []byte(text))
		}
		assert.EqualError(t, err, want, text)
	}
}
