package differential

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
)

// wellFormed are requests that a handler executes, of both eras and with every
// kind of target; the corpus has few of them, because it is about refusals.
func wellFormed() []string {
	const (
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
		file = `"uri":"file:///public/a"`
	)
	var bodies []string
	for _, c := range []struct{ method, params string }{
		{"tools/call", `"name":"echo","arguments":{"text":"hi","n":1.5e3,"deep":{"a":[null,true,"\u00e9"]}}`},
		{"tools/call", `"name":"echo"`},
		{"tools/call", `"arguments":{"text":"x"},"name":"admin_delete"`},
		{"prompts/get", `"name":"greet","arguments":{"who":"you"}`},
		{"prompts/get", `"name":"admin_prompt"`},
		{"resources/read", file},
		{"resources/read", `"uri":"file:///secret/b"`},
		{"resources/read", `"uri":"db://tenant-1"`},
		{"resources/subscribe", file},
		{"completion/complete", `"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"who","value":"y"}`},
		{"completion/complete", `"ref":{"type":"ref/resource","uri":"file:///public/a"},"argument":{"name":"t","value":"y"}`},
		{"subscriptions/listen", `"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///public/a"]}`},
		{"tools/list", `"cursor":""`},
		{"tasks/get", `"taskId":"t-1"`},
	} {
		bodies = append(bodies,
			fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{%s}}`, c.method, c.params),
			fmt.Sprintf(`{"jsonrpc":"2.0","id":"m-1","method":%q,"params":{%s,%s}}`, c.method, c.params, meta),
			fmt.Sprintf(`{"params":{%s,%s},"method":%q,"id":0,"jsonrpc":"2.0"}`, meta, c.params, c.method))
	}
	return bodies
}

// initialBodies are the corpus and what a handler executes.
func initialBodies() []string {
	bodies := wellFormed()
	for _, b := range corpus.Bodies {
		bodies = append(bodies, b.Body)
	}
	return bodies
}

// generator makes bodies from bodies. The same seed makes the same bodies.
type generator struct {
	rand      *rand.Rand
	bases     []string // accepted ones several times, as they are the fertile ones
	bred      []string // bases that this generator has made itself
	mutations []func(*generator, string) string
	most      int             // mutations of one body
	seen      map[uint64]bool // hashes of what was returned
}

// newGenerator starts from the corpus and more, and as much from well-formed
// requests.
func newGenerator(seed uint64, more ...string) *generator {
	g := newFertileGenerator(seed)
	g.mutations, g.most = slices.Concat(sharp, blunt), 3
	for _, body := range append(initialBodies(), more...) {
		if len(body) > 2000 {
			continue
		}
		g.bases = append(g.bases, body)
		if _, err := jsonrpc.Parse([]byte(body)); err == nil {
			g.bases = append(g.bases, body, body)
		}
	}
	for range 20 {
		g.bases = append(g.bases, wellFormed()...)
	}
	return g
}

// newFertileGenerator starts from what a handler executes.
func newFertileGenerator(seed uint64) *generator {
	return &generator{rand: rand.New(rand.NewPCG(seed, 2)), bases: wellFormed(), mutations: sharp, most: 2, seen: map[uint64]bool{}}
}

// How much a generator remembers: hashes of bodies, those that it makes more of, and how long these may grow.
const (
	remembered = 1_000_000
	mostBred   = 5_000
	longest    = 600
)

// next returns a body that it has not returned before, or long ago.
func (g *generator) next() string {
	if len(g.seen) == remembered {
		clear(g.seen)
	}
	for {
		body := g.pick(g.bases)
		if len(g.bred) > 0 { // rarely at first, or a few would be the ancestors of all
			if i := g.rand.IntN(mostBred + mostBred/3); i < len(g.bred) {
				body = g.bred[i]
			}
		}
		for range 1 + g.rand.IntN(g.most) {
			body = g.mutations[g.rand.IntN(len(g.mutations))](g, body)
		}
		hash := fnv.New64a()
		_, _ = io.WriteString(hash, body)
		if !g.seen[hash.Sum64()] {
			g.seen[hash.Sum64()] = true
			return body
		}
	}
}

// breed makes a body a base of others, in place of one that had its time.
func (g *generator) breed(body string) {
	switch {
	case len(body) > longest:
	case len(g.bred) < mostBred:
		g.bred = append(g.bred, body)
	default:
		g.bred[g.rand.IntN(mostBred)] = body
	}
}

func (g *generator) pick(list []string) string { return list[g.rand.IntN(len(list))] }

var (
	// sharp mutations know JSON, MCP and what readers disagree about.
	sharp = []func(*generator, string) string{
		(*generator).shadowMember, (*generator).shadowMember, (*generator).shadowMember, (*generator).shadowMember,
		(*generator).respellString, (*generator).respellString, (*generator).replaceString,
		(*generator).insertMember, (*generator).appendMember, (*generator).wrap,
	}
	// blunt ones know nothing.
	blunt = []func(*generator, string) string{
		(*generator).respellString, (*generator).replaceNumber, (*generator).addSpace, (*generator).addSpace,
		(*generator).changeByte, (*generator).copyRange, (*generator).cut,
	}
)

var (
	memberNames = []string{
		"jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "arguments", "taskId", "ref", "type",
		"notifications", "_meta", "argument", "context", "cursor", "task", "requestState", "inputResponses",
		versionMember, "progressToken", "toolsListChanged", "resourceSubscriptions", "taskIds",
		"x", "", "__proto__", "constructor", "toString", "length", "é", "x\u0000", "name\u0000", "names", "nam", "_Meta",
	}
	memberValues = []string{
		`"echo"`, `"admin_delete"`, `"tools/call"`, `"ping"`, `"2.0"`, `"2026-07-28"`, `"file:///secret/b"`, `"greet"`,
		`null`, `true`, `false`, `0`, `-0`, `1`, `1.0`, `1e2`, `9007199254740991`, `9007199254740993`, `1e400`, `-1`, `01`, `+1`, `NaN`,
		`{}`, `[]`, `{"name":"admin_delete"}`, `{"method":"tools/call"}`, `[{"a":1}]`, `{"a":{"b":[]}}`, `""`,
		`"\u0065cho"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, `"é"`, `"\/"`, "\"\xff\"", `"a` + "\n" + `b"`, `"\x41"`,
		`{"type":"ref/prompt","name":"greet"}`, `{"type":"ref/resource","uri":"file:///secret/b"}`,
	}
	texts = []string{
		"echo", "admin_delete", "ECHO", "echo ", "greet", "admin_prompt", "file:///public/a", "file:///secret/b", "db://tenant-1",
		"tools/call", "prompts/get", "resources/read", "resources/subscribe", "completion/complete", "subscriptions/listen", "tools/list",
		"ping", "initialize", "tasks/get", "2.0", "2026-07-28", "2025-11-25", "ref/prompt", "ref/resource",
		"name", "Name", "uri", "method", "params", "Params", "arguments", "id", "_meta", versionMember,
	}
	lookalikes = map[rune][]string{
		's': {"ſ", "S"}, 'k': {"K", "K"}, 'i': {"İ", "ı", "I"}, 'a': {"а", "A"}, 'e': {"е", "E"}, 'm': {"M"}, 'n': {"N"}, 'p': {"P"},
	}
	spaces = []string{" ", "\n", "\t", "\r", " \r\n ", "\v", "\f", "\u00a0", "\ufeff", "\u2028", "/**/", "//\n", "\x00"}
)

// insertMember puts a member in front of the others of some object.
func (g *generator) insertMember(body string) string {
	return g.insertAfter(body, "{", func(rest string) string {
		if strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), "}") {
			return g.member()
		}
		return g.member() + ","
	})
}

// appendMember puts a member behind the others, where the last duplicate wins.
func (g *generator) appendMember(body string) string {
	at := g.index(body, "}")
	if at < 0 {
		return body
	}
	if strings.HasSuffix(strings.TrimRight(body[:at], " \t\r\n"), "{") {
		return body[:at] + g.member() + body[at:]
	}
	return body[:at] + "," + g.member() + body[at:]
}

// rivals are other values for the members that decide.
var rivals = map[string][]string{
	"name":        {`"echo"`, `"admin_delete"`, `"greet"`, `"admin_prompt"`, `null`},
	"uri":         {`"file:///public/a"`, `"file:///secret/b"`, `"db://tenant-2"`, `null`},
	"method":      {`"tools/call"`, `"prompts/get"`, `"resources/read"`, `"ping"`, `"tools/list"`},
	"params":      {`{"name":"admin_delete"}`, `{"name":"echo"}`, `{"uri":"file:///secret/b"}`, `{}`, `null`},
	"arguments":   {`{"text":"other"}`, `{}`, `null`, `[]`},
	"ref":         {`{"type":"ref/prompt","name":"admin_prompt"}`, `{"type":"ref/resource","uri":"file:///secret/b"}`, `null`},
	"type":        {`"ref/prompt"`, `"ref/resource"`},
	"id":          {`1`, `null`, `"other"`, `2.0`},
	"jsonrpc":     {`"2.0"`, `"1.0"`},
	"_meta":       {`{}`, `null`},
	versionMember: {`"2025-11-25"`, `"2026-07-28"`, `null`},
}

// shadowMember gives a member a twin of another value, under its name or one
// that resembles it. Either may stand first, and either may have the exact
// name: readers that take the first, the last or the exact one part here.
func (g *generator) shadowMember(body string) string {
	colon := g.index(body, `":`)
	if colon < 0 {
		return body
	}
	start := strings.LastIndexByte(body[:colon], '"') + 1
	if start == 0 {
		return body
	}
	name := body[start:colon]
	twin, member := g.resembling(name), name
	if g.rand.IntN(2) == 0 {
		twin, member = member, twin
	}
	values := rivals[name]
	if len(values) == 0 {
		if g.rand.IntN(4) != 0 {
			return g.shadowMember(body)
		}
		values = memberValues
	}
	return body[:start-1] + `"` + twin + `":` + g.pick(values) + `,"` + member + body[colon:]
}

// resembling is a name that some reader takes for the given one.
func (g *generator) resembling(name string) string {
	switch g.rand.IntN(5) {
	case 0:
		return name
	case 1:
		return strings.ToUpper(name)
	case 2:
		return strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
	case 3:
		return strings.NewReplacer("s", "ſ", "k", "\u212a", "i", "ı").Replace(name)
	}
	return g.spell(name)
}

func (g *generator) member() string {
	return `"` + g.spell(g.pick(memberNames)) + `":` + g.pick(memberValues)
}

// spell writes some text as JSON might: plainly, in escapes, or not quite it.
func (g *generator) spell(text string) string {
	if g.rand.IntN(3) == 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		others := lookalikes[r]
		switch {
		case g.rand.IntN(8) == 0 && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case g.rand.IntN(8) == 0 && r < 0x10000:
			fmt.Fprintf(&b, `\u%04X`, r)
		case r == '/' && g.rand.IntN(2) == 0:
			b.WriteString(`\/`)
		case len(others) > 0 && g.rand.IntN(16) == 0:
			b.WriteString(g.pick(others))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// respellString rewrites a string of the body, its value mostly unchanged.
func (g *generator) respellString(body string) string {
	return g.onString(body, func(s string) string {
		if strings.Contains(s, `\`) {
			return s
		}
		return g.spell(s)
	})
}

func (g *generator) replaceString(body string) string {
	return g.onString(body, func(string) string { return g.spell(g.pick(texts)) })
}

// onString changes what stands between two quotes, which is mostly a string.
func (g *generator) onString(body string, change func(string) string) string {
	start := g.index(body, `"`)
	if start < 0 {
		return body
	}
	length := strings.IndexByte(body[start+1:], '"')
	if length < 0 {
		return body
	}
	end := start + 1 + length
	return body[:start+1] + change(body[start+1:end]) + body[end:]
}

func (g *generator) replaceNumber(body string) string {
	at := g.index(body, ":")
	if at < 0 {
		return body
	}
	end := at + 1 + strings.IndexAny(body[at+1:]+",", ",}]")
	return body[:at+1] + g.pick(memberValues) + body[min(end, len(body)):]
}

func (g *generator) addSpace(body string) string {
	return g.insertAfter(body, g.pick([]string{"{", "}", ":", ",", "[", "]"}), func(string) string { return g.pick(spaces) })
}

// wrap puts something around the message.
func (g *generator) wrap(body string) string {
	switch g.rand.IntN(6) {
	case 0:
		return g.pick(spaces) + body
	case 1:
		return body + g.pick(spaces)
	case 2:
		return body + g.pick(g.bases)
	case 3:
		return "[" + body + "]"
	case 4:
		return body + g.pick([]string{"}", "]", ",", "null", `""`, "\x00"})
	}
	return " " + body + "\n"
}

func (g *generator) changeByte(body string) string {
	at := g.rand.IntN(len(body) + 1)
	if at == len(body) {
		return body
	}
	return body[:at] + string([]byte{byte(g.rand.IntN(256))}) + body[at+1:]
}

func (g *generator) copyRange(body string) string {
	start := g.rand.IntN(len(body) + 1)
	end := start + g.rand.IntN(min(40, len(body)-start+1))
	at := g.rand.IntN(len(body) + 1)
	return body[:at] + body[start:end] + body[at:]
}

func (g *generator) cut(body string) string {
	start := g.rand.IntN(len(body) + 1)
	end := start + g.rand.IntN(min(12, len(body)-start+1))
	return body[:start] + body[end:]
}

// insertAfter inserts after one of the places where mark stands.
func (g *generator) insertAfter(body, mark string, text func(rest string) string) string {
	at := g.index(body, mark)
	if at < 0 {
		return body
	}
	at += len(mark)
	return body[:at] + text(body[at:]) + body[at:]
}

// index is one of the places where mark stands, or -1.
func (g *generator) index(body, mark string) int {
	n := strings.Count(body, mark)
	if n == 0 {
		return -1
	}
	at := 0
	for range g.rand.IntN(n) {
		at += strings.Index(body[at:], mark) + len(mark)
	}
	return at + strings.Index(body[at:], mark)
}
