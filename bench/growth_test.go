package bench

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// BenchmarkGrowth is what may grow with a size: cmd/results draws it. How it goes
// with the number of clients, cmd/e2e measures.
func BenchmarkGrowth(b *testing.B) {
	for _, size := range bodySizes {
		body := fixture.Body(tool, "structure", size, false)
		for _, w := range []wrapper{mine, careful} {
			grow(b, "body", size, w.name, func(b *testing.B) { drive(b, w.known(b, fixture.Served, body)) })
		}
	}
	for _, n := range []int{10, 100, 1_000, 10_000, 60_000} {
		for _, w := range []wrapper{mine, careful} {
			serve := sync.OnceValue(func() func(int) bool { return inTurn(b, w, n) })
			grow(b, "tokens", n, w.name, func(b *testing.B) { drive(b, serve()) })
		}
	}
	for _, n := range []int{10, 100, 1_000, 5_000} {
		grow(b, "tools", n, "mcpauth", func(b *testing.B) { drive(b, toolList{n, true, false}.request(b)) })
		grow(b, "tools", n, "encoding-json", func(b *testing.B) { drive(b, toolList{n, true, false}.byPeer(b)) })
	}
	for _, n := range []int{1, 10, 100, 1_000, 10_000} {
		for _, w := range []wrapper{noop, mine, careful} {
			grow(b, "streams", n, w.name, func(b *testing.B) { streams(b, w, n) })
		}
	}
}

func grow(b *testing.B, by string, n int, impl string, run func(b *testing.B)) {
	b.Run(fmt.Sprintf("by=%s/n=%d/impl=%s", by, n, impl), run)
}

// inTurn presents so many tokens in turn, all of which were seen once.
func inTurn(b *testing.B, w wrapper, n int) func(int) bool {
	handler := w.wrap(b, "EdDSA", fixture.Served)
	serve := servingMany(authorization(issuer.Tokens("EdDSA", n)), func(int) http.Handler { return handler })
	for i := range n {
		if !serve(i) {
			b.Fatal("refused")
		}
	}
	next := 0
	return func(int) bool { next++; return serve(next) }
}

// BenchmarkTokens presents so many tokens in turn, twice, and tells how many of them
// the memory holds, how many bytes each keeps alive, its principal included, and how many
// were known at their second time.
func BenchmarkTokens(b *testing.B) {
	for _, n := range []int{1_000, 60_000, 100_000} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			tokens := authorization(issuer.Tokens("EdDSA", n))
			for range b.N {
				auth := newMiddleware(b, nil)
				before, handler := live(), auth.Wrap(fixture.Served)
				serve := servingMany(tokens, func(int) http.Handler { return handler })
				turn := func() {
					for i := range n {
						if !serve(i) {
							b.Fatal("refused")
						}
					}
				}
				turn()
				first := auth.TokenMemory()
				kept := float64(live()) - float64(before)
				turn()
				// Each one that was unknown is remembered now, or not, at the cost of a token.
				lost := auth.TokenMemory().Evicted - first.Evicted
				b.ReportMetric(kept/float64(first.Tokens), "B/token")
				b.ReportMetric(float64(first.Tokens), "held")
				b.ReportMetric(100*(1-float64(lost)/float64(n)), "%hits")
			}
		})
	}
}

// toolList is an answer to tools/list: so many tools of about 400 bytes.
type toolList struct {
	n      int
	half   bool // every second one is hidden
	events bool // the answer is an event stream
}

func (l toolList) answer() []byte {
	var b bytes.Buffer
	for i := range l.n {
		fmt.Fprintf(&b, `%s{"name":"tool_%d","description":"Returns the usage of one product between two days, by region, as a table with one row a day.",`+
			`"inputSchema":{"type":"object","properties":{"from":{"type":"string","format":"date","description":"first day"},`+
			`"to":{"type":"string","format":"date","description":"last day"},"region":{"type":"string","enum":["eu","us","ap"]}},"required":["from","to"]},`+
			`"annotations":{"readOnlyHint":true}}`, comma(i), i)
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":7,"result":{"tools":[%s]}}`, b.Bytes())
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func (l toolList) request(b *testing.B) func(int) bool {
	b.Helper()
	rules := make(map[string]mcpauth.Requirement, l.n)
	for i := range l.n {
		scope := "mcp:read"
		if l.half && i%2 == 1 {
			scope = "tenant:admin"
		}
		rules["tool_"+strconv.Itoa(i)] = mcpauth.Scopes(scope)
	}
	auth := newMiddleware(b, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: rules} })
	answer, contentType := l.answer(), "application/json"
	shown := len(answer)
	if l.half {
		shown /= 2
	}
	if l.events {
		answer, contentType = fmt.Appendf(nil, "event: message\ndata: %s\n\n", answer), "text/event-stream"
	}
	return listing(b, "tools/list", auth.Wrap(answering(contentType, answer)), shown)
}

// byPeer is the same with the filter that a user writes, and no token.
func (l toolList) byPeer(b *testing.B) func(int) bool {
	b.Helper()
	hidden := map[string]bool{}
	for i := 1; i < l.n; i += 2 {
		hidden["tool_"+strconv.Itoa(i)] = true
	}
	answer := l.answer()
	return listing(b, "tools/list", peers.FilterTools(hidden, answering("application/json", answer)), len(answer)/2)
}

func answering(contentType string, answer []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(answer)
	})
}

// listing asks for a list, in the legacy revision, of which about so many bytes are shown.
func listing(b *testing.B, method string, handler http.Handler, shown int) func(int) bool {
	b.Helper()
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":7,"method":%q}`, method)
	r, w := fixture.NewRequest(known(), "", body), &fixture.Writer{}
	for _, name := range []string{"Mcp-Name", "Mcp-Method", "Mcp-Protocol-Version"} {
		r.Header.Del(name)
	}
	return func(int) bool {
		w.Reset()
		r.Rewind(body)
		handler.ServeHTTP(w, r.Request)
		return w.Status == http.StatusOK && w.Written > shown*3/4 && w.Written < shown*5/4+100
	}
}

// BenchmarkLists filters a list of 5,000 tools, and one of 2,000 resources by 2,000
// templates: processor time, and garbage in sizes of the list.
func BenchmarkLists(b *testing.B) {
	for _, hidden := range []string{"none", "half"} {
		for _, form := range []string{"json", "sse"} {
			b.Run("tools=5000/hidden="+hidden+"/form="+form, func(b *testing.B) {
				l := toolList{5_000, hidden == "half", form == "sse"}
				request := l.request(b)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				drive(b, request)
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(len(l.answer())), "lists/op")
			})
		}
	}
	for _, n := range []int{200, 2_000} {
		b.Run(fmt.Sprintf("resources=%d", n), func(b *testing.B) { drive(b, resources(b, n)) })
	}
}

// resources lists so many resources, each of which one of as many templates names.
func resources(b *testing.B, n int) func(int) bool {
	b.Helper()
	rules, answer := map[string]mcpauth.Requirement{}, bytes.NewBufferString(`{"jsonrpc":"2.0","id":7,"result":{"resources":[`)
	for i := range n {
		rules[fmt.Sprintf("db://{tenant}/table%d/{row}", i)] = mcpauth.Scopes("mcp:read")
		fmt.Fprintf(answer, `%s{"uri":"db://acme/table%d/7","name":"row 7"}`, comma(i), i)
	}
	answer.WriteString("]}}")
	auth := newMiddleware(b, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Resources: rules} })
	return listing(b, "resources/list", auth.Wrap(answering("application/json", answer.Bytes())), answer.Len())
}

var event = []byte(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}` + "\n\n")

// streams opens so many event streams and tells what each of them keeps alive,
// heap and stack, what the benchmark itself needs for it included. The operation
// is one event on one of them.
func streams(b *testing.B, w wrapper, n int) {
	var (
		open   sync.WaitGroup
		closed sync.WaitGroup
		events = make(chan struct{}) // whoever has waited longest gets the next one
		sent   = make(chan struct{})
	)
	handler := w.wrap(b, "RS256", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		open.Done()
		for range events {
			_, _ = w.Write(event)
			w.(http.Flusher).Flush()
			sent <- struct{}{}
		}
	}))
	before := resident()
	open.Add(n)
	for range n {
		closed.Go(func() { handler.ServeHTTP(&fixture.Writer{}, fixture.NewRequest(known(), tool, smallBody).Request) })
	}
	open.Wait()
	send := func(int) bool {
		events <- struct{}{}
		<-sent
		return true
	}
	for i := range n { // the first event of a stream makes its buffers
		send(i)
	}
	each := (float64(resident()) - float64(before)) / float64(n)
	drive(b, send)
	close(events)
	closed.Wait()
	b.ReportMetric(each, "B/stream")
}

// resident is what is alive in the heap, and what stacks take.
func resident() uint64 {
	alive := live()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return alive + m.StackInuse
}

// BenchmarkStart is a server's first good request after New, the fetch of
// metadata and keys on loopback included.
func BenchmarkStart(b *testing.B) {
	before := issuer.Requests()
	for range b.N {
		auth, err := mcpauth.New(config(nil))
		if err != nil {
			b.Fatal(err)
		}
		serving(b, auth.Wrap(fixture.Served), known(), smallBody, http.StatusOK)
	}
	b.ReportMetric(float64(issuer.Requests()-before)/float64(b.N), "roundtrips/op")
}
