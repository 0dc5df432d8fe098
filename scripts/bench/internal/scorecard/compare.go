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

// Sample measures one repetition. Its error ends the comparison.
type Sample func(ctx context.Context) (float64, error)

// Compare takes repetitions of both, turn and turn about, so that whatever else
// the machine does falls on both; who goes first alternates too. One round
// beforehand is not counted: it fills caches.
func Compare(ctx context.Context, repetitions int, ours, baseline Sample) (Comparison, error) {
	var a, b []float64
	for i := range repetitions + 1 {
		x, y, err := round(ctx, i%2 == 1, ours, baseline)
		if err != nil {
			return Comparison{}, err
		}
		if i > 0 {
			a, b = append(a, x), append(b, y)
		}
	}
	return Comparison{Ours: Median(a), Baseline: Median(b)}, nil
}

func round(ctx context.Context, baselineFirst bool, ours, baseline Sample) (x, y float64, err error) {
	if baselineFirst {
		if y, err = take(ctx, "the baseline", baseline); err == nil {
			x, err = take(ctx, "ours", ours)
		}
		return x, y, err
	}
	if x, err = take(ctx, "ours", ours); err == nil {
		y, err = take(ctx, "the baseline", baseline)
	}
	return x, y, err
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
