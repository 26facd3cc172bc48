// Command e2e measures mcp-go on loopback, with and without the wrapper and its
// peers, and prints lines in the format of go test -bench.
//
//	go run ./cmd/e2e -group server
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/seed-1e292522/mcpauth/bench/internal/endtoend"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

func main() {
	if served, err := endtoend.ServeIfAsked(); served {
		exit(err)
	}
	rounds := flag.Int("rounds", 0, "rounds; all variants of a group run in each; 0 for as many as the group needs")
	requests := flag.Int("requests", 0, "requests to a server in a round; 0 for as many as the variant needs")
	flood := flag.Int("flood", 20_000, "requests of a flood in a round")
	only := flag.String("group", "", "groups whose name has a match for this regular expression: server, others, gc, clients, flood; default: all")
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
	for _, group := range endtoend.Groups {
		if !only.MatchString(group.Name) {
			continue
		}
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), "servers:", group.Name)
		if err := endtoend.Run(w, issuer, group, cmp.Or(rounds, group.Rounds), requests); err != nil {
			return err
		}
	}
	if only.MatchString("flood") {
		return endtoend.Flood(w, issuer, cmp.Or(rounds, 10), flood)
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
