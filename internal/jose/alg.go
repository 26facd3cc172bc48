package jose

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ParseHeader reads the header of a compact JWS alone, as [Parse] does.
func ParseHeader(compact string) (Header, error) {
	segment, _, _, err := split(compact)
	if err != nil {
		return Header{}, err
	}
	header, _, err := readHeader(segment)
	return header, err
}

// HeaderAlgorithm returns the alg of a token's header, however the token looks
// otherwise, for explaining why it was refused. It is "" when there is none.
// No decision may depend on it: the strict reader is [Parse].
func HeaderAlgorithm(compact string) string {
	header, _, _ := strings.Cut(compact, ".")
	if len(header) > base64.RawURLEncoding.EncodedLen(maxHeader) {
		return ""
	}
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return ""
	}
	var h struct {
		Alg string `json:"alg"`
	}
	_ = json.Unmarshal(decoded, &h) // what cannot be read stays empty
	return h.Alg
}
