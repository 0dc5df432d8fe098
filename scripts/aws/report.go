package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// errMissing means that a program is not on this machine. The text around it
// says how to get it.
var errMissing = errors.New("missing on this machine")

// report prints a line for each check and counts them.
type report struct {
	out                    io.Writer
	passed, failed, notRun int
}

// section begins a group of checks.
func (r *report) section(name string) { fmt.Fprintf(r.out, "\n%s\n", name) }

// note prints a remark on a check.
func (r *report) note(format string, args ...any) { fmt.Fprintf(r.out, "      "+format+"\n", args...) }

// check runs one check, and reports whether it passed.
func (r *report) check(ctx context.Context, name string, run func(context.Context) error) bool {
	began := time.Now()
	err := ctx.Err()
	if err == nil {
		err = run(ctx)
	}
	r.count(name, err, time.Since(began).Seconds())
	return err == nil
}

// count prints the outcome of a check.
func (r *report) count(name string, err error, seconds float64) {
	switch {
	case err == nil:
		r.passed++
		fmt.Fprintf(r.out, "ok    %s (%.1f s)\n", name, seconds)
	case errors.Is(err, errMissing), errors.Is(err, engine.ErrMissing), errors.Is(err, docker.ErrMissing):
		r.notRun++
		fmt.Fprintf(r.out, "NOT RUN  %s: %v\n", name, err)
	default:
		r.failed++
		fmt.Fprintf(r.out, "FAIL  %s\n      %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\n      "))
	}
}

// end prints the counts. It fails when a check failed or, if everything is
// required, was not run.
func (r *report) end(require bool) error {
	fmt.Fprintf(r.out, "\naws: %d passed, %d failed, %d not run\n", r.passed, r.failed, r.notRun)
	switch {
	case r.failed > 0:
		return errors.New("checks failed; the log has what programs printed")
	case require && r.notRun > 0:
		return errors.New("some checks were not run")
	}
	return nil
}
