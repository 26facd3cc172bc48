// Package jose is the strict reading of compact JWS and of JSON Web Keys.
//
// It takes a token apart ([Parse]), turns published keys into the standard
// library's key types ([ParseSet], [ParsePEM]) and verifies one signature with
// one key and one algorithm ([Token.Verify]). Whatever two honest readers could
// read differently is refused before a signature is looked at: lax base64,
// duplicate names, critical extensions, unencoded payloads, nested tokens.
//
// The package is the only importer of jwx. It asks jwx for two things, the
// decoding of a key's checked members and the signature itself, so that choice
// of algorithm and choice of key are never left to a header. No type of jwx
// appears in its exported names.
package jose
