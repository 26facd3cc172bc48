package otelmcpauth_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// TestConfig_RELOAD_11: a change is no decision, and a configuration that cannot be used shows until a good one comes.
func TestConfig_RELOAD_11(t *testing.T) {
	s := newServer(t)
	values := func() (stale int64, lastSuccess float64, changes map[string]int64) {
		changes = map[string]int64{}
		for _, m := range s.collect() {
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				if m.Name == "mcpauth.config.stale" {
					stale = data.DataPoints[0].Value
				}
			case metricdata.Gauge[float64]:
				if m.Name == "mcpauth.config.last_success" {
					lastSuccess = data.DataPoints[0].Value
				}
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					if outcome, _ := point.Attributes.Value("mcpauth.outcome"); m.Name == "mcpauth.config.changes" {
						changes[outcome.AsString()] = point.Value
					}
				}
			}
		}
		return stale, lastSuccess, changes
	}
	stale, first, changes := values()
	assert.Zero(t, stale)
	assert.Positive(t, first)
	assert.Empty(t, changes)
	s.auth.ReloadFailed(t.Context(), "file", errors.New("broken"))
	stale, last, changes := values()
	assert.Equal(t, int64(1), stale)
	assert.InDelta(t, first, last, 0)
	assert.Equal(t, map[string]int64{"deny": 1}, changes)
	s.config.Leeway = 1e9
	require.NoError(t, s.auth.Reload(t.Context(), s.config, "file"))
	stale, last, changes = values()
	assert.Zero(t, stale)
	assert.GreaterOrEqual(t, last, first)
	assert.Equal(t, map[string]int64{"allow": 1, "deny": 1}, changes)
	assert.Empty(t, s.decisions())
	assert.Empty(t, s.spans.Ended())
}
