package downstream

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// set changes the client that exchanges, until the test ends.
func (s *site) set(name string, value any) {
	s.Helper()
	s.realm.Edit(s.T, s.realm.Client(s.T, authservers.ExchangeClient), func(client map[string]any) { client[name] = value })
}

// attribute is set for attributes.
func (s *site) attribute(name, value string) {
	s.Helper()
	s.realm.Edit(s.T, s.realm.Client(s.T, authservers.ExchangeClient), func(client map[string]any) {
		client["attributes"].(map[string]any)[name] = value
	})
}

func target(change func(*onbehalf.Target)) func(*onbehalf.Config) {
	return func(c *onbehalf.Config) {
		t := c.Targets["crm"]
		change(&t)
		c.Targets["crm"] = t
	}
}

func client(id, secret string) func(*onbehalf.Config) {
	return func(c *onbehalf.Config) { c.Client = clientauth.SecretBasic(id, secret) }
}

// The lines of the log, above debug.
const (
	notTaken = `level=ERROR msg="onbehalf: the authorization server does not take this client or the target" target=crm client_id=`
	refuses  = `level=WARN msg="onbehalf: the authorization server refuses the exchange: its own words are in the debug log" target=crm client_id=`
	unusable = `level=WARN msg="onbehalf: what the token endpoint answers cannot be used" target=crm client_id=`
)

// TestRefused: what can be wrong at Keycloak or with our settings, and what comes of it for the tool, the client
// and the operator.
func TestRefused_EXCH_16_EXCH_19_EXCH_20_EXCH_25(t *testing.T) {
	const another = "not-this-secret"
	rows := []struct {
		name   string
		ours   func(*onbehalf.Config)
		theirs func(*site)
		scope  string // of the caller's token; "": mcp:read

		event string // error that Keycloak's own log has
		kind  onbehalf.Kind
		code  string
		line  string // of the log
		words string // Keycloak's, in the debug log
	}{
		{"another secret", client("mcp-server", another), nil, "",
			"invalid_client_credentials", onbehalf.Misconfigured, "unauthorized_client", notTaken, "Invalid client or Invalid client credentials"},
		{"a client that is not there", client("nobody", another), nil, "",
			"client_not_found", onbehalf.Misconfigured, "invalid_client", notTaken, "Invalid client or Invalid client credentials"},
		{"a client that is disabled", nil, func(s *site) { s.set("enabled", false) }, "",
			"client_disabled", onbehalf.Misconfigured, "invalid_client", notTaken, "Invalid client or Invalid client credentials"},
		{"a secret where an assertion is wanted", nil, func(s *site) { s.set("clientAuthenticatorType", "client-jwt") }, "",
			"invalid_client_credentials", onbehalf.Misconfigured, "invalid_client", notTaken, "Parameter client_assertion_type is missing"},
		{"an API that is not there", target(func(t *onbehalf.Target) { t.Audience = "no-api" }), nil, "",
			"client_not_found", onbehalf.Misconfigured, "invalid_client", notTaken, "Audience not found"},
		{"an exchange that is not enabled", nil, func(s *site) { s.attribute("standard.token.exchange.enabled", "false") }, "",
			"invalid_request", onbehalf.Refused, "invalid_request", refuses, "Standard token exchange is not enabled for the requested client"},
		{"a caller's token without this client in aud", nil, nil, "mcp:list",
			"not_allowed", onbehalf.Refused, "access_denied", refuses, "Client is not within the token audience"},
		{"a scope that is not there", target(func(t *onbehalf.Target) { t.Scopes = []string{"crm:nothing"} }), nil, "",
			"invalid_request", onbehalf.Refused, "invalid_scope", refuses, "Invalid scopes: crm:nothing"},
		{"a scope that this client has not", target(func(t *onbehalf.Target) { t.Scopes = []string{"crm:write"} }), nil, "",
			"invalid_request", onbehalf.Refused, "invalid_scope", refuses, "Invalid scopes: crm:write"},
		{"a scope without the audience of the API", target(func(t *onbehalf.Target) { t.Scopes = []string{"crm:lost"} }), nil, "",
			"invalid_request", onbehalf.Refused, "invalid_request", refuses, "Requested audience not available: crm"},
		{"no scope", target(func(t *onbehalf.Target) { t.Scopes = nil }), nil, "",
			"invalid_request", onbehalf.Refused, "invalid_request", refuses, "Requested audience not available: crm"},
		{"resource in the place of audience", target(func(t *onbehalf.Target) {
			t.Audience, t.Resource, t.Audiences, t.Scopes = "", t.URL, []string{"crm"}, nil
		}), nil, "", "", onbehalf.Refused, "", unusable, "correct Target.Audiences"},
		{"a client of whose scopes the user has not agreed to", nil, func(s *site) { s.set("consentRequired", true) }, "",
			"consent_denied", onbehalf.Refused, "invalid_scope", refuses, "Missing consents for Token Exchange in client mcp-server"},
		{"a user who has signed out", nil, func(s *site) { s.realm.EndSessions(s.T, authservers.Ann) }, "",
			"invalid_token", onbehalf.Refused, "invalid_request", refuses, "Invalid token"},
		{"a user who is disabled", nil, func(s *site) {
			s.realm.Edit(s.T, "/users/ann-of-exchange", func(user map[string]any) { user["enabled"] = false })
		}, "", "invalid_token", onbehalf.Refused, "invalid_request", refuses, "Invalid token"},
	}
	table := "|---|---|---|---|\n"
	for _, row := range rows {
		code := "-"
		if row.code != "" {
			code = "`" + row.code + "`"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", row.name, row.kind, code, row.words)
	}
	page, err := os.ReadFile("../../docs/interop.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), "\n"+table+"\n", "the table of docs/interop.md")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, row.ours)
			s.hide(another)
			scope := row.scope
			if scope == "" {
				scope = "mcp:read"
			}
			token := s.signIn(scope)
			if row.theirs != nil {
				row.theirs(s)
			}
			s.realm.Events(t)
			words := map[onbehalf.Kind]string{onbehalf.Misconfigured: "not available", onbehalf.Refused: "refused"}[row.kind]
			for range 2 {
				assert.Equal(t, toolSays(words, true), s.call(token, customers))
			}
			assert.Equal(t, map[string]int{row.event: 2}, s.exchanges(), "both are asked for, and nothing else")
			assert.Equal(t, toolSays(words, true), s.call(token, early), "a policy leaves it to the tool")
			assert.Empty(t, s.api.served(), "the API was called")

			require.Len(t, s.failed, 3)
			assert.Equal(t, row.kind, s.failed[0].Kind)
			assert.Equal(t, row.code, s.failed[0].Code)
			assert.Equal(t, 1, strings.Count(s.logged(), row.line), "one line a minute: %s", s.logged())
			assert.Contains(t, s.logged(), row.words)
			if row.line != unusable {
				assert.Contains(t, s.logged(), " cause="+row.code+" status=4")
			}
		})
	}
}

// TestSignedOut: what was exchanged before lives on, as every token does that was given out.
func TestSignedOut_EXCH_12(t *testing.T) {
	s := newSite(t, nil)
	token := s.signIn("mcp:read")
	served := s.call(token, customers)
	require.Equal(t, 200, served.status)
	s.realm.EndSessions(t, authservers.Ann)
	assert.Equal(t, served, s.call(token, customers))
	other := s.signIn("mcp:read")
	assert.Equal(t, served, s.call(other, customers), "who signs in again is served")
	assert.Len(t, s.api.served(), 3)
}

// TestStepUp: the scopes of the API are those of the client that exchanges. Who is sent for more is sent once.
func TestStepUp_EXCH_19(t *testing.T) {
	s := newSite(t, target(func(t *onbehalf.Target) { t.Scopes, t.StepUp = []string{"crm:write"}, []string{"mcp:list"} }))
	narrow := s.call(s.signIn("mcp:read"), early)
	assert.Equal(t, 403, narrow.status)
	assert.Contains(t, narrow.challenge, `error="insufficient_scope"`)
	assert.Contains(t, narrow.challenge, `scope="mcp:list`)
	assert.Empty(t, s.failed, "the tool ran")
	assert.Equal(t, toolSays("refused", true), s.call(s.signIn("mcp:read mcp:list"), early))
	assert.Equal(t, onbehalf.Refused, s.failed[0].Kind)
	assert.Equal(t, 1, strings.Count(s.logged(), refuses), s.logged())
}
