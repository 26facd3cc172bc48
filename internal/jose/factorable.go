package jose

import "math/big"

// fingerprintPrimes are the small primes by which keys of one flawed family of
// smart-card generators are told from others.
var fingerprintPrimes = [...]uint64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
	89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// factorable reports whether a modulus bears the mark of the ROCA generators,
// whose primes are powers of 65537 modulo a product of small primes and can be
// computed from the public key (Nemec et al., "The Return of Coppersmith's
// Attack", section 2.1). A modulus made in any other way is a power of 65537
// modulo all of these primes with a chance below 2^-27.
func factorable(modulus *big.Int) bool {
	var prime, rest big.Int
	for _, p := range fingerprintPrimes {
		residue := rest.Mod(modulus, prime.SetUint64(p)).Uint64()
		if !powerOf65537(residue, p) {
			return false
		}
	}
	return true
}

// powerOf65537 reports whether residue is a power of 65537 modulo p.
func powerOf65537(residue, p uint64) bool {
	power := uint64(1)
	for range p {
		if power == residue {
			return true
		}
		power = power * 65537 % p
	}
	return false
}
