package jose

import (
	"fmt"
	"strings"
	"sync"
)

// Limits of a compact token. They bound the work that a stranger can cause,
// and no honest access token comes near them.
const (
	maxHeader    = 4 << 10  // decoded bytes
	maxClaims    = 12 << 10 // decoded bytes
	maxSignature = maxModulusBits / 8
	maxDepth     = 16  // nesting of the header
	maxMembers   = 256 // members of the header
	maxKid       = 256 // bytes
)

// usualRoom is for tokens of up to 4 KB or so, in bytes. A larger room is not kept for another one.
const usualRoom = 8 << 10

// rooms are for the parts of a token, which nobody needs once it has been judged. They keep no token: see [Token.Recycle].
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// Token is a compact JWS taken apart (RFC 7515 section 7.1). Nothing in it is
// verified: until [Token.Verify] has returned nil its content may only be used
// to refuse.
type Token struct {
	Header Header
	// Claims holds the decoded payload. It is not known to be JSON: the
	// caller's single pass over the claims finds that out.
	Claims []byte
	// Signature holds the decoded third segment.
	Signature []byte

	// signed holds the received characters "header.payload". They are kept as
	// they came, because a signature covers a spelling and not a meaning (RFC
	// 7515 section 5.2 step 8).
	signed []byte

	room *[]byte // what all of them are parts of
}

// Parse takes a compact JWS apart: exactly three segments of canonical
// base64url, none of them empty, and a header that asks for nothing that is not
// understood here. JSON serializations, encrypted and nested tokens are
// refused. An error wraps [ErrMalformed], [ErrTooLarge], [ErrAlgorithm],
// [ErrCritical] or [ErrType].
func Parse(compact string) (Token, error) {
	token, _, err := parse(compact)
	return token, err
}

// parse is Parse that also returns the text of the header's member "jwk".
func parse(compact string) (token Token, jwk []byte, err error) {
	header, claims, signature, err := split(compact)
	if err != nil {
		return Token{}, nil, err
	}
	if token.Header, jwk, err = readHeader(header); err != nil {
		return Token{}, nil, err
	}

	// One room holds what is left: the signed characters, the claims and
	// the signature. It comes after the header, so that a token of a foreign
	// algorithm does not cost it.
	signed := len(header) + 1 + len(claims)
	buf := token.take(signed + decodedLen(len(claims)) + decodedLen(len(signature)))
	token.signed = buf[:copy(buf, compact[:signed]):signed]
	token.Claims, err = decodeSegment(buf[signed:], claims, "claims")
	if err == nil {
		token.Signature, err = decodeSegment(buf[signed+len(token.Claims):], signature, "signature")
	}
	if err != nil {
		token.Recycle()
		return Token{}, nil, err
	}
	return token, jwk, nil
}

// take gives the token its room.
func (t *Token) take(size int) []byte {
	t.room = rooms.Get().(*[]byte)
	if cap(*t.room) < size {
		*t.room = make([]byte, size)
	}
	*t.room = (*t.room)[:size]
	return *t.room
}

// Recycle is for who has judged the token: nothing is left of it, and its room is another one's. Who
// does not call it leaves the room to the garbage collector.
func (t *Token) Recycle() {
	room := t.room
	*t = Token{}
	if room == nil {
		return
	}
	clear(*room)
	if cap(*room) <= usualRoom {
		rooms.Put(room)
	}
}

// split finds the three segments and checks their sizes, and neither allocates
// nor reads more than it must: a text of a million dots ends at the third.
func split(compact string) (header, claims, signature string, err error) {
	header, rest, ok := strings.Cut(compact, ".")
	if ok {
		claims, signature, ok = strings.Cut(rest, ".")
	}
	switch {
	case !ok || strings.IndexByte(signature, '.') >= 0:
		return "", "", "", fmt.Errorf("%w: not three segments", ErrMalformed)
	case header == "" || claims == "" || signature == "":
		return "", "", "", fmt.Errorf("%w: empty segment", ErrMalformed)
	case decodedLen(len(header)) > maxHeader:
		return "", "", "", fmt.Errorf("%w: header", ErrTooLarge)
	case decodedLen(len(claims)) > maxClaims:
		return "", "", "", fmt.Errorf("%w: claims", ErrTooLarge)
	case decodedLen(len(signature)) > maxSignature:
		return "", "", "", fmt.Errorf("%w: signature", ErrTooLarge)
	}
	return header, claims, signature, nil
}
