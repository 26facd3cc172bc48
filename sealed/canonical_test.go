package sealed

import (
	"bytes"
	"encoding/json"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

func TestCanonical_STATE_02(t *testing.T) {
	seen := map[string][]string{}
	for _, same := range [][]string{
		{`{"b":2,"a":1.0}`, `{"a":1,"b":2}`, ` { "a" : 1e0 , "b" : 20E-1 } `, `{"\u0061":10e-1,"b":2.000}`},
		{`0`, `-0`, `0.0`, `0e9`, `-0.00e-9`},
		{`100`, `1e2`, `1E+2`, `0.1e3`, `100.0`, `1000e-1`},
		{`-12.5`, `-125e-1`, `-0.125e2`},
		{`9007199254740993`, `9007199254740993.0`, `9.007199254740993e15`},
		{`"\u00e9\/\u0022\n"`, `"é/\"\u000a"`},
		{`[]`, ` [ ] `}, {`{}`}, {`true`}, {`false`}, {`null`}, {`""`}, {`[[]]`}, {`[{}]`}, {`["a","b"]`}, {`["a,b"]`}, {`["ab"]`},
		{`{"a":"1"}`}, {`{"a":1}`}, {`{"a":[1]}`}, {`{"a":null}`}, {`{"":0}`}, {`{"a":{"b":1},"c":2}`}, {`{"a":{"b":1,"c":2}}`},
		{`9007199254740992`}, {`9007199254740993e1`}, {`0.1`}, {`0.10000000000000000555`}, {`1e400`}, {`1e401`},
		{`1e9999999999999999999`}, {`1e9999999999999999998`}, {`1e1099511627777`}, {`1.0e1099511627777`},
		{`1e-1099511627776`, `1.0e-1099511627776`}, {`1e-1099511627777`}, {`1.0e-1099511627777`}, {`10e-1099511627777`}, {`10e1099511627777`}, {`1e1099511627776`, `10e1099511627775`, `1.0e1099511627776`}, {`1e-9999999999999999999`}, {`[1,2]`}, {`[12]`}, {`[2,1]`}, {`"true"`}, {`"1"`}, {`1`}, {`-1`}, {`10`},
	} {
		want, err := canonical([]byte(same[0]))
		require.NoError(t, err, same[0])
		for _, text := range same {
			got, err := canonical([]byte(text))
			require.NoError(t, err, text)
			assert.Equal(t, string(want), string(got), text)
		}
		seen[string(want)] = append(seen[string(want)], same[0])
	}
	for _, texts := range seen {
		assert.Len(t, texts, 1, "they have different values")
	}
	for _, text := range []string{``, `{`, `{"a":1,"a":1}`, `{"a":1}x`, `"\ud800"`, "\"\xff\"", `01`, `-`, `{"a":-}`, `{"b":1,"a":-}`, `[1,]`, `["\x"]`, `[[1}`, `{"a":{"b":1]}`, `[truf]`, `{"b":tru,"a":1}`, strings.Repeat("[", 65) + strings.Repeat("]", 65)} {
		_, err := canonical([]byte(text))
		assert.Error(t, err, text)
	}
	_, err := canonical([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64)))
	assert.NoError(t, err)
}

// The text is part of what a state is bound to: replicas of two builds have the same.
func TestCanonicalForm_STATE_08(t *testing.T) {
	field := func(text string) string { return "\x00\x00\x00\x00\x00\x00\x00" + string(rune(len(text))) + text }
	got, err := canonical([]byte(`{"b":[0,-1.50,true,null,[]],"a":"é","":{"z":1e3,"y":{}}}`))
	require.NoError(t, err)
	assert.Equal(t, "{"+field("")+"{"+field("y")+"{}"+field("z")+"n"+field("1e3")+"}"+field("a")+"s"+field("é")+
		field("b")+"[n"+field("0")+"n"+field("-15e-1")+"truenull[]]}", string(got))
}

// As many members as the wrapper takes, and no more.
func TestMembers_STATE_02(t *testing.T) {
	most := `{"params":[` + strings.Repeat(`{"":0},`, 100_000-1) + `0]}`
	_, err := find([]byte(most))
	assert.NoError(t, err)
	_, err = find([]byte("[" + most + `,{"":0}]`))
	assert.ErrorIs(t, err, strictjson.ErrMembers)
}

// What is nested costs about as much as what is not, wherever its members belong: arguments are anybody's.
func TestCanonical_Nested_STATE_02(t *testing.T) {
	content := `"` + strings.Repeat("x", 1<<20) + `"`
	cost := func(text string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := canonical([]byte(text))
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		return after.TotalAlloc - before.TotalAlloc
	}
	flat := cost(`{"a":` + content + `}`)
	for _, open := range []string{`{"a":`, `{"z":1,"a":`, `[`} {
		end := map[byte]string{'{': "}", '[': "]"}[open[0]]
		nested := cost(strings.Repeat(open, 60) + content + strings.Repeat(end, 60))
		t.Logf("%s: %d KiB, flat %d KiB", open, nested>>10, flat>>10)
		assert.Less(t, nested, 4*flat, open)
	}
}

// FuzzCanonical compares with a reader and an arithmetic that are not ours.
func FuzzCanonical(f *testing.F) {
	for _, pair := range [][2]string{{`{"b":2,"a":1.0}`, `{"a":1,"b":2}`}, {`[1e2,"x"]`, `[100,"\u0078"]`}, {`9007199254740993`, `9007199254740992`}, {`{"a":"1"}`, `{"a":1}`}, {`-0`, `0`}} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, errX := canonical(a)
		y, errY := canonical(b)
		if errX != nil || errY != nil {
			return
		}
		if again, err := canonical(reordered(t, a)); err != nil || !bytes.Equal(x, again) {
			t.Errorf("%q: written again by encoding/json it is another (%v)", a, err)
		}
		if len(a)+len(b) > 200 || strings.ContainsAny(string(a)+string(b), "eE") {
			return // numbers that take the oracle too long
		}
		if equal(decoded(t, a), decoded(t, b)) != bytes.Equal(x, y) {
			t.Errorf("%q and %q", a, b)
		}
	})
}

func decoded(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return v
}

// reordered is a text as a client may write it that keeps numbers as they are.
func reordered(t *testing.T, text []byte) []byte {
	out, err := json.MarshalIndent(decoded(t, text), " ", "\t")
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return out
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			other, ok := b[name]
			if !ok || !equal(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, okX := new(big.Rat).SetString(a.String())
		y, okY := new(big.Rat).SetString(b.String())
		return okX && okY && x.Cmp(y) == 0
	}
	return a == b
}
