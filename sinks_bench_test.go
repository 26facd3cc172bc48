package mcpauth_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
)

type noSink struct{}

func (noSink) Write(...auditlog.Record) error { return nil }

// BenchmarkSinks: what a record costs a request, by where it goes. The rows
// differ in OnDecision alone.
func BenchmarkSinks(b *testing.B) {
	file := func(b *testing.B, every time.Duration) *auditlog.File {
		file, err := auditlog.OpenFile(auditlog.FileOptions{Path: filepath.Join(b.TempDir(), "audit.jsonl"), SyncEvery: every})
		require.NoError(b, err)
		b.Cleanup(func() { _ = file.Close() })
		return file
	}
	queue := func(b *testing.B, sink auditlog.Sink) *auditlog.Queue {
		queue := auditlog.NewQueue(sink, 0)
		b.Cleanup(func() { _ = queue.Close(context.Background()) })
		return queue
	}
	for _, row := range []struct {
		name string
		sink func(b *testing.B) auditlog.Sink // nil: no OnDecision
	}{
		{"none", nil},
		{"record alone", func(*testing.B) auditlog.Sink { return noSink{} }},
		{"slog", func(*testing.B) auditlog.Sink { return auditlog.Slog(slog.New(slog.NewJSONHandler(nowhere{}, nil))) }},
		{"file, fsync every second", func(b *testing.B) auditlog.Sink { return file(b, time.Second) }},
		{"file, fsync each", func(b *testing.B) auditlog.Sink { return file(b, 0) }},
		{"queue, file, fsync every second", func(b *testing.B) auditlog.Sink { return queue(b, file(b, time.Second)) }},
		{"queue, file, fsync each batch", func(b *testing.B) auditlog.Sink { return queue(b, file(b, 0)) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			var lost func() uint64
			f := newFixture(b, func(c *mcpauth.Config) {
				c.Logger = nil
				if row.sink == nil {
					return
				}
				audit, err := auditlog.New(row.sink(b), auditlog.Options{})
				require.NoError(b, err)
				c.OnDecision, lost = audit.OnDecision, audit.Lost
			})
			token := f.token(nil)
			headers := modernHeaders("tools/call", "echo")
			b.ReportAllocs()
			for b.Loop() {
				f.handler.ServeHTTP(httptest.NewRecorder(), f.request("POST", "/mcp", token, modernCall("echo"), headers...))
			}
			if lost != nil {
				b.ReportMetric(float64(lost())/float64(b.N), "lost/op")
			}
		})
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
