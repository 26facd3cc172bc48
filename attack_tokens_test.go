package mcpauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The attacks on the form of a token, its header and its signature.

const (
	malformed  = mcpauth.ErrMalformedToken
	algorithm  = mcpauth.ErrAlgorithm
	tokenType  = mcpauth.ErrTokenType
	noSuchKey  = mcpauth.ErrUnknownKey
	signature  = mcpauth.ErrSignature
	tooComplex = mcpauth.ErrTokenTooComplex
)

const hmacSecret = "a symmetric key that somebody published"

// parts are the three segments of a compact token.
func parts(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func compact(header, payload string, signature []byte) string {
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature)
}

func (l *attackLab) structure() []attack {
	good := l.k1.Sign(header(), l.payload())
	h, p, s := parts(good)
	flattened := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, h, p, s)
	general := fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, s)
	return []attack{
		{"TOK-20 one segment", "token", malformed},
		{"TOK-20 two segments", h + "." + p, malformed},
		{"TOK-20 four segments", good + "." + s, malformed},
		{"TOK-20 four segments, the last empty", good + ".", malformed},
		{"TOK-20 five segments", good + "." + s + "." + s, malformed},
		{"TOK-20 an encrypted token", b64([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k1"}`)) + ".AAAA.AAAA.AAAA.AAAA", malformed},
		{"TOK-20 one dot", ".", malformed},
		{"TOK-20 two dots", "..", malformed},
		{"TOK-20 three dots", "...", malformed},
		{"TOK-20 16,000 dots", strings.Repeat(".", 16000), malformed},
		{"TOK-20 empty header", "." + p + "." + s, malformed},
		{"TOK-20 empty payload", h + ".." + s, malformed},
		{"TOK-44 empty signature", h + "." + p + ".", malformed},
		{"TOK-44 alg none without signature", b64([]byte(`{"alg":"none"}`)) + "." + p + ".", malformed},
		{"TOK-20 detached payload", h + ".." + s + "." + p, malformed},
		{"TOK-21 flattened JSON", flattened, malformed},
		{"TOK-21 general JSON", general, malformed},
		{"TOK-21 flattened JSON with an unprotected header", strings.TrimSuffix(flattened, "}") + `,"header":{"alg":"none"}}`, malformed},
		{"TOK-21 JSON without commas", fmt.Sprintf(`{"protected":%q}`, h), malformed},
		{"TOK-21 an empty object", `{}`, malformed},
		{"TOK-02 a quoted token", `"` + good + `"`, malformed},
		{"TOK-02 a second scheme", "Bearer " + good, malformed},
		{"TOK-02 tab in front", "\t" + good, malformed},
		{"TOK-02 tab behind", good + "\t", malformed},
		{"TOK-02 NUL behind", good + "\x00", malformed},
		{"TOK-02 a byte above 0x7f", good + "\x80", malformed},
		{"TOK-02 a parameter behind", good + " x=y", malformed},
		{"TOK-02 b64token, but no JWT", "abc~/+==", malformed},
		{"TOK-02 an SD-JWT with disclosures", good + "~WyJhIl0~", malformed},
	}
}

// unaligned returns a token of which each segment leaves bits over.
func (l *attackLab) unaligned() string {
	h, p := header(), l.payload()
	for len(h)%3 != 1 {
		h += " "
	}
	for len(p)%3 != 1 {
		p += " "
	}
	return l.k1.Sign(h, p) // a signature of 256 bytes, 256 % 3 == 1
}

// nextCharacter is the successor in the base64url alphabet.
func nextCharacter(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

func (l *attackLab) encodings() (attacks []attack) {
	token := l.unaligned()
	segments := strings.Split(token, ".")
	for i, where := range []string{"header", "payload", "signature"} {
		segment := segments[i]
		other := map[string]string{
			"padding":                 segment + "==",
			"one sign of padding":     segment + "=",
			"padding in the middle":   segment[:8] + "=" + segment[8:],
			"newline in the middle":   segment[:8] + "\n" + segment[8:],
			"CRLF at the end":         segment + "\r\n",
			"space in the middle":     segment[:8] + " " + segment[8:],
			"bits left over":          segment[:len(segment)-1] + string(nextCharacter(segment[len(segment)-1])),
			"percent encoding":        fmt.Sprintf("%%%02X", segment[0]) + segment[1:],
			"one character too many":  segment + "AAA",
			"a character not of any":  segment[:8] + "!" + segment[9:],
			"a NUL":                   segment[:8] + "\x00" + segment[9:],
			"a letter beyond ASCII":   segment[:8] + "é" + segment[9:],
			"a vertical tab":          segment[:8] + "\v" + segment[8:],
			"no-break space in front": "\u00a0" + segment,
		}
		for how, changed := range other {
			forged := append([]string{}, segments...)
			forged[i] = changed
			attacks = append(attacks, attack{"TOK-22 " + where + " with " + how, strings.Join(forged, "."), malformed})
		}
	}
	for i := 0; ; i++ { // until both characters of the other alphabet occur
		h, p, s := parts(l.k1.Sign(header(), l.payload("jti", fmt.Sprintf(`"%d ?>?>\u007f ~ ÿ¿"`, i))))
		if strings.Contains(s, "-") && strings.Contains(s, "_") && strings.ContainsAny(p, "-_") {
			standard := strings.NewReplacer("-", "+", "_", "/")
			return append(attacks,
				attack{"TOK-22 signature in the standard alphabet", h + "." + p + "." + standard.Replace(s), malformed},
				attack{"TOK-22 payload in the standard alphabet", h + "." + standard.Replace(p) + "." + s, malformed},
				attack{"TOK-22 payload not encoded", h + "." + strings.ReplaceAll(l.payload(), ",", ";") + "." + s, malformed},
				attack{"TOK-22 encoded twice", b64([]byte(h)) + "." + b64([]byte(p)) + "." + b64([]byte(s)), malformed},
				attack{"TOK-22 hex signature", h + "." + p + "." + strings.Repeat("0f", 256), signature})
		}
	}
}

func (l *attackLab) algorithms() (attacks []attack) {
	for _, raw := range []string{
		`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `"none\u0000"`, `"RS256\u0000"`, `"RS256 "`, `" RS256"`, `""`,
		`"rs256"`, `"Rs256"`, `"RS-256"`, `"HS256"`, `"HS384"`, `"HS512"`, `"hs256"`, `"RS1"`, `"RSA1_5"`, `"RSA-OAEP"`,
		`"dir"`, `"A128KW"`, `"ECDH-ES"`, `"PBES2-HS256+A128KW"`, `"ES256K"`, `"Ed448"`, `"ML-DSA-44"`, `"ＲＳ256"`,
		`null`, `1`, `true`, `["RS256"]`, `{"RS256":1}`,
	} {
		attacks = append(attacks, l.inHeader("TOK-32 alg "+raw, algorithm, "alg", raw))
	}
	body := l.payload()
	return append(attacks,
		l.inHeader("TOK-32 alg missing", algorithm, "alg", ""),
		l.inHeader("TOK-32 alg in another case", algorithm, "alg", "", "Alg", `"RS256"`),
		l.inHeader("TOK-32 alg ES512 over an RSA key", noSuchKey, "alg", `"ES512"`),
		l.inHeader("TOK-32 alg EdDSA over an RSA key", noSuchKey, "alg", `"EdDSA"`),
		l.inHeader("TOK-32 alg RS384 over a key for RS256", noSuchKey, "alg", `"RS384"`),
		l.inHeader("TOK-42 alg PS256 over a key for RS256", noSuchKey, "alg", `"PS256"`),
		attack{"TOK-32 alg RS384, signed as RS256", l.rsa.Sign(header("kid", `"rsa"`, "alg", `"RS384"`), body), signature},
		attack{"TOK-32 alg RS256 over an ECDSA key", l.ec["ES256"].Sign(header("kid", `"es256"`), body), noSuchKey},
		attack{"TOK-32 alg none and an empty key", compact(`{"alg":"none","typ":"at+jwt"}`, body, []byte{0}), algorithm},
		attack{"TOK-32 no kid and a foreign algorithm's signature", l.ec["ES256"].Sign(header("kid", ""), body), signature},
	)
}

// hmac signs with what an attacker can read: the public key in every
// spelling that some code may take for a secret.
func (l *attackLab) hmac() (attacks []attack) {
	public := l.k1.Private.Public().(*rsa.PublicKey)
	pkix, _ := x509.MarshalPKIXPublicKey(public)
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	text := string(l.k1.PEM())
	jwk := l.k1.JWK()
	for name, secret := range map[string]string{
		"PEM":                         text,
		"PEM without a final newline": strings.TrimSpace(text),
		"PEM with CRLF":               strings.ReplaceAll(text, "\n", "\r\n"),
		"PEM of PKCS 1":               string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})),
		"DER":                         string(pkix),
		"DER of PKCS 1":               string(pkcs1),
		"DER in base64":               base64.StdEncoding.EncodeToString(pkix),
		"a JWK":                       jwkText(l.k1),
		"n in base64url":              jwk["n"].(string),
		"n":                           string(public.N.Bytes()),
		"nothing":                     "",
		"the kid":                     "k1",
		"a published secret":          hmacSecret,
	} {
		sign := func(header string) string {
			input := b64([]byte(header)) + "." + b64([]byte(l.payload()))
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(input))
			return input + "." + b64(mac.Sum(nil))
		}
		attacks = append(attacks,
			attack{"TOK-32 HS256 with " + name, sign(header("alg", `"HS256"`)), algorithm},
			attack{"TOK-32 HS256 under RS256 with " + name, sign(header()), signature})
	}
	return append(attacks, attack{"TOK-33 kid of a symmetric key", l.k1.Sign(header("kid", `"secret"`), l.payload()), noSuchKey})
}

func (l *attackLab) critical() (attacks []attack) {
	for _, crit := range []string{
		`["x-foo"]`, `[]`, `["exp"]`, `["alg"]`, `["b64"]`, `["x-foo","x-foo"]`, `"exp"`, `""`, `null`, `{}`, `1`, `[1]`, `true`, `[""]`, `["http://example.com/x"]`,
	} {
		attacks = append(attacks, l.inHeader("TOK-30 crit "+crit, malformed, "crit", crit, "x-foo", "1", "exp", "1"))
	}
	attacks = append(attacks, l.inHeader("TOK-30 crit of a name that is absent", malformed, "crit", `["x-absent"]`))
	for _, b := range []string{`false`, `true`, `"yes"`, `"false"`, `null`, `0`} {
		attacks = append(attacks, l.inHeader("TOK-31 b64 "+b, malformed, "b64", b))
	}
	unencoded := header("b64", "false", "crit", `["b64"]`)
	input := b64([]byte(unencoded)) + "." + l.payload()
	digest := sha256.Sum256([]byte(input))
	raw, _ := rsa.SignPKCS1v15(nil, l.k1.Private.(*rsa.PrivateKey), crypto.SHA256, digest[:])
	return append(attacks,
		l.inHeader("TOK-31 b64 false, and crit", malformed, "b64", "false", "crit", `["b64"]`),
		attack{"TOK-31 b64 false and a raw payload", strings.ReplaceAll(input, ",", " ") + "." + b64(raw), malformed})
}

// embedded brings its own key.
func (l *attackLab) embedded() []attack {
	forge := func(name string, reason mcpauth.Reason, kid string, members string) attack {
		return attack{"TOK-32 " + name, l.forged.Sign(with(header("kid", kid), members), l.payload()), reason}
	}
	jwk := `"jwk":` + jwkText(l.forged)
	x5c := fmt.Sprintf(`"x5c":[%q]`, base64.StdEncoding.EncodeToString(l.forged.PEM()))
	return []attack{
		forge("embedded jwk", signature, `"k1"`, jwk),
		forge("embedded jwk without kid", signature, ``, jwk),
		forge("embedded jwk with a kid of its own", noSuchKey, `"evil"`, jwk),
		forge("embedded private jwk", signature, `"k1"`, `"jwk":{"kty":"oct","k":"AAAA"}`),
		forge("embedded jwk that is none", signature, `"k1"`, `"jwk":"x"`),
		forge("jku of the attacker", signature, `"k1"`, `"jku":"https://evil.example/jwks.json"`),
		forge("jku of the attacker without kid", signature, ``, `"jku":"https://evil.example/jwks.json"`),
		forge("jku of the attacker and an unknown kid", noSuchKey, `"evil"`, `"jku":"https://evil.example/jwks.json"`),
		forge("jku on the issuer's host", signature, `"k1"`, `"jku":"https://as.example.com/upload/jwks.json"`),
		forge("jku to a metadata service", signature, `"k1"`, `"jku":"http://169.254.169.254/latest"`),
		forge("x5u of the attacker", signature, `"k1"`, `"x5u":"https://evil.example/cert.pem"`),
		forge("x5c of the attacker", signature, `"k1"`, x5c),
		forge("x5t of the attacker", signature, `"k1"`, `"x5t":"AAAA","x5t#S256":"AAAA"`),
		forge("the attacker's key and the issuer's kid", signature, `"k1"`, `"x":1`),
	}
}

func (l *attackLab) headerTexts() []attack {
	raw := func(name string, reason mcpauth.Reason, text string) attack {
		return attack{"TOK-23 header " + name, l.k1.Sign(text, l.payload()), reason}
	}
	h := header()
	return []attack{
		raw("with alg twice", malformed, with(h, `"alg":"none"`)),
		raw("with alg twice, none first", malformed, `{"alg":"none","alg":"RS256","kid":"k1"}`),
		raw("with alg twice, once escaped", malformed, with(h, `"\u0061lg":"none"`)),
		raw("with kid twice", malformed, with(h, `"kid":"k1"`)),
		raw("with typ twice", malformed, with(h, `"typ":"JWT"`)),
		raw("with a repeated name deep inside", malformed, with(h, `"x":[{"y":{"a":1,"a":2}}]`)),
		raw("with garbage behind", malformed, h+"garbage"),
		raw("with a second object", malformed, h+h),
		raw("with a comma at the end", malformed, strings.TrimSuffix(h, "}")+",}"),
		raw("with a comment", malformed, strings.Replace(h, "{", "{/**/", 1)),
		raw("with a byte order mark", malformed, "\ufeff"+h),
		raw("in UTF-16", malformed, "\xff\xfe{\x00"),
		raw("with a NUL behind", malformed, h+"\x00"),
		raw("that is an array", malformed, "["+h+"]"),
		raw("that is a string", malformed, quote(h)),
		raw("that is null", malformed, "null"),
		raw("that is empty", algorithm, "{}"),
		raw("cut off", malformed, h[:len(h)-1]),
		raw("with single quotes", malformed, strings.ReplaceAll(h, `"`, `'`)),
		raw("with invalid UTF-8", malformed, with(h, "\"x\":\"\xff\"")),
		raw("with overlong UTF-8", malformed, with(h, "\"x\":\"\xc0\xaf\"")),
		raw("with a lone surrogate", malformed, with(h, `"x":"\ud800"`)),
		raw("with a lone surrogate in a name", malformed, with(h, `"\udc00":1`)),
		raw("with a control character in a string", malformed, with(h, "\"x\":\"\n\"")),
		raw("with NaN", malformed, with(h, `"x":NaN`)),
		{"LIMITS-04 header 17 deep", l.k1.Sign(with(h, `"x":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)), l.payload()), tooComplex},
		{"LIMITS-04 header 2,000 deep", l.k1.Sign(with(h, `"x":`+strings.Repeat("[", 2000)), l.payload()), tooComplex},
		{"LIMITS-04 header with 257 members", l.k1.Sign(with(h, manyMembers(254)), l.payload()), tooComplex},
		{"LIMITS-04 header longer than 4 KiB", l.k1.Sign(with(h, `"x":"`+strings.Repeat("x", 4096)+`"`), l.payload()), tooComplex},
	}
}

func manyMembers(n int) string {
	var members []string
	for _, name := range numbered("m", n) {
		members = append(members, quote(name)+":0")
	}
	return strings.Join(members, ",")
}

func (l *attackLab) keyIDs() (attacks []attack) {
	for _, raw := range []string{`1`, `null`, `true`, `["k1"]`, `{"k1":1}`, quote(strings.Repeat("k", 257)), `"k1\n"`, `"k1\u0000"`, `"\u0085"`} {
		attacks = append(attacks, l.inHeader("TOK-23 kid "+raw[:min(len(raw), 20)], malformed, "kid", raw))
	}
	for _, raw := range []string{
		`""`, `"K1"`, `"k1 "`, `" k1"`, `"k"`, `"k11"`, `"ｋ1"`, `"../../../../dev/null"`, `"k1' OR '1'='1"`, `"https://evil.example/k1"`,
		`"https://as.example.com/tenant1#k1"`, `"*"`, quote(strings.Repeat("k", 256)), `"%s%n"`, `"forged\u2028level=ERROR"`,
	} {
		attacks = append(attacks, l.inHeader("TOK-32 kid "+raw[:min(len(raw), 40)], noSuchKey, "kid", raw))
	}
	return append(attacks, l.inHeader("TOK-32 kid of another key that fits", signature, "kid", `"rsa"`))
}

// forbidden are the types of JWTs that are no access tokens in any configuration.
var forbidden = []string{
	"dpop+jwt", "oauth-id-jag+jwt", "token-introspection+jwt", "logout+jwt", "secevent+jwt", "oauth-authz-req+jwt",
	"client-authentication+jwt", "entity-statement+jwt", "kb+jwt", "vc+sd-jwt", "dc+sd-jwt",
}

func (l *attackLab) types() (attacks []attack) {
	for _, typ := range forbidden {
		for _, spelled := range []string{typ, strings.ToUpper(typ), "application/" + typ, "Application/" + strings.ToUpper(typ[:1]) + typ[1:]} {
			attacks = append(attacks, l.inHeader("TOK-35 typ "+spelled, tokenType, "typ", quote(spelled)))
		}
	}
	for _, typ := range []string{
		"", " ", "JOSE", "JOSE+JSON", "JWE", "id_token+jwt", "refresh+jwt", "jwt ", " at+jwt", "at+jwt;x=y", "at+jwt, JWT", "at jwt", "at%2Bjwt",
		"application/", "application/application/at+jwt", "text/at+jwt", "a\u0000t+jwt", "at+jw\uff54", "okta-internal-at+jwt", "logout+jwt ", "dpop+jwt;x=y",
	} {
		attacks = append(attacks, l.inHeader(fmt.Sprintf("TOK-34 typ %q", typ), tokenType, "typ", quote(typ)))
	}
	for _, raw := range []string{`1`, `null`, `true`, `["at+jwt"]`, `{}`} {
		attacks = append(attacks, l.inHeader("TOK-37 typ "+raw, tokenType, "typ", raw))
	}
	// An ID-JAG as it really looks: it names the resource, a client and scopes.
	return append(attacks, attack{"TOK-35 an ID-JAG for this resource", l.k1.Sign(header("typ", `"oauth-id-jag+jwt"`),
		l.payload("resource", quote(testResource), "client_id", `"client-1"`)), tokenType})
}

func (l *attackLab) nested() []attack {
	inner := l.k1.Sign(header(), l.payload())
	return []attack{
		l.inHeader("TOK-25 cty JWT", malformed, "cty", `"JWT"`),
		l.inHeader("TOK-25 cty jwt", malformed, "cty", `"jwt"`),
		l.inHeader("TOK-25 cty application/jwt", malformed, "cty", `"application/JWT"`),
		l.inHeader("TOK-25 cty with a parameter", malformed, "cty", `"JWT;x=y"`),
		l.inHeader("TOK-25 cty 1", malformed, "cty", `1`),
		l.inHeader("TOK-25 cty null", malformed, "cty", `null`),
		{"TOK-25 a token in a token", l.k1.Sign(header("cty", `"JWT"`), inner), malformed},
		{"TOK-25 a token in a token, unannounced", l.k1.Sign(header(), inner), malformed},
		{"TOK-25 a token in a token, quoted", l.k1.Sign(header(), quote(inner)), malformed},
		l.inHeader("TOK-26 zip DEF", malformed, "zip", `"DEF"`),
		l.inHeader("TOK-26 zip null", malformed, "zip", `null`),
		l.inHeader("TOK-26 zip empty", malformed, "zip", `""`),
		l.inHeader("TOK-26 zip and enc", malformed, "zip", `"DEF"`, "enc", `"A128GCM"`),
	}
}

func (l *attackLab) signatures() []attack {
	token := l.k1.Sign(header(), l.payload())
	h, p, s := parts(token)
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	change := func(at int, bit byte) string {
		changed := append([]byte{}, raw...)
		changed[at] ^= bit
		return h + "." + p + "." + b64(changed)
	}
	_, root, _ := parts(l.k1.Sign(header(), l.payload("sub", `"root"`)))
	_, _, stranger := parts(l.k1.Sign(header(), l.payload("jti", `"other"`)))
	rsaHeader := func(alg string) string { return header("kid", `"rsa"`, "alg", quote(alg)) }
	as := func(alg string) *mcpauthtest.Key { key := *l.rsa; key.Alg = alg; return &key }
	private := l.rsa.Private.(*rsa.PrivateKey)
	own := func(header string, sign func(input []byte) ([]byte, error)) string {
		input := b64([]byte(header)) + "." + b64([]byte(l.payload()))
		made, err := sign([]byte(input))
		if err != nil {
			panic(err)
		}
		return input + "." + b64(made)
	}
	pss := func(salt int) func([]byte) ([]byte, error) {
		return func(input []byte) ([]byte, error) {
			digest := sha256.Sum256(input)
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		}
	}
	pkcs1 := func(hash crypto.Hash, sum func([]byte) []byte) func([]byte) ([]byte, error) {
		return func(input []byte) ([]byte, error) {
			return rsa.SignPKCS1v15(nil, private, hash, sum(input))
		}
	}
	return []attack{
		{"TOK-40 first bit of the signature", change(0, 0x80), signature},
		{"TOK-40 last bit of the signature", change(255, 1), signature},
		{"TOK-40 one byte shorter", h + "." + p + "." + b64(raw[:255]), signature},
		{"TOK-40 one byte longer", h + "." + p + "." + b64(append(raw[:256:256], 0)), signature},
		{"TOK-40 a zero in front", h + "." + p + "." + b64(append([]byte{0}, raw...)), signature},
		{"TOK-40 one byte", h + "." + p + ".AA", signature},
		{"TOK-40 all zero", h + "." + p + "." + b64(make([]byte, 256)), signature},
		{"TOK-40 the number 1", h + "." + p + "." + b64(append(make([]byte, 255), 1)), signature},
		{"TOK-40 all ones", h + "." + p + "." + b64([]byte(strings.Repeat("\xff", 256))), signature},
		{"TOK-40 the modulus", h + "." + p + "." + b64(private.N.Bytes()), signature},
		{"TOK-43 another payload", h + "." + root + "." + s, signature},
		{"TOK-40 another token's signature", h + "." + p + "." + stranger, signature},
		{"TOK-40 another header", b64([]byte(header("x", "1"))) + "." + p + "." + s, signature},
		{"TOK-40 the header spelled anew", b64([]byte(" "+header())) + "." + p + "." + s, signature},
		{"TOK-42 PSS under RS256", as("PS256").Sign(rsaHeader("RS256"), l.payload()), signature},
		{"TOK-42 PSS under RS512", as("PS512").Sign(rsaHeader("RS512"), l.payload()), signature},
		{"TOK-42 PKCS 1 under PS256", as("RS256").Sign(rsaHeader("PS256"), l.payload()), signature},
		{"TOK-42 PS384 under PS256", as("PS384").Sign(rsaHeader("PS256"), l.payload()), signature},
		{"TOK-42 RS512 under RS256", as("RS512").Sign(rsaHeader("RS256"), l.payload()), signature},
		{"TOK-42 PSS without salt", own(rsaHeader("PS256"), pss(0)), signature},
		{"TOK-42 PSS with a long salt", own(rsaHeader("PS256"), pss(64)), signature},
		{"TOK-42 SHA-1 under RS256", own(rsaHeader("RS256"), pkcs1(crypto.SHA1, func(b []byte) []byte { d := sha1.Sum(b); return d[:] })), signature},
		{"TOK-42 a bare digest under RS256", own(rsaHeader("RS256"), pkcs1(0, func(b []byte) []byte { d := sha256.Sum256(b); return d[:] })), signature},
		{"TOK-56 the second issuer's key under the first's name", l.second.Sign(header(), l.payload()), signature},
		{"TOK-56 the first issuer's key under the second's name", l.k1.Sign(header(), l.payload("iss", quote(secondIssuerURL))), signature},
		{"TOK-56 the first issuer's ECDSA key under the second's name", l.ec["ES256"].Sign(header("alg", `"ES256"`, "kid", `"es256"`), l.payload("iss", quote(secondIssuerURL))), noSuchKey},
		{"TOK-56 the second issuer's key and both names", l.second.Sign(header(), with(l.payload(), `"iss":`+quote(secondIssuerURL))), malformed},
		{"LIMITS-04 a signature of 1,025 bytes", h + "." + p + "." + b64(make([]byte, 1025)), tooComplex},
	}
}

// curves are the signatures that an elliptic curve takes amiss.
func (l *attackLab) curves() (attacks []attack) {
	for alg, size := range map[string]int{"ES256": 32, "ES384": 48, "ES512": 66} {
		key := l.ec[alg]
		h, p, s := parts(key.Sign(header("alg", quote(alg), "kid", quote(key.ID)), l.payload()))
		raw, _ := base64.RawURLEncoding.DecodeString(s)
		r, v := new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])
		n := key.Private.(*ecdsa.PrivateKey).Params().N
		zero, one := new(big.Int), big.NewInt(1)
		pair := func(name string, r, s *big.Int) {
			made := make([]byte, 2*size)
			if len(r.Bytes()) > size || len(s.Bytes()) > size {
				return
			}
			r.FillBytes(made[:size])
			s.FillBytes(made[size:])
			attacks = append(attacks, attack{"TOK-41 " + alg + " " + name, h + "." + p + "." + b64(made), signature})
		}
		pair("r and s 0", zero, zero)
		pair("r 0", zero, v)
		pair("s 0", r, zero)
		pair("r 0 and s 1", zero, one)
		pair("r n", n, v)
		pair("s n", r, n)
		pair("r and s n", n, n)
		pair("r and s 1", one, one)
		pair("s negated but one", r, new(big.Int).Sub(new(big.Int).Sub(n, v), one))
		pair("r and s exchanged", v, r)
		pair("s plus n", r, new(big.Int).Add(v, n))
		for name, made := range map[string][]byte{
			"one byte shorter":   raw[:2*size-1],
			"one byte longer":    append(raw[:2*size:2*size], 0),
			"half of it":         raw[:size],
			"twice":              append(raw[:2*size:2*size], raw...),
			"a zero in front":    append([]byte{0}, raw...),
			"padded r and s":     append(append([]byte{0}, raw[:size]...), append([]byte{0}, raw[size:]...)...),
			"in DER":             derSignature(r, v),
			"all ones":           []byte(strings.Repeat("\xff", 2*size)),
			"a single byte":      {0},
			"an RSA signature's": make([]byte, 256),
		} {
			attacks = append(attacks, attack{"TOK-41 " + alg + " " + name, h + "." + p + "." + b64(made), signature})
		}
	}
	return append(append(attacks, l.edwards()...),
		attack{"TOK-41 ES256 over a P-384 key", l.ec["ES384"].Sign(header("alg", `"ES256"`, "kid", `"es384"`), l.payload()), noSuchKey},
		attack{"TOK-41 ES384 over a P-256 key", l.ec["ES256"].Sign(header("alg", `"ES384"`, "kid", `"es256"`), l.payload()), noSuchKey},
		attack{"TOK-41 an ES384 signature under ES256", l.ec["ES384"].Sign(header("alg", `"ES256"`, "kid", `"es256"`), l.payload()), signature})
}

func derSignature(r, s *big.Int) []byte {
	integer := func(i *big.Int) []byte {
		b := append([]byte{0}, i.Bytes()...)
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(r), integer(s)...)
	if len(body) > 127 {
		return append([]byte{0x30, 0x81, byte(len(body))}, body...)
	}
	return append([]byte{0x30, byte(len(body))}, body...)
}

func (l *attackLab) edwards() (attacks []attack) {
	h, p, s := parts(l.ed.Sign(header("alg", `"EdDSA"`, "kid", `"ed"`), l.payload()))
	raw, _ := base64.RawURLEncoding.DecodeString(s)
	// The order of the group, little-endian: S and S plus the order would be
	// two signatures of one text.
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	big := new(big.Int).Add(littleEndian(raw[32:]), order).FillBytes(make([]byte, 32))
	second := append(append([]byte{}, raw[:32]...), reverse(big)...)
	prehashed, _ := l.ed.Private.(ed25519.PrivateKey).Sign(nil, make([]byte, 64), &ed25519.Options{Hash: crypto.SHA512})
	for name, made := range map[string][]byte{
		"all zero":             make([]byte, 64),
		"a second spelling":    second,
		"one byte shorter":     raw[:63],
		"one byte longer":      append(raw[:64:64], 0),
		"the identity and 0":   append([]byte{1}, make([]byte, 63)...),
		"a prehashed one":      prehashed,
		"r and s exchanged":    append(append([]byte{}, raw[32:]...), raw[:32]...),
		"a sign bit":           append(raw[:63:63], raw[63]|0x80),
		"the first bit turned": append([]byte{raw[0] ^ 1}, raw[1:]...),
	} {
		attacks = append(attacks, attack{"TOK-41 Ed25519 " + name, h + "." + p + "." + b64(made), signature})
	}
	return append(attacks,
		attack{"TOK-32 alg ES256 over an Ed25519 key", l.ec["ES256"].Sign(header("alg", `"ES256"`, "kid", `"ed"`), l.payload()), noSuchKey})
}

func reverse(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := len(b) - 1; i >= 0; i-- {
		out = append(out, b[i])
	}
	return out
}

func littleEndian(b []byte) *big.Int { return new(big.Int).SetBytes(reverse(b)) }
