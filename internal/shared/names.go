package shared

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Use is what an entry of a store is for: the letter that its name begins with.
type Use string

// The uses. Two have no name in common.
const (
	Task       Use = "t" // who began it, with which call
	Place      Use = "p" // of a task in what its owner may have
	Count      Use = "c" // of the places that an owner has taken
	Revocation Use = "r"
	Proof      Use = "d" // of DPoP, that was used
)

// Names names the entries of a store: who has not the key can neither tell what of, nor try it out.
type Names struct{ key []byte }

// NewNames derives the key of names from a secret.
func NewNames(secret []byte) Names {
	key, err := hkdf.Key(sha256.New, secret, nil, "mcpauth store names", 32)
	if err != nil {
		panic("mcpauth: HKDF-SHA-256 gives keys of 32 bytes: " + err.Error())
	}
	return Names{key}
}

// Of is the name for a use of what the parts say together.
func (n Names) Of(use Use, parts ...string) string {
	h := hmac.New(sha256.New, n.key)
	for _, part := range append([]string{string(use)}, parts...) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	return string(use) + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
