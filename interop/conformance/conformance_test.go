package conformance

import (
	"flag"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

const document = "../../docs/conformance.md"

// sides are what is compared: results, or where they come from.
type sides[T any] struct{ bare, behind T }

// leg is one run of a suite for a revision, against one server.
type leg struct {
	server   server
	suite    suite
	revision string // "": whichever the scenarios are for
}

func (l leg) String() string { return l.server.name + "/" + l.suite.name + "/" + l.revision }

// run lets the suite test both sides at the same time; most of it is waiting.
func (l leg) run(t *testing.T, nodePath string, urls sides[string]) (came sides[verdicts]) {
	t.Helper()
	var wg sync.WaitGroup
	for _, side := range []struct {
		url  string
		into *verdicts
	}{{urls.bare, &came.bare}, {urls.behind, &came.behind}} {
		wg.Go(func() {
			results, err := l.suite.run(t.Context(), nodePath, side.url, l.revision, "")
			assert.NoError(t, err)
			if l.server.only != nil {
				maps.DeleteFunc(results, func(name string, _ []check) bool { return !slices.Contains(l.server.only, name) })
				assert.Len(t, results, len(l.server.only), "scenarios")
			}
			*side.into = results
		})
	}
	wg.Wait()
	require.False(t, t.Failed(), "the suite could not be run")
	require.ElementsMatch(t, slices.Collect(maps.Keys(came.bare)), slices.Collect(maps.Keys(came.behind)), "scenarios")
	return came
}

// legs pairs each server with what it speaks. The suite runs the scenarios of
// the revision, and sends what the revision says.
func legs() (all []leg) {
	for _, s := range servers {
		if s.legacy {
			all = append(all, leg{s, stable, "2025-11-25"}, leg{s, alpha, "2025-03-26"}, leg{s, alpha, "2025-06-18"}, leg{s, alpha, "2025-11-25"})
		}
		switch {
		case s.modern:
			all = append(all, leg{s, alpha, "2026-07-28"})
		case !s.legacy:
			all = append(all, leg{s, alpha, ""})
		}
	}
	return all
}

// attempts bounds how often an unsteady scenario is repeated until it has
// passed once on each side.
const attempts = 100

// TestConformance_TEST_07 holds the results of the suite for a bare server
// against those for the same server behind the wrapper. They must be the same,
// scenario by scenario and check by check, with what the failing checks say.
func TestConformance_TEST_07(t *testing.T) {
	nodePath, dir := node(t), t.TempDir()
	var rows []row
	for _, l := range legs() {
		t.Run(l.String(), func(t *testing.T) { rows = append(rows, l.compare(t, nodePath, l.server.build(t, dir))) })
	}
	if t.Failed() || len(rows) < len(legs()) { // with -run, only some of them ran
		return
	}
	text := render(t, rows)
	t.Logf("\n%s", text)
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(text), 0o644))
	}
	written, err := os.ReadFile(document)
	require.NoError(t, err)
	assert.Equal(t, string(written), text, "docs/conformance.md is out of date: go test . -run Conformance -update")
}

// compare runs one leg against two fresh servers.
func (l leg) compare(t *testing.T, nodePath, binary string) row {
	t.Helper()
	urls := sides[string]{
		bare:   endpoint(t, l.server.start(t, binary)),
		behind: gate(t, l.server.start(t, binary), allowed(), l.server, true),
	}
	came := l.run(t, nodePath, urls)
	result := row{leg: l, scenarios: len(came.bare)}
	for _, name := range slices.Sorted(maps.Keys(came.bare)) {
		bare, behind := came.bare[name], came.behind[name]
		if _, unsteady := l.server.unsteady[name]; unsteady {
			result.unsteady = append(result.unsteady, name)
			if l.passes(t, nodePath, urls.bare, name, bare) && l.passes(t, nodePath, urls.behind, name, behind) {
				result.identical++
			}
			continue
		}
		different := differing(bare, behind)
		for id, lines := range different {
			if _, known := l.server.explained[id]; known {
				result.explained = append(result.explained, id)
			} else {
				t.Errorf("%s comes out differently\n%s", name, lines)
			}
		}
		if len(different) == 0 {
			result.identical++
		}
		result.count(name, bare)
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(l.server.explained)), result.explained, "explained, and so it must happen")
	return result
}

// passes reports whether a scenario that is a matter of luck can pass.
func (l leg) passes(t *testing.T, nodePath, url, name string, checks []check) bool {
	t.Helper()
	for range attempts {
		if failures(checks) == 0 {
			return true
		}
		again, err := l.suite.run(t.Context(), nodePath, url, l.revision, name)
		require.NoError(t, err)
		checks = again[name]
	}
	return assert.Fail(t, name+" never passes at "+url)
}

// The two tests below are the proof that the suite talked to the wrapper, and
// that the comparison would have seen it interfere.

func TestWithoutToken(t *testing.T) {
	nodePath, s := node(t), servers[0]
	refused := gate(t, s.start(t, s.build(t, t.TempDir())), allowed(), s, false)
	for _, suite := range []suite{stable, alpha} {
		results, err := suite.run(t.Context(), nodePath, refused, "2025-11-25", "server-initialize")
		require.NoError(t, err)
		assert.Positive(t, failures(results["server-initialize"]), "the %s suite passed without a token", suite.name)
	}
	response, err := http.Post(refused, "application/json", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestRefusalIsSeen(t *testing.T) {
	nodePath, s := node(t), servers[0]
	binary := s.build(t, t.TempDir())
	rules := allowed()
	rules.Tools = map[string]mcpauth.Requirement{"*": mcpauth.Authenticated(), "test_simple_text": mcpauth.Scopes("nobody:has:this")}
	urls := sides[string]{endpoint(t, s.start(t, binary)), gate(t, s.start(t, binary), rules, s, true)}
	s.only = []string{"tools-call-simple-text", "tools-call-image"}
	came := leg{s, stable, "2025-11-25"}.run(t, nodePath, urls)
	assert.NotEmpty(t, differing(came.bare["tools-call-simple-text"], came.behind["tools-call-simple-text"]))
	assert.Empty(t, differing(came.bare["tools-call-image"], came.behind["tools-call-image"]))
}
