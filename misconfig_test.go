package mcpauth_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/faults"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestMisconfigurationsGolden sets up each fault that users report and looks
// for its cause in the log: the line that an operator greps for. What it finds
// is the table of docs/troubleshooting.md.
func TestMisconfigurationsGolden(t *testing.T) {
	const page = "docs/troubleshooting.md"
	all := faults.All()
	measured := make([]faults.Measured, len(all))
	doctor := doctorResults(t)
	t.Run("faults", func(t *testing.T) {
		for i, fault := range all {
			measured[i] = faults.Measured{Fault: fault.Name, Cause: fault.Cause, Status: fault.Status, Log: "no", Doctor: doctor[fault.Name]}
			t.Run(fault.Name, func(t *testing.T) {
				t.Parallel()
				measured[i].Log = logOf(t, fault)
			})
		}
	})
	if t.Failed() {
		return
	}
	want := string(faults.Page(measured))
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, want, strings.ReplaceAll(string(got), "\r\n", "\n"), "run make golden")
}

// doctorResults are what the tests of the doctor have found: the name of a
// fault, a tab, and yes or no.
func doctorResults(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("internal/faults/doctor.tsv")
	require.NoError(t, err)
	results := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, result, ok := strings.Cut(strings.TrimSpace(line), "\t")
		require.True(t, ok, line)
		results[name] = result
	}
	return results
}

// logOf runs one fault and says whether the log has named it: "yes", or why not.
func logOf(t *testing.T, fault faults.Fault) string {
	log := &logBuffer{}
	scene := fault.Setup(t)
	_, err := scene.Serve(slog.New(slog.NewTextHandler(log, nil)))
	if fault.Status == 0 {
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, err, &mistake)
		for _, mention := range fault.Mentions {
			assert.Contains(t, err.Error(), mention)
		}
		return "yes"
	}
	require.NoError(t, err)
	assert.Equal(t, fault.Status, scene.Send())
	assert.NotContains(t, log.String(), "canary")
	for part := range strings.SplitSeq(scene.Token, ".") {
		if len(part) > 8 {
			assert.NotContains(t, log.String(), part, "a part of the token stands in the log")
		}
	}
	if fault.Unlogged != "" || fault.Cause == "" {
		assert.NotContains(t, log.String(), "cause=")
		return strings.TrimSpace("- " + fault.Unlogged)
	}
	line := lineWith(log.String(), "cause="+fault.Cause+" ")
	require.NotEmpty(t, line, "no line names %s:\n%s", fault.Cause, log)
	cause, known := explain.ByID(fault.Cause)
	require.True(t, known)
	assert.Contains(t, line, "fix="+fmt.Sprintf("%q", cause.Fix))
	for _, mention := range fault.Mentions {
		assert.Contains(t, line, scene.Expand(mention))
	}
	return "yes"
}

func lineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// TestFaultsKnown: every fault is in the catalogue, and every name stands once.
func TestFaultsKnown(t *testing.T) {
	seen := map[string]bool{}
	for _, fault := range faults.All() {
		assert.False(t, seen[fault.Name], fault.Name)
		seen[fault.Name] = true
		if fault.Cause != "" {
			_, known := explain.ByID(fault.Cause)
			assert.True(t, known, "%s: %s", fault.Name, fault.Cause)
		}
	}
	assert.GreaterOrEqual(t, len(seen), 40)
}

// TestOutageEnds_OBS_08: the log says when an outage is over, of each document that could not be
// fetched, once, and whose; nothing of the kind without an outage.
func TestOutageEnds_OBS_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		for range 3 { // renewals in health
			time.Sleep(2 * time.Hour)
			f.served(f.call(f.token(nil), "echo"))
		}
		synctest.Wait()
		const over = "mcpauth: the issuer can be fetched again"
		assert.NotContains(t, f.log.String(), over)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		for range 200 {
			time.Sleep(time.Minute)
			f.served(f.call(f.token(nil), "echo"))
		}
		assert.NotContains(t, f.log.String(), over)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		for range 10 {
			time.Sleep(time.Minute)
			f.served(f.call(f.token(nil), "echo"))
		}
		synctest.Wait()
		assert.Equal(t, 2, strings.Count(f.log.String(), over), "metadata and keys")
		line := lineWith(f.log.String(), over)
		assert.Contains(t, line, "level=INFO")
		assert.Contains(t, line, "issuer="+testIssuerURL)
		assert.Regexp(t, `failed_for=[123]h\d+m`, line)
	})
}

// TestSkippedKeysAreNamed_OBS_08: a set of which no key can be used says of each key why.
func TestSkippedKeysAreNamed_OBS_08(t *testing.T) {
	f := newFixture(t, nil)
	enc, weird := f.issuer.Keys()[0].JWK(), mcpauthtest.NewKey("k2", "ES256").JWK()
	enc["use"], weird["crv"] = "enc", "secp256k1"
	f.issuer.PublishKeySet(keySetOf(t, enc, weird))
	assert.Equal(t, http.StatusServiceUnavailable, f.call(f.token(nil), "echo").Code)
	line := lineWith(f.log.String(), "cause=keys-none")
	assert.Contains(t, line, `k1: use`)
	assert.Contains(t, line, `k2: `)
}

// TestFetchTexts_OBS_08: what is said of a place that has another document than it should.
func TestFetchTexts_OBS_08(t *testing.T) {
	f := newFixture(t, nil)
	f.issuer.PublishMetadata(func(m map[string]any) { delete(m, "issuer") })
	f.call(f.token(nil), "echo")
	assert.Contains(t, lineWith(f.log.String(), "cause=metadata-issuer"), `the document says \"\", which is none`)

	f = newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = placeKeys + "?key=canary" })
	assert.Equal(t, placeKeys+"?...", f.auth.Issuers()[0].JWKSURI, "a configured place is known at once, without what may be a secret")
	f.served(f.call(f.token(nil), "echo"))
	assert.Contains(t, lineWith(f.log.String(), "issuer in use"), placeKeys)
}
