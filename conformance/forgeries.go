package conformance

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// forgeryChecks present tokens that somebody has made who has no key.
func forgeryChecks() []check {
	const algorithms = "RFC 8725 sections 3.1 and 3.2"
	row := func(id, title, rule, requirement, fix string, needs need, tokens func(s *suite, f *forger) []string) check {
		return check{id: "forgery." + id, title: title, severity: Critical, rule: rule, requirement: requirement, fix: fix, needs: needs,
			run: func(s *suite) verdict {
				f, problem := s.forger()
				if problem != "" {
					return notRun("%s", problem)
				}
				return s.noneAccepted(id, tokens(s, f)...)
			}}
	}
	return []check{
		row("alg-none", "a token without a signature is refused", algorithms, "TOK-33", "allow the algorithms of the issuer's keys and nothing else", needToken,
			func(_ *suite, f *forger) (tokens []string) {
				for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
					unsigned := encode([]byte(f.header.with(claims{"alg": alg}))) + "." + f.payload + "."
					tokens = append(tokens, unsigned, unsigned+f.signature)
				}
				return tokens
			}),
		row("empty-signature", "a token whose signature is cut off is refused", "RFC 7515 section 5.2", "TOK-44", "verify the signature before a claim is believed", needToken,
			func(_ *suite, f *forger) []string {
				return []string{f.head + "." + f.payload + ".", f.head + "." + f.payload}
			}),
		row("wrong-signature", "a token whose signature was changed is refused", "RFC 7515 section 5.2", "TOK-40", "verify the signature before a claim is believed", needToken,
			func(_ *suite, f *forger) []string {
				return []string{f.head + "." + f.payload + "." + flip(f.signature)}
			}),
		row("changed-claims", "a token whose claims were changed is refused", "RFC 7515 section 5.2", "TOK-40", "read claims from the bytes that the signature covers", needToken,
			func(_ *suite, f *forger) []string {
				return []string{f.head + "." + encode([]byte(f.claims.with(claims{"sub": "admin", "scope": "admin"}))) + "." + f.signature}
			}),
		row("stranger", "a token signed by a stranger under a known kid is refused", "RFC 7515 sections 5.2 and 10.3", "TOK-43", "verify with the issuer's key of that kid", needToken,
			func(s *suite, f *forger) []string { return []string{f.strange(s, nil)} }),
		row("unknown-key", "a token signed with a key that the issuer does not publish is refused", "RFC 7515 section 6", "JWKS-14", "take keys from the issuer's key set alone", needToken,
			func(s *suite, f *forger) []string {
				return []string{f.strange(s, claims{"kid": "check-stranger"}), f.strange(s, claims{"kid": nil})}
			}),
		row("embedded-key", "a key in the token's own header is not used", "RFC 8725 section 3.10; RFC 7515 section 4.1.3", "JWKS-12", "ignore jwk and x5c, or refuse tokens that have them", needToken,
			func(s *suite, f *forger) []string { return f.embedded(s) }),
		row("hmac-public-key", "a public key is no HMAC secret", algorithms, "JWKS-02", "bind each key to its algorithm, and accept no HMAC", needMinter, (*suite).hmacTokens),
		row("kid", "a kid that is a path or a query leads nowhere", "RFC 8725 section 3.10", "JWKS-11", "use kid to look a key up in a map, and for nothing else", needToken,
			func(_ *suite, f *forger) (tokens []string) {
				for _, kid := range []string{"../../../../../../dev/null", "/dev/null", "' UNION SELECT '", "file:///dev/null", "key|id", "\x00"} {
					header := f.header.with(claims{"alg": "HS256", "kid": kid})
					for _, secret := range []string{"", "\x00"} {
						tokens = append(tokens, signHMAC(header, f.claims.with(nil), []byte(secret)))
					}
				}
				return tokens
			}),
		{id: "forgery.linked-key", title: "a key set that the token's own header names is not fetched", severity: Critical, needs: needMinter,
			rule: "RFC 8725 section 3.10", requirement: "JWKS-12", fix: "ignore jku and x5u", run: (*suite).linkedKey},
	}
}

// forger has the parts of an accepted token.
type forger struct {
	head, payload, signature string
	header, claims           claims
}

func (s *suite) forger() (*forger, string) {
	parts := strings.Split(s.control, ".")
	if len(parts) != 3 {
		return nil, "the token is opaque"
	}
	f := &forger{head: parts[0], payload: parts[1], signature: parts[2]}
	for _, part := range []struct {
		text string
		into *claims
	}{{f.head, &f.header}, {f.payload, &f.claims}} {
		text, err := base64.RawURLEncoding.DecodeString(part.text)
		if err != nil || json.Unmarshal(text, part.into) != nil {
			return nil, "the token is no signed JWT"
		}
	}
	return f, ""
}

// flip changes one byte of a signature.
func flip(signature string) string {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) == 0 {
		return ""
	}
	raw[len(raw)/2] ^= 1
	return encode(raw)
}

// strange is the control token signed with a key that nobody trusts.
func (f *forger) strange(s *suite, header claims) string {
	changes := claims{"alg": "RS256"}
	maps.Copy(changes, header)
	return s.strangerSigned(f.header.with(changes), f.claims.with(nil))
}

// strangerSigned signs with a key that is made once for the run.
func (s *suite) strangerSigned(header, payload string) string {
	if issuer, ok := s.target.Minter.(*Issuer); ok {
		s.stranger = issuer.stranger
	}
	var err error
	if s.stranger == nil {
		s.stranger, _, err = newKey("stranger", "stranger")
	}
	token := ""
	if err == nil {
		token, err = s.stranger.Sign(header, payload)
	}
	if err != nil && s.err == nil {
		s.err = err
	}
	return token
}

// embedded carries the stranger's key along, as a JWK and as a certificate would be.
func (f *forger) embedded(s *suite) []string {
	f.strange(s, nil) // makes the key
	if s.err != nil {
		return nil
	}
	jwk, err := publicJWK("check-stranger", "RS256", s.stranger.key.Public())
	if err != nil {
		s.err = err
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(s.stranger.key.Public())
	if err != nil {
		s.err = err
		return nil
	}
	return []string{
		f.strange(s, claims{"jwk": jwk}),
		f.strange(s, claims{"jwk": jwk, "kid": "check-stranger"}),
		f.strange(s, claims{"jwk": jwk, "kid": nil}),
		f.strange(s, claims{"x5c": []string{base64.StdEncoding.EncodeToString(der)}}),
	}
}

// hmacTokens take each way in which a public key may be written down for a secret.
func (s *suite) hmacTokens(f *forger) (tokens []string) {
	kid, alg, public := s.target.Minter.Key()
	var secrets [][]byte
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		secrets = append(secrets, der, text, []byte(strings.TrimSpace(string(text))))
	}
	if key, ok := public.(*rsa.PublicKey); ok {
		der := x509.MarshalPKCS1PublicKey(key)
		secrets = append(secrets, der, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}), key.N.Bytes(), []byte(encode(key.N.Bytes())))
	}
	if jwk, err := publicJWK(kid, alg, public); err == nil {
		text, _ := json.Marshal(jwk)
		secrets = append(secrets, text)
	}
	for _, secret := range secrets {
		tokens = append(tokens, signHMAC(f.header.with(claims{"alg": "HS256"}), f.claims.with(nil), secret))
	}
	return tokens
}

// linkedKey names a key set that really stands where it says, so that a server
// which fetches it is caught in the act.
func (s *suite) linkedKey() verdict {
	issuer, embedded := s.target.Minter.(*Issuer)
	at := "https://" + elsewhere + foreignKeysPath
	if embedded {
		at = strings.TrimSuffix(issuer.Issuer(), "/") + foreignKeysPath
	}
	f, problem := s.forger()
	if problem != "" {
		return notRun("%s", problem)
	}
	v := s.noneAccepted("linked-key",
		f.strange(s, claims{"jku": at, "kid": "check-stranger"}),
		f.strange(s, claims{"x5u": at, "kid": "check-stranger"}),
		f.strange(s, claims{"jku": at}))
	if v.outcome == Pass && embedded && issuer.fetchedForeign.Load() {
		return failed("the token was refused, but the server fetched what its header names")
	}
	return v
}

// otherStatus are the tokens that may be refused otherwise: a malformed request
// may be told so, and an ID token has no scopes.
var otherStatus = map[string]bool{"segments": true, "oversized": true, "id-token": true, "id-token-for-resource": true}

// noneAccepted is the verdict for tokens that are wrong. Those that are refused
// with another status than 401 are noted for a check of their own.
func (s *suite) noneAccepted(name string, tokens ...string) verdict {
	for i, token := range tokens {
		if s.err != nil {
			break
		}
		a := s.send(s.probe(token))
		if a.served() {
			return failed("variant %d of %d got %s, expected 401", i+1, len(tokens), a)
		}
		if s.err == nil && a.status != http.StatusUnauthorized && !otherStatus[name] {
			s.notUnauthorized = appendNew(s.notUnauthorized, fmt.Sprintf("%s (%d)", name, a.status))
		}
	}
	return passed
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
