package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/fold"
)

// spelledKeys are exact keys, each beside the patterns that would decide about
// it and its neighbours if it were not listed.
var spelledKeys = []struct {
	key   string
	wider []string
}{
	{"db://q?table=salaries", []string{"db://q*", "*", "db://{any}", "db://q?table={t}", "db://q?*", "db://*"}},
	{"db://q?table=salaries&year=2026", []string{"db://q*", "db://q?table=*", "db://*", "db:*"}},
	{"db://q?table=top secret", []string{"db://q*", "db://*"}},
	{"db://q?table=top%20secret", []string{"db://q*", "db://*"}},
	{"db://q?path=/srv/secret", []string{"db://q*", "db://q?path=/srv/*"}},
	{"db://Users/Kassensturz", []string{"db://*", "db://{a}/{b}", "*"}},
	{"file:///data/secret", []string{"file:///data/*", "file:///*", "file:*", "*", "file:///data/{name}", "file:///data/sec*"}},
	{"file:///data/./vault//secret.txt", []string{"file:///data/*", "file:///data/vault/*", "file:///data/vault/{f}"}},
	{"file:///data/My File.txt", []string{"file:///data/*"}},
	{"file:///data/caf%C3%A9", []string{"file:///data/*", "file:///data/{f}"}},
	{"file:///data/\u00fcbersicht", []string{"file:///data/*"}},
	{"file:///data/\u03ac\u03c3\u03c2", []string{"file:///data/*"}},
	{"file:///data/\ud55c\uae00", []string{"file:///data/*"}},
	{"file:///data/\u304c", []string{"file:///data/*"}},
	{"file:///data/\ufb01nance", []string{"file:///data/*"}},
	{"file:///data/stra\u00dfe", []string{"file:///data/*"}},
	{"file://localhost/data/secret", []string{"file:///data/*", "file:*"}},
	{"FILE:///data/Secret.", []string{"file:///data/*"}},
	{"https://x.example/admin", []string{"https://*", "https://x.example/*", "https://{h}/admin", "https://x.example/a{rest}"}},
	{"https://X.example.:443/Admin/#top", []string{"https://*", "https://x.example/*"}},
	{"https://user@x.example/admin?b=2&a=1", []string{"https://*", "https://x.example/*", "https://x.example/admin?a=*"}},
	{"http://127.0.0.1/admin", []string{"http://*", "http://{h}/admin"}},
	{"https://b\u00fccher.example/x", []string{"https://*"}},
	{"doc://handbook#salaries", []string{"doc://*", "doc://handbook*", "doc://handbook#*"}},
	{"urn:isbn:0451450523", []string{"urn:*", "urn:isbn:*", "*"}},
	{"note:secret", []string{"note:*", "*"}},
	{"db://r?table=salaries&year=2026", []string{"db://r*", "db://*"}},
	{"file:///C:/data/secret", []string{"file:///*", "file:*", "*"}},
	{"file://C:/data/secret", []string{"file:///*", "file:*", "*"}},
	{"file://u@h/secret", []string{"file:///*", "file:*"}},
	{"db://t:/secret", []string{"db:*", "db:///*"}},
	{"https://x.example/", []string{"https://*", "https://x.example*", "https://{h}"}},
	{"https://x.example?admin=1", []string{"https://x.example/*", "https://x.example/?*", "https://*"}},
	{"https://x.example/?admin=1", []string{"https://x.example?*", "https://x.example*"}},
	{"db://q?table=\u3042", []string{"db://q*", "db://*"}},
	{"db://q?table=\u3063\u304d", []string{"db://q*"}},
	{"db://q?day=17", []string{"db://q*", "db://q?day=*"}},
}

// respell returns another spelling of a URI: what somebody behind us, a URL
// parser, a file system or a database, may take for the same. Not all of them
// change every URI.
var respellings = map[string]func(uri string, n int) string{
	"upper case":   func(uri string, n int) string { return eachRune(uri, n, strings.ToUpper) },
	"lower case":   func(uri string, n int) string { return eachRune(uri, n, strings.ToLower) },
	"Kelvin":       func(uri string, n int) string { return swap(uri, n, "k", "%E2%84%AA", "K", "\u212a") },
	"long s":       func(uri string, n int) string { return swap(uri, n, "s", "%C5%BF", "S", "\u017f") },
	"dotless i":    func(uri string, n int) string { return swap(uri, n, "i", "%C4%B1", "I", "%C4%B0") },
	"sigma":        func(uri string, n int) string { return swap(uri, n, "\u03c3", "\u03c2", "\u03c2", "%CE%A3") },
	"escape":       func(uri string, n int) string { return eachByte(uri, n, "%%%02X") },
	"small escape": func(uri string, n int) string { return eachByte(uri, n, "%%%02x") },
	"twice":        func(uri string, n int) string { return eachByte(uri, n, "%%25%02X") },
	"unescaped": func(uri string, _ int) string {
		if plain, err := url.PathUnescape(uri); err == nil {
			return plain
		}
		return uri
	},
	"kana": func(uri string, n int) string {
		return swap(uri, n, "\u3042", "\u30a2", "\u3042", "%E3%81%81", "\u3063", "%E3%83%84", "\u304d", "\uff77")
	},
	"digits": func(uri string, n int) string { return swap(uri, n, "1", "\u0661", "7", "%E0%A5%AD", "2", "%D9%A2") },
	"drive":  func(uri string, n int) string { return swap(uri, 0, "C:/", []string{"C|/", "C%7C/", "c|/"}[n%3]) },
	"root": func(uri string, n int) string {
		return swap(uri, 0, []string{".example/?", ".example?"}[n%2], []string{".example?", ".example/?"}[n%2])
	},
	"bare root": func(uri string, _ int) string {
		return strings.TrimSuffix(uri, ".example/") + map[bool]string{true: ".example"}[strings.HasSuffix(uri, ".example/")]
	},
	"emptied": func(uri string, n int) string {
		base, query, found := strings.Cut(uri, "?")
		if one, other, two := strings.Cut(query, "&"); found && two && !strings.Contains(other, "#") {
			name, _, _ := strings.Cut([]string{one, other}[n%2], "=")
			return base + "?" + []string{other, one}[n%2] + "&" + name + []string{"=", ""}[n/2%2]
		}
		return uri
	},
	"unknown": func(uri string, n int) string {
		return swap(uri, 0, "&year=2026", []string{"&YEAR=1", "&x;year=1", "&year=%zz", "&a?year=1", "&year[0]=1"}[n%5])
	},
	"overlong":   func(uri string, n int) string { return swap(uri, n, "/", "%C0%AF", ".", "%C0%AE", "e", "%C1%A5") },
	"full width": func(uri string, n int) string { return eachRune(uri, n, fullWidth) },
	"full, esc": func(uri string, n int) string {
		return eachRune(uri, n, func(c string) string { return url.PathEscape(fullWidth(c)) })
	},
	"ligature": func(uri string, n int) string { return swap(uri, n, "fi", "\ufb01", "ss", "%C3%9F", "st", "%EF%AC%86") },
	"decomposed": func(uri string, n int) string {
		return swap(uri, n, "\u00e9", "e\u0301", "%C3%A9", "e%CC%81", "\u00fc", "u\u0308", "\u03ac", "\u03b1\u0301", "\ud55c", "\u1112\u1161\u11ab", "\u304c", "\u304b\u3099")
	},
	"accent":        func(uri string, n int) string { return swap(uri, n, "a", "%C3%A1", "e", "\u00e9", "u", "%C3%BC") },
	"zero width":    func(uri string, n int) string { return insert(uri, n, "%E2%80%8B") },
	"soft hyphen":   func(uri string, n int) string { return insert(uri, n, "\u00ad") },
	"byte order":    func(uri string, n int) string { return insert(uri, n, "%EF%BB%BF") },
	"zero":          func(uri string, n int) string { return insert(uri, n, "%00") },
	"tab":           func(uri string, n int) string { return insert(uri, n, "\t") },
	"backslash":     func(uri string, n int) string { return swap(uri, n, "/", `\`, "/", "%5C") },
	"slash escape":  func(uri string, n int) string { return swap(uri, n, "/", "%2F", "/", "%E2%88%95") },
	"two slashes":   func(uri string, n int) string { return swap(uri, n, "/", "//") },
	"dot":           func(uri string, n int) string { return swap(uri, n, "/", "/./", "/", "/%2E/") },
	"dots":          func(uri string, n int) string { return swap(uri, n, "/", "/x/../", "/", "/x/%2e%2e/") },
	"end slash":     func(uri string, _ int) string { return beforeQuery(uri, "/") },
	"end dot":       func(uri string, _ int) string { return beforeQuery(uri, ".") },
	"end space":     func(uri string, _ int) string { return beforeQuery(uri, "%20") },
	"matrix":        func(uri string, _ int) string { return beforeQuery(uri, ";v=1") },
	"stream":        func(uri string, _ int) string { return beforeQuery(uri, "::$DATA") },
	"stream escape": func(uri string, _ int) string { return beforeQuery(uri, "%3A%3A%24data") },
	"fragment":      func(uri string, _ int) string { return uri + "#x" },
	"no fragment":   func(uri string, _ int) string { uri, _, _ = strings.Cut(uri, "#"); return uri },
	"empty query":   func(uri string, _ int) string { return withParameter(uri, "", false) },
	"parameter":     func(uri string, n int) string { return withParameter(uri, "limit=9", n%2 == 0) },
	"semicolon":     func(uri string, _ int) string { return swap(withParameter(uri, "limit=9", true), 0, "&", ";") },
	"repeated":      func(uri string, n int) string { return withParameter(uri, "table=users", n%2 == 0) },
	"reordered": func(uri string, _ int) string {
		base, query, found := strings.Cut(uri, "?")
		if one, other, two := strings.Cut(query, "&"); found && two && !strings.Contains(other, "#") {
			return base + "?" + other + "&" + one
		}
		return uri
	},
	"dropped": func(uri string, n int) string {
		base, query, found := strings.Cut(uri, "?")
		if one, other, two := strings.Cut(query, "&"); found && two {
			return base + "?" + []string{one, other}[n%2]
		}
		return uri
	},
	"plus": func(uri string, n int) string {
		path, _, _ := strings.Cut(uri, "?")
		for _, stream := range []string{"::", "%3A%3A", ";"} {
			path, _, _ = strings.Cut(path, stream)
		}
		if strings.HasSuffix(path, "%20") || strings.HasSuffix(path, " ") {
			return uri // at the end of a path, a plus sign is one: c is not c++
		}
		return swap(uri, n, " ", "+", "%20", "+", "+", "%20")
	},
	"padded": func(uri string, n int) string {
		if strings.Contains(uri, "?") && n%4 == 0 {
			return uri + "+"
		}
		return uri + []string{"%20", " ", "%C2%A0"}[n%3]
	},
	"brackets": func(uri string, n int) string { return swap(uri, n, "table=", "table[]=", "table=", "table%5B0%5D=") },
	"user": func(uri string, n int) string {
		if strings.Contains(uri, "@") {
			return uri
		}
		return swap(uri, 0, "://", []string{"://u@", "://u:p@", "://@"}[n%3])
	},
	"localhost": func(uri string, n int) string {
		return swap(uri, 0, "file:///", []string{"file://localhost/", "file://127.0.0.1/", "file:/", "file:"}[n%4])
	},
	"host": func(uri string, n int) string {
		return swap(uri, 0, []string{":///", "://"}[n%2], []string{"://", ":///"}[n%2])
	},
	"no slashes": func(uri string, _ int) string {
		if strings.Contains(uri, "@") {
			return uri
		}
		return swap(uri, 0, "://", ":")
	},
	"slashes": func(uri string, _ int) string { return swap(uri, 0, "note:", "note://", "urn:", "urn:/") },
	"port": func(uri string, n int) string {
		return swap(uri, 0, ".example/", []string{".example:443/", ".example:/", ".example:0443/", ".example./"}[n%4])
	},
	"no port": func(uri string, _ int) string { return swap(uri, 0, ".:443", "", "user@", "") },
	"address": func(uri string, n int) string {
		return swap(uri, 0, "127.0.0.1", []string{"127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"}[n%7])
	},
	"punycode": func(uri string, _ int) string { return swap(uri, 0, "b\u00fccher", "xn--bcher-kva") },
}

func fullWidth(c string) string {
	if len(c) == 1 && c[0] > ' ' && c[0] < 0x7f && c[0] != ':' {
		return string(rune(c[0]) - '!' + '\uff01')
	}
	return c
}

// eachRune changes one rune behind the scheme, or with n%7 == 0 all of them.
func eachRune(uri string, n int, change func(string) string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	var b strings.Builder
	runes := []rune(rest)
	for i, r := range runes {
		if (n%7 == 0 || i == n%len(runes)) && !(r == '%' || i > 0 && runes[i-1] == '%' || i > 1 && runes[i-2] == '%') {
			b.WriteString(change(string(r)))
		} else {
			b.WriteRune(r)
		}
	}
	return scheme + ":" + b.String()
}

func eachByte(uri string, n int, format string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	at := n % len(rest)
	if strings.IndexByte("/?#&=%@:;", rest[at]) >= 0 && n%3 > 0 || at > 0 && rest[at-1] == '%' || at > 1 && rest[at-2] == '%' {
		return uri
	}
	if strings.IndexByte("?#&=", rest[at]) >= 0 { // escaped, they divide nothing: it is another resource
		return uri
	}
	return scheme + ":" + rest[:at] + fmt.Sprintf(format, rest[at]) + rest[at+1:]
}

// swap replaces the n-th of the pairs, where it stands behind the scheme, or at its end.
func swap(uri string, n int, pairs ...string) string {
	i := n % (len(pairs) / 2) * 2
	if at := strings.IndexByte(uri, ':'); pairs[i][0] != ':' && !strings.Contains(pairs[i], ":") && at > 0 {
		rest := uri[at+1:]
		slashes := len(rest) - len(strings.TrimLeft(rest, "/"))
		if pairs[i] == "/" { // those before the authority are no path
			return uri[:at+1] + rest[:slashes] + strings.Replace(rest[slashes:], pairs[i], pairs[i+1], 1)
		}
		return uri[:at+1] + strings.Replace(rest, pairs[i], pairs[i+1], 1+n%2)
	}
	return strings.Replace(uri, pairs[i], pairs[i+1], 1)
}

func insert(uri string, n int, text string) string {
	at := strings.IndexByte(uri, ':') + 1
	runes := []rune(uri[at:])
	i := n % (len(runes) + 1)
	if i > 0 && runes[i-1] == '%' || i > 1 && runes[i-2] == '%' {
		return uri
	}
	return uri[:at] + string(runes[:i]) + text + string(runes[i:])
}

func beforeQuery(uri, text string) string {
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		return uri[:i] + text + uri[i:]
	}
	return uri + text
}

func withParameter(uri, parameter string, first bool) string {
	uri, fragment, found := strings.Cut(uri, "#")
	if found {
		fragment = "#" + fragment
	}
	base, query, has := strings.Cut(uri, "?")
	switch {
	case !has:
		return base + "?" + parameter + fragment
	case first:
		return base + "?" + parameter + "&" + query + fragment
	}
	return base + "?" + query + "&" + parameter + fragment
}

// booksOf are rule books that list the key beside one wider pattern each.
func booksOf(t testing.TB, key string, wider []string) (books []*book) {
	t.Helper()
	for _, pattern := range wider {
		books = append(books, bookOf(t, map[string]string{key: "exact", pattern: "pattern"}))
	}
	return books
}

// byPattern reports whether a pattern decides about the URI without the key:
// whoever needs the key's word as well can do nothing by another spelling.
func byPattern(book *book, uri string) bool {
	need := book.need(book.set.Find(uri, nil))
	return strings.Contains(need, "pattern") && !strings.Contains(need, "exact")
}

// For each exact key and each spelling of it, no pattern decides.
func TestSpellingsOfKeys_MCP_51(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	names := slices.Sorted(maps.Keys(respellings))
	less := []string{"dropped", "emptied", "unknown"} // only once, of the key's own, and nothing in place of it: or it is another URI
	composed := slices.DeleteFunc(slices.Clone(names), func(how string) bool { return how == "repeated" || slices.Contains(less, how) })
	spelled, decided := 0, map[string]bool{}
	for _, row := range spelledKeys {
		books := booksOf(t, row.key, row.wider)
		try := func(how, uri string) {
			spelled++
			for i, book := range books {
				if byPattern(book, uri) {
					decided[fmt.Sprintf("%s: %q for %q decided by %s", how, uri, row.key, row.wider[i])] = true
				}
			}
		}
		for _, how := range names {
			for n := range 40 {
				try(how, respellings[how](row.key, n))
			}
		}
		for range 1_000 {
			uri, how := row.key, ""
			if random.IntN(4) == 0 {
				how = less[random.IntN(len(less))]
				uri = respellings[how](uri, random.IntN(60))
			}
			for range 2 + random.IntN(2) {
				step := composed[random.IntN(len(composed))]
				uri, how = respellings[step](uri, random.IntN(60)), how+", "+step
			}
			try(how, uri)
		}
	}
	for _, fault := range slices.Sorted(maps.Keys(decided))[:min(len(decided), 40)] {
		t.Error(fault)
	}
	t.Logf("%d spellings of %d keys, %d decided by a pattern", spelled, len(spelledKeys), len(decided))
	assert.Greater(t, spelled, 50_000)
}

// TestUndo_MCP_51: what is folded already is not folded again, and what is left is the same.
func TestUndo_MCP_51(t *testing.T) {
	all := func(text string) string {
		for range 8 {
			text = strings.ReplaceAll(fold.Text(decode(text)), `\`, "/")
		}
		return text
	}
	for c := range 1 << 16 {
		text := string([]byte{byte(c >> 8), byte(c)})
		want, err := strconv.ParseUint(text, 16, 8)
		got, ok := escaped("%" + text)
		require.Equal(t, err == nil, ok, "%q", text)
		require.Equal(t, byte(want), got, "%q", text)
	}
	parts := []string{
		"%", "%25", "%2525", "2", "5", "41", "c0", "af", "A", "a", "/", `\`, "+", "é", "%c3", "%a9", "\xc3", "\xa9", "%C0", "%AF", "%e0%80", "%f0", "%EF%B7%BA", "\ufdfa", "\uff05", "%ef%bc%85", "%5c", "%255C",
		"\ufb00", "\ufdfb", "%zz", "\u212a", "%e2%84%aa", "\uac01", "%00", "\u0301", "%cc%81", "%2541",
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range 100_000 {
		text := ""
		for range 1 + random.IntN(12) {
			text += parts[random.IntN(len(parts))]
		}
		require.Equal(t, all(text), undo(text), "%q", text)
	}
}

// What one pattern is for, and another names as well, takes both; where one names
// what the other leaves out, it is the rule.
func TestPatternsBesideEachOther_MCP_51_MCP_52(t *testing.T) {
	for _, row := range []struct {
		keys map[string]string
		uris map[string]string // with what they need
	}{
		{map[string]string{"https://x.example/*": "read", "https://x.example?admin={v}": "admin"}, map[string]string{
			"https://x.example/?admin=1": "read and admin", "https://x.example?admin=1": "admin", "https://x.example/?a=1": "read", "https://x.example/a?admin=1": "read"}},
		{map[string]string{"https://x.example/*": "read", "https://x.example?admin=*": "admin"}, map[string]string{"https://x.example/?admin=1": "read and admin"}},
		{map[string]string{"https://x.example/*": "read", "https://x.example{?admin}": "admin"}, map[string]string{"https://x.example/?admin=1": "read and admin", "https://x.example/x": "read"}},
		{map[string]string{"https://x.example*": "read", "https://x.example/?admin={v}": "admin"}, map[string]string{"https://x.example?admin=1": "read and admin"}},
		{map[string]string{"https://*": "web", "https://x.example/*": "read"}, map[string]string{"https://x.example": "web and read", "https://x.example?q": "web and read"}},
		{map[string]string{"db://q/*": "read", "db://q?secret=*": "admin"}, map[string]string{"db://q/?secret=1": "read and admin", "db://q?secret=1": "admin", "db://q/x?secret=1": "read"}},
		{map[string]string{"db://q*": "read", "db://q/?secret={v}": "admin"}, map[string]string{"db://q?secret=1": "read and admin"}},
		{map[string]string{"https://x.example/*": "read", "https://x.example/": "admin"}, map[string]string{"https://x.example/{?q}": "read and admin", "https://x.example/{+q}": "read and admin", "https://x.example/a{?q}": "read"}},
		{map[string]string{"db://q/*": "read", "db://q/": "admin"}, map[string]string{"db://q/{?q}": "read and admin", "db://q/{+q}": "read and admin"}},
		{map[string]string{"db://r*": "read", "db://r?table=salaries&year=2026": "admin"}, map[string]string{
			"db://r?table=salaries": "read and admin", "db://r?table=salaries&year=": "read and admin", "db://r?table=salaries&year": "read and admin",
			"db://r?table=salaries&x=1": "read and admin", "db://r?table=&year=2026": "read and admin", "db://r?table=salaries&year=2025": "read", "db://r?x=1": "read",
			"db://r?table=salaries&year=2025&year=": "read and admin"}},
		{map[string]string{"items://all": "read", "items://all{?page}": "page"}, map[string]string{
			"items://all": "read", "items://all?page=2": "page", "items://all?page=": "page and read", "items://all?page": "page and read", "items://all?x=2": "nobody"}},
		{map[string]string{"items://all": "read", "items://all{?any*}": "page"}, map[string]string{"items://all?page=2": "page and read"}},
		{map[string]string{"db://q": "read", "db://q?table={t}": "table"}, map[string]string{"db://q?table=a": "table", "db://q": "read"}},
		{map[string]string{"db://q": "read", "db://q?*": "any"}, map[string]string{"db://q?table=a": "any and read"}},
		{map[string]string{"db://q?a=1": "read", "db://q?a=1&b={b}": "more", "db://q?a={a}&b={b}": "other"}, map[string]string{"db://q?a=1&b=2": "more", "db://q?a=2&b=2": "other", "db://q?a=1": "read"}},
		{map[string]string{"https://api.example/items": "read", "https://api.example/items?page={n}": "page"}, map[string]string{"https://api.example/items?page=2": "page"}},
		{map[string]string{"doc://a": "read", "doc://a#*": "part"}, map[string]string{"doc://a#b": "part and read"}},
		{map[string]string{"doc://a": "read", "doc://a{#part}": "part"}, map[string]string{"doc://a#b": "part and read"}},
		{map[string]string{"git://r/Docs/*": "upper", "git://r/docs/*": "lower"}, map[string]string{"git://r/Docs/a": "upper and lower", "git://r/docs/a": "lower and upper", "git://r/DOCS/a": "nobody"}},
		{map[string]string{"x://e/%65{?a}": "plain", "x://e/e{?b}": "other"}, map[string]string{"x://e/e?b=1": "other and plain"}},
		{map[string]string{"items://all": "same", "items://all?*": "same"}, map[string]string{"items://all?page=2": "same and same"}},
		{map[string]string{"db://q*": "read", "db://q?{query}": "any", "db://q?filter[*": "filter"}, map[string]string{
			"db://q/?a=1": "read and any", "db://q/?a": "read and any", "db://q?a=1": "any",
			"db://q?a=1&filter[b]=1": "read and filter and any", "db://q?filter[b]=1&a=1": "filter and any", "db://q?filter[b]=1": "filter"}},
		{map[string]string{"db://q*": "read", "db://q?{name}s": "plural"}, map[string]string{"db://q/?as": "read and plural", "db://q/?a=s": "read and plural", "db://q/?a=1": "read"}},
		{map[string]string{"db://q*": "read", "db://q?table=salaries": "admin"}, map[string]string{"db://q?{query}": "read and admin", "db://q?t{able}": "read and admin", "db://q?l{imit}": "read"}},
		{map[string]string{"db://q*": "read", "db://q?a=1&a=2": "both"}, map[string]string{ // a server may take the first or the last
			"db://q?a=1": "read and both", "db://q?a=2": "read and both", "db://q?a=3": "read", "db://q?a=3&a=1": "read and both"}},
	} {
		checkNeeds(t, row.keys, row.uris)
	}
}

// checkNeeds compares what URIs and templates need beside keys.
func checkNeeds(t *testing.T, keys, uris map[string]string) {
	t.Helper()
	book := bookOf(t, keys)
	for uri, want := range uris {
		find := book.set.Find
		if strings.Contains(uri, "{") {
			find = book.set.FindTemplate
		}
		assert.Equal(t, want, book.need(find(uri, nil)), "%s beside %v", uri, keys)
	}
}

// A key in an unusual spelling is still the key of what servers read in it, and of nothing else.
func TestReadingsOfKeys_MCP_51(t *testing.T) {
	for _, row := range []struct {
		wider, key string
		uris       map[string]string // with what they need
	}{
		{"https://*", "https://x.example:443/a", map[string]string{"https://x.example/a": "wider and key", "https://x.example:8443/a": "wider", "https://y.example/a": "wider"}},
		{"https://*", "https://x.example:08443/a", map[string]string{"https://x.example:8443/a": "wider and key", "https://x.example/a": "wider"}},
		{"x://*", "x://h:080/a", map[string]string{"x://h:80/a": "wider and key", "x://h/a": "wider"}},
		{"https://*", "https://127.1/a", map[string]string{"https://127.0.0.1/a": "wider and key", "https://127.0.0.2/a": "wider"}},
		{"https://*", "https://[0:0::1]/a", map[string]string{"https://[::1]/a": "wider and key", "https://[::2]/a": "wider"}},
		{"https://*", "https://1.2.3.4.5/a", map[string]string{"https://1.2.3.4/a": "wider", "https://1.2.3.5/a": "wider"}},
		{"https://*", "https:x.example:443/a", map[string]string{"https://x.example/a": "wider and key"}},
		{"https://*", "https:/x.example:443/a", map[string]string{"https://x.example/a": "wider and key"}},
		{"https://*", "https:////x.example:443/a", map[string]string{"https://x.example/a": "wider and key"}},
		{"x:*", "x://h/a", map[string]string{"x:h/a": "wider and key"}},
		{"file:*", "file://h/a", map[string]string{"file:///a": "wider and key", "file:///b": "wider"}},
		{"file:*", "file:h/a", map[string]string{"file:///a": "wider", "file:///h/a": "wider and key"}},
		{"file:*", "file://h", map[string]string{"file:///": "wider", "file:///h": "wider and key"}},
		{"file:*", "file:///a|/x", map[string]string{"file:///a:/x": "wider and key", "file:///b:/x": "wider"}},
		{"file:*", "file:///z|/x", map[string]string{"file:///z:/x": "wider and key"}},
		{"file:*", "file:///c|", map[string]string{"file:///c:": "wider and key"}},
		{"file:*", "file:///~|/x", map[string]string{"file:///~:/x": "wider"}},
		{"file:*", "file:///1|/x", map[string]string{"file:///1:/x": "wider"}},
		{"file:*", "file:///cx/y", map[string]string{"file:///c:/y": "wider"}},
		{"file:*", "file:///c|d/x", map[string]string{"file:///c:d/x": "wider"}},
		{"x:*", "x:c|/d", map[string]string{"x:c:/d": "wider"}},
		{"file:*", "file:///d/a:$DATA", map[string]string{"file:///d/a": "wider and key"}},
		{"x://*", "x://h/a%4", map[string]string{"x://h/a": "wider"}},
		{"x://*", "x://h?p=5%", map[string]string{"x://h?p=5": "wider", "x://h?p=5%25": "wider and key"}},
		{"x://*", "x://h?p=%zz", map[string]string{"x://h?p=%25zz": "wider and key", "x://h?p=%25yy": "wider"}},
		{"x://*", "x://h?p=%+1", map[string]string{"x://h?p=%01": "nobody", "x://h?p=1": "wider"}},
		{"x://*", "x://\u7000", map[string]string{"x://a": "wider", "x://%E7%80%80": "wider and key"}},
		{"x://*", "x://h?a=1", map[string]string{"x://h?b=2?a=1": "wider and key", "x://h?a=1&c=d+e": "wider and key", "x://h?b=1": "wider"}},
		{"x://*", "x://h?a=1&b=2", map[string]string{"x://h?a=1&b=3": "wider", "x://h?a=1&b=3#c;d": "wider", "x://h?a=1&b=3;c": "wider and key", "x://h?a=1&B=3": "wider and key"}},
		{"x://*", "x://h?a=1&b=50%", map[string]string{"x://h?a=1&b=7": "wider and key"}},
		{"x://*", "x://h?{p}a=1&pa=7", map[string]string{"x://h?pa=7": "wider and key"}},
		{"x://*", "x://h?pa{p}=1&pa=7", map[string]string{"x://h?pa=7": "wider and key"}},
		{"*", "{+x}/b.", map[string]string{"x://h/b": "wider and key"}},
		{"x://*", "x://h?a%20=1", map[string]string{"x://h?a=1": "wider and key"}},
		{"x://*", "x://h?{n}=1", map[string]string{"x://h/?a=1": "wider and key", "x://h/?a=2": "wider"}},
		{"x://*", "x://h?{q}", map[string]string{"x://h/?a=b": "wider and key", "x://h/?a=b/c": "wider"}},
		{"y://*", "x://a;b*", map[string]string{"x://a;bc/d": "key"}},
		{"x://*", "x://H/*", map[string]string{"x://h": "wider", "x://h/a": "wider and key"}},
		{"file:*", "file:///D/*", map[string]string{"file:///d/": "wider and key", "file:///d": "wider", "file:///d/e": "wider and key"}},
		{"x://*", "x://{+p}/S", map[string]string{"x://a/s": "wider and key", "x://a/t": "wider"}},
		{"x://*", "x://A{v}{+w}", map[string]string{"x://a": "wider", "x://abc/d": "wider and key"}},
		{"x://*", "x://A{?p}{?q}", map[string]string{"x://ab": "wider", "x://a?p=1": "wider and key"}},
		{"x://*", "x://A{;m}", map[string]string{"x://ab": "wider", "x://a": "wider and key"}},
		{"x://*", "x://A{#f}", map[string]string{"x://ab": "wider", "x://a#b": "wider and key"}},
		{"x://*", "x://A?p={v}{&q}", map[string]string{"x://a?p=1/2": "wider", "x://a?p=1": "wider and key"}},
		{"x://a/bc*", "x://A*", map[string]string{"x://a/bcd": "wider", "x://a/bcd{v}": "wider"}},
		{"x://*", "x://b" + strings.Repeat("b", 90), map[string]string{"x://a" + strings.Repeat("a", 120) + "{v}": "wider"}},
		{"x://*", "x://a" + strings.Repeat("a", 2800) + "/b", map[string]string{"x://{v}": "wider and key"}},
	} {
		checkNeeds(t, map[string]string{row.wider: "wider", row.key: "key"}, row.uris)
	}
}

// A server's template needs what may decide about some of what it expands to, and nothing else.
func TestTemplatesBesideKeys_MCP_52_MCP_53(t *testing.T) {
	for _, row := range []struct{ keys, templates map[string]string }{
		{map[string]string{"x://b/{v}": "own", "x://b/*": "all"}, map[string]string{"x://b/{id}": "own", "x://b/{v}/../../{w}": "nobody", "x://b/{v}/{w}": "all", "x://b/c{v}": "all and own"}},
		{map[string]string{"x://{a}/b": "one", "x://{a}/{b}": "two"}, map[string]string{"x://q/b": "one and two", "x://q/c": "two"}},
		{map[string]string{"db://q?table=*": "any", "db://q?table=salaries&year=2026": "exact", "db://q?table={t}&year={y}": "both"}, map[string]string{"db://q?table={t}": "any and exact"}},
		{map[string]string{"x://a*": "all", "x://ab": "exact"}, map[string]string{"x://a?p={+v}": "all", "x://a{+v}": "all and exact"}},
		{map[string]string{"x://a*": "all", "x://a/c": "exact"}, map[string]string{"x://a{/p*}/b": "all", "x://a{/p*}/b{?q}": "all", "x://a{/p*}": "all and exact", "x://a{/p*}{?q}": "all and exact"}},
		{map[string]string{"items://all": "read", "items://all{?page}": "page"}, map[string]string{"items://all?page={p}": "page"}},
		{map[string]string{"doc://*": "all", "doc://a#b": "part"}, map[string]string{"doc://a{+v}": "all and part", "doc://{v}": "all and part"}},
		{map[string]string{"x://a*": "all", "x://A/*": "below"}, map[string]string{"x://a/{?q}": "all and below", "x://a{?q}": "all"}},
		{map[string]string{"db://q*": "all", "db://q?table=salaries": "exact"}, map[string]string{"db://q?limit={n}": "all", "db://q?table={n}": "all and exact"}},
		{map[string]string{"x://a?p=*": "any", "x://a?p={w}&s=1": "other"}, map[string]string{"x://a?p={v}{&s}": "any and other", "x://a?p={v}": "any"}},
		{map[string]string{"x://a?p=1": "read", "x://a?p=1{&q}": "page"}, map[string]string{"x://a?p=1&q=2": "page"}},
		{map[string]string{"x://a": "read", "x://a{?q}{#f}": "page"}, map[string]string{"x://a?q=1#b": "page and read"}},
		{map[string]string{"items://all": "read", "items://all{?any*}{&b}": "page"}, map[string]string{"items://all?x=1": "page and read"}},
		{map[string]string{"x://{+p}{?q}": "page", "x://{/p*}": "path"}, map[string]string{"x://a?q=1": "page and path"}},
		{map[string]string{"x://a{/p*}": "path", "x://a{.e}": "ext"}, map[string]string{"x://a/b": "path and ext"}},
		{map[string]string{"x://a{/p*}": "path", "x://a{?q}{;m}": "page"}, map[string]string{"x://a?q=1;m=2": "page"}},
		{map[string]string{"x://a{/p*}": "path", "x://a{?q}{/r}": "page"}, map[string]string{"x://a?q=1/b": "page and path"}},
		{map[string]string{"x://a{+p}b": "plus", "x://a{?p}{?q}b": "page"}, map[string]string{"x://ab": "page and plus"}},
		{map[string]string{"db://q?a={x}&b=1": "one", "db://q?b=1&a={y}": "two"}, map[string]string{"db://q?a=2&b=1": "one and two"}},
	} {
		checkNeeds(t, row.keys, row.templates)
	}
}

// What no server takes for the key is as open as the pattern says.
func TestNeighboursOfKeys_MCP_51(t *testing.T) {
	book := bookOf(t, map[string]string{
		"*":                               "rest",
		"db://q?table=salaries":           "exact",
		"db://r?table=salaries&year=2026": "exact",
		"db://q*":                         "pattern",
		"db://r*":                         "pattern",
		"db://t?table={t}":                "table",
		"db://t?table={t}&limit={n}":      "limited",
		"db://t?admin=*":                  "admin",
		"db://t*":                         "pattern",
		"file:///data/secret":             "exact",
		"file:///data/*":                  "pattern",
		"urn:isbn:0451450523":             "exact",
		"lang://c":                        "exact",
		"doc://a#b":                       "exact",
		"https://x.example/admin":         "exact",
	})
	for _, row := range []struct{ uri, want string }{
		{"db://q", "pattern"}, // all of it is another resource than a part
		{"db://q?table=users", "pattern"},
		{"db://q?table=users&limit=9", "pattern"},
		{"db://q?table=salaries2", "pattern"},
		{"db://q?tables=salaries", "pattern"},
		{"db://q?limit=salaries", "pattern"},
		{"db://q/x?table=salaries", "pattern"},
		{"db://q2?table=salaries", "pattern"},
		{"db://q?table=%E5%90%8D%E5%89%8D", "pattern"},
		{"db://r?table=salaries&year=2025", "pattern"},
		{"db://r?table=salaries", "pattern and exact"}, // the year may have a default
		{"db://r?year=2026", "pattern and exact"},
		{"db://r?year=2026&limit=1&table=salaries", "pattern and exact"},
		{"db://r", "pattern"},
		{"db://t?table=a", "table"},
		{"db://t?table=a&limit=2", "limited"},
		{"db://t?limit=2&table=a", "pattern and table and limited"}, // a server reads it as the line above
		{"db://t?table=a&x=1", "pattern and table and limited"},
		{"db://t?x=1", "pattern"},
		{"db://t?admin=1", "admin"},
		{"db://t?x=1&admin=1", "pattern and admin"},
		{"db://t?table=a&admin=1", "pattern and admin and table and limited"},
		{"file:///data/secret.txt", "pattern"},
		{"file:///data/secre", "pattern"},
		{"file:///data/secret2", "pattern"},
		{"file:///data/secret-plans%20(1).pdf", "pattern"},
		{"file:///data/x/secret", "pattern"},
		{"file:///data/%E7%A7%98%E5%AF%86%EF%BC%88%EF%BC%91%EF%BC%89.pdf", "pattern"}, // full width is usual in Chinese
		{"file:///data/50%EF%BC%85.md", "pattern"},
		{"file:///data/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85", "pattern"}, // a joiner is usual in Persian
		{"file:///data/%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80", "pattern"},
		{"file:///data/a+b.txt", "pattern"},
		{"file:///data/C:/x", "pattern"},
		{"file:///data/%E9", "nobody"}, // no UTF-8: everybody reads something else
		{"file:///data/x%EF%BC%8F%EF%BC%8E%EF%BC%8E%EF%BC%8Fy", "nobody"},
		{"file:///data/%E2%80%A5/y", "nobody"},
		{"file:///data/%EF%BC%852525252525252525252525252525", "nobody"},
		{"file:///data/%E2%80%8B..%E2%80%8B/y", "nobody"},
		{"file:///data/secret::$DATA", "pattern and exact"},
		{"urn:isbn:0451450524", "rest"},
		{"lang://c++", "rest"},
		{"lang://d", "rest"},
		{"doc://a", "rest and exact"},
		{"doc://a#c", "rest and exact"}, // the same document
		{"doc://b#b", "rest"},
		{"http://x.example/admin", "rest"},
		{"https://127.0.0.1/x", "rest"},
		{"https://2130706433/x", "nobody"},
		{"https://127.1/x", "nobody"},
		{"ticket://2130706433/x", "rest"},
		{"https://[::1]/x", "rest"},
		{"https://[0:0:0:0:0:0:0:1]/x", "nobody"},
		{"https://[::ffff:7f00:1]/x", "nobody"},
		{"https://x%2Dy.example/x", "nobody"},
		{"https://xn--bcher-kva.example/x", "rest"},
	} {
		assert.Equal(t, row.want, book.need(book.set.Find(row.uri, nil)), row.uri)
	}
}
