package jose_test

import (
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 such a key is refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spki(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return pemBlock("PUBLIC KEY", der)
}

func TestPEMKeysVerify_TOK40_JWKS08(t *testing.T) {
	text := spki(t, rsaKey().Public()) + "\r\n\n" + spki(t, p256Key().Public()) + spki(t, p384Key().Public()) +
		spki(t, p521Key().Public()) + "\t" + spki(t, edKey().Public()) +
		pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)) + "\n"
	keys, err := jose.ParsePEM([]byte("\n" + text))
	require.NoError(t, err)
	require.Len(t, keys, 6)
	for i, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA", "PS512"} {
		assert.False(t, keys[i].HasKid)
		assert.Empty(t, keys[i].Alg)
		token, err := jose.Parse(mint(alg, `{"alg":"`+alg+`","kid":"any"}`, claims))
		require.NoError(t, err)
		require.NoError(t, token.Verify(&keys[i]), alg)
	}
}

func TestPEMIsRefused(t *testing.T) {
	good := spki(t, rsaKey().Public())
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(p256Key())
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(4102444800, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	require.NoError(t, err)
	pkcs1 := func(n []byte, e int) string {
		return pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: e}))
	}
	for _, row := range []struct {
		name, text string
		want       error
	}{
		{"JWKS-20 empty", "", jose.ErrNoUsableKeys},
		{"JWKS-20 white space", " \n\t", jose.ErrNoUsableKeys},
		{"JWKS-25 not PEM", "secret", jose.ErrMalformed},
		{"JWKS-25 a JWK Set", string(set(jwk(rsaKey().Public()))), jose.ErrMalformed},
		{"JWKS-25 text before", "my key\n" + good, jose.ErrMalformed},
		{"JWKS-25 text after", good + "secret", jose.ErrMalformed},
		{"JWKS-25 text between", good + "and\n" + good, jose.ErrMalformed},
		{"JWKS-25 cut off", good[:100], jose.ErrMalformed},
		{"JWKS-25 broken block before a good one", good[:100] + "\n" + good, jose.ErrMalformed},
		{"JWKS-25 headers", strings.Replace(good, "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n", 1), jose.ErrMalformed},
		{"JWKS-25 bytes after the DER", pemBlock("PUBLIC KEY", append(der, 0)), jose.ErrMalformed},
		{"JWKS-25 PKCS #1 under PUBLIC KEY", pemBlock("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), jose.ErrMalformed},
		{"JWKS-25 SPKI under RSA PUBLIC KEY", pemBlock("RSA PUBLIC KEY", der), jose.ErrMalformed},
		{"JWKS-25 empty block", pemBlock("PUBLIC KEY", nil), jose.ErrMalformed},
		{"JWKS-07 PKCS #8 private key", pemBlock("PRIVATE KEY", pkcs8), jose.ErrNoUsableKeys},
		{"JWKS-07 RSA private key", pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), jose.ErrNoUsableKeys},
		{"JWKS-07 EC private key", pemBlock("EC PRIVATE KEY", sec1), jose.ErrNoUsableKeys},
		{"JWKS-07 private key after a public one", good + pemBlock("PRIVATE KEY", pkcs8), jose.ErrNoUsableKeys},
		{"JWKS-07 private key under PUBLIC KEY", pemBlock("PUBLIC KEY", pkcs8), jose.ErrMalformed},
		{"JWKS-01 certificate", pemBlock("CERTIFICATE", certificate), jose.ErrNoUsableKeys},
		{"JWKS-01 another type of block", pemBlock("SSH2 PUBLIC KEY", der), jose.ErrNoUsableKeys},
		{"JWKS-05 1024 bits", pkcs1(modulus(1024), 65537), jose.ErrNoUsableKeys},
		{"JWKS-05 8193 bits", pkcs1(modulus(8193), 65537), jose.ErrNoUsableKeys},
		{"JWKS-05 e = 1", pkcs1(modulus(2048), 1), jose.ErrNoUsableKeys},
		{"JWKS-05 even e", pkcs1(modulus(2048), 65536), jose.ErrNoUsableKeys},
		{"JWKS-05 ROCA modulus", pkcs1(rocaModulus(), 65537), jose.ErrNoUsableKeys},
		{"JWKS-06 P-224", spki(t, p224.Public()), jose.ErrNoUsableKeys},
		{"JWKS-06 X25519", spki(t, x25519.Public()), jose.ErrNoUsableKeys},
		{"JWKS-06 Ed25519 of small order", spki(t, ed25519.PublicKey(make([]byte, 32))), jose.ErrNoUsableKeys},
		{"JWKS-06 Ed25519 of 31 bytes", shortEd25519(t), jose.ErrMalformed},
		{"JWKS-01 DSA", pemBlock("PUBLIC KEY", dsaKey(t)), jose.ErrNoUsableKeys},
		{"JWKS-23 101 keys", strings.Repeat(good, 101), jose.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, err := jose.ParsePEM([]byte(row.text))
			require.ErrorIs(t, err, row.want)
			for _, kind := range []string{"private key", "certificate"} {
				told := strings.Contains(row.name, kind) && row.want == jose.ErrNoUsableKeys
				assert.Equal(t, told, strings.Contains(err.Error(), kind), "%v", err)
			}
			assert.Empty(t, keys)
			assert.NotContains(t, err.Error(), "secret", "no byte of the text in an error")
			assert.Less(t, len(err.Error()), 160)
		})
	}
}

// dsaKey is a DSA key in SubjectPublicKeyInfo, which x509 still reads.
func dsaKey(t *testing.T) []byte {
	t.Helper()
	key := dsa.PublicKey{Parameters: dsa.Parameters{P: big.NewInt(23), Q: big.NewInt(11), G: big.NewInt(4)}, Y: big.NewInt(2)}
	y, err := asn1.Marshal(key.Y)
	require.NoError(t, err)
	parameters, err := asn1.Marshal(key.Parameters)
	require.NoError(t, err)
	der, err := asn1.Marshal(struct {
		Algorithm struct {
			OID        asn1.ObjectIdentifier
			Parameters asn1.RawValue
		}
		Key asn1.BitString
	}{
		struct {
			OID        asn1.ObjectIdentifier
			Parameters asn1.RawValue
		}{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, asn1.RawValue{FullBytes: parameters}},
		asn1.BitString{Bytes: y, BitLength: 8 * len(y)},
	})
	require.NoError(t, err)
	return der
}

func shortEd25519(t *testing.T) string {
	t.Helper()
	block, _ := pem.Decode([]byte(spki(t, edKey().Public())))
	der := block.Bytes[:len(block.Bytes)-1]
	der[1]--             // the outer sequence
	der[len(der)-31-2]-- // the bit string
	return pemBlock("PUBLIC KEY", der)
}
