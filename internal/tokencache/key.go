package tokencache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// Key names a token without being of any use in its place. Whoever does not
// know the process's secret can neither compute it nor find two tokens with the
// same one: the chance for a pair is below 2^-118 at the longest token.
type Key [16]byte

// hasher computes keys under a secret of its own.
//
// A key is AES(k2, GMAC(k1, token)). GMAC is several times faster than a hash;
// its nonce is always the same, which is sound here because nothing is
// encrypted and no tag is ever seen outside: under one nonce GMAC is a universal hash,
// and enciphering it makes a pseudo-random function of it (Wegman and Carter),
// so that not even the timing of evictions tells anything about k1. Where FIPS
// 140 mode asks for approved functions the key is an HMAC-SHA-256, cut.
type hasher struct {
	gmac   cipher.AEAD
	block  cipher.Block
	secret []byte // of the HMAC; nil without FIPS 140 mode
	pool   sync.Pool
}

// scratch is what a computation needs outside of the stack, because it passes interfaces.
type scratch struct {
	text []byte
	key  Key
}

var nonce [12]byte

func newHasher(approved bool) *hasher {
	h := &hasher{pool: sync.Pool{New: func() any { return new(scratch) }}}
	var secret [48]byte
	_, _ = rand.Read(secret[:]) // never fails
	if approved {
		h.secret = secret[:]
		return h
	}
	inner, _ := aes.NewCipher(secret[:32]) // 32 and 16 bytes are lengths of AES keys
	h.gmac, _ = cipher.NewGCM(inner)
	h.block, _ = aes.NewCipher(secret[32:])
	return h
}

// approvedOnly reports whether the process runs in FIPS 140 mode.
func approvedOnly() bool { return fips140.Enabled() }

func (h *hasher) key(token string) Key {
	s := h.pool.Get().(*scratch)
	s.text = append(s.text[:0], token...)
	if h.secret != nil {
		mac := hmac.New(sha256.New, h.secret)
		mac.Write(s.text)
		copy(s.key[:], mac.Sum(nil))
	} else {
		h.gmac.Seal(s.key[:0], nonce[:], nil, s.text)
		h.block.Encrypt(s.key[:], s.key[:])
	}
	key := s.key
	clear(s.text) // the pool keeps no token
	h.pool.Put(s)
	return key
}
