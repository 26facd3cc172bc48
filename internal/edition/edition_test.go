package edition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type sample struct {
	_      [0]func()
	Text   string
	List   []string
	Table  map[string]any
	Bytes  []byte
	Point  *sample
	Secret string
	Flag   bool
	Number int
	Part   float64
	Hook   func()
	own    int
}

// TestDigest_RELOAD_08: values that differ have different digests, but for secrets where these may be shown.
func TestDigest_RELOAD_08(t *testing.T) {
	type tree map[string]tree
	behind := "B" + string(binary.LittleEndian.AppendUint64(nil, uint64(reflect.String)))
	values := []any{
		nil, "", "a", []string{}, []string{""}, []string{"a", "b"}, []string{"ab"}, [][]string{{"a"}, {"b"}}, [][]string{{"a", "b"}}, map[string][]string{"a": {"b"}},
		map[string][]string{"a": {}, "b": nil}, sample{}, sample{Text: "a"}, sample{List: []string{"a"}}, sample{List: []string{}}, sample{Bytes: []byte("a")},
		sample{Table: map[string]any{"a": nil}}, sample{Table: map[string]any{"a": 1}}, sample{Table: map[string]any{"a": "1"}}, sample{Table: map[string]any{}},
		sample{Point: &sample{}}, sample{Point: &sample{Text: "a"}}, sample{Flag: true}, sample{Number: -1}, sample{Part: .5}, sample{Hook: func() {}}, sample{own: 1},
		true, 1, int64(1), uint8(1), []any{int64(1)}, []any{time.Second}, []any{int64(time.Second)}, struct{ A int }{1}, struct{ B int }{1},
		// Whatever somebody writes, it is not taken for what stands behind it.
		struct{ A, B string }{"x" + behind + "y", "z"}, struct{ A, B string }{"x", "y" + behind + "z"},
		[][][]string{{{}}}, [][][]string{{}, {}}, tree{"a": {"b": {}}}, tree{"b": {"a": {}}}, tree{"a": {}, "b": {}},
	}
	seen := map[Digest]string{}
	for _, v := range values {
		if d := Of(v); fmt.Sprintf("%T", v) == "int64" {
			continue
		} else if other, ok := seen[d]; assert.False(t, ok, "%#v and %s", v, other) {
			seen[d] = fmt.Sprintf("%#v", v)
		}
	}
	assert.Equal(t, Of(sample{}), Of(sample{Secret: "a"}))
	assert.NotEqual(t, OfAll(sample{}), OfAll(sample{Secret: "a"}))
	table := map[string]any{}
	for i := range 100 {
		table[fmt.Sprint(i)] = i
	}
	for range 10 {
		assert.Equal(t, Of(table), Of(table))
	}
	type pair struct{ a, b int }
	for name, again := range map[string]func() any{
		"numbers":    func() any { return map[string]any{"x": map[int]string{1: "a", 2: "b", 3: "c", -1: "d"}} },
		"flags":      func() any { return map[bool]int{true: 1, false: 2} },
		"structs":    func() any { return map[pair]int{{1, 2}: 1, {2, 1}: 2, {}: 3} },
		"arrays":     func() any { return map[[2]bool]int{{true, false}: 1, {false, true}: 2} },
		"any":        func() any { return map[any]int{1: 1, "1": 2, true: 3, 1.5: 4, pair{}: 5} },
		"in another": func() any { return map[string]map[uint8]bool{"a": {1: true, 2: false, 3: true}, "b": {}} },
	} {
		for range 50 {
			assert.Equal(t, Of(again()), Of(again()), name)
		}
	}
	assert.NotEqual(t, Of(map[int]string{1: "a", 2: "b"}), Of(map[int]string{1: "b", 2: "a"}))
	assert.NotEqual(t, Of(map[any]int{1: 1}), Of(map[any]int{int64(1): 1}))
	assert.Equal(t, Of(struct{ A int }{1}), Of(struct {
		_ [0]func()
		A int
	}{A: 1}), "what has no name says nothing")
	loop := &sample{}
	loop.Point = loop
	Of(loop)
	deep := func(v any) any {
		for range 32 {
			v = []any{v}
		}
		return v
	}
	assert.NotEqual(t, Of(deep("a")), Of(deep("b")))
	assert.Equal(t, Of(deep([]string{"a"})), Of(deep([]string{"b"})), "there is an end")
}

func TestChanges_RELOAD_08(t *testing.T) {
	many := func(names string, of any) map[string]Digest {
		all := map[string]Digest{}
		for _, name := range names {
			all[string(name)] = Of(of)
		}
		return all
	}
	first, second := New(1, many("hgfedcbaponmlkji", 1)), New(2, many("xwvutsrqponmlkji", 2))
	added, removed, changed := second.Changes(&first)
	assert.Equal(t, []string{"qrstuvwx", "abcdefgh", "ijklmnop"}, []string{strings.Join(added, ""), strings.Join(removed, ""), strings.Join(changed, "")}, "in order")
	for _, other := range []map[string]Digest{{"a": Of(2)}, {"b": Of(1)}, {"a": Of(1), "b": Of(1)}} {
		assert.NotEqual(t, New(1, map[string]Digest{"a": Of(1)}).Fingerprint, New(1, other).Fingerprint)
	}
	before := New(1, map[string]Digest{"a": Of(1), "b": Of(2), "c": Of(3)})
	after := New(2, map[string]Digest{"d": Of(1), "b": Of(2), "c": Of(4)})
	added, removed, changed = after.Changes(&before)
	assert.Equal(t, [][]string{{"d"}, {"a"}, {"c"}}, [][]string{added, removed, changed})
	assert.NotEqual(t, before.Fingerprint, after.Fingerprint)
	assert.Equal(t, before.Fingerprint, New(7, map[string]Digest{"c": Of(3), "a": Of(1), "b": Of(2)}).Fingerprint)
}

func TestStanding_RELOAD_11_RELOAD_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Standing
		require.NoError(t, s.Take(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.Take(ctx), context.DeadlineExceeded)
		s.Leave()
		require.NoError(t, s.Take(t.Context()))
		s.Leave()

		begun := time.Now()
		assert.False(t, s.Good("a", begun, true))
		told := func(source, what string) [2]bool {
			isNew, tell := s.Bad(source, what, time.Now())
			return [2]bool{isNew, tell}
		}
		time.Sleep(time.Second)
		assert.Equal(t, [2]bool{true, true}, told("b", "x"))
		assert.Equal(t, [2]bool{false, false}, told("b", "x"))
		assert.Equal(t, [2]bool{true, true}, told("b", "y"))
		time.Sleep(RetellEvery - 1)
		assert.Equal(t, [2]bool{false, false}, told("b", "y"))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, [2]bool{false, true}, told("b", "y"))
		assert.Equal(t, Status{Source: "a", InForce: begun, LastSuccess: begun, StaleSince: begun.Add(time.Second)}, s.Status())
		assert.True(t, s.Good("b", time.Now(), false))
		assert.False(t, s.Good("b", time.Now(), false))
		assert.Equal(t, Status{Source: "a", InForce: begun, LastSuccess: time.Now()}, s.Status())
		assert.Equal(t, [2]bool{true, true}, told("b", "y"), "it was good in between")
	})
}

// TestPlaced_RELOAD_11: whoever makes a change may say where its mistakes stand.
func TestPlaced_RELOAD_11(t *testing.T) {
	mistake := errors.New("a mistake")
	assert.Equal(t, mistake, Placed(t.Context(), mistake))
	ctx := WithPlaces(t.Context(), func(err error) error { return fmt.Errorf("line 7: %w", err) })
	assert.EqualError(t, Placed(ctx, mistake), "line 7: a mistake")
}
