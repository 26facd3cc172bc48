// Package challenge writes the value of one WWW-Authenticate header field
// line: an auth-scheme and its quoted parameters (RFC 9110 section 11.6.1).
package challenge

import "strings"

// Param is one auth-param of a challenge (RFC 9110 section 11.2). The Value is
// plain text: quoting is the business of [Append].
type Param struct{ Name, Value string }

// Format returns the challenge as a string; see [Append].
func Format(scheme string, params ...Param) string {
	return string(Append(nil, scheme, params...))
}

// Append appends scheme and its params to dst, in the order given, each value
// as a quoted-string (RFC 9110 section 5.6.4). The result is one challenge for
// one header field line: a second scheme belongs on a line of its own, because
// many clients read only the first challenge of a line.
//
// Left out are parameters with an empty value (clients stumble over them),
// with a name that is no token, and every repetition of a name (RFC 9110
// section 11.2 allows each name once). A scheme that is no token yields dst
// unchanged. Whatever the input, only the bytes 0x20 to 0x7E are written.
func Append(dst []byte, scheme string, params ...Param) []byte {
	if !isToken(scheme) {
		return dst
	}
	dst = append(dst, scheme...)
	separator := " "
	for i, p := range params {
		if p.Value == "" || !isToken(p.Name) || named(params[:i], p.Name) {
			continue
		}
		dst = append(dst, separator...)
		dst = append(dst, p.Name...)
		dst = append(dst, '=')
		dst = appendQuoted(dst, p.Value)
		separator = ", "
	}
	return dst
}

// named reports whether an earlier parameter that was written has this name.
// Names are case-insensitive (RFC 9110 section 11.2).
func named(written []Param, name string) bool {
	for _, p := range written {
		if p.Value != "" && strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

// appendQuoted does not use strconv.Quote: that writes Go escapes such as
// \x00, which an HTTP reader understands as the text x00.
func appendQuoted(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20 || r > 0x7e:
			dst = append(dst, '?')
		default:
			dst = append(dst, byte(r))
		}
	}
	return append(dst, '"')
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
