package jose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Header is the part of a JOSE header that the verifier of an access token
// acts on. What must be refused has been refused by [Parse] already; "jku",
// "jwk", "x5u" and "x5c" are read as JSON and then forgotten, because a token
// never brings its own key (RFC 8725 section 3.10).
type Header struct {
	// Alg is one of [Algorithms].
	Alg string
	// Kid is the decoded key id; it means nothing unless HasKid is true. It is
	// at most 256 bytes long and has no control characters.
	Kid    string
	HasKid bool
	// Typ is the media type as received; it means nothing unless HasTyp is true.
	Typ    string
	HasTyp bool
}

var headerLimits = strictjson.Limits{Depth: maxDepth, Members: maxMembers, StrictStrings: true}

// What can be wrong with a member, made once: the usual header pays for none.
var (
	errNoAlg       = fmt.Errorf("%w: no alg", ErrAlgorithm)
	errAlgKind     = fmt.Errorf("%w: alg is not a string", ErrAlgorithm)
	errAlgUnknown  = fmt.Errorf("%w: alg is outside of the closed set", ErrAlgorithm)
	errKidKind     = fmt.Errorf("%w: kid is not a string", ErrMalformed)
	errKidContent  = fmt.Errorf("%w: kid is too long or has control characters", ErrMalformed)
	errCtyKind     = fmt.Errorf("%w: cty is not a string", ErrMalformed)
	errNested      = fmt.Errorf("%w: nested token", ErrMalformed)
	errCrit        = fmt.Errorf("%w: crit", ErrCritical)
	errB64         = fmt.Errorf("%w: b64", ErrCritical)
	errCompression = fmt.Errorf("%w: zip in a signed token", ErrMalformed)
)

// readHeader decodes and reads the first segment. It also returns the text of the member "jwk", for the one
// kind of token that brings its own key: see [ParseProof].
func readHeader(segment string) (header Header, jwk []byte, err error) {
	text, err := decodeSegment(make([]byte, decodedLen(len(segment))), segment, "header")
	if err != nil {
		return Header{}, nil, err
	}
	return parseHeader(text)
}

// parseHeader reads one JOSE header (RFC 7515 section 4). Names are compared
// exactly and after decoding. A text that is not strict JSON is refused as such
// wherever the flaw stands, so that no later member can hide it.
func parseHeader(text []byte) (header Header, jwk []byte, err error) {
	var reader headerReader
	reader.json.Reset(text, headerLimits)
	if err := reader.readAll(); err != nil {
		return Header{}, nil, jsonError(err, "header")
	}
	switch {
	case reader.refusal != nil:
		return Header{}, nil, reader.refusal
	case reader.header.Alg == "":
		return Header{}, nil, errNoAlg
	}
	return reader.header, reader.jwk, nil
}

// headerReader keeps the first refusal while the rest of the text is read.
type headerReader struct {
	json    strictjson.Reader
	header  Header
	jwk     []byte
	refusal error
}

func (h *headerReader) readAll() error {
	if err := h.json.Object(); err != nil {
		return err
	}
	for {
		name, ok, err := h.json.Member()
		if err != nil {
			return err
		}
		if !ok {
			return h.json.End()
		}
		h.readMember(name)
	}
}

// readMember reads one value. An error of the JSON reader stays, and the next
// call for a member reports it.
func (h *headerReader) readMember(name []byte) {
	switch string(name) {
	case "alg":
		if alg, ok := h.text(errAlgKind); ok {
			h.setAlg(alg)
		}
	case "kid":
		if kid, ok := h.text(errKidKind); ok {
			h.setKid(string(kid))
		}
	case "typ":
		if typ, ok := h.text(ErrType); ok {
			h.header.Typ, h.header.HasTyp = typText(typ), true
		}
	case "cty":
		if cty, ok := h.text(errCtyKind); ok && isJWT(string(cty)) {
			h.refuse(errNested)
		}
	case "zip":
		h.refuse(errCompression)
		_, _ = h.json.Skip()
	case "crit":
		h.refuse(errCrit)
		_, _ = h.json.Skip()
	case "b64":
		h.refuse(errB64)
		_, _ = h.json.Skip()
	case "jwk":
		h.jwk, _ = h.json.Skip()
	default:
		_, _ = h.json.Skip()
	}
}

// typText is a copy of a media type; of the usual ones there is one already.
func typText(typ []byte) string {
	switch string(typ) {
	case "at+jwt":
		return "at+jwt"
	case "JWT":
		return "JWT"
	}
	return string(typ)
}

// text returns a string, and refuses any other kind of value.
func (h *headerReader) text(otherwise error) ([]byte, bool) {
	if h.json.Kind() != strictjson.String {
		h.refuse(otherwise)
		_, _ = h.json.Skip()
		return nil, false
	}
	value, err := h.json.String()
	return value, err == nil
}

func (h *headerReader) refuse(err error) {
	if h.refusal == nil {
		h.refusal = err
	}
}

func (h *headerReader) setAlg(alg []byte) {
	row, ok := lookup(alg)
	if !ok {
		h.refuse(errAlgUnknown)
		return
	}
	h.header.Alg = row.name
}

func (h *headerReader) setKid(kid string) {
	if !acceptableKid(kid) {
		h.refuse(errKidContent)
		return
	}
	h.header.Kid, h.header.HasKid = kid, true
}

// isJWT reports whether a content type says that the payload is another token,
// whose claims would be ones that nobody has looked at (RFC 7519 section 5.2).
func isJWT(cty string) bool {
	mediaType, _, _ := strings.Cut(cty, ";")
	mediaType = strings.TrimSpace(mediaType)
	if prefix := "application/"; len(mediaType) > len(prefix) && strings.EqualFold(mediaType[:len(prefix)], prefix) {
		mediaType = mediaType[len(prefix):]
	}
	return strings.EqualFold(mediaType, "JWT")
}

// acceptableKid reports whether a decoded key id may be looked up and logged.
func acceptableKid(kid string) bool {
	if len(kid) > maxKid {
		return false
	}
	for _, r := range kid {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// jsonError turns a refusal of the JSON reader into one of this package.
func jsonError(err error, what string) error {
	if errors.Is(err, strictjson.ErrDepth) || errors.Is(err, strictjson.ErrMembers) {
		return fmt.Errorf("%w: %s: %w", ErrTooLarge, what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
}
