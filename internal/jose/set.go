package jose

import (
	"errors"
	"fmt"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Limits of a key set. They bound what an issuer, or whoever answers in its
// place, can make the resource server read and compute.
const (
	maxSet  = 512 << 10 // bytes
	maxKeys = 100
	maxKey  = 8 << 10 // bytes
)

var setLimits = strictjson.Limits{Depth: maxDepth, Members: maxKeys * maxMembers, StrictStrings: true}

// Reason says why a key was skipped: fixed text that may be logged.
type Reason string

// The reasons why a key is not used. [ReasonPrivate] deserves an alarm: the
// issuer has published what nobody else may have.
const (
	ReasonShape      Reason = "not an object"
	ReasonSize       Reason = "larger than 8 KiB"
	ReasonPrivate    Reason = "private or symmetric key material"
	ReasonType       Reason = "key type not accepted"
	ReasonCurve      Reason = "curve not accepted"
	ReasonUse        Reason = "use is not sig"
	ReasonOperations Reason = "key_ops without verify"
	ReasonAlgorithm  Reason = "alg not accepted or not of this key type"
	ReasonKid        Reason = "kid is not a short printable string"
	ReasonMember     Reason = "member missing or malformed"
	ReasonModulus    Reason = "RSA modulus not accepted"
	ReasonExponent   Reason = "RSA exponent not accepted"
	ReasonPoint      Reason = "not a point of the curve"
)

// Skipped is a key of a set that is not used.
type Skipped struct {
	// Kid is the key id as published, of any length and content; empty when the
	// key has none.
	Kid    string
	Reason Reason
}

// ParseSet reads a JWK Set (RFC 7517 section 5). The text has to be one strict
// JSON object of at most 512 KiB with an array "keys" of at most 100 elements,
// or all of it is refused with [ErrMalformed] or [ErrTooLarge]. A key that
// cannot be used is skipped and reported, and the rest of the set serves on.
// The error is [ErrNoUsableKeys] when nothing is left; skipped is set then too.
func ParseSet(data []byte) (keys []Key, skipped []Skipped, err error) {
	texts, err := splitSet(data)
	if err != nil {
		return nil, nil, err
	}
	for _, text := range texts {
		key, kid, reason := parseKey(text)
		if reason != "" {
			skipped = append(skipped, Skipped{Kid: kid, Reason: reason})
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, skipped, ErrNoUsableKeys
	}
	return keys, skipped, nil
}

// splitSet validates the whole text before any key of it is believed, and
// returns the text of each key.
func splitSet(data []byte) ([][]byte, error) {
	if len(data) > maxSet {
		return nil, fmt.Errorf("%w: key set", ErrTooLarge)
	}
	var reader strictjson.Reader
	reader.Reset(data, setLimits)
	texts, found, err := readSet(&reader)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, jsonError(err, "key set")
	case !found:
		return nil, fmt.Errorf("%w: key set: no keys", ErrMalformed)
	}
	return texts, nil
}

func readSet(reader *strictjson.Reader) (texts [][]byte, found bool, err error) {
	if err := reader.Object(); err != nil {
		return nil, false, err
	}
	for {
		name, ok, err := reader.Member()
		switch {
		case err != nil:
			return nil, false, err
		case !ok:
			return texts, found, reader.End()
		case string(name) == "keys":
			found = true
			texts, err = readKeys(reader)
		default:
			_, err = reader.Skip()
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// readKeys returns the text of each element of "keys". A null is read as no
// keys: some issuers write an empty list so.
func readKeys(reader *strictjson.Reader) (texts [][]byte, err error) {
	if reader.Kind() == strictjson.Null {
		return nil, reader.Null()
	}
	if err := reader.Array(); err != nil {
		return nil, err
	}
	for {
		ok, err := reader.Element()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return texts, nil
		case len(texts) == maxKeys:
			return nil, fmt.Errorf("%w: more than %d keys", ErrTooLarge, maxKeys)
		}
		text, err := reader.Skip()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
}
