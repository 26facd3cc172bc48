package mcpauth_test

import (
	"fmt"
	"strings"

	"github.com/seed-1e292522/mcpauth"
)

// The attacks on what a token says, each with a good signature.

const (
	badClaims     = mcpauth.ErrClaims
	badIssuer     = mcpauth.ErrIssuer
	badAudience   = mcpauth.ErrAudience
	expired       = mcpauth.ErrExpired
	notYetValid   = mcpauth.ErrNotYetValid
	senderBinding = mcpauth.ErrSenderConstrained
)

func (l *attackLab) claimTexts() []attack {
	raw := func(name string, reason mcpauth.Reason, text string) attack {
		return attack{"TOK-23 claims " + name, l.k1.Sign(header(), text), reason}
	}
	p := l.payload()
	twice := func(member string) attack { return raw("with a second "+member, malformed, with(p, member)) }
	return []attack{
		twice(`"aud":"https://other.example/mcp"`),
		twice(`"aud":"` + testResource + `"`),
		twice(`"exp":9000000000`),
		twice(`"iss":"https://other.example"`),
		twice(`"sub":"root"`),
		twice(`"scope":"mcp:admin"`),
		twice(`"client_id":"root"`),
		twice(`"\u0061ud":"x"`),
		twice(`"su\u0062":"root"`),
		twice(`"\u0073\u0063\u006f\u0070\u0065":"mcp:admin"`),
		raw("with a repeated name deep inside", malformed, with(p, `"x":[{"y":{"a":1,"\u0061":2}}]`)),
		raw("with realm_access.roles twice", malformed, with(p, `"realm_access":{"roles":["user"],"roles":["admin"]}`)),
		raw("with an empty name twice", malformed, with(p, `"":1,"":2`)),
		raw("with a second object", malformed, p+`{"sub":"evil"}`),
		raw("with garbage behind", malformed, p+"garbage"),
		raw("with a NUL behind", malformed, p+"\x00"),
		raw("with a comma at the end", malformed, strings.TrimSuffix(p, "}")+",}"),
		raw("with a byte order mark", malformed, "\ufeff"+p),
		raw("with a comment", malformed, strings.Replace(p, "{", "{/* */", 1)),
		raw("with a form feed", malformed, "\f"+p),
		raw("that are an array", malformed, "["+p+"]"),
		raw("that are a string", malformed, quote(p)),
		raw("that are null", malformed, "null"),
		raw("that are a number", malformed, "1"),
		raw("that are white space", malformed, "  "),
		raw("that are empty", badClaims, "{}"),
		raw("cut off", malformed, p[:len(p)-1]),
		raw("with invalid UTF-8", malformed, with(p, "\"x\":\"\xff\"")),
		raw("with invalid UTF-8 in a name", malformed, with(p, "\"\xc3\x28\":1")),
		raw("with a UTF-8 surrogate", malformed, with(p, "\"x\":\"\xed\xa0\x80\"")),
		raw("with a lone surrogate in sub", malformed, strings.Replace(p, `"user-1"`, `"\ud800"`, 1)),
		raw("with a lone surrogate elsewhere", malformed, with(p, `"x":["\udc00"]`)),
		raw("with surrogates in the wrong order", malformed, with(p, `"x":"\udc00\ud800"`)),
		raw("with a control character in a string", malformed, with(p, "\"x\":\"\t\"")),
		raw("with a raw newline in sub", malformed, strings.Replace(p, `"user-1"`, "\"user\n1\"", 1)),
		raw("with NaN", malformed, with(p, `"x":NaN`)),
		raw("with a leading zero", malformed, with(p, `"x":01`)),
		raw("with hexadecimal", malformed, with(p, `"x":0x10`)),
		raw("with True", malformed, with(p, `"x":True`)),
		raw("with mismatched brackets", malformed, with(p, `"x":[}]`)),
		raw("with a broken aud", malformed, strings.Replace(p, `"aud":"`, `"aud":["`, 1)),
		raw("with a broken scope", malformed, strings.Replace(p, `"scope":"mcp:read"`, `"scope":mcp:read`, 1)),
		{"LIMITS-04 claims 17 deep", l.k1.Sign(header(), with(p, `"x":`+strings.Repeat("[", 16)+strings.Repeat("]", 16))), tooComplex},
		{"LIMITS-04 act 17 deep", l.k1.Sign(header(), with(p, strings.Repeat(`"act":{`, 16)+`"sub":"x"`+strings.Repeat("}", 16))), tooComplex},
		l.inClaims("TOK-57 LIMITS-04 sub of 2,049 bytes", tooComplex, "sub", quote(strings.Repeat("u", 2049))),
		{"LIMITS-04 claims 6,000 deep", l.k1.Sign(header(), with(p, `"x":`+strings.Repeat("[", 6000))), tooComplex},
	}
}

func (l *attackLab) times() (attacks []attack) {
	for _, name := range []string{"exp", "nbf", "iat"} {
		for _, raw := range []string{
			`null`, `true`, `""`, `"x"`, `[]`, `{}`, quote(fmt.Sprint(l.now)), `"2030-01-01T00:00:00Z"`, `"1e3"`,
			`-1`, `-1e300`, `-0.5`, `1e400`, `1e16`, `9007199254740992`, `9223372036854775807`, `18446744073709551617`, `[` + fmt.Sprint(l.now) + `]`,
		} {
			attacks = append(attacks, l.inClaims(timeRequirement[name]+" "+name+" "+raw, badClaims, name, raw))
		}
	}
	for _, raw := range []string{`0`, `-0`, `0.9`, `0e5`, `1e-5`, `0.0`, `1e-400`, ``} {
		attacks = append(attacks, l.inClaims("TOK-50 exp "+raw+" and no other", badClaims, "exp", raw))
	}
	for _, raw := range []string{`01`, `+1`, `.5`, `1.`, `1e`, `0x7fffffff`, `NaN`, `Infinity`, `-`, `1_000`, `９`} {
		attacks = append(attacks, l.inClaims("TOK-50 exp "+raw, malformed, "exp", raw))
	}
	in := func(seconds int64) string { return fmt.Sprint(l.now + seconds) }
	return append(attacks,
		l.inClaims("TOK-24 EXP for exp", badClaims, "exp", "", "EXP", in(300)),
		l.inClaims("TOK-24 Exp beside an old exp", expired, "exp", in(-100), "Exp", in(300)),
		l.inClaims("TOK-51 exp 1", expired, "exp", "1"),
		l.inClaims("TOK-51 exp 1e3", expired, "exp", "1e3"),
		l.inClaims("TOK-51 exp half a minute ago", expired, "exp", in(-31)),
		l.inClaims("TOK-51 exp in milliseconds of long ago", expired, "exp", "1000000000.999"),
		l.inClaims("TOK-51 exp years ago and nbf too", expired, "exp", in(-1e8), "nbf", in(-2e8)),
		l.inClaims("TOK-52 nbf in an hour", notYetValid, "nbf", in(3600)),
		l.inClaims("TOK-52 nbf at the end of time", notYetValid, "nbf", "9007199254740991"),
		l.inClaims("TOK-53 iat in an hour", notYetValid, "iat", in(3600)),
		l.inClaims("TOK-53 iat in milliseconds", notYetValid, "iat", in(0)+"000"),
	)
}

var timeRequirement = map[string]string{"exp": "TOK-50", "nbf": "TOK-52", "iat": "TOK-53"}

func (l *attackLab) issuers() (attacks []attack) {
	for _, raw := range []string{``, `null`, `1`, `true`, `{}`, `["` + testIssuerURL + `"]`} {
		attacks = append(attacks, l.inClaims("TOK-56 iss "+raw, badClaims, "iss", raw))
	}
	for _, iss := range []string{
		"", testIssuerURL + "/", testIssuerURL + "//", testIssuerURL + "?x", testIssuerURL + "#x", testIssuerURL + " ", " " + testIssuerURL, testIssuerURL + "\n",
		testIssuerURL + "\u0000", "https://AS.example.com/tenant1", "HTTPS://as.example.com/tenant1", "https://as.example.com:443/tenant1",
		"http://as.example.com/tenant1", "https://as.example.com/Tenant1", "https://as.example.com/tenant2", "https://as.example.com/tenant1/../tenant1",
		"https://as.example.com", "https://as.example.com/", "https://as.example.com.evil.example/tenant1", "https://user@as.example.com/tenant1",
		"https://evil.example/tenant1", "as.example.com/tenant1", "//as.example.com/tenant1", "https:as.example.com/tenant1", "https://as.example.com/%74enant1",
		"https://as.example.com\\@evil.example/tenant1", "https://\u0430s.example.com/tenant1", "https://as.example.com/tenant\uff11", "https://as.example.com./tenant1",
		"http://169.254.169.254/", "http://127.0.0.1:1/", "file:///etc/passwd", "*", testResource,
	} {
		attacks = append(attacks, l.inClaims(fmt.Sprintf("TOK-56 iss %q", iss), badIssuer, "iss", quote(iss)))
	}
	return append(attacks, l.inClaims("TOK-24 ISS for iss", badClaims, "iss", "", "ISS", quote(testIssuerURL)))
}

// lookalikes are audiences that are not testResource.
var lookalikes = []string{
	"https://mcp.example.com", "https://mcp.example.com/", testResource + "/", testResource + "/admin", testResource + "?x", testResource + "#x", testResource + "?",
	testResource + "#", testResource + "//", testResource + " ", " " + testResource, testResource + "\u0000", testResource + "\n", testResource + ";x", testResource + ".",
	"https://mcp.example.com.evil/mcp", "https://mcp.example.com:443.evil/mcp", "https://mcp.example.com:8443/mcp", "https://mcp.example.com:80/mcp",
	"https://mcp.example.com:/mcp", "https://mcp.example.com:443:443/mcp", "https://mcp.example.com:0443/mcp", "https://mcp.example.com./mcp",
	"https://evil.example/mcp", "https://evil.mcp.example.com/mcp", "https://evil-mcp.example.com/mcp", "https://user@mcp.example.com/mcp", "https://mcp.example.com@evil.example/mcp",
	"https://mcp.example.com:443@evil.example/mcp", "https://mcp.example.com\\@evil.example/mcp", "https://mcp.example.com%2fmcp", "https://mcp.example.com%00/mcp",
	"https://mcp.example.com/%6dcp", "https://mcp.example.com/MCP", "https://mcp.example.com/./mcp", "https://mcp.example.com/x/../mcp", "https://mcp.example.com//mcp",
	"https://mcp.example.com\\mcp", "https://mcp.example.com/mcp/..", "https://[mcp.example.com]/mcp", "https://mcp.example.com%3A443/mcp",
	"http://mcp.example.com/mcp", "http://mcp.example.com:443/mcp", "wss://mcp.example.com/mcp", "//mcp.example.com/mcp", "mcp.example.com/mcp", "mcp.example.com",
	"https:mcp.example.com/mcp", "https:/mcp.example.com/mcp", "https:///mcp.example.com/mcp", "https://mcp\u3002example.com/mcp", "https://mcp.example.com/mc\u0440",
	"https://mcp.example.co\u006d\u0301/mcp", "https://mcp.exam\u00adple.com/mcp", "*", "https://*.example.com/mcp", "^https://mcp\\.example\\.com/mcp$", "mcp:read", "client-1", "urn:mcp", testIssuerURL,
}

func (l *attackLab) audiences() (attacks []attack) {
	for _, raw := range []string{
		``, `null`, `""`, `[]`, `[""]`, `1`, `true`, `{}`, `{"0":` + quote(testResource) + `}`, `[1,` + quote(testResource) + `]`, `[` + quote(testResource) + `,null]`,
		`[[` + quote(testResource) + `]]`, `[` + quote(testResource) + `,""]`, `["https://a.example","https://b.example"]`, quote(testResource + " https://other.example"),
		quote("https://other.example," + testResource), quote(`["` + testResource + `"]`),
	} {
		attacks = append(attacks, l.inClaims("AUD-02 aud "+raw, badAudience, "aud", raw))
	}
	for _, aud := range lookalikes {
		attacks = append(attacks, l.inClaims(fmt.Sprintf("AUD-03 aud %q", aud), badAudience, "aud", quote(aud)))
	}
	other := quote("https://other.example/mcp")
	own := quote(testResource)
	return append(attacks,
		l.inClaims("AUD-07 resource is no audience", badAudience, "aud", other, "resource", own),
		l.inClaims("AUD-07 resource alone", badAudience, "aud", "", "resource", own),
		l.inClaims("AUD-07 azp is no audience", badAudience, "aud", other, "azp", own),
		l.inClaims("AUD-07 client_id is no audience", badAudience, "aud", other, "client_id", own),
		l.inClaims("AUD-07 scope is no audience", badAudience, "aud", "", "scope", quote(testResource+" mcp:read")),
		l.inClaims("AUD-07 sub is no audience", badAudience, "aud", "", "sub", own),
		l.inClaims("TOK-24 Aud for aud", badAudience, "aud", "", "Aud", own),
		l.inClaims("AUD-06 the second issuer's audience", badAudience, "aud", `"client-1"`),
		l.inClaims("AUD-11 another audience and a cnf", badAudience, "aud", other, "cnf", `{"jkt":"x"}`),
	)
}

func (l *attackLab) subjects() (attacks []attack) {
	for _, raw := range []string{
		``, `null`, `1`, `true`, `[]`, `{}`, `["user-1"]`, `""`, `"admin\u0000x"`, `"admin\nlevel=ERROR"`, `"\r"`, `"\t"`, `"\u001b[31m"`, `"\u007f"`, `"\u0085"`, `"\u009b"`,
	} {
		attacks = append(attacks, l.inClaims("TOK-57 sub "+raw[:min(len(raw), 30)], badClaims, "sub", raw))
	}
	return append(attacks, l.inClaims("TOK-24 Sub for sub", badClaims, "sub", "", "Sub", `"user-1"`))
}

func (l *attackLab) confirmations() []attack {
	cnf := func(name, raw string) attack { return l.inClaims(name, senderBinding, "cnf", raw) }
	return []attack{
		cnf("DPOP-01 cnf jkt", `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`),
		cnf("MTLS-01 cnf x5t#S256", `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`),
		cnf("DPOP-19 cnf jkt and x5t#S256", `{"jkt":"x","x5t#S256":"y"}`),
		cnf("DPOP-19 cnf empty", `{}`),
		cnf("DPOP-19 cnf kid", `{"kid":"x"}`),
		cnf("DPOP-19 cnf jwk", `{"jwk":{"kty":"RSA"}}`),
		cnf("DPOP-19 cnf jwe", `{"jwe":"x"}`),
		cnf("DPOP-19 cnf jku", `{"jku":"https://evil.example"}`),
		cnf("DPOP-19 cnf unknown", `{"x":1}`),
		cnf("DPOP-19 cnf null", `null`),
		cnf("DPOP-19 cnf string", `"jkt"`),
		cnf("DPOP-19 cnf array", `[]`),
		cnf("DPOP-19 cnf false", `false`),
		{"DPOP-19 cnf spelled with an escape", l.k1.Sign(header(), with(l.payload(), `"\u0063nf":{"jkt":"x"}`)), senderBinding},
	}
}

// idTokens were made to tell a client who signed in.
func (l *attackLab) idTokens() (attacks []attack) {
	jwt := header("typ", `"JWT"`)
	untyped := header("typ", "")
	for _, mark := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		attacks = append(attacks,
			attack{"TOK-36 " + mark + " in a JWT", l.k1.Sign(jwt, l.payload(mark, `"x"`)), tokenType},
			attack{"TOK-36 " + mark + " without typ", l.k1.Sign(untyped, l.payload(mark, `"x"`)), tokenType})
	}
	// The second issuer accepts the audience client-1, and maps roles.
	second := func(name string, changes ...string) attack {
		all := append([]string{"iss", quote(secondIssuerURL), "aud", `"client-1"`, "scope", "", "client_id", ""}, changes...)
		return attack{"TOK-36 " + name, l.second.Sign(jwt, l.payload(all...)), tokenType}
	}
	return append(attacks,
		attack{"TOK-36 nonce null", l.k1.Sign(jwt, l.payload("nonce", "null")), tokenType},
		attack{"TOK-36 a logout token for this resource", l.k1.Sign(jwt, l.payload("scope", "", "sid", `"s"`, "events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`)), tokenType},
		attack{"TOK-36 a security event without typ", l.k1.Sign(untyped, l.payload("events", `{}`)), tokenType},
		second("an ID token without marks"),
		second("an ID token with azp", "azp", `"client-1"`),
		second("an ID token with roles", "roles", `["reader"]`),
		second("an ID token with an array audience", "aud", `["client-1"]`, "roles", `["reader"]`),
		second("an ID token with groups that nobody mapped", "groups", `["reader"]`, "azp", `"client-1"`),
		second("an ID token with a scope in another case", "Scope", `"mcp:read"`),
	)
}

func (l *attackLab) limits() []attack {
	long := l.k1.Sign(header(), l.payload("x", quote(strings.Repeat("x", 17<<10))))
	return []attack{
		{"LIMITS-01 longer than 16 KiB", long, tooComplex},
		{"LIMITS-01 longer than 16 KiB, not base64", strings.Repeat("?", 17<<10), tooComplex},
		{"LIMITS-01 longer than 16 KiB, dots", strings.Repeat(".", 17<<10), tooComplex},
		{"LIMITS-01 one byte longer than 16 KiB", strings.Repeat("A", 16<<10-len("Bearer ")+1), tooComplex},
		l.inClaims("LIMITS-04 claims longer than 12 KiB", tooComplex, "x", quote(strings.Repeat("x", 12<<10-100))),
		l.inClaims("CLAIM-13 257 scopes", tooComplex, "scope", quote(strings.Join(numbered("s", 257), " "))),
		l.inClaims("CLAIM-13 257 scopes in an array", tooComplex, "scope", `["`+strings.Join(numbered("s", 257), `","`)+`"]`),
		l.inClaims("CLAIM-13 a scope of 257 bytes", tooComplex, "scope", quote("mcp:read "+strings.Repeat("s", 257))),
		l.inClaims("CLAIM-13 a scope of 257 bytes in an array", tooComplex, "scope", `["mcp:read",`+quote(strings.Repeat("s", 257))+`]`),
		l.inClaims("CLAIM-13 5,000 scopes", tooComplex, "scope", quote(strings.Join(numbered("", 2500), " "))),
	}
}
