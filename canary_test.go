package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// everything collects what leaves the middleware by any way.
type everything struct {
	*fixture
	records *logBuffer // audit records through slog
	path    string     // audit records in a file
	file    *auditlog.File
	errors  strings.Builder
	wire    strings.Builder
}

func collectEverything(t *testing.T) *everything {
	t.Helper()
	e := &everything{records: &logBuffer{}, path: filepath.Join(t.TempDir(), "audit.jsonl")}
	var err error
	e.file, err = auditlog.OpenFile(auditlog.FileOptions{Path: e.path})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.file.Close()) })
	inFile, err := auditlog.New(e.file, auditlog.Options{})
	require.NoError(t, err)
	inLog, err := auditlog.New(auditlog.Slog(slog.New(slog.NewJSONHandler(e.records, nil))), auditlog.Options{})
	require.NoError(t, err)
	e.fixture = newFixture(t, func(c *mcpauth.Config) {
		rules := c.Policy
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			switch call.Name {
			case "panics":
				panic("canary-panic-of-the-policy " + string(call.Arguments))
			case "fails":
				return mcpauth.Requirement{}, errors.New("no rows")
			}
			return rules.Require(ctx, call)
		})
		c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
			inFile.OnDecision(ctx, d)
			inLog.OnDecision(ctx, d)
			for err := error(d.Err); d.Err != nil && err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(&e.errors, "%v %+v\n", err, err)
			}
			panic("canary-panic-of-the-sink")
		}
	})
	return e
}

// all is the text of everything, by the way on which it left.
func (e *everything) all() map[string]string {
	file, err := os.ReadFile(e.path)
	require.NoError(e.tb, err)
	return map[string]string{
		"log": e.log.String(), "audit log": e.records.String(), "audit file": string(file),
		"errors": e.errors.String(), "answers": e.wire.String(),
	}
}

// Each field that may be a secret holds a word that is found nowhere: not in
// the log, not in any record, not in an error, not in an answer.
func TestCanary_AUDIT_03_OBS_07(t *testing.T) {
	e := collectEverything(t)
	const secretArguments = `"arguments":{"password":"canary-argument"},"requestState":"canary-state","inputResponses":{"x":"canary-response"}`
	body := func(tool string) string {
		return modernBody("tools/call", fmt.Sprintf(`"name":%q,%s`, tool, secretArguments))
	}
	personal := mcpauthtest.Claims{
		"email": "canary-email", "name": "canary-name", "jti": "canary-jti", "nonce": nil, "custom": map[string]any{"canary-key": "canary-value"},
	}
	with := func(changes mcpauthtest.Claims) string {
		claims := mcpauthtest.Claims{}
		for _, all := range []mcpauthtest.Claims{personal, changes} {
			for name, value := range all {
				claims[name] = value
			}
		}
		return e.token(claims)
	}
	tokens := []string{
		with(nil), with(mcpauthtest.Claims{"exp": 1}), with(mcpauthtest.Claims{"aud": "x"}), with(mcpauthtest.Claims{"iss": "https://x.example"}),
		with(mcpauthtest.Claims{"scope": nil}), with(mcpauthtest.Claims{"sub": nil}), with(mcpauthtest.Claims{"iat": 1e15}),
		with(mcpauthtest.Claims{"nonce": "canary-nonce"}), with(mcpauthtest.Claims{"cnf": map[string]any{"jkt": "canary-thumbprint"}}),
		with(nil) + "canary", with(nil)[2:], `"` + with(nil) + `"`, "Bearer " + with(nil),
		"canary-opaque", "canary.a.b", "canary.a.b.c.d", strings.Repeat("canary", 4000), "eyJcanary", "canary canary",
		mcpauthtest.NewKey("elsewhere", "ES256").Sign(`{"alg":"ES256","kid":"elsewhere"}`, `{"iss":"https://as.example.com/tenant1","canary":"canary-claim"}`),
		e.issuer.Sign(`{"alg":"none","canary":"canary-header"}`, `{"canary":"canary-claim"}`),
		e.issuer.Sign(`{"alg":"HS256"}`, `{"canary":"canary-claim"}`), e.issuer.Sign(`{"alg":"RS256","kid":"k1"}`, `canary`),
	}
	send := func(target, authorization, body string, headers ...string) {
		headers = append(headers, "DPoP: canary-proof", "Cookie: canary=canary-cookie", "X-Api-Key: canary-key", "Proxy-Authorization: Basic canary")
		if authorization != "" {
			headers = append(headers, "Authorization: "+authorization)
		}
		w := e.do(http.MethodPost, target, "", body, headers...)
		fmt.Fprintf(&e.wire, "%v %s\n", w.Header(), w.Body)
	}
	for _, token := range tokens {
		for _, tool := range []string{"echo", "admin_delete", "unlisted", "panics", "fails"} {
			send("/mcp", "Bearer "+token, body(tool), modernHeaders("tools/call", tool)...)
		}
		send("/mcp?secret=canary-query", token, body("echo"))
		send("/mcp?access_token="+url.QueryEscape(token), "", body("echo"))
		send("/mcp", "canary-scheme "+token, body("echo"))
		send("/mcp", "Bearer "+token, `{"canary":"canary-body"`)
		send("/mcp", "Bearer "+token, body("echo"), "Mcp-Session-Id: canary-session")
	}
	for _, fault := range []mcpauthtest.Fault{mcpauthtest.Down, mcpauthtest.HTML, mcpauthtest.Malformed, mcpauthtest.Empty} {
		fresh := collectEverything(t)
		fresh.issuer.Break(mcpauthtest.JWKS, fault)
		fresh.post(fresh.token(personal), body("echo"), modernHeaders("tools/call", "echo")...)
		for way, text := range fresh.all() {
			assert.NotContains(t, text, "canary", "%s with %s", way, fault)
		}
	}
	for way, text := range e.all() {
		assert.NotEmpty(t, text, way)
		for line := range strings.Lines(text) {
			assert.NotContains(t, strings.ToLower(line), "canary", way)
			for _, token := range tokens {
				for part := range strings.SplitSeq(token, ".") {
					assert.False(t, len(part) > 12 && strings.Contains(line, part), "a part of a token in %s", way)
				}
			}
		}
	}
}
