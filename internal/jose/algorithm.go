package jose

import (
	"crypto/elliptic"
	"slices"
)

// family is the kind of signature that an algorithm makes.
type family uint8

const (
	familyRSA family = iota
	familyECDSA
	familyEdDSA
)

// algorithm is one row of the closed set: which keys it fits.
type algorithm struct {
	name   string
	family family
	curve  elliptic.Curve // of ECDSA alone: RFC 7518 section 3.4 ties each hash to one curve
}

// The closed set of RFC 7518 section 3.1 without HMAC and "none", and of RFC
// 8037 and RFC 9864 with Ed25519. It is not configurable: an algorithm that is
// not a row here cannot be made to verify.
var algorithms = [...]algorithm{
	{name: "RS256", family: familyRSA},
	{name: "RS384", family: familyRSA},
	{name: "RS512", family: familyRSA},
	{name: "PS256", family: familyRSA},
	{name: "PS384", family: familyRSA},
	{name: "PS512", family: familyRSA},
	{name: "ES256", family: familyECDSA, curve: elliptic.P256()},
	{name: "ES384", family: familyECDSA, curve: elliptic.P384()},
	{name: "ES512", family: familyECDSA, curve: elliptic.P521()},
	{name: "EdDSA", family: familyEdDSA},
	{name: "Ed25519", family: familyEdDSA},
}

// Algorithms returns the names of every algorithm that can ever verify, in a
// fresh slice. HMAC and "none" are not among them and cannot be added.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i := range algorithms {
		names[i] = algorithms[i].name
	}
	return names
}

// lookup finds the row of a name, compared byte by byte (RFC 7515 section 4.1.1).
func lookup[T string | []byte](name T) (algorithm, bool) {
	i := slices.IndexFunc(algorithms[:], func(a algorithm) bool { return a.name == string(name) })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// sameAlgorithm compares two names of the closed set. RFC 9864 gave "EdDSA"
// with an Ed25519 key the second name "Ed25519"; issuers that publish one and
// sign with the other mean the same signature.
func sameAlgorithm(a, b string) bool {
	return a == b || (a == "EdDSA" || a == "Ed25519") && (b == "EdDSA" || b == "Ed25519")
}
