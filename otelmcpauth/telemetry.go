package otelmcpauth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
)

const scopeName = "github.com/seed-1e292522/mcpauth/otelmcpauth"

// other stands for every value that would make a set of labels grow.
const other = "other"

// Config says where measurements go. The zero value uses the global providers.
type Config struct {
	_ [0]func() // keyed literals only

	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// Telemetry measures. It is safe for concurrent use.
type Telemetry struct {
	meter     metric.Meter
	tracer    trace.Tracer
	decisions metric.Int64Counter
	decision  metric.Float64Histogram
	verified  metric.Float64Histogram
	handler   metric.Float64Histogram

	changes       metric.Int64Counter
	mu            sync.Mutex
	registrations []metric.Registration
	issuers       sync.Map // configured ones, as Observe has learned
}

// seconds are the buckets of durations: from a cached token to a slow issuer.
var seconds = metric.WithExplicitBucketBoundaries(
	.000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5)

// handling are the buckets of what a handler takes, up to a stream that lasts for an hour.
var handling = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600)

// New makes the instruments of decisions.
func New(config Config) (*Telemetry, error) {
	if config.MeterProvider == nil {
		config.MeterProvider = otel.GetMeterProvider()
	}
	if config.TracerProvider == nil {
		config.TracerProvider = otel.GetTracerProvider()
	}
	t := &Telemetry{meter: config.MeterProvider.Meter(scopeName), tracer: config.TracerProvider.Tracer(scopeName)}
	var errs [5]error
	t.decisions, errs[0] = t.meter.Int64Counter("mcpauth.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Requests that were decided about."))
	t.decision, errs[1] = t.meter.Float64Histogram("mcpauth.decision.duration", seconds,
		metric.WithUnit("s"), metric.WithDescription("Time from the arrival of a request to its decision."))
	t.verified, errs[2] = t.meter.Float64Histogram("mcpauth.verification.duration", seconds,
		metric.WithUnit("s"), metric.WithDescription("Time from the arrival of a request to the end of its token's verification."))
	t.handler, errs[3] = t.meter.Float64Histogram("mcpauth.handler.duration", handling,
		metric.WithUnit("s"), metric.WithDescription("Time that the handler took for a request that was let through, by the class of its status."))
	t.changes, errs[4] = t.meter.Int64Counter("mcpauth.config.changes",
		metric.WithUnit("{change}"), metric.WithDescription("Changes of the configuration that came into force (allow), or did not (deny)."))
	return t, errors.Join(errs[:]...)
}

// OnServed measures what the handler has answered. It goes into [mcpauth.Config].OnServed.
func (t *Telemetry) OnServed(ctx context.Context, s mcpauth.Served) {
	class := "none"
	if s.Status >= 100 && s.Status < 600 {
		class = fmt.Sprintf("%dxx", s.Status/100)
	}
	t.handler.Record(ctx, s.Duration.Seconds(), metric.WithAttributes(
		attribute.String("http.response.status_class", class), attribute.String("mcp.method.name", methodOf(s.Calls))))
}

// OnDecision measures one decision. It goes into [mcpauth.Config].OnDecision;
// to have an audit too, call both from a function of your own.
func (t *Telemetry) OnDecision(ctx context.Context, d mcpauth.Decision) {
	outcome := attribute.String("mcpauth.outcome", outcomeOf(d))
	if d.Change != nil {
		t.changes.Add(ctx, 1, metric.WithAttributes(outcome))
		return
	}
	labels := append(make([]attribute.KeyValue, 0, 6), outcome)
	if d.Err != nil {
		labels = append(labels, attribute.String("error.type", d.Reason().Code()))
	}
	if d.Principal != nil {
		issuer := attribute.String("mcpauth.issuer", d.Principal.Issuer)
		labels = append(labels, issuer)
		if d.Verification > 0 {
			t.verified.Record(ctx, d.Verification.Seconds(), metric.WithAttributes(issuer))
		}
	} else if t.isConfigured(d.UnverifiedIssuer) {
		labels = append(labels, attribute.String("mcpauth.issuer", d.UnverifiedIssuer))
	}
	labels = append(labels, targetOf(d)...)
	t.decisions.Add(ctx, 1, metric.WithAttributes(labels...))
	t.decision.Record(ctx, d.Duration.Seconds(), metric.WithAttributes(outcome))
	t.span(ctx, d, labels)
}

// isConfigured reports whether an issuer that a token names is one that Observe was told of.
func (t *Telemetry) isConfigured(issuer string) bool {
	_, configured := t.issuers.Load(issuer)
	return configured
}

func outcomeOf(d mcpauth.Decision) string {
	if d.Err != nil || d.Change != nil && d.Change.Err != nil {
		return "deny"
	}
	return "allow"
}

// methodOf names the method of a request: "batch" for several.
func methodOf(calls []mcpauth.Call) string {
	switch {
	case len(calls) > 1:
		return "batch"
	case len(calls) == 1 && mcp.CheckKnown(mcp.Modern, calls[0].Method) == nil: // any other is one that somebody has made up
		return calls[0].Method
	}
	return other
}

// targetOf names what the request is about: its one call, or "batch".
func targetOf(d mcpauth.Decision) []attribute.KeyValue {
	switch {
	case len(d.Calls) == 0:
		return nil
	case len(d.Calls) > 1:
		return []attribute.KeyValue{attribute.String("mcp.method.name", methodOf(d.Calls))}
	}
	call := d.Calls[0]
	labels := []attribute.KeyValue{attribute.String("mcp.method.name", methodOf(d.Calls))}
	if call.Kind == mcpauth.KindTool {
		tool := other
		if len(d.Rulings) == 1 && d.Rulings[0].Rule == fmt.Sprintf("tools[%q]", call.Name) {
			tool = call.Name // a rule has this very name
		}
		labels = append(labels, attribute.String("gen_ai.tool.name", tool))
	}
	return labels
}

// Observe measures the keys of a middleware's issuers, its memory of verified tokens, and whether its configuration is the newest one, whenever metrics are
// collected, without any network traffic. Call it once for each.
func (t *Telemetry) Observe(auth *mcpauth.Middleware) error {
	k, tokens, config := keyInstruments{}, tokenInstruments{}, configInstruments{}
	instruments, err := k.make(t.meter)
	if err != nil {
		return err
	}
	more, err := tokens.make(t.meter)
	if err != nil {
		return err
	}
	further, err := config.make(t.meter)
	if err != nil {
		return err
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, status := range auth.Issuers() {
			k.observe(o, status, time.Now())
			t.issuers.Store(status.URL, true) // it may be new
		}
		tokens.observe(o, auth.TokenMemory())
		config.observe(o, auth.ConfigStatus())
		return nil
	}, slices.Concat(instruments, more, further)...)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registrations = append(t.registrations, registration)
	for _, status := range auth.Issuers() {
		t.issuers.Store(status.URL, true)
	}
	return nil
}

// Close ends what Observe began.
func (t *Telemetry) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, registration := range t.registrations {
		errs = append(errs, registration.Unregister())
	}
	t.registrations = nil
	return errors.Join(errs...)
}
