package otelmcpauth

import (
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/seed-1e292522/mcpauth"
)

// tokenInstruments are read when metrics are collected, like [keyInstruments].
type tokenInstruments struct {
	remembered, size, room metric.Int64ObservableGauge
	evicted                metric.Int64ObservableCounter
}

func (k *tokenInstruments) make(meter metric.Meter) ([]metric.Observable, error) {
	var errs [4]error
	k.remembered, errs[0] = meter.Int64ObservableGauge("mcpauth.tokens",
		metric.WithUnit("{token}"), metric.WithDescription("Verified tokens that are remembered."))
	k.size, errs[1] = meter.Int64ObservableGauge("mcpauth.tokens.memory",
		metric.WithUnit("By"), metric.WithDescription("Memory that they take."))
	k.room, errs[2] = meter.Int64ObservableGauge("mcpauth.tokens.memory.limit",
		metric.WithUnit("By"), metric.WithDescription("Memory that they may take."))
	k.evicted, errs[3] = meter.Int64ObservableCounter("mcpauth.tokens.evicted",
		metric.WithUnit("{token}"), metric.WithDescription("Tokens that were forgotten while they were good, or not remembered, because there was no room."))
	return []metric.Observable{k.remembered, k.size, k.room, k.evicted}, errors.Join(errs[:]...)
}

func (k *tokenInstruments) observe(o metric.Observer, memory mcpauth.TokenMemory) {
	o.ObserveInt64(k.remembered, int64(memory.Tokens))
	o.ObserveInt64(k.size, int64(memory.Bytes))
	o.ObserveInt64(k.room, int64(memory.MaxBytes))
	o.ObserveInt64(k.evicted, int64(memory.Evicted))
}
