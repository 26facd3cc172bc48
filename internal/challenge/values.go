package challenge

import "strings"

const (
	// maxDescription keeps the header line short enough for every proxy.
	maxDescription = 200
	// maxScope is the longest scope-token this library handles anywhere.
	maxScope = 256
)

// Description makes s fit for error_description, whose characters are
// %x20-21 / %x23-5B / %x5D-7E (RFC 6750 section 3): a double quote becomes a
// single quote, a backslash a slash, any other foreign character a question
// mark, and everything after 200 bytes is cut off.
func Description(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() == maxDescription {
			break
		}
		switch {
		case r == '"':
			r = '\''
		case r == '\\':
			r = '/'
		case r < 0x20 || r > 0x7e:
			r = '?'
		}
		b.WriteByte(byte(r))
	}
	return b.String()
}

// ValidScope reports whether s is a scope-token (RFC 6749 section 3.3) of at
// most 256 bytes.
func ValidScope(s string) bool {
	if s == "" || len(s) > maxScope {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// JoinScopes returns the scope parameter for scopes: each once, in the order
// first seen, with one space between (RFC 6749 section 3.3). Anything that is
// not a [ValidScope] is left out, so that one bad value cannot become two.
func JoinScopes(scopes []string) string {
	var b strings.Builder
	seen := make(map[string]bool, len(scopes))
	for _, s := range scopes {
		if seen[s] || !ValidScope(s) {
			continue
		}
		seen[s] = true
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}
