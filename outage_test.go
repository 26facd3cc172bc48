package mcpauth_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const outageGolden = "testdata/outage.golden"

// outageStates are the columns: how old the keys are when the fault begins, and which token comes.
var outageStates = []struct {
	name       string
	age        time.Duration // since the keys were fetched; negative: never
	unknownKid bool
}{
	{"cold", -1, false},
	{"cold, unknown kid", -1, true},
	{"warm", time.Minute, false},
	{"warm, unknown kid", time.Minute, true},
	{"stale", 2 * time.Hour, false},
	{"stale, unknown kid", 2 * time.Hour, true},
	{"too old", 25 * time.Hour, false},
	{"too old, unknown kid", 25 * time.Hour, true},
}

var outageFaults = []mcpauthtest.Fault{
	mcpauthtest.None, mcpauthtest.Down, mcpauthtest.NotFound, mcpauthtest.Hang, mcpauthtest.Slow, mcpauthtest.Reset,
	mcpauthtest.Huge, mcpauthtest.Malformed, mcpauthtest.Redirect, mcpauthtest.HTML, mcpauthtest.Empty,
}

// What a request gets, and how long it waits, whatever happens to whichever
// document. The table is compared with testdata/outage.golden.
func TestOutage_Table_DISC_20_JWKS_17_JWKS_18_JWKS_19_JWKS_20(t *testing.T) {
	endpoints := []struct {
		name   string
		broken []mcpauthtest.Endpoint
	}{
		{"keys", []mcpauthtest.Endpoint{mcpauthtest.JWKS}},
		{"metadata", []mcpauthtest.Endpoint{mcpauthtest.Metadata}},
		{"both", []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS}},
	}
	var table strings.Builder
	line := fmt.Sprintf("%-8s  %-9s", "broken", "how")
	for _, state := range outageStates {
		line += fmt.Sprintf("  %-20s", state.name)
	}
	table.WriteString(strings.TrimRight(line, " ") + "\n")
	for _, endpoint := range endpoints {
		for _, fault := range outageFaults {
			line := fmt.Sprintf("%-8s  %-9s", endpoint.name, fault)
			for _, state := range outageStates {
				// With keys that are as new as the token, an unknown kid is the token's fault.
				blameable := state.unknownKid && (fault == mcpauthtest.None || endpoint.name == "metadata")
				cell := ""
				t.Run(fmt.Sprintf("%s %s, %s", endpoint.name, fault, state.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						cell = outage(t, endpoint.broken, fault, state.age, state.unknownKid, blameable)
					})
				})
				line += fmt.Sprintf("  %-20s", cell)
			}
			table.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	got := table.String()
	t.Log("\n" + got)
	if *update {
		require.NoError(t, os.WriteFile(outageGolden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(outageGolden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// outage makes one request in the given state, and some more while the fault
// lasts, and returns status and waiting time of the first.
func outage(t *testing.T, broken []mcpauthtest.Endpoint, fault mcpauthtest.Fault, age time.Duration, unknownKid, blameable bool) string {
	f := newFixture(t, nil)
	f.issuer.Rotate(mcpauthtest.NewKey("k1", "ES256")) // signs faster than RSA
	if age >= 0 {
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(age)
	}
	for _, endpoint := range broken {
		f.issuer.Break(endpoint, fault)
	}
	first := ""
	for n, pause := range []time.Duration{0, 0, time.Second, 10 * time.Second, 40 * time.Second} {
		time.Sleep(pause)
		token := f.token(nil)
		if unknownKid {
			token = f.randomKid(n)
		}
		begun := time.Now()
		w := f.call(token, "echo")
		waited := time.Since(begun)
		assert.LessOrEqual(t, waited, 5*time.Second, "longer than one fetch may take")
		switch w.Code {
		case http.StatusOK:
			assert.False(t, unknownKid)
			f.served(w)
		case http.StatusUnauthorized:
			assert.True(t, blameable, "an outage was answered with 401")
			f.refused(w, 401, invalidToken(unknownKey))
		default:
			f.unavailable(w)
		}
		if n == 0 {
			first = fmt.Sprintf("%d after %s", w.Code, waited.Round(time.Second))
		}
	}
	time.Sleep(5 * time.Second) // what is still under way comes to its end

	for _, endpoint := range broken {
		f.issuer.Break(endpoint, mcpauthtest.None)
	}
	time.Sleep(30 * time.Second)
	f.served(f.call(f.token(nil), "echo"))
	return first
}

// The same faults over real sockets and through the library's own transport.
func TestOutage_RealSockets_DISC_20(t *testing.T) {
	for _, fault := range outageFaults {
		switch fault {
		case mcpauthtest.None, mcpauthtest.Hang, mcpauthtest.Slow: // those would take real time
			continue
		}
		for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
			t.Run(fmt.Sprintf("DISC-20 %s %s", endpoint, fault), func(t *testing.T) {
				f := keysFixture(t, mcpauthtest.NewIssuer(t), func(c *mcpauth.Config) {
					c.AllowInsecureLoopback, c.Transport = true, nil
				})
				f.issuer.Break(endpoint, fault)
				f.unavailable(f.call(f.token(nil), "echo"))
			})
		}
	}
}

// The time limit is the request's: metadata and keys share it.
func TestOutage_OneLimitForAll_DISC_12_JWKS_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) { c.Transport = keysDelay(c.Transport, 2900*time.Millisecond) })
		token, begun := f.token(nil), time.Now()
		f.unavailable(f.call(token, "echo"))
		assert.Equal(t, 5*time.Second, time.Since(begun))
		// The fetch of the keys was not in vain.
		time.Sleep(time.Second)
		begun = time.Now()
		f.served(f.call(token, "echo"))
		assert.Zero(t, time.Since(begun))
	})
}
