package token

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// usual is a token of the usual size, about 900 bytes, and of 12 claims.
func usual() string {
	payload := `{"iss":"https://login.example.com/tenant1","aud":["` + resource + `"],"sub":"248289761001",` +
		`"client_id":"s6BhdRkqt3","jti":"dbe39bf3-a3ba-4238-a513-f51d6e1691c4","iat":1799999900,"exp":1800000200,` +
		`"scope":"mcp:read analytics:data:read dashboard:modify","acr":"urn:example:silver","auth_time":1799999000,` +
		`"groups":["engineering","on-call","dashboards"],"tenant":"` + strings.Repeat("t", 40) + `"}`
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + strings.Repeat("A", 342)
}

// BenchmarkToken is all that a new token costs beside its signature and the memory of it.
func BenchmarkToken(b *testing.B) {
	k, compact := NewChecker(rules()), usual()
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var t Token
			if denied := t.Read(compact); denied != nil {
				b.Fatal(denied)
			}
			t.JWS.Recycle()
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var t Token
			denied := t.Read(compact)
			if denied == nil {
				denied = k.Check(&t, now, time.Minute)
			}
			if denied == nil {
				_, denied = k.Facts(&t)
			}
			if denied != nil {
				b.Fatal(denied)
			}
			t.JWS.Recycle()
		}
	})
}
