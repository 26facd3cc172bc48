package main

import (
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plots are the pictures of the report, by file name.
var plots = map[string]func(io.Writer, *data) error{
	"results-cold.svg":    plotCold,
	"results-request.svg": plotRequest,
}

// plotCold shows, for each algorithm, how many times the bare signature check a
// new token costs.
func plotCold(w io.Writer, d *data) error {
	p := plot.New()
	p.Title.Text = "A new token: times the bare signature check"
	p.Y.Label.Text = "times raw crypto"
	p.Y.Min = 0
	p.Legend.Top = true
	p.NominalX(algorithms...)
	const width = 12
	for i, impl := range verifiers {
		values := make(plotter.Values, len(algorithms))
		for j, alg := range algorithms {
			values[j] = plottable(d.ratio(cold(alg, impl), cold(alg, "crypto"), "sec/op"))
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = plotutil.Color(i), 0
		bars.Offset = vg.Points(width * (float64(i) - float64(len(verifiers)-1)/2))
		p.Add(bars)
		p.Legend.Add(impl, bars)
	}
	p.X.Min, p.X.Max = -0.5, float64(len(algorithms))-0.5
	p.Y.Max *= 1.5 // room for the legend
	return save(w, p, 24, 11)
}

// plotRequest shows a whole request with a known token and a body of 300 bytes.
func plotRequest(w io.Writer, d *data) error {
	p := plot.New()
	p.Title.Text = "A request with a known token and a 300-byte body: microseconds in the wrapper"
	p.X.Label.Text = "us"
	p.X.Min = 0
	impls := []string{"sdk+golang-jwt", "sdk+lru+json", "sdk+lru", "mcpauth"}
	values := make(plotter.Values, len(impls))
	for i, impl := range impls {
		values[i] = plottable(micro * d.beyond(warm("300", impl), warm("300", "noop"), "sec/op"))
	}
	bars, err := plotter.NewBarChart(values, vg.Points(24))
	if err != nil {
		return err
	}
	bars.Horizontal = true
	bars.Color, bars.LineStyle.Width = plotutil.Color(0), 0
	p.Add(bars)
	p.NominalY(impls...)
	p.X.Max *= 1.05
	return save(w, p, 20, 7)
}

// plottable replaces what was not measured.
func plottable(value float64) float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0
	}
	return value
}

func save(w io.Writer, p *plot.Plot, width, height float64) error {
	writer, err := p.WriterTo(vg.Length(width)*vg.Centimeter, vg.Length(height)*vg.Centimeter, "svg")
	if err != nil {
		return err
	}
	_, err = writer.WriteTo(w)
	return err
}

// The import makes "svg" a format that plot knows.
var _ = vgsvg.New
