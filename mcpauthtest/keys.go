package mcpauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Key is a signing key. Its fields may be changed before it is used, to make a
// key that lies about itself.
type Key struct {
	_ [0]func() // keyed literals only

	ID      string // kid; "" for none
	Alg     string // how [Key.Sign] signs, and alg in the JWK
	Private crypto.Signer
}

// algorithm says how a signature is made (RFC 7518 section 3.1, RFC 8037, RFC 9864).
type algorithm struct {
	kind  string // kty, and PSS
	hash  crypto.Hash
	curve elliptic.Curve
}

var algorithms = map[string]algorithm{
	"RS256":   {kind: "RSA", hash: crypto.SHA256},
	"RS384":   {kind: "RSA", hash: crypto.SHA384},
	"RS512":   {kind: "RSA", hash: crypto.SHA512},
	"PS256":   {kind: "PSS", hash: crypto.SHA256},
	"PS384":   {kind: "PSS", hash: crypto.SHA384},
	"PS512":   {kind: "PSS", hash: crypto.SHA512},
	"ES256":   {kind: "EC", hash: crypto.SHA256, curve: elliptic.P256()},
	"ES384":   {kind: "EC", hash: crypto.SHA384, curve: elliptic.P384()},
	"ES512":   {kind: "EC", hash: crypto.SHA512, curve: elliptic.P521()},
	"EdDSA":   {kind: "OKP"},
	"Ed25519": {kind: "OKP"},
}

// NewKey makes a key for RS256, RS384, RS512, PS256, PS384, PS512 (RSA of 2048
// bits), ES256, ES384, ES512, EdDSA or Ed25519, and panics for any other
// algorithm. Generating RSA keys is slow, so there is one key for each id and
// alg in a process: distinct ids have distinct keys. The key "k1" of an issuer
// is always another one. For two keys of one name, change the ID:
//
//	forged := mcpauthtest.NewKey("forged", "RS256")
//	forged.ID = "k1"
func NewKey(id, alg string) *Key {
	if _, ok := algorithms[alg]; !ok {
		panic("mcpauthtest: no algorithm " + strconv.Quote(alg))
	}
	return &Key{ID: id, Alg: alg, Private: generated(alg, "key "+id)}
}

// material is a private key that is generated once, for whoever asks first.
type material struct {
	once sync.Once
	key  crypto.Signer
}

var cache struct {
	mu        sync.Mutex
	materials map[[2]string]*material
	taken     []bool // which keys of issuers are in use
}

func generated(alg, name string) crypto.Signer {
	cache.mu.Lock()
	if cache.materials == nil {
		cache.materials = map[[2]string]*material{}
	}
	m := cache.materials[[2]string{alg, name}]
	if m == nil {
		m = &material{}
		cache.materials[[2]string{alg, name}] = m
	}
	cache.mu.Unlock()
	m.once.Do(func() { m.key = generate(alg) })
	return m.key
}

func generate(alg string) (key crypto.Signer) {
	var err error
	switch a := algorithms[alg]; a.kind {
	case "EC":
		key, err = ecdsa.GenerateKey(a.curve, rand.Reader)
	case "OKP":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic("mcpauthtest: " + err.Error())
	}
	return key
}

// issuerKey lends an issuer a key that no other issuer has before the test is over.
func issuerKey(tb testing.TB) *Key {
	cache.mu.Lock()
	n := slices.Index(cache.taken, false)
	if n < 0 {
		n = len(cache.taken)
		cache.taken = append(cache.taken, false)
	}
	cache.taken[n] = true
	cache.mu.Unlock()
	tb.Cleanup(func() {
		cache.mu.Lock()
		defer cache.mu.Unlock()
		cache.taken[n] = false
	})
	return &Key{ID: "k1", Alg: "RS256", Private: generated("RS256", "issuer "+strconv.Itoa(n))}
}

// Sign returns the compact JWS of exactly these two texts (RFC 7515 section
// 3.1), signed with this key as [Key].Alg has it, whatever the header says. It
// panics when key and algorithm do not fit.
func (k *Key) Sign(header, payload string) string {
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	signature, err := k.signature([]byte(input))
	if err != nil {
		panic(fmt.Sprintf("mcpauthtest: key %q cannot sign: %v", k.ID, err))
	}
	return input + "." + encode(signature)
}

func (k *Key) signature(input []byte) ([]byte, error) {
	a := algorithms[k.Alg]
	var digest []byte
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		switch a.kind {
		case "RSA":
			return rsa.SignPKCS1v15(rand.Reader, private, a.hash, digest)
		case "PSS":
			return rsa.SignPSS(rand.Reader, private, a.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PrivateKey:
		if a.kind == "EC" {
			r, s, err := ecdsa.Sign(rand.Reader, private, digest)
			if err != nil {
				return nil, err
			}
			return concatenate(private.Curve, r, s), nil
		}
	case ed25519.PrivateKey:
		if a.kind == "OKP" {
			return ed25519.Sign(private, input), nil
		}
	}
	return nil, fmt.Errorf("%T does not make %q signatures", k.Private, k.Alg)
}

// concatenate writes r and s with the width of the curve (RFC 7518 section 3.4).
func concatenate(curve elliptic.Curve, r, s *big.Int) []byte {
	width := (curve.Params().BitSize + 7) / 8
	signature := make([]byte, 2*width)
	r.FillBytes(signature[:width])
	s.FillBytes(signature[width:])
	return signature
}

// JWK returns the public key with kid, alg and use, ready to be changed and put
// into a set for [Issuer.PublishKeySet] (RFC 7517, RFC 7518 section 6, RFC 8037
// section 2).
func (k *Key) JWK() map[string]any {
	jwk := map[string]any{"alg": k.Alg, "use": "sig"}
	if k.ID != "" {
		jwk["kid"] = k.ID
	}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"] = "RSA"
		jwk["n"], jwk["e"] = encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic("mcpauthtest: " + err.Error())
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		jwk["kty"], jwk["crv"] = "EC", public.Params().Name
		jwk["x"], jwk["y"] = encode(x), encode(y)
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(public)
	}
	return jwk
}

// PEM returns the public key as a PUBLIC KEY block (RFC 7468 section 13), as
// [mcpauth.Issuer].Keys takes it.
func (k *Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		panic("mcpauthtest: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Keys returns the keys that are published now.
func (i *Issuer) Keys() []*Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.keys)
}

// Rotate publishes exactly these keys and signs with the first. With none the
// key set is empty, and tokens are signed with the key that was in use. To
// publish a key ahead of its use, name it second.
func (i *Issuer) Rotate(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.Clone(keys)
	if len(keys) > 0 {
		i.signer = keys[0]
	}
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
