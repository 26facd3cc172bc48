package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// benchmarkToken has the size of a usual access token: about 900 bytes.
func benchmarkToken(alg string) string {
	payload := `{"iss":"https://login.example.com/tenant1","aud":["https://mcp.example.com/mcp"],"sub":"248289761001",` +
		`"client_id":"s6BhdRkqt3","jti":"dbe39bf3-a3ba-4238-a513-f51d6e1691c4","iat":1780000000,"exp":1780000300,` +
		`"scope":"mcp:read analytics:data:read dashboard:modify","acr":"urn:example:silver","auth_time":1779999000,` +
		`"groups":["engineering","on-call","dashboards"],"tenant":"` + strings.Repeat("t", 40) + `"}`
	return mint(alg, `{"alg":"`+alg+`","kid":"k1","typ":"at+jwt"}`, payload)
}

// BenchmarkToken sets a parsed and verified token beside the signature alone,
// which no verifier can go below. Read the ratio of the two.
func BenchmarkToken(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		compact := benchmarkToken(alg)
		key := keyOf(alg)
		b.Run(alg+"/crypto", func(b *testing.B) {
			verify := rawVerify(alg, compact)
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("not verified")
				}
			}
		})
		b.Run(alg+"/jose", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				token, err := jose.Parse(compact)
				if err == nil {
					err = token.Verify(key)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// rawVerify is the bare verification of a token taken apart beforehand.
func rawVerify(alg, compact string) func() bool {
	h, p, s := segments(compact)
	input := []byte(h + "." + p)
	signature, _ := base64.RawURLEncoding.DecodeString(s)
	public := signer(alg).Public()
	sum := func() []byte {
		digest := crypto.SHA256.New()
		digest.Write(input)
		return digest.Sum(nil)
	}
	switch alg {
	case "RS256":
		return func() bool {
			return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, sum(), signature) == nil
		}
	case "PS256":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return func() bool {
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, sum(), signature, options) == nil
		}
	case "ES256":
		return func() bool {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(public.(*ecdsa.PublicKey), sum(), r, s)
		}
	}
	return func() bool { return ed25519.Verify(public.(ed25519.PublicKey), input, signature) }
}

func BenchmarkParse(b *testing.B) {
	compact := benchmarkToken("RS256")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jose.Parse(compact); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	for name, token := range map[string]string{
		"dots":    strings.Repeat(".", 16<<10),
		"letters": strings.Repeat("A", 16<<10),
		"none":    b64([]byte(`{"alg":"none"}`)) + "." + strings.Repeat("A", 12<<10) + ".AA",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.Parse(token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkParseSet(b *testing.B) {
	var keys []string
	for i := range 5 {
		keys = append(keys, jwk(rsaKey().Public(), fmt.Sprintf(`"kid":"k%d"`, i), `"alg":"RS256"`, `"use":"sig"`))
	}
	text := set(keys...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := jose.ParseSet(text); err != nil {
			b.Fatal(err)
		}
	}
}
