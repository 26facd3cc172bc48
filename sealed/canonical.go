package sealed

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// maxMembers bounds the members of the arguments of a call, and of a whole body: as the wrapper does.
const maxMembers = 100_000

var limits = strictjson.Limits{Depth: strictjson.MaxDepth, Members: maxMembers, StrictStrings: true}

// canonical returns a text that is equal for two JSON texts if, and only if, they have the same value: members in
// whatever order, strings and numbers in whatever spelling. Numbers are compared exactly, and not as float64: 1, 1.0
// and 1e0 are one, 9007199254740993 and 9007199254740992 are two. It is no JSON.
func canonical(text []byte) ([]byte, error) {
	var w writer
	w.r.Reset(text, limits)
	out := w.appendValue(nil)
	return out, w.r.End()
}

// writer writes what it reads in another order. An error of the reader stays, and ends all that is open.
type writer struct {
	r     strictjson.Reader
	spare []byte // where members stand while they change places: one for all, lest each level of nesting costs the whole
}

// appendValue appends the next value: its kind, and what tells it from others of the kind. Its nesting is bounded by
// that of the reader.
func (w *writer) appendValue(out []byte) []byte {
	r := &w.r
	switch r.Kind() {
	case strictjson.Object:
		return w.appendObject(out)
	case strictjson.Array:
		return w.appendArray(out)
	case strictjson.String:
		s, _ := r.String()
		return owned.AppendField(append(out, 's'), string(s))
	case strictjson.Number:
		raw, err := r.Number()
		if err != nil {
			return out
		}
		return owned.AppendField(append(out, 'n'), decimal(raw))
	}
	raw, _ := r.Skip() // true, false, null, or nothing that is JSON
	return append(out, raw...)
}

func (w *writer) appendArray(out []byte) []byte {
	_ = w.r.Array()
	out = append(out, '[')
	for {
		if more, _ := w.r.Element(); !more {
			return append(out, ']')
		}
		out = w.appendValue(out)
	}
}

// appendObject appends the members in the order of their names, which are unique.
func (w *writer) appendObject(out []byte) []byte {
	type member struct {
		name     string
		from, to int // where it stands behind begin
	}
	var members []member
	_ = w.r.Object()
	out = append(out, '{')
	begin := len(out)
	for {
		name, more, _ := w.r.Member()
		if !more {
			break
		}
		m := member{name: string(name), from: len(out) - begin}
		out = w.appendValue(owned.AppendField(out, m.name))
		m.to = len(out) - begin
		members = append(members, m)
	}
	byName := func(a, b member) int { return cmp.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(members, byName) {
		slices.SortFunc(members, byName)
		w.spare = append(w.spare[:0], out[begin:]...)
		out = out[:begin]
		for _, m := range members {
			out = append(out, w.spare[m.from:m.to]...)
		}
	}
	return append(out, '}')
}

// maxExponent bounds the exponents that are reckoned with. What is beyond it is compared as it is written.
const maxExponent = 1 << 40

// decimal returns a JSON number as its digits without zeros around them, and the power of ten that they are to be
// multiplied with. Zero has no sign.
func decimal(raw []byte) string {
	number, exponent, scaled := bytes.Cut(bytes.ToLower(raw), []byte("e"))
	power := int64(0)
	if scaled {
		var err error
		if power, err = strconv.ParseInt(string(exponent), 10, 64); err != nil || power > maxExponent || power < -maxExponent {
			return string(raw)
		}
	}
	sign := ""
	if number[0] == '-' {
		sign, number = "-", number[1:]
	}
	whole, fraction, _ := bytes.Cut(number, []byte("."))
	digits := slices.Concat(whole, fraction)
	power -= int64(len(fraction))
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) == 0 {
		return "0"
	}
	trimmed := bytes.TrimRight(digits, "0")
	power += int64(len(digits) - len(trimmed))
	return sign + string(trimmed) + "e" + strconv.FormatInt(power, 10)
}
