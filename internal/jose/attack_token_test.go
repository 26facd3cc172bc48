package jose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// attack is a token that must be refused although, where that is possible, its
// signature is a valid one of a key that the resource server trusts.
type attack struct {
	name  string // requirement and what is tried
	token string
	want  error
}

const goodHeader = `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`

// rs256 signs a header with the trusted key, whatever the header says.
func rs256(header string) string { return mint("RS256", header, claims) }

// trusted is the key set of the attacked resource server.
func trusted(t *testing.T) []jose.Key {
	t.Helper()
	keys, skipped, err := jose.ParseSet(set(
		jwk(signer("RS256").Public(), `"kid":"k1"`),
		jwk(signer("ES256").Public(), `"kid":"k2"`),
		jwk(signer("ES384").Public(), `"kid":"k3"`),
		jwk(signer("ES512").Public(), `"kid":"k4"`),
		jwk(signer("EdDSA").Public(), `"kid":"k5"`),
	))
	require.NoError(t, err)
	require.Empty(t, skipped)
	return keys
}

func runAttacks(t *testing.T, attacks []attack) {
	t.Helper()
	keys := trusted(t)
	require.NoError(t, accept(rs256(goodHeader), keys), "the unattacked token is good")
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			err := accept(a.token, keys)
			require.ErrorIs(t, err, a.want)
			assert.NotContains(t, err.Error(), "u1", "no claim value in an error")
			assert.NotContains(t, err.Error(), "k1", "no header value in an error")
		})
	}
}

func TestAttackStructure(t *testing.T) {
	good := rs256(goodHeader)
	h, p, s := segments(good)
	large := strings.Repeat("x", 12<<10)
	raw, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	flattened := `{"protected":"` + h + `","payload":"` + p + `","signature":"` + s + `"}`
	general := `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`
	runAttacks(t, []attack{
		{"TOK-20 empty text", "", jose.ErrMalformed},
		{"TOK-20 one segment", h, jose.ErrMalformed},
		{"TOK-20 two segments", h + "." + p, jose.ErrMalformed},
		{"TOK-20 four segments", good + "." + s, jose.ErrMalformed},
		{"TOK-20 five segments", good + ".AA.AA", jose.ErrMalformed},
		{"TOK-20 trailing dot", good + ".", jose.ErrMalformed},
		{"TOK-20 leading dot", "." + good, jose.ErrMalformed},
		{"TOK-20 two dots", "..", jose.ErrMalformed},
		{"TOK-20 16 KiB of dots", strings.Repeat(".", 16<<10), jose.ErrMalformed},
		{"TOK-20 empty header", "." + p + "." + s, jose.ErrMalformed},
		{"TOK-20 empty claims", h + ".." + s, jose.ErrMalformed},
		{"TOK-20 detached payload, signed as empty", mint("RS256", goodHeader, ""), jose.ErrMalformed},
		{"TOK-44 empty signature", h + "." + p + ".", jose.ErrMalformed},
		{"TOK-21 flattened JSON", flattened, jose.ErrMalformed},
		{"TOK-21 general JSON", general, jose.ErrMalformed},
		{"TOK-21 flattened JSON without protected", `{"payload":"` + p + `","signature":"` + s + `"}`, jose.ErrMalformed},
		{"TOK-21 flattened JSON with two dots", strings.Replace(flattened, `"}`, `","x":".."}`, 1), jose.ErrMalformed},
		{"TOK-22 padded header", h + "=." + p + "." + s, jose.ErrMalformed},
		{"TOK-22 padded claims", h + "." + p + "=." + s, jose.ErrMalformed},
		{"TOK-22 padded signature", good + "=", jose.ErrMalformed},
		{"TOK-22 doubly padded signature", good + "==", jose.ErrMalformed},
		{"TOK-22 newline in the signature", good[:len(good)-8] + "\n" + good[len(good)-8:], jose.ErrMalformed},
		{"TOK-22 newline after the token", good + "\n", jose.ErrMalformed},
		{"TOK-22 newline before the token", "\n" + good, jose.ErrMalformed},
		{"TOK-22 carriage return in the claims", h + ".\r" + p + "." + s, jose.ErrMalformed},
		{"TOK-22 CR LF in the header", h + "\r\n." + p + "." + s, jose.ErrMalformed},
		{"TOK-22 space before", " " + good, jose.ErrMalformed},
		{"TOK-22 space after", good + " ", jose.ErrMalformed},
		{"TOK-22 tab inside", h + "." + p + ".\t" + s, jose.ErrMalformed},
		{"TOK-22 NUL inside", h + "." + p + "\x00." + s, jose.ErrMalformed},
		{"TOK-02 byte above ASCII", h + "." + p + "\x80." + s, jose.ErrMalformed},
		{"TOK-02 full-width letter", strings.Replace(good, "e", "\uff45", 1), jose.ErrMalformed},
		{"TOK-02 tilde of the b64token alphabet", good + "~", jose.ErrMalformed},
		{"TOK-02 percent-encoded dot", h + "%2E" + p + "." + s, jose.ErrMalformed},
		{"TOK-22 standard alphabet in the signature", h + "." + p + "." + stdAlphabet(raw), jose.ErrMalformed},
		{"TOK-22 standard alphabet in the claims", h + "." + p + "+/8A." + s, jose.ErrMalformed},
		{"TOK-22 trailing bits in the signature", h + "." + p + "." + trailingBits(s), jose.ErrMalformed},
		{"TOK-22 trailing bits in the header", trailingBits(b64([]byte(`{"alg":"RS256"} `))) + "." + p + "." + s, jose.ErrMalformed},
		{"TOK-22 trailing bits in the claims", h + "." + trailingBits(b64([]byte(`{"a":1}`))) + "." + s, jose.ErrMalformed},
		{"TOK-22 impossible length of the signature", good + "AAA", jose.ErrMalformed},
		{"TOK-22 impossible length of the header", "A." + p + "." + s, jose.ErrMalformed},
		{"LIMITS-04 header of 4 KiB and one byte", rs256(`{"alg":"RS256","x":"` + large[:4096-21] + `"}`), jose.ErrTooLarge},
		{"LIMITS-04 claims of 12 KiB and one byte", mint("RS256", goodHeader, large+"x"), jose.ErrTooLarge},
		{"LIMITS-04 signature longer than any key's", h + "." + p + "." + b64([]byte(large[:1025])), jose.ErrTooLarge},
		{"LIMITS-04 64 MiB of header", strings.Repeat("A", 64<<20) + "." + p + "." + s, jose.ErrTooLarge},
	})
}

func TestAttackHeader(t *testing.T) {
	deep := `{"alg":"RS256","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`
	members := `{"alg":"RS256"`
	for i := range 256 {
		members += `,"` + string(rune('a'+i%26)) + strings.Repeat("z", i/26) + `":0`
	}
	runAttacks(t, []attack{
		{"TOK-23 not JSON", rs256(`alg=RS256`), jose.ErrMalformed},
		{"TOK-23 array", rs256(`[{"alg":"RS256"}]`), jose.ErrMalformed},
		{"TOK-23 string", rs256(`"RS256"`), jose.ErrMalformed},
		{"TOK-23 null", rs256(`null`), jose.ErrMalformed},
		{"TOK-23 only white space", rs256(`  `), jose.ErrMalformed},
		{"TOK-23 byte order mark", rs256("\ufeff" + goodHeader), jose.ErrMalformed},
		{"TOK-23 trailing bytes", rs256(goodHeader + `x`), jose.ErrMalformed},
		{"TOK-23 second object", rs256(goodHeader + `{"alg":"none"}`), jose.ErrMalformed},
		{"TOK-23 cut off", rs256(`{"alg":"RS256"`), jose.ErrMalformed},
		{"TOK-23 trailing comma", rs256(`{"alg":"RS256",}`), jose.ErrMalformed},
		{"TOK-23 comment", rs256(`{"alg":"RS256"/**/}`), jose.ErrMalformed},
		{"TOK-23 single quotes", rs256(`{'alg':'RS256'}`), jose.ErrMalformed},
		{"TOK-23 duplicate alg, good last", rs256(`{"alg":"none","alg":"RS256"}`), jose.ErrMalformed},
		{"TOK-23 duplicate alg, good first", rs256(`{"alg":"RS256","alg":"none"}`), jose.ErrMalformed},
		{"TOK-23 duplicate alg through an escape", rs256(`{"alg":"RS256","\u0061lg":"none"}`), jose.ErrMalformed},
		{"TOK-23 duplicate kid", rs256(`{"alg":"RS256","kid":"k1","kid":"k2"}`), jose.ErrMalformed},
		{"TOK-23 duplicate private name", rs256(`{"alg":"RS256","x":1,"x":1}`), jose.ErrMalformed},
		{"TOK-23 duplicate name inside jwk", rs256(`{"alg":"RS256","jwk":{"kty":"EC","kty":"RSA"}}`), jose.ErrMalformed},
		{"TOK-23 duplicate name in depth", rs256(`{"alg":"RS256","x":[{"y":{"z":1,"z":2}}]}`), jose.ErrMalformed},
		{"TOK-23 bad UTF-8 in a value", rs256("{\"alg\":\"RS256\",\"x\":\"\xff\"}"), jose.ErrMalformed},
		{"TOK-23 bad UTF-8 in a name", rs256("{\"alg\":\"RS256\",\"\xc0\xaf\":1}"), jose.ErrMalformed},
		{"TOK-23 lone surrogate in kid", rs256(`{"alg":"RS256","kid":"\ud800"}`), jose.ErrMalformed},
		{"TOK-23 lone surrogate in an ignored member", rs256(`{"alg":"RS256","x":"\udc00"}`), jose.ErrMalformed},
		{"TOK-23 control character in a string", rs256("{\"alg\":\"RS256\",\"x\":\"\x01\"}"), jose.ErrMalformed},
		{"TOK-23 NaN", rs256(`{"alg":"RS256","x":NaN}`), jose.ErrMalformed},
		{"TOK-23 flaw after a refused member", rs256(`{"alg":"none","crit":[],`), jose.ErrMalformed},
		{"LIMITS-04 depth of 17", rs256(deep), jose.ErrTooLarge},
		{"LIMITS-04 257 members", rs256(members + `}`), jose.ErrTooLarge},
		{"TOK-24 ALG is another name", rs256(`{"ALG":"RS256"}`), jose.ErrAlgorithm},
		{"TOK-24 Alg is another name", rs256(`{"Alg":"RS256","kid":"k1"}`), jose.ErrAlgorithm},
		{"TOK-25 cty JWT", rs256(`{"alg":"RS256","cty":"JWT"}`), jose.ErrMalformed},
		{"TOK-25 cty jwt", rs256(`{"alg":"RS256","cty":"jwt"}`), jose.ErrMalformed},
		{"TOK-25 cty application/JWT", rs256(`{"alg":"RS256","cty":"application/JWT"}`), jose.ErrMalformed},
		{"TOK-25 cty Application/jWt", rs256(`{"alg":"RS256","cty":"Application/jWt"}`), jose.ErrMalformed},
		{"TOK-25 cty with a parameter", rs256(`{"alg":"RS256","cty":"JWT ; v=1"}`), jose.ErrMalformed},
		{"TOK-25 cty not a string", rs256(`{"alg":"RS256","cty":["JWT"]}`), jose.ErrMalformed},
		{"TOK-26 zip DEF", rs256(`{"alg":"RS256","zip":"DEF"}`), jose.ErrMalformed},
		{"TOK-26 zip null", rs256(`{"alg":"RS256","zip":null}`), jose.ErrMalformed},
		{"TOK-30 crit unknown", rs256(`{"alg":"RS256","crit":["x-foo"],"x-foo":1}`), jose.ErrCritical},
		{"TOK-30 crit empty", rs256(`{"alg":"RS256","crit":[]}`), jose.ErrCritical},
		{"TOK-30 crit registered and present", rs256(`{"alg":"RS256","crit":["exp"],"exp":1}`), jose.ErrCritical},
		{"TOK-30 crit absent name", rs256(`{"alg":"RS256","crit":["exp"]}`), jose.ErrCritical},
		{"TOK-30 crit names alg", rs256(`{"alg":"RS256","crit":["alg"]}`), jose.ErrCritical},
		{"TOK-30 crit a string", rs256(`{"alg":"RS256","crit":"exp"}`), jose.ErrCritical},
		{"TOK-30 crit null", rs256(`{"alg":"RS256","crit":null}`), jose.ErrCritical},
		{"TOK-30 crit an object", rs256(`{"alg":"RS256","crit":{}}`), jose.ErrCritical},
		{"TOK-30 crit through an escape", rs256(`{"alg":"RS256","cri\u0074":["x"]}`), jose.ErrCritical},
		{"TOK-30 crit before alg", rs256(`{"crit":["b64"],"alg":"RS256"}`), jose.ErrCritical},
		{"TOK-31 b64 false", rs256(`{"alg":"RS256","b64":false}`), jose.ErrCritical},
		{"TOK-31 b64 true", rs256(`{"alg":"RS256","b64":true}`), jose.ErrCritical},
		{"TOK-31 b64 a string", rs256(`{"alg":"RS256","b64":"yes"}`), jose.ErrCritical},
		{"TOK-31 b64 false, raw payload, signed so", rawPayload(), jose.ErrCritical},
		{"TOK-32 alg missing", rs256(`{"kid":"k1"}`), jose.ErrAlgorithm},
		{"TOK-32 alg none", rs256(`{"alg":"none","kid":"k1"}`), jose.ErrAlgorithm},
		{"TOK-32 alg None", rs256(`{"alg":"None"}`), jose.ErrAlgorithm},
		{"TOK-32 alg nOnE", rs256(`{"alg":"nOnE"}`), jose.ErrAlgorithm},
		{"TOK-32 alg empty", rs256(`{"alg":""}`), jose.ErrAlgorithm},
		{"TOK-32 alg rs256", rs256(`{"alg":"rs256"}`), jose.ErrAlgorithm},
		{"TOK-32 alg with a space", rs256(`{"alg":"RS256 "}`), jose.ErrAlgorithm},
		{"TOK-32 alg with a NUL", rs256(`{"alg":"RS256\u0000"}`), jose.ErrAlgorithm},
		{"TOK-32 alg a number", rs256(`{"alg":256}`), jose.ErrAlgorithm},
		{"TOK-32 alg null", rs256(`{"alg":null}`), jose.ErrAlgorithm},
		{"TOK-32 alg an array", rs256(`{"alg":["RS256"]}`), jose.ErrAlgorithm},
		{"TOK-32 alg ES256K", rs256(`{"alg":"ES256K"}`), jose.ErrAlgorithm},
		{"TOK-32 alg Ed448", rs256(`{"alg":"Ed448"}`), jose.ErrAlgorithm},
		{"TOK-32 alg RS1", rs256(`{"alg":"RS1"}`), jose.ErrAlgorithm},
		{"TOK-32 alg of encryption", rs256(`{"alg":"RSA-OAEP"}`), jose.ErrAlgorithm},
		{"TOK-32 alg ES256 over the RSA key's signature", rs256(`{"alg":"ES256","kid":"k1"}`), jose.ErrKeyMismatch},
		{"TOK-32 alg EdDSA over the RSA key's signature", rs256(`{"alg":"EdDSA","kid":"k1"}`), jose.ErrKeyMismatch},
		{"TOK-33 alg HS256", rs256(`{"alg":"HS256"}`), jose.ErrAlgorithm},
		{"TOK-33 HMAC with the public key in DER", mintHMAC(`{"alg":"HS256","kid":"k1"}`, publicDER()), jose.ErrAlgorithm},
		{"TOK-33 HMAC with the JWK text", mintHMAC(`{"alg":"HS256","kid":"k1"}`, []byte(jwk(rsaKey().Public()))), jose.ErrAlgorithm},
		{"TOK-33 HMAC with the modulus under alg RS256", mintHMAC(`{"alg":"RS256","kid":"k1"}`, rsaKey().N.Bytes()), jose.ErrSignature},
		{"TOK-37 typ a number", rs256(`{"alg":"RS256","typ":1}`), jose.ErrType},
		{"TOK-37 typ null", rs256(`{"alg":"RS256","typ":null}`), jose.ErrType},
		{"TOK-37 typ an array", rs256(`{"alg":"RS256","typ":["at+jwt"]}`), jose.ErrType},
		{"JWKS-11 kid a number", rs256(`{"alg":"RS256","kid":1}`), jose.ErrMalformed},
		{"JWKS-11 kid null", rs256(`{"alg":"RS256","kid":null}`), jose.ErrMalformed},
		{"JWKS-11 kid of 257 bytes", rs256(`{"alg":"RS256","kid":"` + strings.Repeat("k", 257) + `"}`), jose.ErrMalformed},
		{"JWKS-11 kid with a NUL", rs256(`{"alg":"RS256","kid":"k\u0000"}`), jose.ErrMalformed},
		{"JWKS-11 kid with a newline", rs256(`{"alg":"RS256","kid":"k\n"}`), jose.ErrMalformed},
		{"JWKS-11 kid with DEL", rs256(`{"alg":"RS256","kid":"k\u007f"}`), jose.ErrMalformed},
		{"JWKS-11 kid with a C1 control", rs256(`{"alg":"RS256","kid":"k\u0085"}`), jose.ErrMalformed},
		{"JWKS-12 attacker's key in jwk", embeddedKey("jwk"), jose.ErrSignature},
	})
}

func TestAttackSignature(t *testing.T) {
	good := rs256(goodHeader)
	h, p, s := segments(good)
	raw, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	zeros := func(n int) string { return b64(make([]byte, n)) }
	ec := func(header string, r, s *big.Int) string {
		return b64([]byte(header)) + "." + p + "." +
			b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	order := p256Key().Params().N
	one := big.NewInt(1)
	es := `{"alg":"ES256","kid":"k2"}`
	signedBy := func(sigAlg, header string) string { return mint(sigAlg, header, claims) }
	stretched := append([]byte{0}, raw...)
	foreign := b64([]byte(goodHeader)) + "." + p
	runAttacks(t, []attack{
		{"TOK-43 other claims", h + "." + b64([]byte(`{"sub":"root"}`)) + "." + s, jose.ErrSignature},
		{"TOK-43 other header", b64([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + p + "." + s, jose.ErrSignature},
		{"TOK-40 the same JSON in another spelling", b64([]byte(`{"alg": "RS256","kid":"k1","typ":"at+jwt"}`)) + "." + p + "." + s, jose.ErrSignature},
		{"TOK-40 segments exchanged", p + "." + h + "." + s, jose.ErrAlgorithm},
		{"TOK-40 another trusted-looking key", foreign + "." + b64(sign("RS256", otherRSA(), foreign)), jose.ErrSignature},
		{"TOK-41 r = s = 0", ec(es, new(big.Int), new(big.Int)), jose.ErrSignature},
		{"TOK-41 r = 0", ec(es, new(big.Int), one), jose.ErrSignature},
		{"TOK-41 s = 0", ec(es, one, new(big.Int)), jose.ErrSignature},
		{"TOK-41 r = n", ec(es, order, one), jose.ErrSignature},
		{"TOK-41 s = n", ec(es, one, order), jose.ErrSignature},
		{"TOK-41 r = s = n", ec(es, order, order), jose.ErrSignature},
		{"TOK-41 r = n+1", ec(es, new(big.Int).Add(order, one), one), jose.ErrSignature},
		{"TOK-41 r = s = 2^256-1", b64([]byte(es)) + "." + p + "." + b64([]byte(strings.Repeat("\xff", 64))), jose.ErrSignature},
		{"TOK-41 r = s = 1", ec(es, one, one), jose.ErrSignature},
		{"TOK-41 zeros, ES384", b64([]byte(`{"alg":"ES384","kid":"k3"}`)) + "." + p + "." + zeros(96), jose.ErrSignature},
		{"TOK-41 zeros, ES512", b64([]byte(`{"alg":"ES512","kid":"k4"}`)) + "." + p + "." + zeros(132), jose.ErrSignature},
		{"TOK-41 DER", derSignature(es), jose.ErrSignature},
		{"TOK-41 r and s with a leading zero each", widened(es), jose.ErrSignature},
		{"TOK-41 63 bytes", b64([]byte(es)) + "." + p + "." + zeros(63), jose.ErrSignature},
		{"TOK-41 one byte", b64([]byte(es)) + "." + p + ".AQ", jose.ErrSignature},
		{"TOK-41 96 bytes for P-256", b64([]byte(es)) + "." + p + "." + zeros(96), jose.ErrSignature},
		{"JWKS-08 ES256 over the P-384 key", signedBy("ES384", `{"alg":"ES256","kid":"k3"}`), jose.ErrKeyMismatch},
		{"JWKS-08 ES384 over the P-256 key", signedBy("ES256", `{"alg":"ES384","kid":"k2"}`), jose.ErrKeyMismatch},
		{"JWKS-08 ES512 over the P-384 key", signedBy("ES384", `{"alg":"ES512","kid":"k3"}`), jose.ErrKeyMismatch},
		{"JWKS-08 ES256 with the Ed25519 key", signedBy("EdDSA", `{"alg":"ES256","kid":"k5"}`), jose.ErrKeyMismatch},
		{"JWKS-08 RS256 with the Ed25519 key", signedBy("EdDSA", `{"alg":"RS256","kid":"k5"}`), jose.ErrKeyMismatch},
		{"JWKS-08 RS256 with the P-256 key", signedBy("ES256", `{"alg":"RS256","kid":"k2"}`), jose.ErrKeyMismatch},
		{"TOK-42 PSS signature under RS256", signedBy("PS256", goodHeader), jose.ErrSignature},
		{"TOK-42 PKCS #1 v1.5 signature under PS256", rs256(`{"alg":"PS256","kid":"k1"}`), jose.ErrSignature},
		{"TOK-42 RS256 signature under RS512", rs256(`{"alg":"RS512","kid":"k1"}`), jose.ErrSignature},
		{"TOK-42 RS512 signature under RS256", signedBy("RS512", goodHeader), jose.ErrSignature},
		{"TOK-42 PS384 signature under PS256", signedBy("PS384", `{"alg":"PS256","kid":"k1"}`), jose.ErrSignature},
		{"TOK-42 PSS with a salt of one byte", shortSalt(), jose.ErrSignature},
		{"TOK-42 RSA signature of zeros", h + "." + p + "." + zeros(256), jose.ErrSignature},
		{"TOK-42 RSA signature of one", h + "." + p + "." + b64(one.FillBytes(make([]byte, 256))), jose.ErrSignature},
		{"TOK-42 RSA signature plus the modulus", h + "." + p + "." + plusModulus(raw), jose.ErrSignature},
		{"TOK-42 RSA signature with a leading zero", h + "." + p + "." + b64(stretched), jose.ErrSignature},
		{"TOK-42 RSA signature cut", h + "." + p + "." + b64(raw[:255]), jose.ErrSignature},
		{"TOK-40 Ed25519 of zeros", b64([]byte(`{"alg":"EdDSA","kid":"k5"}`)) + "." + p + "." + zeros(64), jose.ErrSignature},
		{"TOK-40 Ed25519 of 65 bytes", b64([]byte(`{"alg":"EdDSA","kid":"k5"}`)) + "." + p + "." + zeros(65), jose.ErrSignature},
		{"TOK-40 Ed25519 with s plus the group order", malleated(), jose.ErrSignature},
		{"TOK-40 Ed25519 signature of another payload", b64([]byte(`{"alg":"Ed25519","kid":"k5"}`)) + "." + p + "." + b64(sign("EdDSA", edKey(), "x")), jose.ErrSignature},
		{"JWKS-09 kid of another key", rs256(`{"alg":"RS256","kid":"k2"}`), jose.ErrKeyMismatch},
		{"JWKS-09 kid in other letters", rs256(`{"alg":"RS256","kid":"K1"}`), jose.ErrNoUsableKeys},
		{"JWKS-11 kid as a path", rs256(`{"alg":"RS256","kid":"../../etc/passwd"}`), jose.ErrNoUsableKeys},
	})
}

func segments(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

// stdAlphabet spells bytes with + and /, of which the last three are made sure.
func stdAlphabet(data []byte) string {
	return base64.RawStdEncoding.EncodeToString(append(data[:len(data)-3:len(data)-3], 0xfb, 0xff, 0xfe))
}

// trailingBits is another spelling of the same bytes, taken by lax decoders.
func trailingBits(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(segment)%4 == 0 {
		panic("no trailing bits in this segment")
	}
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(alphabet[last|1])
}

func rawPayload() string {
	input := b64([]byte(`{"alg":"RS256","b64":false,"crit":["b64"]}`)) + "." + `{"sub":"u1"}`
	return input + "." + b64(sign("RS256", rsaKey(), input))
}

func publicDER() []byte {
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		panic(err)
	}
	return der
}

func embeddedKey(member string) string {
	header := `{"alg":"RS256","kid":"k1","` + member + `":` + jwk(otherRSA().Public(), `"kid":"k1"`) + `}`
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	return input + "." + b64(sign("RS256", otherRSA(), input))
}

func derSignature(header string) string {
	h, p, s := segments(mint("ES256", header, claims))
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		panic(err)
	}
	return h + "." + p + "." + b64(der)
}

func widened(header string) string {
	h, p, s := segments(mint("ES256", header, claims))
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	wide := append([]byte{0}, raw[:32]...)
	wide = append(append(wide, 0), raw[32:]...)
	return h + "." + p + "." + b64(wide)
}

func shortSalt() string {
	input := b64([]byte(`{"alg":"PS256","kid":"k1"}`)) + "." + b64([]byte(claims))
	hash := hashes["256"]
	digest := hash.New()
	digest.Write([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, rsaKey(), hash, digest.Sum(nil), &rsa.PSSOptions{SaltLength: 1})
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

// plusModulus is the same signature for who reduces before comparing.
func plusModulus(signature []byte) string {
	sum := new(big.Int).SetBytes(signature)
	sum.Add(sum, rsaKey().N)
	return b64(sum.Bytes())
}

// malleated adds the order of the group to s, which RFC 8032 section 5.1.7
// refuses and lax verifiers do not see.
func malleated() string {
	h, p, s := segments(mint("EdDSA", `{"alg":"EdDSA","kid":"k5"}`, claims))
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	scalar := new(big.Int).SetBytes(reversed(raw[32:]))
	scalar.Add(scalar, order)
	return h + "." + p + "." + b64(append(raw[:32:32], reversed(scalar.FillBytes(make([]byte, 32)))...))
}

func reversed(data []byte) []byte {
	out := make([]byte, len(data))
	for i := range data {
		out[len(data)-1-i] = data[i]
	}
	return out
}
