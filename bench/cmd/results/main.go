// Command results measures everything in interleaved rounds and writes
// RESULTS.md and its picture. It is run in the directory of the bench module.
//
//	go run ./cmd/results              # measure, then write
//	go run ./cmd/results -from results.txt   # write again what was measured
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// plan says how much is measured. A round runs every benchmark once; figures
// are medians over rounds, and ratios are taken within a round, so that a
// machine that becomes slower does not look like a library that does.
type plan struct {
	rounds    int
	benchtime string
	e2e       []string // arguments of cmd/e2e
}

func main() {
	p := plan{}
	flag.IntVar(&p.rounds, "rounds", 5, "rounds of go test -bench")
	flag.StringVar(&p.benchtime, "benchtime", "30ms", "time, or number of runs, for each benchmark in a round")
	raw := flag.String("raw", "results.txt", "file for what the benchmarks print")
	from := flag.String("from", "", "do not measure: read what this file has")
	flag.Parse()
	if err := run(p, *raw, *from); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

func run(p plan, raw, from string) error {
	if from == "" {
		from = raw
		if err := measureInto(raw, p); err != nil {
			return err
		}
	}
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	d, err := read(file, from)
	if err != nil {
		return err
	}
	if err := writeFile(picture, func(w io.Writer) error { return plotGrowth(w, d) }); err != nil {
		return err
	}
	return writeFile("RESULTS.md", func(w io.Writer) error { return report(w, d) })
}

func measureInto(name string, p plan) error {
	return writeFile(name, func(w io.Writer) error { return measure(w, p) })
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
