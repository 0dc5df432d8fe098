package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
	"github.com/tokenvend/tokenvend/scripts/internal/testcount"
)

// report prints a line for each check and counts them. It is safe for
// concurrent use.
type report struct {
	out io.Writer

	mu     sync.Mutex
	counts testcount.Counts
}

// section begins a group of checks.
func (r *report) section(name string) { fmt.Fprintf(r.out, "\n%s\n", name) }

// note prints what a reader of the report should know.
func (r *report) note(format string, args ...any) { fmt.Fprintf(r.out, "      "+format+"\n", args...) }

// check runs one check, and reports whether it passed.
func (r *report) check(ctx context.Context, name string, run func(context.Context) error) bool {
	began := time.Now()
	err := ctx.Err()
	if err == nil {
		err = run(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.counts.Passed++
		fmt.Fprintf(r.out, "ok    %s (%.1f s)\n", name, time.Since(began).Seconds())
	case errors.Is(err, provision.ErrMissing):
		r.counts.Skipped++
		fmt.Fprintf(r.out, "NOT RUN  %s: %v\n", name, err)
	default:
		r.counts.Failed++
		fmt.Fprintf(r.out, "FAIL  %s\n      %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\n      "))
	}
	return err == nil
}

// add counts what a run of go test reported.
func (r *report) add(c testcount.Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Passed += c.Passed
	r.counts.Failed += c.Failed
	r.counts.Skipped += c.Skipped
}

// end prints the counts. It fails when a check did, or, if everything was
// required, when one could not be run.
func (r *report) end(require bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "\naws: %d passed, %d failed, %d not run\n", r.counts.Passed, r.counts.Failed, r.counts.Skipped)
	switch {
	case r.counts.Failed > 0:
		return errors.New("checks failed; what was said beside is in the log")
	case require && r.counts.Skipped > 0:
		return errors.New("not everything could be run")
	}
	return nil
}
