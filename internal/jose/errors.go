package jose

import "errors"

// The sentinels below are what a caller tells apart with [errors.Is]. The text
// wrapped around them names the place of the mistake (a segment, a header
// member) and never a value, so that it may be logged.
var (
	// ErrMalformed means that a text is not what it claims to be: the number
	// of segments, the base64url alphabet, the JSON, a member of the wrong type.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge means that a text exceeds one of the limits of this package.
	ErrTooLarge = errors.New("too large")
	// ErrAlgorithm means that "alg" is missing, not a string, or outside of the
	// closed set of [Algorithms] (RFC 8725 section 3.1).
	ErrAlgorithm = errors.New("algorithm not accepted")
	// ErrCritical means that the header carries "crit" or "b64". No extension
	// is understood here, so each one is refused (RFC 7515 section 4.1.11,
	// RFC 7797 section 7).
	ErrCritical = errors.New("critical header extension")
	// ErrType means that "typ" is present and not a string (RFC 7519 section 5.1).
	ErrType = errors.New("header typ is not a string")
	// ErrSignature means that the signature is not one of this key over these bytes.
	ErrSignature = errors.New("signature invalid")
	// ErrKeyMismatch means that the key may not be used with the token's
	// algorithm (RFC 8725 section 3.1); no signature was checked.
	ErrKeyMismatch = errors.New("key does not fit the algorithm")
	// ErrNoKey means that a proof of possession does not bring its key, or one
	// that must not be used (RFC 9449 section 4.3).
	ErrNoKey = errors.New("no usable jwk in the header")
	// ErrNoUsableKeys means that a well-formed text holds no key that can verify.
	ErrNoUsableKeys = errors.New("no usable keys")
)
