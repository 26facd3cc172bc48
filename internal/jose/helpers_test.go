package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// Keys of the tests, each made once. Signing is done by crypto/* directly and
// never by the code under test or by the library below it.
var (
	rsaKey   = onceKey(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	otherRSA = onceKey(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	p256Key  = onceKey(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	p384Key  = onceKey(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) })
	p521Key  = onceKey(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) })
	edKey    = onceKey(func() (ed25519.PrivateKey, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	})
)

func onceKey[K any](generate func() (K, error)) func() K {
	return sync.OnceValue(func() K {
		key, err := generate()
		if err != nil {
			panic(err)
		}
		return key
	})
}

const claims = `{"iss":"https://as.example.com/tenant1","sub":"u1","exp":4102444800}`

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// set is a JWK Set of the given keys.
func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// signer returns the key that an algorithm's tokens are signed with here.
func signer(alg string) crypto.Signer {
	switch alg {
	case "ES256":
		return p256Key()
	case "ES384":
		return p384Key()
	case "ES512":
		return p521Key()
	case "EdDSA", "Ed25519":
		return edKey()
	}
	return rsaKey()
}

// sign makes the signature of alg over the input.
func sign(alg string, key crypto.Signer, input string) []byte {
	if private, ok := key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, []byte(input))
	}
	hash := hashes[alg[2:]]
	digest := hash.New()
	digest.Write([]byte(input))
	sum := digest.Sum(nil)
	var signature []byte
	var err error
	switch private := key.(type) {
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, private, sum)
		size := (private.Params().N.BitLen() + 7) / 8
		signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			signature, err = rsa.SignPSS(rand.Reader, private, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(nil, private, hash, sum)
		}
	}
	if err != nil {
		panic(err)
	}
	return signature
}

// mint signs any header and payload, well formed or not, as alg does.
func mint(alg, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(sign(alg, signer(alg), input))
}

func mintHMAC(header string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// jwk writes a public key as a JWK with further members, such as `"kid":"k1"`.
func jwk(public crypto.PublicKey, more ...string) string {
	var members string
	switch public := public.(type) {
	case *rsa.PublicKey:
		members = fmt.Sprintf(`"kty":"RSA","n":%q,"e":%q`, b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		members = fmt.Sprintf(`"kty":"EC","crv":%q,"x":%q,"y":%q`, public.Params().Name, b64(point[1:1+half]), b64(point[1+half:]))
	case ed25519.PublicKey:
		members = fmt.Sprintf(`"kty":"OKP","crv":"Ed25519","x":%q`, b64(public))
	}
	return "{" + strings.Join(append([]string{members}, more...), ",") + "}"
}

// keyOf is the usable key that fits an algorithm.
func keyOf(alg string) *jose.Key {
	keys, _, err := jose.ParseSet(set(jwk(signer(alg).Public())))
	if err != nil {
		panic(err)
	}
	return &keys[0]
}
