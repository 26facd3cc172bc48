// Package seal makes texts that only we can read out of texts that others
// must not: AES-256-GCM (RFC 5116) under keys derived from one secret by HKDF
// (RFC 5869).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
)

// step is what a text's length is rounded up to before it is sealed, in bytes,
// so that the length tells next to nothing.
const step = 64

// padding follows the text, and zeros follow it (ISO/IEC 7816-4).
const padding = 0x80

// Sealer seals texts for one use. The zero value does neither.
type Sealer struct{ aead cipher.AEAD }

// New derives the key of one use from the secret. Two uses have nothing in common.
func New(secret []byte, use string) (Sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "mcpauth "+use, 32)
	if err != nil {
		return Sealer{}, err
	}
	block, _ := aes.NewCipher(key) // 32 bytes are a size that it has
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return Sealer{aead}, err
}

// Seal returns a text of letters, digits, "-" and "_" from which [Sealer.Open]
// gets the text back, for the same binding. Two seals of one text differ.
func (s Sealer) Seal(text, binding []byte) string {
	padded := make([]byte, Padded(len(text)))
	padded[copy(padded, text)] = padding
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, padded, binding))
}

// Open returns the text that was sealed for the binding, and false for
// everything else.
func (s Sealer) Open(sealed string, binding []byte) (text []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(sealed) != base64.RawURLEncoding.EncodedLen(len(raw)) { // it passes over line ends
		return nil, false
	}
	padded, err := s.aead.Open(nil, nil, raw, binding)
	if err != nil {
		return nil, false
	}
	end := len(padded) - 1
	for end >= 0 && padded[end] == 0 {
		end--
	}
	if end < 0 || padded[end] != padding {
		return nil, false
	}
	return padded[:end], true
}

// Padded is the size in which a text of so many bytes is sealed.
func Padded(size int) int { return (size + step) / step * step }
