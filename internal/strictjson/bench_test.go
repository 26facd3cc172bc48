package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// benchPayload has twelve claims, as many as access tokens usually have.
var benchPayload = []byte(`{"iss":"https://as.example.com/realms/main","sub":"248289761001-7c2f","aud":["https://mcp.example.com/mcp","account"],` +
	`"exp":1795000000,"nbf":1794990000,"iat":1794990000,"jti":"5f1d7e0a-3c55-4e0b-9d0a-8a6a1f6c2b11","client_id":"dashboard-app",` +
	`"scope":"openid profile analytics:data:read dashboard:modify","azp":"dashboard-app",` +
	`"realm_access":{"roles":["analyst","offline_access"]},"email":"user@example.com"}`)

// benchClaims is what a resource server keeps of a token.
type benchClaims struct {
	Iss, Sub, JTI, Azp string
	ClientID           string `json:"client_id"`
	Scope, Email       string
	Aud                json.RawMessage
	Exp, Nbf, Iat      json.RawMessage
}

// readBench reads a payload as the root package does: a switch over the bytes
// of a name, strings as parts of one copy of the text.
func readBench(payload []byte, c *benchClaims) error {
	text := string(payload)
	var r Reader
	r.Reset(payload, Limits{Depth: 16, Members: 256, StrictStrings: true})
	if err := r.Object(); err != nil {
		return err
	}
	for {
		name, more, err := r.Member()
		if err != nil {
			return err
		}
		if !more {
			return r.End()
		}
		switch string(name) {
		case "iss":
			c.Iss, err = r.Text(text)
		case "sub":
			c.Sub, err = r.Text(text)
		case "jti":
			c.JTI, err = r.Text(text)
		case "azp":
			c.Azp, err = r.Text(text)
		case "client_id":
			c.ClientID, err = r.Text(text)
		case "scope":
			c.Scope, err = r.Text(text)
		case "email":
			c.Email, err = r.Text(text)
		case "aud":
			c.Aud, err = r.Skip()
		case "exp":
			c.Exp, err = r.Number()
		case "nbf":
			c.Nbf, err = r.Number()
		case "iat":
			c.Iat, err = r.Number()
		default:
			_, err = r.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// BenchmarkClaims is the claims step of a token that is not in the cache.
func BenchmarkClaims(b *testing.B) {
	for _, c := range []struct {
		name string
		read func() error
	}{
		{"reader", func() error { return readBench(benchPayload, &benchClaims{}) }},
		{"valid", func() error { return validJSON(benchPayload) }},
		{"unmarshal", func() error { return json.Unmarshal(benchPayload, &benchClaims{}) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(benchPayload)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func validJSON(data []byte) error {
	if !json.Valid(data) {
		return ErrSyntax
	}
	return nil
}

// TestClaimsAllocations is the measure of the claims step: one copy of the
// text, whatever it holds.
func TestClaimsAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var c benchClaims
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if readBench(benchPayload, &c) != nil {
			t.Fatal("refused")
		}
	}), 1.0)
	var want benchClaims
	require.NoError(t, json.Unmarshal(benchPayload, &want))
	assert.Equal(t, want, c)
}

// BenchmarkUTF8 holds validUTF8 against the standard library, by script.
func BenchmarkUTF8(b *testing.B) {
	for _, c := range []struct{ script, line string }{
		{"ascii", "the resource server checks the token and its scope. "},
		{"latin", "où est la clé du café près de l'hôtel? "},
		{"cyrillic", "сервер ресурсов проверяет токен и область действия. "},
		{"han", "資源伺服器驗證令牌並檢查範圍，然後才執行工具。"},
		{"mixed", "資源 server 驗證 token 並 check 範圍"},
		{"emoji", "😀😀 ok 😀"},
	} {
		text := []byte(strings.Repeat(c.line, 64<<10/len(c.line)))
		for name, valid := range map[string]func([]byte) bool{"ours": validUTF8, "std": utf8.Valid} {
			b.Run(c.script+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if !valid(text) {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}
