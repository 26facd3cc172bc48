package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// hostile is what no terminal must be given: line breaks, controls, direction marks.
const hostile = "\n\x1b[31m\u009b31m\u0085\u200e\u202e\u2066\u200b\ufeff"

// repeater answers with the token that it is given, and with hostile text, wherever a
// server can say something.
func repeater(t *testing.T, issuerURL string, status int) (resource string) {
	t.Helper()
	long := strings.Repeat(hostile, 400)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		self := "http://" + r.Host + "/mcp"
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			document, _ := json.Marshal(map[string]any{"resource": self, "authorization_servers": []string{issuerURL, "https://" + long}, "scopes_supported": []string{long}})
			_, _ = w.Write(document)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+token+` is not \u202e`+"\u202e\u009b"+`good", resource_metadata="`+self+"\u202e"+`"`)
		if token == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(status)
		body, _ := io.ReadAll(r.Body)
		signature := token[strings.LastIndexByte(token, '.')+1:]
		var entries []map[string]string
		for _, name := range []string{token, "x" + signature + "y", token[:len(token)-3], strings.Repeat("x", 200) + token, long, "ok"} {
			entries = append(entries, map[string]string{"name": name, "uri": name, "uriTemplate": name})
		}
		result := map[string]any{"protocolVersion": legacyVersion}
		for _, kind := range listed {
			if strings.Contains(string(body), kind.method) {
				result = map[string]any{kind.member: entries}
			}
		}
		answer, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "result": result})
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
}

// TestForeignTextInCommands: what a server says is shown without the token that
// it repeats and without what a terminal acts on, and in JSON likewise.
func TestForeignTextInCommands_OBS_11_AUDIT_04(t *testing.T) {
	issuer := newIssuer(t)
	policy := fileWith(t, `{"rules":{"tools":{"read":["notes:read"]}}}`)
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable} {
		resource := repeater(t, issuer.URL(), status)
		token := issuer.TokenFor(resource, "notes:read")
		for _, args := range [][]string{
			{"doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-"},
			{"doctor", "--resource", resource, "--token", "-", "--origin", "https://a.example"},
			{"policy", "--policy", policy, "--live", resource, "--issuer", issuer.URL(), "--token", "-"},
			{"check", "--rate", "2000", "--token", "-", resource},
		} {
			for _, form := range [][]string{nil, {"--json"}} {
				got := mcpauthCommand(t, token, append(args[:len(args):len(args)], form...)...)
				if args[0] == "check" {
					got = mcpauthCommand(t, token, append(append([]string{"check"}, form...), args[1:]...)...)
				}
				all := got.stdout + got.stderr
				require.NotEmpty(t, all)
				assert.Empty(t, strings.Trim(dangerous(all), "\n"), "%d %v", status, args)
				for part := range strings.SplitSeq(token, ".") {
					assert.NotContains(t, all, part, "%d %v: a part of the token", status, args)
				}
				for i := range len(token) - 16 {
					require.NotContains(t, all, token[i:i+16], "%d %v: a piece of the token", status, args)
				}
				for line := range strings.Lines(all) {
					assert.Less(t, len(line), 4<<10, "%d %v", status, args)
				}
				if form != nil && got.stdout != "" {
					assert.True(t, json.Valid([]byte(got.stdout)), "%d %v", status, args)
				}
			}
		}
	}
}

// dangerous are the characters of a text that nobody sees and that do something.
func dangerous(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(hostile, r) && r > '~' || r >= 0x7f && r < 0xa0 {
			return r
		}
		return -1
	}, text)
}

// TestDoctorFresh_OBS_12: of a token that is too old the rest is judged too, by the middleware.
func TestDoctorFresh_OBS_12(t *testing.T) {
	issuer := newIssuer(t)
	resource := notes(t, issuer.URL())
	old := mcpauthtest.Claims{"aud": resource, "scope": "notes:read", "iat": time.Now().Add(-3 * time.Hour).Unix(), "exp": time.Now().Add(-2 * time.Hour).Unix()}
	for name, tt := range map[string]struct {
		change mcpauthtest.Claims
		want   string
	}{
		"nothing else":     {nil, "a fresh one with the same claims would be accepted"},
		"nbf":              {mcpauthtest.Claims{"nbf": time.Now().Add(-3 * time.Hour).Unix()}, "the token opens read"},
		"another audience": {mcpauthtest.Claims{"aud": "https://other.example/api"}, "once it is fresh: The token was made for another API."},
		"no subject":       {mcpauthtest.Claims{"sub": nil}, "once it is fresh: The token has no usable subject."},
		"large numbers":    {mcpauthtest.Claims{"n": json.RawMessage("12345678901234567890123")}, "a fresh one with the same claims would be accepted"},
		"not yet":          {mcpauthtest.Claims{"iat": time.Now().Add(time.Hour).Unix(), "exp": time.Now().Add(2 * time.Hour).Unix()}, "the token opens read"},
	} {
		claims := mcpauthtest.Claims{}
		for _, all := range []mcpauthtest.Claims{old, tt.change} {
			for claim, value := range all {
				claims[claim] = value
			}
		}
		got := mcpauthCommand(t, issuer.Token(claims), "doctor", "--resource", resource, "--issuer", issuer.URL(), "--policy", fileWith(t, notesPolicy), "--token", "-")
		assert.Equal(t, exitFindings, got.code, name)
		assert.Contains(t, got.stdout, tt.want, name)
	}
}

// TestDoctorNoPolicy_OBS_12: a server that has no policy refuses everything, which is
// named where it shows.
func TestDoctorNoPolicy_OBS_12(t *testing.T) {
	issuer := newIssuer(t)
	h := healthy{needs: "notes:read"}
	server := func(rules string) (resource string) {
		web := httptest.NewUnstartedServer(nil)
		resource = "http://" + web.Listener.Addr().String() + "/mcp"
		h.serve(t, web, fileWith(t, `{"issuers":[{"url":"`+issuer.URL()+`"}]`+rules+`}`), resource)
		return resource
	}
	without, with := server(""), server(`,"scopes":["notes:read"],"rules":{"tools":{"read":["notes:read"]}}`)
	for _, tt := range []struct {
		name, resource, file string
		scopes               []string
		code                 int
		want                 string
	}{
		{"no file", without, "", []string{"notes:read"}, exitFindings, "this is how a server without a policy looks"},
		{"a file with rules", without, notesPolicy, []string{"notes:read"}, exitFindings, "have the server run with this policy"},
		{"a file without rules", without, `{"rules":{}}`, []string{"notes:read"}, exitFindings, "the file has no rules"},
		{"a policy, and a token without rights", with, "", nil, exitOK, "it lists nothing to this token"},
		{"a policy", with, notesPolicy, []string{"notes:read"}, exitOK, `"read"`},
		{"issuers only", with, `{"issuers":[{"url":"` + issuer.URL() + `"}]}`, []string{"notes:read"}, exitOK, "with --policy FILE"},
	} {
		args := []string{"doctor", "--resource", tt.resource, "--issuer", issuer.URL(), "--token", "-"}
		if tt.file != "" {
			args = append(args, "--policy", fileWith(t, tt.file))
		}
		got := mcpauthCommand(t, issuer.TokenFor(tt.resource, tt.scopes...), args...)
		assert.Equal(t, tt.code, got.code, "%s: %s", tt.name, got.stdout)
		assert.Contains(t, got.stdout, tt.want, tt.name)
	}
}

// TestCheckSaysWhatToGive_OBS_12: for each reason why checks were not run, the flag.
func TestCheckSaysWhatToGive_OBS_12(t *testing.T) {
	resource := notes(t, newIssuer(t).URL())
	got := mcpauthCommand(t, "", "check", "--rate", "2000", resource)
	assert.Equal(t, exitOK, got.code)
	_, end, found := strings.Cut(got.stdout, " not run; ")
	require.True(t, found)
	notRun := 0
	for line := range strings.Lines(end) {
		var n int
		if _, err := fmt.Sscanf(line, "%d not run:", &n); err == nil {
			notRun += n
		}
	}
	assert.Greater(t, notRun, 70)
	for _, flag := range []string{"--token", "--embed-issuer", "--issuer with --key", "--tool", "--origin", "--outage"} {
		assert.Contains(t, end, flag)
	}
}
