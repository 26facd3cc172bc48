package otelmcpauth_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The series of a failure is there while fetches fail, under the last reason alone, and not before or after.
func TestLastError_OBS_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		failures := func() (classes []string) {
			for _, m := range s.collect() {
				if m.Name == "mcpauth.keys.last_error" {
					for _, point := range m.Data.(metricdata.Gauge[int64]).DataPoints {
						class, _ := point.Attributes.Value("error.type")
						assert.EqualValues(t, 1, point.Value)
						classes = append(classes, class.AsString())
					}
				}
			}
			return classes
		}
		assert.Empty(t, failures())
		for _, outage := range []struct {
			fault  mcpauthtest.Fault
			class  []string
			status int
		}{
			{mcpauthtest.Down, []string{"bad_status"}, http.StatusServiceUnavailable},
			{mcpauthtest.Reset, []string{"network"}, http.StatusServiceUnavailable},
			{mcpauthtest.None, nil, http.StatusOK},
		} {
			s.issuer.Break(mcpauthtest.Metadata, outage.fault)
			time.Sleep(time.Minute)
			assert.Equal(t, outage.status, s.call(t.Context(), s.token(nil), "echo"), outage.fault)
			assert.Equal(t, outage.class, failures(), outage.fault)
		}
	})
}
