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
// with alg. An encrypted one has enc there, and five parts, and only its issuer can read it.
func IsJWT(token string) bool {
	text, members := header(token)
	switch {
	case members == nil:
		return strings.Contains(strings.ToLower(text), `"alg"`)
	case strings.Count(token, ".") == 4 && len(named(members, "enc")) > 0:
		return false
	}
	return len(named(members, "alg")) > 0
}

// IsOfOther reports whether a token that is no signed JWT says in its header that another issuer has made it (RFC 7519
// section 5.3).
func IsOfOther(token, issuer string) bool {
	_, members := header(token)
	for _, value := range named(members, "iss") {
		var said string
		if json.Unmarshal(value, &said) != nil || said != issuer {
			return true
		}
	}
	return false
}

// header reads the first part of a token: the text of an object, "" if it is none, and its members, nil if they cannot be read.
func header(token string) (text string, members map[string]json.RawMessage) {
	first, _, _ := strings.Cut(token, ".")
	// Of what is no base64url, the part in front of the mistake.
	decoded, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(lenient.Replace(first), "="))
	if text = strings.TrimSpace(string(decoded)); !strings.HasPrefix(text, "{") {
		return "", nil
	}
	if json.Unmarshal([]byte(text), &members) != nil {
		return text, nil
	}
	return text, members
}

// named finds the members of a name, however it is written.
func named(members map[string]json.RawMessage, name string) (values []json.RawMessage) {
	for written, value := range members {
		if strings.EqualFold(written, name) {
			values = append(values, value)
		}
	}
	return values
}

var lenient = strings.NewReplacer("+", "-", "/", "_")

// IsToken reports whether a text is a token at all: b64token of RFC 6750 section 2.1.
func IsToken(text string) bool {
	text = strings.TrimRight(text, "=")
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") == ""
}
