package main

import "testing"

func TestNanoseconds(t *testing.T) {
	report := []byte("BenchmarkOther-2 \t 10\t 1 ns/op\n" +
		"BenchmarkVend-2   \t 100\t 30 ns/op\t 5 B/op\nBenchmarkVend-2   \t 100\t 10.5 ns/op\nBenchmarkVend-2 \t 100\t 20 ns/op\n" +
		"BenchmarkVendCold-2 \t 100\t 99 ns/op\n")
	if got := nanoseconds(report, "Vend"); got != 20 {
		t.Errorf("median %v, want 20", got)
	}
	if got := nanoseconds(report, "Absent"); got != 0 {
		t.Errorf("%v for a benchmark that is not there", got)
	}
}

func TestReached(t *testing.T) {
	for _, c := range []struct {
		aim      aim
		measured float64
		want     bool
		text     string
	}{
		{aim{limit: 4, unit: " MB"}, 4, true, "≤ 4 MB"},
		{aim{limit: 4, unit: " MB"}, 4.1, false, "≤ 4 MB"},
		{aim{limit: 0.4, atLeast: true}, 0.4, true, "≥ 0.4"},
		{aim{limit: 0.4, atLeast: true}, 0.39, false, "≥ 0.4"},
	} {
		if c.aim.reached(c.measured) != c.want || c.aim.String() != c.text {
			t.Errorf("%s reached by %v: %t", c.aim, c.measured, !c.want)
		}
	}
}
