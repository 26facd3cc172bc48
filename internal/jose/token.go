package jose

import (
	"fmt"
	"strings"
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
}

// Parse takes a compact JWS apart: exactly three segments of canonical
// base64url, none of them empty, and a header that asks for nothing that is not
// understood here. JSON serializations, encrypted and nested tokens are
// refused. An error wraps [ErrMalformed], [ErrTooLarge], [ErrAlgorithm],
// [ErrCritical] or [ErrType].
func Parse(compact string) (Token, error) {
	header, claims, signature, err := split(compact)
	if err != nil {
		return Token{}, err
	}
	var token Token
	headerJSON, err := decodeSegment(make([]byte, decodedLen(len(header))), header, "header")
	if err != nil {
		return Token{}, err
	}
	if token.Header, err = parseHeader(headerJSON); err != nil {
		return Token{}, err
	}

	// One allocation holds what is left: the signed characters, the claims and
	// the signature. It comes after the header, so that a token of a foreign
	// algorithm does not cost it.
	signed := len(header) + 1 + len(claims)
	buf := make([]byte, signed+decodedLen(len(claims))+decodedLen(len(signature)))
	token.signed = buf[:copy(buf, compact[:signed]):signed]
	if token.Claims, err = decodeSegment(buf[signed:], claims, "claims"); err != nil {
		return Token{}, err
	}
	token.Signature, err = decodeSegment(buf[signed+len(token.Claims):], signature, "signature")
	if err != nil {
		return Token{}, err
	}
	return token, nil
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
