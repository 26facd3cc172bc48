package challenge

import (
	"fmt"
	"strings"
)

// parsed is one challenge as a strict RFC 9110 reader sees it.
type parsed struct {
	scheme string
	names  []string
	values map[string]string
}

// reader is a recursive-descent parser of one challenge, written from the ABNF
// of RFC 9110 sections 5.6.2, 5.6.4 and 11.2 and sharing nothing with the
// writer. It refuses what the grammar only tolerates: bad whitespace around
// "=", empty list elements, unquoted values, a second challenge on the line.
type reader struct{ rest string }

func parse(line string) (parsed, error) {
	r := &reader{rest: line}
	c := parsed{values: map[string]string{}}
	var err error
	if c.scheme, err = r.token(); err != nil || r.rest == "" {
		return c, err
	}
	if !r.eat(" ") {
		return c, fmt.Errorf("want SP after the scheme, have %q", r.rest)
	}
	for {
		name, value, err := r.param()
		if err != nil {
			return c, err
		}
		key := strings.ToLower(name)
		if _, twice := c.values[key]; twice {
			return c, fmt.Errorf("parameter %q twice", name)
		}
		c.names, c.values[key] = append(c.names, name), value
		if r.rest == "" {
			return c, nil
		}
		if !r.eat(", ") {
			return c, fmt.Errorf("want a comma and SP, have %q", r.rest)
		}
	}
}

func (r *reader) eat(s string) bool {
	after, ok := strings.CutPrefix(r.rest, s)
	if ok {
		r.rest = after
	}
	return ok
}

func (r *reader) token() (string, error) {
	n := 0
	for n < len(r.rest) && strings.Contains(tchar, r.rest[n:n+1]) {
		n++
	}
	token := r.rest[:n]
	r.rest = r.rest[n:]
	if n == 0 {
		return "", fmt.Errorf("want a token, have %q", r.rest)
	}
	return token, nil
}

const tchar = "!#$%&'*+-.^_`|~0123456789" +
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (r *reader) param() (name, value string, err error) {
	if name, err = r.token(); err != nil {
		return "", "", err
	}
	if !r.eat(`="`) {
		return "", "", fmt.Errorf("want a quoted-string for %q, have %q", name, r.rest)
	}
	var b strings.Builder
	for r.rest != "" {
		c := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case c == '"':
			return name, b.String(), nil
		case c < 0x20 || c > 0x7e:
			return "", "", fmt.Errorf("byte %#x in the value of %q", c, name)
		case c == '\\':
			if r.rest == "" || r.rest[0] != '"' && r.rest[0] != '\\' {
				return "", "", fmt.Errorf("needless quoted-pair in the value of %q", name)
			}
			c = r.rest[0]
			r.rest = r.rest[1:]
		}
		b.WriteByte(c)
	}
	return "", "", fmt.Errorf("the value of %q does not end", name)
}
