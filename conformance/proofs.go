package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// proofChecks present tokens that are bound to a key of the client, with proofs of it that are each wrong in
// one way (RFC 9449). They are run where the target announces DPoP.
func proofChecks() []check {
	all := []check{{
		id: "proof.accepted", title: "a bound token with a good proof is accepted", severity: Medium, rule: "RFC 9449 section 4.3", requirement: "DPOP-02",
		fix: "accept the scheme DPoP where the metadata or a challenge announces it", run: (*suite).findProver}}
	for _, bad := range badProofs {
		all = append(all, check{
			id: "proof." + bad.id, title: bad.title + " is refused", severity: bad.severity, rule: bad.rule, requirement: bad.requirement, fix: bad.fix,
			run: func(s *suite) verdict {
				if s.prover == nil {
					return notRun("no bound token was accepted: %s", s.proverProblem)
				}
				return s.refusedAll(bad.make(s)...)
			},
		})
	}
	return all
}

// prover is a client with a key and a token that is bound to it.
type prover struct {
	key   *Signer
	jwk   claims
	token string
	nonce string // the last one that the target gave
}

// newProver makes a key of a curve that everybody has, and a token for it.
func (s *suite) newProver() *prover {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("conformance: " + err.Error()) // there is no randomness
	}
	signer, _ := NewSigner("client", "", key)
	point, _ := key.PublicKey.Bytes()
	p := &prover{key: signer, jwk: claims{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}}
	text, _ := json.Marshal(p.jwk) // in lexicographic order, without white space (RFC 7638)
	sum := sha256.Sum256(text)
	p.token = s.mint(nil, claims{"cnf": claims{"jkt": encode(sum[:])}})
	return p
}

// proof makes a proof for a token, good but for the changes.
func (p *prover) proof(url, token string, header, changes claims) string {
	sum := sha256.Sum256([]byte(token))
	good := claims{"jti": rand.Text(), "htm": http.MethodPost, "htu": url, "iat": time.Now().Unix(), "ath": encode(sum[:])}
	if p.nonce != "" {
		good["nonce"] = p.nonce
	}
	proof, err := p.key.Sign(claims{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk}.with(header), good.with(changes))
	if err != nil {
		panic("conformance: " + err.Error()) // the key fits the algorithm
	}
	return proof
}

// proved is the probe with a token under a scheme, and proofs.
func (s *suite) proved(scheme, token string, proofs ...string) request {
	r := s.authorized(scheme + " " + token)
	r.header["Dpop"] = proofs
	s.client.presented[token] = true
	for _, proof := range proofs {
		s.client.presented[proof] = true
	}
	return r
}

// with is the probe with the bound token and a proof that is good but for the changes.
func (s *suite) with(header, changes claims) request {
	return s.proved("DPoP", s.prover.token, s.prover.proof(s.target.URL, s.prover.token, header, changes))
}

// announcesDPoP reports whether the metadata or the challenge without a token offers the scheme.
func (s *suite) announcesDPoP() bool {
	if s.document["dpop_signing_alg_values_supported"] != nil {
		return true
	}
	if s.bareAnswer == nil {
		return false
	}
	challenges, _ := parseChallenges(s.bareAnswer.header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if strings.EqualFold(c.scheme, "DPoP") {
			return true
		}
	}
	return false
}

// findProver finds out whether the target accepts a bound token, with a nonce if it wants one.
func (s *suite) findProver() verdict {
	switch {
	case !s.announcesDPoP():
		s.proverProblem = "the target does not announce DPoP"
		return notRun("%s", s.proverProblem)
	case s.target.Minter == nil:
		s.proverProblem = "no issuer to mint tokens with" + giveMinter
		return notRun("%s", s.proverProblem)
	}
	s.prover = s.newProver()
	a := s.send(s.with(nil, nil))
	if s.prover.nonce != "" && !a.served() {
		a = s.send(s.with(nil, nil))
	}
	if !a.served() {
		s.prover, s.proverProblem = nil, "got "+a.String()
		return failed("got %s, expected success", a)
	}
	return passed
}

// badProof is one way in which possession is not proved.
type badProof struct {
	id, title         string
	severity          Severity
	rule, requirement string
	fix               string
	make              func(s *suite) []request
}

// proofsWith makes a request for each change of the claims.
func proofsWith(changes ...claims) func(s *suite) []request {
	return func(s *suite) (all []request) {
		for _, change := range changes {
			all = append(all, s.with(nil, change))
		}
		return all
	}
}

const proofRule = "RFC 9449 section 4.3"

var badProofs = []badProof{
	{"bearer", "a bound token as a bearer token, with and without a proof", Critical, "RFC 9449 section 7.2", "DPOP-01", "refuse a token with cnf under the scheme Bearer",
		func(s *suite) []request {
			p := s.prover
			return []request{s.proved("Bearer", p.token), s.proved("Bearer", p.token, p.proof(s.target.URL, p.token, nil, nil))}
		}},
	{"unbound", "a token that is bound to nothing under the scheme DPoP", High, "RFC 9449 section 7.1", "DPOP-02", "refuse a token without cnf under the scheme DPoP",
		func(s *suite) []request {
			token := s.mint(nil, nil)
			return []request{s.proved("DPoP", token, s.prover.proof(s.target.URL, token, nil, nil))}
		}},
	{"missing", "a bound token without a proof", Critical, proofRule, "DPOP-03", "demand one DPoP header field", func(s *suite) []request { return []request{s.proved("DPoP", s.prover.token)} }},
	{"several", "a request with two proofs", Medium, proofRule, "DPOP-03", "demand one DPoP header field",
		func(s *suite) []request {
			proof := func() string { return s.prover.proof(s.target.URL, s.prover.token, nil, nil) }
			return []request{s.proved("DPoP", s.prover.token, proof(), proof())}
		}},
	{"form", "a proof of another type, with a private key or without one", High, proofRule, "DPOP-04", "demand typ dpop+jwt, and a public key in jwk",
		func(s *suite) []request {
			private := claims{"d": encode([]byte("secret"))}
			for name, value := range s.prover.jwk {
				private[name] = value
			}
			return []request{s.with(claims{"typ": "JWT"}, nil), s.with(claims{"jwk": private}, nil), s.with(claims{"jwk": nil}, nil)}
		}},
	{"algorithm", "a proof that is not signed, or with a shared secret", Critical, "RFC 9449 section 11.6", "DPOP-04", "accept asymmetric algorithms alone",
		func(s *suite) []request {
			return []request{s.with(claims{"alg": "none"}, nil), s.with(claims{"alg": "HS256"}, nil)}
		}},
	{"signature", "a proof with a wrong signature", Critical, proofRule, "DPOP-04", "verify the signature with the key in jwk",
		func(s *suite) []request {
			one, other := s.prover.proof(s.target.URL, s.prover.token, nil, nil), s.prover.proof(s.target.URL, s.prover.token, nil, nil)
			return []request{s.proved("DPoP", s.prover.token, one[:strings.LastIndexByte(one, '.')]+other[strings.LastIndexByte(other, '.'):])}
		}},
	{"key", "a proof by another key than the token's", Critical, proofRule, "DPOP-08", "compare the thumbprint of the proof's key with cnf.jkt",
		func(s *suite) []request {
			thief := s.newProver()
			thief.nonce = s.prover.nonce
			return []request{s.proved("DPoP", s.prover.token, thief.proof(s.target.URL, s.prover.token, nil, nil))}
		}},
	{"token", "a proof for another token", High, proofRule, "DPOP-07", "compare ath with the hash of the token",
		func(s *suite) []request {
			return append(proofsWith(claims{"ath": nil}, claims{"ath": ""})(s),
				s.proved("DPoP", s.prover.token, s.prover.proof(s.target.URL, s.mint(nil, nil), nil, nil)))
		}},
	{"method", "a proof for another method", High, proofRule, "DPOP-05", "compare htm with the method", proofsWith(claims{"htm": "GET"}, claims{"htm": "post"}, claims{"htm": nil})},
	{"url", "a proof for another URL", High, proofRule, "DPOP-05", "compare htu with the URL that clients dial",
		func(s *suite) []request {
			return proofsWith(claims{"htu": "https://" + elsewhere + s.url.Path}, claims{"htu": s.target.URL + "/other"}, claims{"htu": s.url.Path}, claims{"htu": nil})(s)
		}},
	{"time", "a proof that is older than 5 minutes, or from the future", High, "RFC 9449 section 11.1; SEP-1932", "DPOP-06", "compare iat with the clock, 5 minutes either way",
		func(s *suite) []request {
			return proofsWith(claims{"iat": ago(305 * time.Second)}, claims{"iat": ago(-305 * time.Second)}, claims{"iat": nil}, claims{"iat": "now"})(s)
		}},
	{"replayed", "a proof that was used before", Low, "RFC 9449 section 11.1; advice", "DPOP-09", "remember jti for as long as the proof could be used, or demand a nonce for each request",
		func(s *suite) []request {
			r := s.with(nil, nil)
			if a := s.send(r); !a.served() && s.err == nil {
				s.err = errors.New("a good proof was refused: " + a.String())
			}
			return []request{r}
		}},
}
