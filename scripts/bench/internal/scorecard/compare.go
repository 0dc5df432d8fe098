package scorecard

import (
	"context"
	"fmt"
	"slices"
)

// Comparison is what one repetition costs (or achieves), ours and the
// baseline's: medians of the same run, in one unit.
type Comparison struct{ Ours, Baseline float64 }

// Ratio is ours as a multiple of the baseline.
func (c Comparison) Ratio() float64 { return c.Ours / c.Baseline }

// Text is the ratio, with both figures behind it.
func (c Comparison) Text(unit Unit) string {
	return fmt.Sprintf("%.3f (%s / %s)", c.Ratio(), unit(c.Ours), unit(c.Baseline))
}

// Sample measures one repetition. Its error ends the comparison.
type Sample func(ctx context.Context) (float64, error)

// Compare takes repetitions of both, as [Medians] does.
func Compare(ctx context.Context, repetitions int, ours, baseline Sample) (Comparison, error) {
	medians, err := Medians(ctx, repetitions, Contender{"ours", ours}, Contender{"the baseline", baseline})
	if err != nil {
		return Comparison{}, err
	}
	return Comparison{Ours: medians[0], Baseline: medians[1]}, nil
}

// Contender is one of those that are measured side by side.
type Contender struct {
	Name   string
	Sample Sample
}

// Medians takes repetitions of all contenders, turn and turn about, so that
// whatever else the machine does falls on all of them; who goes first changes
// too. One round beforehand is not counted: it fills caches. The medians come in
// the order of the contenders.
func Medians(ctx context.Context, repetitions int, contenders ...Contender) ([]float64, error) {
	values := make([][]float64, len(contenders))
	for i := range repetitions + 1 {
		for turn := range contenders {
			which := (i + turn) % len(contenders)
			value, err := take(ctx, contenders[which].Name, contenders[which].Sample)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				values[which] = append(values[which], value)
			}
		}
	}
	medians := make([]float64, len(contenders))
	for i := range values {
		medians[i] = Median(values[i])
	}
	return medians, nil
}

func take(ctx context.Context, whose string, s Sample) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	value, err := s(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", whose, err)
	}
	if value <= 0 {
		return 0, fmt.Errorf("%s: measured %v, which no ratio can be made of", whose, value)
	}
	return value, nil
}

// Median is the middle of the values, or the mean of the two in the middle; 0
// of none. It does not change their order.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
