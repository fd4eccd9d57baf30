// Package plots draws what docs/guarantees.md shows, and writes its table. All
// of it rests on seeds, so it comes out the same whenever it is made.
package plots

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	width  = 18 * vg.Centimeter
	height = 10 * vg.Centimeter
)

// Colours that people who see fewer of them tell apart (Okabe and Ito 2008).
var (
	blue      = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	vermilion = color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
	green     = color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}
	grey      = color.RGBA{R: 0x77, G: 0x77, B: 0x77, A: 0xff}
)

// dashes of the lines that are not measured: bounds, and another's rule.
var dashes = []vg.Length{vg.Points(5), vg.Points(3)}

// curve is a line with an entry in the legend.
type curve struct {
	name   string
	colour color.Color
	dashed bool
	points plotter.XYs
	// low and high are confidence intervals, one a point; nil for none.
	low, high []float64
}

// chart is one picture.
type chart struct {
	title, x, y string
	logX, logY  bool
	yMin, yMax  float64
	curves      []curve
}

// save draws a chart into a file.
func (c chart) save(dir, name string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Title.Padding = vg.Points(6)
	p.BackgroundColor = color.White
	if c.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	}
	if c.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
	}
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Padding = true, vg.Points(2)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-8), vg.Points(-4)
	for _, one := range c.curves {
		if err := one.add(p); err != nil {
			return fmt.Errorf("plot %s, curve %s: %w", name, one.name, err)
		}
	}
	if c.yMax > c.yMin {
		p.Y.Min, p.Y.Max = c.yMin, c.yMax
	}
	if err := p.Save(width, height, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("plot %s: %w", name, err)
	}
	return nil
}

func (c curve) add(p *plot.Plot) error {
	line, err := plotter.NewLine(c.points)
	if err != nil {
		return err
	}
	line.Color, line.Width = c.colour, vg.Points(1.5)
	if c.dashed {
		line.Dashes = dashes
	}
	p.Add(line)
	if c.low == nil {
		p.Legend.Add(c.name, line)
		return nil
	}
	bars, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{c.points, c.errors()})
	if err != nil {
		return err
	}
	bars.Color = c.colour
	dots, err := plotter.NewScatter(c.points)
	if err != nil {
		return err
	}
	dots.Color, dots.Shape, dots.Radius = c.colour, draw.CircleGlyph{}, vg.Points(3)
	p.Add(bars, dots)
	p.Legend.Add(c.name, line, dots)
	return nil
}

// errors are the distances of the interval's ends from the points.
func (c curve) errors() plotter.YErrors {
	errors := make(plotter.YErrors, len(c.points))
	for i, point := range c.points {
		errors[i].Low, errors[i].High = point.Y-c.low[i], c.high[i]-point.Y
	}
	return errors
}

// decades are the ticks of a logarithmic axis: 1, 2 and 5 of each power of ten,
// or the powers alone where there are many.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) []plot.Tick {
	digits := []float64{1, 2, 5}
	if high/low > 2000 {
		digits = digits[:1]
	}
	var ticks []plot.Tick
	for power := math.Pow10(int(math.Floor(math.Log10(low)))); power <= high; power *= 10 {
		for _, digit := range digits {
			if at := digit * power; at >= low*0.999 && at <= high*1.001 {
				ticks = append(ticks, plot.Tick{Value: at, Label: fmt.Sprintf("%g", math.Round(at*1e6)/1e6)})
			}
		}
	}
	return ticks
}
