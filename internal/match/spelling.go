package match

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/fold"
)

// reading is what a server may make of a URI that ignores what many ignore:
// case, accents and width, escapes, empty and dot segments, what stands behind
// a semicolon or a dollar of a segment, user information, default ports, and
// the order of parameters. Keys and what is asked for are read alike.
type reading struct {
	base   string   // "scheme:authority/path"
	params []string // "name=value", in their order
}

// What stands for the wildcards of a pattern while it is read.
const (
	oneSegment = '\ue000'
	anyRest    = '\ue001'
)

// expanded turns marks into harmless values.
var expanded = strings.NewReplacer(string(oneSegment), "v", string(anyRest), "v")

// readings returns what servers of different habits make of a URI: those that
// take a plus sign in a query for a space and those that do not, with and
// without its fragment, and with and without its host where it may be none.
func readings(uri string) []reading { return readingsOf(texts(uri)) }

func readingsOf(texts []string) (all []reading) {
	for _, text := range texts {
		all = append(append(all, takeApart(text)), withoutHost(text)...)
	}
	return all
}

// texts returns what is left of a URI without its escapes: with a plus sign in the
// query and with a space, with its fragment and without.
func texts(uri string) []string {
	all := []string{undo(uri)}
	if path, query, _ := strings.Cut(uri, "?"); strings.Contains(query, "+") {
		all = append(all, undo(path+"?"+strings.ReplaceAll(query, "+", "%20")))
	}
	for _, text := range slices.Clone(all) {
		if whole, _, found := strings.Cut(text, "#"); found {
			all = append(all, whole)
		}
	}
	return all
}

// withoutHost returns what those make of a URI who know no host: the host of a
// file is left out, and what only looks like a host, as the letter of a drive
// does, is the first segment of the path.
func withoutHost(text string) (all []reading) {
	scheme, rest, _ := strings.Cut(text, ":")
	scheme += ":"
	rest, hierarchical := strings.CutPrefix(rest, "//")
	if !hierarchical || isWeb(scheme) {
		return nil
	}
	host := rest[:strings.IndexAny(rest+"/", "/?")]
	if host == "" {
		return nil
	}
	if path := rest[len(host):]; scheme == "file:" && strings.HasPrefix(path, "/") {
		all = append(all, takeApart(scheme+"//"+path))
	}
	if plainAuthority(scheme, host) != host {
		all = append(all, takeApart(scheme+"///"+rest))
	}
	return all
}

// undo removes escapes and folds, until that changes nothing: what is left of a
// fold may be an escape, too. Eight times are more than any server does it.
func undo(text string) string {
	text = fold.Text(decode(text))
	for range 7 {
		again, undone := undoAgain(text)
		if undone == 0 {
			break
		}
		text = again
	}
	return strings.ReplaceAll(text, `\`, "/")
}

// undoAgain undoes the escapes of a folded text once, and folds what they stand for, so many bytes. The rest is not
// folded again, which would change nothing: one character may have left eighteen that are slow to fold.
func undoAgain(text string) (again string, undone int) {
	if strings.IndexByte(text, '%') < 0 {
		return text, 0
	}
	var b strings.Builder
	b.Grow(len(text))
	var room [32]byte
	for text != "" {
		run := room[:0]
		c, ok := escaped(text)
		for ; ok; c, ok = escaped(text) {
			run, text = append(run, c), text[3:]
		}
		fold.Write(&b, string(run))
		undone += len(run)
		literal := len(text)
		if i := strings.IndexByte(text[min(1, literal):], '%'); i >= 0 {
			literal = i + 1
		}
		b.WriteString(text[:literal])
		text = text[literal:]
	}
	return b.String(), undone
}

// decode undoes the escapes of a text once and leaves stray percent signs.
func decode(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = strings.IndexByte(s, '%') {
		b.WriteString(s[:i])
		if c, ok := escaped(s[i:]); ok {
			b.WriteByte(c)
			s = s[i+3:]
			continue
		}
		b.WriteByte('%')
		s = s[i+1:]
	}
	b.WriteString(s)
	return b.String()
}

// escaped returns the byte that an escape at the beginning of a text stands for.
func escaped(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := hexDigit(s[1]), hexDigit(s[2])
	if high|low >= 16 {
		return 0, false
	}
	return high<<4 | low, true
}

// hexDigit returns the value of a digit, 16 for what is none.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

func takeApart(text string) reading {
	path, query, _ := strings.Cut(text, "?")
	scheme, rest, found := strings.Cut(path, ":")
	if found {
		scheme += ":"
	} else {
		scheme, rest = "", path
	}
	authority := ""
	web := isWeb(scheme)
	if tail, hierarchical := strings.CutPrefix(rest, "//"); hierarchical || web {
		if web {
			tail = strings.TrimLeft(rest, "/")
		}
		authority, rest = tail, ""
		if slash := strings.IndexByte(tail, '/'); slash >= 0 {
			authority, rest = tail[:slash], tail[slash:]
		}
		authority = plainAuthority(scheme, authority)
	}
	if web && rest == "" && !strings.ContainsRune(authority, anyRest) {
		rest = "/" // the path of an origin
	}
	r := reading{base: scheme + plainSegments(rest)}
	if scheme == "file:" && hasDrive(r.base[len(scheme):]) {
		r.base = scheme + r.base[len(scheme):len(scheme)+1] + ":" + r.base[len(scheme)+2:]
	}
	if authority != "" {
		r.base = strings.TrimSuffix(scheme+authority+"/"+plainSegments(rest), "/")
		if strings.HasSuffix(rest, "/") {
			r.base += "/"
		}
	}
	r.base = strings.ReplaceAll(r.base, "+", " ")
	for _, param := range strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' || c == '?' }) {
		r.params = append(r.params, strings.ReplaceAll(plainParam(param), "+", " "))
	}
	return r
}

// plainParam returns "name=value" without what many drop. A wildcard of a key that
// gives no value may be for the value, too: "?{query}" is for "?table=a".
func plainParam(param string) string {
	name, value, valued := strings.Cut(param, "=")
	name, index, _ := strings.Cut(name, "[")
	name = strings.Trim(name, " ")
	plain := name + "=" + strings.Trim(plainSegments(value), "/ ")
	switch last, _ := utf8.DecodeLastRuneInString(name); {
	case valued:
	case isMark(last):
		return name
	case strings.ContainsFunc(name, isMark):
		return name + string(anyRest)
	case strings.ContainsFunc(index, isMark):
		return plain + string(anyRest)
	}
	return plain
}

// hasDrive reports whether a path begins with the letter of a drive and a bar, which
// URL parsers take for a colon.
func hasDrive(path string) bool {
	return len(path) > 1 && 'a' <= path[0] && path[0] <= 'z' && path[1] == '|' && (len(path) == 2 || path[2] == '/')
}

// plainSegments resolves dots, drops empty segments and cuts what many cut off:
// parameters, the stream of a file in NTFS, dots and spaces at the end.
func plainSegments(path string) string {
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		if segment = strings.Trim(cutSegment(segment), " "); segment == ".." {
			kept = kept[:max(len(kept)-1, 0)]
		}
		if segment = strings.TrimRight(segment, ". "); segment != "" {
			kept = append(kept, segment)
		}
	}
	plain := strings.Join(kept, "/")
	if plain != "" && strings.HasSuffix(path, "/") {
		plain += "/"
	}
	return plain
}

// cutSegment cuts off parameters, and in "name::$DATA" and "name:stream:$DATA"
// all but the name.
func cutSegment(segment string) string {
	segment, _, _ = strings.Cut(segment, ";")
	if name, _, found := strings.Cut(segment, ":$"); found {
		segment = name
		if colon := strings.LastIndexByte(name, ':'); colon >= 0 {
			segment = name[:colon]
		}
	}
	return segment
}

// neighbours finds the keys that a URI may be another spelling of.
type neighbours struct {
	exact    map[string][]neighbour // by base, without a slash at the end
	patterns []neighbour
	index    index       // of the bases of the patterns, by place
	all      []neighbour // exact keys and patterns
	overlaps index       // of the bases of all, by place
	longest  []int       // the places of all, longest base first
}

// neighbour is one reading of a key.
type neighbour struct {
	reading
	globs  glob // of the base
	params []glob
	of     *pattern
}

func (n *neighbours) addExact(key string, index int) {
	p := &pattern{glob: glob{prefix: key}, key: key, marked: key, index: index}
	for _, r := range readings(key) {
		base := strings.TrimRight(r.base, "/")
		of := neighbour{r, globOf(base), globsOf(r.params), p}
		n.exact[base] = append(n.exact[base], of)
		n.add(of)
	}
}

func (n *neighbours) addPattern(p *pattern) {
	for i, r := range readings(p.marked) {
		of := neighbour{r, globOf(r.base), globsOf(r.params), p}
		n.index.add(r.base, len(n.patterns))
		n.patterns = append(n.patterns, of)
		n.add(of)
		if i == 0 {
			p.read = of
		}
	}
}

// globOf takes a text with marks apart.
func globOf(text string) glob {
	text, rest, open := strings.Cut(text, string(anyRest))
	parts := strings.Split(text, string(oneSegment))
	g := glob{prefix: parts[0], parts: parts[1:], open: open}
	if rest != "" {
		wild := strings.NewReplacer(string(oneSegment), "[^"+endsSegment+"]+", string(anyRest), ".*")
		g.rest = regexp.MustCompile("^(?s:" + wild.Replace(regexp.QuoteMeta(text[len(g.prefix):]+string(anyRest)+rest)) + ")$")
	}
	return g
}

func globsOf(texts []string) []glob {
	globs := make([]glob, len(texts))
	for i, text := range texts {
		globs[i] = globOf(text)
	}
	return globs
}

// meant appends the keys that a server may take the URI for, other than the
// pattern that speaks for it: exact keys, and patterns that are as close.
func (n *neighbours) meant(uri string, read []reading, by *pattern, all []*pattern) []*pattern {
	rank := by.rank()
	var room [8]int
	add := func(other *neighbour, r reading, fewer bool) {
		if other.meets(r, uri, fewer) && !by.refines(other, r.params) && !slices.Contains(all, other.of) {
			all = append(all, other.of)
		}
	}
	for _, r := range read {
		base := strings.TrimRight(r.base, "/")
		for _, other := range n.exact[base] {
			add(&other, r, true)
		}
		for _, i := range n.covering(base, room[:0]) {
			other := &n.patterns[i]
			if len(other.globs.prefix) < rank {
				break
			}
			if other.covers(r.base, base) && !other.of.matches(uri) {
				add(other, r, len(by.read.params) == 0)
			}
		}
	}
	return all
}

// losesUser reports whether a URI, of which the texts are left, leaves the pattern without its user
// information: "db://a*" is not for the host b of "db://a@b".
func (p *pattern) losesUser(texts []string) bool {
	return strings.Contains(texts[0], "@") && !slices.ContainsFunc(texts, func(text string) bool { return p.read.globs.matches(takeApart(text).base) })
}

// covers reports whether a base, with a slash at the end or without, is one that
// the pattern is for. What is below a directory is not the directory itself.
func (n *neighbour) covers(base, plain string) bool {
	return n.globs.matches(base) || n.globs.matches(plain) || !n.globs.open && n.globs.matches(plain+"/")
}

// rank says how close the pattern is to what it speaks for. A slash is no closer:
// servers differ on whether it stands before a query.
func (p *pattern) rank() int { return len(strings.TrimRight(p.read.globs.prefix, "/")) }

// isExact reports whether the pattern is a name that stands for itself.
func (p *pattern) isExact() bool { return p.marked == p.key }

// headOf is the text before the first mark.
func headOf(text string) string {
	if i := strings.IndexFunc(text, isMark); i >= 0 {
		return text[:i]
	}
	return text
}

// overlapping returns the keys that are as close as those which cover all that a
// template expands to, and may decide about some of it.
func (n *neighbours) overlapping(t *template, covering []*pattern) (all []*pattern) {
	rank := covering[0].rank()
	found := map[*pattern]bool{}
	for _, r := range readings(t.marked) {
		if t.adds {
			r.params = append(r.params, string(anyRest))
		}
		if before, _, found := strings.Cut(r.base, string(anyRest)); found && t.ends {
			r.base = before + string(anyRest)
		}
		r.base = slashesTaken.Replace(r.base)
		head := headOf(r.base)
		for _, i := range n.near(r.base) {
			other := &n.all[i]
			literal := other.globs.prefix
			if len(literal) < rank || literal[:min(len(literal), len(head))] != head[:min(len(literal), len(head))] ||
				found[other.of] || other.of.matches(t.whole) || covering[0].refines(other, nil) {
				continue
			}
			near := overlap(r.base, other.reading.base) || overlap(strings.TrimRight(r.base, "/"), strings.TrimRight(other.reading.base, "/"))
			if near && r.mayHave(other.reading.params, other.of.isExact() || len(covering[0].read.params) == 0) {
				found[other.of] = true
				all = append(all, other.of)
			}
		}
	}
	return all
}

// slashesTaken leaves slashes to what may be empty beside them.
var slashesTaken = strings.NewReplacer("/"+string(anyRest)+"/", string(anyRest), "/"+string(anyRest), string(anyRest), string(anyRest)+"/", string(anyRest))

// mayHave reports whether what a template expands to may have the parameters, or,
// if fewer will do, some of them.
func (r reading) mayHave(params []string, fewer bool) bool {
	has := func(param string) bool {
		return slices.ContainsFunc(r.params, func(own string) bool { return overlap(own, param) })
	}
	if fewer && slices.ContainsFunc(params, has) {
		return true
	}
	return !slices.ContainsFunc(params, func(param string) bool { return !has(param) })
}

// refines reports whether the pattern names parameters that the other key, for
// the same path, does not: it is the rule for URIs that have them. One without a
// value is as good as none.
func (p *pattern) refines(other *neighbour, uri []string) bool {
	theirs, own := other.reading.params, p.read.reading.params
	names := p.template != nil && p.template.names ||
		slices.ContainsFunc(own, func(param string) bool { return !slices.Contains(theirs, param) && !isMark(firstOf(param)) })
	return names && p.isBeside(other.of) &&
		!slices.ContainsFunc(theirs, func(param string) bool { return !slices.Contains(own, param) }) &&
		!slices.ContainsFunc(uri, func(param string) bool { return strings.HasSuffix(param, "=") })
}

// isBeside reports whether the other key is written for the path of the pattern,
// or for all below it.
func (p *pattern) isBeside(other *pattern) bool {
	path, _, _ := strings.Cut(p.marked, "?")
	theirs, _, _ := strings.Cut(other.marked, "?")
	return path == theirs || strings.TrimRight(path, "/")+"/"+string(anyRest) == theirs
}

func firstOf(text string) rune { r, _ := utf8.DecodeRuneInString(text); return r }
