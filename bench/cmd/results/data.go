package main

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// data is everything that was measured, by the name of the benchmark without
// the word Benchmark and the number of processors.
type data struct {
	values map[string]map[string][]float64 // name, unit, one value for each round
	names  []string                        // in the order of the first round
	config map[string]string               // machine and versions
}

var processors = regexp.MustCompile(`-\d+$`)

// read takes the output of go test -bench, of however many rounds. Times come
// in seconds and throughput in bytes per second, whatever the lines say.
func read(r io.Reader, name string) (*data, error) {
	d := &data{values: map[string]map[string][]float64{}, config: map[string]string{}}
	reader := benchfmt.NewReader(r, name)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			for _, config := range record.Config {
				d.config[config.Key] = string(config.Value)
			}
			name := processors.ReplaceAllString(string(record.Name.Full()), "")
			if d.values[name] == nil {
				d.values[name] = map[string][]float64{}
				d.names = append(d.names, name)
			}
			for _, value := range record.Values {
				d.values[name][value.Unit] = append(d.values[name][value.Unit], value.Value)
			}
		}
	}
	return d, reader.Err()
}

// median is the middle of all rounds, NaN if there are none.
func (d *data) median(name, unit string) float64 {
	return middle(d.values[name][unit])
}

// ratio is the median, over the rounds, of how many times a is b. NaN if one
// of them was not measured.
func (d *data) ratio(a, b, unit string) float64 {
	return d.pairwise(a, b, unit, func(x, y float64) float64 { return x / y })
}

// beyond is the median, over the rounds, of a minus b.
func (d *data) beyond(a, b, unit string) float64 {
	return d.pairwise(a, b, unit, func(x, y float64) float64 { return x - y })
}

func (d *data) pairwise(a, b, unit string, f func(x, y float64) float64) float64 {
	first, second := d.values[a][unit], d.values[b][unit]
	n := min(len(first), len(second))
	each := make([]float64, n)
	for i := range n {
		each[i] = f(first[i], second[i])
	}
	return middle(each)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return summary(values).Center
}

func summary(values []float64) benchmath.Summary {
	// NewSample sorts in place, and the order of rounds is still needed.
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}

// spread is how far the rounds of a benchmark lie apart: half of the distance
// from the lowest to the highest, in percent of the median.
func (d *data) spread(name, unit string) string {
	values := d.values[name][unit]
	if len(values) < 2 {
		return "-"
	}
	return fmt.Sprintf("±%.0f%%", 50*math.Abs((slices.Max(values)-slices.Min(values))/middle(values)))
}
