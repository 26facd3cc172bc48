package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// ParsePEM reads public keys out of a text of PEM blocks (RFC 7468): "PUBLIC
// KEY" (SubjectPublicKeyInfo) and "RSA PUBLIC KEY" (RFC 8017 appendix A.1.1).
// The text is configuration and not an issuer's answer, so one unusable block
// refuses all of it, and so does anything but white space around the blocks.
// The keys have no kid and no pinned algorithm. An error wraps [ErrMalformed],
// [ErrTooLarge] or [ErrNoUsableKeys] and holds no byte of a key.
func ParsePEM(data []byte) ([]Key, error) {
	var keys []Key
	rest := bytes.TrimSpace(data)
	for len(rest) > 0 {
		if len(keys) == maxKeys {
			return nil, fmt.Errorf("%w: more than %d keys", ErrTooLarge, maxKeys)
		}
		block, after := pem.Decode(rest)
		// Decode searches: what stands before the block, a broken one included,
		// would be lost in silence.
		begin := []byte("-----BEGIN ")
		if block == nil || !bytes.HasPrefix(rest, begin) || bytes.Count(rest[:len(rest)-len(after)], begin) != 1 {
			return nil, fmt.Errorf("%w: PEM block %d: not a block", ErrMalformed, len(keys)+1)
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("%w: PEM block %d", err, len(keys)+1)
		}
		keys = append(keys, key)
		rest = bytes.TrimSpace(after)
	}
	if len(keys) == 0 {
		return nil, ErrNoUsableKeys
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (Key, error) {
	var key Key
	var err error
	switch {
	case len(block.Headers) > 0:
		return Key{}, fmt.Errorf("%w: headers in a PEM block", ErrMalformed)
	case block.Type == "PUBLIC KEY":
		key.Public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		key.Public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return Key{}, fmt.Errorf("%w: a private key: give the public key, and replace this one if it has left its place", ErrNoUsableKeys)
	case block.Type == "CERTIFICATE":
		return Key{}, fmt.Errorf("%w: a certificate, whose validity nobody would check: give its public key", ErrNoUsableKeys)
	default:
		return Key{}, fmt.Errorf("%w: unknown type of PEM block", ErrNoUsableKeys)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: not a public key", ErrMalformed)
	}
	if reason := checkPublic(key.Public); reason != "" {
		return Key{}, fmt.Errorf("%w: %s", ErrNoUsableKeys, reason)
	}
	return key, nil
}
