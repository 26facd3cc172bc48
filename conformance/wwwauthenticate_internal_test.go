package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseChallenges_CHAL_10(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string // scheme name=value ... | ..., or "error"
	}{
		{nil, ""},
		{[]string{`Bearer`}, "Bearer"},
		{[]string{`Bearer realm="x"`}, "Bearer realm=x"},
		{[]string{`Bearer a=b, C="d e"`}, "Bearer a=b c=d e"},
		{[]string{`Bearer a = "b" ,c=d`}, "Bearer a=b c=d"},
		{[]string{`Basic realm="x", Bearer a="b"`}, "Basic realm=x | Bearer a=b"},
		{[]string{`Negotiate, Bearer a=b`}, "Negotiate | Bearer a=b"},
		{[]string{`Bearer a="b"`, `DPoP algs="ES256"`}, "Bearer a=b | DPoP algs=ES256"},
		{[]string{` , Bearer a="\"\\\x",`}, `Bearer a="\x`},
		{[]string{`Bearer a="b`}, "error"},
		{[]string{`Bearer a="b\`}, "error"},
		{[]string{"Bearer a=\"b\nc\""}, "error"},
		{[]string{`Bearer a="b", a="c"`}, "error"},
		{[]string{`Bearer a="b", A="c"`}, "error"},
		{[]string{`Bearer a="b" c="d"`}, "error"},
		{[]string{`Negotiate YWJj==, Bearer a=b`}, "Negotiate | Bearer a=b"},
		{[]string{`Bearer a=@`}, "error"},
		{[]string{`"Bearer" a=b`}, "error"},
		{[]string{`Bearer=x`}, "error"},
	} {
		all, err := parseChallenges(tt.lines)
		if tt.want == "error" {
			assert.Error(t, err, "%q", tt.lines)
			continue
		}
		assert.NoError(t, err, "%q", tt.lines)
		var got []string
		for _, c := range all {
			text := c.scheme
			for _, name := range []string{"realm", "a", "c", "algs"} {
				if value, ok := c.params[name]; ok {
					text += " " + name + "=" + value
				}
			}
			got = append(got, text)
		}
		assert.Equal(t, tt.want, strings.Join(got, " | "), "%q", tt.lines)
	}
}

// FuzzParseChallenges: a hostile header ends, and is never read as nothing and right at once.
func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer a="b", Basic realm=x`)
	f.Fuzz(func(t *testing.T, line string) {
		all, err := parseChallenges([]string{line})
		if err == nil && len(all) == 0 && strings.Trim(line, ", \t") != "" {
			t.Errorf("%q is read as no challenge", line)
		}
	})
}

func TestDuplicateMember(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `{"a":1,"b":{"a":1}}`: "", `{"a":1,"\u0061":2}`: "a", `{"a":1,"b":2,"b":3}`: "b", `[]`: "", `{`: "", `{"a"`: "", `{"a":`: "",
	} {
		assert.Equal(t, want, duplicateMember([]byte(text)), text)
	}
}
