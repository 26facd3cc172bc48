package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refusals are texts with the reason for which Valid refuses them; nil is
// acceptance. Each also stands inside an array and an object.
var refusals = []struct {
	name string
	text string
	want error
}{
	{"MCP-04 empty text", ``, ErrSyntax},
	{"MCP-12 white space only", " \t\r\n", ErrSyntax},
	{"MCP-04 byte order mark", "\ufeff{}", ErrSyntax},
	{"MCP-04 block comment", `{/**/}`, ErrSyntax},
	{"MCP-04 line comment", "{}//", ErrSyntax},
	{"MCP-04 NaN", `NaN`, ErrSyntax},
	{"MCP-04 Infinity", `-Infinity`, ErrSyntax},
	{"MCP-04 second value", `{}{}`, ErrSyntax},
	{"MCP-04 trailing garbage", `{}zzz`, ErrSyntax},
	{"MCP-04 trailing NUL", "{}\x00", ErrSyntax},
	{"MCP-04 vertical tab", "\v{}", ErrSyntax},
	{"MCP-04 no-break space", "\u00a0{}", ErrSyntax},
	{"MCP-04 trailing comma in object", `{"a":1,}`, ErrSyntax},
	{"MCP-04 trailing comma in array", `[1,]`, ErrSyntax},
	{"MCP-04 leading comma in array", `[,1]`, ErrSyntax},
	{"MCP-04 leading comma in object", `{,"a":1}`, ErrSyntax},
	{"MCP-04 double comma", `[1,,2]`, ErrSyntax},
	{"MCP-04 no comma in array", `[1 2]`, ErrSyntax},
	{"MCP-04 no comma in object", `{"a":1 "b":2}`, ErrSyntax},
	{"MCP-04 no colon", `{"a" 1}`, ErrSyntax},
	{"MCP-04 no value", `{"a":}`, ErrSyntax},
	{"MCP-04 name is no string", `{a:1}`, ErrSyntax},
	{"MCP-04 single quotes", `{'a':1}`, ErrSyntax},
	{"MCP-04 mismatched close", `[1}`, ErrSyntax},
	{"MCP-04 mismatched close of object", `{"a":1]`, ErrSyntax},
	{"MCP-04 unopened close", `]`, ErrSyntax},
	{"MCP-04 open array", `[`, ErrSyntax},
	{"MCP-04 open array after value", `[1`, ErrSyntax},
	{"MCP-04 open object", `{`, ErrSyntax},
	{"MCP-04 open object after name", `{"a"`, ErrSyntax},
	{"MCP-04 open object after colon", `{"a":`, ErrSyntax},
	{"MCP-04 open object after comma", `{"a":1,`, ErrSyntax},
	{"MCP-04 open string", `"abc`, ErrSyntax},
	{"MCP-04 open string of a word", `"abcdefgh`, ErrSyntax},
	{"MCP-04 open string after backslash", `"abc\`, ErrSyntax},
	{"MCP-04 open name", `{"abc`, ErrSyntax},
	{"MCP-04 unknown escape", `"\x41"`, ErrSyntax},
	{"MCP-04 upper case escape", `"\N"`, ErrSyntax},
	{"MCP-04 short hex escape", `"\u12"`, ErrSyntax},
	{"MCP-04 bad hex escape", `"\u12g4"`, ErrSyntax},
	{"MCP-04 braces in hex escape", `"\u{41}"`, ErrSyntax},
	{"MCP-04 newline in string", "\"a\nb\"", ErrSyntax},
	{"MCP-04 control in a long string", "\"0123456789abcdef\x1f0123456789\"", ErrSyntax},
	{"MCP-04 NUL in string", "\"a\x00b\"", ErrSyntax},
	{"MCP-04 tab in name", "{\"a\tb\":1}", ErrSyntax},
	{"MCP-04 short literal", `tru`, ErrSyntax},
	{"MCP-04 long literal", `truee`, ErrSyntax},
	{"MCP-04 literal in upper case", `True`, ErrSyntax},
	{"MCP-04 misspelt false", `falze`, ErrSyntax},
	{"MCP-04 misspelt null", `nul1`, ErrSyntax},
	{"MCP-04 plus sign", `+1`, ErrSyntax},
	{"MCP-04 leading zero", `01`, ErrSyntax},
	{"MCP-04 negative leading zero", `-01`, ErrSyntax},
	{"MCP-04 lone minus", `-`, ErrSyntax},
	{"MCP-04 fraction without digits", `1.`, ErrSyntax},
	{"MCP-04 fraction only", `.5`, ErrSyntax},
	{"MCP-04 exponent without digits", `1e`, ErrSyntax},
	{"MCP-04 signed exponent without digits", `1e+`, ErrSyntax},
	{"MCP-04 hexadecimal number", `0x10`, ErrSyntax},
	{"MCP-04 number with underscore", `1_000`, ErrSyntax},
	{"MCP-04 fullwidth digit", "１", ErrSyntax},

	{"MCP-05 stray byte", "\"adm\xffin\"", ErrUTF8},
	{"MCP-05 overlong quote", "\"\xc0\xa2\"", ErrUTF8},
	{"MCP-05 encoded surrogate", "\"\xed\xa0\x80\"", ErrUTF8},
	{"MCP-05 beyond U+10FFFF", "\"\xf4\x90\x80\x80\"", ErrUTF8},
	{"MCP-05 truncated character", "\"\xe2\x82\"", ErrUTF8},
	{"MCP-05 bytes after the value", "{}\xff", ErrUTF8},
	{"MCP-05 UTF-16", "{\x00}\x00", ErrSyntax},
	{"MCP-05 lone surrogate in name", `{"\ud800":1}`, ErrSurrogate},
	{"MCP-05 lone low surrogate in name", `{"a\udc00b":1}`, ErrSurrogate},
	{"MCP-05 swapped surrogates in name", `{"\udc00\ud800":1}`, ErrSurrogate},

	{"TOK-23 duplicate", `{"alg":"none","alg":"RS256"}`, ErrDuplicate},
	{"DISC-13 duplicate issuer", `{"issuer":"I","issuer":"https://evil"}`, ErrDuplicate},
	{"JWKS-25 duplicate keys", `{"keys":[],"keys":[{"kty":"RSA"}]}`, ErrDuplicate},
	{"JWKS-25 duplicate in a key", `{"keys":[{"kty":"RSA","kid":"a","kid":"b"}]}`, ErrDuplicate},
	{"JWKS-25 trailing bytes", `{"keys":[]}zzz`, ErrSyntax},
	{"TOK-23 duplicate audience", `{"aud":"R","aud":"x"}`, ErrDuplicate},
	{"TOK-23 second object", `{"sub":"u1"}{"sub":"evil"}`, ErrSyntax},
	{"MCP-02 duplicate by escape", `{"name":1,"\u006eame":2}`, ErrDuplicate},
	{"MCP-02 duplicate, both escaped", `{"\u006eame":1,"n\u0061me":2}`, ErrDuplicate},
	{"MCP-02 duplicate pair", `{"😀":1,"\ud83d\ude00":2}`, ErrDuplicate},
	{"MCP-02 duplicate slash", `{"a/b":1,"a\/b":2}`, ErrDuplicate},
	{"MCP-01 duplicate empty name", `{"":1,"":2}`, ErrDuplicate},
	{"MCP-01 duplicate after nested", `{"a":{"a":[{"a":1}]},"b":1,"a":2}`, ErrDuplicate},
	{"MCP-01 duplicate in array in object", `{"a":[{"x":1,"y":2,"x":3}]}`, ErrDuplicate},
	{"MCP-01 duplicate of a long name", `{"0123456789abcdef":1,"0123456789abcdef":2}`, ErrDuplicate},
	{"MCP-01 duplicate null", `{"a":1,"a":null}`, ErrDuplicate},

	{"MCP-01 same name in two objects", `[{"a":1},{"a":1},{"b":{"b":{"b":1}}}]`, nil},
	{"TOK-24 names differ by case", `{"exp":1,"EXP":2,"Exp":3}`, nil},
	{"MCP-01 names share seven bytes", `{"0123456a":1,"0123456b":2}`, nil},
	{"MCP-01 names share length and NULs", `{"a":1,"a\u0000":2,"a\u0000\u0000":3}`, nil},
	{"MCP-01 no normalization", `{"é":1,"e\u0301":2}`, nil},
	{"MCP-05 lone surrogate in skipped value", `{"a":"\ud800"}`, nil},
	{"MCP-05 pair", `"\ud83d\ude00"`, nil},
	{"MCP-05 noncharacter", "\"\uffff\"", nil},
	{"MCP-05 replacement character", `"\ufffd` + "\ufffd\"", nil},
	{"MCP-05 all escapes", `"\"\\\/\b\f\n\r\t\u00e9\uABCD"`, nil},
	{"MCP-05 delete is no control here", "\"\x7f\"", nil},
	{"MCP-04 space around everything", " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } , \"c\" : [ ] } \n", nil},
	{"MCP-04 numbers", `[0,-0,1,-1,10,0.5,-0.50,1e9,1E+9,2.5e-07,0e0]`, nil},
	{"MCP-04 literals", `[true,false,null]`, nil},
}

func TestValid(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			check(t, tt.text, Limits{}, tt.want)
			if tt.want != nil && (strings.HasPrefix(tt.text, "\ufeff") || !json.Valid([]byte(tt.text))) {
				return // may become right, or wrong in another way, inside another value
			}
			check(t, `[`+tt.text+`]`, Limits{}, tt.want)
			check(t, `{"outer":[1,`+tt.text+`],"x":"y"}`, Limits{}, tt.want)
		})
	}
}

// check compares Valid, and a walk through the whole text, with what is wanted.
func check(t *testing.T, text string, lim Limits, want error) {
	t.Helper()
	err := Valid([]byte(text), lim)
	_, walkErr := walk([]byte(text), lim)
	if want == nil {
		assert.NoError(t, err)
		if !errors.Is(walkErr, ErrSurrogate) { // String is stricter than Skip
			assert.NoError(t, walkErr)
		}
		return
	}
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, walkErr, want)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.LessOrEqual(t, e.Offset, len(text))
	assert.Equal(t, "json: "+want.Error()+" at byte "+fmt.Sprint(e.Offset), err.Error(), "no input in errors")
}

func TestOffsets(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int
	}{
		{"", 0}, {"{\"a\":1,\xff", 7}, {"é\xff", 2}, {"\ufffd\xff", 3}, {`{"a":1,"a":2}`, 7}, {`[1,x]`, 3}, {`{} x`, 3},
		{"資源資源é", 0}, {"\"資源資源é\xed\xa0\x80", 15}, {"[\"資源資源\",\x01]", 16}, {`[1 2]`, 3}, {`[-]`, 2}, {`[01]`, 1},
		{`["a`, 3}, {`["0123456789\x"]`, 12}, {`{"a" 1}`, 5}, {`{"a":1 "b"}`, 7}, {`[[1]}`, 4}, {"[1,\n\t]", 5}, {"[1,nul]", 3}, {"[1,t]", 3},
	} {
		var e *Error
		require.ErrorAs(t, Valid([]byte(tt.text), Limits{}), &e)
		assert.Equal(t, tt.offset, e.Offset, tt.text)
	}
}

func TestDepth(t *testing.T) {
	for _, tt := range []struct {
		name  string
		depth int
		limit int
		want  error
	}{
		{"MCP-06 64 levels", 64, 0, nil},
		{"MCP-06 65 levels", 65, 0, ErrDepth},
		{"MCP-06 65 levels and a higher limit", 65, 1000, ErrDepth},
		{"TOK-23 16 levels", 16, 16, nil},
		{"LIMITS-04 17 levels", 17, 16, ErrDepth},
		{"LIMITS-04 one level", 1, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lim := Limits{Depth: tt.limit}
			check(t, strings.Repeat("[", tt.depth)+"1"+strings.Repeat("]", tt.depth), lim, tt.want)
			check(t, strings.Repeat("[", tt.depth)+strings.Repeat("]", tt.depth), lim, tt.want)
			check(t, strings.Repeat(`{"a":`, tt.depth)+"1"+strings.Repeat("}", tt.depth), lim, tt.want)
			check(t, strings.Repeat(`{"a":`, tt.depth-1)+"{}"+strings.Repeat("}", tt.depth-1), lim, tt.want)
		})
	}
	t.Run("MCP-06 siblings do not add up", func(t *testing.T) {
		check(t, "["+strings.Repeat("[[]],{\"a\":{}},", 500)+"1]", Limits{Depth: 3}, nil)
	})
}

// TestBombs is MCP-06: a hostile text is refused at once.
func TestBombs(t *testing.T) {
	names := func(n int, format string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, format+":0,", i)
		}
		return b.String()
	}
	for _, row := range []struct {
		name, text string
		want       error
		read       int // bytes, at the most
	}{
		{"MCP-06 2 MiB of [", strings.Repeat("[", 2<<20), ErrDepth, MaxDepth},
		{"MCP-06 2 MiB of {\"\":", strings.Repeat(`{"":`, 2<<18), ErrDepth, 4 * MaxDepth},
		{"LIMITS-07 members", names(200_000, `"%d"`), ErrMembers, 10_001 * len(`"10000":0,`)},
		{"LIMITS-07 names of the same shape", names(200_000, `"0123456%06d"`), ErrMembers, 10_001 * len(`"0123456000000":0,`)},
		{"LIMITS-07 small objects", "[" + strings.Repeat(`{"a":0},`, 200_000), ErrMembers, 10_001 * len(`{"a":0},`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := NewReader([]byte(row.text), Limits{})
			_, err := r.Skip()
			require.ErrorIs(t, err, row.want)
			var refused *Error
			require.ErrorAs(t, err, &refused)
			assert.LessOrEqual(t, refused.Offset, row.read, "it reads on, though it knows")
			assert.Equal(t, err, Valid([]byte(row.text), Limits{}))
			if r.hashed == nil {
				return
			}
			steps, mask := uint64(0), uint64(len(r.hashed.slots)-1)
			for at, entry := range r.hashed.slots {
				if entry != 0 {
					steps += (uint64(at) - r.hashed.entries[entry-1].hash) & mask
				}
			}
			// Half of the slots are free: half a step each is what chance makes of it.
			assert.Less(t, steps, 2*uint64(len(r.hashed.entries)), "steps to find all names again")
		})
	}
}

func TestMembers(t *testing.T) {
	object := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":%d`, i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	check(t, object(256), Limits{Members: 256}, nil)
	check(t, object(257), Limits{Members: 256}, ErrMembers) // LIMITS-04
	check(t, object(10_000), Limits{}, nil)
	check(t, object(10_001), Limits{}, ErrMembers)                             // LIMITS-07
	check(t, "["+object(6)+","+object(5)+"]", Limits{Members: 10}, ErrMembers) // in the whole text
}

// TestManyNames finds a duplicate wherever the two names are kept: on the
// stack, in the set, or one of them behind a nested object that fills both.
func TestManyNames(t *testing.T) {
	for _, size := range []int{1, 15, 16, 17, 24, 25, 40, 64, 200} {
		for _, at := range []int{0, size / 2, size - 1} {
			for _, inner := range []int{0, 10, 30, 100} {
				var nested, b strings.Builder
				for i := range inner {
					fmt.Fprintf(&nested, `,"name%04d":0`, i)
				}
				for i := range size {
					fmt.Fprintf(&b, `"name%04d":{%s},`, i, strings.TrimPrefix(nested.String(), ","))
				}
				check(t, "{"+b.String()+`"last":0}`, Limits{Members: 1 << 20}, nil)
				check(t, fmt.Sprintf(`{%s"name%04d":0}`, b.String(), at), Limits{Members: 1 << 20}, ErrDuplicate)
				check(t, fmt.Sprintf(`[{"x":[{%s"n\u0061me%04d":0}]}]`, b.String(), at), Limits{Members: 1 << 20}, ErrDuplicate)
			}
		}
	}
}

// TestNameSetExact proves that equal hashes are not taken for equal names.
func TestNameSetExact(t *testing.T) {
	var s nameSet
	require.True(t, s.add(1, []byte("a")))
	h := s.entries[0].hash
	s.entries[0].name = []byte("z") // as if "z" had the hash of "a"
	assert.True(t, s.add(1, []byte("a")))
	assert.Equal(t, h, s.entries[1].hash)
	assert.False(t, s.add(1, []byte("a")))
	assert.True(t, s.add(2, []byte("a")), "another object")
}

func TestStrictStrings(t *testing.T) {
	strict := Limits{StrictStrings: true}
	for _, text := range []string{`"\ud800"`, `["\udfff"]`, `{"sub":"\ud800"}`, `{"a":["x\ud83d"]}`, `"\ud83d\ud83d\ude00"`, `"\ud800\u0041"`, `"\ud800A"`} {
		require.ErrorIs(t, Valid([]byte(text), strict), ErrSurrogate, "TOK-23 %s", text)
		require.NoError(t, Valid([]byte(text), Limits{}), "%s", text)
		_, err := walk([]byte(text), Limits{})
		require.ErrorIs(t, err, ErrSurrogate, "TOK-23 %s", text)
	}
	require.NoError(t, Valid([]byte(`{"sub":"\ud83d\ude00"}`), strict))
}

func TestString(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{`""`, ""},
		{`"plain"`, "plain"},
		{`"a x"`, "a x"},
		{`"eight by"`, "eight by"},
		{`"資源 and text"`, "資源 and text"},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{`"\u0000\u0041\u00e9\u8cc7\uFfFd"`, "\x00Aé資\ufffd"},
		{`"\ud83d\ude00"`, "😀"},
		{`"before \u0041 after, long enough"`, "before A after, long enough"},
	} {
		r := NewReader([]byte(" "+tt.raw+" "), Limits{})
		raw, got, err := r.RawString()
		require.NoError(t, err)
		assert.Equal(t, tt.want, string(got))
		assert.Equal(t, tt.raw, string(raw))
		assert.Equal(t, 1+len(tt.raw), r.Offset())
		assert.NoError(t, r.End())
	}
}

// TestText returns parts of the caller's copy of the text where it can, and
// never anything but the string.
func TestText(t *testing.T) {
	const text = ` {"iss":"https://as.example.com","sub":"\u0075ser"}`
	for _, tt := range []struct{ name, copy string }{
		{"TOK-65 the same text", text},
		{"TOK-65 another text", strings.Repeat("x", len(text))},
		{"TOK-65 a shorter text", text[:12]},
		{"TOK-65 no text", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader([]byte(text), Limits{})
			require.NoError(t, r.Object())
			_, err := r.Text(tt.copy)
			require.ErrorIs(t, err, ErrOrder)

			r = NewReader([]byte(text), Limits{})
			_, err = r.Text(tt.copy)
			require.ErrorIs(t, err, ErrKind)
			require.NoError(t, r.Object())
			for _, want := range []string{"https://as.example.com", "user"} {
				_, _, err := r.Member()
				require.NoError(t, err)
				got, err := r.Text(tt.copy)
				require.NoError(t, err)
				assert.Equal(t, want, got)
			}
		})
	}
}

// TestStopEveryByte compares the word-at-a-time search with its definition,
// for every byte at every offset and every byte after it.
func TestStopEveryByte(t *testing.T) {
	for c := range 256 {
		for next := range 256 {
			for at := range 12 {
				data := []byte("aaaaaaaaaaaaaaaa")
				data[at], data[at+1] = byte(c), byte(next)
				want := len(data)
				for i, b := range data {
					if b < 0x20 || b == '"' || b == '\\' {
						want = i
						break
					}
				}
				if got := stop(data, 0); got != want {
					t.Fatalf("%q: %d, want %d", data, got, want)
				}
			}
		}
	}
}

// TestNoAlias keeps what was returned earlier from being overwritten, and what
// the caller appends from reaching the text.
func TestNoAlias(t *testing.T) {
	data := []byte(`{"\u0061":"\u0062","c":"d","\u0065":"f"}`)
	before := string(data)
	r := NewReader(data, Limits{})
	require.NoError(t, r.Object())
	var got []string
	var held [][]byte
	for {
		name, ok, err := r.Member()
		require.NoError(t, err)
		if !ok {
			break
		}
		value, err := r.String()
		require.NoError(t, err)
		held = append(held, name, value)
		_, _ = append(name, '!'), append(value, '!')
	}
	for _, b := range held {
		got = append(got, string(b))
	}
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, got)
	assert.Equal(t, before, string(data))
}

func TestScalars(t *testing.T) {
	r := NewReader([]byte(`[9007199254740993, true, false, null, {"a":1}, -0.10e+5]`), Limits{})
	require.NoError(t, r.Array())
	next := func() {
		t.Helper()
		ok, err := r.Element()
		require.NoError(t, err)
		require.True(t, ok)
	}
	next()
	assert.Equal(t, Number, r.Kind())
	n, err := r.Number()
	require.NoError(t, err)
	assert.Equal(t, "9007199254740993", string(n), "TOK-65")
	next()
	assert.Equal(t, True, r.Kind())
	v, err := r.Value()
	require.NoError(t, err)
	assert.Equal(t, True, v.Kind)
	next()
	assert.Equal(t, False, r.Kind())
	v, err = r.Value()
	require.NoError(t, err)
	assert.Equal(t, False, v.Kind)
	next()
	assert.Equal(t, Null, r.Kind())
	require.NoError(t, r.Null())
	next()
	assert.Equal(t, Object, r.Kind())
	raw, err := r.Skip()
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, string(raw))
	next()
	raw, err = r.Skip()
	require.NoError(t, err)
	assert.Equal(t, `-0.10e+5`, string(raw))
	ok, err := r.Element()
	require.NoError(t, err)
	assert.False(t, ok)
	require.NoError(t, r.End())
}

// TestErrKind asks for every kind before the right one: nothing is consumed.
func TestErrKind(t *testing.T) {
	calls := map[Kind]func(*Reader) error{
		Object: (*Reader).Object,
		Array:  (*Reader).Array,
		String: func(r *Reader) error { _, err := r.String(); return err },
		Number: func(r *Reader) error { _, err := r.Number(); return err },
		Null:   (*Reader).Null,
	}
	for kind, text := range map[Kind]string{Object: `{}`, Array: `[]`, String: `""`, Number: `1`, Null: `null`} {
		r := NewReader([]byte(text), Limits{})
		for asked, call := range calls {
			if asked != kind {
				require.ErrorIs(t, call(r), ErrKind, "%s", text)
			}
		}
		require.NoError(t, calls[kind](r), "%s", text)
	}
	for _, call := range calls {
		require.ErrorIs(t, call(NewReader([]byte(`x`), Limits{})), ErrSyntax)
		require.ErrorIs(t, call(NewReader([]byte(``), Limits{})), ErrSyntax)
		require.ErrorIs(t, call(NewReader([]byte("\xff"), Limits{})), ErrUTF8)
		require.Error(t, call(new(Reader)))
	}
	_, err := NewReader([]byte(`1.`), Limits{}).Number()
	require.ErrorIs(t, err, ErrSyntax)
}

// TestOrder calls every method in every place where it does not apply.
func TestOrder(t *testing.T) {
	calls := map[string]func(*Reader) error{
		"Object":  (*Reader).Object,
		"Array":   (*Reader).Array,
		"Member":  func(r *Reader) error { _, _, err := r.Member(); return err },
		"Field":   func(r *Reader) error { _, _, err := r.Field(expected, new(uint64)); return err },
		"Element": func(r *Reader) error { _, err := r.Element(); return err },
		"String":  func(r *Reader) error { _, err := r.String(); return err },
		"Number":  func(r *Reader) error { _, err := r.Number(); return err },
		"Value":   func(r *Reader) error { _, err := r.Value(); return err },
		"Null":    (*Reader).Null,
		"Skip":    func(r *Reader) error { _, err := r.Skip(); return err },
		"End":     (*Reader).End,
	}
	for _, tt := range []struct {
		name  string
		text  string
		steps []string
		wrong string // the calls that do not apply then
	}{
		{"at the start", `{"a":1}`, nil, "Member Field Element End"},
		{"in an object", `{"a":1}`, []string{"Object"}, "Object Array Element String Number Value Null Skip End"},
		{"after a name", `{"a":1}`, []string{"Object", "Member"}, "Member Field Element End"},
		{"after a value", `{"a":1}`, []string{"Object", "Member", "Skip"}, "Object Array Element String Number Value Null Skip End"},
		{"after an object", `{"a":1}`, []string{"Object", "Member", "Skip", "Member"}, "Object Array Member Field Element String Number Value Null Skip"},
		{"in an array", `[1]`, []string{"Array"}, "Object Array Member Field String Number Value Null Skip End"},
		{"at an element", `[1]`, []string{"Array", "Element"}, "Member Field Element End"},
		{"after an array", `[1]`, []string{"Array", "Element", "Number", "Element"}, "Object Array Member Field Element String Number Value Null Skip"},
		{"after a scalar", `1`, []string{"Number"}, "Object Array Member Field Element String Number Value Null Skip"},
	} {
		for _, wrong := range strings.Fields(tt.wrong) {
			t.Run(tt.name+" "+wrong, func(t *testing.T) {
				var r Reader
				r.Reset([]byte(tt.text), Limits{})
				for _, step := range tt.steps {
					require.NoError(t, calls[step](&r))
				}
				require.ErrorIs(t, calls[wrong](&r), ErrOrder)
				assert.Equal(t, Invalid, r.Kind())
				for name, call := range calls {
					require.ErrorIs(t, call(&r), ErrOrder, "%s after the error", name)
				}
			})
		}
	}
}

// TestNoAllocations is the promise of the package comment for usual texts.
func TestNoAllocations(t *testing.T) {
	text := []byte(`{"iss":"https://as.example.com","aud":["a","b"],"exp":1795000000,"nested":{"list":[{"a":1},{"a":2,"b":[true,null]}]},"scope":"read write"}`)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if Valid(text, Limits{}) != nil {
			t.Fatal("refused")
		}
	}))
}

// TestPass: a value is passed over at any depth and with any names, if it is JSON.
func TestPass_MCP_63(t *testing.T) {
	deep := strings.Repeat(`[{"a":`, 2000) + "1" + strings.Repeat("}]", 2000)
	for _, value := range []string{
		`{}`, `[]`, `7`, `null`, `"a\"]}"`, `{"a":"}\\","b":["]","\"[{"]}`, `{"a":1,"a":2}`, deep, ` [ { "a" : [ ] } , "\ud800" ]`,
	} {
		r := NewReader([]byte(`{"before":1,"value":`+value+` ,"after":2}`), Limits{})
		var seen []string
		require.NoError(t, r.Object())
		for {
			name, more, err := r.Member()
			require.NoError(t, err, value)
			if !more {
				break
			}
			raw, err := r.Pass()
			require.NoError(t, err, value)
			seen = append(seen, string(name), string(raw))
		}
		require.NoError(t, r.End())
		assert.Equal(t, []string{"before", "1", "value", strings.TrimSpace(value), "after", "2"}, seen)
	}
	for _, text := range []string{``, `{`, `[`, `{"a"}`, `[1,]`, `[}`, `{]`, `{"a":[1}`, `["`, `["\x"]`, "[\"\n\"]", `[01]`, `[nul]`, `nul`, "[\"\xff\"]", `[1]]`} {
		r := NewReader([]byte(text), Limits{})
		_, err := r.Pass()
		if err == nil {
			err = r.End()
		}
		assert.Error(t, err, text)
		_, again := r.Pass()
		assert.Error(t, again, "after an error there is no going on: %s", text)
	}
	r := NewReader([]byte(strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)), Limits{})
	_, err := r.Pass()
	assert.ErrorIs(t, err, ErrDepth)
}

// The characters beside the digits of either case are none, at each of the four places.
func TestEscapeDigits_TOK_23(t *testing.T) {
	for place := range 4 {
		for _, c := range "/:@G`g" {
			digits := []byte("0041")
			digits[place] = byte(c)
			text := `"\u` + string(digits) + `"`
			_, err := NewReader([]byte(text), Limits{}).String()
			assert.Error(t, err, text)
			_, err = NewReader([]byte(text), Limits{}).Skip()
			assert.Error(t, err, text)
		}
	}
	for _, digits := range []string{"0039", "00aF", "00fA", "0099"} {
		_, err := NewReader([]byte(`"\u`+digits+`"`), Limits{}).String()
		assert.NoError(t, err, digits)
	}
}

// A Reader that has read a text, or failed in the middle of one, reads the next as a new one does.
func TestReset(t *testing.T) {
	many := "{"
	for i := range 40 { // more names than have a place in the Reader
		many += fmt.Sprintf(`"%d":1,`, i)
	}
	many += `"x":{"a":[1,{"b":`
	read := func(r *Reader) (members int, err error) {
		if err = r.Object(); err != nil {
			return 0, err
		}
		for {
			_, more, err := r.Member()
			if err != nil || !more {
				if err == nil {
					err = r.End()
				}
				return members, err
			}
			if _, err = r.Skip(); err != nil {
				return members, err
			}
			members++
		}
	}
	const next = `{"0":1,"a":{"1":2},"x":[3]}`
	for _, first := range []string{many, many + "1}]}}", "{", `{"a":1}`, `[1`, "\xff", `{"a":1,"a":2}`, ""} {
		r := NewReader([]byte(first), Limits{})
		_, _ = read(r)
		r.Reset([]byte(next), Limits{Members: 4, Depth: 2})
		members, err := read(r)
		assert.NoError(t, err, first)
		assert.Equal(t, 3, members, first)
		r = NewReader([]byte(first), Limits{})
		_ = r.Object()
		_, _, _ = r.Member()
		_ = r.Object()
		r.Reset([]byte(next), Limits{Members: 4, Depth: 2})
		members, err = read(r)
		assert.NoError(t, err, "in the middle of %s", first)
		assert.Equal(t, 3, members, first)
	}
}

// A path leads through objects only, by names as they are decoded.
func TestLookup_CLAIM_14(t *testing.T) {
	for text, want := range map[string]string{
		`{"x":{"a":{"b":0}},"a":{"b": [1] }}`: `[1]`, `{"\u0061":{"b":"c"}}`: `"c"`, `{"a":{"b":null}}`: `null`,
		`{"a":[{"b":1}]}`: "", `{"a":"b"}`: "", `{"A":{"b":1}}`: "", `{"a":{"b":}}`: "", `{"a":{"x":[[[1]]],"b":1}}`: "", `["a"]`: "", ``: "",
	} {
		assert.Equal(t, want, string(Lookup([]byte(text), []string{"a", "b"}, Limits{Depth: 4})), text)
	}
	assert.Nil(t, Lookup([]byte(`{"b":1}`), []string{"a"}, Limits{}))
	assert.Equal(t, "[1]", string(Lookup([]byte("[1]"), nil, Limits{})))
}
