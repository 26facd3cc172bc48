package main

import (
	"io"
	"math"
	"regexp"
	"slices"

	"golang.org/x/perf/benchfmt"
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

// figure is what was measured, and how far it can be trusted.
type figure struct{ value, spread float64 }

func (f figure) times(factor float64) figure { return figure{f.value * factor, f.spread * factor} }

// known reports whether there was anything to measure.
func (f figure) known() bool { return !math.IsNaN(f.value) && !math.IsInf(f.value, 0) }

// median is the middle of all rounds, with half of the distance between their
// quartiles.
func (d *data) median(name, unit string) figure { return middle(d.values[name][unit]) }

// ratio is the median, over the rounds, of how many times a is b.
func (d *data) ratio(a, b, unit string) figure {
	return middle(d.pairwise(a, b, unit, func(x, y float64) float64 { return x / y }))
}

// beyond is the median, over the rounds, of a minus b.
func (d *data) beyond(a, b, unit string) figure {
	return middle(d.pairwise(a, b, unit, func(x, y float64) float64 { return x - y }))
}

// difference is the mean, over the rounds, of a minus b, with its standard error.
func (d *data) difference(a, b, unit string) figure {
	return trimmed(d.pairwise(a, b, unit, func(x, y float64) float64 { return x - y }))
}

// mean is the mean of all rounds, with its standard error.
func (d *data) mean(name, unit string) figure { return trimmed(d.values[name][unit]) }

func (d *data) pairwise(a, b, unit string, f func(x, y float64) float64) []float64 {
	first, second := d.values[a][unit], d.values[b][unit]
	each := make([]float64, min(len(first), len(second)))
	for i := range each {
		each[i] = f(first[i], second[i])
	}
	return each
}

func middle(values []float64) figure {
	if len(values) == 0 {
		return figure{math.NaN(), math.NaN()}
	}
	at := func(p float64) float64 { return quantile(values, p) }
	return figure{at(0.5), (at(0.75) - at(0.25)) / 2}
}

// quantile interpolates between the rounds.
func quantile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := p * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// trimmed is the mean without the fifth at each end, in which the machine did
// something else, and its standard error by Yuen: that of the values of which those at
// the ends were replaced by the last that stays.
func trimmed(values []float64) figure {
	if len(values) == 0 {
		return figure{math.NaN(), math.NaN()}
	}
	sorted, n := slices.Sorted(slices.Values(values)), len(values)
	cut := n / 5
	kept := sorted[cut : n-cut]
	replaced := slices.Concat(slices.Repeat(kept[:1], cut), kept, slices.Repeat(kept[len(kept)-1:], cut))
	// The deviation of one round, over the root of how many there are.
	deviation := math.Sqrt(squares(replaced) / float64(max(1, n-1)))
	return figure{mean(kept), deviation * math.Sqrt(float64(n)) / float64(len(kept))}
}

func mean(values []float64) (mean float64) {
	for _, value := range values {
		mean += value / float64(len(values))
	}
	return mean
}

// squares is the sum of the squared distances from the mean.
func squares(values []float64) (sum float64) {
	center := mean(values)
	for _, value := range values {
		sum += (value - center) * (value - center)
	}
	return sum
}
