package conformance

import (
	"fmt"
	"strings"
)

// challenge is one challenge of a WWW-Authenticate header.
type challenge struct {
	scheme string
	params map[string]string // names in lower case
}

// parseChallenges reads WWW-Authenticate as strictly as RFC 9110 sections
// 11.2, 11.6.1 and 5.6 write it, because some clients do.
func parseChallenges(lines []string) ([]challenge, error) {
	var all []challenge
	for _, line := range lines {
		p := &authParser{rest: line}
		for {
			p.space()
			for strings.HasPrefix(p.rest, ",") { // empty list members are allowed
				p.rest = p.rest[1:]
				p.space()
			}
			if p.rest == "" {
				break
			}
			one, err := p.challenge()
			if err != nil {
				return all, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

type authParser struct{ rest string }

func (p *authParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *authParser) token() string {
	n := 0
	for n < len(p.rest) && isTokenChar(p.rest[n]) {
		n++
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func isTokenChar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func (p *authParser) challenge() (challenge, error) {
	c := challenge{scheme: p.token(), params: map[string]string{}}
	if c.scheme == "" {
		return c, fmt.Errorf("an authentication scheme is missing before %.20q", p.rest)
	}
	if p.token68() {
		return c, nil
	}
	for first := true; ; first = false {
		before := p.rest
		p.space()
		if p.rest == "" {
			return c, nil
		}
		if !first {
			if !strings.HasPrefix(p.rest, ",") {
				return c, fmt.Errorf("a comma is missing before %.20q", p.rest)
			}
			p.rest = strings.TrimLeft(p.rest, ", \t")
		} else if before == p.rest && p.rest[0] != ',' {
			return c, fmt.Errorf("a space is missing before %.20q", p.rest)
		}
		afterComma := p.rest
		name := p.token()
		p.space()
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			// Another challenge begins here, or the list ends.
			p.rest = afterComma
			return c, nil
		}
		p.rest = p.rest[1:]
		p.space()
		value, err := p.value()
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		name = strings.ToLower(name)
		if _, twice := c.params[name]; twice {
			return c, fmt.Errorf("%s stands twice", name)
		}
		c.params[name] = value
	}
}

// token68 skips the other form of credentials after a scheme, as Negotiate has it.
func (p *authParser) token68() bool {
	text, ok := strings.CutPrefix(p.rest, " ")
	if !ok {
		return false
	}
	text = strings.TrimLeft(text, " ")
	after := strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
	if after == text {
		return false
	}
	after = strings.TrimLeft(strings.TrimLeft(after, "="), " \t")
	if after != "" && after[0] != ',' {
		return false
	}
	p.rest = after
	return true
}

// value reads a token or a quoted-string (RFC 9110 section 5.6.4).
func (p *authParser) value() (string, error) {
	if !strings.HasPrefix(p.rest, `"`) {
		if word := p.token(); word != "" {
			return word, nil
		}
		return "", fmt.Errorf("a value is missing before %.20q", p.rest)
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\':
			i++
			if i == len(p.rest) {
				return "", fmt.Errorf("a quoted-string ends in a backslash")
			}
			c = p.rest[i]
			fallthrough
		default:
			if c < ' ' && c != '\t' || c == 0x7f {
				return "", fmt.Errorf("a control character in a quoted-string")
			}
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("a quoted-string has no end")
}

// bearer returns the Bearer challenge, nil if there is none.
func bearer(all []challenge) *challenge {
	for i := range all {
		if strings.EqualFold(all[i].scheme, "Bearer") {
			return &all[i]
		}
	}
	return nil
}
