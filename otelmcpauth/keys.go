package otelmcpauth

import (
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/seed-1e292522/mcpauth"
)

// keyInstruments are read when metrics are collected.
type keyInstruments struct {
	ready, count, failing         metric.Int64ObservableGauge
	age                           metric.Float64ObservableGauge
	fetches, failures, suppressed metric.Int64ObservableCounter
	within                        metric.Int64ObservableCounter
	spent                         metric.Float64ObservableCounter
}

func (k *keyInstruments) make(meter metric.Meter) ([]metric.Observable, error) {
	var errs [9]error
	k.ready, errs[0] = meter.Int64ObservableGauge("mcpauth.issuer.ready",
		metric.WithDescription("1 when the issuer has keys to verify tokens with, else 0."))
	k.count, errs[1] = meter.Int64ObservableGauge("mcpauth.keys",
		metric.WithUnit("{key}"), metric.WithDescription("Usable keys of the issuer."))
	k.failing, errs[2] = meter.Int64ObservableGauge("mcpauth.keys.last_error",
		metric.WithDescription("1 while the last fetch has failed; error.type is the class of the failure."))
	k.age, errs[3] = meter.Float64ObservableGauge("mcpauth.keys.age",
		metric.WithUnit("s"), metric.WithDescription("Time since the keys were last fetched."))
	k.fetches, errs[4] = meter.Int64ObservableCounter("mcpauth.keys.fetches",
		metric.WithUnit("{fetch}"), metric.WithDescription("Requests to the authorization server for metadata and keys, failed ones included."))
	k.failures, errs[5] = meter.Int64ObservableCounter("mcpauth.keys.fetch.failures",
		metric.WithUnit("{fetch}"), metric.WithDescription("Requests for metadata and keys that brought no usable document."))
	k.suppressed, errs[6] = meter.Int64ObservableCounter("mcpauth.keys.fetch.suppressed",
		metric.WithUnit("{token}"), metric.WithDescription("Tokens that no key verifies, answered without newer keys: fetches for such tokens are few."))
	k.spent, errs[7] = meter.Float64ObservableCounter("mcpauth.keys.fetch.time",
		metric.WithUnit("s"), metric.WithDescription("Time of all fetches of metadata and keys together."))
	k.within, errs[8] = meter.Int64ObservableCounter("mcpauth.keys.fetch.time.bucket",
		metric.WithUnit("{fetch}"), metric.WithDescription("Fetches that took no longer than le seconds, as in a histogram."))
	return []metric.Observable{k.ready, k.count, k.failing, k.age, k.fetches, k.failures, k.suppressed, k.spent, k.within}, errors.Join(errs[:]...)
}

func (k *keyInstruments) observe(o metric.Observer, status mcpauth.IssuerStatus, now time.Time) {
	issuer := attribute.String("mcpauth.issuer", status.URL)
	labels := metric.WithAttributes(issuer)
	ready := int64(0)
	if status.Ready {
		ready = 1
	}
	o.ObserveInt64(k.ready, ready, labels)
	o.ObserveInt64(k.count, int64(len(status.Keys)), labels)
	if status.LastError != "" {
		o.ObserveInt64(k.failing, 1, metric.WithAttributes(issuer, attribute.String("error.type", status.LastError)))
	}
	if !status.LastSuccess.IsZero() {
		o.ObserveFloat64(k.age, now.Sub(status.LastSuccess).Seconds(), labels)
	}
	o.ObserveInt64(k.fetches, int64(status.Fetches), labels)
	o.ObserveInt64(k.failures, int64(status.Failures), labels)
	o.ObserveInt64(k.suppressed, int64(status.Suppressed), labels)
	o.ObserveFloat64(k.spent, status.FetchTime.Seconds(), labels)
	sum := int64(0)
	for i, n := range status.FetchTimes {
		sum += int64(n)
		o.ObserveInt64(k.within, sum, metric.WithAttributes(issuer, attribute.String("le", fetchBounds[i])))
	}
}

// fetchBounds are those of [mcpauth.IssuerStatus].FetchTimes, in seconds. An instrument that is
// read when metrics are collected cannot be a histogram: the buckets are counters, with
// the label that Prometheus gives them.
var fetchBounds = [...]string{"0.1", "0.25", "0.5", "1", "2.5", "+Inf"}
