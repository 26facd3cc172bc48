package strictjson

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is a value as the naive readers of the tests see it.
type node struct {
	kind      Kind
	text      string // of a scalar: as written, decoded for a string
	names     []string
	values    []node // of an object or array
	surrogate bool   // a string with a lone surrogate in it, or anywhere inside
}

// oracle is an independent reader: recursive, over runes, one test after the
// other as the grammar of RFC 8259 has them.
type oracle struct {
	rest    []rune
	members int
}

var errOracle = errors.New("refused by the oracle")

func oracleRead(data []byte, depth, members int) (root node, err error) {
	if !utf8.Valid(data) {
		return node{}, errOracle
	}
	defer func() {
		if e := recover(); e != nil {
			if e != any(errOracle) {
				panic(e)
			}
			err = errOracle
		}
	}()
	o := &oracle{rest: []rune(string(data)), members: members}
	root = o.value(depth)
	o.space()
	o.must(len(o.rest) == 0)
	return root, nil
}

func (o *oracle) must(ok bool) {
	if !ok {
		panic(errOracle)
	}
}

func (o *oracle) space() {
	for len(o.rest) > 0 && strings.ContainsRune(" \t\n\r", o.rest[0]) {
		o.rest = o.rest[1:]
	}
}

func (o *oracle) accept(c rune) bool {
	if len(o.rest) == 0 || o.rest[0] != c {
		return false
	}
	o.rest = o.rest[1:]
	return true
}

func (o *oracle) value(depth int) node {
	o.space()
	switch {
	case o.accept('{'):
		return o.object(depth)
	case o.accept('['):
		return o.array(depth)
	case o.accept('"'):
		text, surrogate := o.str()
		return node{kind: String, text: text, surrogate: surrogate}
	}
	n := 0
	for n < len(o.rest) && !strings.ContainsRune(" \t\n\r,]}:[{\"", o.rest[n]) {
		n++
	}
	word := string(o.rest[:n])
	o.rest = o.rest[n:]
	switch word {
	case "true":
		return node{kind: True, text: word}
	case "false":
		return node{kind: False, text: word}
	case "null":
		return node{kind: Null, text: word}
	}
	o.must(isNumber(word))
	return node{kind: Number, text: word}
}

// isNumber asks Go's number syntax, without what JSON does not have of it.
func isNumber(word string) bool {
	digits := strings.TrimPrefix(word, "-")
	if strings.Trim(word, "0123456789+-.eE") != "" || digits == "" || digits[0] < '0' || digits[0] > '9' {
		return false
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return false
	}
	if i := strings.IndexByte(digits, '.'); i >= 0 && (i+1 == len(digits) || digits[i+1] < '0' || digits[i+1] > '9') {
		return false
	}
	_, err := strconv.ParseFloat(word, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func (o *oracle) object(depth int) node {
	o.must(depth > 0)
	n := node{kind: Object}
	seen := map[string]bool{}
	o.space()
	if o.accept('}') {
		return n
	}
	for {
		o.space()
		o.must(o.accept('"'))
		name, surrogate := o.str()
		o.must(!surrogate && !seen[name])
		seen[name] = true
		o.members--
		o.must(o.members >= 0)
		o.space()
		o.must(o.accept(':'))
		v := o.value(depth - 1)
		n.names = append(n.names, name)
		n.values = append(n.values, v)
		n.surrogate = n.surrogate || v.surrogate
		o.space()
		if o.accept('}') {
			return n
		}
		o.must(o.accept(','))
	}
}

func (o *oracle) array(depth int) node {
	o.must(depth > 0)
	n := node{kind: Array}
	o.space()
	if o.accept(']') {
		return n
	}
	for {
		v := o.value(depth - 1)
		n.values = append(n.values, v)
		n.surrogate = n.surrogate || v.surrogate
		o.space()
		if o.accept(']') {
			return n
		}
		o.must(o.accept(','))
	}
}

// str collects UTF-16 code units, as ECMAScript does, and joins them at the end.
func (o *oracle) str() (string, bool) {
	var units []uint32 // code units of escapes, or whole characters
	for {
		o.must(len(o.rest) > 0)
		c := o.rest[0]
		o.rest = o.rest[1:]
		switch {
		case c == '"':
			return join(units)
		case c < 0x20:
			o.must(false)
		case c != '\\':
			units = append(units, uint32(c))
			continue
		}
		o.must(len(o.rest) > 0)
		c = o.rest[0]
		o.rest = o.rest[1:]
		if i := strings.IndexRune(`"\/bfnrt`, c); i >= 0 {
			units = append(units, uint32("\"\\/\b\f\n\r\t"[i]))
			continue
		}
		o.must(c == 'u' && len(o.rest) >= 4)
		hex := string(o.rest[:4])
		o.must(strings.Trim(hex, "0123456789abcdefABCDEF") == "")
		unit, err := strconv.ParseUint(hex, 16, 32)
		o.must(err == nil)
		units = append(units, uint32(unit))
		o.rest = o.rest[4:]
	}
}

func join(units []uint32) (string, bool) {
	var b strings.Builder
	surrogate := false
	for i := 0; i < len(units); i++ {
		u := units[i]
		isHigh := u >= 0xd800 && u <= 0xdbff
		if isHigh && i+1 < len(units) && units[i+1] >= 0xdc00 && units[i+1] <= 0xdfff {
			b.WriteRune(rune(0x10000 + (u-0xd800)<<10 + units[i+1] - 0xdc00))
			i++
			continue
		}
		surrogate = surrogate || u >= 0xd800 && u <= 0xdfff
		b.WriteRune(rune(u))
	}
	return b.String(), surrogate
}

// walk reads a text with every method of the Reader but Skip.
func walk(data []byte, lim Limits) (node, error) {
	var r Reader
	r.Reset(data, lim)
	n, err := walkValue(&r)
	if err == nil {
		err = r.End()
	}
	return n, err
}

func walkValue(r *Reader) (n node, err error) {
	n.kind = r.Kind()
	var text []byte
	switch n.kind {
	case Object:
		if err := r.Object(); err != nil {
			return n, err
		}
		for {
			name, ok, err := r.Member()
			if err != nil || !ok {
				return n, err
			}
			v, err := walkValue(r)
			if err != nil {
				return n, err
			}
			n.names = append(n.names, string(name))
			n.values = append(n.values, v)
		}
	case Array:
		if err := r.Array(); err != nil {
			return n, err
		}
		for {
			ok, err := r.Element()
			if err != nil || !ok {
				return n, err
			}
			v, err := walkValue(r)
			if err != nil {
				return n, err
			}
			n.values = append(n.values, v)
		}
	case String:
		text, err = r.String()
	case Number:
		text, err = r.Number()
	case True, False:
		text, err = r.Skip()
	case Null:
		err = r.Null()
		text = []byte("null")
	default:
		_, err = r.Number() // any call reports why nothing comes next
	}
	n.text = string(text)
	return n, err
}

// walkFields reads a text with Field and Value.
func walkFields(data []byte, lim Limits) (node, error) {
	var r Reader
	r.Reset(data, lim)
	v, err := r.Value()
	var n node
	if err == nil {
		n, err = walkField(&r, v)
	}
	if err == nil {
		err = r.End()
	}
	return n, err
}

func walkField(r *Reader, v Value) (n node, err error) {
	n.kind = v.Kind
	switch v.Kind {
	case Object:
		err = r.Object()
		for seen := uint64(0); err == nil; {
			var name string
			name, v, err = r.Field(expected, &seen)
			if v.Kind == Invalid {
				return n, err
			}
			if name == "" {
				name = string(r.Name())
			}
			n.names = append(n.names, name)
			var inner node
			if inner, err = walkField(r, v); err == nil {
				n.values = append(n.values, inner)
			}
		}
	case Array:
		err = r.Array()
		for err == nil {
			var more bool
			if more, err = r.Element(); !more {
				return n, err
			}
			if v, err = r.Value(); err == nil {
				var inner node
				inner, err = walkField(r, v)
				n.values = append(n.values, inner)
			}
		}
	default:
		n.text = string(v.Text())
	}
	return n, err
}
