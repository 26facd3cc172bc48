package challenge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// clean is what a reader must get back for a written value.
func clean(value string) string {
	var b strings.Builder
	for _, r := range value {
		if r < ' ' || r > '~' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// readable reports whether the reader takes the whole of s for a token.
func readable(s string) bool {
	r := &reader{rest: s}
	_, err := r.token()
	return err == nil && r.rest == ""
}

// FuzzFormat covers CHAL-10: whatever goes in, a strict reader finds one
// challenge with each name once, and gets the cleaned values back.
func FuzzFormat(f *testing.F) {
	corpus, err := filepath.Glob("testdata/fuzz/FuzzFormat/*")
	require.NoError(f, err)
	require.NotEmpty(f, corpus, "the committed corpus is gone")
	f.Fuzz(func(t *testing.T, scheme, name1, value1, name2, value2 string) {
		line := Format(scheme, Param{name1, value1}, Param{name2, value2})
		for i := range len(line) {
			if line[i] < ' ' || line[i] > '~' {
				t.Fatalf("byte %#x leaves in %q", line[i], line)
			}
		}
		if !readable(scheme) {
			require.Empty(t, line)
			return
		}
		want := map[string]string{}
		for _, p := range []Param{{name1, value1}, {name2, value2}} {
			key := strings.ToLower(p.Name)
			if _, twice := want[key]; !twice && p.Value != "" && readable(p.Name) {
				want[key] = clean(p.Value)
			}
		}
		got, err := parse(line)
		require.NoError(t, err, "%q", line)
		require.Equal(t, scheme, got.scheme)
		require.Equal(t, want, got.values)
	})
}

// FuzzDescription covers CHAL-11 and CHAL-09: the charsets of RFC 6750 hold
// for every input, and a joined scope list splits into what went in.
func FuzzDescription(f *testing.F) {
	entries, err := os.ReadDir("testdata/fuzz/FuzzDescription")
	require.NoError(f, err)
	require.NotEmpty(f, entries, "the committed corpus is gone")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := Description(a)
		require.LessOrEqual(t, len(d), 200)
		for i := range len(d) {
			c := d[i]
			ok := c == 0x20 || c == 0x21 || 0x23 <= c && c <= 0x5b || 0x5d <= c && c <= 0x7e
			require.True(t, ok, "%#x", c)
		}
		joined := JoinScopes([]string{a, b, a})
		for _, s := range strings.Split(joined, " ") {
			require.True(t, joined == "" || s == a || s == b, "%q is neither %q nor %q", s, a, b)
		}
	})
}
