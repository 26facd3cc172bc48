package strictjson

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The characters beside the digits and letters are none.
func TestHexDigits_TOK_23(t *testing.T) {
	const digits = "0123456789abcdefABCDEF"
	for c := range 128 {
		for at := range 4 {
			unit := []byte("0030")
			unit[at] = byte(c)
			err := Valid([]byte(`["\u`+string(unit)+`"]`), Limits{})
			if strings.IndexByte(digits, byte(c)) >= 0 {
				require.NoError(t, err, "%q", unit)
				continue
			}
			require.ErrorIs(t, err, ErrSyntax, "TOK-23 %q", unit)
		}
	}
	for _, text := range []string{`["\x0041"]`, `["\U0041"]`, `["\2"]`, `["\4"]`, `["\&"]`, `["\."]`, "[\"\\\x1c\"]", `["\u004`, `["\u`, `["\`} {
		require.ErrorIs(t, Valid([]byte(text), Limits{}), ErrSyntax, text)
	}
	for _, text := range []string{`["\ud83dxude00"]`, `["\ud83d ude00"]`, `["\ud83d"]`, `["\ud83d\u0041"]`, `["\ude00\ud83d"]`} { // half of a pair is no character
		require.ErrorIs(t, Valid([]byte(text), Limits{StrictStrings: true}), ErrSurrogate, text)
	}
	for text, length := range map[string]int{`["\u0041"]`: 7, `true`: 3, `false`: 4, `null`: 2} { // nothing behind the text is read
		data := []byte(text)
		require.Error(t, Valid(data[:length], Limits{}), text)
		require.Error(t, Valid(data[:length:length], Limits{}), text)
	}
	for _, digit := range digits {
		r := NewReader(fmt.Appendf(nil, `"\u00%c0"`, digit), Limits{})
		got, err := r.String()
		require.NoError(t, err)
		var want rune
		_, err = fmt.Sscanf(string(digit)+"0", "%x", &want)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
	}
}

// A Reader that has read another text reads the next as a new one does, wherever it
// was left: nothing of one caller's text decides about another's.
func TestReset_AnyState_CONC_01(t *testing.T) {
	many := new(strings.Builder) // more names than are searched one by one
	for i := range 2 * inlineNames {
		fmt.Fprintf(many, `"a%d":{"a":1,"b\u0062":2},`, i)
	}
	texts := []string{
		``, ` `, `1`, `{}`, `[`, `{"a":`, `{"a":1`, `{"a":1,"a":2}`, `{"a":{"b":[{"c":1},`, "\"\xff\"", `[[[[[[[[1]]]]]]]]`, `"\ud800"`, `{"\u0061":1,"a":2}`,
		`{` + many.String() + `"a0":1}`, `{` + many.String() + `"z":1}`, `{"z":{` + many.String() + `"z":`, `{"a0":{"a":1}}`,
	}
	read := func(r *Reader, text string, lim Limits) string {
		r.Reset([]byte(text), lim)
		first := r.Kind()
		_, err := r.Skip()
		if err == nil {
			err = r.End()
		}
		return fmt.Sprint(first, r.Offset(), err)
	}
	// leave stops half-way, in the objects that are open there.
	leave := func(r *Reader, text string) {
		r.Reset([]byte(text), Limits{Depth: 3, Members: 200, StrictStrings: true})
		for r.Object() == nil {
			for {
				if _, ok, err := r.Member(); !ok || err != nil || r.Kind() == Object {
					break
				}
				_, _ = r.Skip()
			}
		}
	}
	for _, before := range texts {
		for _, text := range texts {
			for _, lim := range []Limits{{}, {Depth: 2}, {Members: 3}} {
				want := read(new(Reader), text, lim)
				var r Reader
				read(&r, before, Limits{Depth: 1, Members: 2, StrictStrings: true})
				require.Equal(t, want, read(&r, text, lim), "%q after %q", text, before)
				leave(&r, before)
				r.Reset(nil, Limits{})
				require.Nil(t, r.hashed, "nothing of a text outlives it")
				leave(&r, before)
				require.Equal(t, want, read(&r, text, lim), "%q after half of %q", text, before)
			}
		}
	}
}

// One byte that is not UTF-8 is found wherever it stands, and a character is passed over wherever it stands.
func TestUTF8_AnyOffset_TOK_23(t *testing.T) {
	const length = 130
	for at := range length {
		text := []byte(`"` + strings.Repeat("x", length) + `"`)
		text[1+at] = 0xff
		err := Valid(text, Limits{})
		require.ErrorIs(t, err, ErrUTF8, "TOK-23 at %d", at)
		var failed *Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, 1+at, failed.Offset)
		for _, character := range []string{"\u00e9", "é", "資", "😀"} {
			good := `"` + strings.Repeat("x", at) + character + strings.Repeat("x", length-at) + `"`
			require.NoError(t, Valid([]byte(good), Limits{}), "%q at %d", character, at)
		}
		cut := `"` + strings.Repeat("x", at) + "\xe8\xb3" + `"`
		require.ErrorIs(t, Valid([]byte(cut), Limits{}), ErrUTF8, "TOK-23 cut at %d", at)
	}
}

// A name begins with a quote for who takes the members one by one, too.
func TestMember_Syntax_TOK_23(t *testing.T) {
	for _, text := range []string{`{xa":1}`, `{'a":1}`, `{a:1}`, `{"a:1}`, `{"a"1}`, `{"a";1}`, `{,"a":1}`, `{"a`, `{`, `{ `} {
		r := NewReader([]byte(text), Limits{})
		require.NoError(t, r.Object())
		_, ok, err := r.Member()
		assert.False(t, ok, text)
		assert.ErrorIs(t, err, ErrSyntax, text)
	}
	for text, offset := range map[string]int{`1.x`: 2, `-x`: 1, `1ex`: 2, `01`: 0, `1e+`: 3, `1.`: 2, `-01`: 1} {
		err := Valid([]byte(text), Limits{})
		var failed *Error
		require.ErrorAs(t, err, &failed, text)
		assert.Equal(t, offset, failed.Offset, text)
	}
}

// What is in doubt is no text: readers that ignore case, or take the last of two, would see another one.
func TestMemberText_MCP_63(t *testing.T) {
	for in, want := range map[string]string{
		`{"name":"a"}`: "a", `{"x":{"name":"b"},"name":"\u0061"}`: "a", `{"name":"a","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`: "a",
		`{"Name":"b","name":"a"}`: "", `{"name":"a","NAME":1}`: "", `{"name":"a","name":"b"}`: "", `{"name":1}`: "", `{"name":"a"`: "",
		`{"name":"a","x":}`: "", `{"name":"\ud800"}`: "", `{}`: "", `["name","a"]`: "", `"name"`: "", ``: "",
	} {
		assert.Equal(t, want, MemberText([]byte(in), "name", Limits{}), in)
	}
	assert.Empty(t, MemberText([]byte(`{"x":1,"name":"a"}`), "name", Limits{Members: 1}))
	for in, want := range map[string]bool{`{"name":1}`: true, `{"n\u0061me":1}`: true, `{"Name":1}`: false, ``: false} {
		assert.Equal(t, want, MayHave([]byte(in), `"name"`), in)
	}
}
