package endtoend

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// Variant is one way to serve, with one kind of traffic.
type Variant struct {
	Auth string // what stands in front of mcp-go
	Alg  string // "" without tokens
	New  bool   // each request has a token that was never seen
	Size int    // of the body, about
}

// Variants are what is measured.
var Variants = []Variant{
	{Auth: "none", Size: 300},
	{Auth: "none", Alg: "RS256", Size: 300}, // the token is read with the header, and by nobody
	{Auth: "mcpauth", Alg: "RS256", Size: 300},
	{Auth: "mcpauth", Alg: "RS256", Size: 300, New: true},
	{Auth: "mcpauth", Alg: "ES256", Size: 300, New: true},
	{Auth: "sdk+lru+json", Alg: "RS256", Size: 300},
	{Auth: "sdk+golang-jwt", Alg: "RS256", Size: 300},
	{Auth: "sdk+golang-jwt", Alg: "ES256", Size: 300},
	{Auth: "sdk+jwx-jwt", Alg: "RS256", Size: 300},
	{Auth: "none", Size: 4 << 10},
	{Auth: "none", Alg: "RS256", Size: 4 << 10},
	{Auth: "mcpauth", Alg: "RS256", Size: 4 << 10},
	{Auth: "sdk+lru+json", Alg: "RS256", Size: 4 << 10},
	{Auth: "sdk+golang-jwt", Alg: "RS256", Size: 4 << 10},
}

func (v Variant) String() string {
	alg, token := v.Alg, "same"
	switch {
	case alg == "":
		alg, token = "none", "none"
	case v.New:
		token = "new"
	}
	return fmt.Sprintf("auth=%s/alg=%s/token=%s/size=%d", v.Auth, alg, token, v.Size)
}

// Run measures all variants in each of so many rounds, so that a machine that
// becomes slower becomes slower for all of them. It writes a line for each, in
// the format of go test -bench.
func Run(w io.Writer, issuer *fixture.Issuer, variants []Variant, rounds, requests int) (err error) {
	if rounds == 0 {
		return nil
	}
	runners := make([]*runner, len(variants))
	defer func() {
		for _, r := range runners {
			if r != nil && r.server != nil {
				err = errors.Join(err, r.server.stop())
			}
		}
	}()
	for i, v := range variants {
		runners[i] = &runner{Variant: v, issuer: issuer, requests: requests}
		if !v.New {
			if err := runners[i].start(); err != nil {
				return err
			}
		}
	}
	for round := range rounds {
		for i := range runners {
			// Whoever follows a slow one must not do so in every round.
			if err := runners[(i+round)%len(runners)].round(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// runner is a variant and its server.
type runner struct {
	Variant
	issuer   *fixture.Issuer
	requests int
	server   *child
	load     load
}

// start starts the server and warms it up, with other tokens than those of the
// measurement if those have to be new.
func (r *runner) start() (err error) {
	warmUp := max(50, r.requests/4)
	if r.server, err = start(settings{Auth: r.Auth, Source: source(r.issuer, r.Alg)}); err != nil {
		return err
	}
	r.load = load{
		address: r.server.address, total: warmUp, status: http.StatusOK,
		body:  fixture.Body(tool, "structure", r.Size, false),
		token: func(int) string { return "" },
	}
	switch {
	case r.New:
		tokens := r.issuer.Tokens(r.Alg, r.requests+warmUp)
		r.load.token = func(i int) string { return tokens[r.requests+i] }
		defer func() { r.load.token = func(i int) string { return tokens[i] } }()
	case r.Alg != "":
		one := r.issuer.Tokens(r.Alg, 1)[0]
		r.load.token = func(int) string { return one }
	}
	if _, err := r.load.run(connections); err != nil {
		return fmt.Errorf("%v: %w", r.Variant, err)
	}
	r.load.total = r.requests
	return nil
}

// round measures once. Where tokens have to be new, so has the server.
func (r *runner) round(w io.Writer) (err error) {
	if r.New {
		if err := r.start(); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, r.server.stop())
			r.server = nil
		}()
	}
	before, err := r.server.cpu()
	if err != nil {
		return err
	}
	o, err := r.load.run(connections)
	if err != nil {
		return fmt.Errorf("%v: %w", r.Variant, err)
	}
	after, err := r.server.cpu()
	if err != nil {
		return err
	}
	n := r.requests
	_, err = fmt.Fprintf(w, "BenchmarkE2E/%v %d %d ns/op %.0f req/s %d p50-us %d p99-us %.2f cpu-us/req\n", r.Variant, n,
		o.wall.Nanoseconds()/int64(n), float64(n)/o.wall.Seconds(),
		o.percentile(0.5).Microseconds(), o.percentile(0.99).Microseconds(), micros(after-before)/float64(n))
	return err
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
