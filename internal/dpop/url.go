package dpop

import "strings"

// names reports whether htu is the URL of the request: the resource's, or that of another path on its
// origin where the request came to that path (the message endpoint of HTTP+SSE). The host comes from the
// configuration and never from the request, and a query is part of neither (RFC 9449 section 4.2).
func (c *Checker) names(htu, path string) bool {
	if htu == c.exact {
		return true
	}
	normal, _, ok := normalURL(htu)
	if !ok {
		return false
	}
	if normal == c.normal {
		return true
	}
	here, _, ok := normalURL(c.origin + path)
	return ok && normal == here
}

// normalURL writes an absolute http or https URL without query and fragment in normal form, and returns what of it
// is in front of the path: scheme and host in lower case, no default port, percent-encoding only where it is needed
// and in upper case, no dot segments (RFC 3986 sections 6.2.2 and 6.2.3), and no slash at the end, about which
// clients and configurations differ.
func normalURL(s string) (normal, origin string, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = lowerASCII(scheme)
	if !ok || scheme != "https" && scheme != "http" || strings.ContainsFunc(s, isForeign) {
		return "", "", false
	}
	host, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	host = strings.TrimSuffix(trimPort(lowerASCII(host), scheme), ":")
	if host == "" || strings.ContainsAny(host, "@%") {
		return "", "", false
	}
	origin = scheme + "://" + host
	if path, ok = normalPath(path); !ok {
		return "", "", false
	}
	return origin + path, origin, true
}

// isForeign reports whether a character has no place in a URL without query and fragment.
func isForeign(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`?#"<>\^{|}`+"`", r)
}

func trimPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// lowerASCII leaves all but A to Z alone.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func normalPath(path string) (string, bool) {
	path, ok := normalEscapes(path)
	if !ok || path == "" || path == "/" {
		return "", ok
	}
	if strings.Contains(path, "/.") {
		path = withoutDots(path)
	}
	return strings.TrimSuffix(path, "/"), true
}

// withoutDots resolves dot segments (RFC 3986 section 5.2.4).
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			fallthrough
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// normalEscapes decodes what needs no percent-encoding, and writes the rest in upper case.
func normalEscapes(path string) (string, bool) {
	if strings.IndexByte(path, '%') < 0 {
		return path, true
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			out = append(out, path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", false
		}
		high, low := fromHex(path[i+1]), fromHex(path[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		if c := byte(high<<4 | low); isUnreserved(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[high], hex[low])
		}
		i += 2
	}
	return string(out), true
}

func fromHex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
