// Package owned keeps what belongs to one principal: sealed session ids, tasks, streams. Its
// bounds hurt only the one who fills them.
package owned

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// Caller is a principal together with the client that acts for it: two clients of one
// user are two callers, since one may have fewer rights.
type Caller struct {
	Issuer, Subject string
	Client          bool   // the principal is a client and no user
	ClientID        string // "" for tokens that name none, which are of one client
}

// PrincipalKey names the principal, whatever its client.
func (c Caller) PrincipalKey() string {
	sum := sha256.Sum256(c.appendPrincipal(nil))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Key names the principal together with its client.
func (c Caller) Key() string {
	sum := sha256.Sum256(c.append(nil))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Binding says for whom and for what use something is sealed.
func (c Caller) Binding(use string) []byte { return c.append(AppendField(nil, use)) }

func (c Caller) append(text []byte) []byte {
	return AppendField(c.appendPrincipal(text), c.ClientID)
}

func (c Caller) appendPrincipal(text []byte) []byte {
	kind := "user"
	if c.Client {
		kind = "client"
	}
	text = AppendField(text, c.Issuer)
	text = AppendField(text, c.Subject)
	return AppendField(text, kind)
}

// AppendField appends a text so that no two lists of texts look the same.
func AppendField(text []byte, field string) []byte {
	text = binary.BigEndian.AppendUint64(text, uint64(len(field)))
	return append(text, field...)
}

// grant tells apart who holds the same rights: principal, client and scopes.
type grant [sha256.Size]byte

// grant ignores the order of the scopes, and how often one stands there. It does not change them.
func (c Caller) grant(scopes []string) grant {
	var room [512]byte
	text := c.append(room[:0])
	if !slices.IsSorted(scopes) {
		scopes = slices.Sorted(slices.Values(scopes))
	}
	for i, scope := range scopes {
		if i == 0 || scope != scopes[i-1] {
			text = AppendField(text, scope)
		}
	}
	return sha256.Sum256(text)
}
