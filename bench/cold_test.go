package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// ring is how many different tokens there are. A middleware sees each of them
// once: when all are used the next middleware takes over, whose cache is empty.
// So a cold benchmark is cold however large a cache is.
const ring = 4096

// BenchmarkCold is the verification of a token that was never seen: compact
// text to identity, without HTTP around it. impl=crypto is the bare signature
// check, below which nobody can get.
func BenchmarkCold(b *testing.B) {
	for _, alg := range fixture.Algorithms {
		run := func(name string, operation func(b *testing.B) func(int) bool) {
			b.Run("alg="+alg+"/impl="+name, func(b *testing.B) { drive(b, operation(b)) })
		}
		run("crypto", func(b *testing.B) func(int) bool { return rawCrypto(alg, b.N) })
		run("mcpauth", func(b *testing.B) func(int) bool { return coldAuthenticate(b, alg, b.N) })
		for _, peer := range peers.All {
			run(peer.Name, func(b *testing.B) func(int) bool { return coldPeer(newVerifier(b, peer, alg), alg, b.N) })
		}
	}
}

// coldAuthenticate never shows a token to the same middleware twice, for n
// operations.
func coldAuthenticate(b *testing.B, alg string, n int) func(int) bool {
	values := authorization(issuer.Tokens(alg, min(n, ring)))
	fresh := make([]*mcpauth.Middleware, 0, n/ring+1)
	for range cap(fresh) {
		fresh = append(fresh, newMiddleware(b, nil))
	}
	r := fixture.NewRequest("", tool, nil)
	return func(i int) bool {
		r.Header["Authorization"] = values[i%ring]
		_, err := fresh[i/ring].Authenticate(r.Request)
		return err == nil
	}
}

func coldPeer(verify peers.Verifier, alg string, n int) func(int) bool {
	tokens := issuer.Tokens(alg, min(n, ring))
	return func(i int) bool {
		_, err := verify(context.Background(), tokens[i%ring])
		return err == nil
	}
}

// BenchmarkColdWrapper is a whole request with a token that was never seen,
// body of 300 bytes included where the implementation reads it.
func BenchmarkColdWrapper(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256"} {
		b.Run("alg="+alg+"/impl=mcpauth", func(b *testing.B) {
			var fresh []http.Handler
			for range b.N/ring + 1 {
				fresh = append(fresh, newMiddleware(b, nil).Wrap(fixture.Served))
			}
			tokens := authorization(issuer.Tokens(alg, min(b.N, ring)))
			drive(b, servingMany(tokens, func(i int) http.Handler { return fresh[i/ring] }))
		})
		b.Run("alg="+alg+"/impl=sdk+golang-jwt", func(b *testing.B) {
			handler := peers.BearerToken(newVerifier(b, peers.All[0], alg), fixture.Served)
			tokens := authorization(issuer.Tokens(alg, min(b.N, ring)))
			drive(b, servingMany(tokens, func(int) http.Handler { return handler }))
		})
	}
}

// servingMany presents the tokens in turn.
func servingMany(tokens [][]string, handler func(i int) http.Handler) func(int) bool {
	r, w := fixture.NewRequest("", tool, smallBody), &fixture.Writer{}
	return func(i int) bool {
		w.Reset()
		r.Rewind(smallBody)
		r.Header["Authorization"] = tokens[i%len(tokens)]
		handler(i).ServeHTTP(w, r.Request)
		return w.Status == http.StatusOK
	}
}

// rawCrypto hashes and verifies with the standard library what was decoded
// beforehand.
func rawCrypto(alg string, n int) func(int) bool {
	type signed struct{ input, signature []byte }
	var all []signed
	for _, token := range issuer.Tokens(alg, min(n, ring)) {
		cut := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
		if err != nil {
			panic("bench: " + err.Error())
		}
		all = append(all, signed{[]byte(token[:cut]), signature})
	}
	key := issuer.PublicKey(alg)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	check := map[string]func(s signed) bool{
		"RS256": func(s signed) bool {
			digest := sha256.Sum256(s.input)
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s.signature) == nil
		},
		"PS256": func(s signed) bool {
			digest := sha256.Sum256(s.input)
			return rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s.signature, pss) == nil
		},
		"ES256": func(s signed) bool {
			digest := sha256.Sum256(s.input)
			r, t := new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:])
			return ecdsa.Verify(key.(*ecdsa.PublicKey), digest[:], r, t)
		},
		"EdDSA": func(s signed) bool { return ed25519.Verify(key.(ed25519.PublicKey), s.input, s.signature) },
	}[alg]
	return func(i int) bool { return check(all[i%ring]) }
}
