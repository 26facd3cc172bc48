package jose

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// base64url is the encoding of RFC 7515 section 2, refusing padding and
// trailing bits that are not zero. It skips CR and LF in silence, which
// decodeSegment refuses first.
var base64url = base64.RawURLEncoding.Strict()

// decodedLen is the number of bytes that n characters decode to.
func decodedLen(n int) int { return base64url.DecodedLen(n) }

// decodeSegment decodes the one canonical spelling of a byte string into the
// front of buf, which is long enough, and returns that part. A second spelling
// of the same bytes is refused: it would be a second name of the same token in
// every cache and log.
func decodeSegment(buf []byte, segment, what string) ([]byte, error) {
	if strings.IndexByte(segment, '\n') >= 0 || strings.IndexByte(segment, '\r') >= 0 || len(segment)%4 == 1 {
		return nil, fmt.Errorf("%w: %s is not base64url", ErrMalformed, what)
	}
	n, err := base64url.Decode(buf, []byte(segment))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not base64url", ErrMalformed, what)
	}
	return buf[:n:n], nil
}

// decodeMember is decodeSegment for a member of a key (RFC 7518 section 2).
func decodeMember(text string) ([]byte, bool) {
	decoded, err := decodeSegment(make([]byte, decodedLen(len(text))), text, "member")
	return decoded, err == nil && len(decoded) > 0
}
