package jose

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// alphabet is that of base64url (RFC 4648 section 5).
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// outside stands in sextets for what is no character of the alphabet.
const outside = 1 << 31

// sextets has the six bits of a character where they belong in a group of four.
var sextets = func() (t [4][256]uint32) {
	for place := range t {
		for c := range t[place] {
			t[place][c] = outside
		}
		for value, c := range []byte(alphabet) {
			t[place][c] = uint32(value) << (18 - 6*place)
		}
	}
	return t
}()

// decodedLen is the number of bytes that n characters decode to.
func decodedLen(n int) int { return base64.RawURLEncoding.DecodedLen(n) }

// decodeSegment decodes the one canonical spelling of a byte string into the
// front of buf, which is long enough, and returns that part: without padding, line ends, or bits at
// the end that are not zero (RFC 7515 section 2). A second spelling
// of the same bytes is refused: it would be a second name of the same token in
// every cache and log.
func decodeSegment(buf []byte, segment, what string) ([]byte, error) {
	n, ok := decode(buf[:decodedLen(len(segment))], segment)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not base64url", ErrMalformed, what)
	}
	return buf[:n:n], nil
}

// decode fills dst, which has the length of what is in src.
func decode(dst []byte, src string) (n int, ok bool) {
	for len(src) >= 8 && len(dst) >= n+8 {
		first, second := group(src), group(src[4:])
		if (first|second)&outside != 0 {
			return 0, false
		}
		binary.BigEndian.PutUint64(dst[n:], uint64(first)<<40|uint64(second)<<16)
		src, n = src[8:], n+6
	}
	for len(src) >= 4 {
		bits := group(src)
		if bits&outside != 0 {
			return 0, false
		}
		dst[n], dst[n+1], dst[n+2] = byte(bits>>16), byte(bits>>8), byte(bits)
		src, n = src[4:], n+3
	}
	return decodeRest(dst, n, src)
}

// group has the 24 bits of four characters.
func group(src string) uint32 {
	return sextets[0][src[0]] | sextets[1][src[1]] | sextets[2][src[2]] | sextets[3][src[3]]
}

// decodeRest decodes the last group, which has less than four characters, into dst from n on.
func decodeRest(dst []byte, n int, src string) (end int, ok bool) {
	bits := uint32(0)
	for i := range len(src) {
		bits |= sextets[i][src[i]]
	}
	switch {
	case len(src) == 0:
		return n, true
	case len(src) == 2 && bits&(outside|0xffff) == 0:
		dst[n] = byte(bits >> 16)
		return n + 1, true
	case len(src) == 3 && bits&(outside|0xff) == 0:
		dst[n], dst[n+1] = byte(bits>>16), byte(bits>>8)
		return n + 2, true
	}
	return 0, false
}

// decodeMember is decodeSegment for a member of a key (RFC 7518 section 2).
func decodeMember(text string) ([]byte, bool) {
	decoded, err := decodeSegment(make([]byte, decodedLen(len(text))), text, "member")
	return decoded, err == nil && len(decoded) > 0
}
