package owned

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxSessionID bounds the session id of a handler, in visible ASCII characters.
const maxSessionID = 4 << 10

// tagLength is that of the base64url of 16 bytes.
const tagLength = 22

// Sessions binds the session ids that a handler mints to the caller that began
// them: what a session delivers is not decided anew. What goes out is the id with
// a keyed MAC over both; no id is remembered, so replicas that
// share the key agree. Who presents somebody else's id, or one that was never
// minted, gets the same answer. It is safe for concurrent use.
type Sessions struct {
	key       [32]byte
	old       [][32]byte // what was bound with one is good, too
	announced endpoints
}

// NewSessions makes sessions that are bound with the key, and opens those of older ones as well.
func NewSessions(key [32]byte, old ...[32]byte) *Sessions { return &Sessions{key: key, old: old} }

// Seal makes the id that the client sees. It reports false for one that the client could
// not send back (2025-11-25, Session Management: visible ASCII), and for one too long.
func (s *Sessions) Seal(c Caller, id string) (sealed string, ok bool) {
	if id == "" || len(id) > maxSessionID || strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", false
	}
	return id + "." + s.mac(c, "session", id), true
}

// Open returns the handler's id, if it was sealed for the caller.
func (s *Sessions) Open(c Caller, sealed string) (id string, ok bool) {
	end := len(sealed) - tagLength - 1
	if end < 1 || end > maxSessionID || sealed[end] != '.' {
		return "", false
	}
	id, tag := sealed[:end], sealed[end+1:]
	return id, s.isTag(tag, c, "session", id)
}

// Shared names what all share who hold the same rights, for one use.
func (s *Sessions) Shared(c Caller, scopes []string, use string) string {
	g := c.grant(scopes)
	return s.mac(c, use, string(g[:]))
}

// Answer names the answer to a request of a session: by a handler's id, or by the tag of an endpoint.
func (s *Sessions) Answer(c Caller, session, id string) string {
	return s.mac(c, "answer", string(AppendField(AppendField(nil, session), id)))
}

// Fingerprint tells two secrets apart in a record and is of no use otherwise.
func (s *Sessions) Fingerprint(use, secret string) string {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(AppendField(AppendField(nil, "fingerprint of "+use), secret))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// mac authenticates one use of a text by a caller.
func (s *Sessions) mac(c Caller, use, text string) string { return macBy(&s.key, c, use, text) }

// isTag reports whether a tag authenticates one use of a text by a caller, with whatever key.
func (s *Sessions) isTag(tag string, c Caller, use, text string) bool {
	good := isEqual(tag, s.mac(c, use, text))
	for i := range s.old {
		good = isEqual(tag, macBy(&s.old[i], c, use, text)) || good
	}
	return good
}

func macBy(key *[32]byte, c Caller, use, text string) string {
	h := hmac.New(sha256.New, key[:])
	h.Write(AppendField(c.Binding(use), text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

func isEqual(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
