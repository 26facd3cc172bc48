// Command e2e measures mcp-go on loopback, with and without the wrapper and its
// peers, and prints lines in the format of go test -bench.
//
//	go run ./cmd/e2e -rounds 16 -requests 1000 -flood 100000
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/seed-1e292522/mcpauth/bench/internal/endtoend"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

func main() {
	if served, err := endtoend.ServeIfAsked(); served {
		exit(err)
	}
	rounds := flag.Int("rounds", 16, "rounds; all variants run in each")
	requests := flag.Int("requests", 1_000, "requests of a variant in a round")
	flood := flag.Int("flood", 0, "requests of each flood at the end; 0 for none")
	only := flag.String("only", "", "variants whose name has a match for this regular expression; default: all")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		exit(err)
	}
	exit(run(os.Stdout, match, *rounds, *requests, *flood))
}

func run(w io.Writer, only *regexp.Regexp, rounds, requests, flood int) error {
	issuer := fixture.NewIssuer()
	defer issuer.Close()
	variants := slices.DeleteFunc(slices.Clone(endtoend.Variants), func(v endtoend.Variant) bool { return !only.MatchString(v.String()) })
	if err := endtoend.Run(w, issuer, variants, rounds, requests); err != nil {
		return err
	}
	if flood > 0 {
		return endtoend.Flood(w, issuer, flood)
	}
	return nil
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
