package strictjson

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// expected are words of all lengths that are told in different ways, some of which
// differ in one byte only.
var expected = Words(Expect("a", "ab", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghijklmno", "abcdefghijklmnop",
	"io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/ProtocolVersion"))

// fields renders the members of an object as Field reads them: a word, or another
// name in brackets, with the kind and the text of the value.
func fields(text string, words Words, lim Limits) (read string, err error) {
	r := NewReader([]byte(text), lim)
	if err := r.Object(); err != nil {
		return "", err
	}
	for seen := uint64(0); ; {
		name, v, err := r.Field(words, &seen)
		if v.Kind == Invalid || err != nil {
			return read, err
		}
		if name == "" {
			name = "(" + string(r.Name()) + ")"
		}
		if v.Kind == Object || v.Kind == Array {
			v.Raw, _ = r.Skip()
		}
		read += fmt.Sprintf("%s %d %s %s|", name, v.Kind, v.Raw, v.Text())
	}
}

func TestField_MCP_01(t *testing.T) {
	for _, row := range []struct {
		name, text, read string
		err              error
	}{
		{"empty", `{ }`, ``, nil},
		{"every kind", `{"a":"x","ab":-1.5,"abcdefg":true,"abcdefgh":false,"abcdefghi":null,"x":{"a":1},"y":[1]}`,
			`a 3 "x" x|ab 4 -1.5 -1.5|abcdefg 5 true true|abcdefgh 6 false false|abcdefghi 7 null null|(x) 1 {"a":1} {"a":1}|(y) 2 [1] [1]|`, nil},
		{"space", "{ \"a\" :\n1 , \"ab\":\t2 }", `a 4 1 1|ab 4 2 2|`, nil},
		{"escapes", `{"\u0061":"\u0062","abcdefghijklmno\u0070":"\"","\u0078":""}`, `a 3 "\u0062" b|abcdefghijklmnop 3 "\"" "|(x) 3 "" |`, nil},
		{"near misses", `{"":1,"A":1,"abc":1,"abcdefgx":1,"xbcdefghi":1,"abcdefghixklmnop":1,"a\"":1}`,
			`() 4 1 1|(A) 4 1 1|(abc) 4 1 1|(abcdefgx) 4 1 1|(xbcdefghi) 4 1 1|(abcdefghixklmnop) 4 1 1|(a") 4 1 1|`, nil},
		{"twice", `{"a":1,"a":2}`, `a 4 1 1|`, ErrDuplicate},
		{"twice, then escaped", `{"a":1,"\u0061":2}`, `a 4 1 1|`, ErrDuplicate},
		{"twice, first escaped", `{"\u0061":1,"a":2}`, `a 4 1 1|`, ErrDuplicate},
		{"twice, both escaped", `{"\u0061":1,"\u0061":2}`, `a 4 1 1|`, ErrDuplicate},
		{"twice, then with space", `{"a":1,"a" :2}`, `a 4 1 1|`, ErrDuplicate},
		{"twice, first with space", `{"a" :1,"a":2}`, `a 4 1 1|`, ErrDuplicate},
		{"another one twice", `{"x":1,"a":1,"x":2}`, `(x) 4 1 1|a 4 1 1|`, ErrDuplicate},
		{"one of an inner object", `{"a":{"a":1,"b":1},"b":1}`, `a 1 {"a":1,"b":1} {"a":1,"b":1}|(b) 4 1 1|`, nil},
		{"no colon", `{"a"1}`, ``, ErrSyntax},
		{"no value", `{"a":}`, ``, ErrSyntax},
		{"ends after the name", `{"a"`, ``, ErrSyntax},
		{"ends after the colon", `{"a":`, ``, ErrSyntax},
		{"ends in a word", `{"abcdefghij`, ``, ErrSyntax},
		{"broken string", `{"a":"x`, ``, ErrSyntax},
		{"broken number", `{"a":01}`, ``, ErrSyntax},
		{"broken word", `{"a":nul}`, ``, ErrSyntax},
		{"lone surrogate", `{"a":"\ud800"}`, ``, ErrSurrogate},
		{"more members than allowed", `{"a":1,"x":1,"y":1,"ab":1}`, `a 4 1 1|(x) 4 1 1|(y) 4 1 1|`, ErrMembers},
	} {
		t.Run("MCP-01 "+row.name, func(t *testing.T) {
			lim := Limits{}
			if row.err == ErrMembers {
				lim.Members = 3
			}
			read, err := fields(row.text, expected, lim)
			assert.Equal(t, row.read, read)
			require.ErrorIs(t, err, row.err)
			if row.err != ErrSurrogate && row.err != ErrMembers {
				require.ErrorIs(t, Valid([]byte(row.text), Limits{}), row.err, "Skip")
			}
		})
	}
	_, err := fields(`[]`, expected, Limits{})
	require.ErrorIs(t, err, ErrKind)
}

// Wherever a word differs from what is written, in whichever byte, it is not taken
// for it, and where it does not it is.
func TestFieldEveryByte_MCP_01(t *testing.T) {
	for _, word := range expected {
		for at := range len(word.Text) {
			for _, c := range []byte{word.Text[at], 'Z', '~', 0x7f} {
				name := word.Text[:at] + string(rune(c)) + word.Text[at+1:]
				for _, text := range []string{`{"` + name + `":1}`, `{"` + name + `":1,"after":"a long text"}`, `{"` + name[:at] + `":1}`} {
					read, err := fields(text, expected, Limits{})
					require.NoError(t, err)
					written := strings.Split(text, `"`)[1]
					want := "(" + written + ") 4 1 1|"
					if expected.index([]byte(written)) >= 0 {
						want = written + " 4 1 1|"
					}
					require.True(t, strings.HasPrefix(read, want), "%s: %s", text, read)
				}
			}
		}
	}
	read, err := fields(`{"cd":1,"ab":2,"ef":3}`, Expect("ab", "cd"), Limits{})
	require.NoError(t, err)
	require.Equal(t, "cd 4 1 1|ab 4 2 2|(ef) 4 3 3|", read, "of the same length")
	require.Len(t, Expect(make([]string, 64)...), 64)
	require.Panics(t, func() { Expect(make([]string, 65)...) }, "a name without a bit could stand twice")
}

// TestValue reads values outside of objects.
func TestValue_MCP_01(t *testing.T) {
	r := NewReader([]byte(`["\u0061",[1],null]`), Limits{})
	require.NoError(t, r.Array())
	_, err := r.Element()
	require.NoError(t, err)
	v, err := r.Value()
	require.NoError(t, err)
	assert.Equal(t, `"\u0061" is a`, string(v.Raw)+" is "+string(v.Text()))
	_, _ = r.Element()
	v, err = r.Value()
	require.NoError(t, err)
	assert.Equal(t, Array, v.Kind)
	require.NoError(t, r.Array(), "it comes next")
	_, err = r.Value()
	require.ErrorIs(t, err, ErrOrder, "an element has to be asked for")
	_, _, err = NewReader([]byte(`{"a":1}`), Limits{}).Field(expected, new(uint64))
	require.ErrorIs(t, err, ErrOrder, "and an object to be entered")
}
