package jose

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
)

// The field and the curve constant of edwards25519 (RFC 8032 section 5.1).
var (
	fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD     = func() *big.Int {
		d := new(big.Int).ModInverse(big.NewInt(121666), fieldPrime)
		d.Mul(d, big.NewInt(-121665))
		return d.Mod(d, fieldPrime)
	}()
)

// lowOrder holds the y coordinates of the eight points of small order. Under
// such a key a signature can be made up without any private key, so that a
// published one would open the door to everybody.
var lowOrder = func() []*big.Int {
	orderEight, _ := new(big.Int).SetString("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
	return []*big.Int{
		big.NewInt(0),
		big.NewInt(1),
		new(big.Int).Sub(fieldPrime, big.NewInt(1)),
		orderEight,
		new(big.Int).Sub(fieldPrime, orderEight),
	}
}()

// validEd25519 reports whether 32 bytes are the canonical encoding of a point
// on the curve that is not of small order (RFC 8032 section 5.1.3). The
// standard library finds out only when it verifies, when the key has already
// been counted as usable.
func validEd25519(public ed25519.PublicKey) bool {
	if len(public) != ed25519.PublicKeySize {
		return false
	}
	encoded := bytes.Clone(public)
	encoded[31] &= 0x7f // the sign of x is not a part of y
	for i, j := 0, len(encoded)-1; i < j; i, j = i+1, j-1 {
		encoded[i], encoded[j] = encoded[j], encoded[i]
	}
	y := new(big.Int).SetBytes(encoded)
	if y.Cmp(fieldPrime) >= 0 {
		return false
	}
	for _, refused := range lowOrder {
		if y.Cmp(refused) == 0 {
			return false
		}
	}
	// The point exists when (y^2-1)/(dy^2+1) is a square. A product with the
	// square of the denominator changes nothing to that and saves the division.
	square := new(big.Int).Mul(y, y)
	numerator := new(big.Int).Sub(square, big.NewInt(1))
	denominator := square.Mul(square, curveD)
	denominator.Add(denominator, big.NewInt(1))
	return big.Jacobi(numerator.Mul(numerator, denominator).Mod(numerator, fieldPrime), fieldPrime) == 1
}
