package otelmcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/otelmcpauth"
)

var update = flag.Bool("update", false, "rewrite golden files")

const resource = "https://mcp.example.com/mcp"

type server struct {
	http.Handler
	inner     http.HandlerFunc
	t         *testing.T
	issuer    *mcpauthtest.Issuer
	metrics   *sdkmetric.ManualReader
	spans     *tracetest.SpanRecorder
	traces    *sdktrace.TracerProvider
	telemetry *otelmcpauth.Telemetry
	auth      *mcpauth.Middleware
	config    mcpauth.Config
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, issuer: mcpauthtest.NewIssuerAt(t, "https://as.example.com"), metrics: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	s.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	var err error
	s.telemetry, err = otelmcpauth.New(otelmcpauth.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics)), TracerProvider: s.traces,
	})
	require.NoError(t, err)
	s.config = mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{s.issuer.Config()}, Transport: s.issuer.Transport(),
		OnDecision: s.telemetry.OnDecision, OnServed: s.telemetry.OnServed,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"echo": mcpauth.Scopes("mcp:read"), "admin": mcpauth.Scopes("mcp:admin"), "*": mcpauth.Authenticated(),
		}},
	}
	s.auth, err = mcpauth.New(s.config)
	require.NoError(t, err)
	require.NoError(t, s.telemetry.Observe(s.auth))
	s.Handler = s.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.inner != nil {
			s.inner(w, r)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	return s
}

func (s *server) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"}
	maps.Copy(all, claims)
	return s.issuer.Token(all)
}

func (s *server) call(ctx context.Context, token, tool string) int {
	return s.post(ctx, token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"a":"canary-argument"}}}`, tool))
}

func (s *server) post(ctx context.Context, token, body string) int {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp?q=canary-query", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

func (s *server) collect() []metricdata.Metrics {
	s.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(s.t, s.metrics.Collect(s.t.Context(), &all))
	require.Len(s.t, all.ScopeMetrics, 1)
	return all.ScopeMetrics[0].Metrics
}

// decisions returns the series of the counter of decisions.
func (s *server) decisions() map[string]int64 {
	s.t.Helper()
	series := map[string]int64{}
	for _, m := range s.collect() {
		if m.Name != "mcpauth.decisions" {
			continue
		}
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			var labels []string
			for _, label := range point.Attributes.ToSlice() {
				labels = append(labels, string(label.Key)+"="+label.Value.Emit())
			}
			series[strings.Join(labels, " ")] = point.Value
		}
	}
	return series
}

// Names, units and kinds are what dashboards are built on.
func TestNamesGolden_OBS_02_OBS_03(t *testing.T) {
	s := newServer(t)
	s.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	s.call(t.Context(), s.token(nil), "echo")
	s.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
	require.Eventually(t, func() bool { return s.call(t.Context(), s.token(nil), "echo") == http.StatusOK }, 30*time.Second, 100*time.Millisecond)
	lines := map[string]bool{}
	note := func() {
		for _, m := range s.collect() {
			lines[fmt.Sprintf("%s\t%s\t%s", m.Name, m.Unit, strings.TrimPrefix(fmt.Sprintf("%T", m.Data), "metricdata."))] = true
		}
	}
	note()
	s.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	other := mcpauthtest.NewKey("k2", "RS256")
	s.issuer.Rotate(other)
	s.call(t.Context(), s.token(nil), "echo")
	note()
	got := strings.Join(slices.Sorted(maps.Keys(lines)), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("testdata/metrics.golden", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/metrics.golden")
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// The memory of tokens is measured for each middleware, without labels.
func TestTokens_OBS_01(t *testing.T) {
	s := newServer(t)
	for i := range 3 {
		require.Equal(t, http.StatusOK, s.call(t.Context(), s.token(mcpauthtest.Claims{"jti": fmt.Sprint(i)}), "echo"))
	}
	seen := map[string]int64{}
	for _, m := range s.collect() {
		var points []metricdata.DataPoint[int64]
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			points = data.DataPoints
		case metricdata.Sum[int64]:
			points = data.DataPoints
		}
		if strings.HasPrefix(m.Name, "mcpauth.tokens") {
			require.Len(t, points, 1)
			assert.Zero(t, points[0].Attributes.Len())
			seen[m.Name] = points[0].Value
		}
	}
	assert.Greater(t, seen["mcpauth.tokens.memory"], int64(1000))
	delete(seen, "mcpauth.tokens.memory")
	assert.Equal(t, map[string]int64{"mcpauth.tokens": 3, "mcpauth.tokens.memory.limit": 64 << 20, "mcpauth.tokens.evicted": 0}, seen)
}

// However many names of tools, methods and issuers strangers make up, the
// series are as many as the configuration allows.
func TestSeries_OBS_01(t *testing.T) {
	s := newServer(t)
	token := s.token(nil)
	for i := range 10_000 {
		s.call(t.Context(), token, fmt.Sprintf("tool-%d", i))
	}
	assert.Equal(t, map[string]int64{
		"gen_ai.tool.name=other mcp.method.name=tools/call mcpauth.issuer=https://as.example.com mcpauth.outcome=allow": 10_000,
	}, s.decisions())
	for i := range 100 {
		s.post(t.Context(), token, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"made/up-%d"}`, i))
		s.call(t.Context(), s.token(mcpauthtest.Claims{"iss": fmt.Sprintf("https://%d.example", i)}), "echo")
	}
	s.call(t.Context(), token, "echo")
	s.call(t.Context(), token, "admin")
	s.post(t.Context(), token, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]`)
	assert.Equal(t, map[string]int64{
		"gen_ai.tool.name=other mcp.method.name=tools/call mcpauth.issuer=https://as.example.com mcpauth.outcome=allow": 10_000,
		"error.type=forbidden mcp.method.name=other mcpauth.issuer=https://as.example.com mcpauth.outcome=deny":         100,
		"error.type=issuer mcpauth.outcome=deny": 100,
		"gen_ai.tool.name=echo mcp.method.name=tools/call mcpauth.issuer=https://as.example.com mcpauth.outcome=allow":                               1,
		"error.type=insufficient_scope gen_ai.tool.name=admin mcp.method.name=tools/call mcpauth.issuer=https://as.example.com mcpauth.outcome=deny": 1,
		"mcp.method.name=batch mcpauth.issuer=https://as.example.com mcpauth.outcome=allow":                                                          1,
	}, s.decisions())
}

// One span for each decision, under the caller's, from arrival to decision.
func TestSpans_OBS_04(t *testing.T) {
	s := newServer(t)
	ctx, parent := s.traces.Tracer("test").Start(t.Context(), "POST /mcp")
	s.call(ctx, s.token(nil), "echo")
	s.call(ctx, s.token(nil), "admin")
	s.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	parent.End()
	ended := s.spans.Ended()
	require.Len(t, ended, 3)
	for _, span := range ended[:2] {
		assert.Equal(t, "mcpauth authorize", span.Name())
		assert.Equal(t, parent.SpanContext().SpanID(), span.Parent().SpanID())
		assert.False(t, span.EndTime().Before(span.StartTime()))
		assert.Equal(t, "token verified", span.Events()[0].Name)
		assert.Equal(t, codes.Unset, span.Status().Code, "a refusal is no error of the server")
	}
	text := fmt.Sprint(ended[1].Attributes())
	for _, part := range []string{"insufficient_scope", "scope-not-granted", "mcp:admin", "mcpauth.rules", "403"} {
		assert.Contains(t, text, part)
	}
	broken := newServer(t)
	broken.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	broken.call(t.Context(), broken.token(nil), "echo")
	assert.Equal(t, codes.Error, broken.spans.Ended()[0].Status().Code)
}

// Nothing secret is in metrics and traces; what is unverified is not there either.
func TestCanary_AUDIT_03_OBS_04(t *testing.T) {
	s := newServer(t)
	tokens := []string{
		s.token(mcpauthtest.Claims{"sub": "canary-sub", "email": "canary-mail", "jti": "canary-jti", "client_id": "canary-client"}),
		s.token(mcpauthtest.Claims{"aud": "canary-aud"}), s.token(mcpauthtest.Claims{"iss": "canary-iss"}),
		s.token(mcpauthtest.Claims{"scope": "canary-scope"}), "canary-opaque", "",
	}
	for _, token := range tokens {
		s.call(t.Context(), token, "echo")
		s.call(t.Context(), token, "canary-tool")
	}
	var all strings.Builder
	metrics, err := json.Marshal(s.collect())
	require.NoError(t, err)
	all.Write(metrics)
	for _, span := range tracetest.SpanStubsFromReadOnlySpans(s.spans.Ended()) {
		text, err := json.Marshal(span)
		require.NoError(t, err)
		all.Write(text)
		fmt.Fprintf(&all, "%+v", span)
	}
	assert.Contains(t, all.String(), "insufficient_scope")
	assert.NotContains(t, all.String(), "canary")
	for _, token := range tokens {
		for part := range strings.SplitSeq(token, ".") {
			assert.False(t, len(part) > 8 && strings.Contains(all.String(), part), "a part of a token")
		}
	}
}

func TestClose(t *testing.T) {
	s := newServer(t)
	require.NotEmpty(t, s.collect())
	require.NoError(t, s.telemetry.Close())
	require.NoError(t, s.telemetry.Close())
	var all metricdata.ResourceMetrics
	require.NoError(t, s.metrics.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			assert.NotContains(t, m.Name, "keys")
		}
	}
	_, err := otelmcpauth.New(otelmcpauth.Config{})
	assert.NoError(t, errors.Join(err), "the global providers")
}

// A stateful handler behind round robin answers 404 to every second call that is allowed: both
// classes are counted.
func TestHandler_OBS_01_OBS_02(t *testing.T) {
	s := newServer(t)
	calls := 0
	s.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if calls++; calls%2 == 0 {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}
	for range 10 {
		s.call(t.Context(), s.token(nil), "echo")
	}
	s.call(t.Context(), s.token(nil), "admin") // refused
	series := map[string]uint64{}
	for _, m := range s.collect() {
		if m.Name == "mcpauth.handler.duration" {
			for _, point := range m.Data.(metricdata.Histogram[float64]).DataPoints {
				series[point.Attributes.Encoded(attribute.DefaultEncoder())] = point.Count
			}
		}
	}
	assert.Equal(t, map[string]uint64{
		"http.response.status_class=2xx,mcp.method.name=tools/call": 5, "http.response.status_class=4xx,mcp.method.name=tools/call": 5,
	}, series)
}

// Which issuer has the unknown keys: the label is that of a configured one, and of no other.
func TestUnknownKeys_OBS_01(t *testing.T) {
	s := newServer(t)
	s.call(t.Context(), s.token(nil), "echo")
	s.issuer.Rotate(mcpauthtest.NewKey("other", "RS256"))
	stranger := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	stranger.Rotate(mcpauthtest.NewKey("unknown", "RS256"))
	s.call(t.Context(), stranger.Token(mcpauthtest.Claims{"aud": resource, "iat": time.Now().Add(-time.Hour).Unix()}), "echo")
	assert.EqualValues(t, 1, s.decisions()["error.type=unknown_key mcpauth.issuer=https://as.example.com mcpauth.outcome=deny"], "%v", s.decisions())
}
