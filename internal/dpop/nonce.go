package dpop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// nonceTime is how long one nonce is handed out. It is accepted for as long again.
const nonceTime = 2 * time.Minute

// nonces are what proofs are made fresh with (RFC 9449 section 9): a text for each span of time that only who has
// the secret can know ahead. Nothing is remembered of whom they are given to.
type nonces struct {
	keys   [][]byte // those that are handed out are made with the first
	cached atomic.Pointer[span]
}

// span is a moment's nonces.
type span struct {
	number int64
	nonces [][3]string // by key
}

// Which of them is which. The next one may have come from another replica, whose clock is ahead.
const (
	previous = iota
	current
	next
)

// newNonces derives a key of its own from each secret: nothing else that is made with it is a nonce.
func newNonces(secrets [][]byte) (*nonces, error) {
	n := &nonces{}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "mcpauth dpop nonce", sha256.Size)
		if err != nil {
			return nil, err
		}
		n.keys = append(n.keys, key)
	}
	return n, nil
}

func (n *nonces) at(now time.Time) [][3]string {
	number := now.Unix() / int64(nonceTime/time.Second)
	if s := n.cached.Load(); s != nil && s.number == number {
		return s.nonces
	}
	s := &span{number: number, nonces: make([][3]string, len(n.keys))}
	for k, key := range n.keys {
		for i := range s.nonces[k] {
			s.nonces[k][i] = nonceOf(key, number+int64(i-current))
		}
	}
	n.cached.Store(s)
	return s.nonces
}

func nonceOf(key []byte, number int64) string {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(number)))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

func (n *nonces) accepts(nonce string, now time.Time) bool {
	for _, ofKey := range n.at(now) {
		for _, ours := range ofKey {
			if hmac.Equal([]byte(nonce), []byte(ours)) {
				return true
			}
		}
	}
	return false
}
