package stage_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
)

func play(steps ...error) stage.Play {
	return stage.Play{Name: "play", Open: func(stage.Stage) (stage.Set, error) {
		set := stage.Set{
			Server: stage.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })),
			Login:  login.Config{People: []login.Person{{Name: "alice", Password: "secret"}}},
		}
		for _, err := range steps {
			set.Steps = append(set.Steps, stage.Step{Title: "It happens", Do: func(context.Context) (string, error) { return "it has", err }})
		}
		return set, nil
	}}
}

func TestRun(t *testing.T) {
	failing := stage.Play{Name: "play", Open: func(stage.Stage) (stage.Set, error) { return stage.Set{}, errors.New("no set") }}
	for _, row := range []struct {
		name           string
		play           stage.Play
		args           string
		status         int
		stdout, stderr string
	}{
		{"all is well", play(nil, nil), "", 0, "All 2 steps went as told.", ""},
		{"a step fails", play(nil, errors.New("oh"), nil), "", 1, "2. It happens\n", "play: FAILED: step 2 (It happens): oh"},
		{"no set", failing, "", 1, "", "no set"},
		{"help", play(), "--help", 0, "", "-serve"},
		{"unknown flag", play(), "--port", 2, "", "not defined"},
		{"argument", play(), "on", 2, "", `unexpected argument "on"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			assert.Equal(t, row.status, stage.Run(t.Context(), row.play, strings.Fields(row.args), &stdout, &stderr))
			assert.Contains(t, stdout.String(), row.stdout)
			assert.Contains(t, stderr.String(), row.stderr)
			assert.NotContains(t, stdout.String(), "3. ")
		})
	}
}

// TestServe: both servers answer until somebody stops them.
func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stdout, in := io.Pipe()
	status := make(chan int, 1)
	go func() { status <- stage.Run(ctx, play(), []string{"--serve"}, in, io.Discard); _ = in.Close() }()
	lines := bufio.NewScanner(stdout)
	address := func() string {
		require.True(t, lines.Scan())
		_, after, found := strings.Cut(lines.Text(), ": ")
		require.True(t, found, lines.Text())
		return strings.TrimSpace(after)
	}
	endpoint, issuer := address(), address()
	require.True(t, lines.Scan())
	assert.Equal(t, "Sign in as alice with password secret", lines.Text())
	require.True(t, lines.Scan())
	for url, want := range map[string]int{
		endpoint: http.StatusTeapot,
		strings.TrimSuffix(endpoint, "/mcp") + "/authorize": http.StatusNotFound,
		issuer + "/.well-known/openid-configuration":        http.StatusOK,
	} {
		response, err := http.Get(url)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, want, response.StatusCode, url)
	}
	stop()
	assert.Zero(t, <-status)
}
