package jose_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// rsaJWK writes any modulus and exponent as a JWK.
func rsaJWK(n, e []byte) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":"bad","n":%q,"e":%q}`, b64(n), b64(e))
}

// modulus is an odd number of exactly so many bits; nobody can tell that it is
// no product of two primes without work.
func modulus(bits int) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.Add(n, new(big.Int).SetBytes([]byte("2468013579 is not a power of 65537"))).SetBit(n, 0, 1).Bytes()
}

var f4 = []byte{1, 0, 1}

func ecJWK(crv, x, y string) string {
	return fmt.Sprintf(`{"kty":"EC","kid":"bad","crv":%q,"x":%q,"y":%q}`, crv, x, y)
}

func okpJWK(crv string, x []byte) string {
	return fmt.Sprintf(`{"kty":"OKP","kid":"bad","crv":%q,"x":%q}`, crv, b64(x))
}

// A member without a value is absent, whatever its name, and one that the type
// of the key does not need is ignored: libraries write out every member they know.
func TestEmptyMembers_JWKS_01_JWKS_03_JWKS_04_JWKS_07(t *testing.T) {
	everything := `"crv":null,"x":"","alg":null,"use":"","key_ops":[],"oth":[],"x5c":[ ],"d":null,"p":"","q":null,"dp":[],"dq":"","qi":null,"k":""`
	rows := map[string]string{
		"JWKS-01 as a .NET library writes it":  jwk(rsaKey().Public(), `"kid":"k1",`+everything),
		"JWKS-01 kid null":                     jwk(rsaKey().Public(), `"kid":null`),
		"JWKS-01 members of another type":      jwk(rsaKey().Public(), `"crv":7,"x":{},"y":["a"]`),
		"JWKS-06 members of another type":      jwk(p256Key().Public(), `"n":7,"e":{}`),
		"JWKS-06 members of another type, OKP": jwk(edKey().Public(), `"y":7,"n":"","e":null`),
	}
	for _, name := range []string{"use", "alg", "key_ops", "d", "p", "q", "dp", "dq", "qi", "k", "oth", "x5c", "ext"} {
		for _, nothing := range []string{"null", `""`, "[]", "[ \n]"} {
			rows["JWKS-07 "+name+" "+nothing] = jwk(p256Key().Public(), `"`+name+`":`+nothing)
		}
	}
	for name, text := range rows {
		t.Run(name, func(t *testing.T) {
			keys, skipped, err := jose.ParseSet(set(text))
			require.NoError(t, err, "%v", skipped)
			assert.Empty(t, skipped, "no alarm")
			require.Len(t, keys, 1)
			assert.Equal(t, strings.Contains(text, `"k1"`), keys[0].HasKid)
			assert.Empty(t, keys[0].Alg)
		})
	}
	for _, needed := range []string{`"n":""`, `"n":null`, `"e":[]`} {
		name, _, _ := strings.Cut(needed, ":")
		_, skipped, err := jose.ParseSet(set(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`[:12] + "," + needed + `,` + strings.ReplaceAll(`"n":"AQAB","e":"AQAB"}`, name, `"z"`)))
		require.ErrorIs(t, err, jose.ErrNoUsableKeys)
		assert.Equal(t, jose.ReasonMember, skipped[0].Reason, "what is needed is missing")
	}
}

// The bounds are of what may be: one byte more is refused.
func TestLargestSet_JWKS_23_LIMITS_12(t *testing.T) {
	fill := func(text string, size int) string {
		return strings.Replace(text, `"pad":""`, `"pad":"`+strings.Repeat("x", size-len(text))+`"`, 1)
	}
	key := jwk(p256Key().Public(), `"kid":""`, `"pad":""`)
	keys, skipped, err := jose.ParseSet(set(fill(key, 8192)))
	require.NoError(t, err, "%v", skipped)
	assert.True(t, keys[0].HasKid, "JWKS-09 an empty kid is a kid")
	_, skipped, _ = jose.ParseSet(set(fill(key, 8193)))
	assert.Equal(t, jose.ReasonSize, skipped[0].Reason)

	whole := `{"pad":"","keys":[` + jwk(p256Key().Public()) + `]}`
	_, _, err = jose.ParseSet([]byte(fill(whole, 524288)))
	require.NoError(t, err)
	_, _, err = jose.ParseSet([]byte(fill(whole, 524289)))
	require.ErrorIs(t, err, jose.ErrTooLarge)
	_, _, err = jose.ParseSet(set(strings.Repeat(",{}", 101)[1:]))
	require.ErrorIs(t, err, jose.ErrTooLarge)
	assert.NotErrorIs(t, err, jose.ErrMalformed)
	for _, text := range []string{`[]`, `{"keys":[}`, `{"keys":[{]}`, `{"keys":[],"x":}`, `{"keys":[]`, `{"keys":{}}`} {
		_, _, err = jose.ParseSet([]byte(text))
		require.ErrorIs(t, err, jose.ErrMalformed)
		assert.NotContains(t, err.Error(), "no keys", text)
	}
	_, _, err = jose.ParseSet([]byte(`{"keys":[` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `]}`))
	require.ErrorIs(t, err, jose.ErrTooLarge)
}

// skipRow is a key that must be left out, and why.
type skipRow struct {
	name, key string
	reason    jose.Reason
}

func runSkips(t *testing.T, rows []skipRow) {
	t.Helper()
	good := jwk(rsaKey().Public(), `"kid":"k1"`)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, text := range [][]byte{set(row.key, good), set(good, row.key)} {
				keys, skipped, err := jose.ParseSet(text)
				require.NoError(t, err, "JWKS-01: the rest of the set is used")
				require.Len(t, keys, 1)
				assert.Equal(t, "k1", keys[0].Kid)
				require.Len(t, skipped, 1)
				assert.Equal(t, row.reason, skipped[0].Reason)
			}
			keys, skipped, err := jose.ParseSet(set(row.key))
			require.ErrorIs(t, err, jose.ErrNoUsableKeys)
			assert.Empty(t, keys)
			assert.Len(t, skipped, 1)
		})
	}
}

func TestUnfitKeysAreSkipped(t *testing.T) {
	public := rsaKey().Public()
	with := func(member string) string { return jwk(public, member) }
	rows := []skipRow{
		{"JWKS-01 post-quantum key", `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","kid":"pq"}`, jose.ReasonType},
		{"JWKS-01 no kty", `{"n":"AQAB","e":"AQAB"}`, jose.ReasonType},
		{"JWKS-01 kty not a string", `{"kty":["RSA"],"n":"AQAB","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-01 kty in other letters", strings.Replace(with(`"kid":"a"`), `"RSA"`, `"rsa"`, 1), jose.ReasonType},
		{"JWKS-01 empty object", `{}`, jose.ReasonType},
		{"JWKS-01 a number for a key", `7`, jose.ReasonShape},
		{"JWKS-01 null for a key", `null`, jose.ReasonShape},
		{"JWKS-01 an array for a key", `[]`, jose.ReasonShape},
		{"JWKS-01 a string of more than 8 KiB for a key", `"` + strings.Repeat("A", 8<<10) + `"`, jose.ReasonShape},
		{"JWKS-01 no n", `{"kty":"RSA","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-01 no e", `{"kty":"RSA","n":"AQAB"}`, jose.ReasonMember},
		{"JWKS-01 n not a string", `{"kty":"RSA","n":17,"e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-01 empty n", `{"kty":"RSA","n":"","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-01 no crv", `{"kty":"EC","x":"AA","y":"AA"}`, jose.ReasonCurve},
		{"JWKS-01 no y", `{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `"}`, jose.ReasonMember},
		{"JWKS-01 no x", `{"kty":"OKP","crv":"Ed25519"}`, jose.ReasonMember},
		{"JWKS-02 oct", `{"kty":"oct","kid":"s","k":"c2VjcmV0"}`, jose.ReasonPrivate},
		{"JWKS-02 oct without k", `{"kty":"oct","kid":"s"}`, jose.ReasonType},
		{"JWKS-03 use enc", with(`"use":"enc"`), jose.ReasonUse},
		{"JWKS-03 use SIG", with(`"use":"SIG"`), jose.ReasonUse},
		{"JWKS-03 use not a string", with(`"use":["sig"]`), jose.ReasonMember},
		{"JWKS-04 key_ops encrypt", with(`"key_ops":["encrypt"]`), jose.ReasonOperations},
		{"JWKS-04 key_ops sign", with(`"key_ops":["sign"]`), jose.ReasonOperations},
		{"JWKS-04 key_ops a string", with(`"key_ops":"verify"`), jose.ReasonOperations},
		{"JWKS-04 key_ops with a number", with(`"key_ops":[1,"verify"]`), jose.ReasonMember},
		{"JWKS-08 alg of another type", with(`"alg":"ES256"`), jose.ReasonAlgorithm},
		{"JWKS-08 alg HS256", with(`"alg":"HS256"`), jose.ReasonAlgorithm},
		{"JWKS-08 alg none", with(`"alg":"none"`), jose.ReasonAlgorithm},
		{"JWKS-08 alg of encryption", with(`"alg":"RSA-OAEP"`), jose.ReasonAlgorithm},
		{"JWKS-08 alg not a string", with(`"alg":256`), jose.ReasonMember},
		{"JWKS-08 alg of another curve", jwk(p384Key().Public(), `"alg":"ES256"`), jose.ReasonAlgorithm},
		{"JWKS-08 alg EdDSA on P-256", jwk(p256Key().Public(), `"alg":"EdDSA"`), jose.ReasonAlgorithm},
		{"JWKS-11 kid not a string", with(`"kid":1`), jose.ReasonMember},
		{"JWKS-11 kid too long", with(`"kid":"` + strings.Repeat("k", 257) + `"`), jose.ReasonKid},
		{"JWKS-11 kid with a control character", with(`"kid":"a\u001bb"`), jose.ReasonKid},
		{"JWKS-07 private, with more behind it", with(`"d":"AQAB","zz":1`), jose.ReasonPrivate},
		{"JWKS-05 modulus of three bytes, exponent even", `{"kty":"RSA","n":"AQAB","e":"AQAA"}`, jose.ReasonModulus},
		{"JWKS-23 key of more than 8 KiB", with(`"x5c":["` + strings.Repeat("A", 8<<10) + `"]`), jose.ReasonSize},
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
		rows = append(rows,
			skipRow{"JWKS-07 " + name, with(`"` + name + `":"AQAB"`), jose.ReasonPrivate},
			skipRow{"JWKS-07 one character in " + name, jwk(p256Key().Public(), `"`+name+`":" "`), jose.ReasonPrivate},
			skipRow{"JWKS-07 escaped " + name, jwk(p256Key().Public(), fmt.Sprintf(`"\u%04x%s":"AQAB"`, name[0], name[1:])), jose.ReasonPrivate},
			skipRow{"JWKS-07 an array in " + name, with(`"` + name + `":[ {"r":"AQAB"} ]`), jose.ReasonPrivate},
			skipRow{"JWKS-07 a number in " + name, with(`"` + name + `":0`), jose.ReasonPrivate})
	}
	runSkips(t, rows)
}

func TestBadKeyMaterialIsSkipped(t *testing.T) {
	good := b64(modulus(2048))
	point, err := p256Key().PublicKey.Bytes()
	require.NoError(t, err)
	x, y := point[1:33], point[33:]
	off := append([]byte{}, y...)
	off[31] ^= 1
	pMinus := func(b []byte) []byte { // the coordinate plus the prime of the field: the same residue
		return new(big.Int).Add(new(big.Int).SetBytes(b), p256Key().Params().P).Bytes()
	}
	edPoint := []byte(edKey().Public().(ed25519.PublicKey))
	rows := []skipRow{
		{"JWKS-05 1024 bits", rsaJWK(modulus(1024), f4), jose.ReasonModulus},
		{"JWKS-05 2047 bits", rsaJWK(modulus(2047), f4), jose.ReasonModulus},
		{"JWKS-05 8193 bits", rsaJWK(modulus(8193), f4), jose.ReasonModulus},
		{"JWKS-05 32768 bits", rsaJWK(modulus(32768), f4), jose.ReasonModulus},
		{"JWKS-05 1024 bits behind zeros", rsaJWK(append(make([]byte, 128), modulus(1024)...), f4), jose.ReasonModulus},
		{"JWKS-05 524288 bits", rsaJWK(modulus(524288), f4), jose.ReasonSize},
		{"JWKS-05 even modulus", rsaJWK(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes(), f4), jose.ReasonModulus},
		{"JWKS-05 modulus of zeros", rsaJWK(make([]byte, 256), f4), jose.ReasonModulus},
		{"JWKS-05 e = 0", rsaJWK(modulus(2048), []byte{0}), jose.ReasonExponent},
		{"JWKS-05 e = 1", rsaJWK(modulus(2048), []byte{1}), jose.ReasonExponent},
		{"JWKS-05 e = 2", rsaJWK(modulus(2048), []byte{2}), jose.ReasonExponent},
		{"JWKS-05 e = 65536", rsaJWK(modulus(2048), []byte{1, 0, 0}), jose.ReasonExponent},
		{"JWKS-05 e = 2^31+1", rsaJWK(modulus(2048), []byte{0x80, 0, 0, 1}), jose.ReasonExponent},
		{"JWKS-05 e = 2^31+1, and an even modulus", rsaJWK(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes(), []byte{0x80, 0, 0, 1}), jose.ReasonExponent},
		{"JWKS-05 e = 2^32+1", rsaJWK(modulus(2048), []byte{1, 0, 0, 0, 1}), jose.ReasonExponent},
		{"JWKS-05 e of 256 bytes", rsaJWK(modulus(2048), modulus(2048)), jose.ReasonExponent},
		{"JWKS-05 ROCA modulus", rsaJWK(rocaModulus(), f4), jose.ReasonModulus},
		{"JWKS-05 padded n", `{"kty":"RSA","n":"` + good + `=","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-05 n with trailing bits", `{"kty":"RSA","n":"` + trailingBits(good) + `","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-05 n with a newline", `{"kty":"RSA","n":"` + good[:8] + `\n` + good[8:] + `","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-05 n in the standard alphabet", `{"kty":"RSA","n":"+/` + good[2:] + `","e":"AQAB"}`, jose.ReasonMember},
		{"JWKS-05 e as decimal digits", `{"kty":"RSA","n":"` + good + `","e":"65537"}`, jose.ReasonMember},
		{"JWKS-05 e padded", `{"kty":"RSA","n":"` + good + `","e":"AQ=="}`, jose.ReasonMember},
		{"JWKS-06 x = y = 0", ecJWK("P-256", b64(make([]byte, 32)), b64(make([]byte, 32))), jose.ReasonPoint},
		{"JWKS-06 point off the curve", ecJWK("P-256", b64(x), b64(off)), jose.ReasonPoint},
		{"JWKS-06 coordinates exchanged", ecJWK("P-256", b64(y), b64(x)), jose.ReasonPoint},
		{"JWKS-06 x of 31 bytes", ecJWK("P-256", b64(x[1:]), b64(y)), jose.ReasonMember},
		{"JWKS-06 x of 33 bytes", ecJWK("P-256", b64(append([]byte{0}, x...)), b64(y)), jose.ReasonMember},
		{"JWKS-06 x above the prime", ecJWK("P-256", b64(pMinus(x)[:32]), b64(y)), jose.ReasonPoint},
		{"JWKS-06 P-256 point under P-384", ecJWK("P-384", b64(x), b64(y)), jose.ReasonMember},
		{"JWKS-06 P-256 point in P-384's length", ecJWK("P-384", b64(append(make([]byte, 16), x...)), b64(append(make([]byte, 16), y...))), jose.ReasonPoint},
		{"JWKS-06 zeros on P-521", ecJWK("P-521", b64(make([]byte, 66)), b64(make([]byte, 66))), jose.ReasonPoint},
		{"JWKS-06 P-224", ecJWK("P-224", b64(x[:28]), b64(y[:28])), jose.ReasonCurve},
		{"JWKS-06 secp256k1", ecJWK("secp256k1", b64(x), b64(y)), jose.ReasonCurve},
		{"JWKS-06 p-256", ecJWK("p-256", b64(x), b64(y)), jose.ReasonCurve},
		{"JWKS-06 Ed25519 as EC", ecJWK("Ed25519", b64(x), b64(y)), jose.ReasonCurve},
		{"JWKS-06 P-256 as OKP", okpJWK("P-256", x), jose.ReasonCurve},
		{"JWKS-06 X25519", okpJWK("X25519", edPoint), jose.ReasonCurve},
		{"JWKS-06 Ed448", okpJWK("Ed448", make([]byte, 57)), jose.ReasonCurve},
		{"JWKS-06 Ed25519 of 31 bytes", okpJWK("Ed25519", edPoint[:31]), jose.ReasonMember},
		{"JWKS-06 Ed25519 of 33 bytes", okpJWK("Ed25519", append(edPoint, 0)), jose.ReasonMember},
		{"JWKS-06 Ed25519 of ones", okpJWK("Ed25519", []byte(strings.Repeat("\xff", 32))), jose.ReasonPoint},
		{"JWKS-06 Ed25519 off the curve", okpJWK("Ed25519", append([]byte{2}, make([]byte, 31)...)), jose.ReasonPoint},
	}
	for _, encoding := range lowOrderPoints(t) {
		rows = append(rows, skipRow{fmt.Sprintf("JWKS-06 Ed25519 of small order %x", encoding[:4]), okpJWK("Ed25519", encoding), jose.ReasonPoint})
	}
	runSkips(t, rows)
}

// rocaModulus is a product of two numbers of the form k*M + (65537^a mod M),
// which is what the flawed generators made their primes of.
func rocaModulus() []byte {
	product := big.NewInt(2)
	for p := int64(3); p <= 167; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(p))
		}
	}
	number := func(k, a int64) *big.Int {
		shift := new(big.Int).Lsh(big.NewInt(k), uint(1040-product.BitLen()-big.NewInt(k).BitLen()))
		n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), product)
		return n.Add(n, shift.Mul(shift, product))
	}
	n := number(1<<40-87, 1234567)
	n.Mul(n, number(1<<40-189, 7654321))
	return n.Bytes()
}

// lowOrderPoints are the encodings of the points of small order. Each one is
// proven to be one: a signature that nobody made verifies under it.
func lowOrderPoints(t *testing.T) [][]byte {
	t.Helper()
	orderEight := "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
	other := "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
	var points [][]byte
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		orderEight, other,
	} {
		var encoding []byte
		_, err := fmt.Sscanf(text, "%x", &encoding)
		require.NoError(t, err)
		points = append(points, encoding)
		if text[0] != '0' || text[1] == '0' { // with the other sign of x
			negative := append([]byte{}, encoding...)
			negative[31] |= 0x80
			points = append(points, negative)
		}
	}
	forged := make([]byte, 64)
	forged[0] = 1 // R is the identity and S is zero
	for _, point := range points {
		verified := false
		for message := range 256 {
			verified = verified || ed25519.Verify(point, []byte{byte(message)}, forged)
		}
		require.True(t, verified, "%x is of small order", point)
	}
	return points
}

func TestUnacceptableSetIsRefusedWhole_JWKS25(t *testing.T) {
	good := jwk(rsaKey().Public(), `"kid":"k1"`)
	many := func(n int) []byte { return set(strings.Split(strings.Repeat("{};", n-1)+"{}", ";")...) }
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	for _, row := range []struct {
		name string
		text []byte
		want error
	}{
		{"JWKS-25 empty text", nil, jose.ErrMalformed},
		{"JWKS-25 not JSON", []byte(`<html>`), jose.ErrMalformed},
		{"JWKS-25 null", []byte(`null`), jose.ErrMalformed},
		{"JWKS-25 array", []byte(`[` + good + `]`), jose.ErrMalformed},
		{"JWKS-25 bare JWK", []byte(good), jose.ErrMalformed},
		{"JWKS-25 empty object", []byte(`{}`), jose.ErrMalformed},
		{"JWKS-25 KEYS is another name", []byte(`{"KEYS":[` + good + `]}`), jose.ErrMalformed},
		{"JWKS-25 keys an object", []byte(`{"keys":` + good + `}`), jose.ErrMalformed},
		{"JWKS-25 keys a string", []byte(`{"keys":"` + `"}`), jose.ErrMalformed},
		{"JWKS-25 trailing bytes", append(set(good), "zzz"...), jose.ErrMalformed},
		{"JWKS-25 second object", append(set(good), set(good)...), jose.ErrMalformed},
		{"JWKS-25 byte order mark", append([]byte("\ufeff"), set(good)...), jose.ErrMalformed},
		{"JWKS-25 cut off", set(good)[:100], jose.ErrMalformed},
		{"JWKS-25 cut off after the keys", []byte(`{"keys":[` + good + `]`), jose.ErrMalformed},
		{"JWKS-25 duplicate keys", []byte(`{"keys":[],"keys":[` + good + `]}`), jose.ErrMalformed},
		{"JWKS-25 duplicate keys through an escape", []byte(`{"keys":[` + good + `],"\u006beys":[]}`), jose.ErrMalformed},
		{"JWKS-25 duplicate other name", []byte(`{"a":1,"a":1,"keys":[` + good + `]}`), jose.ErrMalformed},
		{"JWKS-25 duplicate name in a key", set(good, `{"kty":"RSA","kid":"a","kid":"b"}`), jose.ErrMalformed},
		{"JWKS-25 duplicate name in an unknown key", set(good, `{"kty":"AKP","x":{"y":1,"y":2}}`), jose.ErrMalformed},
		{"JWKS-25 bad UTF-8", set(good, "{\"kid\":\"\xff\"}"), jose.ErrMalformed},
		{"JWKS-25 lone surrogate", set(good, `{"kid":"\ud800"}`), jose.ErrMalformed},
		{"JWKS-25 flaw in a member that is ignored", []byte(`{"x":[1,],"keys":[` + good + `]}`), jose.ErrMalformed},
		{"JWKS-25 keys without a comma", set(good + good), jose.ErrMalformed},
		{"JWKS-25 key cut off", []byte(`{"keys":[{"kty":]}`), jose.ErrMalformed},
		{"LIMITS-04 too deep", set(good, `{"x":`+deep+`}`), jose.ErrTooLarge},
		{"JWKS-23 101 keys", many(101), jose.ErrTooLarge},
		{"JWKS-23 100001 keys", many(100_001), jose.ErrTooLarge},
		{"JWKS-23 more than 512 KiB", append(set(good), []byte(strings.Repeat(" ", 512<<10))...), jose.ErrTooLarge},
		{"JWKS-20 no keys", []byte(`{"keys":[]}`), jose.ErrNoUsableKeys},
		{"JWKS-20 keys null", []byte(`{"keys":null}`), jose.ErrNoUsableKeys},
		{"JWKS-20 only unusable keys", many(100), jose.ErrNoUsableKeys},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, _, err := jose.ParseSet(row.text)
			require.ErrorIs(t, err, row.want)
			assert.Empty(t, keys)
		})
	}
}

func TestAcceptedKeys(t *testing.T) {
	public := rsaKey().PublicKey
	shortX := func() string { // a coordinate that begins with a zero byte
		for i := int64(1); ; i++ {
			//lint:ignore SA1019 any point will do
			x, y := p256Key().Curve.ScalarBaseMult(big.NewInt(i).Bytes())
			if x.BitLen() <= 248 {
				return ecJWK("P-256", b64(x.FillBytes(make([]byte, 32))), b64(y.FillBytes(make([]byte, 32))))
			}
		}
	}
	for _, row := range []struct{ name, key, kid string }{
		{"JWKS-08 without alg, use and kid", jwk(&public), ""},
		{"JWKS-03 use sig", jwk(&public, `"use":"sig"`), ""},
		{"JWKS-04 key_ops with verify", jwk(&public, `"key_ops":["sign","verify"]`), ""},
		{"JWKS-32 kid through an escape", jwk(&public, `"kid":"\u006b1"`), "k1"},
		{"JWKS-01 broken certificates are not looked at", jwk(&public, `"kid":"k1","x5c":["!"],"x5t":5,"x5u":null`), "k1"},
		{"JWKS-01 private names", jwk(&public, `"kid":"k1","issuer":"https://x/","D":1,"K":[]`), "k1"},
		{"JWKS-05 2048 bits", rsaJWK(modulus(2048), f4), "bad"},
		{"JWKS-05 8192 bits", rsaJWK(modulus(8192), f4), "bad"},
		{"JWKS-05 e = 129, one byte with its high bit set", rsaJWK(modulus(2048), []byte{0x81}), "bad"},
		{"JWKS-05 three bytes with the high bit set", rsaJWK(modulus(2048), []byte{0xff, 0, 1}), "bad"},
		{"JWKS-05 e = 3", rsaJWK(modulus(3072), []byte{3}), "bad"},
		{"JWKS-05 e = 2^31-1", rsaJWK(modulus(2048), []byte{0x7f, 0xff, 0xff, 0xff}), "bad"},
		{"JWKS-05 many leading zeros of e", rsaJWK(modulus(2048), []byte{0, 0, 0, 1, 0, 1}), "bad"},
		{"JWKS-05 e = 129, its high bit set", rsaJWK(modulus(2048), []byte{0x81}), "bad"},
		{"JWKS-05 e = 2^15+1, its high bit set", rsaJWK(modulus(2048), []byte{0x80, 1}), "bad"},
		{"JWKS-05 e = 2^24-1, its high bit set", rsaJWK(modulus(2048), []byte{0xff, 0xff, 0xff}), "bad"},
		{"JWKS-05 leading zeros of n and e", rsaJWK(append([]byte{0}, modulus(2048)...), []byte{0, 1, 0, 1}), "bad"},
		{"JWKS-06 coordinate with a leading zero", shortX(), "bad"},
		{"JWKS-06 OKP with a private name y", jwk(edKey().Public(), `"y":"!"`), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, skipped, err := jose.ParseSet(set(row.key))
			require.NoError(t, err, "%v", skipped)
			require.Empty(t, skipped)
			assert.Equal(t, row.kid, keys[0].Kid)
			assert.Equal(t, row.kid != "", keys[0].HasKid)
		})
	}
}

func TestPublicKeysAreTheStandardLibrarys_JWKS06(t *testing.T) {
	keys, _, err := jose.ParseSet(set(
		jwk(rsaKey().Public(), `"alg":"PS256"`), jwk(p256Key().Public()), jwk(p384Key().Public()), jwk(p521Key().Public()), jwk(edKey().Public()),
	))
	require.NoError(t, err)
	require.Len(t, keys, 5)
	assert.True(t, rsaKey().PublicKey.Equal(keys[0].Public.(*rsa.PublicKey)))
	assert.Equal(t, "PS256", keys[0].Alg)
	assert.True(t, p256Key().PublicKey.Equal(keys[1].Public.(*ecdsa.PublicKey)))
	assert.True(t, p384Key().PublicKey.Equal(keys[2].Public.(*ecdsa.PublicKey)))
	assert.True(t, p521Key().PublicKey.Equal(keys[3].Public.(*ecdsa.PublicKey)))
	assert.Equal(t, edKey().Public(), keys[4].Public)
}

// A key is the same however it is called and pinned, and never one of another kind.
func TestSameKey_INTRO23(t *testing.T) {
	parse := func(more ...string) []jose.Key {
		keys, skipped, err := jose.ParseSet(set(
			jwk(rsaKey().Public(), more...), jwk(otherRSA().Public(), more...), jwk(p256Key().Public(), more...),
			jwk(p384Key().Public(), more...), jwk(p521Key().Public(), more...), jwk(edKey().Public(), more...),
		))
		require.NoError(t, err)
		require.Empty(t, skipped)
		return keys
	}
	first, second := parse(), parse(`"kid":"k"`, `"use":"sig"`)
	for i := range first {
		for j := range second {
			assert.Equal(t, i == j, first[i].Same(&second[j]), "%d and %d", i, j)
		}
		assert.False(t, first[i].Same(&jose.Key{}))
		assert.False(t, (&jose.Key{}).Same(&first[i]))
	}
	assert.False(t, (&jose.Key{}).Same(&jose.Key{}), "there is no key to be the same")
}

func TestSameKidTwice_JWKS09(t *testing.T) {
	keys, skipped, err := jose.ParseSet(set(jwk(otherRSA().Public(), `"kid":"k1"`), jwk(rsaKey().Public(), `"kid":"k1"`)))
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Len(t, keys, 2, "both are kept: the caller tries each")
	require.NoError(t, accept(rs256(goodHeader), keys))
}

// A skipped key is reported with its kid as published, and with nothing else of it.
func TestSkippedKid_JWKS07_JWKS11(t *testing.T) {
	secret := b64(rsaKey().D.Bytes())
	_, skipped, err := jose.ParseSet(set(
		jwk(rsaKey().Public(), `"kid":"leaked"`, `"d":"`+secret+`"`),
		jwk(rsaKey().Public(), `"kid":"a\nb\u202e<\u0000`+strings.Repeat("x", 300)+`"`),
		`{"kty":"?"}`,
	))
	require.ErrorIs(t, err, jose.ErrNoUsableKeys)
	assert.Equal(t, jose.Skipped{Kid: "leaked", Reason: jose.ReasonPrivate}, skipped[0])
	assert.Equal(t, jose.Skipped{Kid: "a\nb\u202e<\x00" + strings.Repeat("x", 300), Reason: jose.ReasonKid}, skipped[1])
	assert.Equal(t, jose.Skipped{Reason: jose.ReasonType}, skipped[2])
	assert.NotContains(t, fmt.Sprint(skipped, err), secret)
}

// A key that is too large is refused before it becomes a number, and costs less
// than one that is used.
func TestHostileSetsAreCheap_JWKS05_JWKS23_LIMITS12(t *testing.T) {
	cost := func(text []byte) float64 {
		return testing.AllocsPerRun(5, func() { _, _, _ = jose.ParseSet(text) })
	}
	for _, row := range []struct {
		name   string
		keys   int
		bits   int
		reason jose.Reason
	}{
		{"JWKS-05 524288-bit modulus", 1, 524288, jose.ReasonSize},
		{"JWKS-23 75 keys of 8 KiB of modulus", 75, 40000, jose.ReasonModulus},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := set(slices.Repeat([]string{rsaJWK(modulus(row.bits), f4)}, row.keys)...)
			_, skipped, err := jose.ParseSet(text)
			require.ErrorIs(t, err, jose.ErrNoUsableKeys)
			require.Len(t, skipped, row.keys)
			assert.Equal(t, row.reason, skipped[0].Reason)
			good := cost(set(slices.Repeat([]string{rsaJWK(modulus(2048), f4)}, row.keys)...))
			t.Logf("%v allocations, good keys %v", cost(text), good)
			assert.Less(t, cost(text), good/2)
		})
	}
}
