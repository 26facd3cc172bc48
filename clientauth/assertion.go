package clientauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"time"
)

// Key is what signs assertions. Only Signer is needed.
type Key struct {
	_ [0]func() // keyed literals only

	// Signer has an RSA key of 2048 bits or more, one on P-256, or one of Ed25519. It may be a
	// hardware module's.
	Signer crypto.Signer

	// Algorithm is RS256, PS256, ES256 or EdDSA. Default: RS256, ES256 or EdDSA, as the key has it.
	Algorithm string

	// ID is the kid under which the server has the key; "" for none.
	ID string

	// Certificate is the DER of the certificate of the key, for servers that look the key up by its
	// SHA-256 thumbprint (x5t#S256), as Microsoft Entra does. Use PS256 there.
	Certificate []byte

	// Audience is aud of the assertions. Default: the issuer. Some servers, Entra among them, want the
	// URL of their token endpoint.
	Audience string
}

// assertionLife is how long an assertion is good.
const assertionLife = 60 * time.Second

const (
	minModulus    = 2048
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// PrivateKeyJWT is private_key_jwt (RFC 7523 section 2.2, OpenID Connect Core section 9): each request has an
// assertion of its own, which is good for a minute.
func PrivateKeyJWT(clientID string, key Key) Method {
	m := Method{clientID: clientID}
	alg, err := key.algorithm()
	if err == nil && clientID == "" {
		err = errNoID
	}
	if m.err = err; err != nil {
		return m
	}
	public, _ := x509.MarshalPKIXPublicKey(key.Signer.Public())
	m.way = fmt.Sprintf("key %s %q %q %x %x", alg, key.ID, key.Audience, sha256.Sum256(public), sha256.Sum256(key.Certificate))
	m.apply = func(_ context.Context, at Endpoint, _ http.Header, form url.Values) error {
		assertion, err := key.assert(clientID, alg, at)
		if err != nil {
			return err
		}
		form.Set("client_id", clientID)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		return nil
	}
	return m
}

// algorithm is how the key signs.
func (k *Key) algorithm() (string, error) {
	if k.Signer == nil {
		return "", errors.New("clientauth: there is no Signer: give the private key")
	}
	var possible []string
	switch public := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < minModulus {
			return "", fmt.Errorf("clientauth: an RSA key of %d bits: use one of %d or more", public.N.BitLen(), minModulus)
		}
		possible = []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return "", errors.New("clientauth: an EC key that is not on P-256: use one that is")
		}
		possible = []string{"ES256"}
	case ed25519.PublicKey:
		possible = []string{"EdDSA"}
	default:
		return "", fmt.Errorf("clientauth: a %T signs nothing that is accepted here: use an RSA key, one on P-256, or one of Ed25519", public)
	}
	if err := k.fits(); err != nil {
		return "", err
	}
	if k.Algorithm == "" {
		return possible[0], nil
	}
	for _, alg := range possible {
		if alg == k.Algorithm {
			return alg, nil
		}
	}
	return "", fmt.Errorf("clientauth: the key does not sign with the algorithm that is asked for: use one of %v", possible)
}

// fits checks that the certificate, if there is one, is that of the key: another thumbprint finds another key, or none.
func (k *Key) fits() error {
	if len(k.Certificate) == 0 {
		return nil
	}
	certificate, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return errors.New("clientauth: Certificate is not the DER of one: decode it, of PEM the bytes of its block")
	}
	if own, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(k.Signer.Public()) {
		return errors.New("clientauth: Certificate is that of another key: give the one of Signer")
	}
	return nil
}

// assert makes one assertion.
func (k *Key) assert(clientID, alg string, at Endpoint) (string, error) {
	header := map[string]string{"alg": alg, "typ": "JWT"}
	if k.ID != "" {
		header["kid"] = k.ID
	}
	if len(k.Certificate) > 0 {
		sum := sha256.Sum256(k.Certificate)
		header["x5t#S256"] = encode(sum[:])
	}
	audience := k.Audience
	if audience == "" {
		audience = at.Issuer
	}
	now := time.Now()
	first, _ := json.Marshal(header) // texts and numbers always marshal
	second, _ := json.Marshal(map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	input := encode(first) + "." + encode(second)
	signature, err := k.sign(alg, input)
	if err != nil {
		return "", fmt.Errorf("clientauth: the key cannot sign: %w", err)
	}
	return input + "." + encode(signature), nil
}

func (k *Key) sign(alg, input string) ([]byte, error) {
	if alg == "EdDSA" {
		return k.Signer.Sign(rand.Reader, []byte(input), crypto.Hash(0))
	}
	digest := sha256.Sum256([]byte(input))
	switch alg {
	case "PS256":
		return k.Signer.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case "ES256":
		der, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return concatenated(der)
	}
	return k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// concatenated is an ECDSA signature as a JWS has it (RFC 7518 section 3.4).
func concatenated(der []byte) ([]byte, error) {
	const width = 32
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 || pair.R.BitLen() > 8*width || pair.S.BitLen() > 8*width ||
		pair.R.Sign() <= 0 || pair.S.Sign() <= 0 {
		return nil, errors.New("the signature is none of P-256")
	}
	signature := make([]byte, 2*width)
	pair.R.FillBytes(signature[:width])
	pair.S.FillBytes(signature[width:])
	return signature, nil
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
