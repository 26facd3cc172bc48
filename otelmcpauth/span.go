package otelmcpauth

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-1e292522/mcpauth"
)

// span writes a span for what has just ended. A refusal of 4xx is no error of
// the server (OpenTelemetry semantic conventions, HTTP spans).
func (t *Telemetry) span(ctx context.Context, d mcpauth.Decision, labels []attribute.KeyValue) {
	_, span := t.tracer.Start(ctx, "mcpauth authorize", trace.WithTimestamp(d.Time), trace.WithAttributes(labels...))
	if !span.IsRecording() {
		span.End()
		return
	}
	span.SetAttributes(attribute.String("mcpauth.decision.id", d.ID))
	if d.Verification > 0 {
		span.AddEvent("token verified", trace.WithTimestamp(d.Time.Add(d.Verification)))
	}
	var rules, missing []string
	for _, ruling := range d.Rulings {
		rules = append(rules, ruling.Rule)
		missing = append(missing, ruling.Missing...)
	}
	if rules != nil {
		span.SetAttributes(attribute.StringSlice("mcpauth.rules", rules))
	}
	if missing != nil {
		span.SetAttributes(attribute.StringSlice("mcpauth.missing_scopes", missing))
	}
	if d.Err != nil {
		span.SetAttributes(attribute.Int("http.response.status_code", d.Err.Status))
		if d.Cause != "" {
			span.SetAttributes(attribute.String("mcpauth.cause", d.Cause))
		}
		if d.Err.Status >= 500 {
			span.SetStatus(codes.Error, d.Reason().Error())
		}
	}
	span.End(trace.WithTimestamp(d.Time.Add(d.Duration)))
}
