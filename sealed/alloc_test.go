//go:build !race

// The race detector adds allocations of its own.

package sealed_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

// repeated serves the same request again, and allocates nothing for that.
func repeated(tb testing.TB, between func(http.Handler) http.Handler, answers []byte, isStream bool, claims mcpauthtest.Claims, body string, headers ...string) func() {
	c := newChain(tb, func(http.Handler) http.Handler {
		return between(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if w.Header()["Content-Type"] = contentType[:1:1]; isStream {
				w.Header()["Content-Type"] = contentType[1:]
			}
			_, _ = w.Write(answers)
		}))
	})
	r := newPost(c.token(claims), body, headers...)
	reader, w, content := &rewound{}, &bareWriter{header: http.Header{}}, []byte(body)
	return func() {
		reader.Reset(content)
		r.Body = reader
		clear(w.header)
		if c.handler.ServeHTTP(w, r); w.status != http.StatusOK {
			tb.Fatalf("status %d", w.status)
		}
	}
}

var contentType = []string{"application/json", "text/event-stream"}

type rewound struct{ bytes.Reader }

func (*rewound) Close() error { return nil }

type bareWriter struct {
	header http.Header
	status int
}

func (w *bareWriter) Header() http.Header         { return w.header }
func (w *bareWriter) WriteHeader(status int)      { w.status = status }
func (w *bareWriter) Write(b []byte) (int, error) { return len(b), nil }

const modernEcho = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a\nb"}%,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`

var modernHeaders = []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "echo"}

// TestAllocations: a request and an answer without a state cost the sealer nothing.
func TestAllocations_STATE_01_STATE_09(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("counters of coverage change what the compiler keeps on the stack")
	}
	json := []byte(answerWith(`{"content":[{"type":"text","text":"requestState \"é\" \n"}],"resultType":"complete"}`))
	long := []byte(answerWith(`{"content":[{"type":"text","text":"` + strings.Repeat("x", 100<<10) + `"}]}`))
	events := []byte("event: message\ndata: " + string(json) + "\n\n")
	plain := strings.Replace(modernEcho, "%", "", 1)
	list := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	with := newSealer(t, sealed.Config{}).Handler
	for _, row := range []struct {
		name     string
		answer   []byte
		isStream bool
		body     string
		headers  []string
	}{
		{"JSON", json, false, plain, modernHeaders},
		{"long", long, false, plain, modernHeaders},
		{"events", events, true, plain, modernHeaders},
		{"another method", json, false, list, []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "server/discover"}},
		{"an older revision", json, false, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}`, []string{"MCP-Protocol-Version", "2025-11-25"}},
	} {
		count := func(between func(http.Handler) http.Handler) float64 {
			serve := repeated(t, between, row.answer, row.isStream, nil, row.body, row.headers...)
			serve()
			return testing.AllocsPerRun(200, serve)
		}
		before, after := count(without), count(with)
		assert.Equal(t, before, after, row.name)
		t.Logf("%s: %v allocations without, %v with", row.name, before, after)
	}
}

// BenchmarkHandler: what the sealer adds to a request.
func BenchmarkHandler(b *testing.B) {
	json := []byte(answerWith(`{"content":[{"type":"text","text":"` + strings.Repeat("x", 200) + `"}],"resultType":"complete"}`))
	asks := []byte(answerWith(asking(`"step=1"`)))
	plain := strings.Replace(modernEcho, "%", "", 1)
	with := newSealer(b, sealed.Config{}).Handler
	c := newChain(b, func(http.Handler) http.Handler {
		return with(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(asks) }))
	})
	sent := stateIn(b, c.send(c.token(nil), plain, modernHeaders...).Body.String())
	for _, row := range []struct {
		name    string
		between func(http.Handler) http.Handler
		answer  []byte
		body    string
	}{
		{"without", without, json, plain},
		{"no state", with, json, plain},
		{"sealed", with, asks, plain},
		{"opened", with, json, strings.Replace(modernEcho, "%", `,"requestState":"`+sent+`"`, 1)},
	} {
		b.Run(row.name, func(b *testing.B) {
			serve := repeated(b, row.between, row.answer, false, nil, row.body, modernHeaders...)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
	s, ctx, call := newSealer(b, sealed.Config{}), as("u1", "c1"), sealed.Tool("echo", []byte(`{"a":1}`))
	state, err := s.Seal(ctx, call, "step=1")
	require.NoError(b, err)
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Seal(ctx, call, "step=1")
		}
	})
	b.Run("Open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.Open(ctx, call, state, new(string))
		}
	})
}
