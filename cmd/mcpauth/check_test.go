package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// freeAddress is where an embedded issuer can listen.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// TestCheckGolden: the whole suite over real connections, with an embedded issuer and an outage.
func TestCheckGolden_TEST_07(t *testing.T) {
	issuer := "http://" + freeAddress(t)
	args := []string{"check", "--rate", "2000", "--embed-issuer", issuer, "--outage", "--tool", "read=notes:read", "--tool", "write=notes:read+notes:write",
		"--notifier", "write", "--scope", "other", "--origin", "https://app.example.com", "--wait", "5s",
		notes(t, issuer, server.WithEventStore(server.NewInMemoryEventStore()))}
	got := mcpauthCommand(t, "", args...)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
	golden(t, "testdata/check.txt", settled(got.stdout))

	resource := notes(t, issuer)
	got = mcpauthCommand(t, "", "check", "--rate", "2000", "--format", "junit", resource)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, `<testsuite name="mcpauth check `+resource)
}

// TestCheckFindings: what is found is told by the exit code, from the severity on that was asked for.
func TestCheckFindings(t *testing.T) {
	open := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	got := mcpauthCommand(t, "", "check", "--rate", "2000", "--json", open)
	assert.Equal(t, exitFindings, got.code)
	var report conformance.Report
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.Equal(t, open, report.Target)
	assert.NotEmpty(t, report.Findings(conformance.Critical))

	shut := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	var painted strings.Builder
	code := run(t.Context(), []string{"check", "--rate", "2000", "--fail-on", "critical", shut}, environment{stdout: &painted, stderr: io.Discard, color: true})
	assert.Equal(t, exitOK, code)
	assert.Contains(t, painted.String(), "\x1b[31m✗\x1b[0m")

	for _, args := range [][]string{{"check", "http://127.0.0.1:1/mcp"}, {"check", "--wait", "1ms", "http://127.0.0.1:1/mcp"}, {"check", "--wait", "1ms", "http://[::1]/mcp"}} {
		assert.Equal(t, exitUnreachable, mcpauthCommand(t, "", args...).code, args)
	}
	list := mcpauthCommand(t, "", "check", "--list")
	assert.Equal(t, exitOK, list.code)
	assert.Equal(t, len(conformance.Catalogue()), strings.Count(list.stdout, "\n"))
}

// TestCheckWithKey: an issuer of the operator's own, whose key is at hand, and tokens that are at hand.
func TestCheckWithKey_TOK_40(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	der, err := x509.MarshalPKCS8PrivateKey(issuer.Keys()[0].Private)
	require.NoError(t, err)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	resource := notes(t, issuer.URL())
	got := mcpauthCommand(t, key, "check", "--rate", "2000", "--issuer", issuer.URL(), "--key", "-", "--kid", "k1", resource)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, "✓ an expired token is refused")

	a := issuer.Token(mcpauthtest.Claims{"aud": resource, "exp": time.Now().Add(time.Hour).Unix()})
	b := issuer.Token(mcpauthtest.Claims{"aud": resource, "sub": "user-2"})
	got = mcpauthCommand(t, a, "check", "--rate", "2000", "--token", "-", "--other-token", fileWith(t, b), resource)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, "✓ somebody else's session id is refused")
	assert.NotContains(t, got.stdout+got.stderr, a)

	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err = x509.MarshalPKCS8PrivateKey(agreement)
	require.NoError(t, err)
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	assert.Equal(t, exitUsage, mcpauthCommand(t, key, "check", "--key", "-", "--issuer", "x", resource).code)
	der, err = x509.MarshalPKCS8PrivateKey(issuer.Keys()[0].Private)
	require.NoError(t, err)
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	got = mcpauthCommand(t, key, "check", "--key", "-", resource)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.stderr, "--issuer")
}

// TestSecretForName: where the name of a file is wanted, a secret is a usual mistake, and no message repeats it.
func TestSecretForName_PASS_03(t *testing.T) {
	const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln"
	policy := fileWith(t, `{}`)
	for _, secret := range []string{jwt, "Bearer " + jwt, "opaque-k3y", "-----BEGIN PRIVATE KEY-----\nMC4CAQ", strings.Repeat("k", 5000), "../" + jwt} {
		for _, args := range [][]string{
			{"doctor", "--resource", "http://127.0.0.1:1/mcp", "--token"},
			{"check", "http://127.0.0.1:1/mcp", "--token"},
			{"check", "http://127.0.0.1:1/mcp", "--other-token"},
			{"check", "http://127.0.0.1:1/mcp", "--foreign-token"},
			{"check", "http://127.0.0.1:1/mcp", "--issuer", "https://login.example.com", "--key"},
			{"policy", "--policy", policy, "--token"},
		} {
			flag := args[len(args)-1]
			got := mcpauthCommand(t, "", append(args, secret)...)
			assert.Equal(t, exitUsage, got.code, args)
			assert.NotContains(t, got.stdout+got.stderr, secret[:8], args)
			assert.Contains(t, got.stderr, flag+": ", args)
			assert.Contains(t, got.stderr, "takes the name of a file", args)
		}
	}
	for _, args := range [][]string{
		{jwt}, {"doctor", jwt}, {"check", jwt}, {"check", "http://127.0.0.1:1/" + jwt, jwt}, {"doctor", "--resource", jwt}, {"policy", "--policy", jwt}, {"doctor", "--policy", jwt}, {"doctor", "--" + jwt},
		{"check", "--fail-on", jwt, "http://127.0.0.1:1"}, {"check", "--format", jwt, "http://127.0.0.1:1"}, {"check", "--embed-issuer", jwt, "http://127.0.0.1:1"}, {"check", "--rate", jwt, "http://127.0.0.1:1"}, {"check", "--wait", jwt, "http://127.0.0.1:1"},
	} {
		got := mcpauthCommand(t, "", args...)
		assert.NotEqual(t, exitOK, got.code, args)
		assert.NotContains(t, got.stdout+got.stderr, "eyJ", args)
	}
}

// TestMissingFile: what is said of a file that is not there, or has nothing, names the flag and says what to do.
func TestMissingFile(t *testing.T) {
	empty := fileWith(t, " \n")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"policy", "--policy", "nope.json"}, `mcpauth: --policy: "nope.json": no such file or directory: name the file with the policy (docs/cli.md)`},
		{[]string{"doctor", "--resource", "http://127.0.0.1:1/mcp", "--policy", "nope.json"}, `mcpauth: --policy: "nope.json": no such file or directory: name the file with the policy (docs/cli.md)`},
		{[]string{"doctor", "--resource", "http://127.0.0.1:1/mcp", "--token", "nope"}, "mcpauth: --token: no such file or directory: it takes the name of a file, or - for standard input"},
		{[]string{"doctor", "--resource", "http://127.0.0.1:1/mcp", "--token", empty}, "mcpauth: --token: the file is empty: write the secret into it, or give - for standard input"},
		{[]string{"doctor"}, "mcpauth: doctor needs --resource URL, or --policy FILE with a file that names it"},
	} {
		got := mcpauthCommand(t, "", row.args...)
		assert.Equal(t, exitUsage, got.code, row.args)
		assert.Equal(t, row.want+"\n", got.stderr, row.args)
	}
}
