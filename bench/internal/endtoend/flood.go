package endtoend

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// Flood measures what a flood of tokens with unknown keys costs the owner of a
// good one: a client with a good token calls without a pause, beside eight
// connections without any token and beside eight of which every request names
// another key, in turn. The first is the measure for the second: it takes as much of
// the machine and has nothing to do with keys.
func Flood(w io.Writer, issuer *fixture.Issuer, rounds, requests int) (err error) {
	server, err := start(settings{Auth: "mcpauth", Source: source(issuer, "RS256")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	body := fixture.Body(tool, "structure", 300, false)
	good := issuer.Tokens("RS256", 1)[0]
	probe := load{address: server.address, body: body, total: 1 << 30, token: func(int) string { return good }, status: http.StatusOK}
	calm := probe
	calm.total = 500
	if _, err := calm.run(1); err != nil {
		return err
	}
	serial := 0
	for range rounds {
		for _, flood := range []struct {
			name  string
			token func(i int) string
		}{
			{"no-token", func(int) string { return "" }},
			{"unknown-kid", unknownKeys(good, serial)},
		} {
			before := issuer.Fetches()
			noise := load{address: server.address, body: body, total: requests, token: flood.token, status: http.StatusUnauthorized}
			seen, sent, err := beside(probe, noise)
			if err != nil {
				return fmt.Errorf("%s: %w", flood.name, err)
			}
			report(w, flood.name, seen, sent, issuer.Fetches()-before)
		}
		serial += requests
	}
	return nil
}

// beside runs the probe on one connection for as long as the noise lasts.
func beside(probe, noise load) (seen, sent outcome, err error) {
	stop := make(chan struct{})
	probe.stop = stop
	done := make(chan error)
	go func() {
		var err error
		seen, err = probe.run(1)
		done <- err
	}()
	sent, err = noise.run(8)
	close(stop)
	return seen, sent, errors.Join(err, <-done)
}

func report(w io.Writer, name string, seen, sent outcome, fetches int64) {
	fmt.Fprintf(w, "BenchmarkFlood/beside=%s %d %d ns/op %d p50-us %d p99-us %.0f flood-req/s %d fetches\n", name, len(sent.latencies),
		sent.wall.Nanoseconds()/int64(max(1, len(sent.latencies))), seen.percentile(0.5).Microseconds(), seen.percentile(0.99).Microseconds(),
		float64(len(sent.latencies))/sent.wall.Seconds(), fetches)
}

// unknownKeys are tokens that are good but for the key that they name, another
// one each time. They need no signing: nobody gets as far as the signature.
func unknownKeys(good string, from int) func(i int) string {
	rest := good[strings.IndexByte(good, '.'):]
	return func(i int) string {
		header := fmt.Sprintf(`{"alg":"RS256","kid":"unknown-%d","typ":"at+jwt"}`, from+i)
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + rest
	}
}
