package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
)

// zipSize builds the functions and zips vend's bootstrap as a deployment would;
// in megabytes.
func zipSize(ctx context.Context) (float64, error) {
	build := exec.CommandContext(ctx, "scripts/build.sh")
	build.Env = append(os.Environ(), "ARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w: %s", err, out)
	}
	bootstrap, err := os.ReadFile("build/vend/bootstrap")
	if err != nil {
		return 0, err
	}
	size, err := zipped(bootstrap)
	return float64(size) / 1e6, err
}

// zipped is the size of an archive with that one file, in bytes.
func zipped(bootstrap []byte) (int64, error) {
	size := new(counter)
	archive := zip.NewWriter(size)
	entry, err := archive.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	_, err = entry.Write(bootstrap)
	err = errors.Join(err, archive.Close())
	return size.n, err
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// eventRatio runs the gateway's own benchmarks side by side, and divides their
// medians.
func eventRatio(ctx context.Context) (float64, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^Benchmark(EventToResponse|DecodeTypedEvent)$",
		"-benchtime=0.3s", "-count=5", "./pkg/gateway").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	ours, typed := nanoseconds(out, "EventToResponse"), nanoseconds(out, "DecodeTypedEvent")
	if ours == 0 || typed == 0 {
		return 0, fmt.Errorf("no figures in %s", out)
	}
	return ours / typed, nil
}

// nanoseconds is the median of a benchmark's figures; 0 when there are none.
func nanoseconds(report []byte, name string) float64 {
	line := regexp.MustCompile(`(?m)^Benchmark` + name + `(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op`)
	var figures []float64
	for _, match := range line.FindAllSubmatch(report, -1) {
		if figure, err := strconv.ParseFloat(string(match[1]), 64); err == nil {
			figures = append(figures, figure)
		}
	}
	return median(figures)
}

func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}
