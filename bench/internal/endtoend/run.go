package endtoend

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// Variant is one way to serve, with one kind of traffic.
type Variant struct {
	Auth    string // what stands in front of mcp-go
	Alg     string // "" without tokens
	New     bool   // each request has a token that was never seen
	Size    int    // of the body, about
	Runtime string // the environment of the server: "GOGC=400", of several with spaces between
	Heap    int    // MB that are alive in the server all the time
	Clients int    // each waits for its answer
	// Requests of a round. Where collections are rare, as beside a large heap, there are so
	// many that some fall into each.
	Requests int
}

func (v Variant) String() string {
	token := v.Alg
	switch {
	case v.Alg == "":
		token = "none"
	case v.New:
		token = "new-" + v.Alg
	}
	return fmt.Sprintf("auth=%s/token=%s/size=%d/gc=%s/heap=%d/clients=%d", v.Auth, token, v.Size, strings.ReplaceAll(v.Runtime, " ", "+"), v.Heap, v.Clients)
}

// Group is variants that are compared with each other, and in how many rounds.
type Group struct {
	Name     string
	Rounds   int
	Variants []Variant
}

// Groups are what is measured. Differences of a few microseconds of a hundred need
// many rounds, and the same server twice ("again") to see how much is noise.
var Groups = []Group{
	{"server", 40, slices.Concat(servers(0, 2_000), servers(64, 6_000))},
	{"others", 6, others()},
	{"gc", 12, collectors()},
	{"clients", 10, crowds()},
}

// usual is what most variants have; what is special is set in a copy.
var usual = Variant{Alg: "RS256", Size: 300, Runtime: "GOGC=100", Clients: 8, Requests: 2_000}

func servers(heap, requests int) (all []Variant) {
	// Without a wrapper the token is read with the header, and by nobody.
	for _, auth := range []string{"none", "again", "mcpauth", "sdk+lru+json"} {
		v := usual
		v.Auth, v.Heap, v.Requests = auth, heap, requests
		all = append(all, v)
	}
	return all
}

func others() (all []Variant) {
	for _, v := range []Variant{
		{Auth: "none", Alg: "RS256", Size: 300},
		{Auth: "none", Size: 300},
		{Auth: "mcpauth", Alg: "RS256", Size: 300, New: true},
		{Auth: "mcpauth", Alg: "ES256", Size: 300, New: true},
		{Auth: "sdk+golang-jwt", Alg: "RS256", Size: 300},
		{Auth: "sdk+golang-jwt", Alg: "ES256", Size: 300},
		{Auth: "sdk+jwx-jwt", Alg: "RS256", Size: 300},
		{Auth: "none", Alg: "RS256", Size: 4 << 10},
		{Auth: "mcpauth", Alg: "RS256", Size: 4 << 10},
		{Auth: "sdk+lru+json", Alg: "RS256", Size: 4 << 10},
		{Auth: "sdk+golang-jwt", Alg: "RS256", Size: 4 << 10},
	} {
		v.Runtime, v.Clients, v.Requests = usual.Runtime, usual.Clients, usual.Requests
		all = append(all, v)
	}
	return all
}

func collectors() (all []Variant) {
	for _, c := range []struct {
		runtime  string
		requests int
	}{{"GOGC=100", 2_000}, {"GOGC=400", 4_000}, {"GOGC=1600", 10_000}, {"GOGC=off GOMEMLIMIT=64MiB", 10_000}} {
		for _, auth := range []string{"none", "mcpauth"} {
			v := usual
			v.Auth, v.Runtime, v.Requests = auth, c.runtime, c.requests
			all = append(all, v)
		}
	}
	return all
}

func crowds() (all []Variant) {
	for clients := 1; clients <= 64; clients *= 2 {
		for _, auth := range []string{"none", "mcpauth", "sdk+lru+json"} {
			v := usual
			v.Auth, v.Clients = auth, clients
			all = append(all, v)
		}
	}
	return all
}

// turns is in how many parts the requests of a round are sent: the servers take
// turns, so that a machine that becomes slower becomes slower for all of them.
const turns = 8

// Run measures all variants of a group in each of so many rounds. requests, if not
// 0, replaces those of the variants. It writes a line for each, in the format of
// go test -bench. Each round has processes of its own: no two are equally fast, so that one
// for all rounds would make an error that looks like a difference.
func Run(w io.Writer, issuer *fixture.Issuer, group Group, rounds, requests int) error {
	for range rounds {
		if err := group.round(w, issuer, requests); err != nil {
			return fmt.Errorf("%s: %w", group.Name, err)
		}
	}
	return nil
}

func (g Group) round(w io.Writer, issuer *fixture.Issuer, requests int) (err error) {
	runners := make([]runner, len(g.Variants))
	for i, v := range g.Variants {
		v.Requests = cmp.Or(requests, v.Requests)
		runners[i].Variant = v
		defer func() {
			if server := runners[i].server; server != nil {
				err = errors.Join(err, server.stop())
			}
		}()
		if err := runners[i].start(issuer); err != nil {
			return err
		}
	}
	for range turns {
		// Whoever follows a slow one must not always do so.
		for _, i := range rand.Perm(len(runners)) {
			if err := runners[i].turn(); err != nil {
				return err
			}
		}
	}
	for i := range runners {
		if err := runners[i].report(w, g.Name); err != nil {
			return err
		}
	}
	return nil
}

// runner is a variant and its server in a round.
type runner struct {
	Variant
	server *child
	load   load
	token  func(i int) string
	sent   int
	seen   outcome
	used   usage
}

// start starts the server and warms it up, with other tokens than those of the
// measurement if those have to be new.
func (r *runner) start(issuer *fixture.Issuer) (err error) {
	if r.server, err = start(settings{Auth: r.Auth, Source: source(issuer, r.Alg), Heap: r.Heap}, strings.Fields(r.Runtime)...); err != nil {
		return err
	}
	warmUp := max(50, r.Requests/4)
	r.token = func(int) string { return "" }
	switch {
	case r.New:
		tokens := issuer.Tokens(r.Alg, r.Requests+warmUp)
		r.token = func(i int) string { return tokens[i] }
	case r.Alg != "":
		token := issuer.Tokens(r.Alg, 1)[0]
		r.token = func(int) string { return token }
	}
	r.load = load{address: r.server.address, status: http.StatusOK, body: fixture.Body(tool, "structure", r.Size, false)}
	_, err = r.send(warmUp)
	return err
}

// send sends the next n requests.
func (r *runner) send(n int) (outcome, error) {
	from := r.sent
	r.sent += n
	r.load.total, r.load.token = n, func(i int) string { return r.token(from + i) }
	return r.load.run(r.Clients)
}

// turn sends a part of the requests of the round.
func (r *runner) turn() error {
	before, err := r.server.usage()
	if err != nil {
		return err
	}
	o, err := r.send(r.Requests / turns)
	if err != nil {
		return fmt.Errorf("%v: %w", r.Variant, err)
	}
	after, err := r.server.usage()
	r.seen.wall += o.wall
	r.seen.latencies = append(r.seen.latencies, o.latencies...)
	r.used = usage{r.used.CPU + after.CPU - before.CPU, after.Memory, r.used.Garbage + after.Garbage - before.Garbage, r.used.Objects + after.Objects - before.Objects}
	return err
}

func (r *runner) report(w io.Writer, group string) error {
	slices.Sort(r.seen.latencies)
	n := float64(len(r.seen.latencies))
	_, err := fmt.Fprintf(w, "BenchmarkE2E/group=%s/%v %.0f %.0f ns/op %.0f req/s %d p50-us %d p99-us %.2f cpu-us/req %.1f MB %.0f B/op %.1f allocs/op\n", group, r.Variant, n,
		float64(r.seen.wall.Nanoseconds())/n, n/r.seen.wall.Seconds(), r.seen.percentile(0.5).Microseconds(), r.seen.percentile(0.99).Microseconds(),
		float64(r.used.CPU)/n, float64(r.used.Memory)/1e6, float64(r.used.Garbage)/n, float64(r.used.Objects)/n)
	return err
}
