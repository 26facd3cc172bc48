// Command example puts mcpauth in front of any MCP server and shows what it
// does: metrics for Prometheus, a readiness probe, an audit file.
//
//	RESOURCE=https://mcp.example.com/mcp ISSUER=https://login.example.com \
//	UPSTREAM=http://127.0.0.1:9000 AUDIT=audit.jsonl go run .
//
// The public port (LISTEN, :8080) serves MCP alone; the operator's port (ADMIN,
// 127.0.0.1:9090) has /metrics and /readyz.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/otelmcpauth"
)

// settings come from the environment.
type settings struct {
	resource, issuer, upstream, audit string
}

func main() {
	s := settings{os.Getenv("RESOURCE"), os.Getenv("ISSUER"), os.Getenv("UPSTREAM"), os.Getenv("AUDIT")}
	if err := run(s, or(os.Getenv("LISTEN"), ":8080"), or(os.Getenv("ADMIN"), "127.0.0.1:9090")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func run(s settings, listen, admin string) error {
	public, operator, stop, err := newServer(s)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	servers := []*http.Server{
		{Addr: listen, Handler: public, ReadHeaderTimeout: 10 * time.Second},
		{Addr: admin, Handler: operator, ReadHeaderTimeout: 10 * time.Second},
	}
	failed := make(chan error, len(servers))
	for _, server := range servers {
		go func() { failed <- server.ListenAndServe() }()
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, server := range servers {
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err = errors.Join(err, server.Shutdown(end))
		cancel()
	}
	return errors.Join(err, stop())
}

// newServer makes the two handlers, and what has to be called at the end: then
// every record is on the disk.
func newServer(s settings) (public, operator http.Handler, stop func() error, err error) {
	upstream, err := url.Parse(s.upstream)
	if err != nil {
		return nil, nil, nil, err
	}
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, nil, nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	telemetry, err := otelmcpauth.New(otelmcpauth.Config{MeterProvider: provider})
	if err != nil {
		return nil, nil, nil, err
	}
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: s.audit, SyncEvery: time.Second})
	if err != nil {
		return nil, nil, nil, err
	}
	queue := auditlog.NewQueue(file, 0)
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(queue.Close(ctx), file.Close(), telemetry.Close())
	}
	audit, err := auditlog.New(queue, auditlog.Options{FailClosed: true})
	if err != nil {
		return nil, nil, nil, errors.Join(err, stop())
	}
	auth, err := newAuth(s, audit, telemetry)
	if err = errors.Join(err, measureAudit(provider, audit)); err != nil {
		return nil, nil, nil, errors.Join(err, stop())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /readyz", auth.Health())
	return auth.Wrap(httputil.NewSingleHostReverseProxy(upstream)), mux, stop, nil
}

// newAuth makes the middleware. Both sinks hang on the one hook.
func newAuth(s settings, audit *auditlog.Log, telemetry *otelmcpauth.Telemetry) (*mcpauth.Middleware, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:              s.resource,
		Issuers:               []mcpauth.Issuer{{URL: s.issuer}},
		AllowInsecureLoopback: true,
		Logger:                slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		Policy:                mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("tool:{name}:execute")}},
		OnServed:              telemetry.OnServed,
		OnDecision: func(ctx context.Context, d mcpauth.Decision) {
			audit.OnDecision(ctx, d)
			telemetry.OnDecision(ctx, d)
		},
	})
	if err != nil {
		return nil, err
	}
	return auth, telemetry.Observe(auth)
}

// measureAudit counts the records that were lost, for the alert of deploy/alerts.yml: the
// middleware does not know where its decisions go.
func measureAudit(provider metric.MeterProvider, audit *auditlog.Log) error {
	_, err := provider.Meter("audit").Int64ObservableCounter("mcpauth.audit.lost",
		metric.WithUnit("{record}"), metric.WithDescription("Records of decisions that could not be kept."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(audit.Lost()))
			return nil
		}))
	return err
}
