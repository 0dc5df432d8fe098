package scorecard

import (
	"context"
	"fmt"
	"slices"
)

// Comparison is the median of one repetition, ours and the baseline's, of the
// same run and in one unit.
type Comparison struct{ Ours, Baseline float64 }

// Ratio is ours as a multiple of the baseline.
func (c Comparison) Ratio() float64 { return c.Ours / c.Baseline }

// Text is the ratio with both figures.
func (c Comparison) Text(unit Unit) string {
	return fmt.Sprintf("%.3f (%s / %s)", c.Ratio(), unit(c.Ours), unit(c.Baseline))
}

// Sample measures one repetition. Its error ends the comparison.
type Sample func(ctx context.Context) (float64, error)

// Compare takes repetitions of both in turns, so that whatever else the machine
// does falls on both; which one goes first alternates too. One round before
// them is not counted: it fills caches.
func Compare(ctx context.Context, repetitions int, ours, baseline Sample) (Comparison, error) {
	names, samples := [2]string{"ours", "the baseline"}, [2]Sample{ours, baseline}
	var values [2][]float64
	for i := range repetitions + 1 {
		for turn := range 2 {
			which := (i + turn) % 2
			value, err := take(ctx, names[which], samples[which])
			if err != nil {
				return Comparison{}, err
			}
			if i > 0 {
				values[which] = append(values[which], value)
			}
		}
	}
	return Comparison{Ours: Median(values[0]), Baseline: Median(values[1])}, nil
}

func take(ctx context.Context, name string, s Sample) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	value, err := s(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if value <= 0 {
		return 0, fmt.Errorf("%s: measured %v, which has no ratio", name, value)
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
