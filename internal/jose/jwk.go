package jose

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// webKey holds the members of one JWK that decide anything (RFC 7517 section 4,
// RFC 7518 section 6, RFC 8037 section 2). A nil pointer is an absent member.
type webKey struct {
	kty, kid, use, alg *string
	crv, n, e, x, y    *string
	operations         []string
	hasOperations      bool
	private            bool
	malformed          bool // a member is not of its type
}

// privateMembers are those that only the holder of a private or symmetric key
// may have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"}

// parseKey reads one key of a set. A reason means that the key is not to be
// used; the kid is returned even then.
func parseKey(text []byte) (key Key, kid string, reason Reason) {
	if text[0] != '{' {
		return Key{}, "", ReasonShape
	}
	if len(text) > maxKey {
		return Key{}, "", ReasonSize
	}
	var members webKey
	var reader strictjson.Reader
	reader.Reset(text, setLimits)
	if err := members.read(&reader); err != nil {
		return Key{}, "", ReasonShape
	}
	if members.kid != nil {
		kid = *members.kid
	}
	if reason := members.unfit(); reason != "" {
		return Key{}, kid, reason
	}
	public, reason := members.public()
	if reason == "" {
		reason = checkPublic(public)
	}
	if reason != "" {
		return Key{}, kid, reason
	}
	key = Key{Kid: kid, HasKid: members.kid != nil, Public: public}
	if members.alg != nil {
		key.Alg = *members.alg
		if !key.Supports(key.Alg) {
			return Key{}, kid, ReasonAlgorithm
		}
	}
	return key, kid, ""
}

// read takes the members out of one object. An error of a Reader stays and ends
// every loop, so that the last call reports it: splitSet has validated the text
// already, and there is none.
func (w *webKey) read(reader *strictjson.Reader) error {
	_ = reader.Object()
	for {
		name, ok, _ := reader.Member()
		if !ok {
			return reader.End()
		}
		member := string(name)
		value, _ := reader.Skip()
		emptyName := member == "kid" && string(value) == `""` // a name that tokens can carry
		if hasValue(value) || emptyName {
			w.take(member, value)
		}
	}
}

// hasValue tells null and what is empty from values. Some libraries write out every
// member that they know, also for a public key of another type.
func hasValue(text []byte) bool {
	switch {
	case string(text) == "null", string(text) == `""`:
		return false
	case len(text) > 0 && text[0] == '[':
		return len(bytes.TrimSpace(text[1:len(text)-1])) > 0
	}
	return true
}

func (w *webKey) take(member string, value []byte) {
	var reader strictjson.Reader
	reader.Reset(value, setLimits)
	switch place := w.place(member); {
	case place != nil:
		*place = readString(&reader)
		// Members that hold the key are missed when its type needs them.
		w.malformed = w.malformed || *place == nil && slices.Contains(describing, member)
	case member == "key_ops":
		w.readOperations(&reader)
	default:
		w.private = w.private || slices.Contains(privateMembers, member)
	}
}

// describing are the members that say what a key of any type is for.
var describing = []string{"kty", "kid", "use", "alg"}

// place finds where a member of type string belongs.
func (w *webKey) place(name string) **string {
	switch name {
	case "kty":
		return &w.kty
	case "kid":
		return &w.kid
	case "use":
		return &w.use
	case "alg":
		return &w.alg
	case "crv":
		return &w.crv
	case "n":
		return &w.n
	case "e":
		return &w.e
	case "x":
		return &w.x
	case "y":
		return &w.y
	}
	return nil
}

func readString(reader *strictjson.Reader) *string {
	if reader.Kind() != strictjson.String {
		_, _ = reader.Skip()
		return nil
	}
	value, _ := reader.String()
	text := string(value)
	return &text
}

func (w *webKey) readOperations(reader *strictjson.Reader) {
	w.hasOperations = true
	if reader.Kind() != strictjson.Array {
		return
	}
	_ = reader.Array()
	for {
		if ok, _ := reader.Element(); !ok {
			return
		}
		operation := readString(reader)
		if operation == nil {
			w.malformed = true
			continue
		}
		w.operations = append(w.operations, *operation)
	}
}

// unfit says why a key is not meant for us, before anything is computed.
func (w *webKey) unfit() Reason {
	switch {
	case w.private:
		return ReasonPrivate
	case w.malformed:
		return ReasonMember
	case w.kid != nil && !acceptableKid(*w.kid):
		return ReasonKid
	case w.use != nil && *w.use != "sig":
		return ReasonUse
	case w.hasOperations && !slices.Contains(w.operations, "verify"):
		return ReasonOperations
	}
	return ""
}

// public builds the key. Sizes are checked here and not later, so that a
// modulus of half a million bits costs its base64 and no arithmetic.
func (w *webKey) public() (crypto.PublicKey, Reason) {
	switch {
	case w.kty == nil:
		return nil, ReasonType
	case *w.kty == "RSA":
		return w.rsa()
	case *w.kty == "EC":
		return w.curvePoint(map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}, "x", "y")
	case *w.kty == "OKP":
		return w.curvePoint(map[string]int{"Ed25519": 32}, "x")
	}
	return nil, ReasonType
}

func (w *webKey) rsa() (crypto.PublicKey, Reason) {
	if w.n == nil || w.e == nil {
		return nil, ReasonMember
	}
	modulus, okN := decodeMember(*w.n)
	exponent, okE := decodeMember(*w.e)
	if !okN || !okE {
		return nil, ReasonMember
	}
	// RFC 7518 section 6.3.1.1 forbids leading zero octets and reports that
	// libraries add them; they change no value, so they cost no issuer its key.
	modulus, exponent = bytes.TrimLeft(modulus, "\x00"), bytes.TrimLeft(exponent, "\x00")
	switch {
	case len(modulus) < minModulusBits/8 || len(modulus) > maxModulusBits/8:
		return nil, ReasonModulus
	case len(exponent) == 0 || len(exponent) > 4 || len(exponent) == 4 && exponent[0] > 0x7f:
		return nil, ReasonExponent
	case exponent[len(exponent)-1]%2 == 0 || len(exponent) == 1 && exponent[0] < minExponent:
		return nil, ReasonExponent
	}
	return export(map[string]string{
		"kty": "RSA",
		"n":   base64.RawURLEncoding.EncodeToString(modulus),
		"e":   base64.RawURLEncoding.EncodeToString(exponent),
	}, ReasonModulus)
}

// curvePoint builds a key of an elliptic curve. The length of a coordinate is
// the size of its curve, leading zeros included (RFC 7518 section 6.2.1.2).
func (w *webKey) curvePoint(sizes map[string]int, coordinates ...string) (crypto.PublicKey, Reason) {
	if w.crv == nil {
		return nil, ReasonCurve
	}
	size, ok := sizes[*w.crv]
	if !ok {
		return nil, ReasonCurve
	}
	members := map[string]string{"kty": *w.kty, "crv": *w.crv}
	for _, name := range coordinates {
		text := *w.place(name)
		if text == nil {
			return nil, ReasonMember
		}
		if decoded, ok := decodeMember(*text); !ok || len(decoded) != size {
			return nil, ReasonMember
		}
		members[name] = *text
	}
	return export(members, ReasonPoint)
}

// export has jwx decode a key of the members that were checked here and of
// nothing else: what else an issuer publishes in a key (certificates, private
// names) can then neither fail it nor change it.
func export(members map[string]string, otherwise Reason) (crypto.PublicKey, Reason) {
	text, _ := json.Marshal(members) // a map of strings cannot fail
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		return nil, otherwise
	}
	var public any
	if err := jwk.Export(parsed, &public); err != nil {
		return nil, otherwise
	}
	return public, ""
}
