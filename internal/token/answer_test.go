package token

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

func answer(t *testing.T, claims with) (a Token, denied *refusal.Refusal) {
	t.Helper()
	text, err := json.Marshal(maps.Collect(maps.All(claims)))
	require.NoError(t, err)
	denied = a.ReadAnswer(text, "i", now)
	return a, denied
}

// TestAnswer: an answer is judged as the claims of a JWT are, but for its header.
func TestAnswer_INTRO_03_INTRO_12_INTRO_18_INTRO_24(t *testing.T) {
	usual := func(changes with) with {
		claims := with{"aud": resource, "sub": "u", "client_id": "c"}
		maps.Copy(claims, changes)
		return claims
	}
	without := func(r *Rules) { r.AllowMissingSubject = true }
	for _, row := range []struct {
		name    string
		change  func(*Rules)
		claims  with
		refused refusal.Reason
	}{
		{"good", nil, usual(nil), ""},
		{"no JWTs are made", func(r *Rules) { r.NoJWTs = true }, usual(nil), ""},
		{"of nothing but a client", func(r *Rules) { r.Audiences = []string{"c"} }, with{"aud": "c", "sub": "u"}, ""},
		{"iss", nil, usual(with{"iss": "i"}), ""},
		{"another iss", nil, usual(with{"iss": "j"}), refusal.Issuer},
		{"iss is no text", nil, usual(with{"iss": 1}), refusal.Issuer},
		{"no JSON that is read", nil, usual(with{"iat": -1}), refusal.Claims},
		{"no exp, though there is a longest life", func(r *Rules) { r.MaxLifetime = time.Hour }, usual(with{"iat": now.Unix()}), refusal.Claims},
		{"no iat, though there is a longest life", func(r *Rules) { r.MaxLifetime = time.Hour }, usual(with{"exp": now.Unix() + 60}), refusal.Claims},
		{"no iat, though at+jwt has one", func(r *Rules) { r.Types = []string{"at+jwt"} }, usual(nil), ""},
		{"a user without sub", without, usual(with{"sub": nil, "username": "n"}), refusal.Claims},
		{"a user whose name is no text", without, with{"aud": resource, "client_id": "c", "username": 1}, refusal.Claims},
		{"a user with an empty name", without, with{"aud": resource, "client_id": "c", "username": ""}, ""},
		{"a user with no name", without, with{"aud": resource, "client_id": "c", "username": nil}, ""},
		{"a user without sub, whom nobody identifies", without, with{"aud": resource, "client_id": "c", "username": "n"}, refusal.Claims},
		{"a user with sub", nil, usual(with{"username": "n"}), ""},
		{"a client without sub", without, with{"aud": resource, "client_id": "c"}, ""},
		{"a refresh token", nil, usual(with{"token_use": "refresh_token"}), refusal.TokenType},
		{"one of few letters", nil, usual(with{"token_use": "Refresh"}), refusal.TokenType},
		{"one that is called offline", nil, usual(with{"typ": "Offline"}), refusal.TokenType},
		{"one that is called so once", nil, usual(with{"token_use": "refresh", "typ": "Bearer"}), refusal.TokenType},
		{"one that is called so at last", nil, usual(with{"token_use": "access", "typ": "Refresh"}), refusal.TokenType},
		{"an ID token that is called so once", nil, usual(with{"token_use": "id", "typ": "Bearer"}), refusal.TokenType},
		{"access", nil, usual(with{"token_use": "access_token"}), ""},
		{"almost refresh", nil, usual(with{"token_use": "freshen"}), ""},
		{"Bearer", nil, usual(with{"token_type": "Bearer"}), ""},
		{"DPoP, and no key", func(r *Rules) { r.AcceptsBound = true }, usual(with{"token_type": "DPoP"}), refusal.SenderConstrained},
		{"DPoP, and a key", func(r *Rules) { r.AcceptsBound = true }, usual(with{"token_type": "DPoP", "cnf": with{"jkt": jkt}}), ""},
		{"a key, and no word of DPoP", func(r *Rules) { r.AcceptsBound = true }, usual(with{"cnf": with{"jkt": jkt}}), ""},
		{"another type", nil, usual(with{"token_type": "N_A"}), refusal.TokenType},
		{"an empty type", nil, usual(with{"token_type": ""}), refusal.TokenType},
		{"a type that is no text", nil, usual(with{"token_type": 1}), refusal.TokenType},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := rules()
			if row.change != nil {
				row.change(&k)
			}
			a, denied := answer(t, row.claims)
			if denied == nil {
				denied = NewChecker(k).Check(&a, now, 0)
			}
			if row.refused == "" {
				assert.Nil(t, denied)
			} else if assert.NotNil(t, denied) {
				assert.Equal(t, row.refused, denied.Reason)
			}
		})
	}
}

func TestAnswerWithoutEnd_INTRO_04_INTRO_24(t *testing.T) {
	a, denied := answer(t, with{"aud": resource, "sub": "u", "nonce": 1, "iat": now.Unix() - 2, "nbf": now.Unix() - 1})
	require.Nil(t, denied)
	assert.True(t, a.IsEndless())
	said := a.Said()
	said.claims = claims{}
	assert.Equal(t, Unverified{Subject: "u", Audiences: []string{resource}, OfIDToken: true, IssuedAt: now.Add(-2 * time.Second),
		NotBefore: now.Add(-time.Second), Expiry: now.Add(time.Minute)}, said)
	a, denied = answer(t, with{"iss": "i", "exp": now.Unix() + 120})
	require.Nil(t, denied)
	assert.False(t, a.IsEndless())
	assert.Equal(t, now.Add(2*time.Minute), a.Said().Expiry)
	assert.Equal(t, "i", a.Said().Issuer)
	_, denied = answer(t, with{"exp": "x"})
	require.NotNil(t, denied, "and no claim is believed")
}

// TestConfirm: of two that speak of one token both must find it good, and of the same holder.
func TestConfirm_INTRO_09(t *testing.T) {
	user := func(r *Rules) { r.AllowMissingSubject = true }
	bound := func(r *Rules) { r.AcceptsBound = true }
	required := func(r *Rules) { r.Required = []Required{{"t", Path{"t"}, []string{"1"}}} }
	roles := func(r *Rules) {
		r.RoleClaims, r.RoleScopes = []Path{{"r"}}, map[string][]string{"p": {"x"}, "q": {"y"}}
	}
	usual := []string{"a", "b"}
	end := now.Add(time.Minute)
	for _, row := range []struct {
		name          string
		change        func(*Rules)
		token, answer with
		scopes        []string
		expiry        time.Time
		refused       refusal.Reason
	}{
		{"says nothing", nil, nil, nil, usual, end, ""},
		{"says the same", nil, nil, with{"sub": "u", "client_id": "c", "aud": resource, "scope": "b a", "exp": now.Unix() + 60}, usual, end, ""},
		{"says less", nil, nil, with{"scope": "b x", "exp": now.Unix() + 30}, []string{"b"}, now.Add(30 * time.Second), ""},
		{"says more", nil, nil, with{"scope": "b x a", "exp": now.Unix() + 90}, usual, end, ""},
		{"has ended", nil, nil, with{"exp": now.Unix()}, nil, end, refusal.Expired},
		{"for another audience", nil, nil, with{"aud": "x"}, nil, end, refusal.Audience},
		{"an audience without one in the token", func(r *Rules) { r.AudienceClaim, r.Audiences = Path{"x"}, []string{"c"} }, with{"aud": nil, "x": "c"}, with{"x": "c"}, usual, end, ""},
		{"a refresh token", nil, nil, with{"token_use": "refresh"}, nil, end, refusal.TokenType},
		{"an ID token", nil, nil, with{"token_use": "id"}, nil, end, refusal.TokenType},
		{"lives too long", func(r *Rules) { r.MaxLifetime = time.Minute }, nil, with{"exp": now.Unix() + 61}, nil, end, refusal.Claims},
		{"lives as long as the token", func(r *Rules) { r.MaxLifetime = time.Minute }, nil, nil, usual, end, ""},
		{"lives from another moment", func(r *Rules) { r.MaxLifetime = time.Minute }, nil, with{"iat": now.Unix() - 1}, nil, end, refusal.Claims},
		{"another sub", nil, nil, with{"sub": "v"}, nil, end, refusal.Claims},
		{"sub is no text", nil, nil, with{"sub": 1}, nil, end, refusal.Claims},
		{"another sub, which is the client", nil, nil, with{"sub": "c"}, nil, end, refusal.Claims},
		{"sub is the client, for a token without one", user, with{"sub": nil}, with{"sub": "c"}, usual, end, ""},
		{"sub is another, for a token without one", user, with{"sub": nil}, with{"sub": "v"}, nil, end, refusal.Claims},
		{"a user, for a token without sub", user, with{"sub": nil}, with{"username": "n"}, nil, end, refusal.Claims},
		{"a user who is the client, for a token without sub", user, with{"sub": nil}, with{"username": "n", "sub": "c"}, usual, end, ""},
		{"a user, for a token with sub", nil, nil, with{"username": "n"}, usual, end, ""},
		{"a client, for a token without sub", user, with{"sub": nil}, with{"client_id": "c"}, usual, end, ""},
		{"another client", nil, nil, with{"client_id": "d"}, nil, end, refusal.Claims},
		{"a client, for a token without", nil, with{"client_id": nil}, with{"client_id": "d"}, usual, end, ""},
		{"bound, as the token is", bound, with{"cnf": with{"jkt": jkt}}, with{"cnf": with{"jkt": jkt}}, usual, end, ""},
		{"says nothing of a key", bound, with{"cnf": with{"jkt": jkt}}, nil, usual, end, ""},
		{"bound, as the token is not", bound, nil, with{"cnf": with{"jkt": jkt}}, nil, end, refusal.SenderConstrained},
		{"bound to a key of zeros, as the token is not", bound, nil, with{"cnf": with{"jkt": strings.Repeat("A", len(jkt))}}, nil, end, refusal.SenderConstrained},
		{"bound to another key", bound, with{"cnf": with{"jkt": jkt}}, with{"cnf": with{"jkt": "A" + jkt[1:]}}, nil, end, refusal.SenderConstrained},
		{"DPoP, and the key is in the token", bound, with{"cnf": with{"jkt": jkt}}, with{"token_type": "DPoP"}, usual, end, ""},
		{"has what is required", required, with{"t": "1"}, with{"t": "1"}, usual, end, ""},
		{"says nothing of it", required, with{"t": "1"}, nil, usual, end, ""},
		{"has something else", required, with{"t": "1"}, with{"t": "2"}, nil, end, refusal.Forbidden},
		{"says nothing of roles", roles, with{"r": "p"}, with{"scope": "a b"}, []string{"a", "b", "x"}, end, ""},
		{"has other roles", roles, with{"r": []string{"p", "q"}}, with{"r": "q"}, []string{"a", "b", "y"}, end, ""},
		{"has too many scopes", nil, nil, with{"scope": chainOf(257)}, nil, end, refusal.TokenTooComplex},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := rules()
			if row.change != nil {
				row.change(&k)
			}
			checker := NewChecker(k)
			var token Token
			require.Nil(t, token.Read(compact(t, usualHeader, row.token)))
			require.Nil(t, checker.Check(&token, now, 0))
			facts, denied := checker.Facts(&token)
			require.Nil(t, denied)
			said, denied := answer(t, row.answer)
			require.Nil(t, denied)
			denied = checker.Confirm(&token, &facts, &said, now, 0)
			if row.refused != "" {
				if assert.NotNil(t, denied) {
					assert.Equal(t, row.refused, denied.Reason)
				}
				return
			}
			assert.Nil(t, denied)
			assert.Equal(t, row.scopes, facts.Scopes)
			assert.Equal(t, row.expiry, facts.Expiry)
		})
	}
	_, ok := jose.ParseThumbprint("A" + jkt[1:])
	require.True(t, ok)
}

func chainOf(n int) (scopes []string) {
	for i := range n {
		scopes = append(scopes, "s"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	return scopes
}
