package match

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A pattern speaks for a URI in its one spelling, and for none that could be written differently.
func TestSecondSpellings_MCP_51(t *testing.T) {
	book := bookOf(t, map[string]string{"*": "rest", "file:///listed": "listed"})
	for want, uris := range map[string][]string{
		"rest": {
			"a:x", "z:x", "a.b-c+d0:x", "z9:x", "x:", "x:///", "x://", "x://h", "x://h/", "x://h?q", "x://h#f", "x://h/a#b//c", "x://h/a?b//c", "mailto:a@b", "x://u@h/a", "x://H/a",
			"x://h?a;b", "x://h/a?b;c", "x://h/a#b;c", "x://h/~a!$&'()*+,=:@b", "x://h/.a", "x://h/a..b", "x://h/a?b=../c.", "x://h:80/a", "x://h:9/a", "x://h/a?b=%2520c", "x://h/a?b=%2F%3F",
			"x://h/%F0%9F%98%80", "x://h/%EF%BC%81", "https://h/a", "https://h:8443/a", "https://h:80/a", "http://h:443/a", "https://1.2.3.4/a", "https://1.2.3.4:8443/a", "https://1.2.3.4.5/a", "https://[::1]/a",
			"https://[::1]:8443/a", "https://0b1/a", "https://1_0/a", "https://0o17/a", "x://127.1/a", "file:///a", "x://a;b/c",
		},
		"nobody": {
			"x", "/x", "", ":x", "X:x", "1x:a", "+x:a", "x_y:a", "{x:a", "x://h/a b", "x://h/a\tb", "x://h/a\x7fb", "x://h/a\\b", "x://h/\u00e9", "x://h/a%", "x://h/a%4", "x://h/a%zz", "x://h/a%8g", "x://h/a%g8",
			"urn:%41", "x://h?%41", "x://h/a?b=%41", "x://h/a?b=%2500", "x://h/a?b=%255C", "x://h/a?b=%25255C", "x://h/a?b=%257F", "x://h/a?b=%250A", "x://h/a?b=/%252E%252E/c", "x://h/a?b=%", "x://h/a?b=%0",
			"https:h/a", "https:/h/a", "https:///a", "https://", "https:", "file:/a", "file:a", "file://h/a", "https://u@h/a", "https://H/a", "https://h%21/a", "https://%C3%A9/a", "https://127.1/a", "https://127.1:8443/a",
			"https://0x7f.0.0.1/a", "https://[::0:1]/a", "https://h:443/a", "http://h:80/a", "x://h:/a", "x://h:08/a", "x://h./a", "x://h.:8/a", "x:/a", "urn:a/../b", "urn:a/./b", "urn:a;b", "urn:a//b", "urn:a.",
			"x://h/a//b", "x://h//a", "x://h/./a", "x://h/a/..", "x://h/a.", "x://h/a./b", "x://h/a;b", "x://h/a%20/b", "x://h/a%20#b", "x://h/a%20", "x://h/%20a", "x://h/a?b/../c", "x://h/a?b/./c", "x://h/a#../b", "x://h/a#b;..",
			"x://h/%E9", "x://h/%EF%BF%BD", "x://h/a/%E2%80%8B/b", "x://h/%E2%80%A5/b", "x://h/%EF%BC%852e",
		},
		"listed": {"file:///listed"},
	} {
		for _, uri := range uris {
			assert.Equal(t, want, book.need(book.set.Find(uri, nil)), "%q", uri)
		}
	}
}

// An escape stands where the character itself would mean something else, and nowhere else.
func TestEscapes_MCP_51(t *testing.T) {
	book := bookOf(t, map[string]string{"*": "rest", "x://h/listed": "listed"})
	for c := range 256 {
		unreserved := strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", rune(c)) && c < 0x80
		control, noUTF8 := c < ' ' || c == 0x7f || c == '\\', c >= 0x80
		for _, row := range []struct {
			format string
			served bool
		}{
			{"x://h/a%%%02Xb", !unreserved && !control && !noUTF8 && c != '/' && c != '%'},
			{"x://h/a?b=%%%02Xb", !unreserved && !control && !noUTF8},
		} {
			uri := fmt.Sprintf(row.format, c)
			want := map[bool]string{true: "rest", false: "nobody"}[row.served]
			assert.Equal(t, want, book.need(book.set.Find(uri, nil)), uri)
			lower := strings.Replace(uri, uri[strings.IndexByte(uri, '%'):][:3], strings.ToLower(uri[strings.IndexByte(uri, '%'):][:3]), 1)
			assert.Equal(t, want, book.need(book.set.Find(lower, nil)), lower)
		}
	}
}

// A pattern that can cover no URI is a mistake, one that covers a single one is none.
func TestDeadPatterns_MCP_51(t *testing.T) {
	for _, key := range []string{
		"file://h/*", "file://h*", "file://{h}/a", "urn:../*", "urn:a/./*", "urn:a;b/*", "x://h/../*", "x://h/a;b/*", "x://h/a//*", "x://h/a./{v}", "x://a b*", "x://a\\*", "x://a\x7f*", "x://\u00e9*", "x://h/a%41*", "x://h/%41b%*", "x://h/a%2e*", "x://h/a%5C*",
		"X:*", "File:///d/*", "1*", "X*", "a_b*", "/a*", "%*", ":*", "https:h*", "https:/h*", "file:a*", "file:/a*", "x:/a*", "x:/a/*", "https:///*", "https://H/*", "https://u@h/*", "https://h:443/*", "https://127.1/*", "x://h./*", "x://h:/*", "x://h:08?*", "file://h?*", "x://h/a%2Fb*", "x://h/a%25*", "x://h?a%41*",
	} {
		_, problems := URIs([]string{key})
		assert.Len(t, problems, 1, "%q", key)
	}
	for _, key := range []string{
		"*", "x*", "x:*", "x:/*", "x://*", "x:///*", "file:*", "file:/*", "file://*", "file:///*", "file:///d/*", "file:///{path}", "file://{+any}", "file://{+h}/a", "x://a;b/*", "x://a;b*", "x://h/a.*", "x://h/a;*", "x://h/.*", "x://h/a%*", "x://h/a%4*", "x://h/%C3*", "x://h/a%C3%A9*", "x://h/a!*",
		"x://h/a%2F{v}", "x://h/a b{v}", "x://h/\u00e9/{v}", "urn:a:*",
		"a.b-c+d0*", "https*", "https:*", "https:/*", "https://*", "https://H*", "https://h:443*", "https://h:8443/*", "http://h:443/*", "x://u@H/*", "x://h:*", "x://h.*", "urn:a/*", "file://?a*", "x://h?a%2Fb%25*", "x://h?a%*", "X://h/{v}", "https://h:443/{v}", "https://{h}/{v}",
	} {
		_, problems := URIs([]string{key})
		assert.Empty(t, problems, "%q", key)
	}
}
