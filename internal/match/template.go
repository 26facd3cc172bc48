package match

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// template is a URI template (RFC 6570) taken apart: of a key, or of a server.
type template struct {
	head   string // the text before the first expression
	marked string // the text with marks in place of the expressions, see [expression.mark]
	whole  string // the text with a mark in place of every expression
	shape  string // the text without the names that no URI has
	extras string // of the shape: the expressions with an operator
	expr   string // matches what the template expands to, behind the head
	adds   bool   // some expression may add parameters
	ends   bool   // some expression may end the path
	names  bool   // some expression is for named parameters of a query, and none for any
}

// isSimple reports whether all expressions are variables without operator.
func (t *template) isSimple() bool { return t.extras == "" }

// Bounds of a template. What is longer, or has more expressions, is none, and is
// judged as a URI: each expression costs a comparison, and servers name theirs in
// answers of any length.
const (
	maxTemplate    = 8 << 10 // bytes
	maxExpressions = 64
)

// parseTemplate takes "db://{table}/rows{?limit}" apart.
func parseTemplate(text string) (*template, error) {
	if len(text) > maxTemplate || !utf8.ValidString(text) || strings.Count(text, "{") > maxExpressions || strings.ContainsFunc(text, isMark) {
		return nil, errTemplate
	}
	literals, expressions, ok := splitTemplate(text)
	if !ok {
		return nil, errTemplate
	}
	t := &template{head: literals[0]}
	var marked, whole, shape, extras, expr strings.Builder
	query, explodes := false, false
	for i, literal := range literals {
		marked.WriteString(literal)
		whole.WriteString(literal)
		shape.WriteString(literal)
		query = query || strings.Contains(literal, "?")
		if i > 0 {
			expr.WriteString(regexp.QuoteMeta(literal))
		}
		if i == len(expressions) {
			break
		}
		e := expressions[i]
		if e.operator == 0 {
			whole.WriteRune(oneSegment)
		} else {
			whole.WriteRune(anyRest)
			extras.WriteString(e.shape())
			t.ends = t.ends || e.operator == '+' || strings.IndexByte("?&#", e.operator) >= 0 && !e.adds(query)
			t.adds = t.adds || t.ends || e.operator == '?' || e.operator == '&'
			t.names = t.names || e.operator == '?' || e.operator == '&'
			explodes = explodes || e.explodes || e.operator == '+' || e.operator == '#'
		}
		marked.WriteString(e.mark(query))
		shape.WriteString(e.shape())
		expr.WriteString(e.expr(query))
	}
	t.names = t.names && !explodes
	t.marked, t.whole, t.shape, t.extras, t.expr = marked.String(), whole.String(), shape.String(), extras.String(), expr.String()
	return t, nil
}

// splitTemplate returns the expressions of a template, and one literal more: those
// around them.
func splitTemplate(text string) (literals []string, expressions []expression, ok bool) {
	for {
		literal, after, more := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return nil, nil, false
		}
		literals = append(literals, literal)
		if !more {
			break
		}
		body, tail, closed := strings.Cut(after, "}")
		e, ok := parseExpression(body)
		if !closed || !ok {
			return nil, nil, false
		}
		expressions = append(expressions, e)
		text = tail
	}
	ending := true
	for i := len(expressions) - 1; i >= 0 && ending; i-- {
		ending = literals[i+1] == ""
		expressions[i].last = ending
		ending = ending && strings.IndexByte("?&#", expressions[i].operator) >= 0
	}
	return literals, expressions, true
}

// glob matches what the template expands to.
func (t *template) glob() glob {
	if t.isSimple() {
		return globOf(t.marked)
	}
	return glob{prefix: t.head, rest: regexp.MustCompile("^(?s:" + t.expr + ")$")}
}

// expression is what stands between braces.
type expression struct {
	operator byte // of RFC 6570 section 2.2, 0 for none
	names    []string
	explodes bool // some variable may be a list or have names of its own
	last     bool // nothing but parameters and fragments comes behind it
}

func parseExpression(body string) (e expression, ok bool) {
	if body != "" && strings.IndexByte("+#./;?&", body[0]) >= 0 {
		e.operator, body = body[0], body[1:]
	}
	for name := range strings.SplitSeq(body, ",") {
		name, exploded := strings.CutSuffix(name, "*")
		name, length, cut := strings.Cut(name, ":")
		if number, _ := strconv.Atoi(length); cut && (number < 1 || number > 9999 || exploded) {
			return expression{}, false // of what is no number it is 0, or the largest
		}
		if name == "" || !isVariable(name) {
			return expression{}, false
		}
		e.explodes = e.explodes || exploded
		e.names = append(e.names, name)
	}
	return e, len(e.names) <= 100 // more than that, repeated, are too many for a regular expression
}

func isVariable(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// mark stands for the expression where URIs are compared as a server may read
// them. Parameters and fragments that may be added at the end need none.
func (e expression) mark(query bool) string {
	switch {
	case e.operator == 0:
		return string(oneSegment)
	case e.operator == ';', e.adds(query):
		return ""
	}
	return string(anyRest)
}

// adds reports whether the expression is for parameters or a fragment, in a
// query if it goes on with one, and nothing else comes behind it.
func (e expression) adds(query bool) bool {
	return e.last && (e.operator == '?' || e.operator == '#' || e.operator == '&' && query)
}

// shape is the expression without the names that are in no URI.
func (e expression) shape() string {
	switch e.operator {
	case 0:
		return "{}"
	case ';', '?', '&':
		return fmt.Sprintf("{%c%s %t}", e.operator, strings.Join(slices.Sorted(slices.Values(e.names)), ","), e.explodes)
	}
	return fmt.Sprintf("{%c%d %t}", e.operator, len(e.names), e.explodes)
}

// expr matches what the expression expands to.
func (e expression) expr(query bool) string {
	most := strconv.Itoa(len(e.names))
	if e.explodes {
		most = ""
	}
	switch e.operator {
	case '+':
		return ".+"
	case '#':
		return "(?:#.*)?"
	case '.':
		return `(?:\.[^` + endsSegment + "]*)?"
	case '/':
		return "(?:/[^" + endsSegment + "]*){0," + most + "}"
	case ';', '?', '&':
		return e.pairs()
	}
	if query {
		return "[^" + endsParameter + "]+"
	}
	return "[^" + endsSegment + "]+"
}

// pairs matches "?name=value&name=value", or nothing.
func (e expression) pairs() string {
	var names []string
	for _, name := range e.names {
		names = append(names, regexp.QuoteMeta(name))
	}
	name := "(?:" + strings.Join(names, "|") + ")"
	if e.explodes {
		name = "[^" + endsParameter + "=]+"
	}
	pair, separator := name+"(?:=[^"+endsParameter+"]*)?", "&"
	if e.operator == ';' {
		separator = ";"
	}
	return "(?:" + regexp.QuoteMeta(string(e.operator)) + pair + "(?:" + separator + pair + ")*)?"
}

// templateOf returns the template that a text is, nil if it is a URI. Where it is
// not said to be one it must be harmless as a URI, too.
func templateOf(text string, isTemplate bool) *template {
	if !strings.Contains(text, "{") || !isTemplate && hasOperator(text) {
		return nil
	}
	t, _ := parseTemplate(text)
	return t
}

// hasOperator reports whether some expression of a template begins with an operator.
func hasOperator(text string) bool {
	for _, operator := range []string{"{+", "{#", "{.", "{/", "{;", "{?", "{&"} {
		if strings.Contains(text, operator) {
			return true
		}
	}
	return false
}

// maxCompared bounds the product of the lengths of two texts that are compared.
const maxCompared = 1 << 13

// overlap reports whether two texts with marks may stand for the same URI. What
// is too long to tell may.
func overlap(a, b string) bool {
	left, right := []rune(a), []rune(b)
	if len(left)*len(right) > maxCompared {
		return true
	}
	row, next := make([]bool, len(right)+1), make([]bool, len(right)+1) // by position in right, for one in left
	row[0] = true
	for i := 0; ; i++ {
		for j := range right {
			if row[j] && (isMark(right[j]) || i < len(left) && isMark(left[i]) && takes(left[i], right[j])) {
				row[j+1] = true
			}
		}
		if i == len(left) {
			return row[len(right)]
		}
		clear(next)
		for j, here := range row {
			if here && (isMark(left[i]) || j < len(right) && isMark(right[j]) && takes(right[j], left[i])) {
				next[j] = true
			}
			if here && j < len(right) && left[i] == right[j] {
				next[j+1] = true
			}
		}
		row, next = next, row
	}
}

func isMark(r rune) bool { return r == oneSegment || r == anyRest }

// takes reports whether a mark stands for a text with the rune in it, which is no mark.
func takes(mark, r rune) bool {
	return mark == anyRest || !strings.ContainsRune(endsSegment, r)
}
