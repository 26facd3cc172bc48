package mcpauth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// newBoundOpaqueLab is a lab whose tokens only the issuer can read: its token is bound to the client's key
// by what the issuer answers.
func newBoundOpaqueLab(tb testing.TB, mode mcpauth.DPoP) *proofLab {
	issuer := mcpauthtest.NewIssuerAt(tb, testIssuerURL)
	l := &proofLab{now: time.Now().Unix(), key: mcpauthtest.NewKey("client", "ES256"), foreign: mcpauthtest.NewKey("foreign", "ES256")}
	l.fixture = newFixtureOf(tb, issuer, func(c *mcpauth.Config) {
		c.Issuers[0].DPoP = mode
		c.Issuers[0].Introspect = issuer.Introspection()
	})
	l.token, l.foreignToken = l.boundOpaque(l.key, nil), l.boundOpaque(l.foreign, nil)
	l.bearer = l.opaque(nil)
	return l
}

// bindingOf is as Keycloak has it.
func bindingOf(key *mcpauthtest.Key) map[string]any {
	return map[string]any{"jkt": key.Thumbprint(), "kc-jkt-type": "DPoP"}
}

// boundOpaque lives for long, so that streams end for another reason.
func (l *proofLab) boundOpaque(key *mcpauthtest.Key, claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"token_type": "DPoP", "cnf": bindingOf(key)}
	for name, value := range claims {
		all[name] = value
	}
	return longOpaque(l.fixture, all)
}

// TestBoundOpaqueTokens: what a token is bound to is what its issuer answers, and a bound one needs its proof as a JWT does.
func TestBoundOpaqueTokens_INTRO_14_DPOP_18(t *testing.T) {
	dpop := func(key func(*proofLab) *mcpauthtest.Key) func(*proofLab) *http.Request {
		return func(l *proofLab) *http.Request {
			return l.send("DPoP "+l.token, key(l).Proof(http.MethodPost, testResource, l.token, nil))
		}
	}
	own := dpop(func(l *proofLab) *mcpauthtest.Key { return l.key })
	bearer := func(l *proofLab) *http.Request { return l.send("Bearer " + l.token) }
	for _, row := range []struct {
		name  string
		mode  mcpauth.DPoP
		said  mcpauthtest.Claims // of the answer, beside those of a bound token
		send  func(*proofLab) *http.Request
		cause string // "": served
	}{
		{"accepted", mcpauth.DPoPAccepted, nil, own, ""},
		{"token_type Bearer with jkt", mcpauth.DPoPAccepted, mcpauthtest.Claims{"token_type": "Bearer"}, own, ""},
		{"no token_type, with jkt", mcpauth.DPoPAccepted, mcpauthtest.Claims{"token_type": nil}, own, ""},
		{"token_type in small letters", mcpauth.DPoPAccepted, mcpauthtest.Claims{"token_type": "dpop"}, own, ""},
		{"not bound, as bearer", mcpauth.DPoPAccepted, mcpauthtest.Claims{"token_type": nil, "cnf": nil}, bearer, ""},
		{"off", mcpauth.DPoPOff, nil, bearer, "sender-constrained"},
		{"off, token_type Bearer", mcpauth.DPoPOff, mcpauthtest.Claims{"token_type": "Bearer"}, bearer, "sender-constrained"},
		{"as bearer", mcpauth.DPoPAccepted, nil, bearer, "bound-as-bearer"},
		{"as bearer, token_type Bearer", mcpauth.DPoPAccepted, mcpauthtest.Claims{"token_type": "Bearer"}, bearer, "bound-as-bearer"},
		{"as bearer where it must be bound", mcpauth.DPoPRequired, nil, bearer, "bound-as-bearer"},
		{"without a proof", mcpauth.DPoPAccepted, nil, func(l *proofLab) *http.Request { return l.send("DPoP " + l.token) }, "proof-missing"},
		{"by another key", mcpauth.DPoPAccepted, nil, dpop(func(l *proofLab) *mcpauthtest.Key { return l.foreign }), "proof-key"},
		{"another token's proof", mcpauth.DPoPAccepted, nil, func(l *proofLab) *http.Request {
			return l.send("DPoP "+l.token, l.key.Proof(http.MethodPost, testResource, l.foreignToken, nil))
		}, "proof-token"},
		{"another method's proof", mcpauth.DPoPAccepted, nil, func(l *proofLab) *http.Request {
			return l.send("DPoP "+l.token, l.key.Proof(http.MethodGet, testResource, l.token, nil))
		}, "proof-method"},
		{"without a nonce where it must be bound", mcpauth.DPoPRequired, nil, own, "proof-nonce"},
		{"DPoP without cnf", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": nil}, own, "token-unbound"},
		{"DPoP without cnf, as bearer", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": nil}, bearer, "token-unbound"},
		{"DPoP without cnf, off", mcpauth.DPoPOff, mcpauthtest.Claims{"cnf": nil}, bearer, "token-unbound"},
		{"DPoP with a certificate", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": map[string]any{"x5t#S256": "abc"}}, own, "bound-otherwise"},
		{"cnf is empty", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": map[string]any{}}, own, "bound-otherwise"},
		{"cnf is null", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": json.RawMessage("null")}, own, "bound-otherwise"},
		{"jkt is no thumbprint", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": map[string]any{"jkt": "x"}}, own, "bound-otherwise"},
		{"jkt and a certificate", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": map[string]any{"jkt": strings.Repeat("A", 43), "x5t#S256": "abc"}}, own, "bound-otherwise"},
		{"jkt at the top", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": nil, "jkt": strings.Repeat("A", 43), "token_type": nil}, own, "token-unbound"},
		{"not bound, as bound", mcpauth.DPoPAccepted, mcpauthtest.Claims{"cnf": nil, "token_type": "Bearer"}, own, "token-unbound"},
		{"not bound where it must be", mcpauth.DPoPRequired, mcpauthtest.Claims{"cnf": nil, "token_type": "Bearer"}, bearer, "token-unbound"},
		{"bound, inactive", mcpauth.DPoPAccepted, mcpauthtest.Claims{"active": false}, own, "token-inactive"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newBoundOpaqueLab(t, row.mode)
			l.token = l.boundOpaque(l.key, row.said)
			for range 2 { // the second time by what is remembered
				l.log.Reset()
				l.ran = 0
				w := l.serve(row.send(l))
				if row.cause == "" {
					l.served(w)
					continue
				}
				assert.Equal(t, http.StatusUnauthorized, w.Code, "body %s", w.Body)
				assert.Zero(t, l.ran, "accepted")
				assert.Contains(t, l.log.String(), "cause="+row.cause+" ")
				assert.NotContains(t, l.log.String()+w.Body.String(), hidden)
			}
			assert.Equal(t, 1, l.questions())
		})
	}
}

// TestOpaqueMemoryKeepsBinding: a bound token that was served a moment ago is as bound as it was.
func TestOpaqueMemoryKeepsBinding_INTRO_14_DPOP_01(t *testing.T) {
	l := newBoundOpaqueLab(t, mcpauth.DPoPAccepted)
	for range 3 {
		l.ran = 0
		l.served(l.serve(l.send("DPoP "+l.token, l.proof(nil))))
		l.ran = 0
		l.refused(l.serve(l.send("Bearer "+l.token)), 401, invalidToken("sender-constrained token without proof of possession")+" | "+dpopOffer)
		l.refused(l.serve(l.send("DPoP "+l.token)), 401, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
	}
	used := l.proof(nil)
	l.served(l.serve(l.send("DPoP "+l.token, used)))
	l.ran = 0
	l.refused(l.serve(l.send("DPoP "+l.token, used)), 401, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
	assert.Equal(t, 1, l.questions())
}

// TestStreamOfBoundOpaqueToken: a stream goes on while the answers name the key whose proof began it, and ends when
// they name another one, or none.
func TestStreamOfBoundOpaqueToken_INTRO_14_INTRO_23(t *testing.T) {
	const unbound = "sender-constrained token without proof of possession"
	answer := func(more string) string {
		return `{"active":true,"sub":"user-1","client_id":"client-1","aud":"` + testResource + `","scope":"mcp:read"` + more + `}`
	}
	for name, row := range map[string]struct {
		said  func(l *proofLab) string // from then on
		cause mcpauth.Reason
		words string
	}{
		"revoked":     {func(*proofLab) string { return "" }, mcpauth.ErrRevoked, "token revoked"},
		"another key": {func(l *proofLab) string { return answer(`,"cnf":{"jkt":"` + l.foreign.Thumbprint() + `"}`) }, mcpauth.ErrSenderConstrained, unbound},
		"no key":      {func(*proofLab) string { return answer("") }, mcpauth.ErrSenderConstrained, unbound},
		"certificate": {func(*proofLab) string { return answer(`,"cnf":{"x5t#S256":"abc"}`) }, mcpauth.ErrSenderConstrained, unbound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newBoundOpaqueLab(t, mcpauth.DPoPAccepted)
				r := streamOpens[0].send(l.fixture, l.token)
				r.Header.Set("Authorization", "DPoP "+l.token)
				r.Header.Set("DPoP", l.key.Proof(r.Method, testResource, l.token, nil))
				stream := l.lasts(r)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.Zero(t, stream.ended, "it lives by its answers")
				at := time.Now()
				l.issuer.Answer(l.token, row.said(l))
				time.Sleep(time.Hour)
				stream.endedWith(t, at, at.Add(66*time.Second), row.cause, streamOpens[0].owed(-31401, row.words))
			})
		})
	}
}
