package introspect

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// MaxToken bounds a token that only its issuer can read, in bytes.
const MaxToken = 4096

// IsJWT reports whether a token has the shape of a signed JWT, correct or not. Such a token is verified, and what
// is refused there is never asked about. That is seen by the JOSE header alone, and leniently: it is a JSON object
// with alg. An encrypted one has five parts, and only its issuer can read it.
func IsJWT(token string) bool {
	header, _, _ := strings.Cut(token, ".")
	if strings.Count(token, ".") == 4 {
		return false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(lenient.Replace(header), "="))
	if err != nil {
		return false
	}
	text := strings.TrimSpace(string(decoded))
	if !strings.HasPrefix(text, "{") {
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil {
		return strings.Contains(strings.ToLower(text), `"alg"`)
	}
	for name := range members {
		if strings.EqualFold(name, "alg") {
			return true
		}
	}
	return false
}

var lenient = strings.NewReplacer("+", "-", "/", "_")

// IsToken reports whether a text is a token at all: b64token of RFC 6750 section 2.1.
func IsToken(text string) bool {
	text = strings.TrimRight(text, "=")
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") == ""
}
