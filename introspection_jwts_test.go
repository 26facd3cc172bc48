package mcpauth_test

import (
	"fmt"
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

// newConfirmedFixture is a fixture whose issuer is asked about JWTs, too.
func newConfirmedFixture(tb testing.TB, change func(*mcpauth.Config)) *fixture {
	tb.Helper()
	return newOpaqueFixture(tb, func(c *mcpauth.Config) {
		c.Issuers[0].Introspect.JWTs = true
		if change != nil {
			change(c)
		}
	})
}

// TestJWTsAreConfirmed: a JWT needs both, its signature and the word of its issuer. What the issuer leaves out is as the
// JWT says, and what it says must be of the same token.
func TestJWTsAreConfirmed_INTRO_09_INTRO_16(t *testing.T) {
	full := `{"active":true,"iss":"` + testIssuerURL + `","sub":"user-1","client_id":"client-1","aud":"` + testResource + `","scope":"mcp:read","exp":9000000000,"token_type":"Bearer"}`
	said := func(old, new string) string { return strings.Replace(full, old, new, 1) }
	for _, row := range []struct {
		name   string
		claims mcpauthtest.Claims // of the JWT
		answer string
		status int // 200 if zero
		words  mcpauth.Reason
		cause  string
	}{
		{name: "active, and nothing else", answer: `{"active":true}`},
		{name: "everything", answer: full},
		{name: "a list of audiences", answer: said(`"`+testResource+`"`, `["x","`+testResource+`"]`)},
		{name: "more scopes", answer: said("mcp:read", "mcp:admin mcp:read")},
		{name: "of a client without subject, by its id", claims: mcpauthtest.Claims{"sub": nil}, answer: said("user-1", "client-1")},
		{name: "of a client without subject", claims: mcpauthtest.Claims{"sub": nil}, answer: `{"active":true}`},
		{name: "username of another", answer: said(`"sub"`, `"username":"root","sub"`)},
		{name: "of a client without subject, username is empty", claims: mcpauthtest.Claims{"sub": nil}, answer: `{"active":true,"username":""}`},
		{name: "a user by username, and no subject", claims: mcpauthtest.Claims{"sub": nil}, answer: `{"active":true,"username":"alice"}`, status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "inactive", answer: `{"active":false}`, status: 401, words: mcpauth.ErrRevoked, cause: "token-inactive"},
		{name: "unknown", answer: "", status: 401, words: mcpauth.ErrRevoked, cause: "token-inactive"},
		{name: "active is a text", answer: said("true", `"true"`), status: 401, words: mcpauth.ErrRevoked, cause: "token-inactive"},
		{name: "another issuer", answer: said(testIssuerURL, "https://evil.example.com"), status: 401, words: mcpauth.ErrIssuer, cause: "introspection-issuer"},
		{name: "another subject", answer: said("user-1", "user-2"), status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "the client as subject of a user's token", answer: said("user-1", "client-1"), status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "sub is empty", answer: said("user-1", ""), status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "sub is a list", answer: said(`"user-1"`, `["user-1"]`), status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "another client", answer: said("client-1", "client-2"), status: 401, words: mcpauth.ErrClaims, cause: "subject"},
		{name: "another audience", answer: said(testResource, "https://other.example.com/api"), status: 401, words: mcpauth.ErrAudience, cause: "audience-other"},
		{name: "an empty audience", answer: said(`"`+testResource+`"`, `[]`), status: 401, words: mcpauth.ErrAudience, cause: "audience-empty"},
		{name: "over", answer: said("9000000000", "1000000000"), status: 401, words: mcpauth.ErrExpired, cause: "expired"},
		{name: "exp is a text", answer: said("9000000000", `"9000000000"`), status: 401, words: mcpauth.ErrClaims, cause: "claim-missing"},
		{name: "not yet", answer: said(`"exp"`, `"nbf":9000000000,"exp"`), status: 401, words: mcpauth.ErrNotYetValid, cause: "not-before"},
		{name: "a refresh token", answer: said(`"exp"`, `"typ":"Refresh","exp"`), status: 401, words: mcpauth.ErrTokenType, cause: "token-refresh"},
		{name: "token_type mac", answer: said("Bearer", "mac"), status: 401, words: mcpauth.ErrTokenType, cause: "token-type"},
		{name: "token_type DPoP of a token that is not bound", answer: said("Bearer", "DPoP"), status: 401, words: mcpauth.ErrSenderConstrained, cause: "token-unbound"},
		{name: "bound, and the JWT is not", answer: said(`"exp"`, `"cnf":{"jkt":"`+strings.Repeat("A", 43)+`"},"exp"`), status: 401, words: mcpauth.ErrSenderConstrained, cause: "sender-constrained"},
		{name: "fewer scopes", answer: said("mcp:read", "other"), status: 403, cause: "scopes-withdrawn"},
		{name: "no scopes", answer: said("mcp:read", ""), status: 403, cause: "scopes-withdrawn"},
		{name: "as many scopes, which are not enough", claims: mcpauthtest.Claims{"sub": nil, "scope": "other"}, answer: `{"active":true,"scope":"other"}`, status: 403, cause: "scope-not-granted"},
		{name: "active stands twice", answer: said(`"active":true`, `"active":false,"active":true`), status: 503, cause: "introspection-answer"},
		{name: "no JSON", answer: "<html>", status: 503, cause: "introspection-answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newConfirmedFixture(t, allowMissingSubject)
			token := f.token(row.claims)
			f.issuer.Answer(token, row.answer)
			for range 2 {
				f.ran = 0
				w := f.call(token, "echo")
				if row.status == 0 {
					f.served(w)
					p, _ := mcpauth.FromContext(f.last.Context())
					assert.Equal(t, []string{"mcp:read"}, p.Scopes)
					continue
				}
				assert.Equal(t, row.status, w.Code, "body %s", w.Body)
				assert.Zero(t, f.ran)
				if row.words != "" {
					assert.Equal(t, invalidToken(string(row.words)), w.Header().Get("WWW-Authenticate"))
				}
				assert.Contains(t, f.log.String(), "cause="+row.cause+" ")
				whose := "user-1"
				if row.claims != nil {
					whose = "client:client-1"
				}
				assert.Contains(t, f.log.String(), whose, "it was verified: the line says whose it is")
				assert.NotContains(t, f.log.String(), token)
			}
			if row.status != 503 {
				assert.Equal(t, 1, f.questions())
			}
		})
	}
}

// TestClaimsOfConfirmedJWT: what must be in a JWT must be in what is said of it, as far as that is said; and a JWT that
// names no client is nobody else's because the answer names one.
func TestClaimsOfConfirmedJWT_INTRO_09(t *testing.T) {
	tenants := func(c *mcpauth.Config) {
		c.Issuers[0].RequireClaims = map[string][]string{"tid": {"mine"}, "org.id": {"1"}}
	}
	good := mcpauthtest.Claims{"tid": "mine", "org": map[string]any{"id": "1"}}
	for _, row := range []struct {
		name   string
		claims mcpauthtest.Claims
		change func(*mcpauth.Config)
		answer string
		status int
	}{
		{"nothing is said of the tenant", good, tenants, `{"active":true}`, 200},
		{"the same tenant", good, tenants, `{"active":true,"tid":"mine","org":{"id":["0","1"]}}`, 200},
		{"another part of the organization", good, tenants, `{"active":true,"org":{"name":"x"}}`, 200},
		{"another tenant", good, tenants, `{"active":true,"tid":"other"}`, 403},
		{"no tenant by now", good, tenants, `{"active":true,"tid":null}`, 403},
		{"no tenant in the JWT", mcpauthtest.Claims{"org": good["org"]}, tenants, `{"active":true}`, 403},
		{"another tenant in the JWT", mcpauthtest.Claims{"tid": "other", "org": good["org"]}, tenants, `{"active":true,"tid":"mine"}`, 403},
		{"another organization", good, tenants, `{"active":true,"tid":"mine","org":{"id":"2"}}`, 403},
		{"no client in the JWT", mcpauthtest.Claims{"client_id": nil}, nil, `{"active":true,"sub":"user-1","client_id":"client-1"}`, 200},
		{"the client is another", nil, nil, `{"active":true,"sub":"user-1","client_id":"client-2"}`, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newConfirmedFixture(t, row.change)
			token := f.token(row.claims)
			f.issuer.Answer(token, row.answer)
			for range 2 {
				f.ran = 0
				w := f.call(token, "echo")
				assert.Equal(t, row.status, w.Code, "body %s", w.Body)
				assert.Equal(t, row.status == 200, f.ran == 1)
			}
			switch row.status {
			case 200:
				p, _ := mcpauth.FromContext(f.last.Context())
				assert.Equal(t, "user-1", p.Subject)
				assert.False(t, p.Client)
			case 403:
				assert.Equal(t, 2, strings.Count(f.log.String(), "cause=required-claim "))
			}
		})
	}
}

// TestBadJWTsAreNotAskedAbout: what is refused here is refused, whatever the issuer would say of it.
func TestBadJWTsAreNotAskedAbout_INTRO_09_INTRO_16(t *testing.T) {
	f := newConfirmedFixture(t, nil)
	good := f.token(nil)
	for name, token := range map[string]string{
		"expired":            f.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"another audience":   f.token(mcpauthtest.Claims{"aud": "https://other.example.com"}),
		"another issuer":     f.token(mcpauthtest.Claims{"iss": "https://other.example.com"}),
		"a broken signature": good[:len(good)-8] + "AAAAAAAA",
		"no signature":       good[:strings.LastIndexByte(good, '.')+1],
		"another key":        f.keyToken(mcpauthtest.NewKey("k1", "RS256"), nil),
	} {
		w := f.call(f.rescued(token), "echo")
		assert.Equal(t, http.StatusUnauthorized, w.Code, name)
		assert.Zero(t, f.ran, name)
	}
	assert.Zero(t, f.questions())
	f.issuer.Answer(good, `{"active":true}`)
	f.served(f.call(good, "echo"))
	assert.Equal(t, 1, f.questions())
}

// TestRevokedJWT: an answer counts for a minute, an outage is 503, and the key counts as before.
func TestRevokedJWT_INTRO_05_INTRO_06_INTRO_09(t *testing.T) {
	live := func(t *testing.T) (*fixture, string) {
		f := newConfirmedFixture(t, nil)
		token := longToken(f, nil)
		f.issuer.Answer(token, `{"active":true}`)
		f.served(f.call(token, "echo"))
		f.ran = 0
		return f, token
	}
	synctest.Test(t, func(t *testing.T) {
		f, token := live(t)
		f.issuer.Answer(token, "")
		time.Sleep(59 * time.Second)
		f.served(f.call(token, "echo"))
		assert.Equal(t, 1, f.questions())
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
		assert.Equal(t, 2, f.questions())
	})
	synctest.Test(t, func(t *testing.T) {
		f, token := live(t)
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
		f.served(f.call(token, "echo"))
		time.Sleep(time.Minute)
		w := f.call(token, "echo")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
	})
	synctest.Test(t, func(t *testing.T) {
		f, token := live(t)
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
		time.Sleep(45 * time.Second) // another token has the keys fetched
		other := longToken(f, nil)
		f.issuer.Answer(other, `{"active":true}`)
		f.served(f.call(other, "echo"))
		assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code, "a withdrawn key is noticed although the answer is young")
	})
}

// TestStreamsOfConfirmedJWTs: what lasts is asked about at both.
func TestStreamsOfConfirmedJWTs_INTRO_09_INTRO_23(t *testing.T) {
	for name, row := range map[string]struct {
		change func(f *fixture, token string)
		reason mcpauth.Reason
	}{
		"revoked":         {func(f *fixture, token string) { f.issuer.Answer(token, "") }, mcpauth.ErrRevoked},
		"another subject": {func(f *fixture, token string) { f.issuer.Answer(token, `{"active":true,"sub":"user-2"}`) }, mcpauth.ErrClaims},
		"key withdrawn": {func(f *fixture, _ string) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			other := longToken(f, nil)
			f.issuer.Answer(other, `{"active":true}`)
			f.call(other, "echo")
		}, mcpauth.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newConfirmedFixture(t, nil)
				token := longToken(f, nil)
				f.issuer.Answer(token, `{"active":true}`)
				l := f.lasts(streamOpens[0].send(f, token))
				f.inner = nil
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.Zero(t, l.ended, "it lives by its answers")
				at := time.Now()
				row.change(f, token)
				time.Sleep(time.Hour)
				l.endedWith(t, at, at.Add(66*time.Second), row.reason, streamOpens[0].owed(-31401, string(row.reason)))
				t.Logf("ended %v after the change", l.ended.Sub(at))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // an outage, whichever of the two is out of reach
		f := newConfirmedFixture(t, nil)
		token := longToken(f, nil)
		f.issuer.Answer(token, `{"active":true}`)
		l := f.lasts(streamOpens[0].send(f, token))
		at := time.Now()
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
		time.Sleep(time.Hour)
		l.endedWith(t, at.Add(294*time.Second), at.Add(306*time.Second), mcpauth.ErrUnavailable, streamOpens[0].owed(-31503, "authorization temporarily unavailable"))
	})
}

// TestVerifiedJWTsAreNoStrangers: a flood of made-up opaque tokens keeps nobody waiting whose JWT was verified, be it new.
func TestVerifiedJWTsAreNoStrangers_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowly{}
		f := newConfirmedFixture(t, slow.config)
		token := longToken(f, nil)
		f.issuer.Answer(token, `{"active":true}`)
		f.served(f.call(longTokenOf(f, "user-2"), "echo")) // keys and metadata are there
		slow.takes.Store(int64(time.Second))
		done := make(chan map[int]int)
		go func() { done <- f.many(1000, func(int) string { return "opaque_" + randomText() }) }()
		synctest.Wait()
		begun := time.Now()
		w := f.call(token, "echo")
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, time.Second, time.Since(begun))
		<-done
	})
}

// TestManyTokensOfOne: who has many good tokens, and has them all asked about at once, keeps nobody else waiting for long.
func TestManyTokensOfOne_INTRO_08_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowly{}
		f := newConfirmedFixture(t, slow.config)
		alice, tokens := longTokenOf(f, "alice"), make([]string, 500)
		for i := range tokens {
			tokens[i] = longToken(f, mcpauthtest.Claims{"sub": "mallory", "jti": fmt.Sprint(i)})
			f.issuer.Answer(tokens[i], `{"active":true}`)
		}
		f.served(f.call(longTokenOf(f, "user-2"), "echo")) // keys and metadata are there
		slow.takes.Store(int64(time.Second))
		done := make(chan map[int]int)
		go func() { done <- f.many(len(tokens), func(i int) string { return tokens[i] }) }()
		synctest.Wait()
		begun := time.Now()
		assert.Equal(t, http.StatusOK, f.call(alice, "echo").Code)
		assert.LessOrEqual(t, time.Since(begun), 2*time.Second)
		assert.Equal(t, map[int]int{http.StatusOK: 96, http.StatusServiceUnavailable: 404}, <-done)
		assert.LessOrEqual(t, slow.max.Load(), int64(64))
		f.ran = 0
		f.served(f.call(tokens[499], "echo"))
	})
}

// longTokenOf is a confirmed token of another user.
func longTokenOf(f *fixture, sub string) string {
	token := longToken(f, mcpauthtest.Claims{"sub": sub})
	f.issuer.Answer(token, `{"active":true}`)
	return token
}

// TestBoundJWTsAreConfirmed: both kinds of proof are wanted, and the thief of a token learns nothing.
func TestBoundJWTsAreConfirmed_INTRO_09_INTRO_14(t *testing.T) {
	l := newProofLab(t, nil)
	issuer := l.issuer
	l.fixture = newFixtureOf(t, issuer, func(c *mcpauth.Config) {
		c.Issuers[0].DPoP = mcpauth.DPoPAccepted
		c.Issuers[0].Introspect = issuer.Introspection()
		c.Issuers[0].Introspect.JWTs = true
	})
	for answer, served := range map[string]bool{
		`{"active":true}`:                     true,
		`{"active":true,"token_type":"DPoP"}`: true,
		`{"active":true,"token_type":"DPoP","cnf":{"jkt":"` + l.key.Thumbprint() + `"}}`: true,
		`{"active":true,"cnf":{"jkt":"` + l.foreign.Thumbprint() + `"}}`:                 false,
		`{"active":true,"cnf":{"x5t#S256":"abc"}}`:                                       false,
		`{"active":true,"cnf":{}}`:                                                       false,
		`{"active":false}`:                                                               false,
	} {
		l.token = l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read", "jti": answer})
		l.issuer.Answer(l.token, answer)
		l.ran = 0
		w := l.serve(l.send("DPoP "+l.token, l.proof(nil)))
		assert.Equal(t, served, w.Code == 200, "%s: %s", answer, w.Body)
		assert.Equal(t, served, l.ran == 1, answer)
		assert.Equal(t, 401, l.serve(l.send("Bearer "+l.token)).Code, answer)
		assert.Equal(t, 401, l.serve(l.send("DPoP "+l.token, l.foreign.Proof("POST", testResource, l.token, nil))).Code, answer)
	}
}

// TestExpiryOfConfirmedJWT: of two ends the first counts.
func TestExpiryOfConfirmedJWT_INTRO_05_INTRO_09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConfirmedFixture(t, nil)
		token := longToken(f, nil)
		end := time.Now().Add(40 * time.Second)
		f.issuer.Answer(token, fmt.Sprintf(`{"active":true,"exp":%d}`, end.Unix()))
		f.served(f.call(token, "echo"))
		p, _ := mcpauth.FromContext(f.last.Context())
		assert.WithinDuration(t, end, p.Expiry, time.Second)
		l := f.lasts(streamOpens[0].send(f, token))
		time.Sleep(time.Hour)
		leeway := 30 * time.Second
		l.endedWith(t, end.Add(-time.Second), end.Add(leeway), mcpauth.ErrExpired, streamOpens[0].owed(-31401, "token expired"))
	})
}

// TestRolesOfConfirmedJWT: scopes and roles stand in claims of their own, and an answer that has the one kind says nothing
// of the other.
func TestRolesOfConfirmedJWT_INTRO_09(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		scopes       []string
	}{
		{"neither", `{"active":true}`, []string{"mcp:read", "mcp:admin"}},
		{"scope alone", `{"active":true,"scope":"mcp:read"}`, []string{"mcp:read", "mcp:admin"}},
		{"roles alone", `{"active":true,"roles":["admins"]}`, []string{"mcp:read", "mcp:admin"}},
		{"both", `{"active":true,"scope":"mcp:read","roles":["admins"]}`, []string{"mcp:read", "mcp:admin"}},
		{"the role is gone", `{"active":true,"roles":[]}`, []string{"mcp:read"}},
		{"the role is gone, and the scope stays", `{"active":true,"scope":"mcp:read","roles":["others"]}`, []string{"mcp:read"}},
		{"more of both", `{"active":true,"scope":"mcp:read other","roles":["admins","writers"]}`, []string{"mcp:read", "mcp:admin"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newConfirmedFixture(t, func(c *mcpauth.Config) {
				c.Issuers[0].Claims = mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"admins": {"mcp:admin"}, "writers": {"mcp:write"}}}
			})
			token := f.token(mcpauthtest.Claims{"roles": []string{"admins"}})
			f.issuer.Answer(token, row.answer)
			f.served(f.call(token, "echo"))
			p, _ := mcpauth.FromContext(f.last.Context())
			assert.Equal(t, row.scopes, p.Scopes)
		})
	}
}
