package scorecard_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{3}, 3},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even is the mean of the middle two", []float64{8, 1, 2, 4}, 3},
		{"an outlier does not count", []float64{1, 1, 1000, 1, 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := scorecard.Median(tc.values); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
	values := []float64{3, 1, 2}
	scorecard.Median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("the values were reordered: %s", diff)
	}
}

// scripted samples the values in order, and records its name each time.
func scripted(order *[]string, name string, values ...float64) scorecard.Sample {
	return func(context.Context) (float64, error) {
		*order = append(*order, name)
		value := values[0]
		values = values[1:]
		return value, nil
	}
}

func TestCompare(t *testing.T) {
	var order []string
	got, err := scorecard.Compare(t.Context(), 3,
		scripted(&order, "ours", 1000, 6, 4, 5), scripted(&order, "baseline", 1000, 2, 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	if want := (scorecard.Comparison{Ours: 5, Baseline: 2}); got != want || got.Ratio() != 2.5 {
		t.Errorf("%+v, ratio %v; want %+v: the first round fills caches and does not count", got, got.Ratio(), want)
	}
	want := "ours baseline baseline ours ours baseline baseline ours"
	if taken := strings.Join(order, " "); taken != want {
		t.Errorf("taken in the order %s, want %s", taken, want)
	}
}

func TestCompareFails(t *testing.T) {
	constant := func(value float64, err error) scorecard.Sample {
		return func(context.Context) (float64, error) { return value, err }
	}
	broken := errors.New("broken")
	for _, tc := range []struct {
		name           string
		ours, baseline scorecard.Sample
		says           string
	}{
		{"ours fails", constant(1, broken), constant(1, nil), "ours: broken"},
		{"the baseline fails", constant(1, nil), constant(1, broken), "the baseline: broken"},
		{"nothing measured", constant(1, nil), constant(0, nil), "the baseline: measured 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := scorecard.Compare(t.Context(), 3, tc.ours, tc.baseline)
			if err == nil || !strings.HasPrefix(err.Error(), tc.says) {
				t.Errorf("%v, want %s", err, tc.says)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		taken := 0
		_, err := scorecard.Compare(ctx, 3, func(context.Context) (float64, error) {
			taken++
			cancel()
			return 1, nil
		}, constant(1, nil))
		if !errors.Is(err, context.Canceled) || taken != 1 {
			t.Errorf("%v after %d samples", err, taken)
		}
	})
}
