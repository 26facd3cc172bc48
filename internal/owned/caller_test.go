package owned

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCallerKey_LIMITS_13: a caller is a principal and its client, and no other's fields make the same key.
func TestCallerKey_LIMITS_13(t *testing.T) {
	base := Caller{Issuer: "https://as.example.com", Subject: "u", ClientID: "c"}
	seen := map[string]string{base.Key(): "base", base.PrincipalKey(): "PrincipalKey"}
	assert.Len(t, seen, 2)
	for name, change := range map[string]func(*Caller){
		"client":  func(c *Caller) { c.ClientID = "d" },
		"none":    func(c *Caller) { c.ClientID = "" },
		"subject": func(c *Caller) { c.Subject = "v" },
		"issuer":  func(c *Caller) { c.Issuer = "https://other.example.com" },
		"kind":    func(c *Caller) { c.Client = true },
		"shifted": func(c *Caller) { c.Subject, c.ClientID = "uc", "" },
	} {
		other := base
		change(&other)
		key := other.Key()
		assert.Empty(t, seen[key], name)
		seen[key] = name
	}
}

func TestGrant_ISOL_04_ISOL_07(t *testing.T) {
	scopes := []string{"b", "a", "b"}
	base := Caller{Issuer: "i", Subject: "s", ClientID: "c"}
	same := base.grant(scopes)
	assert.Equal(t, same, base.grant([]string{"a", "b"}))
	assert.Equal(t, []string{"b", "a", "b"}, scopes, "the principal's are shared")
	for _, other := range []struct {
		Caller
		scopes []string
	}{
		{base, []string{"a"}},
		{base, []string{"ab"}},
		{Caller{Issuer: "i", Subject: "s", ClientID: "ca"}, []string{"b"}},
		{Caller{Issuer: "i", Subject: "s", Client: true, ClientID: "c"}, []string{"a", "b"}},
		{Caller{Issuer: "is", Subject: "", ClientID: "c"}, []string{"a", "b"}},
	} {
		assert.NotEqual(t, same, other.grant(other.scopes))
	}
}

// TestNamesLast: replicas of different releases agree, and what handlers keep by a key is found
// again. These texts may not change.
func TestNamesLast(t *testing.T) {
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	for _, row := range []struct {
		caller Caller
		scopes []string
		want   []string
	}{
		{
			Caller{Issuer: "https://as.example.com", Subject: "u", ClientID: "c"}, []string{"b", "a", "b"},
			[]string{
				"pNWzaCuFaXAYKfsHjQVjQWry9HrY26DRL0dWz8B9FjQ",
				"krpKF6rXjtBux79pNLPpVKsvqE-R6xycrQ6HSXwUcKE",
				"2f57ac06cb2b1611d845e61fd5b9eed81094a57a028dc77e731d450700810e6d",
				"id.AbzXjtUd-vs3gEMkf11xrA",
				"d7qa0Ps0diBa-gFIrcBl0w",
				"TgYzlUwAqtC0CC-QA9QHSQ",
				"/message?sessionId=1&mcpauth=sr1uEBIJorGKoSUBnkI68A",
				"/v1/0123456789abcdef?mcpauth=oXqoQWylizcVQBEBvVwJvg",
				"2bb1af106782082d",
				"000000000000000a746f6f6c732f6c697374000000000000001668747470733a2f2f61732e6578616d706c652e636f6d000000000000000175000000000000000475736572000000000000000163",
			},
		},
		{
			Caller{Issuer: "https://as.example.com", Subject: "c", Client: true}, nil,
			[]string{
				"_ZJQZoa8mHEHyzOCfeO3dw792ZioE3jB4OX7avhhUic",
				"GlI8gdWkFCvb8u8Bj-xnz8KOwPlegItaWvSs07Fof5k",
				"1a523c81d5a4142bdbf2ef018fec67cfc28ec0f95e808b5a5af4acd3b1687f99",
				"id.DJueD-iVsmCL7TMTSdydSw",
				"w1RU8Hcl9S39vLJCr4FXbw",
				"_WV-FuKn_pUvdCmQdheSLw",
				"/message?sessionId=1&mcpauth=4tUb5ZQDumVXStCRZncYPQ",
				"/v1/0123456789abcdef?mcpauth=TKUPvMW9XUPnO63JqN74bw",
				"2bb1af106782082d",
				"000000000000000a746f6f6c732f6c697374000000000000001668747470733a2f2f61732e6578616d706c652e636f6d0000000000000001630000000000000006636c69656e740000000000000000",
			},
		},
	} {
		s, c := NewSessions(key), row.caller
		g := c.grant(row.scopes)
		sealed, ok := s.Seal(c, "id")
		require.True(t, ok)
		byQuery, tag := s.SealEndpoint(c, "", "/message?sessionId=1#x")
		assert.Equal(t, "/message?sessionId=1&mcpauth="+tag, byQuery)
		byPath, _ := s.SealEndpoint(c, "", "/v1/0123456789abcdef")
		assert.Equal(t, row.want, []string{
			c.PrincipalKey(), c.Key(), hex.EncodeToString(g[:]),
			sealed, s.Shared(c, row.scopes, "tasks"), s.Answer(c, "session", `"1`),
			byQuery, byPath,
			s.Fingerprint("token", "secret"), hex.EncodeToString(c.Binding("tools/list")),
		})
	}
}
