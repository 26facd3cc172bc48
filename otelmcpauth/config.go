package otelmcpauth

import (
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/seed-1e292522/mcpauth"
)

// configInstruments are read when metrics are collected, like [keyInstruments].
type configInstruments struct {
	lastSuccess metric.Float64ObservableGauge
	stale       metric.Int64ObservableGauge
}

func (c *configInstruments) make(meter metric.Meter) ([]metric.Observable, error) {
	var errs [2]error
	c.lastSuccess, errs[0] = meter.Float64ObservableGauge("mcpauth.config.last_success",
		metric.WithUnit("s"), metric.WithDescription("When a configuration was read last that can be used, in seconds since 1970."))
	c.stale, errs[1] = meter.Int64ObservableGauge("mcpauth.config.stale",
		metric.WithDescription("1 while a newer configuration cannot be used and the one before serves on, else 0."))
	return []metric.Observable{c.lastSuccess, c.stale}, errors.Join(errs[:]...)
}

func (c *configInstruments) observe(o metric.Observer, status mcpauth.ConfigStatus) {
	stale := int64(0)
	if !status.StaleSince.IsZero() {
		stale = 1
	}
	o.ObserveInt64(c.stale, stale)
	o.ObserveFloat64(c.lastSuccess, float64(status.LastSuccess.UnixMilli())/1000)
}
