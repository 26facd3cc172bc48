package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/inprocess"
)

// library is the middleware that the operator's program has. All that is said
// about a configuration, an issuer or a token is what it decides, and what it
// writes into its log.
type library struct {
	auth     *mcpauth.Middleware
	resource string
	handler  http.Handler
	log      *collector

	mu       sync.Mutex
	decision mcpauth.Decision // about the last request
}

func newLibrary(c mcpauth.Config) (*library, error) {
	l := &library{resource: c.Resource, log: &collector{}}
	c.Logger = slog.New(l.log)
	c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.decision = d
	}
	var err error
	if l.auth, err = mcpauth.New(c); err != nil {
		return nil, err
	}
	l.handler = l.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	return l, nil
}

// ask sends a message with a token to the middleware, and returns what it decides.
func (l *library) ask(ctx context.Context, token, body string) (mcpauth.Decision, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.resource, strings.NewReader(body))
	if err != nil {
		return mcpauth.Decision{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", legacyVersion)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := inprocess.Transport{Handler: l.handler}.RoundTrip(r)
	if err != nil {
		return mcpauth.Decision{}, err
	}
	defer answer.Body.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decision, nil
}

// trouble returns what the log says of an issuer, each cause once.
func (l *library) trouble(issuer string) (lines []logLine) {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	for _, line := range l.log.lines {
		same := func(other logLine) bool { return other["cause"] == line["cause"] }
		// Issuers that share a key set stand in one line.
		about := strings.Contains(" "+strings.ReplaceAll(line["issuer"], ", ", " ")+" ", " "+issuer+" ")
		if line["cause"] != "" && about && !slices.ContainsFunc(lines, same) {
			lines = append(lines, line)
		}
	}
	return lines
}

// logLine is one record of the log: the text of each attribute.
type logLine map[string]string

// collector is a [slog.Handler] that keeps what the middleware logs.
type collector struct {
	mu    sync.Mutex
	lines []logLine
}

// Enabled implements [slog.Handler].
func (*collector) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (c *collector) Handle(_ context.Context, r slog.Record) error {
	line := logLine{"msg": r.Message}
	r.Attrs(func(a slog.Attr) bool {
		line[a.Key] = a.Value.String()
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	return nil
}

// WithAttrs implements [slog.Handler]; the middleware has no use for it.
func (c *collector) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup implements [slog.Handler]; the middleware has no use for it.
func (c *collector) WithGroup(string) slog.Handler { return c }
