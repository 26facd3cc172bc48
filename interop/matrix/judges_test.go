package matrix

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// TestJudges takes a good run and removes or changes one thing at a time: the
// judge whose thing it is must notice.
func TestJudges(t *testing.T) {
	server := authservers.StartZitadel(t)
	run := func(person string, deny bool, steps ...string) evidence {
		guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: server.Issuer})
		server.Record.Take()
		reports := goSDK(t).run(t, job{url: guarded.URL, clientID: server.ClientID,
			browser: authservers.NewBrowser(person, deny), steps: steps})
		return evidence{server: server, guarded: guarded, reports: reports, as: server.Record.Take(), rs: guarded.Record.Take()}
	}
	whole := run(authservers.Ann, false, "connect", "list", "call:echo", "call:admin", "call:echo")
	holding := run(authservers.Lee, false, "connect", "call:echo", "call:admin", "call:echo")
	denied := run(authservers.Ann, true, "connect")

	without := func(from []exchange, drop func(exchange) bool) []exchange {
		return slices.DeleteFunc(slices.Clone(from), drop)
	}
	changed := func(from []exchange, change func(*exchange)) []exchange {
		changed := slices.Clone(from)
		for i := range changed {
			change(&changed[i])
		}
		return changed
	}
	for _, row := range []struct {
		name  string
		judge judge
		good  evidence
		spoil func(*evidence)
	}{
		{"no challenge", discovered, whole, func(e *evidence) {
			e.rs = without(e.rs, func(x exchange) bool { return x.Status == http.StatusUnauthorized })
		}},
		{"the challenge blames a token", discovered, whole, func(e *evidence) {
			e.rs = changed(e.rs, func(x *exchange) { x.Challenge += `, error="invalid_token"` })
		}},
		{"no metadata", discovered, whole, func(e *evidence) {
			e.rs = without(e.rs, func(x exchange) bool { return x.Path == protected.MetadataPath })
		}},
		{"no PKCE", authorized, whole, func(e *evidence) {
			e.as = without(e.as, func(x exchange) bool { return x.Params.Get("code_challenge_method") == "S256" })
		}},
		{"no resource in the token request", authorized, whole, func(e *evidence) {
			e.as = changed(e.as, func(x *exchange) {
				if x.Params.Has("grant_type") {
					x.Params = map[string][]string{"grant_type": x.Params["grant_type"]}
				}
			})
		}},
		{"a list of less", listed, whole, func(e *evidence) {
			e.reports = []report{{Step: "list", OK: true, Text: "echo"}}
		}},
		{"a call for somebody else", called, whole, func(e *evidence) {
			e.reports = []report{{Step: "call:echo", OK: true, Text: "echo for lee"}}
		}},
		{"a call that did not run", called, whole, func(e *evidence) { e.guarded = denied.guarded }},
		{"nothing was refused", steppedUp, whole, func(e *evidence) {
			e.rs = without(e.rs, func(x exchange) bool { return x.Status == http.StatusForbidden })
		}},
		{"no consent", steppedUp, whole, func(e *evidence) {
			e.as = without(e.as, func(x exchange) bool { return strings.Contains(x.Params.Get("scope"), "mcp:admin") })
		}},
		{"no refresh token", steppedUpWithRefresh, holding, func(e *evidence) {
			e.as = changed(e.as, func(x *exchange) { x.Refresh = false })
		}},
		{"nobody said no", refused, denied, func(e *evidence) {
			e.as = changed(e.as, func(x *exchange) { x.Refusal = "" })
		}},
		{"the client went on", refused, denied, func(e *evidence) { e.guarded = whole.guarded }},
		{"the client does not tell", refused, denied, func(e *evidence) {
			e.reports = []report{{Step: "connect", Text: "something is wrong"}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, problem := row.judge(row.good)
			assert.Empty(t, problem, "the good run")
			spoilt := row.good
			row.spoil(&spoilt)
			_, problem = row.judge(spoilt)
			assert.NotEmpty(t, problem, "the spoilt run")
		})
	}
	assert.Empty(t, whole.tooMuch())
	whole.as = nil
	assert.NotEmpty(t, whole.tooMuch(), "tools ran without consent")
}
