package otelmcpauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-1e292522/mcpauth"
)

const scopeName = "github.com/seed-1e292522/mcpauth/otelmcpauth"

// other stands for every value that would make a set of labels grow.
const other = "other"

// Config says where measurements go. The zero value uses the global providers.
type Config struct {
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

	mu            sync.Mutex
	registrations []metric.Registration
}

// seconds are the buckets of durations: from a cached token to a slow issuer.
var seconds = metric.WithExplicitBucketBoundaries(
	.000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5)

// New makes the instruments of decisions.
func New(config Config) (*Telemetry, error) {
	if config.MeterProvider == nil {
		config.MeterProvider = otel.GetMeterProvider()
	}
	if config.TracerProvider == nil {
		config.TracerProvider = otel.GetTracerProvider()
	}
	t := &Telemetry{meter: config.MeterProvider.Meter(scopeName), tracer: config.TracerProvider.Tracer(scopeName)}
	var errs [3]error
	t.decisions, errs[0] = t.meter.Int64Counter("mcpauth.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Requests that were decided about."))
	t.decision, errs[1] = t.meter.Float64Histogram("mcpauth.decision.duration", seconds,
		metric.WithUnit("s"), metric.WithDescription("Time from the arrival of a request to its decision."))
	t.verified, errs[2] = t.meter.Float64Histogram("mcpauth.verification.duration", seconds,
		metric.WithUnit("s"), metric.WithDescription("Time from the arrival of a request to the end of its token's verification."))
	return t, errors.Join(errs[:]...)
}

// OnDecision measures one decision. It goes into [mcpauth.Config].OnDecision;
// to have an audit too, call both from a function of your own.
func (t *Telemetry) OnDecision(ctx context.Context, d mcpauth.Decision) {
	outcome := attribute.String("mcpauth.outcome", outcomeOf(d))
	labels := append(make([]attribute.KeyValue, 0, 6), outcome)
	if d.Err != nil {
		labels = append(labels, attribute.String("error.type", d.Reason().Code()))
	}
	if d.Principal != nil {
		issuer := attribute.String("mcpauth.issuer", d.Principal.Issuer)
		labels = append(labels, issuer)
		if d.Verified > 0 {
			t.verified.Record(ctx, d.Verified.Seconds(), metric.WithAttributes(issuer))
		}
	}
	labels = append(labels, targetOf(d)...)
	t.decisions.Add(ctx, 1, metric.WithAttributes(labels...))
	t.decision.Record(ctx, d.Duration.Seconds(), metric.WithAttributes(outcome))
	t.span(ctx, d, labels)
}

func outcomeOf(d mcpauth.Decision) string {
	if d.Err != nil {
		return "deny"
	}
	return "allow"
}

// methods are those of MCP; any other is one that somebody has made up.
var methods = func() map[string]bool {
	known := map[string]bool{}
	for method := range strings.FieldsSeq(`initialize notifications/initialized ping $response $sse $session.delete
		server/discover tools/list tools/call prompts/list prompts/get resources/list resources/templates/list
		resources/read resources/subscribe resources/unsubscribe completion/complete logging/setLevel subscriptions/listen
		tasks/get tasks/cancel tasks/update tasks/result tasks/list notifications/cancelled notifications/progress
		notifications/roots/list_changed notifications/elicitation/complete`) {
		known[method] = true
	}
	return known
}()

// targetOf names what the request is about: its one call, or "batch".
func targetOf(d mcpauth.Decision) []attribute.KeyValue {
	switch {
	case len(d.Calls) == 0:
		return nil
	case len(d.Calls) > 1:
		return []attribute.KeyValue{attribute.String("mcp.method.name", "batch")}
	}
	call := d.Calls[0]
	method := call.Method
	if !methods[method] {
		method = other
	}
	labels := []attribute.KeyValue{attribute.String("mcp.method.name", method)}
	if call.Kind == mcpauth.KindTool {
		tool := other
		if len(d.Rulings) == 1 && d.Rulings[0].Rule == fmt.Sprintf("tools[%q]", call.Name) {
			tool = call.Name // a rule has this very name
		}
		labels = append(labels, attribute.String("gen_ai.tool.name", tool))
	}
	return labels
}

// Observe measures the keys of a middleware's issuers whenever metrics are
// collected, without any network traffic. Call it once for each.
func (t *Telemetry) Observe(auth *mcpauth.Middleware) error {
	k := keyInstruments{}
	instruments, err := k.make(t.meter)
	if err != nil {
		return err
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, status := range auth.Issuers() {
			k.observe(o, status, time.Now())
		}
		return nil
	}, instruments...)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registrations = append(t.registrations, registration)
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
