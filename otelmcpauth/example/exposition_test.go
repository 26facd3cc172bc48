package main

import (
	"errors"
	"flag"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/otelmcpauth"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	metricLine = regexp.MustCompile(`(?m)^(?:(# TYPE mcpauth_.*)|(mcpauth_.*) \S+)$`)
	scopeLabel = regexp.MustCompile(`,?otel_scope_\w+="[^"]*"`)
)

// changed is what Prometheus reads after a change of the configuration that failed.
func changed(t *testing.T, s settings) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	require.NoError(t, err)
	telemetry, err := otelmcpauth.New(otelmcpauth.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	require.NoError(t, err)
	audit, err := auditlog.New(auditlog.Slog(slog.New(slog.DiscardHandler)), auditlog.Options{})
	require.NoError(t, err)
	auth, err := newAuth(s, audit, telemetry)
	require.NoError(t, err)
	auth.ReloadFailed(t.Context(), "file", errors.New("broken"))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestExposition: what Prometheus reads of a server that does well and of one that does not,
// without the values. internal/archtest holds alerts, dashboard and guide against it.
func TestExposition_OBS_02_OBS_03(t *testing.T) {
	lines := map[string]bool{}
	add := func(s *site, metrics string) {
		metrics = strings.ReplaceAll(scopeLabel.ReplaceAllString(metrics, ""), s.issuer.URL(), "https://as.example.com")
		for _, match := range metricLine.FindAllStringSubmatch(strings.ReplaceAll(metrics, "{,", "{"), -1) {
			lines[match[1]+match[2]] = true
		}
	}
	good := newSite(t)
	defer good.stop()
	token := good.issuer.TokenFor(resource, "tool:echo:execute")
	require.Equal(t, http.StatusOK, good.call(token, "echo"))
	require.Equal(t, http.StatusForbidden, good.call(token, "other"))
	require.Equal(t, http.StatusUnauthorized, good.call("", "echo"))
	good.issuer.Rotate(mcpauthtest.NewKey("old", "RS256"))
	stranger := good.issuer.Token(mcpauthtest.Claims{"aud": resource, "iat": time.Now().Add(-time.Hour).Unix()})
	good.issuer.Rotate(mcpauthtest.NewKey("new", "RS256"))
	require.Equal(t, http.StatusUnauthorized, good.call(stranger, "echo"), "no key verifies it")
	metrics := good.get("/metrics")
	assert.NotContains(t, metrics, "mcpauth_keys_last_error", "absent when all is well")
	add(good, metrics)

	bad := newSite(t)
	defer bad.stop()
	metrics = bad.get("/metrics")
	assert.NotContains(t, metrics, "mcpauth_decisions_total", "absent before the first request")
	assert.NotContains(t, metrics, "mcpauth_keys_age_seconds", "absent before the first fetch")
	assert.Contains(t, metrics, "mcpauth_issuer_ready{", "there from the beginning")
	bad.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	require.Equal(t, http.StatusServiceUnavailable, bad.call(bad.issuer.TokenFor(resource), "echo"))
	add(bad, bad.get("/metrics"))
	add(bad, changed(t, bad.settings))

	all := strings.Join(slices.Sorted(maps.Keys(lines)), "\n") + "\n"
	const golden = "testdata/prometheus.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(all), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), all)
}
