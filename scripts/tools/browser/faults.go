package browser

import (
	_ "embed"
	"fmt"
	"math"
	"slices"

	"github.com/chromedp/chromedp"
)

//go:embed facts.js
var collect string

// facts are the result of facts.js on a page.
type facts struct {
	Lang, Title, Mode string
	Headings          []int
	Mains, Scripts    int
	IDs, Unnamed      []string
	Controls          []control
	Writings          []writing
	Overflow          float64
}

// control is a control of a page. Sizes are in points, Edge is the colour of its
// border, and Grounds are the backgrounds around it.
type control struct {
	Kind, Name    string
	Inline        bool
	Width, Height float64
	Edge          string
	Grounds       []string
}

// writing is a painted text, with colours as CSS writes them and the backgrounds
// from its own element outwards. Size is in points.
type writing struct {
	Text, Ink    string
	Grounds      []string
	Size, Weight float64
}

// Faults returns what violates WCAG 2.2 at level AA, as far as the page itself
// shows it, and what is wider than the window.
func (t *Tab) Faults() ([]string, error) {
	found, err := within(t, "check the page", chromedp.Evaluate[facts](collect))
	if err != nil {
		return nil, err
	}
	return found.faults(), nil
}

func (f facts) faults() (faults []string) {
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	fault(f.Lang == "", "the page has no language (3.1.1)")
	fault(f.Title == "", "the page has no title (2.4.2)")
	fault(f.Mode != "CSS1Compat", "the page is shown in %s", f.Mode)
	fault(f.Mains != 1, "%d main parts (1.3.1)", f.Mains)
	fault(f.Scripts != 0, "%d scripts", f.Scripts)
	fault(f.Overflow > 0, "the page is %.0f points wider than the window (1.4.10)", f.Overflow)
	for _, kind := range f.Unnamed {
		fault(true, "a picture (%s) has no text alternative (1.1.1)", kind)
	}
	if twice := repeated(f.IDs); twice != "" {
		fault(true, "id %s is used twice (1.3.1)", twice)
	}
	faults = append(faults, headingFaults(f.Headings)...)
	for _, c := range f.Controls {
		fault(c.Name == "", "a %s has no name (4.1.2)", c.Kind)
		edge, _, err := writing{Ink: c.Edge, Grounds: c.Grounds}.contrast()
		fault(c.Kind == "input" && (err != nil || edge < 3), "the border of input %q has a contrast of %.2f, want 3 (1.4.11)", c.Name, edge)
		fault(!c.Inline && min(c.Width, c.Height) < 24, "%s %q is %.0f by %.0f points (2.5.8)", c.Kind, c.Name, c.Width, c.Height)
	}
	for _, w := range f.Writings {
		got, want, err := w.contrast()
		fault(err != nil, "%q: %v", w.Text, err)
		fault(err == nil && got < want, "%q has a contrast of %.2f, want %.1f (1.4.3)", w.Text, got, want)
	}
	return faults
}

func repeated(names []string) string {
	names = slices.Sorted(slices.Values(names))
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return names[i]
		}
	}
	return ""
}

// headingFaults checks that the first heading is the only one of level 1, and that
// no level is left out.
func headingFaults(levels []int) (faults []string) {
	before := 0
	for i, level := range levels {
		if (level == 1) != (i == 0) || level > before+1 {
			faults = append(faults, fmt.Sprintf("heading %d is of level %d, after level %d (1.3.1)", i+1, level, before))
		}
		before = level
	}
	if len(levels) == 0 {
		faults = append(faults, "the page has no heading (1.3.1)")
	}
	return faults
}

// colour has red, green and blue from 0 to 255, and its opacity.
type colour struct{ r, g, b, opaque float64 }

func parseColour(css string) (c colour, err error) {
	c.opaque = 1
	if n, _ := fmt.Sscanf(css, "rgba(%f, %f, %f, %f)", &c.r, &c.g, &c.b, &c.opaque); n == 4 {
		return c, nil
	}
	if n, _ := fmt.Sscanf(css, "rgb(%f, %f, %f)", &c.r, &c.g, &c.b); n == 3 {
		return c, nil
	}
	return colour{}, fmt.Errorf("colour %q has an unknown form", css)
}

// over paints c over a colour.
func (c colour) over(behind colour) colour {
	mix := func(front, back float64) float64 { return front*c.opaque + back*(1-c.opaque) }
	return colour{mix(c.r, behind.r), mix(c.g, behind.g), mix(c.b, behind.b), 1}
}

// contrast is the contrast of the text with its background, and the least that WCAG
// 2.2 accepts (1.4.3): less for large text, of 24 points, or 18.66 in bold.
func (w writing) contrast() (got, want float64, err error) {
	var layers []colour
	for _, css := range w.Grounds {
		c, err := parseColour(css)
		if err != nil {
			return 0, 0, err
		}
		layers = append(layers, c)
		if c.opaque == 1 {
			break
		}
	}
	ground := colour{opaque: 0}
	for _, layer := range slices.Backward(layers) {
		ground = layer.over(ground)
	}
	if len(layers) == 0 || layers[len(layers)-1].opaque < 1 {
		return 0, 0, fmt.Errorf("the page gives it no background")
	}
	ink, err := parseColour(w.Ink)
	if err != nil {
		return 0, 0, err
	}
	want = 4.5
	if w.Size >= 24 || w.Size >= 18.66 && w.Weight >= 700 {
		want = 3
	}
	return ratio(ink.over(ground), ground), want, nil
}

func ratio(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of WCAG 2.2.
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v /= 255; v <= 0.04045 {
			return v / 12.92
		} else {
			return math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}
