package match

import (
	"cmp"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// FuzzSpellings: whenever a simple server finds a key's resource under another
// URI, no pattern decides about that URI. The steps change the URI as
// [respellings] do.
func FuzzSpellings(f *testing.F) {
	for _, row := range spelledKeys {
		f.Add(row.key, row.key, uint8(5), []byte(nil))
	}
	names := slices.Sorted(maps.Keys(respellings))
	f.Fuzz(func(t *testing.T, key, uri string, cut uint8, steps []byte) {
		if len(key) > 200 || len(uri) > 200 || strings.ContainsAny(key, "*{}") || key == "" {
			return
		}
		if _, err := url.QueryUnescape(key); err != nil {
			return // servers differ on what a stray percent sign spoils, and nobody writes such a key
		}
		for _, step := range steps[:min(len(steps), 4)] {
			if _, rest, found := strings.Cut(uri, ":"); !found || rest == "" {
				return
			}
			uri = respellings[names[int(step)%len(names)]](uri, int(step)/len(names)+int(cut))
		}
		if uri == key {
			return
		}
		pattern := uri[:int(cut)%(len(uri)+1)]
		if strings.ContainsAny(pattern, "*{}") {
			return
		}
		book, problems := newBook(map[string]string{key: "exact", pattern + "*": "pattern"})
		if len(problems) > 0 { // such a pattern is for nothing
			return
		}
		if !byPattern(book, uri) {
			return
		}
		for name, find := range simpleServers {
			other, isOther := find(uri, false)
			own, isOwn := find(key, true)
			if written, ok := find(pattern, false); ok && written == own && paramsOf(pattern) > paramsOf(key) {
				continue // the pattern is the rule for the key's with further parameters
			}
			require.False(t, isOther && isOwn && other == own, "%s finds %q for %q and for %q", name, own, key, uri)
		}
	})
}

// paramsOf counts the parameters of a URI.
func paramsOf(uri string) int {
	_, query, _ := strings.Cut(uri, "?")
	return len(strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }))
}

// simpleServers turn a URI into what they would look up, each in its own way.
var simpleServers = map[string]func(uri string, isKey bool) (found string, ok bool){
	"one that compares without case": func(uri string, _ bool) (string, bool) {
		plain, err := url.PathUnescape(uri)
		return foldCase(plain), err == nil
	},
	"one that takes plus signs for spaces": func(uri string, _ bool) (string, bool) {
		base, query, _ := strings.Cut(uri, "?")
		base, err := url.PathUnescape(base)
		query, bad := url.QueryUnescape(query)
		return foldCase(base + "?" + query), err == nil && bad == nil
	},
	"one that parses and sorts": func(uri string, _ bool) (string, bool) {
		u, err := url.Parse(uri)
		if err != nil || u.Opaque != "" {
			return "", false
		}
		query, err := url.ParseQuery(u.RawQuery)
		return foldCase(u.Scheme + "://" + u.Hostname() + path.Join("/", u.Path) + "?" + query.Encode()), err == nil
	},
	"one that wants a table": func(uri string, isKey bool) (string, bool) {
		u, err := url.Parse(uri)
		if err != nil || u.Opaque != "" || !u.Query().Has("table") {
			return "", false
		}
		return foldCase(u.Scheme + "://" + u.Host + u.Path + "?" + u.Query().Get("table")), !isKey || namesParams(u, 1)
	},
	"one with a default": func(uri string, isKey bool) (string, bool) {
		u, err := url.Parse(uri)
		if err != nil || u.Opaque != "" || !u.Query().Has("table") {
			return "", false
		}
		year := cmp.Or(u.Query().Get("year"), "2026")
		return foldCase(u.Scheme + "://" + u.Host + u.Path + "?" + u.Query().Get("table") + "&" + year), !isKey || namesParams(u, 2) && u.Query().Get("year") != "" // a key that names no year is for no year
	},
	"one that reads digits of every script": func(uri string, _ bool) (string, bool) {
		plain, err := url.PathUnescape(uri)
		return strings.NewReplacer("\u0661", "1", "\u0967", "1", "\u30a2", "\u3042", "\u3041", "\u3042").Replace(plain), err == nil
	},
	"a URL parser of a browser": func(uri string, _ bool) (string, bool) {
		u, err := url.Parse(uri)
		if err != nil || u.Opaque != "" || u.Host == "" && u.Scheme != "file" {
			return "", false
		}
		path := cmp.Or(u.EscapedPath(), "/")
		if u.Scheme == "file" && len(path) > 2 && path[2] == '|' {
			path = path[:2] + ":" + path[3:]
		}
		return u.Scheme + "://" + strings.ToLower(u.Hostname()) + path + "?" + u.RawQuery, u.Scheme == "file" || u.Scheme == "https"
	},
	"a file server": func(uri string, _ bool) (string, bool) {
		if !strings.HasPrefix(strings.ToLower(uri), "file://") || strings.ContainsAny(uri, "?#") {
			return "", false
		}
		file, err := url.PathUnescape(uri[len("file://"):])
		return path.Join("/", foldCase(strings.ReplaceAll(file, `\\`, "/"))), err == nil
	},
	"a file server of Windows": func(uri string, _ bool) (string, bool) {
		if !strings.HasPrefix(uri, "file:///") || strings.ContainsAny(uri, "?#") {
			return "", false
		}
		return resolved(foldCase(strings.ReplaceAll(uri[len("file://"):], `\\`, "/"))), true
	},
	"one that does not know fragments": func(uri string, _ bool) (string, bool) {
		whole, _, _ := strings.Cut(uri, "#")
		return whole, true
	},
	"one with an end slash": func(uri string, _ bool) (string, bool) {
		return strings.TrimSuffix(uri, "/"), !strings.ContainsAny(uri, "?#")
	},
}

// namesParams reports whether a URI names so many parameters, each in a form that
// the parser does not leave out in silence.
func namesParams(u *url.URL, n int) bool {
	query, err := url.ParseQuery(u.RawQuery)
	return err == nil && len(query) == n
}

// foldCase ignores case as strings.EqualFold does.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, s)
}
