package main

import (
	"bytes"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const picture = "results-growth.svg"

var (
	colors = []color.Color{color.RGBA{0, 90, 181, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{110, 110, 110, 255}}
	shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}}
)

// plotGrowth draws a small picture for each axis, three in a row, under one legend.
func plotGrowth(w io.Writer, d *data) error {
	const columns = 3
	tiles := draw.Tiles{Rows: len(axes) / columns, Cols: columns, PadX: 24, PadY: 24, PadLeft: 12, PadRight: 20, PadTop: 64, PadBottom: 10}
	plots := make([][]*plot.Plot, tiles.Rows)
	for i, a := range axes {
		p, err := a.plot(d)
		if err != nil {
			return err
		}
		plots[i/columns] = append(plots[i/columns], p)
	}
	svg := vgsvg.New(930, 640)
	canvas := draw.New(svg)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	for i, row := range plot.Align(plots, tiles, canvas) {
		for j, tile := range row {
			plots[i][j].Draw(tile)
		}
	}
	legend(canvas)
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	// The widths are those of Liberation Sans. Whoever has it not has one of the others,
	// which are as wide.
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,Arimo,sans-serif;")))
	return err
}

// style is the writing in the picture.
func style(size vg.Length) text.Style {
	return text.Style{Color: color.Black, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, Handler: plot.DefaultTextHandler}
}

func legend(c draw.Canvas) {
	title := style(15)
	c.FillText(title, vg.Point{X: c.Min.X + 14, Y: c.Max.Y - 22}, "What grows, and with what")
	y := c.Max.Y - 42
	for i, at := range []vg.Length{14, 110, 540} { // with room for fonts that are wider than ours
		at += c.Min.X
		c.StrokeLine2(draw.LineStyle{Color: colors[i], Width: 2}, at, y+4, at+24, y+4)
		c.DrawGlyph(draw.GlyphStyle{Color: colors[i], Radius: 3, Shape: shapes[i]}, vg.Point{X: at + 12, Y: y + 4})
		c.FillText(style(11), vg.Point{X: at + 30, Y: y}, roles[i])
	}
	c.FillText(style(11), vg.Point{X: c.Min.X + 670, Y: y}, "bars: the middle half of the rounds")
}

func (a axis) plot(d *data) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = a.what + ", " + a.unit
	p.X.Label.Text = a.by
	p.Title.TextStyle, p.Title.Padding = style(12), 4
	p.X.Label.TextStyle, p.X.Tick.Label, p.Y.Tick.Label = style(11), style(10), style(10)
	p.Title.TextStyle.XAlign, p.X.Label.TextStyle.XAlign, p.X.Tick.Label.XAlign = draw.XCenter, draw.XCenter, draw.XCenter
	p.Title.TextStyle.YAlign, p.X.Tick.Label.YAlign = draw.YTop, draw.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.X.Scale = plot.LogScale{}
	var ticks plot.ConstantTicks
	for _, n := range a.sizes {
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: count(n)})
	}
	p.X.Tick.Marker = ticks
	grid := plotter.NewGrid()
	grid.Vertical.Width, grid.Horizontal.Color = 0, color.Gray{225}
	p.Add(grid)
	for i := range a.lines {
		// The last line that is added is drawn over the others, and that shall be ours.
		if err := a.draw(p, d, a.lines[len(a.lines)-1-i]); err != nil {
			return nil, err
		}
	}
	a.scale(p, d)
	return p, nil
}

// scale chooses the Y axis: from nothing where nothing should grow, and by powers of ten
// where it may.
func (a axis) scale(p *plot.Plot, d *data) {
	least, most := math.Inf(1), 0.0
	for _, n := range a.sizes {
		for _, l := range a.lines {
			if low, high := a.quartiles(d, n, l.impl); low > 0 {
				least, most = min(least, low), max(most, high)
			}
		}
	}
	if most == 0 {
		least, most = 1, 10
	}
	width := math.Log(float64(a.sizes[len(a.sizes)-1]) / float64(a.sizes[0]))
	p.X.Min, p.X.Max = float64(a.sizes[0])*math.Exp(-0.04*width), float64(a.sizes[len(a.sizes)-1])*math.Exp(0.04*width)
	p.Y.Min, p.Y.Max = 0, most*1.1
	if a.linear {
		p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most)))
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	}
}

func decades(low, high float64) (ticks []plot.Tick) {
	for value := low; value < high*1.01; value *= 10 {
		ticks = append(ticks, plot.Tick{Value: value, Label: count(int(value))})
	}
	return ticks
}

// points are a line and the bars at its points.
type points struct {
	plotter.XYs
	plotter.YErrors
}

func (a axis) draw(p *plot.Plot, d *data, l line) error {
	var all points
	for _, n := range a.sizes {
		f := a.at(d, n, l.impl)
		if !f.known() || f.value <= 0 && a.linear {
			continue
		}
		low, high := a.quartiles(d, n, l.impl)
		all.XYs = append(all.XYs, plotter.XY{X: float64(n), Y: f.value})
		all.YErrors = append(all.YErrors, struct{ Low, High float64 }{f.value - low, high - f.value})
	}
	if len(all.XYs) == 0 {
		return nil
	}
	through, at, err := plotter.NewLinePoints(all.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(all)
	if err != nil {
		return err
	}
	through.Color, through.Width = colors[l.role], 1.5
	at.Color, at.Shape, at.Radius = colors[l.role], shapes[l.role], 2.5
	bars.Color, bars.CapWidth = colors[l.role], 5
	p.Add(through, bars, at)
	return nil
}
