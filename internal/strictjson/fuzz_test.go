package strictjson

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzReader holds the Reader against the oracle: both accept the same texts
// and see the same values in them, whether the text is walked or skipped.
func FuzzReader(f *testing.F) {
	for _, tt := range refusals {
		f.Add([]byte(tt.text), uint8(0), uint8(0))
	}
	f.Fuzz(sameAsOracle)
}

func sameAsOracle(t *testing.T, data []byte, depth, members uint8) {
	lim := Limits{Depth: int(depth), Members: int(members)}
	maxDepth, maxMembers := int(depth), int(members)
	if depth == 0 || depth > MaxDepth {
		maxDepth = MaxDepth
	}
	if members == 0 {
		maxMembers = 10_000
	}
	want, oracleErr := oracleRead(data, maxDepth, maxMembers)

	err := Valid(data, lim)
	require.Equal(t, oracleErr == nil, err == nil, "Skip: %v, %q", err, data)
	lim.StrictStrings = true
	err = Valid(data, lim)
	require.Equal(t, oracleErr == nil && !want.surrogate, err == nil, "strict Skip: %v, %q", err, data)
	got, walkErr := walk(data, lim)
	require.Equal(t, err == nil, walkErr == nil, "walk: %v, %q", walkErr, data)
	byField, fieldErr := walkFields(data, lim)
	require.Equal(t, err == nil, fieldErr == nil, "fields: %v, %q", fieldErr, data)
	if err != nil {
		return
	}
	require.Equal(t, want, got)
	require.Equal(t, want, byField)
	require.True(t, json.Valid(data) && utf8.Valid(data))

	r := NewReader(data, lim)
	raw, err := r.Skip()
	require.NoError(t, err)
	require.Equal(t, bytes.Trim(data, " \t\r\n"), raw)
}

// FuzzOrder calls the methods in any order on any text: errors, no panics.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"d"}`), []byte{0, 2, 1, 3, 5, 3, 0, 2, 7, 2, 3, 2, 4, 2, 9})
	f.Fuzz(func(t *testing.T, data, calls []byte) {
		var r Reader
		r.Reset(data, Limits{Depth: 4, Members: 20})
		var failed error
		for _, c := range calls {
			err := call(&r, c%12)
			if failed != nil {
				require.Equal(t, failed, err, "an error stays")
			}
			if r.err != nil {
				failed = r.err
			}
			require.LessOrEqual(t, r.pos, len(data))
			require.True(t, r.depth >= 0 && r.depth <= 4 && r.top <= inlineNames)
		}
	})
}

func call(r *Reader, method byte) (err error) {
	switch method {
	case 0:
		return r.Object()
	case 1:
		return r.Array()
	case 2:
		_, _, err = r.Member()
	case 3:
		_, err = r.Element()
	case 4:
		_, err = r.String()
	case 5:
		_, err = r.Number()
	case 6:
		_, _, err = r.Field(expected, new(uint64))
	case 7:
		err = r.Null()
	case 8:
		_, err = r.Skip()
	case 9:
		err = r.End()
	case 10:
		_, err = r.Value()
	default:
		r.Kind()
		err = r.err
	}
	return err
}

// TestCorpora fails when a fuzz target has lost its committed corpus.
func TestCorpora(t *testing.T) {
	for _, target := range []string{"FuzzReader", "FuzzOrder"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		require.NoError(t, err)
		require.NotEmpty(t, seeds, target)
		for _, seed := range seeds {
			content, err := os.ReadFile(seed)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(content, []byte("go test fuzz v1\n")), seed)
		}
	}
}
