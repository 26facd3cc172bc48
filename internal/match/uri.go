package match

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// hierarchicalPorts are the schemes whose URIs always have an authority, with
// their default ports. To many parsers "https:host" is "https://host".
var hierarchicalPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21", "file": ""}

// hasSecondSpelling reports whether a URI could be written differently and
// still name the same thing to a server that normalizes (RFC 3986 section 6).
// No pattern may speak for such a URI: another rule might be meant for it.
func hasSecondSpelling(uri string) bool {
	scheme, rest, found := strings.Cut(uri, ":")
	if !found || !isScheme(scheme) {
		return true
	}
	for i := 0; i < len(uri); i++ {
		if c := uri[i]; c <= ' ' || c == '\\' || c >= 0x7f {
			return true
		}
	}
	plain, query, _ := strings.Cut(rest, "?")
	if hasNeedlessEscape(plain, "") || hasNeedlessEscape(query, "/%") || hidesOdd(query) || hasHiddenSegment(rest) {
		return true
	}
	path, hierarchical := strings.CutPrefix(rest, "//")
	if !hierarchical {
		_, always := hierarchicalPorts[scheme]
		return always || hasOddSegment(rest)
	}
	authority := path
	if end := strings.IndexAny(path, "/?#"); end >= 0 {
		authority = path[:end]
	}
	path = strings.TrimPrefix(path[len(authority):], "/")
	return hasSecondAuthority(scheme, authority) || hasOddSegment(path)
}

// isDead reports whether the pattern can speak for no URI, because each that it
// covers has a second spelling. A template with odd characters, other than a host of
// file URIs, still stands for itself, in lists and completions.
func (p *pattern) isDead() bool {
	if rest, isFile := strings.CutPrefix(p.marked, "file://"); isFile {
		if host := rest[:strings.IndexAny(rest+"/", "/?#")]; host != "" && !strings.HasPrefix(host, string(anyRest)) {
			return true // of a file URI any host is a second spelling
		}
	}
	text := expanded.Replace(p.marked)
	_, rest, _ := strings.Cut(text, ":")
	if authority, hierarchical := strings.CutPrefix(rest, "//"); hierarchical {
		_, rest, _ = strings.Cut(authority, "/")
	}
	rest = strings.TrimLeft(rest, "/")
	if hasOddSegment(rest[:strings.LastIndexByte(rest, '/')+1]) {
		return true
	}
	odd := func(c rune) bool { return c <= ' ' || c == '\\' || c >= 0x7f }
	path, query, _ := strings.Cut(cutEscape(p.prefix), "?")
	return p.template == nil && (strings.ContainsFunc(p.prefix, odd) || hasNeedlessEscape(path, "") || hasNeedlessEscape(query, "/%") || beginsOdd(p.prefix))
}

// beginsOdd reports whether what begins with a text has no scheme, or a second spelling of
// its authority, however it goes on.
func beginsOdd(text string) bool {
	scheme, rest, _ := strings.Cut(text, ":")
	if !isScheme(scheme) {
		return text != ""
	}
	if authority, hierarchical := strings.CutPrefix(rest, "//"); hierarchical {
		end := strings.IndexAny(authority, "/?#")
		return end >= 0 && hasSecondAuthority(scheme, authority[:end])
	}
	_, always := hierarchicalPorts[scheme]
	return strings.TrimLeft(rest, "/") != "" && (always || rest[0] == '/')
}

// cutEscape leaves out an escape that the end of a text cuts in two.
func cutEscape(text string) string {
	if i := strings.LastIndexByte(text, '%'); i >= 0 && i > len(text)-3 {
		return text[:i]
	}
	return text
}

// isScheme allows what RFC 3986 section 3.1 does, in lower case.
func isScheme(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// hasSecondAuthority finds the dot of an absolute host name, and ports that are
// written without need; in a file URI any host at all, because
// "file://localhost/x" is "file:///x" (RFC 8089 section 2), and in a web URI that
// there is none, user information, upper case, escapes, and unusual forms of an
// IP address.
func hasSecondAuthority(scheme, authority string) bool {
	_, always := hierarchicalPorts[scheme]
	if always && (strings.Contains(authority, "@") || strings.ToLower(authority) != authority || (authority == "") != (scheme == "file") || strings.Contains(authority, "%")) {
		return true
	}
	host := authority
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		port := authority[colon+1:]
		if port == "" || port[0] == '0' || port == hierarchicalPorts[scheme] {
			return true
		}
		host = authority[:colon]
	}
	address, ok := parseAddress(host)
	return strings.HasSuffix(host, ".") || always && ok && address != strings.Trim(host, "[]")
}

// hasOddSegment finds segments that a server may resolve or drop: empty ones,
// dots, a dot or a space at the end, and parameters. A server that does not
// know queries and fragments takes them for a part of the path, so there are
// no dot segments there either.
func hasOddSegment(path string) bool {
	end := strings.IndexAny(path, "?#")
	if end < 0 {
		end = len(path)
	}
	segments := strings.Split(path[:end], "/")
	for i, segment := range segments {
		switch {
		case segment == "" && i < len(segments)-1,
			strings.HasSuffix(segment, "."),
			strings.HasSuffix(segment, "%20"),
			strings.Contains(segment, ";"):
			return true
		}
	}
	rest := strings.FieldsFunc(path[end:], func(r rune) bool { return strings.ContainsRune("/?#;", r) })
	return slices.ContainsFunc(rest, func(segment string) bool { return segment == "." || segment == ".." })
}

// hasHiddenSegment finds escapes that are no UTF-8, and segments that are odd
// to a server which folds width or drops what cannot be seen.
func hasHiddenSegment(rest string) bool {
	if decoded := decode(rest); decoded == rest {
		return false
	} else if strings.ContainsRune(decoded, utf8.RuneError) {
		return true
	}
	plain := undo(rest)
	if decode(plain) != plain {
		return true
	}
	path, _, _ := strings.Cut(strings.TrimLeft(plain, "/"), "?")
	for segment := range strings.SplitSeq(strings.TrimSuffix(path, "/"), "/") {
		if segment == "" || strings.Trim(segment, " ") != segment || strings.HasSuffix(segment, ".") {
			return true
		}
	}
	return false
}

// hidesOdd finds what no URI may have in a query that is escaped, however often.
func hidesOdd(query string) bool {
	plain := query
	for range 8 {
		undone := decode(plain)
		if undone == plain {
			break
		}
		plain = undone
	}
	odd := func(c rune) bool { return c < ' ' || c == '\\' || c == 0x7f }
	return strings.ContainsFunc(plain, odd) || hasOddSegment("?"+plain)
}

// hasNeedlessEscape finds percent-encodings of unreserved characters, slashes,
// backslashes, percent signs and controls, but not of those allowed, and stray
// percent signs.
func hasNeedlessEscape(s, allowed string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return false
		}
		c, _ := escaped(s[i:]) // 0 of what is none
		if c < ' ' || c == 0x7f || c == '\\' || isUnreserved(c) || (c == '/' || c == '%') && strings.IndexByte(allowed, c) < 0 {
			return true
		}
		s = s[i+3:]
	}
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
