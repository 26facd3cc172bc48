package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// suite is one published version of the conformance suite.
type suite struct {
	name string // the directory below node_modules, without "conformance-"
}

var (
	stable = suite{name: "stable"} // knows nothing later than 2025-11-25
	alpha  = suite{name: "alpha"}
)

func (s suite) dir() string { return filepath.Join("node_modules", "conformance-"+s.name) }

// version is what npm installed, the pinned one.
func (s suite) version(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir(), "package.json"))
	require.NoError(t, err)
	var manifest struct {
		Version string `json:"version"`
	}
	require.NoError(t, json.Unmarshal(raw, &manifest))
	return manifest.Version
}

// check is one line of a verdict, as the suite writes it to checks.json.
type check struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Status  string          `json:"status"`
	Error   string          `json:"errorMessage"`
	Details json.RawMessage `json:"details"`
}

// verdicts maps scenarios to their checks.
type verdicts map[string][]check

var (
	announced = regexp.MustCompile(`Running \w+ suite \((\d+) scenarios\)`)
	resultDir = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[0-9-]+Z$`)
)

// taskScenarios are those of the tasks extension, which belongs to no revision.
// One more, tasks-status-notifications, is still empty.
var taskScenarios = []string{
	"tasks-capability-negotiation", "tasks-dispatch-and-envelope", "tasks-lifecycle", "tasks-mrtr-composition", "tasks-mrtr-input",
	"tasks-request-headers", "tasks-request-state-removal", "tasks-required-task-error", "tasks-wire-fields",
}

// roundScenarios are those of 2026-07-28 that mcp-go's own server has no
// fixtures for.
var roundScenarios = []string{
	"http-custom-header-server-validation", "input-required-result-basic-elicitation", "input-required-result-basic-list-roots",
	"input-required-result-basic-sampling", "input-required-result-capability-check", "input-required-result-ignore-extra-params",
	"input-required-result-missing-input-response", "input-required-result-multi-round", "input-required-result-multiple-input-requests",
	"input-required-result-non-tool-request", "input-required-result-request-state", "input-required-result-result-type",
	"input-required-result-tampered-state", "input-required-result-unsupported-methods", "input-required-result-validate-input",
	"json-schema-2020-12",
}

// inputScenarios are those of results that ask for input.
func inputScenarios() []string {
	return slices.DeleteFunc(slices.Clone(roundScenarios), func(name string) bool { return !strings.HasPrefix(name, "input-required-result-") })
}

// run lets the suite test the server at url: all scenarios of a revision, or
// only the named one, of whichever revision. Every scenario that it announces must have left a result.
func (s suite) run(ctx context.Context, nodePath, url, revision, only string) (verdicts, error) {
	entry, err := filepath.Abs(filepath.Join(s.dir(), "dist", "index.js"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := []string{entry, "server", "--url", url, "--output-dir", dir}
	if revision != "" {
		args = append(args, "--spec-version", revision)
	}
	if only != "" {
		args = append(args, "--scenario", only)
	} else {
		args = append(args, "--suite", "all")
	}
	command := exec.CommandContext(ctx, nodePath, args...)
	command.Dir = dir
	output, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // an exit code means that checks failed
		return nil, err
	}

	expected := 1
	if only == "" {
		found := announced.FindSubmatch(output)
		if found == nil {
			return nil, fmt.Errorf("the suite announced nothing:\n%s", tail(output))
		}
		expected, _ = strconv.Atoi(string(found[1])) // digits
	}
	results, err := read(dir)
	if err == nil && len(results) != expected {
		err = fmt.Errorf("%d scenarios left a result, expected %d:\n%s", len(results), expected, tail(output))
	}
	return results, err
}

func read(dir string) (verdicts, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	results := verdicts{}
	for _, entry := range entries {
		name := resultDir.FindStringSubmatch(entry.Name())
		if name == nil {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name(), "checks.json"))
		if err != nil {
			return nil, err
		}
		var checks []check
		if err := json.Unmarshal(raw, &checks); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		if len(checks) == 0 {
			return nil, fmt.Errorf("%s: no check was made", entry.Name())
		}
		results[name[1]] = checks
	}
	return results, nil
}

func tail(output []byte) []byte { return output[max(0, len(output)-2000):] }
