//go:build unix && !race

// The race detector allocates for itself.

package mcpauth_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// longList is what a server answers tools/list with: so many tools of about 400 bytes each.
func longList(n int) string {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"tool_%d","description":"Returns the usage of one product between two days, by region, as a table with one row a day.",`+
			`"inputSchema":{"type":"object","properties":{"from":{"type":"string","format":"date","description":"first day"},`+
			`"to":{"type":"string","format":"date","description":"last day"},"region":{"type":"string","enum":["eu","us","ap"]}},"required":["from","to"]},`+
			`"annotations":{"readOnlyHint":true}}`, i)
	}
	b.WriteString(`]}}`)
	return b.String()
}

// processorTime is what the process has used, in nanoseconds: other processes on the machine count for less than
// in the time that has passed.
func processorTime() int64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return used.Utime.Nano() + used.Stime.Nano()
}

// longListServer is a fixture whose caller is shown all of so many tools, or every second one.
func longListServer(tb testing.TB, n int, half bool) *fixture {
	rules := make(map[string]mcpauth.Requirement, n)
	for i := range n {
		scope := "mcp:read"
		if half && i%2 == 1 {
			scope = "mcp:admin"
		}
		rules["tool_"+strconv.Itoa(i)] = mcpauth.Scopes(scope)
	}
	return newFixture(tb, func(c *mcpauth.Config) { c.Policy, c.Logger = mcpauth.Rules{Tools: rules}, nil })
}

// listForm is how a long list is written: as JSON or an event, whole, as Go servers do, or in pieces, as a proxy does.
type listForm struct {
	events, inPieces, modern bool
}

func (form listForm) String() string {
	return fmt.Sprintf("events=%t/pieces=%t/modern=%t", form.events, form.inPieces, form.modern)
}

var listForms = []listForm{
	{false, false, false}, {false, false, true}, {false, true, true}, {true, false, false}, {true, false, true}, {true, true, true},
}

// longListRequest returns a function that asks for the list, and the size of what the handler writes.
func longListRequest(tb testing.TB, f *fixture, n int, form listForm) (ask func() *discard, size int) {
	contentType, list := listsJSON, []byte(longList(n))
	if form.events {
		contentType, list = "text/event-stream", []byte("event: message\ndata: "+string(list)+"\n\n")
	}
	piece := len(list)
	if form.inPieces {
		piece = 32 << 10
	}
	handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for part := range slices.Chunk(list, piece) {
			if _, err := w.Write(part); err != nil {
				panic(err)
			}
		}
	}))
	r := listsRequest(f, "tools/list", f.token(nil), form.modern)
	body, err := io.ReadAll(r.Body)
	require.NoError(tb, err)
	return func() *discard {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := &discard{header: http.Header{}}
		handler.ServeHTTP(w, r)
		return w
	}, len(list)
}

// garbage is what a run allocates, in bytes.
func garbage(run func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// TestListGarbage_MCP_62: a list is not copied to be looked at. What is allocated for one is no more than three
// times the list, whatever is hidden and however it comes.
func TestListGarbage_MCP_62(t *testing.T) {
	const n = 5000
	for _, half := range []bool{false, true} {
		f := longListServer(t, n, half)
		for _, form := range listForms {
			t.Run(fmt.Sprintf("half=%t/%s", half, form), func(t *testing.T) {
				ask, size := longListRequest(t, f, n, form)
				first := ask()
				if half {
					assert.InDelta(t, size/2, first.bytes, 1000)
				} else {
					assert.InDelta(t, size, first.bytes, 100)
				}
				assert.LessOrEqual(t, garbage(func() { ask() }), 3*size)
			})
		}
	}
}

// BenchmarkLists filters a long list: processor time, and garbage in sizes of the list.
func BenchmarkLists(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		for _, half := range []bool{false, true} {
			f := longListServer(b, n, half)
			for _, form := range listForms {
				b.Run(fmt.Sprintf("tools=%d/half=%t/%s", n, half, form), func(b *testing.B) {
					ask, size := longListRequest(b, f, n, form)
					busy := processorTime()
					bytes := garbage(func() {
						for b.Loop() {
							ask()
						}
					})
					b.ReportMetric(float64(processorTime()-busy)/float64(b.N)/1e6, "cpu-ms/op")
					b.ReportMetric(float64(bytes)/float64(b.N)/float64(size), "lists/op")
				})
			}
		}
	}
}
